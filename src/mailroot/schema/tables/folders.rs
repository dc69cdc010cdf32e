//! The folders of an account and the flags of its messages, for IMAP. Ours.

use super::{BLANK, Column, RowSpec, TableSchema, problems_of, row};
use crate::mailroot::folders::{ImapFlags, ImapFolders, ImapKeywords, ImapMetadata};
use crate::mailroot::schema::RowKey;
use crate::mailroot::schema::kind::{Kind, Words, words};
use crate::mailroot::schema::options::MAILDIR_FLAGS;
use crate::mailroot::schema::variable::Origin;

/// The longest line in bytes. Ours, generous: XMail does not read these tables.
const LINE_BYTES: usize = 4096;

/// The word of the third column of `imapfolders.tab`.
pub const SUBSCRIBED: Words = words!("S": "the folder is subscribed");

/// The words of its fourth column (RFC 6154).
pub const SPECIAL_USES: Words = words!(
    "\\Archive": "for messages that are kept",
    "\\Drafts": "for drafts",
    "\\Flagged": "it shows flagged messages",
    "\\Junk": "for junk mail",
    "\\Sent": "for messages that were sent",
    "\\Trash": "for deleted messages",
);

/// The longest line of `imapmetadata.tab` in bytes: the largest value that is taken, in base64, and its names.
const METADATA_LINE_BYTES: usize = 16 * 1024;

/// The word of the fourth column of `imapmetadata.tab`.
pub const IN_BASE64: Words = words!("B": "the value stands in base64");

const NOT_FOR_XMAIL: &str = "XMail and JDMail pass this file over. Without it no message is lost.";

/// `imapfolders.tab`.
pub static IMAPFOLDERS: TableSchema = TableSchema {
    name: "imapfolders.tab",
    files: &["domains/<domain>/<account>/imapfolders.tab"],
    summary: "The IMAP folders of an account: UIDVALIDITY, subscriptions, special uses.",
    rows: RowSpec::at_least(2, LINE_BYTES),
    columns: &[
        Column::new(
            "folder",
            Kind::Text,
            "The name in UTF-8; empty in the row that holds the greatest UIDVALIDITY ever given.",
        ),
        Column::new(
            "uidvalidity",
            Kind::Integer { min: 0, max: 4_294_967_295, unit: "" },
            "Its UIDVALIDITY, 0 for a folder that was never opened; a change makes mail readers fetch everything anew.",
        ),
        Column::optional("subscribed", Kind::Text, "not subscribed", "S for a subscribed folder."),
        Column::optional(
            "special use",
            Kind::Text,
            "none",
            "What it is for (RFC 6154): \\Archive, \\Drafts, \\Flagged, \\Junk, \\Sent or \\Trash.",
        ),
    ],
    key: Some(RowKey { columns: 1, folds_case: false }),
    lookup: "By the folder's name; the first row of a name counts.",
    missing: "Folders get a new UIDVALIDITY when they are opened, and none is subscribed.",
    written_by: "IMAP: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.",
    notes: &[NOT_FOR_XMAIL],
    load: problems_of::<ImapFolders>,
    examples: &[
        row(&["", "1795430251", "", ""], "The greatest UIDVALIDITY given so far."),
        row(&["Sent", "1795430251", "S", "\\Sent"], "Sent is subscribed, and for messages that were sent."),
    ],
    origin: Origin::Tabmail,
    section: "IMAP",
    ..BLANK
};

/// `imapflags.tab`.
pub static IMAPFLAGS: TableSchema = TableSchema {
    name: "imapflags.tab",
    files: &["domains/<domain>/<account>/imapflags.tab"],
    summary: "The flags and keywords of the messages in an account's INBOX, whose file names must not change.",
    rows: RowSpec::at_least(2, LINE_BYTES),
    columns: &[
        Column::new("file", Kind::Text, "The name of the message's file, which is its UIDL in POP3."),
        Column::new("letters", Kind::Letters(&MAILDIR_FLAGS), "Its flags, as Maildir writes them."),
        Column::optional("keywords", Kind::Text, "none", "Its keywords, with blanks between."),
    ],
    lookup: "By the file's name; the last row of a name counts.",
    missing: "The messages of INBOX have the flags of their file names.",
    written_by: "IMAP: STORE, FETCH, APPEND, COPY. Rows are added at the end; now and then the file is written anew.",
    notes: &[NOT_FOR_XMAIL],
    load: problems_of::<ImapFlags>,
    examples: &[row(
        &["1795430250000.1234.7.host", "RS", "work"],
        "This message was seen and answered, and is about work.",
    )],
    origin: Origin::Tabmail,
    section: "IMAP",
    ..BLANK
};

/// `imapkeywords.tab`.
pub static IMAPKEYWORDS: TableSchema = TableSchema {
    name: "imapkeywords.tab",
    files: &[
        "domains/<domain>/<account>/Maildir/.<folder>/imapkeywords.tab",
        "domains/<domain>/<account>/mailbox/.<folder>/imapkeywords.tab",
    ],
    summary: "The keywords that small letters stand for in the file names of an IMAP folder.",
    rows: RowSpec::at_least(2, LINE_BYTES),
    columns: &[
        Column::new("letter", Kind::Text, "A letter from a to z."),
        Column::new("keyword", Kind::Text, "The keyword it stands for."),
    ],
    key: Some(RowKey { columns: 1, folds_case: false }),
    lookup: "By the letter; the last row of a letter counts.",
    missing: "Small letters in file names mean nothing.",
    written_by: "IMAP: STORE, APPEND, COPY.",
    notes: &[NOT_FOR_XMAIL],
    load: problems_of::<ImapKeywords>,
    examples: &[row(&["a", "work"], "A message whose file name ends in :2,Sa was seen and is about work.")],
    origin: Origin::Tabmail,
    section: "IMAP",
    ..BLANK
};

/// `imapmetadata.tab`.
pub static IMAPMETADATA: TableSchema = TableSchema {
    name: "imapmetadata.tab",
    files: &["domains/<domain>/<account>/imapmetadata.tab"],
    summary: "What mail readers note about an account and its IMAP folders (METADATA, RFC 5464).",
    rows: RowSpec::at_least(3, METADATA_LINE_BYTES),
    columns: &[
        Column::new("folder", Kind::Text, "The folder's name in UTF-8; empty for the account as a whole."),
        Column::new("entry", Kind::Text, "The entry's name, in small letters: /private/... or /shared/..."),
        Column::new("value", Kind::Text, "What it holds."),
        Column::optional(
            "encoding",
            Kind::Text,
            "as it stands",
            "B for a value in base64: one with line ends, quotes or octets that are no text.",
        ),
    ],
    key: Some(RowKey { columns: 2, folds_case: false }),
    lookup: "By folder and entry; the first row of a key counts.",
    missing: "Nothing is noted.",
    written_by: "IMAP: SETMETADATA, DELETE, RENAME.",
    notes: &[NOT_FOR_XMAIL],
    load: problems_of::<ImapMetadata>,
    examples: &[row(&["Sent", "/private/comment", "what I wrote"], "A comment on the folder Sent.")],
    origin: Origin::Tabmail,
    section: "IMAP",
    ..BLANK
};
