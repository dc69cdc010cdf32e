//! The journal and its replay: every torn state, every failing step.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Sizes;
use crate::clock::Clock;
use crate::durable::{Disk, Faults, Step};
use crate::mailroot::MailRoot;
use crate::spool::{
    Attempt, Config, Header, Lane, Limits, MailData, NewMessage, Recovery, RetryPlan, Spool, SpoolError,
    Stored, inspect, slog,
};

/// Small enough to fill, and never old: nothing happens by time alone.
const SIZES: Sizes = Sizes {
    segment_bytes: 64 << 10,
    segments_max: 3,
    held_bytes_max: 1 << 20,
    age_max: Duration::from_secs(3600),
};

fn config(root: &Path, disk: Disk, journal: Option<Sizes>) -> Config {
    Config {
        root: MailRoot::new(root),
        split_levels: 2,
        journal,
        retry: RetryPlan { first_wait_secs: 60, increment_ratio: 0, attempts_max: 3 },
        limits: Limits { local: 1000, per_destination: 1000, remote: 1000 },
        lane_of: Arc::new(|_| Lane::Local),
        disk,
        clock: Clock::manual("2026-11-23T10:00:00Z".parse().unwrap()),
    }
}

fn open(root: &Path) -> (Spool, Recovery) {
    Spool::open(config(root, Disk::default(), Some(SIZES))).unwrap()
}

/// The same place without a journal of its own: it only brings out what is there.
fn recover(root: &Path) -> Recovery {
    Spool::open(config(root, Disk::default(), None)).unwrap().1
}

/// An end without a close. A thread that is just looking at the spool would otherwise hold it for a moment longer, and
/// write its last marks while the test goes on.
fn stop(spool: Spool) {
    if let Some(journal) = spool.shared.journal.get() {
        journal.end_threads();
    }
    drop(spool);
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

fn data(subject: &str) -> MailData {
    MailData::from_bytes(format!("Subject: {subject}\r\n\r\nbody\r\n").into_bytes())
}

/// One message for one recipient.
fn submit(spool: &Spool, subject: &str) -> Result<String, SpoolError> {
    let names = spool.submit_blocking(&[message("u@local.test")], &data(subject))?;
    Ok(names[0].file_name().to_owned())
}

fn take(spool: &Spool) -> Attempt {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(spool.outbox().counts().0 > 0, "nothing is ready");
    let mut attempt = runtime.block_on(spool.next_attempt()).unwrap();
    attempt.begin();
    attempt
}

/// The subjects of the message files in a state, sorted.
fn subjects(root: &Path, state: &str) -> Vec<String> {
    let mut found: Vec<String> = files(root, state)
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            assert!(
                text.contains("<<MAIL-DATA>>\r\nReceived: x\r\nSubject: ")
                    && text.ends_with("\r\n\r\nbody\r\n")
            );
            text.split("Subject: ").nth(1).unwrap().lines().next().unwrap().to_owned()
        })
        .collect();
    found.sort();
    found
}

fn files(root: &Path, state: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for place in ["0/0", "0/1", "1/0", "1/1"] {
        let directory = root.join("spool").join(place).join(state);
        found.extend(fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    found
}

fn slots(root: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(root.join("spool/.journal")).into_iter().flatten().flatten();
    let mut slots: Vec<_> = entries.map(|entry| entry.path()).collect();
    slots.sort();
    slots
}

/// Puts a file into a mailbox as delivery does, and tells the journal.
fn deliver(root: &Path, attempt: Attempt, content: &str) -> std::path::PathBuf {
    let path = Path::new("domains/home.test/anna/Maildir/new").join(attempt.name().file_name());
    fs::create_dir_all(root.join(&path).parent().unwrap()).unwrap();
    fs::write(root.join(&path), content).unwrap();
    let bytes = content.len() as u64;
    let crc = crc32fast::hash(content.as_bytes());
    assert!(attempt.delivered(Stored { path: path.clone(), bytes, crc }).is_ok());
    root.join(path)
}

#[test]
fn a_message_that_is_delivered_at_once_never_gets_a_spool_file() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    submit(&spool, "one").unwrap();
    let attempt = take(&spool);
    assert!(attempt.is_journaled());
    let file = attempt.load().unwrap();
    assert_eq!(file.head(1000).unwrap(), b"Received: x\r\nSubject: one\r\n\r\nbody\r\n");
    assert_eq!(file.data_bytes(), 35);
    attempt.log(&slog::Entry::default());
    drop(file);
    deliver(dir.path(), attempt, "mail");
    for state in ["temp", "mess", "rsnd", "slog"] {
        assert!(files(dir.path(), state).is_empty(), "{state}");
    }
    let journal = spool.shared.journal.get().unwrap();
    assert_eq!(journal.held_bytes(), 0, "what is done takes no memory");
    spool.close().unwrap();
    assert!(!dir.path().join("spool/.journal").exists());
    assert!(files(dir.path(), "mess").is_empty());
}

#[test]
fn a_clean_stop_leaves_xmails_spool_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for subject in ["one", "two"] {
        submit(&spool, subject).unwrap();
    }
    // One is in the middle of its attempt.
    let attempt = take(&spool);
    spool.close().unwrap();
    assert!(!attempt.is_journaled() && attempt.path().is_file());
    assert_eq!(subjects(dir.path(), "mess"), ["one", "two"]);
    assert!(!dir.path().join("spool/.journal").exists());
    // Later mail has the files to go to.
    submit(&spool, "three").unwrap();
    assert_eq!(subjects(dir.path(), "mess"), ["one", "three", "two"]);
}

#[test]
fn each_end_of_an_attempt_has_its_place() {
    type End = (&'static str, fn(Attempt), &'static [&'static str]);
    let ends: [End; 4] = [
        ("retry", Attempt::retry, &["rsnd", "slog"]),
        ("freeze", |attempt| attempt.freeze().unwrap(), &["froz", "slog"]),
        ("remove", |attempt| attempt.remove().unwrap(), &[]),
        ("need_file", |attempt| attempt.need_file().unwrap(), &["mess", "slog"]),
    ];
    for (name, end, expected) in ends {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path());
        submit(&spool, "one").unwrap();
        end(take(&spool));
        let states = ["temp", "mess", "rsnd", "froz", "slog"];
        let found: Vec<_> = states.into_iter().filter(|state| !files(dir.path(), state).is_empty()).collect();
        let (mut found, mut expected) = (found, expected.to_vec());
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}");
        // A crash right after: the journal does not bring it out again.
        stop(spool);
        assert_eq!(recover(dir.path()).replayed, 0, "{name}");
    }
}

#[test]
fn a_message_put_off_keeps_its_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    submit(&spool, "one").unwrap();
    let attempt = take(&spool);
    attempt.log(&slog::Entry { error: 5, error_text: "Timeout error".into(), ..Default::default() });
    attempt.retry();
    let text = fs::read_to_string(&files(dir.path(), "slog")[0]).unwrap();
    assert!(text.starts_with("[PeekTime] ") && text.contains("Timeout error"), "{text}");
    assert_eq!(spool.outbox().flush(|_| true), 1);
    let attempt = take(&spool);
    assert_eq!((attempt.number(), attempt.is_journaled()), (2, false));
    attempt.remove().unwrap();
    assert!(files(dir.path(), "rsnd").is_empty() && files(dir.path(), "slog").is_empty());
}

#[test]
fn a_crash_brings_out_what_was_answered_for_and_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let messages = [message("u@local.test"), message("v@local.test"), message("w@local.test")];
    spool.submit_blocking(&messages, &data("shared")).unwrap();
    take(&spool).remove().unwrap();
    deliver(dir.path(), take(&spool), "mail");
    submit(&spool, "single").unwrap();
    stop(spool);
    let recovery = recover(dir.path());
    assert_eq!((recovery.replayed, recovery.ready, recovery.damaged), (2, 2, 0));
    assert_eq!(subjects(dir.path(), "mess"), ["shared", "single"]);
    assert!(!dir.path().join("spool/.journal").exists());
}

/// What a mailbox file can be after the machine stopped.
#[test]
fn a_delivered_message_comes_back_unless_its_file_is_whole() {
    let check = |name: &str, change: &dyn Fn(&Path), comes_back: bool| {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path());
        submit(&spool, "one").unwrap();
        let path = deliver(dir.path(), take(&spool), "the mail");
        stop(spool);
        change(&path);
        assert_eq!(recover(dir.path()).replayed, usize::from(comes_back), "{name}");
    };
    check("whole", &|_| {}, false);
    check("missing", &|path| fs::remove_file(path).unwrap(), true);
    check("empty", &|path| fs::write(path, "").unwrap(), true);
    check("short", &|path| fs::write(path, "the m").unwrap(), true);
    check("zeros", &|path| fs::write(path, [0; 8]).unwrap(), true);
    let to_cur = |content: &'static str| {
        move |path: &Path| {
            let cur = path.parent().unwrap().parent().unwrap().join("cur");
            fs::create_dir_all(&cur).unwrap();
            fs::remove_file(path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            fs::write(cur.join(format!("{name}:2,S")), content).unwrap();
        }
    };
    check("read meanwhile", &to_cur("the mail"), false);
    check("read meanwhile and torn", &to_cur("the"), true);
}

#[test]
fn what_its_owner_took_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let name = submit(&spool, "one").unwrap();
    let path = deliver(dir.path(), take(&spool), "the mail");
    fs::remove_file(path).unwrap();
    spool.taken(&["somebody else's".to_owned(), name]);
    stop(spool);
    assert_eq!(recover(dir.path()).replayed, 0);
}

/// The journal cut, and damaged, at every byte of its used part.
#[test]
fn every_torn_state_gives_whole_messages_and_loses_none_before_the_tear() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut ends = Vec::new();
    for subject in ["a", "b", "c"] {
        submit(&spool, subject).unwrap();
        let bytes = fs::read(&slots(dir.path())[0]).unwrap();
        ends.push(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    }
    stop(spool);
    let slot = slots(dir.path()).remove(0);
    let whole = fs::read(&slot).unwrap();
    let run = super::segment::run_of_slot(slot.file_name().unwrap().to_str().unwrap()).unwrap();
    let state = |bytes: &[u8]| {
        let found = super::replay::judge(vec![(slot.clone(), super::replay::scan(bytes, run))]);
        let subject = |(_, payload): &(u64, Vec<u8>)| {
            let data = super::record::parse_message(payload).unwrap().data;
            String::from_utf8_lossy(&payload[data][9..10]).into_owned()
        };
        (found.messages.iter().map(subject).collect::<Vec<_>>(), found.damaged.len())
    };
    for cut in 0..=ends[2] {
        let survivors = ends.iter().filter(|end| **end <= cut).count();
        let expected = &["a", "b", "c"][..survivors];
        // The file ends there, or was never written from there on.
        let mut zeros = whole.clone();
        zeros[cut..].fill(0);
        for bytes in [&whole[..cut], &zeros] {
            let (found, damaged) = state(bytes);
            assert!(found == expected && damaged == 0, "cut at {cut}: {found:?}, {damaged}");
        }
    }
    for at in 0..ends[2] {
        let mut wrong = whole.clone();
        wrong[at] ^= 0x10;
        let (found, damaged) = state(&wrong);
        if found.len() == 3 {
            continue; // A byte between two records.
        }
        let hit = ends.iter().filter(|end| **end <= at).count();
        let mut expected = vec!["a", "b", "c"];
        expected.remove(hit);
        assert_eq!(found, expected, "a wrong byte at {at}");
        // The last record may be one whose write was cut short; a synced one before it is not.
        assert_eq!(damaged, usize::from(hit < 2), "a wrong byte at {at}");
    }
}

/// What cannot be read although it was synced is kept for whoever looks into it.
#[test]
fn a_damaged_segment_is_kept_aside_and_the_rest_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for subject in ["a", "b", "c"] {
        submit(&spool, subject).unwrap();
    }
    stop(spool);
    let slot = slots(dir.path()).remove(0);
    let mut bytes = fs::read(&slot).unwrap();
    bytes[100] ^= 1;
    fs::write(&slot, bytes).unwrap();
    let recovery = recover(dir.path());
    assert_eq!((recovery.replayed, recovery.damaged), (2, 1));
    assert_eq!(subjects(dir.path(), "mess"), ["b", "c"]);
    let left = slots(dir.path());
    assert!(left.len() == 1 && left[0].to_str().unwrap().contains("/damaged-"), "{left:?}");
    assert_eq!(recover(dir.path()).damaged, 0, "it is said once");
}

/// Mail may contain anything, also what looks like a record of this very segment.
#[test]
fn mail_that_looks_like_a_journal_is_mail() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    submit(&spool, "real").unwrap();
    let run =
        slots(dir.path())[0].file_name().unwrap().to_str().unwrap().split_once('-').unwrap().1.to_owned();
    let other_run = u64::from_str_radix(&run, 16).unwrap() ^ 1;
    let head = super::record::Head {
        kind: super::record::Kind::Marks,
        payload_bytes: 0,
        payload_crc: 0,
        segment: 1 << 60,
        sequence: 0,
        watermark: 1 << 60,
        batch_start: 0,
        run: other_run,
    };
    let mut forged = Vec::new();
    for _ in 0..64 {
        forged.push(b'x');
        forged.extend(head.to_bytes());
        forged.extend(b"padding");
    }
    spool.submit_blocking(&[message("u@local.test")], &MailData::from_bytes(forged)).unwrap();
    stop(spool);
    assert_eq!(recover(dir.path()).replayed, 2);
}

/// Refuses steps on the journal while it is told to.
#[derive(Default)]
struct Refuse {
    after: AtomicUsize,
    is_on: AtomicBool,
    only_once: bool,
    seen: Mutex<Vec<String>>,
}

impl Faults for Refuse {
    fn before(&self, step: Step<'_>) -> std::io::Result<()> {
        if !self.is_on.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.seen.lock().unwrap().push(format!("{step:?}"));
        let left = self.after.fetch_sub(1, Ordering::Relaxed);
        let refuses = left == 0 || (!self.only_once && left > usize::MAX / 2);
        if refuses { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// A submission with each of its steps failing: refused mail is nowhere, accepted mail is there, and afterwards all is
/// well again.
#[test]
fn a_failing_disk_refuses_a_message_completely_or_takes_it() {
    for only_once in [true, false] {
        let (mut refused, mut after) = (0, 0);
        loop {
            let dir = tempfile::tempdir().unwrap();
            let faults = Arc::new(Refuse { after: AtomicUsize::new(after), only_once, ..Refuse::default() });
            let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
            let (spool, _) = Spool::open(config(dir.path(), disk, Some(SIZES))).unwrap();
            // With the first message the slot is made; the second finds it.
            if after % 2 == 1 {
                submit(&spool, "before").unwrap();
            }
            faults.is_on.store(true, Ordering::Relaxed);
            let outcome = submit(&spool, "tried");
            faults.is_on.store(false, Ordering::Relaxed);
            let steps = faults.seen.lock().unwrap().len();
            submit(&spool, "after").unwrap();
            let mut expected = vec!["after"];
            expected.extend((after % 2 == 1).then_some("before"));
            expected.extend(outcome.is_ok().then_some("tried"));
            assert_eq!(spool.outbox().counts().0, expected.len(), "step {after}");
            stop(spool);
            recover(dir.path());
            assert_eq!(subjects(dir.path(), "mess"), expected, "step {after}, only once {only_once}");
            refused += usize::from(outcome.is_err());
            after += 1;
            if steps + 2 < after {
                break;
            }
        }
        assert!(refused > 0, "some step must matter");
    }
}

#[test]
fn a_spool_file_that_cannot_be_made_leaves_the_message_in_the_journal() {
    for after in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let faults =
            Arc::new(Refuse { after: AtomicUsize::new(after), only_once: true, ..Refuse::default() });
        let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
        let (spool, _) = Spool::open(config(dir.path(), disk, Some(SIZES))).unwrap();
        submit(&spool, "one").unwrap();
        let attempt = take(&spool);
        faults.is_on.store(true, Ordering::Relaxed);
        attempt.retry();
        faults.is_on.store(false, Ordering::Relaxed);
        let is_through = faults.seen.lock().unwrap().len() <= after;
        assert_eq!(spool.outbox().counts(), (0, 1), "it waits for its time: step {after}");
        stop(spool);
        let recovery = recover(dir.path());
        assert_eq!(recovery.ready + recovery.waiting, 1, "once, step {after}");
        if is_through {
            break;
        }
    }
}

/// More mail than all segments hold: what is done makes room, what is not gets spool files.
#[test]
fn segments_are_used_again_and_waiting_mail_gets_spool_files() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let body = MailData::from_bytes([b"Subject: big\r\n\r\n".to_vec(), vec![b'x'; 8000]].concat());
    let mut waiting = Vec::new();
    for number in 0..100 {
        spool.submit_blocking(&[message("u@local.test")], &body).unwrap();
        let attempt = take(&spool);
        match number % 10 {
            0 => waiting.push(attempt),
            _ => drop(deliver(dir.path(), attempt, "mail")),
        }
    }
    assert!(slots(dir.path()).len() <= 3);
    // Those of the oldest segments have their files by now; the attempts never noticed.
    assert!(waiting.iter().any(|attempt| !attempt.is_journaled()));
    let spooled = files(dir.path(), "mess").len();
    assert!((1..=10).contains(&spooled), "{spooled}");
    let attempt = waiting.remove(0);
    assert!(!attempt.is_journaled());
    let stored = Stored { path: "nowhere".into(), bytes: 0, crc: 0 };
    attempt.delivered(stored).expect_err("the mailbox must be synced first").remove().unwrap();
    assert_eq!(files(dir.path(), "mess").len(), spooled - 1);
    drop(waiting);
    stop(spool);
    let recovery = recover(dir.path());
    assert_eq!((recovery.ready, recovery.damaged), (9, 0), "nothing that is done comes back");
}

/// Beyond the memory that may be held, mail goes the way of the files.
#[test]
fn mail_beyond_the_budget_gets_its_spool_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = Sizes { held_bytes_max: 20_000, ..SIZES };
    let (spool, _) = Spool::open(config(dir.path(), Disk::default(), Some(sizes))).unwrap();
    let body = MailData::from_bytes(vec![b'x'; 8000]);
    for _ in 0..5 {
        spool.submit_blocking(&[message("u@local.test")], &body).unwrap();
    }
    assert_eq!((files(dir.path(), "mess").len(), spool.outbox().counts().0), (3, 5));
    let too_large = MailData::from_bytes(vec![b'x'; 30_000]);
    spool.submit_blocking(&[message("u@local.test")], &too_large).unwrap();
    assert_eq!(files(dir.path(), "mess").len(), 4);
}

/// A checkpoint whose sync fails writes the mailbox files again, and frees nothing before that worked.
#[test]
fn a_mailbox_that_cannot_be_synced_keeps_its_segment() {
    struct NoSync(AtomicBool);
    impl Faults for NoSync {
        fn before(&self, step: Step<'_>) -> std::io::Result<()> {
            let is_mailbox = |path: &Path| path.components().any(|part| part.as_os_str() == "new");
            match step {
                Step::SyncFileSystem(path) | Step::SyncFile(path)
                    if is_mailbox(path) && self.0.load(Ordering::Relaxed) =>
                {
                    Err(std::io::Error::from_raw_os_error(5))
                }
                _ => Ok(()),
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(NoSync(AtomicBool::new(true)));
    let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
    let (spool, _) = Spool::open(config(dir.path(), disk, Some(SIZES))).unwrap();
    submit(&spool, "one").unwrap();
    let path = deliver(dir.path(), take(&spool), "the mail");
    assert!(spool.close().is_err());
    assert!(dir.path().join("spool/.journal").exists(), "it is the last to know for sure");
    faults.0.store(false, Ordering::Relaxed);
    spool.close().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"the mail");
    assert!(!dir.path().join("spool/.journal").exists());
}

#[tokio::test]
async fn sessions_share_the_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Refuse { after: AtomicUsize::new(usize::MAX / 4), ..Refuse::default() });
    faults.is_on.store(true, Ordering::Relaxed);
    let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
    let sizes = Sizes { segment_bytes: 1 << 20, ..SIZES };
    let (spool, _) = Spool::open(config(dir.path(), disk, Some(sizes))).unwrap();
    spool.submit(vec![message("u@local.test")], data("first")).await.unwrap();
    faults.seen.lock().unwrap().clear();
    let all: Vec<_> = (0..200)
        .map(|_| {
            let spool = spool.clone();
            tokio::spawn(async move { spool.submit(vec![message("u@local.test")], data("x")).await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    let seen = faults.seen.lock().unwrap();
    let syncs = seen.iter().filter(|step| step.starts_with("SyncData")).count();
    assert_eq!(seen.len(), 2 * syncs, "writes and syncs, nothing else: {seen:?}");
    assert!((1..200).contains(&syncs), "{syncs}");
}

/// Where a look finds the messages that `wanted` means: each with its state and recipient.
fn look(root: &Path, wanted: &str) -> Vec<(&'static str, String)> {
    let found = inspect::find(&MailRoot::new(root), wanted).unwrap();
    let to = |standing: &inspect::Standing| standing.envelope.as_ref().unwrap().forward_path.to_string();
    found.iter().map(|standing| (standing.state, to(standing))).collect()
}

#[test]
fn a_look_sees_what_is_only_in_the_journal_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let both = [message("one@local.test"), message("two@local.test")];
    let names = spool.submit_blocking(&both, &data("a")).unwrap();
    let slot = slots(dir.path()).remove(0);
    let before = fs::read(&slot).unwrap();
    let journaled = |to: &str| (inspect::JOURNALED, to.to_owned());
    let (one, two) = (journaled("one@local.test"), journaled("two@local.test"));
    let check = |wanted: &str, expected: &[&(&'static str, String)]| {
        assert!(look(dir.path(), wanted).iter().eq(expected.iter().copied()), "{wanted}");
    };
    check("s2", &[&one, &two]);
    check(names[1].file_name(), &[&two]);
    check(&format!("spool/0/0/mess/{}", names[0].file_name()), &[&one]);
    for nothing in ["", "S3", "body", ".journal"] {
        check(nothing, &[]);
    }
    let standing = inspect::find(&MailRoot::new(dir.path()), "S2").unwrap().remove(0);
    assert_eq!(standing.head, b"Received: x\r\nSubject: a\r\n\r\nbody\r\n");
    assert_eq!((standing.file, standing.name), ("spool/.journal".into(), names[0].clone()));
    assert_eq!(slots(dir.path()), std::slice::from_ref(&slot));
    assert_eq!(fs::read(&slot).unwrap(), before);
    assert!(files(dir.path(), "mess").is_empty() && files(dir.path(), "temp").is_empty());
    stop(spool);
    assert_eq!(recover(dir.path()).replayed, 2, "both are still there");
}

#[test]
fn a_look_shows_each_message_once_wherever_it_went() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let each =
        ["put-off", "frozen", "delivered", "waiting"].map(|name| message(&format!("{name}@local.test")));
    spool.submit_blocking(&each, &data("a")).unwrap();
    let before_marks = fs::read(&slots(dir.path())[0]).unwrap();
    take(&spool).retry();
    take(&spool).freeze().unwrap();
    deliver(dir.path(), take(&spool), "mail");
    stop(spool);
    let to = |state, name: &str| (state, format!("{name}@local.test"));
    let mut found = look(dir.path(), "S2");
    found.sort();
    assert_eq!(found, [to("froz", "frozen"), to(inspect::JOURNALED, "waiting"), to("rsnd", "put-off")]);
    // Until the marks are written file and record are there both.
    fs::write(&slots(dir.path())[0], before_marks).unwrap();
    let mut found = look(dir.path(), "S2");
    found.sort();
    let both = [to("froz", "frozen"), to(inspect::JOURNALED, "delivered"), to(inspect::JOURNALED, "waiting")];
    assert_eq!(found[..3], both);
    assert_eq!(found[3..], [to("rsnd", "put-off")]);
    // A file that is just being written does not hide that the message was answered for.
    let waiting = inspect::find(&MailRoot::new(dir.path()), "S2").unwrap().pop().unwrap();
    let temp = dir.path().join("spool").join(waiting.name.place().to_path()).join("temp");
    fs::write(temp.join(waiting.name.file_name()), "[127.").unwrap();
    let found = inspect::find(&MailRoot::new(dir.path()), waiting.name.file_name()).unwrap();
    assert!(found.iter().map(|standing| standing.state).eq([inspect::JOURNALED]), "{found:?}");
}

#[test]
fn a_look_at_a_torn_journal_sees_what_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for recipient in ["a@local.test", "b@local.test"] {
        spool.submit_blocking(&[message(recipient)], &data("x")).unwrap();
    }
    stop(spool);
    let slot = slots(dir.path()).remove(0);
    let mut bytes = fs::read(&slot).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let whole =
        |found: &[(&'static str, String)]| found.iter().map(|(_, to)| to[..1].to_owned()).collect::<String>();
    assert_eq!(whole(&look(dir.path(), "S2")), "ab");
    bytes[last] = 0;
    fs::write(&slot, &bytes).unwrap();
    assert_eq!(whole(&look(dir.path(), "S2")), "a");
    bytes.truncate(last);
    fs::write(&slot, &bytes).unwrap();
    assert_eq!(whole(&look(dir.path(), "S2")), "a");
    fs::write(&slot, "").unwrap();
    assert_eq!(whole(&look(dir.path(), "S2")), "");
    fs::remove_dir_all(slot.parent().unwrap()).unwrap();
    assert_eq!(whole(&look(dir.path(), "S2")), "");
}
