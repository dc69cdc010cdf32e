//! Sections of FETCH (RFC 9051 6.4.5): part numbers and what is wanted of the part, as a range of the message.

use std::ops::Range;

use super::structure::{Content, Part, Structure};

/// What is wanted of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionPart {
    /// The body of the part; without part numbers, the whole message.
    Whole,
    /// The header of a message, with its blank line (HEADER, and HEADER.FIELDS before the fields are chosen).
    Header,
    /// The body of a message.
    Text,
    /// The header of the part.
    Mime,
}

impl Structure {
    /// The range of a section in bytes, `None` if there is no such part or the part has no such section.
    pub fn section(&self, path: &[u32], what: SectionPart) -> Option<Range<u64>> {
        if path.is_empty() {
            let root = self.root()?;
            return match what {
                SectionPart::Whole => Some(0..self.total_bytes),
                SectionPart::Header => Some(root.header.clone()),
                SectionPart::Text => Some(root.body.clone()),
                SectionPart::Mime => None,
            };
        }
        let part = self.part(path)?;
        match what {
            SectionPart::Whole => Some(part.body.clone()),
            SectionPart::Mime => Some(part.header.clone()),
            SectionPart::Header => Some(self.embedded(part)?.header.clone()),
            SectionPart::Text => Some(self.embedded(part)?.body.clone()),
        }
    }

    /// The part of that number. A message that is no multipart has one part, 1, which is its body.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let mut part = self.root()?;
        let mut is_message = true;
        for &number in path {
            if !is_message && matches!(part.content, Content::Message { .. }) {
                part = self.embedded(part)?;
                is_message = true;
            }
            part = match &part.content {
                Content::Multipart(children) => {
                    let index = usize::try_from(number.checked_sub(1)?).ok()?;
                    self.parts.get(usize::try_from(*children.get(index)?).ok()?)?
                }
                _ if is_message && number == 1 => part,
                _ => return None,
            };
            is_message = false;
        }
        Some(part)
    }

    fn embedded(&self, part: &Part) -> Option<&Part> {
        match part.content {
            Content::Message { root, .. } => self.parts.get(usize::try_from(root).ok()?),
            _ => None,
        }
    }
}
