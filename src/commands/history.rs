//! `tabmail log`, `show` and `rollback`: the history of the tables ([`crate::mailroot::history`]).
//!
//! They work on the files, whether a server runs or not. What they print holds passwords as the tables do.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::root::{NoMailRoot, Root};
use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailroot::edit::{EditError, Editor};
use crate::mailroot::history::{Change, History, HistoryError, HistoryLock, Version};
use crate::mailroot::line_diff::unified;
use crate::mailroot::{MailRoot, ServerTab, Table, schema};

/// `tabmail log`.
#[derive(Debug, Args)]
pub struct Log {
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
    /// Only states that changed this file (relative to the MailRoot)
    pub file: Option<PathBuf>,
    /// Only the newest N states
    #[arg(short = 'n', value_name = "N")]
    pub count: Option<usize>,
}

/// `tabmail show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
    /// The state
    pub number: u64,
    /// The whole text of this file in that state, instead of what changed
    #[arg(long)]
    pub file: Option<PathBuf>,
}

/// `tabmail rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
    /// The state to go back to
    pub number: u64,
    /// Only these files; else all that are in the history
    pub files: Vec<PathBuf>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Why a command about the history failed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryCommandError {
    /// Nothing names a MailRoot.
    #[error(transparent)]
    NoMailRoot(#[from] NoMailRoot),
    /// The history cannot be read or written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was not written.
    #[error("{source}; written before: {}", names(written))]
    Edit {
        /// Why.
        source: EditError,
        /// Files that were rolled back before.
        written: Vec<PathBuf>,
    },
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

fn names(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "nothing".to_owned();
    }
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn open(root: &Root) -> Result<History, HistoryCommandError> {
    Ok(History::new(&MailRoot::new(root.path()?), Disk::default()))
}

/// A file as it is named in the history: an absolute path into the MailRoot is meant as well.
fn relative(history: &History, file: &Path) -> PathBuf {
    let file = file.strip_prefix(history.root().path()).unwrap_or(file);
    file.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

impl Log {
    /// Prints the states, the newest first.
    ///
    /// # Errors
    /// [`HistoryCommandError`].
    pub fn run(&self, out: &mut impl Write) -> Result<(), HistoryCommandError> {
        let history = open(&self.root)?;
        let file = self.file.as_deref().map(|file| relative(&history, file));
        let states = history.states()?;
        let wanted =
            states.iter().rev().filter(|state| file.as_ref().is_none_or(|file| state.files.contains(file)));
        for state in wanted.take(self.count.unwrap_or(usize::MAX)) {
            let time = state.time.get(..19).unwrap_or(&state.time).replace('T', " ");
            writeln!(out, "{:>5}  {time} UTC  {:<14}  {}", state.number, state.origin, names(&state.files))?;
        }
        Ok(())
    }
}

impl Show {
    /// Prints what changed in a state, or a file as it was.
    ///
    /// # Errors
    /// [`HistoryCommandError`].
    pub fn run(&self, out: &mut impl Write) -> Result<(), HistoryCommandError> {
        let history = open(&self.root)?;
        let state = history.state(self.number)?;
        if let Some(file) = &self.file {
            let version = history.version(&relative(&history, file), self.number)?;
            return Ok(out.write_all(bytes(&version))?);
        }
        writeln!(out, "state {}  {}  {}", state.number, state.time, state.origin)?;
        for file in &state.files {
            let after = history.version(file, self.number)?;
            match history.version_before(file, self.number)? {
                Some(before) => print_diff(out, file, &before, &after)?,
                None => {
                    let bytes = bytes(&after).len();
                    writeln!(out, "\n{}: first recorded, {bytes} bytes (--file shows them)", file.display())?;
                }
            }
        }
        Ok(())
    }
}

/// The changed rows of one file.
fn print_diff(out: &mut impl Write, file: &Path, before: &Version, after: &Version) -> io::Result<()> {
    let there = |version: &Version| if version.is_some() { "" } else { "  (no file)" };
    writeln!(out, "\n--- {}{}\n+++ {0}{}", file.display(), there(before), there(after))?;
    write!(out, "{}", unified(bytes(before), bytes(after), 0))
}

fn bytes(version: &Version) -> &[u8] {
    version.as_ref().map_or(b"", |bytes| bytes.as_slice())
}

/// A file that a rollback changes.
struct Step {
    file: PathBuf,
    now: Version,
    target: Version,
}

impl Rollback {
    /// Shows what changes, then makes it so. The result is a new state.
    ///
    /// # Errors
    /// [`HistoryCommandError`]. What was written before an error stays written and recorded.
    pub fn run(&self, out: &mut impl Write) -> Result<(), HistoryCommandError> {
        let history = open(&self.root)?;
        history.state(self.number)?;
        // Until the new state is recorded nobody else records it under another name.
        let lock = history.lock()?;
        let steps = self.steps(&history)?;
        for step in &steps {
            print_diff(out, &step.file, &step.now, &step.target)?;
        }
        if self.dry_run || steps.is_empty() {
            let what = if steps.is_empty() { "nothing to change" } else { "nothing was changed (--dry-run)" };
            return Ok(writeln!(out, "{what}")?);
        }
        record(&history, &lock, &steps, "hand", |step| step.now.clone())?;
        let written = write(&history, &steps);
        let done = written.as_ref().map_or_else(|(_, done)| *done, Vec::len);
        let origin = format!("rollback {}", self.number);
        let number = record(&history, &lock, &steps[..done], &origin, |step| step.target.clone())?;
        match written {
            Ok(files) => {
                let state = number.map_or_else(String::new, |number| format!(", now state {number}"));
                writeln!(out, "\nas in state {}: {}{state}", self.number, names(&files))?;
                Ok(())
            }
            Err((source, done)) => {
                let written = steps[..done].iter().map(|step| step.file.clone()).collect();
                Err(HistoryCommandError::Edit { source, written })
            }
        }
    }

    fn steps(&self, history: &History) -> Result<Vec<Step>, HistoryCommandError> {
        let asked: Vec<PathBuf> = self.files.iter().map(|file| relative(history, file)).collect();
        let files = if asked.is_empty() { history.files()? } else { asked };
        let mut steps = Vec::new();
        for file in files {
            let target = match history.version(&file, self.number) {
                Err(HistoryError::NotRecorded { .. }) if self.files.is_empty() => continue,
                target => target?,
            };
            let now = read(&history.root().path().join(&file))?;
            if now != target {
                steps.push(Step { file, now, target });
            }
        }
        Ok(steps)
    }
}

/// Writes the files; on an error, with the number of those that are written.
fn write(history: &History, steps: &[Step]) -> Result<Vec<PathBuf>, (EditError, usize)> {
    let editor = Editor::new(history.root(), Disk::default());
    for (done, step) in steps.iter().enumerate() {
        write_one(&editor, step).map_err(|error| (error, done))?;
    }
    Ok(steps.iter().map(|step| step.file.clone()).collect())
}

fn write_one(editor: &Editor, step: &Step) -> Result<(), EditError> {
    let mut edit = editor.begin(&step.file)?;
    let found = edit.existed().then(|| edit.to_bytes());
    if found.as_ref() != step.now.as_deref() {
        return Err(EditError::ChangedMeanwhile { file: step.file.clone() });
    }
    match &step.target {
        Some(bytes) => {
            edit.restore(bytes);
            edit.commit()
        }
        None => edit.delete().map(drop),
    }
}

fn record(
    history: &History,
    lock: &HistoryLock,
    steps: &[Step],
    origin: &str,
    version: impl Fn(&Step) -> Version,
) -> Result<Option<u64>, HistoryCommandError> {
    let changes: Vec<Change> = steps
        .iter()
        .map(|step| Change { file: step.file.clone(), before: None, after: version(step) })
        .collect();
    // Switched off since, the history keeps its size and only this state is added.
    let bytes_max = bytes_max(history)?.unwrap_or(u64::MAX);
    Ok(history.record(lock, &changes, origin, Clock::system().now(), bytes_max)?)
}

fn bytes_max(history: &History) -> Result<Option<u64>, HistoryCommandError> {
    let text = read(&history.root().path().join("server.tab"))?;
    let (server, _) = ServerTab::load(Path::new("server.tab"), bytes(&text));
    Ok(server.kilobytes(&schema::server::HISTORY_MAX_SIZE))
}

fn read(path: &Path) -> Result<Version, HistoryCommandError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Arc::new(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HistoryCommandError::Read { file: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
