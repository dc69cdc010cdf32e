//! Replies: one line, or an `+OK` line and lines up to a single dot (RFC 1939 section 3).
//!
//! ```text
//! reply = "+OK" SP text CRLF [ *( line CRLF ) "." CRLF ]
//!       / "-ERR" SP [ "[" code "] " ] text CRLF            ; codes: RFC 2449 section 8
//! ```
//!
//! Texts are XMail's, word for word (`mailflow.md` 9.1, 16), where XMail has one.

use crate::status::xmail_error_text;

/// What is sent to the client, its line ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(String);

impl Reply {
    /// `+OK` and a text.
    pub fn ok(text: impl AsRef<str>) -> Self {
        Self::line("+OK ", text.as_ref())
    }

    /// `-ERR` and a text.
    pub fn err(text: impl AsRef<str>) -> Self {
        Self::line("-ERR ", text.as_ref())
    }

    /// `-ERR` and the text of one of XMail's error numbers (`mailflow.md` 16).
    pub fn error_number(number: i32) -> Self {
        Self::err(xmail_error_text(number))
    }

    /// `+OK`, a text, lines and the final dot. A line may not begin with a dot, or it would have to be stuffed; none
    /// of ours does.
    pub fn listing(text: impl AsRef<str>, lines: impl IntoIterator<Item = String>) -> Self {
        let mut reply = Self::ok(text);
        for line in lines {
            push_clean(&mut reply.0, &line);
            reply.0.push_str("\r\n");
        }
        reply.0.push_str(".\r\n");
        reply
    }

    /// The octets to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn line(status: &str, text: &str) -> Self {
        let mut reply = String::with_capacity(status.len() + text.len() + 2);
        reply.push_str(status);
        push_clean(&mut reply, text);
        reply.push_str("\r\n");
        Self(reply)
    }
}

/// File names and domains come from outside: a control character in them must not become a line end.
fn push_clean(reply: &mut String, text: &str) {
    reply.extend(text.chars().map(|char| if char.is_control() { '?' } else { char }));
}

/// Numbers of XMail's errors that POP3 sends (`mailflow.md` 16).
pub mod number {
    /// User profile file not found: XMail says so of a missing server.tab.
    pub const NO_SERVER_TAB: i32 = 15;
    /// Server shutdown.
    pub const SHUTDOWN: i32 = 1;
    /// Unable to know server domain.
    pub const NO_SERVER_DOMAIN: i32 = 38;
    /// Server too busy, retry later.
    pub const TOO_BUSY: i32 = 129;
    /// Server does not like Your IP.
    pub const IP_DENIED: i32 = 130;
    /// Stream line too long.
    pub const LINE_TOO_LONG: i32 = 162;
    /// Bad characters in command line.
    pub const BAD_CHARACTERS: i32 = 190;
    /// System low in virtual memory.
    pub const LOW_MEMORY: i32 = 198;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_in_crlf_and_hold_no_other_line_end() {
        let check = |reply: Reply, expected: &str| {
            assert_eq!(std::str::from_utf8(reply.as_bytes()).unwrap(), expected);
        };
        check(Reply::ok("5 120"), "+OK 5 120\r\n");
        check(Reply::err("a\r\nb"), "-ERR a??b\r\n");
        check(Reply::listing("0", []), "+OK 0\r\n.\r\n");
        check(Reply::listing("1", ["1 a\nb".to_owned()]), "+OK 1\r\n1 a?b\r\n.\r\n");
        check(Reply::error_number(number::SHUTDOWN), "-ERR Server shutdown\r\n");
        check(Reply::error_number(number::NO_SERVER_DOMAIN), "-ERR Unable to know server domain\r\n");
        check(Reply::error_number(number::TOO_BUSY), "-ERR Server too busy, retry later\r\n");
        check(Reply::error_number(number::IP_DENIED), "-ERR Server does not like Your IP\r\n");
        check(Reply::error_number(number::LINE_TOO_LONG), "-ERR Stream line too long\r\n");
        check(Reply::error_number(number::BAD_CHARACTERS), "-ERR Bad characters in command line\r\n");
        check(Reply::error_number(number::LOW_MEMORY), "-ERR System low in virtual memory\r\n");
    }
}
