//! Envelopes and structures as bytes, for a cache.
//!
//! ```text
//! packed    = version value
//! number    = LEB128, 64 bits            bytes = number *OCTET            list = number *item
//! optional  = number-of-bytes + 1, bytes (0: none)
//! ```
//!
//! Unpacking never fails loudly: bytes that are no value of this version are `None`, and the message is scanned again.

use super::envelope::{Address, Envelope, message_ids};
use super::structure::{Content, Disposition, Param, Part, Structure};
use super::{DEPTH_MAX, PARTS_MAX};

/// The first byte. It changes with the layout, and with any rule that changes what a scan finds.
pub const PACKED_VERSION: u8 = 1;

/// What can be packed.
pub trait Packed: Sized {
    /// Appends the value with its version.
    fn pack(&self, into: &mut Vec<u8>);

    /// Reads what [`Packed::pack`] wrote, all of it; `None` for anything else.
    fn unpack(bytes: &[u8]) -> Option<Self>;
}

impl Packed for Envelope {
    fn pack(&self, into: &mut Vec<u8>) {
        into.push(PACKED_VERSION);
        put_envelope(self, into);
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let envelope = reader.envelope()?;
        reader.rest.is_empty().then_some(envelope)
    }
}

impl Packed for Structure {
    fn pack(&self, into: &mut Vec<u8>) {
        into.push(PACKED_VERSION);
        put_number(self.header_bytes, into);
        put_number(self.total_bytes, into);
        put_list(&self.parts, into, put_part);
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let (header_bytes, total_bytes) = (reader.number()?, reader.number()?);
        let parts = reader.list(Reader::part)?;
        let structure = Self { parts, header_bytes, total_bytes };
        (reader.rest.is_empty() && is_tree(&structure)).then_some(structure)
    }
}

/// Each part but the first has one parent, which stands before it, and none is too deep: whoever walks the tree ends.
/// Ranges are in order and within the message.
fn is_tree(structure: &Structure) -> bool {
    let parts = &structure.parts;
    // A multipart without parts got one, beyond the limit.
    if parts.is_empty() || parts.len() > 2 * PARTS_MAX {
        return false;
    }
    let mut depths = vec![None; parts.len()];
    depths[0] = Some(0_usize);
    for (index, part) in parts.iter().enumerate() {
        let Some(depth) = depths[index] else { return false };
        let inside = part.header.start <= part.header.end
            && part.header.end <= part.body.start
            && part.body.start <= part.body.end
            && part.body.end <= structure.total_bytes;
        if !inside || depth > DEPTH_MAX {
            return false;
        }
        let children: &[u32] = match &part.content {
            Content::Leaf => &[],
            Content::Multipart(children) => children,
            Content::Message { root, .. } => std::slice::from_ref(root),
        };
        if children.is_empty() && part.content != Content::Leaf {
            return false;
        }
        for &child in children {
            let child = child as usize;
            if child <= index || depths.get(child).is_none_or(|known| known.is_some()) {
                return false;
            }
            depths[child] = Some(depth + 1);
        }
    }
    true
}

fn put_number(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn put_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    put_number(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

fn put_optional(bytes: Option<&Vec<u8>>, into: &mut Vec<u8>) {
    match bytes {
        None => into.push(0),
        Some(bytes) => {
            put_number(bytes.len() as u64 + 1, into);
            into.extend_from_slice(bytes);
        }
    }
}

fn put_list<T>(list: &[T], into: &mut Vec<u8>, mut put: impl FnMut(&T, &mut Vec<u8>)) {
    put_number(list.len() as u64, into);
    for item in list {
        put(item, into);
    }
}

fn put_address(address: &Address, into: &mut Vec<u8>) {
    for text in [&address.name, &address.route, &address.mailbox, &address.host] {
        put_optional(text.as_ref(), into);
    }
}

fn put_envelope(envelope: &Envelope, into: &mut Vec<u8>) {
    for text in [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id] {
        put_optional(text.as_ref(), into);
    }
    put_list(&envelope.from, into, put_address);
    // Most senders are the author: two bytes say so.
    for list in [&envelope.sender, &envelope.reply_to] {
        let same = *list == envelope.from;
        into.push(u8::from(same));
        if !same {
            put_list(list, into, put_address);
        }
    }
    for list in [&envelope.to, &envelope.cc, &envelope.bcc] {
        put_list(list, into, put_address);
    }
    put_list(&envelope.references, into, |id, into| put_bytes(id, into));
}

fn put_params(params: &[Param], into: &mut Vec<u8>) {
    put_list(params, into, |param, into| {
        put_bytes(&param.name, into);
        put_bytes(&param.value, into);
    });
}

fn put_part(part: &Part, into: &mut Vec<u8>) {
    for number in [part.header.start, part.header.end, part.body.start, part.body.end, part.lines] {
        put_number(number, into);
    }
    put_bytes(&part.media, into);
    put_bytes(&part.subtype, into);
    put_params(&part.params, into);
    for text in [&part.id, &part.description, &part.encoding, &part.md5, &part.location] {
        put_optional(text.as_ref(), into);
    }
    match &part.disposition {
        None => into.push(0),
        Some(disposition) => {
            into.push(1);
            put_bytes(&disposition.kind, into);
            put_params(&disposition.params, into);
        }
    }
    put_list(&part.language, into, |tag, into| put_bytes(tag, into));
    match &part.content {
        Content::Leaf => into.push(0),
        Content::Multipart(children) => {
            into.push(1);
            put_list(children, into, |child, into| put_number(u64::from(*child), into));
        }
        Content::Message { root, envelope } => {
            into.push(2);
            put_number(u64::from(*root), into);
            put_envelope(envelope, into);
        }
    }
}

/// The texts of a packed envelope, borrowed from it; its addresses are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeTexts<'a> {
    /// As [`Envelope::date`].
    pub date: Option<&'a [u8]>,
    /// As [`Envelope::subject`].
    pub subject: Option<&'a [u8]>,
    /// As [`Envelope::in_reply_to`].
    pub in_reply_to: Option<&'a [u8]>,
    /// As [`Envelope::message_id`].
    pub message_id: Option<&'a [u8]>,
    /// What comes behind them.
    rest: &'a [u8],
}

impl<'a> EnvelopeTexts<'a> {
    /// Reads what [`Packed::pack`] wrote of an envelope; `None` for anything else.
    pub fn unpack(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let (date, subject) = (reader.optional_slice()?, reader.optional_slice()?);
        let (in_reply_to, message_id) = (reader.optional_slice()?, reader.optional_slice()?);
        Some(Self { date, subject, in_reply_to, message_id, rest: reader.rest })
    }

    /// The ids that threads go by (RFC 5256, REFERENCES): References, or else the first id of In-Reply-To.
    pub fn thread_parents(&self) -> Vec<&'a [u8]> {
        let references = self.references().unwrap_or_default();
        if !references.is_empty() {
            return references;
        }
        message_ids(self.in_reply_to.unwrap_or_default()).into_iter().take(1).collect()
    }

    /// The message's own id without angle brackets, if it is one.
    pub fn own_id(&self) -> Option<&'a [u8]> {
        message_ids(self.message_id?).into_iter().next()
    }

    fn references(&self) -> Option<Vec<&'a [u8]>> {
        let mut reader = Reader { rest: self.rest };
        reader.skip_addresses()?;
        for _ in ["sender", "reply-to"] {
            if reader.byte()? == 0 {
                reader.skip_addresses()?;
            }
        }
        for _ in ["to", "cc", "bcc"] {
            reader.skip_addresses()?;
        }
        reader.list(Reader::slice)
    }
}

/// Name, route, mailbox and host.
const ADDRESS_TEXTS: usize = 4;

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        (*version == PACKED_VERSION).then_some(Self { rest })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.slice().map(<[u8]>::to_vec)
    }

    /// The outer `None` is garbage.
    fn optional_slice(&mut self) -> Option<Option<&'a [u8]>> {
        match self.number()? {
            0 => Some(None),
            more => Some(Some(self.take(more - 1)?)),
        }
    }

    fn optional(&mut self) -> Option<Option<Vec<u8>>> {
        self.optional_slice().map(|text| text.map(<[u8]>::to_vec))
    }

    fn skip_addresses(&mut self) -> Option<()> {
        for _ in 0..self.number()? {
            for _ in 0..ADDRESS_TEXTS {
                self.optional_slice()?;
            }
        }
        Some(())
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        // An item takes a byte at least: a count that cannot be true allocates nothing.
        if count > self.rest.len() {
            return None;
        }
        let mut list = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            list.push(item(self)?);
        }
        Some(list)
    }

    fn address(&mut self) -> Option<Address> {
        Some(Address {
            name: self.optional()?,
            route: self.optional()?,
            mailbox: self.optional()?,
            host: self.optional()?,
        })
    }

    fn envelope(&mut self) -> Option<Envelope> {
        let (date, subject) = (self.optional()?, self.optional()?);
        let (in_reply_to, message_id) = (self.optional()?, self.optional()?);
        let from = self.list(Self::address)?;
        let sender = self.list_or(&from)?;
        let reply_to = self.list_or(&from)?;
        Some(Envelope {
            date,
            subject,
            from,
            sender,
            reply_to,
            to: self.list(Self::address)?,
            cc: self.list(Self::address)?,
            bcc: self.list(Self::address)?,
            in_reply_to,
            message_id,
            references: self.list(Self::bytes)?,
        })
    }

    fn list_or(&mut self, from: &[Address]) -> Option<Vec<Address>> {
        match self.byte()? {
            0 => self.list(Self::address),
            1 => Some(from.to_vec()),
            _ => None,
        }
    }

    fn params(&mut self) -> Option<Vec<Param>> {
        self.list(|reader| Some(Param { name: reader.bytes()?, value: reader.bytes()? }))
    }

    fn part(&mut self) -> Option<Part> {
        let header = self.number()?..self.number()?;
        let body = self.number()?..self.number()?;
        let lines = self.number()?;
        let (media, subtype, params) = (self.bytes()?, self.bytes()?, self.params()?);
        let (id, description, encoding) = (self.optional()?, self.optional()?, self.optional()?);
        let (md5, location) = (self.optional()?, self.optional()?);
        let disposition = match self.byte()? {
            0 => None,
            1 => Some(Disposition { kind: self.bytes()?, params: self.params()? }),
            _ => return None,
        };
        let language = self.list(Self::bytes)?;
        let content = self.content()?;
        Some(Part {
            header,
            body,
            lines,
            media,
            subtype,
            params,
            id,
            description,
            encoding,
            md5,
            disposition,
            language,
            location,
            content,
        })
    }

    fn index(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn content(&mut self) -> Option<Content> {
        match self.byte()? {
            0 => Some(Content::Leaf),
            1 => Some(Content::Multipart(self.list(Self::index)?)),
            2 => Some(Content::Message { root: self.index()?, envelope: Box::new(self.envelope()?) }),
            _ => None,
        }
    }
}
