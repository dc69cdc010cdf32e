//! BDAT octets to stored form: CRLF lines with leading dots doubled (RFC 3030, decisions 1 and 2).
//!
//! Chunks are not dot-stuffed and may be cut anywhere. BINARYMIME is not offered, so what comes is text: bare CR and bare
//! LF become CRLF and are noted, and the last line gets its end.

/// A state machine over all chunks of one message.
#[derive(Clone, Debug)]
pub struct ChunkReader {
    is_line_start: bool,
    has_cr: bool,
    /// A bare CR or LF came.
    pub saw_bare: bool,
    /// A NUL came.
    pub saw_nul: bool,
}

impl Default for ChunkReader {
    fn default() -> Self {
        Self { is_line_start: true, has_cr: false, saw_bare: false, saw_nul: false }
    }
}

impl ChunkReader {
    /// Takes octets and appends what is to be stored.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for &octet in input {
            match octet {
                b'\n' => {
                    self.saw_bare |= !self.has_cr;
                    self.end_line(out);
                }
                _ => {
                    if self.has_cr {
                        self.saw_bare = true;
                        self.end_line(out);
                    }
                    match octet {
                        b'\r' => self.has_cr = true,
                        _ => self.content(octet, out),
                    }
                }
            }
        }
    }

    /// Ends the last line.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.saw_bare |= self.has_cr;
        if self.has_cr || !self.is_line_start {
            self.end_line(out);
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.has_cr = false;
        self.is_line_start = true;
    }

    fn content(&mut self, octet: u8, out: &mut Vec<u8>) {
        if self.is_line_start && octet == b'.' {
            out.push(b'.');
        }
        self.is_line_start = false;
        self.saw_nul |= octet == 0;
        out.push(octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: &[u8], saw_bare: bool) {
        for cut in 0..=input.len() {
            let (mut reader, mut out) = (ChunkReader::default(), Vec::new());
            reader.feed(&input[..cut], &mut out);
            reader.feed(&input[cut..], &mut out);
            reader.finish(&mut out);
            assert_eq!(bstr::BStr::new(&out), bstr::BStr::new(expected), "{input:?} cut at {cut}");
            assert_eq!(reader.saw_bare, saw_bare, "{input:?}");
        }
    }

    #[test]
    fn chunks_become_stored_lines() {
        check(b"", b"", false);
        check(b"a\r\nb\r\n", b"a\r\nb\r\n", false);
        check(b"a\r\nb", b"a\r\nb\r\n", false);
        check(b".\r\n..x\r\n", b"..\r\n...x\r\n", false);
        check(b"\r\n.\r\nMAIL FROM:<x@y.test>\r\n", b"\r\n..\r\nMAIL FROM:<x@y.test>\r\n", false);
        check(b"a\n.b\n", b"a\r\n..b\r\n", true);
        check(b"a\r.b", b"a\r\n..b\r\n", true);
        check(b"a\r", b"a\r\n", true);
    }
}
