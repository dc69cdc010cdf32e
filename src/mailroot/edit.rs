//! The one door for writes to tables.
//!
//! Shape: an [`Edit`] is one file, read under the lock of the MailRoot, changed in memory and written back as a
//! whole. Only the touched rows are rewritten, in XMail's quoting (`mailroot.md` 2.3); comments, blank lines, order
//! and the bytes of all other rows stay (decisions 20, 21). A row is its values: how they are written is decided
//! here, by the table.
//!
//! Two writers: whoever edits through here takes the lock, in this process or another one, and waits for it. Shells and
//! editors know no lock. [`Edit::commit`] writes like this:
//!
//! 1. Read the file again. What changed since the edit began (or since a page was loaded, [`Editor::begin_from`]) is
//!    merged row by row ([`merge`]); rows changed on both sides are a [`Conflict`], and nothing is written.
//! 2. Delete its `tabindex/` files, which XMail may miss but must not trust.
//! 3. Swap the new file with the old one ([`Disk::exchange`]: temporary file, fsync, `RENAME_EXCHANGE`) and look at
//!    the old one: what was written to it since step 1, by a rename or in place, is merged and written again. A
//!    program that still has it open for writing is waited for; when it does not finish, the old file gets its name
//!    back and the edit is refused ([`EditError::OpenForWriting`]). So it is after a conflict.
//! 4. fsync of the directory, a last look at the old file, its removal; tell the [`Tables`].
//!
//! Guaranteed: after `Ok` the rows of this edit are in the file, durably, and so is everything that anybody had written
//! to it, in place or by a rename, up to the swap, and by programs that had it open at the swap. After an error the
//! file is what it would be without this edit. A crash leaves the old or the new table, and perhaps the other one as a
//! temporary file that [`Editor::remove_leftovers`] knows.
//!
//! Not guaranteed: a program that read the file before an edit and writes all of it after (an editor left open over
//! lunch) writes over that edit, as it writes over any other shell's; vi warns. What is written through a descriptor
//! that cannot be seen ([`crate::durable::Writer`]: other users' programs when we are not root, NFS, a mapping)
//! later than step 4 is lost. Where the file system has no `RENAME_EXCHANGE`, so is a file that is renamed over the
//! table in the instant between opening it and our rename. A crash between swap and merge leaves a foreign change of
//! that instant in the temporary file only.
//!
//! Limits: the lines of `mailroot.md` 6 are not exceeded ([`line_bytes_max`]); [`LOCK_WAIT_MAX`] for the lock.
//! Everything here blocks: call it off the async threads.

mod error;
mod merge;
mod rehearsal;
mod rules;
#[cfg(test)]
mod tests;
mod write;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bstr::{BStr, ByteSlice};

use super::{MailRoot, Tables, tabindex};
use crate::durable::{Disk, FileLock, is_temporary};
use crate::tab::{Field, LineKind, TabFile};

pub use error::EditError;
pub use merge::{Conflict, LineVersion, RowConflict, merge};
pub use rehearsal::{Planned, Rehearsal};
pub use rules::{MAIL_USERS_ID, line_bytes_max};

/// The file whose lock is held during an edit, in the MailRoot. It stays, empty, and XMail ignores it.
pub const LOCK_FILE: &str = ".tabmail.edit.lock";

/// How long an edit waits for other edits of the same MailRoot. Ours; one edit takes milliseconds.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(15);

/// How often the lock is tried. Ours: flock has no waiting with a time limit.
const LOCK_RETRY: Duration = Duration::from_millis(3);

/// How old a temporary file is that nobody is writing any more. Ours.
pub const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// Begins edits in one MailRoot. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Editor {
    root: MailRoot,
    disk: Disk,
    tables: Option<Tables>,
    lock_wait_max: Duration,
    rehearsal: Option<Rehearsal>,
}

impl Editor {
    /// Edits below `root`; nobody is told about them.
    pub fn new(root: &MailRoot, disk: Disk) -> Self {
        Self { root: root.clone(), disk, tables: None, lock_wait_max: LOCK_WAIT_MAX, rehearsal: None }
    }

    /// Edits below the MailRoot of `tables`, which show each edit as soon as it is committed.
    pub fn with_tables(tables: &Tables, disk: Disk) -> Self {
        Self { tables: Some(tables.clone()), ..Self::new(tables.current().root(), disk) }
    }

    /// The same, but nothing is written: what would be is noted in `rehearsal`, and later edits of the same editor see
    /// it.
    #[must_use]
    pub fn rehearsing(&self, rehearsal: &Rehearsal) -> Self {
        Self { rehearsal: Some(rehearsal.clone()), ..self.clone() }
    }

    /// Where edits are noted instead of being written.
    pub fn rehearsal(&self) -> Option<&Rehearsal> {
        self.rehearsal.as_ref()
    }

    /// The MailRoot.
    pub fn root(&self) -> &MailRoot {
        &self.root
    }

    /// Takes the lock and reads the file `relative` (to the MailRoot); a missing one is empty. No other edit of this
    /// MailRoot, in any process, begins before this one is dropped: do not wait for anything meanwhile, and do not
    /// begin a second one in the same thread.
    ///
    /// # Errors
    /// [`EditError::BadPath`], [`EditError::Busy`], [`EditError::Lock`], [`EditError::Read`].
    pub fn begin(&self, relative: &Path) -> Result<Edit, EditError> {
        if !stays_below(relative) {
            return Err(EditError::BadPath { file: relative.to_owned() });
        }
        let lock = self.lock()?;
        let original = self.read(relative)?;
        let content = TabFile::parse(original.as_deref().unwrap_or_default());
        Ok(Edit {
            editor: self.clone(),
            file: relative.to_owned(),
            original,
            content,
            replaces_all: false,
            _lock: lock,
        })
    }

    /// As [`Editor::begin`], for a caller that read the file earlier (a page that is saved after it was loaded): the
    /// edit begins with `expected`, and its commit merges what has changed since. A file that was missing then was
    /// empty.
    ///
    /// # Errors
    /// [`EditError::ChangedMeanwhile`] when the file is gone; and as [`Editor::begin`].
    pub fn begin_from(&self, relative: &Path, expected: &[u8]) -> Result<Edit, EditError> {
        let edit = self.begin(relative)?;
        if edit.original.is_none() && !expected.is_empty() {
            return Err(EditError::ChangedMeanwhile { file: edit.file });
        }
        let original = edit.original.is_some().then(|| expected.to_owned());
        Ok(Edit { original, content: TabFile::parse(expected), ..edit })
    }

    /// Adds one row at the end.
    ///
    /// # Errors
    /// Of [`Editor::begin`], [`Edit::push`] and [`Edit::commit`]; nothing is written then.
    pub fn append_row<V: AsRef<[u8]>>(&self, relative: &Path, values: &[V]) -> Result<(), EditError> {
        let mut edit = self.begin(relative)?;
        edit.push(values)?;
        edit.commit()
    }

    /// Removes all rows that `wanted` names and returns how many there were.
    ///
    /// # Errors
    /// Of [`Editor::begin`] and [`Edit::commit`]; nothing is removed then.
    pub fn remove_rows(
        &self,
        relative: &Path,
        wanted: impl FnMut(&EditRow) -> bool,
    ) -> Result<usize, EditError> {
        let mut edit = self.begin(relative)?;
        let count = edit.remove_where(wanted);
        if count > 0 {
            edit.commit()?;
        }
        Ok(count)
    }

    /// Rewrites the first row that `wanted` names; false when there is none.
    ///
    /// # Errors
    /// Of [`Editor::begin`], [`Edit::set`] and [`Edit::commit`]; nothing is written then.
    pub fn replace_row<V: AsRef<[u8]>>(
        &self,
        relative: &Path,
        wanted: impl FnMut(&EditRow) -> bool,
        values: &[V],
    ) -> Result<bool, EditError> {
        let mut edit = self.begin(relative)?;
        let Some(row) = edit.find(wanted) else { return Ok(false) };
        edit.set(row.index, values)?;
        edit.commit()?;
        Ok(true)
    }

    /// Sets or deletes one variable of `user.tab`, `userdef.tab` or `server.tab`; see [`Edit::set_variable`].
    ///
    /// # Errors
    /// Of [`Editor::begin`], [`Edit::set`] and [`Edit::commit`]; nothing is written then.
    pub fn set_variable(
        &self,
        relative: &Path,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Result<bool, EditError> {
        let mut edit = self.begin(relative)?;
        let existed = edit.set_variable(name, value)?;
        if existed || value.is_some() {
            edit.commit()?;
        }
        Ok(existed)
    }

    /// Removes the temporary files that a crash left in a directory (relative to the MailRoot; empty = itself) and
    /// returns how many. Only files older than [`LEFTOVER_AGE`]: a younger one may be a write in progress.
    ///
    /// # Errors
    /// [`EditError::Read`], [`EditError::Write`]; what was removed so far stays removed.
    pub fn remove_leftovers(&self, directory: &Path) -> Result<usize, EditError> {
        let unreadable = |source| EditError::Read { file: directory.to_owned(), source };
        let mut count = 0;
        for entry in fs::read_dir(self.root.path().join(directory)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if is_temporary(&entry.file_name()) && is_leftover(&entry) {
                let file = directory.join(entry.file_name());
                self.disk.remove(&entry.path()).map_err(|source| EditError::Write { file, source })?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn lock(&self) -> Result<FileLock, EditError> {
        let path = self.root.path().join(LOCK_FILE);
        let begun = Instant::now();
        loop {
            match FileLock::try_acquire(&path) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) if begun.elapsed() >= self.lock_wait_max => {
                    return Err(EditError::Busy { waited: self.lock_wait_max });
                }
                Ok(None) => thread::sleep(LOCK_RETRY),
                Err(source) => return Err(EditError::Lock { source }),
            }
        }
    }

    fn read(&self, relative: &Path) -> Result<Option<Vec<u8>>, EditError> {
        if let Some(noted) = self.rehearsal.as_ref().and_then(|rehearsal| rehearsal.content(relative)) {
            return Ok(noted);
        }
        match fs::read(self.root.path().join(relative)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EditError::Read { file: relative.to_owned(), source }),
        }
    }
}

/// One file being edited, with the lock of its MailRoot. Dropping it changes nothing.
#[derive(Debug)]
pub struct Edit {
    editor: Editor,
    file: PathBuf,
    original: Option<Vec<u8>>,
    content: TabFile,
    /// Whether the whole content is new, whatever was there.
    replaces_all: bool,
    _lock: FileLock,
}

/// One record of a file being edited.
#[derive(Clone, Debug)]
pub struct EditRow {
    /// Its place for [`Edit::set`] and [`Edit::remove`]; the line in the file is one more. It is good until the next
    /// `remove`.
    pub index: usize,
    /// The columns, unquoted.
    pub fields: Vec<Field>,
}

impl EditRow {
    /// The value of a column (from 0); empty where the row has no such column.
    pub fn value(&self, column: usize) -> &BStr {
        self.fields.get(column).map_or_else(|| BStr::new(""), |field| field.value.as_bstr())
    }

    /// Whether the row begins with these values, ASCII case folded, as XMail compares keys.
    pub fn has_key<V: AsRef<[u8]>>(&self, key: &[V]) -> bool {
        self.fields.len() >= key.len()
            && key
                .iter()
                .zip(&self.fields)
                .all(|(want, field)| field.value.eq_ignore_ascii_case(want.as_ref()))
    }
}

impl Edit {
    /// The file, relative to the MailRoot.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the file existed when the edit began.
    pub fn existed(&self) -> bool {
        self.original.is_some()
    }

    /// The content as it would be written now.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.content.to_bytes()
    }

    /// The records, without comments and blank lines.
    pub fn rows(&self) -> impl Iterator<Item = EditRow> {
        let lines = self.content.lines().iter().enumerate();
        lines
            .filter(|(_, line)| line.kind() == LineKind::Record)
            .map(|(index, line)| EditRow { index, fields: line.fields() })
    }

    /// The first record that `wanted` names.
    pub fn find(&self, mut wanted: impl FnMut(&EditRow) -> bool) -> Option<EditRow> {
        self.rows().find(|row| wanted(row))
    }

    /// Rewrites the row at `index`; it keeps its line end, and loses columns that `values` does not name.
    ///
    /// # Errors
    /// [`EditError::NoSuchRow`], and as [`Edit::push`].
    pub fn set<V: AsRef<[u8]>>(&mut self, index: usize, values: &[V]) -> Result<(), EditError> {
        self.require_row(index)?;
        let record = rules::record(&self.file, values)?;
        let mut changed = self.content.clone();
        changed.set(index, &record);
        rules::check_lines(&self.file, &changed.lines()[index..=index], index)?;
        self.content = changed;
        Ok(())
    }

    /// Adds a row at the end. A last line without LF gets one first (decision 20).
    ///
    /// # Errors
    /// [`EditError::Value`], [`EditError::ColumnCount`], [`EditError::LineTooLong`]: the table cannot hold this row.
    pub fn push<V: AsRef<[u8]>>(&mut self, values: &[V]) -> Result<(), EditError> {
        let record = rules::record(&self.file, values)?;
        let index = self.content.lines().len();
        rules::check_length(&self.file, index, record.as_bytes().len() + 1)?;
        self.content.push(&record);
        Ok(())
    }

    /// Removes the row at `index`.
    ///
    /// # Errors
    /// [`EditError::NoSuchRow`].
    pub fn remove(&mut self, index: usize) -> Result<(), EditError> {
        self.require_row(index)?;
        self.content.remove(index);
        Ok(())
    }

    /// Removes all rows that `wanted` names and returns how many there were. The last row leaves an empty file.
    pub fn remove_where(&mut self, mut wanted: impl FnMut(&EditRow) -> bool) -> usize {
        let found: Vec<usize> = self.rows().filter(|row| wanted(row)).map(|row| row.index).collect();
        self.content.remove_all(&found);
        found.len()
    }

    /// Sets a variable in a file of names and values, or deletes it (`None`), and says whether it was there. Of
    /// equal names the first is meant: it is the one that counts. A new name goes to the end. Names are
    /// case-sensitive. Rows that are no variables to the table's reader (three columns in `user.tab`) are passed.
    ///
    /// # Errors
    /// As [`Edit::push`].
    pub fn set_variable(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<bool, EditError> {
        let spec = rules::variables_spec(&self.file);
        let row = self.find(|row| rules::has_columns(spec, row.fields.len()) && row.value(0) == name);
        match (&row, value) {
            (Some(row), Some(value)) => self.set(row.index, &[name, value])?,
            (Some(row), None) => self.remove(row.index)?,
            (None, Some(value)) => self.push(&[name, value])?,
            (None, None) => {}
        }
        Ok(row.is_some())
    }

    /// Takes `bytes` as the whole content, as an operator uploads it. A last line without LF gets one: the next
    /// appended row, or the next file when command files are put together, would be glued to it.
    ///
    /// # Errors
    /// [`EditError::LineTooLong`], [`EditError::NulByte`]: XMail would split or cut the line.
    pub fn replace_all(&mut self, bytes: &[u8]) -> Result<(), EditError> {
        let mut bytes = bytes.to_vec();
        if bytes.last().is_some_and(|&last| last != b'\n') {
            bytes.push(b'\n');
        }
        let content = TabFile::parse(&bytes);
        rules::check_lines(&self.file, content.lines(), 0)?;
        self.content = content;
        self.replaces_all = true;
        Ok(())
    }

    /// Takes `bytes` as the whole content as they are: an earlier version of the file, whatever was in it.
    pub fn restore(&mut self, bytes: &[u8]) {
        self.content = TabFile::parse(bytes);
    }

    /// Writes the file, durably, and releases the lock. What others changed since it was read is kept (see the head
    /// of the module). An edit that changes nothing writes nothing; a missing file is made, even if it is empty. Its
    /// directory must exist.
    ///
    /// # Errors
    /// [`EditError::Conflict`], [`EditError::OpenForWriting`], [`EditError::ChangedMeanwhile`]: nothing is written.
    /// [`EditError::Write`]: the old content stands, except when only the last step, the sync of the directory,
    /// failed: then the new one does, and a crash may undo it.
    pub fn commit(self) -> Result<(), EditError> {
        let bytes = self.content.to_bytes();
        if self.original.as_ref() == Some(&bytes) {
            return Ok(());
        }
        self.require_taken()?;
        if let Some(rehearsal) = &self.editor.rehearsal {
            return rehearsal.save(&self, &bytes);
        }
        let saved = write::commit(&self, bytes);
        if let Ok(Some((before, after))) = &saved {
            self.record(before.clone(), after.clone());
        }
        self.tell();
        saved.map(drop)
    }

    /// Removes the file (a command file: the address or the processing ends with it) and releases the lock; false
    /// when there was none.
    ///
    /// # Errors
    /// [`EditError::ChangedMeanwhile`] when it is not what was read, and as [`Edit::commit`].
    pub fn delete(self) -> Result<bool, EditError> {
        if !self.existed() {
            return Ok(false);
        }
        if let Some(rehearsal) = &self.editor.rehearsal {
            rehearsal.note(&self.file, self.original.clone(), None);
            return Ok(true);
        }
        let result = write::delete(&self);
        if result.is_ok() {
            self.record(self.original.clone(), None);
        }
        self.tell();
        result.map(|()| true)
    }

    /// An edit of a file whose present content the server does not take would not be taken either, while the fault
    /// stays in it; of a file that is gone or empties by accident, it would make the accident final.
    fn require_taken(&self) -> Result<(), EditError> {
        let Some(tables) = self.editor.tables.as_ref().filter(|_| !self.replaces_all) else { return Ok(()) };
        tables.fresh();
        let Some(problem) = tables.rejection(&self.file) else { return Ok(()) };
        let original = TabFile::parse(self.original.as_deref().unwrap_or_default());
        let place = (problem.line as usize).checked_sub(1);
        match place.and_then(|place| original.lines().get(place)) {
            Some(fault) if !self.content.lines().contains(fault) => Ok(()),
            _ => Err(EditError::Rejected { problem }),
        }
    }

    fn path(&self) -> PathBuf {
        self.editor.root.path().join(&self.file)
    }

    fn require_row(&self, index: usize) -> Result<(), EditError> {
        match self.content.lines().get(index) {
            Some(line) if line.kind() == LineKind::Record => Ok(()),
            _ => Err(EditError::NoSuchRow { file: self.file.clone(), line: index + 1 }),
        }
    }

    /// Before the write: an index that is missing is rebuilt, one that outlives its table's rename is trusted.
    fn forget_index(&self) {
        if let Some(name) = self.file.to_str() {
            tabindex::forget(&self.editor.root, name);
        }
    }

    fn record(&self, before: Option<Vec<u8>>, after: Option<Vec<u8>>) {
        if let Some(observer) = self.editor.tables.as_ref().and_then(Tables::observer) {
            observer.saved(&self.file, before, after);
        }
    }

    fn tell(&self) {
        if let Some(tables) = &self.editor.tables {
            tables.edited(&self.file);
        }
    }
}

fn is_leftover(entry: &fs::DirEntry) -> bool {
    let written = entry.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age >= LEFTOVER_AGE))
}

/// Whether a path is relative and has no component that leads upward.
fn stays_below(relative: &Path) -> bool {
    let mut components = relative.components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}
