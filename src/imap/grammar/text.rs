//! The words of the grammar: atoms, strings, literals, numbers, lists, dates; and how a mismatch is told.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take, take_while, take_while_m_n, take_while1};
use nom::combinator::{cut, map, opt};
use nom::error::{ErrorKind, ParseError};
use nom::sequence::{delimited, preceded, terminated};
use nom::{Err, IResult, Parser};

use super::super::command::{Flag, MailboxName};
use super::NameEncoding;
use crate::mutf7::NameError;

pub(super) type Input<'a> = &'a [u8];
pub(super) type Parsed<'a, T> = IResult<Input<'a>, T, Mismatch<'a>>;

/// Where input stops making sense, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch<'a> {
    /// The octets from there on.
    at: Input<'a>,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    /// Something else must stand here.
    Expected(&'static str),
    /// What stands here is well-formed and still not possible.
    Wrong(&'static str),
    /// What stands here is no mailbox name.
    Name(NameError),
}

impl<'a> ParseError<Input<'a>> for Mismatch<'a> {
    fn from_error_kind(at: Input<'a>, _: ErrorKind) -> Self {
        Self { at, problem: Problem::Expected("something else") }
    }

    fn append(_: Input<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }

    /// Of two alternatives the one that came further knows more.
    fn or(self, other: Self) -> Self {
        if self.at.len() < other.at.len() { self } else { other }
    }
}

impl Mismatch<'_> {
    fn reason(&self, octets: Input<'_>, before: usize) -> String {
        let octet = before + octets.len() - self.at.len() + 1;
        match &self.problem {
            Problem::Expected(what) => format!("expected {what} at octet {octet}"),
            Problem::Wrong(what) => format!("{what} at octet {octet}"),
            Problem::Name(error) => format!("{error} at octet {octet}"),
        }
    }
}

/// What `parser` makes of all of `octets`, spaces at the end aside; `before` octets of the command came earlier.
pub(super) fn complete<'a, T>(
    octets: Input<'a>,
    before: usize,
    parser: impl Parser<Input<'a>, Output = T, Error = Mismatch<'a>>,
) -> Result<T, String> {
    let end = (take_while(|octet| octet == b' '), expect("the end of the command", nom::combinator::eof));
    match terminated(parser, end).parse(octets) {
        Ok((_, value)) => Ok(value),
        Err(Err::Error(mismatch) | Err::Failure(mismatch)) => Err(mismatch.reason(octets, before)),
        // The parsers are the `complete` ones; should one ask for more, the command has ended too early.
        Err(Err::Incomplete(_)) => Err(format!("expected more at octet {}", before + octets.len() + 1)),
    }
}

/// `parser`, called `what` when it fails at its first octet.
pub(super) fn expect<'a, T>(
    what: &'static str,
    mut parser: impl Parser<Input<'a>, Output = T, Error = Mismatch<'a>>,
) -> impl FnMut(Input<'a>) -> Parsed<'a, T> {
    move |input| match parser.parse(input) {
        Err(Err::Error(mismatch)) if mismatch.at.len() == input.len() => expected(input, what),
        other => other,
    }
}

/// A mismatch another alternative may mend.
pub(super) fn expected<'a, T>(at: Input<'a>, what: &'static str) -> Parsed<'a, T> {
    Err(Err::Error(Mismatch { at, problem: Problem::Expected(what) }))
}

/// A mismatch nothing can mend.
pub(super) fn wrong<'a, T>(at: Input<'a>, what: &'static str) -> Parsed<'a, T> {
    Err(Err::Failure(Mismatch { at, problem: Problem::Wrong(what) }))
}

/// SP.
pub(super) fn space(input: Input<'_>) -> Parsed<'_, ()> {
    map(expect("a space", tag(" ")), |_| ()).parse(input)
}

/// `SP` and a verb's arguments.
pub(super) fn argument<'a, T>(
    rest: Input<'a>,
    parser: impl Parser<Input<'a>, Output = T, Error = Mismatch<'a>>,
) -> Parsed<'a, T> {
    cut(preceded(space, parser)).parse(rest)
}

/// Exactly these octets; letters in any case. Wrap it in [`expect`] unless it is optional.
pub(super) fn token<'a>(octets: &'static str) -> impl Parser<Input<'a>, Output = (), Error = Mismatch<'a>> {
    map(tag_no_case(octets), |_| ())
}

pub(super) fn open(input: Input<'_>) -> Parsed<'_, ()> {
    expect("(", token("(")).parse(input)
}

pub(super) fn close(input: Input<'_>) -> Parsed<'_, ()> {
    expect(")", token(")")).parse(input)
}

/// A word of letters, digits, `-`, `.` and `_`, given in capitals to `meaning`.
pub(super) fn keyword<'a, T>(
    what: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> impl FnMut(Input<'a>) -> Parsed<'a, T> {
    move |input| {
        let (rest, word) = expect(what, take_while1(is_word_char)).parse(input)?;
        match meaning(&to_text(word).to_ascii_uppercase()) {
            Some(value) => Ok((rest, value)),
            None => expected(input, what),
        }
    }
}

/// `item *(SP item)`.
pub(super) fn list1<'a, T>(
    mut item: impl Parser<Input<'a>, Output = T, Error = Mismatch<'a>>,
) -> impl FnMut(Input<'a>) -> Parsed<'a, Vec<T>> {
    move |input| {
        let (mut rest, first) = item.parse(input)?;
        let mut items = vec![first];
        // A space before the line end is no separator.
        while let [b' ', after @ ..] = rest
            && !after.iter().all(|&octet| octet == b' ')
        {
            let (after, next) = item.parse(after).map_err(to_failure)?;
            items.push(next);
            rest = after;
        }
        Ok((rest, items))
    }
}

/// `"(" item *(SP item) ")"`.
pub(super) fn parenthesised<'a, T>(
    item: impl Parser<Input<'a>, Output = T, Error = Mismatch<'a>>,
) -> impl Parser<Input<'a>, Output = Vec<T>, Error = Mismatch<'a>> {
    delimited(open, cut(list1(item)), cut(close))
}

/// `"(" [item *(SP item)] ")"`.
pub(super) fn list0<'a, T>(
    item: impl Parser<Input<'a>, Output = T, Error = Mismatch<'a>>,
) -> impl Parser<Input<'a>, Output = Vec<T>, Error = Mismatch<'a>> {
    alt((map(token("()"), |()| Vec::new()), parenthesised(item)))
}

/// `1*<any ASTRING-CHAR except "+">`.
pub(super) fn tag_text(input: Input<'_>) -> Parsed<'_, String> {
    let (rest, tag) = expect("a tag", take_while1(is_tag_char)).parse(input)?;
    if tag.len() > super::TAG_OCTETS_MAX {
        wrong(input, "the tag is too long")
    } else {
        Ok((rest, to_text(tag)))
    }
}

/// `1*ATOM-CHAR`.
pub(super) fn atom_text(input: Input<'_>) -> Parsed<'_, String> {
    map(expect("an atom", take_while1(is_atom_char)), to_text).parse(input)
}

/// Base64 characters; whether they are base64 is for the mechanism to say.
pub(super) fn base64_text(input: Input<'_>) -> Parsed<'_, String> {
    let is_base64 = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    map(take_while1(is_base64), to_text).parse(input)
}

/// `1*ASTRING-CHAR / string`.
pub(super) fn astring(input: Input<'_>) -> Parsed<'_, Vec<u8>> {
    expect("a string", alt((map(take_while1(is_astring_char), <[u8]>::to_vec), string))).parse(input)
}

/// `1*list-char / string` (RFC 9051 `list-mailbox`).
fn list_string(input: Input<'_>) -> Parsed<'_, Vec<u8>> {
    let is_list_char = |octet| is_astring_char(octet) || matches!(octet, b'%' | b'*');
    alt((map(take_while1(is_list_char), <[u8]>::to_vec), string)).parse(input)
}

/// `quoted / literal`.
pub(super) fn string(input: Input<'_>) -> Parsed<'_, Vec<u8>> {
    expect("a string", alt((quoted, literal))).parse(input)
}

/// `string / NIL`.
pub(super) fn nstring(input: Input<'_>) -> Parsed<'_, Option<Vec<u8>>> {
    expect("a string or NIL", alt((map(token("NIL"), |()| None), map(string, Some)))).parse(input)
}

/// `literal8`: may hold NUL (RFC 3516).
pub(super) fn literal8(input: Input<'_>) -> Parsed<'_, Vec<u8>> {
    map(preceded(tag("~"), cut(literal_octets)), <[u8]>::to_vec).parse(input)
}

fn quoted(input: Input<'_>) -> Parsed<'_, Vec<u8>> {
    let (mut rest, _) = tag("\"").parse(input)?;
    let mut text = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Ok((after, text)),
            [b'\\', octet @ (b'"' | b'\\'), after @ ..] => {
                text.push(*octet);
                rest = after;
            }
            [b'\\', ..] => return wrong(rest, "only \\ and \" may follow a \\"),
            [b'\0' | b'\r' | b'\n', ..] => return wrong(rest, "a quoted string cannot hold this octet"),
            [octet, after @ ..] => {
                text.push(*octet);
                rest = after;
            }
            [] => return wrong(rest, "the quoted string has no end"),
        }
    }
}

fn literal(input: Input<'_>) -> Parsed<'_, Vec<u8>> {
    let (rest, octets) = literal_octets(input)?;
    if octets.contains(&0) { wrong(input, "a literal cannot hold NUL") } else { Ok((rest, octets.to_vec())) }
}

fn literal_octets(input: Input<'_>) -> Parsed<'_, &[u8]> {
    let head = delimited(tag("{"), number64, (opt(tag("+")), tag("}\r\n")));
    let (rest, size) = expect("a literal", head).parse(input)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    expect("the octets of the literal", take(size)).parse(rest)
}

/// `astring` as a mailbox name.
pub(super) fn mailbox<'a>(names: NameEncoding) -> impl FnMut(Input<'a>) -> Parsed<'a, MailboxName> {
    move |input| map(name(names), MailboxName::new).parse(input)
}

/// `astring` as the text of a name that may be incomplete, as references are.
pub(super) fn name<'a>(names: NameEncoding) -> impl FnMut(Input<'a>) -> Parsed<'a, String> {
    move |input| decoded(input, names, expect("a mailbox name", astring))
}

/// `list-mailbox`.
pub(super) fn pattern<'a>(names: NameEncoding) -> impl FnMut(Input<'a>) -> Parsed<'a, String> {
    move |input| decoded(input, names, expect("a mailbox name or pattern", list_string))
}

fn decoded<'a>(
    input: Input<'a>,
    names: NameEncoding,
    mut parser: impl Parser<Input<'a>, Output = Vec<u8>, Error = Mismatch<'a>>,
) -> Parsed<'a, String> {
    let (rest, octets) = parser.parse(input)?;
    match names.decode(&octets) {
        Ok(name) => Ok((rest, name)),
        Err(error) => Err(Err::Failure(Mismatch { at: input, problem: Problem::Name(error) })),
    }
}

/// `"\" atom / atom`.
pub(super) fn flag(input: Input<'_>) -> Parsed<'_, Flag> {
    let extension = preceded(token("\\"), cut(expect("the flag's name", atom_text)));
    expect("a flag", alt((map(extension, system_flag), map(atom_text, Flag::Keyword)))).parse(input)
}

fn system_flag(name: String) -> Flag {
    match name.to_ascii_uppercase().as_str() {
        "ANSWERED" => Flag::Answered,
        "FLAGGED" => Flag::Flagged,
        "DELETED" => Flag::Deleted,
        "SEEN" => Flag::Seen,
        "DRAFT" => Flag::Draft,
        "RECENT" => Flag::Recent,
        _ => Flag::Extension(name),
    }
}

/// `number64`: up to 2^63-1.
pub(super) fn number64(input: Input<'_>) -> Parsed<'_, u64> {
    let (rest, digits) = expect("a number", take_while1(|octet: u8| octet.is_ascii_digit())).parse(input)?;
    match to_text(digits).parse::<u64>() {
        Ok(number) if number <= NUMBER64_MAX => Ok((rest, number)),
        _ => wrong(input, "the number is too large"),
    }
}

/// `number64` that is not 0 (`mod-sequence-value`).
pub(super) fn nz_number64(input: Input<'_>) -> Parsed<'_, u64> {
    match number64(input)? {
        (_, 0) => expected(input, "a number other than 0"),
        other => Ok(other),
    }
}

/// `nz-number`.
pub(super) fn nz_number(input: Input<'_>) -> Parsed<'_, u32> {
    let (rest, number) = nz_number64(input)?;
    match u32::try_from(number) {
        Ok(number) => Ok((rest, number)),
        Err(_) => wrong(input, "the number is too large"),
    }
}

/// `date-text / DQUOTE date-text DQUOTE`: `1-Feb-1994`.
pub(super) fn date(input: Input<'_>) -> Parsed<'_, Date> {
    let (rest, date) =
        alt((delimited(token("\""), day, token("\"")), day)).parse(input).map_err(at(input))?;
    match date {
        Some(date) => Ok((rest, date)),
        None => expected(input, A_DATE),
    }
}

/// `DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`: `"17-Jul-1996 02:44:25 -0700"`.
pub(super) fn date_time(input: Input<'_>) -> Parsed<'_, Timestamp> {
    let fields = (preceded(opt(token(" ")), day), preceded(token(" "), time), preceded(token(" "), zone));
    let (rest, fields) = delimited(token("\""), fields, token("\"")).parse(input).map_err(at_time(input))?;
    let (Some(date), Some(time), Some(zone)) = fields else { return expected(input, A_DATE_TIME) };
    match zone.to_timestamp(DateTime::from_parts(date, time)) {
        Ok(timestamp) => Ok((rest, timestamp)),
        Err(_) => expected(input, A_DATE_TIME),
    }
}

fn day(input: Input<'_>) -> Parsed<'_, Option<Date>> {
    let month = take_while_m_n(3, 3, |octet: u8| octet.is_ascii_alphabetic());
    let (rest, (day, _, month, _, year)) =
        (digits(1, 2), token("-"), month, token("-"), digits(4, 4)).parse(input)?;
    let month = MONTHS.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(month));
    let date = month.and_then(|month| Date::new(year as i16, month as i8 + 1, day as i8).ok());
    Ok((rest, date))
}

fn time(input: Input<'_>) -> Parsed<'_, Option<Time>> {
    let (rest, (hour, _, minute, _, second)) =
        (digits(2, 2), token(":"), digits(2, 2), token(":"), digits(2, 2)).parse(input)?;
    // A leap second is the last second of its minute here.
    let second = if second == 60 { 59 } else { second };
    Ok((rest, Time::new(hour as i8, minute as i8, second as i8, 0).ok()))
}

fn zone(input: Input<'_>) -> Parsed<'_, Option<Offset>> {
    let sign = alt((map(tag("+"), |_| 1), map(tag("-"), |_| -1)));
    let (rest, (sign, hours, minutes)) = (sign, digits(2, 2), digits(2, 2)).parse(input)?;
    let seconds = sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60);
    Ok((rest, if minutes < 60 { Offset::from_seconds(seconds).ok() } else { None }))
}

/// `min` to `max` digits, four at most.
fn digits<'a>(min: usize, max: usize) -> impl Parser<Input<'a>, Output = u16, Error = Mismatch<'a>> {
    map(take_while_m_n(min, max, |octet: u8| octet.is_ascii_digit()), |digits: &[u8]| {
        digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))
    })
}

/// Dates are told as a whole: the one octet that is wrong in them says little.
fn at<'a>(input: Input<'a>) -> impl Fn(Err<Mismatch<'a>>) -> Err<Mismatch<'a>> {
    move |_| Err::Error(Mismatch { at: input, problem: Problem::Expected(A_DATE) })
}

fn at_time<'a>(input: Input<'a>) -> impl Fn(Err<Mismatch<'a>>) -> Err<Mismatch<'a>> {
    move |_| Err::Error(Mismatch { at: input, problem: Problem::Expected(A_DATE_TIME) })
}

fn to_failure<T>(error: Err<T>) -> Err<T> {
    match error {
        Err::Error(mismatch) => Err::Failure(mismatch),
        other => other,
    }
}

/// Text of octets the grammar has found to be US-ASCII.
fn to_text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// RFC 9051 `ATOM-CHAR`.
pub(super) fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// RFC 9051 `ASTRING-CHAR`.
pub(in crate::imap) fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

/// What tags are made of.
pub(super) fn is_tag_char(octet: u8) -> bool {
    is_astring_char(octet) && octet != b'+'
}

fn is_word_char(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_')
}

/// The largest `number64` (RFC 9051 section 9).
const NUMBER64_MAX: u64 = i64::MAX as u64;

/// RFC 9051 `date-month`.
pub(in crate::imap) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const A_DATE: &str = "a date like 1-Feb-1994";
const A_DATE_TIME: &str = "a date and time like \"17-Jul-1996 02:44:25 -0700\"";
