//! The format of a message file in the spool (`mailroot.md` 16.3).
//!
//! ```text
//! [client]:port;[server]:port;mail date
//! smtp domain
//! message number
//! MAIL FROM:<...> [parameters]
//! RCPT TO:<...>
//! <<MAIL-DATA>>
//! message, dot-stuffed
//! ```
//!
//! Lines end in CRLF and have at most [`HEADER_LINE_BYTES_MAX`] bytes before the data mark; LF alone is read as well.
//! A file that breaks this is a [`BadSpoolFile`] with the line: it is frozen, never delivered and never lost.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use super::held::Parts;
use super::journal::Content;
use crate::address::{ForwardPath, PathError, RawPath, ReversePath, Utf8, parse_angle};

/// The longest line before the data mark (`mailflow.md` 2.2).
pub const HEADER_LINE_BYTES_MAX: usize = 1535;

/// The line before the message.
const DATA_MARK: &[u8] = b"<<MAIL-DATA>>";

/// The lines before the data mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `[client]:port;[server]:port;mail date`, as written.
    pub trace: BString,
    /// The SMTP domain: what the smail log shows in its first column.
    pub smtp_domain: BString,
    /// The message number, such as `S1F`.
    pub number: BString,
    /// The whole MAIL line, parameters included: `MAIL FROM:<a@b> BODY=8BITMIME`.
    pub mail_from: BString,
    /// The whole RCPT line, cut after `>`.
    pub rcpt_to: BString,
}

impl Header {
    /// The bytes up to and with the data mark.
    pub fn to_bytes(&self) -> Vec<u8> {
        let lines: [&[u8]; 6] =
            [&self.trace, &self.smtp_domain, &self.number, &self.mail_from, &self.rcpt_to, DATA_MARK];
        lines.iter().flat_map(|line| [*line, b"\r\n"]).flatten().copied().collect()
    }

    /// The sender.
    ///
    /// # Errors
    /// When the MAIL line has no path.
    pub fn reverse_path(&self) -> Result<ReversePath, PathError> {
        parse_angle(&self.mail_from, Utf8::Allowed)?.0.into_reverse_path()
    }

    /// The recipient.
    ///
    /// # Errors
    /// When the RCPT line has no path.
    pub fn forward_path(&self) -> Result<ForwardPath, PathError> {
        parse_angle(&self.rcpt_to, Utf8::Allowed)?.0.into_forward_path(None)
    }

    /// What stands behind the sender's `>`: the ESMTP parameters of MAIL.
    pub fn mail_parameters(&self) -> &BStr {
        self.mail_from.find_byte(b'>').map_or(BStr::new(""), |at| self.mail_from[at + 1..].trim().as_bstr())
    }

    /// The client's `[address]:port`; empty when the line has none.
    pub fn client(&self) -> &BStr {
        self.trace.split(|&b| b == b';').next().unwrap_or_default().as_bstr()
    }

    /// The server's `[address]:port`; empty when the line has none.
    pub fn server(&self) -> &BStr {
        self.trace.split(|&b| b == b';').nth(1).unwrap_or_default().as_bstr()
    }

    /// Reads the header at the beginning of `bytes`; also returns where the message begins. `bytes` may be a prefix of
    /// the file of at least [`HEADER_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`BadHeader`] with the line.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), BadHeader> {
        let mut lines = Vec::with_capacity(6);
        let mut at = 0;
        while lines.len() < 6 {
            let number = lines.len() + 1;
            let line =
                bytes[at..].lines_with_terminator().next().ok_or(BadHeader::Truncated { line: number })?;
            if line.len() > HEADER_LINE_BYTES_MAX {
                return Err(BadHeader::LineTooLong { line: number });
            }
            if !line.ends_with(b"\n") {
                return Err(BadHeader::Truncated { line: number });
            }
            at += line.len();
            lines.push(line.trim_end_with(|c| c == '\r' || c == '\n'));
        }
        if lines[5] != DATA_MARK {
            return Err(BadHeader::NoDataMark);
        }
        let keyword = |line: &[u8], word: &[u8]| {
            line.len() >= word.len() && line[..word.len()].eq_ignore_ascii_case(word)
        };
        if !keyword(lines[3], b"MAIL FROM:") || !lines[3].contains(&b'<') {
            return Err(BadHeader::NoMailFrom);
        }
        if !keyword(lines[4], b"RCPT TO:") || !lines[4].contains(&b'<') {
            return Err(BadHeader::NoRcptTo);
        }
        let line = |index: usize| BString::from(lines[index]);
        let header = Self {
            trace: line(0),
            smtp_domain: line(1),
            number: line(2),
            mail_from: line(3),
            rcpt_to: line(4),
        };
        Ok((header, at))
    }
}

/// Six lines of the greatest length.
pub const HEADER_BYTES_MAX: usize = 6 * (HEADER_LINE_BYTES_MAX + 1);

/// What is wrong with the lines before the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// The file ends before the data mark.
    #[error("line {line}: the file ends here")]
    Truncated {
        /// From 1.
        line: usize,
    },
    /// A line of more than [`HEADER_LINE_BYTES_MAX`] bytes.
    #[error("line {line}: longer than {HEADER_LINE_BYTES_MAX} bytes")]
    LineTooLong {
        /// From 1.
        line: usize,
    },
    /// Line 4 is no MAIL FROM with a path.
    #[error("line 4: no MAIL FROM:<path>")]
    NoMailFrom,
    /// Line 5 is no RCPT TO with a path.
    #[error("line 5: no RCPT TO:<path>")]
    NoRcptTo,
    /// Line 6 is not the data mark.
    #[error("line 6: no <<MAIL-DATA>>")]
    NoDataMark,
}

/// A message file that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BadSpoolFile {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The header is not one.
    #[error("{}: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: BadHeader,
    },
    /// The sender or recipient is not a path.
    #[error("{}: line {line}: {reason}", path.display())]
    Path {
        /// The file.
        path: PathBuf,
        /// 4 or 5.
        line: usize,
        /// Why.
        reason: PathError,
    },
}

/// A loaded message: its envelope, and where its content is.
#[derive(Clone)]
pub struct SpoolFile {
    /// The lines before the data mark.
    pub header: Header,
    /// The sender.
    pub reverse_path: ReversePath,
    /// The recipient.
    pub forward_path: ForwardPath,
    path: PathBuf,
    source: Source,
    data_bytes: u64,
}

#[derive(Clone)]
enum Source {
    /// In the file, from this byte on.
    File(u64),
    /// In memory: our own header fields, then the data.
    Memory(Arc<Content>, Parts),
}

impl std::fmt::Debug for SpoolFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolFile")
            .field("header", &self.header)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SpoolFile {
    /// Loads the envelope of a message file.
    ///
    /// # Errors
    /// [`BadSpoolFile`] with file and line.
    pub fn load(path: &Path) -> Result<Self, BadSpoolFile> {
        let disk = |source| BadSpoolFile::Disk { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(disk)?;
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(HEADER_BYTES_MAX as u64).read_to_end(&mut head).map_err(disk)?;
        let size = file.metadata().map_err(disk)?.len();
        Self::parse(path, &head, |offset| (Source::File(offset), size.saturating_sub(offset)))
    }

    /// A message in memory. `path` is where it would be as a file.
    pub(super) fn held(path: &Path, content: Arc<Content>, parts: Parts) -> Result<Self, BadSpoolFile> {
        let payload = Arc::clone(&content);
        let bytes = (parts.fields.len() + parts.data.len()) as u64;
        let header = &payload.payload[parts.header.clone()];
        Self::parse(path, header, |_| (Source::Memory(content, parts), bytes))
    }

    /// `source` gets the place where the message begins, and gives its source and size.
    fn parse(
        path: &Path,
        head: &[u8],
        source: impl FnOnce(u64) -> (Source, u64),
    ) -> Result<Self, BadSpoolFile> {
        let (header, offset) =
            Header::parse(head).map_err(|reason| BadSpoolFile::Header { path: path.to_owned(), reason })?;
        let bad = |line| move |reason| BadSpoolFile::Path { path: path.to_owned(), line, reason };
        let reverse_path = header.reverse_path().map_err(bad(4))?;
        let forward_path = header.forward_path().map_err(bad(5))?;
        let (source, data_bytes) = source(offset as u64);
        Ok(Self { header, reverse_path, forward_path, path: path.to_owned(), source, data_bytes })
    }

    /// The file; of a message in memory, the one it would have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the message, as stored.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The message in two pieces, when it is in memory.
    pub fn in_memory(&self) -> Option<[&[u8]; 2]> {
        match &self.source {
            Source::File(_) => None,
            Source::Memory(content, parts) => {
                Some([&content.payload[parts.fields.clone()], &content.payload[parts.data.clone()]])
            }
        }
    }

    /// The message from its first header on, dot-stuffed as stored. Blocks when it is in a file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn data(&self) -> io::Result<MessageReader<'_>> {
        if let Some([fields, data]) = self.in_memory() {
            return Ok(MessageReader::Memory(fields.chain(data)));
        }
        self.open().map(MessageReader::File)
    }

    /// As [`SpoolFile::data`], for a message that is in a file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        if let Source::File(offset) = self.source {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(file)
    }

    /// The first bytes of the message, enough for its headers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head(&self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.data()?.take(bytes_max as u64).read_to_end(&mut head)?;
        Ok(head)
    }
}

/// Reads a message, wherever it is.
#[derive(Debug)]
pub enum MessageReader<'a> {
    /// From its file.
    File(File),
    /// From memory.
    Memory(io::Chain<&'a [u8], &'a [u8]>),
}

impl Read for MessageReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

/// The first part of the recipient's path in a RCPT line, for the outbox's lanes; empty when it has none.
pub(super) fn first_part_of(rcpt_to: &[u8]) -> String {
    match parse_angle(rcpt_to, Utf8::Allowed) {
        Ok((RawPath::Path(path), _)) => path.first_part(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &[u8] = b"[127.0.0.1]:44926;[127.0.0.1]:2525;Mon, 23 Nov 2026 10:33:11 -0000\r\nmx.example.test\r\nS2\r\nMAIL FROM:<alice@example.test> BODY=8BITMIME\r\nRCPT TO:<t451@sink.test>\r\n<<MAIL-DATA>>\r\nSubject: x\r\n\r\nbody\r\n";

    #[test]
    fn xmails_file_is_read_and_written_back() {
        let (header, at) = Header::parse(FILE).unwrap();
        assert_eq!(header.to_bytes(), FILE[..at]);
        assert!(FILE[at..].starts_with(b"Subject: x"));
        assert_eq!(header.client(), "[127.0.0.1]:44926");
        assert_eq!(header.server(), "[127.0.0.1]:2525");
        assert_eq!(header.mail_parameters(), "BODY=8BITMIME");
        assert_eq!(header.forward_path().unwrap().mailbox().to_string(), "t451@sink.test");
    }

    #[test]
    fn every_fault_names_its_line() {
        let text = String::from_utf8(FILE.to_vec()).unwrap();
        let check = |bytes: &str, expected: BadHeader| {
            assert_eq!(Header::parse(bytes.as_bytes()), Err(expected), "{bytes:?}");
        };
        check("", BadHeader::Truncated { line: 1 });
        check("a\r\nb\r\n", BadHeader::Truncated { line: 3 });
        check(&text.replace("<<MAIL-DATA>>", "MAIL-DATA"), BadHeader::NoDataMark);
        check(&text.replace("MAIL FROM:", "FROM:"), BadHeader::NoMailFrom);
        check(&text.replace("RCPT TO:<", "RCPT TO:"), BadHeader::NoRcptTo);
        check(&text.replace("S2", &"9".repeat(2000)), BadHeader::LineTooLong { line: 3 });
    }

    #[test]
    fn a_pickup_header_in_lower_case_is_read() {
        let text = String::from_utf8(FILE.to_vec())
            .unwrap()
            .replace("MAIL FROM", "mail from")
            .replace("RCPT TO", "rcpt to");
        assert!(Header::parse(text.as_bytes()).unwrap().0.reverse_path().is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_and_prefixes_never_panic(bytes: Vec<u8>, cut in 0..FILE.len()) {
            let _ = Header::parse(&bytes);
            let _ = Header::parse(&FILE[..cut]);
        }
    }
}
