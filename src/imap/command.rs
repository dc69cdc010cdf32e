//! Commands as values: what a client asked for, free of the ways to write it (RFC 9051 section 6, RFC 3501 section 6).
//!
//! Shape: [`Command`] is a tag and a [`CommandBody`]. A command and its UID form are one variant with `by_uid`; FETCH
//! macros are expanded; keywords that differ in case only are the same value. APPEND is no body: its message is not
//! held in memory, so its parts arrive one by one as [`AppendHead`] and [`AppendMessage`].
//!
//! Text: mailbox names, references and patterns are Unicode ([`MailboxName`]); search strings, names and passwords of
//! LOGIN and metadata values are octets, for their charset is decided by whoever uses them.

use jiff::Timestamp;
use jiff::civil::Date;

use super::sets::{MessageSet, SequenceSet};
use crate::mime::SortCriterion;

/// One command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What the tagged answer begins with.
    pub tag: String,
    /// What is asked.
    pub body: CommandBody,
}

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandBody {
    /// CAPABILITY.
    Capability,
    /// NOOP.
    Noop,
    /// LOGOUT.
    Logout,
    /// STARTTLS.
    StartTls,
    /// AUTHENTICATE.
    Authenticate {
        /// The mechanism's name in capitals.
        mechanism: String,
        /// The initial response (RFC 4959) as sent: base64, or `=` for an empty one.
        initial_response: Option<String>,
    },
    /// LOGIN.
    Login {
        /// The name, as sent.
        user: Vec<u8>,
        /// The password, as sent.
        password: Vec<u8>,
    },
    /// ENABLE: capability names in capitals (RFC 5161).
    Enable(Vec<String>),
    /// ID: fields and values, or NIL (RFC 2971).
    Id(Option<Vec<IdField>>),
    /// COMPRESS: the mechanism's name in capitals (RFC 4978 knows `DEFLATE`).
    Compress(String),
    /// SELECT and EXAMINE.
    Select(Select),
    /// CREATE.
    Create {
        /// The name; an ending hierarchy delimiter is still there.
        mailbox: MailboxName,
        /// `(USE (\Sent))`, without the backslashes, as sent (RFC 6154).
        special_use: Vec<String>,
    },
    /// DELETE.
    Delete(MailboxName),
    /// RENAME.
    Rename {
        /// The name there is.
        from: MailboxName,
        /// The name there will be.
        to: MailboxName,
    },
    /// SUBSCRIBE.
    Subscribe(MailboxName),
    /// UNSUBSCRIBE.
    Unsubscribe(MailboxName),
    /// LIST, basic or extended.
    List(List),
    /// LSUB (RFC 3501 section 6.3.9).
    Lsub {
        /// The reference name.
        reference: String,
        /// The name with wildcards `*` and `%`.
        pattern: String,
    },
    /// NAMESPACE.
    Namespace,
    /// STATUS.
    Status {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// What is asked, in the order asked; not empty.
        items: Vec<StatusItem>,
    },
    /// IDLE; ends with the line `DONE`, which is no command.
    Idle,
    /// CHECK (RFC 3501 section 6.4.1).
    Check,
    /// CLOSE.
    Close,
    /// UNSELECT.
    Unselect,
    /// EXPUNGE, or UID EXPUNGE of some messages.
    Expunge {
        /// The UIDs of UID EXPUNGE (RFC 4315).
        uids: Option<MessageSet>,
    },
    /// SEARCH.
    Search(Search),
    /// SORT (RFC 5256).
    Sort(Sort),
    /// THREAD (RFC 5256).
    Thread(Thread),
    /// FETCH.
    Fetch(Fetch),
    /// STORE.
    Store(Store),
    /// COPY.
    Copy(Transfer),
    /// MOVE (RFC 6851).
    Move(Transfer),
    /// GETQUOTA: the quota root's name (RFC 9208).
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT.
    GetQuotaRoot(MailboxName),
    /// SETQUOTA.
    SetQuota {
        /// The quota root's name.
        root: Vec<u8>,
        /// Resource names in capitals and their limits.
        limits: Vec<(String, u64)>,
    },
    /// GETMETADATA (RFC 5464).
    GetMetadata(GetMetadata),
    /// SETMETADATA (RFC 5464).
    SetMetadata {
        /// The mailbox; `None` for the server's own entries (`""`).
        mailbox: Option<MailboxName>,
        /// Entry names in small letters and new values; `None` removes.
        values: Vec<(String, Option<Vec<u8>>)>,
    },
}

/// A field of ID and its value, which may be NIL.
pub type IdField = (Vec<u8>, Option<Vec<u8>>);

/// A mailbox name in Unicode. Any case of INBOX is `INBOX`. Nothing else is checked: delimiters, dots and control
/// characters are up to the storage; NUL cannot occur.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(String);

/// SELECT or EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Which mailbox.
    pub mailbox: MailboxName,
    /// EXAMINE.
    pub read_only: bool,
    /// `(CONDSTORE)` (RFC 7162 section 3.1.8).
    pub condstore: bool,
    /// `(QRESYNC (...))` (RFC 7162 section 3.2.5).
    pub qresync: Option<QResync>,
}

/// What a client knows of the mailbox it selects again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QResync {
    /// The last known UIDVALIDITY.
    pub uid_validity: u32,
    /// The last known modification sequence.
    pub mod_seq: u64,
    /// The UIDs known, without `*`; all when absent.
    pub known_uids: Option<SequenceSet>,
    /// Sequence numbers and the UIDs they had, both ascending, without `*`.
    pub sequence_match: Option<(SequenceSet, SequenceSet)>,
}

/// LIST with all its options (RFC 5258, RFC 5819, RFC 6154).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Any option, or patterns in parentheses: then `""` as pattern is no question for the delimiter.
    pub extended: bool,
    /// The selection options.
    pub select: ListSelection,
    /// The reference name.
    pub reference: String,
    /// Names with wildcards `*` and `%`; not empty.
    pub patterns: Vec<String>,
    /// The return options.
    pub returns: ListReturn,
}

/// Which mailboxes LIST gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelection {
    /// SUBSCRIBED.
    pub subscribed: bool,
    /// REMOTE.
    pub remote: bool,
    /// RECURSIVEMATCH; never alone (RFC 5258 section 3.1).
    pub recursive_match: bool,
    /// SPECIAL-USE.
    pub special_use: bool,
}

/// What LIST gives besides names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// SUBSCRIBED.
    pub subscribed: bool,
    /// CHILDREN.
    pub children: bool,
    /// SPECIAL-USE.
    pub special_use: bool,
    /// STATUS with its items; empty without.
    pub status: Vec<StatusItem>,
}

/// What STATUS can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT (RFC 3501).
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
    /// DELETED (RFC 9051).
    Deleted,
    /// SIZE (RFC 8438).
    Size,
    /// APPENDLIMIT (RFC 7889).
    AppendLimit,
    /// HIGHESTMODSEQ (RFC 7162).
    HighestModSeq,
    /// MAILBOXID (RFC 8474).
    MailboxId,
}

/// SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// UID SEARCH.
    pub by_uid: bool,
    /// RETURN (RFC 4731); `None` asks for the untagged SEARCH of RFC 3501.
    pub returns: Option<SearchReturn>,
    /// CHARSET, in capitals.
    pub charset: Option<String>,
    /// What must be true of a message; several keys are one `And`.
    pub key: SearchKey,
}

/// What a search gives. `RETURN ()` is ALL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// MIN.
    pub min: bool,
    /// MAX.
    pub max: bool,
    /// COUNT.
    pub count: bool,
    /// ALL.
    pub all: bool,
    /// SAVE (RFC 5182).
    pub save: bool,
}

/// A condition on a message (RFC 9051 section 6.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// ALL.
    All,
    /// All of these; at least two, or any number in parentheses.
    And(Vec<SearchKey>),
    /// OR.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT.
    Not(Box<SearchKey>),
    /// ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, RECENT, KEYWORD.
    HasFlag(Flag),
    /// UNANSWERED and its like, OLD, UNKEYWORD.
    LacksFlag(Flag),
    /// NEW: recent and not seen (RFC 3501).
    New,
    /// A sequence set: sequence numbers.
    Messages(MessageSet),
    /// UID: UIDs.
    Uids(MessageSet),
    /// BCC, CC, FROM, SUBJECT, TO: the field contains the text.
    Envelope(EnvelopeField, Vec<u8>),
    /// HEADER: the field contains the text; empty text asks for the field alone.
    Header {
        /// The field's name.
        name: String,
        /// The text.
        value: Vec<u8>,
    },
    /// BODY: the body contains the text.
    Body(Vec<u8>),
    /// TEXT: header or body contain the text.
    Text(Vec<u8>),
    /// BEFORE, ON, SINCE and their SENT and SAVED forms, time and zone disregarded.
    Date(DateKind, DateRelation, Date),
    /// SAVEDATESUPPORTED (RFC 8514).
    SaveDateSupported,
    /// LARGER: more octets than this.
    Larger(u64),
    /// SMALLER: fewer octets than this.
    Smaller(u64),
    /// YOUNGER: internal date within so many seconds (RFC 5032).
    Younger(u32),
    /// OLDER: internal date at least so many seconds ago (RFC 5032).
    Older(u32),
    /// MODSEQ: a modification sequence of at least this (RFC 7162); the entry name and type are not kept, for our
    /// modification sequences are one per message.
    ModSeq(u64),
    /// EMAILID (RFC 8474).
    EmailId(String),
    /// THREADID (RFC 8474).
    ThreadId(String),
}

/// Header fields with a search key of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeField {
    /// BCC.
    Bcc,
    /// CC.
    Cc,
    /// FROM.
    From,
    /// SUBJECT.
    Subject,
    /// TO.
    To,
}

/// Which date of a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateKind {
    /// The internal date.
    Internal,
    /// The Date field (SENT...).
    Sent,
    /// When the message came into the mailbox (SAVED..., RFC 8514).
    Saved,
}

/// How dates are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateRelation {
    /// Earlier than the day given.
    Before,
    /// Within the day given.
    On,
    /// Within the day given or later.
    Since,
}

/// SORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// UID SORT.
    pub by_uid: bool,
    /// RETURN (RFC 5267 section 3); `None` asks for the untagged SORT.
    pub returns: Option<SearchReturn>,
    /// What decides, first things first; not empty.
    pub criteria: Vec<SortCriterion>,
    /// The charset, in capitals.
    pub charset: String,
    /// Which messages.
    pub key: SearchKey,
}

/// THREAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// UID THREAD.
    pub by_uid: bool,
    /// The algorithm's name in capitals.
    pub algorithm: String,
    /// The charset, in capitals.
    pub charset: String,
    /// Which messages.
    pub key: SearchKey,
}

/// FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// UID FETCH.
    pub by_uid: bool,
    /// Of which messages.
    pub messages: MessageSet,
    /// What is asked, in the order asked; not empty, macros expanded.
    pub items: Vec<FetchItem>,
    /// `(CHANGEDSINCE n)` (RFC 7162).
    pub changed_since: Option<u64>,
    /// `(VANISHED)`: only with `by_uid` and `changed_since`, which the grammar has seen to (RFC 7162 section 3.2.6).
    pub vanished: bool,
}

/// One thing to fetch of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// ENVELOPE.
    Envelope,
    /// BODY without a section: the structure without extension data.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// RFC822: as `BODY[]`, under this name.
    Rfc822,
    /// RFC822.HEADER: as `BODY.PEEK[HEADER]`, under this name.
    Rfc822Header,
    /// RFC822.TEXT: as `BODY[TEXT]`, under this name.
    Rfc822Text,
    /// RFC822.SIZE.
    Rfc822Size,
    /// UID.
    Uid,
    /// MODSEQ (RFC 7162).
    ModSeq,
    /// EMAILID (RFC 8474).
    EmailId,
    /// THREADID (RFC 8474).
    ThreadId,
    /// SAVEDATE (RFC 8514).
    SaveDate,
    /// PREVIEW (RFC 8970).
    Preview {
        /// `(LAZY)`: only if it costs nothing.
        lazy: bool,
    },
    /// BODY[...] and BODY.PEEK[...].
    Section {
        /// PEEK: without setting \Seen.
        peek: bool,
        /// What is between the brackets.
        section: Section,
        /// What is in angle brackets.
        partial: Option<Partial>,
    },
    /// BINARY[...] and BINARY.PEEK[...] (RFC 3516).
    Binary {
        /// PEEK: without setting \Seen.
        peek: bool,
        /// The part's numbers; empty for the whole message.
        part: Vec<u32>,
        /// What is in angle brackets.
        partial: Option<Partial>,
    },
    /// BINARY.SIZE[...].
    BinarySize {
        /// The part's numbers; empty for the whole message.
        part: Vec<u32>,
    },
}

/// A piece of a message (RFC 9051 section 6.4.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The part's numbers from the outermost, none of them 0; empty for the message itself.
    pub part: Vec<u32>,
    /// What of that part.
    pub text: SectionText,
}

/// What of a part is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SectionText {
    /// All of it.
    #[default]
    Whole,
    /// HEADER.
    Header,
    /// HEADER.FIELDS: these fields, names as sent; not empty.
    HeaderFields(Vec<String>),
    /// HEADER.FIELDS.NOT: all but these fields, names as sent; not empty.
    HeaderFieldsNot(Vec<String>),
    /// TEXT.
    Text,
    /// MIME; only with a part number.
    Mime,
}

/// `<start.count>`: some octets of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Octets before the first one wanted.
    pub start: u64,
    /// Octets wanted at most, not 0.
    pub count: u64,
}

/// STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// UID STORE.
    pub by_uid: bool,
    /// To which messages.
    pub messages: MessageSet,
    /// `(UNCHANGEDSINCE n)` (RFC 7162); 0 is possible and matches no message.
    pub unchanged_since: Option<u64>,
    /// What happens to the flags.
    pub action: StoreAction,
    /// `.SILENT`.
    pub silent: bool,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// What STORE does with flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAction {
    /// FLAGS.
    Replace,
    /// +FLAGS.
    Add,
    /// -FLAGS.
    Remove,
}

/// A flag of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// `\Answered`.
    Answered,
    /// `\Flagged`.
    Flagged,
    /// `\Deleted`.
    Deleted,
    /// `\Seen`.
    Seen,
    /// `\Draft`.
    Draft,
    /// `\Recent`: clients may not set it, yet some send it.
    Recent,
    /// A keyword as sent (`$Forwarded`). Keywords that differ in case only are the same keyword.
    Keyword(String),
    /// Another flag with a backslash, without it, as sent.
    Extension(String),
}

/// COPY or MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// UID COPY, UID MOVE.
    pub by_uid: bool,
    /// Which messages.
    pub messages: MessageSet,
    /// Where to.
    pub mailbox: MailboxName,
}

/// GETMETADATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetMetadata {
    /// The mailbox; `None` for the server's own entries (`""`).
    pub mailbox: Option<MailboxName>,
    /// Entry names in small letters; not empty.
    pub entries: Vec<String>,
    /// MAXSIZE: values of more octets are left out.
    pub max_size: Option<u64>,
    /// DEPTH.
    pub depth: MetadataDepth,
}

/// How far below an entry GETMETADATA looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataDepth {
    /// The entry alone.
    #[default]
    Zero,
    /// The entry and those directly below.
    One,
    /// The entry and all below.
    Infinity,
}

/// The beginning of APPEND, up to its first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendHead {
    /// What the tagged answer begins with.
    pub tag: String,
    /// Where to.
    pub mailbox: MailboxName,
    /// What is said of the first message.
    pub message: AppendMessage,
}

/// What APPEND says of one message before its octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendMessage {
    /// The flags.
    pub flags: Vec<Flag>,
    /// The internal date; the time of arrival when absent.
    pub internal_date: Option<Timestamp>,
    /// `UTF8 (...)` around the literal (RFC 6855 section 4): its headers may be UTF-8.
    pub utf8: bool,
}

impl MailboxName {
    /// The name of this text.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(if text.eq_ignore_ascii_case(INBOX) { INBOX.to_owned() } else { text })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX.
    pub fn is_inbox(&self) -> bool {
        self.0 == INBOX
    }
}

impl std::fmt::Display for MailboxName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The one mailbox every account has (RFC 9051 section 5.1).
pub const INBOX: &str = "INBOX";
