//! Keeps [`Tables`] current while the server runs: a change is live well within a second.
//!
//! Shape: one task that looks at the tables (`Tables::look`) when there is a hint that they changed, and every
//! [`RESTAT_INTERVAL`] anyway. Hints come from the system (inotify) for the MailRoot *directory*: editors and our own
//! [`super::edit`] rename files into place, so a watch on a file would follow the old one. A hint only says "look";
//! what is true is decided by the look, so lost, doubled or late hints do no harm. The tables of single domains and
//! accounts need no watch: they are looked at whenever they are used.
//!
//! Limits: a look waits until [`HINTS_QUIET`] passed without a hint, at most [`POSTPONED_MAX`]. A file that looks
//! half-written is looked at again after [`QUIET`] (see [`super::snapshot`]).
//!
//! Failures: without notices (the inotify limit, a file system that has none) the interval does all the work, and a
//! warning says so once. A look that panics is logged; the next one is made all the same.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Tables;
use super::snapshot::{QUIET, RESTAT_INTERVAL, ROOT_TABLES};

/// How long hints must pause before the tables are looked at: one look for a burst of edits. Ours.
pub const HINTS_QUIET: Duration = Duration::from_millis(200);

/// How long a look is postponed at most while hints keep coming. Ours.
pub const POSTPONED_MAX: Duration = Duration::from_secs(2);

/// Watches the MailRoot of `tables` until `stop` is cancelled. Needs a tokio runtime. A look at the files that has
/// begun is finished on its blocking thread.
pub fn watch(tables: Tables, stop: CancellationToken) -> JoinHandle<()> {
    watch_with(tables, stop, Means { notices: true, restat_interval: RESTAT_INTERVAL })
}

/// How changes are found out.
#[derive(Clone, Copy, Debug)]
struct Means {
    notices: bool,
    restat_interval: Duration,
}

fn watch_with(tables: Tables, stop: CancellationToken, means: Means) -> JoinHandle<()> {
    let hints = Arc::new(Notify::new());
    // Begun before this returns: what is edited from now on gives a hint.
    let watcher =
        means.notices.then(|| watch_directory(tables.current().root().path(), Arc::clone(&hints))).flatten();
    tokio::spawn(async move {
        // Dropping it would end the notices.
        let _watcher = watcher;
        stop.run_until_cancelled(follow(&tables, &hints, means.restat_interval)).await;
    })
}

/// Looks at the tables, again and again. What was edited before the watch began is seen by the first look.
async fn follow(tables: &Tables, hints: &Notify, restat_interval: Duration) {
    loop {
        look(tables).await;
        let pause = if tables.current().is_unsettled() { QUIET } else { restat_interval };
        tokio::select! {
            () = hints.notified() => until_quiet(hints).await,
            () = sleep(pause) => {}
        }
    }
}

async fn until_quiet(hints: &Notify) {
    let latest = Instant::now() + POSTPONED_MAX;
    loop {
        let quiet = (Instant::now() + HINTS_QUIET).min(latest);
        if timeout_at(quiet, hints.notified()).await.is_err() {
            return;
        }
        if quiet == latest {
            // A hint came in time, but too late for another pause.
            sleep_until(latest).await;
            return;
        }
    }
}

async fn look(tables: &Tables) {
    let tables = tables.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || tables.look()).await {
        tracing::error!("the tables could not be looked at: {error}");
    }
}

fn watch_directory(root: &Path, hints: Arc<Notify>) -> Option<RecommendedWatcher> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, is_hint) {
            hints.notify_one();
        }
    });
    let watching = watcher.and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            let interval = RESTAT_INTERVAL.as_secs();
            tracing::warn!("{}: no change notices ({error}); looking every {interval} s", root.display());
        })
        .ok()
}

/// Whether an event may mean another table. Our own reading gives events too, and so do files that are no tables but
/// change with every message (`message.id`).
fn is_hint(event: &Event) -> bool {
    let is_reading = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    };
    let names_table = |path: &std::path::PathBuf| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| ROOT_TABLES.contains(&name))
    };
    // Lost events come without a path.
    event.need_rescan() || event.paths.is_empty() || (!is_reading && event.paths.iter().any(names_table))
}

#[cfg(test)]
mod tests;
