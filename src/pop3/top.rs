//! Where TOP ends: after the header, the empty line and so many lines of the body (RFC 1939 section 7). Pure.

use memchr::memchr;

/// Cuts what would be sent of a message; lines end in CRLF, pieces are cut anywhere.
#[derive(Clone, Debug)]
pub(super) struct Top {
    body_lines_left: u64,
    in_body: bool,
    /// Octets of the present line that were in earlier pieces.
    line_octets: usize,
}

impl Top {
    /// The header and `body_lines_max` lines.
    pub(super) fn new(body_lines_max: u64) -> Self {
        Self { body_lines_left: body_lines_max, in_body: false, line_octets: 0 }
    }

    /// How many octets of the next piece belong to the answer.
    pub(super) fn take(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        while at < piece.len() && !self.is_complete() {
            let Some(end) = memchr(b'\n', &piece[at..]) else {
                self.line_octets += piece.len() - at;
                return piece.len();
            };
            let line_octets = std::mem::take(&mut self.line_octets) + end + 1;
            at += end + 1;
            if self.in_body {
                self.body_lines_left -= 1;
            } else {
                self.in_body = line_octets == b"\r\n".len();
            }
        }
        at
    }

    /// Whether nothing more belongs to the answer.
    pub(super) fn is_complete(&self) -> bool {
        self.in_body && self.body_lines_left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, body_lines_max: u64, expected: &str) {
        for cut in 0..=message.len() {
            let mut top = Top::new(body_lines_max);
            let (first, second) = message.as_bytes().split_at(cut);
            let mut got = first[..top.take(first)].to_vec();
            got.extend(&second[..top.take(second)]);
            assert_eq!(String::from_utf8_lossy(&got), expected, "{message:?} cut at {cut}");
        }
    }

    #[test]
    fn headers_and_some_lines() {
        let message = "A: b\r\n c\r\n\r\n1\r\n\r\n3\r\n";
        check(message, 0, "A: b\r\n c\r\n\r\n");
        check(message, 1, "A: b\r\n c\r\n\r\n1\r\n");
        check(message, 2, "A: b\r\n c\r\n\r\n1\r\n\r\n");
        check(message, 3, message);
        check(message, u64::MAX, message);
        check("A: b\r\n", 0, "A: b\r\n");
        check("\r\nbody\r\n", 0, "\r\n");
        check("", 5, "");
    }
}
