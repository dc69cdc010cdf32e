//! The first page: what runs, what waits, how much mail goes through, what is wrong.
//!
//! Nothing here reads a log or a MailRoot as a whole: mail is counted by [`crate::web::traffic`]. Problems of the tables in
//! use are told at once, others come from the last check in the background ([`crate::web::checks`]).

use axum::response::Response;
use serde::Serialize;

use super::Paging;
use super::services::{self, Listener};
use crate::durable::free_space;
use crate::mailroot::Severity;
use crate::spool::inspect;
use crate::web::certificate;
use crate::web::checks::{self, Checks, Report, Shown, Told};
use crate::web::error::WebError;
use crate::web::templates::context;
use crate::web::traffic::{HOURS_MAX, Hour, Hours};
use crate::web::visit::{Visit, redirect};

/// Problems shown on the first page; the others are a click away. Ours.
const PROBLEMS_SHOWN_MAX: usize = 12;

/// A certificate that ends within this time is shown as a problem, in seconds: three weeks, as `check` has it.
const CERTIFICATE_SOON_SECS: i64 = 21 * 86_400;

/// Less free space than this is shown as a problem, in bytes. Ours.
const FREE_BYTES_FEW: u64 = 1 << 30;

/// Shows it.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    if !visit.is_system() {
        return Ok(redirect("/jdwa/domains"));
    }
    Checks::begin(&visit.app, false);
    let (app, tables) = (&visit.app, visit.tables());
    let root = tables.root();
    let now = app.services.clock.unix_secs();
    let expiry = certificate::expiry_unix_secs(root.path());
    let queue = inspect::counts(root).ok();
    let free_bytes = free_space(root.path()).ok();
    let is_serving = app.services.roof.is_serving();
    let listeners: Vec<Listener> = services::listeners(visit).unwrap_or_default();
    let (report, stage) = app.checks.last();
    let at_once = checks::of_loading(app);
    let checked = report.iter().flat_map(|report| &report.findings).filter(|finding| !finding.is_of_loading);
    let all = at_once.iter().chain(checked).filter(is_problem);
    let problems: Vec<Told<'_>> = all.take(PROBLEMS_SHOWN_MAX).map(|finding| finding.told(visit)).collect();
    let is_week = visit.query("span") == "week";
    visit.page(
        "dashboard.html",
        context! {
            is_serving, listeners,
            queue => queue.map(|counts| context! {
                ready => counts.ready, waiting => counts.waiting, frozen => counts.frozen,
            }),
            free_bytes,
            is_full => free_bytes.is_some_and(|bytes| bytes < FREE_BYTES_FEW),
            expiry,
            is_expiring => expiry.is_some_and(|at| at - now < CERTIFICATE_SOON_SECS),
            domains => tables.domains.rows().len(),
            accounts => tables.users.rows().len(),
            traffic => traffic(visit, is_week),
            is_week,
            report => report.as_deref(), is_checking => stage.is_some(), problems,
        },
    )
}

fn is_problem(finding: &&Shown) -> bool {
    finding.severity != severity_key(Severity::Note)
}

/// All findings of the last check.
pub(in crate::web) fn problems(visit: &Visit) -> Result<Response, WebError> {
    let (report, stage) = visit.app.checks.last();
    let wanted = visit.query("severity");
    let all: Vec<&Shown> = (report.iter().flat_map(|report: &std::sync::Arc<Report>| &report.findings))
        .filter(|finding| wanted.is_empty() || finding.severity.ends_with(wanted))
        .collect();
    let (paging, range) = Paging::of(visit, "/jdwa/check", all.len());
    let rows: Vec<Told<'_>> = all[range].iter().map(|finding| finding.told(visit)).collect();
    let stage_text = stage.map(|stage| visit.schema(&format!("stage.{stage}"), stage));
    visit.page(
        "check.html",
        context! { report => report.as_deref(), is_checking => stage.is_some(), stage => stage_text, rows, paging, wanted },
    )
}

/// Checks now.
pub(in crate::web) fn check(visit: &Visit) -> Result<Response, WebError> {
    Checks::begin(&visit.app, true);
    visit.flash("good", visit.say("check.begun", &[]));
    Ok(redirect("/jdwa/check"))
}

/// The key of its text.
pub(in crate::web) fn severity_key(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "severity.error",
        Severity::Warning => "severity.warning",
        Severity::Note => "severity.note",
    }
}

/// The charts, and the same in figures.
#[derive(Debug, Serialize)]
struct Traffic {
    charts: Vec<Chart>,
    rows: Vec<Row>,
    is_partial: bool,
    is_empty: bool,
}

/// A stretch of time in figures.
#[derive(Debug, Serialize)]
struct Row {
    when: String,
    received: u64,
    refused: u64,
    local: u64,
    remote: u64,
}

/// Two series of bars in a field of [`WIDTH`] times [`HEIGHT`].
#[derive(Debug, Serialize)]
struct Chart {
    id: &'static str,
    /// The keys of its title and its series.
    title: &'static str,
    series: [&'static str; 2],
    totals: [u64; 2],
    bars: Vec<Bar>,
    labels: Vec<Label>,
    highest: u64,
}

#[derive(Debug, Serialize)]
struct Bar {
    series: usize,
    x: String,
    y: String,
    width: String,
    height: String,
    when: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Label {
    x: String,
    text: String,
}

/// The field of a chart, in units of its view box; the template has the same numbers.
const WIDTH: f64 = 700.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 130.0;
const LEFT: f64 = 8.0;

/// Hours in one bar of the chart of a week.
const WEEK_STEP: usize = 6;

fn traffic(visit: &Visit, is_week: bool) -> Traffic {
    let (hours, step) = if is_week { (HOURS_MAX, WEEK_STEP) } else { (24, 1) };
    let logs = visit.tables().root().path().join("logs");
    let Hours { hours, is_partial, is_empty } =
        visit.app.traffic.last(&logs, &visit.app.services.clock.zoned(), hours);
    let rows: Vec<Row> = hours.chunks(step).map(|hours| row(hours, is_week)).collect();
    let received = |row: &Row| [row.received, row.refused];
    let delivered = |row: &Row| [row.local, row.remote];
    let charts = vec![
        chart("came", "dashboard.came", ["dashboard.received", "dashboard.refused"], &rows, received),
        chart("went", "dashboard.went", ["dashboard.local", "dashboard.remote"], &rows, delivered),
    ];
    Traffic { charts, rows, is_partial, is_empty }
}

fn row(hours: &[(String, Hour)], is_week: bool) -> Row {
    let sum = |of: fn(&Hour) -> u64| hours.iter().map(|(_, hour)| of(hour)).sum();
    // `2026-11-23 10`: the hour, or with the day.
    let name = hours.first().map(|(name, _)| name.as_str()).unwrap_or_default();
    let when = if is_week { name.get(5..) } else { name.get(11..) };
    Row {
        when: format!("{}:00", when.unwrap_or_default()),
        received: sum(|hour| hour.received),
        refused: sum(|hour| hour.refused),
        local: sum(|hour| hour.local),
        remote: sum(|hour| hour.remote),
    }
}

fn chart(
    id: &'static str,
    title: &'static str,
    series: [&'static str; 2],
    rows: &[Row],
    of: impl Fn(&Row) -> [u64; 2],
) -> Chart {
    let values: Vec<[u64; 2]> = rows.iter().map(of).collect();
    let highest = values.iter().flatten().copied().max().unwrap_or(0);
    let slot = (WIDTH - 2.0 * LEFT) / values.len().max(1) as f64;
    let width = slot * 0.4;
    let number = |value: f64| format!("{value:.1}");
    let bar = |index: usize, series: usize, count: u64| {
        let height = count as f64 / highest.max(1) as f64 * (BOTTOM - TOP);
        Bar {
            series,
            x: number(LEFT + slot * (index as f64 + 0.1) + width * series as f64),
            y: number(BOTTOM - height),
            width: number(width),
            height: number(height),
            when: rows[index].when.clone(),
            count,
        }
    };
    let bars = values.iter().enumerate().flat_map(|(index, counts)| {
        (0..2).filter(|&series| counts[series] > 0).map(move |series| (index, series, counts[series]))
    });
    let every = rows.len().div_ceil(8).max(1);
    let labels = rows
        .iter()
        .enumerate()
        .step_by(every)
        .map(|(index, row)| Label { x: number(LEFT + slot * (index as f64 + 0.1)), text: row.when.clone() });
    Chart {
        id,
        title,
        series,
        totals: [0, 1].map(|series| values.iter().map(|counts| counts[series]).sum()),
        bars: bars.map(|(index, series, count)| bar(index, series, count)).collect(),
        labels: labels.collect(),
        highest,
    }
}
