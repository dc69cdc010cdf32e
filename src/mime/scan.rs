//! Finds the parts of a message while it streams by.
//!
//! ```text
//! multipart = [preamble] 1*( delimiter part ) [close-delimiter [epilogue]]
//! delimiter = CRLF "--" boundary *( any text ) CRLF          close-delimiter = delimiter with "--" behind the boundary
//! ```
//!
//! As RFC 2046 5.1.1 and Dovecot have it: a line that *begins* with a boundary is a delimiter; of several boundaries that
//! fit, the longest is meant, and of equal ones the innermost. The boundary of an outer multipart ends all inner ones. The
//! line end before a delimiter belongs to it. A delimiter may end a header block. What follows a close-delimiter up to
//! the next delimiter of an outer multipart is epilogue. A multipart without a boundary parameter or without parts
//! has one empty text/plain part, for BODYSTRUCTURE has no way to write none.

use std::ops::Range;

use memchr::memchr;

use super::envelope::Envelope;
use super::header;
use super::kept::KeptFields;
use super::structure::{Content, Part, Structure};
use super::{BOUNDARY_BYTES_MAX, DEPTH_MAX, HEADER_KEPT_BYTES_MAX, PARTS_MAX, STRUCTURE_KEPT_BYTES_MAX};

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The parts.
    pub structure: Structure,
    /// The envelope of the message itself; those of embedded messages are in their parts.
    pub envelope: Envelope,
    /// The fields of the message's own header that are worth keeping, packed for [`KeptFields::unpack`].
    pub fields: Vec<u8>,
}

/// Takes a message in pieces of any size: `push` them all, then `finish`.
#[derive(Debug)]
pub struct Scanner {
    parts: Vec<Part>,
    envelope: Envelope,
    fields: Vec<u8>,
    /// The parts we are in, the outermost first.
    open: Vec<Open>,
    in_header: bool,
    /// The header block that is being read, up to its limit.
    block: Vec<u8>,
    /// The beginning of a line whose end was not seen yet.
    line: Vec<u8>,
    /// Whether the unfinished line was judged already, for its beginning filled the buffer.
    judged: bool,
    /// Whether a part begins behind the current line, which is a delimiter.
    part_follows: bool,
    /// Where the current line begins.
    line_start: u64,
    /// Bytes of the current line that were taken in.
    line_bytes: u64,
    line_ends: u64,
    /// Length of the last line end: 2, or 1 for a lone LF.
    line_end_bytes: u64,
    last_octet: u8,
    kept_bytes: usize,
}

/// A part that is not closed.
#[derive(Debug)]
struct Open {
    part: usize,
    /// Line ends before its body.
    line_ends: u64,
    /// The boundary of a multipart, until its close-delimiter.
    boundary: Option<Vec<u8>>,
    /// The end of its last child.
    inner_end: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the beginning of a message.
    pub fn new() -> Self {
        let mut scanner = Self {
            parts: Vec::new(),
            envelope: Envelope::default(),
            fields: KeptFields::pack_nothing(),
            open: Vec::new(),
            in_header: true,
            block: Vec::new(),
            line: Vec::new(),
            judged: false,
            part_follows: false,
            line_start: 0,
            line_bytes: 0,
            line_ends: 0,
            line_end_bytes: 0,
            last_octet: 0,
            kept_bytes: 0,
        };
        scanner.begin_part(0);
        scanner
    }

    /// Takes the next bytes of the message.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (piece, ended) = match memchr(b'\n', bytes) {
                Some(end) => (&bytes[..=end], true),
                None => (bytes, false),
            };
            bytes = &bytes[piece.len()..];
            if ended && self.line.is_empty() && !self.judged {
                self.judge(piece);
                self.count(piece);
            } else {
                self.gather(piece, ended);
            }
            if ended {
                self.end_line();
            }
        }
    }

    /// Ends the message and tells what it is made of.
    pub fn finish(mut self) -> Scanned {
        let beginning = std::mem::take(&mut self.line);
        if !self.judged && !beginning.is_empty() {
            self.judge(&beginning);
        }
        let end = self.line_start + self.line_bytes;
        if std::mem::take(&mut self.part_follows) {
            self.begin_part(end);
        }
        if self.in_header {
            self.end_header_at(end);
        }
        while !self.open.is_empty() {
            self.close_innermost(end, 0);
        }
        let header_bytes = self.parts.first().map_or(0, |root| root.header.end);
        let structure = Structure { parts: self.parts, header_bytes, total_bytes: end };
        Scanned { structure, envelope: self.envelope, fields: self.fields }
    }

    fn count(&mut self, piece: &[u8]) {
        self.line_bytes += piece.len() as u64;
        if let [.., before, b'\n'] = piece {
            self.last_octet = *before;
        } else if let Some(last) = piece.last().filter(|octet| **octet != b'\n') {
            self.last_octet = *last;
        }
    }

    /// Keeps the beginning of a line until it ends or is long enough to be judged.
    fn gather(&mut self, piece: &[u8], ended: bool) {
        if self.judged {
            if self.in_header {
                self.keep(piece);
            }
        } else {
            self.line.extend_from_slice(piece);
            if ended || self.line.len() >= LINE_BEGINNING_BYTES {
                let beginning = std::mem::take(&mut self.line);
                self.judge(&beginning);
                self.judged = true;
            }
        }
        self.count(piece);
    }

    fn end_line(&mut self) {
        self.line_start += self.line_bytes;
        self.line_end_bytes = if self.last_octet == b'\r' && self.line_bytes > 1 { 2 } else { 1 };
        self.line_bytes = 0;
        self.last_octet = 0;
        self.line_ends += 1;
        self.judged = false;
        if std::mem::take(&mut self.part_follows) {
            self.begin_part(self.line_start);
        }
    }

    /// Decides what a line is: its whole, or a beginning of at least [`LINE_BEGINNING_BYTES`].
    fn judge(&mut self, line: &[u8]) {
        if line.starts_with(b"--")
            && let Some((index, closes)) = self.delimiter(&line[2..])
        {
            self.delimit(index, closes);
        } else if self.in_header {
            if header::is_blank(line) {
                self.line_ends += 1;
                self.end_header(self.line_start + line.len() as u64);
                self.line_ends -= 1;
            } else {
                self.keep(line);
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = HEADER_KEPT_BYTES_MAX - self.block.len().min(HEADER_KEPT_BYTES_MAX);
        self.block.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// Which open multipart a line delimits, by its place in `open`, and whether it closes it.
    fn delimiter(&self, behind_dashes: &[u8]) -> Option<(usize, bool)> {
        let mut found: Option<(usize, usize)> = None;
        for (index, open) in self.open.iter().enumerate().rev() {
            let Some(boundary) = &open.boundary else { continue };
            if behind_dashes.starts_with(boundary) && found.is_none_or(|(_, length)| boundary.len() > length)
            {
                found = Some((index, boundary.len()));
            }
        }
        let (index, length) = found?;
        let closes = behind_dashes[length..].starts_with(b"--");
        // A part too many is body of the last one.
        (closes || self.parts.len() < PARTS_MAX).then_some((index, closes))
    }

    fn delimit(&mut self, index: usize, closes: bool) {
        if self.in_header {
            self.end_header_at(self.line_start);
        }
        while self.open.len() > index + 1 {
            self.close_innermost(self.line_start, self.line_end_bytes);
        }
        if closes {
            if let Some(open) = self.open.last_mut() {
                open.boundary = None;
            }
        } else {
            self.part_follows = true;
        }
    }

    /// A part begins behind the delimiter line that ends at `start` (or at the beginning of everything).
    fn begin_part(&mut self, start: u64) {
        let part = self.parts.len();
        let number = u32::try_from(part).unwrap_or(u32::MAX);
        if let Some(parent) = self.open.last()
            && let Content::Multipart(children) = &mut self.parts[parent.part].content
        {
            children.push(number);
        }
        self.parts.push(Part { header: start..start, body: start..start, ..Part::plain(false) });
        self.open.push(Open { part, line_ends: 0, boundary: None, inner_end: start });
        self.block.clear();
        self.in_header = true;
    }

    /// A header is cut short by a delimiter or the end: there is no line behind it that is the part's.
    fn end_header_at(&mut self, end: u64) {
        self.end_header(end);
        // An embedded message whose header did not begin is empty.
        while self.in_header {
            self.end_header(end);
        }
    }

    /// The header of the innermost part ends before `end`; its body begins there.
    fn end_header(&mut self, end: u64) {
        let block = std::mem::take(&mut self.block);
        self.in_header = false;
        let Some(open) = self.open.last() else { return };
        let index = open.part;
        let start = self.parts[index].header.start.min(end);
        let mut part = Part::read(&block, self.is_in_digest());
        self.limit(&mut part);
        (part.header, part.body) = (start..end, end..end);
        let is_embedded = self.open.len() == 1 || self.parent_is_message();
        if is_embedded {
            self.keep_envelope(&block);
        }
        let boundary = part.param("boundary").filter(|text| is_boundary(text)).map(<[u8]>::to_vec);
        let has_room = self.open.len() < DEPTH_MAX;
        let has_parts = part.is_media("multipart");
        let is_message = part.is_type("message", "rfc822") || part.is_type("message", "global");
        match (has_room, has_parts, is_message) {
            (true, true, _) => part.content = Content::Multipart(Vec::new()),
            (false, true, _) | (false, _, true) => part.forget_texts_at(start..end),
            (true, _, true) if self.parts.len() >= PARTS_MAX => part.forget_texts_at(start..end),
            _ => {}
        }
        let embeds = is_message && has_room && self.parts.len() < PARTS_MAX;
        let line_ends = self.line_ends;
        if let Some(open) = self.open.last_mut() {
            open.line_ends = line_ends;
            open.inner_end = end;
            open.boundary = boundary.filter(|_| has_parts && has_room);
        }
        self.parts[index] = part;
        if embeds {
            let root = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
            self.parts[index].content = Content::Message { root, envelope: Box::default() };
            self.begin_part(end);
        }
        self.block.clear();
    }

    fn is_in_digest(&self) -> bool {
        let parent = self.open.len().checked_sub(2).map(|index| &self.parts[self.open[index].part]);
        parent.is_some_and(|parent| {
            parent.is_type("multipart", "digest") && matches!(parent.content, Content::Multipart(_))
        })
    }

    fn parent_is_message(&self) -> bool {
        let parent = self.open.len().checked_sub(2).map(|index| &self.parts[self.open[index].part]);
        parent.is_some_and(|parent| matches!(parent.content, Content::Message { .. }))
    }

    fn keep_envelope(&mut self, block: &[u8]) {
        let read = Envelope::read(block);
        if self.open.len() == 1 {
            self.envelope = read;
            if block.len() < HEADER_KEPT_BYTES_MAX {
                self.fields = KeptFields::pack(block);
            }
            return;
        }
        self.kept_bytes += read.kept_bytes();
        if self.kept_bytes > STRUCTURE_KEPT_BYTES_MAX {
            return;
        }
        let parent = self.open[self.open.len() - 2].part;
        if let Content::Message { envelope, .. } = &mut self.parts[parent].content {
            **envelope = read;
        }
    }

    fn limit(&mut self, part: &mut Part) {
        let kept = part.kept_bytes();
        self.kept_bytes += kept;
        if self.kept_bytes > STRUCTURE_KEPT_BYTES_MAX && kept > UNLIMITED_PART_BYTES {
            part.forget_texts();
        }
    }

    /// Closes the innermost part before `end`, of which the last `line_end_bytes` belong to a delimiter.
    fn close_innermost(&mut self, end: u64, line_end_bytes: u64) {
        let Some(open) = self.open.pop() else { return };
        let line_ends = self.line_ends;
        let part = &mut self.parts[open.part];
        let inside = end.saturating_sub(line_end_bytes);
        let body_end = inside.max(part.body.start).max(open.inner_end);
        part.body.end = body_end;
        let cut = u64::from(line_end_bytes > 0 && body_end == inside);
        part.lines = line_ends.saturating_sub(open.line_ends).saturating_sub(cut);
        let is_empty = matches!(&part.content, Content::Multipart(children) if children.is_empty());
        if is_empty {
            let only = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
            self.parts[open.part].content = Content::Multipart(vec![only]);
            let place = body_end..body_end;
            self.parts.push(Part { header: place.clone(), body: place, ..Part::plain(false) });
        }
        if let Some(outer) = self.open.last_mut() {
            outer.inner_end = outer.inner_end.max(body_end);
        }
    }
}

impl Part {
    /// Opaque: what is too deep or too much is not looked into.
    fn forget_texts_at(&mut self, header: Range<u64>) {
        let end = header.end;
        self.forget_texts();
        (self.header, self.body) = (header, end..end);
    }
}

fn is_boundary(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= BOUNDARY_BYTES_MAX
}

/// Enough of a line to judge it: dashes, the longest boundary, and the dashes of a close-delimiter.
const LINE_BEGINNING_BYTES: usize = BOUNDARY_BYTES_MAX + 4;

/// A part with no more text than this is kept even if all others together were too much, in bytes.
const UNLIMITED_PART_BYTES: usize = 256;
