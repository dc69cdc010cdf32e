//! `message.id`: the counter of message numbers (`mailroot.md` 16.5).
//!
//! The file holds one decimal number and CRLF. Taking a number reads it, adds one, writes it back at offset 0 without
//! truncating, and uses the new value; a missing file counts from 1, so the first number is 2. The file is read
//! again for each number, so an operator may set it at any time. A content that is no number does not stop mail:
//! counting goes on from the last number known, and the file is mended.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::SpoolError;
use crate::durable;
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
    last: Mutex<u64>,
}

/// A number and CRLF take at most this many bytes; what stands behind is not ours.
const CONTENT_BYTES_MAX: usize = 32;

impl Counter {
    pub(super) fn new(root: &MailRoot) -> Self {
        Self { path: root.path().join("message.id"), last: Mutex::new(1) }
    }

    pub(super) fn next(&self, origin: Origin) -> Result<MessageNumber, SpoolError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.read().map_err(SpoolError::disk("read", &self.path))?;
        let number = known.unwrap_or(*last).wrapping_add(1);
        self.write(number).map_err(SpoolError::disk("write", &self.path))?;
        *last = number;
        Ok(MessageNumber { origin, number })
    }

    fn read(&self) -> io::Result<Option<u64>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(1)),
            Err(error) => return Err(error),
        };
        let digits: &[u8] = &bytes[..bytes.len().min(CONTENT_BYTES_MAX)];
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        let number = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok());
        if number.is_none() {
            tracing::error!(
                "message.id:1:1: is not a decimal number; counting goes on from the last one known"
            );
        }
        Ok(number)
    }

    fn write(&self, number: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(durable::FILE_MODE)
            .open(&self.path)?;
        file.write_all_at(format!("{number}\r\n").as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let counter = Counter::new(&MailRoot::new(dir.path()));
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
