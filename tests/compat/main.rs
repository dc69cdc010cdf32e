//! Recordings of the original server, replayed against ours: same replies, same files, same logs, or a row in
//! `compat-fixtures/deviations.jsonl` that says why not. See `compat-fixtures/README.md`.
//!
//! `COMPAT=smtp_*,pop3_hang` replays some; `COMPAT_LINES=200` shows more of each difference.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and tell why")]

mod alone;
mod compare;
mod connection;
mod deviations;
mod diff;
mod explain;
mod normalise;
#[path = "../support/recording.rs"]
mod recording;
mod replay;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use deviations::Deviation;
use recording::Recording;

/// Replays mostly wait (for delays that the server owes its clients), hence more of them than processors.
const WORKERS: usize = 8;

/// Replies that are compared with their explanations at least: a comparison that compares nothing proves nothing.
const EXPLAINED_MIN: usize = 200;

/// How much of a difference is shown unless `COMPAT_LINES` says otherwise.
const SHOWN_LINES: usize = 12;

#[test]
fn recordings_are_reproduced() {
    let rules = deviations::load(&recording::fixtures().join("deviations.jsonl")).unwrap();
    let wanted = wanted();
    let explained = AtomicUsize::new(0);
    let failures = replay_all(&wanted, &rules, &explained);
    let mut report = String::new();
    for (name, difference) in &failures {
        let _ = writeln!(report, "FAIL {name}\n{difference}");
    }
    let replayed: Vec<String> =
        wanted.iter().filter(|name| !recording::is_sessions_only(name)).cloned().collect();
    let unused = unused(&rules, &replayed);
    for place in &unused {
        let _ = writeln!(report, "UNUSED {place}: the difference does not occur any more");
    }
    let passed = wanted.len() - failures.len();
    let _ = writeln!(report, "{passed} recordings reproduced, {} not", failures.len());
    assert!(failures.is_empty() && unused.is_empty(), "\n{report}");
    let explained = explained.into_inner();
    assert!(
        std::env::var_os("COMPAT").is_some() || explained >= EXPLAINED_MIN,
        "only {explained} replies explained"
    );
}

#[test]
fn the_fixtures_are_complete() {
    let here = recording::names();
    assert!(here.len() >= 45, "only {} recordings", here.len());
    let recorded = recorded();
    for name in here {
        assert!(recorded.contains(&name), "{name} is not in recorded.txt");
        let recording = Recording::load(&name);
        assert!(!recording.flags.is_empty() && recording.flags[0] == "-Md", "{name}: no flags");
        assert!(recording.capture.snapshots.contains_key("final"), "{name}: no final state");
        let absent: Vec<_> = recording
            .tree
            .iter()
            .filter(|e| !e.is_directory && !recording.initial.contains_key(&e.path))
            .collect();
        let only_tls = absent.iter().all(|entry| entry.path.starts_with("server."));
        assert!(only_tls, "{name}: files of initial/ are not here: {absent:?}");
    }
}

#[test]
fn every_recording_equals_itself() {
    for name in recording::names() {
        let recording = Recording::load(&name);
        let difference = compare::compare(&recording.capture, &recording.capture, &recording.initial);
        assert!(difference.is_empty(), "{name}: {difference:?}");
    }
}

/// Explanations are compared with the sessions of all of them, none left out.
#[test]
fn every_smtp_recording_is_here() {
    let here = recording::names();
    let absent: Vec<String> =
        recorded().into_iter().filter(|name| name.starts_with("smtp_") && !here.contains(name)).collect();
    assert!(absent.is_empty(), "{absent:?}");
}

/// Replays in parallel; returns the failures, by name.
fn replay_all(wanted: &[String], rules: &[Deviation], explained: &AtomicUsize) -> Vec<(String, String)> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(name) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(difference) = replay_one(name, rules, explained) {
                        failures.lock().unwrap().push((name.clone(), difference));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures
}

/// What is different and not intended; none when all is well.
fn replay_one(name: &str, rules: &[Deviation], explained: &AtomicUsize) -> Option<String> {
    let recording = Recording::load(name);
    let start = Instant::now();
    let run = panic::catch_unwind(AssertUnwindSafe(|| replay::replay(&recording)));
    if std::env::var_os("COMPAT_TRACE").is_some() {
        eprintln!("{name}: {:?}", start.elapsed());
    }
    let (actual, printed, compared) = match run {
        Ok(run) => run,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "panicked".to_owned());
            return Some(format!("    {text}\n"));
        }
    };
    let shown = std::env::var("COMPAT_LINES").ok().and_then(|n| n.parse().ok()).unwrap_or(SHOWN_LINES);
    let mut report = String::new();
    explained.fetch_add(compared.count, Ordering::Relaxed);
    for difference in &compared.differences {
        let _ = writeln!(report, "    explain| {difference}");
    }
    if recording::is_sessions_only(name) {
        return (!report.is_empty()).then_some(report);
    }
    let mut labels =
        deviations::labels(&recording::fixtures().join("recordings").join(name).join("labels.jsonl"));
    for (category, difference) in compare::compare(&recording.capture, &actual, &recording.initial) {
        let difference: Vec<String> = deviations::without_labels(difference, &mut labels, category);
        let mut left = deviations::unexplained(&difference, rules, name, category);
        left.retain(|line| !line.starts_with([' ', '@']));
        for line in left.iter().take(shown) {
            let _ = writeln!(report, "    {category}| {}", line.chars().take(300).collect::<String>());
        }
        if left.len() > shown {
            let _ = writeln!(report, "    {category}| ... {} more lines", left.len() - shown);
        }
    }
    for label in labels.iter().filter(|label| !label.is_used) {
        let _ = writeln!(report, "    labels.jsonl| does not occur any more: {}", label.pattern);
    }
    if report.is_empty() {
        return None;
    }
    for line in printed
        .lines()
        .filter(|line| line.contains("panicked") || line.contains(" WARN ") || line.contains("ERROR"))
    {
        let _ = writeln!(report, "    server| {line}");
    }
    Some(report)
}

/// Rows that explained nothing although every recording they speak about was replayed.
fn unused(rules: &[Deviation], replayed: &[String]) -> Vec<String> {
    let recorded = recorded();
    let judged = |rule: &&Deviation| {
        let mut about = recorded.iter().filter(|name| rule.is_about(name)).peekable();
        about.peek().is_some() && about.all(|name| replayed.contains(name))
    };
    rules.iter().filter(|rule| !rule.is_used()).filter(judged).map(|rule| rule.place.clone()).collect()
}

/// The names of all recordings that were made, also of those that are not replayed here.
fn recorded() -> BTreeSet<String> {
    let list = fs::read_to_string(recording::fixtures().join("recorded.txt")).unwrap();
    list.lines().map(str::to_owned).collect()
}

/// The recordings with the longest waits first, so that none of them is started last.
fn wanted() -> Vec<String> {
    let patterns = std::env::var("COMPAT").unwrap_or_default();
    let fits = |name: &str| {
        patterns.is_empty()
            || patterns.split(',').any(|pattern| match pattern.split_once('*') {
                Some((start, end)) => name.starts_with(start) && name.ends_with(end),
                None => name == pattern,
            })
    };
    let mut names: Vec<String> = recording::names().into_iter().filter(|name| fits(name)).collect();
    let lasts = |name: &str| Recording::load(name).capture.events.last().map_or(0.0, |event| event.at);
    names.sort_by_cached_key(|name| std::cmp::Reverse((lasts(name) * 1000.0) as u64));
    names
}
