//! Which messages their owners have just taken away.
//!
//! After a crash a message may be delivered that the mailbox has already; its delivery looks for the file. When the
//! owner has removed that file meanwhile, it must not come back ([`super::Delivered::Before`]).
//!
//! Limits: the [`REMOVED_MAX`] removed last, of this process. What waits from before a crash is delivered within seconds.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Messages remembered at once; some 2 MB. Ours.
const REMOVED_MAX: usize = 10_000;

/// The messages removed last.
#[derive(Debug, Default)]
pub(super) struct Removed {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    order: VecDeque<Arc<Path>>,
    paths: HashSet<Arc<Path>>,
}

impl Removed {
    /// Notes a removal: a mailbox's directory with the delivery name in it.
    pub(super) fn note(&self, path: PathBuf) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let path: Arc<Path> = path.into();
        if !known.paths.insert(Arc::clone(&path)) {
            return;
        }
        known.order.push_back(path);
        if known.order.len() > REMOVED_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.paths.remove(&oldest);
        }
    }

    /// Whether such a message was removed.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).paths.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_removals_are_known_and_old_ones_are_forgotten() {
        let removed = Removed::default();
        let path = |number: usize| PathBuf::from(format!("/r/domains/a.test/anna/Maildir/{number}"));
        for number in 0..=REMOVED_MAX {
            removed.note(path(number));
            removed.note(path(number));
        }
        let known = [0, 1, REMOVED_MAX, REMOVED_MAX + 1].map(|number| removed.contains(&path(number)));
        assert_eq!(known, [false, true, true, false]);
    }
}
