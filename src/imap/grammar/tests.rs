use jiff::Timestamp;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::super::command::*;
use super::super::sets::{MessageSet, SequenceNumber, SequenceSet};
use super::*;
use crate::mime::{SortCriterion, SortKey};

use CommandBody as Body;
use SearchKey as Key;

/// The body of `a <line>`, which must be understood, in any case of its letters too where `line` has no strings.
#[track_caller]
fn check(line: impl AsRef<[u8]>, expected: Body) {
    let command = [b"a ", line.as_ref()].concat();
    let got = parse(&command, NameEncoding::ModifiedUtf7);
    assert_eq!(got, Ok(Command { tag: "a".to_owned(), body: expected }), "{}", command.escape_ascii());
}

/// The reason why `a <line>` is not understood.
#[track_caller]
fn check_bad(line: impl AsRef<[u8]>, reason: &str) {
    let command = [b"a ", line.as_ref()].concat();
    let got = parse(&command, NameEncoding::ModifiedUtf7);
    let expected = SyntaxError { tag: Some("a".to_owned()), reason: reason.to_owned() };
    assert_eq!(got, Err(expected), "{}", command.escape_ascii());
}

fn mailbox_name(name: &str) -> MailboxName {
    MailboxName::new(name)
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A set of ranges; 0 is `*`.
fn set(ranges: &[(u32, u32)]) -> SequenceSet {
    let end = |number| if number == 0 { SequenceNumber::Largest } else { SequenceNumber::Number(number) };
    SequenceSet::new(ranges.iter().map(|&(first, last)| (end(first), end(last))).collect())
}

fn messages(ranges: &[(u32, u32)]) -> MessageSet {
    MessageSet::Numbers(set(ranges))
}

fn selected(mailbox: &str) -> Select {
    Select { mailbox: mailbox_name(mailbox), read_only: false, condstore: false, qresync: None }
}

fn listed(reference: &str, pattern: &str) -> List {
    List {
        extended: false,
        select: ListSelection::default(),
        reference: reference.to_owned(),
        patterns: strings(&[pattern]),
        returns: ListReturn::default(),
    }
}

#[test]
fn verbs_without_arguments() {
    check("CAPABILITY", Body::Capability);
    check("noop", Body::Noop);
    check("NooP  ", Body::Noop);
    check("LOGOUT", Body::Logout);
    check("STARTTLS", Body::StartTls);
    check("NAMESPACE", Body::Namespace);
    check("IDLE", Body::Idle);
    check("CHECK", Body::Check);
    check("CLOSE", Body::Close);
    check("UNSELECT", Body::Unselect);
    check("EXPUNGE", Body::Expunge { uids: None });
}

#[test]
fn log_in_and_session() {
    let login = |user: &str, password: &str| Body::Login { user: user.into(), password: password.into() };
    check("LOGIN alice secret", login("alice", "secret"));
    check(r#"login "al ice" "se\"c\\r]et""#, login("al ice", r#"se"c\r]et"#));
    check("LOGIN {5}\r\nalice {3+}\r\na\r\n", login("alice", "a\r\n"));
    check("LOGIN a]b \"\"", login("a]b", ""));
    check("LOGIN \"\u{e4}\" {0}\r\n", login("\u{e4}", ""));
    let authenticate = |mechanism: &str, response: Option<&str>| Body::Authenticate {
        mechanism: mechanism.to_owned(),
        initial_response: response.map(str::to_owned),
    };
    check("AUTHENTICATE plain", authenticate("PLAIN", None));
    check("AUTHENTICATE PLAIN ", authenticate("PLAIN", None));
    check("AUTHENTICATE PLAIN AGEAYg==", authenticate("PLAIN", Some("AGEAYg==")));
    check("AUTHENTICATE SCRAM-SHA-256-PLUS =", authenticate("SCRAM-SHA-256-PLUS", Some("=")));
    check("ENABLE condstore UTF8=ACCEPT", Body::Enable(strings(&["CONDSTORE", "UTF8=ACCEPT"])));
    check("COMPRESS deflate", Body::Compress("DEFLATE".to_owned()));
    check("ID NIL", Body::Id(None));
    check("ID ()", Body::Id(Some(vec![])));
    let fields = vec![(b"name".to_vec(), Some(b"x y".to_vec())), (b"os".to_vec(), None)];
    check(r#"ID ("name" "x y" "os" NIL)"#, Body::Id(Some(fields.clone())));
    check(r#"ID ("name" "x y" "os" NIL  )"#, Body::Id(Some(fields)));
}

#[test]
fn mailboxes_as_a_whole() {
    check("SELECT inBOX", Body::Select(selected("INBOX")));
    check("EXAMINE \"a b\"", Body::Select(Select { read_only: true, ..selected("a b") }));
    check("SELECT x (CONDSTORE)", Body::Select(Select { condstore: true, ..selected("x") }));
    check("CREATE Entw&APw-rfe/", Body::Create { mailbox: mailbox_name("Entwürfe/"), special_use: vec![] });
    check(
        r"CREATE x (USE (\Sent \Junk))",
        Body::Create { mailbox: mailbox_name("x"), special_use: strings(&["Sent", "Junk"]) },
    );
    check("CREATE x (USE ())", Body::Create { mailbox: mailbox_name("x"), special_use: vec![] });
    check("DELETE {3}\r\na&-", Body::Delete(mailbox_name("a&")));
    check("RENAME a \"b c\"", Body::Rename { from: mailbox_name("a"), to: mailbox_name("b c") });
    check("SUBSCRIBE Inbox/x", Body::Subscribe(mailbox_name("Inbox/x")));
    check("UNSUBSCRIBE x", Body::Unsubscribe(mailbox_name("x")));
    check("LSUB \"\" %", Body::Lsub { reference: String::new(), pattern: "%".to_owned() });
    check("GETQUOTA \"\"", Body::GetQuota(vec![]));
    check("GETQUOTAROOT inbox", Body::GetQuotaRoot(mailbox_name("INBOX")));
    let limits = vec![("STORAGE".to_owned(), 512), ("MESSAGE".to_owned(), 9)];
    check("SETQUOTA r (storage 512 MESSAGE 9)", Body::SetQuota { root: b"r".to_vec(), limits });
    check("SETQUOTA r ()", Body::SetQuota { root: b"r".to_vec(), limits: vec![] });
}

#[test]
fn quick_resynchronisation() {
    let qresync = |known_uids, sequence_match| {
        let qresync = QResync { uid_validity: 67, mod_seq: 90060115194045000, known_uids, sequence_match };
        Body::Select(Select { qresync: Some(qresync), ..selected("INBOX") })
    };
    check("SELECT INBOX (QRESYNC (67 90060115194045000))", qresync(None, None));
    let known = Some(set(&[(41, 41), (43, 211)]));
    check("SELECT INBOX (QRESYNC (67 90060115194045000 41,43:211))", qresync(known.clone(), None));
    let pairs = Some((set(&[(1, 1), (3, 3)]), set(&[(41, 41), (43, 43)])));
    check(
        "SELECT INBOX (qresync (67 90060115194045000 41,43:211 (1,3 41,43)))",
        qresync(known, pairs.clone()),
    );
    check("SELECT INBOX (QRESYNC (67 90060115194045000 (1,3 41,43)))", qresync(None, pairs));
    check_bad("SELECT x (QRESYNC (67 1 1:*))", "* is not possible in this set at octet 27");
    check_bad("SELECT x (QRESYNC (0 1))", "expected a UIDVALIDITY at octet 22");
    check_bad("SELECT x (QRESYNC (1 0))", "expected a modification sequence at octet 24");
    check_bad("SELECT x (READONLY)", "expected CONDSTORE or QRESYNC at octet 13");
}

#[test]
fn listing() {
    check("LIST \"\" \"\"", Body::List(listed("", "")));
    check("LIST \"\" *", Body::List(listed("", "*")));
    check("LIST Inbox/ \"%/b c\"", Body::List(listed("Inbox/", "%/b c")));
    check("LIST &APw-/ &AOQ-*", Body::List(listed("ü/", "ä*")));
    let extended = |pattern| List { extended: true, ..listed("", pattern) };
    let select = ListSelection { subscribed: true, recursive_match: true, ..ListSelection::default() };
    check("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %", Body::List(List { select, ..extended("%") }));
    let select = ListSelection { remote: true, special_use: true, ..ListSelection::default() };
    check("LIST (remote special-use) \"\" %", Body::List(List { select, ..extended("%") }));
    check("LIST () \"\" %", Body::List(extended("%")));
    check(
        "LIST \"\" (INBOX \"a%\")",
        Body::List(List { patterns: strings(&["INBOX", "a%"]), ..extended("") }),
    );
    check("LIST \"\" % RETURN ()", Body::List(extended("%")));
    let returns = ListReturn { subscribed: true, children: true, special_use: true, status: vec![] };
    check(
        "LIST \"\" % return (SUBSCRIBED CHILDREN SPECIAL-USE)",
        Body::List(List { returns, ..extended("%") }),
    );
    let status = vec![StatusItem::Messages, StatusItem::Size];
    let returns = ListReturn { status, children: true, ..ListReturn::default() };
    check(
        "LIST \"\" * RETURN (STATUS (MESSAGES SIZE) CHILDREN)",
        Body::List(List { returns, ..extended("*") }),
    );
    check_bad("LIST (RECURSIVEMATCH) \"\" *", "RECURSIVEMATCH needs another selection option at octet 8");
    check_bad(
        "LIST (CHILDREN) \"\" *",
        "expected SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE at octet 9",
    );
    check_bad("LIST \"\" * RETURN (X)", "expected SUBSCRIBED, CHILDREN, SPECIAL-USE or STATUS at octet 21");
    check_bad("LIST \"\" ()", "expected a mailbox name or pattern at octet 12");
}

#[test]
fn status_items() {
    use StatusItem::*;
    let all = "MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT HIGHESTMODSEQ MAILBOXID";
    let items = vec![
        Messages,
        Recent,
        UidNext,
        UidValidity,
        Unseen,
        Deleted,
        Size,
        AppendLimit,
        HighestModSeq,
        MailboxId,
    ];
    check(
        format!("STATUS INBOX ({all})"),
        Body::Status { mailbox: mailbox_name("INBOX"), items: items.clone() },
    );
    let names: Vec<&str> = items.iter().map(|item| item.name()).collect();
    assert_eq!(names.join(" "), all);
    check_bad("STATUS x ()", "expected a status item at octet 13");
    check_bad("STATUS x MESSAGES", "expected ( at octet 12");
    check_bad("STATUS x (MESSAGES BOGUS)", "expected a status item at octet 22");
}

#[test]
fn metadata() {
    let asked = |mailbox: Option<&str>, entries: &[&str]| GetMetadata {
        mailbox: mailbox.map(mailbox_name),
        entries: strings(entries),
        max_size: None,
        depth: MetadataDepth::Zero,
    };
    check("GETMETADATA \"\" /shared/Comment", Body::GetMetadata(asked(None, &["/shared/comment"])));
    check("GETMETADATA x (/a/b \"/c\")", Body::GetMetadata(asked(Some("x"), &["/a/b", "/c"])));
    check("GETMETADATA x (\"/c\")", Body::GetMetadata(asked(Some("x"), &["/c"])));
    let deep = GetMetadata {
        max_size: Some(1024),
        depth: MetadataDepth::Infinity,
        ..asked(Some("INBOX"), &["/shared"])
    };
    check("GETMETADATA (MAXSIZE 1024 DEPTH infinity) INBOX (/shared)", Body::GetMetadata(deep.clone()));
    check("GETMETADATA \"INBOX\" (DEPTH INFINITY MAXSIZE 1024) (/shared)", Body::GetMetadata(deep));
    let one = GetMetadata { depth: MetadataDepth::One, ..asked(None, &["/a"]) };
    check("GETMETADATA (DEPTH 1) \"\" /a", Body::GetMetadata(one));
    let values = vec![
        ("/a".to_owned(), Some(b"x".to_vec())),
        ("/b".to_owned(), None),
        ("/c".to_owned(), Some(b"\0\r\n".to_vec())),
    ];
    check(
        b"SETMETADATA x (/a \"x\" /b NIL /c ~{3}\r\n\0\r\n)",
        Body::SetMetadata { mailbox: Some(mailbox_name("x")), values },
    );
    for bad in ["a", "/", "/a//b", "/a/", "\"/a*\"", "\"/a b\""] {
        check_bad(
            format!("GETMETADATA x ({bad})"),
            match bad {
                "a" => "expected MAXSIZE or DEPTH at octet 18",
                _ => "expected an entry name like /private/comment at octet 18",
            },
        );
    }
}

#[test]
fn searching() {
    let search = |key| Body::Search(Search { by_uid: false, returns: None, charset: None, key });
    let flag_keys: [(&str, Key); 15] = [
        ("ALL", Key::All),
        ("ANSWERED", Key::HasFlag(Flag::Answered)),
        ("DELETED", Key::HasFlag(Flag::Deleted)),
        ("DRAFT", Key::HasFlag(Flag::Draft)),
        ("FLAGGED", Key::HasFlag(Flag::Flagged)),
        ("RECENT", Key::HasFlag(Flag::Recent)),
        ("SEEN", Key::HasFlag(Flag::Seen)),
        ("UNANSWERED", Key::LacksFlag(Flag::Answered)),
        ("UNDELETED", Key::LacksFlag(Flag::Deleted)),
        ("UNDRAFT", Key::LacksFlag(Flag::Draft)),
        ("UNFLAGGED", Key::LacksFlag(Flag::Flagged)),
        ("UNSEEN", Key::LacksFlag(Flag::Seen)),
        ("OLD", Key::LacksFlag(Flag::Recent)),
        ("NEW", Key::New),
        ("SAVEDATESUPPORTED", Key::SaveDateSupported),
    ];
    for (word, key) in flag_keys {
        check(format!("SEARCH {word}"), search(key.clone()));
        check(format!("SEARCH {}", word.to_lowercase()), search(key));
    }
    for (word, field) in [
        ("BCC", EnvelopeField::Bcc),
        ("CC", EnvelopeField::Cc),
        ("FROM", EnvelopeField::From),
        ("SUBJECT", EnvelopeField::Subject),
        ("TO", EnvelopeField::To),
    ] {
        check(format!("SEARCH {word} \"a b\""), search(Key::Envelope(field, b"a b".to_vec())));
    }
    let keyword = Flag::Keyword("$Junk".to_owned());
    let keys = [
        ("KEYWORD $Junk", Key::HasFlag(keyword.clone())),
        ("UNKEYWORD $Junk", Key::LacksFlag(keyword)),
        ("BODY {3}\r\na b", Key::Body(b"a b".to_vec())),
        ("TEXT x", Key::Text(b"x".to_vec())),
        ("HEADER Message-ID \"\"", Key::Header { name: "Message-ID".to_owned(), value: vec![] }),
        ("LARGER 4294967296", Key::Larger(1 << 32)),
        ("SMALLER 0", Key::Smaller(0)),
        ("YOUNGER 259200", Key::Younger(259_200)),
        ("OLDER 1", Key::Older(1)),
        ("MODSEQ 620162338", Key::ModSeq(620_162_338)),
        ("MODSEQ \"/flags/\\\\draft\" all 5", Key::ModSeq(5)),
        ("EMAILID M6d99ac3275bb4e", Key::EmailId("M6d99ac3275bb4e".to_owned())),
        ("THREADID T-_1", Key::ThreadId("T-_1".to_owned())),
        ("2,4:7,9,12:*", Key::Messages(messages(&[(2, 2), (4, 7), (9, 9), (12, 0)]))),
        ("*", Key::Messages(messages(&[(0, 0)]))),
        ("$", Key::Messages(MessageSet::SavedResult)),
        ("UID 1:*", Key::Uids(messages(&[(1, 0)]))),
        ("UID $", Key::Uids(MessageSet::SavedResult)),
        ("NOT SEEN", Key::Not(Box::new(Key::HasFlag(Flag::Seen)))),
        (
            "OR SEEN (ALL NEW)",
            Key::Or(Box::new(Key::HasFlag(Flag::Seen)), Box::new(Key::And(vec![Key::All, Key::New]))),
        ),
        ("(ALL)", Key::All),
        ("1 ALL NEW", Key::And(vec![Key::Messages(messages(&[(1, 1)])), Key::All, Key::New])),
    ];
    for (line, key) in keys {
        check(format!("SEARCH {line}"), search(key));
    }
    check(b"SEARCH TEXT \"\xff\"", search(Key::Text(b"\xff".to_vec())));
}

#[test]
fn search_dates() {
    use {DateKind::*, DateRelation::*};
    for (word, kind, relation) in [
        ("BEFORE", Internal, Before),
        ("ON", Internal, On),
        ("SINCE", Internal, Since),
        ("SENTBEFORE", Sent, Before),
        ("SENTON", Sent, On),
        ("SENTSINCE", Sent, Since),
        ("SAVEDBEFORE", Saved, Before),
        ("SAVEDON", Saved, On),
        ("SAVEDSINCE", Saved, Since),
    ] {
        for (text, day) in [
            ("1-Feb-1994", date(1994, 2, 1)),
            ("\"29-feb-2024\"", date(2024, 2, 29)),
            ("07-DEC-0001", date(1, 12, 7)),
        ] {
            let key = Key::Date(kind, relation, day);
            check(
                format!("SEARCH {word} {text}"),
                Body::Search(Search { by_uid: false, returns: None, charset: None, key }),
            );
        }
    }
    for bad in ["1-Feb-94", "30-Feb-2024", "0-Jan-2024", "1-Foo-2024", "\"1-Feb-1994", "2024-01-01", "x"] {
        check_bad(format!("SEARCH ON {bad}"), "expected a date like 1-Feb-1994 at octet 13");
    }
}

#[test]
fn search_options_sort_and_thread() {
    let none = SearchReturn::default();
    let search = Search { by_uid: true, returns: None, charset: None, key: Key::All };
    check(
        "UID SEARCH CHARSET utf-8 ALL",
        Body::Search(Search { charset: Some("UTF-8".to_owned()), ..search.clone() }),
    );
    for (options, returns) in [
        ("", SearchReturn { all: true, ..none }),
        ("MIN MAX", SearchReturn { min: true, max: true, ..none }),
        ("count all", SearchReturn { count: true, all: true, ..none }),
        ("SAVE", SearchReturn { save: true, ..none }),
    ] {
        let line = format!("UID SEARCH RETURN ({options}) ALL");
        check(line, Body::Search(Search { returns: Some(returns), ..search.clone() }));
    }
    let all = Search {
        returns: Some(SearchReturn { all: true, ..none }),
        charset: Some("US-ASCII".into()),
        ..search
    };
    check("UID SEARCH RETURN () CHARSET \"US-ASCII\" ALL", Body::Search(all));
    let criterion = |key| SortCriterion { reverse: false, key };
    let sort = Sort {
        by_uid: false,
        returns: None,
        criteria: vec![SortCriterion { reverse: true, key: SortKey::Date }, criterion(SortKey::Subject)],
        charset: "UTF-8".to_owned(),
        key: Key::All,
    };
    check("SORT (REVERSE DATE SUBJECT) utf-8 ALL", Body::Sort(sort.clone()));
    let all = [
        SortKey::Arrival,
        SortKey::Cc,
        SortKey::Date,
        SortKey::From,
        SortKey::Size,
        SortKey::Subject,
        SortKey::To,
        SortKey::DisplayFrom,
        SortKey::DisplayTo,
    ];
    let sort = Sort {
        by_uid: true,
        returns: Some(SearchReturn { count: true, ..none }),
        criteria: all.map(criterion).to_vec(),
        ..sort
    };
    check(
        "UID SORT RETURN (COUNT) (ARRIVAL CC DATE FROM SIZE SUBJECT TO DISPLAYFROM DISPLAYTO) UTF-8 ALL",
        Body::Sort(sort),
    );
    let thread = Thread {
        by_uid: false,
        algorithm: "REFERENCES".to_owned(),
        charset: "UTF-8".to_owned(),
        key: Key::New,
    };
    check("THREAD references UTF-8 NEW", Body::Thread(thread.clone()));
    check("UID THREAD REFERENCES UTF-8 NEW", Body::Thread(Thread { by_uid: true, ..thread }));
}

fn fetch(items: Vec<FetchItem>) -> Fetch {
    Fetch { by_uid: false, messages: messages(&[(1, 1)]), items, changed_since: None, vanished: false }
}

#[test]
fn fetching() {
    use FetchItem::*;
    for (word, item) in [
        ("FLAGS", Flags),
        ("INTERNALDATE", InternalDate),
        ("ENVELOPE", Envelope),
        ("BODY", FetchItem::Body),
        ("BODYSTRUCTURE", BodyStructure),
        ("RFC822", Rfc822),
        ("RFC822.HEADER", Rfc822Header),
        ("RFC822.TEXT", Rfc822Text),
        ("RFC822.SIZE", Rfc822Size),
        ("UID", Uid),
        ("MODSEQ", ModSeq),
        ("EMAILID", EmailId),
        ("THREADID", ThreadId),
        ("SAVEDATE", SaveDate),
        ("PREVIEW", Preview { lazy: false }),
        ("PREVIEW (LAZY)", Preview { lazy: true }),
        ("BINARY.SIZE[1.2]", BinarySize { part: vec![1, 2] }),
        ("BINARY[]", Binary { peek: false, part: vec![], partial: None }),
        (
            "BINARY.PEEK[3]<0.10>",
            Binary { peek: true, part: vec![3], partial: Some(Partial { start: 0, count: 10 }) },
        ),
    ] {
        check(format!("FETCH 1 {word}"), CommandBody::Fetch(fetch(vec![item.clone()])));
        check(format!("fetch 1 ({} UID)", word.to_lowercase()), CommandBody::Fetch(fetch(vec![item, Uid])));
    }
    let fast = vec![Flags, InternalDate, Rfc822Size];
    let all = [fast.clone(), vec![Envelope]].concat();
    check("FETCH 1 FAST", CommandBody::Fetch(fetch(fast)));
    check("FETCH 1 ALL", CommandBody::Fetch(fetch(all.clone())));
    check("FETCH 1 full", CommandBody::Fetch(fetch([all, vec![FetchItem::Body]].concat())));
    let changed = Fetch { changed_since: Some(12345), ..fetch(vec![Flags]) };
    check("FETCH 1 (FLAGS) (CHANGEDSINCE 12345)", CommandBody::Fetch(changed.clone()));
    let vanished = Fetch { by_uid: true, vanished: true, messages: messages(&[(1, 0)]), ..changed };
    check("UID FETCH 1:* FLAGS (CHANGEDSINCE 12345 VANISHED)", CommandBody::Fetch(vanished));
    let saved = Fetch { messages: MessageSet::SavedResult, ..fetch(vec![Preview { lazy: false }]) };
    check("FETCH $ PREVIEW (CHANGEDSINCE 1)", CommandBody::Fetch(Fetch { changed_since: Some(1), ..saved }));
}

#[test]
fn sections() {
    let fields = || strings(&["From", "X a"]);
    for (text, part, section) in [
        ("", vec![], SectionText::Whole),
        ("HEADER", vec![], SectionText::Header),
        ("TEXT", vec![], SectionText::Text),
        ("HEADER.FIELDS (From \"X a\")", vec![], SectionText::HeaderFields(fields())),
        ("HEADER.FIELDS.NOT (From \"X a\")", vec![], SectionText::HeaderFieldsNot(fields())),
        ("1", vec![1], SectionText::Whole),
        ("4.2.1", vec![4, 2, 1], SectionText::Whole),
        ("3.HEADER", vec![3], SectionText::Header),
        ("4.1.MIME", vec![4, 1], SectionText::Mime),
        ("1.TEXT", vec![1], SectionText::Text),
        ("4.2.HEADER.FIELDS (From \"X a\")", vec![4, 2], SectionText::HeaderFields(fields())),
        ("4.HEADER.FIELDS.NOT (From \"X a\")", vec![4], SectionText::HeaderFieldsNot(fields())),
    ] {
        let section = Section { part, text: section };
        let item = |peek, partial| FetchItem::Section { peek, section: section.clone(), partial };
        let partial = Some(Partial { start: 5, count: 1 << 40 });
        let line = format!("FETCH 1 (BODY[{text}] BODY.PEEK[{text}]<5.1099511627776>)");
        check(line, Body::Fetch(fetch(vec![item(false, None), item(true, partial)])));
        let mut written = Vec::new();
        super::super::encode::section(&mut written, &section);
        assert_eq!(String::from_utf8(written).unwrap(), format!("[{text}]"), "and back");
    }
}

#[test]
fn storing_and_moving() {
    let store = |action, silent, flags| Store {
        by_uid: false,
        messages: messages(&[(2, 4)]),
        unchanged_since: None,
        action,
        silent,
        flags,
    };
    check(r"STORE 2:4 FLAGS (\Seen)", Body::Store(store(StoreAction::Replace, false, vec![Flag::Seen])));
    check("STORE 2:4 FLAGS ()", Body::Store(store(StoreAction::Replace, false, vec![])));
    let flags = vec![
        Flag::Answered,
        Flag::Flagged,
        Flag::Deleted,
        Flag::Draft,
        Flag::Recent,
        Flag::Keyword("$Mdn".into()),
        Flag::Extension("Odd".into()),
    ];
    let text = r"\answered \FLAGGED \Deleted \Draft \Recent $Mdn \Odd";
    check(
        format!("STORE 2:4 +FLAGS.SILENT ({text})"),
        Body::Store(store(StoreAction::Add, true, flags.clone())),
    );
    let unchanged =
        Store { unchanged_since: Some(0), by_uid: true, ..store(StoreAction::Remove, false, flags) };
    check(format!("UID STORE 2:4 (UNCHANGEDSINCE 0) -flags {text}"), Body::Store(unchanged));
    let transfer = Transfer { by_uid: false, messages: messages(&[(2, 4)]), mailbox: mailbox_name("x") };
    check("COPY 2:4 x", Body::Copy(transfer.clone()));
    check("MOVE 2:4 x", Body::Move(transfer.clone()));
    let saved = Transfer { by_uid: true, messages: MessageSet::SavedResult, ..transfer };
    check("UID COPY $ x", Body::Copy(saved.clone()));
    check("UID MOVE $ x", Body::Move(saved));
    check("UID EXPUNGE 3000:3002", Body::Expunge { uids: Some(messages(&[(3000, 3002)])) });
}

#[test]
fn bad_lines_are_told_where_and_why() {
    for (line, reason) in [
        ("", "expected a command at octet 3"),
        ("BOGUS", "unknown command at octet 3"),
        ("NOOP x", "expected the end of the command at octet 8"),
        ("LOGIN", "expected a space at octet 8"),
        ("LOGIN ", "expected a user name at octet 9"),
        ("LOGIN a", "expected a space at octet 10"),
        ("LOGIN  a b", "expected a user name at octet 9"),
        ("LOGIN a \"b", "the quoted string has no end at octet 13"),
        ("LOGIN a \"\\b\"", "only \\ and \" may follow a \\ at octet 12"),
        ("LOGIN a b c", "expected the end of the command at octet 13"),
        ("LOGIN a {3}\r\nab", "expected the octets of the literal at octet 16"),
        ("LOGIN a {99999999999999999999}", "the number is too large at octet 12"),
        ("LOGIN a \"b\0\"", "a quoted string cannot hold this octet at octet 13"),
        ("LOGIN a {1}\r\n\0", "a literal cannot hold NUL at octet 11"),
        ("AUTHENTICATE PLAIN *", "expected a base64 initial response at octet 22"),
        ("ID (\"name\")", "expected a space at octet 13"),
        ("ID x", "expected NIL or a list at octet 6"),
        ("ENABLE", "expected a space at octet 9"),
        ("SELECT", "expected a space at octet 9"),
        ("SELECT (x)", "expected a mailbox name at octet 10"),
        ("SELECT x{5}", "expected the end of the command at octet 11"),
        ("SELECT a&b", "what follows & in the name is not modified UTF-7 at octet 10"),
        ("SELECT \"\u{fc}\"", "the name has 8-bit octets and is not modified UTF-7 at octet 10"),
        ("SELECT &AGE-", "the name is not the one right form of modified UTF-7 at octet 10"),
        ("RENAME x", "expected a space at octet 11"),
        ("FETCH", "expected a space at octet 8"),
        ("FETCH 0 FLAGS", "expected a sequence set at octet 9"),
        ("FETCH 1:0 FLAGS", "expected a message number or * at octet 11"),
        ("FETCH x FLAGS", "expected a sequence set at octet 9"),
        ("FETCH 1:a FLAGS", "expected a message number or * at octet 11"),
        ("FETCH 1, FLAGS", "expected a message number or * at octet 11"),
        ("FETCH 4294967296 FLAGS", "the number is too large at octet 9"),
        ("FETCH 1 BOGUS", "expected what to fetch at octet 11"),
        ("FETCH 1 (FLAGS BOGUS)", "expected a fetch item at octet 18"),
        ("FETCH 1 (FLAGS", "expected ) at octet 17"),
        ("FETCH 1 ()", "expected a fetch item at octet 12"),
        ("FETCH 1 BODY[", "expected a section at octet 16"),
        ("FETCH 1 BODY[MIME]", "MIME needs a part number at octet 16"),
        ("FETCH 1 BODY[0]", "expected a number other than 0 at octet 16"),
        ("FETCH 1 BODY[1.0]", "expected a number other than 0 at octet 18"),
        ("FETCH 1 BODY[1.]", "expected a section at octet 18"),
        ("FETCH 1 BODY[HEADER.FIELDS ()]", "expected a header field name at octet 31"),
        ("FETCH 1 BODY[]<0.0>", "expected a number other than 0 at octet 20"),
        ("FETCH 1 BODY[]<5>", "expected . at octet 19"),
        ("FETCH 1 BODY.PEEK", "expected [ at octet 20"),
        ("FETCH 1 BINARY[HEADER]", "expected ] at octet 18"),
        ("FETCH 1 FLAGS (VANISHED)", "VANISHED goes with UID FETCH and CHANGEDSINCE only at octet 16"),
        ("FETCH 1 FLAGS (BOGUS 1)", "expected CHANGEDSINCE or VANISHED at octet 18"),
        ("STORE 1 FLAG x", "expected FLAGS, +FLAGS or -FLAGS, with or without .SILENT at octet 11"),
        ("STORE 1 FLAGS (\\)", "expected the flag's name at octet 19"),
        ("STORE 1 FLAGS (\\*)", "expected the flag's name at octet 19"),
        ("STORE 1 FLAGS", "expected a space at octet 16"),
        ("SEARCH", "expected a space at octet 9"),
        ("SEARCH BOGUS", "expected a search key at octet 10"),
        ("SEARCH NOT", "expected a space at octet 13"),
        ("SEARCH OR ALL", "expected a space at octet 16"),
        ("SEARCH (ALL", "expected ) at octet 14"),
        ("SEARCH ALL BOGUS", "expected a search key at octet 14"),
        ("SEARCH RETURN (BOGUS) ALL", "expected MIN, MAX, COUNT, ALL or SAVE at octet 18"),
        ("SEARCH CHARSET UTF-8", "expected a space at octet 23"),
        ("SORT () UTF-8 ALL", "expected a sort key at octet 9"),
        ("SORT (DATE) UTF-8", "expected a space at octet 20"),
        ("UID NOOP", "unknown UID command at octet 7"),
        ("UID EXPUNGE", "expected a space at octet 14"),
        ("EXPUNGE 1", "expected the end of the command at octet 11"),
        ("APPEND x", "expected a space at octet 11"),
        ("APPEND x text", "expected the literal of a message at octet 12"),
    ] {
        check_bad(line, reason);
    }
}

#[test]
fn tags_are_found_on_bad_lines() {
    for (line, tag) in [
        ("a1 bogus", Some("a1")),
        ("a1", Some("a1")),
        ("", None),
        (" x", None),
        ("+ x", None),
        ("a+b NOOP", None),
        ("\u{fc} NOOP", None),
        ("(a NOOP", None),
        ("a[1] x", Some("a[1]")),
    ] {
        let error = parse(line.as_bytes(), NameEncoding::ModifiedUtf7).unwrap_err();
        assert_eq!(error.tag.as_deref(), tag, "{line:?}: {error}");
    }
    assert_eq!(recover_tag(&[b'a'; TAG_OCTETS_MAX]), Some("a".repeat(TAG_OCTETS_MAX)));
    assert_eq!(recover_tag(&[b'a'; TAG_OCTETS_MAX + 1]), None);
    assert_eq!(recover_tag(b"a\r\nb"), Some("a".to_owned()));
}

#[test]
fn names_may_be_utf8_once_the_client_has_said_so() {
    let parse = |line: &str| parse(line.as_bytes(), NameEncoding::Utf8).map(|command| command.body);
    assert_eq!(parse("a DELETE \"ü&\""), Ok(Body::Delete(mailbox_name("ü&"))));
    assert_eq!(parse("a DELETE &APw-"), Ok(Body::Delete(mailbox_name("&APw-"))));
    assert_eq!(parse("a LIST \"ü\" \"ä*\""), Ok(Body::List(listed("ü", "ä*"))));
    let error = super::parse(b"a DELETE \"\xfc\"", NameEncoding::Utf8).unwrap_err();
    assert_eq!(error.reason, "the name is not UTF-8 at octet 10");
}

#[test]
fn search_keys_nest_up_to_a_limit() {
    for (open, close) in [("(", ")"), ("NOT ", ""), ("OR ALL ", "")] {
        let nested = |depth: usize| format!("a SEARCH {}ALL{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(nested(SEARCH_DEPTH_MAX).as_bytes(), NameEncoding::default()).is_ok());
        for depth in [SEARCH_DEPTH_MAX + 1, 10_000] {
            let error = parse(nested(depth).as_bytes(), NameEncoding::default()).unwrap_err();
            assert!(error.reason.starts_with("the search keys are nested too deeply"), "{error}");
        }
    }
}

#[test]
fn append_comes_in_pieces() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let head =
        |mailbox, message| Ok(AppendHead { tag: "a".to_owned(), mailbox: mailbox_name(mailbox), message });
    let message =
        |flags: &[Flag], internal_date, utf8| AppendMessage { flags: flags.to_vec(), internal_date, utf8 };
    let plain = AppendMessage::default();
    for (text, expected) in [
        ("a APPEND inbox ", head("INBOX", plain.clone())),
        ("a append {3}\r\na&- ", head("a&", plain.clone())),
        ("a APPEND x () ", head("x", plain.clone())),
        (r"a APPEND x (\Seen a) ", head("x", message(&[Flag::Seen, Flag::Keyword("a".into())], None, false))),
        (
            "a APPEND x \"17-Jul-1996 02:44:25 -0700\" ",
            head("x", message(&[], Some(at("1996-07-17T09:44:25Z")), false)),
        ),
        (
            "a APPEND x (\\Seen) \" 7-Jul-1996 23:59:60 +0530\" UTF8 (",
            head("x", message(&[Flag::Seen], Some(at("1996-07-07T18:29:59Z")), true)),
        ),
        ("a APPEND x UTF8 (", head("x", message(&[], None, true))),
    ] {
        assert_eq!(parse_append_head(text.as_bytes(), NameEncoding::default()), expected, "{text}");
    }
    for (text, reason) in [
        ("a APPEND ", "expected a mailbox name at octet 10"),
        ("a APPEND x", "expected a space at octet 11"),
        ("a APPEND x y ", "expected the end of the command at octet 12"),
        ("a APPEND x (\\Seen)", "expected a space at octet 19"),
        (
            "a APPEND x \"17-Jul-1996 02:44:25\" ",
            "expected a date and time like \"17-Jul-1996 02:44:25 -0700\" at octet 12",
        ),
        (
            "a APPEND x \"31-Feb-1996 02:44:25 +0000\" ",
            "expected a date and time like \"17-Jul-1996 02:44:25 -0700\" at octet 12",
        ),
        (
            "a APPEND x \"17-Jul-1996 02:44:25 +0099\" ",
            "expected a date and time like \"17-Jul-1996 02:44:25 -0700\" at octet 12",
        ),
    ] {
        let error = parse_append_head(text.as_bytes(), NameEncoding::default()).unwrap_err();
        assert_eq!((error.tag.as_deref(), error.reason.as_str()), (Some("a"), reason), "{text}");
    }
    let utf8 = message(&[], None, true);
    let seen = message(&[Flag::Seen], None, false);
    assert_eq!(parse_append_next(b" (\\Seen) ", "a", &plain), Ok(seen.clone()));
    assert_eq!(parse_append_next(b") (\\Seen) ", "a", &utf8), Ok(seen));
    assert_eq!(parse_append_end(b"", "a", &plain), Ok(()));
    assert_eq!(parse_append_end(b")", "a", &utf8), Ok(()));
    let reason = |result: Result<(), SyntaxError>| result.unwrap_err().to_string();
    assert_eq!(reason(parse_append_end(b"", "a", &utf8)), "expected ) at octet 1");
    assert_eq!(reason(parse_append_end(b" x", "a", &plain)), "expected the end of the command at octet 2");
}

#[test]
fn dates_of_all_days_survive() {
    for (nth, at) in (0_i64..4000).map(|nth| (nth, Timestamp::from_second(nth * 86_399 * 9).unwrap())) {
        let zone = jiff::tz::Offset::from_seconds((nth as i32 % 53 - 26) * 1800).unwrap();
        let mut text = Vec::new();
        super::super::encode::date_time(&mut text, at, zone);
        assert_eq!(text.len(), 28);
        assert_eq!(complete(&text, 0, text::date_time), Ok(at), "{}", text.escape_ascii());
        let _: Date = zone.to_datetime(at).date();
    }
}

/// Commands and pieces of them, glued in any order, come near to every corner of the grammar.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "a ",
        "UID ",
        "FETCH ",
        "1:* ",
        "(",
        ")",
        "BODY[",
        "]",
        "1.",
        "HEADER.FIELDS ",
        "<0.5>",
        "SEARCH ",
        "NOT ",
        "OR ",
        "RETURN ",
        "ALL ",
        "MODSEQ ",
        "\"",
        "\\",
        "{3}\r\n",
        "{3+}\r\nabc",
        "~{2}\r\n\0\0",
        "STORE ",
        "+FLAGS ",
        "\\Seen ",
        "LIST ",
        "STATUS ",
        "QRESYNC ",
        "SELECT ",
        "CREATE ",
        "(USE ",
        "\"\" ",
        "&APw-",
        "*",
        "%",
        "$ ",
        "SORT ",
        "DATE ",
        "1-Feb-1994 ",
        "ID ",
        "NIL",
        "SETMETADATA ",
        "/a ",
        "APPEND ",
        " ",
        "\0",
        "\u{fc}",
        "99999999999999999999",
        "GETMETADATA ",
        "DEPTH ",
        "THREAD ",
        "x",
        "PREVIEW ",
        "(LAZY)",
    ]);
    let glued =
        prop::collection::vec(words, 0..16).prop_map(|words| ["a ", &words.concat()].concat().into_bytes());
    prop_oneof![glued, prop::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_line_panics(line in lines()) {
        for names in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
            let _ = parse(&line, names);
            let _ = parse_append_head(&line, names);
        }
        let _ = parse_append_next(&line, "a", &AppendMessage::default());
    }

    #[test]
    fn reasons_fit_on_a_line(line in lines()) {
        if let Err(error) = parse(&line, NameEncoding::default()) {
            prop_assert!(error.reason.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{}", error.reason);
            prop_assert!(error.reason.len() < 120);
        }
    }
}

/// Commands that imap-codec understands as well.
const VALID: &[&str] = &[
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "CHECK",
    "CLOSE",
    "EXPUNGE",
    "UNSELECT",
    "IDLE",
    "LOGIN a b",
    "LOGIN {1}\r\na \"b c\"",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE PLAIN AGEAYg==",
    "SELECT INBOX",
    "EXAMINE x",
    "CREATE x",
    "DELETE x",
    "RENAME x y",
    "SUBSCRIBE x",
    "UNSUBSCRIBE x",
    "LIST \"\" *",
    "LSUB \"\" \"%\"",
    "STATUS x (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)",
    "ENABLE CONDSTORE",
    "COMPRESS DEFLATE",
    "GETQUOTA \"\"",
    "GETQUOTAROOT INBOX",
    "SETQUOTA \"\" (STORAGE 512)",
    "SEARCH ALL",
    "SEARCH CHARSET UTF-8 OR FROM a NOT (SEEN SUBJECT \"b c\")",
    "UID SEARCH UID 1:* UNSEEN",
    "SEARCH 1,3:*",
    "SEARCH SINCE 1-Feb-1994 BEFORE \"2-Mar-2000\" LARGER 5",
    "SEARCH HEADER Message-ID {2}\r\nab",
    "SEARCH KEYWORD $Junk",
    "FETCH 1:* ALL",
    "FETCH 1 FULL",
    "FETCH 1 (FLAGS UID RFC822.SIZE INTERNALDATE)",
    "FETCH 1 BODY[]",
    "FETCH 1 BODY.PEEK[1.2.HEADER.FIELDS (From To)]<0.100>",
    "UID FETCH 1 (BODY[1.MIME])",
    "FETCH 1 BODY[HEADER.FIELDS.NOT (From)]",
    "FETCH 1 BODYSTRUCTURE",
    "FETCH 1 BINARY.PEEK[1]",
    "FETCH 1 BINARY.SIZE[1]",
    "STORE 1 +FLAGS (\\Seen)",
    "STORE 1 -FLAGS.SILENT \\Deleted",
    "STORE 1 FLAGS ()",
    "COPY 1:2 x",
    "UID COPY 1 x",
    "MOVE 1 x",
    "UID MOVE 1 x",
    "UID EXPUNGE 1:5",
    "SORT (REVERSE DATE) UTF-8 ALL",
    "UID SORT (SUBJECT) US-ASCII UNSEEN",
    "THREAD REFERENCES UTF-8 ALL",
    "UID THREAD ORDEREDSUBJECT UTF-8 ALL",
    "SELECT INBOX (CONDSTORE)",
    "SELECT INBOX (QRESYNC (67 900 41,43:211 (1,3 41,43)))",
    "UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 12345 VANISHED)",
    "STORE 1 (UNCHANGEDSINCE 5) +FLAGS (a)",
    "SEARCH MODSEQ 5",
    "ID (\"name\" \"x\" \"os\" NIL)",
    "ID NIL",
    "NAMESPACE",
    "STATUS x (SIZE DELETED HIGHESTMODSEQ)",
    "SEARCH YOUNGER 5 OLDER 7",
    "GETMETADATA \"\" /shared/comment",
    "GETMETADATA (MAXSIZE 5 DEPTH 1) x (/a /b)",
    "SETMETADATA x (/a \"b\" /c NIL)",
];

fn imap_codec_takes(command: &[u8]) -> bool {
    use imap_codec::decode::Decoder;
    let framed = [command, b"\r\n"].concat();
    matches!(imap_codec::CommandCodec::default().decode(&framed), Ok((b"", _)))
}

#[test]
fn another_parser_agrees_on_what_is_valid() {
    for line in VALID {
        let command = format!("a {line}");
        assert!(parse(command.as_bytes(), NameEncoding::default()).is_ok(), "we refuse {line}");
        assert!(imap_codec_takes(command.as_bytes()), "imap-codec refuses {line}");
    }
}

/// As many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8192)
}

/// Valid commands with up to three pieces replaced.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "",
        "",
        " ",
        "(",
        ")",
        "a",
        "1",
        "*",
        "1:*",
        ":",
        ",",
        "$",
        "\"",
        "\\",
        "\"\"",
        "NIL",
        "ALL",
        "NOT ",
        "OR ",
        "[",
        "]",
        "<0.1>",
        ".",
        "1.",
        "HEADER",
        "FLAGS",
        "\\Seen",
        "{1+}\r\nx",
        "{0}\r\n",
        "~{1}\r\nx",
        "0",
        "4294967295",
        "4294967296",
        "-",
        "+",
        "&-",
        "/a",
        "/a/b",
        "%",
        "RETURN (MIN) ",
        "1-Feb-1994",
    ]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, words), 0..4);
    (prop::sample::select(VALID), edits).prop_map(|(line, edits)| {
        let mut command = line.as_bytes().to_vec();
        for (at, len, word) in edits {
            let start = at.index(command.len() + 1);
            let end = command.len().min(start + len);
            command.splice(start..end, word.bytes());
        }
        [b"a ", &command[..]].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn what_another_parser_takes_is_taken(command in damaged()) {
        if imap_codec_takes(&command)
            && let Err(SyntaxError { reason, .. }) = parse(&command, NameEncoding::default())
        {
            // It looks into neither names nor known sets, and it holds messages.
            let stricter =
                ["modified UTF-7", "expected an entry name", "expected MAXSIZE or DEPTH", "* is not possible", "the literal of a message"];
            prop_assert!(
                stricter.iter().any(|words| reason.contains(words)),
                "{}: {}",
                command.escape_ascii(),
                reason
            );
        }
    }
}
