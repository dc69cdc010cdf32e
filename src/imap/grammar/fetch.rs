//! Commands on messages by number: FETCH, STORE, COPY, MOVE, UID EXPUNGE; and sequence sets.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::combinator::{cut, map, opt};
use nom::sequence::{delimited, preceded, separated_pair, terminated};

use super::super::command::{
    CommandBody, Fetch, FetchItem, Flag, Partial, Section, SectionText, Store, StoreAction, Transfer,
};
use super::super::sets::{MessageSet, SequenceNumber, SequenceSet};
use super::NameEncoding;
use super::text::{
    Input, Mismatch, Parsed, argument, astring, expect, expected, flag, keyword, list0, list1, mailbox,
    number64, nz_number, nz_number64, parenthesised, space, token, wrong,
};

/// The body of a command of this room, of which the verb is read.
pub(super) fn body<'a>(
    verb: &str,
    by_uid: bool,
    names: NameEncoding,
    rest: Input<'a>,
) -> Option<Parsed<'a, CommandBody>> {
    Some(match verb {
        "FETCH" => argument(rest, |input| fetch(input, by_uid)),
        "STORE" => argument(rest, |input| store(input, by_uid)),
        "COPY" => argument(rest, map(transfer(by_uid, names), CommandBody::Copy)),
        "MOVE" => argument(rest, map(transfer(by_uid, names), CommandBody::Move)),
        "EXPUNGE" if by_uid => {
            argument(rest, map(message_set, |uids| CommandBody::Expunge { uids: Some(uids) }))
        }
        _ => return None,
    })
}

/// `sequence-set / seq-last-command`.
pub(super) fn message_set(input: Input<'_>) -> Parsed<'_, MessageSet> {
    let saved = map(token("$"), |()| MessageSet::SavedResult);
    expect("a sequence set", alt((saved, map(sequence_set, MessageSet::Numbers)))).parse(input)
}

/// `(seq-number / seq-range) *("," (seq-number / seq-range))`.
pub(super) fn sequence_set(input: Input<'_>) -> Parsed<'_, SequenceSet> {
    let (mut rest, first) = expect("a sequence set", sequence_range).parse(input)?;
    let mut ranges = vec![first];
    while let [b',', after @ ..] = rest {
        let (after, range) = cut(sequence_range).parse(after)?;
        ranges.push(range);
        rest = after;
    }
    Ok((rest, SequenceSet::new(ranges)))
}

fn sequence_range(input: Input<'_>) -> Parsed<'_, (SequenceNumber, SequenceNumber)> {
    let (rest, first) = sequence_number(input)?;
    map(opt(preceded(token(":"), cut(sequence_number))), |last| (first, last.unwrap_or(first))).parse(rest)
}

fn sequence_number(input: Input<'_>) -> Parsed<'_, SequenceNumber> {
    let largest = map(token("*"), |()| SequenceNumber::Largest);
    expect("a message number or *", alt((largest, map(nz_number, SequenceNumber::Number)))).parse(input)
}

/// `sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]`.
fn fetch(input: Input<'_>, by_uid: bool) -> Parsed<'_, CommandBody> {
    let items = alt((parenthesised(fetch_item), fetch_macro, map(fetch_item, |item| vec![item])));
    let (rest, (messages, items)) =
        separated_pair(message_set, space, expect("what to fetch", items)).parse(input)?;
    let modifiers = preceded(token(" ("), cut(terminated(list1(fetch_modifier), expect(")", token(")")))));
    let (after, modifiers) = map(opt(modifiers), Option::unwrap_or_default).parse(rest)?;
    let changed_since = modifiers.iter().find_map(|modifier| *modifier);
    let vanished = modifiers.contains(&None);
    if vanished && !(by_uid && changed_since.is_some()) {
        return wrong(rest, "VANISHED goes with UID FETCH and CHANGEDSINCE only");
    }
    Ok((after, CommandBody::Fetch(Fetch { by_uid, messages, items, changed_since, vanished })))
}

/// `"CHANGEDSINCE" SP mod-sequence-value / "VANISHED"` (RFC 7162): the sequence or `None` for VANISHED.
fn fetch_modifier(input: Input<'_>) -> Parsed<'_, Option<u64>> {
    let known = |word: &str| match word {
        "CHANGEDSINCE" => Some(true),
        "VANISHED" => Some(false),
        _ => None,
    };
    let (rest, has_value) = keyword("CHANGEDSINCE or VANISHED", known).parse(input)?;
    if has_value { map(preceded(space, number64), Some).parse(rest) } else { Ok((rest, None)) }
}

fn fetch_macro(input: Input<'_>) -> Parsed<'_, Vec<FetchItem>> {
    let known = |word: &str| {
        let fast = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
        Some(match word {
            "FAST" => fast,
            "ALL" => [fast, vec![FetchItem::Envelope]].concat(),
            "FULL" => [fast, vec![FetchItem::Envelope, FetchItem::Body]].concat(),
            _ => return None,
        })
    };
    keyword(A_FETCH_ITEM, known).parse(input)
}

fn fetch_item(input: Input<'_>) -> Parsed<'_, FetchItem> {
    // A word, then what some words want after it.
    let (rest, word) = keyword(A_FETCH_ITEM, |word| Some(word.to_owned())).parse(input)?;
    let has_section = rest.first() == Some(&b'[');
    let item = match word.as_str() {
        "BODY" | "BODY.PEEK" if has_section => return section_item(rest, word == "BODY.PEEK"),
        "BINARY" | "BINARY.PEEK" if has_section => return binary_item(rest, word == "BINARY.PEEK"),
        "BINARY.SIZE" if has_section => {
            return map(binary_part, |part| FetchItem::BinarySize { part }).parse(rest);
        }
        "BODY.PEEK" | "BINARY" | "BINARY.PEEK" | "BINARY.SIZE" => return expected(rest, "["),
        "PREVIEW" => return preview(rest),
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "ENVELOPE" => FetchItem::Envelope,
        "BODY" => FetchItem::Body,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "UID" => FetchItem::Uid,
        "MODSEQ" => FetchItem::ModSeq,
        "EMAILID" => FetchItem::EmailId,
        "THREADID" => FetchItem::ThreadId,
        "SAVEDATE" => FetchItem::SaveDate,
        _ => return expected(input, A_FETCH_ITEM),
    };
    Ok((rest, item))
}

/// `"PREVIEW" [SP "(" "LAZY" ")"]` (RFC 8970); of which PREVIEW is read. Fetch modifiers look alike up to the word.
fn preview(rest: Input<'_>) -> Parsed<'_, FetchItem> {
    map(opt(token(" (LAZY)")), |lazy| FetchItem::Preview { lazy: lazy.is_some() }).parse(rest)
}

fn section_item(input: Input<'_>, peek: bool) -> Parsed<'_, FetchItem> {
    let section = delimited(token("["), cut(section), cut(expect("]", token("]"))));
    map((section, opt(partial)), |(section, partial)| FetchItem::Section { peek, section, partial })
        .parse(input)
}

fn binary_item(input: Input<'_>, peek: bool) -> Parsed<'_, FetchItem> {
    map((binary_part, opt(partial)), |(part, partial)| FetchItem::Binary { peek, part, partial }).parse(input)
}

/// `"[" [section-part] "]"`.
fn binary_part(input: Input<'_>) -> Parsed<'_, Vec<u32>> {
    let part = map(opt(section_part), Option::unwrap_or_default);
    delimited(token("["), part, cut(expect("]", token("]")))).parse(input)
}

/// `nz-number *("." nz-number)`; a point before something else is left.
fn section_part(input: Input<'_>) -> Parsed<'_, Vec<u32>> {
    let (mut rest, first) = nz_number(input)?;
    let mut part = vec![first];
    while let [b'.', b'0'..=b'9', ..] = rest {
        let (after, number) = cut(nz_number).parse(&rest[1..])?;
        part.push(number);
        rest = after;
    }
    Ok((rest, part))
}

/// `[section-msgtext / (section-part ["." (section-msgtext / "MIME")])]`.
fn section(input: Input<'_>) -> Parsed<'_, Section> {
    match input {
        [b']', ..] => Ok((input, Section::default())),
        [b'0'..=b'9', ..] => {
            let (rest, part) = section_part(input)?;
            let text = preceded(token("."), cut(|input| section_text(input, true)));
            map(opt(text), |text| Section { part: part.clone(), text: text.unwrap_or_default() }).parse(rest)
        }
        _ => map(|input| section_text(input, false), |text| Section { part: Vec::new(), text }).parse(input),
    }
}

fn section_text(input: Input<'_>, of_part: bool) -> Parsed<'_, SectionText> {
    let fields = |input| preceded(space, parenthesised(field_name)).parse(input);
    let (rest, word) = keyword("a section", |word| Some(word.to_owned())).parse(input)?;
    match word.as_str() {
        "HEADER" => Ok((rest, SectionText::Header)),
        "TEXT" => Ok((rest, SectionText::Text)),
        "MIME" if of_part => Ok((rest, SectionText::Mime)),
        "MIME" => wrong(input, "MIME needs a part number"),
        "HEADER.FIELDS" => map(fields, SectionText::HeaderFields).parse(rest),
        "HEADER.FIELDS.NOT" => map(fields, SectionText::HeaderFieldsNot).parse(rest),
        _ => expected(input, "a section"),
    }
}

/// `astring`, of printing US-ASCII.
pub(super) fn field_name(input: Input<'_>) -> Parsed<'_, String> {
    let (rest, octets) = expect("a header field name", astring).parse(input)?;
    if !octets.iter().all(|&octet| matches!(octet, b' '..=b'~')) {
        return wrong(input, "the header field name is not US-ASCII");
    }
    Ok((rest, String::from_utf8_lossy(&octets).into_owned()))
}

/// `"<" number64 "." nz-number64 ">"`.
fn partial(input: Input<'_>) -> Parsed<'_, Partial> {
    let numbers = separated_pair(number64, expect(".", token(".")), nz_number64);
    map(delimited(token("<"), cut(numbers), cut(expect(">", token(">")))), |(start, count)| Partial {
        start,
        count,
    })
    .parse(input)
}

/// `sequence-set [SP "(" "UNCHANGEDSINCE" SP number ")"] SP store-att-flags`.
fn store(input: Input<'_>, by_uid: bool) -> Parsed<'_, CommandBody> {
    let since = (expect("UNCHANGEDSINCE", token("UNCHANGEDSINCE")), space);
    let unchanged_since =
        delimited(token(" ("), cut(preceded(since, number64)), cut(expect(")", token(")"))));
    let flags = alt((list0(flag), flags_without_parentheses));
    let arguments =
        (message_set, opt(unchanged_since), preceded(space, store_action), preceded(space, flags));
    map(arguments, |(messages, unchanged_since, (action, silent), flags)| {
        CommandBody::Store(Store { by_uid, messages, unchanged_since, action, silent, flags })
    })
    .parse(input)
}

/// `["+" / "-"] "FLAGS" [".SILENT"]`.
fn store_action(input: Input<'_>) -> Parsed<'_, (StoreAction, bool)> {
    let is_name = |octet: u8| octet.is_ascii_alphabetic() || matches!(octet, b'+' | b'-' | b'.');
    let (rest, name) = expect(A_STORE_ACTION, take_while1(is_name)).parse(input)?;
    let (action, name) = match name {
        [b'+', name @ ..] => (StoreAction::Add, name),
        [b'-', name @ ..] => (StoreAction::Remove, name),
        _ => (StoreAction::Replace, name),
    };
    match name.to_ascii_uppercase().as_slice() {
        b"FLAGS" => Ok((rest, (action, false))),
        b"FLAGS.SILENT" => Ok((rest, (action, true))),
        _ => expected(input, A_STORE_ACTION),
    }
}

fn flags_without_parentheses(input: Input<'_>) -> Parsed<'_, Vec<Flag>> {
    list1(flag).parse(input)
}

/// `sequence-set SP mailbox`.
fn transfer<'a>(
    by_uid: bool,
    names: NameEncoding,
) -> impl Parser<Input<'a>, Output = Transfer, Error = Mismatch<'a>> {
    map(separated_pair(message_set, space, mailbox(names)), move |(messages, mailbox)| Transfer {
        by_uid,
        messages,
        mailbox,
    })
}

const A_FETCH_ITEM: &str = "a fetch item";
const A_STORE_ACTION: &str = "FLAGS, +FLAGS or -FLAGS, with or without .SILENT";
