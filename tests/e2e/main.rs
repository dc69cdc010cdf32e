//! The real server on a real MailRoot, by behaviour. Test names finish the sentence that their module begins.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and tell why")]

mod aliases;
mod bad_input;
mod bounces;
mod explain;
mod groups;
mod harness;
mod history;
mod hot_reload;
mod pop3_locks;
mod recorded_roots;
#[path = "../support/recording.rs"]
mod recording;
mod relaying;
mod retry;
mod shutdown;
mod spool_recovery;
#[path = "../support/mod.rs"]
mod support;
