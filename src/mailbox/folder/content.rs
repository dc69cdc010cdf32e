//! The text of messages: reading it as clients see it, knowing its shape without reading it again, writing new ones.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use twox_hash::XxHash3_128;

use super::flags::{Flags, KeywordSet, split, with_flags};
use super::look::unix_secs;
use super::state::{Entry, Folder, FolderError, Keeping, MessageState, State};
use crate::durable::{DiskFile, FILE_MODE};
use crate::mailbox::MailboxError;
use crate::mime::{self, Packed as _};
use crate::net::dots::{Stuffer, ToCrlf, Transform, Transformed, Unstuffer};

/// Octets read or written at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What a message says, without its text: packed, and read where it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    size: u64,
    digest: u128,
    envelope: Vec<u8>,
    structure: Vec<u8>,
}

/// A message's text as clients see it: dots taken away, lines ending in CRLF.
pub struct Text(Transformed<Transformed<File, ToCrlf>, Unstuffer>);

impl Text {
    pub(super) fn new(file: File) -> Self {
        Self(Transformed::new(Transformed::new(file, ToCrlf::default()), Unstuffer::default()))
    }

    /// Reads past so many octets; fewer when the text ends.
    ///
    /// # Errors
    /// The disk's.
    pub fn skip(&mut self, octets: u64) -> io::Result<u64> {
        io::copy(&mut self.take(octets), &mut io::sink())
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").finish_non_exhaustive()
    }
}

impl Folder {
    /// Opens the text of a message; `None` when it is gone.
    ///
    /// # Errors
    /// The disk's.
    pub fn text(&self, uid: u32) -> Result<Option<Text>, FolderError> {
        Ok(self.open(uid)?.map(Text::new))
    }

    /// The file, wherever others may have moved it since the last look.
    fn open(&self, uid: u32) -> Result<Option<File>, FolderError> {
        for attempt in 0..2 {
            let Some(path) = self.path(uid) else { return Ok(None) };
            match File::open(&path) {
                Ok(file) => {
                    if self.is_as_known(uid, &file) {
                        return Ok(Some(file));
                    }
                    // Somebody writes to it, or has put another in its place: that is another message.
                    self.look()?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt == 0 => {
                    self.lock().looked = None;
                    self.look()?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(MailboxError::on("open", &path)(error).into()),
            }
        }
        Ok(None)
    }

    /// Whether the file has the size it had. If not, the next look finds that out.
    fn is_as_known(&self, uid: u32, file: &File) -> bool {
        let Ok(meta) = file.metadata() else { return false };
        let mut state = self.lock();
        let Some(index) = state.find(uid) else { return false };
        let is_as_known = state.entries[index].state.file_bytes == meta.len();
        if !is_as_known {
            state.entries[index].inode = 0;
            state.looked = None;
        }
        is_as_known
    }

    /// Where a message is, as far as is known.
    pub(super) fn path(&self, uid: u32) -> Option<PathBuf> {
        let state = self.lock();
        state.find(uid).map(|index| self.path_of(&state.entries[index]))
    }

    pub(super) fn path_of(&self, entry: &Entry) -> PathBuf {
        let directory = match &self.places.cur {
            Some(cur) if entry.is_in_cur => cur,
            _ => &self.places.new,
        };
        directory.join(&*entry.file_name)
    }

    /// What a message says; read once and then kept in the cache. `None` when the message is gone.
    ///
    /// # Errors
    /// The disk's.
    pub fn head(&self, uid: u32) -> Result<Option<Head>, FolderError> {
        if let Some(known) = self.known_head(uid) {
            return Ok(Some(known));
        }
        let Some(mut text) = self.text(uid)? else { return Ok(None) };
        let head = Head::read(&mut text).map_err(|source| self.unreadable(uid, source))?;
        self.keep_head(&mut self.lock(), uid, &head);
        Ok(Some(head))
    }

    /// What is known without reading the message.
    pub fn known_head(&self, uid: u32) -> Option<Head> {
        let state = self.lock();
        let entry = &state.entries[state.find(uid)?];
        Head::unpack(&state.packed_head(entry)?)
    }

    /// The octets of all texts. What is not known yet is read.
    ///
    /// # Errors
    /// The disk's.
    pub fn size(&self) -> Result<u64, FolderError> {
        let (messages, _) = self.messages();
        messages
            .iter()
            .try_fold(0, |sum, message| Ok(sum + self.head(message.uid)?.map_or(0, |head| head.size())))
    }

    fn unreadable(&self, uid: u32, source: io::Error) -> FolderError {
        let path = self.path(uid).unwrap_or_else(|| self.places.new.clone());
        MailboxError { action: "read", path, source }.into()
    }

    pub(super) fn keep_head(&self, state: &mut State, uid: u32, head: &Head) {
        let Some(index) = state.find(uid).filter(|_| state.keeping == Keeping::Whole) else { return };
        let Some(cache) = &mut state.cache else { return };
        match cache.append_head(uid, &head.pack()) {
            Ok(place) => state.entries[index].head = Some(place),
            // It is read again the next time.
            Err(error) => tracing::debug!("{}: cannot be written: {error}", state.cache_path.display()),
        }
    }
}

impl Head {
    /// Reads a text to its end.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(text: &mut impl Read) -> io::Result<Self> {
        let mut scanner = mime::Scanner::new();
        let mut digest = XxHash3_128::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut size = 0;
        loop {
            match text.read(&mut piece)? {
                0 => break,
                count => {
                    scanner.push(&piece[..count]);
                    digest.write(&piece[..count]);
                    size += count as u64;
                }
            }
        }
        let scanned = scanner.finish();
        let (mut envelope, mut structure) = (Vec::new(), Vec::new());
        scanned.envelope.pack(&mut envelope);
        scanned.structure.pack(&mut structure);
        Ok(Self { size, digest: digest.finish_128(), envelope, structure })
    }

    /// RFC822.SIZE: the octets of the text.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same for messages with the same text: EMAILID.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// The fields of ENVELOPE, and References.
    pub fn envelope(&self) -> mime::Envelope {
        mime::Envelope::unpack(&self.envelope).unwrap_or_default()
    }

    /// The parts and where they are.
    pub fn structure(&self) -> mime::Structure {
        mime::Structure::unpack(&self.structure).unwrap_or_default()
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let mut packed = self.size.to_le_bytes().to_vec();
        packed.extend_from_slice(&self.digest.to_le_bytes());
        packed.extend_from_slice(&(self.envelope.len() as u64).to_le_bytes());
        packed.extend_from_slice(&self.envelope);
        packed.extend_from_slice(&self.structure);
        packed
    }

    /// `None` for what another version has packed.
    pub(super) fn unpack(packed: &[u8]) -> Option<Self> {
        let (size, rest) = packed.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (envelope, structure) = rest.split_at_checked(length)?;
        let is_of_this_version = |packed: &[u8]| packed.first() == Some(&mime::PACKED_VERSION);
        (is_of_this_version(envelope) && is_of_this_version(structure)).then(|| Self {
            size: u64::from_le_bytes(*size),
            digest: u128::from_le_bytes(*digest),
            envelope: envelope.to_vec(),
            structure: structure.to_vec(),
        })
    }
}

/// A message that is being written into a folder; nobody sees it. Dropping it removes what was written.
pub struct Draft {
    folder: Arc<Folder>,
    file: Option<DiskFile>,
    base: String,
    stuffer: Stuffer,
    buffer: Vec<u8>,
    flags: Flags,
    keywords: Vec<String>,
    bytes: u64,
    modified: SystemTime,
}

impl Folder {
    /// Begins a message with these flags and, if it is not the time of now, this internal date in seconds since 1970.
    ///
    /// # Errors
    /// The disk's.
    pub fn draft(
        self: &Arc<Self>,
        flags: Flags,
        keywords: Vec<String>,
        internal_date: Option<i64>,
    ) -> Result<Draft, FolderError> {
        let base = super::name::fresh_file_name();
        let disk = &self.mailboxes.disk;
        disk.create_dir_all(&self.places.tmp).map_err(MailboxError::on("create", &self.places.tmp))?;
        let path = self.places.tmp.join(&base);
        let file = disk.create_new(&path, FILE_MODE).map_err(MailboxError::on("write", &path))?;
        let modified = match internal_date {
            Some(secs @ 0..) => SystemTime::UNIX_EPOCH + Duration::from_secs(secs.unsigned_abs()),
            Some(secs) => SystemTime::UNIX_EPOCH - Duration::from_secs(secs.unsigned_abs()),
            None => SystemTime::now(),
        };
        Ok(Draft {
            folder: Arc::clone(self),
            file: Some(file),
            base,
            stuffer: Stuffer::default(),
            buffer: Vec::new(),
            flags,
            keywords,
            bytes: 0,
            modified,
        })
    }

    /// Gives whole messages their place and their UIDs: all of them, or none.
    ///
    /// # Errors
    /// The disk's, [`FolderError::Keywords`], [`FolderError::NoUids`].
    pub fn add(&self, drafts: Vec<Draft>) -> Result<Vec<u32>, FolderError> {
        let mut placed: Vec<PathBuf> = Vec::new();
        let added = self.try_add(drafts, &mut placed);
        if added.is_err() {
            for path in placed {
                // The error that came first is the one to tell.
                let _ = self.mailboxes.disk.remove(&path);
            }
            self.lock().looked = None;
        }
        self.tell();
        added
    }

    fn try_add(&self, drafts: Vec<Draft>, placed: &mut Vec<PathBuf>) -> Result<Vec<u32>, FolderError> {
        let mut state = self.lock();
        self.look_with(&mut state)?;
        state.reserve(u32::try_from(drafts.len()).map_err(|_| FolderError::NoUids)?)?;
        let before = self.times_before();
        let mut entries = Vec::new();
        for mut draft in drafts {
            let keywords = self.keyword_set(&mut state, &draft.keywords)?;
            let entry = self.entry_for(&draft.base, draft.flags, keywords, draft.modified, draft.bytes);
            let (from, to) = (draft.path(), self.path_of(&entry));
            self.write_flags_rows(std::iter::once(&entry), &state.keywords)?;
            self.mailboxes
                .disk
                .rename(&from, &to)
                .map_err(MailboxError::on("move into the folder", &from))?;
            draft.file = None;
            placed.push(to);
            entries.push(entry);
        }
        self.settle(&mut state, entries, before)
    }

    /// Makes messages whose files are in their place part of the folder; they are on stable storage then.
    pub(super) fn settle(
        &self,
        state: &mut State,
        entries: Vec<Entry>,
        before: Option<super::state::Looked>,
    ) -> Result<Vec<u32>, FolderError> {
        let Some(first) = entries.first() else { return Ok(Vec::new()) };
        let directory = self.path_of(first).parent().map(PathBuf::from).unwrap_or_default();
        self.mailboxes.disk.sync_dir(&directory).map_err(MailboxError::on("sync", &directory))?;
        let modseq = state.next_modseq();
        let mut records = Vec::new();
        let mut uids = Vec::new();
        for mut entry in entries {
            entry.state.modseq = modseq;
            uids.push(state.next_uid);
            records.push(state.add(split(&entry.file_name).0.into(), entry));
        }
        state.write(&records);
        self.note_own_change(state, before);
        Ok(uids)
    }

    /// How a message will stand in this folder: INBOX has flags in a table, others in names.
    pub(super) fn entry_for(
        &self,
        base: &str,
        flags: Flags,
        keywords: KeywordSet,
        modified: SystemTime,
        bytes: u64,
    ) -> Entry {
        let is_inbox = self.name.is_inbox();
        let file_name = if is_inbox { base.to_owned() } else { with_flags(base, flags, keywords) };
        let state = MessageState {
            uid: 0,
            modseq: 0,
            flags,
            keywords,
            internal_date: unix_secs(modified),
            file_bytes: bytes,
        };
        Entry { state, is_in_cur: !is_inbox, inode: 0, file_name: file_name.into(), head: None }
    }
}

impl Draft {
    fn path(&self) -> PathBuf {
        self.folder.places.tmp.join(&self.base)
    }

    /// Octets written so far, as they stand in the file.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.buffer.len() as u64
    }

    /// Adds a piece of the text.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), FolderError> {
        self.stuffer.push(piece, &mut self.buffer);
        if self.buffer.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), FolderError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(&self.buffer).map_err(MailboxError::on("write", file.path()))?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The text is whole: puts it on stable storage. [`Folder::add`] comes next.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(&mut self) -> Result<(), FolderError> {
        self.stuffer.finish(&mut self.buffer);
        self.flush()?;
        let Some(file) = &mut self.file else { return Ok(()) };
        let path = file.path().to_owned();
        let done = file.set_modified(self.modified).and_then(|()| file.sync());
        done.map_err(MailboxError::on("write", &path))?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Readers look for no messages in `tmp`.
            let _ = self.folder.mailboxes.disk.remove(&self.path());
        }
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("path", &self.path()).finish_non_exhaustive()
    }
}
