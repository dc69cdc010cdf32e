//! A disk that refuses any step of a change of a folder, for a while or for good, and a power cut at any octet of the cache.
//!
//! After a refusal nothing is half visible: what was not done is not there, what was reported is, and everything works
//! again, in this process and in the next.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use super::random::Random;
use super::*;
use crate::durable::{Faults, Step};

/// ENOSPC, EIO, EROFS.
const REASONS: [i32; 3] = [28, 5, 30];

/// Refuses step `at`, or all from it on.
#[derive(Default)]
struct Refusals(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    seen: usize,
    /// From which step on, counted from 1, and up to which.
    refused: Option<(usize, usize)>,
    reason: i32,
    trail: Vec<String>,
}

impl Refusals {
    /// Counts from 1 again.
    fn plan(&self, refused: Option<(usize, usize)>, reason: i32) -> Plan {
        std::mem::replace(&mut *self.0.lock().unwrap(), Plan { seen: 0, refused, reason, trail: Vec::new() })
    }
}

impl Faults for Refusals {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        plan.seen += 1;
        plan.trail.push(format!("{step:?}"));
        let is_refused = plan.refused.is_some_and(|(from, to)| (from..=to).contains(&plan.seen));
        // A full disk lets files be removed.
        let is_possible = plan.reason != REASONS[0] || !matches!(step, Step::Remove(_));
        if is_refused && is_possible { Err(io::Error::from_raw_os_error(plan.reason)) } else { Ok(()) }
    }
}

/// A house with messages in INBOX and in Work, on a disk that may refuse.
struct Refusing {
    house: House,
    disk: Arc<Refusals>,
    mailboxes: Mailboxes,
}

impl Refusing {
    fn new() -> Self {
        let house = House::new(Kind::Maildir);
        let disk = Arc::<Refusals>::default();
        let mailboxes = Self::mailboxes(&house, &disk);
        let refusing = Self { house, disk, mailboxes };
        refusing.mailboxes.create(&refusing.house.account()).unwrap();
        let folders = refusing.folders();
        folders.create(&name("Work"), None).unwrap();
        for which in ["INBOX", "Work"] {
            let folder = folders.open(&name(which)).unwrap();
            let drafts = (1..=3).map(|serial| {
                let mut draft =
                    folder.draft(Flags::FLAGGED, vec!["Blue".to_owned()], Some(1_000_000_000)).unwrap();
                draft.write(format!("Subject: {which} {serial}\r\n\r\n").as_bytes()).unwrap();
                draft.finish().unwrap();
                draft
            });
            folder.add(drafts.collect()).unwrap();
        }
        refusing
    }

    fn mailboxes(house: &House, disk: &Arc<Refusals>) -> Mailboxes {
        let faults: Arc<dyn Faults> = disk.clone();
        Mailboxes::new(MailRoot::new(house.dir.path()), Kind::Maildir, Disk::with_faults(faults))
    }

    fn folders(&self) -> Folders {
        self.mailboxes.folders(&self.house.account())
    }

    fn restart(&mut self) {
        self.mailboxes = Self::mailboxes(&self.house, &self.disk);
    }

    /// All folders with their messages: text, flags, keywords, date.
    fn seen(&self) -> Vec<String> {
        let folders = self.folders();
        let mut seen = Vec::new();
        for row in folders.list().unwrap().iter().filter(|row| row.exists) {
            let folder = folders.open(&row.name).unwrap();
            seen.push(row.name.to_string());
            let (names, mut messages) = (folder.keywords(), Vec::new());
            for message in folder.messages().0 {
                let words: Vec<&str> =
                    message.keywords.indexes().map(|index| names[index].as_str()).collect();
                // Removed on a disk on which that cannot be noted: clients still see it, and hear that it is gone.
                let Some(mut file) = folder.text(message.uid).unwrap() else { continue };
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                let flags: Vec<&str> = message.flags.names().collect();
                messages.push(format!("{} {text:?} {flags:?} {words:?} {}", row.name, message.internal_date));
            }
            messages.sort();
            seen.append(&mut messages);
        }
        seen
    }

    /// Every UID's text.
    fn uids(&self) -> HashMap<(u32, u32), String> {
        let folders = self.folders();
        let mut uids = HashMap::new();
        for row in folders.list().unwrap().iter().filter(|row| row.exists) {
            let folder = folders.open(&row.name).unwrap();
            for message in folder.messages().0 {
                uids.insert((folder.status().uid_validity, message.uid), text_of(&folder, message.uid));
            }
        }
        uids
    }
}

/// Why, and up to which step; 0: one step only. All of them with `FOLDER_REFUSALS=all`.
fn cases() -> Vec<(i32, usize)> {
    match std::env::var_os("FOLDER_REFUSALS") {
        Some(_) => REASONS.iter().flat_map(|reason| [(*reason, 0), (*reason, usize::MAX)]).collect(),
        None => vec![(REASONS[0], usize::MAX), (REASONS[1], 0)],
    }
}

type Deed = fn(&Folders) -> Result<(), FolderError>;

/// Does a deed on disks that refuse each of its steps. Refused, it has done nothing, or, where `is_stepwise`, some of it.
fn check(what: &str, deed: Deed, is_stepwise: bool) {
    let rehearsal = Refusing::new();
    let before = rehearsal.seen();
    rehearsal.restart_and_plan(None, 0);
    deed(&rehearsal.folders()).unwrap();
    let steps = rehearsal.disk.plan(None, 0);
    let after = rehearsal.seen();
    assert_ne!(before, after, "{what}");
    let mut wrong = Vec::new();
    for at in 1..=steps.seen {
        for (reason, up_to) in cases() {
            let up_to = if up_to == 0 { at } else { up_to };
            let tried = std::panic::catch_unwind(|| {
                refuse(deed, is_stepwise, at..=up_to, reason, &before, &after);
            });
            wrong.extend(
                tried.is_err().then(|| format!("{at}..={up_to} by {reason}: {}", steps.trail[at - 1])),
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "{what}: {} wrong, steps {:#?}\n{}",
        wrong.len(),
        steps.trail,
        wrong.join("\n")
    );
}

impl Refusing {
    fn restart_and_plan(&self, refused: Option<(usize, usize)>, reason: i32) {
        self.disk.plan(refused, reason);
    }
}

fn refuse(
    deed: Deed,
    is_stepwise: bool,
    refused: std::ops::RangeInclusive<usize>,
    reason: i32,
    before: &[String],
    after: &[String],
) {
    let mut refusing = Refusing::new();
    assert_eq!(refusing.seen(), before);
    let mut given = refusing.uids();
    refusing.restart_and_plan(Some((*refused.start(), *refused.end())), reason);
    let done = deed(&refusing.folders());
    // While the disk refuses, what is there can be read.
    let during = refusing.seen();
    refusing.disk.plan(None, 0);
    // What a disk refuses for good cannot be taken back either.
    let is_stepwise = is_stepwise || *refused.end() == usize::MAX;
    assert_whole(&during, before, after);
    for round in 0..2 {
        let seen = refusing.seen();
        match &done {
            Ok(()) => assert_eq!(seen, after, "reported as done, round {round}"),
            Err(_) if is_stepwise => assert_whole(&seen, before, after),
            Err(error) => assert_eq!(seen, before, "{error}, round {round}"),
        }
        for (uid, text) in refusing.uids() {
            let former = given.insert(uid, text.clone());
            assert!(former.as_ref().is_none_or(|former| *former == text), "{uid:?}: {former:?}, {text}");
        }
        refusing.restart();
    }
    if done.is_err() && !is_stepwise {
        deed(&refusing.folders()).expect("it works again");
        assert_eq!(refusing.seen(), after);
    }
}

/// Some of the changes are made, but no message is half changed, and those that are not concerned are there.
fn assert_whole(seen: &[String], before: &[String], after: &[String]) {
    for line in seen {
        assert!(before.contains(line) || after.contains(line), "{line} is neither as before nor as after");
    }
    for line in before.iter().filter(|line| after.contains(line)) {
        assert!(seen.contains(line), "{line} is not there: {seen:#?}");
    }
}

fn both(folders: &Folders) -> (Arc<Folder>, Arc<Folder>) {
    (folders.open(&name("INBOX")).unwrap(), folders.open(&name("Work")).unwrap())
}

fn try_append(folder: &Arc<Folder>, text: &str) -> Result<(), FolderError> {
    let mut draft = folder.draft(Flags::SEEN, vec!["Todo".to_owned()], Some(1_000_000_000))?;
    draft.write(text.as_bytes())?;
    draft.finish()?;
    folder.add(vec![draft]).map(drop)
}

#[test]
fn append_all_or_nothing() {
    check("APPEND to INBOX", |folders| try_append(&both(folders).0, "new\r\n"), false);
    check("APPEND to a folder", |folders| try_append(&both(folders).1, "new\r\n"), false);
}

#[test]
fn copy_and_move() {
    check("COPY to INBOX", |folders| both(folders).1.copy(&[1, 3], &both(folders).0).map(drop), false);
    check("COPY from INBOX", |folders| both(folders).0.copy(&[1, 3], &both(folders).1).map(drop), false);
}

#[test]
fn move_whole_or_not() {
    check("MOVE to INBOX", |folders| both(folders).1.move_to(&[1, 3], &both(folders).0).map(drop), true);
    check("MOVE from INBOX", |folders| both(folders).0.move_to(&[1, 3], &both(folders).1).map(drop), true);
}

#[test]
fn store() {
    let deed: Deed = |folders| {
        both(folders).0.store(&[1, 2], &change(How::Add, Flags::DELETED, &["Todo"]), None).map(drop)
    };
    check("STORE in INBOX", deed, false);
    let deed: Deed = |folders| {
        both(folders).1.store(&[1, 2], &change(How::Add, Flags::DELETED, &["Todo"]), None).map(drop)
    };
    check("STORE in a folder", deed, true);
}

#[test]
fn expunge() {
    check("EXPUNGE in INBOX", |folders| both(folders).0.remove(&[1, 3]).map(drop), true);
    check("EXPUNGE in a folder", |folders| both(folders).1.remove(&[1, 3]).map(drop), true);
}

#[test]
fn create_delete_and_rename() {
    check("CREATE", |folders| folders.create(&name("a/b"), Some(SpecialUse::Sent)), false);
    check("DELETE", |folders| folders.delete(&name("Work")), false);
    check("RENAME", |folders| folders.rename(&name("Work"), &name("Play")), false);
}

#[test]
fn what_is_reported_as_added_is_on_stable_storage() {
    for which in ["INBOX", "Work"] {
        let refusing = Refusing::new();
        let folder = refusing.folders().open(&name(which)).unwrap();
        let place = |deed: &dyn Fn()| -> Vec<String> {
            refusing.disk.plan(None, 0);
            deed();
            refusing.disk.plan(None, 0).trail
        };
        let position = |trail: &[String], what: &str, path: &str| {
            let found = trail.iter().position(|step| step.starts_with(what) && step.contains(path));
            found.unwrap_or_else(|| panic!("no {what} {path} in {trail:#?}"))
        };
        let (tmp, directory) = match which {
            "INBOX" => ("Maildir/tmp/", "Maildir/new"),
            _ => (".Work/tmp/", ".Work/cur"),
        };
        let trail = place(&|| {
            append_to(&folder);
        });
        let written = position(&trail, "SyncFile", tmp);
        let named = position(&trail, "Rename", tmp);
        let synced = position(&trail, "SyncDir", directory);
        assert!(written < named && named < synced, "{trail:#?}");
        let other = if which == "INBOX" { "Work" } else { "INBOX" };
        let other = refusing.folders().open(&name(other)).unwrap();
        let trail = place(&|| drop(other.copy(&[1], &folder).unwrap()));
        assert!(position(&trail, "SyncFile", "") < position(&trail, "SyncDir", directory), "{trail:#?}");
        let trail = place(&|| drop(other.move_to(&[1], &folder).unwrap()));
        assert!(position(&trail, "Rename", "") < position(&trail, "SyncDir", directory), "{trail:#?}");
    }
}

fn append_to(folder: &Arc<Folder>) -> u32 {
    super::append(folder, "x\r\n", Flags::SEEN, &["Blue"])
}

/// A full disk, for good, with and without a cache: what is there can be read and removed.
#[test]
fn on_a_full_disk_mail_can_be_read_and_removed() {
    for (has_cache, reason) in [(true, 28), (false, 28), (true, 30), (false, 30)] {
        let mut refusing = Refusing::new();
        let before = refusing.seen();
        let known = refusing.uids();
        if !has_cache {
            fs::remove_file(refusing.house.path("imapcache")).unwrap();
            fs::remove_file(refusing.house.path("Maildir/.Work/imapcache")).unwrap();
        }
        refusing.restart();
        refusing.restart_and_plan(Some((1, usize::MAX)), reason);
        assert_eq!(refusing.seen(), before, "{has_cache} {reason}");
        let (inbox, work) = both(&refusing.folders());
        let keeps = inbox.status().keeps_uids;
        assert!(!keeps || (has_cache && reason == 30), "{has_cache} {reason}");
        if reason == 28 {
            for folder in [&inbox, &work] {
                let all = uids(folder);
                assert_eq!(folder.remove(&all[..1]).unwrap_or_else(|_| all[..1].to_vec()), all[..1]);
                assert_eq!(uids(folder), all[1..]);
            }
        }
        drop((inbox, work));
        let volatile = refusing.uids();
        refusing.disk.plan(None, 0);
        refusing.restart();
        for (uid, text) in refusing.uids() {
            let is_same = |former: Option<&String>| former.is_none_or(|former| *former == text);
            assert!(is_same(known.get(&uid)) && is_same(volatile.get(&uid)), "{uid:?}");
        }
    }
}

/// Notes how long the cache file was when it was synced last.
#[derive(Default)]
struct Synced(Mutex<u64>);

impl Faults for Synced {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        if let Step::SyncData(path) = step
            && (path.ends_with("imapcache") || path.ends_with("imapcache.new"))
        {
            // A file that was made under the other name keeps that name here.
            let meta = fs::metadata(path).or_else(|_| fs::metadata(path.with_extension("")));
            *self.0.lock().unwrap() = meta.map_or(0, |meta| meta.len());
        }
        Ok(())
    }
}

/// What was not synced may be gone after a power cut: the cache ends anywhere behind its last sync, or its last record is
/// torn. No UID, and no mod-sequence, is given twice.
#[test]
fn a_power_cut_at_any_octet_of_the_cache_gives_no_uid_twice() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let house = House::new(Kind::Maildir);
        let mut given: HashMap<(u32, u32), String> = HashMap::new();
        let mut highest: HashMap<u32, u64> = HashMap::new();
        let cache = house.path("imapcache");
        for life in 0..6 {
            let synced = Arc::<Synced>::default();
            let faults: Arc<dyn Faults> = synced.clone();
            let disk = Disk::with_faults(faults);
            let mailboxes = Mailboxes::new(MailRoot::new(house.dir.path()), Kind::Maildir, disk);
            let inbox = mailboxes.folders(&house.account()).open(&FolderName::inbox()).unwrap();
            let validity = inbox.status().uid_validity;
            let floor = highest.get(&validity).copied().unwrap_or(0);
            let now = inbox.status().highest_modseq;
            assert!(now >= floor, "seed {seed}, life {life}: {now} after {floor}");
            for serial in 0..random.below(6) {
                let all = uids(&inbox);
                match random.below(3) {
                    0 if !all.is_empty() => drop(inbox.remove(&all[..1]).unwrap()),
                    1 => drop(super::append(&inbox, &format!("a {life} {serial}\r\n"), Flags::SEEN, &[])),
                    _ => {
                        house.put(&format!("Maildir/new/{life}.{serial}"), &format!("b {life} {serial}\r\n"))
                    }
                }
                for uid in uids(&inbox) {
                    let text = text_of(&inbox, uid);
                    let former = given.insert((validity, uid), text.clone());
                    assert!(
                        former.as_ref().is_none_or(|former| *former == text),
                        "seed {seed}: {uid} {former:?} {text}"
                    );
                }
            }
            highest.insert(validity, inbox.status().highest_modseq);
            if random.below(3) == 0 {
                drop(inbox);
            } else {
                std::mem::forget(inbox);
            }
            cut(&cache, *synced.0.lock().unwrap(), &mut random);
        }
    }
}

fn cut(cache: &Path, synced: u64, random: &mut Random) {
    let mut octets = fs::read(cache).unwrap();
    let safe = usize::try_from(synced).unwrap().min(octets.len());
    let end = safe + random.below(octets.len() - safe + 1);
    match random.below(3) {
        0 => octets.truncate(end),
        // The size was written, the content was not.
        1 => octets[end..].fill(0),
        _ => {}
    }
    fs::write(cache, octets).unwrap();
}
