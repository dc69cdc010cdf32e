//! Sockets, disk and time around a session: the only place here with tokio.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::admission::refusal;
use super::session::{Client, Greeting};
use crate::auth::Salts;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::entrance::{self, Desk, Face, Guest};
use crate::logs::Logs;
use crate::mailbox::Mailboxes;
use crate::mailroot::access::IpMap;
use crate::mailroot::{Snapshot, Tables};
use crate::net::tls::TlsStore;
use crate::net::{Connection, Door, plain_ip};
use crate::policy::admission::Unwelcome;

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
    entrance::serve(door, Imap { services, limits }, stop).await;
}

/// The protocol, for the entrance.
struct Imap {
    services: Arc<Services>,
    limits: Limits,
}

impl Face for Imap {
    const PROTOCOL: &'static str = "IMAP";

    fn ip_map(snapshot: &Snapshot) -> &IpMap {
        &snapshot.imap_ipmap
    }

    fn refusal(unwelcome: Unwelcome) -> Vec<u8> {
        refusal(unwelcome).to_vec()
    }

    fn desk(&self) -> Desk<'_> {
        let Services { tables, resolver, clock, .. } = &*self.services;
        Desk { tables, resolver, clock }
    }

    async fn talk(
        &self,
        connection: &mut Connection,
        guest: Guest,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let local = plain_ip(connection.stream().local().ip());
        let Guest { snapshot, domain, stamp, local_name } = guest;
        let server_name = local_name.into_inner().flatten().unwrap_or_else(|| local.to_string());
        let greeting = Greeting { snapshot, domain, stamp, server_name };
        Client::new(connection, &self.services, self.limits, stop, greeting).talk().await
    }
}

#[cfg(test)]
mod tests;
