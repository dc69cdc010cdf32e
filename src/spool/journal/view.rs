//! What waits in the journal, for those who only look: files are read, nothing else.
//!
//! The server may be at work meanwhile. What it is just writing is a record that cannot be read yet, for which nobody was
//! told 250; a slot that is gone was closed, and what it held has spool files.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Content;
use super::record::{Id, parse_message};
use super::replay::{judge, scan, slots};
use crate::spool::held::Parts;
use crate::spool::name::Name;

/// A recipient's message that nothing has become of yet.
pub(in crate::spool) struct Waiting {
    pub(in crate::spool) name: Name,
    pub(in crate::spool) content: Arc<Content>,
    pub(in crate::spool) parts: Parts,
}

/// The messages without a mark, in their order; none when there is no journal.
///
/// A message that was delivered counts as done here, wherever its file is: its owner may have moved it. Only the replay
/// after a crash asks whether it got to the disk.
///
/// # Errors
/// When the journal cannot be read.
pub(in crate::spool) fn waiting(directory: &Path) -> io::Result<Vec<Waiting>> {
    let Some(slots) = unless_gone(slots(directory))? else { return Ok(Vec::new()) };
    let mut segments = Vec::new();
    for (path, run) in slots {
        if let Some(bytes) = unless_gone(fs::read(&path))? {
            segments.push((path, scan(&bytes, run)));
        }
    }
    let found = judge(segments);
    let mut waiting = Vec::new();
    for (sequence, payload) in found.messages {
        let Some(message) = parse_message(&payload) else { continue };
        let content = Content::read(payload);
        for (recipient, part) in (0..).zip(message.recipients) {
            if !found.marks.contains_key(&Id { sequence, recipient }) {
                let parts = Parts { header: part.header, fields: part.fields, data: message.data.clone() };
                waiting.push(Waiting { name: part.name, content: Arc::clone(&content), parts });
            }
        }
    }
    Ok(waiting)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
