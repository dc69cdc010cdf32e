//! The accept loop that all protocol faces share: a TLS port or a plain one, a limit of sessions, a graceful end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connection, Listener, Stream, TlsStore};

/// What a listener's connections begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Plain text; TLS by command where the protocol has one.
    Plain,
    /// A TLS handshake (RFC 8314).
    ImplicitTls,
}

/// Counts the sessions of a service on all its listeners together, the plain and the TLS port too (`mailflow.md` 1.1,
/// `-SX` and so on). Clones count together.
#[derive(Clone, Debug, Default)]
pub struct SessionCounter(Arc<AtomicUsize>);

/// A session that is counted until this is dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl SessionCounter {
    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self, sessions_max: usize) -> Option<Seat> {
        let seat = Seat(Arc::clone(&self.0));
        // On the way out of this function a seat too many is given back.
        (self.0.fetch_add(1, Ordering::Relaxed) < sessions_max).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Peers that are told "too busy" at once, over the session limit; more are dropped without a word.
const REFUSALS_MAX: usize = 64;

/// The time stamp of a greeting, `<seconds.number@name>`, never the same twice (RFC 1939 §7; `mailflow.md` 1.3). XMail's
/// number is a thread's id; ours is random, because the stamp is what APOP and CRAM-MD5 digests are made of.
pub fn stamp(unix_secs: i64, name: &str) -> String {
    static COUNTER: AtomicUsize = AtomicUsize::new(1);
    // Without random numbers the process's count still makes it unique.
    let number = getrandom::u64().unwrap_or_else(|_| COUNTER.fetch_add(1, Ordering::Relaxed) as u64);
    format!("<{unix_secs}.{number}@{name}>")
}

/// A client at the door.
pub struct Arrival {
    /// The connection, after the handshake on a TLS port.
    pub connection: Connection,
    /// `None` when the service is full: say so and close.
    pub seat: Option<Seat>,
}

/// One listener of a service.
pub struct Door {
    /// Where clients arrive.
    pub listener: Listener,
    /// What connections begin with.
    pub link: Link,
    /// The certificate, for TLS ports.
    pub tls: Arc<TlsStore>,
    /// The sessions of the service.
    pub sessions: SessionCounter,
    /// How many there may be.
    pub sessions_max: usize,
}

impl Door {
    /// Accepts until `stop`, one task for each client; returns when the last session is over. A session learns of the
    /// stop through its own clone of the token.
    pub async fn attend<F, S>(self, stop: CancellationToken, session: F)
    where
        F: Fn(Arrival) -> S + Clone + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let tracker = TaskTracker::new();
        loop {
            let (socket, peer) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let seat = self.sessions.enter(self.sessions_max);
            if seat.is_none() && tracker.len() >= self.sessions_max.saturating_add(REFUSALS_MAX) {
                tracing::debug!(%peer, "connection dropped: too many sessions");
                continue;
            }
            let (link, tls, stop, session) =
                (self.link, Arc::clone(&self.tls), stop.clone(), session.clone());
            tracker.spawn(async move {
                let Ok(stream) = Stream::plain(socket) else { return };
                let mut connection = Connection::new(stream);
                if link == Link::ImplicitTls
                    && !shake_hands(&mut connection, &tls, &stop, seat.is_some()).await
                {
                    tracing::debug!(%peer, "no TLS session");
                    return;
                }
                session(Arrival { connection, seat }).await;
            });
        }
        drop(self.listener);
        tracker.close();
        tracker.wait().await;
    }
}

/// The handshake of a TLS port. Beyond the session limit it would cost more than it tells.
async fn shake_hands(
    connection: &mut Connection,
    tls: &TlsStore,
    stop: &CancellationToken,
    seated: bool,
) -> bool {
    let Some(acceptor) = tls.acceptor().filter(|_| seated) else { return false };
    tokio::select! {
        () = stop.cancelled() => false,
        shaken = connection.upgrade_to_tls(&acceptor) => shaken.is_ok(),
    }
}
