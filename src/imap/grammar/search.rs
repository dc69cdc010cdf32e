//! SEARCH, SORT and THREAD: their search keys and return options.

use nom::Parser;
use nom::combinator::{cut, map, opt};
use nom::sequence::{preceded, separated_pair, terminated};

use super::super::command::{
    CommandBody, DateKind, DateRelation, EnvelopeField, Flag, Search, SearchKey, SearchReturn, Sort, Thread,
};
use super::fetch::{field_name, message_set};
use super::text::{
    Input, Parsed, argument, astring, atom_text, close, date, expect, expected, keyword, list0, list1,
    number64, nz_number, open, parenthesised, space, string, token, wrong,
};
use crate::mime::{SortCriterion, SortKey};

/// The body of a command of this room, of which the verb is read.
pub(super) fn body<'a>(verb: &str, by_uid: bool, rest: Input<'a>) -> Option<Parsed<'a, CommandBody>> {
    Some(match verb {
        "SEARCH" => argument(rest, |input| search(input, by_uid)),
        "SORT" => argument(rest, |input| sort(input, by_uid)),
        "THREAD" => argument(rest, |input| thread(input, by_uid)),
        _ => return None,
    })
}

/// `[search-return-opts SP] ["CHARSET" SP charset SP] search-key *(SP search-key)`.
fn search(input: Input<'_>, by_uid: bool) -> Parsed<'_, CommandBody> {
    let charset = opt(preceded(token("CHARSET "), cut(terminated(charset, space))));
    map((opt(returns), charset, search_program), |(returns, charset, key)| {
        CommandBody::Search(Search { by_uid, returns, charset, key })
    })
    .parse(input)
}

/// `[search-return-opts SP] "(" sort-criterion *(SP sort-criterion) ")" SP charset 1*(SP search-key)`.
fn sort(input: Input<'_>, by_uid: bool) -> Parsed<'_, CommandBody> {
    let criteria = terminated(parenthesised(sort_criterion), space);
    map((opt(returns), criteria, terminated(charset, space), search_program), |arguments| {
        let (returns, criteria, charset, key) = arguments;
        CommandBody::Sort(Sort { by_uid, returns, criteria, charset, key })
    })
    .parse(input)
}

/// `thread-alg SP charset 1*(SP search-key)`.
fn thread(input: Input<'_>, by_uid: bool) -> Parsed<'_, CommandBody> {
    let algorithm = terminated(expect("a threading algorithm", atom_text), space);
    map((algorithm, terminated(charset, space), search_program), |(algorithm, charset, key)| {
        CommandBody::Thread(Thread { by_uid, algorithm: algorithm.to_ascii_uppercase(), charset, key })
    })
    .parse(input)
}

/// `"RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")" SP`.
fn returns(input: Input<'_>) -> Parsed<'_, SearchReturn> {
    let option = keyword("MIN, MAX, COUNT, ALL or SAVE", |word| {
        let none = SearchReturn::default();
        Some(match word {
            "MIN" => SearchReturn { min: true, ..none },
            "MAX" => SearchReturn { max: true, ..none },
            "COUNT" => SearchReturn { count: true, ..none },
            "ALL" => SearchReturn { all: true, ..none },
            "SAVE" => SearchReturn { save: true, ..none },
            _ => return None,
        })
    });
    let options = preceded(token("RETURN "), cut(terminated(list0(option), space)));
    map(options, |options| merge(&options)).parse(input)
}

fn merge(options: &[SearchReturn]) -> SearchReturn {
    // `RETURN ()` is RETURN (ALL) (RFC 9051 section 6.4.4).
    let start = SearchReturn { all: options.is_empty(), ..SearchReturn::default() };
    options.iter().fold(start, |sum, option| SearchReturn {
        min: sum.min || option.min,
        max: sum.max || option.max,
        count: sum.count || option.count,
        all: sum.all || option.all,
        save: sum.save || option.save,
    })
}

fn charset(input: Input<'_>) -> Parsed<'_, String> {
    map(expect("a charset", astring), |name| String::from_utf8_lossy(&name).to_ascii_uppercase()).parse(input)
}

/// `["REVERSE" SP] sort-key`.
fn sort_criterion(input: Input<'_>) -> Parsed<'_, SortCriterion> {
    let key = keyword("a sort key", |word| {
        Some(match word {
            "ARRIVAL" => SortKey::Arrival,
            "CC" => SortKey::Cc,
            "DATE" => SortKey::Date,
            "FROM" => SortKey::From,
            "SIZE" => SortKey::Size,
            "SUBJECT" => SortKey::Subject,
            "TO" => SortKey::To,
            "DISPLAYFROM" => SortKey::DisplayFrom,
            "DISPLAYTO" => SortKey::DisplayTo,
            _ => return None,
        })
    });
    map((opt(token("REVERSE ")), key), |(reverse, key)| SortCriterion { reverse: reverse.is_some(), key })
        .parse(input)
}

/// `search-key *(SP search-key)`.
fn search_program(input: Input<'_>) -> Parsed<'_, SearchKey> {
    keys(input, 0)
}

fn keys(input: Input<'_>, depth: usize) -> Parsed<'_, SearchKey> {
    let (rest, mut keys) = list1(|input| search_key(input, depth)).parse(input)?;
    match (keys.len(), keys.pop()) {
        (1, Some(only)) => Ok((rest, only)),
        (_, last) => {
            keys.extend(last);
            Ok((rest, SearchKey::And(keys)))
        }
    }
}

fn search_key(input: Input<'_>, depth: usize) -> Parsed<'_, SearchKey> {
    match input.first() {
        _ if depth > SEARCH_DEPTH_MAX => wrong(input, "the search keys are nested too deeply"),
        Some(b'(') => preceded(open, cut(terminated(|input| keys(input, depth + 1), close))).parse(input),
        Some(b'0'..=b'9' | b'*' | b'$') => map(message_set, SearchKey::Messages).parse(input),
        _ => {
            let (rest, word) = keyword(A_SEARCH_KEY, |word| Some(word.to_owned())).parse(input)?;
            flag_key(&word)
                .map(|key| Ok((rest, key)))
                .or_else(|| operator(&word, depth + 1, rest))
                .or_else(|| text_key(&word, rest))
                .or_else(|| date_key(&word, rest))
                .or_else(|| value_key(&word, rest))
                .unwrap_or_else(|| expected(input, A_SEARCH_KEY))
        }
    }
}

/// Keys of one word.
fn flag_key(word: &str) -> Option<SearchKey> {
    use SearchKey::{HasFlag, LacksFlag};
    Some(match word {
        "ALL" => SearchKey::All,
        "ANSWERED" => HasFlag(Flag::Answered),
        "DELETED" => HasFlag(Flag::Deleted),
        "DRAFT" => HasFlag(Flag::Draft),
        "FLAGGED" => HasFlag(Flag::Flagged),
        "RECENT" => HasFlag(Flag::Recent),
        "SEEN" => HasFlag(Flag::Seen),
        "UNANSWERED" => LacksFlag(Flag::Answered),
        "UNDELETED" => LacksFlag(Flag::Deleted),
        "UNDRAFT" => LacksFlag(Flag::Draft),
        "UNFLAGGED" => LacksFlag(Flag::Flagged),
        "UNSEEN" => LacksFlag(Flag::Seen),
        "OLD" => LacksFlag(Flag::Recent),
        "NEW" => SearchKey::New,
        "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        _ => return None,
    })
}

/// `"NOT" SP search-key`, `"OR" SP search-key SP search-key`.
fn operator<'a>(word: &str, depth: usize, rest: Input<'a>) -> Option<Parsed<'a, SearchKey>> {
    let key = |input| search_key(input, depth);
    Some(match word {
        "NOT" => argument(rest, map(key, |key| SearchKey::Not(Box::new(key)))),
        "OR" => argument(
            rest,
            map(separated_pair(key, space, key), |(a, b)| SearchKey::Or(Box::new(a), Box::new(b))),
        ),
        _ => return None,
    })
}

/// Keys with a text to find.
fn text_key<'a>(word: &str, rest: Input<'a>) -> Option<Parsed<'a, SearchKey>> {
    let envelope = |field| move |text| SearchKey::Envelope(field, text);
    let text = || expect("a search string", astring);
    Some(match word {
        "BCC" => argument(rest, map(text(), envelope(EnvelopeField::Bcc))),
        "CC" => argument(rest, map(text(), envelope(EnvelopeField::Cc))),
        "FROM" => argument(rest, map(text(), envelope(EnvelopeField::From))),
        "SUBJECT" => argument(rest, map(text(), envelope(EnvelopeField::Subject))),
        "TO" => argument(rest, map(text(), envelope(EnvelopeField::To))),
        "BODY" => argument(rest, map(text(), SearchKey::Body)),
        "TEXT" => argument(rest, map(text(), SearchKey::Text)),
        "HEADER" => argument(
            rest,
            map(separated_pair(field_name, space, text()), |(name, value)| SearchKey::Header { name, value }),
        ),
        _ => return None,
    })
}

/// Keys with a date.
fn date_key<'a>(word: &str, rest: Input<'a>) -> Option<Parsed<'a, SearchKey>> {
    use {DateKind as Kind, DateRelation as Relation};
    let (kind, relation) = match word {
        "BEFORE" => (Kind::Internal, Relation::Before),
        "ON" => (Kind::Internal, Relation::On),
        "SINCE" => (Kind::Internal, Relation::Since),
        "SENTBEFORE" => (Kind::Sent, Relation::Before),
        "SENTON" => (Kind::Sent, Relation::On),
        "SENTSINCE" => (Kind::Sent, Relation::Since),
        "SAVEDBEFORE" => (Kind::Saved, Relation::Before),
        "SAVEDON" => (Kind::Saved, Relation::On),
        "SAVEDSINCE" => (Kind::Saved, Relation::Since),
        _ => return None,
    };
    Some(argument(rest, map(date, move |date| SearchKey::Date(kind, relation, date))))
}

/// Keys with a number, a flag, a set or an identifier.
fn value_key<'a>(word: &str, rest: Input<'a>) -> Option<Parsed<'a, SearchKey>> {
    Some(match word {
        "UID" => argument(rest, map(message_set, SearchKey::Uids)),
        "KEYWORD" => argument(rest, map(flag_keyword, SearchKey::HasFlag)),
        "UNKEYWORD" => argument(rest, map(flag_keyword, SearchKey::LacksFlag)),
        "LARGER" => argument(rest, map(number64, SearchKey::Larger)),
        "SMALLER" => argument(rest, map(number64, SearchKey::Smaller)),
        "YOUNGER" => argument(rest, map(nz_number, SearchKey::Younger)),
        "OLDER" => argument(rest, map(nz_number, SearchKey::Older)),
        "MODSEQ" => argument(rest, mod_seq),
        "EMAILID" => argument(rest, map(object_id, SearchKey::EmailId)),
        "THREADID" => argument(rest, map(object_id, SearchKey::ThreadId)),
        _ => return None,
    })
}

fn flag_keyword(input: Input<'_>) -> Parsed<'_, Flag> {
    map(expect("a keyword", atom_text), Flag::Keyword).parse(input)
}

/// `[entry-name SP entry-type-req SP] mod-sequence-valzer` (RFC 7162).
fn mod_seq(input: Input<'_>) -> Parsed<'_, SearchKey> {
    let kind = keyword("all, priv or shared", |word| matches!(word, "ALL" | "PRIV" | "SHARED").then_some(()));
    let entry = (string, cut(space), cut(kind), cut(space));
    let value = expect("a modification sequence", number64);
    map(preceded(opt(entry), value), SearchKey::ModSeq).parse(input)
}

/// `1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474).
fn object_id(input: Input<'_>) -> Parsed<'_, String> {
    let (rest, id) = expect("an object identifier", atom_text).parse(input)?;
    let is_id = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    if id.len() <= 255 && id.bytes().all(is_id) {
        Ok((rest, id))
    } else {
        expected(input, "an object identifier")
    }
}

/// Search keys inside each other: NOT, OR and parentheses. Ours: people write a handful, and recursion is bounded.
pub const SEARCH_DEPTH_MAX: usize = 100;

const A_SEARCH_KEY: &str = "a search key";
