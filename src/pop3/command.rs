//! Command lines: octets to values. Pure.
//!
//! ```text
//! command = verb *( 1*blank argument ) CRLF      ; RFC 1939 section 3; a verb in any case
//! blank   = SP / HTAB
//! number  = 1*DIGIT
//! ```
//!
//! Arguments are cut at runs of blanks, so neither empty ones nor passwords with blanks exist (`mailflow.md` 1.2, 9.1;
//! golden `pop3_maildir`, `PASS alicepw extra`). A line with octets that are no printable ASCII is refused as a whole
//! (decision 43). The limit on the length of a line is the reader's: [`LINE_BYTES_MAX`].

/// A command line, its CRLF counted (`mailflow.md` 1.2).
pub const LINE_BYTES_MAX: usize = 1022;

/// What the client asks for. Message numbers are as sent: 0 and numbers beyond the last message are possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `USER name`
    User(String),
    /// `PASS password`
    Pass(String),
    /// `APOP name digest`
    Apop {
        /// The log-in name.
        name: String,
        /// The MD5 digest in hexadecimal.
        digest: String,
    },
    /// `CAPA` (RFC 2449)
    Capa,
    /// `STLS` (RFC 2595)
    Stls,
    /// `STAT`
    Stat,
    /// `LIST [number]`; an argument that is no number means all.
    List(Option<u64>),
    /// `UIDL [number]`; an argument that is no number means all.
    Uidl(Option<u64>),
    /// `RETR number`
    Retr(u64),
    /// `TOP number lines`
    Top {
        /// Which message.
        number: u64,
        /// How many lines of the body.
        lines: u64,
    },
    /// `DELE number`
    Dele(u64),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `LAST` (RFC 1460)
    Last,
    /// `QUIT`
    Quit,
}

/// The first word of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Verb {
    User,
    Pass,
    Apop,
    Capa,
    Stls,
    Stat,
    List,
    Uidl,
    Retr,
    Top,
    Dele,
    Noop,
    Rset,
    Last,
    Quit,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// The first word is none we know, or missing.
    #[error("unknown command")]
    UnknownVerb,
    /// The arguments of a known command are too few, too many or not the numbers they should be.
    #[error("bad arguments of {0:?}")]
    Arguments(Verb),
    /// An octet is no printable ASCII and no blank.
    #[error("not printable ASCII")]
    BadOctets,
}

impl Command {
    /// Its first word.
    pub fn verb(&self) -> Verb {
        match self {
            Self::User(_) => Verb::User,
            Self::Pass(_) => Verb::Pass,
            Self::Apop { .. } => Verb::Apop,
            Self::Capa => Verb::Capa,
            Self::Stls => Verb::Stls,
            Self::Stat => Verb::Stat,
            Self::List(_) => Verb::List,
            Self::Uidl(_) => Verb::Uidl,
            Self::Retr(_) => Verb::Retr,
            Self::Top { .. } => Verb::Top,
            Self::Dele(_) => Verb::Dele,
            Self::Noop => Verb::Noop,
            Self::Rset => Verb::Rset,
            Self::Last => Verb::Last,
            Self::Quit => Verb::Quit,
        }
    }
}

/// Reads a line without its CRLF.
///
/// # Errors
/// [`SyntaxError`].
///
/// ```
/// use tabmail::pop3::command::{Command, parse};
/// assert_eq!(parse(b"top 2  10"), Ok(Command::Top { number: 2, lines: 10 }));
/// ```
pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let text = std::str::from_utf8(line).map_err(|_| SyntaxError::BadOctets)?;
    if !text.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~')) {
        return Err(SyntaxError::BadOctets);
    }
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let verb = words.next().and_then(verb).ok_or(SyntaxError::UnknownVerb)?;
    let arguments: Vec<&str> = words.collect();
    command(verb, &arguments).ok_or(SyntaxError::Arguments(verb))
}

fn verb(word: &str) -> Option<Verb> {
    const VERBS: [(&str, Verb); 15] = [
        ("USER", Verb::User),
        ("PASS", Verb::Pass),
        ("APOP", Verb::Apop),
        ("CAPA", Verb::Capa),
        ("STLS", Verb::Stls),
        ("STAT", Verb::Stat),
        ("LIST", Verb::List),
        ("UIDL", Verb::Uidl),
        ("RETR", Verb::Retr),
        ("TOP", Verb::Top),
        ("DELE", Verb::Dele),
        ("NOOP", Verb::Noop),
        ("RSET", Verb::Rset),
        ("LAST", Verb::Last),
        ("QUIT", Verb::Quit),
    ];
    VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, verb)| verb)
}

/// `None` when the arguments do not fit. Surplus arguments of commands without any are ignored, as XMail does
/// (golden `pop3_maildir`, `NOOP x`).
fn command(verb: Verb, arguments: &[&str]) -> Option<Command> {
    Some(match (verb, arguments) {
        (Verb::User, [name]) => Command::User((*name).to_owned()),
        (Verb::Pass, [password]) => Command::Pass((*password).to_owned()),
        (Verb::Apop, [name, digest]) => {
            Command::Apop { name: (*name).to_owned(), digest: (*digest).to_owned() }
        }
        (Verb::List, [] | [_]) => Command::List(arguments.first().and_then(|word| number(word))),
        (Verb::Uidl, [] | [_]) => Command::Uidl(arguments.first().and_then(|word| number(word))),
        (Verb::Retr, [message]) => Command::Retr(number(message)?),
        (Verb::Top, [message, lines]) => Command::Top { number: number(message)?, lines: number(lines)? },
        (Verb::Dele, [message]) => Command::Dele(number(message)?),
        (Verb::Capa, _) => Command::Capa,
        (Verb::Stls, _) => Command::Stls,
        (Verb::Stat, _) => Command::Stat,
        (Verb::Noop, _) => Command::Noop,
        (Verb::Rset, _) => Command::Rset,
        (Verb::Last, _) => Command::Last,
        (Verb::Quit, _) => Command::Quit,
        _ => return None,
    })
}

/// Digits only; a number too large for us is larger than any message number or line count too.
fn number(word: &str) -> Option<u64> {
    let is_number = !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| word.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Command, SyntaxError>) {
        assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn every_command_is_read_in_any_case_and_spacing() {
        check("USER alice", Ok(Command::User("alice".into())));
        check("user\t alice@x ", Ok(Command::User("alice@x".into())));
        check("PASS p%w", Ok(Command::Pass("p%w".into())));
        check("APOP a b", Ok(Command::Apop { name: "a".into(), digest: "b".into() }));
        check("capa", Ok(Command::Capa));
        check("STLS", Ok(Command::Stls));
        check("STAT", Ok(Command::Stat));
        check("LIST", Ok(Command::List(None)));
        check("LIST 3", Ok(Command::List(Some(3))));
        check("LIST abc", Ok(Command::List(None)));
        check("LIST -1", Ok(Command::List(None)));
        check("UIDL 99999999999999999999999", Ok(Command::Uidl(Some(u64::MAX))));
        check("RETR 1", Ok(Command::Retr(1)));
        check("TOP 1 0", Ok(Command::Top { number: 1, lines: 0 }));
        check("dele 3", Ok(Command::Dele(3)));
        check("NOOP x", Ok(Command::Noop));
        check("RSET", Ok(Command::Rset));
        check("LAST", Ok(Command::Last));
        check("quit", Ok(Command::Quit));
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        check("", Err(SyntaxError::UnknownVerb));
        check("  ", Err(SyntaxError::UnknownVerb));
        check("FOO", Err(SyntaxError::UnknownVerb));
        check("USERalice", Err(SyntaxError::UnknownVerb));
        check("AUTH PLAIN", Err(SyntaxError::UnknownVerb));
        check("USER", Err(SyntaxError::Arguments(Verb::User)));
        check("USER a b", Err(SyntaxError::Arguments(Verb::User)));
        check("PASS", Err(SyntaxError::Arguments(Verb::Pass)));
        check("PASS alicepw extra", Err(SyntaxError::Arguments(Verb::Pass)));
        check("APOP a", Err(SyntaxError::Arguments(Verb::Apop)));
        check("RETR", Err(SyntaxError::Arguments(Verb::Retr)));
        check("RETR abc", Err(SyntaxError::Arguments(Verb::Retr)));
        check("RETR 1 2", Err(SyntaxError::Arguments(Verb::Retr)));
        check("TOP 1", Err(SyntaxError::Arguments(Verb::Top)));
        check("TOP 1 x", Err(SyntaxError::Arguments(Verb::Top)));
        check("DELE -1", Err(SyntaxError::Arguments(Verb::Dele)));
        check("USER \u{e4}", Err(SyntaxError::BadOctets));
        check("USER a\0b", Err(SyntaxError::BadOctets));
        check("NOOP\r", Err(SyntaxError::BadOctets));
        assert_eq!(parse(b"PASS \xff"), Err(SyntaxError::BadOctets));
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_it_panic(line in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = parse(&line);
        }

        #[test]
        fn what_is_read_has_the_verb_that_was_sent(number in 0u64..1000, verb in "(RETR|DELE|LIST|UIDL)") {
            let command = parse(format!("{verb} {number}").as_bytes()).unwrap();
            proptest::prop_assert_eq!(format!("{:?}", command.verb()).to_uppercase(), verb);
        }
    }
}
