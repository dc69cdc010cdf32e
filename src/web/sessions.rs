//! Who is logged in: on the server's side, in memory. A restart logs everybody out.
//!
//! The cookie holds 256 random bits; here only their SHA-256 is kept. A session ends after the idle limit, at log-out,
//! when its administrator is gone from `webadmin.tab`, and when the password changes.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::deed::Draft;

/// Sessions at once; the one idle for longest makes room. Ours.
const SESSIONS_MAX: usize = 1000;

/// Versions of tables and drafts that one session keeps; older ones are forgotten. Ours: tabs open at once.
const KEPT_MAX: usize = 24;

/// Bytes that they may hold together, in one session. Ours: three times the largest table of 100,000 accounts.
const KEPT_BYTES_MAX: usize = 64 << 20;

type Key = [u8; 32];

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions {
    all: Mutex<HashMap<Key, Session>>,
}

/// One log-in.
pub(super) struct Session {
    /// The administrator's name.
    pub(super) name: String,
    /// The stored password at the log-in: when it changes, the session is over.
    pub(super) password: Vec<u8>,
    /// The CSRF token.
    pub(super) csrf: String,
    /// What the next page says first.
    pub(super) flash: Vec<Flash>,
    used_unix_secs: i64,
    kept: VecDeque<(String, Kept)>,
}

/// A message for the next page.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Flash {
    /// `good` or `bad`.
    pub(super) tone: &'static str,
    /// Already in the visitor's language.
    pub(super) text: String,
}

/// What a page needs when it comes back.
#[derive(Clone)]
pub(super) enum Kept {
    /// The version of a file that a form was made from.
    Base(PathBuf, Arc<Vec<u8>>),
    /// A change that waits for its confirmation.
    Draft(Arc<Draft>),
    /// Messages of the queue that something is to be done with, as `level1/level2/name`.
    Messages(Arc<Vec<String>>),
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Base(_, bytes) => bytes.len(),
            Self::Draft(draft) => draft.deed.bytes(),
            Self::Messages(paths) => paths.iter().map(|path| path.len() + size_of::<String>()).sum(),
        }
    }
}

/// 256 random bits in hex digits.
///
/// # Errors
/// The system gives no random numbers.
pub(super) fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key_of(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

impl Sessions {
    /// Begins a session and returns its id for the cookie.
    ///
    /// # Errors
    /// No random numbers.
    pub(super) fn begin(&self, name: &str, password: &[u8], now: i64) -> Result<String, getrandom::Error> {
        let (id, csrf) = (token()?, token()?);
        let session = Session {
            name: name.to_owned(),
            password: password.to_owned(),
            csrf,
            flash: Vec::new(),
            used_unix_secs: now,
            kept: VecDeque::new(),
        };
        let mut all = self.lock();
        if all.len() >= SESSIONS_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, one)| one.used_unix_secs).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        all.insert(key_of(&id), session);
        Ok(id)
    }

    /// Works with a session that is alive; this counts as a click.
    pub(super) fn with<T>(
        &self,
        id: &str,
        now: i64,
        idle_secs: i64,
        work: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let mut all = self.lock();
        all.retain(|_, session| now.saturating_sub(session.used_unix_secs) <= idle_secs);
        let session = all.get_mut(&key_of(id))?;
        session.used_unix_secs = now;
        Some(work(session))
    }

    /// Works with a session that was found alive in this request.
    pub(super) fn peek<T>(&self, id: &str, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.lock().get_mut(&key_of(id)).map(work)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        self.lock().remove(&key_of(id));
    }

    /// Ends all sessions of an administrator.
    pub(super) fn end_all_of(&self, name: &str) {
        self.lock().retain(|_, session| !session.name.eq_ignore_ascii_case(name));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Keeps something under a random name.
    ///
    /// # Errors
    /// No random numbers.
    pub(super) fn keep(&mut self, kept: Kept) -> Result<String, getrandom::Error> {
        let id = token()?;
        self.kept.push_back((id.clone(), kept));
        while self.kept.len() > 1
            && (self.kept.len() > KEPT_MAX
                || self.kept.iter().map(|(_, kept)| kept.bytes()).sum::<usize>() > KEPT_BYTES_MAX)
        {
            self.kept.pop_front();
        }
        Ok(id)
    }

    /// What was kept under a name; it stays, for a reload of the page.
    pub(super) fn kept(&self, id: &str) -> Option<Kept> {
        self.kept.iter().find(|(known, _)| known == id).map(|(_, kept)| kept.clone())
    }

    /// Keeps something again under the name that it had.
    pub(super) fn put_back(&mut self, id: &str, kept: Kept) {
        self.kept.push_back((id.to_owned(), kept));
    }

    /// Forgets it.
    pub(super) fn drop_kept(&mut self, id: &str) {
        self.kept.retain(|(known, _)| known != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_while_it_is_used() {
        let sessions = Sessions::default();
        let id = sessions.begin("admin", b"x", 1000).unwrap();
        assert_eq!(id.len(), 64);
        let alive = |now| sessions.with(&id, now, 100, |session| session.name.clone()).is_some();
        assert!(alive(1090) && alive(1190), "each click counts");
        assert!(!alive(1291), "idle for too long");
        assert!(!alive(1191), "it is gone, not asleep");
        let id = sessions.begin("Admin", b"x", 2000).unwrap();
        sessions.end_all_of("admin");
        assert!(sessions.with(&id, 2000, 100, |_| ()).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let sessions = Sessions::default();
        let id = sessions.begin("admin", b"x", 0).unwrap();
        let base = || Kept::Base("a.tab".into(), Arc::default());
        sessions.peek(&id, |session| {
            let first = session.keep(base()).unwrap();
            let last = (0..KEPT_MAX).map(|_| session.keep(base()).unwrap()).last().unwrap();
            assert!(session.kept(&first).is_none() && session.kept(&last).is_some());
        });
    }
}
