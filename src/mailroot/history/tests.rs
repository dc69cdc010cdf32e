use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::clock::Clock;
use crate::durable::{Faults, Step};
use crate::mailroot::Tables;
use crate::mailroot::edit::Editor;

const ROOM: u64 = 1 << 20;

struct Bench {
    dir: tempfile::TempDir,
    history: History,
}

fn bench() -> Bench {
    bench_with(Disk::default())
}

fn bench_with(disk: Disk) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let history = History::new(&MailRoot::new(dir.path()), disk);
    Bench { dir, history }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_449_600 + seconds).unwrap()
}

fn change(file: &str, after: Option<&str>) -> Change {
    Change { file: file.into(), before: None, after: after.map(|text| text.as_bytes().to_owned()) }
}

impl Bench {
    fn record(&self, changes: &[Change], room: u64) -> Option<u64> {
        let lock = self.history.lock().unwrap();
        self.history.record(&lock, changes, "hand", at(0), room).unwrap()
    }

    fn version(&self, file: &str, number: u64) -> Result<Option<String>, String> {
        let version = self.history.version(Path::new(file), number).map_err(|error| error.to_string())?;
        Ok(version.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    fn piece(&self, name: &str) -> PathBuf {
        self.dir.path().join(DIRECTORY).join("files").join(name)
    }

    fn size(&self) -> u64 {
        pieces::size_of(&self.dir.path().join(DIRECTORY)).unwrap()
    }
}

#[test]
fn states_are_listed_and_every_version_is_found_again() {
    let bench = bench();
    assert!(matches!(bench.history.states(), Err(HistoryError::None { .. })));
    let first = [change("aliases.tab", Some("a\n")), change("domains/d/u/user.tab", Some("u\n"))];
    assert_eq!(bench.record(&first, ROOM), Some(1));
    assert_eq!(bench.record(&first, ROOM), None, "nothing new is no state");
    assert_eq!(bench.record(&[change("aliases.tab", Some("a\nb\n"))], ROOM), Some(2));
    assert_eq!(bench.record(&[change("aliases.tab", None)], ROOM), Some(3));
    assert_eq!(bench.record(&[change("aliases.tab", Some(""))], ROOM), Some(4));
    let seen: Vec<_> = (1..=4).map(|number| bench.version("aliases.tab", number).unwrap()).collect();
    assert_eq!(seen, [Some("a\n".into()), Some("a\nb\n".into()), None, Some(String::new())]);
    assert_eq!(bench.version("domains/d/u/user.tab", 4).unwrap(), Some("u\n".into()));
    let states = bench.history.states().unwrap();
    assert_eq!(states.len(), 4);
    assert_eq!(states[0].files, [Path::new("aliases.tab"), Path::new("domains/d/u/user.tab")]);
    assert_eq!((states[3].origin.as_str(), states[3].time.as_str()), ("hand", at(0).to_string().as_str()));
    let unknown = bench.history.version_before(Path::new("aliases.tab"), 1).unwrap();
    assert_eq!(unknown, None, "what was before the first recording nobody knows");
    let error = bench.history.state(9).unwrap_err();
    assert_eq!(error.to_string(), "there is no state 9; states 1 to 4 are kept");
    assert_eq!(bench.version("x.tab", 1), Err("x.tab: its content in state 1 is not known".into()));
}

#[test]
fn what_our_own_edit_replaced_is_known_from_the_first() {
    let bench = bench();
    let edit = Change { before: Some(Some(b"old\n".to_vec())), ..change("a.tab", Some("new\n")) };
    assert_eq!(bench.record(&[edit], ROOM), Some(1));
    assert_eq!(bench.history.version_before(Path::new("a.tab"), 1).unwrap(), Some(Some(b"old\n".to_vec())));
}

#[test]
fn everything_is_private_and_a_row_of_a_large_table_is_cheap() {
    let bench = bench();
    let table: String = (0..10_000).map(|n| format!("\"d\"\t\"user{n}\"\t\"x\"\n")).collect();
    bench.record(&[change("mailusers.tab", Some(&table))], ROOM * 4);
    let before = bench.size();
    bench.record(&[change("mailusers.tab", Some(&table.replace("user77\"", "other\"")))], ROOM * 4);
    assert!(bench.size() - before < 300, "{}", bench.size() - before);
    let mut open = vec![bench.dir.path().join(".tabmail")];
    while let Some(path) = open.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

/// Versions of three files over many states, against a model; the oldest states are forgotten on the way.
#[test]
fn the_history_stays_within_its_room_and_what_it_keeps_is_right() {
    let bench = bench();
    const SMALL: u64 = 6000;
    let mut model: Vec<BTreeMap<String, Option<String>>> = vec![BTreeMap::new()];
    let mut seed = 7_u64;
    let mut dice = move |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for number in 1..=120_u64 {
        let mut now = model.last().unwrap().clone();
        let mut changes = Vec::new();
        for name in ["a.tab", "b.tab", "c.tab"].into_iter().take(1 + usize::try_from(dice(3)).unwrap()) {
            let mut lines: Vec<String> =
                now.get(name).cloned().flatten().unwrap_or_default().lines().map(str::to_owned).collect();
            let index = usize::try_from(dice(lines.len() as u64 + 1)).unwrap();
            match dice(4) {
                0 if index < lines.len() => drop(lines.remove(index)),
                _ if lines.len() < 20 => lines.insert(index, format!("\"row {number}\"")),
                _ => lines.truncate(index),
            }
            let text =
                (dice(10) > 0).then(|| lines.iter().map(|line| format!("{line}\n")).collect::<String>());
            changes.push(change(name, text.as_deref()));
            now.insert(name.to_owned(), text);
        }
        changes.push(change("z.tab", Some(&number.to_string())));
        now.insert("z.tab".to_owned(), Some(number.to_string()));
        assert_eq!(bench.record(&changes, SMALL), Some(number));
        model.push(now);
        assert!(bench.size() <= SMALL, "state {number}: {}", bench.size());
    }
    let states = bench.history.states().unwrap();
    assert!(states[0].number > 1 && states.len() > 10, "{} states from {}", states.len(), states[0].number);
    for state in &states {
        let known = &model[usize::try_from(state.number).unwrap()];
        for (name, text) in known {
            assert_eq!(bench.version(name, state.number).as_ref(), Ok(text), "{name} in {}", state.number);
        }
    }
}

#[test]
fn a_damaged_piece_is_named_and_recording_goes_on() {
    let bench = bench();
    for text in ["1\n", "1\n2\n", "1\n2\n3\n"] {
        bench.record(&[change("a.tab", Some(text))], ROOM);
    }
    let back = bench.piece("a.tab/3.back");
    let good = fs::read(&back).unwrap();
    let check = |bytes: &[u8], reason: &str| {
        fs::write(&back, bytes).unwrap();
        let expected = format!("{}: {reason}; states before it cannot be read", back.display());
        assert_eq!(bench.version("a.tab", 1), Err(expected));
        assert_eq!(bench.version("a.tab", 3), Ok(Some("1\n2\n3\n".into())));
    };
    check(b"", "it has no head line");
    check(&good[..good.len() - 1], "it is cut, or longer than it says");
    check(b"rubbish\n", "its head line is not one");
    check(
        &good.iter().map(|&b| if b == b'k' { b'd' } else { b }).collect::<Vec<_>>(),
        "its head line is not one",
    );
    let mut altered = good.clone();
    let digit = altered.len() - 2;
    altered[digit] ^= 1;
    fs::write(&back, altered).unwrap();
    assert!(bench.version("a.tab", 2).unwrap_err().contains("a.tab/3.back"));
    fs::remove_file(&back).unwrap();
    assert_eq!(bench.version("a.tab", 2), Err("a.tab: its content in state 2 is not known".into()));

    fs::write(bench.piece("a.tab/3.whole"), "rubbish").unwrap();
    bench.version("a.tab", 3).unwrap_err();
    assert_eq!(bench.record(&[change("a.tab", Some("4\n"))], ROOM), Some(4));
    assert_eq!(bench.version("a.tab", 4), Ok(Some("4\n".into())));
    let log = bench.dir.path().join(DIRECTORY).join("log.tab");
    fs::write(&log, [&fs::read(&log).unwrap(), b"\"5\"\t\"cut".as_slice()].concat()).unwrap();
    assert_eq!(bench.history.states().unwrap().len(), 4, "a row that a full disk has cut is none");
    assert_eq!(bench.record(&[change("a.tab", Some("5\n"))], ROOM), Some(5));
    assert_eq!(bench.history.states().unwrap().len(), 5);
}

/// Fails the n-th step from now on, counted from 0, and all after it, as a full disk does.
struct FullFrom(Mutex<usize>);

impl Faults for FullFrom {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        if *left == 0 && !matches!(step, Step::Remove(_)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *left = left.saturating_sub(1);
        Ok(())
    }
}

#[test]
fn a_failure_at_any_step_leaves_the_older_states_and_the_next_recording_works() {
    for step in 0.. {
        let bench = bench();
        bench.record(&[change("a.tab", Some("1\n")), change("b.tab", Some("1\n"))], ROOM);
        let disk = Disk::with_faults(Arc::new(FullFrom(Mutex::new(step))));
        let failing = History::new(&MailRoot::new(bench.dir.path()), disk);
        let lock = failing.lock();
        let changes = [change("a.tab", Some("2\n")), change("b.tab", Some("2\n"))];
        let recorded = lock.and_then(|lock| failing.record(&lock, &changes, "hand", at(1), ROOM));
        assert_eq!(bench.version("a.tab", 1), Ok(Some("1\n".into())), "step {step}");
        assert_eq!(bench.version("b.tab", 1), Ok(Some("1\n".into())), "step {step}");
        let lock = bench.history.lock().unwrap();
        bench.history.recover(&lock, at(2)).unwrap();
        drop(lock);
        bench.record(&[change("a.tab", Some("3\n")), change("b.tab", Some("3\n"))], ROOM);
        let newest = bench.history.states().unwrap().last().unwrap().number;
        assert_eq!(bench.version("b.tab", newest), Ok(Some("3\n".into())), "step {step}");
        assert_eq!(bench.version("b.tab", 1), Ok(Some("1\n".into())), "step {step}");
        if recorded.is_ok() {
            assert!(step > 15, "{step}");
            return;
        }
    }
}

/// Waits until the log has so many states.
#[track_caller]
fn await_states(history: &History, count: usize) -> Vec<State> {
    let begun = Instant::now();
    loop {
        match history.states() {
            Ok(states) if states.len() >= count => return states,
            _ if begun.elapsed() > Duration::from_secs(10) => panic!("{:?}", history.states()),
            _ => std::thread::yield_now(),
        }
    }
}

fn origins(states: &[State]) -> Vec<(&str, Vec<&str>)> {
    let files = |state: &'static State| state.files.iter().map(|file| file.to_str().unwrap()).collect();
    states
        .iter()
        .map(|state| {
            let state: &'static State = Box::leak(Box::new(state.clone()));
            (state.origin.as_str(), files(state))
        })
        .collect()
}

#[test]
fn the_recorder_records_from_when_it_is_switched_on_and_knows_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = MailRoot::new(dir.path());
    let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).unwrap();
    write("domains.tab", "\"a\"\n");
    let tables = Tables::open(&root);
    let history = History::new(&root, Disk::default());
    let recorder = Recorder::start(&tables, Disk::default(), Clock::system()).unwrap();
    write("domains.tab", "\"b\"\n");
    tables.reload_now();
    let editor = Editor::with_tables(&tables, Disk::default());
    assert!(!dir.path().join(".tabmail").exists(), "off until it is switched on");

    write("server.tab", "\"HistoryMaxSize\"\t\"100\"\n");
    tables.reload_now();
    let states = await_states(&history, 1);
    assert_eq!(origins(&states), [("on", vec!["server.tab", "domains.tab"])]);
    with_origin("ctl admin", || editor.append_row(Path::new("domains.tab"), &["c"])).unwrap();
    await_states(&history, 2);
    fs::create_dir_all(dir.path().join("domains/b/u")).unwrap();
    with_origin("ctl root", || editor.set_variable(Path::new("domains/b/u/user.tab"), b"X", Some(b"1")))
        .unwrap();
    await_states(&history, 3);
    write("domains.tab", "\"b\"\n\"c\"\n\"shell\"\n");
    tables.reload_now();
    await_states(&history, 4);
    recorder.stop();
    write("domains.tab", "\"stopped\"\n");
    drop(tables);

    let recorder = Recorder::start(&Tables::open(&root), Disk::default(), Clock::system()).unwrap();
    let states = await_states(&history, 5);
    recorder.stop();
    let expected = [
        ("on", vec!["server.tab", "domains.tab"]),
        ("ctl admin", vec!["domains.tab"]),
        ("ctl root", vec!["domains/b/u/user.tab"]),
        ("hand", vec!["domains.tab"]),
        ("start", vec!["domains.tab"]),
    ];
    assert_eq!(origins(&states), expected);
    assert_eq!(history.version(Path::new("domains/b/u/user.tab"), 2).unwrap(), None, "it was not there");
    assert_eq!(history.version(Path::new("domains.tab"), 2).unwrap(), Some(b"\"b\"\n\"c\"\n".to_vec()));
}
