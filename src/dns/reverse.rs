//! Names of addresses: `/etc/hosts` first, then PTR, as getnameinfo(3) does for XMail.
//!
//! The resolver library answers for all of 127.0.0.0/8 by itself (`localhost`), where XMail asks (recorded:
//! smtp_opt_rdns), and picks any of a line's names; so this goes to its name server pool directly. Answers are
//! not cached, and the hosts file is read each time, like XMail does.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

/// Asks for the names of addresses.
pub(super) struct ReverseNames {
    pool: NameServerPool<TokioRuntimeProvider>,
    hosts_file: Option<PathBuf>,
}

impl std::fmt::Debug for ReverseNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReverseNames").field("hosts_file", &self.hosts_file).finish_non_exhaustive()
    }
}

impl ReverseNames {
    pub(super) fn new(
        servers: &ResolverConfig,
        options: &ResolverOpts,
        hosts_file: Option<PathBuf>,
    ) -> Result<Self, NetError> {
        let context = Arc::new(PoolContext::new(options.clone(), TlsConfig::new()?));
        let provider = TokioRuntimeProvider::default();
        let pool = NameServerPool::from_config(servers.name_servers().to_vec(), context, provider);
        Ok(Self { pool, hosts_file })
    }

    /// The first name, without trailing dot.
    pub(super) async fn of(&self, address: IpAddr) -> Option<String> {
        let address = address.to_canonical();
        let hosts = self.hosts_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        if let Some(name) = hosts.and_then(|text| name_in_hosts(&text, address)) {
            return Some(name);
        }
        let mut options = DnsRequestOptions::default();
        options.recursion_desired = true;
        let answer = self.pool.lookup(Query::query(Name::from(address), RecordType::PTR), options);
        let response = super::limited(answer.first_answer()).await.ok()?;
        response.answers.iter().find_map(|record| match &record.data {
            RData::PTR(ptr) => Some(ptr.0.to_ascii().trim_end_matches('.').to_owned()),
            _ => None,
        })
    }
}

/// The canonical (first) name on the first line of hosts(5) for the address.
fn name_in_hosts(text: &str, address: IpAddr) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let is_it = words.next()?.parse() == Ok(address);
        words.next().filter(|_| is_it).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files_name_addresses() {
        let hosts = "# 10.0.0.1 comment\n\n127.0.0.1\tlocalhost local\n10.0.0.1 # none\n10.0.0.1 a.test a\n\
                     10.0.0.1 b.test\n::1 six\nbroken line";
        let check = |address: &str, expected: Option<&str>| {
            assert_eq!(name_in_hosts(hosts, address.parse().unwrap()).as_deref(), expected, "{address}");
        };
        check("127.0.0.1", Some("localhost"));
        check("10.0.0.1", Some("a.test"));
        check("::1", Some("six"));
        check("127.0.0.6", None);
    }
}
