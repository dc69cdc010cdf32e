//! What the messages of an open folder are sorted and threaded by: made out once, and kept as numbers while the folder is
//! open. Mail readers ask again with each message that arrives.

use std::sync::PoisonError;

use super::content::{HEADS_AT_ONCE, Head};
use super::state::{Folder, FolderError};
use crate::mime::{self, Ranks, SortKey, SortText};

/// Octets that are kept of one folder; where it is more, it is made out again for each command. Ours: enough for the
/// subjects of 100,000 messages.
const ORDER_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Values of messages that are gone are kept up to as many as there are messages, and these. Ours.
const STALE_SPARE: usize = 1000;

/// What is known, by key.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The [`super::state::State::contents`] at which it was made out.
    contents: u64,
    columns: Vec<Column>,
}

/// The values of one key.
#[derive(Debug)]
struct Column {
    key: SortKey,
    /// Of keys that compare texts: a value is the number of its text.
    texts: Ranks,
    /// By UID.
    values: Vec<Value>,
}

/// What a message has for a key.
#[derive(Clone, Copy, Debug)]
struct Value {
    uid: u32,
    is_reply: bool,
    number: i64,
}

/// The subject of a message, as THREAD compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The base subject (RFC 5256 section 2.1) as a number; `None` for an empty one.
    pub number: Option<u32>,
    /// Whether it is one of a reply or a forward.
    pub is_reply: bool,
}

/// What was read of messages, before texts have numbers.
#[derive(Debug, Default)]
struct Read {
    values: Vec<Value>,
    /// Of each value, for keys that compare texts.
    texts: Vec<String>,
}

impl Folder {
    /// What a key compares, as numbers in its order, of messages by ascending UIDs; `None` for one that is gone. Numbers of
    /// different calls say nothing about each other.
    ///
    /// # Errors
    /// The disk's.
    pub fn sort_values(&self, key: SortKey, uids: &[u32]) -> Result<Vec<Option<i64>>, FolderError> {
        match key {
            SortKey::Arrival => {
                let arrival = |uid: &u32| self.message(*uid).map(|message| message.internal_date);
                Ok(uids.iter().map(arrival).collect())
            }
            _ => self.values(key, uids, |_, value| value.number),
        }
    }

    /// The subjects of messages by ascending UIDs; `None` for a message that is gone.
    ///
    /// # Errors
    /// The disk's.
    pub fn subjects(&self, uids: &[u32]) -> Result<Vec<Option<Subject>>, FolderError> {
        self.values(SortKey::Subject, uids, |texts, value| {
            let number = u32::try_from(value.number).ok();
            let number = number.filter(|number| texts.text(*number).is_some_and(|text| !text.is_empty()));
            Subject { number, is_reply: value.is_reply }
        })
    }

    fn values<T>(
        &self,
        key: SortKey,
        uids: &[u32],
        take: impl Fn(&Ranks, &Value) -> T,
    ) -> Result<Vec<Option<T>>, FolderError> {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (contents, messages) = {
            let state = self.lock();
            (state.contents, state.entries.len())
        };
        let column = order.column(key, contents, messages);
        let missing: Vec<u32> =
            column.of(uids).zip(uids).filter(|(known, _)| known.is_none()).map(|(_, uid)| *uid).collect();
        if !missing.is_empty() {
            column.add(self.read_values(key, &missing)?);
        }
        let found = column.of(uids).map(|value| value.map(|value| take(&column.texts, value))).collect();
        if order.bytes() > ORDER_BYTES_MAX {
            order.columns.clear();
        }
        Ok(found)
    }

    fn read_values(&self, key: SortKey, uids: &[u32]) -> Result<Read, FolderError> {
        let mut read = Read::default();
        self.each_head(uids, |uid, head| {
            let (text, number) = match key {
                SortKey::Subject => (Some(mime::subject_text(head.texts().subject.unwrap_or_default())), 0),
                SortKey::Size => (None, i64::try_from(head.size()).unwrap_or(i64::MAX)),
                SortKey::Date | SortKey::Arrival => {
                    let arrival = || self.message(uid).map_or(0, |message| message.internal_date);
                    (None, head.texts().date.and_then(mime::sent_date).unwrap_or_else(arrival))
                }
                _ => (key.text(&head.envelope()), 0),
            };
            let SortText { text, is_reply } = text.unwrap_or_default();
            read.texts.push(text);
            read.values.push(Value { uid, is_reply, number });
        })?;
        Ok(read)
    }

    /// What the messages say that are still there, one after the other.
    ///
    /// # Errors
    /// The disk's.
    pub fn each_head(&self, uids: &[u32], mut take: impl FnMut(u32, &Head)) -> Result<(), FolderError> {
        let mut left = uids;
        while !left.is_empty() {
            let heads = self.heads(&left[..left.len().min(HEADS_AT_ONCE)])?;
            let (done, rest) = left.split_at(heads.len());
            for (uid, head) in done.iter().zip(&heads) {
                head.iter().for_each(|head| take(*uid, head));
            }
            left = rest;
        }
        Ok(())
    }

    /// Octets that are kept.
    pub(super) fn order_bytes(&self) -> usize {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }
}

impl Order {
    /// The column of a key, without what is about messages as they were.
    fn column(&mut self, key: SortKey, contents: u64, messages: usize) -> &mut Column {
        if self.contents != contents {
            (self.contents, self.columns) = (contents, Vec::new());
        }
        self.columns.retain(|column| column.values.len() <= 2 * messages + STALE_SPARE);
        let at = self.columns.iter().position(|column| column.key == key).unwrap_or_else(|| {
            self.columns.push(Column { key, texts: Ranks::default(), values: Vec::new() });
            self.columns.len() - 1
        });
        &mut self.columns[at]
    }

    fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.texts.bytes() + size_of_val(&*column.values)).sum()
    }
}

impl Column {
    /// The values of messages by ascending UIDs.
    fn of(&self, uids: &[u32]) -> impl Iterator<Item = Option<&Value>> {
        let mut values = self.values.iter().peekable();
        uids.iter().map(move |uid| {
            while values.next_if(|value| value.uid < *uid).is_some() {}
            values.peek().copied().filter(|value| value.uid == *uid)
        })
    }

    fn add(&mut self, mut read: Read) {
        if self.key.compares_texts() {
            let added = self.texts.add(&read.texts);
            for value in &mut self.values {
                let number = usize::try_from(value.number).ok().and_then(|number| added.moved.get(number));
                value.number = number.copied().map_or(value.number, i64::from);
            }
            for (value, number) in read.values.iter_mut().zip(added.numbers) {
                value.number = i64::from(number);
            }
        }
        self.values.append(&mut read.values);
        self.values.sort_by_key(|value| value.uid);
    }
}
