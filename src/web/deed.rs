//! Every change the pages can make, as a value: rehearsed, shown, confirmed, done, noted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::admin::{Admin, AdminError};
use crate::mailroot::edit::Planned;
use crate::mailroot::line_diff::unified;
use crate::mailroot::schema::{self, Kind};
use crate::mailroot::webadmin::WebRole;
use crate::tab::fields;

/// A change.
#[derive(Debug)]
pub(super) enum Deed {
    AddDomain { domain: String },
    RemoveDomain { domain: String },
    AddUser { domain: String, name: String, password: String, kind: String },
    RemoveUser { domain: String, name: String },
    SetPassword { domain: String, name: String, password: String },
    AddAlias { domain: String, alias: String, target: String },
    RemoveAlias { domain: String, alias: String },
    AddAliasDomain { domain: String, alias: String },
    RemoveAliasDomain { alias: String },
    AddAdministrator { name: String, password: String, role: WebRole },
    RemoveAdministrator { name: String },
    SaveTable { file: PathBuf, base: Arc<Vec<u8>>, content: Vec<u8>, domain: Option<String> },
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
    /// Its texts are `deed.<key>`, the log calls it so.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::AddDomain { .. } => "deed.add_domain",
            Self::RemoveDomain { .. } => "deed.remove_domain",
            Self::AddUser { .. } => "deed.add_user",
            Self::RemoveUser { .. } => "deed.remove_user",
            Self::SetPassword { .. } => "deed.set_password",
            Self::AddAlias { .. } => "deed.add_alias",
            Self::RemoveAlias { .. } => "deed.remove_alias",
            Self::AddAliasDomain { .. } => "deed.add_alias_domain",
            Self::RemoveAliasDomain { .. } => "deed.remove_alias_domain",
            Self::AddAdministrator { .. } => "deed.add_administrator",
            Self::RemoveAdministrator { .. } => "deed.remove_administrator",
            Self::SaveTable { .. } => "deed.save_table",
        }
    }

    /// The domain within which it stays; `None`: it takes the role system.
    pub(super) fn domain(&self) -> Option<&str> {
        match self {
            Self::AddUser { domain, .. }
            | Self::RemoveUser { domain, .. }
            | Self::SetPassword { domain, .. }
            | Self::AddAlias { domain, .. }
            | Self::RemoveAlias { domain, .. } => Some(domain),
            Self::SaveTable { domain, .. } => domain.as_deref(),
            _ => None,
        }
    }

    /// Whether it takes away what no rollback of tables brings back.
    pub(super) fn is_grave(&self) -> bool {
        matches!(self, Self::RemoveDomain { .. } | Self::RemoveUser { .. })
    }

    /// The file and content that a table would have.
    pub(super) fn table(&self) -> Option<(&Path, &[u8])> {
        match self {
            Self::SaveTable { file, content, .. } => Some((file, content)),
            _ => None,
        }
    }

    /// Bytes it holds in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::SaveTable { base, content, .. } => base.len() + content.len(),
            _ => size_of::<Self>(),
        }
    }

    /// Does it, or on a rehearsing [`Admin`] shows it.
    ///
    /// # Errors
    /// The use-case's.
    pub(super) fn run(&self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::AddDomain { domain } => admin.add_domain(domain),
            Self::RemoveDomain { domain } => admin.remove_domain(domain),
            Self::AddUser { domain, name, password, kind } => {
                admin.add_user(domain, name, password.as_bytes(), kind)
            }
            Self::RemoveUser { domain, name } => admin.remove_user(domain, name),
            Self::SetPassword { domain, name, password } => {
                admin.set_password(domain, name, password.as_bytes())
            }
            Self::AddAlias { domain, alias, target } => admin.add_alias(domain, alias, target),
            Self::RemoveAlias { domain, alias } => admin.remove_alias(domain, alias),
            Self::AddAliasDomain { domain, alias } => admin.add_alias_domain(domain, alias),
            Self::RemoveAliasDomain { alias } => admin.remove_alias_domain(alias),
            Self::AddAdministrator { name, password, role } => admin.add_administrator(name, password, role),
            Self::RemoveAdministrator { name } => admin.remove_administrator(name),
            Self::SaveTable { file, base, content, .. } => admin.save_table(file, base, content),
        }
    }
}

/// One file of a change, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Change {
    /// Relative to the MailRoot.
    pub(super) file: String,
    /// `change.<what>` says what happens to it.
    pub(super) what: &'static str,
    /// The diff; without its heads.
    pub(super) lines: Vec<DiffLine>,
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

fn change(step: &Planned, context_lines: usize) -> Option<Change> {
    let of = |path: &Path, what| Change { file: path.display().to_string(), what, lines: Vec::new() };
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
        Planned::MakeDirectory(path) => of(path, "change.make_directory"),
        Planned::RemoveDirectory(path) => of(path, "change.remove_directory"),
        Planned::RemoveFile(path) => of(path, "change.remove"),
    })
}

/// A diff, line by line, with the values of password columns replaced.
pub(super) fn diff_lines(file: &Path, diff: &str) -> Vec<DiffLine> {
    let hidden: Vec<usize> = password_columns(file);
    let line = |line: &str| {
        let mark = match line.as_bytes().first() {
            Some(b'+') => "+",
            Some(b'-') => "-",
            Some(b'@') => "@",
            _ => " ",
        };
        let text = if mark == "@" { line } else { line.get(1..).unwrap_or_default() };
        DiffLine { mark, text: without_columns(text, &hidden) }
    };
    diff.lines().map(line).collect()
}

fn password_columns(file: &Path) -> Vec<usize> {
    let columns = schema::table::of_file(file).map_or(&[][..], |table| table.columns);
    let is_secret = |column: &schema::Column| matches!(column.kind, Kind::Password | Kind::ClearPassword);
    columns.iter().enumerate().filter(|(_, column)| is_secret(column)).map(|(index, _)| index).collect()
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
