//! The history of the tables: each accepted state, to be listed, compared and brought back.
//!
//! Shape: `MailRoot/.tabmail/history/`, which XMail ignores:
//!
//! ```text
//! log.tab                       number, UTC time, origin, files that changed: one row for each state
//! files/aliases.tab/7.whole     the file as of state 7
//! files/aliases.tab/12.step     what state 12 changed in it, to be gone forward from 7 or back from 12
//! files/aliases.tab/15.step     and the next one
//! files/aliases.tab/15.whole    another whole version: the steps before it had become many
//! lock                          held while something is recorded
//! ```
//!
//! A change of one row of a large table costs that row, before and after, whatever the table's size; some versions are
//! whole so that a damaged step has a whole version on both sides. All of these but the newest can be spared: they go
//! first when room is short, each after the way back to it has been tried. Forgetting the oldest state is the removal
//! of what leads to versions before it, and of its row. A file that is gone has a version, too. The version before a
//! file was first recorded is not known, unless the server had it in service or our own edit told it.
//!
//! Origins: `hand` (an editor, a shell, rsync), `start` (found changed when the server started), `on` (the history was
//! switched on), `ctl NAME`, `rollback N`, `recovered` (a crash came between the files and the row).
//!
//! Order of recording: `.step`, `.whole` where one is due, the row; each is durable before the next. A crash leaves a
//! version without a row, which gets one at the next recording. Histories made before there were steps are read as they
//! are (`.back` beside the newest `.whole`: `pieces`) and continued with steps.
//!
//! Limits: `HistoryMaxSize` in `server.tab`; without it there is no history. A file above a quarter of it is not
//! recorded. At most [`STATES_MAX`] states. Tables hold passwords: directories are 0700, files 0600.
//!
//! Failures: every piece carries its length and checksum; a piece that is cut, altered or missing is an error that names
//! it, for versions that have no other way. The [`Recorder`] finds damage that the newest version stands on when the
//! server starts, and keeps that version whole, which opens the way from behind. Nothing here disturbs serving: the
//! recorder works on a thread of its own and logs what it cannot do.

mod back;
mod pieces;
mod recorder;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;
use jiff::Timestamp;

use super::MailRoot;
use crate::durable::{Disk, FILE_MODE, FileLock};
use crate::tab::{Record, TabFile, Unrepresentable};
use pieces::Pieces;

pub use recorder::{Recorder, current_origin, with_origin};

/// Where the history is, relative to the MailRoot.
pub const DIRECTORY: &str = ".tabmail/history";

/// `HistoryMaxSize` of a new MailRoot, in kB (`mailroot-template/server.tab`).
pub const DEFAULT_MAX_KB: u64 = 65_536;

/// A larger file would leave no room for its changes: one part in so many of the limit.
const LARGEST_FILE_PART: u64 = 4;

/// States that are kept at most: each costs a file of at least a block of the disk, and every recording lists them. Ours.
pub const STATES_MAX: usize = 10_000;

/// When states must be forgotten, one part in so many is made free, that the next recordings need not. Ours.
const SLACK_PART: u64 = 32;

/// The origin of a state whose row a crash has swallowed.
const RECOVERED: &str = "recovered";

/// One version of a file; `None`: there is no file.
pub type Version = Option<Arc<Vec<u8>>>;

/// One accepted state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its number; numbers grow and are not used again.
    pub number: u64,
    /// When it was recorded, RFC 3339 in UTC.
    pub time: String,
    /// Who made it.
    pub origin: String,
    /// The files that differ from the state before, relative to the MailRoot.
    pub files: Vec<PathBuf>,
}

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Nothing was ever recorded.
    #[error("{}: no history; it is switched on by HistoryMaxSize in server.tab (kB)", path.display())]
    None {
        /// The MailRoot.
        path: PathBuf,
    },
    /// No such state, or not any more.
    #[error("there is no state {number}; states {oldest} to {newest} are kept")]
    NoSuchState {
        /// What was asked for.
        number: u64,
        /// The oldest one kept.
        oldest: u64,
        /// The newest one.
        newest: u64,
    },
    /// The file was not recorded at that time.
    #[error("{}: its content in state {number} is not known", file.display())]
    NotRecorded {
        /// The file.
        file: PathBuf,
        /// The state.
        number: u64,
    },
    /// A piece of the history is cut, altered or missing.
    #[error("{}: {reason}; what only it leads to cannot be read", path.display())]
    Damaged {
        /// The piece.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that no table can hold.
    #[error("{}: {source}", file.display())]
    Name {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Unrepresentable,
    },
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The history of one MailRoot. Cheap to clone; it holds nothing in memory.
#[derive(Clone, Debug)]
pub struct History {
    root: MailRoot,
    disk: Disk,
}

/// A file whose new version is to be recorded.
#[derive(Clone, Debug)]
pub struct Change {
    /// Relative to the MailRoot.
    pub file: PathBuf,
    /// What it held before, as far as that is known; it need not be what was recorded last.
    pub before: Option<Version>,
    /// What it holds now.
    pub after: Version,
}

impl History {
    /// The history of `root`; nothing is touched.
    pub fn new(root: &MailRoot, disk: Disk) -> Self {
        Self { root: root.clone(), disk }
    }

    /// The MailRoot.
    pub fn root(&self) -> &MailRoot {
        &self.root
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join(DIRECTORY)
    }

    fn log(&self) -> PathBuf {
        self.directory().join("log.tab")
    }

    fn pieces(&self, file: &Path) -> Pieces<'_> {
        Pieces::new(&self.disk, self.directory().join("files").join(file))
    }

    /// All states, the oldest first.
    ///
    /// # Errors
    /// [`HistoryError::None`], or the log cannot be read. Rows that make no sense are passed.
    pub fn states(&self) -> Result<Vec<State>, HistoryError> {
        match std::fs::read(self.log()) {
            Ok(bytes) => Ok(parse_log(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(HistoryError::None { path: self.root.path().to_owned() })
            }
            Err(source) => Err(HistoryError::Disk { path: self.log(), source }),
        }
    }

    /// One state.
    ///
    /// # Errors
    /// [`HistoryError::NoSuchState`], and as [`History::states`].
    pub fn state(&self, number: u64) -> Result<State, HistoryError> {
        let states = self.states()?;
        let (oldest, newest) =
            (states.first().map_or(0, |s| s.number), states.last().map_or(0, |s| s.number));
        let found = states.into_iter().find(|state| state.number == number);
        found.ok_or(HistoryError::NoSuchState { number, oldest, newest })
    }

    /// A file as it was in a state, whether the state changed it or not.
    ///
    /// # Errors
    /// [`HistoryError::NotRecorded`], [`HistoryError::Damaged`], or the system's.
    pub fn version(&self, file: &Path, number: u64) -> Result<Version, HistoryError> {
        let not_recorded = || HistoryError::NotRecorded { file: file.to_owned(), number };
        let (version, found) = self.pieces(file).as_of(number)?.ok_or_else(not_recorded)?;
        let states = self.states_or_none()?;
        let changed = |state: &&State| state.number <= number && state.files.iter().any(|one| one == file);
        match states.iter().rev().find(changed).map(|state| state.number) {
            Some(expected) if expected > found => Err(HistoryError::Damaged {
                path: self.pieces(file).path(expected, "step"),
                reason: "it is missing",
            }),
            _ => Ok(version),
        }
    }

    /// A file as it was before a state; `None` when that is not known.
    ///
    /// # Errors
    /// As [`History::version`].
    pub fn version_before(&self, file: &Path, number: u64) -> Result<Option<Version>, HistoryError> {
        match self.version(file, number.saturating_sub(1)) {
            Err(HistoryError::NotRecorded { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Every file that was ever recorded and is still kept, relative to the MailRoot.
    ///
    /// # Errors
    /// The system's.
    pub fn files(&self) -> Result<Vec<PathBuf>, HistoryError> {
        pieces::recorded_files(&self.directory().join("files"))
    }

    /// Keeps others from recording until it is dropped: an edit and its row belong together.
    ///
    /// # Errors
    /// The system's.
    pub fn lock(&self) -> Result<HistoryLock, HistoryError> {
        let path = self.directory().join("lock");
        let locked = self.disk.create_dir_all(&self.directory()).and_then(|()| FileLock::acquire(&path));
        locked.map(|lock| HistoryLock { _lock: lock }).map_err(|source| HistoryError::Disk { path, source })
    }

    /// Records the changes as one state and returns its number; `None` when all files already are what was recorded
    /// last. Then forgets the oldest states until the history fits into `bytes_max`.
    ///
    /// # Errors
    /// The system's; the state may be recorded in part. Older states stay readable.
    pub fn record(
        &self,
        lock: &HistoryLock,
        changes: &[Change],
        origin: &str,
        now: Timestamp,
        bytes_max: u64,
    ) -> Result<Option<u64>, HistoryError> {
        let number = self.next_number(lock, changes, now)?;
        let mut files = Vec::new();
        for change in changes {
            if is_too_large(change, bytes_max) {
                let limit = bytes_max / LARGEST_FILE_PART;
                tracing::warn!("{}: not kept in the history: above {limit} bytes", change.file.display());
                continue;
            }
            if self.pieces(&change.file).add(number, change)? {
                files.push(change.file.clone());
            }
        }
        if files.is_empty() {
            return Ok(None);
        }
        self.append(&State { number, time: now.to_string(), origin: origin.to_owned(), files })?;
        self.shrink(bytes_max)?;
        Ok(Some(number))
    }

    /// The number of the state to be recorded. What a failed recording left of one of these files gets its row first.
    fn next_number(
        &self,
        lock: &HistoryLock,
        changes: &[Change],
        now: Timestamp,
    ) -> Result<u64, HistoryError> {
        let newest = || self.states_or_none().map(|states| states.last().map_or(0, |state| state.number));
        let last = newest()?;
        for change in changes {
            if self.pieces(&change.file).newest()?.is_some_and(|newest| newest > last) {
                self.recover(lock, now)?;
                return newest().map(|last| last + 1);
            }
        }
        Ok(last + 1)
    }

    fn append(&self, state: &State) -> Result<(), HistoryError> {
        let row = state.to_row()?;
        let failed = |source| HistoryError::Disk { path: self.log(), source };
        // A row that a full disk has cut must not swallow the next one.
        let ends_well = match std::fs::read(self.log()) {
            Ok(bytes) => bytes.is_empty() || bytes.ends_with(b"\n"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(failed(source)),
        };
        let row = if ends_well { row } else { [b"\n".as_slice(), &row].concat() };
        self.disk.append(&self.log(), FILE_MODE, &row, true).map_err(failed)
    }

    fn states_or_none(&self) -> Result<Vec<State>, HistoryError> {
        match self.states() {
            Err(HistoryError::None { .. }) => Ok(Vec::new()),
            states => states,
        }
    }

    /// Gives versions that a crash left without a row their row, and removes pieces that it left half-written. To be
    /// called before the first recording.
    ///
    /// # Errors
    /// The system's.
    pub fn recover(&self, _lock: &HistoryLock, now: Timestamp) -> Result<(), HistoryError> {
        pieces::remove_temporaries(&self.disk, &self.directory())?;
        let newest = self.states_or_none()?.last().map_or(0, |state| state.number);
        let mut lost: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        for file in self.files()? {
            if let Some(number) = self.pieces(&file).newest()?.filter(|&number| number > newest) {
                lost.entry(number).or_default().push(file);
            }
        }
        for (number, files) in lost {
            self.append(&State { number, time: now.to_string(), origin: RECOVERED.to_owned(), files })?;
        }
        Ok(())
    }

    /// Makes the history fit: spare whole versions go first, the largest ones before the others, then states from the
    /// oldest on. The newest one stays.
    fn shrink(&self, bytes_max: u64) -> Result<(), HistoryError> {
        let states = self.states()?;
        let mut size = pieces::size_of(&self.directory())?;
        if size <= bytes_max && states.len() <= STATES_MAX {
            return Ok(());
        }
        if size > bytes_max {
            size = self.drop_spares(size, bytes_max)?;
        }
        let mut kept = states.as_slice();
        if size > bytes_max || kept.len() > STATES_MAX {
            let (bytes_max, states_max) = (less(bytes_max), less(STATES_MAX as u64));
            while let [oldest, rest @ ..] = kept
                && !rest.is_empty()
                && (size > bytes_max || kept.len() as u64 > states_max)
            {
                for file in &oldest.files {
                    size = size.saturating_sub(self.pieces(file).forget_up_to(oldest.number)?);
                }
                size = size.saturating_sub(oldest.to_row()?.len() as u64);
                kept = rest;
            }
            self.write_log(kept)?;
        }
        if size <= bytes_max {
            return Ok(());
        }
        for file in self.files()? {
            self.pieces(&file).keep_newest_only()?;
        }
        let size = pieces::size_of(&self.directory())?;
        if size > bytes_max {
            tracing::warn!("the history needs {size} bytes, HistoryMaxSize gives it {bytes_max}");
        }
        Ok(())
    }

    fn drop_spares(&self, mut size: u64, bytes_max: u64) -> Result<u64, HistoryError> {
        let mut spares = Vec::new();
        for file in self.files()? {
            let found = self.pieces(&file).spare()?;
            spares.extend(found.into_iter().map(|(number, bytes)| (bytes, file.clone(), number)));
        }
        spares.sort_by(|a, b| b.0.cmp(&a.0).then(a.2.cmp(&b.2)));
        for (_, file, number) in spares {
            if size <= bytes_max {
                break;
            }
            size = size.saturating_sub(self.pieces(&file).drop_spare(number)?);
        }
        Ok(size)
    }

    fn write_log(&self, states: &[State]) -> Result<(), HistoryError> {
        let mut rows = Vec::new();
        for state in states {
            rows.extend(state.to_row()?);
        }
        self.disk
            .replace(&self.log(), &rows)
            .map_err(|source| HistoryError::Disk { path: self.log(), source })
    }
}

/// Held while something is recorded.
#[derive(Debug)]
pub struct HistoryLock {
    _lock: FileLock,
}

fn less(limit: u64) -> u64 {
    limit - limit / SLACK_PART
}

fn is_too_large(change: &Change, bytes_max: u64) -> bool {
    change.after.as_ref().is_some_and(|bytes| bytes.len() as u64 > bytes_max / LARGEST_FILE_PART)
}

impl State {
    fn to_row(&self) -> Result<Vec<u8>, HistoryError> {
        let number = self.number.to_string();
        let mut values = vec![number.as_bytes(), self.time.as_bytes(), self.origin.as_bytes()];
        values.extend(self.files.iter().map(|file| file.as_os_str().as_encoded_bytes()));
        let file = self.files.first().cloned().unwrap_or_default();
        let record = Record::quoted(&values).map_err(|source| HistoryError::Name { file, source })?;
        Ok([record.as_bytes(), b"\n"].concat())
    }
}

fn parse_log(bytes: &[u8]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    for line in TabFile::parse(bytes).lines() {
        let fields = line.fields();
        let [number, time, origin, files @ ..] = fields.as_slice() else { continue };
        let Some(number) = number.value.to_str().ok().and_then(|text| text.parse().ok()) else { continue };
        if !line.raw().ends_with(b"\n") || states.last().is_some_and(|last| last.number >= number) {
            continue;
        }
        states.push(State {
            number,
            time: time.value.to_string(),
            origin: origin.value.to_string(),
            files: files.iter().filter_map(|file| Some(file.value.to_path().ok()?.to_owned())).collect(),
        });
    }
    states
}
