//! The IMAP face: mailboxes for mail readers that keep their mail on the server (RFC 3501, RFC 9051).

pub mod assembler;
pub mod command;
pub mod encode;
pub mod grammar;
pub mod log;
pub mod login;
pub mod sets;

mod admission;
mod append;
mod changes;
mod enter;
mod fetch;
mod folders;
mod receive;
mod search;
mod selected;
mod serve;
mod session;
mod work;

pub use serve::{Limits, Services, serve};
