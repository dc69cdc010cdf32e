//! APPEND (RFC 9051 section 6.3.12, RFC 3502): messages arrive in pieces and go to disk in pieces.

use std::sync::Arc;

use super::command::{AppendHead, AppendMessage};
use super::encode::Code;
use super::sets;
use super::work::{Progress, Refusal, Work, flags_of, folder_name};
use crate::durable::free_space;
use crate::mailbox::folder::{Draft, Folder, FolderError, is_keyword};

/// An APPEND whose messages are arriving.
pub(super) struct Appending {
    folder: Arc<Folder>,
    drafts: Vec<Draft>,
    /// Octets of all its messages.
    bytes: u64,
}

impl Work {
    /// Opens the folder.
    pub(super) fn begin_append(&mut self, head: &AppendHead) -> Result<Appending, Refusal> {
        let folder = self.folders.open_to_add(&folder_name(&head.mailbox)?).map_err(Refusal::of_target)?;
        Ok(Appending { folder, drafts: Vec::new(), bytes: 0 })
    }

    /// Whether the next message may come; makes its draft.
    pub(super) fn begin_message(
        &mut self,
        appending: &mut Appending,
        message: &AppendMessage,
        size_octets: u64,
    ) -> Result<(), Refusal> {
        if size_octets == 0 {
            return Err(Refusal::no(None, "An empty message is none"));
        }
        if self.append_limit().is_some_and(|limit| size_octets > limit) {
            return Err(Refusal::no(Some(Code::TooBig), "The message is larger than this server takes"));
        }
        appending.bytes = appending.bytes.saturating_add(size_octets);
        self.check_quota(appending.bytes)?;
        // A client that waits for us need not send what there is no room for. Where the system does not tell, the disk will.
        if free_space(self.tables.current().root().path()).is_ok_and(|free| size_octets > free) {
            return Err(Refusal::no(Some(Code::TooBig), "There is no room for a message of this size"));
        }
        let (flags, keywords) = flags_of(&message.flags);
        if let Some(bad) = keywords.iter().find(|keyword| !is_keyword(keyword)) {
            return Err(Refusal::no(Some(Code::Cannot), format!("{bad} cannot be a keyword")));
        }
        let date = message.internal_date.map(jiff::Timestamp::as_second);
        appending.drafts.push(appending.folder.draft(flags, keywords, date)?);
        Ok(())
    }

    /// All messages are there: they become part of the folder together.
    pub(super) fn end_append(&mut self, appending: Appending) -> Result<Progress, Refusal> {
        let uids = appending.folder.add(appending.drafts)?;
        let uid_validity = appending.folder.status().uid_validity;
        let code = Code::AppendUid { uid_validity, uids: sets::to_text(uids) };
        Ok(Progress::Done(Some(code), "APPEND completed"))
    }
}

impl Appending {
    /// A piece of the message begun last.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), FolderError> {
        self.drafts.last_mut().map_or(Ok(()), |draft| draft.write(piece))
    }

    /// The message begun last is whole.
    pub(super) fn finish_message(&mut self) -> Result<(), FolderError> {
        self.drafts.last_mut().map_or(Ok(()), Draft::finish)
    }
}
