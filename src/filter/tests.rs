//! Real programs: `/bin/sh` with a script in its arguments.

use std::path::Path;

use super::*;

fn subject(stage: Stage) -> Subject {
    Subject {
        stage,
        sender: "a@far.test".to_owned(),
        recipient: "b@home.test".to_owned(),
        local: "127.0.0.1".parse().unwrap(),
        remote: "::ffff:192.0.2.7".parse().unwrap(),
        is_authenticated: false,
        is_white_listed: false,
    }
}

fn shell(script: &str) -> FilterProgramRow {
    let args = ["-c", script, "sh"].map(BString::from).into();
    FilterProgramRow { line: 1, flags: FilterFlags::default(), program: "/bin/sh".into(), args }
}

struct Bench {
    root: tempfile::TempDir,
    filters: Filters,
}

impl Bench {
    fn new(time_limit: Duration) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("logs")).unwrap();
        let clock = Clock::manual("2026-11-23T11:09:48Z".parse().unwrap());
        let now = clock.clone();
        let hours = 24.try_into().unwrap();
        let logs = Logs::new(root.path(), move || now.zoned(), hours, [LogKind::Filters]);
        Self { filters: Filters::new(logs, clock, Limits { time_limit, queue_programs_max: 1 }), root }
    }

    async fn run(&self, row: &FilterProgramRow, subject: &Subject) -> Ran {
        self.filters.run(row, subject, |name| (name == "FROM").then(|| "a@far.test".into())).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join("logs/filters-202611230000")).unwrap_or_default()
    }
}

async fn check(row: FilterProgramRow, expected: Ran, numbers: &str) {
    let bench = Bench::new(Duration::from_millis(300));
    assert_eq!(bench.run(&row, &subject(Stage::In)).await, expected, "{row:?}");
    assert!(bench.log().contains(&format!("\"in\"\t\"\"\t{numbers}\t")), "{}", bench.log());
}

#[tokio::test]
async fn only_a_program_that_ends_by_itself_decides() {
    use Undecided::{Crashed, NotStarted, TimedOut};
    check(shell("exit 0"), Ran::Decided(Verdict::of(0)), "\"0\"\t\"0\"").await;
    check(shell("exit 22"), Ran::Decided(Verdict::of(22)), "\"0\"\t\"22\"").await;
    check(shell("exit 255"), Ran::Undecided(NotStarted), "\"-114\"\t\"-1\"").await;
    check(shell("kill -SEGV $$"), Ran::Undecided(Crashed), "\"0\"\t\"-1\"").await;
    check(shell("sleep 60; :"), Ran::Undecided(TimedOut), "\"-5\"\t\"-1\"").await;
    let missing = FilterProgramRow { program: "/no/such/filter".into(), ..shell("") };
    check(missing, Ran::Undecided(NotStarted), "\"-114\"\t\"-1\"").await;
}

#[tokio::test]
async fn the_log_has_the_recordings_columns() {
    let bench = Bench::new(TIME_LIMIT);
    let words = FilterProgramRow {
        program: "/bin/true".into(),
        args: ["in", "from=$(FROM)", "@@NONE"].map(BString::from).into(),
        ..shell("")
    };
    bench.run(&words, &subject(Stage::PostRcpt)).await;
    let columns = "\"a@far.test\"\t\"b@home.test\"\t\"127.0.0.1\"\t\"192.0.2.7\"\t\"2026-11-23 11:09:48\"\t";
    let command = "\"/bin/true;in;from=a@far.test;;\"";
    assert_eq!(bench.log(), format!("{columns}\"post-rcpt\"\t\"\"\t\"0\"\t\"0\"\t{command}\n"));
}

/// Golden `filter_flags`: the words of a skipped row are not expanded.
#[tokio::test]
async fn flags_skip_rows() {
    let bench = Bench::new(TIME_LIMIT);
    let both = FilterFlags { skip_authenticated: true, skip_white_listed: true, time_limit: None };
    let row = FilterProgramRow { flags: both, args: vec!["$(FROM)".into()], ..shell("") };
    let plain = subject(Stage::PreData);
    let authenticated = Subject { is_authenticated: true, is_white_listed: true, ..plain.clone() };
    let white_listed = Subject { is_white_listed: true, ..plain.clone() };
    assert_eq!(bench.run(&row, &authenticated).await, Ran::Skipped);
    assert_eq!(bench.run(&row, &white_listed).await, Ran::Skipped);
    assert!(matches!(bench.run(&row, &plain).await, Ran::Decided(_)));
    let log = bench.log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].ends_with("\"EXCL\"\t\"-1\"\t\"-1\"\t\"/bin/sh;$(FROM);\""), "{log}");
    assert!(lines[1].contains("\t\"WLISTED\"\t\"-1\"\t\"-1\"\t"), "{log}");
    assert!(lines[2].ends_with("\"/bin/sh;a@far.test;\""), "{log}");
}

/// Decision 40, also for children that ignore what happens to their parent.
#[tokio::test]
async fn the_row_sets_the_time_and_children_die() {
    let bench = Bench::new(TIME_LIMIT);
    let fifo = bench.root.path().join("alive");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let script = format!("(trap '' HUP TERM; exec 9>{}; sleep 60) & wait", fifo.display());
    let mut row = shell(&script);
    row.flags.time_limit = Some(Duration::from_millis(300));
    let reader = tokio::task::spawn_blocking(move || read_to_end(&fifo));
    assert_eq!(bench.run(&row, &subject(Stage::Out)).await, Ran::Undecided(Undecided::TimedOut));
    // The pipe ends when its last writer, the child's child, is dead.
    assert_eq!(reader.await.unwrap(), b"");
}

fn read_to_end(fifo: &Path) -> Vec<u8> {
    std::fs::read(fifo).unwrap()
}

/// One program of a queue stage at once here; the other stages do not wait for it.
#[tokio::test]
async fn queue_stages_take_turns() {
    let bench = Bench::new(TIME_LIMIT);
    let path = |name: &str| bench.root.path().join(name).display().to_string();
    let made = std::process::Command::new("mkfifo").arg(path("a")).status().unwrap();
    assert!(made.success());
    // Ends only when somebody reads the pipe.
    let first = shell(&format!("echo > {}", path("a")));
    let second = shell(&format!("touch {}", path("second")));
    let ends = shell("exit 0");
    let (inbound, outbound, session) = (subject(Stage::In), subject(Stage::Out), subject(Stage::PreData));
    let first = bench.run(&first, &inbound);
    let second_run = bench.run(&second, &inbound);
    tokio::pin!(first, second_run);
    tokio::select! {
        biased;
        _ = &mut first => unreachable!("nobody reads"),
        _ = &mut second_run => unreachable!("is not its turn"),
        ran = bench.run(&ends, &outbound) => assert!(matches!(ran, Ran::Decided(_))),
    }
    bench.run(&ends, &session).await;
    assert!(!bench.root.path().join("second").exists());
    let pipe = PathBuf::from(path("a"));
    let reader = tokio::task::spawn_blocking(move || read_to_end(&pipe));
    assert!(matches!(first.await, Ran::Decided(_)));
    assert!(matches!(second_run.await, Ran::Decided(_)));
    assert!(bench.root.path().join("second").exists());
    reader.await.unwrap();
}

#[test]
fn filter_missing_is_a_word() {
    for (text, expected) in
        [("", false), ("\"FilterMissing\"\t\"pass\"\n", false), ("\"FilterMissing\"\t\"TempFail\"\n", true)]
    {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("server.tab"), text).unwrap();
        let root = crate::mailroot::MailRoot::new(directory.path());
        let snapshot = crate::mailroot::Snapshot::load(&root);
        assert_eq!(undecided_is_tempfail(&snapshot.server), expected, "{text}");
    }
}
