//! The files of the journal: slots of one size, written over and over.
//!
//! A slot is filled with zeros and synced when it is made, so that writing into it changes neither its size nor where
//! its blocks are, and one fdatasync needs no other write. A *segment* is one use of a slot, with a number of its own;
//! what an earlier use left behind carries another number.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::durable::{Disk, DiskFile, FILE_MODE};

/// A slot in use.
pub(super) struct Segment {
    pub(super) number: u64,
    file: DiskFile,
    /// Where the next batch begins.
    pub(super) end: u64,
    /// Bytes behind `end` that a failed batch may have left there.
    doubtful_bytes: usize,
}

/// The slots of one run of the server.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) directory: PathBuf,
    /// In all names and records.
    pub(super) run: u64,
    pub(super) bytes: u64,
}

/// The run of a file that is a slot: `segment<number>-<run in hex>`.
pub(super) fn run_of_slot(file_name: &str) -> Option<u64> {
    let (number, run) = file_name.strip_prefix(SLOT_PREFIX)?.split_once('-')?;
    number.parse::<usize>().ok()?;
    u64::from_str_radix(run, 16).ok()
}

const SLOT_PREFIX: &str = "segment";

/// Bytes written at once when a slot is made.
const FILL_BYTES: usize = 1 << 20;

impl Slots {
    fn path(&self, slot: usize) -> PathBuf {
        self.directory.join(format!("{SLOT_PREFIX}{slot}-{:016x}", self.run))
    }

    /// Makes a slot and puts it on stable storage.
    ///
    /// # Errors
    /// The disk's; nothing is left behind then.
    pub(super) fn make(&self, disk: &Disk, slot: usize) -> io::Result<()> {
        let path = self.path(slot);
        disk.create_dir_all(&self.directory)?;
        let made = fill(disk, &path, self.bytes).and_then(|()| disk.sync_dir(&self.directory));
        if made.is_err() {
            // A half-made slot is made anew at the next try.
            let _ = disk.remove(&path);
        }
        made
    }
}

fn fill(disk: &Disk, path: &Path, bytes: u64) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = disk.create_new(path, FILE_MODE)?;
    let zeros = vec![0; FILL_BYTES];
    let mut left = bytes;
    while left > 0 {
        let count = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&zeros[..count])?;
        left -= count as u64;
    }
    file.sync()
}

impl Segment {
    /// Begins a segment in a slot that was made.
    pub(super) fn begin(disk: &Disk, slots: &Slots, slot: usize, number: u64) -> io::Result<Self> {
        let file = disk.open_or_create(&slots.path(slot), FILE_MODE)?;
        Ok(Self { number, file, end: 0, doubtful_bytes: 0 })
    }

    /// Writes a batch at the end and, with `sync`, waits until it is on stable storage.
    ///
    /// # Errors
    /// The disk's. Nothing of the batch counts then: it is overwritten with zeros, now or before the next batch.
    pub(super) fn append(&mut self, batch: &[u8], sync: bool) -> io::Result<()> {
        self.repair()?;
        let mut written = self.file.write_all_at(batch, self.end);
        if sync {
            written = written.and_then(|()| self.file.sync_data());
        }
        if let Err(error) = written {
            self.doubtful_bytes = batch.len();
            let _ = self.repair();
            return Err(error);
        }
        self.end += batch.len() as u64;
        Ok(())
    }

    fn repair(&mut self) -> io::Result<()> {
        if self.doubtful_bytes > 0 {
            self.file.write_all_at(&vec![0; self.doubtful_bytes], self.end)?;
            self.file.sync_data()?;
            self.doubtful_bytes = 0;
        }
        Ok(())
    }
}
