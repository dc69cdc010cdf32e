//! The grammar of commands: octets to values (RFC 9051 section 9 and the ABNF of the extensions).
//!
//! Shape: [`parse`] takes one whole command as [`super::assembler`] gathers it: without its line end, each literal as
//! `{n}` CR LF and its octets. One parser per verb; a comment at each gives its ABNF where it is not plain from the code.
//!
//! Lenience beyond the RFC: spaces before the line end; 8-bit octets in quoted strings; days of dates without padding.
//!
//! Failure: [`SyntaxError`] with the place of the first octet that cannot be understood. Recursion is bounded
//! ([`SEARCH_DEPTH_MAX`]); time is linear in the command's length.

mod append;
mod fetch;
mod folder;
mod search;
mod text;

#[cfg(test)]
mod tests;

use nom::Parser;
use nom::bytes::complete::take_while_m_n;
use nom::combinator::{cut, map, opt, peek};
use nom::sequence::{preceded, separated_pair};

pub use self::append::{parse_append_end, parse_append_head, parse_append_next};
pub use self::search::SEARCH_DEPTH_MAX;
use self::text::{
    Input, Parsed, argument, astring, atom_text, complete, expect, keyword, list1, nstring, space, string,
    tag_text, token, wrong,
};
pub(super) use self::text::{MONTHS, is_astring_char};
use super::command::{Command, CommandBody, IdField};
use crate::mutf7::{self, NameError};

/// How a client writes mailbox names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameEncoding {
    /// Modified UTF-7, as IMAP4rev1 has it.
    #[default]
    ModifiedUtf7,
    /// UTF-8: after ENABLE of IMAP4rev2 or UTF8=ACCEPT.
    Utf8,
}

/// A command that cannot be understood; the answer is BAD.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SyntaxError {
    /// The command's tag, if it has a proper one: without, the answer is untagged.
    pub tag: Option<String>,
    /// A short English sentence without its full stop, fit for the client: `expected a mailbox name at octet 10`.
    /// Octets count from 1 at the tag, literals included.
    pub reason: String,
}

/// The command in `octets`.
///
/// # Errors
/// [`SyntaxError`].
pub fn parse(octets: &[u8], names: NameEncoding) -> Result<Command, SyntaxError> {
    complete(octets, 0, separated_pair(tag_text, space, |input| body(input, names)))
        .map(|(tag, body)| Command { tag, body })
        .map_err(|reason| SyntaxError { tag: recover_tag(octets), reason })
}

/// The tag a line begins with, however bad the rest is. Tags of more than [`TAG_OCTETS_MAX`] are none.
pub fn recover_tag(octets: &[u8]) -> Option<String> {
    let end = octets.iter().take(TAG_OCTETS_MAX + 1).position(|octet| matches!(octet, b' ' | b'\r' | b'\n'));
    let tag = &octets[..end.unwrap_or(octets.len().min(TAG_OCTETS_MAX + 1))];
    let is_tag =
        (1..=TAG_OCTETS_MAX).contains(&tag.len()) && tag.iter().all(|&octet| text::is_tag_char(octet));
    is_tag.then(|| String::from_utf8_lossy(tag).into_owned())
}

impl NameEncoding {
    /// The name written as these octets.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn decode(self, octets: &[u8]) -> Result<String, NameError> {
        match self {
            Self::ModifiedUtf7 => mutf7::decode(octets),
            Self::Utf8 => mutf7::from_utf8(octets),
        }
    }
}

fn body(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let (rest, verb) = expect("a command", atom_text).parse(input)?;
    let verb = verb.to_ascii_uppercase();
    if verb == "UID" {
        return argument(rest, |input| uid_body(input, names));
    }
    bare(&verb)
        .map(|body| Ok((rest, body)))
        .or_else(|| session(&verb, rest))
        .or_else(|| folder::body(&verb, names, rest))
        .or_else(|| fetch::body(&verb, false, names, rest))
        .or_else(|| search::body(&verb, false, rest))
        .unwrap_or_else(|| wrong(input, "unknown command"))
}

/// What follows `UID SP`.
fn uid_body(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let (rest, verb) = expect("a command", atom_text).parse(input)?;
    let verb = verb.to_ascii_uppercase();
    fetch::body(&verb, true, names, rest)
        .or_else(|| search::body(&verb, true, rest))
        .unwrap_or_else(|| wrong(input, "unknown UID command"))
}

/// Verbs of the session itself.
fn session<'a>(verb: &str, rest: Input<'a>) -> Option<Parsed<'a, CommandBody>> {
    Some(match verb {
        "AUTHENTICATE" => argument(rest, authenticate),
        "LOGIN" => argument(rest, login),
        "ENABLE" => argument(rest, enable),
        "ID" => argument(rest, id),
        "COMPRESS" => argument(rest, map(upper("a compression mechanism"), CommandBody::Compress)),
        _ => return None,
    })
}

/// Verbs without arguments.
fn bare(verb: &str) -> Option<CommandBody> {
    Some(match verb {
        "CAPABILITY" => CommandBody::Capability,
        "NOOP" => CommandBody::Noop,
        "LOGOUT" => CommandBody::Logout,
        "STARTTLS" => CommandBody::StartTls,
        "NAMESPACE" => CommandBody::Namespace,
        "IDLE" => CommandBody::Idle,
        "CHECK" => CommandBody::Check,
        "CLOSE" => CommandBody::Close,
        "UNSELECT" => CommandBody::Unselect,
        "EXPUNGE" => CommandBody::Expunge { uids: None },
        _ => return None,
    })
}

/// `auth-type [SP initial-resp]` (RFC 4959).
fn authenticate(input: Input<'_>) -> Parsed<'_, CommandBody> {
    let begins = (token(" "), peek(take_while_m_n(1, 1, |octet| octet != b' ')));
    let response = preceded(begins, cut(expect("a base64 initial response", text::base64_text)));
    map((upper("a mechanism"), opt(response)), |(mechanism, initial_response)| CommandBody::Authenticate {
        mechanism,
        initial_response,
    })
    .parse(input)
}

/// `userid SP password`.
fn login(input: Input<'_>) -> Parsed<'_, CommandBody> {
    let arguments = separated_pair(expect("a user name", astring), space, expect("a password", astring));
    map(arguments, |(user, password)| CommandBody::Login { user, password }).parse(input)
}

/// `capability *(SP capability)`.
fn enable(input: Input<'_>) -> Parsed<'_, CommandBody> {
    map(list1(upper("a capability")), CommandBody::Enable).parse(input)
}

/// `NIL / "(" [string SP nstring *(SP string SP nstring)] ")"` (RFC 2971).
fn id(input: Input<'_>) -> Parsed<'_, CommandBody> {
    if input.first() != Some(&b'(') {
        return map(keyword("NIL or a list", |word| (word == "NIL").then_some(())), |()| {
            CommandBody::Id(None)
        })
        .parse(input);
    }
    map(cut(id_fields), |fields| CommandBody::Id(Some(fields))).parse(input)
}

/// `"(" [string SP nstring *(SP string SP nstring)] *SP ")"`: some write a space before the end, and RFC 2971's `#` allows
/// it where it is read as RFC 822 has it.
fn id_fields(input: Input<'_>) -> Parsed<'_, Vec<IdField>> {
    let mut field = separated_pair(expect("a quoted field name", string), space, nstring);
    let (mut rest, ()) = text::open(input)?;
    let mut fields = Vec::new();
    loop {
        let blanks = rest.iter().take_while(|&&octet| octet == b' ').count();
        if rest.get(blanks) == Some(&b')') {
            return Ok((&rest[blanks + 1..], fields));
        }
        if !fields.is_empty() {
            rest = space(rest)?.0;
        }
        let (after, named) = field.parse(rest)?;
        fields.push(named);
        rest = after;
    }
}

/// An atom in capitals.
fn upper<'a>(expected: &'static str) -> impl Parser<Input<'a>, Output = String, Error = text::Mismatch<'a>> {
    map(expect(expected, atom_text), |atom| atom.to_ascii_uppercase())
}

/// Octets of a tag at most. Ours: clients use a handful.
pub const TAG_OCTETS_MAX: usize = 128;
