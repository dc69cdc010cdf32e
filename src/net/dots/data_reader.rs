//! The receiver of mail data: octets after DATA in, octets to store out, up to the final dot.

use memchr::memchr3;

use super::{CRLF, MAX_CR_RUN, line_ends};

/// A state machine that takes the octets after `354` and says what to store and where the data ends.
///
/// The data ends at the octets CRLF `.` CRLF and nowhere else, or at `.` CRLF when they come first (decision 2,
/// RFC 5321 section 4.1.1.4). Everything else is content:
/// - CRLF stays; a bare LF, a bare CR, and CR..CR LF become one CRLF each (CR CR x is two);
/// - a dot that comes first in a line only because of that did not begin a line for the client, so it was not
///   stuffed: it gets its second dot here;
/// - a line that is left as a lone `.` (CRLF `.` LF, CRLF `.` CR x) is stored as `..`. What is stored therefore
///   never holds a line with a lone dot, and can never end DATA early for the next server.
///
/// A client whose commands and data all end in bare LF never ends its data; that is intended.
#[derive(Clone, Debug)]
pub struct DataReader {
    state: State,
    bare_lf: BareLf,
    saw_bare: bool,
    saw_nul: bool,
    size_bytes: u64,
}

/// What to do about bare LF and bare CR in mail data: `server.tab` variable `SMTP-BareLF` (decision 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareLf {
    /// They become CRLF.
    #[default]
    Normalise,
    /// The same, and [`DataReader::is_refused`] tells the caller to answer 550 5.5.2 after the end.
    Reject,
}

/// What one call of [`DataReader::feed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Octets taken from the input; all of it unless the end was found.
    pub consumed: usize,
    /// Whether the final dot was seen. What follows in the input is the client's next command.
    pub ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first octet of a line. `real`: the line before ended with CRLF on the wire (or there is none).
    LineStart { real: bool },
    /// After a dot, not yet stored, at a real line start.
    Dot,
    /// After such a dot and so many CRs.
    DotCr(usize),
    /// Inside a line.
    Text,
    /// After so many CRs, not yet stored.
    Cr(usize),
    /// After the final dot.
    Ended,
}

impl DataReader {
    /// A reader that waits for the first octet after `354`.
    pub fn new(bare_lf: BareLf) -> Self {
        Self {
            state: State::LineStart { real: true },
            bare_lf,
            saw_bare: false,
            saw_nul: false,
            size_bytes: 0,
        }
    }

    /// Takes octets and appends what is to be stored to `out`. After the end nothing is taken any more.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Feed {
        let before = out.len();
        let mut at = 0;
        while at < input.len() && self.state != State::Ended {
            at += match self.state {
                State::Text => self.text(&input[at..], out),
                _ => self.octet(input[at], out),
            };
        }
        self.size_bytes += (out.len() - before) as u64;
        Feed { consumed: at, ended: self.state == State::Ended }
    }

    /// Octets to store so far: what size limits look at (mailflow.md 3.7).
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether a NUL came, which the caller refuses (decision 2).
    pub fn saw_nul(&self) -> bool {
        self.saw_nul
    }

    /// Whether a bare LF or CR came.
    pub fn saw_bare(&self) -> bool {
        self.saw_bare
    }

    /// Whether [`BareLf::Reject`] was asked for and a bare LF or CR came.
    pub fn is_refused(&self) -> bool {
        self.saw_bare && self.bare_lf == BareLf::Reject
    }

    /// Whether the final dot was seen.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Copies up to the next octet that matters.
    fn text(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        match memchr3(b'\r', b'\n', 0, input) {
            Some(0) => self.octet(input[0], out),
            Some(at) => {
                out.extend_from_slice(&input[..at]);
                at
            }
            None => {
                out.extend_from_slice(input);
                input.len()
            }
        }
    }

    /// One step; returns how many octets it took: 0 when the octet is to be looked at again in the new state.
    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) -> usize {
        match (self.state, octet) {
            (State::LineStart { real: true }, b'.') => self.state = State::Dot,
            (State::LineStart { .. } | State::Text, b'\r') => self.state = State::Cr(1),
            (State::LineStart { .. } | State::Text, b'\n') => self.bare_end(1, out),
            (State::LineStart { real }, _) => {
                if !real && octet == b'.' {
                    out.push(b'.');
                }
                self.content(octet, out);
            }
            (State::Text, _) => self.content(octet, out),
            (State::Dot, b'\r') => self.state = State::DotCr(1),
            (State::Dot, b'\n') => {
                out.extend_from_slice(b"..");
                self.bare_end(1, out);
            }
            (State::Dot, _) => {
                out.push(b'.');
                self.state = State::Text;
                return 0;
            }
            (State::DotCr(1), b'\n') => self.state = State::Ended,
            (State::DotCr(count), _) => {
                out.extend_from_slice(b"..");
                self.state = State::Cr(count);
                return 0;
            }
            (State::Cr(count), b'\n') => {
                self.saw_bare |= count > 1;
                out.extend_from_slice(CRLF);
                self.state = State::LineStart { real: true };
            }
            (State::Cr(MAX_CR_RUN), b'\r') => {
                self.saw_bare = true;
                out.extend_from_slice(CRLF);
            }
            (State::Cr(count), b'\r') => self.state = State::Cr(count + 1),
            (State::Cr(count), _) => {
                self.bare_end(count, out);
                return 0;
            }
            (State::Ended, _) => return 0,
        }
        1
    }

    fn content(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.saw_nul |= octet == 0;
        out.push(octet);
        self.state = State::Text;
    }

    fn bare_end(&mut self, count: usize, out: &mut Vec<u8>) {
        self.saw_bare = true;
        line_ends(count, out);
        self.state = State::LineStart { real: false };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Transform, Unstuffer};
    use super::*;

    struct Outcome {
        stored: Vec<u8>,
        consumed: usize,
        reader: DataReader,
    }

    /// Feeds the input in pieces that end at the given places.
    fn read(input: &[u8], cuts: &[usize]) -> Outcome {
        let mut reader = DataReader::new(BareLf::Reject);
        let (mut stored, mut consumed, mut from) = (Vec::new(), 0, 0);
        for &to in cuts.iter().chain([&input.len()]) {
            let feed = reader.feed(&input[from..to], &mut stored);
            consumed += feed.consumed;
            from = to;
            if feed.ended {
                break;
            }
            assert_eq!(consumed, to);
        }
        assert_eq!(reader.size_bytes(), stored.len() as u64);
        Outcome { stored, consumed, reader }
    }

    #[test]
    fn data_ends_at_crlf_dot_crlf_only() {
        // (octets, stored, what is left after the end or None when it did not end)
        let check = |input: &str, stored: &str, rest: Option<&str>| {
            for cut in 0..=input.len() {
                let got = read(input.as_bytes(), &[cut]);
                assert_eq!(String::from_utf8_lossy(&got.stored), stored, "{input:?} cut at {cut}");
                let left = got.reader.has_ended().then(|| &input[got.consumed..]);
                assert_eq!(left, rest, "{input:?} cut at {cut}");
            }
        };
        check(".\r\n", "", Some(""));
        check(".\r\nQUIT\r\n", "", Some("QUIT\r\n"));
        check("a\r\n.\r\nQUIT\r\n", "a\r\n", Some("QUIT\r\n"));
        check("\r\n.\r\n", "\r\n", Some(""));
        check("..\r\n...\r\n. x\r\n.\r\n", "..\r\n...\r\n. x\r\n", Some(""));
        check("a\n.\nb\r\n.\r\n", "a\r\n..\r\nb\r\n", Some(""));
        check("a\n.\r\nb\r\n.\r\n", "a\r\n..\r\nb\r\n", Some(""));
        check("a\r\n.\nb\r\n.\r\n", "a\r\n..\r\nb\r\n", Some(""));
        check("a\r\n.\rb\r\n.\r\n", "a\r\n..\r\nb\r\n", Some(""));
        check("a\r\n.\r.\r\nb\r\n.\r\n", "a\r\n..\r\n..\r\nb\r\n", Some(""));
        check("a\r\n.\r\r\nb\r\n.\r\n", "a\r\n..\r\nb\r\n", Some(""));
        check("a\r.\r\nb\r\n.\r\n", "a\r\n..\r\nb\r\n", Some(""));
        check("a\r\r\nb\r\n.\r\n", "a\r\nb\r\n", Some(""));
        check("a\r\rb\r\n.\r\n", "a\r\n\r\nb\r\n", Some(""));
        check("a\n..b\r\n.\r\n", "a\r\n...b\r\n", Some(""));
        check("a\n.\n", "a\r\n..\r\n", None);
        check("a\r\n.", "a\r\n", None);
        check("a\r\n.\r", "a\r\n", None);
        check("a.\r\n", "a.\r\n", None);
        // Content whose last octet is a CR, then the real end: the octets CRLF . CRLF are there.
        check("a\r\r\n.\r\nQUIT\r\n", "a\r\n", Some("QUIT\r\n"));
    }

    #[test]
    fn what_a_caller_refuses_is_noted() {
        let check = |input: &[u8], bare: bool, nul: bool| {
            let got = read(input, &[]);
            assert!(got.reader.has_ended());
            assert_eq!((got.reader.is_refused(), got.reader.saw_nul()), (bare, nul), "{input:?}");
        };
        check(b"a\r\n.\r\n", false, false);
        check(b"a\n\r\n.\r\n", true, false);
        check(b"a\rb\r\n.\r\n", true, false);
        check(b"a\r\r\n.\r\n", true, false);
        check(b"\0\r\n.\r\n", false, true);
        check(b"a\0b\r\n.\r\n", false, true);
        check(b".\0\r\n.\r\n", false, true);
        check(b"a\r\0\r\n.\r\n", true, true);
        let mut lenient = DataReader::new(BareLf::Normalise);
        lenient.feed(b"a\n", &mut Vec::new());
        assert!(lenient.saw_bare() && !lenient.is_refused());
    }

    #[test]
    fn a_run_of_crs_is_stored_in_bounded_steps() {
        let mut reader = DataReader::new(BareLf::Normalise);
        let mut out = Vec::new();
        for _ in 0..10_000 {
            out.clear();
            reader.feed(b"\r", &mut out);
            assert!(out.len() <= 2);
        }
        out.clear();
        reader.feed(b"x", &mut out);
        assert_eq!(out.len(), 2 * MAX_CR_RUN + 1);
    }

    fn wire() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"\r\r\r\n\n\n...ab\0".to_vec()), 0..40)
    }

    proptest! {
        #[test]
        fn where_reads_are_cut_does_not_matter(input in wire(), mut cuts in prop::collection::vec(0usize..40, 0..6)) {
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(input.len()));
            cuts.sort_unstable();
            let (whole, pieces) = (read(&input, &[]), read(&input, &cuts));
            prop_assert_eq!(whole.stored, pieces.stored);
            prop_assert_eq!(whole.consumed, pieces.consumed);
            prop_assert_eq!(whole.reader.state, pieces.reader.state);
        }

        #[test]
        fn the_end_is_the_first_crlf_dot_crlf(input in wire()) {
            let mut framed = b"\r\n".to_vec();
            framed.extend_from_slice(&input);
            let expected = framed.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 3);
            let got = read(&input, &[]);
            prop_assert_eq!(got.reader.has_ended().then_some(got.consumed), expected);
        }

        #[test]
        fn what_is_stored_is_safe_to_send_on(mut input in wire()) {
            input.extend_from_slice(b"\r\n.\r\n");
            let got = read(&input, &[]);
            let text = String::from_utf8(got.stored).unwrap();
            prop_assert!(text.is_empty() || text.ends_with("\r\n"));
            for line in text.split("\r\n") {
                prop_assert!(line != "." && !line.contains(['\r', '\n']), "{text:?}");
            }
        }

        #[test]
        fn stuffed_content_comes_back(lines in prop::collection::vec("[.ab]{0,4}", 0..8)) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let wire: String = lines.iter().map(|line| {
                if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") }
            }).collect();
            let got = read(format!("{wire}.\r\n").as_bytes(), &[]);
            prop_assert!(got.reader.has_ended() && !got.reader.saw_bare());
            prop_assert_eq!(&got.stored, wire.as_bytes());
            let mut back = Vec::new();
            Unstuffer::default().push(&got.stored, &mut back);
            prop_assert_eq!(back, content.into_bytes());
        }
    }
}
