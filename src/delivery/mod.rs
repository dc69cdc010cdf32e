//! Delivery (XMail's SMAIL): takes messages from the spool's outbox and brings each to where the tables send it.
//!
//! ```text
//! outbox -> attempt -> route --+-- local        mailbox of an account
//!                              +-- commands     mailproc, cmdaliases, custdomains
//!                              +-- list         one new message per member
//!                              +-- remote       SMTP to the hosts of the domain
//!                              `-- notice       what could not be done, told to the sender
//! ```
//!
//! One attempt is one tokio task; the outbox limits how many there are, and keeps slow destinations apart by lanes
//! ([`lane_of`]). What touches the disk runs on blocking threads. What a message becomes ends in exactly one of the
//! spool's ends: removed, waiting in `rsnd`, or frozen. Unsure means: wait and try again. Mail is never lost because
//! of a table (decision 11).
//!
//! Everything we create (notices, redirects, list copies) enters at the spool's front door like all mail.
//!
//! Source: `mailflow.md` 4, 2.7, 2.9 and 15 (`smail`); RFC 5321 §5.

mod attempt;
mod client;
mod commands;
mod failure;
mod filters;
mod list;
mod local;
mod notice;
mod plan;
mod program;
mod remote;
mod route;

pub use plan::{End, Message, OwnCommands, plan};
pub use remote::exchangers;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::dns::Resolver;
use crate::filter::Filters;
use crate::logs::Logs;
use crate::mailbox::Mailboxes;
use crate::mailroot::{Snapshot, Tables};
use crate::net::tls::{ClientTls, ClientVerify, TlsError};
use crate::spool::{Attempt, Lane, Spool};

/// How long running deliveries may go on after the stop. XMail stops within 2 to 4 s.
pub const STOP_GRACE: Duration = Duration::from_secs(3);

/// How much longer a delivery may wait that has sent the final dot: leaving now would send the message twice. Ours.
pub const STOP_GRACE_FINAL_DOT: Duration = Duration::from_secs(30);

/// The port of mail exchangers (RFC 5321 §2.3.5 with the IANA registry).
pub const SMTP_PORT: u16 = 25;

/// What delivery works with.
pub struct Services {
    /// The tables.
    pub tables: Tables,
    /// The queue.
    pub spool: Spool,
    /// The accounts' mailboxes.
    pub mailboxes: Mailboxes,
    /// The DNS.
    pub resolver: Resolver,
    /// Where hosts without a port of their own are reached: [`SMTP_PORT`].
    pub smtp_port: u16,
    /// The time.
    pub clock: Clock,
    /// The `smail` log.
    pub logs: Logs,
    /// `XMAIL_TEMP`: where files for external programs go (`mailflow.md` 1.1), usually `/tmp`.
    pub temp_directory: PathBuf,
    /// The client side of TLS, made when it is first needed: `ClientTlsCache::default()`.
    pub tls: ClientTlsCache,
    /// Runs queue filters.
    pub filters: Filters,
}

/// The client side of TLS for the `SSL...` variables as they are.
#[derive(Debug, Default)]
pub struct ClientTlsCache {
    made: Mutex<Option<(ClientVerify, Arc<ClientTls>)>>,
}

impl ClientTlsCache {
    fn get(&self, snapshot: &Snapshot) -> Result<Arc<ClientTls>, TlsError> {
        let wanted = snapshot.client_verify();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((verify, client)) = &*made
            && *verify == wanted
        {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(ClientTls::new(&wanted)?);
        *made = Some((wanted, Arc::clone(&client)));
        Ok(client)
    }
}

/// Which lane of the outbox a recipient stands in; `first_part` is the first part of its path.
///
/// Local mail is [`Lane::Local`]; what may wait for a remote server or a program has a lane of its own. Looks at
/// tables of single accounts, so it may touch the disk.
pub fn lane_of(snapshot: &Snapshot, first_part: &str) -> Lane {
    route::lane_of(snapshot, first_part)
}

/// Delivers until the outbox is closed or `stop` is cancelled; then closes the outbox and gives running deliveries
/// [`STOP_GRACE`]. A message whose delivery is dropped stays in the queue.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let mut tasks: JoinSet<Vec<Begun>> = JoinSet::new();
    let drop_all = CancellationToken::new();
    loop {
        let attempt = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = tasks.join_next() => {
                for begun in report(ended) {
                    tasks.spawn(work(Arc::clone(&services), begun, stop.clone(), drop_all.clone()));
                }
                continue
            }
            attempt = services.spool.next_attempt() => attempt,
        };
        let Some(attempt) = attempt else { break };
        if *attempt.lane() == Lane::Local && attempt.is_journaled() {
            let batch = local_batch(&services, attempt);
            let services = Arc::clone(&services);
            tasks.spawn_blocking(move || {
                batch.into_iter().filter_map(|one| Begun::start(&services, one)).collect()
            });
        } else {
            let begun = Begun::from(attempt);
            tasks.spawn(work(Arc::clone(&services), begun, stop.clone(), drop_all.clone()));
        }
    }
    services.spool.outbox().close();
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            // What was only begun is dropped, and waits.
            drop(report(ended));
        }
    };
    tokio::pin!(all);
    if tokio::time::timeout(STOP_GRACE, &mut all).await.is_err() {
        drop_all.cancel();
        all.await;
    }
}

/// Small local messages that one blocking thread delivers one after the other: waking a thread costs more than writing
/// such a message into a mailbox.
fn local_batch(services: &Services, first: Attempt) -> Vec<Attempt> {
    let more = std::iter::from_fn(|| services.spool.next_local_in_memory());
    std::iter::once(first).chain(more.take(LOCAL_BATCH_MAX - 1)).collect()
}

/// Messages in a batch. Ours.
const LOCAL_BATCH_MAX: usize = 8;

/// An attempt, and how far it has come.
struct Begun {
    first: attempt::First,
    /// The final dot is out: ending now may send the message twice.
    has_sent: Arc<AtomicBool>,
}

impl Begun {
    fn from(attempt: Attempt) -> Self {
        Self { first: attempt::First::of(attempt), has_sent: Arc::default() }
    }

    /// Does the part that blocks; `None` when that was all.
    fn start(services: &Arc<Services>, attempt: Attempt) -> Option<Self> {
        let has_sent = Arc::<AtomicBool>::default();
        let first = attempt::First::start(services, attempt, &has_sent)?;
        Some(Self { first, has_sent })
    }
}

fn report(ended: Result<Vec<Begun>, tokio::task::JoinError>) -> Vec<Begun> {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "a delivery ended unexpectedly; its message stays in the queue");
        Vec::new()
    })
}

/// One attempt, and the attempts that can use its connection again.
async fn work(
    services: Arc<Services>,
    Begun { first, has_sent }: Begun,
    stop: CancellationToken,
    drop_all: CancellationToken,
) -> Vec<Begun> {
    let work = attempt::deliver_all(services, first, stop, Arc::clone(&has_sent));
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return Vec::new(),
        () = drop_all.cancelled() => {}
    }
    if has_sent.load(Ordering::Relaxed) {
        let _ = tokio::time::timeout(STOP_GRACE_FINAL_DOT, work).await;
    }
    Vec::new()
}

/// Runs what touches the disk on a blocking thread. `None` when the thread was lost (a panic, a hurried stop); what
/// it held is dropped, and a dropped attempt waits for its next time.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work)
        .await
        .inspect_err(|error| tracing::error!(%error, "a delivery's disk work was lost"))
        .ok()
}

#[cfg(test)]
mod tests;
