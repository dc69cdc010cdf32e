//! One table in service: what a look at its file makes of it.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::stamp::{self, LARGE_BYTES, Stamp, TABLE_BYTES_MAX};
use super::{QUIET, TableState, TableStatus, VITAL_TABLES};
use crate::mailroot::MailRoot;
use crate::mailroot::problem::{Problem, ProblemKind, Severity};
use crate::mailroot::revision::{Change, moved_line};
use crate::mailroot::table::{BYTE_ORDER_MARK, Table};

/// A table with its file's stamp and problems. Dereferences to the table.
#[derive(Debug)]
pub struct Loaded<T> {
    table: Arc<T>,
    rows: usize,
    problems: Arc<[Problem]>,
    since: SystemTime,
    pub(super) stamp: Option<Stamp>,
    /// The file in service as it was read: what changed since is found without reading the rest again.
    content: Arc<Vec<u8>>,
    suspect: Option<Suspect>,
    kept_from: Option<Fault>,
}

/// A version of the file that looks half-written, and since when it has been seen like that. `None` is a file that
/// is gone.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    stamp: Option<Stamp>,
    since: Instant,
}

/// The version of the file that is not taken: it brings errors, or cannot be read at all.
#[derive(Clone, Debug)]
struct Fault {
    stamp: Option<Stamp>,
    since: SystemTime,
    problems: Arc<[Problem]>,
}

/// How ready a look is to take what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// A file that looks half-written gets time to become whole.
    WaitForQuiet,
    /// A half-written file is taken as it stands, if it brings no errors.
    Now,
    /// Everything that can be read is taken.
    Force,
}

/// What a look has found: the table from now on, and the bytes of a version that was taken.
pub(super) struct Found<T> {
    pub(super) loaded: Loaded<T>,
    pub(super) accepted: Option<Taken>,
}

/// A version that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    /// What was in service before; empty where there was nothing.
    pub(super) before: Arc<Vec<u8>>,
    pub(super) bytes: Arc<Vec<u8>>,
}

impl<T> Clone for Loaded<T> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            rows: self.rows,
            problems: Arc::clone(&self.problems),
            since: self.since,
            stamp: self.stamp,
            content: Arc::clone(&self.content),
            suspect: self.suspect,
            kept_from: self.kept_from.clone(),
        }
    }
}

impl<T> Deref for Loaded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.table
    }
}

impl<T> Loaded<T> {
    /// What is wrong with the file as it is now: with a version that is not taken, or else with the one in service.
    pub fn problems(&self) -> &[Problem] {
        self.kept_from.as_ref().map_or(&self.problems, |fault| &fault.problems)
    }

    /// Whether the table in service comes from a file.
    pub fn exists(&self) -> bool {
        self.stamp.is_some()
    }

    /// Whether the file is there but cannot be read. The table is then the last good one, or empty if there was
    /// none: a caller that would lose mail over it can wait instead.
    pub fn is_unreadable(&self) -> bool {
        let cannot_be_read = |problem: &Problem| {
            matches!(problem.kind, ProblemKind::Unreadable(_) | ProblemKind::TooLarge { .. })
        };
        self.kept_from.as_ref().is_some_and(|fault| fault.problems.iter().any(cannot_be_read))
    }

    /// Whether the file now holds a version that is not taken; the table is the one from before.
    pub fn is_rejected(&self) -> bool {
        self.kept_from.is_some()
    }

    /// Whether this is what the file says.
    pub(super) fn is_live(&self) -> bool {
        self.kept_from.is_none() && self.suspect.is_none()
    }

    /// For operators: how this table stands.
    pub fn status(&self, file: &Path) -> TableStatus {
        let state = match (&self.kept_from, self.suspect) {
            (Some(_), _) if self.is_unreadable() => TableState::Unreadable,
            (Some(_), _) => TableState::Rejected,
            (None, Some(_)) => TableState::Suspect,
            (None, None) => TableState::Live,
        };
        TableStatus {
            file: file.to_owned(),
            rows: self.rows,
            since: self.kept_from.as_ref().map_or(self.since, |fault| fault.since),
            state,
            problems: self.problems().to_vec(),
        }
    }

    /// Whether the next look may find something new although the file's stamp stays as it is.
    pub(super) fn is_unsettled(&self) -> bool {
        self.suspect.is_some() || self.last_seen().is_some_and(|stamp| stamp.may_hide_a_change)
    }

    /// Whether readers see a difference: in rows, in problems, or in whether there is a file.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        let problems = |loaded: &Self| loaded.problems().as_ptr_range();
        !Arc::ptr_eq(&self.table, &other.table)
            || problems(self) != problems(other)
            || self.is_rejected() != other.is_rejected()
            || self.exists() != other.exists()
    }

    /// The bytes of the file in service.
    pub(super) fn bytes(&self) -> u64 {
        self.stamp.map_or(0, |stamp| stamp.bytes)
    }

    /// The version that was looked at last, taken or not.
    fn last_seen(&self) -> Option<Stamp> {
        self.kept_from.as_ref().map_or(self.stamp, |fault| fault.stamp)
    }

    /// Whether a look at a file with this stamp would change nothing.
    fn is_settled_at(&self, stamp: Option<Stamp>, haste: Haste) -> bool {
        if haste != Haste::WaitForQuiet && (self.suspect.is_some() || self.kept_from.is_some()) {
            return false;
        }
        if self.suspect.is_some() {
            // It waits for quiet, whatever the bytes are.
            return self.is_waiting_for(stamp);
        }
        let seen = self.last_seen();
        let hides = seen.zip(stamp).is_some_and(|(seen, now)| {
            // A large file is read again once, when its time can tell; a small one at each look until then.
            seen.may_hide_a_change && (now.bytes < LARGE_BYTES || !now.may_hide_a_change)
        });
        seen == stamp && !hides && !(stamp.is_none() && self.is_unreadable())
    }

    fn is_waiting_for(&self, stamp: Option<Stamp>) -> bool {
        self.suspect.is_some_and(|suspect| suspect.stamp == stamp) && !self.is_quiet(stamp)
    }

    /// A version is quiet when its last write is past, by the clock or because it has been seen unchanged for a
    /// while. The latter counts for files that are gone, and where the clock went backwards.
    fn is_quiet(&self, stamp: Option<Stamp>) -> bool {
        let was_gone = stamp.is_none() && self.stamp.is_none();
        let by_clock = stamp.is_some_and(|stamp| stamp.age() >= QUIET);
        let seen = self.suspect.is_some_and(|seen| seen.stamp == stamp && seen.since.elapsed() >= QUIET);
        was_gone || by_clock || seen
    }

    /// Whether a version looks unfinished without a look at its bytes: gone, or large and rewritten by a writer that
    /// may not have done with it. A write that ends on a line end would look like the whole table.
    fn looks_unfinished(&self, stamp: Option<Stamp>) -> bool {
        let Some(new) = stamp else { return true };
        let is_same_inode = self.stamp.is_some_and(|old| old.inode == new.inode);
        let may_be_appended = is_same_inode && new.bytes > self.bytes();
        new.bytes >= LARGE_BYTES && !may_be_appended && (is_same_inode || !new.is_finished())
    }

    /// This table, kept while the file looks half-written; `None` when that is known already.
    fn suspecting(&self, stamp: Option<Stamp>) -> Option<Self> {
        let is_known = self.suspect.is_some_and(|seen| seen.stamp == stamp);
        let suspect = Some(Suspect { stamp, since: Instant::now() });
        (!is_known).then(|| Self { suspect, ..self.clone() })
    }

    /// This table, kept because of what `file` has become; `None` when that is known already.
    fn keeping(&self, file: &Path, stamp: Option<Stamp>, kind: ProblemKind) -> Option<Self> {
        let problem = Problem { file: file.to_owned(), line: 0, column: 0, kind };
        if let Some(fault) = &self.kept_from
            && *fault.problems == [problem.clone()]
        {
            let is_known = fault.stamp == stamp && self.suspect.is_none();
            let kept_from = Some(Fault { stamp, ..fault.clone() });
            return (!is_known).then(|| Self { suspect: None, kept_from, ..self.clone() });
        }
        let fault = Fault { stamp, since: SystemTime::now(), problems: [problem].into() };
        Some(Self { suspect: None, kept_from: Some(fault), ..self.clone() })
    }

    fn unreadable(&self, file: &Path, error: &io::Error) -> Option<Self> {
        self.keeping(file, None, ProblemKind::Unreadable(error.kind()))
    }
}

impl<T: Table> Loaded<T> {
    pub(super) fn empty() -> Self {
        Self {
            table: Arc::default(),
            rows: 0,
            problems: Arc::from([]),
            since: SystemTime::now(),
            stamp: None,
            content: Arc::default(),
            suspect: None,
            kept_from: None,
        }
    }

    pub(super) fn first(root: &MailRoot, file: &Path) -> Found<T> {
        let empty = Self::empty();
        let found = empty.next(root, file, Haste::Force);
        found.unwrap_or(Found { loaded: empty, accepted: None })
    }

    /// Whether a look would find nothing new. One `stat`.
    pub(super) fn is_current(&self, root: &MailRoot, file: &Path) -> bool {
        match Stamp::of(&root.path().join(file)) {
            Ok(stamp) => self.is_settled_at(stamp, Haste::WaitForQuiet),
            Err(error) => self.unreadable(file, &error).is_none(),
        }
    }

    /// What this table becomes after a look at its file; `None` when nothing changed.
    pub(super) fn next(&self, root: &MailRoot, file: &Path, haste: Haste) -> Option<Found<T>> {
        let path = root.path().join(file);
        let kept = |loaded: Option<Self>| Some(Found { loaded: loaded?, accepted: None });
        let waits = haste == Haste::WaitForQuiet;
        let stamp = match Stamp::of(&path) {
            Ok(stamp) => stamp,
            Err(error) => return kept(self.unreadable(file, &error)),
        };
        if self.is_settled_at(stamp, haste) {
            return None;
        }
        if waits && self.looks_unfinished(stamp) && !self.is_quiet(stamp) {
            return kept(self.suspecting(stamp));
        }
        let (stamp, bytes) = match stamp.and_then(|_| stamp::read(&path).transpose()).transpose() {
            Ok(Some((stamp, Some(bytes)))) => (Some(stamp), bytes),
            Ok(Some((stamp, None))) => {
                let kind = ProblemKind::TooLarge { bytes: stamp.bytes, limit: TABLE_BYTES_MAX };
                return kept(self.keeping(file, Some(stamp), kind));
            }
            Ok(None) => (None, Vec::new()),
            Err(error) => return kept(self.unreadable(file, &error)),
        };
        let is_cut = bytes.last() != Some(&b'\n');
        if waits && (is_cut || self.is_rewritten(stamp, &bytes)) && !self.is_quiet(stamp) {
            return kept(self.suspecting(stamp));
        }
        if haste != Haste::Force
            && let Some(kind) = self.vital_loss(file, stamp, &bytes)
        {
            return kept(self.keeping(file, stamp, kind));
        }
        Some(self.judge(file, stamp, bytes, haste))
    }

    /// Whether a large file of the same inode has new bytes where the old ones were: not a mere append.
    fn is_rewritten(&self, stamp: Option<Stamp>, bytes: &[u8]) -> bool {
        let (Some(old), Some(new)) = (self.stamp, stamp) else { return false };
        new.bytes >= LARGE_BYTES && new.inode == old.inode && !bytes.starts_with(&self.content)
    }

    /// The accident that the loss of a table without which no mail is taken must be; `None` for everything else.
    fn vital_loss(&self, file: &Path, stamp: Option<Stamp>, bytes: &[u8]) -> Option<ProblemKind> {
        let was_in_use = self.stamp.is_some() && self.rows > 0;
        let is_vital = VITAL_TABLES.iter().any(|name| Path::new(name) == file);
        match stamp {
            _ if !was_in_use || !is_vital => None,
            None => Some(ProblemKind::Missing),
            Some(_) => bytes.is_empty().then_some(ProblemKind::Emptied),
        }
    }

    /// This content as a table, or the table from before when the content brings errors. Content that is known
    /// already keeps its table, so that nothing is announced.
    fn judge(&self, file: &Path, stamp: Option<Stamp>, bytes: Vec<u8>, haste: Haste) -> Found<T> {
        if bytes == *self.content {
            let loaded = Self { stamp, suspect: None, kept_from: None, ..self.clone() };
            return Found { loaded, accepted: None };
        }
        let has_old = haste != Haste::Force && self.exists();
        let revised = has_old.then(|| self.revised(file, &bytes)).flatten();
        let (table, problems, rows) = match revised {
            Some((Some(table), problems, rows)) => (table, problems, rows),
            Some((None, problems, _)) => return self.rejecting(stamp, problems),
            None => T::load_counted(file, &bytes),
        };
        if has_old && brings_errors(&self.problems, &problems) {
            return self.rejecting(stamp, problems);
        }
        let (content, since, suspect) = (Arc::new(bytes), SystemTime::now(), None);
        let accepted = Some(Taken { before: Arc::clone(&self.content), bytes: Arc::clone(&content) });
        let (table, problems) = (Arc::new(table), problems.into());
        let loaded = Self { table, rows, problems, since, stamp, content, suspect, kept_from: None };
        Found { loaded, accepted }
    }

    /// This table, kept because the file's new content has these problems.
    fn rejecting(&self, stamp: Option<Stamp>, problems: Vec<Problem>) -> Found<T> {
        let fault = match &self.kept_from {
            // The same text written again is no news.
            Some(fault) if *fault.problems == problems => Fault { stamp, ..fault.clone() },
            _ => Fault { stamp, since: SystemTime::now(), problems: problems.into() },
        };
        Found { loaded: Self { suspect: None, kept_from: Some(fault), ..self.clone() }, accepted: None }
    }

    /// The table for `bytes`, its problems and rows, when only a few of a large file's lines are new; no table when
    /// these lines bring errors; `None` when all must be read.
    fn revised(&self, file: &Path, bytes: &[u8]) -> Option<(Option<T>, Vec<Problem>, usize)> {
        if !T::IS_REVISABLE || (bytes.len() as u64) < LARGE_BYTES {
            return None;
        }
        let change = Change::between(&self.content, bytes);
        if !self.problems.iter().all(|problem| stays_true(problem, &change)) {
            return None;
        }
        if change.first_line > 0 && change.new.starts_with(BYTE_ORDER_MARK) {
            // Inside a file it is no mark.
            return None;
        }
        let (part, new, rows) = T::load_counted(file, change.new);
        let problems = problems_after(&change, &self.problems, &new);
        if brings_errors(&self.problems, &problems) {
            return Some((None, problems, 0));
        }
        let (_, _, gone) = T::load_counted(file, change.old);
        let table = are_of_single_rows(&new).then(|| self.table.revised(part, &change)).flatten()?;
        Some((Some(table), problems, (self.rows + rows).saturating_sub(gone)))
    }
}

/// Whether the problems depend on nothing but the row they are in.
fn are_of_single_rows(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| {
        let is_of_more = matches!(problem.kind, ProblemKind::Duplicate { .. } | ProblemKind::MoreProblems(_));
        problem.line > 0 && !is_of_more
    })
}

/// Whether a problem of an unchanged row is the same after the change: it depends on nothing but its row, or the row that
/// wins over it stays where it is.
fn stays_true(problem: &Problem, change: &Change<'_>) -> bool {
    match problem.kind {
        ProblemKind::MoreProblems(_) => false,
        ProblemKind::Duplicate { first } => first <= change.first_line || first > change.last_old_line(),
        _ => problem.line > 0,
    }
}

/// The old problems outside of the change, and the `new` ones inside, with the lines they have now.
fn problems_after(change: &Change<'_>, old: &[Problem], new: &[Problem]) -> Vec<Problem> {
    let moved = |problem: &Problem, by: i64| {
        let line = moved_line(problem.line, if problem.line > 0 { by } else { 0 });
        let kind = match problem.kind {
            ProblemKind::Duplicate { first } if first > change.last_old_line() => {
                ProblemKind::Duplicate { first: moved_line(first, by) }
            }
            _ => problem.kind.clone(),
        };
        Problem { line, kind, ..problem.clone() }
    };
    let head = old.iter().filter(|problem| problem.line <= change.first_line).cloned();
    let part = new.iter().map(|problem| moved(problem, change.first_line.into()));
    let tail = old.iter().filter(|problem| problem.line > change.last_old_line());
    head.chain(part).chain(tail.map(|problem| moved(problem, change.shift()))).collect()
}

/// Whether `new` has an error more than `old`. Errors are compared by what they are, not by where they stand: an old
/// one that moved with its line keeps nothing from being taken.
fn brings_errors(old: &[Problem], new: &[Problem]) -> bool {
    let mut unmatched: Vec<&ProblemKind> = old.iter().map(|problem| &problem.kind).collect();
    let unlisted = |problems: &[Problem]| {
        problems.iter().find_map(|problem| match problem.kind {
            ProblemKind::MoreProblems(count) => Some(count),
            _ => None,
        })
    };
    let mut is_known = |kind: &ProblemKind| {
        let place = unmatched.iter().position(|old| *old == kind);
        place.map(|place| unmatched.swap_remove(place)).is_some()
    };
    let errors = new.iter().filter(|problem| problem.kind.severity() == Severity::Error);
    unlisted(new) > unlisted(old) || errors.map(|problem| &problem.kind).any(|kind| !is_known(kind))
}

#[cfg(test)]
mod tests;
