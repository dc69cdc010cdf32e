mod editors;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::mailroot::problem::ProblemKind;
use crate::mailroot::{MailRoot, Snapshot};

/// Far beyond anything a test waits for.
const NEVER: Duration = Duration::from_secs(3600);

const BY_NOTICES: Means = Means { notices: true, restat_interval: NEVER };
const BY_RESTAT: Means = Means { notices: false, restat_interval: Duration::from_millis(20) };

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    dir: tempfile::TempDir,
    tables: Tables,
    announced: tokio::sync::watch::Receiver<u64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A MailRoot with one table, being watched. Needs a runtime.
fn bench(content: &str, means: Means) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("domains.tab"), content).unwrap();
    let tables = Tables::open(&MailRoot::new(dir.path()));
    let announced = tables.subscribe();
    let stop = CancellationToken::new();
    let task = watch_with(tables.clone(), stop.clone(), means);
    Bench { dir, tables, announced, stop, task }
}

impl Bench {
    fn path(&self) -> PathBuf {
        self.dir.path().join("domains.tab")
    }

    /// Waits for announcements until the snapshot is as wanted. Never looks at a file itself.
    async fn until(&mut self, wanted: impl Fn(&Snapshot) -> bool) {
        let waiting = async {
            while !wanted(&self.tables.current()) {
                self.announced.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the change is never announced");
    }
}

fn domains(snapshot: &Snapshot) -> Vec<String> {
    snapshot.domains.rows().iter().map(|row| row.domain.to_string()).collect()
}

#[tokio::test]
async fn an_edit_becomes_visible_by_a_notice() {
    let mut bench = bench("\"a\"\n", BY_NOTICES);
    fs::write(bench.path(), "\"a\"\n\"b\"\n").unwrap();
    bench.until(|now| domains(now) == ["a", "b"]).await;
    fs::OpenOptions::new().append(true).open(bench.path()).unwrap().write_all(b"\"c\"\n").unwrap();
    bench.until(|now| domains(now) == ["a", "b", "c"]).await;
}

#[tokio::test]
async fn an_edit_becomes_visible_without_notices() {
    let mut bench = bench("\"a\"\n", BY_RESTAT);
    fs::write(bench.path(), "\"b\"\n").unwrap();
    bench.until(|now| domains(now) == ["b"]).await;
}

#[tokio::test]
async fn a_table_that_appears_is_seen() {
    let mut bench = bench("\"a\"\n", BY_NOTICES);
    fs::write(bench.dir.path().join("aliasdomain.tab"), "\"x\"\t\"a\"\n").unwrap();
    bench.until(|now| now.alias_domains.get("x").is_some()).await;
}

#[tokio::test]
async fn a_file_renamed_over_a_table_is_seen_each_time() {
    for means in [BY_NOTICES, BY_RESTAT] {
        let mut bench = bench("\"a\"\n", means);
        for name in ["b", "c"] {
            let new = bench.dir.path().join("domains.tab.new");
            fs::write(&new, format!("\"{name}\"\n")).unwrap();
            fs::rename(&new, bench.path()).unwrap();
            bench.until(|now| domains(now) == [name]).await;
        }
    }
}

#[tokio::test]
async fn a_table_that_becomes_a_directory_keeps_its_rows_and_is_reported() {
    let mut bench = bench("\"a\"\n", BY_NOTICES);
    fs::rename(bench.path(), bench.dir.path().join("aside")).unwrap();
    fs::create_dir(bench.path()).unwrap();
    bench.until(|now| now.domains.is_unreadable()).await;
    let now = bench.tables.current();
    assert_eq!(domains(&now), ["a"]);
    let kinds: Vec<_> = now.domains.problems().iter().map(|problem| &problem.kind).collect();
    assert!(matches!(kinds[..], [ProblemKind::Unreadable(_)]), "{kinds:?}");

    fs::remove_dir(bench.path()).unwrap();
    fs::rename(bench.dir.path().join("aside"), bench.path()).unwrap();
    bench.until(|now| !now.domains.is_unreadable()).await;
    assert_eq!(domains(&bench.tables.current()), ["a"]);
}

#[tokio::test]
async fn a_bad_row_keeps_the_old_table_until_it_is_repaired() {
    let mut bench = bench("\"a\"\n", BY_NOTICES);
    fs::write(bench.path(), b"\"a\"\n\"\xff\"\n\"b\"\n").unwrap();
    bench.until(|now| now.domains.is_rejected()).await;
    assert_eq!(domains(&bench.tables.current()), ["a"]);
    let problems: Vec<_> = bench.tables.current().problems().map(ToString::to_string).collect();
    assert_eq!(problems, ["domains.tab:2:1: is not UTF-8; the row is ignored"]);
    fs::write(bench.path(), b"\"a\"\n\"b\"\n").unwrap();
    bench.until(|now| domains(now) == ["a", "b"]).await;
    assert_eq!(bench.tables.current().problems().count(), 0);
}

#[tokio::test]
async fn a_table_being_rewritten_in_place_is_never_seen_empty() {
    // On a busy machine the rewriting may take longer than a half-written file is waited for; then it is repeated.
    for _ in 0..20 {
        let mut bench = bench("\"a\"\n", BY_RESTAT);
        let begun = std::time::Instant::now();
        let mut file = fs::File::create(bench.path()).unwrap();
        let truncated = domains(&bench.tables.fresh());
        file.write_all(b"\"b\"\n\"c").unwrap();
        let unfinished = domains(&bench.tables.fresh());
        file.write_all(b"\"\n").unwrap();
        if begun.elapsed() < QUIET {
            assert_eq!((truncated, unfinished), (vec!["a".to_owned()], vec!["a".to_owned()]));
            bench.until(|now| domains(now) == ["b", "c"]).await;
            assert_eq!(bench.tables.current().generation(), 2, "nothing was announced in between");
            return;
        }
    }
    panic!("the rewriting is never quick enough");
}

#[tokio::test]
async fn a_table_that_stays_without_line_end_empty_or_gone_is_taken_after_a_while() {
    for means in [BY_NOTICES, BY_RESTAT] {
        let mut bench = bench("\"a\"\n", means);
        fs::write(bench.path(), "\"b\"").unwrap();
        bench.until(|now| domains(now) == ["b"]).await;
        let aliases = bench.dir.path().join("aliasdomain.tab");
        fs::write(&aliases, "\"x\"\t\"b\"\n").unwrap();
        bench.until(|now| now.alias_domains.get("x").is_some()).await;
        fs::write(&aliases, "").unwrap();
        bench.until(|now| now.alias_domains.rows().is_empty()).await;
        assert!(bench.tables.current().alias_domains.exists());
        fs::write(&aliases, "\"y\"\t\"b\"\n").unwrap();
        bench.until(|now| now.alias_domains.get("y").is_some()).await;
        fs::remove_file(&aliases).unwrap();
        bench.until(|now| !now.alias_domains.exists()).await;
        assert!(bench.tables.current().alias_domains.rows().is_empty());
    }
}

#[tokio::test]
async fn a_touched_table_is_not_announced() {
    let mut bench = bench("\"a\"\n", BY_NOTICES);
    fs::write(bench.path(), "\"a\"\n").unwrap();
    bench.tables.fresh();
    assert_eq!(bench.tables.current().generation(), 1);
    fs::write(bench.path(), "\"b\"\n").unwrap();
    bench.until(|now| domains(now) == ["b"]).await;
    assert_eq!(bench.tables.current().generation(), 2);
}

#[tokio::test]
async fn the_watch_ends_when_told() {
    let bench = bench("\"a\"\n", BY_NOTICES);
    bench.stop.cancel();
    tokio::time::timeout(PATIENCE, bench.task).await.expect("stops").expect("without a panic");
}

#[tokio::test(start_paused = true)]
async fn hints_postpone_a_look_by_a_pause_and_not_for_ever() {
    let hints = Notify::new();
    let begun = Instant::now();
    until_quiet(&hints).await;
    assert_eq!(begun.elapsed(), HINTS_QUIET);

    let begun = Instant::now();
    tokio::select! {
        () = until_quiet(&hints) => {}
        () = async { loop { hints.notify_one(); sleep(HINTS_QUIET / 2).await; } } => {}
    }
    assert_eq!(begun.elapsed(), POSTPONED_MAX);
}

#[test]
fn only_changes_of_tables_are_hints() {
    use notify::event::{CreateKind, Flag, ModifyKind};
    let check = |kind: EventKind, path: &str, expected: bool| {
        assert_eq!(is_hint(&Event::new(kind).add_path(path.into())), expected, "{kind:?} {path}");
    };
    check(EventKind::Create(CreateKind::File), "/m/server.tab", true);
    check(EventKind::Modify(ModifyKind::Any), "/m/server.tab", true);
    check(EventKind::Access(AccessKind::Close(AccessMode::Write)), "/m/server.tab", true);
    check(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/m/server.tab", false);
    check(EventKind::Modify(ModifyKind::Any), "/m/message.id", false);
    assert!(is_hint(&Event::new(EventKind::Other).set_flag(Flag::Rescan)));
}
