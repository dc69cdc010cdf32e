//! Why: what the server would do with a recipient or a client, what it did with a message, and which rows decide.
//!
//! Nothing is decided here. An [`Explanation`] comes from the server's own code, which notes its steps in a
//! [trail](crate::mailroot::trail): admission, a real [`smtp::Session`](crate::smtp::session) that is told the commands
//! of a client, the functions that answer its questions, and [`delivery::plan`](crate::delivery::plan). Copies that enter the queue again
//! (redirects, list members) are followed.
//!
//! Nothing is written: no spool is opened, no number taken, no log line made, no program run. What depends on a program
//! or a remote server is taken as going well, and the step says so.
//!
//! | module | does |
//! | --- | --- |
//! | `dialogue` | tells a session the client's commands |
//! | `way` | follows a message from the queue to its ends |
//! | `message` | where a queued message stands |
//! | `log` | what was done with a message that is gone |
//! | [`rows`] | the text of cited rows, without passwords |
//! | `within` | what who administers some domains may see |
//! | [`render`] | sentences in each language, and JSON |

mod dialogue;
mod log;
mod message;
pub mod render;
pub mod rows;
#[cfg(test)]
mod tests;
mod way;
mod within;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::dns::Resolver;
use crate::mailbox::Mailboxes;
use crate::mailroot::trail::Near;
use crate::mailroot::{Citation, Miss, ProblemKind, Snapshot, Step};
use crate::spool::{RetryPlan, SpoolError};
use crate::status::Reply;

pub use within::Within;

/// What the server that is explained works with.
#[derive(Clone)]
pub struct Settings {
    /// The tables.
    pub snapshot: Arc<Snapshot>,
    /// For quota.
    pub mailboxes: Mailboxes,
    /// `None`: the DNS is not asked. It must not keep answers in the MailRoot.
    pub resolver: Option<Resolver>,
    /// Whether the DNS may be asked about the client: not about one that is made up.
    pub asks_about_peer: bool,
    /// The time.
    pub clock: Clock,
    /// `-Sr`.
    pub recipients_max: usize,
    /// `-Se`.
    pub pop_auth_lifetime: Duration,
    /// `-Qt`, `-Qi`, `-Qr`.
    pub retry: RetryPlan,
    /// Whether there is a certificate.
    pub is_tls_available: bool,
    /// The domains of who asks, who is told of these only; `None`: who asks may know all.
    pub within: Option<Within>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// The name of EHLO.
    pub helo: String,
    /// Whether TLS is on.
    pub is_tls: bool,
    /// The log-in name; its password is taken as right.
    pub login: Option<String>,
    /// The reverse-path, empty when null.
    pub sender: String,
    /// The size to declare, in bytes; 0: none.
    pub size_bytes: u64,
    /// The message, as far as rules look at it, where it is known.
    pub content: Option<Arc<[u8]>>,
}

/// What would happen, or did, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The parts in their order.
    pub chapters: Vec<Chapter>,
    /// What comes of it.
    pub outcome: Outcome,
    /// Where the mail ends up, each once.
    pub destinations: Vec<Destination>,
}

/// One part of an explanation.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// What is decided.
    pub heading: Heading,
    /// The reasons in their order.
    pub steps: Vec<Step>,
    /// What the client hears.
    pub reply: Option<Reply>,
}

/// What a chapter is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heading {
    /// Whether the peer is served.
    Connect(SocketAddr),
    /// An SMTP command.
    Command(String),
    /// What delivery does with a message.
    Delivery {
        /// The sender.
        from: String,
        /// The recipient.
        to: String,
    },
    /// What became of a message so far.
    Message(String),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client hears this; mail is accepted.
    Accepted(Reply),
    /// The client hears this; mail is refused.
    Refused(Reply),
    /// The message is in the queue.
    Queued,
    /// The message waits for the operator.
    Frozen,
    /// The message is not in the queue any more; the log tells what was done with it.
    Gone,
    /// The message file cannot be read; an attempt will freeze or delete it.
    Unreadable(String),
}

/// Where mail ends up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// In an account's mailbox.
    Mailbox(String),
    /// In the hands of a program.
    Program(String),
    /// At one of these hosts.
    Remote {
        /// The recipient.
        recipient: String,
        /// The hosts in the order of trying; empty: not known.
        hosts: Vec<String>,
    },
    /// Back at the sender.
    Returned(String),
    /// Nowhere: a list without readers.
    Nowhere(String),
    /// Nowhere: a rule deletes what is for this recipient.
    Deleted(String),
    /// Copies that were not followed: too many, or going round in circles.
    NotFollowed(Unfollowed),
}

/// Copies that are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfollowed {
    /// That for a recipient who had one.
    Met(String),
    /// So many beyond what is followed.
    More(usize),
    /// That for a recipient of a domain of ours that who asks does not administer.
    NotTheirs(String),
}

/// Nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No message of this name or number is in the spool or in the smail log.
    #[error("no message {0:?} is in the spool, nor in logs/smail-*")]
    NoSuchMessage(String),
    /// The name is the beginning of several.
    #[error("{wanted:?} means {} messages: {}", names.len(), names.join(" "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Those that it means, at most [`NAMES_MAX`].
        names: Vec<String>,
    },
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The work was lost (only at a hurried stop).
    #[error("interrupted")]
    Interrupted,
}

/// Names that an [`ExplainError::Ambiguous`] tells at most. Ours.
pub const NAMES_MAX: usize = 10;

/// The domain of the recipient that `explain relay` asks for: it is nobody's (RFC 2606 section 2).
pub const SOMEWHERE_ELSE: &str = "elsewhere.invalid";

impl Chapter {
    /// Adds steps, each once: an alias domain is looked at for the domain and again for the name.
    fn extend(&mut self, steps: Vec<Step>) {
        for step in steps {
            if !self.steps.contains(&step) {
                self.steps.push(step);
            }
        }
    }

    fn is_about_recipient(&self) -> bool {
        matches!(&self.heading, Heading::Command(command) if command.starts_with(RCPT))
    }
}

/// What the command begins with that names the recipient.
const RCPT: &str = "RCPT TO:";

impl Explanation {
    /// Adds the rows that have the key of a row that decided and stand behind it.
    fn with_duplicates(mut self, snapshot: &Snapshot) -> Self {
        let behind: Vec<(&Path, u32, u32)> = snapshot
            .problems()
            .filter_map(|problem| match problem.kind {
                ProblemKind::Duplicate { first } => Some((problem.file.as_path(), first, problem.line)),
                _ => None,
            })
            .collect();
        for step in self.chapters.iter_mut().flat_map(|chapter| &mut chapter.steps) {
            let known = |line| step.near.iter().any(|near| near.row.line == line);
            let others = behind.iter().filter(|(file, first, line)| {
                step.rows.iter().any(|row| row.file == *file && row.line == *first) && !known(*line)
            });
            let near =
                others.map(|(file, _, line)| Near { row: Citation::new(file, *line), why: Miss::Duplicate });
            let near: Vec<Near> = near.collect();
            step.near.extend(near);
        }
        self
    }

    /// Whether mail gets somewhere: accepted or queued, and not returned to everybody.
    pub fn is_good(&self) -> bool {
        let arrives = |end: &Destination| !matches!(end, Destination::Returned(_) | Destination::Deleted(_));
        let has_way = self.destinations.is_empty() || self.destinations.iter().any(arrives);
        has_way && matches!(self.outcome, Outcome::Accepted(_) | Outcome::Queued | Outcome::Gone)
    }
}

/// What would happen to mail from this client to this recipient.
///
/// # Errors
/// [`ExplainError::Interrupted`].
pub async fn rcpt(
    settings: &Settings,
    client: &Client,
    recipient: &str,
) -> Result<Explanation, ExplainError> {
    let explained = dialogue::explain(settings, client, recipient, dialogue::Until::Delivery).await?;
    let explained = explained.with_duplicates(&settings.snapshot);
    let Some(within) = settings.within.clone() else { return Ok(explained) };
    let snapshot = Arc::clone(&settings.snapshot);
    let seen = crate::smtp::answers::blocking(move || within.seen(explained, &snapshot));
    seen.await.ok_or(ExplainError::Interrupted)
}

/// Whether this client may relay to `recipient`, an address elsewhere.
///
/// # Errors
/// [`ExplainError::Interrupted`].
pub async fn relay(
    settings: &Settings,
    client: &Client,
    recipient: &str,
) -> Result<Explanation, ExplainError> {
    let explained = dialogue::explain(settings, client, recipient, dialogue::Until::Recipient).await?;
    Ok(explained.with_duplicates(&settings.snapshot))
}

/// Where the messages of a spool name, the beginning of one, or a message number stand; one for each recipient.
///
/// # Errors
/// [`ExplainError::NoSuchMessage`], [`ExplainError::Ambiguous`], the disk's.
pub async fn message(settings: &Settings, wanted: &str) -> Result<Vec<Explanation>, ExplainError> {
    let explained = message::explain(settings, wanted).await?;
    Ok(explained.into_iter().map(|one| one.with_duplicates(&settings.snapshot)).collect())
}
