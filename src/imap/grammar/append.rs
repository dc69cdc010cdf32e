//! APPEND, piece by piece: its messages are no part of what is parsed (RFC 9051 section 6.3.12, RFC 3502, RFC 6855).
//!
//! Shape, with the pieces [`super::super::assembler`] cuts in brackets; `{n}` and `~{n}` themselves are left out:
//!
//! ```text
//! [tag APPEND mailbox (flags) "date" ]{n}CRLF message[ (flags) ]{n}CRLF message[]CRLF
//! [tag APPEND mailbox UTF8 (]~{n}CRLF message[) (flags) UTF8 (]~{n}CRLF message[)]CRLF
//! ```

use nom::Parser;
use nom::combinator::{map, opt};
use nom::sequence::{preceded, separated_pair, terminated};

use super::super::command::{AppendHead, AppendMessage};
use super::text::{
    Input, Parsed, close, complete, date_time, expect, flag, list0, mailbox, space, tag_text, token,
};
use super::{NameEncoding, SyntaxError, recover_tag};

/// The piece before the first message.
///
/// # Errors
/// [`SyntaxError`].
pub fn parse_append_head(octets: &[u8], names: NameEncoding) -> Result<AppendHead, SyntaxError> {
    let command = preceded((expect("APPEND", token("APPEND")), space), (mailbox(names), message));
    complete(octets, 0, separated_pair(tag_text, space, command))
        .map(|(tag, (mailbox, message))| AppendHead { tag, mailbox, message })
        .map_err(|reason| SyntaxError { tag: recover_tag(octets), reason })
}

/// The piece between two messages of the APPEND `tag`; `previous` is what was said of the one before. Octets in the
/// error count from the end of that one.
///
/// # Errors
/// [`SyntaxError`].
pub fn parse_append_next(
    octets: &[u8],
    tag: &str,
    previous: &AppendMessage,
) -> Result<AppendMessage, SyntaxError> {
    complete(octets, 0, preceded(end_of(previous), message))
        .map_err(|reason| SyntaxError { tag: Some(tag.to_owned()), reason })
}

/// The piece after the last message, as [`parse_append_next`].
///
/// # Errors
/// [`SyntaxError`].
pub fn parse_append_end(octets: &[u8], tag: &str, previous: &AppendMessage) -> Result<(), SyntaxError> {
    complete(octets, 0, end_of(previous)).map_err(|reason| SyntaxError { tag: Some(tag.to_owned()), reason })
}

/// `SP [flag-list SP] [date-time SP] ["UTF8" SP "("]`, up to where the literal is announced.
pub(super) fn message(input: Input<'_>) -> Parsed<'_, AppendMessage> {
    let (mut rest, ()) = space(input)?;
    let mut message = AppendMessage::default();
    if rest.starts_with(b"(") {
        (rest, message.flags) = terminated(list0(flag), space).parse(rest)?;
    }
    if rest.starts_with(b"\"") {
        (rest, message.internal_date) = map(terminated(date_time, space), Some).parse(rest)?;
    }
    map(opt(token("UTF8 (")), |utf8| AppendMessage { utf8: utf8.is_some(), ..message.clone() }).parse(rest)
}

fn end_of<'a>(previous: &AppendMessage) -> impl FnMut(Input<'a>) -> Parsed<'a, ()> {
    let utf8 = previous.utf8;
    move |input| if utf8 { close(input) } else { Ok((input, ())) }
}
