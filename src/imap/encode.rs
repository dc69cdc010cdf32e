//! Values as response text (RFC 9051 section 7).
//!
//! Shape: functions that append to a buffer; each writes one element without the spaces around it, but for
//! [`tagged`], [`untagged`] and [`continuation`], which write whole lines.
//!
//! Strings take the shortest form every client understands: quoted, or a literal where there are 8-bit octets, line
//! ends, NULs or more than [`QUOTED_OCTETS_MAX`] octets. No value can break out of its place: texts for people lose
//! what is not printing US-ASCII.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::command::{Flag, Section, SectionText, StatusItem};
use super::grammar::{MONTHS, NameEncoding, is_astring_char};
use crate::mutf7;

/// How a command went, or what a greeting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
    /// The connection ends; untagged only.
    Bye,
    /// A greeting to one who needs no log-in; untagged only.
    PreAuth,
}

/// A response code (RFC 9051 section 7.1 and the extensions). Sets are texts of [`super::sets`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// The text is to be shown to the user.
    Alert,
    /// The charset is not known; these are.
    BadCharset(Vec<String>),
    /// The capabilities.
    Capability(Vec<String>),
    /// A message could not be parsed.
    Parse,
    /// Flags that can be changed for good.
    PermanentFlags {
        /// These.
        flags: Vec<Flag>,
        /// `\*`: and new keywords.
        new_keywords: bool,
    },
    /// Selected without the right to change.
    ReadOnly,
    /// Selected with the right to change.
    ReadWrite,
    /// The mailbox does not exist and could be made.
    TryCreate,
    /// The next UID.
    UidNext(u32),
    /// The UIDVALIDITY.
    UidValidity(u32),
    /// The first unseen message's sequence number (RFC 3501).
    Unseen(u32),
    /// What APPEND made (RFC 4315).
    AppendUid {
        /// The mailbox's UIDVALIDITY.
        uid_validity: u32,
        /// UIDs in the order of the messages.
        uids: String,
    },
    /// What COPY and MOVE made (RFC 4315).
    CopyUid {
        /// The destination's UIDVALIDITY.
        uid_validity: u32,
        /// UIDs there were.
        from: String,
        /// UIDs there are, in the same order.
        to: String,
    },
    /// UIDs do not last (RFC 4315).
    UidNotSticky,
    /// The highest modification sequence (RFC 7162).
    HighestModSeq(u64),
    /// No modification sequences here.
    NoModSeq,
    /// Messages a conditional STORE left alone.
    Modified(String),
    /// The mailbox selected before is closed.
    Closed,
    /// The search result was not saved (RFC 5182).
    NotSaved,
    /// Something is down for now (this and the next: RFC 5530 section 3, in its order).
    Unavailable,
    /// Wrong name or password.
    AuthenticationFailed,
    /// Right password, but not for this.
    AuthorizationFailed,
    /// The password has run out.
    Expired,
    /// Encryption is needed.
    PrivacyRequired,
    /// The administrator can help.
    ContactAdmin,
    /// No right to do this.
    NoPerm,
    /// Someone else holds it.
    InUse,
    /// Messages were removed meanwhile.
    ExpungeIssued,
    /// The data is damaged.
    Corruption,
    /// A fault of ours.
    ServerBug,
    /// A fault of theirs.
    ClientBug,
    /// Never possible here.
    Cannot,
    /// A limit is reached.
    Limit,
    /// A quota is or would be exceeded.
    OverQuota,
    /// The name is taken.
    AlreadyExists,
    /// There is no such thing.
    NonExistent,
    /// The mailbox has children and cannot go.
    HasChildren,
    /// A content transfer encoding is not known (RFC 3516).
    UnknownCte,
    /// Compressing already (RFC 4978).
    CompressionActive,
    /// A message or literal is too large (RFC 4469).
    TooBig,
    /// A special use is not possible (RFC 6154).
    UseAttr,
    /// The mailbox's identifier (RFC 8474).
    MailboxId(String),
    /// The largest value left out had so many octets (RFC 5464).
    MetadataLongEntries(u64),
    /// A value has at most so many octets (RFC 5464).
    MetadataMaxSize(u64),
    /// Too many entries (RFC 5464).
    MetadataTooMany,
    /// No private entries here (RFC 5464).
    MetadataNoPrivate,
}

/// `tag OK [CODE] text` and its line end.
pub fn tagged(out: &mut Vec<u8>, tag: &str, condition: Condition, code: Option<&Code>, text: &str) {
    out.extend_from_slice(tag.as_bytes());
    status(out, condition, code, text);
}

/// `* OK [CODE] text` and its line end.
pub fn untagged(out: &mut Vec<u8>, condition: Condition, code: Option<&Code>, text: &str) {
    out.push(b'*');
    status(out, condition, code, text);
}

/// `+ text` and its line end; the text may be base64 of a challenge, or empty.
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    printable(out, text);
    out.extend_from_slice(b"\r\n");
}

fn status(out: &mut Vec<u8>, condition: Condition, code: Option<&Code>, text: &str) {
    out.push(b' ');
    out.extend_from_slice(condition.name().as_bytes());
    out.push(b' ');
    if let Some(code) = code {
        out.push(b'[');
        out.extend_from_slice(code.to_text().as_bytes());
        out.extend_from_slice(b"] ");
    }
    // RFC 9051 `resp-text` needs at least one octet.
    printable(out, if text.is_empty() { "-" } else { text });
    out.extend_from_slice(b"\r\n");
}

/// Text for people: what is not printing US-ASCII is `?`.
fn printable(out: &mut Vec<u8>, text: &str) {
    out.extend(text.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' }));
}

/// `string`.
pub fn string(out: &mut Vec<u8>, octets: &[u8]) {
    let is_short = octets.len() <= QUOTED_OCTETS_MAX;
    if is_short && octets.iter().all(|&octet| octet.is_ascii() && is_quotable(octet)) {
        quoted(out, octets);
    } else {
        literal(out, octets);
    }
}

/// `nstring`: NIL without a value.
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => string(out, octets),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `astring`: as it is where that can be read, else as [`string`].
pub fn astring(out: &mut Vec<u8>, octets: &[u8]) {
    let is_atom = (1..=QUOTED_OCTETS_MAX).contains(&octets.len())
        && octets.iter().all(|&octet| is_astring_char(octet))
        && !octets.eq_ignore_ascii_case(b"NIL");
    if is_atom { out.extend_from_slice(octets) } else { string(out, octets) }
}

/// `literal`: announcement and octets. NUL is not possible in it; for octets that may have one see [`literal8`].
pub fn literal(out: &mut Vec<u8>, octets: &[u8]) {
    literal_head(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// A literal's announcement: so many octets follow.
pub fn literal_head(out: &mut Vec<u8>, size_octets: u64) {
    out.extend_from_slice(format!("{{{size_octets}}}\r\n").as_bytes());
}

/// What BINARY gives (RFC 3516): [`string`] where there is no NUL, else a `literal8`.
pub fn literal8(out: &mut Vec<u8>, octets: &[u8]) {
    if octets.contains(&0) {
        out.push(b'~');
        literal(out, octets);
    } else {
        string(out, octets);
    }
}

/// `mailbox`, in the encoding this client understands.
pub fn mailbox(out: &mut Vec<u8>, name: &str, names: NameEncoding) {
    match names {
        NameEncoding::ModifiedUtf7 => astring(out, mutf7::encode(name).as_bytes()),
        NameEncoding::Utf8 if name.is_ascii() => astring(out, name.as_bytes()),
        NameEncoding::Utf8 if name.len() <= QUOTED_OCTETS_MAX && name.bytes().all(is_quotable) => {
            quoted(out, name.as_bytes());
        }
        NameEncoding::Utf8 => literal(out, name.as_bytes()),
    }
}

/// `flag`.
pub fn flag(out: &mut Vec<u8>, flag: &Flag) {
    out.extend_from_slice(flag.to_text().as_bytes());
}

/// `flag-list`: `(\Seen $Junk)`.
pub fn flags<'a>(out: &mut Vec<u8>, flags: impl IntoIterator<Item = &'a Flag>) {
    out.extend_from_slice(b"(");
    for (nth, one) in flags.into_iter().enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        flag(out, one);
    }
    out.push(b')');
}

/// `date-time`: `"17-Jul-1996 02:44:25 -0700"`, in this zone, whose seconds are dropped. Years outside 0 to 9999 cannot
/// be written: they are 0 and 9999.
pub fn date_time(out: &mut Vec<u8>, at: Timestamp, zone: Offset) {
    let minutes = zone.seconds() / 60;
    let zone = Offset::from_seconds(minutes * 60).unwrap_or(Offset::UTC);
    let at = zone.to_datetime(at);
    let month = MONTHS[usize::from(at.month().unsigned_abs() - 1) % MONTHS.len()];
    let sign = if minutes < 0 { '-' } else { '+' };
    let text = format!(
        "\"{:2}-{month}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}\"",
        at.day(),
        at.year().clamp(0, 9999),
        at.hour(),
        at.minute(),
        at.second(),
        minutes.abs() / 60,
        minutes.abs() % 60,
    );
    out.extend_from_slice(text.as_bytes());
}

/// `section`: `[1.2.HEADER.FIELDS (From "To")]`, as FETCH echoes it after BODY.
pub fn section(out: &mut Vec<u8>, section: &Section) {
    out.push(b'[');
    part_numbers(out, &section.part);
    if !section.part.is_empty() && section.text != SectionText::Whole {
        out.push(b'.');
    }
    match &section.text {
        SectionText::Whole => {}
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::HeaderFields(names) => field_names(out, "HEADER.FIELDS", names),
        SectionText::HeaderFieldsNot(names) => field_names(out, "HEADER.FIELDS.NOT", names),
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
    }
    out.push(b']');
}

/// `section-binary`: `[1.2]`, as FETCH echoes it after BINARY.
pub fn binary_section(out: &mut Vec<u8>, part: &[u32]) {
    out.push(b'[');
    part_numbers(out, part);
    out.push(b']');
}

fn part_numbers(out: &mut Vec<u8>, part: &[u32]) {
    let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
    out.extend_from_slice(numbers.join(".").as_bytes());
}

fn field_names(out: &mut Vec<u8>, word: &str, names: &[String]) {
    out.extend_from_slice(word.as_bytes());
    for (nth, name) in names.iter().enumerate() {
        out.extend_from_slice(if nth == 0 { b" (" } else { b" " });
        astring(out, name.as_bytes());
    }
    out.push(b')');
}

fn quoted(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

fn is_quotable(octet: u8) -> bool {
    !matches!(octet, b'\0' | b'\r' | b'\n')
}

impl Condition {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::PreAuth => "PREAUTH",
        }
    }
}

impl Flag {
    /// The flag as it is written.
    pub fn to_text(&self) -> String {
        match self {
            Self::Answered => "\\Answered".to_owned(),
            Self::Flagged => "\\Flagged".to_owned(),
            Self::Deleted => "\\Deleted".to_owned(),
            Self::Seen => "\\Seen".to_owned(),
            Self::Draft => "\\Draft".to_owned(),
            Self::Recent => "\\Recent".to_owned(),
            Self::Keyword(keyword) => keyword.clone(),
            Self::Extension(name) => format!("\\{name}"),
        }
    }
}

impl StatusItem {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::Size => "SIZE",
            Self::AppendLimit => "APPENDLIMIT",
            Self::HighestModSeq => "HIGHESTMODSEQ",
            Self::MailboxId => "MAILBOXID",
        }
    }
}

impl Code {
    /// The code as it stands between the brackets.
    pub fn to_text(&self) -> String {
        match self {
            Self::BadCharset(charsets) => bad_charset(charsets),
            Self::Capability(names) => format!("CAPABILITY {}", names.join(" ")),
            Self::PermanentFlags { flags, new_keywords } => permanent_flags(flags, *new_keywords),
            Self::UidNext(uid) => format!("UIDNEXT {uid}"),
            Self::UidValidity(value) => format!("UIDVALIDITY {value}"),
            Self::Unseen(number) => format!("UNSEEN {number}"),
            Self::AppendUid { uid_validity, uids } => format!("APPENDUID {uid_validity} {uids}"),
            Self::CopyUid { uid_validity, from, to } => format!("COPYUID {uid_validity} {from} {to}"),
            Self::HighestModSeq(value) => format!("HIGHESTMODSEQ {value}"),
            Self::Modified(set) => format!("MODIFIED {set}"),
            Self::MailboxId(id) => format!("MAILBOXID ({id})"),
            Self::MetadataLongEntries(octets) => format!("METADATA LONGENTRIES {octets}"),
            Self::MetadataMaxSize(octets) => format!("METADATA MAXSIZE {octets}"),
            word => word.word().to_owned(),
        }
    }

    /// Codes of words alone.
    fn word(&self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::Parse => "PARSE",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::TryCreate => "TRYCREATE",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::NoModSeq => "NOMODSEQ",
            Self::Closed => "CLOSED",
            Self::NotSaved => "NOTSAVED",
            Self::Unavailable => "UNAVAILABLE",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::Expired => "EXPIRED",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::NoPerm => "NOPERM",
            Self::InUse => "INUSE",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::Corruption => "CORRUPTION",
            Self::ServerBug => "SERVERBUG",
            Self::ClientBug => "CLIENTBUG",
            Self::Cannot => "CANNOT",
            Self::Limit => "LIMIT",
            Self::OverQuota => "OVERQUOTA",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::NonExistent => "NONEXISTENT",
            Self::HasChildren => "HASCHILDREN",
            Self::UnknownCte => "UNKNOWN-CTE",
            Self::CompressionActive => "COMPRESSIONACTIVE",
            Self::TooBig => "TOOBIG",
            Self::UseAttr => "USEATTR",
            Self::MetadataTooMany => "METADATA TOOMANY",
            Self::MetadataNoPrivate => "METADATA NOPRIVATE",
            Self::BadCharset(_)
            | Self::Capability(_)
            | Self::PermanentFlags { .. }
            | Self::UidNext(_)
            | Self::UidValidity(_)
            | Self::Unseen(_)
            | Self::AppendUid { .. }
            | Self::CopyUid { .. }
            | Self::HighestModSeq(_)
            | Self::Modified(_)
            | Self::MailboxId(_)
            | Self::MetadataLongEntries(_)
            | Self::MetadataMaxSize(_) => "",
        }
    }
}

fn bad_charset(charsets: &[String]) -> String {
    if charsets.is_empty() { "BADCHARSET".to_owned() } else { format!("BADCHARSET ({})", charsets.join(" ")) }
}

fn permanent_flags(flags: &[Flag], new_keywords: bool) -> String {
    let mut words: Vec<String> = flags.iter().map(Flag::to_text).collect();
    words.extend(new_keywords.then(|| "\\*".to_owned()));
    format!("PERMANENTFLAGS ({})", words.join(" "))
}

/// Octets of a quoted string at most; longer ones are literals. Ours: lines stay short enough for old clients.
pub const QUOTED_OCTETS_MAX: usize = 1000;

#[cfg(test)]
mod tests;
