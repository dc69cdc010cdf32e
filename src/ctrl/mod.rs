//! CTRL, the administration protocol of XMail: what CtrlClnt and JDMail's tools speak (`mailflow.md` 11).
//!
//! ```text
//! line     = column *( TAB column ) CRLF        ; the TAB grammar: quotes optional, UTF-8 (decision 15)
//! result   = ( "+" / "-" ) 5DIGIT SP text CRLF
//! +00000   done
//! +00100   lines follow, ended by a line "."
//! +00101   send lines, ended by a line "."; a second result follows
//! -NNNNN   XMail's error number and text
//! ```
//!
//! Rows of a listing are columns in double quotes, without escaping, with TAB between. Lines of files have a leading
//! dot doubled in both directions (golden `ctrl_commands`, `after-files`).
//!
//! [`command`] reads lines, [`session`] decides, [`answer`] calls [`crate::admin`] and writes results, [`serve()`] has
//! the sockets. Log-in, then commands; nothing but log-in and `#!TLS` before.
//!
//! Ours, beside XMail's commands: `tabstat`, `tabdiff` and `tabreload`; `queuetry`, `queuedel` and `queuefrz`; `srvlist`, `srvopen`, `srvclose`
//! and `srvstop`; and the same protocol without log-in on a socket in the MailRoot ([`local`]).
//!
//! Limits: [`session::COMMAND_LINE_BYTES_MAX`] and its neighbours; `-Ct` while waiting for a command, `-CX` sessions.
//! A wrong log-in closes the connection; everything after it is answered and the session goes on.

pub mod answer;
pub mod command;
pub mod local;
pub mod reply;
pub mod serve;
pub mod session;
#[cfg(test)]
mod tests;

pub use local::LocalSocket;
pub use serve::{Limits, Services, serve, serve_local};
