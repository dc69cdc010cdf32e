//! Whether a peer is served: disk, properties, IP map, spammers, DNS maps and reverse DNS (`mailflow.md` 3.1).
//!
//! Codes of `SMTP-IpMapDropCode`, `spammers.tab` and `CustMapsList`: above 0 the peer is refused (for maps only exactly
//! 1), 0 marks it, below 0 (for maps: any other) is a delay of so many seconds before each command. Delays do not add;
//! the largest wins. Marks make MAIL fail until somebody authenticates. A missing `spammers.tab` is an empty one
//! (decision 36); `SMTP-IpMapDropCode` 0 marks (decision 10).

use std::net::IpAddr;
use std::time::Duration;

use crate::mailroot::access::{IpVerdict, Properties};
use crate::mailroot::schema::server as variables;
use crate::mailroot::server_tab::leading_number;
use crate::mailroot::{Citation, Fact, Miss, ServerTab, Snapshot, Step, Trail};
use crate::status::number;

/// What is known about a peer that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// From `smtp.ipprop.tab` and `smtp.hnprop.tab`.
    pub properties: Properties,
    /// Why MAIL will fail without authentication.
    pub marks: Marks,
    /// Waited before each command.
    pub delay: Duration,
}

/// The lists with code 0 that name the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Denied by `smtp.ipmap.tab` under `SMTP-IpMapDropCode` 0.
    pub ip_map: bool,
    /// In `spammers.tab` with code 0.
    pub spammer: bool,
    /// In this zone of `CustMapsList`, code 0.
    pub map: Option<Box<str>>,
    /// No name in reverse DNS, `SMTP-RDNSCheck` above 0.
    pub no_ptr: bool,
}

/// Why a peer is not served at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `server.tab` is missing.
    NoServerTab,
    /// Less than `SmtpMinDiskSpace` is free.
    LowDisk,
    /// Less than `SmtpMinVirtMemSpace` is free.
    LowMemory,
    /// `smtp.hnprop.tab` exists and the peer has no name.
    NoPtr,
    /// `smtp.ipmap.tab` denies.
    IpMap,
    /// `spammers.tab` names the peer.
    Spammer,
    /// The zone of `CustMapsList` that lists the peer.
    Map(Box<str>),
    /// Neither `SmtpServerDomain` nor a PTR of our address nor `RootDomain`.
    NoServerDomain,
}

impl Refusal {
    /// XMail's error number, as in `service not available (-130)`; `None` where XMail has a text instead.
    pub fn xmail_code(&self) -> i32 {
        match self {
            Self::NoServerTab => PROFILE_NOT_FOUND,
            Self::LowDisk => number::LOW_DISK,
            Self::LowMemory => number::LOW_MEMORY,
            Self::NoPtr => NO_HOST_NAME,
            Self::IpMap | Self::Map(_) => number::PEER_IP_REFUSED,
            Self::Spammer => number::SPAMMER_IP,
            Self::NoServerDomain => NO_SERVER_DOMAIN,
        }
    }
}

/// An element of `CustMapsList`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapZone {
    /// The zone as written, usually with a final dot.
    pub zone: Box<str>,
    /// What a listing means.
    pub code: i64,
}

/// Whether there is enough room for another session. `None` for a fact means nobody could tell, which passes.
///
/// # Errors
/// [`Refusal::LowDisk`], [`Refusal::LowMemory`].
pub fn resources(
    server: &ServerTab,
    free_disk_bytes: Option<u64>,
    free_memory_bytes: Option<u64>,
) -> Result<(), Refusal> {
    let short = |variable, free: Option<u64>| {
        server.kilobytes(variable).zip(free).is_some_and(|(wanted, free)| free < wanted)
    };
    if short(&variables::SMTP_MIN_DISK_SPACE, free_disk_bytes) {
        return Err(Refusal::LowDisk);
    }
    if short(&variables::SMTP_MIN_VIRT_MEM_SPACE, free_memory_bytes) {
        Err(Refusal::LowMemory)
    } else {
        Ok(())
    }
}

/// The properties of a peer. `ptr` is its name; it matters only when `smtp.hnprop.tab` exists.
///
/// # Errors
/// [`Refusal::NoPtr`] when that file exists and the peer has no name.
pub fn properties(
    snapshot: &Snapshot,
    peer: IpAddr,
    ptr: Option<&str>,
    trail: &mut impl Trail,
) -> Result<Properties, Refusal> {
    let row = snapshot.ip_properties.matching(peer);
    if let Some(row) = row {
        let others = snapshot.ip_properties.rows().iter().filter(|other| other.line > row.line);
        let near = || others.filter(|other| other.peers.matches(peer)).map(|other| (other.line, Miss::Later));
        trail.note(|| Step::new(Fact::Properties(row.properties)).by(IPPROP, row.line).near(IPPROP, near()));
    }
    let by_address = row.map(|row| row.properties).unwrap_or_default();
    if !snapshot.host_properties.exists() {
        return Ok(by_address);
    }
    let Some(name) = ptr else {
        trail.note(|| Step::new(Fact::NameRequired).by(HNPROP, 0));
        return Err(Refusal::NoPtr);
    };
    let row = snapshot.host_properties.matching(name);
    if let Some(row) = row {
        trail.note(|| Step::new(Fact::Properties(row.properties)).by(HNPROP, row.line));
    }
    Ok(by_address | row.map(|row| row.properties).unwrap_or_default())
}

impl Standing {
    /// Looks at `smtp.ipmap.tab` and `spammers.tab`, unless the peer is white-listed.
    ///
    /// # Errors
    /// [`Refusal::IpMap`], [`Refusal::Spammer`].
    pub fn by_address(
        snapshot: &Snapshot,
        peer: IpAddr,
        properties: Properties,
        trail: &mut impl Trail,
    ) -> Result<Self, Refusal> {
        let mut standing = Self { properties, ..Self::default() };
        if properties.white_list {
            trail.note(|| Step::new(Fact::WhiteListed));
            return Ok(standing);
        }
        let verdict = snapshot.smtp_ipmap.verdict(peer);
        let code = snapshot.server.integer(&variables::SMTP_IP_MAP_DROP_CODE);
        trail.note(|| ip_map_step(snapshot, peer, &verdict, code));
        if !verdict.allowed {
            match code {
                0 => standing.marks.ip_map = true,
                code if code > 0 => return Err(Refusal::IpMap),
                code => standing.slow_down(code),
            }
        }
        let row = snapshot.spammers.matching(peer);
        trail.note(|| {
            let line = row.map_or(u32::MAX, |row| row.line);
            let others = snapshot.spammers.rows().iter().filter(|other| other.line > line);
            let others = others.filter(|other| other.filter.matches(peer));
            Step::new(Fact::Spammer { peer, code: row.map(|row| row.code) })
                .by_all(row.map(|row| Citation::new(SPAMMERS, row.line)))
                .near(SPAMMERS, others.map(|other| (other.line, Miss::Later)))
        });
        match row.map(|row| row.code) {
            None => {}
            Some(0) => standing.marks.spammer = true,
            Some(code) if code > 0 => return Err(Refusal::Spammer),
            Some(code) => standing.slow_down(code),
        }
        Ok(standing)
    }

    /// What a hit in a zone means.
    ///
    /// # Errors
    /// [`Refusal::Map`] for code 1.
    pub fn listed_in(&mut self, zone: &MapZone) -> Result<(), Refusal> {
        match zone.code {
            1 => return Err(Refusal::Map(zone.zone.clone())),
            0 => self.marks.map = Some(zone.zone.clone()),
            code => self.slow_down(code),
        }
        Ok(())
    }

    /// What it means that the peer has no name, by the value of `SMTP-RDNSCheck`.
    pub fn without_ptr(&mut self, code: i64) {
        if code > 0 {
            self.marks.no_ptr = true;
        } else {
            self.slow_down(code);
        }
    }

    /// Permissions were granted: marks and delay are gone (`mailflow.md` 3.4).
    pub fn forgive(&mut self) {
        self.marks = Marks::default();
        self.delay = Duration::ZERO;
    }

    fn slow_down(&mut self, code: i64) {
        self.delay = self.delay.max(Duration::from_secs(code.unsigned_abs()).min(DELAY_MAX));
    }
}

fn ip_map_step(snapshot: &Snapshot, peer: IpAddr, verdict: &IpVerdict<'_>, code: i64) -> Step {
    let decided = verdict.row;
    let others =
        snapshot.smtp_ipmap.matching(peer).filter(|row| Some(row.line) != decided.map(|row| row.line));
    let near = others.map(|row| {
        let miss = match decided {
            _ if row.precedence < 0 => Miss::NegativePrecedence,
            Some(decided) if row.precedence == decided.precedence => Miss::Earlier,
            _ => Miss::LowerPrecedence,
        };
        (row.line, miss)
    });
    let step = Step::new(Fact::IpMap { peer, allowed: verdict.allowed, code })
        .by_all(decided.map(|row| Citation::new(IPMAP, row.line)))
        .near(IPMAP, near);
    match verdict.allowed {
        true => step,
        false => step.by_all(snapshot.variable_rows([&*variables::SMTP_IP_MAP_DROP_CODE])),
    }
}

const IPMAP: &str = "smtp.ipmap.tab";
const SPAMMERS: &str = "spammers.tab";
const IPPROP: &str = "smtp.ipprop.tab";
const HNPROP: &str = "smtp.hnprop.tab";

/// The zones of `CustMapsList`, in order. An element without a code refuses.
pub fn map_zones(server: &ServerTab) -> Vec<MapZone> {
    let elements = server.text(&variables::CUST_MAPS_LIST).unwrap_or_default().split(',').map(str::trim);
    let zone = |element: &str| {
        let (zone, code) = element.rsplit_once(':').unwrap_or((element, "1"));
        MapZone { zone: zone.into(), code: leading_number(code.as_bytes()) }
    };
    elements.filter(|element| !element.is_empty()).map(zone).filter(|found| !found.zone.is_empty()).collect()
}

/// The domain of the greeting: `SmtpServerDomain`, else the longest handled suffix of our own name (or that name
/// itself), else `RootDomain` (`mailflow.md` 3.2). `own_name` is the PTR of the local address.
pub fn server_domain(snapshot: &Snapshot, own_name: Option<&str>) -> Option<String> {
    snapshot.own_domain(&variables::SMTP_SERVER_DOMAIN, own_name)
}

/// No delay is longer, whatever a table says: a session must not outlive a week of retries. Ours.
pub const DELAY_MAX: Duration = Duration::from_secs(600);

/// XMail's error 15, `User profile file not found` (golden `smtp_opt_noserver`).
const PROFILE_NOT_FOUND: i32 = 15;
/// XMail's error 37, `Error getting sock host name`.
const NO_HOST_NAME: i32 = 37;
/// XMail's error 38, `Unable to know server domain`.
const NO_SERVER_DOMAIN: i32 = 38;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::made::snapshot;

    fn verdict(files: &[(&str, &str)]) -> Result<Standing, Refusal> {
        let (_root, snapshot) = snapshot(files);
        let peer = "127.0.0.6".parse().unwrap();
        let properties = properties(&snapshot, peer, None, &mut ())?;
        Standing::by_address(&snapshot, peer, properties, &mut ())
    }

    const DENY: (&str, &str) = ("smtp.ipmap.tab", "\"127.0.0.6\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n");

    #[test]
    fn the_ip_map_drops_marks_or_delays() {
        assert_eq!(verdict(&[DENY]), Err(Refusal::IpMap));
        let with = |code| verdict(&[DENY, ("server.tab", &format!("\"SMTP-IpMapDropCode\"\t\"{code}\"\n"))]);
        assert!(with(0).unwrap().marks.ip_map, "decision 10");
        assert_eq!(with(-3).unwrap().delay, Duration::from_secs(3));
        assert_eq!(with(-3).unwrap().marks, Marks::default());
        let white = ("smtp.ipprop.tab", "\"127.0.0.6/32\"\t\"WhiteList=1\"\n");
        assert!(verdict(&[DENY, white]).is_ok());
    }

    #[test]
    fn spammers_drop_mark_or_delay_and_the_largest_delay_wins() {
        assert_eq!(verdict(&[]), Ok(Standing::default()), "a missing spammers.tab is empty (decision 36)");
        let with = |code| verdict(&[("spammers.tab", &format!("\"127.0.0.6/32\"\t\"code={code}\"\n"))]);
        assert_eq!(with(1), Err(Refusal::Spammer));
        assert!(with(0).unwrap().marks.spammer);
        let mut standing = with(-2).unwrap();
        standing.without_ptr(-1);
        standing.listed_in(&MapZone { zone: "z.".into(), code: -5 }).unwrap();
        assert_eq!(standing.delay, Duration::from_secs(5));
        standing.without_ptr(1);
        assert!(standing.marks.no_ptr);
        standing.forgive();
        assert_eq!((standing.marks, standing.delay), (Marks::default(), Duration::ZERO));
    }

    #[test]
    fn maps_are_read_in_order() {
        let (_root, snapshot) =
            snapshot(&[("server.tab", "\"CustMapsList\"\t\"a.test.:1,b.test.:0,,c.:-4\"\n")]);
        let zones = map_zones(&snapshot.server);
        let text: Vec<_> = zones.iter().map(|zone| format!("{} {}", zone.zone, zone.code)).collect();
        assert_eq!(text, ["a.test. 1", "b.test. 0", "c. -4"]);
        let mut standing = Standing::default();
        assert_eq!(standing.listed_in(&zones[0]), Err(Refusal::Map("a.test.".into())));
        standing.listed_in(&zones[1]).unwrap();
        assert_eq!(standing.marks.map.as_deref(), Some("b.test."));
    }

    #[test]
    fn host_properties_need_a_name() {
        let (_root, snapshot) = snapshot(&[("smtp.hnprop.tab", "\".home.test\"\t\"NoAuth\"\n")]);
        let peer = "192.0.2.1".parse().unwrap();
        assert_eq!(properties(&snapshot, peer, None, &mut ()), Err(Refusal::NoPtr));
        assert!(properties(&snapshot, peer, Some("a.home.test"), &mut ()).unwrap().no_auth);
        assert!(!properties(&snapshot, peer, Some("home.test.evil.example"), &mut ()).unwrap().no_auth);
    }

    #[test]
    fn room_is_measured_in_kilobytes() {
        let (_root, snapshot) = snapshot(&[("server.tab", "\"SmtpMinDiskSpace\"\t\"10\"\n")]);
        assert_eq!(resources(&snapshot.server, Some(10 * 1024), None), Ok(()));
        assert_eq!(resources(&snapshot.server, Some(10 * 1024 - 1), None), Err(Refusal::LowDisk));
        assert_eq!(resources(&snapshot.server, None, Some(0)), Ok(()));
    }

    #[test]
    fn the_server_domain_is_derived_in_xmails_order() {
        let tables = [("server.tab", "\"RootDomain\"\t\"root.test\"\n"), ("domains.tab", "\"home.test\"\n")];
        let (_root, tables) = snapshot(&tables);
        let check =
            |name, expected: &str| assert_eq!(server_domain(&tables, name).as_deref(), Some(expected));
        check(Some("mx.sub.home.test"), "home.test");
        check(Some("localhost"), "localhost");
        check(None, "root.test");
        let (_root, empty) = snapshot(&[]);
        assert_eq!(server_domain(&empty, None), None);
    }
}
