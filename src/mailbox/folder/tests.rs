use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

mod kept;
mod names;
mod notes;
mod random;
mod refusals;

use super::*;
use crate::durable::Disk;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::{Account, MailRoot, Snapshot};

/// A MailRoot with one account.
struct House {
    dir: tempfile::TempDir,
    kind: Kind,
}

impl House {
    fn new(kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let users = "\"home.test\"\t\"anna\"\t\"00\"\t1\t\"anna\"\t\"U\"\n";
        fs::write(dir.path().join("mailusers.tab"), users).unwrap();
        fs::write(dir.path().join("domains.tab"), "\"home.test\"\n").unwrap();
        fs::create_dir_all(dir.path().join("domains/home.test/anna")).unwrap();
        Self { dir, kind }
    }

    fn account(&self) -> Arc<Account> {
        let snapshot = Snapshot::load(&MailRoot::new(self.dir.path()));
        snapshot.account("home.test", "anna").unwrap().clone()
    }

    /// As after a start of the server.
    fn folders(&self) -> Folders {
        let mailboxes = Mailboxes::new(MailRoot::new(self.dir.path()), self.kind, Disk::default());
        let account = self.account();
        mailboxes.create(&account).unwrap();
        mailboxes.folders(&account)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("domains/home.test/anna").join(below)
    }

    fn put(&self, below: &str, text: &str) {
        fs::write(self.path(below), text).unwrap();
    }

    /// A message in INBOX.
    fn put_new(&self, file_name: &str, text: &str) {
        fs::create_dir_all(self.path("Maildir/new")).unwrap();
        self.put(&format!("Maildir/new/{file_name}"), text);
    }

    fn files(&self, below: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(below))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text).unwrap()
}

fn uids(folder: &Folder) -> Vec<u32> {
    folder.look().unwrap();
    folder.messages().0.iter().map(|message| message.uid).collect()
}

fn text_of(folder: &Folder, uid: u32) -> String {
    let mut text = String::new();
    folder.text(uid).unwrap().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn append(folder: &Arc<Folder>, text: &str, flags: Flags, keywords: &[&str]) -> u32 {
    let keywords = keywords.iter().map(|word| (*word).to_owned()).collect();
    let mut draft = folder.draft(flags, keywords, Some(1_000_000_000)).unwrap();
    draft.write(text.as_bytes()).unwrap();
    draft.finish().unwrap();
    folder.add(vec![draft]).unwrap()[0]
}

fn change(how: How, flags: Flags, keywords: &[&str]) -> FlagChange {
    FlagChange { how, flags, keywords: keywords.iter().map(|word| (*word).to_owned()).collect() }
}

#[test]
fn what_is_delivered_appears_with_the_next_uid() {
    for kind in [Kind::Maildir, Kind::Mailbox] {
        let house = House::new(kind);
        let inbox_dir = if kind == Kind::Maildir { "Maildir/new" } else { "mailbox" };
        let folders = house.folders();
        let inbox = folders.open(&FolderName::inbox()).unwrap();
        assert!(uids(&inbox).is_empty());
        house.put(&format!("{inbox_dir}/1.a.b.1.host"), "Subject: a\r\n\r\n..dot\n");
        assert_eq!(uids(&inbox), [1]);
        house.put(&format!("{inbox_dir}/.hidden"), "x");
        house.put(&format!("{inbox_dir}/2.a.b.1.host"), "Subject: b\r\n\r\n");
        assert_eq!(uids(&inbox), [1, 2]);
        assert_eq!(text_of(&inbox, 1), "Subject: a\r\n\r\n.dot\r\n");
        fs::remove_file(house.path(&format!("{inbox_dir}/1.a.b.1.host"))).unwrap();
        assert_eq!(uids(&inbox), [2]);
        let changes = inbox.changes_since(1).unwrap();
        assert_eq!((changes.gone, changes.changed.len()), (vec![1], 1));
        assert!(inbox.text(1).unwrap().is_none());
    }
}

#[test]
fn uids_and_flags_survive_a_restart_in_order_and_out_of_order() {
    let house = House::new(Kind::Maildir);
    for serial in 1..=3 {
        fs::create_dir_all(house.path("Maildir/new")).unwrap();
        house.put(&format!("Maildir/new/{serial}.a.b.1.host"), "x\r\n");
    }
    let validity = {
        let folders = house.folders();
        let inbox = folders.open(&FolderName::inbox()).unwrap();
        inbox.store(&[2], &change(How::Add, Flags::SEEN, &["$Junk"]), None).unwrap();
        inbox.remove(&[3]).unwrap();
        inbox.status().uid_validity
    };
    {
        let folders = house.folders();
        let inbox = folders.open(&FolderName::inbox()).unwrap();
        let status = inbox.status();
        assert_eq!((status.uid_validity, status.next_uid, status.unseen), (validity, 4, 1));
        let message = inbox.message(2).unwrap();
        assert_eq!(message.flags, Flags::SEEN);
        assert_eq!(inbox.keywords(), ["$Junk"]);
        assert_eq!(inbox.changes_since(1).unwrap().gone, [3]);
        house.put("Maildir/new/4.a.b.1.host", "x\r\n");
        assert_eq!(uids(&inbox), [1, 2, 4]);
        // No orderly end.
        std::mem::forget(inbox);
    }
    let folders = house.folders();
    let inbox = folders.open(&FolderName::inbox()).unwrap();
    assert_eq!(uids(&inbox), [1, 2, 4]);
    let next = inbox.status().next_uid;
    assert!(next > 1000, "UIDs that may have been given are not given again: {next}");
    assert_eq!(inbox.status().uid_validity, validity);
}

#[test]
fn without_its_cache_a_folder_has_all_messages_and_flags_and_a_new_validity() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    folders.create(&name("Work/2026"), None).unwrap();
    let (inbox, work) = (folders.open(&name("INBOX")).unwrap(), folders.open(&name("Work/2026")).unwrap());
    for folder in [&inbox, &work] {
        append(
            folder,
            "Subject: x\r\n\r\n.y\r\n",
            Flags::SEEN.union(Flags::FLAGGED),
            &["$Forwarded", "Blue"],
        );
        append(folder, "Subject: z\r\n\r\n", Flags::default(), &[]);
    }
    let old = [inbox.status().uid_validity, work.status().uid_validity];
    drop((inbox, work, folders));
    fs::remove_file(house.path("imapcache")).unwrap();
    fs::remove_file(house.path("Maildir/.Work.2026/imapcache")).unwrap();
    let folders = house.folders();
    for (which, old) in ["INBOX", "Work/2026"].into_iter().zip(old) {
        let folder = folders.open(&name(which)).unwrap();
        assert!(folder.status().uid_validity > old);
        let mut flagged: Vec<_> =
            folder.messages().0.into_iter().filter(|message| message.flags != Flags::default()).collect();
        let message = flagged.remove(0);
        assert_eq!(message.flags, Flags::SEEN.union(Flags::FLAGGED), "{which}");
        let keywords = folder.keywords();
        let mut named: Vec<&str> = message.keywords.indexes().map(|index| keywords[index].as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, ["$Forwarded", "Blue"], "{which}");
        assert_eq!(text_of(&folder, message.uid), "Subject: x\r\n\r\n.y\r\n");
        assert_eq!(message.internal_date, 1_000_000_000);
        assert_eq!(folder.status().messages, 2);
    }
}

#[test]
fn flags_of_inbox_never_touch_a_file_name() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    let inbox = folders.open(&name("INBOX")).unwrap();
    house.put("Maildir/new/1.a.b.1.host", "x\r\n");
    house.put("Maildir/cur/2.a.b.1.host:2,S", "x\r\n");
    assert_eq!(uids(&inbox).len(), 2);
    let seen: Vec<u32> = inbox
        .messages()
        .0
        .iter()
        .filter(|message| message.flags == Flags::SEEN)
        .map(|message| message.uid)
        .collect();
    assert_eq!(seen.len(), 1);
    inbox.store(&[1, 2], &change(How::Replace, Flags::DELETED, &[]), None).unwrap();
    assert_eq!(house.files("Maildir/new"), ["1.a.b.1.host"]);
    assert_eq!(house.files("Maildir/cur"), ["2.a.b.1.host:2,S"]);
    let table = fs::read_to_string(house.path("imapflags.tab")).unwrap();
    assert!(table.contains("\"1.a.b.1.host\"\t\"T\"\t\"\"\n"), "{table}");
    // Another program renames the file: what it says counts.
    fs::rename(house.path("Maildir/new/1.a.b.1.host"), house.path("Maildir/cur/1.a.b.1.host:2,FS")).unwrap();
    inbox.look().unwrap();
    let flags: Vec<Flags> = inbox.messages().0.iter().map(|message| message.flags).collect();
    assert!(flags.contains(&Flags::FLAGGED.union(Flags::SEEN)), "{flags:?}");
    // Somebody edits the table.
    fs::write(house.path("imapflags.tab"), "# by hand\n\"2.a.b.1.host:2,S\"\t\"R\"\t\"Todo\"\n").unwrap();
    inbox.look().unwrap();
    let flags: Vec<Flags> = inbox.messages().0.iter().map(|message| message.flags).collect();
    assert!(flags.contains(&Flags::ANSWERED), "{flags:?}");
    assert!(inbox.keywords().contains(&"Todo".to_owned()));
}

#[test]
fn flags_of_folders_are_in_names_that_others_read() {
    let house = House::new(Kind::Mailbox);
    let folders = house.folders();
    folders.create(&name("Sent"), Some(SpecialUse::Sent)).unwrap();
    let sent = folders.open(&name("Sent")).unwrap();
    let uid = append(&sent, "a\r\n", Flags::SEEN, &[]);
    sent.store(&[uid], &change(How::Add, Flags::FLAGGED, &["$Forwarded"]), None).unwrap();
    let files = house.files("mailbox/.Sent/cur");
    assert!(files.len() == 1 && files[0].ends_with(":2,FSa"), "{files:?}");
    let table = fs::read_to_string(house.path("mailbox/.Sent/imapkeywords.tab")).unwrap();
    assert_eq!(table, "\"a\"\t\"$Forwarded\"\n");
    let modseq = sent.message(uid).unwrap().modseq;
    let stale = sent.store(&[uid], &change(How::Remove, Flags::FLAGGED, &[]), Some(modseq - 1)).unwrap();
    assert_eq!((stale.done, stale.modified), (vec![], vec![uid]));
    sent.store(&[uid], &change(How::Remove, Flags::FLAGGED, &["$forwarded"]), Some(modseq)).unwrap();
    assert!(house.files("mailbox/.Sent/cur")[0].ends_with(":2,S"));
    // A program on the Maildir marks it.
    let file = house.files("mailbox/.Sent/cur").remove(0);
    let (from, to) = (house.path("mailbox/.Sent/cur").join(&file), file.replace(":2,S", ":2,RS"));
    fs::rename(from, house.path("mailbox/.Sent/cur").join(to)).unwrap();
    sent.look().unwrap();
    assert_eq!(sent.message(uid).unwrap().flags, Flags::ANSWERED.union(Flags::SEEN));
}

#[test]
fn copies_and_moves_keep_text_flags_and_dates() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    folders.create(&name("Old"), None).unwrap();
    let (inbox, old) = (folders.open(&name("INBOX")).unwrap(), folders.open(&name("Old")).unwrap());
    let uid = append(&inbox, "a: b\r\n\r\n.c\r\n", Flags::SEEN, &["Blue"]);
    let copied = inbox.copy(&[uid, 99], &old).unwrap();
    assert_eq!(copied, [Placed { from: uid, to: 1 }]);
    let moved = inbox.move_to(&[uid], &old).unwrap();
    assert_eq!(moved, [Placed { from: uid, to: 2 }]);
    assert_eq!((uids(&inbox), uids(&old)), (vec![], vec![1, 2]));
    for uid in [1, 2] {
        let message = old.message(uid).unwrap();
        assert_eq!((message.flags, message.internal_date), (Flags::SEEN, 1_000_000_000));
        assert_eq!(text_of(&old, uid), "a: b\r\n\r\n.c\r\n");
    }
    let back = old.move_to(&[2], &inbox).unwrap();
    assert_eq!(inbox.message(back[0].to).unwrap().flags, Flags::SEEN);
    assert_eq!(house.files("Maildir/new").len(), 1);
    assert_eq!(old.copy(&[1], &old).unwrap().len(), 1);
    assert_eq!(uids(&old), [1, 3]);
}

#[test]
fn folders_are_made_renamed_and_removed() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    folders.create(&name("a/b/c"), None).unwrap();
    folders.create(&name("草稿"), Some(SpecialUse::Drafts)).unwrap();
    let listed = |folders: &Folders| -> Vec<String> {
        folders
            .list()
            .unwrap()
            .into_iter()
            .map(|row| format!("{}{}", row.name, if row.exists { "" } else { "?" }))
            .collect()
    };
    assert_eq!(listed(&folders), ["INBOX", "a", "a/b", "a/b/c", "草稿"]);
    assert!(matches!(folders.create(&name("a"), None), Err(FolderError::Exists)));
    let open = folders.open(&name("a/b")).unwrap();
    let validity = open.status().uid_validity;
    append(&open, "x\r\n", Flags::SEEN, &[]);
    folders.subscribe(&name("a/b"), true).unwrap();
    folders.rename(&name("a/b"), &name("z/y")).unwrap();
    assert!(matches!(open.look(), Err(FolderError::NoSuchFolder)));
    assert_eq!(listed(&folders), ["INBOX", "a", "a/b?", "z", "z/y", "z/y/c", "草稿"]);
    let moved = folders.open(&name("z/y")).unwrap();
    assert_eq!((moved.status().uid_validity, moved.status().messages), (validity, 1));
    folders.subscribe(&name("a/b"), false).unwrap();
    folders.delete(&name("z/y")).unwrap();
    folders.delete(&name("z")).unwrap();
    assert_eq!(listed(&folders), ["INBOX", "a", "z?", "z/y?", "z/y/c", "草稿"]);
    assert!(matches!(folders.delete(&name("INBOX")), Err(FolderError::Inbox)));
    assert!(matches!(folders.delete(&name("none")), Err(FolderError::NoSuchFolder)));
    folders.create(&name("z/y"), None).unwrap();
    assert!(folders.open(&name("z/y")).unwrap().status().uid_validity > validity);
    append(&folders.open(&name("INBOX")).unwrap(), "x\r\n", Flags::SEEN, &[]);
    folders.rename(&name("INBOX"), &name("Saved")).unwrap();
    assert_eq!(folders.open(&name("Saved")).unwrap().status().messages, 1);
    assert_eq!(folders.open(&name("INBOX")).unwrap().status().messages, 0);
}

#[test]
fn the_cache_is_written_anew_before_it_outgrows_the_folder() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    let inbox = folders.open(&name("INBOX")).unwrap();
    let uid = append(&inbox, "Subject: a\r\n\r\nb\r\n", Flags::default(), &[]);
    let head = inbox.head(uid).unwrap().unwrap();
    for round in 0..6000 {
        let how = if round % 2 == 0 { How::Add } else { How::Remove };
        inbox.store(&[uid], &change(how, Flags::SEEN, &[]), None).unwrap();
    }
    inbox.lock().looked = None;
    inbox.look().unwrap();
    let bytes = fs::metadata(house.path("imapcache")).unwrap().len();
    assert!(bytes < 300_000, "{bytes}");
    assert_eq!(inbox.known_heads(&[uid]).remove(0).unwrap(), head);
    let rows = fs::read_to_string(house.path("imapflags.tab")).unwrap().lines().count();
    assert!(rows < 2000, "{rows}");
}

/// Who stops watching waits for the system's thread, which may be telling of an event just then.
#[test]
fn watching_begins_and_ends_while_things_happen() {
    let house = House::new(Kind::Maildir);
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    let directory = house.path("Maildir/new");
    let (done, is_done) = std::sync::mpsc::channel();
    // Not joined: threads that wait for each other would never end.
    std::thread::spawn(move || {
        for _ in 0..300 {
            drop(inbox.watch());
        }
        let _ = done.send(());
    });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while is_done.try_recv().is_err() {
        assert!(std::time::Instant::now() < deadline, "they wait for each other");
        fs::write(directory.join("1.x"), "").unwrap();
        fs::remove_file(directory.join("1.x")).unwrap();
    }
}

#[test]
fn who_comes_back_finds_the_folder_as_it_was_left() {
    let house = House::new(Kind::Maildir);
    house.put_new("1.a.b.1.host", "x\r\n");
    let folders = house.folders();
    let inbox = folders.open(&name("INBOX")).unwrap();
    let (former, validity) = (Arc::as_ptr(&inbox), inbox.status().uid_validity);
    drop(inbox);
    house.put_new("2.a.b.1.host", "x\r\n");
    let inbox = folders.open(&name("INBOX")).unwrap();
    assert_eq!(
        (Arc::as_ptr(&inbox), inbox.status().uid_validity, uids(&inbox)),
        (former, validity, vec![1, 2])
    );
    drop(inbox);
    fs::remove_file(house.path("imapcache")).unwrap();
    let inbox = folders.open(&name("INBOX")).unwrap();
    assert!(inbox.status().uid_validity > validity);
    assert_eq!(uids(&inbox), [1, 2]);
    drop((inbox, folders));
    // The end of the process is the folder's orderly end.
    assert_eq!(house.folders().open(&name("INBOX")).unwrap().status().next_uid, 3);
}

#[test]
fn a_text_is_the_same_whether_its_file_is_known_to_be_plain_or_not() {
    let check = |file: &str, is_plain: bool| {
        let house = House::new(Kind::Maildir);
        house.put_new("1.a.b.1.host", file);
        let inbox = house.folders().open(&name("INBOX")).unwrap();
        let head = inbox.heads(&[1, 7]).unwrap().swap_remove(0).unwrap();
        assert_eq!(
            (head.is_plain(), inbox.known_heads(&[1]).remove(0)),
            (is_plain, Some(head.clone())),
            "{file:?}"
        );
        let mut text = String::new();
        inbox.text_of(1, head.is_plain()).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.len() as u64, &text), (head.size(), &text_of(&inbox, 1)), "{file:?}");
        let mut rest = inbox.text_of(1, head.is_plain()).unwrap().unwrap();
        rest.skip(3).unwrap();
        let mut end = String::new();
        rest.read_to_string(&mut end).unwrap();
        assert_eq!(end, text[3..]);
    };
    check("Subject: x\r\n\r\ny.z\r\n", true);
    check("Subject: x\r\n\r\n..y\r\n", false);
    check("Subject: x\n\ny\n", false);
    // As long as its text all the same.
    check("Subject: x\r\n\n..y\r\n", false);
    check(".Subject: x\r\n\ny\r\n", false);
}
