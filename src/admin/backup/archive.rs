//! Gzipped tape archives, as the `tar` crate reads and writes them: plain files only.
//!
//! Written: GNU headers, longer names in `L` entries. Read: old, ustar, GNU and PAX archives. Directories and global records
//! are passed; links, devices and sparse files by PAX records are told as [`EntryKind::Other`]; sparse files of GNU's kind are an error.
//!
//! What the crate leaves to its callers is here: an archive that ends before its end mark is an error, also within a file
//! and within its compression; a file that shrinks or grows while it is packed keeps the size its header tells; and
//! what is read besides contents has a limit, [`NAMES_BYTES_MAX`], as the crate holds names and records in memory.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Builder, EntryType, Header};

use super::BACKUP_MODE;

/// What names and records of one entry may have together, in bytes. Ours; a name has 4096 at most (PATH_MAX of Linux).
const NAMES_BYTES_MAX: u64 = 1 << 20;

/// Entries begin at multiples of it, in bytes.
const BLOCK: u64 = 512;

/// Writes an archive.
pub(super) struct Writer<W: Write> {
    builder: Builder<W>,
}

/// Permissions and time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) mode: u32,
    pub(super) unix_secs: i64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(output: W) -> Self {
        Self { builder: Builder::new(output) }
    }

    /// Adds a file of `bytes` bytes; a content that is shorter is filled up with zeros, a longer one is cut: it changed
    /// while it was read.
    pub(super) fn file(
        &mut self,
        name: &str,
        stamp: Stamp,
        bytes: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(stamp.mode & 0o7777);
        header.set_mtime(u64::try_from(stamp.unix_secs).unwrap_or(0));
        header.set_size(bytes);
        let content = content.take(bytes).chain(io::repeat(0)).take(bytes);
        self.builder.append_data(&mut header, name, content)
    }

    /// Ends the archive and gives the output back.
    pub(super) fn finish(self) -> io::Result<W> {
        self.builder.into_inner()
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    /// A link, a device, or what else is not its content.
    Other,
}

/// An entry of an archive that is read, and its content.
pub(super) struct Entry<'a> {
    /// As it stands in the archive: not to be trusted.
    pub(super) name: String,
    pub(super) kind: EntryKind,
    pub(super) bytes: u64,
    pub(super) stamp: Stamp,
    content: tar::Entry<'a, Input>,
}

impl Entry<'_> {
    /// The content, at most `bytes_max` of it.
    pub(super) fn body(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Entry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.read(buffer)
    }
}

/// An archive that is read from its beginning.
pub(super) struct Reader {
    archive: Archive<Input>,
    stream: Rc<RefCell<Stream>>,
}

impl Reader {
    pub(super) fn new(file: File) -> Self {
        let decoder = MultiGzDecoder::new(BufReader::new(file));
        let stream = Rc::new(RefCell::new(Stream { decoder, at: 0, end: u64::MAX }));
        Self { archive: Archive::new(Input(Rc::clone(&stream))), stream }
    }

    pub(super) fn entries(&mut self) -> io::Result<Entries<'_>> {
        let (entries, stream) = (self.archive.entries()?, Rc::clone(&self.stream));
        Ok(Entries { entries, stream, next_at: 0 })
    }
}

/// Goes from entry to entry.
pub(super) struct Entries<'a> {
    entries: tar::Entries<'a, Input>,
    stream: Rc<RefCell<Stream>>,
    /// Where the header of the next one is.
    next_at: u64,
}

impl<'a> Entries<'a> {
    /// The next file or link; what was not read of the present one is passed.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry<'a>>> {
        loop {
            self.stream.borrow_mut().end = self.next_at.saturating_add(NAMES_BYTES_MAX);
            let Some(content) = self.entries.next() else {
                self.stream.borrow_mut().drain()?;
                return Ok(None);
            };
            let content = content?;
            self.stream.borrow_mut().end = u64::MAX;
            let padded = content.size().checked_next_multiple_of(BLOCK);
            self.next_at = content.raw_file_position().saturating_add(padded.unwrap_or(u64::MAX));
            match content.header().entry_type() {
                EntryType::Directory | EntryType::XGlobalHeader => {}
                // Its size is of what it would become: a few bytes for as many as one likes.
                EntryType::GNUSparse => return Err(broken("a sparse file")),
                kind => return entry(content, kind).map(Some),
            }
        }
    }
}

fn entry(mut content: tar::Entry<'_, Input>, kind: EntryType) -> io::Result<Entry<'_>> {
    let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous) && !is_sparse(&mut content)?;
    let header = content.header();
    // Packers leave out what they do not know.
    let unix_secs = header.mtime().ok().and_then(|secs| i64::try_from(secs).ok()).unwrap_or(0);
    let mode = header.mode().unwrap_or(BACKUP_MODE) & 0o7777;
    Ok(Entry {
        name: String::from_utf8_lossy(&content.path_bytes()).into_owned(),
        kind: if is_file { EntryKind::File } else { EntryKind::Other },
        bytes: content.size(),
        stamp: Stamp { mode, unix_secs },
        content,
    })
}

/// Whether the content begins with a map of where its pieces belong (GNU tar's manual, "Storing Sparse Files").
fn is_sparse(content: &mut tar::Entry<'_, Input>) -> io::Result<bool> {
    let Some(records) = content.pax_extensions()? else { return Ok(false) };
    for record in records {
        if record?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the crate reads from.
struct Input(Rc<RefCell<Stream>>);

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

/// The unpacked bytes of an archive. Nobody reads to its end but [`Stream::drain`], so an end is an error.
struct Stream {
    decoder: MultiGzDecoder<BufReader<File>>,
    /// Bytes read until now.
    at: u64,
    /// How far may be read.
    end: u64,
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        if room == 0 && !buffer.is_empty() {
            return Err(broken("a name is too long"));
        }
        let wanted = buffer.len().min(room);
        let count = self.decoder.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }

    /// What is behind the end mark belongs to the compression, which has its own checksum at the end.
    fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.decoder, &mut io::sink()).map(drop)
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::GnuExtSparseHeader;

    use super::*;

    const STAMP: Stamp = Stamp { mode: 0o640, unix_secs: 1_795_429_991 };

    fn reader(archive: &[u8]) -> Reader {
        let mut packed = GzEncoder::new(tempfile::tempfile().unwrap(), Compression::fast());
        packed.write_all(archive).unwrap();
        let mut file = packed.finish().unwrap();
        file.rewind().unwrap();
        Reader::new(file)
    }

    /// Names, kinds and contents.
    fn walk(archive: &[u8]) -> io::Result<Vec<(String, EntryKind, Vec<u8>)>> {
        let (mut reader, mut found) = (reader(archive), Vec::new());
        let mut entries = reader.entries()?;
        while let Some(mut entry) = entries.next()? {
            let body = entry.body(u64::MAX)?;
            found.push((entry.name, entry.kind, body));
        }
        Ok(found)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new(Vec::new());
        let long = format!("domains/a.test/{}/Maildir/cur/x", "long".repeat(60));
        let cases: [(&str, &[u8]); 4] =
            [("server.tab", b"abc"), ("empty", b""), (&long, b"mail"), ("full", &[7; 512])];
        for (name, content) in cases {
            writer.file(name, STAMP, content.len() as u64, content).unwrap();
        }
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() as u64 % BLOCK, 0);
        let mut whole = reader(&bytes);
        let mut entries = whole.entries().unwrap();
        for (name, content) in cases {
            let mut entry = entries.next().unwrap().unwrap();
            assert_eq!((entry.name.as_str(), entry.bytes, entry.stamp), (name, content.len() as u64, STAMP));
            assert_eq!(entry.body(u64::MAX).unwrap(), content);
        }
        assert!(entries.next().unwrap().is_none());
        let mut unread = reader(&bytes);
        let mut entries = unread.entries().unwrap();
        let names = std::iter::from_fn(|| entries.next().unwrap()).count();
        assert_eq!(names, 4, "content that is not read is passed");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_keeps_its_size() {
        for (content, expected) in [(&b"ab"[..], &b"ab\0\0"[..]), (b"abcdefg", b"abcd")] {
            let mut writer = Writer::new(Vec::new());
            writer.file("x", STAMP, 4, content).unwrap();
            let found = walk(&writer.finish().unwrap()).unwrap();
            assert_eq!(found, [("x".to_owned(), EntryKind::File, expected.to_vec())]);
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_header_is_an_error_or_another_archive() {
        let mut writer = Writer::new(Vec::new());
        writer.file("a", STAMP, 3, &b"abc"[..]).unwrap();
        let bytes = writer.finish().unwrap();
        for end in 0..1024 {
            assert!(walk(&bytes[..end]).is_err(), "{end}");
        }
        // Behind the digits of the checksum nothing is told.
        for at in (0..512).filter(|at| !(154..156).contains(at)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x15;
            assert!(walk(&changed).is_err(), "{at}");
        }
    }

    fn header(kind: EntryType, bytes: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes);
        header.set_cksum();
        header
    }

    #[test]
    fn names_of_posix_are_read_links_and_sparse_files_are_told() {
        let mut builder = Builder::new(Vec::new());
        let long = "long/".repeat(60) + "x";
        builder.append_pax_extensions([("path", long.as_bytes())]).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 2), "short", &b"in"[..]).unwrap();
        builder.append_link(&mut header(EntryType::Symlink, 0), "link", "/etc/passwd").unwrap();
        builder.append_link(&mut header(EntryType::Link, 0), "hard", "short").unwrap();
        builder.append_data(&mut header(EntryType::Directory, 0), "directory", io::empty()).unwrap();
        builder.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 2), "sparse", &b"0\n"[..]).unwrap();
        let found = walk(&builder.into_inner().unwrap()).unwrap();
        let expected = [
            (long.as_str(), EntryKind::File),
            ("link", EntryKind::Other),
            ("hard", EntryKind::Other),
            ("sparse", EntryKind::Other),
        ];
        let names: Vec<_> = found.iter().map(|(name, kind, _)| (name.as_str(), *kind)).collect();
        assert_eq!(names, expected);
        assert_eq!(found[0].2, b"in");
    }

    #[test]
    fn what_would_take_memory_or_time_without_bounds_is_an_error() {
        let zeros = |bytes| io::repeat(b'x').take(bytes);
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            let bytes = 2 * NAMES_BYTES_MAX;
            let mut builder = Builder::new(Vec::new());
            builder.append(&header(kind, bytes), zeros(bytes)).unwrap();
            builder.append(&header(EntryType::Regular, 0), io::empty()).unwrap();
            assert!(walk(&builder.into_inner().unwrap()).is_err(), "{kind:?}");
        }
        // A size that is told and not there.
        let mut builder = Builder::new(Vec::new());
        builder.append(&header(EntryType::Regular, u64::MAX - 5000), io::empty()).unwrap();
        assert!(walk(&builder.into_inner().unwrap()).is_err());
        let mut sparse = header(EntryType::GNUSparse, 0);
        sparse.as_gnu_mut().unwrap().set_real_size(1 << 60);
        let piece = &mut sparse.as_gnu_mut().unwrap().sparse[0];
        piece.set_offset(1 << 60);
        piece.set_length(0);
        sparse.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&sparse, io::empty()).unwrap();
        assert!(walk(&builder.into_inner().unwrap()).is_err());
        // One whose map has no end.
        sparse.as_gnu_mut().unwrap().set_is_extended(true);
        sparse.set_cksum();
        let mut map = GnuExtSparseHeader::new();
        map.set_is_extended(true);
        let mut bytes = sparse.as_bytes().to_vec();
        bytes.extend(map.as_bytes().repeat(5000));
        assert!(walk(&bytes).is_err());
    }
}
