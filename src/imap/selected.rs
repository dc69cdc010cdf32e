//! The selected folder as its client knows it: sequence numbers, and what the client has not been told yet.

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::command::Flag;
use super::encode::{self, Condition};
use super::sets::{self, MessageSet, SequenceSet};
use super::work::{Modes, Refusal};
use crate::mailbox::folder::{Changes, Flags, Folder, FolderError, KeywordSet, MessageState};

/// A folder that a client has selected.
pub(super) struct Selected {
    pub(super) folder: Arc<Folder>,
    pub(super) read_only: bool,
    /// The UIDs by sequence number, from 1, as far as the client knows.
    pub(super) uids: Vec<u32>,
    /// The client knows what happened up to this mod-sequence.
    modseq: u64,
    /// Messages that are gone, while the client could not be told.
    pending_gone: Vec<u32>,
    /// The client knows the flags as of these mod-sequences already: its own changes.
    told: HashMap<u32, u64>,
    /// How many keywords the client knows of.
    keywords_told: usize,
    /// The names of the keywords.
    pub(super) keywords: Vec<String>,
    /// What SEARCH RETURN (SAVE) found: UIDs, ascending.
    pub(super) saved: Vec<u32>,
    /// Messages with this UID or a later one are recent (RFC 3501).
    pub(super) recent_from: u32,
}

impl Selected {
    /// A folder just opened; the client knows nothing yet.
    pub(super) fn new(folder: Arc<Folder>, read_only: bool) -> Self {
        let (uids, modseq) = folder.uids();
        let keywords = folder.keywords();
        let recent_from = folder.take_recent(!read_only);
        Self {
            read_only,
            uids,
            modseq,
            pending_gone: Vec::new(),
            told: HashMap::new(),
            keywords_told: keywords.len(),
            keywords,
            saved: Vec::new(),
            recent_from,
            folder,
        }
    }

    /// The sequence number of a message; `None` when the client does not know it.
    pub(super) fn sequence(&self, uid: u32) -> Option<u32> {
        self.uids.binary_search(&uid).ok().and_then(|index| u32::try_from(index + 1).ok())
    }

    /// The messages a command names, as sequence numbers and UIDs.
    pub(super) fn resolve(&self, set: &MessageSet, by_uid: bool) -> Result<Vec<(u32, u32)>, Refusal> {
        let numbers = match set {
            MessageSet::SavedResult => {
                return Ok(self.saved.iter().filter_map(|&uid| Some((self.sequence(uid)?, uid))).collect());
            }
            MessageSet::Numbers(numbers) => numbers,
        };
        let mut found = Vec::new();
        if by_uid {
            for range in numbers.ranges(self.uids.last().copied().unwrap_or(0)) {
                let from = self.uids.partition_point(|uid| uid < range.start());
                let to = self.uids.partition_point(|uid| uid <= range.end());
                found.extend((from..to).map(|index| (sequence_of(index), self.uids[index])));
            }
            return Ok(found);
        }
        for range in self.sequences(numbers)? {
            found.extend(range.filter_map(|number| Some((number, *self.uids.get(number as usize - 1)?))));
        }
        Ok(found)
    }

    /// The sequence numbers a set means; all are of messages.
    pub(super) fn sequences(&self, numbers: &SequenceSet) -> Result<Vec<RangeInclusive<u32>>, Refusal> {
        let count = u32::try_from(self.uids.len()).unwrap_or(u32::MAX);
        if numbers.largest(count) > count || (count == 0 && numbers.has_largest()) {
            return Err(Refusal::bad("There is no message of this sequence number"));
        }
        Ok(numbers.ranges(count))
    }

    /// The client has been told the flags of this message as they are now.
    pub(super) fn note_told(&mut self, message: &MessageState) {
        if message.modseq > self.modseq {
            self.told.insert(message.uid, message.modseq);
        }
    }

    /// Looks at the folder, and tells what the client may hear now.
    pub(super) fn sync(
        &mut self,
        out: &mut Vec<u8>,
        modes: Modes,
        may_expunge: bool,
    ) -> Result<(), FolderError> {
        self.folder.look()?;
        let changes = self.changes();
        self.tell_keywords(out);
        self.pending_gone.extend(changes.gone.iter().filter(|uid| self.uids.binary_search(uid).is_ok()));
        if may_expunge {
            self.tell_gone(out, modes);
        }
        let known_up_to = self.uids.last().copied().unwrap_or(0);
        let (new, changed): (Vec<MessageState>, Vec<MessageState>) =
            changes.changed.into_iter().partition(|message| message.uid > known_up_to);
        if !new.is_empty() {
            self.uids.extend(new.iter().map(|message| message.uid));
            self.tell_exists(out, modes);
        }
        for message in &changed {
            let is_told = self.told.get(&message.uid).is_some_and(|modseq| *modseq == message.modseq);
            if let Some(sequence) = self.sequence(message.uid).filter(|_| !is_told) {
                self.tell_flags(out, modes, sequence, message, true);
            }
        }
        self.modseq = self.modseq.max(changes.highest_modseq);
        self.told.clear();
        Ok(())
    }

    /// What has happened since the client was told last.
    fn changes(&self) -> Changes {
        self.folder.changes_since(self.modseq).unwrap_or_else(|| {
            // Too long ago for a list of removals: what is no longer there is gone.
            let (messages, highest_modseq) = self.folder.messages();
            let is_there = |uid: &u32| messages.binary_search_by_key(uid, |message| message.uid).is_ok();
            let gone = self.uids.iter().copied().filter(|uid| !is_there(uid)).collect();
            let changed = messages.into_iter().filter(|message| message.modseq > self.modseq).collect();
            Changes { gone, changed, highest_modseq }
        })
    }

    fn tell_gone(&mut self, out: &mut Vec<u8>, modes: Modes) {
        let mut gone = std::mem::take(&mut self.pending_gone);
        gone.sort_unstable();
        gone.dedup();
        gone.retain(|uid| self.uids.binary_search(uid).is_ok());
        if gone.is_empty() {
            return;
        }
        if modes.qresync {
            let _ = write!(out, "* VANISHED {}\r\n", sets::to_text(gone.iter().copied()));
        } else {
            // From the last one on, so that the numbers before it stay what they are.
            for &uid in gone.iter().rev() {
                let _ = write!(out, "* {} EXPUNGE\r\n", self.sequence(uid).unwrap_or(0));
            }
        }
        self.uids.retain(|uid| gone.binary_search(uid).is_err());
        self.saved.retain(|uid| gone.binary_search(uid).is_err());
    }

    /// `* n EXISTS`, and RECENT for those who know it.
    pub(super) fn tell_exists(&self, out: &mut Vec<u8>, modes: Modes) {
        let _ = write!(out, "* {} EXISTS\r\n", self.uids.len());
        if !modes.rev2 {
            let _ = write!(out, "* {} RECENT\r\n", self.recent());
        }
    }

    /// How many messages are recent.
    pub(super) fn recent(&self) -> usize {
        self.uids.len() - self.uids.partition_point(|uid| *uid < self.recent_from)
    }

    /// New keywords are told before messages have them (RFC 9051 section 7.3.1).
    fn tell_keywords(&mut self, out: &mut Vec<u8>) {
        self.keywords = self.folder.keywords();
        if self.keywords.len() > self.keywords_told {
            self.keywords_told = self.keywords.len();
            self.tell_flag_names(out);
        }
    }

    /// As [`Selected::sync`] does before it tells flags.
    pub(super) fn tell_new_keywords(&mut self, out: &mut Vec<u8>) {
        self.tell_keywords(out);
    }

    /// `* FLAGS (...)`.
    pub(super) fn tell_flag_names(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* FLAGS ");
        encode::flags(out, &self.all_flags());
        out.extend_from_slice(b"\r\n");
    }

    /// All flags that messages can have here.
    pub(super) fn all_flags(&self) -> Vec<Flag> {
        let system = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];
        system.into_iter().chain(self.keywords.iter().cloned().map(Flag::Keyword)).collect()
    }

    /// `* n FETCH (FLAGS (...) ...)`.
    pub(super) fn tell_flags(
        &self,
        out: &mut Vec<u8>,
        modes: Modes,
        sequence: u32,
        message: &MessageState,
        with_uid: bool,
    ) {
        let _ = write!(out, "* {sequence} FETCH (");
        if with_uid {
            let _ = write!(out, "UID {} ", message.uid);
        }
        out.extend_from_slice(b"FLAGS ");
        self.flags_text(out, modes, message);
        if modes.tells_modseq() {
            let _ = write!(out, " MODSEQ ({})", message.modseq);
        }
        out.extend_from_slice(b")\r\n");
    }

    /// `(\Seen $Forwarded)`; IMAP4rev2 has no `\Recent`.
    pub(super) fn flags_text(&self, out: &mut Vec<u8>, modes: Modes, message: &MessageState) {
        let recent = (message.uid >= self.recent_from && !modes.rev2).then_some("\\Recent");
        flag_list(out, message.flags, message.keywords, &self.keywords, recent);
    }

    /// Says goodbye to the folder (RFC 9051 section 7.1, CLOSED).
    pub(super) fn tell_closed(out: &mut Vec<u8>) {
        encode::untagged(
            out,
            Condition::Ok,
            Some(&encode::Code::Closed),
            "The mailbox selected before is closed",
        );
    }
}

fn sequence_of(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

fn flag_list(
    out: &mut Vec<u8>,
    flags: Flags,
    keywords: KeywordSet,
    names: &[String],
    recent: Option<&'static str>,
) {
    let mut listed: Vec<&str> = flags.names().collect();
    listed.extend(keywords.indexes().filter_map(|index| names.get(index).map(String::as_str)));
    listed.extend(recent);
    out.push(b'(');
    for (nth, name) in listed.into_iter().enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}
