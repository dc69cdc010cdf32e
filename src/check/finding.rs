//! What was found and where: [`Finding`], and the bounded collection of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::code::{Code, Fact};
use crate::mailroot::{Problem, ProblemKind, Severity};

/// One thing that is wrong in a MailRoot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub fact: Fact,
    /// In which file, relative to the MailRoot; empty for the MailRoot itself.
    pub file: PathBuf,
    /// On which line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Which part of the line.
    pub spot: Spot,
    /// How it can be repaired without a decision that only the operator can take.
    pub fix: Option<Fix>,
    /// The line and the part meant, once `source` has read it.
    pub source: Option<Source>,
}

/// Which part of a line is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// All of it.
    Line,
    /// The column that begins at this byte, from 1.
    Byte(u32),
    /// The column with this number, from 0.
    Field(usize),
    /// A text inside the column that begins at this byte, from 1.
    InByte(u32, String),
    /// A text inside the column with this number.
    InField(usize, String),
    /// The first column with this value.
    Value(BString),
}

/// The text a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The line without its end; long ones cut around the part meant.
    pub text: BString,
    /// The part meant, in bytes of `text`.
    pub start: usize,
    /// Its end, exclusive.
    pub end: usize,
    /// Bytes of the line that are not in `text`, in front of it.
    pub cut: usize,
    /// Whether the line goes on behind `text`.
    pub goes_on: bool,
    /// What the description of the table says about this place.
    pub described: Option<String>,
}

/// A repair that is safe: it changes nothing that counts, or only adds what the server would add itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Ends the last line of the file.
    EndLastLine,
    /// Removes the byte order mark.
    RemoveByteOrderMark,
    /// Turns the row into a comment: it never counts.
    CommentOut,
    /// Writes the row anew with the values it is read with.
    Requote,
    /// Makes these directories, relative to the MailRoot.
    MakeDirectories(Vec<PathBuf>),
    /// Gives the file these permission bits.
    Mode(u32),
}

impl Finding {
    /// A finding about a whole file or directory.
    pub fn of_file(file: impl Into<PathBuf>, fact: Fact) -> Self {
        Self { fact, file: file.into(), line: 0, spot: Spot::Line, fix: None, source: None }
    }

    /// A finding about one column of a row.
    pub fn of_field(file: impl Into<PathBuf>, line: u32, field: usize, fact: Fact) -> Self {
        Self { line, spot: Spot::Field(field), ..Self::of_file(file, fact) }
    }

    /// A problem of loading, in the same form.
    pub fn of_problem(problem: &Problem) -> Self {
        let spot = match (problem.column, word_of(&problem.kind)) {
            (0, _) => Spot::Line,
            (column, Some(word)) => Spot::InByte(column, word.to_owned()),
            (column, None) => Spot::Byte(column),
        };
        let fix = match &problem.kind {
            ProblemKind::ByteOrderMark => Some(Fix::RemoveByteOrderMark),
            ProblemKind::UnclosedQuote => Some(Fix::Requote),
            ProblemKind::Duplicate { .. } if may_hold_comments(&problem.file) => Some(Fix::CommentOut),
            _ => None,
        };
        let fact = Fact::Table(problem.kind.clone());
        Self { line: problem.line, spot, fix, ..Self::of_file(&problem.file, fact) }
    }

    /// A finding about the first column of a row that has this value.
    pub fn of_value(file: impl Into<PathBuf>, line: u32, value: &[u8], fact: Fact) -> Self {
        Self { line, spot: Spot::Value(value.into()), ..Self::of_file(file, fact) }
    }

    /// The same, about a text inside its column.
    #[must_use]
    pub fn within(self, text: &str) -> Self {
        let spot = match self.spot {
            Spot::Field(index) => Spot::InField(index, text.to_owned()),
            spot => spot,
        };
        Self { spot, ..self }
    }

    /// The same, repairable.
    #[must_use]
    pub fn with_fix(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }

    /// Its code.
    pub fn code(&self) -> &'static Code {
        self.fact.code()
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match &self.fact {
            Fact::Table(kind) => kind.severity(),
            fact => fact.code().severity,
        }
    }

    /// The byte column where the part meant begins, from 1; 0 when the whole file is meant.
    pub fn column(&self) -> usize {
        self.source.as_ref().map_or(0, |source| source.cut + source.start + 1)
    }

    /// The byte column behind the part meant; 0 when the whole file is meant.
    pub fn end_column(&self) -> usize {
        self.source.as_ref().map_or(0, |source| source.cut + source.end + 1)
    }

    /// What is accepted in this place; empty when there is nothing to choose.
    pub fn accepted(&self) -> String {
        let described = self.source.as_ref().and_then(|source| source.described.clone());
        match &self.fact {
            Fact::Table(ProblemKind::UnknownWord { accepted, .. }) => format!("one of {accepted}"),
            Fact::Table(ProblemKind::CountsForNothing { accepted, .. }) => (*accepted).to_owned(),
            Fact::Table(ProblemKind::OutOfRange { accepted, .. }) => accepted.clone(),
            Fact::Table(kind) if is_of_kind(kind) && described.is_some() => described.unwrap_or_default(),
            fact => fact.code().accepted.to_owned(),
        }
    }
}

impl Finding {
    /// What the server does with it.
    pub fn at_run_time(&self) -> &'static str {
        match &self.fact {
            Fact::Table(ProblemKind::UnknownWord { accepted: "ALLOW, DENY", .. }) => {
                "every word but ALLOW denies"
            }
            Fact::Table(ProblemKind::UnknownWord { accepted: "U, M", .. }) => {
                "mail treats the account as a list; the commands for lists refuse it"
            }
            fact => fact.code().at_run_time,
        }
    }

    /// What probably happened.
    pub fn hint(&self) -> Option<&'static str> {
        let is_short = matches!(
            self.fact,
            Fact::Table(ProblemKind::TooFewColumns { .. } | ProblemKind::WrongColumnCount { .. })
        );
        let has_blanks = self.source.as_ref().is_some_and(|source| {
            let text = &source.text;
            text.contains_str("\" ")
                || text.contains_str(" \"")
                || !text.contains(&b'\t') && text.contains(&b' ')
        });
        (is_short && has_blanks).then_some("blanks stand in this line where a TAB may be meant")
    }
}

/// Whether the description of the column says more than the code.
fn is_of_kind(kind: &ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::TooFewColumns { .. }
            | ProblemKind::WrongColumnCount { .. }
            | ProblemKind::NotANumber(_)
            | ProblemKind::ReadAsNumber { .. }
            | ProblemKind::BadAddress(_)
            | ProblemKind::BadDomain(_)
            | ProblemKind::BadLocalPart(_)
            | ProblemKind::Empty
    )
}

/// The part of a column that a problem names.
fn word_of(kind: &ProblemKind) -> Option<&str> {
    match kind {
        ProblemKind::UnknownWord { found, .. }
        | ProblemKind::BadHost(found)
        | ProblemKind::BadIpAddress(found)
        | ProblemKind::CountsForNothing { found, .. }
        | ProblemKind::OutOfRange { found, .. }
        | ProblemKind::ReadAsNumber { found, .. }
        | ProblemKind::NotANumber(found) => Some(found),
        _ => None,
    }
}

/// Whether XMail passes a comment in this file: in two tables it takes the line for a row (`mailroot.md` 2.4).
fn may_hold_comments(file: &Path) -> bool {
    !["mlusers.tab", "domains.tab", "ctrlaccounts.tab"].iter().any(|name| file.ends_with(name))
}

/// How many findings of one code are kept; the rest is counted. Ours: nobody reads more, and memory stays bounded.
pub const FINDINGS_OF_A_CODE_MAX: usize = 100;

/// Collects findings, at most [`FINDINGS_OF_A_CODE_MAX`] of each code unless told otherwise.
#[derive(Debug)]
pub struct Findings {
    limit: usize,
    kept: Vec<Finding>,
    found: HashMap<&'static str, usize>,
    severities: HashMap<Severity, usize>,
}

impl Default for Findings {
    fn default() -> Self {
        Self::with_limit(FINDINGS_OF_A_CODE_MAX)
    }
}

impl Findings {
    /// A collection that keeps at most `limit` findings of each code.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, kept: Vec::new(), found: HashMap::new(), severities: HashMap::new() }
    }

    /// An empty collection with the same limit.
    pub(super) fn sibling(&self) -> Self {
        Self::with_limit(self.limit)
    }

    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        let of_code = self.found.entry(finding.code().code).or_default();
        *of_code += 1;
        *self.severities.entry(finding.severity()).or_default() += 1;
        if *of_code <= self.limit {
            self.kept.push(finding);
        }
    }

    /// Adds the problems of loading one file.
    pub fn add_problems(&mut self, problems: &[Problem]) {
        problems.iter().for_each(|problem| self.add(Finding::of_problem(problem)));
    }

    /// Adds what another collection holds; the order of calls decides what is kept.
    pub(super) fn append(&mut self, other: Self) {
        let kept_of_other = other.kept.len();
        let mut kept_of: HashMap<&'static str, usize> = HashMap::new();
        for finding in other.kept {
            *kept_of.entry(finding.code().code).or_default() += 1;
            self.add(finding);
        }
        debug_assert!(kept_of.values().sum::<usize>() == kept_of_other);
        for (code, count) in other.found {
            let missing = count - kept_of.get(code).copied().unwrap_or(0);
            if missing > 0 {
                *self.found.entry(code).or_default() += missing;
                let severity = super::code::find(code).map_or(Severity::Note, |code| code.severity);
                *self.severities.entry(severity).or_default() += missing;
            }
        }
    }

    /// The findings that are kept, by file, line and column, each with the text it is about.
    pub(super) fn kept_mut(&mut self) -> &mut Vec<Finding> {
        &mut self.kept
    }

    /// The findings that are kept; sorted once [`super::run`] is done.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many there are of this severity, kept or not.
    pub fn count(&self, severity: Severity) -> usize {
        self.severities.get(&severity).copied().unwrap_or(0)
    }

    /// Codes with more findings than are kept, and how many more, lowest code first.
    pub fn unlisted(&self) -> Vec<(&'static str, usize)> {
        let mut more: Vec<_> = self
            .found
            .iter()
            .filter(|(_, found)| **found > self.limit)
            .map(|(code, found)| (*code, found - self.limit))
            .collect();
        more.sort_unstable();
        more
    }
}
