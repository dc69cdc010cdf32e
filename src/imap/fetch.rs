//! FETCH (RFC 9051 section 6.4.5): one message after the other, texts in pieces.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::ahead::Ahead;
use super::command::{Fetch, FetchItem, Partial, Section, SectionText};
use super::encode;
use super::sets;
use super::work::{Job, Progress, Refusal, STEP_BYTES, Work};
use crate::mailbox::folder::{Fields, FlagChange, Flags, Folder, FolderError, Head, How, MessageState, Text};
use crate::mime::{self, SectionPart, TransferDecoder};

/// Octets read of a text at once.
const PIECE_BYTES: usize = 32 * 1024;

/// Decoded parts are held in memory to know their size; larger ones are refused. Ours.
const BINARY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Octets of one message's answer that are held in memory: everything but texts, which are read as they are sent. Ours: a
/// command may name a thousand items.
const HELD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A FETCH that is being answered.
pub(super) struct FetchJob {
    fetch: Fetch,
    /// Sequence numbers and UIDs, from the next one on.
    messages: VecDeque<(u32, u32)>,
    started: bool,
    heads: Ahead<Head>,
    fields: Ahead<Fields>,
    /// What is to be sent of the current message.
    pieces: VecDeque<Piece>,
    reading: Option<(Text, u64)>,
    /// Some messages were removed by others.
    has_expunged: bool,
    /// Some parts cannot be decoded.
    has_unknown_cte: bool,
    /// Some messages cannot be read: the disk fails, or does not let us.
    has_unreadable: bool,
    buffer: Vec<u8>,
    /// For the next answer.
    spare: Vec<u8>,
}

enum Piece {
    Octets(Vec<u8>),
    /// A range of a message's text.
    Text {
        uid: u32,
        is_plain: bool,
        range: Range<u64>,
    },
}

impl FetchJob {
    pub(super) fn new(fetch: Fetch) -> Self {
        Self {
            fetch,
            messages: VecDeque::new(),
            started: false,
            heads: Ahead::new(),
            fields: Ahead::new(),
            pieces: VecDeque::new(),
            reading: None,
            has_expunged: false,
            has_unknown_cte: false,
            has_unreadable: false,
            buffer: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Finds the messages, and marks those as seen whose texts are fetched.
    fn start(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.fetch.changed_since.is_some() || self.fetch.items.contains(&FetchItem::ModSeq) {
            work.enable_condstore(out);
        }
        let selected = work.selected()?;
        let mut messages = selected.resolve(&self.fetch.messages, self.fetch.by_uid)?;
        if let Some(modseq) = self.fetch.changed_since {
            let newer =
                |uid: u32| selected.folder.message(uid).is_some_and(|message| message.modseq > modseq);
            messages.retain(|(_, uid)| newer(*uid));
            if self.fetch.vanished {
                self.tell_vanished(work, modseq, out)?;
            }
        }
        let selected = work.selected()?;
        if self.fetch.items.iter().any(sets_seen) && !selected.read_only {
            let unseen: Vec<u32> = messages
                .iter()
                .map(|(_, uid)| *uid)
                .filter(|uid| {
                    selected.folder.message(*uid).is_some_and(|message| !message.flags.contains(Flags::SEEN))
                })
                .collect();
            if !unseen.is_empty() {
                let change = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: Vec::new() };
                selected.folder.store(&unseen, &change, None)?;
            }
        }
        selected.keywords = selected.folder.keywords();
        self.messages = messages.into();
        Ok(())
    }

    /// `* VANISHED (EARLIER) ...` (RFC 7162 section 3.2.6).
    fn tell_vanished(&self, work: &mut Work, modseq: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let selected = work.selected()?;
        let highest = selected.uids.last().copied().unwrap_or(0);
        let sets::MessageSet::Numbers(numbers) = &self.fetch.messages else { return Ok(()) };
        // A removed message may have had a larger UID than those that are left: `*` reaches as far.
        let (ranges, reaches_on) = (numbers.ranges(highest), numbers.has_largest());
        let is_wanted = |uid: u32| sets::is_within(&ranges, uid) || (reaches_on && uid > highest);
        let gone = gone_since(&selected.folder, modseq, &is_wanted);
        if !gone.is_empty() {
            let _ = write!(out, "* VANISHED (EARLIER) {}\r\n", sets::to_text(gone));
        }
        Ok(())
    }

    /// Prepares the answer for one message. An answer that waits for no text goes out at once.
    fn prepare(
        &mut self,
        work: &mut Work,
        sequence: u32,
        uid: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let modes = work.modes;
        let selected = work.selected()?;
        let folder = Arc::clone(&selected.folder);
        let Some(message) = folder.message(uid) else {
            self.has_expunged = true;
            return Ok(());
        };
        let next = || self.messages.iter().map(|(_, uid)| *uid);
        let mut lazy = Lazy { folder: &folder, uid, head: None, fields: None };
        if self.fetch.items.iter().any(needs_head) {
            lazy.head = self
                .heads
                .take(uid, next(), |uids| or_known(folder.heads(uids), || folder.known_heads(uids)))?;
        }
        if self.fetch.items.iter().any(needs_fields) {
            lazy.fields = self
                .fields
                .take(uid, next(), |uids| or_known(folder.fields(uids), || folder.known_fields(uids)))?;
        }
        let octets = std::mem::take(&mut self.spare);
        let mut answer = Answer { pieces: VecDeque::new(), octets, held: 0, is_rev2: modes.rev2 };
        let _ = write!(answer.octets, "* {sequence} FETCH (");
        let mut count = 0;
        let implied_uid = self.fetch.by_uid && !self.fetch.items.contains(&FetchItem::Uid);
        let implied_flags = !selected.read_only
            && self.fetch.items.iter().any(sets_seen)
            && !self.fetch.items.contains(&FetchItem::Flags);
        let implied_modseq =
            self.fetch.changed_since.is_some() && !self.fetch.items.contains(&FetchItem::ModSeq);
        let implied = [
            implied_uid.then_some(FetchItem::Uid),
            implied_flags.then_some(FetchItem::Flags),
            implied_modseq.then_some(FetchItem::ModSeq),
        ];
        for item in implied.iter().flatten().chain(&self.fetch.items) {
            let before = answer.octets.len();
            if count > 0 {
                answer.octets.push(b' ');
            }
            if *item == FetchItem::Flags {
                answer.octets.extend_from_slice(b"FLAGS ");
                selected.flags_text(&mut answer.octets, modes, &message);
                if modes.tells_modseq() && !self.fetch.items.contains(&FetchItem::ModSeq) && !implied_modseq {
                    let _ = write!(answer.octets, " MODSEQ ({})", message.modseq);
                }
                selected.note_told(&message);
                count += 1;
                continue;
            }
            match answer.item(item, &message, &mut lazy).and_then(|()| answer.hold(0)) {
                Ok(()) => count += 1,
                Err(Missing::Gone) => {
                    self.has_expunged = true;
                    return Ok(());
                }
                Err(Missing::UnknownCte) => {
                    self.has_unknown_cte = true;
                    answer.octets.truncate(before);
                }
                Err(Missing::Unreadable(error)) => {
                    // The others can be had all the same.
                    tracing::error!("IMAP: {error}");
                    self.has_unreadable = true;
                    return Ok(());
                }
                Err(Missing::Refused(refusal)) => return Err(refusal),
            }
        }
        answer.octets.extend_from_slice(b")\r\n");
        if answer.pieces.is_empty() && self.pieces.is_empty() {
            out.extend_from_slice(&answer.octets);
            answer.octets.clear();
            self.spare = answer.octets;
            return Ok(());
        }
        answer.pieces.push_back(Piece::Octets(std::mem::take(&mut answer.octets)));
        self.pieces.append(&mut answer.pieces);
        Ok(())
    }

    /// Sends what is prepared, up to the end of this step; whether all of it was sent.
    fn send(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        while out.len() < STEP_BYTES {
            if let Some((mut text, left)) = self.reading.take() {
                self.buffer.resize(PIECE_BYTES, 0);
                let wanted = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let count = text.read(&mut self.buffer[..wanted])?;
                if count == 0 {
                    // The size was announced; the client would take what comes next for the message.
                    work.farewell = Some("A message has changed on disk while it was sent");
                    return Err(Refusal::no(None, "A message has changed on disk"));
                }
                out.extend_from_slice(&self.buffer[..count]);
                let left = left - count as u64;
                if left > 0 {
                    self.reading = Some((text, left));
                }
                continue;
            }
            match self.pieces.pop_front() {
                None => return Ok(true),
                Some(Piece::Octets(octets)) => out.extend_from_slice(&octets),
                Some(Piece::Text { uid, is_plain, range }) if range.start < range.end => {
                    let folder = Arc::clone(&work.selected()?.folder);
                    let Some(mut text) = folder.text_of(uid, is_plain)? else {
                        work.farewell = Some("A message was removed while it was sent");
                        return Err(Refusal::no(None, "A message was removed"));
                    };
                    text.skip(range.start)?;
                    self.reading = Some((text, range.end - range.start));
                }
                Some(Piece::Text { .. }) => {}
            }
        }
        Ok(false)
    }
}

impl Job for FetchJob {
    fn step(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        if !std::mem::replace(&mut self.started, true) {
            self.start(work, out)?;
        }
        while out.len() < STEP_BYTES {
            if !self.send(work, out)? {
                return Ok(Progress::More);
            }
            match self.messages.pop_front() {
                Some((sequence, uid)) => self.prepare(work, sequence, uid, out)?,
                // To UIDs that are not there nothing is said (RFC 9051 section 6.4.9).
                None if self.has_expunged && !self.fetch.by_uid => {
                    return Err(Refusal::no(
                        Some(encode::Code::ExpungeIssued),
                        "Some of the messages are no longer there",
                    ));
                }
                None if self.has_unreadable => {
                    return Err(Refusal::no(
                        Some(encode::Code::Unavailable),
                        "The server's disk fails for some of the messages",
                    ));
                }
                None if self.has_unknown_cte => {
                    return Err(Refusal::no(
                        Some(encode::Code::UnknownCte),
                        "Some of the parts cannot be decoded",
                    ));
                }
                None => return Ok(Progress::Done(None, "FETCH completed")),
            }
        }
        Ok(Progress::More)
    }
}

/// Where one of many messages cannot be read, what is known of them: that one is asked for alone, and told.
fn or_known<T>(read: Result<T, FolderError>, known: impl FnOnce() -> T) -> Result<T, FolderError> {
    match read {
        Err(FolderError::Mailbox(_)) => Ok(known()),
        other => other,
    }
}

/// Whether fetching this marks a message as seen.
fn sets_seen(item: &FetchItem) -> bool {
    match item {
        FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
        FetchItem::Section { peek, .. } | FetchItem::Binary { peek, .. } => !peek,
        _ => false,
    }
}

/// Whether answering this needs what the message says.
fn needs_head(item: &FetchItem) -> bool {
    let needs_none = matches!(
        item,
        FetchItem::Flags
            | FetchItem::Uid
            | FetchItem::InternalDate
            | FetchItem::ModSeq
            | FetchItem::ThreadId
            | FetchItem::SaveDate
    );
    !needs_none && !needs_fields(item)
}

/// Whether answering this needs fields of the message's own header, as a rule nothing else.
fn needs_fields(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Section { section, .. } if section.part.is_empty() && listed(&section.text).is_some())
}

/// The fields that are listed; true: all but these.
fn listed(text: &SectionText) -> Option<(Vec<&[u8]>, bool)> {
    match text {
        SectionText::HeaderFields(names) => Some((names.iter().map(String::as_bytes).collect(), false)),
        SectionText::HeaderFieldsNot(names) => Some((names.iter().map(String::as_bytes).collect(), true)),
        _ => None,
    }
}

/// UIDs that are wanted and gone since a mod-sequence; when that is too long ago, all that are not there.
pub(super) fn gone_since(folder: &Folder, modseq: u64, is_wanted: &dyn Fn(u32) -> bool) -> Vec<u32> {
    match folder.changes_since(modseq) {
        Some(changes) => changes.gone.into_iter().filter(|uid| is_wanted(*uid)).collect(),
        None => {
            let (messages, _) = folder.messages();
            let is_there = |uid: u32| messages.binary_search_by_key(&uid, |message| message.uid).is_ok();
            (1..folder.status().next_uid).filter(|uid| is_wanted(*uid) && !is_there(*uid)).collect()
        }
    }
}

/// What a message says, when it is asked for.
struct Lazy<'a> {
    folder: &'a Folder,
    uid: u32,
    head: Option<Head>,
    fields: Option<Fields>,
}

enum Missing {
    Gone,
    UnknownCte,
    Unreadable(FolderError),
    Refused(Refusal),
}

impl From<FolderError> for Missing {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Mailbox(_) => Self::Unreadable(error),
            other => Self::Refused(other.into()),
        }
    }
}

impl From<std::io::Error> for Missing {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Lazy<'_> {
    fn head(&mut self) -> Result<&Head, Missing> {
        if self.head.is_none() {
            self.head = self.folder.head(self.uid)?;
        }
        self.head.as_ref().ok_or(Missing::Gone)
    }

    fn is_plain(&self) -> bool {
        self.head.as_ref().is_some_and(Head::is_plain)
    }

    /// A range of the text, read.
    fn read(&self, range: &Range<u64>) -> Result<Vec<u8>, Missing> {
        let mut text = self.folder.text_of(self.uid, self.is_plain())?.ok_or(Missing::Gone)?;
        text.skip(range.start)?;
        let mut octets = Vec::new();
        text.take(range.end - range.start).read_to_end(&mut octets)?;
        Ok(octets)
    }
}

/// The answer for one message.
struct Answer {
    pieces: VecDeque<Piece>,
    octets: Vec<u8>,
    /// Octets in `pieces`.
    held: u64,
    is_rev2: bool,
}

impl Answer {
    /// Whether `more` octets can still be held.
    fn hold(&self, more: u64) -> Result<(), Missing> {
        if self.held.saturating_add(self.octets.len() as u64).saturating_add(more) > HELD_BYTES_MAX {
            let text = "The answer for one message is too large: ask for less at once";
            return Err(Missing::Refused(Refusal::no(Some(encode::Code::Limit), text)));
        }
        Ok(())
    }

    fn item(&mut self, item: &FetchItem, message: &MessageState, lazy: &mut Lazy<'_>) -> Result<(), Missing> {
        match item {
            FetchItem::Flags => {}
            FetchItem::Uid => self.number("UID", u64::from(message.uid)),
            FetchItem::InternalDate => {
                self.octets.extend_from_slice(b"INTERNALDATE ");
                let at = Timestamp::from_second(message.internal_date).unwrap_or(Timestamp::UNIX_EPOCH);
                encode::date_time(&mut self.octets, at, jiff::tz::Offset::UTC);
            }
            FetchItem::ModSeq => {
                let _ = write!(self.octets, "MODSEQ ({})", message.modseq);
            }
            FetchItem::Rfc822Size => {
                let size = lazy.head()?.size();
                self.number("RFC822.SIZE", size);
            }
            FetchItem::Envelope => {
                self.octets.extend_from_slice(b"ENVELOPE ");
                mime::envelope_text(&lazy.head()?.envelope(), &mut self.octets);
            }
            FetchItem::Body | FetchItem::BodyStructure => {
                let is_extended = *item == FetchItem::BodyStructure;
                self.octets.extend_from_slice(if is_extended { b"BODYSTRUCTURE " } else { b"BODY " });
                let dialect = if self.is_rev2 { mime::Dialect::Rev2 } else { mime::Dialect::Rev1 };
                mime::body_structure_text(&lazy.head()?.structure(), is_extended, dialect, &mut self.octets);
            }
            FetchItem::EmailId => {
                let digest = lazy.head()?.digest();
                let _ = write!(self.octets, "EMAILID (M{digest:032x})");
            }
            FetchItem::ThreadId => self.octets.extend_from_slice(b"THREADID NIL"),
            FetchItem::SaveDate => self.octets.extend_from_slice(b"SAVEDATE NIL"),
            FetchItem::Preview { .. } => self.preview(lazy)?,
            FetchItem::Rfc822 => self.section("RFC822", &Section::default(), None, lazy)?,
            FetchItem::Rfc822Header => {
                self.section("RFC822.HEADER", &part_of(SectionText::Header), None, lazy)?
            }
            FetchItem::Rfc822Text => self.section("RFC822.TEXT", &part_of(SectionText::Text), None, lazy)?,
            FetchItem::Section { section, partial, .. } => {
                let mut name = b"BODY".to_vec();
                encode::section(&mut name, section);
                if let Some(partial) = partial {
                    let _ = write!(name, "<{}>", partial.start);
                }
                self.section(&String::from_utf8_lossy(&name), section, *partial, lazy)?;
            }
            FetchItem::Binary { part, partial, .. } => self.binary(part, *partial, lazy)?,
            FetchItem::BinarySize { part } => {
                let decoded = decoded(part, lazy)?;
                self.octets.extend_from_slice(b"BINARY.SIZE");
                encode::binary_section(&mut self.octets, part);
                let _ = write!(self.octets, " {}", decoded.len());
            }
        }
        Ok(())
    }

    fn number(&mut self, name: &str, value: u64) {
        let _ = write!(self.octets, "{name} {value}");
    }

    fn section(
        &mut self,
        name: &str,
        section: &Section,
        partial: Option<Partial>,
        lazy: &mut Lazy<'_>,
    ) -> Result<(), Missing> {
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.push(b' ');
        let listed = listed(&section.text);
        if let Some((names, is_not)) = &listed
            && let Some(kept) = lazy.fields.as_ref().and_then(Fields::kept)
            && section.part.is_empty()
            && kept.tells(names, *is_not)
        {
            let fields = mime::header_fields(kept.block(), names, *is_not);
            encode::literal(&mut self.octets, cut(&fields, partial));
            return Ok(());
        }
        let head = lazy.head()?;
        let what = match &section.text {
            SectionText::Whole => SectionPart::Whole,
            SectionText::Text => SectionPart::Text,
            SectionText::Mime => SectionPart::Mime,
            SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
                SectionPart::Header
            }
        };
        let range = match what {
            // Without a look at the parts.
            SectionPart::Whole if section.part.is_empty() => Some(0..head.size()),
            _ => head.structure().section(&section.part, what),
        };
        let Some(range) = range else {
            self.octets.extend_from_slice(b"NIL");
            return Ok(());
        };
        match listed {
            Some((names, is_not)) => {
                self.hold(range.end - range.start)?;
                let block = lazy.read(&range)?;
                let fields = mime::header_fields(&block, &names, is_not);
                encode::literal(&mut self.octets, cut(&fields, partial));
            }
            None => {
                let range = cut_range(range, partial);
                encode::literal_head(&mut self.octets, range.end - range.start);
                self.held += self.octets.len() as u64;
                self.pieces.push_back(Piece::Octets(std::mem::take(&mut self.octets)));
                self.pieces.push_back(Piece::Text { uid: lazy.uid, is_plain: lazy.is_plain(), range });
            }
        }
        Ok(())
    }

    fn binary(&mut self, part: &[u32], partial: Option<Partial>, lazy: &mut Lazy<'_>) -> Result<(), Missing> {
        let decoded = decoded(part, lazy)?;
        self.hold(decoded.len() as u64)?;
        self.octets.extend_from_slice(b"BINARY");
        encode::binary_section(&mut self.octets, part);
        if let Some(partial) = partial {
            let _ = write!(self.octets, "<{}>", partial.start);
        }
        self.octets.push(b' ');
        encode::literal8(&mut self.octets, cut(&decoded, partial));
        Ok(())
    }

    fn preview(&mut self, lazy: &mut Lazy<'_>) -> Result<(), Missing> {
        let Some(part) = lazy.head()?.structure().first_text().cloned() else {
            self.octets.extend_from_slice(b"PREVIEW NIL");
            return Ok(());
        };
        let end = part.body.end.min(part.body.start + PREVIEW_READ_BYTES);
        let octets = lazy.read(&(part.body.start..end))?;
        let mut decoder = mime::TextDecoder::new(&part, true);
        let mut text = String::new();
        decoder.push(&octets, &mut text);
        decoder.finish(&mut text);
        self.octets.extend_from_slice(b"PREVIEW ");
        let preview = mime::preview(&text);
        match preview.is_ascii() {
            true => encode::string(&mut self.octets, preview.as_bytes()),
            // A quoted string with UTF-8 would need ENABLE; a literal does not.
            false => encode::literal(&mut self.octets, preview.as_bytes()),
        }
        Ok(())
    }
}

/// How much of a body a preview is made of: enough for 200 characters behind a style sheet.
const PREVIEW_READ_BYTES: u64 = 64 * 1024;

fn part_of(text: SectionText) -> Section {
    Section { part: Vec::new(), text }
}

/// A part without its transfer encoding; of the message itself everything as it is.
fn decoded(part: &[u32], lazy: &mut Lazy<'_>) -> Result<Vec<u8>, Missing> {
    let structure = lazy.head()?.structure();
    let Some(range) = structure.section(part, SectionPart::Whole) else { return Ok(Vec::new()) };
    if range.end - range.start > BINARY_BYTES_MAX {
        return Err(Missing::Refused(Refusal::no(
            Some(encode::Code::TooBig),
            "The part is too large for BINARY",
        )));
    }
    if part.is_empty() {
        return lazy.read(&range);
    }
    let encoding = structure.part(part).map(mime::Part::transfer_encoding);
    let octets = lazy.read(&range)?;
    let Some(encoding) = encoding else { return Ok(octets) };
    let mut decoder = TransferDecoder::new(encoding);
    let mut decoded = Vec::new();
    let done = decoder.push(&octets, &mut decoded).and_then(|()| decoder.finish(&mut decoded));
    done.map_err(|_| Missing::UnknownCte)?;
    Ok(decoded)
}

fn cut(octets: &[u8], partial: Option<Partial>) -> &[u8] {
    let range = cut_range(0..octets.len() as u64, partial);
    // Both ends lie within the slice, whose length fits.
    &octets[usize::try_from(range.start).unwrap_or(0)..usize::try_from(range.end).unwrap_or(0)]
}

fn cut_range(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range.start.saturating_add(partial.start).min(range.end);
    start..start.saturating_add(partial.count).min(range.end)
}
