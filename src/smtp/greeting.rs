//! Whether a peer gets a session: the checks of `mailflow.md` 3.1 in their order, with the facts they need.
//!
//! Names and listings are asked of the DNS only where a table or variable wants them. A DNS that does not answer counts
//! as "not listed" and "no name": mail must not stop because a list is down.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::serve::Services;
use crate::durable;
use crate::mailroot::Snapshot;
use crate::mailroot::schema::server as variables;
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

/// Runs the checks; the first failure ends them.
///
/// # Errors
/// [`Refusal`]: the reply instead of the greeting.
pub async fn admit(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    peer: IpAddr,
    local: SocketAddr,
) -> Result<Admission, Refusal> {
    if !snapshot.server.exists() {
        return Err(Refusal::NoServerTab);
    }
    check_resources(services, snapshot).await?;

    let rdns_check = snapshot.server.integer(&variables::SMTP_RDNS_CHECK);
    let mut name = None;
    if snapshot.host_properties.exists() {
        name = services.resolver.ptr(peer).await;
    }
    let properties = properties(snapshot, peer, name.as_deref())?;
    let mut standing = Standing::by_address(snapshot, peer, properties)?;
    let mut peer_name = String::new();
    if !properties.white_list {
        check_maps(services, snapshot, peer, &mut standing).await?;
        if rdns_check != 0 {
            if name.is_none() {
                name = services.resolver.ptr(peer).await;
            }
            match name {
                Some(name) => peer_name = name,
                None => standing.without_ptr(rdns_check),
            }
        }
    }
    let own_name = match snapshot.server.text(&variables::SMTP_SERVER_DOMAIN) {
        Some(domain) => Some(domain.to_owned()),
        None => services.resolver.ptr(local.ip().to_canonical()).await,
    };
    let server_domain = server_domain(snapshot, own_name.as_deref()).ok_or(Refusal::NoServerDomain)?;
    let server_name = own_name.unwrap_or_else(|| server_domain.clone());
    Ok(Admission { standing, peer_name, server_name, server_domain })
}

/// Disk and memory, where `server.tab` asks for a minimum; otherwise nothing is looked at.
async fn check_resources(services: &Services, snapshot: &Snapshot) -> Result<(), Refusal> {
    let is_wanted = |variable| snapshot.server.kilobytes(variable).is_some();
    let (wants_disk, wants_memory) =
        (is_wanted(&variables::SMTP_MIN_DISK_SPACE), is_wanted(&variables::SMTP_MIN_VIRT_MEM_SPACE));
    if !wants_disk && !wants_memory {
        return Ok(());
    }
    let root = services.spool.root().path().to_owned();
    let look = move || {
        let disk = wants_disk.then(|| durable::free_space(&root).ok()).flatten();
        let memory = wants_memory.then(net::free_memory_bytes).flatten();
        (disk, memory)
    };
    let (disk, memory) = super::answers::blocking(look).await.unwrap_or_default();
    resources(&snapshot.server, disk, memory)
}

/// Scanning stops at the first hit (`mailflow.md` 3.1).
async fn check_maps(
    services: &Services,
    snapshot: &Snapshot,
    peer: IpAddr,
    standing: &mut Standing,
) -> Result<(), Refusal> {
    for zone in map_zones(&snapshot.server) {
        match services.resolver.listed(peer, &zone.zone).await {
            Ok(true) => return standing.listed_in(&zone),
            Ok(false) => {}
            Err(failure) => tracing::warn!(%peer, zone = %zone.zone, %failure, "DNS list does not answer"),
        }
    }
    Ok(())
}
