//! Remote delivery: hosts in order, one connection at a time, until one takes the message (`mailflow.md` 4.6, 4.7).
//!
//! A temporary failure goes on to the next host, a permanent one ends the walk. Each failing host leaves a slog entry.
//! An open connection is used again for the next message of the same lane when its way is the same ([`Open`]); it
//! never waits for work.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use super::Services;
use super::client::{Action, Dialogue, Envelope, FINAL_DOT_TIMEOUT, Plan};
use super::failure::{Failure, plain_entry};
use crate::auth::Mechanism;
use crate::dns::{MxAnswer, Resolver};
use crate::mailroot::Snapshot;
use crate::mailroot::authentication::ClientMechanism;
use crate::mailroot::routing::{Gateway, GatewayOptions, HostPort, NeedTls};
use crate::mailroot::schema::server as variables;
use crate::net::dots::{END_OF_DATA, ToCrlf, Transform};
use crate::net::tls::ClientTls;
use crate::net::{Connection, Line, ReadError, Stream};
use crate::policy::route::{Host, HostList, Route};
use crate::spool::{SpoolFile, slog};
use crate::status::{Reply, ReplyReader, number};

/// How long connecting may take (`mailflow.md` 4.7).
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(90);
/// How long the reply to QUIT is waited for; nothing depends on it. Ours.
const QUIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one host that are tried. Ours; RFC 5321 §5.1 has at least two.
const ADDRESSES_MAX: usize = 4;
/// Bytes of one reply line. RFC 5321 §4.5.3.1.5 has 512; servers write longer ones.
const REPLY_LINE_BYTES_MAX: usize = 4096;
/// Messages sent over one connection. Ours, as Postfix's `smtp_connection_reuse_count_limit` of its early years.
const MESSAGES_PER_CONNECTION_MAX: u32 = 100;
/// How long one connection is used again. Ours.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Bytes of a message read at once.
const READ_BYTES: usize = 64 * 1024;

/// A message on its way out.
pub(super) struct Outgoing<'a> {
    /// The stored message.
    pub(super) file: &'a SpoolFile,
    /// As the wire needs it.
    pub(super) envelope: Envelope,
    /// How slog entries begin and what they tell.
    pub(super) style: Style,
    /// Set once the final dot is on its way.
    pub(super) has_sent: &'a AtomicBool,
}

impl Outgoing<'_> {
    /// The final dot was sent and no reply came: the server may or may not have the message. XMail goes on to the
    /// next host (decision 145).
    fn is_in_doubt(&self, failure: &Failure) -> bool {
        self.has_sent.load(Ordering::Relaxed) && failure.info.is_none()
    }
}

/// Who sends: slog texts differ (`mailflow.md` 4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `SMAIL`: queue, cmdaliases, custom domains.
    Smail,
    /// `USMAIL`: a user's mailproc.
    Usmail,
}

/// What sending came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// A server has taken the message.
    Delivered {
        /// The medium column of the smail log.
        medium: &'static str,
        /// The host as the log shows it.
        host: String,
        /// The remote id.
        remote_id: Vec<u8>,
    },
    /// Nobody took it for now.
    Transient,
    /// Refused for good.
    Permanent {
        /// For the notice.
        reason: String,
        /// For the notice.
        server: String,
    },
    /// The domain does not exist.
    NoSuchDomain {
        /// For the notice.
        reason: String,
    },
}

/// A connection after a completed transaction.
pub(super) struct Open {
    connection: Connection,
    dialogue: Dialogue,
    route: Route,
    host: Host,
    keyword: &'static str,
    medium: &'static str,
    login: Login,
    snapshot_generation: u64,
    since: Instant,
    messages: u32,
}

type Login = Option<(Mechanism, Vec<u8>, Vec<u8>)>;

impl Open {
    /// Says goodbye in the background; nobody waits for it.
    pub(super) fn quit(mut self) {
        tokio::spawn(async move {
            self.connection.queue(b"QUIT\r\n");
            if self.connection.flush().await.is_ok() {
                // Whatever is answered, the connection ends.
                let _ = self.connection.read_line(REPLY_LINE_BYTES_MAX, QUIT_TIMEOUT).await;
                let _ = tokio::time::timeout(QUIT_TIMEOUT, self.connection.close()).await;
            }
        });
    }

    /// Whether it has room for another message at all.
    pub(super) fn has_room(&self) -> bool {
        self.dialogue.is_ready()
            && self.messages < MESSAGES_PER_CONNECTION_MAX
            && self.since.elapsed() < CONNECTION_AGE_MAX
    }

    fn fits(&self, snapshot: &Snapshot, route: &Route) -> bool {
        self.has_room()
            && self.route == *route
            && self.snapshot_generation == snapshot.generation()
            && login(snapshot, &self.host).is_ok_and(|login| login == self.login)
    }
}

/// Sends a message along a route. `open` is a connection to use again; afterwards it is the one that can be.
pub(super) async fn send(
    services: &Services,
    snapshot: &Snapshot,
    outgoing: &Outgoing<'_>,
    route: &Route,
    open: &mut Option<Open>,
    log: &mut Vec<slog::Entry>,
) -> Sent {
    if let Some(connection) = open.take()
        && let Some(sent) = send_again(connection, snapshot, outgoing, route, open, log).await
    {
        return sent;
    }
    let list = match route {
        Route::Hosts(list) => list.clone(),
        Route::Exchangers { domain, options } => match exchangers(&services.resolver, domain, *options).await
        {
            Ok(list) => list,
            Err(answer) => return no_hosts(outgoing, domain, answer, log),
        },
    };
    walk(services, snapshot, outgoing, route, list, open, log).await
}

/// The mail exchangers of a domain, or its own address where it has none.
///
/// # Errors
/// The answer of the DNS that gives no host.
pub async fn exchangers(
    resolver: &Resolver,
    domain: &str,
    options: GatewayOptions,
) -> Result<HostList, MxAnswer> {
    match resolver.mx(domain).await {
        MxAnswer::Hosts(found) => {
            let host = |mx: &crate::dns::Mx| Host {
                label: mx.host.clone(),
                gateway: Gateway { host: HostPort { host: mx.host.as_str().into(), port: None }, options },
            };
            let hosts = found.iter().map(host).collect();
            Ok(HostList { keyword: "MX", medium: "SMTP", hosts, is_random: false })
        }
        MxAnswer::NoMx => Ok(HostList::single("FF", domain, options)),
        answer => Err(answer),
    }
}

/// `None`: the old connection cannot be used, or broke before the server said anything about this message.
async fn send_again(
    connection: Open,
    snapshot: &Snapshot,
    outgoing: &Outgoing<'_>,
    route: &Route,
    open: &mut Option<Open>,
    log: &mut Vec<slog::Entry>,
) -> Option<Sent> {
    if !connection.fits(snapshot, route) {
        connection.quit();
        return None;
    }
    outgoing.has_sent.store(false, Ordering::Relaxed);
    let mut link = Link {
        connection: connection.connection,
        dialogue: connection.dialogue,
        is_broken: false,
        tls: None,
    };
    let reply = match link.transact(outgoing).await {
        Ok(reply) => reply,
        Err(failure) => {
            // A server may end an old connection at any time before it has the message; a fresh one is tried then.
            // Once the final dot is out that could deliver twice, and a refusal is the server's last word.
            let is_answer = failure.is_permanent || outgoing.is_in_doubt(&failure);
            link.leave();
            if !is_answer {
                return None;
            }
            let label = &connection.host.label;
            log.push(entry(outgoing, connection.keyword, label, &failure));
            return Some(verdict(failure, label));
        }
    };
    let (host, keyword, medium) = (connection.host, connection.keyword, connection.medium);
    let sent =
        Sent::Delivered { medium, host: host.label.clone(), remote_id: super::client::remote_id(&reply) };
    *open = Some(Open {
        connection: link.connection,
        dialogue: link.dialogue,
        host,
        messages: connection.messages + 1,
        route: connection.route,
        keyword,
        medium,
        login: connection.login,
        snapshot_generation: connection.snapshot_generation,
        since: connection.since,
    });
    Some(sent)
}

fn no_hosts(outgoing: &Outgoing<'_>, domain: &str, answer: MxAnswer, log: &mut Vec<slog::Entry>) -> Sent {
    let failure = match answer {
        MxAnswer::NullMx => {
            let reason = format!("556 5.1.10 Recipient domain \"{domain}\" does not accept mail (null MX)");
            Failure::permanent(number::NO_MX, reason)
        }
        MxAnswer::Temporary(dns) => Failure::transient_because(dns.code, dns.text),
        // Only NoSuchDomain is left: the others have hosts.
        _ => {
            let reason =
                format!("Recipient domain \"{domain}\" does not exist (or it has a misconfigured DNS)");
            log.push(plain_entry(number::DNS_NAME_NOT_FOUND, reason.clone()));
            return Sent::NoSuchDomain { reason };
        }
    };
    log.push(entry(outgoing, "EDNS", domain, &failure));
    verdict(failure, domain)
}

fn verdict(failure: Failure, server: &str) -> Sent {
    match failure.is_permanent {
        true => Sent::Permanent { reason: failure.reason, server: server.to_owned() },
        false => Sent::Transient,
    }
}

async fn walk(
    services: &Services,
    snapshot: &Snapshot,
    outgoing: &Outgoing<'_>,
    route: &Route,
    mut list: HostList,
    open: &mut Option<Open>,
    log: &mut Vec<slog::Entry>,
) -> Sent {
    if list.is_random {
        shuffle(&mut list.hosts);
    }
    if list.hosts.is_empty() {
        // XMail takes an empty list for delivered; mail is never lost because of a table (decision 11).
        let failure = Failure::transient_because(number::NO_MX, "451 4.3.5 No host to send to");
        log.push(entry(outgoing, list.keyword, "", &failure));
        return Sent::Transient;
    }
    for host in list.hosts {
        outgoing.has_sent.store(false, Ordering::Relaxed);
        match try_host(services, snapshot, outgoing, &host, list.keyword).await {
            Ok((link, login, reply)) => {
                let remote_id = super::client::remote_id(&reply);
                let sent = Sent::Delivered { medium: list.medium, host: host.label.clone(), remote_id };
                *open = Some(Open {
                    connection: link.connection,
                    dialogue: link.dialogue,
                    route: route.clone(),
                    host,
                    keyword: list.keyword,
                    medium: list.medium,
                    login,
                    snapshot_generation: snapshot.generation(),
                    since: Instant::now(),
                    messages: 1,
                });
                return sent;
            }
            Err(failure) => {
                log.push(entry(outgoing, list.keyword, &host.label, &failure));
                // In doubt the next host would likely be the second one to deliver it.
                if failure.is_permanent || outgoing.is_in_doubt(&failure) {
                    return verdict(failure, &host.label);
                }
            }
        }
    }
    Sent::Transient
}

async fn try_host(
    services: &Services,
    snapshot: &Snapshot,
    outgoing: &Outgoing<'_>,
    host: &Host,
    keyword: &str,
) -> Result<(Link, Login, Reply), Failure> {
    let login = login(snapshot, host)?;
    let mut failure = None;
    for address in addresses(services, host, keyword).await? {
        let stream = match connect(services, host, address).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%address, %error, "no connection");
                // XMail notices a refused connection when it reads the greeting (golden `spool_permfail`).
                failure = Some(Failure::transient(number::END_OF_STREAM));
                continue;
            }
        };
        let tls = (host.gateway.options.need_tls.unwrap_or(NeedTls::No) != NeedTls::No)
            .then(|| services.tls.get(snapshot))
            .transpose()
            .map_err(|error| {
                tracing::error!(%error, "TLS as a client cannot be set up");
                Failure::transient(TLS_CONTEXT)
            })?
            .map(|client| (client, host.gateway.host.host.to_string()));
        let plan = Plan {
            helo: helo(services, snapshot, stream.local().ip()).await,
            need_tls: host.gateway.options.need_tls.unwrap_or(NeedTls::No),
            login: login.clone(),
        };
        let (dialogue, action) = Dialogue::new(plan);
        let mut link = Link { connection: Connection::new(stream), dialogue, is_broken: false, tls };
        match link.drive(action, None).await {
            Ok(_) => {}
            Err(refused) => {
                link.leave();
                failure = Some(refused);
                continue;
            }
        }
        return match link.transact(outgoing).await {
            Ok(reply) => Ok((link, login, reply)),
            Err(refused) => {
                link.leave();
                Err(refused)
            }
        };
    }
    Err(failure.unwrap_or_else(|| Failure::transient(number::END_OF_STREAM)))
}

async fn addresses(services: &Services, host: &Host, keyword: &str) -> Result<Vec<IpAddr>, Failure> {
    let name = &host.gateway.host.host;
    let mut found = match name.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => services
            .resolver
            .addresses(name)
            .await
            .map_err(|dns| Failure::transient_because(dns.code, dns.text))?,
    };
    if let Some(bind) = host.gateway.options.out_bind {
        found.retain(|address| address.is_ipv4() == bind.is_ipv4());
    }
    found.truncate(ADDRESSES_MAX);
    if !found.is_empty() {
        return Ok(found);
    }
    let error = number::DNS_RECORD_NOT_FOUND;
    Err(match keyword {
        // The domain itself has no address: nobody will ever take its mail (`mailflow.md` 4.6).
        "FF" => Failure::permanent(error, crate::status::xmail_error_text(error)),
        _ => Failure::transient(error),
    }
    .with_info(name.to_string()))
}

async fn connect(services: &Services, host: &Host, address: IpAddr) -> std::io::Result<Stream> {
    let peer = SocketAddr::new(address, host.gateway.host.port_or(services.smtp_port));
    let bind = host.gateway.options.out_bind.map(|local| SocketAddr::new(local, 0));
    Stream::connect(peer, bind, CONNECT_TIMEOUT).await
}

/// `HeloDomain`, else the name of our address, else the address as a literal (RFC 5321 §4.1.3; XMail sends it
/// bare; decision 143).
async fn helo(services: &Services, snapshot: &Snapshot, local: IpAddr) -> String {
    if let Some(name) = snapshot.server.text(&variables::HELO_DOMAIN) {
        return name.to_owned();
    }
    let local = local.to_canonical();
    services.resolver.ptr(local).await.unwrap_or_else(|| match local {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    })
}

/// `userauth/smtp`, also for hosts from MX records, whose final dot does not count (decision 142).
fn login(snapshot: &Snapshot, host: &Host) -> Result<Login, Failure> {
    let Some(file) = snapshot.smtp_client_auth(&host.gateway.host.host) else { return Ok(None) };
    let row = file.credentials().map_err(|_| Failure::transient(BAD_AUTH_CONFIG))?;
    Ok(row.map(|row| {
        let mechanism = match row.mechanism {
            ClientMechanism::Plain => Mechanism::Plain,
            ClientMechanism::Login => Mechanism::Login,
            ClientMechanism::CramMd5 => Mechanism::CramMd5,
        };
        (mechanism, row.user.to_vec(), row.password.to_vec())
    }))
}

fn entry(outgoing: &Outgoing<'_>, keyword: &str, host: &str, failure: &Failure) -> slog::Entry {
    let (who, server) = match outgoing.style {
        Style::Smail => ("SMAIL", Some(host)),
        Style::Usmail => ("USMAIL", None),
    };
    let file = outgoing.file;
    let line = format!(
        "{who} SMTP-Send {keyword} = \"{host}\" SMTP = \"{}\" From = \"{}\" To = \"{}\" Failed !",
        file.header.smtp_domain, file.reverse_path, file.forward_path
    );
    failure.to_entry(line, server)
}

fn shuffle(hosts: &mut [Host]) {
    for last in (1..hosts.len()).rev() {
        let random = getrandom::u64().unwrap_or(0);
        let pick = usize::try_from(random % (last as u64 + 1)).unwrap_or(0);
        hosts.swap(last, pick);
    }
}

/// A connection and where its dialogue stands.
struct Link {
    connection: Connection,
    dialogue: Dialogue,
    /// Reading or writing failed: not even QUIT is said.
    is_broken: bool,
    tls: Option<(Arc<ClientTls>, String)>,
}

impl Link {
    async fn transact(&mut self, outgoing: &Outgoing<'_>) -> Result<Reply, Failure> {
        let action = self.dialogue.begin(outgoing.envelope.clone());
        let reply = self.drive(action, Some(outgoing)).await?;
        reply.ok_or_else(|| Failure::transient(number::SERVER_RESPONSE))
    }

    /// Runs the dialogue until it is ready (`None`) or a transaction is over.
    async fn drive(
        &mut self,
        mut action: Action,
        message: Option<&Outgoing<'_>>,
    ) -> Result<Option<Reply>, Failure> {
        loop {
            action = match action {
                Action::Exchange(octets, wait) => {
                    self.connection.queue(&octets);
                    match self.read_reply(wait).await {
                        Ok(reply) => self.dialogue.on_reply(&reply),
                        // A server that refused and hung up has refused.
                        Err(broken) => return Err(self.dialogue.refusal().unwrap_or(broken)),
                    }
                }
                Action::StartTls => {
                    self.start_tls().await?;
                    self.dialogue.on_tls()
                }
                Action::SendMessage => {
                    // The dialogue asks for a message only inside a transaction.
                    let Some(outgoing) = message else { return Err(self.broken(number::SERVER_RESPONSE)) };
                    self.send_message(outgoing.file).await?;
                    outgoing.has_sent.store(true, Ordering::Relaxed);
                    let reply = self.read_reply(FINAL_DOT_TIMEOUT).await?;
                    self.dialogue.on_reply(&reply)
                }
                Action::Ready => return Ok(None),
                Action::Finished(result) => return result.map(Some),
            };
        }
    }

    async fn start_tls(&mut self) -> Result<(), Failure> {
        let handshake = match &self.tls {
            Some((client, host)) => self.connection.start_client_tls(client, host).await,
            None => return Err(self.broken(TLS_CONNECT)),
        };
        handshake.map_err(|error| {
            tracing::info!(%error, "STARTTLS failed");
            self.broken(TLS_CONNECT)
        })
    }

    async fn read_reply(&mut self, wait: Duration) -> Result<Reply, Failure> {
        let mut reader = ReplyReader::default();
        loop {
            let line = match self.connection.read_line(REPLY_LINE_BYTES_MAX, wait).await {
                Ok(Line::Text(line, _)) => line,
                Ok(Line::TooLong) => return Err(self.broken(number::LINE_TOO_LONG)),
                Err(ReadError::Timeout(_)) => return Err(self.broken(TIMEOUT)),
                Err(ReadError::Eof | ReadError::Io(_)) => return Err(self.broken(number::END_OF_STREAM)),
            };
            match reader.push(&line) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(_) => return Err(self.broken(number::SMTP_RESPONSE)),
            }
        }
    }

    /// The stored message as the wire has it, and the final dot. When reading fails the connection is left without
    /// the dot, so that no server takes half a message for a whole one.
    async fn send_message(&mut self, file: &SpoolFile) -> Result<(), Failure> {
        match file.in_memory() {
            Some(pieces) => self.send_pieces(&pieces).await?,
            None => self.send_file(file).await?,
        }
        self.connection.queue(END_OF_DATA);
        self.connection.flush().await.map_err(|_| self.broken(number::END_OF_STREAM))
    }

    async fn send_pieces(&mut self, pieces: &[&[u8]]) -> Result<(), Failure> {
        let (mut to_wire, mut ready) = (ToCrlf::default(), Vec::new());
        for piece in pieces {
            to_wire.push(piece, &mut ready);
        }
        to_wire.finish(&mut ready);
        self.connection.write_all(&ready).await.map_err(|_| self.broken(number::END_OF_STREAM))
    }

    async fn send_file(&mut self, file: &SpoolFile) -> Result<(), Failure> {
        let source = file.clone();
        let opened = tokio::task::spawn_blocking(move || source.open()).await;
        let Ok(Ok(data)) = opened else { return Err(self.broken(number::FILE_OPEN)) };
        let mut data = tokio::fs::File::from_std(data);
        let (mut to_wire, mut piece, mut ready) = (ToCrlf::default(), vec![0; READ_BYTES], Vec::new());
        loop {
            let count = data.read(&mut piece).await.map_err(|_| self.broken(number::FILE_OPEN))?;
            ready.clear();
            match count {
                0 => to_wire.finish(&mut ready),
                _ => to_wire.push(&piece[..count], &mut ready),
            }
            self.connection.write_all(&ready).await.map_err(|_| self.broken(number::END_OF_STREAM))?;
            if count == 0 {
                return Ok(());
            }
        }
    }

    fn broken(&mut self, error: i32) -> Failure {
        self.is_broken = true;
        Failure::transient(error)
    }

    /// Says goodbye in the background, when the connection still carries anything.
    fn leave(mut self) {
        if self.is_broken {
            return;
        }
        tokio::spawn(async move {
            self.connection.queue(b"QUIT\r\n");
            if self.connection.flush().await.is_ok() {
                let _ = self.connection.read_line(REPLY_LINE_BYTES_MAX, QUIT_TIMEOUT).await;
            }
        });
    }
}

/// XMail's error numbers that only the client uses (`mailflow.md` 16).
const TIMEOUT: i32 = 5;
const BAD_AUTH_CONFIG: i32 = 145;
const TLS_CONTEXT: i32 = 232;
const TLS_CONNECT: i32 = 234;
