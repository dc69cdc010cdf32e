//! The shape of a table's description, and how the description of a file is found.

use std::path::Path;

use super::kind::Kind;
use super::variable::{Origin, Variable, nearest_name};
use crate::mailroot::problem::{Problem, ProblemKind, Problems};
use crate::mailroot::table::{Row, RowSpec};

/// What is known about one table, or about several files of the same shape.
#[derive(Clone, Copy, Debug)]
pub struct TableSchema {
    /// The name by which it is known: that of its file where it has one.
    pub name: &'static str,
    /// Where it lies, relative to the MailRoot. `<word>` stands for what differs: `domains/<domain>/<account>/user.tab`.
    pub files: &'static [&'static str],
    /// What it is for, in a sentence.
    pub summary: &'static str,
    /// How many columns and bytes its rows have.
    pub rows: RowSpec,
    /// Its columns.
    pub columns: &'static [Column],
    /// The variables that its first column names.
    pub variables: &'static [&'static Variable],
    /// The commands that its first column names; each has columns of its own.
    pub commands: &'static [&'static CommandSchema],
    /// By what a row is looked up; `None`: rows have no key, or their order decides.
    pub key: Option<RowKey>,
    /// How rows are found: keys, order, precedence.
    pub lookup: &'static str,
    /// What happens where the file is missing.
    pub missing: &'static str,
    /// Who writes it apart from people.
    pub written_by: &'static str,
    /// More that is good to know, a paragraph each.
    pub notes: &'static [&'static str],
    /// Reads a file of this table, by its path relative to the MailRoot and its content, for what is wrong with it.
    pub load: fn(&Path, &[u8]) -> Vec<Problem>,
    /// Rows that work.
    pub examples: &'static [Example],
    /// Where it comes from.
    pub origin: Origin,
    /// The section that specifies it.
    pub section: &'static str,
}

/// The columns that name a row. Of equal keys the first row counts, so a second one is without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// How many columns, from the first on.
    pub columns: usize,
    /// Whether `A` is `a`.
    pub folds_case: bool,
}

/// A column of a table, or an argument of a command.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What it is called in the documentation.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Whether a row must have it.
    pub presence: Presence,
    /// What it means.
    pub doc: &'static str,
}

/// Whether a row must have a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It need not; what holds then.
    Optional(&'static str),
    /// This and any number of further columns of the kind; at least so many.
    Repeated(usize),
}

/// A command of a command file.
#[derive(Clone, Copy, Debug)]
pub struct CommandSchema {
    /// The name, in any case.
    pub name: &'static str,
    /// Its columns after the name.
    pub arguments: &'static [Column],
    /// Whether it works in `mailproc.tab`.
    pub in_mailproc: bool,
    /// Whether it works in `cmdaliases` and `custdomains`.
    pub in_aliases: bool,
    /// What it does.
    pub doc: &'static str,
}

/// A row that works, and what it says.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The columns.
    pub columns: &'static [&'static str],
    /// What the row says.
    pub doc: &'static str,
}

impl Column {
    /// A column that every row must have.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, presence: Presence::Required, doc }
    }

    /// A column that a row may leave out; `without` says what holds then.
    pub const fn optional(name: &'static str, kind: Kind, without: &'static str, doc: &'static str) -> Self {
        Self { name, kind, presence: Presence::Optional(without), doc }
    }

    /// A column and further ones of its kind, at least so many.
    pub const fn repeated(name: &'static str, kind: Kind, at_least: usize, doc: &'static str) -> Self {
        Self { name, kind, presence: Presence::Repeated(at_least), doc }
    }

    fn is_repeated(&self) -> bool {
        matches!(self.presence, Presence::Repeated(_))
    }

    fn columns_min(&self) -> usize {
        match self.presence {
            Presence::Required => 1,
            Presence::Optional(_) => 0,
            Presence::Repeated(at_least) => at_least,
        }
    }
}

impl CommandSchema {
    /// How many columns a row of this command has at least, its name included.
    pub fn columns_min(&self) -> usize {
        1 + self.arguments.iter().map(Column::columns_min).sum::<usize>()
    }

    /// Notes what is wrong with some columns of a row, by their indices from 0.
    pub fn check(&self, row: &Row<'_>, wanted: impl IntoIterator<Item = usize>, problems: &mut Problems) {
        check_columns(self.arguments, 1, wanted, row, problems);
    }
}

impl TableSchema {
    /// Notes what is wrong with some columns of a row, by their indices from 0: those that its loader does not judge
    /// itself. Columns that the row does not have are passed.
    pub fn check(&self, row: &Row<'_>, wanted: impl IntoIterator<Item = usize>, problems: &mut Problems) {
        check_columns(self.columns, 0, wanted, row, problems);
    }

    /// Notes what is wrong with a row that holds a variable: an unknown name, where only known ones mean something
    /// (`is_closed`), or the value.
    pub fn check_variable(&self, row: &Row<'_>, is_closed: bool, problems: &mut Problems) {
        let name = row.bytes(0);
        let Some(known) = super::variable::find(self.variables, name) else {
            let nearest = super::variable::nearest(self.variables, name).map(|variable| variable.name);
            // Programs keep variables of their own in user.tab: only a name that looks like one of ours is a slip.
            if is_closed || nearest.is_some_and(|nearest| nearest.as_bytes().eq_ignore_ascii_case(name)) {
                problems.note(row.line, row.column(0), ProblemKind::UnknownVariable { nearest });
            }
            return;
        };
        match known.ignored {
            Some(reason) if is_closed => {
                problems.note(row.line, row.column(0), ProblemKind::IgnoredVariable(reason))
            }
            _ => known.note(row.bytes(1), &mut |kind| problems.note(row.line, row.column(1), kind)),
        }
    }

    /// The command of this name, in any case.
    pub fn command(&self, name: &[u8]) -> Option<&'static CommandSchema> {
        self.commands.iter().copied().find(|known| known.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether a file, by its path relative to the MailRoot, is of this table.
    pub fn holds(&self, file: &Path) -> bool {
        self.files.iter().any(|pattern| path_matches(pattern, file))
    }
}

fn check_columns(
    columns: &[Column],
    offset: usize,
    wanted: impl IntoIterator<Item = usize>,
    row: &Row<'_>,
    problems: &mut Problems,
) {
    let last = columns.last().filter(|column| column.is_repeated());
    for index in wanted.into_iter().filter(|&index| index >= offset && index < row.fields.len()) {
        if let Some(column) = columns.get(index - offset).or(last) {
            column.kind.note(row.bytes(index), &mut |kind| problems.note(row.line, row.column(index), kind));
        }
    }
}

/// The description of a file, by its path relative to the MailRoot.
pub fn of_file(file: &Path) -> Option<&'static TableSchema> {
    super::TABLES.iter().copied().find(|table| table.holds(file))
}

/// The description that somebody means: a name (`mailusers.tab`, `mailusers`, `ipmap`), a path in a MailRoot, or the
/// path of a file in any directory.
pub fn find(name: &str) -> Option<&'static TableSchema> {
    let short = |known: &'static str| known.strip_suffix(".tab").unwrap_or(known);
    let wanted = name.trim_end_matches('/');
    let by_name = || {
        super::TABLES.iter().copied().find(|table| {
            let last = |pattern: &'static str| pattern.rsplit('/').next().unwrap_or(pattern);
            let names = [table.name].into_iter().chain(table.files.iter().map(|pattern| last(pattern)));
            names.into_iter().any(|known| known == wanted || short(known) == wanted)
        })
    };
    by_name().or_else(|| of_path(Path::new(wanted))).or_else(|| by_directory(wanted))
}

/// The table of the longest end of a path that is one in a MailRoot: `/var/MailRoot/filters/scan.tab`.
fn of_path(path: &Path) -> Option<&'static TableSchema> {
    let parts: Vec<_> = path.components().collect();
    (0..parts.len()).find_map(|skipped| of_file(&parts[skipped..].iter().collect::<std::path::PathBuf>()))
}

/// The table whose files lie in a directory of this name.
fn by_directory(name: &str) -> Option<&'static TableSchema> {
    super::TABLES.iter().copied().find(|table| {
        table
            .files
            .iter()
            .any(|pattern| pattern.split_once("/<").is_some_and(|(directory, _)| directory == name))
    })
}

/// The table whose name looks most like `name`.
pub fn nearest(name: &str) -> Option<&'static TableSchema> {
    nearest_name(super::TABLES.iter().map(|table| (table.name, *table)), name)
}

/// Compares a path with a pattern part by part. `<word>` stands for any text that is not empty, with what stands before
/// and after it.
fn path_matches(pattern: &str, file: &Path) -> bool {
    let Some(file) = file.to_str() else { return false };
    let (mut pattern, mut file) = (pattern.split('/'), file.split('/'));
    loop {
        match (pattern.next(), file.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            _ => return false,
        }
    }
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('<') else { return pattern == part };
    let after = rest.split_once('>').map_or("", |(_, after)| after);
    part.len() > before.len() + after.len() && part.starts_with(before) && part.ends_with(after)
}
