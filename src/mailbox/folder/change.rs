//! Changing what is there: flags, removal, copying and moving.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::flags::{Flags, KeywordSet, Letters, letter_of, with_flags};
use super::state::{Entry, Folder, FolderError, MessageState, State};
use crate::durable::FILE_MODE;
use crate::mailbox::{MailboxError, StoredMessage};
use crate::mailroot::edit::Editor;
use crate::tab::Record;

/// What STORE does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagChange {
    /// How the flags are meant.
    pub how: How,
    /// The system flags.
    pub flags: Flags,
    /// The keywords.
    pub keywords: Vec<String>,
}

/// How flags are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// These and no others.
    Replace,
    /// These, too.
    Add,
    /// These no longer.
    Remove,
}

/// What came of [`Folder::store`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Those whose flags are now what was asked for, whether they were before or not.
    pub done: Vec<u32>,
    /// Those that have changed since the mod-sequence given, and were left alone.
    pub modified: Vec<u32>,
}

/// A message that was copied or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The UID where it was.
    pub from: u32,
    /// The UID where it is.
    pub to: u32,
}

/// Files whose contents are synced one by one; for more of them the file system is. A sync of a file is a flush of the disk.
const SYNCED_ONE_BY_ONE_MAX: usize = 16;

/// Rows of `imapflags.tab` beyond those that are needed before it is written anew.
const STALE_ROWS_MAX: usize = 1000;

impl Folder {
    /// Changes flags. With `unchanged_since` only of messages that have not changed after that mod-sequence.
    ///
    /// # Errors
    /// [`FolderError::Keywords`], the disk's; what was changed before it stays changed.
    pub fn store(
        &self,
        uids: &[u32],
        change: &FlagChange,
        unchanged_since: Option<u64>,
    ) -> Result<Stored, FolderError> {
        let mut state = self.lock();
        self.look_with(&mut state)?;
        state.reserve(0)?;
        let keywords = self.keyword_set(&mut state, &change.keywords)?;
        let before = self.times_before();
        let mut stored = Stored::default();
        let mut changed: Vec<(usize, MessageState)> = Vec::new();
        let mut failed = None;
        let modseq = state.modseq + 1;
        for &uid in uids {
            let Some(index) = state.find(uid) else { continue };
            let entry = &state.entries[index];
            if unchanged_since.is_some_and(|limit| entry.state.modseq > limit) {
                stored.modified.push(uid);
                continue;
            }
            let now = change.apply(entry.state.flags, entry.state.keywords, keywords);
            if now != (entry.state.flags, entry.state.keywords) {
                let former = entry.state;
                let renamed = match self.write_flags(entry, now) {
                    Ok(Some(renamed)) => renamed,
                    Ok(None) => continue,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                let entry = &mut state.entries[index];
                (entry.state.flags, entry.state.keywords) = now;
                entry.state.modseq = modseq;
                if let Some(file_name) = renamed {
                    entry.file_name = file_name.into();
                    entry.is_in_cur = true;
                }
                changed.push((index, former));
            }
            stored.done.push(uid);
        }
        let rows = changed.iter().map(|&(index, _)| &state.entries[index]);
        if let Err(error) = self.write_flags_rows(rows, &state.keywords) {
            // INBOX: what stands in no table has not happened.
            for (index, former) in changed.drain(..) {
                state.entries[index].state = former;
            }
            state.looked = None;
            return Err(error);
        }
        if !changed.is_empty() {
            state.modseq = modseq;
            self.drop_stale_rows(&state);
            let records: Vec<_> = changed.iter().map(|&(index, _)| state.entries[index].record()).collect();
            state.write(&records);
            self.note_own_change(&mut state, before);
            drop(state);
            self.tell();
        }
        failed.map_or(Ok(stored), Err)
    }

    /// Puts flags into a file's name; INBOX has a table for them. `None` when the file is gone, else the new name if there is
    /// one.
    fn write_flags(
        &self,
        entry: &Entry,
        (flags, keywords): (Flags, KeywordSet),
    ) -> Result<Option<Option<String>>, FolderError> {
        if self.places.flags_table.is_some() {
            return Ok(Some(None));
        }
        let Some(cur) = &self.places.cur else { return Ok(Some(None)) };
        let file_name = with_flags(&entry.file_name, flags, keywords);
        let from = self.path_of(entry);
        match self.mailboxes.disk.rename(&from, &cur.join(&file_name)) {
            Ok(()) => Ok(Some(Some(file_name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MailboxError::on("rename", &from)(error).into()),
        }
    }

    /// Appends what the flags of these messages are to the table of INBOX.
    pub(super) fn write_flags_rows<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        keywords: &[String],
    ) -> Result<(), FolderError> {
        let Some(table) = &self.places.flags_table else { return Ok(()) };
        let mut rows: Vec<u8> = Vec::new();
        for entry in entries {
            let is_told_by_name =
                self.told_by_name(&entry.file_name) == (entry.state.flags, entry.state.keywords);
            // A new message without flags needs no row.
            if entry.state.uid != 0 || !is_told_by_name {
                rows.extend(flags_row(entry, keywords).unwrap_or_default());
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.append_rows(table, rows, false)
    }

    /// Appends rows. A part of a row that a full disk has left, or a last line that somebody has not ended, spoils none
    /// of them.
    fn append_rows(&self, table: &Path, mut rows: Vec<u8>, sync: bool) -> Result<(), FolderError> {
        if !ends_with_line(table) {
            rows.insert(0, b'\n');
        }
        let written = self.mailboxes.disk.append(table, FILE_MODE, &rows, sync);
        written.map_err(MailboxError::on("write", table)).map_err(Into::into)
    }

    /// Writes the flags' table anew once most of its rows are about nothing; comments stay.
    fn drop_stale_rows(&self, state: &State) {
        let Some(table) = &self.places.flags_table else { return };
        let Ok(bytes) = std::fs::read(table) else { return };
        if bytes.iter().filter(|octet| **octet == b'\n').count() < 2 * state.entries.len() + STALE_ROWS_MAX {
            return;
        }
        if let Err(error) = self.try_drop_stale_rows(state, table) {
            tracing::warn!("{}: cannot be written anew: {error}", table.display());
        }
    }

    fn try_drop_stale_rows(&self, state: &State, table: &Path) -> Result<(), FolderError> {
        let editor = Editor::new(&self.mailboxes.root, self.mailboxes.disk.clone());
        let relative = table.strip_prefix(self.mailboxes.root.path()).unwrap_or(table);
        let mut edit = editor.begin(relative)?;
        let wanted: HashMap<&str, &Entry> =
            state.entries.iter().map(|entry| (&*entry.file_name, entry)).collect();
        let mut last: HashMap<Vec<u8>, usize> = HashMap::new();
        for row in edit.rows() {
            last.insert(row.value(0).to_vec(), row.index);
        }
        edit.remove_where(|row| {
            let name = row.value(0);
            let is_last = last.get(&**name) == Some(&row.index);
            !is_last || std::str::from_utf8(name).map_or(true, |name| !wanted.contains_key(name))
        });
        Ok(edit.commit()?)
    }

    /// The numbers of keywords, of new ones too; the table that names the letters is written first.
    pub(super) fn keyword_set(&self, state: &mut State, names: &[String]) -> Result<KeywordSet, FolderError> {
        let known = state.keywords.len();
        let mut set = KeywordSet::default();
        for name in names {
            let index = state.keyword(name).ok_or(FolderError::Keywords)?;
            set = set.union(KeywordSet::one(index));
        }
        if state.keywords.len() > known
            && let Some(table) = &self.places.keywords_table
        {
            let rows: Vec<u8> = (known..state.keywords.len())
                .filter_map(|index| row(&[&letter_of(index).to_string(), &state.keywords[index]]))
                .flatten()
                .collect();
            self.append_rows(table, rows, true).inspect_err(|_| state.keywords.truncate(known))?;
        }
        Ok(set)
    }

    /// Removes messages for good. Those that are gone already count as removed.
    ///
    /// # Errors
    /// The disk's; what was removed before it is gone.
    pub fn remove(&self, uids: &[u32]) -> Result<Vec<u32>, FolderError> {
        let mut state = self.lock();
        self.look_with(&mut state)?;
        state.reserve(0)?;
        let before = self.times_before();
        let mut removed = Vec::new();
        let mut failed = None;
        for &uid in uids {
            let Some(index) = state.find(uid) else { continue };
            let message = self.stored(&state.entries[index]);
            match self.mailboxes.remove(&message) {
                Ok(()) => removed.push((uid, message)),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let uids: Vec<u32> = removed.iter().map(|(uid, _)| *uid).collect();
        let records = state.take_out(&uids);
        state.write(&records);
        self.note_own_change(&mut state, before);
        drop(state);
        self.tell();
        self.mailboxes.sync_removals(removed.iter().map(|(_, message)| message))?;
        failed.map_or(Ok(uids), |error| Err(error.into()))
    }

    /// The message as the other half of this room knows it.
    fn stored(&self, entry: &Entry) -> StoredMessage {
        StoredMessage {
            file_name: entry.file_name.to_string(),
            path: self.path_of(entry),
            bytes: entry.state.file_bytes,
            modified: time_of(entry.state.internal_date),
        }
    }

    /// Copies messages with their flags and dates: all that are still there, or, after an error, none.
    ///
    /// # Errors
    /// The disk's, and the other folder's.
    pub fn copy(&self, uids: &[u32], to: &Arc<Self>) -> Result<Vec<Placed>, FolderError> {
        let disk = &self.mailboxes.disk;
        let placed = self.transfer(
            uids,
            to,
            Transfer { place: &|from, path| disk.hard_link(from, path), undo: &|_, path| disk.remove(path) },
        );
        to.tell();
        placed
    }

    /// Brings messages into another folder: all that are still here, or, after an error, none.
    fn transfer(&self, uids: &[u32], to: &Self, how: Transfer<'_>) -> Result<Vec<Placed>, FolderError> {
        let mut left = uids.to_vec();
        let mut made = Vec::new();
        let mut placed: Vec<Placed> = Vec::new();
        for attempt in 0..ATTEMPTS_MAX {
            let done = self.sources(&left).and_then(|sources| {
                self.sync_sources(&sources)?;
                to.take_in(&sources, &mut made, how.place)
            });
            match done {
                Ok(done) => {
                    self.hand_on_kept(&done, to);
                    let is_done: HashSet<u32> = done.iter().map(|placed| placed.from).collect();
                    left.retain(|uid| !is_done.contains(uid));
                    placed.extend(done);
                }
                Err(error) => {
                    for (from, path) in made.iter().rev() {
                        // The error that came first is the one to tell.
                        let _ = (how.undo)(from, path);
                    }
                    (to.lock_names().looked, self.lock_names().looked) = (None, None);
                    return Err(error);
                }
            }
            // Other sessions may have changed flags, and with them names, since we looked.
            if attempt + 1 == ATTEMPTS_MAX || !left.iter().any(|uid| self.is_there(*uid)) {
                break;
            }
        }
        Ok(placed)
    }

    fn is_there(&self, uid: u32) -> bool {
        self.message(uid).is_some()
    }

    /// Moves messages with their flags and dates. Each is in the one folder or the other at any time.
    ///
    /// # Errors
    /// The disk's, and the other folder's; all are where they were then, unless the disk does not even allow that: what it
    /// keeps in the other folder is found there at the next look.
    pub fn move_to(&self, uids: &[u32], to: &Arc<Self>) -> Result<Vec<Placed>, FolderError> {
        let stored: Vec<(u32, StoredMessage)> =
            self.sources(uids)?.iter().map(|source| (source.uid, self.stored(&source.entry))).collect();
        self.lock().reserve(0)?;
        let before = self.times_before();
        let disk = &self.mailboxes.disk;
        let placed = self.transfer(
            uids,
            to,
            Transfer {
                place: &|from, path| disk.rename(from, path),
                undo: &|from, path| disk.rename(path, from),
            },
        );
        to.tell();
        self.tell();
        let placed = placed?;
        let mut state = self.lock();
        let moved: HashSet<u32> = placed.iter().map(|placed| placed.from).collect();
        // Somebody may have looked already, and found them gone.
        let known: Vec<u32> = moved.iter().copied().filter(|uid| state.find(*uid).is_some()).collect();
        let records = state.take_out(&known);
        state.write(&records);
        self.note_own_change(&mut state, before);
        drop(state);
        self.tell();
        let gone = stored.iter().filter(|(uid, _)| moved.contains(uid)).map(|(_, message)| message);
        if let Err(error) = self.mailboxes.sync_removals(gone) {
            // They are safe where they are now: at worst a power cut shows them in both folders.
            tracing::warn!("{} {}: {error}", self.account.address(), self.name);
        }
        Ok(placed)
    }

    fn sources(&self, uids: &[u32]) -> Result<Vec<Source>, FolderError> {
        let mut state = self.lock();
        self.look_with(&mut state)?;
        let mut sources = Vec::new();
        for &uid in uids {
            let Some(index) = state.find(uid) else { continue };
            let entry = state.entries[index].clone();
            let keywords = entry
                .state
                .keywords
                .indexes()
                .filter_map(|index| state.keywords.get(index).cloned())
                .collect();
            sources.push(Source { uid, path: self.path_of(&entry), keywords, entry });
        }
        Ok(sources)
    }

    /// Puts the contents of messages on stable storage, whoever has written them.
    fn sync_sources(&self, sources: &[Source]) -> Result<(), FolderError> {
        let disk = &self.mailboxes.disk;
        if sources.len() > SYNCED_ONE_BY_ONE_MAX {
            let done = disk.sync_file_system(&self.places.new);
            return done.map_err(MailboxError::on("sync", &self.places.new)).map_err(Into::into);
        }
        for source in sources {
            match disk.sync_file(&source.path) {
                // Somebody has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(MailboxError::on("sync", &source.path))?,
            }
        }
        Ok(())
    }

    /// Puts files of another folder into this one by `place`.
    fn take_in(
        &self,
        sources: &[Source],
        made: &mut Vec<(PathBuf, PathBuf)>,
        place: &dyn Fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<Vec<Placed>, FolderError> {
        let mut state = self.lock();
        self.look_with(&mut state)?;
        state.reserve(u32::try_from(sources.len()).map_err(|_| FolderError::NoUids)?)?;
        let before = self.times_before();
        let mut entries = Vec::new();
        let mut taken = Vec::new();
        for source in sources {
            let keywords = self.keyword_set(&mut state, &source.keywords)?;
            let former = &source.entry.state;
            let modified = time_of(former.internal_date);
            let entry = self.entry_for(
                &super::name::fresh_file_name(),
                former.flags,
                keywords,
                modified,
                former.file_bytes,
            );
            let path = self.path_of(&entry);
            self.write_flags_rows(std::iter::once(&entry), &state.keywords)?;
            match place(&source.path, &path) {
                Ok(()) => {
                    made.push((source.path.clone(), path));
                    entries.push(entry);
                    taken.push(source);
                }
                // Somebody has removed or renamed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !source.path.exists() => {}
                Err(error) => return Err(MailboxError::on("put into the folder", &path)(error).into()),
            }
        }
        let uids = self.settle(&mut state, entries, before)?;
        Ok(taken.iter().zip(uids).map(|(source, to)| Placed { from: source.uid, to }).collect())
    }
}

/// How files come into another folder, and go back.
#[derive(Clone, Copy)]
struct Transfer<'a> {
    place: &'a dyn Fn(&Path, &Path) -> io::Result<()>,
    undo: &'a dyn Fn(&Path, &Path) -> io::Result<()>,
}

/// How often messages are looked for whose files are renamed by other sessions all the time.
const ATTEMPTS_MAX: usize = 5;

/// Whether a file ends with a whole line; an empty or missing one does.
fn ends_with_line(path: &Path) -> bool {
    use std::os::unix::fs::FileExt as _;
    let last = || {
        let file = std::fs::File::open(path).ok()?;
        let mut last = [0];
        file.read_exact_at(&mut last, file.metadata().ok()?.len().checked_sub(1)?).ok()?;
        Some(last[0])
    };
    last().is_none_or(|last| last == b'\n')
}

/// A message to copy or move.
struct Source {
    uid: u32,
    path: PathBuf,
    keywords: Vec<String>,
    entry: Entry,
}

impl FlagChange {
    fn apply(&self, flags: Flags, keywords: KeywordSet, named: KeywordSet) -> (Flags, KeywordSet) {
        match self.how {
            How::Replace => (self.flags, named),
            How::Add => (flags.union(self.flags), keywords.union(named)),
            How::Remove => (flags.without(self.flags), keywords.without(named)),
        }
    }
}

/// A row of `imapflags.tab`; `None` for a file name that no table can hold.
fn flags_row(entry: &Entry, names: &[String]) -> Option<Vec<u8>> {
    let keywords: Vec<&str> =
        entry.state.keywords.indexes().filter_map(|index| names.get(index).map(String::as_str)).collect();
    row(&[&entry.file_name, &Letters(entry.state.flags).to_string(), &keywords.join(" ")])
}

fn row(values: &[&str]) -> Option<Vec<u8>> {
    let record = Record::quoted(values).ok()?;
    let mut line = record.as_bytes().to_vec();
    line.push(b'\n');
    Some(line)
}

fn time_of(unix_secs: i64) -> SystemTime {
    let distance = Duration::from_secs(unix_secs.unsigned_abs());
    match unix_secs {
        0.. => SystemTime::UNIX_EPOCH + distance,
        _ => SystemTime::UNIX_EPOCH - distance,
    }
}
