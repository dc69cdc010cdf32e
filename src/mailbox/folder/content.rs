//! The text of messages: reading it as clients see it, knowing its shape without reading it again, writing new ones.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use twox_hash::XxHash3_128;

use super::cache::{Kept, KeptPlaces, Place};
use super::change::Placed;
use super::flags::{Flags, KeywordSet, split, with_flags};
use super::look::unix_secs;
use super::several::several;
use super::state::{Entry, Folder, FolderError, Keeping, MessageState, State};
use crate::durable::{DiskFile, FILE_MODE};
use crate::mailbox::{MailboxError, open_plain};
use crate::mime::{self, Packed as _};
use crate::net::dots::{Stuffer, ToCrlf, Transform, Transformed, Unstuffer};

/// Octets read or written at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What a message says, without its text: packed, and read where it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    size: u64,
    digest: u128,
    /// The file holds the text as it is.
    is_plain: bool,
    /// As [`Head::packed`] gives it.
    packed: Vec<u8>,
    /// Where in it the envelope ends and the structure begins.
    envelope_end: usize,
}

/// Header fields of a message, those that are worth keeping: packed, and read where they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Vec<u8>);

/// All that is kept of what a message says.
struct Said {
    head: Head,
    fields: Fields,
}

/// Something of a message that the cache keeps.
trait Packed {
    fn packed(&self) -> &[u8];
}

impl Packed for Head {
    fn packed(&self) -> &[u8] {
        &self.packed
    }
}

impl Packed for Fields {
    fn packed(&self) -> &[u8] {
        &self.0
    }
}

impl Fields {
    /// The fields; `None` when they are too many to be kept.
    pub fn kept(&self) -> Option<mime::KeptFields<'_>> {
        mime::KeptFields::unpack(&self.0)
    }
}

/// A message's text as clients see it: dots taken away, lines ending in CRLF.
pub struct Text(Source);

enum Source {
    /// The file is the text.
    Plain(File),
    File(Box<Clean<File>>),
}

/// What makes the text of a file's octets.
type Clean<R> = Transformed<Transformed<R, ToCrlf>, Unstuffer>;

fn clean<R: Read>(file: R) -> Clean<R> {
    Transformed::new(Transformed::new(file, ToCrlf::default()), Unstuffer::default())
}

impl Text {
    fn new(file: File, is_plain: bool) -> Self {
        Self(if is_plain { Source::Plain(file) } else { Source::File(Box::new(clean(file))) })
    }

    /// Reads past so many octets; fewer when the text ends.
    ///
    /// # Errors
    /// The disk's.
    pub fn skip(&mut self, octets: u64) -> io::Result<u64> {
        match &mut self.0 {
            _ if octets == 0 => Ok(0),
            Source::Plain(file) => {
                // Past the end there is nothing to read, either.
                file.seek_relative(i64::try_from(octets).unwrap_or(i64::MAX))?;
                Ok(octets)
            }
            Source::File(clean) => io::copy(&mut clean.take(octets), &mut io::sink()),
        }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Plain(file) => file.read(buffer),
            Source::File(clean) => clean.read(buffer),
        }
    }
}

/// Watches a file go by: a text as long as its file, of whose lines none begins with a dot, is the file. For lines can only
/// become longer where their ends are made CRLF, and shorter where a dot is taken away.
struct Dots<R> {
    file: R,
    bytes: u64,
    last: u8,
    has_dot: bool,
}

impl<R: Read> Read for Dots<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let piece = &buffer[..count];
        if let Some(&first) = piece.first() {
            let begins_line = self.bytes == 0 || matches!(self.last, b'\n' | b'\r');
            self.has_dot |= begins_line && first == b'.';
            self.has_dot |=
                memchr::memchr_iter(b'.', &piece[1..]).any(|at| matches!(piece[at], b'\n' | b'\r'));
            self.last = piece[count - 1];
            self.bytes += count as u64;
        }
        Ok(count)
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
        Ok(self.open(uid)?.map(|file| Text::new(file, false)))
    }

    /// As [`Folder::text`], faster where [`Head::is_plain`] is known.
    ///
    /// # Errors
    /// The disk's.
    pub fn text_of(&self, uid: u32, is_plain: bool) -> Result<Option<Text>, FolderError> {
        Ok(self.open(uid)?.map(|file| Text::new(file, is_plain)))
    }

    /// The file, wherever others may have moved it since the last look.
    fn open(&self, uid: u32) -> Result<Option<File>, FolderError> {
        for attempt in 0..2 {
            let Some(path) = self.path(uid) else { return Ok(None) };
            match open_plain(&path) {
                Ok(file) => {
                    if self.is_as_known(uid, &file) {
                        return Ok(Some(file));
                    }
                    // Somebody writes to it, or has put another in its place: that is another message.
                    self.look()?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt == 0 => {
                    self.lock_names().looked = None;
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
        Ok(self.heads(&[uid])?.pop().flatten())
    }

    /// [`Folder::head`] of messages, in this order: of as many as are not too large together, and of one at least.
    ///
    /// # Errors
    /// The disk's.
    pub fn heads(&self, uids: &[u32]) -> Result<Vec<Option<Head>>, FolderError> {
        self.read_unknown(uids, self.known_heads(uids), |said| &said.head)
    }

    /// Header fields of messages, as [`Folder::heads`] gives what else they say.
    ///
    /// # Errors
    /// The disk's.
    pub fn fields(&self, uids: &[u32]) -> Result<Vec<Option<Fields>>, FolderError> {
        self.read_unknown(uids, self.known_fields(uids), |said| &said.fields)
    }

    /// Fills in what is not known, and keeps all that was read for it.
    fn read_unknown<T: Packed + Clone>(
        &self,
        uids: &[u32],
        mut known: Vec<Option<T>>,
        wanted: fn(&Said) -> &T,
    ) -> Result<Vec<Option<T>>, FolderError> {
        let missing: Vec<usize> = (0..known.len()).filter(|index| known[*index].is_none()).collect();
        let read = self.read_files(&missing.iter().map(|index| uids[*index]).collect::<Vec<u32>>())?;
        let taken = || missing.iter().zip(&read).filter_map(|(index, said)| Some((*index, said.as_ref()?)));
        // The rest is for the next call.
        if let Some(&unread) = missing.get(read.len()) {
            known.truncate(unread);
        }
        for (index, said) in taken() {
            known[index] = Some(wanted(said).clone());
        }
        if taken().next().is_some() {
            let mut state = self.lock();
            self.keep(&mut state, Kept::Head, taken().map(|(index, said)| (uids[index], said.head.packed())));
            self.keep(
                &mut state,
                Kept::Fields,
                taken().map(|(index, said)| (uids[index], said.fields.packed())),
            );
        }
        Ok(known)
    }

    /// Reads messages, in this order: as many as are not too large together, and do not say too much, and one at least.
    fn read_files(&self, uids: &[u32]) -> Result<Vec<Option<Said>>, FolderError> {
        let (next, bytes, read_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        let has_room = || {
            bytes.load(Ordering::Relaxed) <= KEPT_BYTES_MAX
                && read_bytes.load(Ordering::Relaxed) <= READ_BYTES_MAX
        };
        let read_some = || {
            let (mut read, mut buffer) = (Vec::new(), Vec::new());
            while has_room() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(&uid) = uids.get(index) else { break };
                let said = self.read_file(uid, &mut buffer)?;
                if let Some(said) = &said {
                    bytes.fetch_add(said.bytes(), Ordering::Relaxed);
                    read_bytes.fetch_add(said.head.size(), Ordering::Relaxed);
                }
                read.push((index, said));
            }
            Ok::<_, FolderError>(read)
        };
        let read = several(uids.len(), FILES_EACH, read_some).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut read: Vec<(usize, Option<Said>)> = read.into_iter().flatten().collect();
        // Each that was taken was read: none is left out in between.
        read.sort_by_key(|(index, _)| *index);
        Ok(read.into_iter().map(|(_, said)| said).collect())
    }

    fn read_file(&self, uid: u32, buffer: &mut Vec<u8>) -> Result<Option<Said>, FolderError> {
        let Some(file) = self.open(uid)? else { return Ok(None) };
        let said = Said::read_file(file, buffer).map_err(|source| self.unreadable(uid, source))?;
        Ok(Some(said))
    }

    /// What is known without reading the messages, in this order: of as many as [`Folder::heads`].
    pub fn known_heads(&self, uids: &[u32]) -> Vec<Option<Head>> {
        self.known(Kept::Head, uids, Head::unpack)
    }

    /// As [`Folder::known_heads`].
    pub fn known_fields(&self, uids: &[u32]) -> Vec<Option<Fields>> {
        self.known(Kept::Fields, uids, |packed| Some(Fields(packed)))
    }

    fn known<T>(&self, kept: Kept, uids: &[u32], unpack: impl Fn(Vec<u8>) -> Option<T>) -> Vec<Option<T>> {
        let state = self.lock();
        let place = |uid: &u32| state.find(*uid).and_then(|index| state.entries[index].kept.get(kept));
        let mut bytes = 0;
        let fits = |place: &Option<Place>| {
            let is_first = bytes == 0;
            bytes += place.map_or(0, |place| place.bytes());
            is_first || bytes <= KEPT_BYTES_MAX
        };
        let places: Vec<Option<Place>> = uids.iter().map(place).take_while(fits).collect();
        let mut read = state.read_kept(places.iter().flatten().copied()).into_iter();
        places.into_iter().map(|place| place.and_then(|_| unpack(read.next()?))).collect()
    }

    /// Tells another folder, which has got these messages, what is known of them here.
    pub(super) fn hand_on_kept(&self, placed: &[Placed], to: &Self) {
        for kept in [Kept::Head, Kept::Fields] {
            let mut left = placed;
            while !left.is_empty() {
                let from: Vec<u32> = left.iter().take(HEADS_AT_ONCE).map(|placed| placed.from).collect();
                let known = self.known(kept, &from, Some);
                let (now, rest) = left.split_at(known.len());
                let packed =
                    now.iter().zip(&known).filter_map(|(one, packed)| Some((one.to, packed.as_deref()?)));
                to.keep(&mut to.lock(), kept, packed);
                left = rest;
            }
        }
    }

    /// The octets of all texts. What is not known yet is read.
    ///
    /// # Errors
    /// The disk's.
    pub fn size(&self) -> Result<u64, FolderError> {
        let (messages, _) = self.messages();
        let uids: Vec<u32> = messages.iter().map(|message| message.uid).collect();
        let mut size = 0;
        self.each_head(&uids, |_, head| size += head.size())?;
        Ok(size)
    }

    fn unreadable(&self, uid: u32, source: io::Error) -> FolderError {
        let path = self.path(uid).unwrap_or_else(|| self.places.new.clone());
        MailboxError { action: "read", path, source }.into()
    }

    fn keep<'a>(&self, state: &mut State, kept: Kept, packed: impl Iterator<Item = (u32, &'a [u8])>) {
        if state.keeping != Keeping::Whole {
            return;
        }
        // Of a message that is gone meanwhile it would stand in the file for nothing.
        let there: Vec<(u32, &[u8])> = packed.filter(|(uid, _)| state.find(*uid).is_some()).collect();
        let Some(cache) = &mut state.cache else { return };
        match cache.append_kept(kept, there.into_iter()) {
            Ok(places) => {
                for (uid, place) in places {
                    if let Some(index) = state.find(uid) {
                        state.entries[index].kept.set(kept, place);
                    }
                }
            }
            // It is read again the next time.
            Err(error) => tracing::debug!("{}: cannot be written: {error}", state.cache_path.display()),
        }
    }
}

/// Messages of which it is worth to ask together what they say.
pub const HEADS_AT_ONCE: usize = 250;

/// Octets of files that are read together, give or take one a thread: a command that reads ends its steps soon. Ours.
const READ_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// So many files are worth a thread that reads them. Ours.
const FILES_EACH: usize = 50;

/// Octets of heads, or of fields, that are held together, give or take one; of usual messages they are some 100 KB.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The highest bit of the envelope's length says that the file is the text.
const PLAIN_BIT: u64 = 1 << 63;

/// Octets before the envelope: size, digest, length of the envelope.
const HEAD_BEFORE_ENVELOPE: usize = 8 + 16 + 8;

impl Said {
    /// Reads a message's file to its end. The buffer is for the next one, too.
    fn read_file(mut file: impl Read, buffer: &mut Vec<u8>) -> io::Result<Self> {
        buffer.resize(PIECE_BYTES, 0);
        let count = read_up_to(&mut file, buffer)?;
        let piece = &buffer[..count];
        if count < buffer.len() && is_its_own_text(piece) {
            let mut scanner = mime::Scanner::new();
            scanner.push(piece);
            return Ok(Self::new(count as u64, XxHash3_128::oneshot(piece), true, scanner.finish()));
        }
        let mut file = Dots { file: piece.chain(file), bytes: 0, last: 0, has_dot: false };
        let (size, digest, scanned) = scan(&mut clean(&mut file))?;
        let is_plain = !file.has_dot && file.bytes == size;
        Ok(Self::new(size, digest, is_plain, scanned))
    }

    fn new(size: u64, digest: u128, is_plain: bool, scanned: mime::Scanned) -> Self {
        Self { head: Head::new(size, digest, is_plain, &scanned), fields: Fields(scanned.fields) }
    }

    /// Octets that are kept.
    fn bytes(&self) -> usize {
        self.head.packed().len() + self.fields.packed().len()
    }
}

/// Fills the buffer, unless the file ends before.
fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Whether a file with these octets is a text as clients see it: all lines end in CRLF, and none begins with a dot.
fn is_its_own_text(file: &[u8]) -> bool {
    let is_fine = |at: usize| match file[at] {
        b'\r' => file.get(at + 1) == Some(&b'\n'),
        _ => at > 0 && file[at - 1] == b'\r' && file.get(at + 1) != Some(&b'.'),
    };
    file.ends_with(b"\n") && !file.starts_with(b".") && memchr::memchr2_iter(b'\r', b'\n', file).all(is_fine)
}

/// Size, digest, and what is found in a text.
fn scan(text: &mut impl Read) -> io::Result<(u64, u128, mime::Scanned)> {
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
    Ok((size, digest.finish_128(), scanner.finish()))
}

impl Head {
    /// Reads a text to its end.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(text: &mut impl Read) -> io::Result<Self> {
        let (size, digest, scanned) = scan(text)?;
        Ok(Self::new(size, digest, false, &scanned))
    }

    fn new(size: u64, digest: u128, is_plain: bool, scanned: &mime::Scanned) -> Self {
        let mut envelope = Vec::new();
        scanned.envelope.pack(&mut envelope);
        let mut packed = size.to_le_bytes().to_vec();
        packed.extend_from_slice(&digest.to_le_bytes());
        let length = envelope.len() as u64 | if is_plain { PLAIN_BIT } else { 0 };
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&envelope);
        let envelope_end = packed.len();
        scanned.structure.pack(&mut packed);
        Self { size, digest, is_plain, packed, envelope_end }
    }

    /// RFC822.SIZE: the octets of the text.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same for messages with the same text: EMAILID.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// The file holds the text as it is: nothing has to be done to it on its way.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The fields of ENVELOPE, and References.
    pub fn envelope(&self) -> mime::Envelope {
        mime::Envelope::unpack(&self.packed[HEAD_BEFORE_ENVELOPE..self.envelope_end]).unwrap_or_default()
    }

    /// As [`Head::envelope`], but for addresses, and without a copy.
    pub fn texts(&self) -> mime::EnvelopeTexts<'_> {
        let packed = &self.packed[HEAD_BEFORE_ENVELOPE..self.envelope_end];
        mime::EnvelopeTexts::unpack(packed).unwrap_or_default()
    }

    /// The parts and where they are.
    pub fn structure(&self) -> mime::Structure {
        mime::Structure::unpack(&self.packed[self.envelope_end..]).unwrap_or_default()
    }

    /// `None` for what another version has packed.
    pub(super) fn unpack(packed: Vec<u8>) -> Option<Self> {
        let (size, rest) = packed.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = u64::from_le_bytes(*length);
        let envelope_bytes = usize::try_from(length & !PLAIN_BIT).ok()?;
        let (envelope, structure) = rest.split_at_checked(envelope_bytes)?;
        let is_of_this_version = |packed: &[u8]| packed.first() == Some(&mime::PACKED_VERSION);
        (is_of_this_version(envelope) && is_of_this_version(structure)).then_some(())?;
        let (size, digest) = (u64::from_le_bytes(*size), u128::from_le_bytes(*digest));
        let envelope_end = HEAD_BEFORE_ENVELOPE + envelope_bytes;
        Some(Self { size, digest, is_plain: length & PLAIN_BIT != 0, packed, envelope_end })
    }
}

/// A message that is being written into a folder; nobody sees it. Dropping it removes what was written.
pub struct Draft {
    folder: Arc<Folder>,
    /// Open until the text is whole: one APPEND may bring thousands of messages.
    file: Option<DiskFile>,
    /// There is a file of ours in `tmp`.
    is_left: bool,
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
            is_left: true,
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
            self.lock_names().looked = None;
        }
        self.tell();
        added
    }

    fn try_add(&self, drafts: Vec<Draft>, placed: &mut Vec<PathBuf>) -> Result<Vec<u32>, FolderError> {
        let mut state = self.lock();
        if state.is_gone {
            return Err(FolderError::NoSuchFolder);
        }
        // New keywords need a look: a letter may be in use. Else what others have put here gets its UIDs at the next one.
        if drafts.iter().any(|draft| !draft.keywords.is_empty()) {
            self.look_with(&mut state)?;
        }
        let before = Some(self.times()?);
        state.reserve(u32::try_from(drafts.len()).map_err(|_| FolderError::NoUids)?)?;
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
            draft.is_left = false;
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
        Entry {
            state,
            is_in_cur: !is_inbox,
            inode: 0,
            file_name: file_name.into(),
            kept: KeptPlaces::default(),
        }
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
        self.buffer = Vec::new();
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let done = file.set_modified(self.modified).and_then(|()| file.sync());
        done.map_err(MailboxError::on("write", file.path()))?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        drop(self.file.take());
        if self.is_left {
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
