//! Showing what a use-case would do before it is done.

use std::sync::{Arc, Mutex};

use super::{Admin, AdminError};
use crate::mailroot::edit::{Planned, Rehearsal};

impl Admin {
    /// Runs `work` without writing anything and returns what it would write, file by file. Programs are not told and
    /// the spool is out of reach.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn rehearse(
        &self,
        work: impl FnOnce(&Self) -> Result<(), AdminError>,
    ) -> Result<Vec<Planned>, AdminError> {
        let rehearsal = Rehearsal::default();
        let stage = Self {
            tables: self.tables.clone(),
            editor: self.editor.rehearsing(&rehearsal),
            mailboxes: self.mailboxes.clone(),
            spool: None,
            clock: self.clock.clone(),
            disk: self.disk.clone(),
            programs: None,
            board: Default::default(),
            hash: Arc::clone(&self.hash),
            one_change_at_a_time: Mutex::default(),
        };
        work(&stage)?;
        Ok(rehearsal.planned())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::{MailRoot, Tables};

    #[test]
    fn what_is_shown_is_what_is_done_and_nothing_is_done_yet() {
        let directory = tempfile::tempdir().unwrap();
        let root = MailRoot::new(directory.path());
        fs::write(directory.path().join("domains.tab"), "\"a.test\"\n").unwrap();
        fs::write(directory.path().join("mailusers.tab"), "").unwrap();
        fs::create_dir_all(directory.path().join("domains/a.test")).unwrap();
        let boxes = Mailboxes::new(root.clone(), Kind::Maildir, Disk::default());
        let admin = Admin::new(Tables::open(&root), boxes, None, Clock::system(), Disk::default());
        let planned = admin.rehearse(|admin| admin.add_user("a.test", "anna", b"pw", "U")).unwrap();
        let directory_of_anna = Path::new("domains/a.test/anna");
        assert!(planned.contains(&Planned::MakeDirectory(directory_of_anna.into())), "{planned:?}");
        assert!(!directory.path().join(directory_of_anna).exists());
        assert_eq!(fs::read(directory.path().join("mailusers.tab")).unwrap(), b"");
        admin.add_user("a.test", "anna", b"pw", "U").unwrap();
        for step in planned {
            if let Planned::File { file, after, .. } = step {
                assert_eq!(fs::read(directory.path().join(&file)).ok(), after, "{}", file.display());
            }
        }
        let planned = admin.rehearse(|admin| admin.remove_user("a.test", "anna")).unwrap();
        assert!(planned.contains(&Planned::RemoveDirectory(directory_of_anna.into())), "{planned:?}");
        assert!(directory.path().join(directory_of_anna).exists());
        assert!(admin.rehearse(|admin| admin.remove_user("a.test", "bert")).is_err());
    }
}
