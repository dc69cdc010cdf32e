//! What is sent, and whether a file holds all of it.

use bstr::ByteSlice;

/// A message with its recipients: local names of `home.test`, or whole addresses.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) serial: &'static str,
    pub(super) recipients: Vec<&'static str>,
    lines: usize,
    /// 250 was said, or what else makes it ours.
    pub(super) is_ours: bool,
}

impl Letter {
    pub(super) fn new(serial: &'static str, recipients: &[&'static str]) -> Self {
        Self { serial, recipients: recipients.to_vec(), lines: 3, is_ours: false }
    }

    /// Larger than what the spool keeps in memory.
    pub(super) fn large(self) -> Self {
        Self { lines: 6000, ..self }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = String> {
        let whole =
            |name: &&str| if name.contains('@') { (*name).to_owned() } else { format!("{name}@home.test") };
        self.recipients.iter().map(whole)
    }

    /// CRLF, no line begins with a dot.
    pub(super) fn text(&self) -> String {
        let lines = format!("{:050} of {}\r\n", 7, self.serial).repeat(self.lines);
        format!("X-Serial: {}\r\n\r\n{lines}end of {}\r\n", self.serial, self.serial)
    }

    pub(super) fn is_whole_in(&self, content: &[u8]) -> bool {
        content.ends_with(self.text().as_bytes())
    }
}

/// Whether a file is this letter, or a part of it.
pub(super) fn is_of(content: &[u8], serial: &str) -> bool {
    content.contains_str(format!("X-Serial: {serial}\r\n")) && !is_notice(content)
}

/// Whether a file is a notice, about this letter.
pub(super) fn is_notice_of(content: &[u8], serial: &str) -> bool {
    is_notice(content) && content.contains_str(format!("X-Serial: {serial}\r\n"))
}

fn is_notice(content: &[u8]) -> bool {
    content.contains_str("X-MailerError: Message = ")
}

/// Whether a file is a whole message of ours, or a whole notice.
pub(super) fn is_whole(content: &[u8], letters: &[Letter]) -> bool {
    letters.iter().any(|letter| {
        let is_letter = is_of(content, letter.serial) && letter.is_whole_in(content);
        is_letter || is_notice_of(content, letter.serial)
    })
}
