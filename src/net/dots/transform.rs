//! Streaming changes to stored mail: adding and removing dots, and line ends for the wire.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

use super::{CRLF, MAX_CR_RUN, line_ends};

/// A change to a stream of octets that gives the same result however the stream is cut.
pub trait Transform {
    /// Takes a piece and appends what is ready to `out`.
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>);

    /// Appends what the end of the stream makes ready. Call it once.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// Adds a dot to every line that begins with one: text to stored form, without looking at line ends.
///
/// A line begins after LF. For text with other line ends put [`ToCrlf`] behind it.
#[derive(Clone, Debug)]
pub struct Stuffer {
    line_start: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { line_start: true }
    }
}

impl Transform for Stuffer {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for_line_pieces(input, &mut self.line_start, |piece, starts_line| {
            if starts_line && piece[0] == b'.' {
                out.push(b'.');
            }
            out.extend_from_slice(piece);
        });
    }
}

/// Removes one dot from every line that begins with one: stored form to text.
#[derive(Clone, Debug)]
pub struct Unstuffer {
    line_start: bool,
}

impl Default for Unstuffer {
    fn default() -> Self {
        Self { line_start: true }
    }
}

impl Transform for Unstuffer {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for_line_pieces(input, &mut self.line_start, |piece, starts_line| {
            let dot = usize::from(starts_line && piece[0] == b'.');
            out.extend_from_slice(&piece[dot..]);
        });
    }
}

/// Cuts after every LF and says of each piece (never empty) whether it begins a line.
fn for_line_pieces(input: &[u8], line_start: &mut bool, mut each: impl FnMut(&[u8], bool)) {
    let mut rest = input;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (piece, after) = rest.split_at(end);
        each(piece, *line_start);
        *line_start = piece.ends_with(b"\n");
        rest = after;
    }
}

/// A stored (stuffed) file to what is sent by SMTP or POP3, without the final dot ([`super::END_OF_DATA`]).
///
/// LF, CR and CR..CR LF become CRLF; a missing last line end is added (decision 3). A line with a lone dot, which
/// no writer leaves behind, is content and sent as `..`; so is a dot after a CR on its own, where stored lines do
/// not begin and dots are not stuffed (decision 1).
#[derive(Clone, Debug)]
pub struct ToCrlf {
    state: State,
    size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At a line start. `stored`: one that stuffing knows, after LF or at the beginning.
    LineStart {
        stored: bool,
    },
    /// After a dot at a stored line start; the dot is not yet out.
    Dot,
    Text,
    /// After so many CRs, not yet out.
    Cr(usize),
}

impl Default for ToCrlf {
    fn default() -> Self {
        Self { state: State::LineStart { stored: true }, size_bytes: 0 }
    }
}

impl ToCrlf {
    /// Octets given out so far; after `finish` the size POP3 tells (decision 45).
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let octet = input[0];
        match (self.state, octet) {
            (State::LineStart { stored: true }, b'.') => self.state = State::Dot,
            (State::LineStart { stored: false }, b'.') => {
                out.extend_from_slice(b"..");
                self.state = State::Text;
            }
            (State::LineStart { .. } | State::Text, b'\r') => self.state = State::Cr(1),
            (State::LineStart { .. } | State::Text | State::Cr(_), b'\n') => self.end_line(out),
            (State::LineStart { .. } | State::Text, _) => {
                let end = memchr2(b'\r', b'\n', input).unwrap_or(input.len());
                out.extend_from_slice(&input[..end]);
                self.state = State::Text;
                return end;
            }
            (State::Dot, b'\r' | b'\n') => {
                out.extend_from_slice(b"..");
                self.state = State::Text;
                return 0;
            }
            (State::Dot, _) => {
                out.push(b'.');
                self.state = State::Text;
                return 0;
            }
            (State::Cr(MAX_CR_RUN), b'\r') => out.extend_from_slice(CRLF),
            (State::Cr(count), b'\r') => self.state = State::Cr(count + 1),
            (State::Cr(count), _) => {
                line_ends(count, out);
                self.state = State::LineStart { stored: false };
                return 0;
            }
        }
        1
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(CRLF);
        self.state = State::LineStart { stored: true };
    }
}

impl Transform for ToCrlf {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        let mut at = 0;
        while at < input.len() {
            at += self.step(&input[at..], out);
        }
        self.size_bytes += (out.len() - before) as u64;
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        match self.state {
            State::LineStart { .. } => {}
            State::Dot => out.extend_from_slice(b"..\r\n"),
            State::Text => out.extend_from_slice(CRLF),
            State::Cr(count) => line_ends(count, out),
        }
        self.state = State::LineStart { stored: true };
        self.size_bytes += (out.len() - before) as u64;
    }
}

/// A reader that gives out another reader's octets changed by a [`Transform`].
#[derive(Debug)]
pub struct Transformed<R, T> {
    inner: R,
    transform: T,
    ready: Vec<u8>,
    given: usize,
    finished: bool,
}

impl<R: Read, T: Transform> Transformed<R, T> {
    /// Lays the transform over the reader.
    pub fn new(inner: R, transform: T) -> Self {
        Self { inner, transform, ready: Vec::new(), given: 0, finished: false }
    }
}

impl<R: Read, T: Transform> Read for Transformed<R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = [0; PIECE_BYTES];
        while self.given == self.ready.len() && !self.finished {
            self.ready.clear();
            self.given = 0;
            match self.inner.read(&mut piece)? {
                0 => {
                    self.transform.finish(&mut self.ready);
                    self.finished = true;
                }
                count => self.transform.push(&piece[..count], &mut self.ready),
            }
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Octets read at once by [`Transformed`]. Ours.
const PIECE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(mut transform: impl Transform, input: &[u8], cuts: &[usize]) -> Vec<u8> {
        let (mut out, mut from) = (Vec::new(), 0);
        for &to in cuts.iter().chain([&input.len()]) {
            transform.push(&input[from..to], &mut out);
            from = to;
        }
        transform.finish(&mut out);
        out
    }

    #[test]
    fn stored_files_are_sent_with_crlf_and_without_lone_dots() {
        let check = |stored: &str, sent: &str| {
            let got = run(ToCrlf::default(), stored.as_bytes(), &[]);
            assert_eq!(String::from_utf8_lossy(&got), sent, "{stored:?}");
        };
        check("", "");
        check("a\r\nb\r\n", "a\r\nb\r\n");
        check("a\nb\n", "a\r\nb\r\n");
        check("a\rb", "a\r\nb\r\n");
        check("a\r", "a\r\n");
        check("a", "a\r\n");
        check("\n\r\n\r", "\r\n\r\n\r\n");
        check("a\r\r\nb\r\n", "a\r\nb\r\n");
        check(".\r\n..\r\n...\r\n", "..\r\n..\r\n...\r\n");
        check("a\n.\nb", "a\r\n..\r\nb\r\n");
        check(".", "..\r\n");
        check("a\r\n.", "a\r\n..\r\n");
        check("a\r.x\n", "a\r\n..x\r\n");
        check(".\rx\n", "..\r\nx\r\n");
        check("Subject: x\n\n..leading\n", "Subject: x\r\n\r\n..leading\r\n");
    }

    #[test]
    fn dots_are_added_and_removed_at_line_starts_only() {
        let check = |text: &str, stuffed: &str| {
            assert_eq!(run(Stuffer::default(), text.as_bytes(), &[]), stuffed.as_bytes());
            assert_eq!(run(Unstuffer::default(), stuffed.as_bytes(), &[]), text.as_bytes());
        };
        check("", "");
        check(".\r\n", "..\r\n");
        check("a.b\r\n.c\n..", "a.b\r\n..c\n...");
        check("\r.\n", "\r.\n");
    }

    #[test]
    fn unstuffing_takes_one_dot_from_lines_nobody_stuffed_too() {
        // RFC 5321 section 4.5.2: the receiver deletes the first dot of a line with other characters.
        assert_eq!(run(Unstuffer::default(), b". space\r\n", &[]), b" space\r\n");
    }

    #[test]
    fn readers_give_the_same_as_pushing() {
        let input = b".a\nb\n".repeat(3000);
        let mut got = Vec::new();
        Transformed::new(&input[..], ToCrlf::default()).read_to_end(&mut got).unwrap();
        assert_eq!(got, run(ToCrlf::default(), &input, &[]));
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"\r\r\n\n..ab".to_vec()), 0..40)
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(input in octets(), mut cuts in prop::collection::vec(0usize..40, 0..6)) {
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(input.len()));
            cuts.sort_unstable();
            prop_assert_eq!(run(ToCrlf::default(), &input, &[]), run(ToCrlf::default(), &input, &cuts));
            prop_assert_eq!(run(Stuffer::default(), &input, &[]), run(Stuffer::default(), &input, &cuts));
            prop_assert_eq!(run(Unstuffer::default(), &input, &[]), run(Unstuffer::default(), &input, &cuts));
        }

        #[test]
        fn unstuffing_undoes_stuffing(input in octets()) {
            let stuffed = run(Stuffer::default(), &input, &[]);
            prop_assert_eq!(run(Unstuffer::default(), &stuffed, &[]), input);
        }

        #[test]
        fn what_is_sent_is_whole_lines_and_never_ends_early(input in octets()) {
            let sent = String::from_utf8(run(ToCrlf::default(), &input, &[])).unwrap();
            prop_assert!(sent.is_empty() || sent.ends_with("\r\n"));
            for line in sent.split("\r\n") {
                prop_assert!(line != "." && !line.contains(['\r', '\n']), "{sent:?}");
            }
            // A second pass finds nothing more to do, and the size is what was given out.
            prop_assert_eq!(run(ToCrlf::default(), sent.as_bytes(), &[]), sent.as_bytes());
            let (mut counting, mut out) = (ToCrlf::default(), Vec::new());
            counting.push(&input, &mut out);
            counting.finish(&mut out);
            prop_assert_eq!(counting.size_bytes(), out.len() as u64);
        }

        #[test]
        fn unstuffed_text_of_any_line_ends_survives_sending(input in octets()) {
            // Producers: stuff, then fix line ends. A receiver who unstuffs gets the text in CRLF lines back.
            let sent = run(ToCrlf::default(), &run(Stuffer::default(), &input, &[]), &[]);
            let received = String::from_utf8(run(Unstuffer::default(), &sent, &[])).unwrap();
            let lines = |text: &str| -> Vec<String> { text.split_terminator('\n').map(str::to_owned).collect() };
            let mut expected = String::from_utf8(input).unwrap();
            while expected.contains("\r\r\n") { expected = expected.replace("\r\r\n", "\r\n"); }
            let expected = expected.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(lines(&received.replace("\r\n", "\n")), lines(&expected));
        }
    }
}
