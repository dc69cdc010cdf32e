//! Messages that wait, taken out of their turn by an operator: tried now, frozen, or deleted (`jdmail.md` JD-61).
//!
//! Only messages with a spool file that nobody delivers just now are touched. What is in its first attempt, or in the
//! journal only, has no file yet: it comes to its end or into `rsnd` by itself.

use std::collections::HashSet;

use super::name::Name;
use super::outbox::Ready;
use super::{Spool, SpoolError, State};

impl Spool {
    /// Puts messages that wait for their time to those that are tried now. Returns how many there were.
    pub fn try_now(&self, names: &HashSet<Name>) -> usize {
        let entries = self.outbox().withdraw(|name| names.contains(name));
        let count = entries.len();
        for entry in entries {
            self.outbox().push(entry);
        }
        count
    }

    /// Deletes waiting messages with all their files. Returns how many there were.
    ///
    /// # Errors
    /// The disk's; the message then waits on.
    pub fn remove_waiting(&self, names: &HashSet<Name>) -> Result<usize, SpoolError> {
        let mut entries = self.outbox().withdraw(|name| names.contains(name)).into_iter();
        let mut count = 0;
        while let Some(entry) = entries.next() {
            if let Err(error) = self.remove_files_of(&entry) {
                self.outbox().push(entry);
                entries.for_each(|entry| self.outbox().push(entry));
                return Err(error);
            }
            count += 1;
        }
        Ok(count)
    }

    /// Sets waiting messages aside in `froz`, as [`Attempt::freeze`](super::Attempt::freeze) does: with their slogs, without
    /// the rest of their commands, which begin anew when they are submitted again. Returns how many there were.
    ///
    /// # Errors
    /// The disk's; the message then waits on.
    pub fn freeze_waiting(&self, names: &HashSet<Name>) -> Result<usize, SpoolError> {
        let mut entries = self.outbox().withdraw(|name| names.contains(name)).into_iter();
        let mut count = 0;
        while let Some(entry) = entries.next() {
            let from = self.path(&entry.name, holding(&entry));
            let to = self.path(&entry.name, State::Froz);
            if let Err(error) =
                self.disk().rename(&from, &to).map_err(SpoolError::disk("move to froz", &from))
            {
                self.outbox().push(entry);
                entries.for_each(|entry| self.outbox().push(entry));
                return Err(error);
            }
            count += 1;
            for state in [State::Mprc, State::Cust] {
                // It is frozen all the same; what is left goes at the next start.
                if let Err(error) = self.remove_if_there(&entry.name, state) {
                    tracing::warn!(%error, "a file of a frozen message stays");
                }
            }
        }
        Ok(count)
    }

    /// The message first: what is left of a crash in between belongs to no message and goes at the next start.
    fn remove_files_of(&self, entry: &Ready) -> Result<(), SpoolError> {
        for state in [holding(entry), State::Slog, State::Mprc, State::Cust, State::Info] {
            self.remove_if_there(&entry.name, state)?;
        }
        Ok(())
    }
}

/// Where the file of a message is that waits.
fn holding(entry: &Ready) -> State {
    if entry.resent { State::Rsnd } else { State::Mess }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailroot::MailRoot;
    use crate::spool::{Config, Lane, Limits, RetryPlan};

    const MESSAGE: &str = "[192.0.2.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:00:00 +0000\r\nmx\r\nS1\r\nMAIL FROM:<a@b.test>\r\n\
                           RCPT TO:<x@c.test>\r\n<<MAIL-DATA>>\r\nbody\r\n";

    /// A spool with one message that was just tried, one that was not tried yet, and a third.
    fn spool(root: &std::path::Path) -> Spool {
        for (state, name) in [("rsnd", "1.a"), ("mess", "2.a"), ("mess", "3.a"), ("mprc", "2.a")] {
            let directory = root.join("spool/0/1").join(state);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), MESSAGE).unwrap();
        }
        fs::create_dir_all(root.join("spool/0/1/slog")).unwrap();
        fs::write(
            root.join("spool/0/1/slog/1.a"),
            "[PeekTime] 1795428000 : Mon, 23 Nov 2026 10:00:00 +0000\n",
        )
        .unwrap();
        let config = Config {
            root: MailRoot::new(root),
            split_levels: 2,
            journal: None,
            retry: RetryPlan { first_wait_secs: 60, increment_ratio: 0, attempts_max: 3 },
            limits: Limits { local: 10, per_destination: 10, remote: 10 },
            lane_of: Arc::new(|_| Lane::Remote("c.test".into())),
            disk: Disk::default(),
            clock: Clock::manual("2026-11-23T10:00:00Z".parse().unwrap()),
        };
        Spool::open(config).unwrap().0
    }

    fn names(names: &[&str]) -> HashSet<Name> {
        let place = crate::spool::Place { level1: 0, level2: 1 };
        names.iter().map(|name| Name::existing(place, name).unwrap()).collect()
    }

    /// JD-61.
    #[test]
    fn a_message_that_waits_for_its_time_is_tried_now() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        assert_eq!(spool.outbox().counts(), (2, 1));
        assert_eq!(spool.try_now(&names(&["1.a", "9.a"])), 1);
        assert_eq!(spool.outbox().counts(), (3, 0));
    }

    /// JD-61.
    #[test]
    fn waiting_messages_are_deleted_with_their_files_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        assert_eq!(spool.remove_waiting(&names(&["1.a", "2.a", "9.a"])).unwrap(), 2);
        assert_eq!(spool.outbox().counts(), (1, 0));
        let there = |file: &str| root.path().join("spool/0/1").join(file).exists();
        for gone in ["rsnd/1.a", "slog/1.a", "mess/2.a", "mprc/2.a"] {
            assert!(!there(gone), "{gone}");
        }
        assert!(there("mess/3.a"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let attempt = runtime.block_on(spool.next_attempt()).unwrap();
        assert_eq!(attempt.name().file_name(), "3.a", "what is gone leaves its lane usable");
        assert_eq!(spool.remove_waiting(&names(&["3.a"])).unwrap(), 0, "it is being delivered");
        assert!(there("mess/3.a"));
    }

    /// JD-61.
    #[test]
    fn waiting_messages_are_frozen_with_their_logs_and_can_be_submitted_again() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        assert_eq!(spool.freeze_waiting(&names(&["1.a", "2.a", "9.a"])).unwrap(), 2);
        assert_eq!(spool.outbox().counts(), (1, 0));
        let there = |file: &str| root.path().join("spool/0/1").join(file).exists();
        for (file, is_there) in [
            ("froz/1.a", true),
            ("slog/1.a", true),
            ("froz/2.a", true),
            ("rsnd/1.a", false),
            ("mess/2.a", false),
            ("mprc/2.a", false),
            ("mess/3.a", true),
        ] {
            assert_eq!(there(file), is_there, "{file}");
        }
        assert_eq!(spool.frozen().unwrap().len(), 2);
        spool.submit_frozen(crate::spool::Place { level1: 0, level2: 1 }, "1.a").unwrap();
        assert_eq!(spool.outbox().counts(), (2, 0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let attempt = runtime.block_on(spool.next_attempt()).unwrap();
        let delivered = names(&[attempt.name().file_name()]);
        assert_eq!(spool.freeze_waiting(&delivered).unwrap(), 0, "it is being delivered");
    }

    /// A disk that does not take it: the messages wait on.
    #[test]
    fn what_cannot_be_frozen_waits_on() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        fs::remove_file(root.path().join("spool/0/1/rsnd/1.a")).unwrap();
        spool.freeze_waiting(&names(&["1.a", "2.a"])).unwrap_err();
        assert_eq!(spool.outbox().counts(), (3, 0));
    }
}
