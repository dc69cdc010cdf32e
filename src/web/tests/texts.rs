//! The Chinese of what `mailroot` describes: tables, columns, commands, options, words, kinds of values, problems.

use super::super::rows::controls::option_key;
use super::super::schema_text;
use std::path::PathBuf;

use super::*;
use crate::address::PathError;
use crate::admin::AdminError;
use crate::admin::backup::BackupError;
use crate::check;
use crate::mailroot::Problem;
use crate::mailroot::edit::EditError;
use crate::mailroot::history::HistoryError;
use crate::mailroot::schema::kind::ListOf;
use crate::mailroot::schema::{Column, Kind, OptionGroup, Presence, TABLES};
use crate::mailroot::{ProblemKind, Severity};
use crate::web::error::WebError;
use crate::web::trouble;

/// Keys with their English.
type Texts = Vec<(String, String)>;

fn of_column(table: &str, column: &Column, texts: &mut Texts) {
    let key = format!("{table}.{}", column.name);
    texts.push((format!("{key}.name"), column.name.to_owned()));
    texts.push((key.clone(), column.doc.to_owned()));
    if let Presence::Optional(without) = column.presence {
        texts.push((format!("{key}.without"), without.to_owned()));
    }
    of_kind(column.kind, texts);
}

fn of_kind(kind: Kind, texts: &mut Texts) {
    let (key, _) = schema_text::kind_key(kind);
    if !key.is_empty() {
        texts.push((key.to_owned(), kind.describe()));
    }
    texts.extend(kind.words().iter().map(|word| (format!("={}", word.doc), word.doc.to_owned())));
    if let Some(group) = kind.options() {
        of_group(group, texts);
    }
}

fn of_group(group: &'static OptionGroup, texts: &mut Texts) {
    for option in group.options {
        texts.push((option_key(group, option), option.doc().to_owned()));
        if !matches!(option.kind, Kind::Options(_) | Kind::Letters(_)) {
            of_kind(option.kind, texts);
        }
    }
}

fn all() -> Texts {
    let mut texts = Texts::new();
    for table in TABLES {
        let name = table.name;
        for (key, text) in [("", table.summary), ("#lookup", table.lookup), ("#missing", table.missing)] {
            texts.push((format!("{name}{key}"), text.to_owned()));
        }
        let notes = table.notes.iter().enumerate();
        texts.extend(notes.map(|(at, note)| (format!("{name}#note{at}"), (*note).to_owned())));
        table.columns.iter().for_each(|column| of_column(name, column, &mut texts));
        for command in table.commands {
            let key = format!("command.{}", command.name);
            texts.push((key.clone(), command.doc.to_owned()));
            command.arguments.iter().for_each(|column| of_column(&key, column, &mut texts));
        }
    }
    for variable in schema::server::VARIABLES.iter().chain(schema::user::VARIABLES) {
        of_kind(variable.kind, &mut texts);
    }
    texts.extend(problems().iter().map(|kind| (format!("problem.{}", kind.code()), kind.to_string())));
    texts.sort();
    texts.dedup_by(|a, b| a.0 == b.0);
    texts
}

/// One of each kind.
fn problems() -> Vec<ProblemKind> {
    use ProblemKind::*;
    let text = || "found".to_owned();
    vec![
        Unreadable(std::io::ErrorKind::PermissionDenied),
        TooFewColumns { needed: 3, found: 2 },
        WrongColumnCount { needed: 3, found: 2 },
        LineTooLong { length: 900, limit: 510 },
        NulByte,
        UnclosedQuote,
        TextAfterQuote,
        ByteOrderMark,
        NotUtf8,
        NotANumber(text()),
        BadAddressFilter(text()),
        BadPassword,
        BadAddress(text()),
        UnknownWord { found: text(), accepted: "a, b" },
        Duplicate { first: 7 },
        BadName(text()),
        BadIpAddress(text()),
        BadHost(text()),
        NoHost,
        BadRoute(text()),
        AtInDomainPattern(text()),
        NegativePrecedence,
        NoEffectHere(text()),
        NothingToMatch,
        TooMany { limit: 5 },
        Missing,
        Emptied,
        TooLarge { bytes: 5, limit: 4 },
        UnknownVariable { nearest: Some("RealName") },
        IgnoredVariable("never read"),
        OutOfRange { found: text(), accepted: "a number".into() },
        ReadAsNumber { found: text(), counts_as: 3 },
        BadDomain(text()),
        BadLocalPart(text()),
        Empty,
        NoReplyCode(text()),
        CountsForNothing { found: text(), accepted: "a, b" },
        MoreProblems(9),
    ]
}

#[test]
fn all_that_is_described_is_there_in_chinese() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    let missing: Vec<String> = all()
        .into_iter()
        .filter(|(key, english)| !catalogs.has_schema(key) && !catalogs.has_schema(&format!("={english}")))
        .map(|(key, english)| format!("{key}\t{english}"))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Issue 7, 5: what the server does with a finding, what to do about it, and its message with all that it names.
#[test]
fn every_code_of_the_check_is_there_in_chinese_and_none_is_left_over() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    let mut wanted = BTreeSet::from(["finding.TAB127.more".to_owned()]);
    for code in check::all_codes() {
        wanted.extend(["run", "remedy"].map(|part| format!("code.{}.{part}", code.code)));
        let is_of_loading = catalogs.has_schema(&format!("problem.{}", code.code));
        wanted.extend((!is_of_loading).then(|| format!("finding.{}", code.code)));
    }
    let is_of_codes = |key: &&str| key.starts_with("code.") || key.starts_with("finding.");
    let found: BTreeSet<String> =
        catalogs.schema_keys().into_iter().filter(is_of_codes).map(str::to_owned).collect();
    assert_eq!(found, wanted);
    for key in &found {
        let text = catalogs.schema(Language::Chinese, key, "");
        assert!(!text.is_ascii(), "{key}: {text}");
        assert_eq!(text.ends_with('。'), key.ends_with(".remedy"), "{key}: {text}");
    }
}

#[test]
fn findings_name_their_facts_in_chinese() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    for fact in check::one_of_each_fact() {
        let chinese = schema_text::finding(&catalogs, Language::Chinese, &fact);
        assert!(!chinese.contains('{') && !chinese.is_ascii(), "{fact:?}: {chinese}");
        for (name, value) in fact.values().into_iter().filter(|(name, _)| *name != "more") {
            // What macros there are is no part of the message.
            assert!(name == "known" || chinese.contains(&value), "{fact:?}: {name}: {chinese}");
        }
        assert_eq!(schema_text::finding(&catalogs, Language::English, &fact), fact.to_string());
    }
    let (domain, line) = ("b.test".to_owned(), 3);
    let fact = check::Fact::AliasPatternCatchesDomain { domain, line, more: check::MoreDomains(4) };
    let chinese = schema_text::finding(&catalogs, Language::Chinese, &fact);
    assert_eq!(chinese, "通配符也包含了 b.test（domains.tab:3），以及另外 4 个域");
    let reason = "line 4: no MAIL FROM:<path>".to_owned();
    let chinese =
        schema_text::finding(&catalogs, Language::Chinese, &check::Fact::BadSpoolMessage { reason });
    assert_eq!(chinese, "无法投递：第 4 行：没有 MAIL FROM:<地址>");
}

#[test]
fn what_a_number_must_be_is_told_in_chinese() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    let variables = schema::server::VARIABLES.iter().chain(schema::user::VARIABLES);
    let numbers =
        variables.clone().map(|variable| variable.kind).filter(|kind| matches!(kind, Kind::Integer { .. }));
    let reasons = variables.filter_map(|variable| variable.ignored).map(str::to_owned);
    let missing: Vec<String> = numbers
        .map(|kind| kind.describe())
        .chain(reasons)
        .filter(|english| catalogs.phrase(Language::Chinese, english) == *english)
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn problems_name_their_facts_in_both_languages() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    for kind in problems() {
        let chinese = schema_text::problem(&catalogs, Language::Chinese, &kind);
        assert!(!chinese.contains('{') && !chinese.is_ascii(), "{kind:?}: {chinese}");
        for fact in ["found", "7", "900", "510", "RealName", "a, b", "5"] {
            let is_named = kind.to_string().replace("is used", "").contains(&format!("{fact:?}"));
            assert!(!is_named || chinese.contains(fact), "{kind:?}: {chinese}");
        }
        assert_eq!(schema_text::problem(&catalogs, Language::English, &kind), kind.to_string());
        assert!(kind.severity() >= Severity::Note);
    }
    for kind in
        [Kind::Integer { min: 0, max: 4, unit: "" }, Kind::List(ListOf::Listeners), Kind::FileName("filters")]
    {
        let chinese = schema_text::accepts(&catalogs, Language::Chinese, kind);
        assert!(!chinese.contains('{') && chinese != kind.describe(), "{chinese}");
    }
}

/// What a check that is under way looks at.
#[test]
fn the_stages_of_the_check_have_chinese_names() {
    let (catalogs, root) = (Catalogs::load(&Assets::default()).unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(root.path().join("spool/0/0/mess")).unwrap();
    let seen = std::sync::Mutex::new(BTreeSet::new());
    let tell = |progress: check::Progress| {
        seen.lock().unwrap().insert(progress.stage);
    };
    let options = check::Options { now: "2026-11-23T10:00:00Z".parse().unwrap(), limit: 1 };
    check::run(&MailRoot::new(root.path()), &options, &tell);
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() > 10, "{seen:?}");
    let missing: Vec<_> =
        seen.iter().filter(|stage| !catalogs.has_schema(&format!("stage.{stage}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// One of each error whose text says more than its key.
#[test]
fn the_details_of_errors_are_told_in_chinese() {
    let io = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let (file, path) = (|| PathBuf::from("a.tab"), || PathBuf::from("/x/y"));
    let problem = |kind| Problem { file: file(), line: 3, column: 1, kind };
    let edits = [
        EditError::BadPath { file: file() },
        EditError::Busy { waited: std::time::Duration::from_secs(7) },
        EditError::Lock { source: io() },
        EditError::Read { file: file(), source: io() },
        EditError::Write { file: file(), source: io() },
        EditError::OpenForWriting { file: file(), program: "vi".into(), pid: 4711 },
        EditError::ChangedMeanwhile { file: file() },
        EditError::NoSuchRow { file: file(), line: 7 },
        EditError::Value { file: file(), column: 7, reason: "it holds a TAB" },
        EditError::ColumnCount { file: file(), needed: 7, found: 3 },
        EditError::LineTooLong { file: file(), line: 7, length: 900, limit: 510 },
        EditError::NulByte { file: file(), line: 7 },
        EditError::Rejected { problem: problem(ProblemKind::NulByte) },
    ];
    let backups = [
        BackupError::Archive { path: path(), source: io() },
        BackupError::NoRoom { path: path(), free_bytes: 7 },
        BackupError::TooLarge { limit: 7 },
        BackupError::TooLargeToReceive { limit: 7 },
        BackupError::NeverStill,
    ];
    let histories = [
        HistoryError::NoSuchState { number: 7, oldest: 1, newest: 3 },
        HistoryError::NotRecorded { file: file(), number: 7 },
        HistoryError::Damaged { path: path(), reason: "it is missing" },
        HistoryError::Disk { path: path(), source: io() },
    ];
    let addresses = [
        PathError::NoAngleBrackets,
        PathError::TooLong,
        PathError::Grammar,
        PathError::Host,
        PathError::NonAscii,
        PathError::NullForwardPath,
    ];
    let admin = edits
        .into_iter()
        .map(AdminError::from)
        .chain(backups.into_iter().map(AdminError::from))
        .chain(addresses.into_iter().map(AdminError::from))
        .chain([
            AdminError::BadRelay(ProblemKind::NoHost),
            AdminError::BadTable { problems: vec![problem(ProblemKind::Duplicate { first: 7 })] },
            AdminError::SwitchedOff { option: "-X-".into() },
            AdminError::Certificate("/x/server.key: no items found".into()),
            AdminError::MakeDirectory { path: path(), source: io() },
            AdminError::RemoveDirectory { path: path(), source: io() },
            AdminError::Disk { action: "list", path: path(), source: io() },
            AdminError::Hash(crate::auth::HashError),
        ]);
    let all = admin.map(WebError::from).chain(histories.into_iter().map(WebError::from));
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    for error in all {
        let chinese = trouble::detail(&catalogs, Language::Chinese, &error);
        let is_whole = !chinese.is_ascii() && !chinese.contains("trouble.") && !chinese.contains('{');
        assert!(is_whole && !chinese.contains("permission"), "{error:?}: {chinese}");
        for fact in ["a.tab", "/x/", "4711", "900", "510", "a.tab:3:1", "-X-"] {
            assert!(!error.to_string().contains(fact) || chinese.contains(fact), "{error}: {chinese}");
        }
        assert_eq!(trouble::detail(&catalogs, Language::English, &error), error.to_string());
    }
}

/// What was tried on a file, in errors of mailboxes, spool and use-cases: every verb that the sources have.
#[test]
fn what_was_tried_on_a_file_has_a_chinese_verb() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending: Vec<PathBuf> = ["admin", "mailbox", "spool"].map(|room| source.join(room)).into();
    let mut verbs = BTreeSet::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let code = fs::read_to_string(path).unwrap();
        for opening in ["disk(\"", "failed(\"", "action: \""] {
            let found = code.split(opening).skip(1).filter_map(|rest| rest.split('"').next());
            verbs.extend(found.map(str::to_owned));
        }
    }
    assert!(verbs.len() > 10, "{verbs:?}");
    let missing: Vec<_> =
        verbs.iter().filter(|verb| !catalogs.has_schema(&format!("action.{verb}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
