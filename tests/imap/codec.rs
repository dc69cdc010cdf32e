//! imap-codec reads every answer of the dialogues, but for what it does not know: that is listed.

use std::collections::BTreeSet;

use fancy_regex::Regex;
use imap_codec::decode::Decoder;
use imap_codec::{GreetingCodec, ResponseCodec};

use crate::dialogues;

/// Something imap-codec does not know. Without it, the answer must be readable.
struct Gap {
    what: &'static str,
    pattern: &'static str,
    instead: &'static str,
}

/// What imap-codec 2.0.0-alpha.10 does not know.
const GAPS: &[Gap] = &[
    Gap { what: "ESEARCH", pattern: r"^\* ESEARCH .*", instead: "* SEARCH\r\n" },
    Gap { what: "CHILDINFO", pattern: r#" \("CHILDINFO" \("SUBSCRIBED"\)\)"#, instead: "" },
    Gap {
        what: "mailbox names in UTF-8",
        pattern: r#"^(\* (?:LIST \([^)]*\) "/"|STATUS)) "[^"]*[^\x00-\x7f][^"]*""#,
        instead: "$1 x",
    },
    Gap { what: "STATUS MAILBOXID", pattern: r"MAILBOXID \(F\d+\)", instead: "MESSAGES 0" },
    Gap { what: "STATUS APPENDLIMIT", pattern: r"APPENDLIMIT (?:\d+|NIL)", instead: "MESSAGES 0" },
    Gap { what: "PREVIEW", pattern: r#"PREVIEW (?:"[^"]*"|\{\d+\}\r\n[^)]*)"#, instead: "UID 1" },
    Gap { what: "EMAILID", pattern: r"EMAILID \(M[0-9a-f]{32}\)", instead: "UID 1" },
    Gap { what: "THREADID", pattern: r"THREADID NIL", instead: "UID 1" },
    Gap { what: "SAVEDATE", pattern: r"SAVEDATE NIL", instead: "UID 1" },
    Gap { what: "where a part of BINARY begins", pattern: r"(BINARY\[\d+\])<\d+>", instead: "$1" },
];

/// Whether imap-codec reads exactly this, as a response or as a greeting.
fn is_read(answer: &[u8]) -> bool {
    let as_response = ResponseCodec::new().decode(answer).is_ok_and(|(rest, _)| rest.is_empty());
    as_response || GreetingCodec::new().decode(answer).is_ok_and(|(rest, _)| rest.is_empty())
}

/// Reads all answers.
pub(crate) fn another_implementation_reads_every_answer() {
    let gaps: Vec<Regex> =
        GAPS.iter().map(|gap| Regex::new(&format!("(?s){}", gap.pattern)).unwrap()).collect();
    let mut open = vec![true; gaps.len()];
    let mut unread = BTreeSet::new();
    let answers =
        dialogues().iter().flat_map(|dialogue| &dialogue.runs).flat_map(|(_, replayed)| &replayed.answers);
    for answer in answers.filter(|answer| !is_read(answer)) {
        // Octets as the characters of the same numbers.
        let mut text: String = answer.iter().map(|octet| char::from(*octet)).collect();
        for (nth, gap) in gaps.iter().enumerate() {
            let without = gap.replace_all(&text, GAPS[nth].instead).into_owned();
            open[nth] &= without == text;
            text = without;
        }
        let octets: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
        if !is_read(&octets) {
            unread.insert(String::from_utf8_lossy(answer).into_owned());
        }
    }
    assert!(unread.is_empty(), "\n{}", unread.into_iter().collect::<Vec<_>>().join("\n"));
    let closed: Vec<&str> =
        GAPS.iter().zip(&open).filter(|(_, open)| **open).map(|(gap, _)| gap.what).collect();
    assert!(closed.is_empty(), "imap-codec reads these now, or no dialogue has them: {closed:?}");
}
