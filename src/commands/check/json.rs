//! Findings for programs: one JSON object per line.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Report;
use crate::check::Finding;
use crate::mailroot::Severity;

pub(super) fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for finding in report.shown {
        writeln!(out, "{}", object(finding))?;
    }
    let unlisted: Map<String, Value> =
        report.unlisted().into_iter().map(|(code, more)| (code.to_owned(), more.into())).collect();
    let summary = json!({"summary": {
        "root": report.directory.to_string_lossy(),
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "notes": report.count(Severity::Note),
        "files": report.files(),
        "unlisted": unlisted,
    }});
    writeln!(out, "{summary}")
}

fn object(finding: &Finding) -> Value {
    let code = finding.code();
    json!({
        "code": code.code,
        "slug": code.slug,
        "severity": finding.severity().to_string(),
        "file": finding.file.to_string_lossy(),
        "line": finding.line,
        "column": finding.column(),
        "end_column": finding.end_column(),
        "text": finding.source.as_ref().map(|source| source.text.to_string()),
        "message": finding.fact.to_string(),
        "accepted": finding.accepted(),
        "at_run_time": finding.at_run_time(),
        "remedy": code.remedy,
        "hint": finding.hint(),
        "fixable": finding.fix.is_some(),
    })
}
