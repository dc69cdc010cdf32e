//! What is wrong in a MailRoot, looked at as a whole, with no server running.
//!
//! The tables are loaded as the server loads them ([`Snapshot::load`], [`Table::load`]); there is no second parser.
//! Their problems, and what only the look across files shows, become [`Finding`]s: a stable [`Code`], a place
//! (file, line, the bytes meant), what is accepted there, what the server does with it, and where it is safe a
//! [`Fix`]. [`run`] never fails: what cannot be read is a finding.
//!
//! One module per family of checks:
//!
//! | module | looks at |
//! | --- | --- |
//! | `accounts`, `aliases` | `mailusers.tab`, `domains.tab`, `aliasdomain.tab`, `aliases.tab`, `extaliases.tab` |
//! | `access`, `routing` | rows that never decide, networks, patterns |
//! | `variables` | what `server.tab` names |
//! | `commands`, `filters` | command files, filters, log-in programs, their macros and programs |
//! | `links` | `pop3links.tab` and the files that disable links |
//! | `tree` | `domains/`, account directories, lists |
//! | `spool` | messages, their companions, `message.id` |
//! | `certificates`, `permissions`, `names` | the rest of the directory |
//! | `jdmail` | groups, and what JDMail keeps that changes what mail does |
//!
//! Limits: of each code at most [`FINDINGS_OF_A_CODE_MAX`] findings are kept and the rest is counted; tables of
//! domains and accounts are read one at a time; the depth of directories is fixed, so links cannot lead in circles.
//! The page of all codes is [`codes`].
//!
//! [`Table::load`]: crate::mailroot::Table::load

mod access;
mod accounts;
mod aliases;
mod certificates;
mod code;
mod commands;
mod filters;
mod finding;
mod fix;
mod jdmail;
mod links;
mod names;
mod pattern;
mod permissions;
mod routing;
mod site;
mod source;
mod spool;
mod tree;
mod variables;

#[doc = include_str!("codes.md")]
pub mod codes {}

use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;

#[cfg(test)]
pub(crate) use code::one_of_each_fact;
pub use code::{Code, Fact, MoreDomains, all as all_codes, find as find_code};
pub use finding::{FINDINGS_OF_A_CODE_MAX, Finding, Findings, Fix, Source, Spot};
pub use fix::{FixError, Repair, repairs};

use crate::mailroot::{MailRoot, Snapshot};
use site::Site;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is looked at.
    pub stage: &'static str,
    /// How many of it are done.
    pub done: usize,
    /// How many there are; 0 when that is not known.
    pub total: usize,
}

/// Called now and then, also from other threads.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// How a run is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The time, for certificates.
    pub now: Timestamp,
    /// How many findings of each code are kept.
    pub limit: usize,
}

/// One family of checks that reads tables only.
type Check = fn(&Site<'_>, &mut Findings);

/// The checks in order, but for the tree, which takes most of the time.
const CHECKS: &[(&str, Check)] = &[
    ("server.tab", variables::check),
    ("domains and accounts", accounts::check),
    ("aliases", aliases::check),
    ("access", access::check),
    ("routing", routing::check),
    ("filters and programs", filters::check),
    ("command files", commands::check),
    ("links", links::check),
    ("certificates", certificates::check),
    ("permissions", permissions::check),
    ("names", names::check),
    ("JDMail", jdmail::check),
];

/// Looks at everything and returns what is wrong, sorted by file and line.
pub fn run(root: &MailRoot, options: &Options, progress: OnProgress<'_>) -> Findings {
    progress(Progress { stage: "tables", done: 0, total: 0 });
    run_on(&Snapshot::load(root), options, progress)
}

/// The same with tables that are loaded, for whoever has them already. They should be what the files hold: a table that
/// was kept from before hides what is wrong with its file.
pub fn run_on(tables: &Snapshot, options: &Options, progress: OnProgress<'_>) -> Findings {
    let root = tables.root();
    let stage = |stage| progress(Progress { stage, done: 0, total: 0 });
    let mut findings = Findings::with_limit(options.limit);
    let owner = fs::metadata(root.path()).ok().map(|data| data.uid());
    let site = Site { tables, now: options.now, owner };
    for problem in tables.problems().filter(|problem| !jdmail::says_more(&site, problem)) {
        findings.add(Finding::of_problem(problem));
    }
    for (name, check) in CHECKS {
        stage(name);
        check(&site, &mut findings);
    }
    tree::check(&site, progress, &mut findings);
    spool::check(&site, progress, &mut findings);
    stage("done");
    let kept = findings.kept_mut();
    kept.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    source::attach(root.path(), kept);
    kept.sort_by_cached_key(|finding| {
        (finding.file.clone(), finding.line, finding.column(), finding.code().code)
    });
    findings
}
