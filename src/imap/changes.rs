//! Commands that change messages: STORE, EXPUNGE, COPY, MOVE (RFC 9051 section 6.4, RFC 6851, RFC 7162).

use std::io::Write as _;

use super::command::{Store, StoreAction, Transfer};
use super::encode::Code;
use super::sets::{self, MessageSet};
use super::work::{Progress, Refusal, Work, flags_of, folder_name};
use crate::mailbox::folder::{FlagChange, Flags, How, Placed, is_keyword};

impl Work {
    /// STORE.
    pub(super) fn store(&mut self, store: &Store, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        if store.unchanged_since.is_some() {
            self.enable_condstore(out);
        }
        let modes = self.modes;
        let selected = self.writable()?;
        let messages = selected.resolve(&store.messages, store.by_uid)?;
        let (flags, keywords) = flags_of(&store.flags);
        if let Some(bad) = keywords.iter().find(|keyword| !is_keyword(keyword)) {
            return Err(Refusal::no(Some(Code::Cannot), format!("{bad} cannot be a keyword")));
        }
        let how = match store.action {
            StoreAction::Replace => How::Replace,
            StoreAction::Add => How::Add,
            StoreAction::Remove => How::Remove,
        };
        let uids: Vec<u32> = messages.iter().map(|(_, uid)| *uid).collect();
        let change = FlagChange { how, flags, keywords };
        let stored = selected.folder.store(&uids, &change, store.unchanged_since)?;
        selected.tell_new_keywords(out);
        for &(sequence, uid) in messages.iter().filter(|(_, uid)| stored.done.binary_search(uid).is_ok()) {
            let Some(message) = selected.folder.message(uid) else { continue };
            selected.note_told(&message);
            if !store.silent {
                selected.tell_flags(out, modes, sequence, &message, store.by_uid || modes.qresync);
            } else if modes.tells_modseq() {
                // Also silently the new mod-sequence is told (RFC 7162 section 3.1.3).
                let _ = write!(out, "* {sequence} FETCH (UID {uid} MODSEQ ({}))\r\n", message.modseq);
            }
        }
        if !stored.modified.is_empty() {
            let numbers = messages.iter().filter(|(_, uid)| stored.modified.binary_search(uid).is_ok());
            let numbers = numbers.map(|&(sequence, uid)| if store.by_uid { uid } else { sequence });
            let code = Code::Modified(sets::to_text(numbers));
            return Ok(Progress::Done(
                Some(code),
                "Some messages have changed meanwhile and were left alone",
            ));
        }
        let is_all = stored.done.len() == messages.len();
        if !is_all && !store.by_uid {
            return Err(Refusal::no(Some(Code::ExpungeIssued), "Some of the messages are no longer there"));
        }
        Ok(Progress::Done(None, "STORE completed"))
    }

    /// EXPUNGE, and UID EXPUNGE of some (RFC 4315).
    pub(super) fn expunge(&mut self, uids: Option<&MessageSet>) -> Result<Progress, Refusal> {
        let selected = self.writable()?;
        let among = uids.map(|set| selected.resolve(set, true)).transpose()?;
        let known = &selected.uids;
        let (messages, _) = selected.folder.messages();
        let deleted: Vec<u32> = messages
            .iter()
            .filter(|message| message.flags.contains(Flags::DELETED))
            .map(|message| message.uid)
            // What the client has not heard of it cannot have meant.
            .filter(|uid| known.binary_search(uid).is_ok())
            .filter(|uid| among.as_ref().is_none_or(|among| among.iter().any(|(_, wanted)| wanted == uid)))
            .collect();
        selected.folder.remove(&deleted)?;
        let code = if deleted.is_empty() { None } else { self.told_modseq() };
        Ok(Progress::Done(code, "EXPUNGE completed"))
    }

    /// The mod-sequence after a removal, for clients that are told of such.
    fn told_modseq(&self) -> Option<Code> {
        let selected = self.selected.as_ref().filter(|_| self.modes.tells_modseq())?;
        Some(Code::HighestModSeq(selected.folder.status().highest_modseq))
    }

    /// CLOSE: removes without telling (RFC 9051 section 6.4.1). UNSELECT removes nothing.
    pub(super) fn close(&mut self, expunges: bool) -> Result<Progress, Refusal> {
        let selected = self.selected()?;
        let mut code = None;
        if expunges
            && !selected.read_only
            && let Progress::Done(told, _) = self.expunge(None)?
        {
            code = told;
        }
        self.selected = None;
        Ok(Progress::Done(code, if expunges { "CLOSE completed" } else { "UNSELECT completed" }))
    }

    /// COPY and MOVE.
    pub(super) fn transfer(
        &mut self,
        transfer: &Transfer,
        moves: bool,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        let selected = if moves { self.writable()? } else { self.selected()? };
        let messages = selected.resolve(&transfer.messages, transfer.by_uid)?;
        let uids: Vec<u32> = messages.iter().map(|(_, uid)| *uid).collect();
        let from = std::sync::Arc::clone(&selected.folder);
        let to = self.folders.open_to_add(&folder_name(&transfer.mailbox)?).map_err(Refusal::of_target)?;
        if !moves {
            let bytes =
                uids.iter().filter_map(|&uid| from.message(uid)).map(|message| message.file_bytes).sum();
            self.check_quota(bytes)?;
        }
        let placed = if moves { from.move_to(&uids, &to)? } else { from.copy(&uids, &to)? };
        if placed.len() < uids.len() && !transfer.by_uid && placed.is_empty() {
            return Err(Refusal::no(Some(Code::ExpungeIssued), "The messages are no longer there"));
        }
        let code = copy_uid(to.status().uid_validity, &placed);
        if moves {
            // Before the removals (RFC 6851 section 4.3).
            if let Some(code) = &code {
                super::encode::untagged(out, super::encode::Condition::Ok, Some(code), "Moved");
            }
            // RFC 7162 section 3.2.9: a removal that is told has its mod-sequence told.
            let code = match placed.is_empty() {
                true => None,
                false => self.told_modseq(),
            };
            return Ok(Progress::Done(code, "MOVE completed"));
        }
        Ok(Progress::Done(code, "COPY completed"))
    }
}

fn copy_uid(uid_validity: u32, placed: &[Placed]) -> Option<Code> {
    (!placed.is_empty()).then(|| Code::CopyUid {
        uid_validity,
        from: sets::to_text(placed.iter().map(|placed| placed.from)),
        to: sets::to_text(placed.iter().map(|placed| placed.to)),
    })
}
