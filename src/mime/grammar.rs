//! The words of structured fields (RFC 2045 5.1, 2183, 2231, 3282), read with forgiveness.
//!
//! ```text
//! content = type "/" subtype *( ";" name "=" ( token / quoted-string ) )
//! ```
//!
//! Comments go where the grammar has them. An unquoted value may hold anything up to the semicolon, a quoted string
//! that is never closed goes to the end of the field, and what is no parameter is passed over.

use super::PARAMS_MAX;
use super::structure::Param;

/// A place in an unfolded value.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, place: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.place).copied()
    }

    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.place += usize::from(found);
        found
    }

    /// Passes white space and comments; a comment that is not closed goes to the end.
    pub(super) fn skip_cfws(&mut self) {
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => self.place += 1,
                b'(' => self.skip_comment(),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(octet) = self.peek() {
            self.place += 1;
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => self.place += 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A token of RFC 2045, perhaps empty.
    pub(super) fn token(&mut self) -> &'a [u8] {
        self.take_while(|octet| octet > b' ' && octet != 127 && !b"()<>@,;:\\\"/[]?=".contains(&octet))
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.place.min(self.bytes.len());
        while self.peek().is_some_and(&wanted) {
            self.place += 1;
        }
        &self.bytes[start..self.place.max(start)]
    }

    /// The inside of a quoted string whose opening quote was taken.
    pub(super) fn quoted_rest(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some(octet) = self.peek() {
            self.place += 1;
            match octet {
                b'"' => break,
                b'\\' => {
                    text.extend(self.peek());
                    self.place += 1;
                }
                octet => text.push(octet),
            }
        }
        text
    }

    fn skip_to_semicolon(&mut self) {
        while let Some(octet) = self.peek() {
            match octet {
                b';' => return,
                b'"' => {
                    self.place += 1;
                    self.quoted_rest();
                }
                _ => self.place += 1,
            }
        }
    }

    /// The value of a parameter.
    fn value(&mut self) -> Vec<u8> {
        self.skip_cfws();
        if self.take(b'"') {
            return self.quoted_rest();
        }
        let start = self.place;
        let raw = self.take_while(|octet| octet != b';');
        // A comment behind a value begins after white space; a parenthesis inside is somebody's file name.
        let comment = raw.windows(2).position(|two| matches!(two, b" (" | b"\t("));
        let text = &raw[..comment.unwrap_or(raw.len())];
        self.place = start + raw.len();
        text.trim_ascii().to_vec()
    }

    /// The parameters from here to the end, continuations joined.
    pub(super) fn params(&mut self) -> Vec<Param> {
        let mut found = Vec::new();
        loop {
            self.skip_to_semicolon();
            if !self.take(b';') || found.len() >= PARAMS_MAX {
                return join_continuations(found);
            }
            self.skip_cfws();
            let name = self.token();
            self.skip_cfws();
            if !name.is_empty() && self.take(b'=') {
                let value = self.value();
                found.push(Param { name: name.to_vec(), value });
            }
        }
    }
}

/// `type/subtype` and parameters; `None` for what is no content type, which is text/plain then (RFC 2045 5.2).
pub(super) fn content_type(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>, Vec<Param>)> {
    let mut cursor = Cursor::new(value);
    cursor.skip_cfws();
    let media = cursor.token();
    cursor.skip_cfws();
    if media.is_empty() || !cursor.take(b'/') {
        return None;
    }
    cursor.skip_cfws();
    let subtype = cursor.token();
    (!subtype.is_empty()).then(|| (media.to_vec(), subtype.to_vec(), cursor.params()))
}

/// The first token of a field, such as a transfer encoding.
pub(super) fn first_token(value: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    cursor.skip_cfws();
    cursor.take(b'"');
    let token = cursor.token();
    (!token.is_empty()).then(|| token.to_vec())
}

/// A disposition and its parameters. Parameters without a type are those of an attachment (RFC 2183 2.8).
pub(super) fn disposition(value: &[u8]) -> Option<(Vec<u8>, Vec<Param>)> {
    let mut cursor = Cursor::new(value);
    cursor.skip_cfws();
    let kind = cursor.token().to_vec();
    let params = cursor.params();
    match (kind.is_empty(), params.is_empty()) {
        (true, true) => None,
        (true, false) => Some((b"attachment".to_vec(), params)),
        _ => Some((kind, params)),
    }
}

/// Language tags (RFC 3282), the first word of each item.
pub(super) fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let mut found = Vec::new();
    while found.len() < PARAMS_MAX && cursor.peek().is_some() {
        cursor.skip_cfws();
        let tag = cursor.token();
        if !tag.is_empty() {
            found.push(tag.to_vec());
        }
        cursor.take_while(|octet| octet != b',');
        cursor.take(b',');
    }
    found
}

/// `name*0`, `name*1*`, … become one parameter (RFC 2231 3): `name*` if one of them is extended, and then the plain ones
/// are percent-encoded, for IMAP hands the text on undecoded.
fn join_continuations(params: Vec<Param>) -> Vec<Param> {
    let is_first = |name: &[u8]| name.ends_with(b"*0") || name.ends_with(b"*0*");
    if !params.iter().any(|param| is_first(&param.name)) {
        return params;
    }
    let pieces: Vec<_> = params.iter().map(|param| piece(&param.name)).collect();
    let starts =
        |base: &[u8]| pieces.iter().flatten().any(|(other, number, _)| *number == 0 && same(other, base));
    let mut bases: Vec<&[u8]> = Vec::new();
    let mut joined = Vec::new();
    for (index, param) in params.iter().enumerate() {
        match pieces[index] {
            Some((base, _, _)) if bases.iter().any(|known| same(known, base)) => {}
            Some((base, 0, _)) => {
                bases.push(base);
                joined.push(join(base, &params, &pieces));
            }
            // A later piece may stand before the first one.
            Some((base, _, _)) if starts(base) => {}
            _ => joined.push(param.clone()),
        }
    }
    joined
}

type Piece<'a> = (&'a [u8], usize, bool);

fn same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// `name*3*` is (name, 3, extended).
fn piece(name: &[u8]) -> Option<Piece<'_>> {
    let (numbered, extended) = match name.strip_suffix(b"*") {
        Some(numbered) => (numbered, true),
        None => (name, false),
    };
    let star = memchr::memrchr(b'*', numbered)?;
    let digits = std::str::from_utf8(&numbered[star + 1..]).ok()?;
    let is_number = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let number = if is_number { digits.parse().ok()? } else { return None };
    Some((&numbered[..star], number, extended))
}

fn join(base: &[u8], params: &[Param], pieces: &[Option<Piece<'_>>]) -> Param {
    let find = |wanted: usize| {
        pieces.iter().position(|one| matches!(one, Some((name, n, _)) if *n == wanted && same(name, base)))
    };
    let chain: Vec<usize> = (0..params.len()).map_while(find).collect();
    let is_extended = |index: usize| matches!(pieces[index], Some((_, _, true)));
    let extended = chain.iter().any(|&index| is_extended(index));
    let mut value = Vec::new();
    for &index in &chain {
        let text = &params[index].value;
        if extended && !is_extended(index) {
            percent_encode(text, &mut value);
        } else {
            value.extend_from_slice(text);
        }
    }
    let mut name = base.to_vec();
    name.extend(extended.then_some(b'*'));
    Param { name, value }
}

fn percent_encode(text: &[u8], into: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &octet in text {
        if octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet) {
            into.push(octet);
        } else {
            into.extend([b'%', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
        }
    }
}
