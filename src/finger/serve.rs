//! Sockets, disk and time around the query: the only place here with tokio.

use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::answer::{answer, line};
use super::query::{self, LINE_BYTES_MAX, QueryError};
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::logs::{LogKind, Logs};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Snapshot, Tables};
use crate::net::{Arrival, Connection, Door, IO_TIMEOUT, Line, plain_ip};

/// Clients at once. Ours; XMail has no limit here, and a query is over in a moment (decision 202).
pub const SESSIONS_MAX: usize = 256;

/// What the sessions work with.
#[derive(Clone, Debug)]
pub struct Services {
    /// The tables.
    pub tables: Tables,
    /// Asked for the name of our own address.
    pub resolver: Resolver,
    /// For the log.
    pub clock: Clock,
    /// The `finger` log.
    pub logs: Logs,
}

/// Serves a listener until its stop; then clients whose query has not arrived are closed. Returns when the last
/// session is over.
pub async fn serve(door: Door, services: Arc<Services>, stop: CancellationToken) {
    let session_stop = stop.clone();
    door.attend(stop, move |arrival| attend(arrival, Arc::clone(&services), session_stop.clone())).await;
}

async fn attend(arrival: Arrival, services: Arc<Services>, stop: CancellationToken) {
    let Arrival { mut connection, seat } = arrival;
    if seat.is_some()
        && let Err(error) = converse(&mut connection, &services, &stop).await
    {
        tracing::debug!(peer = %connection.stream().peer(), %error, "FINGER session ended early");
    }
    // The other side may be gone already.
    let _ = connection.close().await;
}

async fn converse(
    connection: &mut Connection,
    services: &Services,
    stop: &CancellationToken,
) -> io::Result<()> {
    let peer = plain_ip(connection.stream().peer().ip());
    let tables = services.tables.clone();
    let snapshot = spawn_blocking(move || tables.fresh()).await?;
    if !snapshot.finger_ipmap.verdict(peer).allowed {
        return Ok(());
    }
    let line_read = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        line_read = connection.read_line(LINE_BYTES_MAX, IO_TIMEOUT) => line_read.map_err(io::Error::other)?,
    };
    let (text, query) = match line_read {
        Line::Text(text, _) => {
            let query = query::parse(&text);
            (text, query)
        }
        Line::TooLong => (Vec::new(), Err(QueryError::Invalid)),
    };
    let own_name = own_name(connection, services, &snapshot).await;
    let reply = reply(services, snapshot, own_name, peer.to_string(), text, query);
    connection.queue(&spawn_blocking(reply).await?);
    Ok(())
}

/// The name of our own address, where something depends on it: DNS may take its time.
async fn own_name(connection: &Connection, services: &Services, snapshot: &Snapshot) -> Option<String> {
    let is_wanted =
        snapshot.server.text(&variables::POP3_DOMAIN).is_none() || services.logs.is_enabled(LogKind::Finger);
    match is_wanted {
        true => services.resolver.ptr(connection.stream().local().ip()).await,
        false => None,
    }
}

/// What is done where blocking is allowed: the log line, then the answer.
fn reply(
    services: &Services,
    snapshot: Arc<Snapshot>,
    own_name: Option<String>,
    peer: String,
    text: Vec<u8>,
    query: Result<query::Query, QueryError>,
) -> impl FnOnce() -> Vec<u8> + Send + 'static {
    let (logs, date) = (services.logs.clone(), services.clock.log_date());
    move || {
        let (host, domain) = host_and_domain(own_name.as_deref());
        let columns = [host.as_bytes(), domain.as_bytes(), peer.as_bytes(), date.as_bytes(), &text];
        logs.write(LogKind::Finger, &columns);
        match query {
            Ok(query) => answer(&snapshot, default_domain(&snapshot, domain), &query),
            Err(error) => line(&error),
        }
    }
}

/// Our name's first label and the rest; both empty without a name.
fn host_and_domain(own_name: Option<&str>) -> (&str, &str) {
    let name = own_name.unwrap_or_default();
    name.split_once('.').unwrap_or((name, ""))
}

/// `POP3Domain`, else our name's domain, else `RootDomain`. XMail refuses every query when our address has no name,
/// even if the name is not needed (decision 201).
fn default_domain<'a>(snapshot: &'a Snapshot, own_domain: &'a str) -> &'a str {
    let own = Some(own_domain).filter(|domain| !domain.is_empty());
    snapshot
        .server
        .text(&variables::POP3_DOMAIN)
        .or(own)
        .or_else(|| snapshot.server.root_domain())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
