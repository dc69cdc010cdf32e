//! What stands in a segment: records, each checked by itself.
//!
//! ```text
//! offset  bytes
//!      0  4      "TabJ"
//!      4  1      version
//!      5  1      kind: 1 message, 2 marks
//!      6  2      0
//!      8  4      bytes of the payload
//!     12  4      CRC-32 of the payload
//!     16  8      segment: the number of the segment this was written to; what an earlier use left differs
//!     24  8      sequence: the message's number
//!     32  8      watermark: all segments below are over and done
//!     40  4      where the batch begins that this was written with: everything before it was synced
//!     44  8      run: a random number that stands in the slot's name; mail data that looks like a record cannot know it
//!     52  4      CRC-32 of the 52 bytes before
//!     56  ...    the payload, then zeros up to a multiple of [`ALIGN_BYTES`]
//! ```
//!
//! Numbers are little-endian; a text is its length (4 bytes) and its bytes.
//!
//! - *message*: split directory (4 + 4), number of recipients (4), for each its name, its lines before the message with
//!   the data mark, its trace fields; then the data that all share.
//! - *marks*: one after the other: kind (1), sequence (8), recipient (4); for a delivered one the file's path below the
//!   MailRoot, its bytes (8) and their CRC-32 (4).

use std::ops::Range;
use std::path::{Path, PathBuf};

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::spool::MailData;
use crate::spool::intake::NewMessage;
use crate::spool::name::{Name, Place};

/// Records begin at multiples of this.
pub(super) const ALIGN_BYTES: usize = 64;

/// Bytes before the payload.
pub(super) const HEAD_BYTES: usize = 56;

const MAGIC: &[u8; 4] = b"TabJ";
const VERSION: u8 = 1;

/// One recipient of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::spool) struct Id {
    /// The message's number, unique over all segments on the disk.
    pub(in crate::spool) sequence: u64,
    /// Which of its recipients, from 0.
    pub(in crate::spool) recipient: u32,
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Marks,
}

/// A record's first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) payload_bytes: u32,
    pub(super) payload_crc: u32,
    pub(super) segment: u64,
    pub(super) sequence: u64,
    pub(super) watermark: u64,
    pub(super) batch_start: u32,
    pub(super) run: u64,
}

impl Head {
    pub(super) fn to_bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..4].copy_from_slice(MAGIC);
        bytes[4] = VERSION;
        bytes[5] = match self.kind {
            Kind::Message => 1,
            Kind::Marks => 2,
        };
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.watermark.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.batch_start.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.run.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..52]);
        bytes[52..56].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head at the beginning of `bytes`; `None` when there is none that is whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.take(4)? != MAGIC || reader.u8()? != VERSION {
            return None;
        }
        let kind = match reader.u8()? {
            1 => Kind::Message,
            2 => Kind::Marks,
            _ => return None,
        };
        reader.take(2)?;
        let head = Self {
            kind,
            payload_bytes: reader.u32()?,
            payload_crc: reader.u32()?,
            segment: reader.u64()?,
            sequence: reader.u64()?,
            watermark: reader.u64()?,
            batch_start: reader.u32()?,
            run: reader.u64()?,
        };
        (reader.u32()? == crc32fast::hash(&bytes[..52])).then_some(head)
    }
}

/// Bytes that a record with this payload takes up.
pub(super) fn record_bytes(payload_bytes: usize) -> usize {
    (HEAD_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
}

/// A whole record at the beginning of `bytes`: its head and payload. `None` when any of it is not as written.
pub(super) fn parse_record(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let head = Head::parse(bytes)?;
    let end = HEAD_BYTES.checked_add(usize::try_from(head.payload_bytes).ok()?)?;
    let payload = bytes.get(HEAD_BYTES..end)?;
    (crc32fast::hash(payload) == head.payload_crc).then_some((head, payload))
}

/// Adds a record to a batch that begins at `head.batch_start`.
pub(super) fn push_record(batch: &mut Vec<u8>, head: &Head, payload: &[u8]) {
    batch.extend_from_slice(&head.to_bytes());
    batch.extend_from_slice(payload);
    batch.resize(batch.len().next_multiple_of(ALIGN_BYTES), 0);
}

/// A message payload, and where in it the parts of each recipient are.
pub(in crate::spool) struct Message {
    pub(in crate::spool) recipients: Vec<Recipient>,
    pub(in crate::spool) data: Range<usize>,
}

/// One recipient's part.
pub(in crate::spool) struct Recipient {
    pub(in crate::spool) name: Name,
    pub(in crate::spool) header: Range<usize>,
    pub(in crate::spool) fields: Range<usize>,
}

/// Bytes of the payload that [`message_payload`] makes, at most.
pub(in crate::spool) fn message_payload_bytes(messages: &[NewMessage], data_bytes: u64) -> usize {
    let each = |message: &NewMessage| {
        let header = &message.header;
        let lines = [&header.trace, &header.smtp_domain, &header.number, &header.mail_from, &header.rcpt_to];
        let header: usize = lines.iter().map(|line| line.len() + 2).sum();
        header + message.trace_fields.len() + RECIPIENT_BYTES
    };
    let data = usize::try_from(data_bytes).unwrap_or(usize::MAX / 2);
    messages.iter().map(each).sum::<usize>().saturating_add(data).saturating_add(16)
}

/// What a recipient takes besides its header lines and fields: lengths, the data mark, the name.
const RECIPIENT_BYTES: usize = 16 + 15 + 256;

/// A message as a payload.
pub(in crate::spool) fn message_payload(
    place: Place,
    names: &[Name],
    messages: &[NewMessage],
    data: &MailData,
) -> std::io::Result<Vec<u8>> {
    let mut payload = Vec::with_capacity(message_payload_bytes(messages, data.bytes()));
    payload.extend_from_slice(&place.level1.to_le_bytes());
    payload.extend_from_slice(&place.level2.to_le_bytes());
    payload.extend_from_slice(&length(messages.len()).to_le_bytes());
    for (name, message) in names.iter().zip(messages) {
        push_text(&mut payload, name.file_name().as_bytes());
        push_text(&mut payload, &message.header.to_bytes());
        push_text(&mut payload, &message.trace_fields);
    }
    payload.extend_from_slice(&length(usize::try_from(data.bytes()).unwrap_or(0)).to_le_bytes());
    data.copy_to(&mut payload)?;
    Ok(payload)
}

/// Reads a message payload; `None` when it is not one.
pub(in crate::spool) fn parse_message(payload: &[u8]) -> Option<Message> {
    let mut reader = Reader(payload);
    let at = |rest: &Reader<'_>| payload.len() - rest.0.len();
    let place = Place { level1: reader.u32()?, level2: reader.u32()? };
    let count = reader.u32()?;
    let mut recipients = Vec::new();
    for _ in 0..count {
        let name = std::str::from_utf8(reader.text()?).ok()?;
        let name = Name::existing(place, name)?;
        let header = reader.text()?.len();
        let header = at(&reader) - header..at(&reader);
        let fields = reader.text()?.len();
        let fields = at(&reader) - fields..at(&reader);
        recipients.push(Recipient { name, header, fields });
    }
    let data = reader.text()?.len();
    Some(Message { recipients, data: payload.len() - reader.0.len() - data..payload.len() - reader.0.len() })
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::spool) enum Mark {
    /// Nothing is left to do with it here: it was sent, given back, or has a spool file of its own.
    Over(Id),
    /// It is in a mailbox, perhaps not yet on stable storage.
    Delivered(Id, Stored),
}

/// A file in a mailbox, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Below the MailRoot.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The CRC-32 of its content.
    pub crc: u32,
}

/// Marks as a payload.
pub(super) fn marks_payload(marks: &[Mark]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(marks.len() * 128);
    for mark in marks {
        let (kind, id) = match mark {
            Mark::Over(id) => (1, id),
            Mark::Delivered(id, _) => (2, id),
        };
        payload.push(kind);
        payload.extend_from_slice(&id.sequence.to_le_bytes());
        payload.extend_from_slice(&id.recipient.to_le_bytes());
        if let Mark::Delivered(_, stored) = mark {
            push_text(&mut payload, stored.path.as_os_str().as_bytes());
            payload.extend_from_slice(&stored.bytes.to_le_bytes());
            payload.extend_from_slice(&stored.crc.to_le_bytes());
        }
    }
    payload
}

/// Reads marks; `None` when they are none.
pub(super) fn parse_marks(payload: &[u8]) -> Option<Vec<Mark>> {
    let mut reader = Reader(payload);
    let mut marks = Vec::new();
    while !reader.0.is_empty() {
        let kind = reader.u8()?;
        let id = Id { sequence: reader.u64()?, recipient: reader.u32()? };
        marks.push(match kind {
            1 => Mark::Over(id),
            2 => {
                let path = PathBuf::from(std::ffi::OsString::from_vec(reader.text()?.to_vec()));
                Mark::Delivered(id, Stored { path, bytes: reader.u64()?, crc: reader.u32()? })
            }
            _ => return None,
        });
    }
    Some(marks)
}

impl Stored {
    /// Whether the file at `path` is still exactly this one.
    pub(in crate::spool) fn is_at(&self, path: &Path) -> bool {
        let same_size = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == self.bytes);
        same_size && std::fs::read(path).is_ok_and(|content| crc32fast::hash(&content) == self.crc)
    }
}

/// Records are far smaller than 4 GB: their writers see to it.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn push_text(payload: &mut Vec<u8>, text: &[u8]) {
    payload.extend_from_slice(&length(text.len()).to_le_bytes());
    payload.extend_from_slice(text);
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let bytes = usize::try_from(self.u32()?).ok()?;
        self.take(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marks() -> Vec<Mark> {
        let stored = Stored { path: "domains/home.test/anna/Maildir/new/1.a".into(), bytes: 5, crc: 7 };
        vec![
            Mark::Over(Id { sequence: 1, recipient: 0 }),
            Mark::Delivered(Id { sequence: u64::MAX, recipient: 3 }, stored),
        ]
    }

    #[test]
    fn marks_are_read_as_written_and_no_prefix_is_taken_for_others() {
        let payload = marks_payload(&marks());
        assert_eq!(parse_marks(&payload), Some(marks()));
        for cut in 1..payload.len() {
            assert!(parse_marks(&payload[..cut]).is_none_or(|found| found.len() < 2), "{cut}");
        }
    }

    #[test]
    fn one_wrong_bit_anywhere_is_seen() {
        let payload = marks_payload(&marks());
        let head = Head {
            kind: Kind::Marks,
            payload_bytes: length(payload.len()),
            payload_crc: crc32fast::hash(&payload),
            segment: 1,
            sequence: 2,
            watermark: 3,
            batch_start: 64,
            run: 4,
        };
        let mut record = Vec::new();
        push_record(&mut record, &head, &payload);
        assert_eq!(record.len(), record_bytes(payload.len()));
        assert_eq!(parse_record(&record), Some((head, &payload[..])));
        for bit in 0..(HEAD_BYTES + payload.len()) * 8 {
            let mut wrong = record.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse_record(&wrong), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse_record(&bytes);
            let _ = parse_message(&bytes);
            let _ = parse_marks(&bytes);
        }
    }
}
