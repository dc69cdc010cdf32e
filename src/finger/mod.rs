//! The FINGER face: one query, one answer, the end (RFC 1288; `mailflow.md` 10; golden `finger`).
//!
//! ```text
//! C: bob@example.test
//! S: EMail       : bob@example.test
//! S:   Real Name : Bob B
//! S:   Home Page : http://bob.example.test/
//! ```
//!
//! [`query`] reads the line, [`answer()`] decides, [`serve()`] does: it alone knows sockets, disk and time.
//!
//! Limits: a query of [`query::LINE_BYTES_MAX`] octets within [`crate::net::IO_TIMEOUT`]; [`SESSIONS_MAX`] clients at
//! once; [`answer::BLOCKS_MAX`] accounts in one answer. Failures: a bad query gets a line that says so; a client that
//! `finger.ipmap.tab` denies, or for whom there is no room, is closed without a word.

pub mod answer;
pub mod query;

mod serve;

pub use answer::answer;
pub use serve::{SESSIONS_MAX, Services, serve};
