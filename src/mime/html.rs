//! The text of an HTML body, while it streams by: what a reader sees, without tags, scripts and comments.
//!
//! White space becomes one blank, and a line end where a block begins or ends. Character references are decoded by
//! mail-parser's table. Tags may be broken in any way: a `<` that no letter follows is text, and an unclosed tag hides
//! what follows.

use mail_parser::decoders::html::add_html_token;

/// Takes HTML in pieces and gives out its text.
#[derive(Debug, Default)]
pub struct HtmlText {
    state: State,
    /// The name of the tag that is being read, or the character reference.
    word: String,
    closing: bool,
    hidden_in: Option<&'static str>,
    blank: bool,
    /// Whether anything was given out since the last line end.
    in_line: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind `<`.
    TagOpen,
    TagName,
    TagRest,
    /// Behind `<!`, with the number of dashes.
    Declaration(u8),
    /// The number of dashes just seen.
    Comment(u8),
    /// Behind `&`.
    Reference,
}

impl HtmlText {
    /// At the beginning of a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes HTML and appends text.
    pub fn push(&mut self, html: &str, into: &mut String) {
        for character in html.chars() {
            self.take(character, into);
        }
    }

    /// Appends what is left.
    pub fn finish(&mut self, into: &mut String) {
        if self.state == State::Reference {
            self.end_reference(false, into);
        }
    }

    fn take(&mut self, character: char, into: &mut String) {
        match self.state {
            State::Text => self.text(character, into),
            State::Reference => self.reference(character, into),
            State::TagOpen => self.tag_open(character, into),
            State::TagName | State::TagRest => self.tag(character, into),
            State::Declaration(dashes) => {
                self.state = match (character, dashes) {
                    ('-', 0) => State::Declaration(1),
                    ('-', _) => State::Comment(0),
                    ('>', _) => State::Text,
                    _ => State::TagRest,
                };
            }
            State::Comment(dashes) => {
                self.state = match character {
                    '-' => State::Comment((dashes + 1).min(2)),
                    '>' if dashes == 2 => State::Text,
                    _ => State::Comment(0),
                };
            }
        }
    }

    fn text(&mut self, character: char, into: &mut String) {
        match character {
            '<' => {
                self.state = State::TagOpen;
                self.word.clear();
                self.closing = false;
            }
            _ if self.hidden_in.is_some() => {}
            '&' => {
                self.state = State::Reference;
                self.word.clear();
            }
            ' ' | '\t' | '\r' | '\n' => self.blank = true,
            other => {
                self.before_character(into);
                into.push(other);
            }
        }
    }

    fn before_character(&mut self, into: &mut String) {
        if std::mem::take(&mut self.blank) && self.in_line {
            into.push(' ');
        }
        self.in_line = true;
    }

    fn reference(&mut self, character: char, into: &mut String) {
        let belongs = character.is_ascii_alphanumeric() || character == '#' && self.word.is_empty();
        if belongs && self.word.len() < REFERENCE_BYTES_MAX {
            self.word.push(character);
        } else if character == ';' {
            self.end_reference(true, into);
        } else {
            self.end_reference(false, into);
            self.take(character, into);
        }
    }

    fn end_reference(&mut self, closed: bool, into: &mut String) {
        self.state = State::Text;
        self.before_character(into);
        if closed && !self.word.is_empty() {
            let mut decoded = String::new();
            add_html_token(&mut decoded, format!("&{};", self.word).as_bytes(), false);
            // A blank that may not break is a blank to who searches.
            into.push_str(&decoded.replace('\u{a0}', " "));
        } else {
            into.push('&');
            into.push_str(&self.word);
            if closed {
                into.push(';');
            }
        }
    }

    fn tag_open(&mut self, character: char, into: &mut String) {
        match character {
            '/' if !self.closing => self.closing = true,
            '!' | '?' if !self.closing => self.state = State::Declaration(0),
            letter if letter.is_ascii_alphabetic() => {
                self.state = State::TagName;
                self.word.push(letter.to_ascii_lowercase());
            }
            other => {
                self.state = State::Text;
                if self.hidden_in.is_none() {
                    self.before_character(into);
                    into.push_str(if self.closing { "</" } else { "<" });
                }
                self.take(other, into);
            }
        }
    }

    fn tag(&mut self, character: char, into: &mut String) {
        match character {
            '>' => {
                self.state = State::Text;
                self.end_tag(into);
            }
            // `a<b` in a script is no tag, but what follows may be the one that ends it.
            '<' if self.hidden_in.is_some() => {
                self.state = State::Text;
                self.take(character, into);
            }
            letter if self.state == State::TagName && letter.is_ascii_alphanumeric() => {
                if self.word.len() < TAG_BYTES_MAX {
                    self.word.push(letter.to_ascii_lowercase());
                }
            }
            _ => self.state = State::TagRest,
        }
    }

    fn end_tag(&mut self, into: &mut String) {
        let name = self.word.as_str();
        if let Some(hidden) = self.hidden_in {
            // A page without </head> begins with its body.
            if name == hidden && self.closing || hidden == "head" && name == "body" {
                self.hidden_in = None;
            }
        } else if let Some(hides) = HIDING.iter().find(|hides| **hides == name && !self.closing) {
            self.hidden_in = Some(hides);
        } else if BLOCKS.contains(&name) {
            self.blank = false;
            if std::mem::take(&mut self.in_line) {
                into.push('\n');
            }
        } else if matches!(name, "td" | "th" | "img") {
            self.blank = true;
        }
        self.word.clear();
    }
}

/// Elements that no one sees.
const HIDING: [&str; 4] = ["head", "style", "script", "template"];

/// Elements that begin a line.
const BLOCKS: [&str; 24] = [
    "address",
    "article",
    "blockquote",
    "body",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "p",
    "table",
    "tr",
    "ul",
];

/// The longest character reference, in bytes: `CounterClockwiseContourIntegral` has 31.
const REFERENCE_BYTES_MAX: usize = 32;

/// The longest name of an element that is told apart, in bytes.
const TAG_BYTES_MAX: usize = 16;
