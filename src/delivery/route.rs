//! Where a message goes: pure decisions over a snapshot (`mailflow.md` 4.1, 4.6).

use std::sync::Arc;

use crate::address::{ForwardPath, ReversePath};
use crate::mailroot::command_file::{Command, CommandFile};
use crate::mailroot::routing::{Gateway, GatewayList, GatewayOptions, HostPort};
use crate::mailroot::{Account, AccountKind, Loaded, Snapshot};
use crate::spool::Lane;

/// What is done with a message.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A file of `cmdaliases/`; `None`: the message carries its own copy and the file is gone.
    CommandAlias(Option<Loaded<CommandFile>>),
    /// A user.
    User(Arc<Account>),
    /// A mailing list.
    List(Arc<Account>),
    /// A handled domain without such a user: local part, domain.
    UnknownUser(String, String),
    /// A file of `custdomains/`; `None` as above.
    CustomDomain(Option<Loaded<CommandFile>>),
    /// Somebody else's.
    Remote,
}

/// The steps 3 to 7 of `mailflow.md` 4.1. `has_copy`: the message carries a private copy of its commands.
pub(super) fn target(snapshot: &Snapshot, path: &ForwardPath, has_copy: bool) -> Target {
    let path = path.path();
    let domain = path.first_domain().as_str();
    // A routed path has no user here: the route's host is a domain of its own.
    let user = if path.is_routed() { "" } else { path.mailbox.local_part.as_str() };
    if !path.is_routed()
        && let Some(file) = snapshot.cmdalias(domain, user)
    {
        return Target::CommandAlias(Some(file));
    }
    if snapshot.handles(domain) {
        return match snapshot.resolve(domain, user) {
            _ if has_copy && !path.is_routed() => Target::CommandAlias(None),
            Some(found) if found.account.kind == AccountKind::User => Target::User(found.account),
            Some(found) => Target::List(found.account),
            None => Target::UnknownUser(user.to_owned(), domain.to_owned()),
        };
    }
    match snapshot.custdomain(domain) {
        Some(file) => Target::CustomDomain(Some(file)),
        None if has_copy => Target::CustomDomain(None),
        None => Target::Remote,
    }
}

/// Which lane of the outbox a recipient stands in; `first_part` is `user@domain` or `@host`.
///
/// What may wait for others (a remote server, a program) has a lane of its own, so that a slow one delays nobody else
/// (decision 147). Domains that go through the same hosts share a lane: the hosts get no more than one destination's
/// connections, which are used again across the domains.
pub(super) fn lane_of(snapshot: &Snapshot, first_part: &str) -> Lane {
    let own = || Lane::Remote(first_part.to_ascii_lowercase().into());
    let Some((user, domain)) = first_part.split_once('@') else { return Lane::Local };
    if !user.is_empty() && snapshot.cmdalias(domain, user).is_some() {
        return own();
    }
    if !snapshot.handles(domain) {
        return Lane::Remote(destination(snapshot, user, domain).into());
    }
    let account = snapshot.resolve(domain, user).map(|found| found.account);
    let waits = |row: &crate::mailroot::command_file::CommandRow| {
        matches!(row.command, Command::External(_) | Command::Filter(_) | Command::SmtpRelay(_))
    };
    let is_slow = account
        .filter(|account| account.kind == AccountKind::User)
        .is_some_and(|account| snapshot.mailproc(&account).iter().any(|file| file.rows().iter().any(waits)));
    if is_slow { own() } else { Lane::Local }
}

/// The name of a remote lane, along [`route`]: the hosts of a table row, else the domain.
fn destination(snapshot: &Snapshot, user: &str, domain: &str) -> String {
    let own = domain.to_ascii_lowercase();
    // `@host` is a route, whose host no table replaces; commands of a custom domain choose their own ways.
    if user.is_empty() || snapshot.custdomain(domain).is_some() {
        return own;
    }
    let hosts = |list: &GatewayList| list.hosts.iter().map(|gateway| format!("{};", gateway.host)).collect();
    if let Some(row) = snapshot.smtp_fwd.matching(domain) {
        return hosts(&row.gateways);
    }
    snapshot.server.default_smtp_gateways().map_or(own, |list| hosts(&list))
}

/// How a remote domain is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
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
pub(super) struct HostList {
    /// What the slog calls this way.
    pub(super) keyword: &'static str,
    /// What the smail log calls it.
    pub(super) medium: &'static str,
    /// The hosts with what logs call them.
    pub(super) hosts: Vec<Host>,
    /// Shuffle at every use.
    pub(super) is_random: bool,
}

/// One host to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// In logs.
    pub(super) label: String,
    /// Name or address, port, options.
    pub(super) gateway: Gateway,
}

impl HostList {
    /// A list from a table: `own` as written, which is what the logs show, `effective` with all options.
    pub(super) fn of_gateways(
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
    pub(super) fn single(keyword: &'static str, host: &str, options: GatewayOptions) -> Self {
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
pub(super) fn route(snapshot: &Snapshot, path: &ForwardPath) -> Route {
    let options = snapshot.server.smtp_gw_config();
    let first = path.path().first_domain();
    if path.path().is_routed() {
        return Route::Hosts(HostList::single("CMX", first.host_text(), options));
    }
    let domain = first.as_str();
    if let Some(row) = snapshot.smtp_fwd.matching(domain) {
        let effective = row.gateways.clone().with_options(options);
        return Route::Hosts(HostList::of_gateways("FWD", "FWD", &row.gateways, effective));
    }
    if let Some(list) = snapshot.server.default_smtp_gateways() {
        return Route::Hosts(HostList::of_gateways("MX", "SMTP", &list, list.clone()));
    }
    let bare = domain.parse().ok();
    if let Some(address) = first.literal_address().or(bare) {
        return Route::Hosts(HostList::single("IP", &address.to_string(), options));
    }
    Route::Exchangers { domain: first.host_text().to_owned(), options }
}

/// The envelope's paths as told to the server: a route's first host gets the rest of the route, and the way back
/// through itself (`mailflow.md` 4.6; golden `spool_smtpgw`).
pub(super) fn wire_paths(sender: &ReversePath, recipient: &ForwardPath) -> (String, String) {
    match recipient.behind_first_hop() {
        Some(rest) => {
            let back = sender.clone().with_hop(recipient.path().first_domain().clone());
            (back.to_string(), rest.to_string())
        }
        None => (sender.to_string(), recipient.to_string()),
    }
}

#[cfg(test)]
mod tests;
