//! What follows from a route: the lane of the outbox, and the paths as told to the next server. Where a message goes
//! is decided in [`crate::policy::route`].

use crate::address::{ForwardPath, ReversePath};
use crate::mailroot::command_file::{Command, CommandRow};
use crate::mailroot::routing::GatewayList;
use crate::mailroot::{AccountKind, Snapshot};
use crate::spool::Lane;

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
    let waits = |row: &CommandRow| {
        matches!(row.command, Command::External(_) | Command::Filter(_) | Command::SmtpRelay(_))
    };
    let is_slow = account
        .filter(|account| account.kind == AccountKind::User)
        .is_some_and(|account| snapshot.mailproc(&account).iter().any(|file| file.rows().iter().any(waits)));
    if is_slow { own() } else { Lane::Local }
}

/// The name of a remote lane, along [`route`](crate::policy::route::route): the hosts of a table row, else the domain.
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
