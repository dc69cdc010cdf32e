//! The envelope structure of FETCH (RFC 9051 7.5.2), read from a header block, and what threads need besides.
//!
//! ```text
//! address-list = [address] *( "," [address] )
//! address      = mailbox / phrase ":" address-list ";"
//! mailbox      = [phrase] "<" [route ":"] local-part "@" domain ">" / local-part "@" domain
//! ```
//!
//! Texts stay raw: unfolded, unquoted, encoded words left. Nothing fails. A missing part is written as Dovecot writes it
//! ([`MISSING_MAILBOX`], [`MISSING_DOMAIN`]), for NIL would mean a group. Where a field that should stand once stands
//! twice, the first of a text counts, and address lists are joined.

use bstr::ByteSlice as _;
use jiff::civil::Date;
use mail_parser::DateTime;

use super::header::{self, unfold};
use super::{ADDRESSES_MAX, REFERENCES_MAX};

/// The fields of an envelope, raw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date as it is written.
    pub date: Option<Vec<u8>>,
    /// Subject; `Some` and empty if the field is there without text.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<Address>,
    /// Sender, `from` if there is none.
    pub sender: Vec<Address>,
    /// Reply-To, `from` if there is none.
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
    /// The ids of References without angle brackets: the last [`REFERENCES_MAX`]. No part of IMAP's envelope.
    pub references: Vec<Vec<u8>>,
}

/// One address, or the beginning or the end of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Display name.
    pub name: Option<Vec<u8>>,
    /// Source route (`@a,@b`), obsolete.
    pub route: Option<Vec<u8>>,
    /// Local part without quotes; the name of a group if `host` is `None`; `None` at the end of a group.
    pub mailbox: Option<Vec<u8>>,
    /// Domain; `None` marks a group.
    pub host: Option<Vec<u8>>,
}

impl Envelope {
    /// Reads a header block.
    pub fn read(block: &[u8]) -> Self {
        let mut envelope = Self::default();
        for field in header::fields(block) {
            envelope.take(field.name, field.value);
        }
        if envelope.sender.is_empty() {
            envelope.sender.clone_from(&envelope.from);
        }
        if envelope.reply_to.is_empty() {
            envelope.reply_to.clone_from(&envelope.from);
        }
        envelope
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        let Some(kind) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) else { return };
        let text = match kind {
            0 => &mut self.date,
            1 => &mut self.subject,
            2 => &mut self.in_reply_to,
            3 => &mut self.message_id,
            4 if self.references.is_empty() => {
                let ids = message_ids(value);
                let first = ids.len().saturating_sub(REFERENCES_MAX);
                self.references = ids[first..].iter().map(|id| id.to_vec()).collect();
                return;
            }
            4 => return,
            _ => return read_addresses(&unfold(value), self.addresses_mut(kind)),
        };
        if text.is_none() {
            *text = Some(unfold(value).into_owned());
        }
    }

    fn addresses_mut(&mut self, kind: usize) -> &mut Vec<Address> {
        match kind {
            5 => &mut self.from,
            6 => &mut self.sender,
            7 => &mut self.reply_to,
            8 => &mut self.to,
            9 => &mut self.cc,
            _ => &mut self.bcc,
        }
    }

    /// Bytes of text that this envelope keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let address = |one: &Address| {
            let texts = [&one.name, &one.route, &one.mailbox, &one.host];
            96 + texts.iter().filter_map(|text| text.as_ref().map(Vec::len)).sum::<usize>()
        };
        let lists = [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc];
        let texts = [&self.date, &self.subject, &self.in_reply_to, &self.message_id];
        lists.iter().flat_map(|list| list.iter()).map(address).sum::<usize>()
            + texts.iter().filter_map(|text| text.as_ref().map(Vec::len)).sum::<usize>()
            + self.references.iter().map(|id| id.len() + 24).sum::<usize>()
    }
}

/// The ids in `<…>` of a field, without the brackets and without white space that folding left in them.
pub fn message_ids(value: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(start) = rest.find_byte(b'<') {
        rest = &rest[start + 1..];
        let Some(end) = rest.find_byteset(b"<>") else { break };
        if rest[end] == b'>' {
            let id = rest[..end].trim_ascii();
            if !id.is_empty() {
                found.push(id);
            }
        }
        rest = &rest[end..];
    }
    found
}

/// The moment that a Date field tells, in seconds since 1970 UTC; `None` if it tells none.
pub fn sent_date(raw: &[u8]) -> Option<i64> {
    date_time(raw).map(|date| date.to_timestamp())
}

/// The day that a Date field tells as it stands there, whatever its zone (RFC 9051 section 6.4.4, SENTON).
pub fn sent_day(raw: &[u8]) -> Option<Date> {
    let date = date_time(raw)?;
    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    Date::new(i16::try_from(date.year).ok()?, month, day).ok()
}

fn date_time(raw: &[u8]) -> Option<DateTime> {
    let unfolded = unfold(raw);
    let text = &unfolded[..unfolded.len().min(DATE_BYTES_MAX)];
    let mut text = String::from_utf8_lossy(text).into_owned();
    text.push('\n');
    let mut date = DateTime::parse_rfc822(&text)?;
    // A leap second is the last one of its minute to everyone but astronomers.
    date.second = date.second.min(59);
    date.is_valid().then_some(date)
}

fn read_addresses(value: &[u8], into: &mut Vec<Address>) {
    let mut reader =
        AddressReader { bytes: value, place: 0, comment: None, quotes_end: true, comments_end: true };
    reader.list(into);
}

/// A place in an address list.
struct AddressReader<'a> {
    bytes: &'a [u8],
    place: usize,
    /// The last comment since the address began: an old way to give a name.
    comment: Option<Vec<u8>>,
    /// Whether a quoted string may still end; once one did not, quotes are passed over.
    quotes_end: bool,
    comments_end: bool,
}

/// A word of a phrase or local part.
struct Word {
    text: Vec<u8>,
    /// White space or a comment stands before it.
    spaced: bool,
    is_dot: bool,
}

impl AddressReader<'_> {
    fn list(&mut self, into: &mut Vec<Address>) {
        let mut in_group = false;
        while into.len() < ADDRESSES_MAX {
            self.comment = None;
            let words = self.words(b"<>@,;:");
            let Some(octet) = self.peek() else {
                into.extend(bare(&words));
                break;
            };
            match octet {
                b'<' => {
                    let address = self.angle();
                    into.push(self.named(address, phrase(&words)));
                }
                b'@' => {
                    self.place += 1;
                    let host = self.domain(b"<>@,;:");
                    let (name, mailbox) = split_local(&words);
                    into.push(self.named(address(None, mailbox, host), name));
                }
                b':' if !in_group => {
                    self.place += 1;
                    in_group = true;
                    into.push(Address { mailbox: Some(phrase(&words)), ..Address::default() });
                    continue;
                }
                b',' | b';' => into.extend(bare(&words)),
                _ => {
                    self.place += 1;
                    continue;
                }
            }
            self.skip_to_separator();
            if self.peek() == Some(b';') && in_group {
                in_group = false;
                into.push(Address::default());
            }
            self.place += 1;
        }
        if in_group {
            into.push(Address::default());
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.place).copied()
    }

    /// Passes what stands behind an address; a comment there may be its name.
    fn skip_to_separator(&mut self) {
        while let Some(octet) = self.peek() {
            if matches!(octet, b',' | b';') {
                return;
            }
            let before = self.place;
            self.words(b"<>@,;:");
            if self.place == before {
                self.place += 1;
            }
        }
    }

    /// Words up to one of `ends`.
    fn words(&mut self, ends: &[u8]) -> Vec<Word> {
        let mut found: Vec<Word> = Vec::new();
        let mut spaced = false;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.place += 1;
                    spaced = true;
                }
                b'(' => {
                    self.comment();
                    spaced = true;
                }
                b'"' => {
                    if let Some(text) = self.quoted() {
                        found.push(Word { text, spaced, is_dot: false });
                        spaced = false;
                    }
                }
                octet if ends.contains(&octet) => break,
                _ => {
                    let text = self.atom(ends);
                    let is_dot = text == b".";
                    found.push(Word { text, spaced, is_dot });
                    spaced = false;
                }
            }
        }
        found
    }

    /// One dot, or anything without white space, dots, quotes and ends.
    fn atom(&mut self, ends: &[u8]) -> Vec<u8> {
        let rest = &self.bytes[self.place..];
        let length = rest
            .iter()
            .position(|octet| b" \t\r\n(\".".contains(octet) || ends.contains(octet))
            .unwrap_or(rest.len())
            .max(1);
        self.place += length;
        rest[..length].to_vec()
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        self.place += 1;
        let mut text = Vec::new();
        let mut place = self.place;
        while self.quotes_end {
            match (self.bytes.get(place), self.bytes.get(place + 1)) {
                (Some(b'"'), _) => {
                    self.place = place + 1;
                    return Some(text);
                }
                (Some(b'\\'), Some(escaped)) => {
                    text.push(*escaped);
                    place += 2;
                }
                (Some(octet), _) => {
                    text.push(*octet);
                    place += 1;
                }
                (None, _) => self.quotes_end = false,
            }
        }
        None
    }

    fn comment(&mut self) {
        let start = self.place + 1;
        let (mut place, mut depth, mut text) = (start, 1_usize, Vec::new());
        while depth > 0 && self.comments_end {
            let Some(&octet) = self.bytes.get(place) else {
                self.comments_end = false;
                break;
            };
            place += 1;
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => {
                    text.extend(self.bytes.get(place));
                    place += 1;
                    continue;
                }
                _ => {}
            }
            if depth > 0 {
                text.push(octet);
            }
        }
        if depth == 0 {
            self.comment = Some(text.trim_ascii().to_vec());
            self.place = place;
        } else {
            self.place = start;
        }
    }

    /// The inside of `<…>`; the closing bracket may be missing.
    fn angle(&mut self) -> Address {
        while matches!(self.peek(), Some(b'<' | b' ' | b'\t')) {
            self.place += 1;
        }
        let route = (self.peek() == Some(b'@')).then(|| self.route()).flatten();
        let mailbox = self.words(b"<>@,;");
        let mut host = Vec::new();
        if self.peek() == Some(b'@') {
            self.place += 1;
            host = self.domain(b"<>@,;");
        }
        while !matches!(self.peek(), None | Some(b'>' | b',' | b';')) {
            self.place += 1;
        }
        self.place += usize::from(self.peek() == Some(b'>'));
        address(route, phrase(&mailbox), host)
    }

    /// `@a,@b:`; without a colon before the bracket it was no route.
    fn route(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.place..];
        let end = rest[..rest.len().min(ROUTE_BYTES_MAX)].find_byteset(b":>")?;
        if rest[end] == b'>' {
            return None;
        }
        self.place += end + 1;
        Some(rest[..end].iter().copied().filter(|octet| !b" \t\r\n".contains(octet)).collect())
    }

    /// A domain or a literal. Two words in a row are two things, unless a dot joins them.
    fn domain(&mut self, ends: &[u8]) -> Vec<u8> {
        self.skip_blanks();
        if self.peek() == Some(b'[') {
            let rest = &self.bytes[self.place..];
            let length =
                rest.find_byteset(b"]>,").map_or(rest.len(), |end| end + usize::from(rest[end] == b']'));
            self.place += length;
            return rest[..length].to_vec();
        }
        let mut text = Vec::new();
        loop {
            let before = self.place;
            let spaced = self.skip_blanks();
            match self.peek() {
                None | Some(b'(' | b'"') => break,
                Some(octet) if ends.contains(&octet) => break,
                Some(octet) if spaced && octet != b'.' && !text.ends_with(b".") && !text.is_empty() => {
                    self.place = before;
                    break;
                }
                Some(_) => text.extend(self.atom(ends)),
            }
        }
        text
    }

    fn skip_blanks(&mut self) -> bool {
        let before = self.place;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.place += 1;
        }
        self.place > before
    }

    /// Gives an address its name: the phrase before it, or the last comment behind it (RFC 822's old way).
    fn named(&mut self, mut address: Address, name: Vec<u8>) -> Address {
        if name.is_empty() {
            self.comment = None;
            while matches!(self.peek(), Some(b' ' | b'\t' | b'(')) {
                if self.peek() == Some(b'(') { self.comment() } else { self.place += 1 }
            }
            address.name = self.comment.take().filter(|text| !text.is_empty());
        } else {
            address.name = Some(name);
        }
        address
    }
}

fn address(route: Option<Vec<u8>>, mailbox: Vec<u8>, host: Vec<u8>) -> Address {
    let or = |text: Vec<u8>, missing: &[u8]| if text.is_empty() { missing.to_vec() } else { text };
    Address {
        name: None,
        route,
        mailbox: Some(or(mailbox, MISSING_MAILBOX)),
        host: Some(or(host, MISSING_DOMAIN)),
    }
}

/// Words that no address followed: one alone is a local part, several are somebody's name.
fn bare(words: &[Word]) -> Option<Address> {
    if words.is_empty() {
        return None;
    }
    if words.iter().skip(1).any(|word| word.spaced) {
        return Some(Address { name: Some(phrase(words)), ..address(None, Vec::new(), Vec::new()) });
    }
    Some(address(None, phrase(words), Vec::new()))
}

/// Words with single blanks where there was white space.
fn phrase(words: &[Word]) -> Vec<u8> {
    let mut text = Vec::new();
    for word in words {
        if word.spaced && !text.is_empty() {
            text.push(b' ');
        }
        text.extend_from_slice(&word.text);
    }
    text
}

/// `Bob bob . smith` before an `@`: the local part is the last word with what dots join to it.
fn split_local(words: &[Word]) -> (Vec<u8>, Vec<u8>) {
    let mut first = words.len().saturating_sub(1);
    while first > 0 {
        let joined = !words[first].spaced || words[first].is_dot || words[first - 1].is_dot;
        if !joined {
            break;
        }
        first -= 1;
    }
    let local = words[first.min(words.len())..].iter().flat_map(|word| word.text.iter().copied()).collect();
    (phrase(&words[..first.min(words.len())]), local)
}

/// Stands for a local part that is not there.
pub(super) const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";

/// Stands for a domain that is not there.
pub(super) const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";

/// The longest source route, in bytes: RFC 5321 4.5.3.1.3 allows 256 for a whole path.
const ROUTE_BYTES_MAX: usize = 1000;

/// A date is some 40 bytes long, and comments may follow it.
const DATE_BYTES_MAX: usize = 200;

/// The fields of an envelope; from the sixth on they are address lists.
const NAMES: [&[u8]; 11] = [
    b"Date",
    b"Subject",
    b"In-Reply-To",
    b"Message-ID",
    b"References",
    b"From",
    b"Sender",
    b"Reply-To",
    b"To",
    b"Cc",
    b"Bcc",
];
