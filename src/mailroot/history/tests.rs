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

fn text(text: &str) -> Version {
    Some(Arc::new(text.as_bytes().to_owned()))
}

fn change(file: &str, after: Option<&str>) -> Change {
    Change { file: file.into(), before: None, after: after.and_then(text) }
}

impl Bench {
    fn record(&self, changes: &[Change], room: u64) -> Option<u64> {
        let lock = self.history.lock().unwrap();
        self.history.record(&lock, changes, "hand", at(0), room).unwrap()
    }

    fn version(&self, file: &str, number: u64) -> Result<Option<String>, String> {
        let version = self.history.version(Path::new(file), number).map_err(|error| error.to_string())?;
        Ok(version.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
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
    let edit = Change { before: Some(text("old\n")), ..change("a.tab", Some("new\n")) };
    assert_eq!(bench.record(&[edit], ROOM), Some(1));
    assert_eq!(bench.history.version_before(Path::new("a.tab"), 1).unwrap(), Some(text("old\n")));
}

#[test]
fn everything_is_private_and_a_row_of_a_large_table_is_cheap() {
    let bench = bench();
    let table: String = (0..10_000).map(|n| format!("\"d\"\t\"user{n}\"\t\"x\"\n")).collect();
    bench.record(&[change("mailusers.tab", Some(&table))], ROOM * 4);
    let before = bench.size();
    bench.record(&[change("mailusers.tab", Some(&table.replace("user77\"", "other\"")))], ROOM * 4);
    assert!(bench.size() - before < 350, "{}", bench.size() - before);
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

/// A table of so many rows with one that changes; few rows make that one long.
fn table(rows: usize, number: u64) -> String {
    let width = 20_000 / rows;
    let row =
        |n| if n == rows / 2 { format!("\"changed {number:0width$}\"\n") } else { format!("\"row {n}\"\n") };
    (0..rows).map(row).collect()
}

impl Bench {
    /// States `from..=to` of a table, and of another one in every third state.
    fn fill(&self, from: u64, to: u64, rows: usize) {
        for number in from..=to {
            let mut changes = vec![change("a.tab", Some(&table(rows, number)))];
            changes.extend((number % 3 == 0).then(|| change("b.tab", Some(&number.to_string()))));
            assert_eq!(self.record(&changes, ROOM), Some(number));
        }
    }

    /// The states in which the table is not what [`Bench::fill`] made it; an answer that is wrong is none of them.
    #[track_caller]
    fn lost(&self, rows: usize) -> Vec<u64> {
        let states = self.history.states().unwrap();
        let is_lost = |&number: &u64| match self.version("a.tab", number) {
            Ok(found) => {
                assert_eq!(found, Some(table(rows, number)), "state {number}");
                false
            }
            Err(_) => true,
        };
        states.iter().map(|state| state.number).filter(is_lost).collect()
    }

    fn pieces(&self, kind: &str) -> Vec<String> {
        let entries = fs::read_dir(self.piece("a.tab")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(kind));
        names.sort_by_key(|name| name.split('.').next().unwrap().parse::<u64>().unwrap());
        names
    }
}

#[test]
fn a_version_is_kept_whole_after_many_steps_and_both_sides_find_what_is_between() {
    const ROWS: usize = 20_000;
    let bench = bench();
    bench.fill(1, 300, ROWS);
    assert_eq!(bench.pieces("whole"), ["1.whole", "257.whole"]);
    assert_eq!(bench.pieces("step").len(), 299);
    assert!(bench.size() < 800_000, "{}", bench.size());
    // A damaged piece between two whole versions takes nothing with it; nor does one of these two.
    for name in ["1.whole", "2.step", "100.step", "257.step", "257.whole"] {
        let good = fs::read(bench.piece("a.tab").join(name)).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        fs::write(bench.piece("a.tab").join(name), &bad).unwrap();
        let some: [u64; 8] = [1, 2, 3, 99, 100, 256, 257, 300];
        let is_found = |number| bench.version("a.tab", number) == Ok(Some(table(ROWS, number)));
        assert!(some.into_iter().all(is_found), "{name}");
        fs::remove_file(bench.piece("a.tab").join(name)).unwrap();
        assert!(some.into_iter().all(is_found), "{name} removed");
        fs::write(bench.piece("a.tab").join(name), &good).unwrap();
    }
}

#[test]
fn damage_behind_the_newest_whole_version_is_named_and_healed_at_the_next_look() {
    for name in ["1.whole", "5.step", "9.step"] {
        let bench = bench();
        bench.fill(1, 9, 1000);
        let path = bench.piece("a.tab").join(name);
        let good = fs::read(&path).unwrap();
        let middle = good.len() - 4;
        let damages: [(Vec<u8>, &str); 4] = [
            (b"".to_vec(), "it has no head line"),
            (good[..good.len() - 1].to_vec(), "it is cut, or longer than it says"),
            (b"rubbish\n".to_vec(), "its head line is not one"),
            ([&good[..middle], b"#", &good[middle + 1..]].concat(), "its content was altered"),
        ];
        for (bad, reason) in damages {
            fs::write(&path, bad).unwrap();
            let expected = format!("{}: {reason}; what only it leads to cannot be read", path.display());
            assert_eq!(bench.version("a.tab", 9), Err(expected));
        }
        let first = name[..1].parse::<u64>().unwrap();
        assert_eq!(bench.lost(1000), (first..=9).collect::<Vec<_>>(), "{name}");
        // As the recorder does at its start.
        assert_eq!(bench.record(&[change("a.tab", Some(&table(1000, 9)))], ROOM), None);
        if name == "9.step" {
            // What the newest version is was in the piece itself.
            assert_eq!(bench.version("a.tab", 9), Ok(Some(table(1000, 9))));
            continue;
        }
        assert_eq!(bench.lost(1000), [0_u64; 0], "{name}");
        bench.fill(10, 12, 1000);
        assert_eq!(bench.lost(1000), [0_u64; 0], "{name}");
    }
}

#[test]
fn recording_goes_on_where_the_newest_version_is_lost() {
    for name in ["1.whole", "5.step", "9.step"] {
        let bench = bench();
        bench.fill(1, 9, 1000);
        fs::write(bench.piece("a.tab").join(name), "rubbish").unwrap();
        bench.fill(10, 12, 1000);
        let first = name[..1].parse::<u64>().unwrap();
        assert_eq!(bench.lost(1000), (first..=9).collect::<Vec<_>>(), "{name}");
    }
    let bench = bench();
    bench.fill(1, 3, 1000);
    fs::remove_file(bench.piece("a.tab/3.step")).unwrap();
    assert!(bench.version("a.tab", 3).unwrap_err().contains("a.tab/3.step: it is missing"));
    let log = bench.dir.path().join(DIRECTORY).join("log.tab");
    fs::write(&log, [&fs::read(&log).unwrap(), b"\"5\"\t\"cut".as_slice()].concat()).unwrap();
    assert_eq!(bench.history.states().unwrap().len(), 3, "a row that a full disk has cut is none");
    assert_eq!(bench.record(&[change("a.tab", Some("5\n"))], ROOM), Some(4));
    assert_eq!(bench.history.states().unwrap().len(), 4);
}

/// Recorded by the program that wrote no steps: `# a`, `# b` added, the file removed, `# a` and `# c`.
const FIRST_HISTORY: [(&str, &str); 4] = [
    ("2.back", "tabmail-history back 4 eb3f4d600b62537b 14 1\nkeep 1\ndrop 1\n"),
    ("3.back", "tabmail-history whole 8 03ee077c36cc1ed2 8 2\n# a\n# b\n"),
    ("4.back", "tabmail-history gone 0 2d06800538d394c2 0 3\n"),
    ("4.whole", "tabmail-history whole 8 4e5904fb8c25385a 8 0\n# a\n# c\n"),
];

/// What the first histories left: the newest version whole, and ways back.
#[test]
fn a_history_without_steps_is_read_and_continued() {
    let bench = bench();
    let row = |number: u64| format!("\"{number}\"\t\"2026-11-23T18:40:21Z\"\t\"hand\"\t\"a.tab\"\n");
    let log = (1..=4).map(row).collect::<String>();
    fs::create_dir_all(bench.piece("a.tab")).unwrap();
    fs::write(bench.dir.path().join(DIRECTORY).join("log.tab"), log).unwrap();
    for (name, piece) in FIRST_HISTORY {
        fs::write(bench.piece("a.tab").join(name), piece).unwrap();
    }
    let check = |number, expected: Option<&str>| {
        assert_eq!(bench.version("a.tab", number), Ok(expected.map(str::to_owned)), "{number}");
    };
    check(1, Some("# a\n"));
    check(2, Some("# a\n# b\n"));
    check(3, None);
    check(4, Some("# a\n# c\n"));
    assert_eq!(bench.record(&[change("a.tab", Some("# a\n# c\nd\n"))], ROOM), Some(5));
    assert_eq!(bench.record(&[change("a.tab", Some("d\n"))], ROOM), Some(6));
    check(1, Some("# a\n"));
    check(4, Some("# a\n# c\n"));
    check(6, Some("d\n"));
    // Its states are forgotten as others are.
    let room = bench.size() + 250;
    bench.record(&[change("b.tab", Some(&"x".repeat(200)))], room);
    assert!(bench.history.state(1).is_err());
    assert!(bench.size() <= room);
    check(4, Some("# a\n# c\n"));
}

/// Whatever is left of a recording that ends at any step, with states forgotten on the way: every state that is listed
/// is right or was being forgotten, and the next recording works.
#[test]
fn a_failure_at_any_step_with_little_room_never_shows_a_wrong_version() {
    const LITTLE: u64 = 7000;
    for step in 0.. {
        let bench = bench();
        let record = |history: &History, number: u64| {
            let changes = [change("a.tab", Some(&table(100, number)))];
            let lock = history.lock()?;
            history.record(&lock, &changes, "hand", at(1), LITTLE)
        };
        // 1200 bytes whole, and 4096 of steps until the next whole version.
        for number in 1..=8 {
            record(&bench.history, number).unwrap();
        }
        let disk = Disk::with_faults(Arc::new(FailFrom(Mutex::new(step))));
        let failing = History::new(&MailRoot::new(bench.dir.path()), disk);
        let failed = (9..=14).find(|&number| record(&failing, number).is_err());
        // What was just being forgotten may be lost already.
        let is_forgotten = || {
            let listed: Vec<u64> = bench.history.states().unwrap().iter().map(|state| state.number).collect();
            let lost = bench.lost(100);
            listed.starts_with(&lost) && (lost.is_empty() || failed.is_some())
        };
        assert!(is_forgotten(), "step {step}");
        let next = failed.unwrap_or(15);
        // As at the start of a server.
        bench.history.recover(&bench.history.lock().unwrap(), at(2)).unwrap();
        // The state itself may have been recorded before the failure.
        let last = bench.history.states().unwrap().last().unwrap().number;
        for number in next.max(last + 1)..next + 2 {
            record(&bench.history, number).unwrap();
            assert!(bench.size() <= LITTLE);
        }
        assert!(is_forgotten(), "step {step}");
        if failed.is_none() {
            assert!(step > 40, "{step}");
            return;
        }
    }
}

/// Fails the n-th step from now on, counted from 0, and all after it, as the end of the process does.
struct FailFrom(Mutex<usize>);

impl Faults for FailFrom {
    fn before(&self, _: Step<'_>) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        *left = left.checked_sub(1).ok_or(io::ErrorKind::Other)?;
        Ok(())
    }
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
            assert!(step > 8, "{step}");
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
    assert_eq!(history.version(Path::new("domains.tab"), 2).unwrap(), text("\"b\"\n\"c\"\n"));
}
