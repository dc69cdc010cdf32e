//! Search in texts that stream by, without regard to case (RFC 9051 6.4.4; i;unicode-casemap, RFC 5051).
//!
//! Letters are compared by [`fold`]: to upper case and then to lower case, by the tables of Rust's `char`. RFC 5051 also
//! decomposes characters; we do not, so an `é` of one code point does not match an `e` followed by an accent.

use memchr::memmem::Finder;

use super::charset::CharsetDecoder;
use super::html::HtmlText;
use super::structure::Part;
use super::transfer::{TransferDecoder, TransferEncoding};

/// Text in the form in which texts are compared.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn fold_into(text: &str, into: &mut String) {
    if text.is_ascii() {
        let start = into.len();
        into.push_str(text);
        into[start..].make_ascii_lowercase();
        return;
    }
    for character in text.chars() {
        if character.is_ascii() {
            into.push(character.to_ascii_lowercase());
        } else {
            into.extend(character.to_uppercase().flat_map(char::to_lowercase));
        }
    }
}

/// Looks for one string in text that comes in pieces. Memory: one folded piece and the length of the string.
#[derive(Debug)]
pub struct Searcher {
    finder: Finder<'static>,
    /// The folded end of what was seen, then the folded piece.
    window: String,
    found: bool,
}

impl Searcher {
    /// For a string; the empty string is found everywhere.
    pub fn new(wanted: &str) -> Self {
        let folded = fold(wanted);
        Self { found: folded.is_empty(), finder: Finder::new(&folded).into_owned(), window: String::new() }
    }

    /// Takes text and tells whether the string was found by now.
    pub fn push(&mut self, text: &str) -> bool {
        if self.found {
            return true;
        }
        fold_into(text, &mut self.window);
        self.found = self.finder.find(self.window.as_bytes()).is_some();
        let mut seen = self.window.len().saturating_sub(self.finder.needle().len());
        while !self.window.is_char_boundary(seen) {
            seen -= 1;
        }
        self.window.drain(..seen);
        self.found
    }

    /// Forgets the text before: strings are not found across the border of two parts.
    pub fn next_text(&mut self) {
        self.window.clear();
    }

    /// Whether the string was found.
    pub fn is_found(&self) -> bool {
        self.found
    }
}

/// From a part's body as it stands to its text: transfer encoding, charset, and HTML.
#[derive(Debug)]
pub struct TextDecoder {
    transfer: TransferDecoder,
    charset: CharsetDecoder,
    html: Option<HtmlText>,
    bytes: Vec<u8>,
    text: String,
}

impl TextDecoder {
    /// For a text part; HTML is read without tags if `strips_html`.
    pub fn new(part: &Part, strips_html: bool) -> Self {
        let encoding = match part.transfer_encoding() {
            // Better to search what stands there than nothing.
            TransferEncoding::Unknown => TransferEncoding::Identity,
            known => known,
        };
        Self {
            transfer: TransferDecoder::new(encoding),
            charset: CharsetDecoder::new(part.charset()),
            html: (strips_html && part.is_type("text", "html")).then(HtmlText::new),
            bytes: Vec::new(),
            text: String::new(),
        }
    }

    /// Takes a piece of the body and appends text. Behind broken base64 nothing follows.
    pub fn push(&mut self, body: &[u8], into: &mut String) {
        self.bytes.clear();
        // What was decoded before the break is text as well.
        let _broken = self.transfer.push(body, &mut self.bytes);
        self.decode(into);
    }

    /// Appends what is left at the end of the body.
    pub fn finish(&mut self, into: &mut String) {
        self.bytes.clear();
        let _broken = self.transfer.finish(&mut self.bytes);
        self.decode(into);
        self.text.clear();
        self.charset.finish(&mut self.text);
        match &mut self.html {
            Some(html) => {
                html.push(&self.text, into);
                html.finish(into);
            }
            None => into.push_str(&self.text),
        }
    }

    fn decode(&mut self, into: &mut String) {
        match &mut self.html {
            Some(html) => {
                self.text.clear();
                self.charset.push(&self.bytes, &mut self.text);
                html.push(&self.text, into);
            }
            None => self.charset.push(&self.bytes, into),
        }
    }
}
