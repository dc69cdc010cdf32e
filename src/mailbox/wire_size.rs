//! How many octets of a message are sent (decision 45).
//!
//! A stored file may mix LF and CRLF, as XMail's do, or lack its last line end, so its size on disk is not what
//! clients receive, and clients compare. The file is read once; the result is remembered by path, size and time of
//! modification, and forgotten when the server stops.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::{MailboxError, Mailboxes, StoredMessage};
use crate::net::dots::{ToCrlf, Transform};

/// Sizes found so far.
#[derive(Debug, Default)]
pub(super) struct WireSizes {
    known: Mutex<HashMap<PathBuf, Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    file_bytes: u64,
    modified: SystemTime,
    wire_bytes: u64,
}

/// Sizes remembered at once; some 20 MB. More are found out again. Ours.
const KNOWN_MAX: usize = 100_000;

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
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&message.path)
            .filter(|known| (known.file_bytes, known.modified) == (message.bytes, message.modified))
            .map(|known| known.wire_bytes)
    }

    fn insert(&self, message: &StoredMessage, wire_bytes: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            // Dropping all at once keeps the bound without the bookkeeping of an eviction order.
            known.clear();
        }
        let entry = Known { file_bytes: message.bytes, modified: message.modified, wire_bytes };
        known.insert(message.path.clone(), entry);
    }

    pub(super) fn forget(&self, path: &Path) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}
