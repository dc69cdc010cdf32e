//! Recordings below `compat-fixtures/recordings`: what was there before, what was said, and what was there after.
//!
//! `TREE.txt` lists a MailRoot (mode, size, path; a final ` =` marks a file that is the same as in `initial/`). A
//! file of `initial/` that is not in the recording's own folder is the one in `compat-fixtures/common`.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the original server had its MailRoot; the text stands in tables and captures.
pub(crate) const RECORDED_ROOT: &str = "/var/MailRoot";

/// Path in the MailRoot to content, one character per byte.
pub(crate) type Files = BTreeMap<String, String>;

/// One event of a transcript. `direction`: `C` and `S` bytes, `!` an event of the connection, `#` a note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Seconds since the start.
    pub(crate) at: f64,
    pub(crate) connection: String,
    pub(crate) direction: char,
    pub(crate) data: String,
}

/// What is compared: everything observed in one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    pub(crate) events: Vec<Event>,
    pub(crate) exit_codes: Vec<i64>,
    /// MailRoots at named moments, `final` among them.
    pub(crate) snapshots: BTreeMap<String, Files>,
}

/// One recorded scenario.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) flags: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) tree: Vec<Entry>,
    pub(crate) initial: Files,
    pub(crate) capture: Capture,
}

/// A line of a `TREE.txt`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) is_directory: bool,
    unchanged: bool,
}

/// Whether a recording is here for its sessions only, because its replay would need what is not here (its file
/// `sessions-only.txt` says what).
pub(crate) fn is_sessions_only(name: &str) -> bool {
    fixtures().join("recordings").join(name).join("sessions-only.txt").is_file()
}

/// Whether the recorded server asked a name server: `dns.json` holds its questions.
pub(crate) fn needs_names(name: &str) -> bool {
    fixtures().join("recordings").join(name).join("dns.json").is_file()
}

impl Recording {
    /// Reads one recording.
    pub(crate) fn load(name: &str) -> Self {
        let folder = fixtures().join("recordings").join(name);
        let description = read(&folder.join("scenario.txt"));
        let line = |start: &str| description.lines().find_map(|line| line.strip_prefix(start)).unwrap_or("");
        let tree = tree(&folder.join("initial"));
        let initial = files(&folder, "initial", &tree, &Files::new());
        let mut snapshots = BTreeMap::new();
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let snapshot = entry.file_name().to_string_lossy().into_owned();
            if snapshot != "initial" && entry.path().join("TREE.txt").is_file() {
                let rows = self::tree(&entry.path());
                snapshots.insert(snapshot.clone(), files(&folder, &snapshot, &rows, &initial));
            }
        }
        let exits: Value = serde_json::from_str(&read(&folder.join("exit.json"))).unwrap();
        let exit_codes = exits.as_array().unwrap().iter().filter_map(|run| run["rc"].as_i64()).collect();
        let events = read_utf8(&folder.join("transcript.jsonl")).lines().map(event).collect();
        Self {
            name: name.to_owned(),
            flags: line("flags: ").split(' ').map(str::to_owned).collect(),
            variables: variables(line("env: ")),
            capture: Capture { events, exit_codes, snapshots },
            tree,
            initial,
        }
    }

    /// Writes the initial MailRoot, passing each file's text through `rewrite`.
    pub(crate) fn lay_out(&self, root: &Path, rewrite: impl Fn(&str, &str) -> String) {
        for entry in self.tree.iter().filter(|entry| entry.is_directory) {
            fs::create_dir_all(root.join(&entry.path)).unwrap();
        }
        for (path, text) in &self.initial {
            fs::write(root.join(path), latin1(&rewrite(path, text))).unwrap();
        }
        for entry in &self.tree {
            let path = root.join(&entry.path);
            if path.exists() {
                fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)).unwrap();
            }
        }
    }

    /// Writes the MailRoot as it was at the end: what XMail leaves is where we start.
    pub(crate) fn lay_out_final(&self, root: &Path) {
        self.lay_out(root, |_, text| text.replace(RECORDED_ROOT, &root.to_string_lossy()));
        for (path, text) in &self.capture.snapshots["final"] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, latin1(text)).unwrap();
        }
    }
}

/// The folder `compat-fixtures`.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-fixtures")
}

/// The names of all recordings that are here.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixtures().join("recordings"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Bytes as text, one character each.
pub(crate) fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Text back to bytes; a character beyond Latin-1 becomes its UTF-8 form.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u8::try_from(u32::from(c)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(c.to_string().bytes()),
        }
    }
    bytes
}

/// A file as Latin-1 text; empty when it is not there.
pub(crate) fn read(path: &Path) -> String {
    from_latin1(&fs::read(path).unwrap_or_default())
}

/// Transcripts are JSON, hence UTF-8, with bytes above 127 escaped.
fn read_utf8(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn event(line: &str) -> Event {
    let event: Value = serde_json::from_str(line).unwrap();
    Event {
        at: event["t"].as_f64().unwrap(),
        connection: event["conn"].as_str().unwrap().to_owned(),
        direction: event["dir"].as_str().unwrap().chars().next().unwrap(),
        data: event["data"].as_str().unwrap().to_owned(),
    }
}

/// `{'TZ': 'Europe/Rome'}`.
fn variables(text: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = text.split('\'').collect();
    parts
        .chunks(4)
        .filter(|chunk| chunk.len() == 4)
        .map(|chunk| (chunk[1].to_owned(), chunk[3].to_owned()))
        .collect()
}

fn tree(folder: &Path) -> Vec<Entry> {
    read(&folder.join("TREE.txt")).lines().filter_map(entry).collect()
}

fn entry(row: &str) -> Option<Entry> {
    let (mode, rest) = row.split_once(' ')?;
    let (_, path) = rest.trim_start().split_once(' ')?;
    let (path, unchanged) = match path.strip_suffix(" =") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let bits = mode.bytes().skip(1).fold(0, |bits, c| bits << 1 | u32::from(c != b'-'));
    let (path, is_directory) = match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, false),
    };
    matches!(mode.as_bytes()[0], b'-' | b'd').then(|| Entry {
        path: path.to_owned(),
        mode: bits,
        is_directory,
        unchanged,
    })
}

fn files(folder: &Path, snapshot: &str, rows: &[Entry], initial: &Files) -> Files {
    let mut files = Files::new();
    for row in rows.iter().filter(|row| !row.is_directory) {
        if row.unchanged {
            if let Some(text) = initial.get(&row.path) {
                files.insert(row.path.clone(), text.clone());
            }
            continue;
        }
        let own = folder.join(snapshot).join(&row.path);
        let common = fixtures().join("common").join(&row.path);
        match () {
            () if own.is_file() => files.insert(row.path.clone(), read(&own)),
            () if snapshot == "initial" && common.is_file() => files.insert(row.path.clone(), read(&common)),
            () => None,
        };
    }
    files
}
