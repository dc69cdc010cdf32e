//! Who changed what: `logs/webadmin-YYYYMMDD0000`, a file a day as the other logs (`jdmail.md` JD-14).
//!
//! Columns: date, administrator, address, deed, file, rows. Rows are those removed (`-`) and added (`+`), without their
//! passwords, separated by ` | `. Log-ins and log-outs are rows without a file. A row that cannot be written is
//! reported through `tracing`; the deed stands.

use std::path::Path;

use super::App;
use super::deed::{Change, DiffLine};
use crate::durable::FILE_MODE;
use crate::logs::LOG_MODE;

/// The longest text of changed rows in one row of the log, in characters. Ours.
const ROWS_CHARS_MAX: usize = 2000;

/// One thing to note.
pub(super) struct Note<'a> {
    /// Who.
    pub(super) name: &'a str,
    /// From where.
    pub(super) peer: std::net::IpAddr,
    /// What: `log-in`, `add user`.
    pub(super) deed: &'a str,
}

/// Notes a deed with its changes, a row for each file; without changes one row.
pub(super) fn write(app: &App, note: &Note<'_>, changes: &[Change]) {
    let mut text = String::new();
    for change in changes {
        text.push_str(&row(app, note, &change.file, &rows_text(&change.lines)));
    }
    if changes.is_empty() {
        text.push_str(&row(app, note, "", ""));
    }
    let day = app.services.clock.zoned().strftime("%Y%m%d0000").to_string();
    let path = app.root().path().join("logs").join(format!("webadmin-{day}"));
    debug_assert_eq!(FILE_MODE & LOG_MODE, FILE_MODE);
    let disk = &app.services.disk;
    let made = disk.create_dir_all(path.parent().unwrap_or(Path::new(".")));
    if let Err(error) = made.and_then(|()| disk.append(&path, LOG_MODE, text.as_bytes(), true)) {
        tracing::error!("{}: {error}: {}", path.display(), text.trim_end());
    }
}

fn row(app: &App, note: &Note<'_>, file: &str, rows: &str) -> String {
    let (date, peer) = (app.services.clock.log_date(), note.peer.to_string());
    let columns = [&date, note.name, &peer, note.deed, file, rows];
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{}\"", plain(column))).collect();
    quoted.join("\t") + "\n"
}

/// As the other logs have it: what could forge a column or a line becomes `?`.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn rows_text(lines: &[DiffLine]) -> String {
    let changed = lines.iter().filter(|line| line.mark == "+" || line.mark == "-");
    let shown: Vec<String> =
        changed.map(|line| format!("{}{}", line.mark, line.text.replace('\t', " "))).collect();
    let text = shown.join(" | ");
    match text.char_indices().nth(ROWS_CHARS_MAX) {
        Some((end, _)) => format!("{}... ({} rows)", &text[..end], shown.len()),
        None => text,
    }
}
