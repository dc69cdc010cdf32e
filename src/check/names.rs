//! The names in the MailRoot: directories that must be there, links that lead nowhere, files nobody reads because
//! their name is misspelt.

use std::fs;
use std::path::Path;

use super::code::Fact;
use super::finding::{Finding, Findings, Fix};
use super::site::{Entry, Site, entries};
use crate::mailroot::MailRoot;
use crate::mailroot::schema::TABLES;
use crate::mailroot::schema::files::OTHER_FILES;
use crate::mailroot::snapshot::ROOT_TABLES;

/// All files that lie in the MailRoot itself.
fn root_files() -> Vec<&'static str> {
    let described = TABLES.iter().flat_map(|table| table.files).copied();
    let others = OTHER_FILES.iter().map(|file| file.path);
    let at_the_top = described.chain(others).filter(|path| !path.contains(['/', '<']));
    ROOT_TABLES.iter().copied().chain(at_the_top).collect()
}

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    for name in MailRoot::directories() {
        if fs::symlink_metadata(site.path(name)).is_err() {
            let fix = Fix::MakeDirectories(vec![name.into()]);
            findings.add(Finding::of_file(*name, Fact::DirectoryMissing {}).with_fix(fix));
        }
    }
    let known = root_files();
    for entry in entries(&site.path("")) {
        misspelt(Path::new(""), &entry, &known, findings);
    }
}

/// Reports a broken link, and a table whose name is nearly, but not quite, one of `known`.
pub(super) fn misspelt(directory: &Path, entry: &Entry, known: &[&str], findings: &mut Findings) {
    let file = || directory.join(&entry.name);
    if entry.is_broken_link {
        findings.add(Finding::of_file(file(), Fact::LinkLoop {}));
    }
    if entry.is_directory || known.contains(&entry.name.as_str()) {
        return;
    }
    if let Some(meant) = meant(&entry.name, known) {
        findings.add(Finding::of_file(file(), Fact::UnknownFile { meant: meant.to_owned() }));
    }
}

/// The known name that differs in case, or in at most two letters of a name that ends in `.tab`.
fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    let by_case = known.iter().find(|known| **known == lower);
    let nearest = || {
        let distances = known.iter().map(|known| (strsim::levenshtein(&lower, known), known));
        let near = distances.filter(|(distance, known)| *distance <= 2 && *distance * 3 < known.len());
        near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
    };
    let is_table = lower.ends_with(".tab") && lower.len() < 64;
    by_case.or_else(|| is_table.then(nearest).flatten()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_meant() {
        let known = ["aliases.tab", "smtpgw.tab", "server.cert"];
        for (name, expected) in [
            ("alias.tab", Some("aliases.tab")),
            ("Aliases.tab", Some("aliases.tab")),
            ("SERVER.CERT", Some("server.cert")),
            ("smtpgws.tab", Some("smtpgw.tab")),
            ("aliases.tab~", None),
            ("my.tab", None),
            ("aliases.old.tab", None),
        ] {
            assert_eq!(meant(name, &known), expected, "{name}");
        }
    }
}
