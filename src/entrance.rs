//! How clients of POP3 and IMAP come in: from the listener to the greeting, and out at the end.
//!
//! ```text
//! Door -> admission (fresh tables, our own name, free memory) -> Unwelcome: the refusal, and close
//!                                                             -> Guest: the face greets and talks, then close
//! ```
//!
//! Who is let in is [`policy::admission`](crate::policy::admission)'s to decide; what is said is the face's. Here is what
//! both need around that: the tables are read, the resolver is asked, a seat is held until the goodbye is out.
//!
//! Failures: the peer's end a session and nothing else; they are told to the debug log.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::dns::Resolver;
use crate::mailroot::access::IpMap;
use crate::mailroot::{Snapshot, Tables};
use crate::net::{self, Connection, Door, Seat, plain_ip};
use crate::policy::admission::{Arrival, Unwelcome, admit, needs_free_memory, needs_local_name};

/// A protocol that clients come in to.
pub trait Face: Send + Sync + 'static {
    /// Its name, for the log.
    const PROTOCOL: &'static str;

    /// Its map of addresses.
    fn ip_map(snapshot: &Snapshot) -> &IpMap;

    /// What a client hears that is turned away: a whole line.
    fn refusal(unwelcome: Unwelcome) -> Vec<u8>;

    /// What admission asks.
    fn desk(&self) -> Desk<'_>;

    /// Greets a client that was let in and goes through its session. The connection is closed afterwards.
    fn talk(
        &self,
        connection: &mut Connection,
        guest: Guest,
        stop: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// What is asked before a client is let in.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The tables.
    pub tables: &'a Tables,
    /// Asked for the name of our own address.
    pub resolver: &'a Resolver,
    /// For the stamp.
    pub clock: &'a Clock,
}

/// A client that was let in.
#[derive(Debug)]
pub struct Guest {
    /// The tables as they were then.
    pub snapshot: Arc<Snapshot>,
    /// The domain of names without one.
    pub domain: String,
    /// The time stamp of the greeting, [`net::stamp`].
    pub stamp: String,
    /// The name of our own address, if it was asked for: it may have none.
    pub local_name: OnceCell<Option<String>>,
}

/// Serves a listener until `stop`. Then every session is told by its clone of the token; returns when the last is over. A
/// session may still be sending to a slow client for long: the caller decides how long it waits.
pub async fn serve<F: Face>(door: Door, face: F, stop: CancellationToken) {
    let (face, session_stop) = (Arc::new(face), stop.clone());
    door.attend(stop, move |arrival| attend(arrival, Arc::clone(&face), session_stop.clone())).await;
}

/// One connection from its beginning to its end.
async fn attend<F: Face>(arrival: net::Arrival, face: Arc<F>, stop: CancellationToken) {
    let net::Arrival { mut connection, seat } = arrival;
    if let Err(error) = converse(&mut connection, &*face, seat.as_ref(), stop).await {
        tracing::debug!(peer = %connection.stream().peer(), %error, "{} session ended early", F::PROTOCOL);
    }
    // The other side may be gone already.
    let _ = connection.close().await;
    drop(seat);
}

async fn converse<F: Face>(
    connection: &mut Connection,
    face: &F,
    seat: Option<&Seat>,
    stop: CancellationToken,
) -> io::Result<()> {
    match receive(connection, face.desk(), F::ip_map, seat).await? {
        Ok(guest) => face.talk(connection, guest, stop).await,
        Err(unwelcome) => {
            connection.queue(&F::refusal(unwelcome));
            Ok(())
        }
    }
}

/// Whether the client is let in. `seat` is `None` when the service is full.
async fn receive(
    connection: &Connection,
    desk: Desk<'_>,
    ip_map: fn(&Snapshot) -> &IpMap,
    seat: Option<&Seat>,
) -> io::Result<Result<Guest, Unwelcome>> {
    let (peer, local) = (connection.stream().peer().ip(), connection.stream().local().ip());
    let snapshot = fresh(desk.tables).await?;
    let local_name = OnceCell::new();
    if needs_local_name(&snapshot) {
        local_name.get_or_init(|| desk.resolver.ptr(local)).await;
    }
    let arrival = Arrival {
        peer: plain_ip(peer),
        has_seat: seat.is_some(),
        free_memory_bytes: if needs_free_memory(&snapshot) { net::free_memory_bytes() } else { None },
        local_name: local_name.get().and_then(|name: &Option<String>| name.as_deref()),
    };
    Ok(admit(&snapshot, ip_map(&snapshot), arrival).map(|domain| {
        let stamp = net::stamp(desk.clock.unix_secs(), &domain);
        Guest { snapshot, domain, stamp, local_name }
    }))
}

/// The tables of now. Reads files only where something has changed.
///
/// # Errors
/// None but that of a thread that could not be begun.
pub async fn fresh(tables: &Tables) -> io::Result<Arc<Snapshot>> {
    if let Some(snapshot) = tables.unchanged() {
        return Ok(snapshot);
    }
    let tables = tables.clone();
    Ok(spawn_blocking(move || tables.fresh()).await?)
}
