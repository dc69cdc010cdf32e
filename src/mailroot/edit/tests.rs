use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::*;
use crate::durable::{Faults, Step, Writer};
use crate::mailroot::made;

mod interleavings;

struct Bench {
    dir: tempfile::TempDir,
    editor: Editor,
}

fn bench() -> Bench {
    bench_with(Disk::default())
}

fn bench_with(disk: Disk) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tabindex")).unwrap();
    let editor = Editor::new(&MailRoot::new(dir.path()), disk);
    Bench { dir, editor }
}

impl Bench {
    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        made::write(self.dir.path(), file, bytes);
    }

    fn content(&self, file: &str) -> BStringOrMissing {
        fs::read(self.dir.path().join(file)).ok().map(Into::into)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn lock_is_free(&self) -> bool {
        FileLock::try_acquire(&self.dir.path().join(LOCK_FILE)).unwrap().is_some()
    }
}

type BStringOrMissing = Option<bstr::BString>;

fn some(text: impl AsRef<[u8]>) -> BStringOrMissing {
    Some(text.as_ref().into())
}

/// Golden `tab_quoting`, `initial/mailusers.tab`.
const MAIL_USERS: &str = concat!(
    "# leading comment\n",
    "\"example.test\"\t\"alice\"\t\"04090c06001512\"\t1\t\"alice\"\t\"U\"\n",
    "\n",
    "  # indented comment\n",
    "\"example.test\"\t\"bob\"\t\"070a071512\"\t2\t\"bob\"\t\"U\"\r\n",
    "\"example.test\"\tpostmaster\t15081512\t\"3\"\tpostmaster\tU\n",
    "\"example.test\"\t\"extra\"\t\"00\"\t4\t\"extra\"\t\"U\"\t\"seventh\"\n",
    "broken line\n",
    "\"example.test\"\t\"short\"\n",
    "\"second.test\" \"carol\" \"0604170a091512\" 5 \"carol\" \"U\"\n",
    "\"example.test\"  \t \"spaced\" \t\"00\"\t6\t\"spaced\"\t\"U\"\n",
    "# trailing comment",
);

/// Golden `tab_quoting`, `after-extra/mailusers.tab`: `useradd added`, `userpasswd bob`, `userpasswd extra`.
const MAIL_USERS_AFTER: &str = concat!(
    "# leading comment\n",
    "\"example.test\"\t\"alice\"\t\"04090c06001512\"\t1\t\"alice\"\t\"U\"\n",
    "\n",
    "  # indented comment\n",
    "\"example.test\"\t\"bob\"\t\"0b0012\"\t2\t\"bob\"\t\"U\"\n",
    "\"example.test\"\tpostmaster\t15081512\t\"3\"\tpostmaster\tU\n",
    "\"example.test\"\t\"extra\"\t\"1512\"\t4\t\"extra\"\t\"U\"\n",
    "broken line\n",
    "\"example.test\"\t\"short\"\n",
    "\"second.test\" \"carol\" \"0604170a091512\" 5 \"carol\" \"U\"\n",
    "\"example.test\"  \t \"spaced\" \t\"00\"\t6\t\"spaced\"\t\"U\"\n",
    "# trailing comment\"example.test\"\t\"added\"\t\"1512\"\t7\t\"added\"\t\"U\"\n",
);

#[test]
fn accounts_are_written_as_xmail_writes_them() {
    let bench = bench();
    bench.write("mailusers.tab", MAIL_USERS);
    let file = Path::new("mailusers.tab");
    bench.editor.append_row(file, &["example.test", "added", "1512", "7", "added", "U"]).unwrap();
    for (name, password, id) in [("bob", "0b0012", "2"), ("extra", "1512", "4")] {
        let values = ["example.test", name, password, id, name, "U"];
        let key = |row: &EditRow| row.has_key(&["EXAMPLE.test", name]);
        assert!(bench.editor.replace_row(file, key, &values).unwrap());
    }
    // XMail glues the new row to the last line (decision 20), and drops the CR of the row it rewrites.
    let expected = MAIL_USERS_AFTER
        .replace("# trailing comment\"", "# trailing comment\n\"")
        .replace("\"0b0012\"\t2\t\"bob\"\t\"U\"\n", "\"0b0012\"\t2\t\"bob\"\t\"U\"\r\n");
    assert_eq!(bench.content("mailusers.tab"), some(expected));
}

#[test]
fn quoted_and_bare_ids_are_both_rewritten_bare() {
    let bench = bench();
    bench.write("mailusers.tab", MAIL_USERS);
    let values = ["example.test", "postmaster", "00", "3", "postmaster", "U"];
    let key = |row: &EditRow| row.value(1) == "postmaster";
    assert!(bench.editor.replace_row(Path::new("mailusers.tab"), key, &values).unwrap());
    let content = bench.content("mailusers.tab").unwrap();
    assert!(content.contains_str("\n\"example.test\"\t\"postmaster\"\t\"00\"\t3\t\"postmaster\"\t\"U\"\n"));
}

#[test]
fn aliases_and_domains_are_edited_as_recorded() {
    let bench = bench();
    // Golden `tab_quoting`: initial, after-aliasadd and after-aliasdel; initial, after-domainadd, after-domaindel.
    let rows = ["\"example.test\"\t\"a1\"\t\"alice\"\n", "\"example.test\"\t\"a2\"\t\"bob\"\n# end\n"];
    let aliases = Path::new("aliases.tab");
    bench.write("aliases.tab", format!("# aliases\n\n{}{}", rows[0], rows[1]));
    bench.editor.append_row(aliases, &["example.test", "a3", "alice"]).unwrap();
    let added = "\"example.test\"\t\"a3\"\t\"alice\"\n";
    assert_eq!(bench.content("aliases.tab"), some(format!("# aliases\n\n{}{}{added}", rows[0], rows[1])));
    let removed = bench.editor.remove_rows(aliases, |row| row.has_key(&["example.test", "a1"])).unwrap();
    assert_eq!(removed, 1);
    assert_eq!(bench.content("aliases.tab"), some(format!("# aliases\n\n{}{added}", rows[1])));

    let initial = "# doms\n\"example.test\"\n\n\"second.test\"\n\"UPPER.test\"\n";
    bench.write("domains.tab", initial);
    bench.editor.append_row(Path::new("domains.tab"), &["added.test"]).unwrap();
    assert_eq!(bench.content("domains.tab"), some(format!("{initial}\"added.test\"\n")));
    bench.editor.remove_rows(Path::new("domains.tab"), |row| row.value(0) == "added.test").unwrap();
    assert_eq!(bench.content("domains.tab"), some(initial));
}

/// Golden `tab_quoting`, `initial/domains/example.test/alice/user.tab`.
const USER_TAB: &[u8] = b"# comment in user.tab\n\
    \"RealName\"\t\"Alice \"\"quoted\"\"\"\n\
    \n\
    \"Back\"\t\"a\\\\b\"\n\
    \"Esc\"\t\"say \\\"hi\\\"\"\n\
    Unquoted\tvalue\n\
    \"Tab\"\t\"a\tb\"\n\
    \"Nope\"\n\
    \"MaxMBSize\"\t\"10000\"\n\
    \"Two\"\t\"1\"\t\"2\"\n\
    \"Dup\"\t\"1\"\n\
    \"Dup\"\t\"2\"\n\
    \"NonAscii\"\t\"caf\xe9\"\n\
    \"NoClose\"\t\"abc\n\
    \"Last\"\t\"nonl\"";

#[test]
fn variables_are_set_as_recorded_and_comments_stay() {
    let bench = bench();
    let name = "domains/example.test/alice/user.tab";
    bench.write(name, USER_TAB);
    let set = |name_, value| bench.editor.set_variable(Path::new(name), name_, value).unwrap();
    assert!(!set(b"Added", Some(b"v".as_slice())));
    assert!(set(b"RealName", Some(b"x \"y\" \\z")));
    // The two touched rows are golden `after-uservarsset2`; the rest stays as it was (decision 21).
    let expected = USER_TAB.replace("\"Alice \"\"quoted\"\"\"", "\"x \\\"y\\\" \\z\"");
    let expected = [&expected, b"\n\"Added\"\t\"v\"\n".as_slice()].concat();
    assert_eq!(bench.content(name), some(&expected));

    assert!(set(b"Dup", None));
    assert!(!set(b"dup", None), "names are case-sensitive");
    assert!(!set(b"Two", None), "three columns are no variable");
    let expected = expected.replace("\"Dup\"\t\"1\"\n", "");
    assert_eq!(bench.content(name), some(expected));
}

#[test]
fn a_missing_file_begins_empty_and_the_last_row_leaves_an_empty_file() {
    let bench = bench();
    let file = Path::new("aliases.tab");
    assert_eq!(bench.editor.remove_rows(file, |_| true).unwrap(), 0);
    assert!(!bench.editor.set_variable(Path::new("server.tab"), b"X", None).unwrap());
    assert_eq!(bench.names(), [LOCK_FILE, "tabindex"], "nothing to do makes no file");
    bench.editor.append_row(file, &["d", "a", "t"]).unwrap();
    assert_eq!(bench.content("aliases.tab"), some("\"d\"\t\"a\"\t\"t\"\n"));
    assert_eq!(bench.editor.remove_rows(file, |_| true).unwrap(), 1);
    assert_eq!(bench.content("aliases.tab"), some(""));
    bench.editor.begin(Path::new("mlusers.tab")).unwrap().commit().unwrap();
    assert_eq!(bench.content("mlusers.tab"), some(""), "an empty table can be made");
}

#[test]
fn whole_files_are_replaced_and_deleted() {
    let bench = bench();
    fs::create_dir_all(bench.dir.path().join("cmdaliases/home.test")).unwrap();
    let file = Path::new("cmdaliases/home.test/x.tab");
    let mut edit = bench.editor.begin(file).unwrap();
    edit.replace_all(b"# mine\n\"external\"\t\"0\"").unwrap();
    edit.commit().unwrap();
    assert_eq!(bench.content("cmdaliases/home.test/x.tab"), some("# mine\n\"external\"\t\"0\"\n"));
    assert!(bench.editor.begin(file).unwrap().delete().unwrap());
    assert_eq!(bench.content("cmdaliases/home.test/x.tab"), None);
    assert!(!bench.editor.begin(file).unwrap().delete().unwrap());
}

#[track_caller]
fn check_refused(file: &str, values: &[&str], expected: &str) {
    let bench = bench();
    bench.write(file, "# old\n");
    let error = bench.editor.append_row(Path::new(file), values).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(bench.content(file), some("# old\n"));
    assert!(bench.lock_is_free());
}

#[test]
fn what_a_table_cannot_hold_is_refused() {
    check_refused("aliases.tab", &["d", "a"], "aliases.tab: a row needs 3 columns, not 2");
    check_refused("aliases.tab", &["d", "a\tb", "t"], "aliases.tab: column 2: it holds a TAB");
    check_refused("aliases.tab", &["d", "a", "t\\"], "aliases.tab: column 3: it ends in a backslash");
    check_refused("domains.tab", &["a\"b"], "domains.tab: column 1: it holds a double quote");
    check_refused("aliasdomain.tab", &["a", "b\""], "aliasdomain.tab: column 2: it holds a double quote");
    for id in ["", "x", "-1", "+1", "99999999999999999999999"] {
        let values = ["d", "u", "", id, "u", "U"];
        check_refused("mailusers.tab", &values, "mailusers.tab: column 4: it is not a decimal number");
    }
    let user_tab = "domains/d/u/user.tab";
    check_refused(user_tab, &["a", "b", "c"], "domains/d/u/user.tab: a row needs 2 columns, not 3");
}

#[test]
fn lines_end_at_xmails_limit() {
    let bench = bench();
    // Two quotes and the line end belong to the line.
    let fits = "x".repeat(510 - 3);
    bench.editor.append_row(Path::new("domains.tab"), &[&fits]).unwrap();
    let too_long = format!("{fits}x");
    let error = bench.editor.append_row(Path::new("domains.tab"), &[&too_long]).unwrap_err();
    assert_eq!(error.to_string(), "domains.tab:2: the line has 511 bytes; at most 510 are read");
    let mut edit = bench.editor.begin(Path::new("domains.tab")).unwrap();
    let error = edit.set(0, &[&too_long]).unwrap_err();
    assert_eq!(error.to_string(), "domains.tab:1: the line has 511 bytes; at most 510 are read");
    assert_eq!(edit.to_bytes().len(), 510, "a refused change leaves the edit as it was");
    let error = edit.replace_all(format!("a\n#{}", "x".repeat(510)).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "domains.tab:2: the line has 512 bytes; at most 510 are read");
    assert!(matches!(edit.replace_all(b"a\0b"), Err(EditError::NulByte { line: 1, .. })));
}

#[test]
fn line_limits_are_those_of_the_quick_table() {
    for (file, limit) in [
        ("mailusers.tab", 2046),
        ("server.tab", 2046),
        ("userdef.tab", 2046),
        ("domains/d/u/user.tab", 2046),
        ("extaliases.tab", 1022),
        ("domains/d/u/mlusers.tab", 510),
        ("domains/d/mailproc.tab", 510),
        ("cmdaliases/d/x.tab", 1022),
        ("custdomains/.tab", 1022),
        ("filters/f.tab", 1022),
        ("userauth/pop3/d.tab", 1022),
        ("userauth/smtp/d.tab", 510),
        ("dnsroots", 254),
    ] {
        assert_eq!(line_bytes_max(Path::new(file)), limit, "{file}");
    }
}

#[test]
fn only_rows_can_be_set_or_removed() {
    let bench = bench();
    bench.write("domains.tab", "# c\n\n\"a\"\n");
    let mut edit = bench.editor.begin(Path::new("domains.tab")).unwrap();
    for index in [0, 1, 3] {
        assert!(matches!(edit.remove(index), Err(EditError::NoSuchRow { .. })), "{index}");
        assert!(matches!(edit.set(index, &["x"]), Err(EditError::NoSuchRow { .. })), "{index}");
    }
    edit.remove(2).unwrap();
    assert_eq!(edit.to_bytes(), b"# c\n\n");
}

#[test]
fn paths_stay_in_the_mailroot() {
    let bench = bench();
    for path in ["", "/etc/passwd", "..", "../x", "domains/../../x", "./x", "."] {
        let error = bench.editor.begin(Path::new(path)).unwrap_err();
        assert!(matches!(error, EditError::BadPath { .. }), "{path}: {error}");
    }
}

#[test]
fn a_file_changed_meanwhile_is_merged_or_left_alone() {
    let bench = bench();
    let file = Path::new("domains.tab");
    bench.write("domains.tab", "\"a\"\n");
    let mut edit = bench.editor.begin(file).unwrap();
    edit.push(&["b"]).unwrap();
    bench.write("domains.tab", "\"a\"\n\"shell\"\n");
    edit.commit().unwrap();
    assert_eq!(bench.content("domains.tab"), some("\"a\"\n\"shell\"\n\"b\"\n"));

    let mut edit = bench.editor.begin(file).unwrap();
    edit.set(0, &["mine"]).unwrap();
    bench.write("domains.tab", "\"theirs\"\n\"shell\"\n\"b\"\n");
    let error = edit.commit().unwrap_err();
    assert!(matches!(error, EditError::Conflict(_)), "{error}");
    assert_eq!(bench.content("domains.tab"), some("\"theirs\"\n\"shell\"\n\"b\"\n"));

    let edit = bench.editor.begin(file).unwrap();
    bench.write("domains.tab", "\"shell\"\n");
    assert!(matches!(edit.delete(), Err(EditError::ChangedMeanwhile { .. })));
    assert_eq!(bench.content("domains.tab"), some("\"shell\"\n"));
    let mut edit = bench.editor.begin(file).unwrap();
    edit.push(&["b"]).unwrap();
    fs::remove_file(bench.dir.path().join("domains.tab")).unwrap();
    assert!(matches!(edit.commit(), Err(EditError::ChangedMeanwhile { .. })));
    let mut edit = bench.editor.begin(file).unwrap();
    edit.push(&["b"]).unwrap();
    bench.write("domains.tab", "\"new\"\n");
    edit.commit().unwrap();
    assert_eq!(bench.content("domains.tab"), some("\"new\"\n\"b\"\n"));
    assert!(bench.lock_is_free());
    assert_eq!(bench.names(), [LOCK_FILE, "domains.tab", "tabindex"]);
}

#[test]
fn a_page_saved_after_other_edits_is_merged_or_refused_with_the_facts() {
    let bench = bench();
    let file = Path::new("userdef.tab");
    let page = b"\"A\"\t\"1\"\n\"B\"\t\"1\"\n";
    bench.write("userdef.tab", page);
    bench.editor.set_variable(file, b"A", Some(b"2")).unwrap();
    let mut edit = bench.editor.begin_from(file, page).unwrap();
    assert_eq!(edit.to_bytes(), page, "the page is what is edited");
    edit.set_variable(b"B", Some(b"3")).unwrap();
    edit.commit().unwrap();
    assert_eq!(bench.content("userdef.tab"), some("\"A\"\t\"2\"\n\"B\"\t\"3\"\n"));

    let mut edit = bench.editor.begin_from(file, page).unwrap();
    edit.set_variable(b"A", Some(b"9")).unwrap();
    let expected = "userdef.tab: 1 row was changed by somebody else meanwhile; nothing was written\n\
        userdef.tab:1: changed on both sides\n  before  \"A\"\t\"1\"\n  yours   \"A\"\t\"9\"\n  theirs  \"A\"\t\"2\"";
    assert_eq!(edit.commit().unwrap_err().to_string(), expected);
    // A page that changed nothing takes nothing back.
    bench.editor.begin_from(file, page).unwrap().commit().unwrap();
    assert_eq!(bench.content("userdef.tab"), some("\"A\"\t\"2\"\n\"B\"\t\"3\"\n"));
    fs::remove_file(bench.dir.path().join(file)).unwrap();
    assert!(matches!(bench.editor.begin_from(file, page), Err(EditError::ChangedMeanwhile { .. })));
    assert!(bench.lock_is_free());
}

/// Does something to the file at one step of a commit, as another program.
struct Meddler {
    at: fn(Step<'_>) -> bool,
    deed: Box<dyn Fn() + Send + Sync>,
    done: Mutex<bool>,
    writer: Option<Writer>,
    inode: u64,
}

impl Faults for Meddler {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        if (self.at)(step) && !std::mem::replace(&mut *self.done.lock().unwrap(), true) {
            (self.deed)();
        }
        Ok(())
    }

    /// Of the file that was there first.
    fn writer_of(&self, file: &fs::File) -> Option<Writer> {
        let is_first = file.metadata().unwrap().ino() == self.inode;
        Some(self.writer.clone().filter(|_| is_first).unwrap_or(Writer::Nobody))
    }

    fn pause(&self, _time: Duration) -> bool {
        true
    }
}

fn meddled(
    at: fn(Step<'_>) -> bool,
    writer: Option<Writer>,
    deed: impl Fn(&Path) + Send + Sync + 'static,
) -> Bench {
    let bench = bench();
    bench.write("domains.tab", "\"a\"\n\"b\"\n");
    let path = bench.dir.path().join("domains.tab");
    let (done, inode) = (Mutex::new(false), inode(&path));
    let meddler = Meddler { at, deed: Box::new(move || deed(&path)), done, writer, inode };
    let disk = Disk::with_faults(Arc::new(meddler));
    Bench { editor: Editor::new(bench.editor.root(), disk), ..bench }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    fs::File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn rename_over(path: &Path, text: &str) {
    fs::write(path.with_extension("new"), text).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

const AT_EXCHANGE: fn(Step<'_>) -> bool = |step| matches!(step, Step::Exchange { .. });
const AT_SYNC: fn(Step<'_>) -> bool = |step| matches!(step, Step::SyncDir(_));

#[test]
fn what_is_written_between_the_last_reading_and_the_rename_is_merged() {
    for deed in [
        |path: &Path| append(path, "\"late\"\n"),
        |path: &Path| rename_over(path, "\"a\"\n\"b\"\n\"late\"\n"),
    ] {
        let bench = meddled(AT_EXCHANGE, None, deed);
        bench.editor.append_row(Path::new("domains.tab"), &["mine"]).unwrap();
        assert_eq!(bench.content("domains.tab"), some("\"a\"\n\"b\"\n\"late\"\n\"mine\"\n"));
        assert_eq!(bench.names(), [LOCK_FILE, "domains.tab", "tabindex"]);
    }
}

#[test]
fn what_a_writer_that_nobody_saw_adds_before_the_sync_is_merged() {
    let bench = bench();
    bench.write("domains.tab", "\"a\"\n");
    let late =
        Mutex::new(fs::File::options().append(true).open(bench.dir.path().join("domains.tab")).unwrap());
    let deed = Box::new(move || io::Write::write_all(&mut *late.lock().unwrap(), b"\"late\"\n").unwrap());
    let (writer, inode) = (Some(Writer::Unknown), inode(&bench.dir.path().join("domains.tab")));
    let meddler = Meddler { at: AT_SYNC, deed, done: Mutex::new(false), writer, inode };
    let editor = Editor::new(bench.editor.root(), Disk::with_faults(Arc::new(meddler)));
    editor.append_row(Path::new("domains.tab"), &["mine"]).unwrap();
    assert_eq!(bench.content("domains.tab"), some("\"a\"\n\"late\"\n\"mine\"\n"));
}

#[test]
fn a_conflict_found_after_the_swap_puts_theirs_back() {
    let bench = meddled(AT_EXCHANGE, None, |path| rename_over(path, "\"a\"\n\"theirs\"\n"));
    let file = Path::new("domains.tab");
    let error = bench.editor.replace_row(file, |row| row.value(0) == "b", &["mine"]).unwrap_err();
    assert!(matches!(error, EditError::Conflict(_)), "{error}");
    assert_eq!(bench.content("domains.tab"), some("\"a\"\n\"theirs\"\n"));
    assert_eq!(bench.names(), [LOCK_FILE, "domains.tab", "tabindex"]);
}

#[test]
fn a_file_that_a_program_goes_on_writing_is_left_to_it() {
    let writer = Writer::Program { name: "vi".into(), pid: 7 };
    let bench = meddled(|_| false, Some(writer), |_| {});
    let inode = |bench: &Bench| inode(&bench.dir.path().join("domains.tab"));
    let before = inode(&bench);
    let error = bench.editor.append_row(Path::new("domains.tab"), &["mine"]).unwrap_err();
    assert_eq!(error.to_string(), "domains.tab: is being written by vi (process 7); nothing was written");
    assert_eq!((bench.content("domains.tab"), inode(&bench)), (some("\"a\"\n\"b\"\n"), before));
    assert_eq!(bench.names(), [LOCK_FILE, "domains.tab", "tabindex"]);
}

#[test]
fn a_file_removed_in_the_last_moment_stays_removed() {
    let bench = meddled(AT_EXCHANGE, None, |path| fs::remove_file(path).unwrap());
    let error = bench.editor.append_row(Path::new("domains.tab"), &["mine"]).unwrap_err();
    assert!(matches!(error, EditError::ChangedMeanwhile { .. }), "{error}");
    assert_eq!(bench.names(), [LOCK_FILE, "tabindex"]);
}

#[test]
fn a_busy_mailroot_is_said_so() {
    let bench = bench();
    let _held = bench.editor.begin(Path::new("domains.tab")).unwrap();
    let impatient = Editor { lock_wait_max: Duration::ZERO, ..bench.editor.clone() };
    let error = impatient.begin(Path::new("aliases.tab")).unwrap_err();
    assert!(matches!(error, EditError::Busy { .. }), "{error}");
}

#[test]
fn the_mode_stays_and_the_index_goes() {
    let bench = bench();
    bench.write("aliases.tab", "");
    bench.write("tabindex/aliases-0001.hdx", "x");
    bench.write("tabindex/domains-00.hdx", "x");
    let path = bench.dir.path().join("aliases.tab");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    bench.editor.append_row(Path::new("aliases.tab"), &["d", "a", "t"]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(bench.content("tabindex/aliases-0001.hdx"), None);
    assert_eq!(bench.content("tabindex/domains-00.hdx"), some("x"));
    let lock = fs::metadata(bench.dir.path().join(LOCK_FILE)).unwrap();
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_tables_show_an_edit_when_it_is_committed() {
    let bench = bench();
    bench.write("domains.tab", "\"a\"\n");
    let user_tab = Path::new("domains/a/u/user.tab");
    bench.write("domains/a/u/user.tab", "\"X\"\t\"1\"\n");
    let tables = Tables::open(bench.editor.root());
    let editor = Editor::with_tables(&tables, Disk::default());
    let file = Path::new("domains.tab");
    editor.append_row(file, &["b"]).unwrap();
    assert!(tables.current().domains.get("b").is_some());
    editor.remove_rows(file, |_| true).unwrap();
    assert!(tables.current().domains.rows().is_empty(), "an emptied table is not waited for");
    assert_eq!(tables.current().file::<crate::mailroot::UserTab>(user_tab).rows().len(), 1);
    editor.set_variable(user_tab, b"X", None).unwrap();
    assert!(tables.current().file::<crate::mailroot::UserTab>(user_tab).rows().is_empty());
}

/// Fails the n-th step, counted from 0.
struct FailNth {
    left: Mutex<usize>,
}

impl Faults for FailNth {
    fn before(&self, _step: Step<'_>) -> io::Result<()> {
        let mut left = self.left.lock().unwrap();
        let fails = *left == 0;
        *left = left.wrapping_sub(1);
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn a_failing_write_leaves_the_old_table_no_temporary_file_and_a_free_lock() {
    const OLD: &str = "# c\r\n\"a\"\n";
    const NEW: &str = "# c\r\n\"a\"\n\"b\"\n";
    for step in 0.. {
        let bench = bench_with(Disk::with_faults(Arc::new(FailNth { left: Mutex::new(step) })));
        bench.write("domains.tab", OLD);
        let result = bench.editor.append_row(Path::new("domains.tab"), &["b"]);
        assert!(bench.lock_is_free(), "step {step}");
        if step == 5 {
            // Create, write, sync, swap, sync of the directory; only the removal of the old file failed.
            result.unwrap();
            assert_eq!(bench.content("domains.tab"), some(NEW));
            assert!(bench.names().iter().any(|name| is_temporary(name.as_ref())), "{:?}", bench.names());
            return;
        }
        let names = bench.names();
        let names: Vec<&String> =
            names.iter().filter(|name| step < 4 || !is_temporary(name.as_ref())).collect();
        assert_eq!(names, [LOCK_FILE, "domains.tab", "tabindex"], "step {step}");
        assert!(matches!(result, Err(EditError::Write { .. })), "step {step}");
        // After the rename only the durability of the new content is in doubt.
        let expected = if step < 4 { OLD } else { NEW };
        assert_eq!(bench.content("domains.tab"), some(expected), "step {step}");
    }
}

#[test]
fn what_a_crash_left_is_removed_when_it_is_old() {
    let bench = bench();
    for (name, age) in [(".tabmail.1.1.tmp", 2), (".tabmail.1.2.tmp", 0), ("domains.tab", 2)] {
        bench.write(name, "x");
        let file = fs::File::options().write(true).open(bench.dir.path().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - LEFTOVER_AGE * age).unwrap();
    }
    assert_eq!(bench.editor.remove_leftovers(Path::new("")).unwrap(), 1);
    assert_eq!(bench.names(), [".tabmail.1.2.tmp", "domains.tab", "tabindex"]);
}

const THREADS: usize = 4;
const PROCESSES: usize = 2;
const EDITS_EACH: usize = 25;
const SHELL_ROWS: usize = 100;
const CHILD_ROOT: &str = "TABMAIL_TEST_EDIT_ROOT";
const CHILD_NAME: &str = "TABMAIL_TEST_EDIT_NAME";

fn hammer(editor: &Editor, who: &str) {
    for number in 0..EDITS_EACH {
        let domain = format!("{who}-{number}.test");
        editor.append_row(Path::new("domains.tab"), &[&domain]).unwrap();
    }
}

/// The test starts itself again as the other processes.
#[test]
fn edits_of_threads_and_processes_are_all_kept() {
    if let (Ok(root), Ok(name)) = (std::env::var(CHILD_ROOT), std::env::var(CHILD_NAME)) {
        hammer(&Editor::new(&MailRoot::new(root), Disk::default()), &name);
        return;
    }
    let bench = bench();
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "mailroot::edit::tests::edits_of_threads_and_processes_are_all_kept"]);
            command.env(CHILD_ROOT, bench.dir.path()).env(CHILD_NAME, format!("p{number}"));
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    // And a shell, which knows no lock.
    let script = format!(
        "i=0; while [ $i -lt {SHELL_ROWS} ]; do echo sh-$i.test >> domains.tab; i=$((i+1)); sleep 0.01; done"
    );
    let mut shell = Command::new("sh").args(["-c", &script]).current_dir(bench.dir.path()).spawn().unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let editor = &bench.editor;
            scope.spawn(move || hammer(editor, &format!("t{number}")));
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(shell.wait().unwrap().success());
    let edit = bench.editor.begin(Path::new("domains.tab")).unwrap();
    let domains: std::collections::HashSet<_> = edit.rows().map(|row| row.value(0).to_string()).collect();
    assert_eq!(domains.len(), (THREADS + PROCESSES) * EDITS_EACH + SHELL_ROWS);
    assert_eq!(edit.rows().count(), domains.len());
}
