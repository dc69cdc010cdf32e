//! Who may talk to POP3 and IMAP at all, and under which domain: what is looked at before the greeting (`mailflow.md`
//! 9.1). Both have the same rules; only the IP map differs.

use std::net::IpAddr;

use crate::mailroot::Snapshot;
use crate::mailroot::access::IpMap;
use crate::mailroot::schema::server as variables;

/// What a new connection finds.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The client.
    pub peer: IpAddr,
    /// The limit of sessions leaves room.
    pub has_seat: bool,
    /// `Pop3MinVirtMemSpace` is compared with this; `None` when the system does not tell.
    pub free_memory_bytes: Option<u64>,
    /// The name of our own address, when it was asked for.
    pub local_name: Option<&'a str>,
}

/// Why a client is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// The service's IP map denies the address.
    IpDenied,
    /// There are as many sessions as may be.
    TooBusy,
    /// Without `server.tab` nobody is served (golden smtp_opt_noserver).
    NoServerTab,
    /// `Pop3MinVirtMemSpace` wants more than there is.
    LowMemory,
    /// No domain is known for names without one.
    NoServerDomain,
}

/// The default domain of the session, or what ends it. In XMail's order. `ip_map` is the service's.
///
/// # Errors
/// [`Unwelcome`]: hang up, with or without a word.
pub fn admit(snapshot: &Snapshot, ip_map: &IpMap, arrival: Arrival<'_>) -> Result<String, Unwelcome> {
    if !ip_map.verdict(arrival.peer).allowed {
        return Err(Unwelcome::IpDenied);
    }
    if !arrival.has_seat {
        return Err(Unwelcome::TooBusy);
    }
    if !snapshot.server.exists() {
        return Err(Unwelcome::NoServerTab);
    }
    let wanted = snapshot.server.kilobytes(&variables::POP3_MIN_VIRT_MEM_SPACE);
    if let (Some(wanted), Some(free)) = (wanted, arrival.free_memory_bytes)
        && free < wanted
    {
        return Err(Unwelcome::LowMemory);
    }
    // `POP3Domain`; else the part of our own name that is a handled domain, or the name; else `RootDomain`.
    snapshot.own_domain(&variables::POP3_DOMAIN, arrival.local_name).ok_or(Unwelcome::NoServerDomain)
}

/// Whether [`admit`] needs the name of our own address.
pub fn needs_local_name(snapshot: &Snapshot) -> bool {
    snapshot.server.text(&variables::POP3_DOMAIN).is_none()
}

/// Whether [`admit`] needs to know how much memory is free.
pub fn needs_free_memory(snapshot: &Snapshot) -> bool {
    snapshot.server.kilobytes(&variables::POP3_MIN_VIRT_MEM_SPACE).is_some()
}

/// What the log shows of a password: `Pop3LogPasswd` 1 shows what failed, 2 everything (golden pop3_logpasswd_*).
pub fn logged_password<'a>(snapshot: &Snapshot, given: &'a str, is_let_in: bool) -> &'a str {
    match snapshot.server.integer(&variables::POP3_LOG_PASSWD) {
        1 if !is_let_in => given,
        2.. => given,
        _ => "",
    }
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

    fn check(server_tab: &str, ipmap: &str, arrival: Arrival<'_>, expected: Result<&str, Unwelcome>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("server.tab"), server_tab).unwrap();
        std::fs::write(dir.path().join("imap.ipmap.tab"), ipmap).unwrap();
        std::fs::write(dir.path().join("domains.tab"), "\"home.test\"\n").unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let got = admit(&snapshot, &snapshot.imap_ipmap, arrival);
        assert_eq!(got, expected.map(str::to_owned), "{server_tab:?}");
        let elsewhere = admit(&snapshot, &snapshot.pop3_ipmap, arrival);
        assert_ne!(elsewhere, Err(Unwelcome::IpDenied), "another map counts");
    }

    #[test]
    fn the_default_domain() {
        let root = "\"RootDomain\"\t\"root.test\"\n";
        let both = "\"RootDomain\"\t\"root.test\"\n\"POP3Domain\"\t\"pop.test\"\n";
        check(both, "", ARRIVAL, Ok("pop.test"));
        check(root, "", ARRIVAL, Ok("home.test"));
        check(root, "", Arrival { local_name: Some("a.b.other.test"), ..ARRIVAL }, Ok("a.b.other.test"));
        check(root, "", Arrival { local_name: None, ..ARRIVAL }, Ok("root.test"));
        check("", "", Arrival { local_name: None, ..ARRIVAL }, Err(Unwelcome::NoServerDomain));
    }

    #[test]
    fn who_is_turned_away() {
        let root = "\"RootDomain\"\t\"root.test\"\n";
        let deny = "\"127.0.0.1\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n";
        check(root, deny, Arrival { has_seat: false, ..ARRIVAL }, Err(Unwelcome::IpDenied));
        check(root, "", Arrival { has_seat: false, ..ARRIVAL }, Err(Unwelcome::TooBusy));
        let memory = |kb: u32| format!("{root}\"Pop3MinVirtMemSpace\"\t\"{kb}\"\n");
        check(&memory(1025), "", ARRIVAL, Err(Unwelcome::LowMemory));
        check(&memory(1024), "", ARRIVAL, Ok("home.test"));
        check(&memory(1025), "", Arrival { free_memory_bytes: None, ..ARRIVAL }, Ok("home.test"));
    }
}
