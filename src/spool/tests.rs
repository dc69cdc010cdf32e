//! Walks the state table at the head of the module: every step fails once, and once everything fails from that step on
//! (a crash); then the spool is opened again and must hold what was promised.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::durable::{Faults, Step};

/// Fails step number `at`, and with `crash` all later ones.
struct FailAt {
    at: usize,
    crash: bool,
    seen: AtomicUsize,
}

impl Faults for FailAt {
    fn before(&self, _step: Step<'_>) -> io::Result<()> {
        let step = self.seen.fetch_add(1, Ordering::Relaxed);
        let fails = if self.crash { step >= self.at } else { step == self.at };
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn config(root: &Path, disk: Disk) -> Config {
    Config {
        root: MailRoot::new(root),
        split_levels: 2,
        journal: None,
        retry: RetryPlan { first_wait_secs: 60, increment_ratio: 0, attempts_max: 3 },
        limits: Limits { local: 10, per_destination: 10, remote: 10 },
        lane_of: Arc::new(|first_part| match first_part.rsplit_once('@') {
            Some((_, "local.test")) | None => Lane::Local,
            Some((_, domain)) => Lane::Remote(domain.into()),
        }),
        disk,
        clock: Clock::manual("2026-11-23T10:00:00Z".parse().unwrap()),
    }
}

fn open(root: &Path) -> (Spool, Recovery) {
    Spool::open(config(root, Disk::default())).unwrap()
}

/// The same MailRoot with a disk that fails; opening itself meets no fault, as the directories are there.
fn open_failing(root: &Path, at: usize, crash: bool) -> (Spool, Arc<FailAt>) {
    let faults = Arc::new(FailAt { at: usize::MAX, crash, seen: AtomicUsize::new(0) });
    let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
    drop(Spool::open(config(root, disk)).unwrap());
    let faults = Arc::new(FailAt { at, crash, seen: AtomicUsize::new(0) });
    let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
    (Spool::open(config(root, disk)).unwrap().0, faults)
}

fn message(rcpt: &str) -> NewMessage {
    NewMessage {
        header: Header {
            trace: "[127.0.0.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:00:00 +0000".into(),
            smtp_domain: "mx.test".into(),
            number: "S2".into(),
            mail_from: "MAIL FROM:<a@client.test>".into(),
            rcpt_to: format!("RCPT TO:<{rcpt}>").into(),
        },
        trace_fields: "Received: x\r\n".into(),
    }
}

fn data() -> MailData {
    MailData::from_bytes(b"Subject: x\r\n\r\nbody\r\n".to_vec())
}

/// How many files there are in each state.
fn count(root: &Path, state: State) -> usize {
    let mut found = 0;
    for a in 0..2 {
        for b in 0..2 {
            let directory = root.join(format!("spool/{a}/{b}")).join(state.directory());
            found += fs::read_dir(directory).map_or(0, Iterator::count);
        }
    }
    found
}

fn counts(root: &Path) -> Vec<(&'static str, usize)> {
    State::ALL.iter().map(|&state| (state.directory(), count(root, state))).filter(|(_, n)| *n > 0).collect()
}

fn take(spool: &Spool) -> Option<Attempt> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ready, _) = spool.outbox().counts();
    (ready > 0).then(|| runtime.block_on(spool.next_attempt()).unwrap())
}

/// XMail's directories (0700); its files are open to all who get there, ours are not.
#[test]
fn directories_and_files_are_for_the_server_alone() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.submit_blocking(&[message("u@local.test"), message("r@sink.test")], &data()).unwrap();
    let mut attempt = take(&spool).unwrap();
    attempt.begin();
    attempt.set_private(Private::Mprc, b"x").unwrap();
    let (mut directories, mut files) = (vec![dir.path().join("spool")], 0);
    while let Some(directory) = directories.pop() {
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700, "{}", directory.display());
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
                continue;
            }
            files += 1;
            assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{}", entry.path().display());
        }
    }
    assert_eq!(files, 4, "two messages, a slog, a private copy");
}

#[test]
fn a_submission_is_there_completely_or_not_at_all() {
    for crash in [false, true] {
        let mut answered = Vec::new();
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            drop(open(dir.path()));
            let (spool, faults) = open_failing(dir.path(), at, crash);
            let messages = [message("u@local.test"), message("r@sink.test")];
            let outcome = spool.submit_blocking(&messages, &data());
            answered.push(outcome.is_ok());
            let queued = spool.outbox().counts().0;
            assert_eq!(queued, if outcome.is_ok() { 2 } else { 0 }, "step {at}, crash {crash}");
            if outcome.is_err() && !crash {
                assert_eq!(counts(dir.path()), [], "nothing of a refused message stays: step {at}");
            }
            drop(spool);
            let (_, recovery) = open(dir.path());
            if outcome.is_ok() {
                assert_eq!(recovery.ready, 2, "answered mail is there: step {at}, crash {crash}");
            }
            assert_eq!(count(dir.path(), State::Temp), 0, "the start empties temp: step {at}, crash {crash}");
            if faults.seen.load(Ordering::Relaxed) <= at {
                break;
            }
        }
        // Two creations, writes and syncs, two renames, one directory sync: each failed once, and none was answered.
        assert!(answered.len() > 9, "{answered:?}");
        assert!(answered[..answered.len() - 1].iter().all(|ok| !ok), "{answered:?}");
        assert_eq!(answered.last(), Some(&true));
    }
}

/// Ends an attempt in one way with a fault at each step; the message must stay in exactly one place until it is meant to
/// go, and what is left over must be cleaned at the next start.
#[track_caller]
fn walk(end: impl Fn(Attempt), places_when_done: &[&str]) {
    for crash in [false, true] {
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let (spool, _) = open(dir.path());
            spool.submit_blocking(&[message("u@local.test")], &data()).unwrap();
            drop(spool);
            let (spool, faults) = open_failing(dir.path(), at, crash);
            let mut attempt = take(&spool).unwrap();
            attempt.begin();
            // The private copy may fail to be written as well; ending the attempt must cope.
            let _ = attempt.set_private(Private::Mprc, b"\"mailbox\"\n");
            end(attempt);
            drop(spool);
            let (spool, _) = open(dir.path());
            let places: Vec<_> = counts(dir.path()).into_iter().map(|(place, _)| place).collect();
            let messages = ["mess", "rsnd", "froz"].iter().filter(|place| places.contains(place)).count();
            let done = faults.seen.load(Ordering::Relaxed) <= at;
            if done {
                assert_eq!(places, places_when_done, "without a fault, crash {crash}");
                break;
            }
            let gone_is_fine = places_when_done.is_empty();
            assert!(
                messages == 1 || (gone_is_fine && places.is_empty()),
                "step {at}, crash {crash}: {places:?}"
            );
            drop(spool);
        }
    }
}

#[test]
fn a_retry_never_loses_the_message() {
    walk(Attempt::retry, &["rsnd", "slog", "mprc"]);
}

#[test]
fn freezing_never_loses_the_message() {
    walk(|attempt| drop(attempt.freeze()), &["slog", "froz"]);
}

#[test]
fn removing_leaves_nothing_or_the_whole_message() {
    walk(|attempt| drop(attempt.remove()), &[]);
}

#[test]
fn attempts_and_times_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.submit_blocking(&[message("r@sink.test")], &data()).unwrap();
    let mut attempt = take(&spool).unwrap();
    attempt.begin();
    attempt.log(&slog::Entry { error: 5, error_text: "Timeout error".into(), ..Default::default() });
    attempt.retry();
    drop(spool);
    let (spool, recovery) = open(dir.path());
    assert_eq!((recovery.ready, recovery.waiting), (0, 1));
    assert!(take(&spool).is_none(), "not before its time");
    spool.clock().advance(std::time::Duration::from_secs(60));
    assert_eq!(spool.outbox().flush(|_| true), 1);
    let mut attempt = take(&spool).unwrap();
    attempt.begin();
    assert_eq!(attempt.number(), 2);
    assert_eq!(attempt.next(), schedule::Next::AfterSecs(60));
    attempt.retry();
    assert_eq!(spool.outbox().flush(|_| true), 1);
    let mut attempt = take(&spool).unwrap();
    attempt.begin();
    assert_eq!(attempt.next(), schedule::Next::Expired);
}

#[test]
fn a_dropped_attempt_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.submit_blocking(&[message("r@sink.test")], &data()).unwrap();
    drop(take(&spool).unwrap());
    assert_eq!(spool.outbox().counts(), (0, 1));
}

#[test]
fn frozen_messages_are_listed_read_resubmitted_and_removed_by_plain_names_only() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let names = spool.submit_blocking(&[message("r@sink.test")], &data()).unwrap();
    let mut attempt = take(&spool).unwrap();
    attempt.begin();
    attempt.freeze().unwrap();
    let frozen = spool.frozen().unwrap();
    assert_eq!(
        (frozen[0].from.as_str(), frozen[0].to.as_str(), frozen[0].attempts),
        ("a@client.test", "r@sink.test", 1)
    );
    let (place, name) = (names[0].place(), names[0].file_name().to_owned());
    assert!(spool.read_frozen(place, &name).unwrap().ends_with(b"body\r\n"));
    assert!(spool.read_frozen_log(place, &name).unwrap().starts_with(b"[PeekTime]"));
    for bad in ["../mess/x", "..", "nosuch", ""] {
        assert!(matches!(spool.remove_frozen(place, bad), Err(SpoolError::NoSuchMessage { .. })), "{bad}");
    }
    spool.submit_frozen(place, &name).unwrap();
    assert_eq!(counts(dir.path()), [("mess", 1)]);
    let mut attempt = take(&spool).unwrap();
    attempt.begin();
    assert_eq!(attempt.number(), 1, "attempts begin anew");
    attempt.freeze().unwrap();
    spool.remove_frozen(place, &name).unwrap();
    assert_eq!(counts(dir.path()), []);
}

#[test]
fn mail_above_the_split_level_is_found_and_garbage_does_not_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for path in [
        "spool/17/4/mess/100.a.host",
        "spool/0/1/rsnd/garbage",
        "spool/0/1/temp/half",
        "spool/0/1/slog/orphan",
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "no message").unwrap();
    }
    fs::create_dir_all(dir.path().join("tmp")).unwrap();
    fs::write(dir.path().join("tmp/1795434299251.7f35317fa6c0.36c.d.mail.example.test"), "half a message")
        .unwrap();
    fs::write(dir.path().join("tmp/notes.txt"), "somebody's").unwrap();
    let (spool, recovery) = open(dir.path());
    assert_eq!((recovery.ready, recovery.waiting, recovery.unfinished, recovery.orphans), (1, 1, 2, 1));
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1);
    assert!(take(&spool).unwrap().load().is_err());
}

#[test]
fn large_mail_goes_through_a_file_that_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut draft = spool.draft();
    let line = [b"x".repeat(998), b"\r\n".to_vec()].concat();
    for _ in 0..MEMORY_BYTES_MAX / 500 {
        draft.write(&line).unwrap();
    }
    assert!(draft.is_on_disk());
    let data = draft.finish().unwrap();
    let names = spool.submit_blocking(&[message("u@local.test")], &data).unwrap();
    let stored = fs::metadata(spool.path(&names[0], State::Mess)).unwrap().len();
    assert!(stored > data.bytes() && data.bytes() == (MEMORY_BYTES_MAX / 500 * 1000) as u64);
    drop(data);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

/// What a program does to the message file does not cost the message, at whatever step the disk fails.
#[test]
fn a_kept_copy_puts_back_what_a_program_destroyed() {
    type Damage = fn(&Path);
    let damages: [Damage; 4] = [
        |_| {},
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "garbage").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/nowhere", path).unwrap();
        },
    ];
    for damage in damages {
        for is_dropped in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (spool, _) = open(dir.path());
            spool.submit_blocking(&[message("u@local.test")], &data()).unwrap();
            let attempt = take(&spool).unwrap();
            let before = fs::read(attempt.path()).unwrap();
            let kept = attempt.keep_copy().unwrap();
            assert_eq!((count(dir.path(), State::Temp), kept.is_changed()), (1, false));
            damage(&attempt.path());
            if is_dropped {
                drop(kept)
            } else {
                kept.restore().unwrap()
            }
            assert_eq!(fs::read(attempt.path()).unwrap(), before);
            assert_eq!(count(dir.path(), State::Temp), 0);
        }
    }
}

#[test]
fn a_kept_copy_goes_when_the_change_is_accepted_or_it_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.submit_blocking(&[message("u@local.test")], &data()).unwrap();
    let attempt = take(&spool).unwrap();
    let kept = attempt.keep_copy().unwrap();
    fs::write(attempt.path(), "changed").unwrap();
    assert!(kept.is_changed());
    kept.accept().unwrap();
    assert_eq!((fs::read(attempt.path()).unwrap(), count(dir.path(), State::Temp)), (b"changed".to_vec(), 0));
    drop((attempt, spool));
    for at in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path());
        spool.submit_blocking(&[message("u@local.test")], &data()).unwrap();
        drop(spool);
        let (spool, _) = open_failing(dir.path(), at, false);
        let attempt = take(&spool).unwrap();
        let kept = attempt.keep_copy();
        assert_eq!(kept.is_ok(), at > 2, "step {at}");
        drop(kept);
        assert_eq!(count(dir.path(), State::Temp), 0, "step {at}");
        assert_eq!(count(dir.path(), State::Mess), 1, "step {at}");
    }
}

/// A filter was at work when the server ended.
#[test]
fn a_rejection_beside_its_message_is_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.submit_blocking(&[message("u@local.test")], &data()).unwrap();
    let attempt = take(&spool).unwrap();
    let _kept = attempt.keep_copy().unwrap();
    let mut rejection = attempt.path().into_os_string();
    rejection.push(".rej");
    fs::write(&rejection, "no").unwrap();
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.ready, recovery.unfinished), (1, 1));
    assert_eq!(counts(dir.path()), [("mess", 1)]);
}
