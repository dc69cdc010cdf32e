//! The same checks for both kinds of mailbox, and a crash at each step of a delivery.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::durable::{Faults, Step};
use crate::mailroot::Snapshot;

struct Box {
    root: TempDir,
    mailboxes: Mailboxes,
    account: Arc<Account>,
}

impl Box {
    fn new(kind: Kind) -> Self {
        Self::with_disk(kind, Disk::default())
    }

    fn with_disk(kind: Kind, disk: Disk) -> Self {
        let root = tempfile::tempdir().unwrap();
        let users = "\"home.test\"\t\"anna\"\t\"\"\t1\t\"anna\"\t\"U\"\n";
        fs::write(root.path().join("mailusers.tab"), users).unwrap();
        fs::create_dir_all(root.path().join("domains/home.test/anna")).unwrap();
        let mail_root = MailRoot::new(root.path());
        let account = Arc::clone(Snapshot::load(&mail_root).account("home.test", "anna").unwrap());
        let mailboxes = Mailboxes::new(mail_root, kind, disk);
        Self { root, mailboxes, account }
    }

    fn deliver(&self, name: &str, data: &str) -> Result<Delivered, MailboxError> {
        self.deliver_again(name, data, false)
    }

    fn deliver_again(
        &self,
        name: &str,
        data: &str,
        may_have_arrived: bool,
    ) -> Result<Delivered, MailboxError> {
        let mut data = Cursor::new(data.as_bytes().to_vec());
        let (prefix, safety) = (b"P: x\r\n", Safety::Now);
        let delivery = Delivery { name, prefix, data: &mut data, folder: None, may_have_arrived, safety };
        self.mailboxes.deliver(&self.account, delivery)
    }

    fn list(&self) -> Vec<Arc<StoredMessage>> {
        self.mailboxes.list(&self.account, false).unwrap()
    }

    fn names(&self, scan_cur: bool) -> Vec<String> {
        let messages = self.mailboxes.list(&self.account, scan_cur).unwrap();
        messages.into_iter().map(|message| message.file_name.clone()).collect()
    }

    fn put(&self, below: &str, content: &str, age_secs: u64) {
        let path = self.mailboxes.directory(&self.account).join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As programs do it: the file takes its name when it is whole.
        let new = self.root.path().join("new");
        fs::write(&new, content).unwrap();
        let file = fs::File::options().write(true).open(&new).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age_secs)).unwrap();
        fs::rename(&new, &path).unwrap();
    }

    /// Files anywhere in the domain, relative, sorted.
    fn files(&self) -> Vec<String> {
        fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                match entry.path() {
                    path if path.is_dir() => walk(&path, found),
                    path => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root.path().join("domains"), &mut found);
        let tmp = self.root.path().join("tmp");
        if tmp.is_dir() {
            walk(&tmp, &mut found);
        }
        let top = self.root.path();
        let mut found: Vec<String> =
            found.iter().map(|path| path.strip_prefix(top).unwrap().display().to_string()).collect();
        found.sort();
        found
    }

    fn inbox_file(&self, name: &str) -> String {
        let path = self.mailboxes.inbox(&self.account).join(name);
        path.strip_prefix(self.root.path()).unwrap().display().to_string()
    }
}

fn for_both(check: impl Fn(Box)) {
    [Kind::Maildir, Kind::Mailbox].into_iter().for_each(|kind| check(Box::new(kind)));
}

#[test]
fn what_is_delivered_is_listed_opened_and_removed() {
    for_both(|mailbox| {
        assert_eq!(mailbox.list(), []);
        assert!(matches!(mailbox.deliver("1.a", "H: 1\r\n\r\nbody\r\n").unwrap(), Delivered::Now(_)));
        assert_eq!(mailbox.files(), [mailbox.inbox_file("1.a")], "nothing else is left");
        let listed = mailbox.list();
        assert_eq!(listed.len(), 1);
        let content = "P: x\r\nH: 1\r\n\r\nbody\r\n";
        assert_eq!((listed[0].file_name.as_str(), listed[0].bytes), ("1.a", content.len() as u64));
        let file = mailbox.mailboxes.open(&listed[0]).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), content);
        mailbox.mailboxes.remove(&listed[0]).unwrap();
        mailbox.mailboxes.remove(&listed[0]).unwrap();
        assert_eq!(mailbox.list(), []);
        let error = mailbox.mailboxes.open(&listed[0]).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn messages_are_listed_by_time_then_name() {
    // decision 22
    for_both(|mailbox| {
        let inbox = if mailbox.mailboxes.kind() == Kind::Maildir { "new/" } else { "" };
        for (name, age_secs) in [("b", 5), ("a", 5), ("z", 9), ("c", 1), (".hidden", 3)] {
            mailbox.put(&format!("{inbox}{name}"), "x", age_secs);
        }
        assert_eq!(mailbox.names(false), ["z", "a", "b", "c"]);
    });
}

#[test]
fn cur_is_listed_only_on_request_and_always_counts() {
    // golden boxes_maildir
    let maildir = Box::new(Kind::Maildir);
    maildir.put("new/1.a", "12345", 3);
    maildir.put("cur/2.b:2,S", "123", 4);
    maildir.put("tmp/3.c", "1", 2);
    maildir.put("cur/.4.d", "1", 2);
    assert_eq!(maildir.names(false), ["1.a"]);
    assert_eq!(maildir.names(true), ["2.b:2,S", "1.a"]);
    assert_eq!(maildir.mailboxes.usage(&maildir.account).unwrap(), Usage { bytes: 9, messages: 3 });
    let mailbox = Box::new(Kind::Mailbox);
    mailbox.put("1.a", "12345", 3);
    mailbox.put("sub/2", "1", 3);
    assert_eq!(mailbox.names(true), ["1.a"]);
    assert_eq!(mailbox.mailboxes.usage(&mailbox.account).unwrap(), Usage { bytes: 6, messages: 2 });
}

#[test]
fn folders_count_for_the_quota_and_for_nothing_else() {
    for_both(|mailbox| {
        let inbox = if mailbox.mailboxes.kind() == Kind::Maildir { "new/" } else { "" };
        mailbox.put(&format!("{inbox}1.a"), "12345", 3);
        mailbox.put(".Work.2026/cur/2.b:2,S", "123", 3);
        mailbox.put(".Work.2026/new/3.c", "12", 3);
        mailbox.put(".Work.2026/imapcache", "no message", 3);
        mailbox.put("..removed/cur/4.d", "1", 3);
        let account = &mailbox.account;
        assert_eq!(mailbox.mailboxes.usage(account).unwrap(), Usage { bytes: 5, messages: 1 });
        assert_eq!(mailbox.mailboxes.quota_usage(account).unwrap(), Usage { bytes: 10, messages: 3 });
    });
}

#[test]
fn a_missing_mailbox_is_empty_and_made_at_the_first_delivery() {
    // golden boxes_wrongmode
    for_both(|mailbox| {
        fs::remove_dir_all(mailbox.root.path().join("domains")).unwrap();
        assert_eq!(mailbox.names(true), [""; 0]);
        assert_eq!(mailbox.mailboxes.usage(&mailbox.account).unwrap(), Usage::default());
        mailbox.deliver("1.a", "x").unwrap();
        assert_eq!(mailbox.names(false), ["1.a"]);
    });
}

#[test]
fn only_one_session_has_the_lock() {
    for_both(|mailbox| {
        let file = mailbox.root.path().join("pop3locks/anna@home.test.lock");
        let lock = mailbox.mailboxes.lock(&mailbox.account).unwrap().unwrap();
        assert!(file.exists());
        assert!(mailbox.mailboxes.lock(&mailbox.account).unwrap().is_none());
        drop(lock);
        assert!(!file.exists());
        fs::write(&file, "123\0").unwrap();
        assert!(mailbox.mailboxes.lock(&mailbox.account).unwrap().is_none(), "another program has it");
        mailbox.mailboxes.remove_stale_locks();
        assert!(mailbox.mailboxes.lock(&mailbox.account).unwrap().is_some());
    });
}

#[test]
fn a_lock_on_a_disk_that_refuses_keeps_nobody_out_afterwards() {
    struct Refuse(Mutex<&'static str>);
    impl Faults for Refuse {
        fn before(&self, step: Step<'_>) -> io::Result<()> {
            let kind = match step {
                Step::Write(_) => "write",
                Step::Remove(_) => "remove",
                _ => "",
            };
            if kind == *self.0.lock().unwrap() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }
    let faults = Arc::new(Refuse(Mutex::new("write")));
    let test = Box::with_disk(Kind::Maildir, Disk::with_faults(faults.clone()));
    let lock = test.mailboxes.lock(&test.account).unwrap().expect("who wants to delete mail gets in");
    *faults.0.lock().unwrap() = "remove";
    assert!(test.mailboxes.lock(&test.account).unwrap().is_none());
    drop(lock);
    *faults.0.lock().unwrap() = "nothing";
    let lock = test.mailboxes.lock(&test.account).unwrap().expect("its session is over");
    assert!(test.mailboxes.lock(&test.account).unwrap().is_none());
    drop(lock);
    assert!(test.mailboxes.lock(&test.account).unwrap().is_some());
}

#[test]
fn wire_sizes_are_what_is_sent() {
    // decisions 3 and 45
    for_both(|mailbox| {
        let check = |content: &str, wire_bytes: u64| {
            let inbox = if mailbox.mailboxes.kind() == Kind::Maildir { "new/" } else { "" };
            mailbox.put(&format!("{inbox}m"), content, 0);
            let message = mailbox.list().remove(0);
            assert_eq!(mailbox.mailboxes.wire_size(&message).unwrap(), wire_bytes, "{content:?}");
            assert_eq!(mailbox.mailboxes.wire_size(&message).unwrap(), wire_bytes, "remembered");
        };
        check("", 0);
        check("a\r\nb\r\n", 6);
        check("a\nb\r\n", 6);
        check("no line end", 13);
        check("a\r\n..b\r\n", 8);
        check("a\r\n.\r\n", 7);
        check(&"0123456789\n".repeat(20_000), 240_000);
    });
}

#[test]
fn remembered_sizes_follow_the_file() {
    for_both(|mailbox| {
        let inbox = if mailbox.mailboxes.kind() == Kind::Maildir { "new/" } else { "" };
        mailbox.put(&format!("{inbox}m"), "a\n", 10);
        let before = mailbox.list().remove(0);
        assert_eq!(mailbox.mailboxes.wire_size(&before).unwrap(), 3);
        mailbox.put(&format!("{inbox}m"), "\n\n", 9);
        let after = mailbox.list().remove(0);
        assert_eq!(before.bytes, after.bytes);
        assert_eq!(mailbox.mailboxes.wire_size(&after).unwrap(), 4);
        mailbox.mailboxes.remove(&after).unwrap();
        let error = mailbox.mailboxes.wire_size(&after).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    });
}

/// A directory is believed to be unchanged only when its last change is past by a clock tick: waits for that without
/// sleeping, and gives what is then known of it.
fn settled(mailbox: &Box) -> Arc<known::Directory> {
    let inbox = mailbox.mailboxes.inbox(&mailbox.account);
    let begun = std::time::Instant::now();
    loop {
        let read = || mailbox.mailboxes.known.read(&inbox).unwrap().unwrap();
        let known = read();
        if Arc::ptr_eq(&known, &read()) {
            return known;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it is read for ever");
    }
}

#[test]
fn a_directory_that_does_not_change_is_read_once_and_each_change_is_seen() {
    for_both(|mailbox| {
        mailbox.deliver("1.a", "x").unwrap();
        let known = settled(&mailbox);
        mailbox.names(false);
        mailbox.mailboxes.usage(&mailbox.account).unwrap();
        assert!(Arc::ptr_eq(&known, &settled(&mailbox)));
        let bytes = |count: u64| Usage { bytes: 7 * count, messages: count };
        let usage = || mailbox.mailboxes.usage(&mailbox.account).unwrap();
        mailbox.deliver("2.b", "x").unwrap();
        assert_eq!((mailbox.names(false).len(), usage()), (2, bytes(2)));
        settled(&mailbox);
        let path = |name: &str| mailbox.root.path().join(mailbox.inbox_file(name));
        fs::rename(path("1.a"), path("3.c")).unwrap();
        assert_eq!(mailbox.names(false), ["3.c", "2.b"], "by time");
        fs::remove_file(path("2.b")).unwrap();
        assert_eq!((mailbox.names(false), usage()), (vec!["3.c".to_owned()], bytes(1)));
        for round in 0..100 {
            // Within one tick of the file system's clock.
            mailbox.put(&path("n").display().to_string(), "x", 1);
            assert_eq!(mailbox.names(false), ["n", "3.c"], "round {round}");
            fs::remove_file(path("n")).unwrap();
            assert_eq!(mailbox.names(false), ["3.c"], "round {round}");
        }
    });
}

#[test]
fn what_is_delivered_counts_without_another_look_at_all_names() {
    for_both(|mailbox| {
        let usage = |count: u64| Usage { bytes: 7 * count, messages: count };
        let quota = || mailbox.mailboxes.quota_usage(&mailbox.account).unwrap();
        mailbox.deliver("1.a", "x").unwrap();
        settled(&mailbox);
        assert_eq!(quota(), usage(1));
        let inbox = mailbox.mailboxes.inbox(&mailbox.account);
        // The count rests on notes for a second, which a slow machine may need for this alone.
        let read_at = || mailbox.mailboxes.known.measure(&inbox).unwrap().unwrap().read_at();
        let begun = std::time::Instant::now();
        let first = read_at();
        for count in 2..=20 {
            mailbox.deliver(&format!("{count}.b"), "x").unwrap();
            assert_eq!(quota(), usage(count));
        }
        assert!(read_at() == first || begun.elapsed() > Duration::from_millis(900));
        assert_eq!(mailbox.list().len(), 20, "log-ins look themselves");
        // What others do is seen, but for what they do in the moment of a delivery.
        settled(&mailbox);
        let file = |name: &str| mailbox.root.path().join(mailbox.inbox_file(name));
        fs::remove_file(file("1.a")).unwrap();
        assert_eq!(quota(), usage(19));
        settled(&mailbox);
        mailbox.deliver("21.b", "x").unwrap();
        mailbox.deliver_again("21.b", "x", true).unwrap();
        assert_eq!(quota(), usage(20), "no delivery counts twice");
    });
}

#[test]
fn a_message_that_was_written_to_is_noticed_when_it_is_read() {
    for_both(|mailbox| {
        mailbox.deliver("1.a", "x").unwrap();
        settled(&mailbox);
        let listed = mailbox.list().remove(0);
        assert_eq!(
            mailbox.mailboxes.read_from_memory(&listed).as_deref().unwrap_or(b"P: x\r\nx"),
            b"P: x\r\nx"
        );
        for content in ["P: x\r\nlonger", "P"] {
            fs::write(&listed.path, content).unwrap();
            let listed = mailbox.list().remove(0);
            assert_ne!(listed.bytes, content.len() as u64, "nobody knows yet");
            assert_eq!(mailbox.mailboxes.read_from_memory(&listed), None);
            mailbox.mailboxes.open(&listed).unwrap();
            assert_eq!(mailbox.list()[0].bytes, content.len() as u64);
            settled(&mailbox);
        }
    });
}

#[test]
fn log_ins_are_remembered() {
    let mailbox = Box::new(Kind::Maildir);
    let last = || mailbox.mailboxes.last_login(&mailbox.account).unwrap();
    assert_eq!(last(), None);
    mailbox.mailboxes.record_login(&mailbox.account, "2001:db8::1".parse().unwrap()).unwrap();
    mailbox.mailboxes.record_login(&mailbox.account, "192.0.2.7".parse().unwrap()).unwrap();
    let path = mailbox.root.path().join("domains/home.test/anna/.ipconn");
    assert_eq!(fs::read_to_string(&path).unwrap(), "192.0.2.7\n");
    assert_eq!(last().unwrap().peer.to_string(), "192.0.2.7");
    assert_eq!(last().unwrap().at, fs::metadata(&path).unwrap().modified().unwrap());
    fs::write(&path, "").unwrap();
    assert_eq!(last(), None);
}

/// Fails one step of the disk, by its count, and every removal from then on when `and_removals`.
struct FailStep {
    at: usize,
    and_removals: bool,
    seen: AtomicUsize,
}

impl Faults for FailStep {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let count = self.seen.fetch_add(1, Ordering::Relaxed);
        let is_removal = matches!(step, Step::Remove(_));
        if count == self.at || (self.and_removals && is_removal && count > self.at) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

/// Delivers with step `at` failing; gives the outcome, or `None` when there are fewer steps.
fn failing_at(kind: Kind, at: usize, and_removals: bool) -> Option<(Box, Result<Delivered, MailboxError>)> {
    let faults = Arc::new(FailStep { at, and_removals, seen: AtomicUsize::new(0) });
    let mailbox = Box::with_disk(kind, Disk::with_faults(faults.clone()));
    let outcome = mailbox.deliver("1.a", "H: 1\r\n\r\nbody\r\n");
    (faults.seen.load(Ordering::Relaxed) > at).then_some((mailbox, outcome))
}

#[test]
fn a_failing_disk_leaves_nothing_half_delivered() {
    for kind in [Kind::Maildir, Kind::Mailbox] {
        let mut failures = 0;
        for at in 0.. {
            let Some((mailbox, outcome)) = failing_at(kind, at, false) else { break };
            let inbox_file = mailbox.inbox_file("1.a");
            match mailbox.files().as_slice() {
                [] => assert!(outcome.is_err(), "{kind:?} step {at}: lost"),
                // Only the sync of the directory comes after the rename: the message is there as a whole, and
                // the next attempt, which asks whether it may have arrived, finds it.
                [file] => {
                    assert_eq!(*file, inbox_file, "{kind:?} step {at}");
                    let content = fs::read_to_string(mailbox.root.path().join(file)).unwrap();
                    assert_eq!(content, "P: x\r\nH: 1\r\n\r\nbody\r\n", "{kind:?} step {at}");
                }
                more => panic!("{kind:?} step {at}: {more:?}"),
            }
            failures += usize::from(outcome.is_err());
            let again = mailbox.deliver_again("1.a", "H: 1\r\n\r\nbody\r\n", true);
            assert!(again.is_ok(), "{kind:?} step {at}");
            assert_eq!(mailbox.files(), [inbox_file], "{kind:?} step {at}: once, and no temporary file");
        }
        // Creating, writing, syncing, renaming and syncing the directory at the least.
        assert!(failures >= 5, "{kind:?}: {failures}");
    }
}

#[test]
fn what_a_crash_leaves_is_neither_listed_nor_in_the_way() {
    // A crash after any step cannot clean up: the file stays where it was written, never in the mailbox.
    for kind in [Kind::Maildir, Kind::Mailbox] {
        for at in 0.. {
            let Some((mailbox, outcome)) = failing_at(kind, at, true) else { break };
            let inbox_file = mailbox.inbox_file("1.a");
            for file in mailbox.files().iter().filter(|file| **file != inbox_file) {
                assert!(outcome.is_err() && file.contains("tmp"), "{kind:?} step {at}: {file}");
            }
            let healthy = Mailboxes::new(mailbox.mailboxes.root.clone(), kind, Disk::default());
            let repaired = Box { mailboxes: healthy, account: mailbox.account, root: mailbox.root };
            repaired.deliver_again("1.a", "H: 1\r\n\r\nbody\r\n", true).unwrap();
            assert_eq!(repaired.files(), [inbox_file], "{kind:?} step {at}");
        }
    }
}

/// A disk that cannot sync this directory.
struct FailSyncOf(PathBuf);
impl Faults for FailSyncOf {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        match step {
            Step::SyncDir(directory) if directory.ends_with(&self.0) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn a_message_that_arrived_is_made_durable_before_it_is_called_delivered() {
    // The first attempt failed at the very last step: the name may not be on stable storage.
    for (kind, inbox) in [(Kind::Maildir, "Maildir/new"), (Kind::Mailbox, "anna/mailbox")] {
        let mailbox = Box::new(kind);
        mailbox.deliver("1.a", "x").unwrap();
        let faulty = Disk::with_faults(Arc::new(FailSyncOf(inbox.into())));
        let mailboxes = Mailboxes::new(mailbox.mailboxes.root.clone(), kind, faulty);
        let mailbox = Box { mailboxes, ..mailbox };
        assert!(mailbox.deliver_again("1.a", "x", true).is_err());
    }
}

#[test]
fn what_is_removed_is_not_called_removed_before_that_is_durable() {
    for (kind, inbox) in [(Kind::Maildir, "Maildir/new"), (Kind::Mailbox, "anna/mailbox")] {
        let mailbox = Box::new(kind);
        mailbox.deliver("1.a", "x").unwrap();
        let removed = mailbox.list();
        let faulty = Disk::with_faults(Arc::new(FailSyncOf(inbox.into())));
        let mailboxes = Mailboxes::new(mailbox.mailboxes.root.clone(), kind, faulty);
        mailboxes.remove(&removed[0]).unwrap();
        assert!(mailboxes.sync_removals(removed.iter().map(AsRef::as_ref)).is_err());
        mailboxes.sync_removals([].into_iter()).unwrap();
        mailbox.mailboxes.sync_removals(removed.iter().map(AsRef::as_ref)).unwrap();
    }
}

#[test]
fn a_message_delivered_before_a_crash_is_not_delivered_twice() {
    for_both(|mailbox| {
        mailbox.deliver("1.a", "first").unwrap();
        assert_eq!(mailbox.deliver_again("1.a", "first", true).unwrap(), Delivered::Before);
        assert_eq!(mailbox.names(true), ["1.a"]);
    });
    let maildir = Box::new(Kind::Maildir);
    maildir.put("cur/1.a:2,S", "P: x\r\nfirst", 0);
    assert_eq!(maildir.deliver_again("1.a", "first", true).unwrap(), Delivered::Before);
    assert!(matches!(maildir.deliver_again("1.ab", "other", true).unwrap(), Delivered::Now(_)));
}

/// A crash of the machine may leave a name whose content never got to the disk.
#[test]
fn a_message_that_its_owner_took_after_a_crash_does_not_come_back() {
    for_both(|mailbox| {
        mailbox.deliver("1.a", "x").unwrap();
        mailbox.deliver("2.b", "x").unwrap();
        for message in mailbox.list() {
            mailbox.mailboxes.remove(&message).unwrap();
        }
        // The delivery before the crash had not been put on record.
        assert_eq!(mailbox.deliver_again("1.a", "x", true).unwrap(), Delivered::Before);
        assert_eq!(mailbox.names(true), [""; 0]);
        // A first attempt is no repetition, whatever its name.
        assert!(matches!(mailbox.deliver("2.b", "x").unwrap(), Delivered::Now(_)));
        assert_eq!(mailbox.names(true), ["2.b"]);
        // Nor is one of another name.
        assert!(matches!(mailbox.deliver_again("3.c", "x", true).unwrap(), Delivered::Now(_)));
    });
    let mailbox = Box::new(Kind::Maildir);
    mailbox.put("cur/1.a:2,S", "x", 0);
    mailbox.mailboxes.remove(&mailbox.mailboxes.list(&mailbox.account, true).unwrap()[0]).unwrap();
    assert_eq!(mailbox.deliver_again("1.a", "x", true).unwrap(), Delivered::Before, "under its flags");
}

#[test]
fn a_half_written_message_from_before_a_crash_is_replaced_where_it_stands() {
    for_both(|mailbox| {
        mailbox.deliver("1.a", "first and whole").unwrap();
        let path = mailbox.root.path().join(mailbox.inbox_file("1.a"));
        for torn in ["", "P: x\r\nfir", "P: x\r\n\0\0\0\0\0 and whole"] {
            fs::write(&path, torn).unwrap();
            assert!(matches!(
                mailbox.deliver_again("1.a", "first and whole", true).unwrap(),
                Delivered::Now(_)
            ));
            assert_eq!(fs::read(&path).unwrap(), b"P: x\r\nfirst and whole", "{torn:?}");
        }
        assert_eq!(mailbox.files(), [mailbox.inbox_file("1.a")]);
    });
    let maildir = Box::new(Kind::Maildir);
    maildir.put("cur/1.a:2,S", "", 0);
    maildir.deliver_again("1.a", "first", true).unwrap();
    assert_eq!(maildir.files(), ["domains/home.test/anna/Maildir/cur/1.a:2,S"]);
}

#[test]
fn a_reader_that_fails_leaves_nothing() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::Other.into())
        }
    }
    for_both(|mailbox| {
        let (prefix, safety) = (b"P: x\r\n", Safety::Now);
        let delivery = Delivery {
            name: "1.a",
            prefix,
            data: &mut Broken,
            folder: None,
            may_have_arrived: false,
            safety,
        };
        assert!(mailbox.mailboxes.deliver(&mailbox.account, delivery).is_err());
        assert_eq!(mailbox.files(), [""; 0]);
    });
}

/// A folder's delivery is found again after a crash wherever its owner has put it, and counts against the quota.
#[test]
fn what_a_folder_has_got_before_a_crash_does_not_come_twice() {
    let house = Box::new(Kind::Maildir);
    house.mailboxes.create(&house.account).unwrap();
    let junk = house.mailboxes.folders(&house.account).junk().unwrap();
    assert_eq!(house.mailboxes.folders(&house.account).junk().unwrap(), junk);
    let deliver = |may_have_arrived: bool| {
        let mut data = Cursor::new(b"x\r\n".to_vec());
        let (name, prefix, safety) = ("1.a", &b"P: x\r\n"[..], Safety::Now);
        let folder = Some(&junk);
        let delivery = Delivery { name, prefix, data: &mut data, folder, may_have_arrived, safety };
        house.mailboxes.deliver(&house.account, delivery).unwrap()
    };
    let maildir = house.mailboxes.directory(&house.account);
    let (new, read) = (maildir.join(".Junk/new/1.a"), maildir.join(".Junk/cur/1.a:2,S"));
    assert!(matches!(deliver(false), Delivered::Now(stored) if stored.path == new));
    assert_eq!(house.mailboxes.quota_usage(&house.account).unwrap().messages, 1);
    assert_eq!(deliver(true), Delivered::Before);
    let folder = house.mailboxes.folders(&house.account).open(&junk).unwrap();
    let uid = folder.messages().0[0].uid;
    fs::rename(&new, &read).unwrap();
    assert_eq!(deliver(true), Delivered::Before);
    fs::rename(&read, maildir.join("new/1.a")).unwrap();
    assert_eq!(deliver(true), Delivered::Before, "it was put into INBOX when there was no folder");
    fs::rename(maildir.join("new/1.a"), &read).unwrap();
    folder.look().unwrap();
    let inbox = house.mailboxes.folders(&house.account).open(&folder::FolderName::inbox()).unwrap();
    assert_eq!(folder.move_to(&[uid], &inbox).unwrap().len(), 1);
    assert_eq!(deliver(true), Delivered::Before, "its owner has taken it away");
    assert_eq!(house.mailboxes.quota_usage(&house.account).unwrap().messages, 1);
}
