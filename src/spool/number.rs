//! `message.id`: the counter of message numbers (`mailroot.md` 16.5).
//!
//! The file holds one decimal number and CRLF. Taking a number reads it, adds one, writes it back at offset 0 without
//! truncating, and uses the new value; a missing file counts from 1, so the first number is 2. The file is read
//! again for each number, so an operator may set it at any time. A content that is no number does not stop mail:
//! counting goes on from the last number known, and the file is mended.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::SpoolError;
use crate::durable::{Disk, DiskFile, FILE_MODE};
use crate::mailroot::MailRoot;

/// A message number such as `S1F`: the letter of its origin and upper-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageNumber {
    origin: Origin,
    number: u64,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `S`: received by SMTP.
    Smtp,
    /// `L`: dropped into `spool/local`.
    Local,
    /// `P`: fetched from a POP3 account.
    Pop3Sync,
    /// `X`: a notice of our own.
    Notice,
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.origin {
            Origin::Smtp => 'S',
            Origin::Local => 'L',
            Origin::Pop3Sync => 'P',
            Origin::Notice => 'X',
        };
        write!(f, "{letter}{:X}", self.number)
    }
}

/// The file's reader and writer; one at a time.
pub(super) struct Counter {
    path: PathBuf,
    disk: Disk,
    state: Mutex<State>,
}

struct State {
    /// The last number known.
    last: u64,
    /// The file while it is this one, so that a number costs one look, one read and one write.
    open: Option<(DiskFile, (u64, u64))>,
}

/// A number and CRLF take at most this many bytes; what stands behind is not ours.
const CONTENT_BYTES_MAX: usize = 32;

impl Counter {
    pub(super) fn new(root: &MailRoot, disk: Disk) -> Self {
        let state = Mutex::new(State { last: 1, open: None });
        Self { path: root.path().join("message.id"), disk, state }
    }

    pub(super) fn next(&self, origin: Origin) -> Result<MessageNumber, SpoolError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.open(&mut state).map_err(SpoolError::disk("open", &self.path))?;
        let known = read(file.as_file()).map_err(SpoolError::disk("read", &self.path))?;
        let number = known.unwrap_or(state.last).wrapping_add(1);
        let Some((file, _)) = &state.open else { return Ok(MessageNumber { origin, number }) };
        let written = file.write_all_at(format!("{number}\r\n").as_bytes(), 0);
        written.map_err(SpoolError::disk("write", &self.path))?;
        state.last = number;
        Ok(MessageNumber { origin, number })
    }

    /// The file that has the name now.
    fn open<'a>(&self, state: &'a mut State) -> io::Result<&'a DiskFile> {
        let identity = match fs::metadata(&self.path) {
            Ok(meta) => Some((meta.dev(), meta.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_open = identity.is_some() && state.open.as_ref().map(|(_, known)| *known) == identity;
        if !is_open {
            let file = self.disk.open_or_create(&self.path, FILE_MODE)?;
            if identity.is_none() {
                file.write_all_at(FIRST, 0)?;
            }
            let meta = file.as_file().metadata()?;
            state.open = Some((file, (meta.dev(), meta.ino())));
        }
        match &state.open {
            Some((file, _)) => Ok(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// What a missing file counts as.
const FIRST: &[u8] = b"1\r\n";

fn read(file: &File) -> io::Result<Option<u64>> {
    let mut bytes = [0; CONTENT_BYTES_MAX];
    let count = file.read_at(&mut bytes, 0)?;
    let digits = &bytes[..count];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let number = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok());
    if number.is_none() {
        tracing::error!("message.id:1:1: is not a decimal number; counting goes on from the last one known");
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let counter = Counter::new(&MailRoot::new(dir.path()), Disk::default());
        let file = dir.path().join("message.id");
        assert_eq!(counter.next(Origin::Smtp).unwrap().to_string(), "S2");
        assert_eq!(fs::read(&file).unwrap(), b"2\r\n");
        fs::write(&file, "500\r\n").unwrap();
        assert_eq!(counter.next(Origin::Notice).unwrap().to_string(), "X1F5");
        assert_eq!(fs::read(&file).unwrap(), b"501\r\n");
        fs::write(&file, "broken").unwrap();
        assert_eq!(counter.next(Origin::Local).unwrap().to_string(), "L1F6");
        fs::write(&file, "9\r\nabc").unwrap();
        assert_eq!(counter.next(Origin::Pop3Sync).unwrap().to_string(), "PA");
        assert_eq!(fs::read(&file).unwrap(), b"10\r\nbc");
    }
}
