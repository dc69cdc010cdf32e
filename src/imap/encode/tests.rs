use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use proptest::prelude::*;

use super::super::command::{CommandBody, MailboxName};
use super::super::grammar::parse;
use super::*;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn strings_take_the_shortest_form() {
    let long = "x".repeat(QUOTED_OCTETS_MAX + 1);
    for (octets, as_string, as_astring) in [
        (&b""[..], "\"\"".to_owned(), "\"\"".to_owned()),
        (b"a", "\"a\"".to_owned(), "a".to_owned()),
        (b"a b", "\"a b\"".to_owned(), "\"a b\"".to_owned()),
        (b"a]", "\"a]\"".to_owned(), "a]".to_owned()),
        (b"nil", "\"nil\"".to_owned(), "\"nil\"".to_owned()),
        (br#"a"\"#, r#""a\"\\""#.to_owned(), r#""a\"\\""#.to_owned()),
        (b"a\tb", "\"a\tb\"".to_owned(), "\"a\tb\"".to_owned()),
        (b"a\r\n", "{3}\r\na\r\n".to_owned(), "{3}\r\na\r\n".to_owned()),
        (b"\n", "{1}\r\n\n".to_owned(), "{1}\r\n\n".to_owned()),
        ("ü".as_bytes(), "{2}\r\nü".to_owned(), "{2}\r\nü".to_owned()),
        (long.as_bytes(), format!("{{1001}}\r\n{long}"), format!("{{1001}}\r\n{long}")),
        (&long.as_bytes()[1..], format!("\"{}\"", &long[1..]), long[1..].to_owned()),
    ] {
        assert_eq!(written(|out| string(out, octets)), as_string);
        assert_eq!(written(|out| nstring(out, Some(octets))), as_string);
        assert_eq!(written(|out| astring(out, octets)), as_astring);
        assert_eq!(written(|out| literal8(out, octets)), as_string);
    }
    assert_eq!(written(|out| nstring(out, None)), "NIL");
    assert_eq!(written(|out| literal8(out, b"a\0")), "~{2}\r\na\0");
    assert_eq!(written(|out| string(out, b"\0")), "{1}\r\n\0");
}

#[test]
fn mailbox_names_go_out_as_the_client_wants() {
    let long = "ü".repeat(501);
    for (name, rev1, utf8) in [
        ("INBOX", "INBOX", "INBOX".to_owned()),
        ("", "\"\"", "\"\"".to_owned()),
        ("a b", "\"a b\"", "\"a b\"".to_owned()),
        ("ü&", "&APw-&-", "\"ü&\"".to_owned()),
        ("a&b", "a&-b", "a&b".to_owned()),
        ("ü\"", "\"&APw-\\\"\"", "\"ü\\\"\"".to_owned()),
        ("ü\n", "&APwACg-", "{3}\r\nü\n".to_owned()),
        (&long, &mutf7::encode(&long), format!("{{1002}}\r\n{long}")),
    ] {
        let rev1_written = written(|out| mailbox(out, name, NameEncoding::ModifiedUtf7));
        assert_eq!(rev1_written.trim_start_matches(|c| "{}\r\n0123456789".contains(c)), rev1);
        assert_eq!(written(|out| mailbox(out, name, NameEncoding::Utf8)), utf8);
    }
}

#[test]
fn flags_dates_and_sections() {
    let all = [
        Flag::Answered,
        Flag::Flagged,
        Flag::Deleted,
        Flag::Seen,
        Flag::Draft,
        Flag::Recent,
        Flag::Keyword("$Junk".to_owned()),
        Flag::Extension("Odd".to_owned()),
    ];
    let text = r"(\Answered \Flagged \Deleted \Seen \Draft \Recent $Junk \Odd)";
    assert_eq!(written(|out| flags(out, &all)), text);
    assert_eq!(written(|out| flags(out, &[])), "()");
    for (at, seconds, text) in [
        ("1996-07-17T09:44:25Z", -7 * 3600, "\"17-Jul-1996 02:44:25 -0700\""),
        ("2026-11-03T00:00:00Z", 0, "\" 3-Nov-2026 00:00:00 +0000\""),
        ("1999-12-31T23:59:59.9Z", 5 * 3600 + 1800 + 59, "\" 1-Jan-2000 05:29:59 +0530\""),
        ("-000002-01-01T00:00:00Z", -1800, "\"31-Dec-0000 23:30:00 -0030\""),
    ] {
        let at: Timestamp = at.parse().unwrap();
        assert_eq!(written(|out| date_time(out, at, Offset::from_seconds(seconds).unwrap())), text);
    }
    // The sections with names are checked where they are parsed.
    assert_eq!(written(|out| binary_section(out, &[])), "[]");
    assert_eq!(written(|out| binary_section(out, &[1, 20])), "[1.20]");
}

fn codes() -> Vec<(Code, &'static str)> {
    let flags = vec![Flag::Seen, Flag::Keyword("a".to_owned())];
    let text = str::to_owned;
    vec![
        (Code::Alert, "ALERT"),
        (Code::BadCharset(vec![]), "BADCHARSET"),
        (Code::BadCharset(vec![text("UTF-8"), text("US-ASCII")]), "BADCHARSET (UTF-8 US-ASCII)"),
        (Code::Capability(vec![text("IMAP4rev1"), text("IDLE")]), "CAPABILITY IMAP4rev1 IDLE"),
        (Code::Parse, "PARSE"),
        (Code::PermanentFlags { flags: flags.clone(), new_keywords: true }, r"PERMANENTFLAGS (\Seen a \*)"),
        (Code::PermanentFlags { flags: vec![], new_keywords: false }, "PERMANENTFLAGS ()"),
        (Code::ReadOnly, "READ-ONLY"),
        (Code::ReadWrite, "READ-WRITE"),
        (Code::TryCreate, "TRYCREATE"),
        (Code::UidNext(7), "UIDNEXT 7"),
        (Code::UidValidity(u32::MAX), "UIDVALIDITY 4294967295"),
        (Code::Unseen(1), "UNSEEN 1"),
        (Code::AppendUid { uid_validity: 1, uids: text("2:3") }, "APPENDUID 1 2:3"),
        (Code::CopyUid { uid_validity: 1, from: text("2:3"), to: text("8,9") }, "COPYUID 1 2:3 8,9"),
        (Code::UidNotSticky, "UIDNOTSTICKY"),
        (Code::HighestModSeq(1 << 60), "HIGHESTMODSEQ 1152921504606846976"),
        (Code::NoModSeq, "NOMODSEQ"),
        (Code::Modified(text("7,9")), "MODIFIED 7,9"),
        (Code::Closed, "CLOSED"),
        (Code::NotSaved, "NOTSAVED"),
        (Code::Unavailable, "UNAVAILABLE"),
        (Code::AuthenticationFailed, "AUTHENTICATIONFAILED"),
        (Code::AuthorizationFailed, "AUTHORIZATIONFAILED"),
        (Code::Expired, "EXPIRED"),
        (Code::PrivacyRequired, "PRIVACYREQUIRED"),
        (Code::ContactAdmin, "CONTACTADMIN"),
        (Code::NoPerm, "NOPERM"),
        (Code::InUse, "INUSE"),
        (Code::ExpungeIssued, "EXPUNGEISSUED"),
        (Code::Corruption, "CORRUPTION"),
        (Code::ServerBug, "SERVERBUG"),
        (Code::ClientBug, "CLIENTBUG"),
        (Code::Cannot, "CANNOT"),
        (Code::Limit, "LIMIT"),
        (Code::OverQuota, "OVERQUOTA"),
        (Code::AlreadyExists, "ALREADYEXISTS"),
        (Code::NonExistent, "NONEXISTENT"),
        (Code::HasChildren, "HASCHILDREN"),
        (Code::UnknownCte, "UNKNOWN-CTE"),
        (Code::CompressionActive, "COMPRESSIONACTIVE"),
        (Code::TooBig, "TOOBIG"),
        (Code::UseAttr, "USEATTR"),
        (Code::MailboxId(text("F1")), "MAILBOXID (F1)"),
        (Code::MetadataLongEntries(5), "METADATA LONGENTRIES 5"),
        (Code::MetadataMaxSize(5), "METADATA MAXSIZE 5"),
        (Code::MetadataTooMany, "METADATA TOOMANY"),
        (Code::MetadataNoPrivate, "METADATA NOPRIVATE"),
    ]
}

#[test]
fn codes_are_written_and_read_by_another_parser() {
    for (code, text) in codes() {
        assert_eq!(code.to_text(), text);
        for condition in [Condition::Ok, Condition::No, Condition::Bad] {
            let line = written(|out| untagged(out, condition, Some(&code), "Text."));
            assert_eq!(line, format!("* {} [{text}] Text.\r\n", condition.name()));
            let read = ResponseCodec::default().decode(line.as_bytes()).map(|(rest, _)| rest.len());
            assert!(matches!(read, Ok(0)), "{line} {read:?}");
        }
    }
}

#[test]
fn status_lines_cannot_be_broken() {
    let line = written(|out| tagged(out, "a1", Condition::No, None, "one\r\n* OK two \u{fc}"));
    assert_eq!(line, "a1 NO one??* OK two ?\r\n");
    assert_eq!(written(|out| untagged(out, Condition::Bye, None, "")), "* BYE -\r\n");
    assert_eq!(written(|out| untagged(out, Condition::PreAuth, None, "Hi")), "* PREAUTH Hi\r\n");
    assert_eq!(written(|out| continuation(out, "PDEyMz4=")), "+ PDEyMz4=\r\n");
    assert_eq!(written(|out| continuation(out, "")), "+ \r\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(octets in prop::collection::vec(1_u8.., 0..40), name in "[^\0]{0,20}") {
        let mut command = b"a LOGIN ".to_vec();
        astring(&mut command, &octets);
        command.push(b' ');
        string(&mut command, &octets);
        let body = CommandBody::Login { user: octets.clone(), password: octets };
        prop_assert_eq!(parse(&command, NameEncoding::ModifiedUtf7).map(|command| command.body), Ok(body));
        for names in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
            let mut command = b"a DELETE ".to_vec();
            mailbox(&mut command, &name, names);
            let body = CommandBody::Delete(MailboxName::new(name.clone()));
            prop_assert_eq!(parse(&command, names).map(|command| command.body), Ok(body));
        }
    }
}
