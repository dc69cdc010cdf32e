use super::*;

struct Bench {
    dir: tempfile::TempDir,
    history: History,
}

impl Bench {
    /// Three states of two tables.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(&MailRoot::new(dir.path()), Disk::default());
        let bench = Self { dir, history };
        bench.write("server.tab", "\"HistoryMaxSize\"\t\"1000\"\n");
        bench.state(
            "on",
            &[("server.tab", "\"HistoryMaxSize\"\t\"1000\"\n"), ("domains.tab", "\"a\"\n\"b\"\n")],
        );
        bench.state(
            "ctl admin",
            &[("domains.tab", "\"a\"\n\"b\"\n\"c\"\n"), ("aliases.tab", "\"a\"\t\"x\"\t\"y\"\n")],
        );
        bench.state("hand", &[("domains.tab", "\"a\"\n\"C\"\n")]);
        bench
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.dir.path().join(file), text).unwrap();
    }

    fn state(&self, origin: &str, files: &[(&str, &str)]) {
        let change = |(file, text): &(&str, &str)| {
            self.write(file, text);
            Change { file: file.into(), before: None, after: Some(Arc::new(text.as_bytes().to_owned())) }
        };
        let changes: Vec<Change> = files.iter().map(change).collect();
        let time = "2026-11-23T15:00:00Z".parse().unwrap();
        let lock = self.history.lock().unwrap();
        self.history.record(&lock, &changes, origin, time, 1 << 20).unwrap().unwrap();
    }

    fn root(&self) -> Root {
        Root { mail_root: Some(self.dir.path().to_owned()) }
    }

    fn log(&self) -> String {
        printed(|out| Log { root: self.root(), file: None, count: None }.run(out))
    }

    fn content(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join(file)).ok()
    }

    fn rollback(&self, number: u64, files: &[&str], dry_run: bool) -> String {
        let files = files.iter().map(PathBuf::from).collect();
        printed(|out| Rollback { root: self.root(), number, files, dry_run }.run(out))
    }
}

#[track_caller]
fn printed(run: impl FnOnce(&mut Vec<u8>) -> Result<(), HistoryCommandError>) -> String {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const LOG: &str = concat!(
    "    3  2026-11-23 15:00:00 UTC  hand            domains.tab\n",
    "    2  2026-11-23 15:00:00 UTC  ctl admin       domains.tab, aliases.tab\n",
    "    1  2026-11-23 15:00:00 UTC  on              server.tab, domains.tab\n",
);

#[test]
fn states_are_listed_newest_first() {
    let bench = Bench::new();
    assert_eq!(bench.log(), LOG);
    let file = Some(bench.dir.path().join("aliases.tab"));
    let one = printed(|out| Log { root: bench.root(), file, count: None }.run(out));
    assert_eq!(one, LOG.lines().nth(1).unwrap().to_owned() + "\n");
    let newest = printed(|out| Log { root: bench.root(), file: None, count: Some(1) }.run(out));
    assert_eq!(newest, LOG.lines().next().unwrap().to_owned() + "\n");
}

#[test]
fn a_state_is_shown_as_its_changed_rows() {
    let bench = Bench::new();
    let show = |number, file: Option<&str>| {
        printed(|out| Show { root: bench.root(), number, file: file.map(PathBuf::from) }.run(out))
    };
    let head = "state 3  2026-11-23T15:00:00Z  hand\n\n--- domains.tab\n+++ domains.tab\n";
    assert_eq!(show(3, None), format!("{head}@@ -2,2 +2 @@\n-\"b\"\n-\"c\"\n+\"C\"\n"));
    assert!(show(1, None).ends_with("domains.tab: first recorded, 8 bytes (--file shows them)\n"));
    assert_eq!(show(2, Some("./domains.tab")), "\"a\"\n\"b\"\n\"c\"\n");
    let error = Show { root: bench.root(), number: 7, file: None }.run(&mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "there is no state 7; states 1 to 3 are kept");
}

#[test]
fn a_rollback_shows_writes_and_is_a_state_that_can_be_undone() {
    let bench = Bench::new();
    let diff = "\n--- domains.tab\n+++ domains.tab\n@@ -2 +2,2 @@\n-\"C\"\n+\"b\"\n+\"c\"\n";
    assert_eq!(bench.rollback(2, &[], true), format!("{diff}nothing was changed (--dry-run)\n"));
    assert_eq!(
        (bench.log().as_str(), bench.content("domains.tab").unwrap().as_str()),
        (LOG, "\"a\"\n\"C\"\n")
    );
    assert_eq!(bench.rollback(2, &[], false), format!("{diff}\nas in state 2: domains.tab, now state 4\n"));
    assert_eq!(bench.content("domains.tab").unwrap(), "\"a\"\n\"b\"\n\"c\"\n");
    assert!(bench.log().lines().next().unwrap().ends_with("rollback 2      domains.tab"), "{}", bench.log());
    assert_eq!(bench.rollback(2, &[], false), "nothing to change\n");
    // What nobody has recorded yet is recorded before it is replaced.
    bench.write("domains.tab", "\"unrecorded\"\n");
    bench.rollback(3, &["domains.tab"], false);
    assert_eq!(bench.content("domains.tab").unwrap(), "\"a\"\n\"C\"\n");
    let unrecorded = bench.history.version(Path::new("domains.tab"), 5).unwrap();
    assert_eq!(unrecorded, Some(Arc::new(b"\"unrecorded\"\n".to_vec())));
    assert_eq!(bench.history.states().unwrap().last().unwrap().number, 6);
    let error = Rollback { root: bench.root(), number: 1, files: vec!["aliases.tab".into()], dry_run: false };
    let error = error.run(&mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "aliases.tab: its content in state 1 is not known");
}

#[test]
fn a_table_that_was_not_there_goes_again() {
    let bench = Bench::new();
    let change =
        Change { file: "new.tab".into(), before: Some(None), after: Some(Arc::new(b"x\n".to_vec())) };
    bench.write("new.tab", "x\n");
    let lock = bench.history.lock().unwrap();
    bench.history.record(&lock, &[change], "hand", Clock::system().now(), 1 << 20).unwrap();
    drop(lock);
    assert!(bench.rollback(3, &[], false).contains("+++ new.tab  (no file)\n"));
    assert_eq!(bench.content("new.tab"), None);
    bench.rollback(4, &["new.tab"], false);
    assert_eq!(bench.content("new.tab").unwrap(), "x\n");
}

#[test]
fn without_a_history_it_is_said_how_to_have_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root { mail_root: Some(dir.path().to_owned()) };
    let error = Log { root, file: None, count: None }.run(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.ends_with("no history; it is switched on by HistoryMaxSize in server.tab (kB)"), "{error}");
}
