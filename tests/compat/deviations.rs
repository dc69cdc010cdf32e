//! Intended differences from the recordings: `compat-fixtures/deviations.jsonl`, one JSON object a line.
//!
//! `scenario` (pattern, whole name), `category` (or none: any), `expected` and `actual` (patterns for every removed
//! and every added line of one hunk; null = no such lines), `decision` (where the choice is argued), `why`. A row whose `why` begins with
//! "by chance" is about something that is not so each time.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fancy_regex::Regex;
use serde_json::Value;

const KEYS: &[&str] = &["scenario", "category", "expected", "actual", "decision", "why"];

/// One row, and whether it explained anything.
#[derive(Debug)]
pub(crate) struct Deviation {
    pub(crate) place: String,
    scenario: Regex,
    category: Option<String>,
    removed: Option<Regex>,
    added: Option<Regex>,
    used: AtomicBool,
}

impl Deviation {
    fn parse(place: String, text: &str) -> Result<Self, String> {
        let row: Value = serde_json::from_str(text).map_err(|error| format!("{place}: {error}"))?;
        let object = row.as_object().ok_or_else(|| format!("{place}: not an object"))?;
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("{place}: unknown key {key}"));
        }
        if !object.contains_key("decision") {
            return Err(format!("{place}: no decision"));
        }
        let pattern = |key: &str| -> Result<Option<Regex>, String> {
            let Some(pattern) = row[key].as_str() else { return Ok(None) };
            whole(pattern).map(Some).map_err(|error| format!("{place}: {key}: {error}"))
        };
        let scenario = pattern("scenario")?.ok_or_else(|| format!("{place}: no scenario"))?;
        let (removed, added) = (pattern("expected")?, pattern("actual")?);
        let category = row["category"].as_str().map(str::to_owned);
        // What may differ or not counts as used.
        let is_by_chance = row["why"].as_str().is_some_and(|why| why.starts_with("by chance"));
        Ok(Self { scenario, category, removed, added, used: AtomicBool::new(is_by_chance), place })
    }

    /// Whether the row speaks about this scenario.
    pub(crate) fn is_about(&self, scenario: &str) -> bool {
        matches(&self.scenario, scenario)
    }

    /// Whether the row explained a difference.
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    fn explains(&self, scenario: &str, category: &str, removed: &[&str], added: &[&str]) -> bool {
        if self.category.as_deref().is_some_and(|own| own != category) || !self.is_about(scenario) {
            return false;
        }
        let fits = |pattern: &Option<Regex>, lines: &[&str]| match pattern {
            Some(pattern) => !lines.is_empty() && lines.iter().all(|line| matches(pattern, line)),
            None => lines.is_empty(),
        };
        let explained = fits(&self.removed, removed) && fits(&self.added, added);
        if explained {
            self.used.store(true, Ordering::Relaxed);
        }
        explained
    }
}

/// All rows of a file; a missing file holds none.
///
/// # Errors
///
/// Names the row that cannot be read.
pub(crate) fn load(path: &Path) -> Result<Vec<Deviation>, String> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(Vec::new()) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(n, line)| Deviation::parse(format!("{name}:{}", n + 1), line))
        .collect()
}

/// A line of a difference that is no hunk (how many files, a file that is missing or more than expected), intended:
/// a row of a recording's `labels.jsonl` with `category`, `label` (pattern, whole line) and `decision`.
#[derive(Debug)]
pub(crate) struct Label {
    category: String,
    /// As written.
    pub(crate) pattern: String,
    /// Whether it occurred.
    pub(crate) is_used: bool,
}

/// The rows of a `labels.jsonl`; a missing file holds none.
pub(crate) fn labels(path: &Path) -> Vec<Label> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let label = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("labels.jsonl holds objects");
        assert!(row.get("decision").is_some(), "a label cites its decision: {line}");
        let text = |key: &str| row[key].as_str().expect("text").to_owned();
        Label { category: text("category"), pattern: text("label"), is_used: false }
    };
    text.lines().map(label).collect()
}

/// The difference without these lines. What a whole file holds is still for rows of `deviations.jsonl` to explain.
pub(crate) fn without_labels(
    mut difference: Vec<String>,
    labels: &mut [Label],
    category: &str,
) -> Vec<String> {
    difference.retain(|line| {
        let fits = |label: &&mut Label| {
            label.category == category && whole(&label.pattern).is_ok_and(|pattern| matches(&pattern, line))
        };
        let mut intended = false;
        for label in labels.iter_mut().filter(fits) {
            (label.is_used, intended) = (true, true);
        }
        !intended
    });
    difference
}

/// The difference without the hunks that a row explains. A hunk is a run of removed lines followed by a run of added
/// ones; it is explained as a whole by one row, or line pair by line pair by several.
pub(crate) fn unexplained(
    diff: &[String],
    rules: &[Deviation],
    scenario: &str,
    category: &str,
) -> Vec<String> {
    let (mut out, mut i, mut explained) = (Vec::new(), 0, false);
    while i < diff.len() {
        let removed: Vec<&str> = diff[i..].iter().map_while(|line| line.strip_prefix('-')).collect();
        let added: Vec<&str> =
            diff[i + removed.len()..].iter().map_while(|line| line.strip_prefix('+')).collect();
        let end = i + removed.len() + added.len();
        if end == i {
            out.push(diff[i].clone());
            i += 1;
            continue;
        }
        let any = |removed: &[&str], added: &[&str]| {
            rules.iter().any(|rule| rule.explains(scenario, category, removed, added))
        };
        let pairwise =
            || removed.len() == added.len() && removed.iter().zip(&added).all(|(a, b)| any(&[a], &[b]));
        if any(&removed, &added) || pairwise() {
            explained = true;
        } else {
            out.extend_from_slice(&diff[i..end]);
        }
        i = end;
    }
    let still_says_something = |line: &String| {
        line.starts_with(['-', '+'])
            || ["missing", "unexpected", "expected"].iter().any(|word| line.contains(word))
    };
    if explained && !out.iter().any(still_says_something) { Vec::new() } else { out }
}

fn whole(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    Regex::new(&format!(r"\A(?:{pattern})\z"))
}

fn matches(pattern: &Regex, text: &str) -> bool {
    pattern.is_match(text).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rows: &[&str]) -> Vec<Deviation> {
        rows.iter().map(|row| Deviation::parse("x".into(), row).unwrap()).collect()
    }

    fn left(rows: &[&str], diff: &[&str]) -> usize {
        let diff: Vec<String> = diff.iter().map(|line| (*line).to_owned()).collect();
        unexplained(&diff, &rules(rows), "smtp_basic", "wire").len()
    }

    #[test]
    fn a_row_explains_only_its_own_hunk() {
        let row = r#"{"scenario":"smtp_.*","category":"wire","expected":"S: 503 .*","actual":"S: 535 .*","decision":5}"#;
        assert_eq!(left(&[row], &["[s]", "@@", "-S: 503 no", "+S: 535 no"]), 0);
        assert_eq!(left(&[row], &["[s]", "@@", "-S: 503 no", "+S: 534 no"]), 4);
        assert_eq!(left(&[row], &["[s]", "@@", "-S: 503 no"]), 3);
        assert_eq!(left(&[row], &["[s]", "@@", "-S: 503 a", "+S: 535 a", "@@", "+S: 250 b"]), 4);
        assert_eq!(left(&[], &["[s]", "@@", "-S: 503 no", "+S: 535 no"]), 4);
    }

    #[test]
    fn null_means_no_lines() {
        let row = r#"{"scenario":"smtp_basic","expected":null,"actual":"S: 250-ENH.*","decision":4}"#;
        assert_eq!(left(&[row], &["[s]", "+S: 250-ENHANCEDSTATUSCODES"]), 0);
        assert_eq!(left(&[row], &["[s]", "-S: x", "+S: 250-ENHANCEDSTATUSCODES"]), 3);
    }

    #[test]
    fn several_rows_may_share_a_hunk_pair_by_pair() {
        let (a, b) = (
            r#"{"scenario":".*","expected":"a","actual":"A","decision":1}"#,
            r#"{"scenario":".*","expected":"b","actual":"B","decision":1}"#,
        );
        assert_eq!(left(&[a, b], &["x", "-a", "-b", "+A", "+B"]), 0);
        assert_eq!(left(&[a], &["x", "-a", "-b", "+A", "+B"]), 5);
    }

    #[test]
    fn a_row_must_cite_a_decision_and_known_keys() {
        assert!(Deviation::parse("x".into(), r#"{"scenario":"a"}"#).is_err());
        assert!(Deviation::parse("x".into(), r#"{"scenario":"a","decision":1,"other":1}"#).is_err());
    }
}
