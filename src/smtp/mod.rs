//! The SMTP server (`mailflow.md` 3, RFC 5321), a thin face over `policy`, `auth` and `spool`.
//!
//! | module | job |
//! | --- | --- |
//! | [`command`] | a line as a value |
//! | [`session`] | what to do about it: pure, time and tables are arguments |
//! | [`reply`] | every text that is said |
//! | [`answers`] | what a session asks of the disk and the DNS |
//! | `filters` | SMTP filters on the session's file |
//! | `outside` | programs that check log-ins |
//! | [`chunks`] | BDAT octets to stored form (RFC 3030) |
//! | [`greeting`] | whether a peer gets a session at all |
//! | [`serve()`] | sockets, deadlines, streams: the only place that waits |
//!
//! Extensions: PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, CHUNKING, STARTTLS, AUTH, VRFY, ETRN.
//!
//! **250 to mail data is sent only after** [`Spool::submit`](crate::spool::Spool::submit) returned: the message and its
//! directory entry are on stable storage then.

pub mod answers;
pub mod chunks;
pub mod command;
mod filters;
pub mod greeting;
mod outside;
pub mod reply;
mod serve;
pub mod session;

#[cfg(test)]
mod tests;

pub use serve::{Limits, Services, serve};
