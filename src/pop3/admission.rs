//! Who may talk to us at all, and under which domain: what is looked at before the greeting (`mailflow.md` 9.1).

use std::net::IpAddr;

use super::reply::{Reply, number};
use crate::mailroot::Snapshot;
use crate::mailroot::schema::server as variables;

/// What a new connection finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) peer: IpAddr,
    /// `-PX` leaves room.
    pub(super) has_seat: bool,
    /// `Pop3MinVirtMemSpace` is compared with this; `None` when the system does not tell.
    pub(super) free_memory_bytes: Option<u64>,
    /// The name of our own address, when it was asked for.
    pub(super) local_name: Option<&'a str>,
}

/// The default domain of the session, or the reply that ends it. In XMail's order.
pub(super) fn admit(snapshot: &Snapshot, arrival: Arrival<'_>) -> Result<String, Reply> {
    if !snapshot.pop3_ipmap.verdict(arrival.peer).allowed {
        return Err(Reply::error_number(number::IP_DENIED));
    }
    if !arrival.has_seat {
        return Err(Reply::error_number(number::TOO_BUSY));
    }
    if !snapshot.server.exists() {
        // golden smtp_opt_noserver: without server.tab nobody is served.
        return Err(Reply::error_number(number::NO_SERVER_TAB));
    }
    let wanted = snapshot.server.kilobytes(&variables::POP3_MIN_VIRT_MEM_SPACE);
    if let (Some(wanted), Some(free)) = (wanted, arrival.free_memory_bytes)
        && free < wanted
    {
        return Err(Reply::error_number(number::LOW_MEMORY));
    }
    default_domain(snapshot, arrival.local_name).ok_or_else(|| Reply::error_number(number::NO_SERVER_DOMAIN))
}

/// Whether [`admit`] needs the name of our own address.
pub(super) fn needs_local_name(snapshot: &Snapshot) -> bool {
    snapshot.server.text(&variables::POP3_DOMAIN).is_none()
}

/// `POP3Domain`; else the part of our own name that is a handled domain, or the name; else `RootDomain`.
fn default_domain(snapshot: &Snapshot, local_name: Option<&str>) -> Option<String> {
    snapshot.own_domain(&variables::POP3_DOMAIN, local_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::MailRoot;

    const ARRIVAL: Arrival<'static> = Arrival {
        peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        has_seat: true,
        free_memory_bytes: Some(1024 * 1024),
        local_name: Some("mail.home.test"),
    };

    fn check(server_tab: &str, ipmap: &str, arrival: Arrival<'_>, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("server.tab"), server_tab).unwrap();
        std::fs::write(dir.path().join("pop3.ipmap.tab"), ipmap).unwrap();
        std::fs::write(dir.path().join("domains.tab"), "\"home.test\"\n").unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let got = match admit(&snapshot, arrival) {
            Ok(domain) => domain,
            Err(reply) => String::from_utf8_lossy(reply.as_bytes()).trim_end().to_owned(),
        };
        assert_eq!(got, expected, "{server_tab:?}");
    }

    #[test]
    fn the_default_domain() {
        let root = "\"RootDomain\"\t\"root.test\"\n";
        let both = "\"RootDomain\"\t\"root.test\"\n\"POP3Domain\"\t\"pop.test\"\n";
        check(both, "", ARRIVAL, "pop.test");
        check(root, "", ARRIVAL, "home.test");
        check(root, "", Arrival { local_name: Some("a.b.other.test"), ..ARRIVAL }, "a.b.other.test");
        check(root, "", Arrival { local_name: None, ..ARRIVAL }, "root.test");
        check("", "", Arrival { local_name: None, ..ARRIVAL }, "-ERR Unable to know server domain");
    }

    #[test]
    fn who_is_turned_away() {
        let root = "\"RootDomain\"\t\"root.test\"\n";
        let deny = "\"127.0.0.1\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n";
        check(root, deny, Arrival { has_seat: false, ..ARRIVAL }, "-ERR Server does not like Your IP");
        check(root, "", Arrival { has_seat: false, ..ARRIVAL }, "-ERR Server too busy, retry later");
        let memory = |kb: u32| format!("{root}\"Pop3MinVirtMemSpace\"\t\"{kb}\"\n");
        check(&memory(1025), "", ARRIVAL, "-ERR System low in virtual memory");
        check(&memory(1024), "", ARRIVAL, "home.test");
        check(&memory(1025), "", Arrival { free_memory_bytes: None, ..ARRIVAL }, "home.test");
    }
}
