//! Whether a peer gets a session: the checks of `mailflow.md` 3.1 in their order, with the facts they need.
//!
//! Names and listings are asked of the DNS only where a table or variable wants them. A DNS that does not answer counts
//! as "not listed" and "no name": mail must not stop because a list is down.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::dns::Resolver;
use crate::durable;
use crate::mailroot::schema::{self, server as variables};
use crate::mailroot::trail::DnsQuestion;
use crate::mailroot::{Fact, Snapshot, Step, Trail};
use crate::net;
use crate::policy::connection::{map_zones, properties, resources, server_domain};
use crate::policy::{Refusal, Standing};

/// What is known when the greeting is sent.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Marks, delay and properties.
    pub standing: Standing,
    /// The peer's name, if reverse DNS ran for `SMTP-RDNSCheck`; the last column of the log.
    pub peer_name: String,
    /// Our own name for the log: `SmtpServerDomain`, or the PTR of our address.
    pub server_name: String,
    /// The domain of the greeting.
    pub server_domain: String,
}

/// Runs the checks; the first failure ends them. Without a resolver nothing is asked of the DNS, and what it might say
/// against the peer is taken as not said.
///
/// # Errors
/// [`Refusal`]: the reply instead of the greeting.
pub async fn admit(
    resolver: Option<&Resolver>,
    snapshot: &Arc<Snapshot>,
    peer: IpAddr,
    local: SocketAddr,
    trail: &mut (impl Trail + Send),
) -> Result<Admission, Refusal> {
    if !snapshot.server.exists() {
        trail.note(|| Step::new(Fact::NoServerTab));
        return Err(Refusal::NoServerTab);
    }
    check_resources(snapshot, trail).await?;

    let rdns_check = snapshot.server.integer(&variables::SMTP_RDNS_CHECK);
    let mut name = None;
    if snapshot.host_properties.exists() {
        name = name_of(resolver, peer, trail).await;
    }
    let properties = properties(snapshot, peer, name.as_deref(), trail)?;
    let mut standing = Standing::by_address(snapshot, peer, properties, trail)?;
    let mut peer_name = String::new();
    if !properties.white_list {
        check_maps(resolver, snapshot, peer, &mut standing, trail).await?;
        if rdns_check != 0 {
            if name.is_none() {
                name = name_of(resolver, peer, trail).await;
            }
            match name {
                Some(name) => peer_name = name,
                None => {
                    let rows = || snapshot.variable_rows([&*variables::SMTP_RDNS_CHECK]);
                    trail.note(|| Step::new(Fact::NoName { code: rdns_check }).by_all(rows()));
                    standing.without_ptr(rdns_check);
                }
            }
        }
    }
    let own_name = match (snapshot.server.text(&variables::SMTP_SERVER_DOMAIN), resolver) {
        (Some(domain), _) => Some(domain.to_owned()),
        (None, Some(resolver)) => resolver.ptr(local.ip().to_canonical()).await,
        (None, None) => None,
    };
    let Some(server_domain) = server_domain(snapshot, own_name.as_deref()) else {
        trail.note(|| Step::new(Fact::NoServerDomain));
        return Err(Refusal::NoServerDomain);
    };
    let server_name = own_name.unwrap_or_else(|| server_domain.clone());
    Ok(Admission { standing, peer_name, server_name, server_domain })
}

/// The peer's name; empty where nobody may be asked, which is a name that no row is about.
async fn name_of(
    resolver: Option<&Resolver>,
    peer: IpAddr,
    trail: &mut (impl Trail + Send),
) -> Option<String> {
    let Some(resolver) = resolver else {
        trail.note(|| Step::new(Fact::NotAsked(DnsQuestion::NameOf(peer))));
        return Some(String::new());
    };
    let name = resolver.ptr(peer).await;
    trail.note(|| Step::new(Fact::ReverseName(name.clone())));
    name
}

/// Disk and memory, where `server.tab` asks for a minimum; otherwise nothing is looked at.
async fn check_resources(snapshot: &Snapshot, trail: &mut (impl Trail + Send)) -> Result<(), Refusal> {
    let is_wanted = |variable| snapshot.server.kilobytes(variable).is_some();
    let (wants_disk, wants_memory) =
        (is_wanted(&variables::SMTP_MIN_DISK_SPACE), is_wanted(&variables::SMTP_MIN_VIRT_MEM_SPACE));
    if !wants_disk && !wants_memory {
        return Ok(());
    }
    let root = snapshot.root().path().to_owned();
    let look = move || {
        let disk = wants_disk.then(|| durable::free_space(&root).ok()).flatten();
        let memory = wants_memory.then(net::free_memory_bytes).flatten();
        (disk, memory)
    };
    let (disk, memory) = super::answers::blocking(look).await.unwrap_or_default();
    resources(&snapshot.server, disk, memory).inspect_err(|refusal| {
        let variable: &schema::Variable = match refusal {
            Refusal::LowDisk => &variables::SMTP_MIN_DISK_SPACE,
            _ => &variables::SMTP_MIN_VIRT_MEM_SPACE,
        };
        trail
            .note(|| Step::new(Fact::LowResources(variable.name)).by_all(snapshot.variable_rows([variable])));
    })
}

/// Scanning stops at the first hit (`mailflow.md` 3.1).
async fn check_maps(
    resolver: Option<&Resolver>,
    snapshot: &Snapshot,
    peer: IpAddr,
    standing: &mut Standing,
    trail: &mut (impl Trail + Send),
) -> Result<(), Refusal> {
    let rows = || snapshot.variable_rows([&*variables::CUST_MAPS_LIST]);
    for zone in map_zones(&snapshot.server) {
        let Some(resolver) = resolver else {
            let what = || DnsQuestion::Listed { peer, zone: zone.zone.to_string() };
            trail.note(|| Step::new(Fact::NotAsked(what())).by_all(rows()));
            continue;
        };
        let answer = resolver.listed(peer, &zone.zone).await;
        let (name, code) = (|| zone.zone.to_string(), zone.code);
        let listed = answer.as_ref().ok().copied();
        trail.note(|| Step::new(Fact::Zone { zone: name(), code, listed }).by_all(rows()));
        match answer {
            Ok(true) => return standing.listed_in(&zone),
            Ok(false) => {}
            Err(failure) => tracing::warn!(%peer, zone = %zone.zone, %failure, "DNS list does not answer"),
        }
    }
    Ok(())
}
