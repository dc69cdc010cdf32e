//! The IMAP face: mailboxes for mail readers that keep their mail on the server (RFC 3501, RFC 9051).
//!
//! [`assembler`] cuts what arrives into commands, [`grammar`] reads them into the values of [`command`], and [`sets`] are
//! its message sets. The session greets and logs in (`session`, `enter`, `login`, `admission`), and hands everything
//! else to jobs (`work`), which run on threads that may wait for the disk, in steps of bounded size: `folders` and `metadata`
//! have the commands on mailboxes, `fetch`, `search` (which read `ahead`) and `changes` those on messages, `append` and
//! `receive` take new ones,
//! `selected` is a mailbox as its client knows it. [`encode`] writes answers. `serve` alone begins with sockets; [`log`] writes a line for each log-in.
//! Messages and flags are kept by [`crate::mailbox::folder`], whose head says how they are on disk.
//!
//! # What is supported
//!
//! | RFC | what | limits |
//! | --- | --- | --- |
//! | 3501, 9051 | IMAP4rev1, and IMAP4rev2 after ENABLE | keywords: 26 for each mailbox, as many as Maildir has letters. INTERNALDATE is told in UTC. `\Recent` does not outlast the last session on a mailbox |
//! | 2177 | IDLE | changes of others, delivery, POP3 and programs in the directory |
//! | 2342, 5258, 5819, 6154, 8438 | NAMESPACE, LIST-EXTENDED, LIST-STATUS, SPECIAL-USE with CREATE, STATUS=SIZE | one namespace, separator `/`; one special use for each mailbox |
//! | 2971 | ID | |
//! | 3502, 7888, 7889 | MULTIAPPEND, LITERAL-, APPENDLIMIT | `MaxMessageSize`; without it none |
//! | 3516 | BINARY | parts of 64 MiB |
//! | 3691, 4315, 6851 | UNSELECT, UIDPLUS, MOVE | |
//! | 4731, 5182, 5032 | ESEARCH, SEARCHRES, WITHIN | texts are decoded, and compared without regard to case |
//! | 4959, 4422, 7677 | SASL-IR; PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256(-PLUS) | the last three where the stored password can be read |
//! | 4978 | COMPRESS=DEFLATE | |
//! | 5161, 6855 | ENABLE, UTF8=ACCEPT | |
//! | 5256, 5267, 5957 | SORT, THREAD (REFERENCES, ORDEREDSUBJECT), ESORT, SORT=DISPLAY | |
//! | 5464 | METADATA | values of 8 KiB, 1,000 entries or 1 MiB for each account; `/shared` of the server is read-only |
//! | 5530 | response codes | |
//! | 7162 | CONDSTORE, QRESYNC | removals are remembered 20,000 back; who was away longer hears of all UIDs that are not there |
//! | 8474, 8970 | OBJECTID, PREVIEW | THREADID is NIL |
//! | 9208 | QUOTA, QUOTA=RES-STORAGE | `MaxMBSize` of `user.tab`; SETQUOTA is refused |
//!
//! NOTIFY, CATENATE, LIST-MYRIGHTS and ACL are not: they answer BAD or are not known.
//!
//! # Limits
//!
//! Lines and literals are those of [`assembler::Limits`]; messages go to disk as they arrive and come from it as they are sent,
//! so that their size is no matter of memory. A job's step gives about 128 KiB. Clients that are silent for [`Limits::idle`]
//! hear BYE, IDLE included. Before the log-in twenty bad commands are enough, and six failed log-ins.
//!
//! # Failures
//!
//! What the client does wrong is BAD, what cannot be is NO with a code of RFC 5530; the session survives both, but for literals
//! too large to be passed over. What the disk does wrong is `NO [UNAVAILABLE]`, and stands in the diagnostics. A mailbox that
//! somebody else removes or renames ends the sessions that have it selected (RFC 2180 section 3.3 leaves that open).
//! Removals are told where RFC 9051 section 7.5.1 allows: not during FETCH, STORE, SEARCH, SORT and THREAD by
//! sequence numbers, which answer `NO [EXPUNGEISSUED]` for what is gone.
//!
//! `tests/imap/dialogues` shows every command, response and code as it is on the wire.

pub mod assembler;
pub mod command;
pub mod encode;
pub mod grammar;
pub mod log;
pub mod login;
pub mod sets;

mod admission;
mod ahead;
mod append;
mod changes;
mod enter;
mod fetch;
mod folders;
mod metadata;
mod receive;
mod search;
mod selected;
mod serve;
mod session;
mod work;

pub use serve::{Limits, Services, serve};
