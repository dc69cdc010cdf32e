//! Remote POP3 accounts whose mail is fetched (XMail's PSYNC; `mailflow.md` 8, `mailroot.md` 14).
//!
//! ```text
//! "home.test"             "anna"  "pop.isp.example"      "anna.k"    "1600..."  "APOP,Leave"
//! "?home.test,isp.example" "any"  "pop.isp.example:995"  "catchall"  "1600..."  "POP3S"
//! ```
//!
//! Every `-Yi` seconds, or within two seconds when `.psync-trigger` appears, all links of `pop3links.tab` are worked
//! in file order, `-Yt` at a time. Each message is in the queue, on stable storage, before the remote server hears DELE;
//! from there it is mail like any other. Whatever goes wrong concerns one link: the others go on, and the link is tried
//! again at the next run.
//!
//! One line in the psync log for each session:
//!
//! ```text
//! date, local domain, local name, remote host, remote user, options, SYNC=OK | SYNC=EFAIL,
//! messages fetched, their bytes, messages failed, their bytes
//! ```
//!
//! | a session ends | what is lost |
//! | --- | --- |
//! | before a message is in the queue | nothing: the server has it |
//! | after that, before the server has answered QUIT | nothing; the message may come twice, as the server may not have deleted it |
//! | with `Leave` | nothing; the message is remembered once it is in the queue |

mod addresses;
mod client;
mod error;
mod fetch;
mod intake;
mod lock;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::auth::clear_password;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::durable::Disk;
use crate::logs::{LogKind, Logs};
use crate::mailroot::links::{LinkTarget, Pop3Link};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Snapshot, Tables};
use crate::spool::Spool;
use client::{Plan, Tally};
use error::SyncError;
use fetch::{Session, blocking};
use lock::LinkLock;
use seen::Seen;
pub use seen::Unsaved;

/// The file that asks for a run now.
const TRIGGER: &str = ".psync-trigger";
/// How often it is looked for; XMail needs up to 2 s (`mailroot.md` 14.4).
const TRIGGER_POLL: Duration = Duration::from_secs(1);
/// How long a session that has begun a message may take to finish it and say QUIT when the server stops; before its first
/// message it has nothing to finish, and ends at once. Less than the server waits.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// What PSYNC needs.
#[derive(Clone)]
pub struct Services {
    /// The tables.
    pub tables: Tables,
    /// Where the messages go.
    pub spool: Spool,
    /// For the remote hosts.
    pub resolver: Resolver,
    /// The time.
    pub clock: Clock,
    /// The psync log.
    pub logs: Logs,
    /// The disk.
    pub disk: Disk,
    /// When and how much.
    pub schedule: Schedule,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// What could not be remembered on the disk: `Unsaved::default()`.
    pub unsaved: Unsaved,
}

/// `-Yi`, `-Yt`, `-YT`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// From one run to the next unless `Pop3SyncInterval` of `server.tab` says another; zero = only by `.psync-trigger`.
    pub interval: Duration,
    /// Links worked at the same time.
    pub links_at_once: usize,
    /// For connecting, and for each read.
    pub timeout: Duration,
}

/// Works the links until `services.stop`. The first run is one interval after the start.
pub async fn run(services: Services) {
    let root = services.tables.current().root().clone();
    let trigger = root.path().join(TRIGGER);
    lock::remove_stale(&root);
    let slots = Arc::new(Semaphore::new(services.schedule.links_at_once.max(1)));
    let (mut sessions, mut reported) = (JoinSet::new(), None);
    let mut timer = Timer::new();
    loop {
        tokio::select! {
            () = services.stop.cancelled() => break,
            () = timer.due(&trigger, &services) => {}
        }
        tokio::select! {
            () = services.stop.cancelled() => break,
            () = work_all(&services, &slots, &mut sessions, &mut reported) => {}
        }
        // A panic has been logged by the runtime.
        while sessions.try_join_next().is_some() {}
    }
    while sessions.join_next().await.is_some() {}
}

/// Works every link once, and waits for the ends.
#[cfg(test)]
pub(crate) async fn run_once(services: &Services) {
    let slots = Arc::new(Semaphore::new(services.schedule.links_at_once.max(1)));
    let mut sessions = JoinSet::new();
    work_all(services, &slots, &mut sessions, &mut None).await;
    while let Some(ended) = sessions.join_next().await {
        // A panic has been logged by the runtime.
        drop(ended);
    }
}

/// Says when the next run is due.
struct Timer {
    /// The last run by the timer, or the start.
    last: Instant,
    poll: tokio::time::Interval,
    /// The trigger cannot be removed, and that has been said.
    is_stuck: bool,
}

impl Timer {
    fn new() -> Self {
        let mut poll = tokio::time::interval(TRIGGER_POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { last: Instant::now(), poll, is_stuck: false }
    }

    /// Waits until a run is due by the timer or asked for by the trigger file, which is removed. Another interval counts
    /// at the next look for the trigger.
    async fn due(&mut self, trigger: &std::path::Path, services: &Services) {
        loop {
            let interval = interval(&services.tables.current(), services.schedule);
            tokio::select! {
                () = tokio::time::sleep_until(self.last + interval), if !interval.is_zero() => {
                    self.last = Instant::now();
                    return;
                }
                _ = self.poll.tick() => match services.disk.remove(trigger) {
                    Ok(()) => return,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => self.is_stuck = false,
                    // It would start a run every second.
                    Err(error) if !std::mem::replace(&mut self.is_stuck, true) => {
                        tracing::error!("{}: cannot be removed, so no run is started: {error}", trigger.display());
                    }
                    Err(_) => {}
                },
            }
        }
    }
}

/// From one run to the next, now.
fn interval(tables: &Snapshot, schedule: Schedule) -> Duration {
    let secs = tables.server.integer(&variables::POP3_SYNC_INTERVAL);
    u64::try_from(secs).map_or(schedule.interval, Duration::from_secs)
}

/// Starts every link of the present table, waiting for free slots. `reported` is the generation of the tables whose
/// unusable links have been named already.
async fn work_all(
    services: &Services,
    slots: &Arc<Semaphore>,
    sessions: &mut JoinSet<()>,
    reported: &mut Option<u64>,
) {
    let tables = services.tables.clone();
    let Ok(snapshot) = tokio::task::spawn_blocking(move || tables.fresh()).await else { return };
    if !snapshot.server.exists() {
        tracing::error!("server.tab: does not exist; no mail is fetched");
        return;
    }
    let is_news = reported.replace(snapshot.generation()) != Some(snapshot.generation());
    for link in snapshot.pop3_links.rows() {
        if let Some(reason) = unusable(&snapshot, link) {
            if is_news {
                tracing::warn!("pop3links.tab:{}: {reason}; the link is skipped", link.line);
            }
            continue;
        }
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return };
        let (services, snapshot, link) = (services.clone(), Arc::clone(&snapshot), link.clone());
        sessions.spawn(async move { work_in_slot(&services, &snapshot, &link, slot).await });
    }
}

/// Why a link cannot be worked at all.
fn unusable(snapshot: &Snapshot, link: &Pop3Link) -> Option<&'static str> {
    if let LinkTarget::Account { domain } = &link.target
        && snapshot.account(domain, &link.local_name).is_none()
    {
        return Some("the account does not exist");
    }
    login(link).err().map(|_| "the user or the password cannot be sent")
}

/// The remote user and the clear password.
fn login(link: &Pop3Link) -> Result<(Vec<u8>, Vec<u8>), SyncError> {
    let user = link.remote_user.as_bytes().to_vec();
    let password = clear_password(&link.password).ok_or(SyncError::BadLogin)?;
    let breaks_a_line = |text: &[u8]| text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if breaks_a_line(&user) || breaks_a_line(&password) {
        Err(SyncError::BadLogin)
    } else {
        Ok((user, password))
    }
}

async fn work_in_slot(
    services: &Services,
    snapshot: &Snapshot,
    link: &Pop3Link,
    _slot: OwnedSemaphorePermit,
) {
    let has_begun = AtomicBool::new(false);
    let stopped = async {
        services.stop.cancelled().await;
        if has_begun.load(Ordering::Relaxed) {
            tokio::time::sleep(STOP_GRACE).await;
        }
    };
    tokio::select! {
        () = work(services, snapshot, link, &has_begun) => {}
        () = stopped => log(services, link, Tally::default(), Err(SyncError::Stopping)),
    }
}

/// One session with one remote account, if it is neither disabled nor being worked.
async fn work(services: &Services, snapshot: &Snapshot, link: &Pop3Link, has_begun: &AtomicBool) {
    match prepare(services, link).await {
        Ok(None) => {}
        Ok(Some((lock, seen, plan))) => {
            let session = Session { services, snapshot, link, seen, has_begun };
            let (tally, result) = session.run(plan).await;
            log(services, link, tally, result);
            drop(lock);
        }
        Err(error) => log(services, link, Tally::default(), Err(error)),
    }
}

type Prepared = (LinkLock, Option<Seen>, Plan);

async fn prepare(services: &Services, link: &Pop3Link) -> Result<Option<Prepared>, SyncError> {
    let (tables, disk, link) = (services.tables.clone(), services.disk.clone(), link.clone());
    let unsaved = services.unsaved.clone();
    blocking(move || {
        // The run may have waited long for a slot.
        let snapshot = tables.current();
        let root = snapshot.root();
        if lock::is_disabled(&snapshot, &link) {
            return Ok(None);
        }
        let Some(lock) = LinkLock::take(root, &link, &disk, &unsaved)? else {
            tracing::debug!(line = link.line, "pop3links.tab: this remote account is being worked already");
            return Ok(None);
        };
        let (user, password) = login(&link)?;
        let seen = link.options.leave.then(|| Seen::of(root, &link, &disk, &unsaved)).transpose()?;
        let known = seen.as_ref().map_or_else(|| Ok(HashSet::new()), Seen::load)?;
        Ok(Some((lock, seen, Plan { options: link.options, user, password, seen: known })))
    })
    .await
}

fn log(services: &Services, link: &Pop3Link, tally: Tally, result: Result<(), SyncError>) {
    let status = match &result {
        Ok(()) => "SYNC=OK",
        Err(_) => "SYNC=EFAIL",
    };
    if let Err(error) = result {
        tracing::warn!(
            line = link.line, host = %link.remote_host, user = %link.remote_user,
            fetched = tally.fetched, failed = tally.failed,
            "pop3links.tab: {error}"
        );
    }
    let numbers =
        [tally.fetched, tally.fetched_bytes, tally.failed, tally.failed_bytes].map(|n| n.to_string());
    let date = services.clock.log_date();
    let columns = [&date, &*link.local_domain, &*link.local_name, &*link.remote_host, &*link.remote_user];
    let mut columns: Vec<&[u8]> = columns.iter().map(|text| text.as_bytes()).collect();
    columns.extend([link.options_text.as_slice(), status.as_bytes()]);
    columns.extend(numbers.iter().map(|text| text.as_bytes()));
    services.logs.write(LogKind::Psync, &columns);
}
