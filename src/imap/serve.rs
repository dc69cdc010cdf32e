//! Sockets, disk and time around a session: the only place here with tokio.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::admission::refusal;
use super::session::{Client, Greeting};
use crate::auth::Salts;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::logs::Logs;
use crate::mailbox::Mailboxes;
use crate::mailroot::Tables;
use crate::net::tls::TlsStore;
use crate::net::{self, Connection, Door, Seat, plain_ip};
use crate::policy::admission::{Arrival, admit, needs_free_memory, needs_local_name};

/// What the sessions work with.
#[derive(Clone, Debug)]
pub struct Services {
    /// The tables.
    pub tables: Tables,
    /// The mailboxes.
    pub mailboxes: Mailboxes,
    /// Asked for the name of our own address.
    pub resolver: Resolver,
    /// For greetings, dates and logs.
    pub clock: Clock,
    /// The `imap` log.
    pub logs: Logs,
    /// For IMAPS and STARTTLS.
    pub tls: Arc<TlsStore>,
    /// For SCRAM, which is not offered without.
    pub salts: Option<Arc<Salts>>,
}

/// Options of the service; IMAPS has those of IMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `-It`: how long a client may take for its next command.
    pub idle: Duration,
    /// `-Iw`: the first pause after a failed log-in; doubled at each further one of a session.
    pub bad_login_pause: Duration,
    /// `-Ih`: hang up after a failed log-in instead.
    pub hang_on_bad_login: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            bad_login_pause: Duration::from_secs(5),
            hang_on_bad_login: false,
        }
    }
}

/// Serves a listener until its stop. Then every session finishes its command, is told so and closed; returns when the
/// last is over.
pub async fn serve(door: Door, services: Arc<Services>, limits: Limits, stop: CancellationToken) {
    let session_stop = stop.clone();
    door.attend(stop, move |arrival| attend(arrival, Arc::clone(&services), limits, session_stop.clone()))
        .await;
}

/// One connection from its greeting to its end.
async fn attend(arrival: net::Arrival, services: Arc<Services>, limits: Limits, stop: CancellationToken) {
    let net::Arrival { mut connection, seat } = arrival;
    if let Err(error) = greet(&mut connection, &services, limits, seat.as_ref(), stop).await {
        tracing::debug!(peer = %connection.stream().peer(), %error, "IMAP session ended early");
    }
    // The other side may be gone already.
    let _ = connection.close().await;
    drop(seat);
}

/// Turns the client away, or greets it and goes through the session.
async fn greet(
    connection: &mut Connection,
    services: &Services,
    limits: Limits,
    seat: Option<&Seat>,
    stop: CancellationToken,
) -> io::Result<()> {
    let tables = services.tables.clone();
    let snapshot = spawn_blocking(move || tables.fresh()).await?;
    let local_name = match needs_local_name(&snapshot) {
        true => services.resolver.ptr(connection.stream().local().ip()).await,
        false => None,
    };
    let arrival = Arrival {
        peer: plain_ip(connection.stream().peer().ip()),
        has_seat: seat.is_some(),
        free_memory_bytes: if needs_free_memory(&snapshot) { net::free_memory_bytes() } else { None },
        local_name: local_name.as_deref(),
    };
    let domain = match admit(&snapshot, &snapshot.imap_ipmap, arrival) {
        Ok(domain) => domain,
        Err(unwelcome) => {
            connection.queue(refusal(unwelcome));
            return Ok(());
        }
    };
    let local = plain_ip(connection.stream().local().ip()).to_string();
    let greeting = Greeting {
        stamp: net::stamp(services.clock.unix_secs(), &domain),
        server_name: local_name.unwrap_or(local),
        snapshot,
        domain,
    };
    Client::new(connection, services, limits, stop, greeting).talk().await
}

#[cfg(test)]
mod tests;
