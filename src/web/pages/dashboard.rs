//! The first page: what runs, what waits, what is wrong.

use crate::web::templates::context;
use axum::response::Response;
use serde::Serialize;

use crate::durable::free_space;
use crate::mailroot::Severity;
use crate::mailroot::snapshot::{ROOT_TABLES, brief};
use crate::spool::inspect;
use crate::web::certificate;
use crate::web::error::WebError;
use crate::web::visit::Visit;

/// Problems shown; the rest is counted. Ours: `check` shows all.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// A certificate that ends within this time is shown as a problem, in seconds: two weeks. Ours.
const CERTIFICATE_SOON_SECS: i64 = 14 * 86_400;

/// Something that is wrong in a table.
#[derive(Debug, Serialize)]
struct Shown {
    severity: &'static str,
    file: String,
    line: u32,
    text: String,
    /// The page where it can be repaired.
    link: Option<String>,
}

/// Shows it.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    if !visit.is_system() {
        return Ok(crate::web::visit::redirect("/jdwa/domains"));
    }
    let (app, tables) = (&visit.app, visit.tables());
    let root = tables.root();
    let now = app.services.clock.unix_secs();
    let expiry = certificate::expiry_unix_secs(root.path());
    let queue = inspect::counts(root).ok();
    let (problems, unlisted) = problems(visit);
    visit.page(
        "dashboard.html",
        context! {
            is_serving => app.services.roof.is_serving(),
            queue => queue.map(|counts| context! {
                ready => counts.ready, waiting => counts.waiting, frozen => counts.frozen,
            }),
            free_bytes => free_space(root.path()).ok(),
            expiry,
            is_expiring => expiry.is_some_and(|at| at - now < CERTIFICATE_SOON_SECS),
            domains => tables.domains.rows().len(),
            accounts => tables.users.rows().len(),
            problems,
            unlisted,
        },
    )
}

/// What is wrong with the tables as they are on the disk; the worst first.
fn problems(visit: &Visit) -> (Vec<Shown>, usize) {
    let mut found: Vec<_> =
        visit.app.services.tables.status().into_iter().flat_map(|table| table.problems).collect();
    found.sort_by_key(|problem| std::cmp::Reverse(problem.kind.severity()));
    let unlisted = found.len().saturating_sub(PROBLEMS_SHOWN_MAX);
    let shown = found.iter().take(PROBLEMS_SHOWN_MAX).map(|problem| {
        let file = problem.file.display().to_string();
        let is_root_table = ROOT_TABLES.contains(&file.as_str());
        Shown {
            severity: severity_key(problem.kind.severity()),
            line: problem.line,
            text: brief(&problem.kind),
            link: is_root_table.then(|| format!("/jdwa/raw/{file}?line={}", problem.line)),
            file,
        }
    });
    (shown.collect(), unlisted)
}

/// The key of its text.
pub(in crate::web) fn severity_key(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "severity.error",
        Severity::Warning => "severity.warning",
        Severity::Note => "severity.note",
    }
}
