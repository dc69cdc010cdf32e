use std::fs;
use std::io;

use super::*;
use crate::mailroot::schema::{self, Kind, Text, variable};
use crate::mailroot::{ProblemKind, UserTab};

struct Bench {
    dir: tempfile::TempDir,
    tables: Tables,
}

/// A MailRoot with this `domains.tab`.
fn bench(domains: &str) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("domains.tab"), domains).unwrap();
    let tables = Tables::open(&MailRoot::new(dir.path()));
    Bench { dir, tables }
}

impl Bench {
    fn write(&self, file: &str, content: &str) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn domains(&self) -> Vec<String> {
        self.tables.current().domains.rows().iter().map(|row| row.domain.to_string()).collect()
    }

    fn user_tab(&self) -> Loaded<UserTab> {
        self.tables.current().file(Path::new(USER_TAB))
    }
}

const USER_TAB: &str = "domains/d/u/user.tab";

/// Looks again until it is so, without sleeping.
#[track_caller]
fn until(wanted: impl Fn() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never becomes so");
        std::thread::yield_now();
    }
}

#[test]
fn writes_of_the_same_size_within_one_clock_tick_are_all_seen() {
    let bench = bench("\"a\"\n");
    for round in 0..300_u32 {
        let name = if round % 2 == 0 { "b" } else { "a" };
        bench.write("domains.tab", &format!("\"{name}\"\n"));
        bench.tables.fresh();
        assert_eq!(bench.domains(), [name], "round {round}");
    }
}

#[test]
fn sighup_takes_an_unfinished_table_as_it_stands() {
    let bench = bench("\"a\"\n");
    bench.write("domains.tab", "\"b\"\n\"c\"");
    bench.tables.reload_now();
    assert_eq!(bench.domains(), ["b", "c"]);
    bench.write("aliasdomain.tab", "\"x\"\t\"b\"\n");
    bench.tables.reload_now();
    fs::remove_file(bench.dir.path().join("aliasdomain.tab")).unwrap();
    bench.tables.reload_now();
    let now = bench.tables.current();
    assert!(!now.alias_domains.exists() && now.alias_domains.rows().is_empty());
}

#[test]
fn a_table_that_comes_and_goes_is_waited_for_anew() {
    let bench = bench("\"a\"\n");
    let path = bench.dir.path().join("domains.tab");
    let aside = bench.dir.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    bench.tables.fresh();
    assert!(bench.tables.current().is_unsettled());
    fs::rename(&aside, &path).unwrap();
    bench.tables.fresh();
    assert_eq!(bench.domains(), ["a"]);
    assert_eq!(bench.tables.status()[1].state, TableState::Live);
    assert_eq!(bench.tables.current().generation(), 1, "nothing became different");
}

#[test]
fn a_settled_table_is_not_read_again() {
    let bench = bench("\"a\"\n");
    until(|| !bench.tables.fresh().is_unsettled());
    let before = bench.tables.current();
    assert!(Arc::ptr_eq(&before, &bench.tables.fresh()));
}

#[test]
fn an_edit_gives_a_new_generation_and_forgets_the_index() {
    let bench = bench("\"a\"\n");
    bench.write("tabindex/domains-00.hdx", "x");
    bench.write("tabindex/aliases-0001.hdx", "x");
    let before = bench.tables.current();
    bench.write("domains.tab", "\"b\"\n");
    let after = bench.tables.fresh();
    assert_eq!((before.generation(), after.generation()), (1, 2));
    assert!(before.domains.get("a").is_some(), "a snapshot never changes");
    assert!(!bench.dir.path().join("tabindex/domains-00.hdx").exists());
    assert!(bench.dir.path().join("tabindex/aliases-0001.hdx").exists());
}

#[test]
fn an_unreadable_table_keeps_its_rows_until_it_is_readable_again() {
    let bench = bench("\"a\"\n\"a\"\n");
    let problems = || bench.tables.current().problems().map(|p| p.kind.clone()).collect::<Vec<_>>();
    assert_eq!(problems(), [ProblemKind::Duplicate { first: 1 }]);
    let path = bench.dir.path().join("domains.tab");
    fs::rename(&path, bench.dir.path().join("aside")).unwrap();
    fs::create_dir(&path).unwrap();
    bench.tables.fresh();
    assert_eq!(problems(), [ProblemKind::Unreadable(io::ErrorKind::IsADirectory)]);
    assert_eq!(bench.domains(), ["a"]);
    fs::remove_dir(&path).unwrap();
    fs::rename(bench.dir.path().join("aside"), &path).unwrap();
    bench.tables.fresh();
    assert_eq!(problems(), [ProblemKind::Duplicate { first: 1 }], "the old findings are back");
}

#[test]
fn files_of_accounts_are_looked_at_when_they_are_used() {
    let bench = bench("");
    assert!(!bench.user_tab().exists());
    bench.write(USER_TAB, "\"A\"\t\"1\"\n");
    assert_eq!(bench.user_tab().text(&variable_a()), Some("1"));
    bench.write(USER_TAB, "\"A\"\t\"2\"\n");
    assert_eq!(bench.user_tab().text(&variable_a()), Some("2"));
    fs::remove_file(bench.dir.path().join(USER_TAB)).unwrap();
    until(|| !bench.user_tab().exists());
    assert!(bench.user_tab().rows().is_empty());
    fs::create_dir(bench.dir.path().join(USER_TAB)).unwrap();
    assert!(bench.user_tab().is_unreadable());
}

#[test]
fn an_account_file_being_rewritten_is_not_seen_empty() {
    let bench = bench("");
    // On a busy machine the two steps may take longer than a half-written file is waited for; then again.
    for _ in 0..20 {
        bench.write(USER_TAB, "\"A\"\t\"1\"\n");
        bench.tables.edited(Path::new(USER_TAB));
        assert_eq!(bench.user_tab().text(&variable_a()), Some("1"));
        let begun = Instant::now();
        bench.write(USER_TAB, "");
        let seen = bench.user_tab();
        if begun.elapsed() < QUIET {
            assert_eq!(seen.text(&variable_a()), Some("1"));
            bench.tables.reload_now();
            assert_eq!(bench.user_tab().text(&variable_a()), None);
            return;
        }
    }
    panic!("the rewriting is never quick enough");
}

#[test]
fn every_root_table_is_described() {
    let described = |name: &&str| schema::table::of_file(Path::new(name)).is_some();
    assert!(ROOT_TABLES.iter().all(described));
}

/// The variable that these tests write.
fn variable_a() -> Text {
    variable::text("A", Kind::Text, "")
}
