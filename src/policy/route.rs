//! Where a message goes: pure decisions over a snapshot (`mailflow.md` 3.6, 4.1, 4.6).
//!
//! ```text
//! RCPT -> routed      the route of smtpgw.tab in front of the path, kept in the spool
//! spool -> target     a command file, an account of ours, or somebody else's
//! remote -> route     smtpfwd.tab, DefaultSMTPGateways, an address, or the domain's mail exchangers
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use crate::address::{ForwardPath, Mailbox, ReversePath};
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::command_file::CommandFile;
use crate::mailroot::routing::{Gateway, GatewayList, GatewayOptions, HostPort, SmtpFwd};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Account, AccountKind, Fact, Loaded, MailRoot, Miss, Snapshot, Step, Trail};

/// What is done with a message.
#[derive(Clone, Debug)]
pub enum Target {
    /// A file of `cmdaliases/`; `None`: the message carries its own copy and the file is gone.
    CommandAlias(Option<Commands>),
    /// A user.
    User(Arc<Account>),
    /// A mailing list.
    List(Arc<Account>),
    /// A handled domain without such a user: local part, domain.
    UnknownUser(String, String),
    /// A file of `custdomains/`; `None` as above.
    CustomDomain(Option<Commands>),
    /// Somebody else's.
    Remote,
}

/// A command file and where it is.
#[derive(Clone, Debug)]
pub struct Commands {
    /// Relative to the MailRoot.
    pub path: PathBuf,
    /// Its lines.
    pub file: Loaded<CommandFile>,
}

impl Commands {
    fn of((path, file): (PathBuf, Loaded<CommandFile>)) -> Self {
        Self { path, file }
    }
}

/// The steps 3 to 7 of `mailflow.md` 4.1. `has_copy`: the message carries a private copy of its commands. May block.
pub fn target(snapshot: &Snapshot, path: &ForwardPath, has_copy: bool, trail: &mut impl Trail) -> Target {
    let path = path.path();
    let domain = path.first_domain().as_str();
    // A routed path has no user here: the route's host is a domain of its own.
    let user = if path.is_routed() { "" } else { path.mailbox.local_part.as_str() };
    if !path.is_routed()
        && let Some(found) = snapshot.cmdalias_noting(domain, user, trail)
    {
        return Target::CommandAlias(Some(Commands::of(found)));
    }
    if snapshot.handles_noting(domain, trail) {
        if has_copy && !path.is_routed() {
            return Target::CommandAlias(None);
        }
        return match snapshot.resolve_noting(domain, user, trail) {
            Some(found) if found.account.kind == AccountKind::User => Target::User(found.account),
            Some(found) => Target::List(found.account),
            None => Target::UnknownUser(user.to_owned(), domain.to_owned()),
        };
    }
    match snapshot.custdomain_at(domain) {
        Some(found) => {
            let fact = || Fact::CustomDomain { domain: domain.to_owned() };
            trail.note(|| Step::new(fact()).by(&found.0, 0));
            Target::CustomDomain(Some(Commands::of(found)))
        }
        None if has_copy => Target::CustomDomain(None),
        None => Target::Remote,
    }
}

/// The path with the route of `smtpgw.tab` in front. A route that cannot be written is no route; `check` reports it.
pub fn routed(snapshot: &Snapshot, given: &Mailbox, trail: &mut impl Trail) -> ForwardPath {
    let row = snapshot.smtp_gw.route_for(given.domain.as_str());
    let usable = row.filter(|row| row.hosts().is_some());
    let path = usable.and_then(|row| ForwardPath::with_route(row.route.as_bytes(), given.clone()).ok());
    if let Some(row) = row {
        trail.note(|| {
            let step = Step::new(Fact::GatewayRoute { route: row.route.to_string() });
            match path {
                Some(_) => step.by("smtpgw.tab", row.line),
                None => step.near("smtpgw.tab", [(row.line, Miss::NotARoute)]),
            }
        });
    }
    path.unwrap_or_else(|| given.clone().into())
}

/// How a remote domain is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// These hosts.
    Hosts(HostList),
    /// The domain's mail exchangers, else its own address.
    Exchangers {
        /// The domain.
        domain: String,
        /// Options of all connections.
        options: GatewayOptions,
    },
}

/// Hosts to be tried in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList {
    /// What the slog calls this way.
    pub keyword: &'static str,
    /// What the smail log calls it.
    pub medium: &'static str,
    /// The hosts with what logs call them.
    pub hosts: Vec<Host>,
    /// Shuffle at every use.
    pub is_random: bool,
}

/// One host to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// In logs.
    pub label: String,
    /// Name or address, port, options.
    pub gateway: Gateway,
}

impl HostList {
    /// A list from a table: `own` as written, which is what the logs show, `effective` with all options.
    pub fn of_gateways(
        keyword: &'static str,
        medium: &'static str,
        own: &GatewayList,
        effective: GatewayList,
    ) -> Self {
        let labels = own.hosts.iter().map(|gateway| match keyword {
            // The options of smtpfwd.tab stand in a column of their own, which XMail does not show.
            "MX" | "FWD" => gateway.host.to_string(),
            _ => label_with_options(gateway),
        });
        let hosts = labels.zip(effective.hosts).map(|(label, gateway)| Host { label, gateway }).collect();
        Self { keyword, medium, hosts, is_random: effective.random }
    }

    /// A list of one host.
    pub fn single(keyword: &'static str, host: &str, options: GatewayOptions) -> Self {
        let gateway = Gateway { host: HostPort { host: host.into(), port: None }, options };
        let hosts = vec![Host { label: host.to_owned(), gateway }];
        Self { keyword, medium: "SMTP", hosts, is_random: false }
    }
}

/// XMail's logs show host and options as they were written (golden `mailproc_smtprelay_rnd`).
fn label_with_options(gateway: &Gateway) -> String {
    use crate::mailroot::routing::NeedTls;
    let mut label = gateway.host.to_string();
    if let Some(need) = gateway.options.need_tls {
        let number = match need {
            NeedTls::No => 0,
            NeedTls::IfOffered => 1,
            NeedTls::Required => 2,
        };
        label.push_str(&format!(",NeedTLS={number}"));
    }
    if let Some(address) = gateway.options.out_bind {
        label.push_str(&format!(",OutBind={address}"));
    }
    label
}

/// The precedence of `mailflow.md` 4.6.
pub fn route(snapshot: &Snapshot, path: &ForwardPath, trail: &mut impl Trail) -> Route {
    let options = snapshot.server.smtp_gw_config();
    let first = path.path().first_domain();
    if path.path().is_routed() {
        trail.note(|| Step::new(Fact::RoutedTo { host: first.host_text().to_owned() }));
        return Route::Hosts(HostList::single("CMX", first.host_text(), options));
    }
    let domain = first.as_str();
    let shown = |list: &GatewayList| list.hosts.iter().map(|gateway| gateway.host.to_string()).collect();
    if let Some(row) = snapshot.smtp_fwd.matching(domain) {
        let near = || snapshot.smtp_fwd.rows().iter().filter(|other| other.line > row.line);
        let near = || near().filter(|other| other.is_about(domain)).map(|other| (other.line, Miss::Later));
        let fact = || Fact::ForwardHosts { hosts: shown(&row.gateways) };
        trail.note(|| Step::new(fact()).by(SMTPFWD, row.line).near(SMTPFWD, near()));
        let effective = row.gateways.clone().with_options(options);
        return Route::Hosts(HostList::of_gateways("FWD", "FWD", &row.gateways, effective));
    }
    if let Some(list) = snapshot.server.default_smtp_gateways() {
        let rows =
            || snapshot.variable_rows([&*variables::DEFAULT_SMTP_GATEWAYS, &*variables::SMTP_GW_CONFIG]);
        trail.note(|| Step::new(Fact::DefaultGateways { hosts: shown(&list) }).by_all(rows()));
        return Route::Hosts(HostList::of_gateways("MX", "SMTP", &list, list.clone()));
    }
    let bare = domain.parse().ok();
    if let Some(address) = first.literal_address().or(bare) {
        trail.note(|| Step::new(Fact::AddressLiteral { address: address.to_string() }));
        return Route::Hosts(HostList::single("IP", &address.to_string(), options));
    }
    let domain = first.host_text().to_owned();
    trail.note(|| Step::new(Fact::Exchangers { domain: domain.clone() }));
    Route::Exchangers { domain, options }
}

/// [`route`] for mail from a sender: relays of an account of ours, then of its domain, go before those of the server
/// (`jdmail.md` JD-42, JD-99). May block.
pub fn route_from(
    snapshot: &Snapshot,
    sender: &ReversePath,
    path: &ForwardPath,
    trail: &mut impl Trail,
) -> Route {
    let own = sender.mailbox().filter(|_| !path.path().is_routed());
    let own = own.and_then(|sender| own_relay(snapshot, sender, path, trail));
    own.unwrap_or_else(|| route(snapshot, path, trail))
}

fn own_relay(
    snapshot: &Snapshot,
    sender: &Mailbox,
    path: &ForwardPath,
    trail: &mut impl Trail,
) -> Option<Route> {
    let (domain, name) = (snapshot.real_domain(sender.domain.as_str()), sender.local_part.as_str());
    let domain = &*snapshot.domains.get(domain)?.domain;
    let account = snapshot.users.get(domain, name).map(|account| MailRoot::account_directory(account));
    let directories =
        account.into_iter().chain(is_plain_name(domain).then(|| MailRoot::domain_directory(domain)));
    directories.map(|directory| directory.join(SMTPFWD)).find_map(|file| {
        let table = snapshot.file::<SmtpFwd>(&file);
        let row = table.matching(path.path().first_domain().as_str())?;
        if row.gateways.hosts.is_empty() {
            // Nothing that could be tried; `check` reports the row.
            return None;
        }
        trail.note(|| {
            let hosts = row.gateways.hosts.iter().map(|gateway| gateway.host.to_string()).collect();
            Step::new(Fact::ForwardHosts { hosts }).by(&file, row.line)
        });
        let effective = row.gateways.clone().with_options(snapshot.server.smtp_gw_config());
        Some(Route::Hosts(HostList::of_gateways("FWD", "FWD", &row.gateways, effective)))
    })
}

/// The file of hosts that take mail for domains.
const SMTPFWD: &str = "smtpfwd.tab";

#[cfg(test)]
mod tests;
