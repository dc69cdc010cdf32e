//! The cache file of a folder: an append-only journal of what is known of its messages.
//!
//! ```text
//! file   = *record
//! record = length:u32 crc32:u32 payload      little endian; the length and the sum are the payload's
//! ```
//!
//! Reading ends at the first record that is not whole or whose sum is wrong; what is behind it is cut off. The first
//! record says the version and the UIDVALIDITY. A file that has grown to a multiple of what it tells is written anew.
//!
//! Nothing here is synced but [`Record::Reserve`]: what a power cut takes is found again in the directory, under UIDs
//! above the reserve.
//!
//! The first record after an orderly end takes the place of [`Record::Closed`], which is as long: a folder can be opened
//! without the file growing, on a full disk too. Torn, it counts as nothing, and the reserve before it holds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::durable::{Disk, DiskFile, FILE_MODE};

/// The file's name in a folder's directory, and in the account's for INBOX.
pub(super) const FILE_NAME: &str = "imapcache";

/// Of the format.
const VERSION: u8 = 3;

/// Files of this version on are read; in those of version 2 nothing is told of fields.
const VERSION_MIN: u8 = 2;

/// A payload may have so many octets; the longest are envelopes of messages with thousands of recipients.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Octets before a payload.
const FRAME_BYTES: usize = 8;

/// A file below this size is never written anew.
const COMPACT_BYTES_MIN: u64 = 256 * 1024;

/// What one record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The first: the UIDVALIDITY. Removals up to that mod-sequence may be forgotten.
    Begin { uid_validity: u32, gone_known_after: u64 },
    /// UIDs and mod-sequences below these may have been given.
    Reserve { next_uid: u32, modseq: u64 },
    /// A message, new or changed.
    Message(Message),
    /// A message is gone.
    Gone { uid: u32, modseq: u64 },
    /// Something of what a message says; the octets are for `content` to read.
    Kept { kept: Kept, uid: u32, packed: Vec<u8> },
    /// An orderly end: exactly these are next.
    Closed { next_uid: u32, modseq: u64 },
}

/// What is kept of what a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Size, envelope and structure.
    Head,
    /// Header fields, as they stand.
    Fields,
}

/// Where in the file what is kept of a message stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeptPlaces {
    head: Option<Place>,
    fields: Option<Place>,
}

/// A message of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) uid: u32,
    pub(super) modseq: u64,
    pub(super) flags: u8,
    pub(super) keywords: u32,
    /// When the file was written, seconds since 1970.
    pub(super) modified: i64,
    /// Octets of the file.
    pub(super) bytes: u64,
    /// In `cur`, not in `new`.
    pub(super) is_in_cur: bool,
    /// The file's; 0 when it is not known.
    pub(super) inode: u64,
    pub(super) file_name: String,
}

/// Where packed octets stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    bytes: NonZeroU32,
}

/// What a cache file told.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) uid_validity: u32,
    pub(super) gone_known_after: u64,
    /// By UID.
    pub(super) messages: Vec<Message>,
    pub(super) kept: HashMap<u32, KeptPlaces>,
    /// Oldest first: mod-sequence and UID.
    pub(super) gone: Vec<(u64, u32)>,
    pub(super) next_uid: u32,
    pub(super) modseq: u64,
    /// The end was orderly.
    pub(super) was_closed: bool,
}

/// An open cache file.
#[derive(Debug)]
pub(super) struct Cache {
    disk: Disk,
    path: PathBuf,
    /// `None` until it can be opened for writing.
    file: Option<DiskFile>,
    /// What is behind the orderly part has to be cut off first.
    has_rest: bool,
    /// For reading what is kept.
    reader: File,
    size: u64,
    /// The file's name is on stable storage.
    is_name_synced: bool,
    /// When the size passes this, the file is worth writing anew.
    compact_at: u64,
}

/// Frames a record.
fn frame(record: &Record, out: &mut Vec<u8>) {
    frame_with(out, |out| record.encode(out));
}

fn frame_with(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; FRAME_BYTES]);
    encode(out);
    let payload = &out[at + FRAME_BYTES..];
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let crc = crc32fast::hash(payload);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out[at + 4..at + FRAME_BYTES].copy_from_slice(&crc.to_le_bytes());
}

impl Cache {
    /// Reads the file, as far as it is in order; `None` when there is none worth reading. It is opened for writing when there is
    /// something to write.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn open(disk: &Disk, path: &Path) -> io::Result<Option<(Self, Loaded)>> {
        let reader = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = reader.metadata()?.len();
        // Never in memory as a whole: with what is kept of many messages it is large.
        let Some((loaded, size)) = load(&mut BufReader::with_capacity(LOAD_BYTES, &reader))? else {
            return Ok(None);
        };
        let ends_closed = loaded.was_closed && size + CLOSED_BYTES == bytes;
        let live = live_bytes(&loaded);
        let cache = Self {
            disk: disk.clone(),
            path: path.to_owned(),
            reader,
            file: None,
            has_rest: size < bytes && !ends_closed,
            size,
            is_name_synced: false,
            compact_at: compact_at(live),
        };
        Ok(Some((cache, loaded)))
    }

    /// A new file in place of what is there, holding `records`. It gets its name when it is whole.
    ///
    /// # Errors
    /// The disk's; the former file stands then.
    pub(super) fn create(
        disk: &Disk,
        path: &Path,
        records: impl Iterator<Item = Record>,
    ) -> io::Result<Self> {
        Self::put(disk, path, records, true)
    }

    /// A new file that knows of no message. The first [`Record::Reserve`] puts it on stable storage; a power cut before
    /// that leaves nothing that can be read.
    ///
    /// # Errors
    /// As [`Cache::create`].
    pub(super) fn begin(disk: &Disk, path: &Path, uid_validity: u32) -> io::Result<Self> {
        let begin = Record::Begin { uid_validity, gone_known_after: 0 };
        Self::put(disk, path, std::iter::once(begin), false)
    }

    fn put(
        disk: &Disk,
        path: &Path,
        records: impl Iterator<Item = Record>,
        is_synced: bool,
    ) -> io::Result<Self> {
        let temporary = path.with_extension("new");
        let _ = disk.remove(&temporary);
        let mut file = disk.create_new(&temporary, FILE_MODE)?;
        let (mut buffer, mut size) = (Vec::new(), 0);
        for record in records {
            frame(&record, &mut buffer);
            if buffer.len() >= WRITE_BYTES {
                file.write_all(&buffer)?;
                size += buffer.len() as u64;
                buffer.clear();
            }
        }
        file.write_all(&buffer)?;
        size += buffer.len() as u64;
        if is_synced {
            file.sync_data()?;
        }
        disk.rename(&temporary, path)?;
        let reader = File::open(path)?;
        Ok(Self {
            disk: disk.clone(),
            path: path.to_owned(),
            reader,
            file: Some(file),
            has_rest: false,
            size,
            is_name_synced: false,
            compact_at: compact_at(size),
        })
    }

    /// Appends records.
    ///
    /// # Errors
    /// The disk's; the file ends where it ended before, or is cut there when it is read.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> io::Result<()> {
        let mut buffer = Vec::new();
        records.for_each(|record| frame(record, &mut buffer));
        self.append_framed(&buffer)
    }

    fn append_framed(&mut self, buffer: &[u8]) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let size = self.size;
        let file = self.writer()?;
        if let Err(error) = file.write_all_at(buffer, size) {
            // What comes next begins where this would have: its rest must not stand behind that.
            let _ = file.set_len(size);
            return Err(error);
        }
        self.size += buffer.len() as u64;
        Ok(())
    }

    /// The file, cut to what is in order.
    fn writer(&mut self) -> io::Result<&mut DiskFile> {
        if self.file.is_none() {
            let mut file = self.disk.open_or_create(&self.path, FILE_MODE)?;
            if self.has_rest {
                file.set_len(self.size)?;
            }
            self.has_rest = false;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Appends what is to be kept of messages and says where it is, by UID.
    ///
    /// # Errors
    /// As [`Cache::append`].
    pub(super) fn append_kept<'a>(
        &mut self,
        kept: Kept,
        packed: impl Iterator<Item = (u32, &'a [u8])>,
    ) -> io::Result<Vec<(u32, Place)>> {
        let (mut buffer, mut places) = (Vec::new(), Vec::new());
        for (uid, packed) in packed {
            let offset = self.size + (buffer.len() + FRAME_BYTES + KEPT_PREFIX_BYTES) as u64;
            places.extend(Place::new(offset, packed.len()).map(|place| (uid, place)));
            frame_with(&mut buffer, |out| kept.encode(uid, packed, out));
        }
        self.append_framed(&buffer)?;
        Ok(places)
    }

    /// The octets at many places, in this order; those that stand close together are read at once.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn read_kept(&self, places: &[Place]) -> io::Result<Vec<Vec<u8>>> {
        let mut read = Vec::with_capacity(places.len());
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < places.len() {
            let (mut start, mut end) = places[at].span();
            let mut next = at + 1;
            while let Some(place) = places.get(next) {
                let (from, to) = (start.min(place.offset), end.max(place.span().1));
                if to - from > READ_BYTES_MAX {
                    break;
                }
                (start, end, next) = (from, to, next + 1);
            }
            bytes.resize(usize::try_from(end - start).unwrap_or(0), 0);
            self.reader.read_exact_at(&mut bytes, start)?;
            for place in &places[at..next] {
                let from = usize::try_from(place.offset - start).unwrap_or(0);
                read.push(bytes[from..from + place.bytes()].to_vec());
            }
            at = next;
        }
        Ok(read)
    }

    /// Puts everything so far, and the file's name, on stable storage.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.writer()?.sync_data()?;
        if !self.is_name_synced {
            self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
            self.is_name_synced = true;
        }
        Ok(())
    }

    /// Whether most of the file tells of the past. `live` counts the octets of what is there now; it is asked seldom.
    pub(super) fn is_worth_compacting(&mut self, live: impl FnOnce() -> u64) -> bool {
        if self.size > self.compact_at {
            self.compact_at = compact_at(live());
        }
        self.size > self.compact_at
    }

    /// Removes the file for good. What is kept in it can still be read.
    ///
    /// # Errors
    /// The disk's; a power cut may bring the file back then.
    pub(super) fn remove(disk: &Disk, path: &Path) -> io::Result<()> {
        match disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// Whether the file at the path is still this one.
    pub(super) fn is_in_place(&self, path: &Path) -> bool {
        let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino(), meta.len());
        let (Ok(ours), Ok(there)) = (self.reader.metadata(), std::fs::metadata(path)) else {
            return false;
        };
        identity(ours) == identity(there)
    }
}

impl Place {
    /// `None` for no octets, or more than a record may have.
    fn new(offset: u64, bytes: usize) -> Option<Self> {
        Some(Self { offset, bytes: NonZeroU32::new(u32::try_from(bytes).ok()?)? })
    }

    /// How many octets.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get() as usize
    }

    /// Octets of the record.
    fn record_bytes(&self) -> u64 {
        u64::from(self.bytes.get()) + 16
    }

    fn span(&self) -> (u64, u64) {
        (self.offset, self.offset + u64::from(self.bytes.get()))
    }
}

impl Kept {
    /// The first octet of the payload.
    fn kind(self) -> u8 {
        match self {
            Self::Head => 4,
            Self::Fields => 6,
        }
    }

    fn of_kind(kind: u8) -> Option<Self> {
        [Self::Head, Self::Fields].into_iter().find(|kept| kept.kind() == kind)
    }

    fn encode(self, uid: u32, packed: &[u8], out: &mut Vec<u8>) {
        out.push(self.kind());
        out.extend_from_slice(&uid.to_le_bytes());
        out.extend_from_slice(packed);
    }
}

impl KeptPlaces {
    /// Where this stands, if it is known.
    pub(super) fn get(&self, kept: Kept) -> Option<Place> {
        match kept {
            Kept::Head => self.head,
            Kept::Fields => self.fields,
        }
    }

    /// Notes where this stands.
    pub(super) fn set(&mut self, kept: Kept, place: Place) {
        match kept {
            Kept::Head => self.head = Some(place),
            Kept::Fields => self.fields = Some(place),
        }
    }

    /// Octets of the records.
    pub(super) fn record_bytes(&self) -> u64 {
        self.head.iter().chain(&self.fields).map(Place::record_bytes).sum()
    }
}

/// Octets read at once, if one message's are not more.
const READ_BYTES_MAX: u64 = 512 * 1024;

/// Octets read at once while the whole file is.
const LOAD_BYTES: usize = 256 * 1024;

/// Octets written at once.
const WRITE_BYTES: usize = 256 * 1024;

fn compact_at(live: u64) -> u64 {
    (live * 3).max(COMPACT_BYTES_MIN)
}

fn live_bytes(loaded: &Loaded) -> u64 {
    let messages: u64 = loaded.messages.iter().map(|message| message_bytes(&message.file_name)).sum();
    messages + loaded.kept.values().map(KeptPlaces::record_bytes).sum::<u64>()
}

/// Octets of a message's record.
pub(super) fn message_bytes(file_name: &str) -> u64 {
    56 + file_name.len() as u64
}

/// Octets of [`Record::Closed`] and [`Record::Reserve`] with their frame.
const CLOSED_BYTES: u64 = FRAME_BYTES as u64 + 13;

/// `None` when not even the first record is in order; else what is told, and where the next record goes: behind the orderly
/// part, or in the place of [`Record::Closed`] at its end.
fn load(file: &mut impl Read) -> io::Result<Option<(Loaded, u64)>> {
    let (mut at, mut payload) = (0, Vec::new());
    let mut messages: HashMap<u32, Message> = HashMap::new();
    let mut loaded: Option<Loaded> = None;
    while next_payload(file, &mut payload)? {
        let next = at + (FRAME_BYTES + payload.len()) as u64;
        if let (Some(kept), Some(loaded)) =
            (payload.first().and_then(|kind| Kept::of_kind(*kind)), &mut loaded)
        {
            // Only where it is; there are megabytes of them.
            let Some(uid) = payload[1..].first_chunk() else { break };
            let offset = at + (FRAME_BYTES + KEPT_PREFIX_BYTES) as u64;
            if let Some(place) = Place::new(offset, payload.len() - KEPT_PREFIX_BYTES) {
                loaded.kept.entry(u32::from_le_bytes(*uid)).or_default().set(kept, place);
            }
            loaded.was_closed = false;
            at = next;
            continue;
        }
        let Some(record) = Record::decode(&payload) else { break };
        match (record, &mut loaded) {
            (Record::Begin { uid_validity, gone_known_after }, None) => {
                loaded = Some(Loaded {
                    uid_validity,
                    gone_known_after,
                    messages: Vec::new(),
                    kept: HashMap::new(),
                    gone: Vec::new(),
                    next_uid: 1,
                    modseq: 1,
                    was_closed: false,
                });
            }
            (_, None) | (Record::Begin { .. }, Some(_)) => return Ok(None),
            (Record::Reserve { next_uid, modseq }, Some(loaded)) => {
                (loaded.next_uid, loaded.modseq, loaded.was_closed) = (next_uid, modseq, false);
            }
            (Record::Closed { next_uid, modseq }, Some(loaded)) => {
                (loaded.next_uid, loaded.modseq, loaded.was_closed) = (next_uid, modseq, true);
            }
            (Record::Message(message), Some(loaded)) => {
                loaded.was_closed = false;
                messages.insert(message.uid, message);
            }
            (Record::Gone { uid, modseq }, Some(loaded)) => {
                loaded.was_closed = false;
                messages.remove(&uid);
                loaded.kept.remove(&uid);
                loaded.gone.push((modseq, uid));
            }
            // Seen to above.
            (Record::Kept { .. }, Some(_)) => {}
        }
        at = next;
    }
    let Some(mut loaded) = loaded else { return Ok(None) };
    loaded.messages = messages.into_values().collect();
    loaded.messages.sort_unstable_by_key(|message| message.uid);
    let next = at - if loaded.was_closed { CLOSED_BYTES } else { 0 };
    Ok(Some((loaded, next)))
}

/// Reads the payload of the next record; false when there is none in order.
fn next_payload(file: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<bool> {
    let mut frame = [[0; 4]; 2];
    if !fills(file, frame.as_flattened_mut())? {
        return Ok(false);
    }
    let [length, crc] = frame.map(u32::from_le_bytes);
    let length = length as usize;
    if length == 0 || length > PAYLOAD_BYTES_MAX {
        return Ok(false);
    }
    payload.resize(length, 0);
    Ok(fills(file, payload)? && crc32fast::hash(payload) == crc)
}

/// Whether there are as many octets.
fn fills(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
    }
}

/// Kind and UID before the octets that are kept.
const KEPT_PREFIX_BYTES: usize = 5;

impl Record {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Begin { uid_validity, gone_known_after } => {
                out.extend_from_slice(&[0, VERSION]);
                out.extend_from_slice(&uid_validity.to_le_bytes());
                out.extend_from_slice(&gone_known_after.to_le_bytes());
            }
            Self::Reserve { next_uid, modseq } | Self::Closed { next_uid, modseq } => {
                out.push(if matches!(self, Self::Reserve { .. }) { 1 } else { 5 });
                out.extend_from_slice(&next_uid.to_le_bytes());
                out.extend_from_slice(&modseq.to_le_bytes());
            }
            Self::Message(message) => message.encode(out),
            Self::Gone { uid, modseq } => {
                out.push(3);
                out.extend_from_slice(&uid.to_le_bytes());
                out.extend_from_slice(&modseq.to_le_bytes());
            }
            Self::Kept { kept, uid, packed } => kept.encode(*uid, packed, out),
        }
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (&kind, mut rest) = payload.split_first()?;
        let rest = &mut rest;
        let record = match kind {
            0 if (VERSION_MIN..=VERSION).contains(&u8::from_le_bytes(take(rest)?)) => Self::Begin {
                uid_validity: u32::from_le_bytes(take(rest)?),
                gone_known_after: u64::from_le_bytes(take(rest)?),
            },
            1 => Self::Reserve {
                next_uid: u32::from_le_bytes(take(rest)?),
                modseq: u64::from_le_bytes(take(rest)?),
            },
            2 => Self::Message(Message::decode(rest)?),
            3 => Self::Gone { uid: u32::from_le_bytes(take(rest)?), modseq: u64::from_le_bytes(take(rest)?) },
            5 => Self::Closed {
                next_uid: u32::from_le_bytes(take(rest)?),
                modseq: u64::from_le_bytes(take(rest)?),
            },
            kind => Self::Kept {
                kept: Kept::of_kind(kind)?,
                uid: u32::from_le_bytes(take(rest)?),
                packed: std::mem::take(rest).to_vec(),
            },
        };
        rest.is_empty().then_some(record)
    }
}

impl Message {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(2);
        out.extend_from_slice(&self.uid.to_le_bytes());
        out.extend_from_slice(&self.modseq.to_le_bytes());
        out.push(self.flags);
        out.extend_from_slice(&self.keywords.to_le_bytes());
        out.extend_from_slice(&self.modified.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.push(u8::from(self.is_in_cur));
        out.extend_from_slice(&self.inode.to_le_bytes());
        out.extend_from_slice(self.file_name.as_bytes());
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        Some(Self {
            uid: u32::from_le_bytes(take(rest)?),
            modseq: u64::from_le_bytes(take(rest)?),
            flags: u8::from_le_bytes(take(rest)?),
            keywords: u32::from_le_bytes(take(rest)?),
            modified: i64::from_le_bytes(take(rest)?),
            bytes: u64::from_le_bytes(take(rest)?),
            is_in_cur: u8::from_le_bytes(take(rest)?) != 0,
            inode: u64::from_le_bytes(take(rest)?),
            file_name: String::from_utf8(std::mem::take(rest).to_vec()).ok()?,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(uid: u32) -> Message {
        Message {
            uid,
            modseq: 7,
            flags: 8,
            keywords: 3,
            modified: -5,
            bytes: 12,
            is_in_cur: true,
            inode: 77,
            file_name: format!("{uid}.a.b:2,S"),
        }
    }

    fn file(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join(FILE_NAME)
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let begin = Record::Begin { uid_validity: 9, gone_known_after: 0 };
        let mut cache = Cache::create(&Disk::default(), &file(&dir), std::iter::once(begin)).unwrap();
        let records = [
            Record::Reserve { next_uid: 100, modseq: 50 },
            Record::Message(message(1)),
            Record::Message(message(2)),
            Record::Gone { uid: 1, modseq: 8 },
        ];
        cache.append(records.iter()).unwrap();
        let head = cache.append_kept(Kept::Head, std::iter::once((2, &b"head"[..]))).unwrap()[0].1;
        let fields = cache.append_kept(Kept::Fields, std::iter::once((2, &b"a: b"[..]))).unwrap()[0].1;
        assert_eq!(cache.read_kept(&[fields, head]).unwrap(), [b"a: b", b"head"]);
        let (_, loaded) = Cache::open(&Disk::default(), &file(&dir)).unwrap().unwrap();
        assert_eq!(loaded.messages, [message(2)]);
        assert_eq!((loaded.uid_validity, loaded.next_uid, loaded.modseq), (9, 100, 50));
        let kept = KeptPlaces { head: Some(head), fields: Some(fields) };
        assert_eq!((loaded.kept.get(&2), &loaded.gone), (Some(&kept), &vec![(8, 1)]));
        assert!(!loaded.was_closed);
        cache.append(std::iter::once(&Record::Closed { next_uid: 3, modseq: 8 })).unwrap();
        let (_, loaded) = Cache::open(&Disk::default(), &file(&dir)).unwrap().unwrap();
        assert_eq!((loaded.next_uid, loaded.was_closed), (3, true));
    }

    #[test]
    fn files_of_the_version_before_are_read_and_of_no_other() {
        let begin = Record::Begin { uid_validity: 9, gone_known_after: 0 };
        let check = |version: u8, is_read: bool| {
            let mut file = Vec::new();
            frame_with(&mut file, |out| {
                begin.encode(out);
                let at = out.len() - 13;
                assert_eq!(std::mem::replace(&mut out[at], version), VERSION);
            });
            frame(&Record::Message(message(1)), &mut file);
            let loaded = load(&mut &*file).unwrap();
            assert_eq!(loaded.is_some_and(|(loaded, _)| loaded.messages.len() == 1), is_read, "{version}");
        };
        check(VERSION, true);
        check(VERSION_MIN, true);
        check(VERSION + 1, false);
        check(VERSION_MIN - 1, false);
    }

    #[test]
    fn any_damage_costs_only_what_is_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let records = [
            Record::Begin { uid_validity: 9, gone_known_after: 0 },
            Record::Message(message(1)),
            Record::Message(message(2)),
        ];
        drop(Cache::create(&Disk::default(), &file(&dir), records.into_iter()).unwrap());
        let whole = std::fs::read(file(&dir)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let known = load(&mut &*damaged).unwrap().map(|(loaded, _)| loaded.messages.len());
            assert!(matches!(known, None | Some(0 | 1)), "{at}: {known:?}");
            let known = load(&mut &whole[..at]).unwrap().map(|(loaded, _)| loaded.messages.len());
            assert!(matches!(known, None | Some(0 | 1)), "{at}: {known:?}");
        }
        std::fs::write(file(&dir), &whole[..whole.len() - 1]).unwrap();
        let (mut cache, loaded) = Cache::open(&Disk::default(), &file(&dir)).unwrap().unwrap();
        assert_eq!(loaded.messages, [message(1)]);
        cache.append(std::iter::once(&Record::Message(message(3)))).unwrap();
        let (_, loaded) = Cache::open(&Disk::default(), &file(&dir)).unwrap().unwrap();
        assert_eq!(loaded.messages, [message(1), message(3)]);
    }
}
