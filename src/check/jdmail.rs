//! What JDMail keeps in a MailRoot beyond XMail, as far as it changes what mail does (`jdmail.md` 1 and 3).

use std::path::Path;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::names::misspelt;
use super::site::{File, Site, entries};
use crate::mailroot::groups::{GROUPS, GroupMembers, MEMBERS_TAB};
use crate::mailroot::schema::server;
use crate::mailroot::{MailRoot, Problem, ProblemKind, UserTab};

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
    groups(site, findings);
    for domain in site.tables.domains.rows() {
        let file = Path::new("domains").join(domain.domain.to_ascii_lowercase()).join(".avscan");
        if site.path(&file).exists() {
            findings.add(Finding::of_file(file, Fact::VirusScan {}));
        }
    }
}

/// The files of our groups; what else lies there is JDMail's.
fn groups(site: &Site<'_>, findings: &mut Findings) {
    let top = Path::new(GROUPS);
    let mut has_others = false;
    for entry in entries(&site.path(top)) {
        let is_ours = entry.is_directory && site.tables.domains.get(&entry.name).is_some();
        has_others |= !is_ours;
        let groups = site.tables.groups(&entry.name);
        for group in groups.iter().filter(|_| is_ours) {
            has_others |= !check_group(site, &entry.name, group, findings);
        }
    }
    if has_others {
        findings.add(Finding::of_file(top, Fact::Groups {}));
    }
}

/// Whether the directory holds a group of ours.
fn check_group(site: &Site<'_>, domain: &str, group: &str, findings: &mut Findings) -> bool {
    let directory = MailRoot::group_directory(domain, group);
    for entry in entries(&site.path(&directory)) {
        misspelt(&directory, &entry, &[MEMBERS_TAB, "user.tab"], findings);
    }
    let settings = site.load::<UserTab>(&directory.join("user.tab"), findings);
    let file = directory.join(MEMBERS_TAB);
    let members = site.load::<GroupMembers>(&file, findings);
    let is_ours = !matches!((&settings, &members), (File::Missing, File::Missing));
    for member in members.table().iter().flat_map(|members| members.rows()) {
        if site.knows_its_accounts() && site.tables.users.get(domain, &member.name).is_none() {
            let fact = Fact::GroupMemberGone { name: member.name.to_string() };
            findings.add(Finding::of_field(&file, member.line, 0, fact));
        }
    }
    is_ours
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
