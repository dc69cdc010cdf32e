//! The parts of a message with their places: what BODYSTRUCTURE tells, and what sections are cut by.

use std::ops::Range;

use super::charset::{CharsetDecoder, decoded_header};
use super::envelope::Envelope;
use super::grammar;
use super::header::{self, unfold};
use super::transfer::TransferEncoding;

/// A message as a tree of parts, kept flat: a part's children stand behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// All parts. The first is the message itself; its header is the message's header. Never empty when made by a
    /// [`super::Scanner`].
    pub parts: Vec<Part>,
    /// Length of the message's header with its blank line, in bytes.
    pub header_bytes: u64,
    /// Length of the message, in bytes.
    pub total_bytes: u64,
}

/// One part. Ranges are offsets into the message, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The header with its blank line, if there is one.
    pub header: Range<u64>,
    /// The body without the line end that belongs to the next boundary (RFC 2046 5.1.1).
    pub body: Range<u64>,
    /// Line ends in the body.
    pub lines: u64,
    /// Top-level media type, in the case it came in.
    pub media: Vec<u8>,
    /// Media subtype, in the case it came in.
    pub subtype: Vec<u8>,
    /// Parameters of the content type.
    pub params: Vec<Param>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description, encoded words left as they are.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding as it came; without the field it is 7bit.
    pub encoding: Option<Vec<u8>>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
    /// What is inside.
    pub content: Content,
}

/// What a part consists of. Numbers are indexes into [`Structure::parts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, or anything that is not looked into.
    Leaf,
    /// The parts of a multipart, at least one.
    Multipart(Vec<u32>),
    /// message/rfc822 or message/global.
    Message {
        /// The embedded message: its header is the message's header.
        root: u32,
        /// Its envelope.
        envelope: Box<Envelope>,
    },
}

/// A parameter of a content type or disposition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// The name in the case it came in; it ends in `*` if the value is encoded (RFC 2231).
    pub name: Vec<u8>,
    /// The value without quotes, never decoded.
    pub value: Vec<u8>,
}

impl Param {
    /// Whether this is the parameter of that name, encoded or not, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        let own = self.name.strip_suffix(b"*").unwrap_or(&self.name);
        own.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value as people read it: `utf-8'en'%E5%8F%91` (RFC 2231 section 4), or encoded words (RFC 2047), which have no
    /// place in parameters and are found there all the same. What cannot be decoded stays as it is.
    pub fn text(&self) -> String {
        if !self.name.ends_with(b"*") {
            return decoded_header(&self.value);
        }
        let mut parts = self.value.splitn(3, |octet| *octet == b'\'');
        let (charset, encoded) = match (parts.next(), parts.next(), parts.next()) {
            (Some(charset), Some(_), Some(encoded)) => (Some(charset), encoded),
            _ => (None, self.value.as_slice()),
        };
        let (mut decoder, mut text) = (CharsetDecoder::new(charset), String::new());
        decoder.push(&percent_decoded(encoded), &mut text);
        decoder.finish(&mut text);
        text
    }
}

/// `%` with two hex digits as the octet that they mean; others stay.
fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let digit = |octet: Option<&u8>| octet.and_then(|octet| char::from(*octet).to_digit(16));
    let (mut decoded, mut place) = (Vec::with_capacity(value.len()), 0);
    while let Some(&octet) = value.get(place) {
        let digits =
            (octet == b'%').then(|| digit(value.get(place + 1)).zip(digit(value.get(place + 2)))).flatten();
        match digits.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(meant) => {
                decoded.push(meant);
                place += 3;
            }
            None => {
                decoded.push(octet);
                place += 1;
            }
        }
    }
    decoded
}

/// Content-Disposition (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment`, … in the case it came in.
    pub kind: Vec<u8>,
    /// `filename` and others.
    pub params: Vec<Param>,
}

impl Part {
    /// Whether this is a leaf that is text.
    pub fn is_text(&self) -> bool {
        self.content == Content::Leaf && self.is_media("text")
    }

    /// A part without fields, as RFC 2046 has it: text/plain in US-ASCII, or message/rfc822 in a digest (5.1.5).
    pub(super) fn plain(is_message: bool) -> Self {
        let (media, subtype): (&[u8], &[u8]) =
            if is_message { (b"message", b"rfc822") } else { (b"text", b"plain") };
        Self {
            header: 0..0,
            body: 0..0,
            lines: 0,
            media: media.to_vec(),
            subtype: subtype.to_vec(),
            params: Vec::new(),
            id: None,
            description: None,
            encoding: None,
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
            content: Content::Leaf,
        }
    }

    /// Reads the first field of each name from a header block.
    pub(super) fn read(block: &[u8], in_digest: bool) -> Self {
        let mut part = Self::plain(in_digest);
        let mut seen = [false; 8];
        for field in header::fields(block) {
            let Some(index) = NAMES.iter().position(|name| field.is(name)) else { continue };
            if !std::mem::replace(&mut seen[index], true) {
                part.set(index, &unfold(field.value));
            }
        }
        part
    }

    fn set(&mut self, index: usize, value: &[u8]) {
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match index {
            0 => match grammar::content_type(value) {
                Some((media, subtype, params)) => {
                    (self.media, self.subtype, self.params) = (media, subtype, params);
                }
                None => (self.media, self.subtype) = (b"text".to_vec(), b"plain".to_vec()),
            },
            1 => self.encoding = grammar::first_token(value),
            2 => self.id = text(),
            3 => self.description = text(),
            4 => self.md5 = text(),
            5 => {
                self.disposition =
                    grammar::disposition(value).map(|(kind, params)| Disposition { kind, params });
            }
            6 => self.language = grammar::languages(value),
            _ => self.location = text(),
        }
    }

    /// Whether the media type is this one, without regard to case.
    pub fn is_media(&self, media: &str) -> bool {
        self.media.eq_ignore_ascii_case(media.as_bytes())
    }

    /// Whether this is `media/subtype`, without regard to case.
    pub fn is_type(&self, media: &str, subtype: &str) -> bool {
        self.is_media(media) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// The first parameter of the content type with that name, without regard to case.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        let found = self.params.iter().find(|param| param.name.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|param| param.value.as_slice())
    }

    /// How the body is encoded.
    pub fn transfer_encoding(&self) -> TransferEncoding {
        TransferEncoding::named(self.encoding.as_deref().unwrap_or(b"7bit"))
    }

    /// The charset of a text part, if it has one.
    pub fn charset(&self) -> Option<&[u8]> {
        self.param("charset").or_else(|| {
            // charset*=us-ascii'en'UTF-8 is legal, and no one's charset has a quote.
            let extended = self.param("charset*")?;
            extended.rsplit(|octet| *octet == b'\'').next()
        })
    }

    /// Bytes of text that this part keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let params =
            |params: &[Param]| params.iter().map(|one| one.name.len() + one.value.len() + 64).sum::<usize>();
        let texts = [&self.id, &self.description, &self.encoding, &self.md5, &self.location];
        self.media.len()
            + self.subtype.len()
            + params(&self.params)
            + texts.iter().filter_map(|text| text.as_ref().map(Vec::len)).sum::<usize>()
            + self.disposition.as_ref().map_or(0, |one| one.kind.len() + params(&one.params))
            + self.language.iter().map(|tag| tag.len() + 24).sum::<usize>()
    }

    /// Keeps nothing but what the tree needs.
    pub(super) fn forget_texts(&mut self) {
        *self =
            Self { media: b"application".to_vec(), subtype: b"octet-stream".to_vec(), ..Self::plain(false) };
    }
}

impl Structure {
    /// The message itself; `None` only for a structure that no scanner made.
    pub fn root(&self) -> Option<&Part> {
        self.parts.first()
    }

    /// The leaves that are text, in their order, with those inside embedded messages.
    pub fn text_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.is_text())
    }

    /// The part that a preview is made of: the first text/plain or text/html that is no attachment.
    pub fn first_text(&self) -> Option<&Part> {
        self.text_parts().find(|part| {
            let attached =
                part.disposition.as_ref().is_some_and(|one| one.kind.eq_ignore_ascii_case(b"attachment"));
            !attached && part.body.start < part.body.end
        })
    }
}

/// The fields of a part, by number.
const NAMES: [&[u8]; 8] = [
    b"Content-Type",
    b"Content-Transfer-Encoding",
    b"Content-ID",
    b"Content-Description",
    b"Content-MD5",
    b"Content-Disposition",
    b"Content-Language",
    b"Content-Location",
];
