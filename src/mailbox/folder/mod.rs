//! Folders of an account: what IMAP sees beside, and of, the mailbox that POP3 serves.
//!
//! # On disk
//!
//! | path, in the account's directory | what |
//! | --- | --- |
//! | `Maildir/new`, `Maildir/cur` (or `mailbox` with `-Mm`) | INBOX. Its files are never renamed: the name is the UIDL |
//! | `Maildir/.Sent/{tmp,new,cur}` | a folder, Maildir++; `.Work.2026` is `Work/2026`; letters outside ASCII, and `.` in a name, in modified UTF-7. With `-Mm` it is below `mailbox` |
//! | `Maildir/.Sent/cur/<name>:2,FS` | a message with its flags in Maildir's letters; `a` to `z` are keywords |
//! | `Maildir/.Sent/imapkeywords.tab` | which keywords the letters are: letter, keyword |
//! | `imapflags.tab` | the flags of INBOX: file name, Maildir letters, keywords. The last row of a name counts; files without a row have the flags of their names |
//! | `imapfolders.tab` | folder, UIDVALIDITY, `S` when subscribed, special use |
//! | `imapmetadata.tab` | what mail readers note about the account and its folders: folder, entry, value, `B` when that is in base64 |
//! | `imapcache`, `Maildir/.Sent/imapcache` | a cache: UIDs, mod-sequences, envelopes, structures, header fields. Removing it costs nothing but new UIDs |
//!
//! Of a message the cache keeps, once it was read, what mail readers list it by: envelope and structure, and the fields of its
//! header but for those that servers wrote on the way and those that are long ([`crate::mime::KeptFields`] has the limits). That is
//! some 1.5 KB of a usual message and at most some 8 KB of fields; of a folder with 10,000 messages 15 MB.
//!
//! At the first look at a large folder the UIDs follow from its file names, if all of them begin with a time, as XMail's, ours
//! and those of other Maildirs do; else from the files' times. Dates and sizes are found out when the first of them is asked for.
//!
//! Directories that begin with a dot XMail neither lists nor counts (`mailroot.md` 15). The flags of INBOX stand in a table
//! because everything else would change a file's name or directory, and with it the UIDL that POP3 clients remember, or
//! hide the message from XMail, which looks into `new` only. A program that does rename files of INBOX (mutt on the
//! Maildir) wins: the row of the old name is no longer about anything.
//!
//! # Invariants
//!
//! - A UID is given once and never to another message under the same UIDVALIDITY, also across a power cut: before UIDs are
//!   given a limit above them is put on stable storage, and after an end that was not orderly they go on from there. The
//!   same holds for mod-sequences.
//! - Without its cache a folder gets a new UIDVALIDITY, greater than all that the account ever had.
//! - A disk that takes no notes refuses no folder. Where not even the limit above UIDs can be written, the cache file is
//!   removed and the UIDs end with this process (`UIDNOTSTICKY`); where it cannot be removed either, what was known is
//!   shown, and what is new when the disk works again. UIDVALIDITYs that nothing keeps are seconds: two processes that begin
//!   on such a disk within two seconds of each other may give the same one.
//! - A file that is replaced, or written to, under its name is another message: its UID is gone.
//! - What is added by APPEND, COPY or MOVE is on stable storage before it is reported.
//! - Flags are written at once but not synced, as elsewhere in the field: a power cut may take the last ones.
//!
//! Calls block; callers on async threads use `spawn_blocking`.

mod cache;
mod change;
mod content;
mod flags;
mod look;
mod metadata;
mod name;
mod open;
mod order;
mod several;
mod stale;
mod state;
mod table;
mod tree;
mod watch;

pub use crate::mailroot::folders::SpecialUse;
pub use change::{FlagChange, How, Placed, Stored};
pub use content::{Draft, Fields, HEADS_AT_ONCE, Head, Text};
pub use flags::{Flags, KEYWORDS_MAX, KeywordSet, is_keyword};
pub use metadata::{METADATA_NAME_OCTETS_MAX, METADATA_VALUE_OCTETS_MAX};
pub use name::{BadName, FolderName, SEPARATOR};
pub use order::Subject;
pub use state::{Changes, Folder, FolderError, MessageState, Status};
pub use tree::{FolderRow, Folders};

pub use watch::Watched;

pub(super) use open::OpenFolders;
pub(super) use watch::Watcher;

#[cfg(test)]
mod tests;
