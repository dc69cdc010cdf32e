//! What the room promises: nothing panics, ranges nest, cuts do not matter, and Dovecot's answers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod decoding;
mod fixtures;
mod scanning;
mod sorting;

use super::{Scanned, Scanner};

/// Scans a message that is given in one piece.
fn scan(message: &[u8]) -> Scanned {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

/// Lines with CRLF from lines with LF.
fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}
