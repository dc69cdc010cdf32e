//! Reading ahead: what one message after the other is asked for is read of many at once.

use std::collections::VecDeque;

use crate::mailbox::folder::HEADS_AT_ONCE;

/// Something of the messages that come next, by UID.
pub(super) struct Ahead<T>(VecDeque<(u32, Option<T>)>);

impl<T> Ahead<T> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// That of this message. If it is not there, `read` gets its UID and `next` ones, and gives as many as it likes, but one.
    pub(super) fn take<E>(
        &mut self,
        uid: u32,
        next: impl Iterator<Item = u32>,
        read: impl FnOnce(&[u32]) -> Result<Vec<Option<T>>, E>,
    ) -> Result<Option<T>, E> {
        while self.0.front().is_some_and(|(before, _)| *before != uid) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            let uids: Vec<u32> = std::iter::once(uid).chain(next).take(HEADS_AT_ONCE).collect();
            let read = read(&uids)?;
            self.0 = uids.into_iter().zip(read).collect();
        }
        Ok(self.0.pop_front().and_then(|(_, found)| found))
    }
}
