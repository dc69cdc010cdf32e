use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use jiff::civil::datetime;
use jiff::tz::TimeZone;

use super::*;

fn hours(hours: u32) -> NonZeroU32 {
    NonZeroU32::new(hours).unwrap()
}

fn at(local: &str) -> Zoned {
    local.parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap()
}

/// A MailRoot with a `logs` directory, a clock that tests set, and logs of these kinds that rotate daily.
struct Bench {
    root: tempfile::TempDir,
    now: Arc<Mutex<Zoned>>,
    logs: Logs,
}

impl Bench {
    fn new(enabled: &[LogKind]) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("logs")).unwrap();
        let now = Arc::new(Mutex::new(at("2026-11-23T10:33:05")));
        let hands = now.clone();
        let logs =
            Logs::new(root.path(), move || hands.lock().unwrap().clone(), hours(24), enabled.iter().copied());
        Self { root, now, logs }
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.root.path().join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join("logs").join(name)).unwrap()
    }
}

#[test]
fn lines_look_as_recorded() {
    let bench = Bench::new(&[LogKind::Ctrl]);
    bench.logs.write(LogKind::Ctrl, &[b"127.0.0.1", b"admin", b"", b"2026-11-23 11:37:00", b"REQ"]);
    bench.logs.write(LogKind::Ctrl, &[b"x"]);
    assert_eq!(bench.files(), ["ctrl-202611230000"]);
    assert_eq!(
        bench.text("ctrl-202611230000"),
        "\"127.0.0.1\"\t\"admin\"\t\"\"\t\"2026-11-23 11:37:00\"\t\"REQ\"\n\"x\"\n"
    );
    let path = bench.logs.path(LogKind::Ctrl);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o007, 0);
}

#[test]
fn a_value_cannot_forge_a_line_or_a_column() {
    let check = |value: &[u8], expected: &[u8]| assert_eq!(line(&[value]), expected);
    check(b"a\r\n\"b\"\t\"c\"", b"\"a??\"b\"?\"c\"\"\n");
    check(b"\0\x01\x1b[31m\x7f", b"\"???[31m?\"\n");
    check("gr\u{fc}n \\ ".as_bytes(), "\"gr\u{fc}n \\ \"\n".as_bytes());
    check(b"\xff", b"\"\xff\"\n");
}

#[test]
fn steps_start_at_multiples_of_the_rotation_hours() {
    let check = |local: DateTime, step: u32, expected: DateTime| {
        assert_eq!(step_start(local, hours(step)), expected, "{local} {step}");
    };
    let noon = datetime(2026, 11, 23, 12, 59, 59, 999_999_999);
    check(noon, 24, datetime(2026, 11, 23, 0, 0, 0, 0));
    check(noon, 1, datetime(2026, 11, 23, 12, 0, 0, 0));
    check(noon, 12, datetime(2026, 11, 23, 12, 0, 0, 0));
    // 2026-11-23 is day 20,780: even, so a step of two days starts on it.
    check(noon, 48, datetime(2026, 11, 23, 0, 0, 0, 0));
    check(datetime(2026, 11, 24, 12, 0, 0, 0), 48, datetime(2026, 11, 23, 0, 0, 0, 0));
    // Hour 498,732 of the count = 5 * 99,746 + 2.
    check(noon, 5, datetime(2026, 11, 23, 10, 0, 0, 0));
    check(datetime(1969, 12, 31, 23, 0, 0, 0), 24, datetime(1969, 12, 31, 0, 0, 0, 0));
    check(datetime(2026, 1, 1, 0, 0, 0, 0), u32::MAX, datetime(1970, 1, 1, 0, 0, 0, 0));
}

#[test]
fn a_new_step_is_a_new_file() {
    let bench = Bench::new(&LogKind::ALL);
    bench.logs.write(LogKind::Smtp, &[b"1"]);
    *bench.now.lock().unwrap() = at("2026-11-24T00:00:00");
    bench.logs.clone().write(LogKind::Smtp, &[b"2"]);
    assert_eq!(bench.files(), ["smtp-202611230000", "smtp-202611240000"]);
    assert_eq!(bench.text("smtp-202611240000"), "\"2\"\n");
}

#[test]
fn each_kind_has_its_name_and_its_switch() {
    let bench = Bench::new(&LogKind::ALL);
    LogKind::ALL.iter().for_each(|kind| bench.logs.write(*kind, &[]));
    let names = ["ctrl", "filters", "finger", "imap", "lmail", "pop3", "psync", "smail", "smtp"];
    assert_eq!(bench.files(), names.map(|name| format!("{name}-202611230000")));
    let quiet = Bench::new(&[LogKind::Smail]);
    LogKind::ALL.iter().for_each(|kind| quiet.logs.write(*kind, &[]));
    assert_eq!(quiet.files(), ["smail-202611230000"]);
    assert!(!Logs::none().is_enabled(LogKind::Smtp));
}

#[test]
fn files_may_be_moved_and_the_directory_may_vanish() {
    let bench = Bench::new(&LogKind::ALL);
    let write = |text: &[u8]| bench.logs.write(LogKind::Pop3, &[text]);
    write(b"1");
    let file = bench.logs.path(LogKind::Pop3);
    fs::rename(&file, file.with_extension("old")).unwrap();
    write(b"2");
    assert_eq!(bench.text("pop3-202611230000"), "\"2\"\n");
    let (here, away) = (bench.root.path().join("logs"), bench.root.path().join("away"));
    fs::rename(&here, &away).unwrap();
    write(b"lost");
    assert!(bench.logs.shared.is_failing.load(Ordering::Relaxed));
    fs::rename(&away, &here).unwrap();
    write(b"3");
    assert!(!bench.logs.shared.is_failing.load(Ordering::Relaxed));
    assert_eq!(bench.text("pop3-202611230000"), "\"2\"\n\"3\"\n");
}

#[test]
fn lines_of_many_threads_stay_whole() {
    let bench = Bench::new(&LogKind::ALL);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let logs = bench.logs.clone();
            scope.spawn(move || {
                let column = vec![b'a' + thread; 3000];
                (0..50).for_each(|_| logs.write(LogKind::Smail, &[&column]));
            });
        }
    });
    let text = bench.text("smail-202611230000");
    assert_eq!(text.lines().count(), 400);
    assert!(
        text.lines().all(|line| line.len() == 3002 && line[1..3001].bytes().all(|b| b == line.as_bytes()[1]))
    );
}

#[test]
fn collected_lines_are_written_in_order_at_the_latest_when_the_logs_end() {
    let Bench { root, logs, .. } = Bench::new(&[LogKind::Ctrl, LogKind::Smtp]);
    let logs = logs.buffered();
    for number in 0..500 {
        logs.write(LogKind::Ctrl, &[format!("{number}").as_bytes()]);
    }
    logs.flush();
    let path = root.path().join("logs/ctrl-202611230000");
    let expected: Vec<String> = (0..500).map(|number| format!("\"{number}\"")).collect();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().collect::<Vec<_>>(), expected);
    // Moved away: the next line makes a new file.
    fs::rename(&path, root.path().join("old")).unwrap();
    logs.write(LogKind::Ctrl, &[b"last"]);
    logs.write(LogKind::Smtp, &[b"other"]);
    drop(logs);
    assert_eq!(fs::read_to_string(&path).unwrap(), "\"last\"\n");
    assert_eq!(fs::read_to_string(root.path().join("logs/smtp-202611230000")).unwrap(), "\"other\"\n");
}
