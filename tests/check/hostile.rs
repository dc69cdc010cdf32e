//! MailRoots that would fill the memory, run for ever, or belong to somebody else.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::time::{Duration, Instant};

use tabmail::check::FINDINGS_OF_A_CODE_MAX;
use tabmail::commands::check::Check;
use tabmail::mailroot::problem::PROBLEMS_MAX;

use crate::site::Site;

/// A program that everybody can change: its path is that of the temporary directory.
#[test]
fn a_program_that_everybody_can_write_is_reported() {
    let site = Site::new();
    site.write("bin/scan", "#!/bin/sh\n");
    let line = |site: &Site| format!("\"{}\"\t\"@@FILE\"\n", site.path("bin/scan").display());
    site.write("filters.post-data.tab", &line(&site));
    site.chmod("bin/scan", 0o755);
    assert_eq!(site.codes(), Vec::<String>::new());
    site.chmod("bin/scan", 0o777);
    assert_eq!(site.codes(), ["TAB304"]);
}

/// Only root can give files away; for others there is nothing to see.
#[test]
fn files_of_another_owner_are_reported() {
    let site = Site::new();
    let is_root = std::fs::metadata(site.root()).unwrap().uid() == 0;
    if !is_root {
        return;
    }
    chown(site.path("aliases.tab"), Some(65_534), None).unwrap();
    chown(site.path("domains/home.test"), Some(65_534), None).unwrap();
    assert_eq!(site.codes(), ["TAB320", "TAB320"]);
}

#[test]
fn a_file_that_is_no_table_gives_a_bounded_report() {
    let site = Site::new();
    site.append("aliases.tab", &"x\n".repeat(PROBLEMS_MAX + 5));
    let codes = site.codes();
    assert_eq!(codes.iter().filter(|code| *code == "TAB002").count(), FINDINGS_OF_A_CODE_MAX);
    assert_eq!(codes.iter().filter(|code| *code == "TAB028").count(), 1);
    let text = site.check(&Check::default()).text;
    assert!(text.contains("TAB002: and 900 more; --all shows them\n"), "{text}");
    let all = site.check(&Check { all: true, ..Check::default() }).text;
    assert_eq!(all.matches("error[TAB002]").count(), PROBLEMS_MAX);
}

#[test]
fn a_line_of_a_megabyte_is_shown_around_the_part_meant() {
    let site = Site::new();
    let long = "x".repeat(1 << 20);
    site.append("aliases.tab", &format!("\"home.test\"\t\"{long}\"\t\"gone\"\t\"{long}\"\n"));
    assert_eq!(site.codes(), ["TAB004", "TAB101"]);
    let text = site.check(&Check::default()).text;
    assert!(text.len() < 4000, "{} bytes", text.len());
    assert!(text.contains("MailRoot/aliases.tab:2:1048592"), "{text}");
}

#[test]
fn zeros_bytes_and_control_characters_are_shown_safely() {
    let site = Site::new();
    site.write("aliases.tab", &"\0".repeat(100_000));
    site.write("smtprelay.tab", "\x1b[2J\u{202e}evil\n");
    let text = site.check(&Check::default()).text;
    assert!(!text.contains(['\x1b', '\0', '\u{202e}']), "{text}");
}

#[test]
fn links_in_circles_end() {
    let site = Site::new();
    symlink("..", site.path("domains/home.test/anna/loop")).unwrap();
    symlink("../..", site.path("domains/round")).unwrap();
    symlink(".", site.path("spool/0")).unwrap();
    symlink("self", site.path("spool/self")).unwrap();
    symlink("user.tab", site.path("domains/home.test/anna/mailproc.tab")).unwrap();
    site.remove("domains/home.test/anna/user.tab");
    symlink("mailproc.tab", site.path("domains/home.test/anna/user.tab")).unwrap();
    let begun = Instant::now();
    let codes = site.codes();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(codes.contains(&"TAB001".to_owned()) && codes.contains(&"TAB215".to_owned()), "{codes:?}");
}

#[test]
fn pipes_are_not_waited_for() {
    let site = Site::new();
    for name in ["aliases.tab", "message.id", "server.cert", "server.key", "domains/home.test/anna/user.tab"]
    {
        let _ = std::fs::remove_file(site.path(name));
        rustix::fs::mkfifoat(rustix::fs::CWD, site.path(name), rustix::fs::Mode::from_raw_mode(0o600))
            .unwrap();
    }
    let codes = site.codes();
    for code in ["TAB001", "TAB213", "TAB311"] {
        assert!(codes.contains(&code.to_owned()), "{code}: {codes:?}");
    }
}
