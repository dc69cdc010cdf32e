//! Backups of a MailRoot and the way back (`jdmail.md` JD-64).

use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use tar::{Builder, Header};

use super::*;
use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::{MailRoot, Tables, made};

struct House {
    root: TempDir,
    place: TempDir,
    admin: Admin,
}

const FILES: [(&str, &str); 9] = [
    ("server.tab", "# mine\n\"RootDomain\"\t\"a.test\"\n"),
    ("domains.tab", "\"a.test\"\n"),
    ("mailusers.tab", "\"a.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n"),
    ("custdomains/c.test.tab", "\"smtp\"\n"),
    ("domains/a.test/anna/user.tab", "\"RealName\"\t\"Anna\"\n"),
    ("domains/a.test/anna/Maildir/new/1.a.host", "new mail\r\n"),
    ("domains/a.test/anna/Maildir/cur/2.a.host:2,S", "read mail\r\n"),
    ("spool/0/0/mess/3.a.host", "queued"),
    ("logs/smtp-202611230000", "logged"),
];

fn house() -> House {
    let (root, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, content) in FILES {
        made::write(root.path(), name, content);
    }
    let mail_root = MailRoot::new(root.path());
    let clock = Clock::manual("2026-11-23T10:00:00Z".parse().unwrap());
    let boxes = Mailboxes::new(mail_root.clone(), Kind::Maildir, Disk::default());
    let admin = Admin::new(Tables::open(&mail_root), boxes, None, clock, Disk::default());
    House { root, place, admin }
}

impl House {
    fn backup(&self, scope: Scope) -> PathBuf {
        self.admin.make_backup(self.place.path(), scope, &|_| ()).unwrap()
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.root.path().join(file)).unwrap_or_default()
    }
}

fn names(archive: &Path) -> Vec<String> {
    let mut reader = read(archive).unwrap();
    let mut entries = reader.entries().unwrap();
    std::iter::from_fn(|| entries.next().unwrap()).map(|entry| entry.name).collect()
}

#[test]
fn a_backup_holds_the_system_and_with_mail_the_mailboxes_and_never_the_queue() {
    let house = house();
    let system = house.backup(Scope::System);
    let system_names = [
        "BACKUP.txt",
        "custdomains/c.test.tab",
        "domains.tab",
        "mailusers.tab",
        "server.tab",
        "domains/a.test/anna/user.tab",
    ];
    assert_eq!(names(&system), system_names);
    let with_mail = house.backup(Scope::WithMail);
    let mail = ["domains/a.test/anna/Maildir/new/1.a.host", "domains/a.test/anna/Maildir/cur/2.a.host:2,S"];
    assert_eq!(names(&with_mail), [&system_names[..], &mail[..]].concat());
    let mode = fs::metadata(&system).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600, "passwords are in it");
    let listed: Vec<_> = backups(house.place.path()).into_iter().map(|backup| backup.name).collect();
    assert_eq!(listed.len(), 2);
    assert!(find_backup(house.place.path(), "../x.tar.gz").is_none());
}

#[test]
fn backups_inside_the_mailroot_are_not_in_the_next_one() {
    let house = house();
    let place = house.root.path().join("backups");
    house.admin.make_backup(&place, Scope::System, &|_| ()).unwrap();
    let second = house.admin.make_backup(&place, Scope::WithMail, &|_| ()).unwrap();
    assert!(names(&second).iter().all(|name| !name.starts_with("backups")), "{:?}", names(&second));
}

#[test]
fn tables_come_back_through_the_editor_and_what_stands_beside_them_stays() {
    let house = house();
    let archive = house.backup(Scope::WithMail);
    let write = |name: &str, text: &str| fs::write(house.root.path().join(name), text).unwrap();
    write("domains.tab", "\"b.test\"\n");
    write("aliases.tab", "\"a.test\"\t\"boss\"\t\"anna\"\n");
    fs::remove_file(house.root.path().join("custdomains/c.test.tab")).unwrap();
    house.admin.reload_tables(crate::admin::Reload::Now);
    let found = house.admin.compare_backup(&archive).unwrap();
    let file = |name: &str, is_missing| Difference { file: name.into(), is_missing };
    assert_eq!(found.different, [file("custdomains/c.test.tab", true), file("domains.tab", false)]);
    assert!(found.has_mail && found.same == 3 && found.refused == 0, "{found:?}");
    let wanted = ["domains.tab".into()];
    let planned = house.admin.rehearse(|admin| admin.restore_tables(&archive, &wanted)).unwrap();
    assert_eq!(planned.len(), 1);
    assert_eq!(house.text("domains.tab"), "\"b.test\"\n", "shown, not done");
    house.admin.restore_tables(&archive, &wanted).unwrap();
    assert_eq!(house.text("domains.tab"), "\"a.test\"\n");
    assert_eq!(house.text("aliases.tab"), "\"a.test\"\t\"boss\"\t\"anna\"\n", "it is not in the backup");
    assert_eq!(house.text("custdomains/c.test.tab"), "", "it was not asked for");
}

#[test]
fn missing_mail_comes_back_and_nothing_is_overwritten_or_doubled() {
    let house = house();
    let archive = house.backup(Scope::WithMail);
    let maildir = house.root.path().join("domains/a.test/anna/Maildir");
    fs::rename(maildir.join("new/1.a.host"), maildir.join("cur/1.a.host:2,RS")).unwrap();
    fs::remove_file(maildir.join("cur/2.a.host:2,S")).unwrap();
    fs::write(house.root.path().join("server.tab"), "changed").unwrap();
    let elsewhere = Within::Account("a.test".into(), "bert".into());
    let none = house.admin.restore_files(&archive, &elsewhere, &|_| ()).unwrap();
    assert_eq!(none, Restored::default());
    let anna = Within::Account("A.test".into(), "anna".into());
    let done = house.admin.restore_files(&archive, &anna, &|_| ()).unwrap();
    assert_eq!(done, Restored { made: 1, kept: 2, refused: 0 });
    assert_eq!(fs::read(maildir.join("cur/2.a.host:2,S")).unwrap(), b"read mail\r\n");
    assert!(!maildir.join("new/1.a.host").exists(), "it was read meanwhile");
    house.admin.restore_files(&archive, &Within::All, &|_| ()).unwrap();
    assert_eq!(house.text("server.tab"), "changed", "what is there stays");
}

#[test]
fn an_archive_cannot_lead_out_of_the_mailroot() {
    let house = house();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), house.root.path().join("domains/link")).unwrap();
    let path = house.place.path().join("evil.tar.gz");
    let mut writer = Builder::new(GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast()));
    let evil = [
        "../evil",
        "/tmp/evil",
        "a/../../evil",
        "domains/link/evil",
        "a\\..\\evil",
        ".tabmail/x",
        "a//b",
        "./../x",
    ];
    for name in evil {
        let mut header = Header::new_gnu();
        header.set_mode(0o4777);
        header.set_size(4);
        // The crate would not write such a name.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        writer.append(&header, &b"evil"[..]).unwrap();
    }
    writer.into_inner().unwrap().finish().unwrap();
    let done = house.admin.restore_files(&path, &Within::All, &|_| ()).unwrap();
    assert_eq!(done, Restored { made: 0, kept: 0, refused: evil.len() as u64 });
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(house.admin.compare_backup(&path).unwrap().different.is_empty());
}

#[test]
fn an_archive_that_ends_too_early_is_an_error() {
    let house = house();
    let archive = house.backup(Scope::WithMail);
    let bytes = fs::read(&archive).unwrap();
    for end in [0, 10, bytes.len() / 2, bytes.len() - 9] {
        fs::write(&archive, &bytes[..end]).unwrap();
        assert!(house.admin.restore_files(&archive, &Within::All, &|_| ()).is_err(), "{end}");
    }
}
