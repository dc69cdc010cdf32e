//! What JDMail keeps in a MailRoot beyond XMail, as far as it changes what mail does (`jdmail.md` 1 and 3).

use std::path::Path;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::{Site, entries};
use crate::mailroot::schema::server;
use crate::mailroot::{Problem, ProblemKind};

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    for directory in ["spool2/out", "spool3"] {
        let count = files_below(&site.path(directory), DEPTH_MAX);
        if count > 0 {
            findings.add(Finding::of_file(directory, Fact::HeldMail { count }));
        }
    }
    if let Some(variable) = site.tables.server.variable(server::MAIL_BOX_PATH.name)
        && !variable.value.is_empty()
    {
        let path = variable.value.to_string();
        findings.add(Finding::of_field("server.tab", variable.line, 0, Fact::OtherMailPath { path }));
    }
    if !entries(&site.path("groups")).is_empty() {
        findings.add(Finding::of_file("groups", Fact::Groups {}));
    }
    for domain in site.tables.domains.rows() {
        let file = Path::new("domains").join(domain.domain.to_ascii_lowercase()).join(".avscan");
        if site.path(&file).exists() {
            findings.add(Finding::of_file(file, Fact::VirusScan {}));
        }
    }
}

/// Whether a finding here says more about a variable without effect.
pub(super) fn says_more(site: &Site<'_>, problem: &Problem) -> bool {
    let is_ignored = matches!(problem.kind, ProblemKind::IgnoredVariable(_));
    let variable = site.tables.server.variable(server::MAIL_BOX_PATH.name);
    is_ignored
        && problem.file == Path::new("server.tab")
        && variable.is_some_and(|variable| variable.line == problem.line && !variable.value.is_empty())
}

/// How deep held mail may lie. Ours: the spool has three levels; links must not lead in circles.
const DEPTH_MAX: usize = 4;

fn files_below(directory: &Path, depth: usize) -> usize {
    if depth == 0 {
        return 0;
    }
    let count = |entry: super::site::Entry| match (entry.is_directory, entry.name.as_str()) {
        (true, "logs") => 0,
        (true, name) => files_below(&directory.join(name), depth - 1),
        (false, _) => 1,
    };
    entries(directory).into_iter().map(count).sum()
}
