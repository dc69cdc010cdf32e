//! `compat-fixtures/mime`: messages beside what Dovecot tells of them, or what we choose instead.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Dialect, Structure, body_structure_text, envelope_text};
use super::scan;

/// A parenthesised text, without regard to how its strings are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Nil,
    Number(u64),
    Text(String),
    List(Vec<Value>),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn value(&mut self) -> Value {
        while matches!(self.0[0], b' ' | b'\r' | b'\n') {
            self.0 = &self.0[1..];
        }
        let first = self.0[0];
        match first {
            b'(' => self.list(),
            b'"' => self.quoted(),
            b'{' => {
                let end = self.0.windows(3).position(|three| three == b"}\r\n").unwrap();
                let length: usize = std::str::from_utf8(&self.0[1..end]).unwrap().parse().unwrap();
                let text = &self.0[end + 3..][..length];
                self.0 = &self.0[end + 3 + length..];
                Value::Text(String::from_utf8_lossy(text).into_owned())
            }
            _ => {
                let end = self.0.iter().position(|octet| b" ()\r\n".contains(octet)).unwrap_or(self.0.len());
                let (word, rest) = self.0.split_at(end);
                self.0 = rest;
                match word {
                    b"NIL" => Value::Nil,
                    number => Value::Number(std::str::from_utf8(number).unwrap().parse().unwrap()),
                }
            }
        }
    }

    fn list(&mut self) -> Value {
        let mut items = Vec::new();
        self.0 = &self.0[1..];
        loop {
            match self.0[0] {
                b')' => break,
                b' ' => self.0 = &self.0[1..],
                _ => items.push(self.value()),
            }
        }
        self.0 = &self.0[1..];
        Value::List(items)
    }

    fn quoted(&mut self) -> Value {
        let mut text = Vec::new();
        let mut place = 1;
        while self.0[place] != b'"' {
            place += usize::from(self.0[place] == b'\\');
            text.push(self.0[place]);
            place += 1;
        }
        self.0 = &self.0[place + 1..];
        Value::Text(String::from_utf8_lossy(&text).into_owned())
    }
}

fn values(text: &[u8]) -> Vec<Value> {
    let mut reader = Reader(text);
    let mut found = Vec::new();
    while reader.0.iter().any(|octet| !octet.is_ascii_whitespace()) {
        found.push(reader.value());
    }
    found
}

/// ENVELOPE, BODY and BODYSTRUCTURE, a line each, as in the fixtures.
fn answers(message: &[u8]) -> Vec<u8> {
    let scanned = scan(message);
    let mut text = Vec::new();
    envelope_text(&scanned.envelope, &mut text);
    text.extend_from_slice(b"\r\n");
    for extended in [false, true] {
        body_structure_text(&scanned.structure, extended, Dialect::Rev1, &mut text);
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn messages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-fixtures/mime");
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    found.sort();
    assert!(found.len() > 60, "the fixtures are there");
    found
}

/// `.expected` is what Dovecot answered; `.ours` stands where we answer something else, and must not be in vain.
#[test]
fn answers_are_dovecots_or_those_we_chose() {
    let mut wrong = Vec::new();
    for path in messages() {
        let found = answers(&fs::read(&path).unwrap());
        let theirs = values(&fs::read(path.with_extension("expected")).unwrap());
        let ours = fs::read(path.with_extension("ours")).ok().map(|text| values(&text));
        assert_ne!(ours.as_ref(), Some(&theirs), "{} is Dovecot's answer", path.display());
        if values(&found) != ours.unwrap_or(theirs) {
            wrong.push(format!("{}\n{}", path.display(), String::from_utf8_lossy(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imap_codec_reads_every_answer() {
    use imap_codec::ResponseCodec;
    use imap_codec::decode::Decoder as _;
    for path in messages() {
        let message = fs::read(&path).unwrap();
        let scanned = scan(&message);
        for extended in [false, true] {
            let mut text = b"* 1 FETCH (ENVELOPE ".to_vec();
            envelope_text(&scanned.envelope, &mut text);
            text.extend_from_slice(if extended { b" BODYSTRUCTURE " } else { b" BODY " });
            body_structure_text(&scanned.structure, extended, Dialect::Rev1, &mut text);
            text.extend_from_slice(b")\r\n");
            let read = ResponseCodec::default().decode(&text);
            assert!(
                read.is_ok_and(|(rest, _)| rest.is_empty()),
                "{}: {}",
                path.display(),
                String::from_utf8_lossy(&text)
            );
        }
    }
}

#[test]
fn fixtures_survive_packing_and_cuts() {
    use super::super::{Envelope, EnvelopeTexts, Packed as _, Scanner};
    for path in messages() {
        let message = fs::read(&path).unwrap();
        let whole = scan(&message);
        let (mut structure, mut envelope) = (Vec::new(), Vec::new());
        whole.structure.pack(&mut structure);
        whole.envelope.pack(&mut envelope);
        assert_eq!(Structure::unpack(&structure).as_ref(), Some(&whole.structure), "{}", path.display());
        assert_eq!(Envelope::unpack(&envelope).as_ref(), Some(&whole.envelope), "{}", path.display());
        let texts = EnvelopeTexts::unpack(&envelope).unwrap();
        assert_eq!(
            [texts.date, texts.subject, texts.in_reply_to, texts.message_id],
            [
                &whole.envelope.date,
                &whole.envelope.subject,
                &whole.envelope.in_reply_to,
                &whole.envelope.message_id
            ]
            .map(Option::as_deref),
        );
        if !whole.envelope.references.is_empty() {
            assert_eq!(texts.thread_parents(), whole.envelope.references, "{}", path.display());
        }
        for length in [1, 2, 3, 7] {
            let mut scanner = Scanner::new();
            message.chunks(length).for_each(|piece| scanner.push(piece));
            assert_eq!(scanner.finish(), whole, "{} in pieces of {length}", path.display());
        }
        super::scanning::check_ranges(&whole.structure);
    }
}
