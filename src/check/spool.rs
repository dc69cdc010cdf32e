//! The spool and `message.id`: messages that cannot be delivered, what belongs to no message, what was set aside.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::{Site, entries};
use super::{OnProgress, Progress};
use crate::spool::{HEADER_BYTES_MAX, Header};

/// The sub-directories of a split directory that hold messages, and those that hold what belongs to one.
const MESSAGES: [&str; 3] = ["mess", "rsnd", "froz"];
const COMPANIONS: [&str; 4] = ["slog", "mprc", "cust", "info"];

pub(super) fn check(site: &Site<'_>, progress: OnProgress<'_>, findings: &mut Findings) {
    message_id(site, findings);
    for entry in entries(&site.path("spool/failed")).iter().filter(|entry| !entry.is_directory) {
        findings.add(Finding::of_file(Path::new("spool/failed").join(&entry.name), Fact::FailedDrop {}));
    }
    let levels = numbers(&site.path("spool"));
    let mut frozen = 0;
    for (done, level1) in levels.iter().enumerate() {
        progress(Progress { stage: "spool", done, total: levels.len() });
        let above = Path::new("spool").join(level1);
        for level2 in numbers(&site.path(&above)) {
            frozen += place(site, &above.join(level2), findings);
        }
    }
    if frozen > 0 {
        findings.add(Finding::of_file("spool", Fact::FrozenMessages { count: frozen }));
    }
}

fn message_id(site: &Site<'_>, findings: &mut Findings) {
    let file = "message.id";
    let first = || -> io::Result<(usize, u8)> {
        // Opening a pipe would wait for its other end.
        if !fs::metadata(site.path(file))?.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut first = [0];
        let count = fs::File::open(site.path(file))?.read(&mut first)?;
        Ok((count, first[0]))
    };
    match first() {
        Ok((1, b'0'..=b'9')) => {}
        Ok(_) => {
            findings.add(Finding { line: 1, ..Finding::of_file(file, Fact::BadMessageId {}) });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => findings.add(Finding::of_file(file, Fact::BadMessageId {})),
    }
}

/// The split directories: canonical numbers only, as the spool reads them.
fn numbers(directory: &Path) -> Vec<String> {
    let is_number = |name: &str| name.parse::<u32>().is_ok_and(|number| number.to_string() == name);
    let directories = entries(directory).into_iter().filter(|entry| entry.is_directory);
    directories.map(|entry| entry.name).filter(|name| is_number(name)).collect()
}

/// Looks at one split directory and returns how many messages are frozen in it.
fn place(site: &Site<'_>, place: &Path, findings: &mut Findings) -> usize {
    let mut messages: HashSet<String> = HashSet::new();
    let mut frozen = 0;
    for state in MESSAGES {
        let directory = place.join(state);
        let names = names(site, &directory);
        for name in &names {
            // The reason a filter wrote beside the message.
            let is_rejection =
                name.strip_suffix(".rej").is_some_and(|message| names.contains(&message.to_owned()));
            if !is_rejection && state != "froz" {
                message(site, &directory.join(name), findings);
            }
            frozen += usize::from(!is_rejection && state == "froz");
        }
        messages.extend(names);
    }
    for state in COMPANIONS {
        let directory = place.join(state);
        for name in names(site, &directory).into_iter().filter(|name| !messages.contains(name)) {
            findings.add(Finding::of_file(directory.join(name), Fact::SpoolOrphan { state }));
        }
    }
    frozen
}

fn names(site: &Site<'_>, directory: &Path) -> Vec<String> {
    let files = entries(&site.path(directory)).into_iter().filter(|entry| entry.is_file);
    files.map(|entry| entry.name).filter(|name| !name.starts_with('.')).collect()
}

fn message(site: &Site<'_>, file: &Path, findings: &mut Findings) {
    let mut head = Vec::new();
    let read = fs::File::open(site.path(file))
        .and_then(|file| file.take(HEADER_BYTES_MAX as u64).read_to_end(&mut head).map(|_| ()));
    let reason = match read {
        Ok(()) => Header::parse(&head).err().map(|bad| bad.to_string()),
        // Delivered meanwhile by a running server.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.kind().to_string()),
    };
    if let Some(reason) = reason {
        findings.add(Finding::of_file(file, Fact::BadSpoolMessage { reason }));
    }
}
