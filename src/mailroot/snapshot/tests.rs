use std::fs;
use std::io;
use std::path::PathBuf;

use super::*;
use crate::mailroot::schema::{self, Kind, Text, variable};
use crate::mailroot::{ProblemKind, UserTab, made};

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
        made::write(self.dir.path(), file, content);
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
    assert_eq!(bench.user_tab().value(&variable_a()), Some("1".into()));
    bench.write(USER_TAB, "\"A\"\t\"2\"\n");
    assert_eq!(bench.user_tab().value(&variable_a()), Some("2".into()));
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
        assert_eq!(bench.user_tab().value(&variable_a()), Some("1".into()));
        let begun = Instant::now();
        bench.write(USER_TAB, "");
        let seen = bench.user_tab();
        if begun.elapsed() < QUIET {
            assert_eq!(seen.value(&variable_a()), Some("1".into()));
            bench.tables.reload_now();
            assert_eq!(bench.user_tab().value(&variable_a()), None);
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

/// Rows of accounts, 60 bytes each.
fn users(count: usize) -> String {
    (0..count)
        .map(|n| format!("\"d.test\"\t\"user{n}\"\t\"1d08040c09\"\t{}\t\"user{n}\"\t\"U\"\n", n + 1))
        .collect()
}

impl Bench {
    fn path(&self, file: &str) -> std::path::PathBuf {
        self.dir.path().join(file)
    }

    /// Writes aside and renames, as most editors do.
    fn rename_over(&self, file: &str, content: &[u8]) {
        let aside = self.path("aside.new");
        fs::write(&aside, content).unwrap();
        fs::rename(&aside, self.path(file)).unwrap();
    }

    fn status(&self, file: &str) -> TableStatus {
        self.tables.status().into_iter().find(|status| status.file == Path::new(file)).unwrap()
    }

    /// The state of a table after a look, with its problems as texts.
    fn look(&self, file: &str) -> (TableState, Vec<String>) {
        self.tables.fresh();
        let status = self.status(file);
        (status.state, status.problems.iter().map(ToString::to_string).collect())
    }

    /// Looks until the table is in this state.
    #[track_caller]
    fn until_state(&self, file: &str, state: TableState) {
        until(|| self.look(file).0 == state);
    }
}

#[test]
fn a_version_with_an_error_is_rejected_and_the_repaired_one_taken() {
    let bench = bench("");
    bench.rename_over("aliases.tab", b"\"d\"\t\"a\"\t\"x\"\n");
    bench.tables.fresh();
    let generation = bench.tables.current().generation();
    bench.rename_over("aliases.tab", b"\"d\"\t\"a\"\t\"y\"\n\"d\"\t\"b\"\n");
    let expected =
        (TableState::Rejected, vec!["aliases.tab:2: needs 3 columns, has 2; the row is ignored".into()]);
    assert_eq!(bench.look("aliases.tab"), expected);
    let now = bench.tables.current();
    assert_eq!(now.aliases.get("d", "a").map(|row| &*row.target), Some("x"));
    assert_eq!(now.generation(), generation + 1, "the rejection is announced");
    let on_disk = now.as_on_disk();
    assert_eq!(on_disk.aliases.get("d", "a").map(|row| &*row.target), Some("y"), "what the file says");
    assert!(std::ptr::eq(&*on_disk.pop3_links, &*now.pop3_links), "what is as on the disk is not read again");
    assert_eq!(bench.tables.rejection(Path::new("aliases.tab")).map(|problem| problem.line), Some(2));
    bench.rename_over("aliases.tab", b"\"d\"\t\"a\"\t\"y\"\n\"d\"\t\"b\"\n");
    bench.tables.fresh();
    assert_eq!(bench.tables.current().generation(), generation + 1, "the same fault again is no news");
    bench.rename_over("aliases.tab", b"\"d\"\t\"a\"\t\"y\"\n");
    assert_eq!(bench.look("aliases.tab"), (TableState::Live, vec![]));
    assert_eq!(bench.tables.current().aliases.get("d", "a").map(|row| &*row.target), Some("y"));
    assert!(bench.tables.rejection(Path::new("aliases.tab")).is_none());
}

#[test]
fn an_old_error_hinders_no_edit_and_a_second_one_does() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("aliases.tab"), "\"d\"\t\"a\"\t\"x\"\nshort\n").unwrap();
    let tables = Tables::open(&MailRoot::new(dir.path()));
    let bench = Bench { dir, tables };
    assert!(bench.tables.current().aliases.get("d", "a").is_some(), "at the start what is usable is taken");
    bench.rename_over("aliases.tab", b"\"d\"\t\"b\"\t\"x\"\n\n\nshort\n");
    assert_eq!(bench.look("aliases.tab").0, TableState::Live);
    assert!(bench.tables.current().aliases.get("d", "b").is_some());
    bench.rename_over("aliases.tab", b"\"d\"\t\"c\"\t\"x\"\nshort\nshort\n");
    assert_eq!(bench.look("aliases.tab").0, TableState::Rejected);
}

#[test]
fn sighup_rejects_and_force_takes() {
    let bench = bench("");
    bench.rename_over("aliases.tab", b"\"d\"\t\"a\"\t\"x\"\n");
    bench.tables.fresh();
    bench.rename_over("aliases.tab", b"\"d\"\t\"b\"\t\"x\"\nshort");
    bench.tables.reload_now();
    assert_eq!(bench.status("aliases.tab").state, TableState::Rejected);
    bench.tables.force();
    assert_eq!(bench.status("aliases.tab").state, TableState::Live);
    assert!(bench.tables.current().aliases.get("d", "b").is_some());
}

#[test]
fn tables_without_which_no_mail_is_taken_do_not_vanish() {
    for content in [None, Some("")] {
        let bench = bench("\"a\"\n");
        match content {
            None => fs::remove_file(bench.path("domains.tab")).unwrap(),
            Some(content) => bench.rename_over("domains.tab", content.as_bytes()),
        }
        bench.until_state("domains.tab", TableState::Rejected);
        assert_eq!(bench.domains(), ["a"]);
        bench.tables.reload_now();
        assert_eq!(bench.domains(), ["a"]);
        bench.rename_over("domains.tab", b"\"b\"\n");
        assert_eq!(bench.look("domains.tab").0, TableState::Live);
        assert_eq!(bench.domains(), ["b"]);
        bench.rename_over("domains.tab", b"");
        bench.tables.force();
        assert!(bench.domains().is_empty(), "the operator insists");
    }
}

#[test]
fn the_files_of_accounts_are_rejected_too() {
    let bench = bench("");
    let list = "domains/d/l/mlusers.tab";
    let members = || {
        let table = bench.tables.current().file::<crate::mailroot::lists::ListMembers>(Path::new(list));
        (table.rows().len(), table.is_rejected())
    };
    bench.write(list, "\"a@x.test\"\t\"RW\"\n");
    assert_eq!(members(), (1, false));
    bench.write(list, "\"a@x.test\"\t\"RW\"\n\"\0b\"\n");
    assert_eq!(members(), (1, true));
    let faulty: Vec<_> = bench.tables.status().into_iter().filter(|status| status.state.is_kept()).collect();
    assert_eq!(faulty[0].file, Path::new(list));
    bench.write(list, "\"a@x.test\"\t\"RW\"\n\"b@x.test\"\t\"RW\"\n");
    assert_eq!(members(), (2, false));
    assert!(bench.tables.status().iter().all(|status| !status.state.is_kept()));
}

#[test]
fn a_file_of_a_gigabyte_is_not_read() {
    let bench = bench("\"a\"\n");
    let file = fs::OpenOptions::new().write(true).open(bench.path("domains.tab")).unwrap();
    file.set_len(1 << 30).unwrap();
    until(|| bench.look("domains.tab").0 == TableState::Unreadable);
    let problems = bench.look("domains.tab").1;
    assert!(problems[0].starts_with("domains.tab: has 1073741824 bytes"), "{problems:?}");
    assert_eq!(bench.domains(), ["a"]);
    let opened = Tables::open(&MailRoot::new(bench.dir.path()));
    assert!(opened.current().domains.is_unreadable() && opened.current().domains.rows().is_empty());
    bench.rename_over("domains.tab", b"\"b\"\n");
    assert_eq!(bench.look("domains.tab").0, TableState::Live);
}

#[test]
fn a_line_of_a_megabyte_is_a_finding_and_its_neighbours_work() {
    let bench = bench("\"a\"\n");
    let long = ["\"b\"\n\"", &"x".repeat(1 << 20), "\"\n\"c\"\n"].concat();
    bench.rename_over("domains.tab", long.as_bytes());
    until(|| bench.domains().len() == 3 || bench.look("domains.tab").0 == TableState::Rejected);
    let (_, problems) = bench.look("domains.tab");
    assert!(problems[0].starts_with("domains.tab:2"), "{problems:?}");
    assert!(problems.iter().all(|text| text.len() < 4 << 20));
}

#[test]
fn a_file_of_zeros_is_rejected() {
    for count in [10, 1 << 20] {
        let bench = bench("\"a\"\n");
        bench.rename_over("domains.tab", &vec![0; count]);
        bench.until_state("domains.tab", TableState::Rejected);
        let zeros = "domains.tab:1: a NUL byte hides the rest of the line";
        assert_eq!(bench.look("domains.tab").1, [zeros]);
        assert_eq!(bench.domains(), ["a"]);
    }
}

#[test]
fn links_in_a_circle_pipes_and_forbidden_files_are_unreadable() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let check = |make: &dyn Fn(&Path)| {
        let bench = bench("\"a\"\n");
        fs::remove_file(bench.path("domains.tab")).unwrap();
        make(&bench.path("domains.tab"));
        assert_eq!(bench.look("domains.tab").0, TableState::Unreadable);
        assert_eq!(bench.domains(), ["a"]);
        assert!(Tables::open(&MailRoot::new(bench.dir.path())).current().domains.is_unreadable());
        // Looking again finds nothing new, and repairs itself.
        let generation = bench.tables.current().generation();
        assert_eq!(bench.tables.fresh().generation(), generation);
        let _ = fs::remove_dir(bench.path("domains.tab"));
        bench.rename_over("domains.tab", b"\"b\"\n");
        assert_eq!(bench.look("domains.tab").0, TableState::Live);
    };
    check(&|path| symlink("domains.tab", path).unwrap());
    check(&|path| {
        symlink("other", path).unwrap();
        symlink("domains.tab", path.with_file_name("other")).unwrap();
    });
    check(&|path| fs::create_dir(path).unwrap());
    check(&|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()));
    check(&|path| {
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    if !rustix::process::geteuid().is_root() {
        check(&|path| {
            fs::write(path, "\"x\"\n").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        });
    }
}

#[test]
fn times_of_yesterday_and_of_tomorrow_hide_no_edit() {
    let day = Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    for (round, time) in [now - day, now + day, now - 2 * day, std::time::UNIX_EPOCH].into_iter().enumerate()
    {
        // Larger than what is taken at once; the same size each time, written in place.
        let bench = bench("\"a\"\n");
        for name in ["x", "y"] {
            let content = format!("\"{name}{round}\"\n# {}\n", "-".repeat(5000));
            fs::write(bench.path("domains.tab"), content).unwrap();
            fs::OpenOptions::new()
                .write(true)
                .open(bench.path("domains.tab"))
                .unwrap()
                .set_modified(time)
                .unwrap();
            until(|| {
                bench.tables.fresh();
                bench.domains() == [format!("{name}{round}")]
            });
        }
    }
}

/// How many accounts of `now` were made from the file and not taken over.
fn read_again(before: &Snapshot, now: &Snapshot) -> usize {
    let is_kept =
        |row: &&Arc<crate::mailroot::Account>| before.users.rows().iter().any(|old| Arc::ptr_eq(old, row));
    now.users.rows().len() - now.users.rows().iter().filter(is_kept).count()
}

/// Options that XMail passes over are no reason to keep the old table; a word that makes the row mean something else is.
#[test]
fn an_edit_with_an_unknown_option_is_live() {
    let check = |file: &str, text: &str, expected: TableState| {
        let bench = bench("\"a\"\n");
        for content in ["# nothing\n", text] {
            bench.rename_over(file, content.as_bytes());
            bench.tables.reload_now();
        }
        let status = bench.status(file);
        assert_eq!((status.state, status.problems.len()), (expected, 1), "{file}: {text}");
    };
    check("smtp.ipprop.tab", "\"10.0.0.0/8\"\t\"WhitList=1\"\n", TableState::Live);
    check("smtpauth.tab", "\"anna\"\t\"x\"\t\"MRQ\"\n", TableState::Live);
    check("spammers.tab", "\"10.0.0.0/8\"\t\"cod=1\"\n", TableState::Live);
    check("server.tab", "\"RotDomain\"\t\"x.test\"\n", TableState::Live);
    check("smtp.ipmap.tab", "\"10.0.0.0/8\"\t\"-\"\t\"ALOW\"\t\"1\"\n", TableState::Rejected);
    check("smtpfwd.tab", "\"*\"\t\"mx.test,NeedTsl=2\"\n", TableState::Rejected);
}

#[test]
fn a_large_table_has_the_same_rows_after_each_kind_of_edit() {
    let bench = bench("");
    let mut lines: Vec<String> = users(500).lines().map(|line| format!("{line}\n")).collect();
    let check = |lines: &[String]| {
        bench.rename_over("mailusers.tab", lines.concat().as_bytes());
        let (expected, problems, rows) =
            MailUsers::load_counted(Path::new("mailusers.tab"), lines.concat().as_bytes());
        until(|| bench.tables.fresh().users.rows() == expected.rows());
        let now = bench.tables.current();
        assert_eq!(now.users.problems(), problems);
        assert_eq!(bench.status("mailusers.tab").rows, rows);
        for row in expected.rows() {
            assert_eq!(now.users.get(&row.domain, &row.name), Some(row));
        }
        now
    };
    let first = check(&lines);
    lines[250] = lines[250].replace("1d08", "1e08");
    let second = check(&lines);
    assert!(Arc::ptr_eq(&first.users.rows()[499], &second.users.rows()[499]), "what stays is not read again");
    lines.remove(3);
    check(&lines);
    lines.insert(100, "# a comment\n\n\n".into());
    check(&lines);
    lines.push(lines[0].replace("user0", "another"));
    check(&lines);
    // A warning does not make later edits cost more, and moves with its line.
    lines.insert(7, lines[0].replace("user0", &"u".repeat(3000)));
    check(&lines);
    lines.insert(2, "# above\n".into());
    let third = check(&lines);
    lines[300] = lines[300].replace("1d08", "1f08");
    let fourth = check(&lines);
    assert!(!third.users.problems().is_empty());
    assert!(Arc::ptr_eq(&third.users.rows()[0], &fourth.users.rows()[0]));
    assert_eq!(read_again(&third, &fourth), 1);
    // Nor does a row that another one hides, wherever the edit is.
    lines.insert(200, lines[100].clone());
    let mut before = check(&lines);
    assert_eq!(before.users.problems().len(), 2);
    for at in [50, 150, 400] {
        lines[at] = lines[at].replace("1d08", "1f08");
        let now = check(&lines);
        assert_eq!(read_again(&before, &now), 1, "line {at}");
        lines.insert(at, "# one more\n".into());
        before = check(&lines);
    }
    // Without the row that hid it the hidden one counts, which the table does not know.
    let hidden = lines.iter().position(|line| line.contains("\"user97\"")).unwrap();
    lines.remove(hidden);
    check(&lines);
    lines.truncate(10);
    check(&lines);
}

/// Writes down what is accepted.
#[derive(Debug)]
struct Told(Arc<Mutex<Vec<(PathBuf, String)>>>);

impl Observer for Told {
    fn accepted(&self, file: &Path, before: &Arc<Vec<u8>>, bytes: &Arc<Vec<u8>>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\n', "");
        self.0.lock().unwrap().push((file.to_owned(), format!("{} {}", text(before), text(bytes))));
    }

    fn saved(&self, _: &Path, _: Option<Vec<u8>>, _: Option<Vec<u8>>) {}
}

#[test]
fn the_observer_is_told_each_accepted_version_once() {
    let bench = bench("\"a\"\n");
    let told: Arc<Mutex<Vec<(PathBuf, String)>>> = Arc::default();
    let sink = Arc::clone(&told);
    bench.tables.observe(Arc::new(Told(sink)));
    for content in ["\"b\"\n", "\"b\"\n", "\"c\"\n", "\"\0\n"] {
        bench.rename_over("domains.tab", content.as_bytes());
        bench.tables.fresh();
    }
    let names: Vec<_> =
        told.lock().unwrap().iter().map(|(file, text)| format!("{} {text}", file.display())).collect();
    assert_eq!(names, [r#"domains.tab "a" "b""#, r#"domains.tab "b" "c""#]);
}

#[test]
fn nobody_waits_for_ever_for_a_thread_that_reads() {
    let bench = bench("\"a\"\n");
    bench.rename_over("domains.tab", b"\"b\"\n");
    let turn = bench.tables.turn(None).unwrap();
    let seen = bench.tables.refresh(Some(Duration::ZERO), |_| Haste::WaitForQuiet);
    assert_eq!(seen.domains.rows()[0].domain.as_ref(), "a");
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| bench.tables.fresh());
        drop(turn);
        assert_eq!(waiting.join().unwrap().domains.rows()[0].domain.as_ref(), "b");
    });
}

/// What a full disk leaves of an edit. A cut at a line end cannot be told from rows that were removed.
#[test]
fn a_table_that_was_cut_inside_a_row_is_rejected() {
    let whole = users(2);
    let second = whole.find('\n').unwrap() + 1;
    // With the last quote and without the line end the row is whole.
    for cut in second + 1..whole.len() - 2 {
        let bench = bench("");
        bench.rename_over("mailusers.tab", whole.as_bytes());
        bench.tables.fresh();
        fs::write(bench.path("mailusers.tab"), &whole[..cut]).unwrap();
        bench.tables.reload_now();
        assert_eq!(bench.status("mailusers.tab").state, TableState::Rejected, "{:?}", &whole[second..cut]);
        assert_eq!(bench.tables.current().users.rows().len(), 2);
    }
}

/// Looks until the system's notices are all that is needed; `false` when that does not happen for a while.
fn becomes_quiet(bench: &Bench) -> bool {
    until(|| !bench.tables.fresh().is_unsettled());
    bench.tables.fresh();
    bench.tables.unchanged().is_some()
}

#[test]
fn nothing_is_looked_at_while_nothing_happens_and_every_edit_is_seen() {
    let bench = bench("\"a\"\n");
    for round in 0..20_u32 {
        assert!(becomes_quiet(&bench), "round {round}");
        bench.write("message.id", &round.to_string());
        assert!(bench.tables.unchanged().is_some(), "no table");
        let path = bench.dir.path().join("domains.tab");
        let name = format!("d{round}");
        if round % 2 == 0 {
            bench.write("domains.tab", &format!("\"{name}\"\n"));
        } else {
            bench.write("new", &format!("\"{name}\"\n"));
            fs::rename(bench.dir.path().join("new"), &path).unwrap();
        }
        assert!(bench.tables.unchanged().is_none(), "round {round}");
        bench.tables.fresh();
        assert_eq!(bench.domains(), [name]);
    }
    assert!(becomes_quiet(&bench));
    bench.write("aliasdomain.tab", "\"x\"\t\"b\"\n");
    assert!(bench.tables.fresh().alias_domains.get("x").is_some(), "a table that appears");
}

#[test]
fn tables_with_other_names_and_links_are_looked_at_each_time() {
    let bench = bench("\"a\"\n");
    let (path, other) = (bench.dir.path().join("domains.tab"), bench.dir.path().join("other"));
    assert!(becomes_quiet(&bench));
    fs::hard_link(&path, &other).unwrap();
    fs::remove_file(&path).unwrap();
    fs::hard_link(&other, &path).unwrap();
    assert!(!becomes_quiet(&bench));
    bench.write("other", "\"b\"\n");
    bench.tables.fresh();
    assert_eq!(bench.domains(), ["b"]);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    assert!(!becomes_quiet(&bench));
    bench.write("other", "\"c\"\n");
    bench.tables.fresh();
    assert_eq!(bench.domains(), ["c"]);
}

#[test]
fn more_changes_than_the_system_keeps_notices_of_count_as_a_change() {
    let bench = bench("\"a\"\n");
    assert!(becomes_quiet(&bench));
    for round in 0..20_000_u32 {
        let (from, to) = if round % 2 == 0 { ("x", "y") } else { ("y", "x") };
        if round == 0 {
            bench.write("x", "");
        }
        fs::rename(bench.dir.path().join(from), bench.dir.path().join(to)).unwrap();
    }
    assert!(bench.tables.unchanged().is_none());
    assert!(becomes_quiet(&bench));
}
