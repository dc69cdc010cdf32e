//! Enhanced status codes (RFC 3463).

use std::fmt;

/// `class.subject.detail`: class 2, 4 or 5; subject and detail 0 to 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// Reads a code at the beginning of a reply text and gives the text behind it.
    ///
    /// ```
    /// use tabmail::status::EnhancedCode;
    /// assert_eq!(EnhancedCode::split(b"5.1.1 no such user"), Some((EnhancedCode(5, 1, 1), &b"no such user"[..])));
    /// assert_eq!(EnhancedCode::split(b"5.1 no"), None);
    /// ```
    #[must_use]
    pub fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
        let mut numbers = text[..end].split(|byte| *byte == b'.');
        let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
        if numbers.next().is_some() {
            return None;
        }
        let class = match class {
            b"2" => 2,
            b"4" => 4,
            b"5" => 5,
            _ => return None,
        };
        let rest = text.get(end + 1..).unwrap_or_default();
        Some((Self(class, decimal(subject)?, decimal(detail)?), rest))
    }

    /// Whether the code may stand behind a reply code: RFC 2034 §4 has both begin with the same digit, 2, 4 or 5.
    #[must_use]
    pub fn fits(self, reply_code: u16) -> bool {
        matches!(self.0, 2 | 4 | 5) && u16::from(self.0) == reply_code / 100
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// RFC 3463 §2: one to three digits.
fn decimal(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}
