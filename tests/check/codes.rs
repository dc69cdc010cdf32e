//! The page of all codes, `src/check/codes.md`, made from the code and the fixtures.

use std::fmt::Write;
use std::path::Path;

use tabmail::commands::check::Check;

use crate::site::Site;
use crate::{compare, fixtures, name_of};

const HEAD: &str = "\
# Codes of `tabmail check`

Every finding has one of these codes; a code never gets another meaning. `error`: what stands there cannot be used.
`warning`: it works, but surely not as it was meant. `note`: worth knowing. `tabmail check --explain TAB101` prints one
entry. The examples are the output for the fixtures in `compat-fixtures/bad-mailroots`, where all files are.

";

#[test]
fn the_page_of_codes_is_up_to_date() {
    let mut page = HEAD.to_owned();
    let fixtures = fixtures();
    for code in tabmail::check::all_codes() {
        let _ = writeln!(page, "## {} {}\n", code.code, code.slug);
        let _ = writeln!(page, "Severity: {}\n", code.severity);
        let _ = writeln!(page, "At run time: {}.\n", escaped(code.at_run_time));
        if !code.accepted.is_empty() {
            let _ = writeln!(page, "Accepted: {}.\n", escaped(code.accepted));
        }
        let _ = writeln!(page, "What to do: {}\n", escaped(code.remedy));
        if let Some(fixture) = fixtures.iter().find(|path| name_of(path).starts_with(code.code)) {
            // Not from its file, which another test may be writing anew.
            let printed = Site::with_fault(fixture).check(&Check::default()).text;
            let example = printed.split("\n\n").next().unwrap_or_default();
            let _ = writeln!(page, "```text\n{}\n```\n", example.trim_end());
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/codes.md");
    assert!(
        compare(&path, page.trim_end()).is_ok(),
        "src/check/codes.md is out of date: TABMAIL_RENEW=1 writes it anew"
    );
}

/// Brackets that are meant, and are neither tags nor links to whoever renders the page.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<").replace('[', "\\[")
}
