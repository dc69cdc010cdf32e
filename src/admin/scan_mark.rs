//! JDMail's mark on a domain whose mail is scanned for viruses: `domains/<domain>/.avscan`, an empty file (`jdmail.md`
//! JD-40). This server has no scanner: the mark is for JDMail, should it come back, and for filters that look for it.

use std::io;
use std::path::PathBuf;

use super::{Admin, AdminError};
use crate::durable::FILE_MODE;
use crate::mailroot::MailRoot;
use crate::mailroot::edit::Planned;

/// The file's name.
const MARK: &str = ".avscan";

impl Admin {
    /// Whether a domain has the mark.
    ///
    /// # Errors
    /// `DomainNotHandled`.
    pub fn has_scan_mark(&self, domain: &str) -> Result<bool, AdminError> {
        Ok(self.root().path().join(self.scan_mark(domain)?).symlink_metadata().is_ok())
    }

    /// Gives a domain the mark, or takes it away. One that is there is left as it is, whatever it holds.
    ///
    /// # Errors
    /// `DomainNotHandled`, `Disk`.
    pub fn set_scan_mark(&self, domain: &str, is_on: bool) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.scan_mark(domain)?;
        if !is_on {
            return self.remove_file(&file);
        }
        if self.has_scan_mark(domain)? {
            return Ok(());
        }
        if let Some(rehearsal) = self.editor.rehearsal() {
            rehearsal.plan(Planned::MakeFile(file));
            return Ok(());
        }
        let path = self.root().path().join(file);
        let make = || {
            self.disk.create_new(&path, FILE_MODE)?.sync()?;
            path.parent().map_or(Ok(()), |directory| self.disk.sync_dir(directory))
        };
        match make() {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(AdminError::Disk { action: "make", path, source })
            }
            _ => Ok(()),
        }
    }

    fn scan_mark(&self, domain: &str) -> Result<PathBuf, AdminError> {
        let tables = self.snapshot();
        let row = tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?;
        Ok(MailRoot::domain_directory(&row.domain).join(MARK))
    }
}
