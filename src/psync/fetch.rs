//! The shell around the dialogue: connects, reads lines, streams messages into the queue (`mailflow.md` 8).
//!
//! Limits: every read has the time of `-YT`; a reply line has [`REPLY_LINE_BYTES_MAX`] bytes; what a server sends in one
//! go must arrive at [`BYTES_PER_SECOND_MIN`]; after [`SESSION_TIME_MAX`] the session ends behind the present message, so
//! that the server deletes what was fetched. A message takes [`crate::spool::MEMORY_BYTES_MAX`] of memory, whatever its
//! size.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::client::{Action, Dialogue, MESSAGE_BYTES_MAX, Message, Outcome, Plan, Tally};
use super::error::SyncError;
use super::seen::Seen;
use super::{Services, intake};
use crate::mailroot::Snapshot;
use crate::mailroot::links::Pop3Link;
use crate::net::dots::{BareLf, DataReader};
use crate::net::tls::{ClientTls, TlsError};
use crate::net::{Connection, Line, Stream};
use crate::spool::{Draft, MEMORY_BYTES_MAX, MailData, SpoolError};

/// Bytes of one reply line. RFC 1939 §3 has 512; servers write longer ones.
pub(super) const REPLY_LINE_BYTES_MAX: usize = 4096;
/// The least a server may send, once [`SLOW_TIME_MAX`] is over. Ours: a slower one would hold a slot of `-Yt` for days.
pub(super) const BYTES_PER_SECOND_MIN: u64 = 100;
/// How long a reply may take at any speed. Ours.
const SLOW_TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// How long one session asks for further messages. Ours.
const SESSION_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// Addresses of one host that are tried; ours, as in delivery.
const ADDRESSES_MAX: usize = 4;
/// Bytes of a message collected before they are handed to the draft.
const PIECE_BYTES: usize = 64 * 1024;
/// The port without one in column 3, also for `POP3S` (`mailroot.md` 14.1).
const POP3_PORT: u16 = 110;

/// A link that is being worked.
pub(super) struct Session<'a> {
    pub(super) services: &'a Services,
    pub(super) snapshot: &'a Snapshot,
    pub(super) link: &'a Pop3Link,
    /// Only with `Leave`.
    pub(super) seen: Option<Seen>,
    /// Set when a message is on its way: from there on the session has something to finish.
    pub(super) has_begun: &'a AtomicBool,
}

impl Session<'_> {
    /// Works the link. The tally counts in any case.
    pub(super) async fn run(&self, plan: Plan) -> (Tally, Result<(), SyncError>) {
        let connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return (Tally::default(), Err(error)),
        };
        let (dialogue, action) = Dialogue::new(plan);
        let timeout = self.services.schedule.timeout;
        let mut wire = Wire { connection, timeout, pace: Pace::start(), is_inside_message: false };
        let mut running = Running { session: self, dialogue, since: Instant::now() };
        let result = running.drive(&mut wire, action).await;
        let result = match (result, running.dialogue.present(), &self.seen) {
            (result, Some(present), Some(seen)) => {
                let seen = seen.clone();
                let kept = blocking(move || seen.keep(&present)).await;
                result.and(kept)
            }
            (result, ..) => result,
        };
        (running.dialogue.tally(), result)
    }

    async fn connect(&self) -> Result<Connection, SyncError> {
        let bind = self.link.options.out_bind;
        let name = &self.link.host.host;
        let mut addresses = match name.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.services.resolver.addresses(name).await.map_err(SyncError::Dns)?,
        };
        addresses.retain(|address| bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4()));
        let mut last = SyncError::NoAddress;
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            let peer = SocketAddr::new(address, self.link.host.port_or(POP3_PORT));
            let bind = bind.map(|local| SocketAddr::new(local, 0));
            match Stream::connect(peer, bind, self.services.schedule.timeout).await {
                Ok(stream) => return Ok(Connection::new(stream)),
                Err(source) => last = SyncError::Connect { address, source },
            }
        }
        Err(last)
    }
}

/// The dialogue on its way.
struct Running<'a> {
    session: &'a Session<'a>,
    dialogue: Dialogue,
    since: Instant,
}

impl Running<'_> {
    async fn drive(&mut self, wire: &mut Wire, mut action: Action) -> Result<(), SyncError> {
        loop {
            action = match action {
                Action::Exchange(octets) => match wire.exchange(&octets).await {
                    Ok(line) => self.dialogue.on_line(&line),
                    // Some servers close instead of answering QUIT.
                    Err(_) if self.dialogue.is_quitting() => self.dialogue.on_closed(),
                    Err(error) => return Err(error),
                },
                Action::StartTls => {
                    let verify = self.session.snapshot.client_verify();
                    let client = blocking(move || Ok(ClientTls::new(&verify)?)).await?;
                    let handshake = wire.connection.start_client_tls(&client, &self.session.link.host.host);
                    tokio::time::timeout(wire.timeout, handshake)
                        .await
                        .unwrap_or(Err(TlsError::HandshakeTimeout))?;
                    self.dialogue.on_tls()
                }
                Action::Receive(message) => {
                    self.session.has_begun.store(true, Ordering::Relaxed);
                    self.receive(wire, &message).await?
                }
                Action::Finished(result) => {
                    // Whatever happens now, the work is done.
                    let _ = wire.connection.close().await;
                    return result;
                }
            };
        }
    }

    /// The message is in the queue, and remembered where it stays on the server, before the server hears DELE.
    async fn receive(&mut self, wire: &mut Wire, message: &Message) -> Result<Action, SyncError> {
        let draft = self.session.services.spool.draft();
        let stored = wire.receive(draft, message.number).await;
        let taken = match stored {
            Ok(data) => self.take(data, message).await,
            Err(error) => Err(error),
        };
        if self.since.elapsed() > SESSION_TIME_MAX || self.session.services.stop.is_cancelled() {
            self.dialogue.leave_early();
        }
        match taken {
            Ok((outcome, bytes)) => Ok(self.dialogue.on_message(outcome, bytes)),
            Err(error) if error.leaves_a_session() && !wire.is_inside_message => {
                Ok(self.dialogue.quit_after(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn take(&self, data: MailData, message: &Message) -> Result<(Outcome, u64), SyncError> {
        let (services, link) = (self.session.services.clone(), self.session.link.clone());
        let seen = self.session.seen.clone();
        let (bytes, uid, number) = (data.bytes(), message.uid.clone(), message.number);
        let outcome = blocking(move || {
            let outcome = intake::take(&services, &link, number, &data)?;
            if let (Some(seen), Some(uid), false) = (seen, uid, outcome == Outcome::Left) {
                seen.add(&uid)?;
            }
            Ok(outcome)
        });
        Ok((outcome.await?, bytes))
    }
}

/// The connection with its limits.
struct Wire {
    connection: Connection,
    timeout: Duration,
    pace: Pace,
    /// The rest of a message would be read as replies.
    is_inside_message: bool,
}

impl Wire {
    /// Sends, and reads one line.
    async fn exchange(&mut self, octets: &[u8]) -> Result<Vec<u8>, SyncError> {
        if !octets.is_empty() {
            self.connection.queue(octets);
            self.pace = Pace::start();
        }
        match self.connection.read_line(REPLY_LINE_BYTES_MAX, self.timeout).await? {
            Line::Text(line, _) => {
                self.pace.received(line.len() + 2)?;
                Ok(line)
            }
            Line::TooLong => Err(SyncError::LineTooLong),
        }
    }
    /// Reads a message up to its final dot, dot-stuffed as it came (decision 1), bare line ends made CRLF. When the
    /// queue cannot take it, the rest is read all the same: the session goes on behind it.
    async fn receive(&mut self, draft: Draft, number: u32) -> Result<MailData, SyncError> {
        self.is_inside_message = true;
        let (mut reader, mut piece, mut draft) = (DataReader::new(BareLf::Normalise), Vec::new(), Ok(draft));
        while !reader.has_ended() {
            let received = self.connection.fill(self.timeout).await?;
            let feed = reader.feed(received, &mut piece);
            let count = feed.consumed;
            self.connection.consume(count);
            self.pace.received(count)?;
            if reader.size_bytes() > MESSAGE_BYTES_MAX {
                return Err(SyncError::MessageTooLarge { number });
            }
            if piece.len() >= PIECE_BYTES || feed.ended {
                draft = match draft {
                    Ok(draft) => write(draft, &mut piece).await,
                    Err(error) => Err(error),
                };
                piece.clear();
            }
        }
        self.is_inside_message = false;
        let draft = draft?;
        blocking(move || Ok(draft.finish()?)).await
    }
}

/// Adds a piece; on a thread that may block when it goes to the disk.
async fn write(mut draft: Draft, piece: &mut Vec<u8>) -> Result<Draft, SyncError> {
    if draft.bytes() + piece.len() as u64 <= MEMORY_BYTES_MAX as u64 {
        draft.write(piece)?;
        return Ok(draft);
    }
    let piece = std::mem::take(piece);
    blocking(move || {
        draft.write(&piece)?;
        Ok(draft)
    })
    .await
}

/// Runs what blocks on a thread for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(SyncError::Spool(SpoolError::Stopping)))
}

/// How fast the server answers one command.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn start() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    fn received(&mut self, count: usize) -> Result<(), SyncError> {
        self.bytes += count as u64;
        let elapsed = self.since.elapsed();
        let is_slow = elapsed > SLOW_TIME_MAX && self.bytes / elapsed.as_secs().max(1) < BYTES_PER_SECOND_MIN;
        if is_slow { Err(SyncError::TooSlow) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_may_be_slow_for_a_while_only() {
        let mut pace = Pace::start();
        tokio::time::advance(SLOW_TIME_MAX).await;
        assert!(pace.received(1).is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(pace.received(1), Err(SyncError::TooSlow)));
        assert!(pace.received(100 * 301).is_ok());
    }
}
