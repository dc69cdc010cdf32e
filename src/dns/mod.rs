//! The DNS edge: mail exchangers, addresses, names of addresses and listings, with XMail's MX cache on disk.
//!
//! Shape: one cloneable [`Resolver`]. MX queries go to the servers of `SmartDNSHost` in their order, everything
//! else (and MX without `SmartDNSHost`) to the system's servers (`/etc/resolv.conf`, `/etc/hosts`). XMail's own
//! iteration from `dnsroots` is not done: the system's resolver does it. Both files are read when the resolver
//! is made; for names of addresses the hosts file is read each time.
//!
//! Limits: [`UDP_TRIES`] tries of [`TRY_TIMEOUT`] per `SmartDNSHost` server, and [`LOOKUP_TIMEOUT`] for any one
//! question in all. At most [`MX_HOSTS_MAX`] exchangers are kept.
//!
//! Failures: "there is none" is an answer. [`DnsFailure`] means we do not know; it carries XMail's error number
//! and text (mailflow.md 16), and is temporary.
//!
//! Source: mailflow.md 6; mailroot.md 10.4, 10.5; RFC 5321 section 5.1; RFC 7505 (null MX).

mod mx_cache;
mod names;
mod reverse;
mod smart_host;
#[doc(hidden)]
pub mod stub;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::sync::OnceCell;

pub use smart_host::{Protocol, SmartHost, SmartHostError};

use mx_cache::MxCache;
use reverse::ReverseNames;

/// Asks the DNS. Clones share connections and caches, and follow [`Resolver::configure`] together.
#[derive(Clone, Debug)]
pub struct Resolver(Arc<ArcSwap<Servers>>);

#[derive(Debug)]
struct Servers {
    config: Config,
    system: TokioResolver,
    reverse: ReverseNames,
    smart: Vec<SmartServer>,
    family: Family,
    cache: Option<MxCache>,
}

/// A `SmartDNSHost` server, connected to when first needed, since its own name may need a lookup.
#[derive(Debug)]
struct SmartServer {
    host: SmartHost,
    resolver: OnceCell<TokioResolver>,
}

/// What a resolver is made from. Equal configurations make equal resolvers, so compare before replacing one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `server.tab` `SmartDNSHost`, see [`SmartHost::parse_list`].
    pub smart_hosts: Vec<SmartHost>,
    /// Options `-M4`, `-M6`, `-M5`, `-M7`.
    pub family: Family,
    /// Where MX answers are kept; `None` keeps none.
    pub cache: Option<CacheDir>,
    /// Servers (UDP and TCP) to use instead of the system's configuration and `/etc/hosts`.
    pub name_servers: Option<Vec<SocketAddr>>,
}

/// The MX cache of a MailRoot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheDir {
    /// The directory `dnscache` of the MailRoot.
    pub path: PathBuf,
    /// `-MD`: how many sub-directories; raised to the next prime. XMail's default is 101.
    pub directories: u64,
}

/// Which addresses of a host are wanted (mailflow.md 1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// `-M4`: IPv4 only.
    #[default]
    V4Only,
    /// `-M6`: IPv6 only.
    V6Only,
    /// `-M5`: IPv4 before IPv6.
    V4ThenV6,
    /// `-M7`: IPv6 before IPv4.
    V6ThenV4,
}

/// What the DNS says about the mail exchangers of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxAnswer {
    /// By preference, lowest first; equal ones in the answer's order. At least one, at most [`MX_HOSTS_MAX`].
    Hosts(Vec<Mx>),
    /// The domain says it takes no mail (RFC 7505).
    NullMx,
    /// The domain exists and has no MX record; its address records count (RFC 5321 section 5.1).
    NoMx,
    /// There is no such domain (XMail's error 215).
    NoSuchDomain,
    /// We do not know.
    Temporary(DnsFailure),
}

/// One mail exchanger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried earlier.
    pub preference: u16,
    /// The host's name with its trailing dot, as XMail writes it in `slog` and `dnscache`.
    pub host: String,
}

/// Whether something is in the DNS, when that may be unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Yes,
    /// It certainly is not.
    No,
    /// We do not know.
    Unknown(DnsFailure),
}

/// A question without an answer, in XMail's numbers and words (mailflow.md 6, 16).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DnsFailure {
    /// XMail's error number, positive as in the table; `slog` shows it negative.
    pub code: i32,
    /// XMail's text for it.
    pub text: String,
}

/// The resolver could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("name servers: {0}")]
pub struct SetupError(#[source] NetError);

impl Servers {
    fn new(config: Config) -> Result<Self, SetupError> {
        let (servers, mut options) = match &config.name_servers {
            Some(addresses) => (fixed_servers(addresses), direct_options()),
            None => system_servers(),
        };
        options.ip_strategy = match config.family {
            Family::V4Only => LookupIpStrategy::Ipv4Only,
            Family::V6Only => LookupIpStrategy::Ipv6Only,
            Family::V4ThenV6 => LookupIpStrategy::Ipv4AndIpv6,
            Family::V6ThenV4 => LookupIpStrategy::Ipv6AndIpv4,
        };
        let hosts_file = config.name_servers.is_none().then(|| PathBuf::from(HOSTS_FILE));
        let reverse = ReverseNames::new(&servers, &options, hosts_file).map_err(SetupError)?;
        let system = build(servers, options).map_err(SetupError)?;
        let smart =
            config.smart_hosts.iter().cloned().map(|host| SmartServer { host, resolver: OnceCell::new() });
        let cache = config.cache.clone().map(|cache| MxCache::new(cache.path, cache.directories));
        let (smart, family) = (smart.collect(), config.family);
        Ok(Self { config, system, reverse, smart, family, cache })
    }
}

impl Resolver {
    /// Reads the system's configuration and sets up the servers; nothing is asked yet. Needs a tokio runtime.
    ///
    /// A missing or empty `/etc/resolv.conf` means a server on this machine, as resolv.conf(5) has it.
    ///
    /// # Errors
    /// [`SetupError`] when the resolver library refuses the configuration.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(Servers::new(config)?))))
    }

    /// Follows a change of `server.tab`: the same configuration changes nothing, another one replaces all servers.
    /// Questions under way are answered by the old ones.
    ///
    /// # Errors
    /// [`SetupError`] as [`Resolver::new`]; the old servers stay.
    pub fn configure(&self, config: Config) -> Result<(), SetupError> {
        if self.servers().config != config {
            self.0.store(Arc::new(Servers::new(config)?));
        }
        Ok(())
    }

    fn servers(&self) -> Arc<Servers> {
        self.0.load_full()
    }

    /// The mail exchangers of a domain, from the cache while its entry lives.
    ///
    /// With `SmartDNSHost` the first server that answers with exchangers wins, and the last one's answer counts
    /// when none does (mailflow.md 6).
    pub async fn mx(&self, domain: &str) -> MxAnswer {
        let Some(name) = names::fqdn(domain) else {
            return MxAnswer::NoSuchDomain;
        };
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let cached = self.servers().cache.as_ref().and_then(|cache| cache.get(&domain, SystemTime::now()));
        if let Some(hosts) = cached {
            return MxAnswer::Hosts(by_preference(hosts));
        }
        match self.mx_records(name).await {
            Ok(found) => self.accept_mx(&domain, found),
            Err(error) => match Absence::from(error) {
                Absence::NoSuchName => MxAnswer::NoSuchDomain,
                Absence::NoRecord => MxAnswer::NoMx,
                Absence::Unknown(failure) => MxAnswer::Temporary(failure),
            },
        }
    }

    /// The addresses of a host in the wanted families and order. IP addresses, also in brackets (`[10.0.0.1]`,
    /// `[IPv6:::1]`), are their own. Empty when the host has none, or does not exist.
    ///
    /// The domain search list applies to names without a dot only.
    ///
    /// # Errors
    /// [`DnsFailure`] when we do not know.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        if let Some(literal) = names::literal(host) {
            return Ok(vec![literal]);
        }
        let Some(name) = names::host(host) else {
            return Ok(Vec::new());
        };
        match limited(self.servers().system.lookup_ip(name)).await {
            Ok(found) => Ok(found.iter().filter(|address| self.servers().family.allows(*address)).collect()),
            Err(error) => match Absence::from(error) {
                Absence::NoSuchName | Absence::NoRecord => Ok(Vec::new()),
                Absence::Unknown(failure) => Err(failure),
            },
        }
    }

    /// The name of an address, without trailing dot, from `/etc/hosts` or a PTR record; `None` when there is none or we do not know.
    pub async fn ptr(&self, address: IpAddr) -> Option<String> {
        self.servers().reverse.of(address).await
    }

    /// Whether a DNS list names the address: any A or AAAA record at the reversed address in the zone
    /// (`CustMapsList`; RFC 5782 section 2.1, 2.4).
    ///
    /// # Errors
    /// [`DnsFailure`] when we do not know.
    pub async fn listed(&self, address: IpAddr, zone: &str) -> Result<bool, DnsFailure> {
        let Some(name) = names::fqdn(&names::in_list(address, zone)) else {
            return Ok(false);
        };
        for kind in [RecordType::A, RecordType::AAAA] {
            match limited(self.servers().system.lookup(name.clone(), kind)).await {
                Ok(found) if found.answers().iter().any(|record| record.record_type() == kind) => {
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) => match Absence::from(error) {
                    Absence::NoSuchName => return Ok(false),
                    Absence::NoRecord => {}
                    Absence::Unknown(failure) => return Err(failure),
                },
            }
        }
        Ok(false)
    }

    /// Whether mail could be sent to the domain: it has an exchanger or an address (`CheckMailerDomain`,
    /// mailflow.md 3.4). A null MX means no.
    pub async fn has_mx_or_address(&self, domain: &str) -> Presence {
        match self.mx(domain).await {
            MxAnswer::Hosts(_) => Presence::Yes,
            MxAnswer::NullMx => Presence::No,
            MxAnswer::NoMx | MxAnswer::NoSuchDomain => match self.addresses(domain).await {
                Ok(addresses) if addresses.is_empty() => Presence::No,
                Ok(_) => Presence::Yes,
                Err(failure) => Presence::Unknown(failure),
            },
            MxAnswer::Temporary(failure) => match self.addresses(domain).await {
                Ok(addresses) if !addresses.is_empty() => Presence::Yes,
                _ => Presence::Unknown(failure),
            },
        }
    }

    async fn mx_records(&self, name: Name) -> Result<Lookup, NetError> {
        if self.servers().smart.is_empty() {
            return limited(self.servers().system.mx_lookup(name)).await;
        }
        let mut last = NetError::NoConnections;
        for server in &self.servers().smart {
            match limited(self.ask_smart(server, name.clone())).await {
                Ok(found) => return Ok(found),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_smart(&self, server: &SmartServer, name: Name) -> Result<Lookup, NetError> {
        let connect = || async {
            let addresses = self.addresses(&server.host.host).await.unwrap_or_default();
            let servers = addresses.into_iter().map(|ip| server.host.at(ip)).collect::<Vec<_>>();
            match servers.is_empty() {
                true => Err(NetError::NoConnections),
                false => build(ResolverConfig::from_name_servers(servers), direct_options()),
            }
        };
        server.resolver.get_or_try_init(connect).await?.mx_lookup(name).await
    }

    fn accept_mx(&self, domain: &str, found: Lookup) -> MxAnswer {
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::MX(mx) => Some((record.ttl, mx)),
            _ => None,
        });
        let (mut hosts, mut ttl, mut is_null) = (Vec::new(), 0, false);
        for (record_ttl, mx) in records {
            ttl = record_ttl;
            match mx.exchange.is_root() {
                true => is_null = true,
                false => hosts.push(Mx { preference: mx.preference, host: names::with_dot(&mx.exchange) }),
            }
        }
        match (hosts.is_empty(), is_null) {
            (true, true) => return MxAnswer::NullMx,
            (true, false) => return MxAnswer::NoMx,
            (false, _) => {}
        }
        if let Some(cache) = &self.servers().cache
            && let Err(error) = cache.put(domain, ttl, &hosts)
        {
            tracing::warn!(domain, %error, "MX answer not cached");
        }
        MxAnswer::Hosts(by_preference(hosts))
    }
}

impl Family {
    fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::V4Only => address.is_ipv4(),
            Self::V6Only => address.is_ipv6(),
            Self::V4ThenV6 | Self::V6ThenV4 => true,
        }
    }
}

impl DnsFailure {
    fn new(code: i32, text: &str) -> Self {
        Self { code, text: text.to_owned() }
    }
}

/// What an error of the library means.
enum Absence {
    NoSuchName,
    NoRecord,
    Unknown(DnsFailure),
}

impl From<NetError> for Absence {
    fn from(error: NetError) -> Self {
        let failure = match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => return Self::NoSuchName,
                ResponseCode::NoError => return Self::NoRecord,
                code => failure_of(code),
            },
            NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => return Self::NoSuchName,
            NetError::Dns(DnsError::ResponseCode(code)) => failure_of(code),
            NetError::Proto(_) => DnsFailure::new(62, "Bad DNS response"),
            _ => DnsFailure::new(109, "Unable to get UDP DNS response"),
        };
        Self::Unknown(failure)
    }
}

fn failure_of(code: ResponseCode) -> DnsFailure {
    match code {
        ResponseCode::FormErr => DnsFailure::new(255, "Bad DNS query format"),
        ResponseCode::ServFail => DnsFailure::new(256, "Remote DNS server failed"),
        ResponseCode::NotImp => DnsFailure::new(257, "DNS query not supported"),
        ResponseCode::Refused => DnsFailure::new(258, "DNS query refused"),
        _ => DnsFailure::new(62, "Bad DNS response"),
    }
}

fn by_preference(mut hosts: Vec<Mx>) -> Vec<Mx> {
    hosts.sort_by_key(|mx| mx.preference);
    hosts.truncate(MX_HOSTS_MAX);
    hosts
}

async fn limited<T>(lookup: impl Future<Output = Result<T, NetError>>) -> Result<T, NetError> {
    tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await.unwrap_or(Err(NetError::Timeout))
}

fn build(servers: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, NetError> {
    TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default()).with_options(options).build()
}

fn system_servers() -> (ResolverConfig, ResolverOpts) {
    let (servers, mut options) = hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|error| {
        tracing::warn!(%error, "no usable /etc/resolv.conf, asking 127.0.0.1");
        (fixed_servers(&[SocketAddr::from(([127, 0, 0, 1], DNS_PORT))]), direct_options())
    });
    // resolv.conf counts tries, the library counts tries after the first.
    options.attempts = options.attempts.saturating_sub(1);
    options.use_hosts_file = ResolveHosts::Always;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    (servers, options)
}

/// For servers named by the operator: no hosts file, no cache but ours, [`UDP_TRIES`].
fn direct_options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TRY_TIMEOUT;
    options.attempts = UDP_TRIES - 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.cache_size = 0;
    options
}

fn fixed_servers(addresses: &[SocketAddr]) -> ResolverConfig {
    let server =
        |address: &SocketAddr| name_server(*address, vec![ConnectionConfig::udp(), ConnectionConfig::tcp()]);
    ResolverConfig::from_name_servers(addresses.iter().map(server).collect())
}

fn name_server(address: SocketAddr, mut connections: Vec<ConnectionConfig>) -> NameServerConfig {
    connections.iter_mut().for_each(|connection| connection.port = address.port());
    NameServerConfig::new(address.ip(), true, connections)
}

/// Most exchangers tried for one domain. Ours: what an answer of usual size can hold; XMail documents no limit.
pub const MX_HOSTS_MAX: usize = 32;

/// Tries per `SmartDNSHost` server (mailflow.md 6).
pub const UDP_TRIES: usize = 3;

/// How long one try waits. XMail waits 16 s; ours is what resolv.conf(5) has as default.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one question may take at one server in all, whatever resolv.conf says. Ours.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

const DNS_PORT: u16 = 53;

const HOSTS_FILE: &str = "/etc/hosts";

#[cfg(test)]
mod tests;
