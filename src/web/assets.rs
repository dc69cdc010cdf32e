//! Templates, styles, scripts and texts: carried inside the program, replaceable from a directory.
//!
//! A table of `include_str!`, as `commands::init` has for the MailRoot's template: no dependency and no build script, a
//! missing file does not compile, and a test finds files that are not in the table. With `--templates DIR` a file of
//! the same name below DIR goes over the embedded one; it is read once, at the start.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

/// Where assets come from.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// A directory of the same shape as `webadmin/`; what it lacks is taken from the program.
    pub directory: Option<PathBuf>,
}

/// Why an asset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The template is none.
    #[error("template {name}: {source:#}")]
    Template {
        /// Its name.
        name: &'static str,
        /// Why.
        source: minijinja::Error,
    },
    /// A line of a table of texts.
    #[error("{file}:{line}: is not a key, a TAB and a text")]
    Text {
        /// The file.
        file: &'static str,
        /// The line.
        line: usize,
    },
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// Name below `webadmin/`, and content.
        pub(super) const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../webadmin/", $name)))),*];
    };
}

embedded!(
    "i18n/en.tab",
    "i18n/zh.tab",
    "i18n/codes.zh.tab",
    "i18n/schema.zh.tab",
    "static/admin.css",
    "static/admin.js",
    "static/tabmail.svg",
    "templates/_ask.html",
    "templates/_control.html",
    "templates/_department.html",
    "templates/_domain.html",
    "templates/_faults.html",
    "templates/_field.html",
    "templates/_job.html",
    "templates/_log_rows.html",
    "templates/_mail_of_account.html",
    "templates/_pages.html",
    "templates/_problems.html",
    "templates/_relays.html",
    "templates/_rename.html",
    "templates/_tabs.html",
    "templates/about.html",
    "templates/addressbook.html",
    "templates/addressbooks.html",
    "templates/administrators.html",
    "templates/aliases.html",
    "templates/backup.html",
    "templates/base.html",
    "templates/certificates.html",
    "templates/check.html",
    "templates/confirm.html",
    "templates/conflict.html",
    "templates/dashboard.html",
    "templates/defaults.html",
    "templates/domain.html",
    "templates/domains.html",
    "templates/error.html",
    "templates/explain.html",
    "templates/files.html",
    "templates/group.html",
    "templates/groups.html",
    "templates/history.html",
    "templates/import.html",
    "templates/list.html",
    "templates/lists.html",
    "templates/login.html",
    "templates/logs.html",
    "templates/message.html",
    "templates/password.html",
    "templates/queue.html",
    "templates/queue_sure.html",
    "templates/raw.html",
    "templates/restore.html",
    "templates/row.html",
    "templates/rows.html",
    "templates/services.html",
    "templates/settings.html",
    "templates/state.html",
    "templates/tables.html",
    "templates/user.html",
    "templates/users.html",
    "templates/users_all.html",
    "templates/welcome.html",
    "templates/work.html",
);

impl Assets {
    /// The text of an asset that exists.
    ///
    /// # Errors
    /// [`AssetError::Read`] for a file of the directory that is there but cannot be read.
    pub(super) fn text(&self, name: &'static str) -> Result<Cow<'static, str>, AssetError> {
        if let Some(directory) = &self.directory {
            let path = directory.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => return Ok(text.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(AssetError::Read { path, source }),
            }
        }
        Ok(Self::embedded(name).into())
    }

    /// The file as it is in the program, whatever lies in the directory.
    pub(super) fn embedded(name: &str) -> &'static str {
        let found = EMBEDDED.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, text)| text)
    }
}
