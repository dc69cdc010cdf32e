//! SORT (RFC 5256 and 5957): what messages are compared by.

use std::cmp::Ordering;

use super::charset::decoded_header;
use super::envelope::{Address, Envelope, sent_date};
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

/// A message with the texts that its criteria compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sortable {
    /// The sequence number, the last criterion.
    pub sequence: u32,
    /// The internal date in seconds since 1970.
    pub arrival: i64,
    /// The sent date in seconds since 1970.
    pub sent: i64,
    /// The size in bytes.
    pub size: u64,
    /// One text for each criterion, folded; empty for numbers.
    texts: Vec<String>,
}

impl Sortable {
    /// Reads from an envelope what the criteria need.
    pub fn new(
        sequence: u32,
        arrival: i64,
        size: u64,
        envelope: &Envelope,
        criteria: &[SortCriterion],
    ) -> Self {
        let needs_date = criteria.iter().any(|one| one.key == SortKey::Date);
        let sent = envelope.date.as_deref().filter(|_| needs_date).and_then(sent_date).unwrap_or(arrival);
        let texts = criteria.iter().map(|one| text_of(one.key, envelope)).collect();
        Self { sequence, arrival, sent, size, texts }
    }

    fn compare(&self, other: &Self, criteria: &[SortCriterion]) -> Ordering {
        for (index, SortCriterion { key, reverse }) in criteria.iter().enumerate() {
            let order = match key {
                SortKey::Arrival => self.arrival.cmp(&other.arrival),
                SortKey::Date => self.sent.cmp(&other.sent),
                SortKey::Size => self.size.cmp(&other.size),
                _ => self.texts.get(index).cmp(&other.texts.get(index)),
            };
            let order = if *reverse { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        // REVERSE does not reach the order of what is equal (RFC 5256 3).
        self.sequence.cmp(&other.sequence)
    }
}

/// Sorts messages by criteria, all made with the same ones.
pub fn sort(messages: &mut [Sortable], criteria: &[SortCriterion]) {
    messages.sort_unstable_by(|one, other| one.compare(other, criteria));
}

fn text_of(key: SortKey, envelope: &Envelope) -> String {
    match key {
        SortKey::Arrival | SortKey::Date | SortKey::Size => String::new(),
        SortKey::Cc => mailbox(&envelope.cc),
        SortKey::From => mailbox(&envelope.from),
        SortKey::To => mailbox(&envelope.to),
        SortKey::DisplayFrom => display(&envelope.from),
        SortKey::DisplayTo => display(&envelope.to),
        SortKey::Subject => {
            let decoded = decoded_header(envelope.subject.as_deref().unwrap_or_default());
            fold(&base_subject(&decoded).text)
        }
    }
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
