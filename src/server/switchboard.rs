//! What administrators see of the running server's listeners, and tell them ([`crate::admin::Board`]).

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::admin::{Board, Listening};
use crate::options::Service;

/// How long whoever opens or closes a service waits for it to be so. Ours: a follow takes milliseconds.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(2);

/// Between the administration and the task that supervises the listeners.
#[derive(Default)]
pub(super) struct Switchboard {
    state: Mutex<State>,
    followed: Condvar,
    changed: Notify,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    closed: BTreeSet<Service>,
    listeners: Vec<Listening>,
    /// Counts what [`Switchboard::tell`] told.
    told: u64,
}

impl Switchboard {
    /// The services that shall not listen now.
    pub(super) fn closed(&self) -> BTreeSet<Service> {
        self.lock().closed.clone()
    }

    /// How the listeners stand now.
    pub(super) fn tell(&self, listeners: Vec<Listening>) {
        let mut state = self.lock();
        state.listeners = listeners;
        state.told += 1;
        self.followed.notify_all();
    }

    /// Waits for a service that was opened or closed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits for the end of the server to be asked for.
    pub(super) async fn asked_to_stop(&self) {
        self.stop.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a service in commands and pages.
pub(super) fn name_of(service: Service) -> String {
    format!("{service:?}").to_ascii_lowercase()
}

/// Every service that listens.
const SERVICES: [Service; 9] = [
    Service::Smtp,
    Service::Smtps,
    Service::Pop3,
    Service::Pop3s,
    Service::Imap,
    Service::Imaps,
    Service::Ctrl,
    Service::Ctrls,
    Service::Finger,
];

impl Board for Switchboard {
    fn listeners(&self) -> Vec<Listening> {
        self.lock().listeners.clone()
    }

    /// Blocks until the listeners have followed.
    fn switch(&self, service: &str, is_open: bool) -> bool {
        let wanted = service.to_ascii_lowercase();
        let Some(&service) = SERVICES.iter().find(|service| name_of(**service) == wanted) else {
            return false;
        };
        let mut state = self.lock();
        match is_open {
            true => state.closed.remove(&service),
            false => state.closed.insert(service),
        };
        let before = state.told;
        self.changed.notify_one();
        let waited = self.followed.wait_timeout_while(state, FOLLOWED_WITHIN, |state| state.told == before);
        drop(waited);
        true
    }

    fn stop(&self) {
        self.stop.cancel();
    }
}
