//! The spool at the start: directories made, crashes cleaned up after, waiting messages loaded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::file::{HEADER_BYTES_MAX, first_part_of};
use super::name::{Name, Place, is_generated};
use super::outbox::Ready;
use super::{Header, Spool, SpoolError, State, journal, slog};

/// What was found at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Messages in `mess`, tried at once.
    pub ready: usize,
    /// Messages in `rsnd`, tried at their time.
    pub waiting: usize,
    /// Unfinished files removed from `temp` and `tmp/`; nobody was told 250 for them.
    pub unfinished: usize,
    /// Files in `slog`, `mprc`, `cust`, `info` without their message, removed.
    pub orphans: usize,
    /// Entries that could not be read and were left where they are.
    pub unreadable: usize,
    /// Messages from the journal that a crash has left; they are among `ready`.
    pub replayed: usize,
    /// Segments of the journal that hold mail that was answered for and cannot be read; kept aside.
    pub damaged: usize,
}

pub(super) fn run(spool: &Spool) -> Result<Recovery, SpoolError> {
    make_directories(spool)?;
    let mut recovery = Recovery::default();
    empty_drafts(spool, &mut recovery);
    let places = places(spool)?;
    for &place in &places {
        empty_temp(spool, place, &mut recovery);
    }
    let replayed = journal::replay::run(spool, &spool.journal_directory())?;
    (recovery.replayed, recovery.damaged) = (replayed.messages, replayed.damaged);
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut recovery = Recovery::default();
        while let Some(&place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            recover(spool, place, &mut recovery);
        }
        recovery
    };
    // Every waiting message costs two small reads, which a disk answers faster side by side.
    let parts: Vec<Recovery> = thread::scope(|scope| {
        let workers: Vec<_> = (0..READERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    Ok(parts.into_iter().fold(recovery, Recovery::plus))
}

fn recover(spool: &Spool, place: Place, recovery: &mut Recovery) {
    remove_rejections(spool, place);
    load(spool, place, State::Mess, recovery);
    load(spool, place, State::Rsnd, recovery);
    remove_orphans(spool, place, recovery);
}

/// Threads that read the spool at the start. Ours.
const READERS: usize = 8;

impl Recovery {
    fn plus(self, other: Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            waiting: self.waiting + other.waiting,
            unfinished: self.unfinished + other.unfinished,
            orphans: self.orphans + other.orphans,
            unreadable: self.unreadable + other.unreadable,
            replayed: self.replayed + other.replayed,
            damaged: self.damaged + other.damaged,
        }
    }
}

impl Spool {
    /// Makes the sub-directories of one split directory.
    pub(super) fn make_place(&self, place: Place) -> Result<(), SpoolError> {
        for state in State::ALL {
            let directory = self.place_directory(place, state);
            self.disk().create_dir_all(&directory).map_err(SpoolError::disk("create", &directory))?;
        }
        Ok(())
    }
}

fn make_directories(spool: &Spool) -> Result<(), SpoolError> {
    let levels = spool.shared.names.levels();
    let places = (0..levels).flat_map(|level1| (0..levels).map(move |level2| Place { level1, level2 }));
    let all = places.flat_map(|place| State::ALL.map(|state| spool.place_directory(place, state)));
    let own = ["local", "temp"].map(|name| spool.directory().join(name));
    let top = spool.directory();
    spool.disk().create_tree(&top, own.into_iter().chain(all)).map_err(SpoolError::disk("create", &top))
}

/// Every `spool/<a>/<b>` on the disk, also above the split level in use (decision 48).
pub(super) fn places(spool: &Spool) -> Result<Vec<Place>, SpoolError> {
    let top = spool.directory();
    places_in(&top).map_err(SpoolError::disk("read", &top))
}

/// The split directories below `top`, which is `spool/`.
pub(super) fn places_in(top: &Path) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for level1 in numbers_in(top)? {
        let Ok(inner) = numbers_in(&top.join(level1.to_string())) else { continue };
        places.extend(inner.into_iter().map(|level2| Place { level1, level2 }));
    }
    places.sort_unstable();
    Ok(places)
}

fn numbers_in(directory: &Path) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir(directory)?.flatten();
    // "007" would be read as 7 and then not found: only canonical numbers are split directories.
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| number.to_string() == text);
    Ok(entries.filter_map(|entry| entry.file_name().to_str().and_then(number)).collect())
}

/// The visible plain files of one state.
pub(super) fn names_in(spool: &Spool, place: Place, state: State) -> Vec<Name> {
    names_at(&spool.place_directory(place, state), place)
}

/// The visible plain files of a state's directory of a split directory.
pub(super) fn names_at(directory: &Path, place: Place) -> Vec<Name> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut names: Vec<Name> =
        files.filter_map(|entry| Name::existing(place, entry.file_name().to_str()?)).collect();
    names.sort_unstable();
    names
}

/// Mail data that was being received when the server ended: files of ours in `tmp/`, which have spool names.
fn empty_drafts(spool: &Spool, recovery: &mut Recovery) {
    let Ok(entries) = fs::read_dir(spool.root().path().join("tmp")) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(is_generated)
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if ours && spool.disk().remove(&entry.path()).is_ok() {
            recovery.unfinished += 1;
        }
    }
}

fn empty_temp(spool: &Spool, place: Place, recovery: &mut Recovery) {
    for name in names_in(spool, place, State::Temp) {
        match spool.disk().remove(&spool.path(&name, State::Temp)) {
            Ok(()) => recovery.unfinished += 1,
            Err(_) => recovery.unreadable += 1,
        }
    }
}

/// A filter writes its reason beside the message; one that was at work when the server ended left it there, and it must
/// not be taken for a message.
fn remove_rejections(spool: &Spool, place: Place) {
    for state in [State::Mess, State::Rsnd] {
        for name in names_in(spool, place, state) {
            let path = spool.path(&name, state);
            let is_rejection = path.extension().is_some_and(|extension| extension == "rej");
            if is_rejection
                && path.with_extension("").is_file()
                && let Err(error) = spool.disk().remove(&path)
            {
                tracing::warn!("{}: cannot be removed: {error}", path.display());
            }
        }
    }
}

fn load(spool: &Spool, place: Place, state: State, recovery: &mut Recovery) {
    for name in names_in(spool, place, state) {
        let path = spool.path(&name, state);
        let Ok(rcpt_to) = read_rcpt_to(&path) else {
            tracing::error!("{}: cannot be read; left where it is", path.display());
            recovery.unreadable += 1;
            continue;
        };
        let first_part = first_part_of(&rcpt_to);
        let lane = (spool.shared.config.lane_of)(&first_part);
        let mut entry = Ready::new(Arc::new(name), lane, first_part);
        entry.attempts = slog::attempts(&fs::read(spool.path(&entry.name, State::Slog)).unwrap_or_default());
        entry.resent = state == State::Rsnd;
        entry.found = true;
        if entry.resent {
            recovery.waiting += 1;
            let wait = spool.shared.config.retry.wait_secs(entry.attempts.count);
            let due = entry.attempts.last_unix_secs.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX));
            spool.outbox().push_at(entry, due.saturating_mul(1000));
        } else {
            recovery.ready += 1;
            spool.outbox().push(entry);
        }
    }
}

/// The RCPT line; empty for a file that is no message, which the attempt will find out and report.
fn read_rcpt_to(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEADER_BYTES_MAX as u64).read_to_end(&mut head)?;
    Ok(Header::parse(&head).map(|(header, _)| header.rcpt_to.into()).unwrap_or_default())
}

fn remove_orphans(spool: &Spool, place: Place, recovery: &mut Recovery) {
    for state in [State::Slog, State::Mprc, State::Cust, State::Info] {
        for name in names_in(spool, place, state) {
            let alive = |state| spool.path(&name, state).exists();
            let wanted = match state {
                State::Slog => alive(State::Mess) || alive(State::Rsnd) || alive(State::Froz),
                _ => alive(State::Mess) || alive(State::Rsnd),
            };
            if !wanted && spool.disk().remove(&spool.path(&name, state)).is_ok() {
                recovery.orphans += 1;
            }
        }
    }
}
