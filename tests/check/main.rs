//! `tabmail check` against `compat-fixtures/bad-mailroots`: a small MailRoot for every code, with exactly one fault.
//!
//! A folder `<code>-<slug>` is laid over `base` (a MailRoot without fault); what files cannot say stands in its
//! `setup.txt`, a line for each step:
//!
//! ```text
//! remove PATH          symlink TARGET PATH      certificate NAME,NAME FROM UNTIL    (days, YYYY-MM-DD)
//! mkdir PATH           chmod OCTAL PATH         other-key                           (a server.key of another pair)
//! sparse PATH BYTES    (a file of zeros)
//! ```
//!
//! `expected.txt` is what check prints there. It and the page of codes are written anew by
//! `TABMAIL_RENEW=1 cargo test --test check`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod codes;
mod hostile;
mod site;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use site::{Outcome, Site};
use tabmail::commands::check::{Check, Format, Level};

/// Codes that need another user, a path nobody can know or more lines than are worth keeping (`hostile`), and one that
/// only a running server can see.
const SHOWN_ELSEWHERE: &[&str] = &["TAB028", "TAB037", "TAB304", "TAB320"];

pub(crate) fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-fixtures/bad-mailroots");
    let mut found: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("TAB"));
    found.sort();
    found
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Compares with a golden file, or writes it.
#[track_caller]
pub(crate) fn compare(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("TABMAIL_RENEW").is_some() {
        fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    Err(format!("{} differs (TABMAIL_RENEW=1 writes it anew); now:\n{actual}", path.display()))
}

#[test]
fn every_fixture_shows_its_code_and_nothing_else() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let name = name_of(&fixture);
        let site = Site::with_fault(&fixture);
        let code = tabmail::check::find_code(&name[..6]).unwrap_or_else(|| panic!("{name}: no such code"));
        let found: BTreeSet<String> = site.codes().into_iter().collect();
        if found != BTreeSet::from([code.code.to_owned()]) {
            wrong.push(format!("{name}: found {found:?}"));
        }
        if name != format!("{}-{}", code.code, code.slug) {
            wrong.push(format!("{name}: is called {}-{}", code.code, code.slug));
        }
        let Outcome { text, exit, .. } = site.check(&Check::default());
        if exit != code.severity as u8 {
            wrong.push(format!("{name}: exit code {exit}"));
        }
        wrong.extend(compare(&fixture.join("expected.txt"), &text).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_fixture() {
    let have: BTreeSet<String> = fixtures().iter().map(|path| name_of(path)[..6].to_owned()).collect();
    let all: BTreeSet<String> = tabmail::check::all_codes().iter().map(|code| code.code.to_owned()).collect();
    let elsewhere: BTreeSet<String> = SHOWN_ELSEWHERE.iter().map(|code| (*code).to_owned()).collect();
    let missing: Vec<_> = all.difference(&have).filter(|code| !elsewhere.contains(*code)).collect();
    assert!(missing.is_empty(), "codes without a fixture: {missing:?}");
    assert!(elsewhere.is_subset(&all) && elsewhere.is_disjoint(&have));
}

#[test]
fn a_mailroot_without_fault_is_silent() {
    let site = Site::new();
    let Outcome { text, exit, .. } = site.check(&Check::default());
    assert_eq!((text.as_str(), exit), ("MailRoot: 0 errors, 0 warnings, 0 notes in 0 files\n", 0));
}

/// Folders and their tables belong to an account; what is wrong in the tables is said.
#[test]
fn the_folders_of_imap_are_known() {
    let site = Site::new();
    let home = "domains/home.test/anna";
    for directory in ["Maildir/.Sent/new", "Maildir/.Sent/cur", "Maildir/.Sent/tmp"] {
        site.mkdir(&format!("{home}/{directory}"));
    }
    let folders = "\"\"\t\"7\"\n\"Sent\"\t\"7\"\t\"S\"\t\"\\Sent\"\n";
    site.write("imap.ipmap.tab", "\"192.0.2.0/24\"\t\"-\"\t\"ALLOW\"\t\"1\"\n");
    site.write(&format!("{home}/imap.ipmap.tab"), "\"192.0.2.0/24\"\t\"-\"\t\"ALLOW\"\t\"1\"\n");
    site.write(&format!("{home}/imapfolders.tab"), folders);
    site.write(&format!("{home}/imapflags.tab"), "\"1.2.host\"\t\"FS\"\t\"work\"\n\"1.2.host\"\t\"\"\n");
    site.write(&format!("{home}/imapmetadata.tab"), "\"Sent\"\t\"/private/comment\"\t\"mine\"\t\"\"\n");
    site.write(&format!("{home}/Maildir/.Sent/imapkeywords.tab"), "\"a\"\t\"work\"\n");
    site.write(&format!("{home}/imapcache"), "anything");
    site.write(&format!("{home}/Maildir/.Sent/imapcache"), "anything");
    let Outcome { text, exit, .. } = site.check(&Check::default());
    assert_eq!((text.as_str(), exit), ("MailRoot: 0 errors, 0 warnings, 0 notes in 0 files\n", 0));
    for (file, content) in [
        ("imap.ipmap.tab", "\"nonsense\"\t\"-\"\t\"ALLOW\"\t\"1\"\n"),
        ("imapfolders.tab", "\"Sent\"\t\"none\"\n"),
        ("imapflags.tab", "\"1.2.host\"\t\"Q\"\n"),
        ("imapmetadata.tab", "\"Sent\"\t\"/private/comment\"\t\"!\"\t\"B\"\n"),
        ("Maildir/.Sent/imapkeywords.tab", "\"work\"\t\"a\"\n"),
        ("imapflag.tab", ""),
    ] {
        let file = format!("{home}/{file}");
        let kept = std::fs::read(site.path(&file)).ok();
        site.write(&file, content);
        let text = site.check(&Check::default()).text;
        assert!(text.contains(&file) && !text.contains(" 0 errors, 0 warnings"), "{file}: {text}");
        match kept {
            Some(kept) => std::fs::write(site.path(&file), kept).unwrap(),
            None => site.remove(&file),
        }
    }
}

#[test]
fn the_level_hides_what_is_below_also_from_the_exit_code() {
    let site = Site::new();
    site.write("smtpfwd.tab", "\"home.test\"\t\"mx1.isp.example\"\n");
    site.write("filters/scan.tab", "\"/bin/sh\"\n");
    let summary = |level| {
        let outcome = site.check(&Check { level, ..Check::default() });
        (outcome.text.lines().last().unwrap_or_default().to_owned(), outcome.exit)
    };
    assert_eq!(summary(Level::Note), ("MailRoot: 0 errors, 1 warning, 1 note in 2 files".to_owned(), 1));
    assert_eq!(summary(Level::Warning), ("MailRoot: 0 errors, 1 warning, 0 notes in 1 file".to_owned(), 1));
    assert_eq!(summary(Level::Error), ("MailRoot: 0 errors, 0 warnings, 0 notes in 0 files".to_owned(), 0));
    let quiet = site.check(&Check { quiet: true, ..Check::default() });
    assert_eq!((quiet.text.as_str(), quiet.exit), ("", 1));
}

#[test]
fn json_has_an_object_for_each_finding_and_a_summary() {
    let site = Site::new();
    site.append("aliases.tab", "\"home.test\"\t\"info\"\t\"carl\"\n");
    let outcome = site.check(&Check { format: Format::Json, ..Check::default() });
    let lines: Vec<serde_json::Value> =
        outcome.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [finding, summary] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(finding["code"], "TAB101");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["file"], "aliases.tab");
    assert_eq!(
        (&finding["line"], &finding["column"], &finding["end_column"]),
        (&2.into(), &20.into(), &26.into())
    );
    assert_eq!(finding["text"], "\"home.test\"\t\"info\"\t\"carl\"");
    assert_eq!(summary["summary"]["errors"], 1);
    assert_eq!(outcome.exit, 2);
}

#[test]
fn a_repair_is_shown_and_asked_for_before_it_is_done() {
    let broken = "\"home.test\"\t\"postmaster\"\t\"anna\"\n\"home.test\"\t\"Postmaster\"\t\"bert\"\n\"home.test\"\t\"info\"\t\"anna";
    let site = Site::new();
    site.write("aliases.tab", broken);
    site.remove("domains/home.test/bert/Maildir");
    let fix = Check { fix: true, ..Check::default() };
    let asked = site.check_answering(&fix, "n\n");
    assert_eq!(site.read("aliases.tab"), broken);
    let shown = "--- aliases.tab\n+++ aliases.tab\n@@ -1,3 +1,3 @@\n \"home.test\"\t\"postmaster\"\t\"anna\"\n\
        -\"home.test\"\t\"Postmaster\"\t\"bert\"\n-\"home.test\"\t\"info\"\t\"anna\n\\ No newline at end of file\n\
        +# \"home.test\"  \"Postmaster\"  \"bert\"\n+\"home.test\"\t\"info\"\t\"anna\"\n\
        mkdir -p domains/home.test/bert/Maildir/tmp\nmkdir -p domains/home.test/bert/Maildir/new\n\
        mkdir -p domains/home.test/bert/Maildir/cur\nRepair 2 things? [y/N] ";
    assert!(asked.text.starts_with(shown), "{}", asked.text);
    assert_eq!(asked.exit, 2);

    let nobody = site.check(&fix);
    assert!(nobody.text.contains("nothing was changed"), "{}", nobody.text);
    let done = site.check_answering(&fix, "y\n");
    assert!(done.text.ends_with("0 errors, 0 warnings, 0 notes in 0 files\n"), "{}", done.text);
    assert_eq!(done.exit, 0);
    assert!(site.path("domains/home.test/bert/Maildir/new").is_dir());
}

#[test]
fn every_repair_that_is_offered_works() {
    for fixture in fixtures() {
        let site = Site::with_fault(&fixture);
        let offers =
            site.check(&Check { format: Format::Json, ..Check::default() }).text.contains("\"fixable\":true");
        if !offers {
            continue;
        }
        let outcome = site.check(&Check { fix: true, yes: true, ..Check::default() });
        assert_eq!(site.codes(), Vec::<String>::new(), "{}: {}", name_of(&fixture), outcome.text);
    }
}

#[test]
fn a_code_is_explained_without_a_mailroot() {
    let site = Site::new();
    let explain = |code: &str| Check { explain: Some(code.to_owned()), ..Check::default() };
    let outcome = site.check(&explain("tab101"));
    assert!(outcome.text.starts_with("## TAB101 alias-target-missing\n"), "{}", outcome.text);
    assert!(!outcome.text.contains("## TAB102"));
    assert!(site.try_check(&explain("TAB999")).is_err());
}

/// Its name in both columns keeps a domain out of the patterns, and the real domain of a pattern is none it catches.
#[test]
fn a_domain_with_an_exact_row_is_caught_by_no_pattern() {
    let site = Site::new();
    site.mkdir("domains/shop.test");
    site.write("domains.tab", "\"home.test\"\n\"shop.test\"\n");
    let codes = |table: &str| {
        site.write("aliasdomain.tab", table);
        let text = site.check(&Check { format: Format::Json, ..Check::default() }).text;
        ["TAB108", "TAB127"].map(|code| text.contains(code))
    };
    assert_eq!(codes("\"*\"\t\"home.test\"\n"), [false, true]);
    assert_eq!(codes("\"*\"\t\"home.test\"\n\"shop.test\"\t\"shop.test\"\n"), [false, false]);
    assert_eq!(codes("\"shop.test\"\t\"home.test\"\n"), [true, false]);
}

/// The MailRoots that XMail was recorded on: they have the errors that their scenarios are about, and no others.
#[test]
fn recorded_mailroots_have_the_errors_they_were_made_with() {
    const MADE: &[(&str, &[&str])] = &[
        ("crypt_server", &["TAB012"]),
        ("mailproc_external_missing", &["TAB002"]),
        ("smtp_aliases", &["TAB101", "TAB102", "TAB103", "TAB107", "TAB301"]),
        ("smtp_extauth", &["TAB014", "TAB301"]),
        ("smtp_opt_vrfy_etrn", &["TAB103"]),
        ("tab_quoting", &["TAB002", "TAB003", "TAB006", "TAB007"]),
    ];
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-fixtures");
    let mut wrong = Vec::new();
    let mut recordings: Vec<_> =
        fs::read_dir(fixtures.join("recordings")).unwrap().map(Result::unwrap).collect();
    recordings.sort_by_key(fs::DirEntry::file_name);
    assert!(recordings.len() > 50);
    for recording in recordings {
        let name = recording.file_name().into_string().unwrap();
        let site = Site::empty();
        site.lay(&fixtures.join("common"));
        site.lay(&recording.path().join("initial"));
        let outcome = site.check(&Check { level: Level::Error, format: Format::Json, ..Check::default() });
        let codes: BTreeSet<String> = outcome
            .text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter_map(|object| object["code"].as_str().map(str::to_owned))
            .collect();
        let expected = MADE.iter().find(|(made, _)| *made == name).map_or(&[][..], |(_, codes)| codes);
        if !codes.iter().eq(expected) {
            wrong.push(format!("{name}: {codes:?}\n{}", outcome.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_new_mailroot_is_clean() {
    let site = Site::empty();
    fs::remove_dir_all(site.root()).unwrap();
    let init = tabmail::commands::init::Init {
        directory: site.root(),
        domain: "home.test".to_owned(),
        account: Some("anna".to_owned()),
    };
    init.run().unwrap();
    assert_eq!(site.codes(), Vec::<String>::new());
}
