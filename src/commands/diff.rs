//! `tabmail diff`: what changes for mail when one MailRoot takes the place of another.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::explain::Format;
use super::local::{LocalError, serving_differences};
use super::root::{NoMailRoot, Root};
use crate::compare::{Differences, Side, diff};
use crate::explain::rows::Rows;
use crate::mailroot::{Citation, MailRoot, Snapshot};

/// `tabmail diff`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Diff {
    /// The MailRoot as it is
    #[arg(required_unless_present = "serving", conflicts_with = "mail_root")]
    pub old: Option<PathBuf>,
    /// The MailRoot as it is to be
    #[arg(required_unless_present = "serving", conflicts_with = "mail_root")]
    pub new: Option<PathBuf>,
    /// Compare what the running server of the MailRoot has in use with the files on the disk
    #[arg(long, conflicts_with_all = ["old", "new"])]
    pub serving: bool,
    /// The MailRoot of --serving.
    #[command(flatten)]
    pub root: Root,
    /// Text for people, or JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

const AFTER_HELP: &str = "\
Not the lines are compared but what they do: for every address, domain, log-in and network that either side names, the
server's own functions are asked on both sides. Comments, order and spelling that change nothing are no differences.
Nothing is written.
Exit code: 0 no difference, 1 differences, 2 trouble.";

impl Diff {
    /// Prints the differences; tells whether there are any.
    ///
    /// # Errors
    /// A directory that is none, standard output closed.
    pub fn run(&self) -> Result<bool, DiffError> {
        match (self.serving, &self.old, &self.new) {
            (true, ..) => self.run_serving(&self.root.path()?),
            (false, Some(old), Some(new)) => self.run_both(old, new),
            // clap asks for both.
            _ => Ok(false),
        }
    }

    /// The server tells which rows decide, but not their text: the old ones are no longer on the disk.
    fn run_serving(&self, root: &Path) -> Result<bool, DiffError> {
        let rows = serving_differences(root)?;
        let text = match self.format {
            Format::Text => serving_text(root, &rows),
            Format::Json => format!("{:#}\n", serving_json(&rows)),
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(!rows.is_empty())
    }

    fn run_both(&self, old: &Path, new: &Path) -> Result<bool, DiffError> {
        let (old_root, new_root) = (mail_root(old)?, mail_root(new)?);
        let differences = diff(&Snapshot::load(&old_root), &Snapshot::load(&new_root));
        let mut rows = [Rows::of(&old_root), Rows::of(&new_root)];
        let text = match self.format {
            Format::Text => text([old, new], &differences, &mut rows),
            Format::Json => format!("{:#}\n", json_of(&differences, &mut rows)),
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(!differences.is_empty())
    }
}

fn text([old_root, new_root]: [&Path; 2], differences: &Differences, [old, new]: &mut [Rows; 2]) -> String {
    let mut text = String::new();
    if differences.is_empty() {
        return text;
    }
    let _ = writeln!(text, "--- {}\n+++ {}", old_root.display(), new_root.display());
    for change in &differences.changes {
        let (kind, name) = change.subject.kind_and_name();
        let _ = writeln!(text, "@@ {kind} {name}  ({})", change.summary());
        write_side(&mut text, '-', &change.old, old);
        write_side(&mut text, '+', &change.new, new);
    }
    text
}

fn serving_text(root: &Path, rows: &[[String; 7]]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let root = root.display();
    let _ = writeln!(text, "--- {root} (in use)\n+++ {root} (on the disk)");
    for [kind, name, summary, old_facts, old_rows, new_facts, new_rows] in rows {
        let _ = writeln!(text, "@@ {kind} {name}  ({summary})");
        for (sign, facts, rows) in [('-', old_facts, old_rows), ('+', new_facts, new_rows)] {
            if !facts.is_empty() {
                let _ = writeln!(text, "{sign} {facts}");
                for row in rows.split("; ") {
                    let _ = writeln!(text, "{sign}     {row}");
                }
            }
        }
    }
    text
}

fn serving_json(rows: &[[String; 7]]) -> Value {
    let parts = |text: &str| -> Vec<String> {
        text.split("; ").filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let side = |facts: &str, rows: &str| json!({ "facts": parts(facts), "rows": parts(rows) });
    let change = |[kind, name, summary, old_facts, old_rows, new_facts, new_rows]: &[String; 7]| {
        json!({
            "kind": kind,
            "name": name,
            "summary": summary,
            "old": side(old_facts, old_rows),
            "new": side(new_facts, new_rows),
        })
    };
    json!({ "changes": rows.iter().map(change).collect::<Vec<_>>() })
}

/// `- fact; fact` and below it the rows.
fn write_side(text: &mut String, sign: char, side: &Side, rows: &mut Rows) {
    if side.facts.is_empty() {
        return;
    }
    let _ = writeln!(text, "{sign} {}", side.facts.join("; "));
    for row in &side.rows {
        let _ = writeln!(text, "{sign}     {}", cited(row, rows));
    }
}

fn cited(row: &Citation, rows: &mut Rows) -> String {
    rows.text(row).map_or_else(|| row.to_string(), |columns| format!("{row}  {columns}"))
}

fn json_of(differences: &Differences, [old, new]: &mut [Rows; 2]) -> Value {
    let mut side = |side: &Side, is_old: bool| {
        let rows = if is_old { &mut *old } else { &mut *new };
        let rows: Vec<Value> = side
            .rows
            .iter()
            .map(
                |row| json!({ "file": row.file.to_string_lossy(), "line": row.line, "text": rows.text(row) }),
            )
            .collect();
        json!({ "facts": side.facts, "rows": rows })
    };
    let changes: Vec<Value> = differences
        .changes
        .iter()
        .map(|change| {
            let (kind, name) = change.subject.kind_and_name();
            json!({
                "kind": kind,
                "name": name,
                "summary": change.summary(),
                "old": side(&change.old, true),
                "new": side(&change.new, false),
            })
        })
        .collect();
    json!({ "addresses": differences.addresses, "changes": changes })
}

fn mail_root(path: &Path) -> Result<MailRoot, DiffError> {
    match path.is_dir() {
        true => Ok(MailRoot::new(path)),
        false => Err(DiffError::MissingMailRoot(path.to_owned())),
    }
}

/// Why nothing is compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// Nothing names a MailRoot.
    #[error(transparent)]
    NoMailRoot(#[from] NoMailRoot),
    /// It is not there.
    #[error("{}: is not a directory", .0.display())]
    MissingMailRoot(PathBuf),
    /// The server could not be asked.
    #[error(transparent)]
    Server(#[from] LocalError),
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}
