//! The POP3 face: maildrops for mail readers (RFC 1939, 2449, 2595; `mailflow.md` 9).
//!
//! [`command`] reads lines, [`session`] decides, [`serve()`] does: it alone knows sockets, disk and time. `login` lets a
//! client in, `outside` asks programs about log-ins, `top` cuts messages for TOP, `admission` says who may talk to us at all.
//!
//! What a client sees is the mailbox at the time of the log-in; it has it to itself until the connection ends. Files
//! are sent as they are stored, dots stuffed, with CRLF line ends (decisions 1, 3, 45); nothing is removed before QUIT.
//!
//! Limits: lines of [`command::LINE_BYTES_MAX`] octets, [`Limits`], messages of any size in constant memory.
//! Failures: the client's are `-ERR`; the disk's are `-ERR [SYS/TEMP]` and in the diagnostics.

pub mod command;
pub mod reply;
pub mod session;

mod admission;
mod login;
mod outside;
mod serve;
mod top;

pub use serve::{Limits, Services, serve};
