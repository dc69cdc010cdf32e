//! What is in a message, held against `rules.tab` (`jdmail.md` JD-56). Pure.
//!
//! Texts are compared without regard to case, after encoded words, transfer encodings, charsets and HTML tags are undone,
//! so that a keyword is found however it was sent. White space counts as one blank.

use std::path::Path;

use crate::mailroot::rules::{Condition, ContentRule, MessagePart};
use crate::mime::{self, Part, Scanner, TextDecoder};
use crate::tab::wildcard;

/// How much of a message is looked at, in bytes. Ours: junk is short, and a rule must not hold up large mail.
pub const LOOKED_AT_BYTES_MAX: usize = 1 << 20;

/// The first of the rules, each with its file, that holds for a message to `recipient`. `message` is its beginning, at most
/// [`LOOKED_AT_BYTES_MAX`] bytes, as it is stored.
pub fn first_rule<'a>(
    mut rules: impl Iterator<Item = (&'a Path, &'a ContentRule)>,
    recipient: &str,
    message: &[u8],
) -> Option<(&'a Path, &'a ContentRule)> {
    let mut content = Content::of(message);
    let mut holds = |condition: &Condition| condition.is_about(recipient) && content.holds(condition);
    rules.find(|(_, rule)| rule.conditions.iter().all(&mut holds))
}

/// A message, and its texts as far as they were asked for.
struct Content<'a> {
    message: &'a [u8],
    /// Name and folded value of each field.
    fields: Vec<(String, String)>,
    inside: Option<Inside>,
}

/// What takes a look at the whole message.
struct Inside {
    texts: Vec<String>,
    names: Vec<String>,
}

impl<'a> Content<'a> {
    fn of(message: &'a [u8]) -> Self {
        let fields = mime::fields(message).map(|field| {
            let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
            (name, plain(&mime::decoded_header(&mime::unfold(field.value))))
        });
        Self { message, fields: fields.collect(), inside: None }
    }

    fn holds(&mut self, condition: &Condition) -> bool {
        let wanted = plain(&condition.text);
        let fits = |text: &str| match condition.is_pattern {
            true => wildcard::matches(wanted.as_bytes(), text.as_bytes()),
            false => text.contains(&wanted),
        };
        let named = |names: &[&str]| {
            self.fields.iter().any(|(name, value)| names.contains(&name.as_str()) && fits(value))
        };
        match condition.part {
            MessagePart::Subject => named(&["subject"]),
            MessagePart::From => named(&["from", "sender", "reply-to"]),
            MessagePart::To => named(&["to", "cc"]),
            MessagePart::Header => self.fields.iter().any(|(name, value)| fits(&format!("{name}: {value}"))),
            MessagePart::Body => self.inside().texts.iter().any(|text| fits(text)),
            MessagePart::Attachment => self.inside().names.iter().any(|name| fits(name)),
        }
    }

    fn inside(&mut self) -> &Inside {
        let message = self.message;
        self.inside.get_or_insert_with(|| Inside::of(message))
    }
}

impl Inside {
    fn of(message: &[u8]) -> Self {
        let mut scanner = Scanner::new();
        scanner.push(message);
        let structure = scanner.finish().structure;
        let texts = structure.text_parts().map(|part| text_of(part, message)).collect();
        let names = structure.parts.iter().flat_map(names_of).collect();
        Self { texts, names }
    }
}

fn text_of(part: &Part, message: &[u8]) -> String {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(message.len());
    let body = message.get(at(part.body.start)..at(part.body.end)).unwrap_or_default();
    let (mut decoder, mut text) = (TextDecoder::new(part, true), String::new());
    decoder.push(body, &mut text);
    decoder.finish(&mut text);
    plain(&text)
}

/// The names that a part gives its file, decoded.
fn names_of(part: &Part) -> Vec<String> {
    let disposition = part.disposition.iter().flat_map(|one| one.params.iter());
    let named =
        disposition.chain(part.params.iter()).filter(|param| param.is("filename") || param.is("name"));
    named.map(|param| plain(&param.text())).collect()
}

/// A text as it is compared: folded, white space as single blanks.
fn plain(text: &str) -> String {
    let folded = mime::fold(text);
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::Table as _;
    use crate::mailroot::rules::Rules;

    fn first<'a>(rules: &'a Rules, recipient: &str, message: &[u8]) -> Option<&'a ContentRule> {
        let all = rules.rules().iter().map(|rule| (Path::new("rules.tab"), rule));
        first_rule(all, recipient, message).map(|(_, rule)| rule)
    }

    const MESSAGE: &str = "From: =?utf-8?B?5Y+R56Wo?= <Seller@junk.test>\r\nTo: anna@a.test\r\n\
        Subject: =?utf-8?Q?Gro=C3=9Fer?=\r\n =?utf-8?Q?_Gewinn?=\r\nX-Mailer: Bulk 2\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nPGI+Y2xpY2s8L2I+ICBoZXJl5Y+R56Wo\r\n--b\r\n\
        Content-Type: application/zip; name=\"Invoice.ZIP\"\r\n\r\nxx\r\n--b\r\n\
        Content-Type: application/x-a; name=\"=?utf-8?B?5Y+R56Wo?=.exe1\"\r\n\r\nxx\r\n--b\r\n\
        Content-Type: application/x-b\r\nContent-Disposition: attachment;\r\n filename*0*=gb2312''%B7%A2;\r\n\
        \x20filename*1*=%C6%B1%2e;\r\n filename*2=\"exe2\"\r\n\r\nxx\r\n--b--\r\n";

    #[track_caller]
    fn check(rows: &[[&str; 5]], expected: Option<&str>) {
        let text: String = rows
            .iter()
            .map(|row| format!("\"{}\"\n", [&row[..], &["junk"]].concat().join("\"\t\"")))
            .collect();
        let (rules, problems) = Rules::load(std::path::Path::new("rules.tab"), text.as_bytes());
        assert_eq!(problems, []);
        let found = first(&rules, "anna@a.test", MESSAGE.as_bytes());
        assert_eq!(found.map(|rule| &*rule.name), expected, "{text}");
    }

    /// JD-56.
    #[test]
    fn keywords_are_found_however_they_were_sent() {
        for (part, comparison, text, holds) in [
            ("subject", "contains", "grosser", true),
            ("subject", "contains", "großer gewinn", true),
            ("subject", "matches", "*gewinn", true),
            ("subject", "matches", "gewinn", false),
            ("from", "contains", "发票", true),
            ("from", "matches", "*<seller@*", true),
            ("to", "contains", "anna@", true),
            ("to", "contains", "seller", false),
            ("header", "matches", "x-mailer: bulk*", true),
            ("body", "contains", "click here发票", true),
            ("body", "contains", "<b>", false),
            ("attachment", "matches", "*.zip", true),
            ("attachment", "matches", "*.exe", false),
            ("attachment", "matches", "发票.exe1", true),
            ("attachment", "matches", "发票.exe2", true),
        ] {
            check(&[["r", "*", part, comparison, text]], holds.then_some("r"));
        }
    }

    #[test]
    fn all_conditions_of_a_rule_must_hold_and_the_first_rule_decides() {
        let bulk = ["two", "*", "header", "contains", "bulk"];
        check(&[["one", "*", "subject", "contains", "gewinn"], bulk], Some("one"));
        let both = [
            ["one", "*", "subject", "contains", "gewinn"],
            ["one", "*", "body", "contains", "nothing"],
            bulk,
        ];
        check(&both, Some("two"));
        check(&[["one", "*@b.test", "subject", "contains", "gewinn"]], None);
        check(&[["one", "*@a.test", "subject", "contains", "gewinn"]], Some("one"));
    }

    #[test]
    fn no_message_makes_a_rule_panic() {
        let (rules, _) = Rules::load(
            std::path::Path::new("rules.tab"),
            b"\"r\"\t\"*\"\t\"body\"\t\"contains\"\t\"zzz\"\t\"junk\"\n\"s\"\t\"*\"\t\"attachment\"\t\"matches\"\t\"zzz\"\t\"junk\"\n",
        );
        for end in 0..MESSAGE.len() {
            assert!(first(&rules, "a@a.test", &MESSAGE.as_bytes()[..end]).is_none());
        }
    }
}
