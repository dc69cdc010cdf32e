//! Log-ins that failed too often (`jdmail.md` JD-05, JD-63): five tries, then thirty minutes for that address and name.
//!
//! A ban is a row of a file `.banned`: address TAB name TAB the end in Unix seconds. For an administrator who is named
//! like an account it lies where JDMail has it, in `domains/<domain>/<user>/jdwa/`; else in `.tabmail/jdwa/`. The file is
//! read at each try: deleting it lifts its bans at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bstr::ByteSlice as _;

use super::App;
use crate::mailroot::MailRoot;
use crate::tab::{Field, Record, TabFile};

/// Tries before a ban (JD-63).
pub(super) const TRIES_MAX: usize = 5;

/// How long a ban holds, and how long a failed try is remembered (JD-63), in seconds.
pub(super) const BAN_SECS: i64 = 1800;

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
        let tries = {
            let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, tries| tries.last().is_some_and(|last| now - last < BAN_SECS));
            if all.len() >= REMEMBERED_MAX && !all.contains_key(&key) {
                all.clear();
            }
            let tries = all.entry(key.clone()).or_default();
            tries.retain(|at| now - at < BAN_SECS);
            tries.push(now);
            let count = tries.len();
            if count >= TRIES_MAX {
                all.remove(&key);
            }
            count
        };
        if tries >= TRIES_MAX {
            begin(app, address, name, now + BAN_SECS);
        }
    }

    /// Forgets the failed tries of this pair.
    pub(super) fn succeeded(&self, address: IpAddr, name: &str) {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(address, name.to_ascii_lowercase()));
    }
}

/// Writes the ban, and drops those that are over: the file does not grow with every guesser.
fn begin(app: &App, address: IpAddr, name: &str, until: i64) {
    let path = app.root().path().join(file_of(app, name));
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
    tracing::warn!(%address, name, "web administration: {TRIES_MAX} failed log-ins, banned for {BAN_SECS} s");
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
