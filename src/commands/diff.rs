//! `tabmail diff`: what changes for mail when one MailRoot takes the place of another.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::explain::Format;
use crate::compare::{Change, Differences, Side, Subject, diff};
use crate::explain::rows::Rows;
use crate::mailroot::{Citation, MailRoot, Snapshot};

/// `tabmail diff`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Diff {
    /// The MailRoot as it is
    pub old: PathBuf,
    /// The MailRoot as it is to be
    pub new: PathBuf,
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
        let (old_root, new_root) = (mail_root(&self.old)?, mail_root(&self.new)?);
        let differences = diff(&Snapshot::load(&old_root), &Snapshot::load(&new_root));
        let mut rows = [Rows::of(&old_root), Rows::of(&new_root)];
        let text = match self.format {
            Format::Text => self.text(&differences, &mut rows),
            Format::Json => format!("{:#}\n", json_of(&differences, &mut rows)),
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(!differences.is_empty())
    }

    fn text(&self, differences: &Differences, [old, new]: &mut [Rows; 2]) -> String {
        let mut text = String::new();
        if differences.is_empty() {
            return text;
        }
        let _ = writeln!(text, "--- {}\n+++ {}", self.old.display(), self.new.display());
        for change in &differences.changes {
            let (kind, name) = kind_and_name(&change.subject);
            let _ = writeln!(text, "@@ {kind} {name}  ({})", summary(change));
            write_side(&mut text, '-', &change.old, old);
            write_side(&mut text, '+', &change.new, new);
        }
        text
    }
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

/// What a change is, in a word or two.
fn summary(change: &Change) -> &'static str {
    let is_there = |side: &Side| !side.facts.is_empty();
    let has_mailbox = |side: &Side| side.facts.iter().any(|fact| fact.starts_with("mailbox of "));
    match (&change.subject, is_there(&change.old), is_there(&change.new)) {
        (Subject::Address(_), ..) => match (has_mailbox(&change.old), has_mailbox(&change.new)) {
            (true, false) => "loses its mailbox",
            (false, true) => "gains a mailbox",
            _ => "another destination",
        },
        (_, false, true) => "new",
        (_, true, false) => "gone",
        _ => "changed",
    }
}

fn kind_and_name(subject: &Subject) -> (&'static str, &str) {
    match subject {
        Subject::Address(name) => ("mail to", name),
        Subject::Account(name) => ("account", name),
        Subject::AliasPattern(name) => ("alias pattern", name),
        Subject::Domain(name) => ("domain", name),
        Subject::Way(name) => ("way to", name),
        Subject::SmtpPeers(name) => ("SMTP peers", name),
        Subject::RelayPeers(name) => ("relaying peers", name),
        Subject::Peers("pop3.ipmap.tab", name) => ("POP3 peers", name),
        Subject::Peers("ctrl.ipmap.tab", name) => ("CTRL peers", name),
        Subject::Peers(_, name) => ("FINGER peers", name),
        Subject::SmtpLogin(name) => ("SMTP log-in", name),
        Subject::CtrlLogin(name) => ("CTRL log-in", name),
        Subject::Variable(name) => ("variable", name),
    }
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
            let (kind, name) = kind_and_name(&change.subject);
            json!({
                "kind": kind,
                "name": name,
                "summary": summary(change),
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
    /// It is not there.
    #[error("{}: is not a directory", .0.display())]
    MissingMailRoot(PathBuf),
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}
