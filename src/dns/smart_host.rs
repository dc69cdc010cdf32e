//! `SmartDNSHost`: the servers for MX queries (mailroot.md 8, mailflow.md 6).
//!
//! Shape: `server:udp,server:tcp,...`; ours besides: `server:port:udp`, and IPv6 addresses in brackets.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig};

use super::{DNS_PORT, name_server};

/// One recursive server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartHost {
    /// Its address or name.
    pub host: String,
    /// Its port, 53 unless written.
    pub port: u16,
    /// How it is asked.
    pub protocol: Protocol,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// By UDP, and again by TCP when the answer is truncated.
    Udp,
    /// By TCP only.
    Tcp,
}

/// XMail's error 111.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad SmartDNSHost entry {entry:?}")]
pub struct SmartHostError {
    /// The entry that is not `server:udp` or `server:tcp`.
    pub entry: String,
}

impl SmartHost {
    /// Reads the value of `SmartDNSHost`; an empty value is an empty list.
    ///
    /// # Errors
    /// [`SmartHostError`] with the first bad entry.
    ///
    /// ```
    /// use tabmail::dns::{Protocol, SmartHost};
    /// let hosts = SmartHost::parse_list("10.0.0.53:udp,ns.example.test:tcp").unwrap();
    /// assert_eq!((hosts[1].host.as_str(), hosts[1].port), ("ns.example.test", 53));
    /// assert_eq!(hosts[0].protocol, Protocol::Udp);
    /// ```
    pub fn parse_list(value: &str) -> Result<Vec<Self>, SmartHostError> {
        let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| Self::parse(entry).ok_or_else(|| SmartHostError { entry: entry.to_owned() }))
            .collect()
    }

    fn parse(entry: &str) -> Option<Self> {
        let (server, protocol) = entry.rsplit_once(':')?;
        let protocol = match protocol.trim().to_ascii_lowercase().as_str() {
            "udp" => Protocol::Udp,
            "tcp" => Protocol::Tcp,
            _ => return None,
        };
        let (host, port) = split_port(server.trim())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, protocol })
    }

    /// The server at one of its addresses.
    pub(super) fn at(&self, ip: IpAddr) -> NameServerConfig {
        let connections = match self.protocol {
            Protocol::Udp => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
            Protocol::Tcp => vec![ConnectionConfig::tcp()],
        };
        name_server(SocketAddr::new(ip, self.port), connections)
    }
}

/// A bare IPv6 address has no port; anything else may have one after its last colon.
fn split_port(server: &str) -> Option<(&str, u16)> {
    if server.parse::<IpAddr>().is_ok() || server.ends_with(']') {
        return Some((server, DNS_PORT));
    }
    match server.rsplit_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((server, DNS_PORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |value: &str, expected: Result<&[&str], &str>| {
            let got = SmartHost::parse_list(value);
            let got = got.map(|hosts| {
                hosts.iter().map(|h| format!("{} {} {:?}", h.host, h.port, h.protocol)).collect::<Vec<_>>()
            });
            let expected = expected.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
            assert_eq!(got.map_err(|error| error.entry), expected.map_err(str::to_owned), "{value}");
        };
        check("", Ok(&[]));
        check("10.0.0.53:udp", Ok(&["10.0.0.53 53 Udp"]));
        check(" ns.test:UDP , 10.0.0.53:tcp,", Ok(&["ns.test 53 Udp", "10.0.0.53 53 Tcp"]));
        check("127.0.0.1:5353:udp", Ok(&["127.0.0.1 5353 Udp"]));
        check("[::1]:udp,::1:tcp,[::1]:5353:tcp", Ok(&["::1 53 Udp", "::1 53 Tcp", "::1 5353 Tcp"]));
        for bad in ["10.0.0.53", "10.0.0.53:", ":udp", "ns.test:x:udp", "ns.test:70000:udp", "ns.test:icmp"] {
            check(&format!("10.0.0.1:udp,{bad}"), Err(bad));
        }
    }
}
