//! Who a fetched message is from and for, read from its headers (`mailflow.md` 8). Pure.
//!
//! ```text
//! FetchHdrTags = tag *( "," tag )     ; "+X-Deliver-To,+Received,To,Cc"
//! tag          = [ "+" ] field-name   ; "+": a field that yields an address ends the search
//! ```
//!
//! In each element of a field the address inside `<...>` counts, else every word with an `@`; comments and quoted names
//! are not looked at, unless there is no address otherwise. Addresses are compared as a whole, ASCII case folded
//! (decision 221).

use bstr::{BString, ByteSlice};

use crate::address::{Mailbox, Path, RawPath, ReversePath, Utf8};
use crate::mailroot::links::{LinkTarget, Pop3Link};
use crate::message::{self, HeaderScanner};

/// Recipients of one message. Ours: each is a file of its own. A message with more goes to `Pop3SyncErrorAccount`.
pub(super) const RECIPIENTS_MAX: usize = 1000;

/// The recipients a link gives a message whose headers begin `head`; whether they are ours is the caller's question.
pub(super) fn recipients(link: &Pop3Link, fetch_hdr_tags: &str, head: &[u8]) -> Vec<Mailbox> {
    match &link.target {
        LinkTarget::Account { domain } | LinkTarget::Spool { domain } => {
            mailbox(format!("{}@{domain}", link.local_name).as_bytes()).into_iter().collect()
        }
        LinkTarget::Replace { domain, matching } => collect(head, fetch_hdr_tags, matching, |found| {
            mailbox(format!("{}@{domain}", found.local_part).as_bytes())
        }),
        LinkTarget::Append { suffix, matching } => {
            collect(head, fetch_hdr_tags, matching, |found| mailbox(format!("{found}{suffix}").as_bytes()))
        }
    }
}

/// The envelope sender: `Return-Path`, else `From`, else null. An empty `Return-Path` is the null path, for a message
/// that must not be answered.
pub(super) fn sender(head: &[u8]) -> ReversePath {
    let return_path = message::first(head, "Return-Path");
    if let Some(path) = return_path.and_then(|field| reverse_path(&field.value())) {
        return path;
    }
    let from = message::first(head, "From").and_then(|field| addresses(&field.value()).into_iter().next());
    from.map_or(ReversePath::Null, |mailbox| ReversePath::Path(Path { hops: Vec::new(), mailbox }))
}

fn reverse_path(value: &[u8]) -> Option<ReversePath> {
    match angles(value).next() {
        Some(inner) => ReversePath::parse(inner.trim()).ok(),
        None => ReversePath::parse(value).ok().filter(|path| !path.is_null()),
    }
}

fn collect(
    head: &[u8],
    fetch_hdr_tags: &str,
    matching: &[Box<str>],
    rename: impl Fn(&Mailbox) -> Option<Mailbox>,
) -> Vec<Mailbox> {
    let mut collected: Vec<Mailbox> = Vec::new();
    for tag in fetch_hdr_tags.split(',').map(str::trim) {
        let (name, is_last) = tag.strip_prefix('+').map_or((tag, false), |name| (name, true));
        for field in HeaderScanner::new(head).filter(|field| field.is(name)) {
            let found = addresses(&field.value());
            let wanted = found
                .iter()
                .filter(|found| matching.iter().any(|domain| found.domain.eq_ignore_ascii_case(domain)));
            let mut yields = false;
            for recipient in wanted.filter_map(&rename) {
                yields = true;
                if !collected.iter().any(|known| known.eq_ignore_ascii_case(&recipient)) {
                    collected.push(recipient);
                }
            }
            if is_last && yields {
                return collected;
            }
        }
    }
    collected
}

/// The addresses of a field's value, in order.
fn addresses(value: &[u8]) -> Vec<Mailbox> {
    let plain = without_comments_and_quotes(value);
    let found: Vec<Mailbox> = plain.split(|&byte| byte == b',').flat_map(element_addresses).collect();
    if found.is_empty() { words(value).collect() } else { found }
}

fn element_addresses(element: &[u8]) -> Vec<Mailbox> {
    let inside: Vec<Mailbox> = angles(element).filter_map(|inner| mailbox(inner.trim())).collect();
    if inside.is_empty() { words(element).collect() } else { inside }
}

/// What stands between each `<` and the next `>`.
fn angles(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'<').skip(1).filter_map(|rest| Some(&rest[..rest.find_byte(b'>')?]))
}

fn words(text: &[u8]) -> impl Iterator<Item = Mailbox> {
    const BETWEEN: &[u8] = b" \t\r\n<>()[]:;,\"\\";
    text.split(|byte| BETWEEN.contains(byte)).filter(|word| word.contains(&b'@')).filter_map(|word| {
        let word = word.strip_suffix(b".").unwrap_or(word);
        mailbox(word)
    })
}

/// A mailbox that fits into a spool header; a source route before it is dropped.
fn mailbox(text: &[u8]) -> Option<Mailbox> {
    match RawPath::parse(text, Utf8::Allowed) {
        Ok(RawPath::Path(path)) => Some(path.mailbox),
        _ => None,
    }
}

/// Quoted strings and comments (RFC 5322 §3.2.2, §3.2.4) become a blank; one that does not end is text.
fn without_comments_and_quotes(value: &[u8]) -> BString {
    let mut plain = BString::default();
    let mut at = 0;
    while at < value.len() {
        let end = match value[at] {
            b'"' => quoted_end(&value[at..]),
            b'(' => comment_end(&value[at..]),
            _ => None,
        };
        match end {
            Some(length) => {
                plain.push(b' ');
                at += length;
            }
            None => {
                plain.push(value[at]);
                at += 1;
            }
        }
    }
    plain
}

fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn comment_end(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.get(at)? {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::links::LinkOptions;
    use crate::mailroot::routing::HostPort;
    use crate::mailroot::schema::server::FETCH_HDR_TAGS;

    fn link(first_column: &str) -> Pop3Link {
        Pop3Link {
            line: 1,
            local_domain: first_column.into(),
            target: LinkTarget::parse(first_column),
            local_name: "all".into(),
            remote_host: "pop.test".into(),
            host: HostPort { host: "pop.test".into(), port: None },
            remote_user: "u".into(),
            password: "".into(),
            options: LinkOptions::default(),
            options_text: "".into(),
        }
    }

    fn check_with(tags: &str, first_column: &str, head: &str, expected: &str) {
        let head = head.replace('|', "\r\n");
        let found = recipients(&link(first_column), tags, head.as_bytes());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" "), expected, "{first_column} {head}");
    }

    fn check(first_column: &str, head: &str, expected: &str) {
        let tags = FETCH_HDR_TAGS.read(None).unwrap();
        check_with(tags, first_column, head, expected);
    }

    #[test]
    fn accounts_and_at_domains_take_everything() {
        check("home.test", "To: x@y.test||", "all@home.test");
        check("@home.test", "", "all@home.test");
    }

    #[test]
    fn addresses_in_the_listed_domains_are_renamed() {
        let head =
            "To: Carol <carol@second.test>, <nobody@example.test>|Cc: alice@EXAMPLE.test, x@other.test||";
        let both = "carol@new.test nobody@new.test alice@new.test";
        check("?new.test,example.test,second.test", head, both);
        let suffixed = "carol@second.test.local nobody@example.test.local alice@EXAMPLE.test.local";
        check("&.local,example.test,second.test", head, suffixed);
        check("?new.test,third.test", head, "");
        check("?new.test", head, "");
        check("?", head, "");
        check("?,example.test", head, "");
    }

    #[test]
    fn a_plus_field_that_yields_ends_the_search() {
        let to = "To: to@m.test|Cc: cc@m.test||";
        check("?n,m.test", &format!("X-Deliver-To: xd@m.test|{to}"), "xd@n");
        check("?n,m.test", &format!("X-Deliver-To: xd@other.test|{to}"), "to@n cc@n");
        let received = "Received: from a by b (envelope-from <s@m.test>)| for <top@m.test>; Mon, 1 Jan 2024|\
                        Received: from c by a for <low@m.test>; x|";
        check("?n,m.test", &format!("{received}{to}"), "top@n");
        check("?n,m.test", &format!("Received: from a by b for bare@m.test; Mon, 1 Jan 2024|{to}"), "bare@n");
        check_with("To,Cc", "?n,m.test", &format!("{received}{to}"), "to@n cc@n");
        check_with("Cc,+To", "?n,m.test", to, "cc@n to@n");
        check_with("", "?n,m.test", to, "");
    }

    #[test]
    fn whole_addresses_are_compared() {
        // XMail takes `b@m.test` for a part of `bob@m.test` and drops it.
        check("?n,m.test", "To: bob@m.test, b@m.test, BOB@m.test||", "bob@n b@n");
        check("?n,m1,m2", "To: bob@m1, bob@m2||", "bob@n");
    }

    #[test]
    fn names_and_comments_are_not_addresses() {
        check("?n,m.test", "To: \"bob@m.test\" <eve@other.test>||", "");
        check("?n,m.test", "To: bob@m.test <carol@m.test>, (dave@m.test) erin@m.test||", "carol@n erin@n");
        check("?n,m.test", "To: \"Last, First\" <bob@m.test>||", "bob@n");
        check("?n,m.test", "To: undisclosed: bob@m.test, carol@m.test;||", "bob@n carol@n");
        check("?n,m.test", "To: <@relay.test:bob@m.test>||", "bob@n");
        // Broken quoting hides nobody.
        check("?n,m.test", "To: \"bob@m.test||", "bob@n");
        check("?n,m.test", "To: nobody (bob@m.test)||", "bob@n");
        check("?n,m.test", "To: Fold <bob@m.test>,| carol@m.test.||", "bob@n carol@n");
    }

    #[test]
    fn what_is_no_address_is_left_out() {
        let long = "x".repeat(2000);
        check("?n,m.test", &format!("To: @m.test, bob@, a b@m.test, {long}@m.test, ../x@m.test||"), "b@n");
        check("? bad,m.test", "To: bob@m.test||", "");
    }

    #[test]
    fn the_sender_is_return_path_then_from_then_null() {
        let check = |head: &str, expected: &str| {
            let head = head.replace('|', "\r\n");
            assert_eq!(sender(head.as_bytes()).to_string(), expected, "{head}");
        };
        check("Return-Path: <orig@sender.test>|From: <f@sender.test>||", "orig@sender.test");
        check("Return-Path: orig@sender.test|From: <f@sender.test>||", "orig@sender.test");
        check("Return-Path: <>|From: <f@sender.test>||", "");
        check("Return-Path: <MAILER DAEMON>|From: \"F, N\" <f@sender.test>||", "f@sender.test");
        check("From: \"a@b.test\" <f@sender.test>, <g@sender.test>||", "f@sender.test");
        check("Subject: m4 no from||", "");
        check("From: nobody||", "");
    }
}
