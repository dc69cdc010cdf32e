//! RFC 5322 header scanning that never fails, and the trace fields we write.
//!
//! ```text
//! message = *( name ":" value *( CRLF WSP value ) CRLF ) CRLF body
//! ```
//!
//! A message is scanned as it is stored: dot-stuffed (decision 1), line ends CRLF, LF or mixed (decision 45). Nothing is
//! decoded or rewritten (decision 44). What is not a header ends the headers (`mailflow.md` 2.3): the blank line, the
//! first line without a colon or name, a continuation with no header before it, or the end of the bytes given.
//! Callers give a prefix of at most [`HEADER_BLOCK_BYTES_MAX`] bytes.

mod headers;
mod trace;

pub use headers::{
    Field, HeaderEnd, HeaderScanner, auth_user, count_trace_fields, first, header_end, missing_blank_line,
    unfold,
};
pub use trace::{
    LocalReceived, Received, ReceivedHdrType, delivered_to, mailbox_prefix, return_path, x_auth_user,
    x_deliver_to,
};

/// How much of a message a caller reads to see its headers, in bytes. Trace fields stand first, and 64 KiB hold some
/// 200 of them; Postfix's `header_size_limit` for a single field is 100 KiB.
pub const HEADER_BLOCK_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
