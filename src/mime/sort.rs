//! SORT (RFC 5256 and 5957): what messages are compared by. Texts are compared as numbers ([`super::Ranks`]).

use super::charset::decoded_header;
use super::envelope::{Address, Envelope};
use super::search::fold;
use super::subject::base_subject;

/// A key of SORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// The internal date and time.
    Arrival,
    /// The mailbox (local part) of the first address of Cc.
    Cc,
    /// The sent date, the internal date where there is none.
    Date,
    /// The mailbox of the first address of From.
    From,
    /// The size in bytes.
    Size,
    /// The base subject.
    Subject,
    /// The mailbox of the first address of To.
    To,
    /// The display name of the first address of From, or its address (RFC 5957).
    DisplayFrom,
    /// The same of To.
    DisplayTo,
}

/// A key and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortCriterion {
    /// The key.
    pub key: SortKey,
    /// REVERSE: largest first.
    pub reverse: bool,
}

/// What a message has for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortText {
    /// The text, folded.
    pub text: String,
    /// Of subjects: whether marks of a reply or a forward were taken away.
    pub is_reply: bool,
}

impl SortKey {
    /// Whether messages are compared by texts, not by numbers.
    pub fn compares_texts(self) -> bool {
        !matches!(self, Self::Arrival | Self::Date | Self::Size)
    }

    /// What the key compares of a message; `None` for keys that compare numbers.
    pub fn text(self, envelope: &Envelope) -> Option<SortText> {
        let text = match self {
            Self::Arrival | Self::Date | Self::Size => return None,
            Self::Cc => mailbox(&envelope.cc),
            Self::From => mailbox(&envelope.from),
            Self::To => mailbox(&envelope.to),
            Self::DisplayFrom => display(&envelope.from),
            Self::DisplayTo => display(&envelope.to),
            Self::Subject => return Some(subject_text(envelope.subject.as_deref().unwrap_or_default())),
        };
        Some(SortText { text, is_reply: false })
    }
}

/// What SUBJECT compares, of a subject as it stands in an envelope.
pub fn subject_text(subject: &[u8]) -> SortText {
    let base = base_subject(&decoded_header(subject));
    SortText { text: fold(&base.text), is_reply: base.is_reply }
}

/// The order of messages by criteria: indexes into their values. Each criterion has its values, of all messages, and says
/// whether the largest comes first.
pub fn sort(count: usize, criteria: &[(Vec<i64>, bool)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let compare = |one: usize, other: usize| {
        let by_criterion = criteria.iter().map(|(values, reverse)| {
            let order = values.get(one).cmp(&values.get(other));
            if *reverse { order.reverse() } else { order }
        });
        by_criterion.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    // REVERSE does not reach the order of what is equal (RFC 5256 3).
    order.sort_by(|one, other| compare(*one, *other));
    order
}

fn mailbox(addresses: &[Address]) -> String {
    let first = addresses.first().and_then(|one| one.mailbox.as_deref());
    fold(&String::from_utf8_lossy(first.unwrap_or_default()))
}

/// A display name if there is one, else the whole address; of a group its name.
fn display(addresses: &[Address]) -> String {
    let Some(first) = addresses.first() else { return String::new() };
    let name = decoded_header(first.name.as_deref().unwrap_or_default());
    if !name.trim().is_empty() {
        return fold(&name);
    }
    let mut text = decoded_header(first.mailbox.as_deref().unwrap_or_default());
    if let Some(host) = &first.host {
        text.push('@');
        text.push_str(&String::from_utf8_lossy(host));
    }
    fold(&text)
}
