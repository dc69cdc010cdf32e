//! Mail data on its way into the spool: in memory while it is small, in a file in `tmp/` when it is not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{Spool, SpoolError};
use crate::durable::{DiskFile, FILE_MODE};

/// Mail data up to this many bytes stays in memory; more goes to a file. A thousand sessions take 256 MB at worst.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024;

/// Mail data being received. Dropped unfinished, it leaves nothing behind.
pub struct Draft {
    spool: Spool,
    memory: Vec<u8>,
    file: Option<(DiskFile, Unlink)>,
    bytes: u64,
}

impl Spool {
    /// A place for mail data.
    pub fn draft(&self) -> Draft {
        Draft { spool: self.clone(), memory: Vec::new(), file: None, bytes: 0 }
    }
}

impl Draft {
    /// Appends bytes. Blocks only when the data is or becomes larger than [`MEMORY_BYTES_MAX`].
    ///
    /// # Errors
    /// The disk's, for example that it is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.bytes += bytes.len() as u64;
        if self.file.is_none() && self.memory.len() + bytes.len() <= MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let (file, unlink) = match &mut self.file {
            Some(open) => open,
            None => self.file.insert(spill(&self.spool, &std::mem::take(&mut self.memory))?),
        };
        file.write_all(bytes).map_err(SpoolError::disk("write", &unlink.path))
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the next bytes go to the disk, so that the caller should not be on an async thread.
    pub fn is_on_disk(&self) -> bool {
        self.file.is_some()
    }

    /// Copies what was written so far to `sink`. Blocks when it is on the disk.
    ///
    /// # Errors
    /// The disk's or the sink's.
    pub fn copy_to(&self, sink: &mut dyn Write) -> io::Result<()> {
        match &self.file {
            None => sink.write_all(&self.memory),
            // Opened again: the draft goes on writing at its own place. DiskFile does not buffer.
            Some((_, unlink)) => io::copy(&mut File::open(&unlink.path)?, sink).map(drop),
        }
    }

    /// The data as received.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self) -> Result<MailData, SpoolError> {
        let source = match self.file {
            None => Source::Memory(self.memory),
            Some((mut file, unlink)) => {
                file.flush().map_err(SpoolError::disk("write", &unlink.path))?;
                Source::File(unlink)
            }
        };
        Ok(MailData { source, bytes: self.bytes })
    }
}

fn spill(spool: &Spool, memory: &[u8]) -> Result<(DiskFile, Unlink), SpoolError> {
    let directory = spool.root().path().join("tmp");
    spool.disk().create_dir_all(&directory).map_err(SpoolError::disk("create", &directory))?;
    let name = spool.shared.names.file_name(spool.clock().unix_millis());
    let path = directory.join(name);
    let mut file = spool.disk().create_new(&path, FILE_MODE).map_err(SpoolError::disk("create", &path))?;
    let unlink = Unlink { path };
    file.write_all(memory).map_err(SpoolError::disk("write", &unlink.path))?;
    Ok((file, unlink))
}

/// Complete mail data, dot-stuffed as it is stored.
pub struct MailData {
    source: Source,
    bytes: u64,
}

enum Source {
    Memory(Vec<u8>),
    File(Unlink),
}

impl MailData {
    /// Data that we made ourselves, already dot-stuffed.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.len() as u64, source: Source::Memory(bytes) }
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.source, Source::Memory(_))
    }

    /// Copies everything to `sink`. Blocks when the data is in a file.
    ///
    /// # Errors
    /// The disk's or the sink's.
    pub fn copy_to(&self, sink: &mut dyn Write) -> io::Result<()> {
        match &self.source {
            Source::Memory(bytes) => sink.write_all(bytes),
            Source::File(unlink) => {
                let mut file = File::open(&unlink.path)?;
                file.seek(SeekFrom::Start(0))?;
                io::copy(&mut file, sink).map(drop)
            }
        }
    }

    /// The first bytes, enough for the headers.
    ///
    /// # Errors
    /// The disk's.
    pub fn head(&self, bytes_max: usize) -> io::Result<Vec<u8>> {
        match &self.source {
            Source::Memory(bytes) => Ok(bytes[..bytes.len().min(bytes_max)].to_vec()),
            Source::File(unlink) => {
                let mut head = Vec::new();
                File::open(&unlink.path)?.take(bytes_max as u64).read_to_end(&mut head)?;
                Ok(head)
            }
        }
    }
}

/// Removes the temporary file when it is no longer needed.
struct Unlink {
    path: PathBuf,
}

impl Drop for Unlink {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("{}: cannot be removed: {error}", self.path.display());
        }
    }
}
