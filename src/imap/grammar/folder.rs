//! Commands on mailboxes as a whole: SELECT, CREATE, LIST, STATUS, quotas and metadata.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt, peek};
use nom::sequence::{delimited, preceded, separated_pair, terminated};

use super::super::command::{
    CommandBody, GetMetadata, List, ListReturn, ListSelection, MailboxName, MetadataDepth, QResync, Select,
    StatusItem,
};
use super::super::sets::SequenceSet;
use super::NameEncoding;
use super::fetch::sequence_set;
use super::text::{
    Input, Parsed, argument, astring, atom_text, close, expect, keyword, list0, list1, literal8, mailbox,
    name, nstring, number64, nz_number, nz_number64, open, parenthesised, pattern, space, token, wrong,
};

/// The body of a command of this room, of which the verb is read.
pub(super) fn body<'a>(verb: &str, names: NameEncoding, rest: Input<'a>) -> Option<Parsed<'a, CommandBody>> {
    Some(match verb {
        "SELECT" => argument(rest, |input| select(input, names, false)),
        "EXAMINE" => argument(rest, |input| select(input, names, true)),
        "CREATE" => argument(rest, |input| create(input, names)),
        "DELETE" => argument(rest, map(mailbox(names), CommandBody::Delete)),
        "RENAME" => argument(
            rest,
            map(separated_pair(mailbox(names), space, mailbox(names)), |(from, to)| CommandBody::Rename {
                from,
                to,
            }),
        ),
        "SUBSCRIBE" => argument(rest, map(mailbox(names), CommandBody::Subscribe)),
        "UNSUBSCRIBE" => argument(rest, map(mailbox(names), CommandBody::Unsubscribe)),
        "LIST" => argument(rest, |input| list(input, names)),
        "LSUB" => argument(
            rest,
            map(separated_pair(name(names), space, pattern(names)), |(reference, pattern)| {
                CommandBody::Lsub { reference, pattern }
            }),
        ),
        "STATUS" => argument(
            rest,
            map(separated_pair(mailbox(names), space, parenthesised(status_item)), |(mailbox, items)| {
                CommandBody::Status { mailbox, items }
            }),
        ),
        "GETQUOTA" => argument(rest, map(expect(A_QUOTA_ROOT, astring), CommandBody::GetQuota)),
        "GETQUOTAROOT" => argument(rest, map(mailbox(names), CommandBody::GetQuotaRoot)),
        "SETQUOTA" => argument(rest, set_quota),
        "GETMETADATA" => argument(rest, |input| get_metadata(input, names)),
        "SETMETADATA" => argument(rest, |input| set_metadata(input, names)),
        "APPEND" => argument(rest, |input| append_without_literal(input, names)),
        _ => return None,
    })
}

/// APPEND as a whole line has no message: what is missing is told.
fn append_without_literal(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let (rest, _) = mailbox(names).parse(input)?;
    let (rest, _) = super::append::message(rest)?;
    wrong(rest, "expected the literal of a message")
}

enum SelectParameter {
    Condstore,
    QResync(QResync),
}

/// `mailbox [SP "(" select-param *(SP select-param) ")"]`.
fn select(input: Input<'_>, names: NameEncoding, read_only: bool) -> Parsed<'_, CommandBody> {
    let parameters = preceded(token(" ("), cut(terminated(list1(select_parameter), close)));
    let (rest, (mailbox, parameters)) = (mailbox(names), opt(parameters)).parse(input)?;
    let mut select = Select { mailbox, read_only, condstore: false, qresync: None };
    for parameter in parameters.into_iter().flatten() {
        match parameter {
            SelectParameter::Condstore => select.condstore = true,
            SelectParameter::QResync(qresync) => select.qresync = Some(qresync),
        }
    }
    Ok((rest, CommandBody::Select(select)))
}

fn select_parameter(input: Input<'_>) -> Parsed<'_, SelectParameter> {
    let known = |word: &str| match word {
        "CONDSTORE" => Some(false),
        "QRESYNC" => Some(true),
        _ => None,
    };
    let (rest, has_value) = keyword("CONDSTORE or QRESYNC", known).parse(input)?;
    if !has_value {
        return Ok((rest, SelectParameter::Condstore));
    }
    map(preceded(space, delimited(open, qresync, close)), SelectParameter::QResync).parse(rest)
}

/// `uidvalidity SP mod-sequence-value [SP known-uids] [SP "(" known-sequence-set SP known-uid-set ")"]`.
fn qresync(input: Input<'_>) -> Parsed<'_, QResync> {
    let known_uids = preceded((token(" "), peek(nom::bytes::complete::is_a("0123456789*"))), cut(known_set));
    let sets = separated_pair(known_set, space, known_set);
    let sequence_match = preceded(token(" ("), cut(terminated(sets, close)));
    let uid_validity = expect("a UIDVALIDITY", nz_number);
    let mod_seq = expect("a modification sequence", nz_number64);
    map((uid_validity, preceded(space, mod_seq), opt(known_uids), opt(sequence_match)), |parts| {
        let (uid_validity, mod_seq, known_uids, sequence_match) = parts;
        QResync { uid_validity, mod_seq, known_uids, sequence_match }
    })
    .parse(input)
}

/// A sequence set without `*`.
fn known_set(input: Input<'_>) -> Parsed<'_, SequenceSet> {
    let (rest, set) = sequence_set(input)?;
    if set.has_largest() { wrong(input, "* is not possible in this set") } else { Ok((rest, set)) }
}

/// `mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]` (RFC 6154).
fn create(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let attribute = preceded(expect("a special use like \\Sent", token("\\")), cut(atom_text));
    let special_use = preceded((expect("USE", token("USE")), space), list0(attribute));
    let parameters = preceded(token(" ("), cut(terminated(special_use, close)));
    map((mailbox(names), opt(parameters)), |(mailbox, special_use)| CommandBody::Create {
        mailbox,
        special_use: special_use.unwrap_or_default(),
    })
    .parse(input)
}

/// `[list-select-opts SP] mailbox SP mbox-or-pat [SP list-return-opts]` (RFC 5258).
fn list(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let (rest, selection) = opt(terminated(list0(list_selection), cut(space))).parse(input)?;
    let select = selection.iter().flatten().fold(ListSelection::default(), |sum, option| ListSelection {
        subscribed: sum.subscribed || option.subscribed,
        remote: sum.remote || option.remote,
        recursive_match: sum.recursive_match || option.recursive_match,
        special_use: sum.special_use || option.special_use,
    });
    if select.recursive_match && !select.subscribed && !select.special_use {
        return wrong(input, "RECURSIVEMATCH needs another selection option");
    }
    let one = map(pattern(names), |pattern| (false, vec![pattern]));
    let many = map(parenthesised(pattern(names)), |patterns| (true, patterns));
    let returns = preceded(token(" RETURN"), cut(preceded(space, list0(list_return))));
    let (rest, (reference, (several, patterns))) =
        separated_pair(name(names), space, alt((many, one))).parse(rest)?;
    let (rest, returns) = opt(returns).parse(rest)?;
    let extended = selection.is_some() || several || returns.is_some();
    let returns = merge_returns(returns.unwrap_or_default());
    Ok((rest, CommandBody::List(List { extended, select, reference, patterns, returns })))
}

fn list_selection(input: Input<'_>) -> Parsed<'_, ListSelection> {
    keyword("SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE", |word| {
        let none = ListSelection::default();
        Some(match word {
            "SUBSCRIBED" => ListSelection { subscribed: true, ..none },
            "REMOTE" => ListSelection { remote: true, ..none },
            "RECURSIVEMATCH" => ListSelection { recursive_match: true, ..none },
            "SPECIAL-USE" => ListSelection { special_use: true, ..none },
            _ => return None,
        })
    })
    .parse(input)
}

fn list_return(input: Input<'_>) -> Parsed<'_, ListReturn> {
    let none = ListReturn::default();
    let (rest, word) = keyword(A_RETURN_OPTION, |word| Some(word.to_owned())).parse(input)?;
    let option = match word.as_str() {
        "SUBSCRIBED" => ListReturn { subscribed: true, ..none },
        "CHILDREN" => ListReturn { children: true, ..none },
        "SPECIAL-USE" => ListReturn { special_use: true, ..none },
        "STATUS" => {
            let items = preceded(space, parenthesised(status_item));
            return map(items, |status| ListReturn { status, ..ListReturn::default() }).parse(rest);
        }
        _ => return super::text::expected(input, A_RETURN_OPTION),
    };
    Ok((rest, option))
}

fn merge_returns(options: Vec<ListReturn>) -> ListReturn {
    options.into_iter().fold(ListReturn::default(), |mut sum, option| {
        sum.subscribed |= option.subscribed;
        sum.children |= option.children;
        sum.special_use |= option.special_use;
        sum.status.extend(option.status);
        sum
    })
}

fn status_item(input: Input<'_>) -> Parsed<'_, StatusItem> {
    keyword("a status item", |word| {
        Some(match word {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "DELETED" => StatusItem::Deleted,
            "SIZE" => StatusItem::Size,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "MAILBOXID" => StatusItem::MailboxId,
            _ => return None,
        })
    })
    .parse(input)
}

/// `quota-root-name SP "(" [resource SP limit *(SP resource SP limit)] ")"` (RFC 9208).
fn set_quota(input: Input<'_>) -> Parsed<'_, CommandBody> {
    let resource = map(expect("a quota resource", atom_text), |resource| resource.to_ascii_uppercase());
    let limit = separated_pair(resource, space, number64);
    map(separated_pair(expect(A_QUOTA_ROOT, astring), space, list0(limit)), |(root, limits)| {
        CommandBody::SetQuota { root, limits }
    })
    .parse(input)
}

#[derive(Clone, Copy)]
enum MetadataOption {
    MaxSize(u64),
    Depth(MetadataDepth),
}

/// `[options SP] mailbox SP [options SP] entries`: the ABNF of RFC 5464 has options first, its examples second.
fn get_metadata(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let (rest, early) = opt(terminated(parenthesised(metadata_option), space)).parse(input)?;
    let (rest, mailbox) = terminated(mailbox(names), space).parse(rest)?;
    let starts_entries = rest.get(1).is_some_and(|octet| matches!(octet, b'/' | b'"' | b'{'));
    let (rest, late) = if starts_entries || rest.first() != Some(&b'(') {
        (rest, None)
    } else {
        map(terminated(parenthesised(metadata_option), space), Some).parse(rest)?
    };
    let (rest, entries) = alt((parenthesised(entry), map(entry, |entry| vec![entry]))).parse(rest)?;
    let mut asked =
        GetMetadata { mailbox: own_mailbox(mailbox), entries, max_size: None, depth: MetadataDepth::Zero };
    for option in early.into_iter().chain(late).flatten() {
        match option {
            MetadataOption::MaxSize(octets) => asked.max_size = Some(octets),
            MetadataOption::Depth(depth) => asked.depth = depth,
        }
    }
    Ok((rest, CommandBody::GetMetadata(asked)))
}

fn metadata_option(input: Input<'_>) -> Parsed<'_, MetadataOption> {
    let depth = keyword("0, 1 or infinity", |word| {
        Some(match word {
            "0" => MetadataDepth::Zero,
            "1" => MetadataDepth::One,
            "INFINITY" => MetadataDepth::Infinity,
            _ => return None,
        })
    });
    let max_size = map(preceded(token("MAXSIZE "), cut(number64)), MetadataOption::MaxSize);
    let depth = map(preceded(token("DEPTH "), cut(depth)), MetadataOption::Depth);
    expect("MAXSIZE or DEPTH", alt((max_size, depth))).parse(input)
}

/// `mailbox SP "(" entry SP value *(SP entry SP value) ")"`.
fn set_metadata(input: Input<'_>, names: NameEncoding) -> Parsed<'_, CommandBody> {
    let value = alt((map(literal8, Some), nstring));
    let values = parenthesised(separated_pair(entry, space, value));
    map(separated_pair(mailbox(names), space, values), |(mailbox, values)| CommandBody::SetMetadata {
        mailbox: own_mailbox(mailbox),
        values,
    })
    .parse(input)
}

/// An entry name: `/` and printing US-ASCII, no `*` or `%`, no empty component (RFC 5464 section 3.2).
fn entry(input: Input<'_>) -> Parsed<'_, String> {
    let (rest, octets) = expect("an entry name", astring).parse(input)?;
    let is_entry = octets.starts_with(b"/")
        && !octets.ends_with(b"/")
        && !octets.windows(2).any(|pair| pair == b"//")
        && octets.iter().all(|&octet| octet.is_ascii_graphic() && !matches!(octet, b'*' | b'%'));
    if !is_entry {
        return super::text::expected(input, "an entry name like /private/comment");
    }
    Ok((rest, String::from_utf8_lossy(&octets).to_ascii_lowercase()))
}

fn own_mailbox(mailbox: MailboxName) -> Option<MailboxName> {
    Some(mailbox).filter(|mailbox| !mailbox.as_str().is_empty())
}

const A_QUOTA_ROOT: &str = "a quota root";
const A_RETURN_OPTION: &str = "SUBSCRIBED, CHILDREN, SPECIAL-USE or STATUS";
