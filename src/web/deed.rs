//! Every change the pages can make, as a value: rehearsed, shown, confirmed, done, noted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::bulk::Bulk;
use crate::admin::{Admin, AdminError};
use crate::mailroot::edit::Planned;
use crate::mailroot::line_diff::unified;
use crate::mailroot::schema::{self, Kind};
use crate::tab::fields;

/// A change: made by the page that offers it, which says what is called and within which domain it stays.
pub(super) struct Deed {
    key: &'static str,
    domain: Option<String>,
    is_grave: bool,
    tables: Vec<(PathBuf, Arc<Vec<u8>>)>,
    is_text: bool,
    held_bytes: usize,
    bulk: Option<Arc<Bulk>>,
    run: Box<Run>,
}

type Run = dyn Fn(&Admin) -> Result<(), AdminError> + Send + Sync;

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deed").field("key", &self.key).field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// A change that waits for its confirmation.
#[derive(Debug)]
pub(super) struct Draft {
    /// What is to be done.
    pub(super) deed: Deed,
    /// Where to go then: a path of ours.
    pub(super) back: String,
}

impl Deed {
    /// A change for the role system. `key`, `deed.something`, is its text, and the log calls it `something`. `run` does
    /// it, or on a rehearsing [`Admin`] shows it; it may be called several times.
    pub(super) fn new(
        key: &'static str,
        run: impl Fn(&Admin) -> Result<(), AdminError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key,
            domain: None,
            is_grave: false,
            tables: Vec::new(),
            is_text: false,
            held_bytes: size_of::<Self>(),
            bulk: None,
            run: Box::new(run),
        }
    }

    /// A change of accounts of a domain, for who administers it. Of very many, [`Deed::run`] does some only, to be shown;
    /// [`Deed::bulk`] does all.
    pub(super) fn for_accounts(key: &'static str, bulk: Bulk) -> Self {
        let bulk = Arc::new(bulk);
        let shown = Arc::clone(&bulk);
        let deed = Self::new(key, move |admin| shown.run_shown(admin)).within(bulk.domain.clone());
        let deed = deed.holding(bulk.bytes());
        Self { bulk: bulk.is_long().then_some(bulk), ..deed }
    }

    /// Gives a table the content that was made from `base`.
    pub(super) fn save_table(file: PathBuf, base: Arc<Vec<u8>>, content: Vec<u8>) -> Self {
        let content = Arc::new(content);
        let (tables, held_bytes) = (vec![(file.clone(), Arc::clone(&content))], base.len() + content.len());
        let deed = Self::new(key_of(&file), move |admin| admin.save_table(&file, &base, &content));
        Self { tables, held_bytes, ..deed }
    }

    /// The same under another name.
    #[must_use]
    pub(super) fn called(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// The same for who administers `domain`, within which it must stay.
    #[must_use]
    pub(super) fn within(self, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    /// The same, which keeps so many bytes in memory until it is confirmed.
    #[must_use]
    pub(super) fn holding(self, held_bytes: usize) -> Self {
        Self { held_bytes, ..self }
    }

    /// The same; it takes away what no rollback of tables brings back.
    #[must_use]
    pub(super) fn grave(self) -> Self {
        Self { is_grave: true, ..self }
    }

    /// Its text.
    pub(super) fn key(&self) -> &'static str {
        self.key
    }

    /// The domain within which it stays; `None`: it takes the role system.
    pub(super) fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Whether it takes away what no rollback of tables brings back.
    pub(super) fn is_grave(&self) -> bool {
        self.is_grave
    }

    /// The same, of a table whose text somebody typed as a whole: a conflict must not lose it.
    #[must_use]
    pub(super) fn typed(self) -> Self {
        Self { is_text: true, ..self }
    }

    /// What somebody typed as the text of a table.
    pub(super) fn typed_text(&self, file: &Path) -> Option<&Arc<Vec<u8>>> {
        let is_it = |table: &&(PathBuf, Arc<Vec<u8>>)| table.0 == file;
        self.tables.iter().filter(|_| self.is_text).find(is_it).map(|(_, content)| content)
    }

    /// The tables that it writes as a whole, with their contents.
    pub(super) fn tables(&self) -> &[(PathBuf, Arc<Vec<u8>>)] {
        &self.tables
    }

    /// The whole of a change of very many accounts.
    pub(super) fn bulk(&self) -> Option<&Arc<Bulk>> {
        self.bulk.as_ref()
    }

    /// Bytes it holds in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.held_bytes
    }

    /// Does it, or on a rehearsing [`Admin`] shows it.
    ///
    /// # Errors
    /// The use-case's.
    pub(super) fn run(&self, admin: &Admin) -> Result<(), AdminError> {
        (self.run)(admin)
    }
}

/// What a change of a file is called: by what people see in it.
fn key_of(file: &Path) -> &'static str {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match (name, file.starts_with("domains")) {
        ("server.tab", _) => "deed.save_settings",
        ("userdef.tab", _) => "deed.save_defaults",
        ("user.tab", true) => "deed.save_account",
        ("mlusers.tab", true) => "deed.save_members",
        ("addressbook.tab", _) => "deed.save_address_book",
        _ => "deed.save_table",
    }
}

/// One file of a change, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Change {
    /// Relative to the MailRoot.
    pub(super) file: String,
    /// `change.<what>` says what happens to it.
    pub(super) what: &'static str,
    /// The name that a directory gets.
    pub(super) to: String,
    /// Messages that go or come.
    pub(super) messages: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The diff; without its heads.
    pub(super) lines: Vec<DiffLine>,
}

impl Change {
    /// Something that happens to a file or directory, without more to say about it.
    pub(super) fn of(path: &Path, what: &'static str) -> Self {
        let file = path.display().to_string();
        Self { file, what, to: String::new(), messages: 0, bytes: 0, lines: Vec::new() }
    }
}

/// A line of a diff.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DiffLine {
    /// `+`, `-`, a blank, or `@`.
    pub(super) mark: &'static str,
    /// The line, with passwords left out.
    pub(super) text: String,
}

/// What would change, for people. `context_lines` around a changed row are shown: rows of other domains may be among them.
pub(super) fn changes(planned: &[Planned], context_lines: usize) -> Vec<Change> {
    planned.iter().filter_map(|step| change(step, context_lines)).collect()
}

/// Files that a page shows of a change, and lines of one file. Ours: a page stays one that can be read.
const FILES_SHOWN_MAX: usize = 60;
const LINES_SHOWN_MAX: usize = 300;

/// Leaves out what a page need not show of a change of a thousand files, and says how many files that are.
pub(super) fn shorten(changes: &mut Vec<Change>) -> usize {
    // The table that is changed for all of them comes last; it is worth more than the hundredth directory.
    let is_table = |change: &Change| !change.lines.is_empty() && !change.file.contains('/');
    let unshown = changes.len().saturating_sub(FILES_SHOWN_MAX);
    if unshown > 0 {
        changes.sort_by_key(|change| !is_table(change));
        changes.truncate(FILES_SHOWN_MAX);
    }
    for change in changes {
        let hidden = change.lines.len().saturating_sub(LINES_SHOWN_MAX);
        if hidden > 0 {
            change.lines.truncate(LINES_SHOWN_MAX);
            change.lines.push(DiffLine { mark: "@", text: format!("@@ + {hidden} @@") });
        }
    }
    unshown
}

fn change(step: &Planned, context_lines: usize) -> Option<Change> {
    let of = Change::of;
    Some(match step {
        Planned::File { before, after, .. } if before == after => return None,
        Planned::File { file, before, after } => {
            let what = match (before, after) {
                (None, _) => "change.make",
                (_, None) => "change.remove",
                _ => "change.change",
            };
            let [before, after] = [before, after].map(|version| version.as_deref().unwrap_or_default());
            Change { lines: diff_lines(file, &unified(before, after, context_lines)), ..of(file, what) }
        }
        Planned::MakeFile(path) => of(path, "change.make"),
        Planned::MakeDirectory(path) => of(path, "change.make_directory"),
        Planned::RemoveDirectory(path) => of(path, "change.remove_directory"),
        Planned::RemoveFile(path) => of(path, "change.remove"),
        Planned::MoveDirectory { from, to } => {
            Change { to: to.display().to_string(), ..of(from, "change.move_directory") }
        }
        Planned::RemoveMessages { directory, messages, bytes } => {
            Change { messages: *messages, bytes: *bytes, ..of(directory, "change.remove_messages") }
        }
        Planned::SendMail { recipients } => {
            Change { messages: *recipients as u64, ..of(Path::new("spool/local"), "change.send_mail") }
        }
    })
}

/// A diff, line by line, with the values of password columns replaced.
pub(super) fn diff_lines(file: &Path, diff: &str) -> Vec<DiffLine> {
    let hidden: Vec<usize> = password_columns(file);
    let hides = |text: &str| match is_secret_variable(file, text) {
        true => without_columns(text, &[1]),
        false => without_columns(text, &hidden),
    };
    let line = |line: &str| {
        let mark = match line.as_bytes().first() {
            Some(b'+') => "+",
            Some(b'-') => "-",
            Some(b'@') => "@",
            _ => " ",
        };
        let text = if mark == "@" { line } else { line.get(1..).unwrap_or_default() };
        DiffLine { mark, text: hides(text) }
    };
    diff.lines().map(line).collect()
}

fn password_columns(file: &Path) -> Vec<usize> {
    let columns = schema::table::of_file(file).map_or(&[][..], |table| table.columns);
    let is_secret = |column: &schema::Column| matches!(column.kind, Kind::Password | Kind::ClearPassword);
    columns.iter().enumerate().filter(|(_, column)| is_secret(column)).map(|(index, _)| index).collect()
}

/// Whether a row of `server.tab` is a variable that holds a password.
fn is_secret_variable(file: &Path, line: &str) -> bool {
    let is_it = |variable: &&&schema::Variable| {
        matches!(variable.kind, Kind::Password | Kind::ClearPassword)
            && fields(line.as_bytes()).first().is_some_and(|name| name.value == variable.name.as_bytes())
    };
    file == Path::new("server.tab") && schema::server::VARIABLES.iter().any(|variable| is_it(&variable))
}

fn without_columns(line: &str, hidden: &[usize]) -> String {
    if hidden.is_empty() || fields(line.as_bytes()).len() < 2 {
        return line.to_owned();
    }
    let shown = |(index, field): (usize, &str)| match hidden.contains(&index) && field != "\"\"" {
        true => "\"***\"".to_owned(),
        false => field.to_owned(),
    };
    line.split('\t').enumerate().map(shown).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_file_is_called_what_people_see_in_it() {
        for (file, key) in [
            ("server.tab", "deed.save_settings"),
            ("userdef.tab", "deed.save_defaults"),
            ("domains/a.test/userdef.tab", "deed.save_defaults"),
            ("domains/a.test/anna/user.tab", "deed.save_account"),
            ("domains/a.test/team/mlusers.tab", "deed.save_members"),
            ("aliases.tab", "deed.save_table"),
        ] {
            assert_eq!(key_of(Path::new(file)), key, "{file}");
        }
    }

    /// JD-63: neither does the password that all new accounts share stand in a log.
    #[test]
    fn a_diff_shows_no_password_of_a_variable() {
        let (file, text) =
            (Path::new("server.tab"), "+\"DefaultPassword\"\t\"welcome-1\"\n+\"PostMaster\"\t\"a@b.test\"\n");
        let shown: Vec<String> = diff_lines(file, text).into_iter().map(|line| line.text).collect();
        assert_eq!(shown, ["\"DefaultPassword\"\t\"***\"", "\"PostMaster\"\t\"a@b.test\""]);
    }

    #[test]
    fn a_diff_shows_rows_without_their_passwords() {
        let planned = Planned::File {
            file: "mailusers.tab".into(),
            before: Some(b"\"a.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n".to_vec()),
            after: Some(b"\"a.test\"\t\"anna\"\t\"ffff\"\t1\t\"anna\"\t\"U\"\n".to_vec()),
        };
        let found = changes(&[planned], 0);
        let text = format!("{found:?}");
        assert!(!text.contains("1d0a") && !text.contains("ffff"), "{text}");
        let marks: Vec<_> = found[0].lines.iter().map(|line| line.mark).collect();
        assert_eq!(marks, ["@", "-", "+"]);
        assert_eq!(found[0].lines[1].text, "\"a.test\"\t\"anna\"\t\"***\"\t1\t\"anna\"\t\"U\"");
    }
}
