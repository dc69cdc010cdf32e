//! The log files by day, with search (`jdmail.md` JD-60).

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::web::templates::context;
use axum::response::Response;
use bstr::ByteSlice as _;

use crate::web::error::WebError;
use crate::web::visit::Visit;

/// Of a larger file the end is looked at, in bytes. Ours: what is read in a moment.
const LOOKED_AT_BYTES_MAX: u64 = 64 << 20;

/// Lines shown: the newest that fit. Ours.
const LINES_MAX: usize = 200;

/// The names of the files in `logs/`, the newest day first.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_log = |name: &String| {
        name.rsplit_once('-').is_some_and(|(_, step)| step.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_log).collect();
    let key = |name: &String| {
        let (kind, step) = name.rsplit_once('-').unwrap_or((name, ""));
        (std::cmp::Reverse(step.to_owned()), kind.to_owned())
    };
    names.sort_by_key(key);
    names
}

/// The newest lines that hold a text, in any case; the newest first.
fn lines(path: &Path, wanted: &str) -> std::io::Result<(Vec<Vec<String>>, usize)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > LOOKED_AT_BYTES_MAX {
        file.seek(SeekFrom::Start(length - LOOKED_AT_BYTES_MAX))?;
    }
    let mut bytes = Vec::new();
    file.take(LOOKED_AT_BYTES_MAX).read_to_end(&mut bytes)?;
    let wanted = wanted.to_lowercase();
    let (mut shown, mut count) = (Vec::new(), 0);
    for line in bytes.lines().rev() {
        let text = line.to_str_lossy();
        if !wanted.is_empty() && !text.to_lowercase().contains(&wanted) {
            continue;
        }
        count += 1;
        if shown.len() < LINES_MAX {
            let columns = text.split('\t').map(|column| column.trim_matches('"').to_owned());
            shown.push(columns.collect());
        }
    }
    Ok((shown, count))
}

/// Shows a file. It is one of those that are there: its name is looked up, not joined.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    let directory = visit.tables().root().path().join("logs");
    let files = files(&directory);
    let chosen = files.iter().find(|name| **name == visit.query("file")).or(files.first());
    let (mut rows, mut count) = (Vec::new(), 0);
    if let Some(name) = chosen {
        let path = directory.join(name);
        (rows, count) = lines(&path, visit.query("q")).map_err(|source| WebError::Disk { path, source })?;
    }
    visit.page("logs.html", context! { files, chosen, rows, count, q => visit.query("q") })
}
