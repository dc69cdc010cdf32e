//! The start after a crash: what the journal holds becomes spool files, then the journal goes.
//!
//! Nothing is delivered meanwhile, so a crash in the middle finds everything again. Every message without a mark gets a
//! spool file in `mess`, unless it has one in `mess`, `rsnd` or `froz` already; so does one that was delivered, but
//! whose mailbox file is not there or not whole. Whether the mailbox has it already is looked at by its delivery
//! ([`crate::spool::Attempt::may_have_been_delivered`]).
//!
//! A record that cannot be read is *torn* when nothing says that it was ever synced: nobody was told 250 for it. One
//! that was synced is *damaged*: that is said loudly, and its segment is kept aside under the name `damaged-...`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::record::{
    ALIGN_BYTES, HEAD_BYTES, Head, Id, Kind, Mark, Stored, parse_marks, parse_message, parse_record,
    record_bytes,
};
use super::segment::run_of_slot;
use crate::durable::Disk;
use crate::spool::held::write_temporary;
use crate::spool::name::Name;
use crate::spool::{Spool, SpoolError, State};

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::spool) struct Replayed {
    /// Messages that got a spool file.
    pub(in crate::spool) messages: usize,
    /// Segments with records that had been synced and cannot be read.
    pub(in crate::spool) damaged: usize,
}

/// Makes spool files of what is left in `directory`, and removes it.
///
/// # Errors
/// The disk's; the journal is still there then.
pub(in crate::spool) fn run(spool: &Spool, directory: &Path) -> Result<Replayed, SpoolError> {
    let mut replayed = Replayed::default();
    let slots = match slots(directory) {
        Ok(slots) => slots,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(replayed),
        Err(error) => return Err(SpoolError::disk("read", directory)(error)),
    };
    let mut segments = Vec::new();
    for (path, run) in slots {
        let bytes = fs::read(&path).map_err(SpoolError::disk("read", &path))?;
        segments.push((path, scan(&bytes, run)));
    }
    let found = judge(segments);
    let mut written = Vec::new();
    for message in &found.messages {
        written.extend(restore(spool, message, &found.marks)?);
    }
    place(spool, &written)?;
    replayed.messages = written.len();
    for path in &found.damaged {
        set_aside(spool, directory, path)?;
        replayed.damaged += 1;
    }
    // The marks vouch for mailbox files that may not be on stable storage yet.
    let top = spool.root().path();
    spool.disk().sync_file_system(top).map_err(SpoolError::disk("sync", top))?;
    for device in mailbox_devices(spool, &found.marks) {
        spool.disk().sync_file_system(&device).map_err(SpoolError::disk("sync", &device))?;
    }
    remove_directory(spool.disk(), directory).map_err(SpoolError::disk("remove", directory))?;
    Ok(replayed)
}

/// Removes the slots and, when nothing else is in it, the directory.
///
/// # Errors
/// The disk's.
pub(super) fn remove_directory(disk: &Disk, directory: &Path) -> io::Result<()> {
    let slots = match slots(directory) {
        Ok(slots) => slots,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    slots.iter().try_for_each(|(path, _)| disk.remove(path))?;
    disk.sync_dir(directory)?;
    // Damaged segments stay for whoever looks into them.
    let _ = fs::remove_dir(directory);
    Ok(())
}

/// The slots, each with its run.
pub(super) fn slots(directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut slots = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(run) = entry.file_name().to_str().and_then(run_of_slot) {
            slots.push((entry.path(), run));
        }
    }
    slots.sort();
    Ok(slots)
}

/// What the segments hold that are not over.
pub(super) struct Found {
    /// By sequence.
    pub(super) messages: Vec<(u64, Vec<u8>)>,
    /// What became of recipients' messages: the file in a mailbox, or nothing is left to do.
    pub(super) marks: HashMap<Id, Option<Stored>>,
    pub(super) damaged: Vec<PathBuf>,
}

/// Takes together what stands in all slots.
pub(super) fn judge(segments: Vec<(PathBuf, Scanned)>) -> Found {
    let heads = || segments.iter().flat_map(|(_, scanned)| &scanned.records).map(|(head, _)| head);
    let watermark = heads().map(|head| head.watermark).max().unwrap_or(0);
    let newest = heads().map(|head| head.segment).max().unwrap_or(0);
    let mut found = Found { messages: Vec::new(), marks: HashMap::new(), damaged: Vec::new() };
    for (path, scanned) in segments {
        let Some(number) = scanned.number.filter(|number| *number >= watermark) else { continue };
        // Before the next segment was begun, all of this one was synced.
        if scanned.has_gap_before(if number < newest { u64::MAX } else { scanned.synced_to() }) {
            found.damaged.push(path);
        }
        for (head, payload) in scanned.records {
            match head.kind {
                Kind::Message => found.messages.push((head.sequence, payload)),
                Kind::Marks => found.take_marks(parse_marks(&payload).unwrap_or_default()),
            }
        }
    }
    found.messages.sort_unstable_by_key(|(sequence, _)| *sequence);
    found
}

impl Found {
    fn take_marks(&mut self, marks: Vec<Mark>) {
        for mark in marks {
            match mark {
                // The owner took it away, or it left for good: stronger than a delivery.
                Mark::Over(id) => drop(self.marks.insert(id, None)),
                Mark::Delivered(id, stored) => drop(self.marks.entry(id).or_insert(Some(stored))),
            }
        }
    }
}

/// The readable records of one file, of its newest segment only.
pub(super) struct Scanned {
    number: Option<u64>,
    records: Vec<(Head, Vec<u8>)>,
    /// Where something stands that is no record, before the last record.
    gaps: Vec<u64>,
}

impl Scanned {
    /// Everything before this place was synced when the last batch was written.
    fn synced_to(&self) -> u64 {
        self.records.iter().map(|(head, _)| u64::from(head.batch_start)).max().unwrap_or(0)
    }

    fn has_gap_before(&self, place: u64) -> bool {
        self.gaps.iter().any(|gap| *gap < place)
    }
}

/// Looks through the content of a slot.
pub(super) fn scan(bytes: &[u8], run: u64) -> Scanned {
    let number = newest_segment(bytes, run);
    let mut scanned = Scanned { number, records: Vec::new(), gaps: Vec::new() };
    let Some(number) = number else { return scanned };
    let mut at = 0;
    let mut gap = None;
    while at + HEAD_BYTES <= bytes.len() {
        match parse_record(&bytes[at..]).filter(|(head, _)| (head.segment, head.run) == (number, run)) {
            Some((head, payload)) => {
                scanned.gaps.extend(gap.take());
                scanned.records.push((head, payload.to_vec()));
                at += record_bytes(payload.len());
            }
            None => {
                gap.get_or_insert(at as u64);
                at += ALIGN_BYTES;
            }
        }
    }
    scanned
}

/// The number of the last use of this file.
fn newest_segment(bytes: &[u8], run: u64) -> Option<u64> {
    let heads = bytes.chunks(ALIGN_BYTES).filter_map(|chunk| {
        // Most of what is looked at is mail.
        chunk.starts_with(b"TabJ").then(|| Head::parse(chunk)).flatten()
    });
    heads.filter(|head| head.run == run).map(|head| head.segment).max()
}

/// A message file that stands in `temp`.
struct Written {
    name: Name,
    temporary: PathBuf,
}

/// Writes the files of a message's recipients that have none.
fn restore(
    spool: &Spool,
    (sequence, payload): &(u64, Vec<u8>),
    marks: &HashMap<Id, Option<Stored>>,
) -> Result<Vec<Written>, SpoolError> {
    let Some(message) = parse_message(payload) else {
        // Its checksum was right: a version of ours that wrote it differently.
        tracing::error!(sequence, "a message in the journal has an unknown form");
        return Err(SpoolError::disk("read", spool.root().path())(io::ErrorKind::InvalidData.into()));
    };
    let mut written = Vec::new();
    for (recipient, part) in (0..).zip(&message.recipients) {
        let is_done = match marks.get(&Id { sequence: *sequence, recipient }) {
            Some(None) => true,
            Some(Some(stored)) => is_in_mailbox(spool.root().path(), stored),
            None => false,
        };
        let has_file =
            || [State::Mess, State::Rsnd, State::Froz].iter().any(|&s| spool.path(&part.name, s).exists());
        if is_done || has_file() {
            continue;
        }
        let pieces = [&part.header, &part.fields, &message.data].map(|range| &payload[range.clone()]);
        let temporary = spool.path(&part.name, State::Temp);
        write_temporary(spool, &part.name, &temporary, &pieces, false)?;
        written.push(Written { name: part.name.clone(), temporary });
    }
    Ok(written)
}

/// Whether the file is there as it was written, or in `cur` with flags behind its name.
fn is_in_mailbox(root: &Path, stored: &Stored) -> bool {
    let path = root.join(&stored.path);
    if stored.is_at(&path) {
        return true;
    }
    let (Some(new), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
        return false;
    };
    let Some(mailbox) = new.parent().filter(|_| new.ends_with("new")) else { return false };
    let flagged = format!("{name}:");
    fs::read_dir(mailbox.join("cur")).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let file = entry.file_name();
            let same = file.to_str().is_some_and(|file| file == name || file.starts_with(&flagged));
            same && stored.is_at(&entry.path())
        })
    })
}

/// Moves the files into `mess`, contents synced before and names afterwards.
fn place(spool: &Spool, written: &[Written]) -> Result<(), SpoolError> {
    if written.is_empty() {
        return Ok(());
    }
    let top = spool.directory();
    spool.disk().sync_file_system(&top).map_err(SpoolError::disk("sync", &top))?;
    for Written { name, temporary } in written {
        let to = spool.path(name, State::Mess);
        spool.disk().rename(temporary, &to).map_err(SpoolError::disk("move to mess", temporary))?;
    }
    spool.disk().sync_file_system(&top).map_err(SpoolError::disk("sync", &top))
}

fn set_aside(spool: &Spool, directory: &Path, path: &Path) -> Result<(), SpoolError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = directory.join(format!("damaged-{}-{name}", spool.clock().unix_millis()));
    tracing::error!(
        "{}: mail that was answered for cannot be read from the journal; what can be read is delivered, the file \
         is kept as {}",
        path.display(),
        aside.display()
    );
    spool.disk().rename(path, &aside).map_err(SpoolError::disk("set aside", path))
}

/// One directory per file system that holds marked files.
fn mailbox_devices(spool: &Spool, marks: &HashMap<Id, Option<Stored>>) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let directories = marks.values().flatten().filter_map(|stored| stored.path.parent());
    let mut devices = HashMap::new();
    for directory in directories {
        let path = spool.root().path().join(directory);
        if let Ok(meta) = fs::metadata(&path) {
            devices.insert(meta.dev(), path);
        }
    }
    devices.into_values().collect()
}
