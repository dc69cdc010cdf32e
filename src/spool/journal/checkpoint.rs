//! Freeing segments: what they hold gets to stable storage elsewhere, then they are over.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use super::{Inner, Ledger, Stored, TICK, lock};
use crate::spool::held::Held;
use crate::spool::{Shared, SpoolError, State};

/// Works until the journal ends.
pub(super) fn run(inner: &Inner, spool: &Weak<Shared>) {
    loop {
        {
            let ledger = lock(&inner.ledger);
            if ledger.is_ending {
                return;
            }
            // Without segments there is nothing to look for until one begins.
            let waited = match ledger.live.is_empty() {
                true => inner.changed.wait(ledger).unwrap_or_else(PoisonError::into_inner),
                false => inner.changed.wait_timeout(ledger, TICK).unwrap_or_else(PoisonError::into_inner).0,
            };
            if waited.is_ending {
                return;
            }
        }
        let Some(spool) = spool.upgrade() else { return };
        if has_grown_old(inner) {
            lock(&inner.queue).seal = true;
            inner.wanted.notify_one();
        }
        if let Some(watermark) = pass(inner, &spool, inner.sizes.age_max) {
            lock(&inner.queue).watermark = Some(watermark);
            inner.wanted.notify_one();
        }
    }
}

/// Whether the segment in use has been so for long enough.
fn has_grown_old(inner: &Inner) -> bool {
    let ledger = lock(&inner.ledger);
    ledger.live.back().is_some_and(|live| !live.is_sealed && live.begun.elapsed() >= inner.sizes.age_max)
}

/// Finishes the oldest sealed segments; what waits in one that is older than `patience` gets spool files. Returns the
/// new watermark, if there is any: all segments below are over.
pub(super) fn pass(inner: &Inner, spool: &Arc<Shared>, patience: Duration) -> Option<u64> {
    let _one_at_a_time = lock(&inner.passing);
    let sealed = |ledger: &Ledger| -> Vec<u64> {
        ledger.live.iter().take_while(|live| live.is_sealed).map(|live| live.number).collect()
    };
    let numbers = sealed(&lock(&inner.ledger));
    let mut over = None;
    for number in numbers {
        if !is_settled(inner, spool, number, patience) {
            break;
        }
        over = Some(number);
    }
    let over = over?;
    match sync(inner, over) {
        Ok(()) => Some(over + 1),
        Err(error) => {
            tracing::error!(%error, "mailboxes cannot be synced; the journal keeps their mail");
            None
        }
    }
}

/// Whether something has become of every message of a segment.
fn is_settled(inner: &Inner, spool: &Arc<Shared>, number: u64, patience: Duration) -> bool {
    let waiting: Vec<Arc<Held>> = {
        let ledger = lock(&inner.ledger);
        let Some(live) = ledger.live.iter().find(|live| live.number == number) else { return true };
        if !live.waiting.is_empty() && live.begun.elapsed() < patience {
            return false;
        }
        live.waiting.values().cloned().collect()
    };
    for held in waiting {
        if let Err(error) = held.write_spool_file(spool, State::Mess) {
            tracing::error!(%error, "a message stays in the journal");
            return false;
        }
    }
    // One whose delivery has just ended is taken out by who delivered it.
    let ledger = lock(&inner.ledger);
    ledger.live.iter().find(|live| live.number == number).is_none_or(|live| live.waiting.is_empty())
}

/// Puts what was delivered from segments up to `number` on stable storage.
fn sync(inner: &Inner, number: u64) -> io::Result<()> {
    let directories: HashSet<PathBuf> = {
        let ledger = lock(&inner.ledger);
        let segments = ledger.live.iter().take_while(|live| live.number <= number);
        segments.flat_map(|live| live.directories.iter().cloned()).collect()
    };
    if let Err(error) = sync_file_systems(inner, &directories) {
        // What was written may be lost although reading it still shows it: it is written anew.
        tracing::warn!(%error, "mailboxes cannot be synced; their new files are written again");
        return write_again(inner, number);
    }
    Ok(())
}

fn sync_file_systems(inner: &Inner, directories: &HashSet<PathBuf>) -> io::Result<()> {
    let mut devices: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for directory in directories {
        let path = inner.root.join(directory);
        match fs::metadata(&path) {
            Ok(meta) => drop(devices.insert(meta.dev(), path)),
            // The account was removed with its mail.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    devices.values().try_for_each(|path| inner.disk.sync_file_system(path))
}

fn write_again(inner: &Inner, number: u64) -> io::Result<()> {
    let delivered: Vec<Stored> = {
        let ledger = lock(&inner.ledger);
        let segments = ledger.live.iter().take_while(|live| live.number <= number);
        segments.flat_map(|live| live.delivered.values().map(|(_, stored)| stored.clone())).collect()
    };
    delivered.iter().try_for_each(|stored| write_one_again(inner, &inner.root.join(&stored.path), stored))
}

fn write_one_again(inner: &Inner, path: &Path, stored: &Stored) -> io::Result<()> {
    let content = match fs::read(path) {
        Ok(content) => content,
        // Its owner took it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if content.len() as u64 != stored.bytes || crc32fast::hash(&content) != stored.crc {
        return Err(io::ErrorKind::InvalidData.into());
    }
    inner.disk.replace(path, &content)
}

/// Finishes all segments, at the end. The threads have ended.
pub(super) fn everything(inner: &Inner, spool: &Arc<Shared>) -> Result<(), SpoolError> {
    let _one_at_a_time = lock(&inner.passing);
    let waiting: Vec<Arc<Held>> =
        lock(&inner.ledger).live.iter().flat_map(|live| live.waiting.values().cloned()).collect();
    for held in waiting {
        held.write_spool_file(spool, State::Mess)?;
    }
    sync(inner, u64::MAX).map_err(SpoolError::disk("sync", &inner.root))?;
    lock(&inner.ledger).live.clear();
    Ok(())
}
