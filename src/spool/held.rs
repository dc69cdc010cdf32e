//! A message that waits in memory and in the journal, without a spool file of its own.
//!
//! ```text
//! journaled --+-- finish -----------> over      delivered at the first attempt: the usual way
//!             `-- write_spool_file --> spooled   put off, frozen, needed as a file, or waited too long
//! ```
//!
//! Whoever changes the state holds its lock, so that a checkpoint may give a message its spool file in the middle of
//! an attempt.

use std::io::{self, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal::{Content, Id, Mark, Stored};
use super::name::Name;
use super::{Shared, Spool, SpoolError, State};
use crate::durable::{DiskFile, FILE_MODE};

/// One recipient's message.
pub(super) struct Held {
    name: Arc<Name>,
    id: Id,
    parts: Parts,
    /// The number of the journal's segment; 0 before it is written.
    segment: AtomicU64,
    standing: Mutex<Standing>,
}

/// Where in the payload its parts are.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// The lines before the message, with the data mark.
    pub(super) header: Range<usize>,
    /// Our own header fields.
    pub(super) fields: Range<usize>,
    /// What the client sent.
    pub(super) data: Range<usize>,
}

enum Standing {
    Journaled {
        content: Arc<Content>,
        slog: Vec<u8>,
        /// Where a try to make the spool file may have left one that could not be synced, nor removed.
        strays: Vec<State>,
    },
    Spooled,
    Over,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Held {
    pub(super) fn new(name: Arc<Name>, id: Id, content: Arc<Content>, parts: Parts) -> Self {
        let standing = Mutex::new(Standing::Journaled { content, slog: Vec::new(), strays: Vec::new() });
        Self { name, id, parts, segment: AtomicU64::new(0), standing }
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// It is on stable storage in this segment.
    pub(super) fn is_written_to(&self, segment: u64) {
        self.segment.store(segment, Ordering::Relaxed);
    }

    /// The payload and the places of its parts, while there is no spool file.
    pub(super) fn content(&self) -> Option<(Arc<Content>, Parts)> {
        match &*self.lock() {
            Standing::Journaled { content, .. } => Some((Arc::clone(content), self.parts.clone())),
            Standing::Spooled | Standing::Over => None,
        }
    }

    /// Adds to the slog in memory; `false` when that is a file.
    pub(super) fn append_slog(&self, bytes: &[u8]) -> bool {
        match &mut *self.lock() {
            Standing::Journaled { slog, .. } => {
                slog.extend_from_slice(bytes);
                true
            }
            Standing::Spooled | Standing::Over => false,
        }
    }

    /// The slog, while there is no spool file.
    pub(super) fn slog(&self) -> Option<Vec<u8>> {
        match &*self.lock() {
            Standing::Journaled { slog, .. } => Some(slog.clone()),
            Standing::Spooled | Standing::Over => None,
        }
    }

    /// Makes the spool file in `state`, with its slog, unless there is one; on `Ok` it is on stable storage. Returns
    /// whether it was made now. Blocks.
    ///
    /// # Errors
    /// The disk's; the message then stays in the journal.
    pub(super) fn write_spool_file(&self, spool: &Arc<Shared>, state: State) -> Result<bool, SpoolError> {
        let mut standing = self.lock();
        let Standing::Journaled { content, slog, strays } = &mut *standing else { return Ok(false) };
        let spool = Spool { shared: Arc::clone(spool) };
        let pieces = [&self.parts.header, &self.parts.fields, &self.parts.data];
        let pieces = pieces.map(|range| &content.payload[range.clone()]);
        // A second file would be a second message after the next start.
        while let Some(&stray) = strays.last() {
            spool.remove_if_there(&self.name, stray)?;
            strays.pop();
        }
        write(&spool, &self.name, &pieces, slog, state).inspect_err(|_| {
            if spool.remove_if_there(&self.name, state).is_err() {
                strays.push(state);
            }
        })?;
        *standing = Standing::Spooled;
        drop(standing);
        self.mark(&spool.shared, Mark::Over(self.id));
        Ok(true)
    }

    /// Ends it: nothing is left to do, or it is in a mailbox as `stored`. `false` when it has a spool file, which is
    /// still to be removed, after the mailbox was synced.
    pub(super) fn finish(&self, spool: &Shared, stored: Option<Stored>) -> bool {
        let mut standing = self.lock();
        let Standing::Journaled { strays, .. } = &mut *standing else { return false };
        spool.leftovers.add(strays.drain(..).map(|state| spool.path(&self.name, state)));
        *standing = Standing::Over;
        drop(standing);
        self.mark(
            spool,
            match stored {
                Some(stored) => Mark::Delivered(self.id, stored),
                None => Mark::Over(self.id),
            },
        );
        true
    }

    fn mark(&self, spool: &Shared, mark: Mark) {
        if let Some(journal) = spool.journal.get() {
            journal.done(self.segment.load(Ordering::Relaxed), self.name.file_name(), mark);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slog first: a message whose attempts are not known is tried at once. Then as for new mail. On an error the file
/// may stand in `state` all the same.
fn write(spool: &Spool, name: &Name, pieces: &[&[u8]], slog: &[u8], state: State) -> Result<(), SpoolError> {
    if !slog.is_empty() {
        let path = spool.path(name, State::Slog);
        // Not appended: an earlier try may have left it there, and its attempts would count twice.
        let mut file = create_anew(spool, &path).map_err(SpoolError::disk("create", &path))?;
        file.write_all(slog).map_err(SpoolError::disk("write", &path))?;
    }
    let temporary = spool.path(name, State::Temp);
    let to = spool.path(name, state);
    let moved = write_temporary(spool, name, &temporary, pieces, true)
        .and_then(|()| spool.disk().rename(&temporary, &to).map_err(SpoolError::disk("move", &temporary)));
    if moved.is_err() {
        let _ = spool.disk().remove(&temporary);
    }
    moved?;
    let directory = spool.place_directory(name.place(), state);
    spool.disk().sync_dir(&directory).map_err(SpoolError::disk("sync", &directory))
}

/// Writes a message file into `temp`; what an earlier try left there goes.
pub(super) fn write_temporary(
    spool: &Spool,
    name: &Name,
    path: &Path,
    pieces: &[&[u8]],
    sync: bool,
) -> Result<(), SpoolError> {
    let directory = spool.place_directory(name.place(), State::Temp);
    if !directory.is_dir() {
        spool.make_place(name.place())?;
    }
    let write = || {
        let mut file = create_anew(spool, path)?;
        file.write_all(&pieces.concat())?;
        if sync { file.sync() } else { Ok(()) }
    };
    write().map_err(SpoolError::disk("write", path))
}

/// Creates a file; what an earlier try has left there goes.
fn create_anew(spool: &Spool, path: &Path) -> io::Result<DiskFile> {
    match spool.disk().create_new(path, FILE_MODE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            spool.disk().remove(path)?;
            spool.disk().create_new(path, FILE_MODE)
        }
        created => created,
    }
}
