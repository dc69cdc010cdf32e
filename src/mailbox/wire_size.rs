//! How many octets of a message are sent (decision 45).
//!
//! A stored file may mix LF and CRLF, as XMail's do, or lack its last line end, so its size on disk is not what
//! clients receive, and clients compare. The file is read once; the result is remembered by path, size and time of
//! modification, and forgotten when the server stops.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::recent::Recent;
use super::{MailboxError, Mailboxes, StoredMessage};
use crate::net::dots::{ToCrlf, Transform};

/// Sizes found so far.
#[derive(Debug)]
pub(super) struct WireSizes {
    known: Mutex<Recent<Sizes>>,
}

/// Of the files of one directory, by name.
type Sizes = HashMap<Box<str>, Known>;

impl Default for WireSizes {
    fn default() -> Self {
        Self { known: Mutex::new(Recent::new(KNOWN_MAX)) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    file_bytes: u64,
    modified: SystemTime,
    wire_bytes: u64,
}

/// Sizes remembered at once; some 20 MB. More are found out again. Ours.
const KNOWN_MAX: usize = 100_000;

/// So many sizes of files that are gone are not worth reading the others again. Ours.
const STALE_SPARE: usize = 1000;

/// Read at once.
const PIECE_BYTES: usize = 64 * 1024;

impl Mailboxes {
    /// The octets that [`ToCrlf`] makes of the message: what POP3 tells and sends.
    ///
    /// # Errors
    /// The disk's, `NotFound` for a message that is gone among them.
    pub fn wire_size(&self, message: &StoredMessage) -> Result<u64, MailboxError> {
        if let Some(bytes) = self.wire_sizes.get(message) {
            return Ok(bytes);
        }
        let mut file = self.open(message)?;
        let mut transform = ToCrlf::default();
        let (mut piece, mut sent) = (vec![0; PIECE_BYTES], Vec::with_capacity(PIECE_BYTES));
        loop {
            let count = file.read(&mut piece).map_err(MailboxError::on("read", &message.path))?;
            sent.clear();
            if count == 0 {
                break transform.finish(&mut sent);
            }
            transform.push(&piece[..count], &mut sent);
        }
        self.wire_sizes.insert(message, transform.size_bytes());
        Ok(transform.size_bytes())
    }
}

impl WireSizes {
    fn get(&self, message: &StoredMessage) -> Option<u64> {
        self.lock()
            .get(message.path.parent()?)?
            .get(message.file_name.as_str())
            .filter(|known| (known.file_bytes, known.modified) == (message.bytes, message.modified))
            .map(|known| known.wire_bytes)
    }

    fn insert(&self, message: &StoredMessage, wire_bytes: u64) {
        let Some(directory) = message.path.parent() else { return };
        let entry = Known { file_bytes: message.bytes, modified: message.modified, wire_bytes };
        let mut known = self.lock();
        if known.get(directory).is_none() {
            known.insert(directory, Sizes::new(), 0);
        }
        let Some(sizes) = known.get(directory) else { return };
        if sizes.insert(message.file_name.as_str().into(), entry).is_none() {
            known.grown(directory, 1);
        }
    }

    /// The message is gone, or no longer what it was.
    pub(super) fn forget(&self, message: &StoredMessage) {
        let Some(directory) = message.path.parent() else { return };
        let mut known = self.lock();
        if let Some(sizes) = known.get(directory)
            && sizes.remove(message.file_name.as_str()).is_some()
        {
            known.shrunk(directory, 1);
        }
    }

    /// The directory has so many files now. Sizes of files that other programs have taken away go when they are the most.
    pub(super) fn listed(&self, directory: &Path, files: usize) {
        let mut known = self.lock();
        if known.get(directory).is_some_and(|sizes| sizes.len() > 2 * files + STALE_SPARE) {
            known.remove(directory);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Sizes>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
