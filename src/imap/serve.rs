//! Sockets, disk and time around a session: the only place here with tokio.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::admission::refusal;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::logs::Logs;
use crate::mailbox::Mailboxes;
use crate::mailroot::Tables;
use crate::net::tls::TlsStore;
use crate::net::{self, Connection, Door, Line, Seat, plain_ip};
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

/// Octets of a command line, with its end (RFC 7162 4 asks for 8192 at least).
const LINE_BYTES_MAX: usize = 8192;

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
    match admit(&snapshot, &snapshot.imap_ipmap, arrival) {
        Ok(_default_domain) => talk(connection, limits, stop).await,
        Err(unwelcome) => {
            connection.queue(refusal(unwelcome));
            Ok(())
        }
    }
}

async fn talk(connection: &mut Connection, limits: Limits, stop: CancellationToken) -> io::Result<()> {
    connection.queue(b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n");
    loop {
        let line = tokio::select! {
            biased;
            () = stop.cancelled() => {
                connection.queue(b"* BYE The server is shutting down\r\n");
                return Ok(());
            }
            line = connection.read_line(LINE_BYTES_MAX, limits.idle) => line,
        };
        let text = match line.map_err(io::Error::other)? {
            Line::Text(text, _) => String::from_utf8_lossy(&text).to_ascii_uppercase(),
            Line::TooLong => String::new(),
        };
        let (tag, command) = text.split_once(' ').unwrap_or(("*", &text));
        let (untagged, tagged) = match command {
            "CAPABILITY" => ("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n", "OK done"),
            "LOGOUT" => ("* BYE Good bye\r\n", "OK done"),
            _ => ("", "BAD not understood"),
        };
        connection.queue(format!("{untagged}{tag} {tagged}\r\n").as_bytes());
        if command == "LOGOUT" {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
