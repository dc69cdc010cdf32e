//! The full check of the MailRoot ([`crate::check`]) in the background: its last report, dated, for the pages.
//!
//! One run at a time, on a thread of its own. A report older than [`FRESH_SECS`] is made anew when somebody looks at the
//! dashboard, and at once when somebody asks for it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::App;
use super::pages::dashboard::severity_key;
use super::schema_text;
use super::visit::{Visit, segment};
use crate::check::{self, Fact, Finding, Spot};
use crate::mailroot::Severity;
use crate::mailroot::snapshot::{ROOT_TABLES, TableState};

/// How long a report is shown before another one is made, in seconds. Ours.
const FRESH_SECS: i64 = 6 * 3600;

/// Findings of each code that are kept. Ours.
const FINDINGS_OF_A_CODE_MAX: usize = 100;

/// The checks of this process.
#[derive(Default)]
pub(super) struct Checks {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    report: Option<Arc<Report>>,
    is_running: bool,
    stage: &'static str,
}

/// What a check found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) unix_secs: i64,
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) notes: usize,
    /// The worst first.
    pub(super) findings: Vec<Shown>,
    /// Findings that are counted only.
    pub(super) unlisted: usize,
}

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) severity: &'static str,
    pub(super) code: &'static str,
    pub(super) file: String,
    pub(super) line: u32,
    /// From 1; 0: the whole line.
    pub(super) column: usize,
    #[serde(skip)]
    fact: Fact,
    #[serde(skip)]
    at_run_time: &'static str,
    #[serde(skip)]
    remedy: &'static str,
    /// The page where it can be repaired.
    pub(super) link: Option<String>,
    /// Whether it is about the loading of a root table, which is told at once without a check.
    #[serde(skip)]
    pub(super) is_of_loading: bool,
}

impl Checks {
    /// The last report, and what a run that is under way looks at.
    pub(super) fn last(&self) -> (Option<Arc<Report>>, Option<&'static str>) {
        let state = self.lock();
        (state.report.clone(), state.is_running.then_some(state.stage))
    }

    /// Begins a run unless there is one, or `is_wanted` is false and the last report is fresh.
    pub(super) fn begin(app: &Arc<App>, is_wanted: bool) {
        let now = app.services.clock.unix_secs();
        {
            let mut state = app.checks.lock();
            let is_fresh = state.report.as_ref().is_some_and(|report| now - report.unix_secs < FRESH_SECS);
            if state.is_running || is_fresh && !is_wanted {
                return;
            }
            (state.is_running, state.stage) = (true, "");
        }
        let running = Running(Arc::clone(app));
        let started = std::thread::Builder::new().name("check".into()).spawn(move || running.run());
        if let Err(error) = started {
            tracing::error!(%error, "no thread for the check");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run; when it ends, however it does, another one may begin.
struct Running(Arc<App>);

impl Running {
    fn run(self) {
        let app = &self.0;
        let options = check::Options { now: app.services.clock.now(), limit: FINDINGS_OF_A_CODE_MAX };
        let tell = |progress: check::Progress| app.checks.lock().stage = progress.stage;
        // A second copy of the tables of 100,000 accounts would cost 50 MB; one that was kept from before hides faults.
        let mut tables = app.tables();
        if app.services.tables.status().iter().any(|table| table.state != TableState::Live) {
            tables = Arc::new(tables.as_on_disk());
        }
        let found = check::run_on(&tables, &options, &tell);
        let mut findings: Vec<&Finding> = found.kept().iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
        let report = Report {
            unix_secs: app.services.clock.unix_secs(),
            errors: found.count(Severity::Error),
            warnings: found.count(Severity::Warning),
            notes: found.count(Severity::Note),
            findings: findings.into_iter().map(shown).collect(),
            unlisted: found.unlisted().iter().map(|(_, count)| count).sum(),
        };
        app.checks.lock().report = Some(Arc::new(report));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.checks.lock().is_running = false;
    }
}

/// A finding as the visitor reads it.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    #[serde(flatten)]
    finding: &'a Shown,
    told: String,
    /// What the server does with it.
    effect: &'a str,
    /// What to do about it.
    remedy: &'a str,
}

impl Shown {
    /// In the visitor's language.
    pub(super) fn told<'a>(&'a self, visit: &'a Visit) -> Told<'a> {
        let (catalogs, language) = (&visit.app.catalogs, visit.language);
        Told {
            finding: self,
            told: schema_text::finding(catalogs, language, &self.fact),
            effect: schema_text::effect(catalogs, language, self.code, self.at_run_time),
            remedy: schema_text::remedy(catalogs, language, self.code, self.remedy),
        }
    }
}

/// What is wrong with the tables that the server works with, as they are on the disk now.
pub(super) fn of_loading(app: &App) -> Vec<Shown> {
    let problems = app.services.tables.status().into_iter().flat_map(|table| table.problems);
    let mut found: Vec<Shown> = problems
        .map(|problem| shown(&Finding::of_problem(&problem)))
        .filter(|shown| shown.is_of_loading)
        .collect();
    found.sort_by_key(|shown| shown.severity != severity_key(Severity::Error));
    found
}

fn shown(finding: &Finding) -> Shown {
    let column = match finding.spot {
        Spot::Byte(column) | Spot::InByte(column, _) => usize::try_from(column).unwrap_or_default(),
        _ => 0,
    };
    let is_root_table = finding.file.to_str().is_some_and(|name| ROOT_TABLES.contains(&name));
    Shown {
        column,
        is_of_loading: is_root_table && matches!(finding.fact, Fact::Table(_)),
        severity: severity_key(finding.severity()),
        code: finding.code().code,
        file: finding.file.display().to_string(),
        line: finding.line,
        fact: finding.fact.clone(),
        at_run_time: finding.at_run_time(),
        remedy: finding.code().remedy,
        link: link(&finding.file, finding.line),
    }
}

/// The page where a file is edited.
fn link(file: &Path, line: u32) -> Option<String> {
    let name = file.to_str()?;
    if ROOT_TABLES.contains(&name) {
        let place = if line == 0 { String::new() } else { format!("?line={line}") };
        return Some(format!("/jdwa/raw/{name}{place}"));
    }
    if name.starts_with("server.") {
        return Some("/jdwa/certificates".to_owned());
    }
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["domains", domain, account, "user.tab"] => {
            Some(format!("/jdwa/domains/{}/users/{}", segment(domain), segment(account)))
        }
        ["domains", domain, ..] => Some(format!("/jdwa/domains/{}/users", segment(domain))),
        ["spool", ..] => Some("/jdwa/queue?part=frozen".to_owned()),
        _ => None,
    }
}
