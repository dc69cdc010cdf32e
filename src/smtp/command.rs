//! SMTP command lines as values: bytes in, [`Command`] out.
//!
//! ```text
//! line    = verb [ blanks argument *( blanks argument ) ]     ; blanks are spaces and TABs
//! mail    = "MAIL FROM:" anything "<" path ">" *( blanks keyword [ "=" value ] )
//! rcpt    = "RCPT TO:" anything "<" path ">" anything
//! bdat    = "BDAT" blanks 1*DIGIT [ blanks "LAST" ]            ; RFC 3030
//! ```
//!
//! Words are matched without regard to case; `MAIL FROM:` and `RCPT TO:` are plain prefixes, so no blank may stand
//! before the colon (`mailflow.md` 1.2; golden `smtp_basic`). Whether a command is legal now, and how many arguments it
//! may have, is for the session: XMail looks at its state first.
//!
//! Limits, line end included: [`COMMAND_OCTETS_MAX`], [`MAIL_OCTETS_MAX`], [`AUTH_OCTETS_MAX`] (decision 7). Control
//! characters are no text, 8-bit octets may stand in paths only (decision 43).

use bstr::{BString, ByteSlice};

use crate::address::{PathError, RawPath, Utf8, parse_angle};

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO.
    Helo(Arguments),
    /// EHLO.
    Ehlo(Arguments),
    /// STARTTLS; arguments are not looked at.
    StartTls,
    /// AUTH: mechanism and initial response.
    Auth(Arguments),
    /// MAIL FROM.
    Mail(Mail),
    /// RCPT TO.
    Rcpt(Rcpt),
    /// DATA.
    Data,
    /// BDAT.
    Bdat(Result<Chunk, BadChunk>),
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// HELP.
    Help,
    /// VRFY.
    Vrfy(Arguments),
    /// ETRN.
    Etrn(Arguments),
    /// QUIT.
    Quit,
}

/// What stands behind a verb, cut at blanks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments(pub Vec<BString>);

impl Arguments {
    /// The argument, if there is exactly one.
    pub fn only(&self) -> Option<&[u8]> {
        match &self.0[..] {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// MAIL FROM: the path and its parameters, and the line as typed for the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The whole command line.
    pub line: BString,
    /// What stands between the first `<` and the `>` after it.
    pub path: Result<RawPath, PathError>,
    /// What stands behind that `>`.
    pub parameters: MailParameters,
}

/// The parameters of MAIL that mean something here. Others are ignored, as in XMail (golden `smtp_basic`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` (RFC 1870); of several the largest, 0 when absent or not a number.
    pub size_bytes: u64,
    /// `SMTPUTF8` (RFC 6531).
    pub is_smtputf8: bool,
    /// `BODY=BINARYMIME` (RFC 3030), which is not offered.
    pub is_binary: bool,
    /// The text as typed, with its leading blank.
    pub text: BString,
}

/// RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// What stands between the first `<` and the `>` after it.
    pub path: Result<RawPath, PathError>,
}

/// BDAT: how many octets follow the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Octets, not counting the command line.
    pub octets: u64,
    /// The message ends with this chunk.
    pub is_last: bool,
}

/// BDAT without a size: nobody knows where the next command begins, so the session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// No such verb, or control characters.
    #[error("command unrecognized")]
    Unrecognized,
    /// Longer than its verb allows.
    #[error("line too long")]
    TooLong,
    /// 8-bit octets in arguments that cannot have them.
    #[error("arguments are not ASCII")]
    NotAscii,
}

/// Octets of a command line, CRLF included (RFC 5321 §4.5.3.1.4, decision 7).
pub const COMMAND_OCTETS_MAX: usize = 512;

/// Octets of a MAIL line: 512 and what its extensions add to it: SIZE 26 (RFC 1870 §3), BODY 17 (RFC 6152 §2), AUTH 500
/// (RFC 4954 §3), SMTPUTF8 10 (RFC 6531 §3.4). All lines that XMail takes fit (golden `smtp_basic`, `mail-len-990`).
pub const MAIL_OCTETS_MAX: usize = COMMAND_OCTETS_MAX + 26 + 17 + 500 + 10;

/// Octets of an AUTH line and of its continuations (RFC 4954 §4, decision 7).
pub const AUTH_OCTETS_MAX: usize = 12_288;

/// Reads a line without its line end.
///
/// # Errors
/// [`SyntaxError`].
pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let is_control = |&byte: &u8| byte.is_ascii_control() && byte != b'\t';
    let (verb, rest) = split_verb(line);
    if line.len() + LINE_END_OCTETS > octets_max(verb) {
        return Err(SyntaxError::TooLong);
    }
    if line.iter().any(is_control) {
        return Err(SyntaxError::Unrecognized);
    }
    if let Some(text) = strip_prefix(line, b"MAIL FROM:") {
        return Ok(Command::Mail(mail(line, text)));
    }
    if let Some(text) = strip_prefix(line, b"RCPT TO:") {
        let path = parse_angle(text, Utf8::Allowed).map(|(path, _)| path);
        return Ok(Command::Rcpt(Rcpt { path }));
    }
    let parse = VERBS.iter().find(|(name, _)| verb.eq_ignore_ascii_case(name)).map(|(_, parse)| parse);
    let parse = parse.ok_or(SyntaxError::Unrecognized)?;
    if !line.is_ascii() {
        return Err(SyntaxError::NotAscii);
    }
    Ok(parse(arguments(rest)))
}

type Parse = fn(Arguments) -> Command;

const VERBS: [(&[u8], Parse); 12] = [
    (b"HELO", Command::Helo),
    (b"EHLO", Command::Ehlo),
    (b"STARTTLS", |_| Command::StartTls),
    (b"AUTH", Command::Auth),
    (b"DATA", |_| Command::Data),
    (b"BDAT", |arguments| Command::Bdat(chunk(&arguments))),
    (b"RSET", |_| Command::Rset),
    (b"NOOP", |_| Command::Noop),
    (b"HELP", |_| Command::Help),
    (b"VRFY", Command::Vrfy),
    (b"ETRN", Command::Etrn),
    (b"QUIT", |_| Command::Quit),
];

const LINE_END_OCTETS: usize = 2;

fn octets_max(verb: &[u8]) -> usize {
    if verb.eq_ignore_ascii_case(b"AUTH") {
        AUTH_OCTETS_MAX
    } else if verb.eq_ignore_ascii_case(b"MAIL") {
        MAIL_OCTETS_MAX
    } else {
        COMMAND_OCTETS_MAX
    }
}

fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.find_byteset(b" \t").unwrap_or(line.len());
    line.split_at(end)
}

fn strip_prefix<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn arguments(rest: &[u8]) -> Arguments {
    let words = rest.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    Arguments(words.map(BString::from).collect())
}

fn mail(line: &[u8], text: &[u8]) -> Mail {
    let (path, parameters) = match parse_angle(text, Utf8::Allowed) {
        Ok((path, behind)) => (Ok(path), mail_parameters(behind)),
        Err(error) => (Err(error), MailParameters::default()),
    };
    Mail { line: line.into(), path, parameters }
}

fn mail_parameters(text: &[u8]) -> MailParameters {
    let mut parameters = MailParameters { text: text.into(), ..MailParameters::default() };
    for word in arguments(text).0 {
        if let Some(size) = strip_prefix(&word, b"SIZE=") {
            parameters.size_bytes = parameters.size_bytes.max(leading_digits(size));
        }
        parameters.is_smtputf8 |= word.eq_ignore_ascii_case(b"SMTPUTF8");
        parameters.is_binary |= word.eq_ignore_ascii_case(b"BODY=BINARYMIME");
    }
    parameters
}

fn leading_digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum: u64, byte| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
}

fn chunk(arguments: &Arguments) -> Result<Chunk, BadChunk> {
    let (size, is_last) = match &arguments.0[..] {
        [size] => (size, false),
        [size, last] if last.eq_ignore_ascii_case(b"LAST") => (size, true),
        _ => return Err(BadChunk),
    };
    if size.len() > CHUNK_DIGITS_MAX || !size.iter().all(u8::is_ascii_digit) {
        return Err(BadChunk);
    }
    Ok(Chunk { octets: leading_digits(size), is_last })
}

/// RFC 3030 section 2: `1*20DIGIT`; 19 always fit 64 bits.
const CHUNK_DIGITS_MAX: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Arguments {
        Arguments(words.iter().map(|word| BString::from(*word)).collect())
    }

    fn check(line: &str, expected: Result<Command, SyntaxError>) {
        assert_eq!(parse(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn verbs_are_words_in_any_case() {
        check("noop", Ok(Command::Noop));
        check("NOOP with args", Ok(Command::Noop));
        check("QUIT extra", Ok(Command::Quit));
        check("eHlO \t a  b ", Ok(Command::Ehlo(words(&["a", "b"]))));
        check("HELO", Ok(Command::Helo(words(&[]))));
        check("auth plain =", Ok(Command::Auth(words(&["plain", "="]))));
        check("STARTTLS foo", Ok(Command::StartTls));
        for line in
            ["NOOPX", "EXPN list", "MAIL", "MAIL FROM", "MAIL FROM :<a@b.c>", "RCPT", "RCPT TO", "TURN"]
        {
            check(line, Err(SyntaxError::Unrecognized));
        }
    }

    #[test]
    fn blank_lines_are_no_commands() {
        // Golden smtp_basic: `` and `   ` answer 500.
        for line in ["", "   ", " NOOP", "\t"] {
            check(line, Err(SyntaxError::Unrecognized));
        }
    }

    #[test]
    fn control_characters_are_no_text() {
        for line in ["NOOP\0", "NO\rOP", "RCPT TO:<a@b.test>\0", "HELO a\x1bb", "NOOP \x7f"] {
            check(line, Err(SyntaxError::Unrecognized));
        }
    }

    #[test]
    fn eight_bit_octets_stand_in_paths_only() {
        check("HELO bücher.test", Err(SyntaxError::NotAscii));
        check("VRFY bücher@home.test", Err(SyntaxError::NotAscii));
        check("ÜBER", Err(SyntaxError::Unrecognized));
        let Ok(Command::Rcpt(rcpt)) = parse("RCPT TO:<jörg@home.test>".as_bytes()) else { panic!() };
        assert!(matches!(rcpt.path, Ok(RawPath::Path(path)) if !path.is_ascii()));
        let Ok(Command::Rcpt(rcpt)) = parse(b"RCPT TO:<j\xf6rg@home.test>") else { panic!() };
        assert_eq!(rcpt.path, Err(PathError::NonAscii));
    }

    #[test]
    fn mail_has_a_path_and_parameters() {
        let check = |line: &str, path: &str, size, utf8| {
            let Ok(Command::Mail(mail)) = parse(line.as_bytes()) else { panic!("{line}") };
            let seen = match &mail.path {
                Ok(RawPath::Null) => String::new(),
                Ok(RawPath::Postmaster) => "postmaster".to_owned(),
                Ok(RawPath::Path(path)) => path.to_string(),
                Err(error) => format!("-{}", error.xmail_code()),
            };
            assert_eq!((seen.as_str(), mail.parameters.size_bytes), (path, size), "{line}");
            assert_eq!(mail.parameters.is_smtputf8, utf8, "{line}");
            assert_eq!(mail.line, line);
        };
        check("MAIL FROM:<>", "", 0, false);
        check("mail from: <a@b.test> SIZE=100", "a@b.test", 100, false);
        check("MAIL FROM:<a@b.test> size=7 BODY=8BITMIME SMTPUTF8", "a@b.test", 7, true);
        check("MAIL FROM:<a@b.test> SIZE=99999999999999999999999", "a@b.test", u64::MAX, false);
        check("MAIL FROM:<a@b.test> SIZE=abc FOO=BAR AUTH=<>", "a@b.test", 0, false);
        check("MAIL FROM:", "-31", 0, false);
        check("MAIL FROM:<a>", "-132", 0, false);
        check("MAIL FROM:<a@b@c.test>", "-260", 0, false);
        check("MAIL FROM:<@x.test:a@b.test>", "@x.test:a@b.test", 0, false);
    }

    #[test]
    fn chunks_have_a_size() {
        let chunk = |octets, is_last| Ok(Command::Bdat(Ok(Chunk { octets, is_last })));
        check("BDAT 10", chunk(10, false));
        check("bdat 0 last", chunk(0, true));
        for bad in ["BDAT", "BDAT x", "BDAT -1", "BDAT 1 2", "BDAT 1 LAST x", "BDAT 99999999999999999999"] {
            check(bad, Ok(Command::Bdat(Err(BadChunk))));
        }
    }

    #[test]
    fn lines_have_a_limit_by_verb() {
        let filled = |verb: &str, octets: usize| format!("{verb}{}", "y".repeat(octets - verb.len() - 2));
        check(&filled("NOOP ", 512), Ok(Command::Noop));
        check(&filled("NOOP ", 513), Err(SyntaxError::TooLong));
        check(&filled("RCPT TO:<", 513), Err(SyntaxError::TooLong));
        assert!(parse(filled("AUTH PLAIN ", 12_288).as_bytes()).is_ok());
        check(&filled("AUTH PLAIN ", 12_289), Err(SyntaxError::TooLong));
        assert!(parse(filled("MAIL FROM:<", 1065).as_bytes()).is_ok());
        check(&filled("MAIL FROM:<", 1066), Err(SyntaxError::TooLong));
    }

    #[test]
    fn no_prefix_of_a_command_panics() {
        for line in [
            "MAIL FROM:<@a.test,@b.test:c@[IPv6:::1]> SIZE=1 SMTPUTF8",
            "RCPT TO:<jörg@[127.0.0.1]>",
            "BDAT 12 LAST",
        ] {
            for end in 0..=line.len() {
                let _ = parse(&line.as_bytes()[..end]);
            }
        }
    }
}
