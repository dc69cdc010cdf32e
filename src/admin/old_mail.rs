//! Deleting the mail of an account that is older than a date (`jdmail.md` JD-97).

use jiff::Timestamp;

use super::{Admin, AdminError, account};
use crate::mailbox::StoredMessage;
use crate::mailroot::AccountKind;
use crate::mailroot::edit::Planned;

impl Admin {
    /// Deletes all messages of an account that came before a moment, in its mailbox and its IMAP folders. POP3 is kept out
    /// meanwhile; IMAP sessions see the messages go. A run that was killed can be repeated.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`; `NoMailbox` for lists; `MailboxBusy` while a POP3 session has it; `Mailbox`.
    pub fn remove_mail_before(&self, domain: &str, name: &str, moment: Timestamp) -> Result<(), AdminError> {
        let _changing = self.changing();
        let account = account(&self.snapshot(), domain, name)?;
        if account.kind != AccountKind::User {
            return Err(AdminError::NoMailbox);
        }
        let is_old = |message: &StoredMessage| {
            Timestamp::try_from(message.modified).is_ok_and(|modified| modified < moment)
        };
        if let Some(rehearsal) = self.editor.rehearsal() {
            let mut old = self.mailboxes.list_everything(&account)?;
            old.retain(|message| is_old(message));
            if !old.is_empty() {
                let directory = self.mailboxes.directory(&account);
                let directory = directory.strip_prefix(self.root().path()).unwrap_or(&directory).to_owned();
                let bytes = old.iter().map(|message| message.bytes).sum();
                rehearsal.plan(Planned::RemoveMessages { directory, messages: old.len() as u64, bytes });
            }
            return Ok(());
        }
        let _lock = self.mailboxes.lock(&account)?.ok_or(AdminError::MailboxBusy)?;
        let mut old = self.mailboxes.list_everything(&account)?;
        old.retain(|message| is_old(message));
        old.iter().try_for_each(|message| self.mailboxes.remove(message))?;
        Ok(self.mailboxes.sync_removals(old.iter().map(|message| &**message))?)
    }
}
