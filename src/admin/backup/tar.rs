//! Tape archives as everybody's `tar` reads and writes them: plain files only.
//!
//! ```text
//! archive = *( header body padding ) 1024 zero bytes           ; blocks of 512 bytes
//! header  = name(100) mode(8) uid(8) gid(8) size(12) mtime(12) checksum(8) type(1) link(100) "ustar" ...
//! ```
//!
//! Written: ustar headers (POSIX.1-1988), names of more than 100 bytes by GNU's `L` entry. Read: these, and POSIX.1-2001
//! `path` records. Directories are passed; links and devices are told as such and have no content.
//!
//! A broken header, a wrong checksum or an end in the middle is an error. Limits: [`NAME_BYTES_MAX`], 8 GiB for a file.

use std::io::{self, Read, Write};

const BLOCK: usize = 512;

/// The longest name that is read, in bytes. Ours: PATH_MAX of Linux.
const NAME_BYTES_MAX: u64 = 4096;

/// The largest size that twelve octal digits hold, in bytes.
const FILE_BYTES_MAX: u64 = 0o77_777_777_777;

/// Where the checksum stands.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Writes an archive.
pub(super) struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output }
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
        if bytes > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, name.to_owned()));
        }
        if name.len() > 100 {
            let long = [name.as_bytes(), b"\0"].concat();
            self.header("././@LongLink", Stamp { mode: 0o644, unix_secs: 0 }, long.len() as u64, b'L')?;
            self.body(long.len() as u64, &long[..])?;
        }
        self.header(name, stamp, bytes, b'0')?;
        self.body(bytes, content)
    }

    fn header(&mut self, name: &str, stamp: Stamp, bytes: u64, kind: u8) -> io::Result<()> {
        let mut block = [0_u8; BLOCK];
        let name = name.as_bytes();
        let length = name.len().min(100);
        block[..length].copy_from_slice(&name[..length]);
        octal(&mut block[100..108], u64::from(stamp.mode & 0o7777));
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        octal(&mut block[124..136], bytes);
        octal(&mut block[136..148], u64::try_from(stamp.unix_secs).unwrap_or(0));
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum = checksum(&block);
        octal(&mut block[148..155], u64::from(sum));
        block[155] = b' ';
        self.output.write_all(&block)
    }

    fn body(&mut self, bytes: u64, content: impl Read) -> io::Result<()> {
        let written = io::copy(&mut content.take(bytes), &mut self.output)?;
        let missing = bytes - written;
        io::copy(&mut io::repeat(0).take(missing + padding(bytes)), &mut self.output)?;
        Ok(())
    }

    /// Ends the archive and gives the output back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&[0; 2 * BLOCK])?;
        Ok(self.output)
    }
}

/// Permissions and time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) mode: u32,
    pub(super) unix_secs: i64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    /// A link, a device, or what else has no content of its own.
    Other,
}

/// An entry of an archive that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// As it stands in the archive: not to be trusted.
    pub(super) name: String,
    pub(super) kind: EntryKind,
    pub(super) bytes: u64,
    pub(super) stamp: Stamp,
}

/// Reads an archive from its beginning.
pub(super) struct Reader<R> {
    input: R,
    /// What is left of the content of the present entry, and behind it.
    left: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// The next file or link; what was not read of the present one is passed.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut long_name = None;
        loop {
            self.pass()?;
            let mut block = [0_u8; BLOCK];
            self.input.read_exact(&mut block)?;
            if block.iter().all(|&byte| byte == 0) {
                // What is behind belongs to whatever packed the archive, which has its own checksum at the end.
                io::copy(&mut self.input, &mut io::sink())?;
                return Ok(None);
            }
            let entry = entry(&block)?;
            (self.left, self.padding) = (entry.bytes, padding(entry.bytes));
            match block[156] {
                b'L' => long_name = Some(text(&self.short_body(NAME_BYTES_MAX)?)),
                b'x' => long_name = pax_path(&self.short_body(1 << 20)?).or(long_name),
                b'g' | b'5' => {}
                kind => {
                    let kind =
                        if matches!(kind, b'0' | 0 | b'7') { EntryKind::File } else { EntryKind::Other };
                    if kind == EntryKind::Other {
                        // A hard link names a size and has no content.
                        (self.left, self.padding) = (0, 0);
                    }
                    let name = long_name.take().unwrap_or(entry.name);
                    return Ok(Some(Entry { name, kind, ..entry }));
                }
            }
        }
    }

    fn short_body(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        if self.left > bytes_max {
            return Err(broken("a name is too long"));
        }
        self.body(bytes_max)
    }

    /// The content of the present entry, at most `bytes_max` of it.
    pub(super) fn body(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.by_ref_limited(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn by_ref_limited(&mut self, bytes_max: u64) -> impl Read + '_ {
        Content { reader: self }.take(bytes_max)
    }

    /// The content of the present entry.
    pub(super) fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    fn pass(&mut self) -> io::Result<()> {
        let rest = self.left + self.padding;
        let passed = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        if passed < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }
}

/// The content of an entry; an archive that ends in it is an error.
pub(super) struct Content<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.reader.left).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        let count = self.reader.input.read(&mut buffer[..left])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.left -= count as u64;
        Ok(count)
    }
}

fn entry(block: &[u8; BLOCK]) -> io::Result<Entry> {
    if number(&block[CHECKSUM])? != u64::from(checksum(block)) {
        return Err(broken("a checksum is wrong"));
    }
    let name = text(&block[..100]);
    let prefix = if &block[257..262] == b"ustar" { text(&block[345..500]) } else { String::new() };
    // GNU keeps times in the place of the prefix; its magic ends with two blanks.
    let is_posix = &block[257..263] == b"ustar\0";
    let name = if prefix.is_empty() || !is_posix { name } else { format!("{prefix}/{name}") };
    let unix_secs = i64::try_from(number(&block[136..148])?).unwrap_or(0);
    let mode = u32::try_from(number(&block[100..108])? & 0o7777).unwrap_or(0);
    let stamp = Stamp { mode, unix_secs };
    Ok(Entry { name, kind: EntryKind::File, bytes: number(&block[124..136])?, stamp })
}

/// The `path` of an extended header: `LENGTH SP key=value LF` each.
fn pax_path(records: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(records);
    text.lines().find_map(|line| line.split_once(" path=").map(|(_, path)| path.to_owned()))
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
}

fn number(field: &[u8]) -> io::Result<u64> {
    let text = text(field);
    let digits = text.trim_matches([' ', '\0']);
    match digits.is_empty() {
        true => Ok(0),
        false => u64::from_str_radix(digits, 8).map_err(|_| broken("a number is none")),
    }
}

/// The sum of all bytes, with blanks in the place of the checksum.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&block[..CHECKSUM.start]) + 8 * u32::from(b' ') + sum(&block[CHECKSUM.end..])
}

fn padding(bytes: u64) -> u64 {
    (BLOCK as u64 - bytes % BLOCK as u64) % BLOCK as u64
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { mode: 0o640, unix_secs: 1_795_429_991 };

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
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut reader = Reader::new(&bytes[..]);
        for (name, content) in cases {
            let entry = reader.next().unwrap().unwrap();
            assert_eq!((entry.name.as_str(), entry.bytes, entry.stamp), (name, content.len() as u64, STAMP));
            assert_eq!(reader.body(u64::MAX).unwrap(), content);
        }
        assert_eq!(reader.next().unwrap(), None);
        let mut reader = Reader::new(&bytes[..]);
        let names = std::iter::from_fn(|| reader.next().unwrap()).count();
        assert_eq!(names, 4, "content that is not read is passed");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_keeps_its_size() {
        for (content, expected) in [(&b"ab"[..], &b"ab\0\0"[..]), (b"abcdefg", b"abcd")] {
            let mut writer = Writer::new(Vec::new());
            writer.file("x", STAMP, 4, content).unwrap();
            let bytes = writer.finish().unwrap();
            let mut reader = Reader::new(&bytes[..]);
            reader.next().unwrap();
            assert_eq!(reader.body(10).unwrap(), expected);
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_header_is_an_error_or_another_archive() {
        let mut writer = Writer::new(Vec::new());
        writer.file("a", STAMP, 3, &b"abc"[..]).unwrap();
        let bytes = writer.finish().unwrap();
        let walk = |bytes: &[u8]| -> io::Result<usize> {
            let mut reader = Reader::new(bytes);
            let mut count = 0;
            while reader.next()?.is_some() {
                count += 1;
            }
            Ok(count)
        };
        for end in 0..1024 {
            assert!(walk(&bytes[..end]).is_err(), "{end}");
        }
        // The last byte of the checksum's field is nothing.
        for at in (0..BLOCK).filter(|&at| at != CHECKSUM.end - 1) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x15;
            assert!(walk(&changed).is_err(), "{at}");
        }
    }
}
