//! Which program has a file open for writing: `/proc/PID/fd` and `/proc/PID/fdinfo`, as `fuser` does it.
//!
//! A read lease (`F_SETLEASE`) would answer faster, but no safe interface offers it. Seen are all processes for root,
//! else those of our own user. Not seen: this process itself, a mapping whose descriptor is closed, an `open` that is
//! not finished, a program on another machine (NFS).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the search may take: some 50,000 open files. Ours.
const SEARCH_MAX: Duration = Duration::from_millis(100);

/// The access mode in the `flags` of fdinfo (octal): 0 is read only, `O_PATH` (010000000) no access.
const ACCESS_MODE: u32 = 0o3;

/// What the search for a writer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Nobody: all processes were looked at.
    Nobody,
    /// This program.
    Program {
        /// Its short name.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// Nobody among the processes that may be looked at.
    Unknown,
}

/// Searches for a process that has `file` open for writing.
pub(super) fn writer_of(file: &File) -> Writer {
    let Ok(metadata) = file.metadata() else { return Writer::Unknown };
    search((metadata.dev(), metadata.ino())).unwrap_or(Writer::Unknown)
}

fn search(identity: (u64, u64)) -> io::Result<Writer> {
    let begun = Instant::now();
    let mut seen_all = true;
    for process in fs::read_dir("/proc")?.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|&pid| pid != std::process::id()) else { continue };
        match writes(&process.path(), identity) {
            Ok(true) => {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Ok(Writer::Program { name: name.trim_end().to_owned(), pid });
            }
            Ok(false) => {}
            // It has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => seen_all = false,
        }
        if begun.elapsed() > SEARCH_MAX {
            return Ok(Writer::Unknown);
        }
    }
    Ok(if seen_all { Writer::Nobody } else { Writer::Unknown })
}

fn writes(process: &Path, identity: (u64, u64)) -> io::Result<bool> {
    for descriptor in fs::read_dir(process.join("fd"))?.flatten() {
        let is_ours = fs::metadata(descriptor.path()).is_ok_and(|meta| (meta.dev(), meta.ino()) == identity);
        if is_ours && is_open_for_writing(&process.join("fdinfo").join(descriptor.file_name())) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_open_for_writing(fdinfo: &Path) -> bool {
    let Ok(text) = fs::read_to_string(fdinfo) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & ACCESS_MODE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};

    #[track_caller]
    fn check(redirection: &str, expected: bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tab");
        fs::write(&path, "x\n").unwrap();
        let file = File::open(&path).unwrap();
        let script = format!("exec 7{redirection}'{}'; echo ready; read line", path.display());
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let found = matches!(writer_of(&file), Writer::Program { pid, .. } if pid == shell.id());
        assert_eq!(found, expected, "{redirection}");
        shell.stdin.take().unwrap().write_all(b"\n").unwrap();
        shell.wait().unwrap();
        assert!(!matches!(writer_of(&file), Writer::Program { .. }));
    }

    #[test]
    fn a_program_that_may_write_is_found() {
        check(">>", true);
        check("<>", true);
        check("<", false);
    }
}
