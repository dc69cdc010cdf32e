//! What the dialogues together cover: every command, response, response code and capability there is.
//!
//! The lists of commands and codes are made by macros that also make a `match` without a rest: a new variant does not compile
//! before it stands here, and here it needs a dialogue, or a reason why there is none.

use std::collections::BTreeSet;

use fancy_regex::Regex;
use tabmail::imap::command::CommandBody;
use tabmail::imap::encode::Code;

use crate::dialogues;

/// Whether dialogues show something.
enum Shown {
    /// They do.
    Yes,
    /// They do not, for a reason.
    No(&'static str),
}
use Shown::{No, Yes};

macro_rules! list {
    ($name:ident, $check:ident, $of:ty, $($word:literal = $pattern:pat => $shown:expr,)*) => {
        const $name: &[(&str, Shown)] = &[$(($word, $shown)),*];

        #[allow(dead_code, reason = "that it compiles is the proof: nothing is left out")]
        fn $check(one: &$of) {
            match one {
                $($pattern => {})*
            }
        }
    };
}

list! { CODES, all_codes_are_listed, Code,
    "ALERT" = Code::Alert => No("nothing is worth an alert that every client shows to people"),
    "BADCHARSET" = Code::BadCharset(_) => Yes,
    "CAPABILITY" = Code::Capability(_) => Yes,
    "PARSE" = Code::Parse => No("every message has an ENVELOPE and a BODYSTRUCTURE, however ugly it is"),
    "PERMANENTFLAGS" = Code::PermanentFlags { .. } => Yes,
    "READ-ONLY" = Code::ReadOnly => Yes,
    "READ-WRITE" = Code::ReadWrite => Yes,
    "TRYCREATE" = Code::TryCreate => Yes,
    "UIDNEXT" = Code::UidNext(_) => Yes,
    "UIDVALIDITY" = Code::UidValidity(_) => Yes,
    "UNSEEN" = Code::Unseen(_) => Yes,
    "APPENDUID" = Code::AppendUid { .. } => Yes,
    "COPYUID" = Code::CopyUid { .. } => Yes,
    "UIDNOTSTICKY" = Code::UidNotSticky => No("UIDs last in every mailbox"),
    "HIGHESTMODSEQ" = Code::HighestModSeq(_) => Yes,
    "NOMODSEQ" = Code::NoModSeq => No("every mailbox has mod-sequences"),
    "MODIFIED" = Code::Modified(_) => Yes,
    "CLOSED" = Code::Closed => Yes,
    "NOTSAVED" = Code::NotSaved => No("any number of results is saved"),
    "UNAVAILABLE" = Code::Unavailable => Yes,
    "AUTHENTICATIONFAILED" = Code::AuthenticationFailed => Yes,
    "AUTHORIZATIONFAILED" = Code::AuthorizationFailed => No("who may not log in hears no difference to a wrong password"),
    "EXPIRED" = Code::Expired => No("passwords do not run out"),
    "PRIVACYREQUIRED" = Code::PrivacyRequired => Yes,
    "CONTACTADMIN" = Code::ContactAdmin => No("who starts without tables says it for a greeting: tests of imap::serve"),
    "NOPERM" = Code::NoPerm => Yes,
    "INUSE" = Code::InUse => No("nothing is locked against others"),
    "EXPUNGEISSUED" = Code::ExpungeIssued => Yes,
    "CORRUPTION" = Code::Corruption => No("a damaged cache is made anew"),
    "SERVERBUG" = Code::ServerBug => No("we hope"),
    "CLIENTBUG" = Code::ClientBug => Yes,
    "CANNOT" = Code::Cannot => Yes,
    "LIMIT" = Code::Limit => Yes,
    "OVERQUOTA" = Code::OverQuota => Yes,
    "ALREADYEXISTS" = Code::AlreadyExists => Yes,
    "NONEXISTENT" = Code::NonExistent => Yes,
    "HASCHILDREN" = Code::HasChildren => No("a mailbox with others below it can be removed; those stay"),
    "UNKNOWN-CTE" = Code::UnknownCte => Yes,
    "COMPRESSIONACTIVE" = Code::CompressionActive => Yes,
    "TOOBIG" = Code::TooBig => Yes,
    "USEATTR" = Code::UseAttr => Yes,
    "MAILBOXID" = Code::MailboxId(_) => Yes,
    "METADATA LONGENTRIES" = Code::MetadataLongEntries(_) => Yes,
    "METADATA MAXSIZE" = Code::MetadataMaxSize(_) => Yes,
    "METADATA TOOMANY" = Code::MetadataTooMany => No("it takes 1,000 entries: tests of mailbox::folder"),
    "METADATA NOPRIVATE" = Code::MetadataNoPrivate => No("private entries are kept"),
}

list! { COMMANDS, all_commands_are_listed, CommandBody,
    "CAPABILITY" = CommandBody::Capability => Yes,
    "NOOP" = CommandBody::Noop => Yes,
    "LOGOUT" = CommandBody::Logout => Yes,
    "STARTTLS" = CommandBody::StartTls => Yes,
    "AUTHENTICATE" = CommandBody::Authenticate { .. } => Yes,
    "LOGIN" = CommandBody::Login { .. } => Yes,
    "ENABLE" = CommandBody::Enable(_) => Yes,
    "ID" = CommandBody::Id(_) => Yes,
    "COMPRESS" = CommandBody::Compress(_) => Yes,
    "(?:SELECT|EXAMINE)" = CommandBody::Select(_) => Yes,
    "CREATE" = CommandBody::Create { .. } => Yes,
    "DELETE" = CommandBody::Delete(_) => Yes,
    "RENAME" = CommandBody::Rename { .. } => Yes,
    "SUBSCRIBE" = CommandBody::Subscribe(_) => Yes,
    "UNSUBSCRIBE" = CommandBody::Unsubscribe(_) => Yes,
    "LIST" = CommandBody::List(_) => Yes,
    "LSUB" = CommandBody::Lsub { .. } => Yes,
    "NAMESPACE" = CommandBody::Namespace => Yes,
    "STATUS" = CommandBody::Status { .. } => Yes,
    "IDLE" = CommandBody::Idle => Yes,
    "CHECK" = CommandBody::Check => Yes,
    "CLOSE" = CommandBody::Close => Yes,
    "UNSELECT" = CommandBody::Unselect => Yes,
    "(?:UID )?EXPUNGE" = CommandBody::Expunge { .. } => Yes,
    "(?:UID )?SEARCH" = CommandBody::Search(_) => Yes,
    "(?:UID )?SORT" = CommandBody::Sort(_) => Yes,
    "(?:UID )?THREAD" = CommandBody::Thread(_) => Yes,
    "(?:UID )?FETCH" = CommandBody::Fetch(_) => Yes,
    "(?:UID )?STORE" = CommandBody::Store(_) => Yes,
    "(?:UID )?COPY" = CommandBody::Copy(_) => Yes,
    "(?:UID )?MOVE" = CommandBody::Move(_) => Yes,
    "GETQUOTA" = CommandBody::GetQuota(_) => Yes,
    "GETQUOTAROOT" = CommandBody::GetQuotaRoot(_) => Yes,
    "SETQUOTA" = CommandBody::SetQuota { .. } => No("quotas are set by the administrator"),
    "GETMETADATA" = CommandBody::GetMetadata(_) => Yes,
    "SETMETADATA" = CommandBody::SetMetadata { .. } => Yes,
}

/// Commands that no value of [`CommandBody`] stands for alone. APPEND is none; the others share one.
const MORE_COMMANDS: [&str; 12] = [
    "APPEND",
    "SELECT",
    "EXAMINE",
    "UID EXPUNGE",
    "EXPUNGE",
    "UID SEARCH",
    "UID SORT",
    "UID THREAD",
    "UID FETCH",
    "UID STORE",
    "UID COPY",
    "UID MOVE",
];

/// Each capability, a part of a command that uses it, and how the answer to that begins.
const CAPABILITIES: &[(&str, &str, &str)] = &[
    ("IMAP4rev1", r"LSUB", "OK"),
    ("IMAP4rev2", r"ENABLE IMAP4rev2", "OK"),
    ("LITERAL-", r"\+\}$", "OK"),
    ("SASL-IR", r"AUTHENTICATE PLAIN \S", "OK"),
    ("ID", r"ID \(", "OK"),
    ("ENABLE", r"ENABLE QRESYNC", "OK"),
    ("IDLE", r"IDLE", r"\+"),
    ("STARTTLS", r"STARTTLS", "OK"),
    ("LOGINDISABLED", r"LOGIN ", r"NO \[PRIVACYREQUIRED\]"),
    ("AUTH=SCRAM-SHA-256-PLUS", r"AUTHENTICATE SCRAM-SHA-256-PLUS", "OK"),
    ("AUTH=SCRAM-SHA-256", r"AUTHENTICATE SCRAM-SHA-256$", "OK"),
    ("AUTH=LOGIN", r"AUTHENTICATE LOGIN", "OK"),
    ("AUTH=PLAIN", r"AUTHENTICATE PLAIN", "OK"),
    ("AUTH=CRAM-MD5", r"AUTHENTICATE CRAM-MD5", "OK"),
    ("UNSELECT", r"UNSELECT", "OK"),
    ("NAMESPACE", r"NAMESPACE", "OK"),
    ("UIDPLUS", r"UID EXPUNGE", "OK"),
    ("MOVE", r"UID MOVE", "OK"),
    ("CHILDREN", r"RETURN \(CHILDREN\)", "OK"),
    ("LIST-EXTENDED", r"LIST \(SUBSCRIBED RECURSIVEMATCH\)", "OK"),
    ("LIST-STATUS", r"LIST .*RETURN \(STATUS", "OK"),
    ("SPECIAL-USE", r"LIST \(SPECIAL-USE\)", "OK"),
    ("CREATE-SPECIAL-USE", r"CREATE .*\(USE", "OK"),
    ("STATUS=SIZE", r"STATUS .*\bSIZE", "OK"),
    ("CONDSTORE", r"STORE .*\(UNCHANGEDSINCE", r"OK \[MODIFIED"),
    ("QRESYNC", r"SELECT .*\(QRESYNC", "OK"),
    ("ESEARCH", r"SEARCH RETURN \(MIN", "OK"),
    ("SEARCHRES", r"FETCH \$", "OK"),
    ("SORT", r"SORT \(DATE\)", "OK"),
    ("SORT=DISPLAY", r"SORT \(DISPLAYFROM\)", "OK"),
    ("ESORT", r"SORT RETURN", "OK"),
    ("THREAD=ORDEREDSUBJECT", r"THREAD ORDEREDSUBJECT", "OK"),
    ("THREAD=REFERENCES", r"THREAD REFERENCES", "OK"),
    ("QUOTA", r"GETQUOTAROOT", "OK"),
    ("QUOTA=RES-STORAGE", r"GETQUOTA ", "OK"),
    ("METADATA", r"SETMETADATA", "OK"),
    ("MULTIAPPEND", r"APPEND", r"OK \[APPENDUID \d+ \d+:"),
    ("BINARY", r"FETCH .*BINARY", "OK"),
    ("OBJECTID", r"FETCH .*EMAILID", "OK"),
    ("UTF8=ACCEPT", r"APPEND .*UTF8 \(", "OK"),
    ("COMPRESS=DEFLATE", r"COMPRESS DEFLATE", "OK"),
    ("WITHIN", r"SEARCH YOUNGER", "OK"),
    ("PREVIEW", r"FETCH .*PREVIEW \(LAZY\)", "OK"),
    ("APPENDLIMIT", r"APPEND", r"NO \[TOOBIG\]"),
];

/// Untagged responses (RFC 9051 section 7 and the extensions), as they begin.
const RESPONSES: &[(&str, Shown)] = &[
    (r"\* OK ", Yes),
    (r"\* NO ", No("what goes wrong is told to the command that it goes wrong for")),
    (r"\* BAD ", Yes),
    (r"\* BYE ", Yes),
    (r"\* PREAUTH ", No("everybody logs in")),
    (r"\* CAPABILITY ", Yes),
    (r"\* ENABLED", Yes),
    (r"\* ID ", Yes),
    (r"\* LIST ", Yes),
    (r"\* LSUB ", Yes),
    (r"\* NAMESPACE ", Yes),
    (r"\* STATUS ", Yes),
    (r"\* FLAGS ", Yes),
    (r"\* SEARCH", Yes),
    (r"\* ESEARCH ", Yes),
    (r"\* SORT", Yes),
    (r"\* THREAD", Yes),
    (r"\* \d+ EXISTS", Yes),
    (r"\* \d+ RECENT", Yes),
    (r"\* \d+ EXPUNGE", Yes),
    (r"\* VANISHED \d", Yes),
    (r"\* VANISHED \(EARLIER\) ", Yes),
    (r"\* \d+ FETCH ", Yes),
    (r"\* QUOTA ", Yes),
    (r"\* QUOTAROOT ", Yes),
    (r"\* METADATA ", Yes),
    (r"\+ ", Yes),
];

/// All commands with their answers.
fn commands() -> impl Iterator<Item = &'static (String, String)> {
    dialogues().iter().flat_map(|dialogue| &dialogue.runs).flat_map(|(_, replayed)| &replayed.commands)
}

/// The first lines of all answers.
fn first_lines() -> BTreeSet<String> {
    let answers =
        dialogues().iter().flat_map(|dialogue| &dialogue.runs).flat_map(|(_, replayed)| &replayed.answers);
    answers
        .map(|answer| String::from_utf8_lossy(answer).lines().next().unwrap_or_default().to_owned())
        .collect()
}

fn check(what: &str, shown: &Shown, is_shown: bool) -> Result<(), String> {
    match (shown, is_shown) {
        (Yes, true) | (No(_), false) => Ok(()),
        (Yes, false) => Err(format!("no dialogue shows {what}")),
        (No(reason), true) => Err(format!("a dialogue shows {what}, of which it is said: {reason}")),
    }
}

#[track_caller]
fn check_all(found: impl Iterator<Item = Result<(), String>>) {
    let missing: Vec<String> = found.filter_map(Result::err).collect();
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// Each code of [`CODES`] stands in an answer, or has its reason not to.
pub(crate) fn every_response_code_is_shown() {
    let lines = first_lines();
    check_all(CODES.iter().map(|(word, shown)| {
        let code = Regex::new(&format!(r"^\S+ (OK|NO|BAD|BYE) \[{word}[ \]]")).unwrap();
        check(word, shown, lines.iter().any(|line| code.is_match(line).unwrap()))
    }));
}

/// Each command is answered OK, or `+`, somewhere.
pub(crate) fn every_command_succeeds_somewhere() {
    let is_done = |word: &str| {
        let command = Regex::new(&format!(r"(?i)^\S+ {word}( |$)")).unwrap();
        let mut done = commands().filter(|(_, answer)| answer.starts_with("OK") || answer == "+");
        done.any(|(said, _)| command.is_match(said).unwrap())
    };
    check_all(COMMANDS.iter().map(|(word, shown)| check(word, shown, is_done(word))));
    check_all(MORE_COMMANDS.iter().map(|word| check(word, &Yes, is_done(word))));
}

/// Each untagged response occurs.
pub(crate) fn every_response_is_shown() {
    let lines = first_lines();
    check_all(RESPONSES.iter().map(|(start, shown)| {
        let response = Regex::new(&format!("^{start}")).unwrap();
        check(start, shown, lines.iter().any(|line| response.is_match(line).unwrap()))
    }));
}

/// Each capability that is told is listed, and used by a command that succeeds.
pub(crate) fn every_capability_is_used() {
    let told: BTreeSet<String> = first_lines()
        .iter()
        .filter_map(|line| line.split_once("* CAPABILITY ").or_else(|| line.split_once("[CAPABILITY ")))
        .map(|(_, names)| names.split(']').next().unwrap())
        .flat_map(|names| names.split(' '))
        .map(|name| if name.starts_with("APPENDLIMIT=") { "APPENDLIMIT" } else { name }.to_owned())
        .collect();
    let listed: BTreeSet<String> = CAPABILITIES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let different: Vec<_> = told.symmetric_difference(&listed).collect();
    assert!(different.is_empty(), "told or listed, not both: {different:?}");
    check_all(CAPABILITIES.iter().map(|(name, part, answer)| {
        let command = Regex::new(&format!(r"^\S+ (UID )?{part}|{part}")).unwrap();
        let answered = Regex::new(&format!("^{answer}")).unwrap();
        let is_used = commands()
            .any(|(said, answer)| command.is_match(said).unwrap() && answered.is_match(answer).unwrap());
        check(name, &Yes, is_used)
    }));
}
