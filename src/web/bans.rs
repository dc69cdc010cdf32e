//! Log-ins that failed too often (`jdmail.md` JD-05, JD-63): five tries, then thirty minutes for that address and name,
//! unless `WebLoginTries` and `WebBanTime` say otherwise.
//!
//! A ban is a row of a file `.banned`: address TAB name TAB the end in Unix seconds. For an administrator who is named
//! like an account it lies where JDMail has it, in `domains/<domain>/<user>/jdwa/`; else in `.tabmail/jdwa/`. The file is
//! read at each try: deleting it lifts its bans at once.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bstr::ByteSlice as _;

use super::App;
use crate::mailroot::MailRoot;
use crate::mailroot::schema::server as variables;
use crate::tab::{Field, Record, TabFile};

/// Address and name pairs that are remembered; with more, the oldest are forgotten. Ours.
const REMEMBERED_MAX: usize = 10_000;

/// Bans in one file; the oldest are lifted for new ones. Ours.
const BANS_MAX: usize = 10_000;

/// The file's name.
const FILE: &str = ".banned";

/// The failed tries of this process.
#[derive(Default)]
pub(super) struct Bans {
    failed: Mutex<HashMap<(IpAddr, String), Vec<i64>>>,
    /// Files that bans were written to, beside those of administrators.
    files: Mutex<BTreeSet<PathBuf>>,
}

/// A ban that holds.
#[derive(Debug, serde::Serialize)]
pub(super) struct Ban {
    pub(super) address: String,
    pub(super) name: String,
    pub(super) until_unix_secs: i64,
    /// Relative to the MailRoot.
    pub(super) file: String,
}

impl Bans {
    /// Whether this address may not try this name now.
    pub(super) fn holds(&self, app: &App, address: IpAddr, name: &str) -> bool {
        let now = app.services.clock.unix_secs();
        let bytes = std::fs::read(app.root().path().join(file_of(app, name))).unwrap_or_default();
        let address = address.to_string();
        TabFile::parse(&bytes).lines().iter().map(crate::tab::Line::fields).any(|row| {
            let column = |index: usize| row.get(index).map(|field| &field.value[..]).unwrap_or_default();
            let until = end_of(&row);
            column(0) == address.as_bytes() && column(1).eq_ignore_ascii_case(name.as_bytes()) && now < until
        })
    }

    /// Notes a failed try; the last one of too many begins a ban.
    pub(super) fn failed(&self, app: &App, address: IpAddr, name: &str) {
        let now = app.services.clock.unix_secs();
        let key = (address, name.to_ascii_lowercase());
        let (tries_max, ban_secs) = limits(app);
        let tries = {
            let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, tries| tries.last().is_some_and(|last| now - last < ban_secs));
            if all.len() >= REMEMBERED_MAX && !all.contains_key(&key) {
                all.clear();
            }
            let tries = all.entry(key.clone()).or_default();
            tries.retain(|at| now - at < ban_secs);
            tries.push(now);
            let count = tries.len();
            if count >= tries_max {
                all.remove(&key);
            }
            count
        };
        if tries >= tries_max {
            let file = file_of(app, name);
            begin(app, &file, address, name, now + ban_secs);
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            // The file of names that are no accounts is always looked at.
            if files.len() < REMEMBERED_MAX {
                files.insert(file);
            }
        }
    }

    /// All bans that hold: of administrators, of names that are no accounts, and those that this process began.
    pub(super) fn all(&self, app: &App) -> Vec<Ban> {
        let (now, mut found) = (app.services.clock.unix_secs(), Vec::new());
        for file in self.files(app) {
            let bytes = std::fs::read(app.root().path().join(&file)).unwrap_or_default();
            for line in TabFile::parse(&bytes).lines() {
                let row = line.fields();
                let text = |index: usize| {
                    row.get(index)
                        .map(|field: &Field| field.value.to_str_lossy().into_owned())
                        .unwrap_or_default()
                };
                let until_unix_secs = end_of(&row);
                if until_unix_secs > now {
                    let (address, name, file) = (text(0), text(1), file.display().to_string());
                    found.push(Ban { address, name, until_unix_secs, file });
                }
            }
        }
        found
    }

    /// Lifts the bans of an address and a name. Returns whether there were any.
    ///
    /// # Errors
    /// The file and why it cannot be written.
    pub(super) fn lift(
        &self,
        app: &App,
        address: &str,
        name: &str,
    ) -> Result<bool, (PathBuf, std::io::Error)> {
        let mut is_lifted = false;
        for file in self.files(app) {
            let path = app.root().path().join(&file);
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let old = TabFile::parse(&bytes);
            let is_it = |line: &&crate::tab::Line| {
                let row = line.fields();
                let is = |index: usize, wanted: &str| {
                    row.get(index).is_some_and(|field| field.value.eq_ignore_ascii_case(wanted.as_bytes()))
                };
                is(0, address) && is(1, name)
            };
            let kept: Vec<&[u8]> =
                old.lines().iter().filter(|line| !is_it(line)).map(crate::tab::Line::content).collect();
            if kept.len() < old.lines().len() {
                is_lifted = true;
                let bytes: Vec<u8> = kept.iter().flat_map(|row| [*row, b"\n"]).flatten().copied().collect();
                app.services.disk.replace(&path, &bytes).map_err(|error| (path, error))?;
            }
        }
        Ok(is_lifted)
    }

    fn files(&self, app: &App) -> BTreeSet<PathBuf> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files.insert(file_of(app, ""));
        files.extend(app.tables().web_admins.rows().iter().map(|who| file_of(app, &who.name)));
        files
    }

    /// Forgets the failed tries of this pair.
    pub(super) fn succeeded(&self, address: IpAddr, name: &str) {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(address, name.to_ascii_lowercase()));
    }
}

/// Writes the ban, and drops those that are over: the file does not grow with every guesser.
fn begin(app: &App, file: &Path, address: IpAddr, name: &str, until: i64) {
    let path = app.root().path().join(file);
    let values = [address.to_string(), name.to_owned(), until.to_string()];
    let Ok(record) = Record::quoted(&values) else { return };
    let (disk, now) = (&app.services.disk, app.services.clock.unix_secs());
    let old = TabFile::parse(&std::fs::read(&path).unwrap_or_default());
    let holds = |line: &&crate::tab::Line| end_of(&line.fields()) > now;
    let kept: Vec<&[u8]> = old.lines().iter().filter(holds).map(crate::tab::Line::content).collect();
    let newest = kept.len().saturating_sub(BANS_MAX - 1);
    let mut bytes = Vec::new();
    for row in kept[newest..].iter().copied().chain([record.as_bytes()]) {
        bytes.extend_from_slice(row);
        bytes.push(b'\n');
    }
    let made = path.parent().map_or(Ok(()), |directory| disk.create_dir_all(directory));
    if let Err(error) = made.and_then(|()| disk.replace(&path, &bytes)) {
        tracing::error!("{}: {error}; the ban does not hold", path.display());
    }
    tracing::warn!(%address, name, "web administration: too many failed log-ins, banned until {until}");
}

/// Tries before a ban, and how long it lasts, in seconds.
fn limits(app: &App) -> (usize, i64) {
    let tables = app.tables();
    let tries = usize::try_from(tables.server.integer(&variables::WEB_LOGIN_TRIES)).unwrap_or(1);
    (tries, tables.server.integer(&variables::WEB_BAN_TIME))
}

/// The third column; 0 where it is no number.
fn end_of(row: &[Field]) -> i64 {
    let text = row.get(2).map(|field| field.value.to_str_lossy().into_owned()).unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// Relative to the MailRoot. The name is looked up, never joined.
fn file_of(app: &App, name: &str) -> PathBuf {
    let tables = app.services.tables.current();
    let account = name.rsplit_once('@').and_then(|(user, domain)| tables.users.get(domain, user));
    let directory = account.map_or_else(
        || Path::new(".tabmail").join("jdwa"),
        |account| MailRoot::account_directory(account).join("jdwa"),
    );
    directory.join(FILE)
}
