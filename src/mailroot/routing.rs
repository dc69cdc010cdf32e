//! Where remote mail goes: `smtpgw.tab`, `smtpfwd.tab`, `DefaultSMTPGateways`, `SmtpGwConfig` and the host lists of
//! the `smtprelay` command (`mailroot.md` 10; precedence among them: `mailflow.md` 4.6).
//!
//! Shape of a host list, the same everywhere (decisions 34 and 35):
//!
//! ```text
//! [#]host[:port][,option...];host[:port][,option...]...       # in front: random order at every use
//! host   host:port   host|port   [v6]   [v6]:port             the last separator counts
//! NeedTLS=0|1|2   OutBind=address                             options
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use bstr::{BStr, BString, ByteSlice};

use super::option_list::OptionList;
use super::problem::{ProblemKind, Problems};
use super::schema::options;
use super::schema::server::{DEFAULT_SMTP_GATEWAYS, SMTP_GW_CONFIG};
use super::schema::tables::routing::{SMTPFWD, SMTPGW};
use super::server_tab::{ServerTab, leading_number};
use super::table::{Row, RowSpec, Table};
use crate::tab::wildcard;

/// `smtpgw.tab`: routes put in front of recipients when SMTP accepts them.
#[derive(Clone, Debug, Default)]
pub struct SmtpGw {
    rows: Vec<SmtpGwRow>,
}

/// A row of `smtpgw.tab`.
#[derive(Clone, Debug)]
pub struct SmtpGwRow {
    /// The line, from 1.
    pub line: u32,
    /// The wildcard pattern for the recipient's domain.
    pub pattern: BString,
    /// The route as written: `@relay` or `@relay1,@relay2`. May be none: see [`SmtpGwRow::hosts`].
    pub route: Box<str>,
}

impl SmtpGwRow {
    /// The hosts of the route in order; `None` when the text is not a route.
    pub fn hosts(&self) -> Option<Vec<&str>> {
        route_hosts(&self.route)
    }
}

/// The hosts of a route `@relay1,@relay2`; `None` when the text is not a route.
pub fn route_hosts(route: &str) -> Option<Vec<&str>> {
    route.split(',').map(|hop| hop.strip_prefix('@').filter(|host| is_route_host(host))).collect()
}

/// Whether a name may stand in a route: no port can be given, the colon would break the path.
fn is_route_host(host: &str) -> bool {
    !host.is_empty() && !host.contains(['@', ':', '<', '>', ' '])
}

impl SmtpGw {
    /// The first row whose pattern matches the recipient's domain.
    pub fn route_for(&self, domain: &str) -> Option<&SmtpGwRow> {
        self.rows.iter().find(|row| wildcard::matches(&row.pattern, domain.as_bytes()))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[SmtpGwRow] {
        &self.rows
    }
}

impl Table for SmtpGw {
    const SPEC: RowSpec = SMTPGW.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(route) = row.text(1, problems) else { return };
        SMTPGW.check(&row, [0, 1], problems);
        self.rows.push(SmtpGwRow { line: row.line, pattern: row.bytes(0).to_owned(), route });
    }
}

/// `smtpfwd.tab`: hosts that take the mail for a domain instead of its MX hosts.
#[derive(Clone, Debug, Default)]
pub struct SmtpFwd {
    rows: Vec<SmtpFwdRow>,
}

/// A row of `smtpfwd.tab`.
#[derive(Clone, Debug)]
pub struct SmtpFwdRow {
    /// The line, from 1.
    pub line: u32,
    /// The wildcard pattern for the destination domain.
    pub pattern: BString,
    /// The hosts, with the options of the third column and those behind each host, which win.
    pub gateways: GatewayList,
}

impl SmtpFwdRow {
    /// Whether its pattern matches the destination domain.
    pub fn is_about(&self, domain: &str) -> bool {
        wildcard::matches(&self.pattern, domain.as_bytes())
    }
}

impl SmtpFwd {
    /// The first row whose pattern matches the destination domain.
    pub fn matching(&self, domain: &str) -> Option<&SmtpFwdRow> {
        self.rows.iter().find(|row| row.is_about(domain))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[SmtpFwdRow] {
        &self.rows
    }
}

impl Table for SmtpFwd {
    const SPEC: RowSpec = SMTPFWD.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        SMTPFWD.check(&row, [0], problems);
        let gateways = GatewayList::of_row(&row, 1, problems);
        self.rows.push(SmtpFwdRow { line: row.line, pattern: row.bytes(0).to_owned(), gateways });
    }
}

/// Hosts to try, in order or shuffled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayList {
    /// Shuffle at every use: the list began with `#`.
    pub random: bool,
    /// The hosts as written. May be empty: XMail takes that for "delivered", which would lose the mail.
    pub hosts: Vec<Gateway>,
}

impl GatewayList {
    /// Reads a host list; elements that are no host are left out.
    ///
    /// ```
    /// let list = tabmail::mailroot::routing::GatewayList::parse(b"#mx1.branch.test;mx2.branch.test:2525,NeedTLS=2");
    /// assert!(list.random);
    /// assert_eq!(list.hosts[1].host.port, Some(2525));
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        Self::parse_noting(text, &mut |_| {})
    }

    /// Reads a host list and the options column behind it (decision 34).
    pub fn from_columns(hosts: &[u8], options: &[u8]) -> Self {
        Self::parse(hosts).with_options(GatewayOptions::parse(options))
    }

    /// Applies options before the hosts' own, so that the hosts' own win: the order of `smtpfwd.tab` and `smtprelay`,
    /// also for `SmtpGwConfig` (`mailroot.md` 10.3).
    #[must_use]
    pub fn with_options(mut self, before: GatewayOptions) -> Self {
        for gateway in &mut self.hosts {
            gateway.options = before.overlay(gateway.options);
        }
        self
    }

    /// Applies options after the hosts' own, so that these win: `SmtpGwConfig` for `DefaultSMTPGateways`.
    #[must_use]
    pub fn with_overriding_options(mut self, after: GatewayOptions) -> Self {
        for gateway in &mut self.hosts {
            gateway.options = gateway.options.overlay(after);
        }
        self
    }

    /// Reads the host list in column `index` and the options in the next, noting what is wrong.
    pub(super) fn of_row(row: &Row<'_>, index: usize, problems: &mut Problems) -> Self {
        let list = Self::parse_noting(row.bytes(index), &mut |kind| {
            problems.note(row.line, row.column(index), kind);
        });
        if list.hosts.is_empty() {
            problems.note(row.line, row.column(index), ProblemKind::NoHost);
        }
        list.with_options(GatewayOptions::parse_noting(row.bytes(index + 1), &mut |kind| {
            problems.note(row.line, row.column(index + 1), kind);
        }))
    }

    pub(super) fn parse_noting(text: &[u8], note: &mut dyn FnMut(ProblemKind)) -> Self {
        let (random, text) = match text.strip_prefix(b"#") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let elements = text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let hosts = elements
            .filter(|element| !element.is_empty())
            .filter_map(|element| Gateway::parse_noting(element, note))
            .collect();
        Self { random, hosts }
    }
}

/// One host to connect to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The host.
    pub host: HostPort,
    /// The options.
    pub options: GatewayOptions,
}

impl Gateway {
    fn parse_noting(element: &[u8], note: &mut dyn FnMut(ProblemKind)) -> Option<Self> {
        let (host_text, options) = element.split_once_str(",").unwrap_or((element, b""));
        let host = host_text.to_str().ok().and_then(HostPort::parse);
        if host.is_none() {
            note(ProblemKind::BadHost(host_text.as_bstr().to_string()));
        }
        Some(Self { host: host?, options: GatewayOptions::parse_noting(options, note) })
    }
}

/// A host name or address and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name, or the address without brackets.
    pub host: Box<str>,
    /// The port; `None`: the service's own.
    pub port: Option<u16>,
}

impl HostPort {
    /// Reads `host`, `host:port`, `host|port`, `[v6]` or `[v6]:port`; the last separator counts. A bare IPv6 address
    /// is taken as such. `None`: not a host.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let (host, rest) = bracketed.split_once(']')?;
            let port = match rest.strip_prefix([':', '|']) {
                Some(port) => Some(parse_port(port)?),
                None if rest.is_empty() => None,
                None => return None,
            };
            return host.parse::<IpAddr>().ok().map(|_| Self { host: host.into(), port });
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Some(Self { host: text.into(), port: None });
        }
        let (host, port) = match text.rfind([':', '|']) {
            Some(at) => (&text[..at], Some(parse_port(&text[at + 1..])?)),
            None => (text, None),
        };
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
        is_host.then(|| Self { host: host.into(), port })
    }

    /// The port, or `default` where none is written.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, false) => write!(f, "{}", self.host),
            (None, true) => write!(f, "[{}]", self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port > 0)
}

/// How to connect to a gateway (`mailroot.md` 10.3). What is `None` is left to others to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayOptions {
    /// `NeedTLS`.
    pub need_tls: Option<NeedTls>,
    /// `OutBind`: the local address to bind before connecting.
    pub out_bind: Option<IpAddr>,
}

/// `NeedTLS`: whether STARTTLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedTls {
    /// 0: never.
    No,
    /// 1, and every number above 2: when the server offers it.
    IfOffered,
    /// 2: no mail without it.
    Required,
}

impl GatewayOptions {
    /// Reads an option list; unknown names and bad addresses are ignored.
    pub fn parse(text: &[u8]) -> Self {
        Self::parse_noting(text, &mut |_| {})
    }

    /// These options with what `other` sets put over them.
    #[must_use]
    pub fn overlay(self, other: Self) -> Self {
        Self { need_tls: other.need_tls.or(self.need_tls), out_bind: other.out_bind.or(self.out_bind) }
    }

    pub(super) fn parse_noting(text: &[u8], note: &mut dyn FnMut(ProblemKind)) -> Self {
        let mut parsed = Self::default();
        for option in OptionList::parse(text).iter() {
            let value = option.value.as_ref().map_or(BStr::new("1"), |value| value.as_bstr());
            match options::GATEWAY.find(&option.name) {
                Some(known) if known.is(&options::NEED_TLS) => {
                    parsed.need_tls = Some(NeedTls::parse_noting(value, note));
                }
                Some(_) => match value.to_str().ok().and_then(|value| value.parse().ok()) {
                    Some(address) => parsed.out_bind = Some(address),
                    None => note(ProblemKind::BadIpAddress(value.to_string())),
                },
                // An error although the option alone is passed over: where XMail does not split options off, it is
                // taken as part of the host (`mailroot.md` 10.2), and mail meant for TLS would go without.
                None => note(ProblemKind::UnknownWord {
                    found: option.name.to_string(),
                    accepted: options::GATEWAY.accepted,
                }),
            }
        }
        parsed
    }
}

impl NeedTls {
    fn parse_noting(value: &BStr, note: &mut dyn FnMut(ProblemKind)) -> Self {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            note(ProblemKind::NotANumber(value.to_string()));
        }
        match leading_number(value) {
            ..=0 => Self::No,
            2 => Self::Required,
            _ => Self::IfOffered,
        }
    }
}

impl ServerTab {
    /// `SmtpGwConfig`: options for all outgoing connections.
    pub fn smtp_gw_config(&self) -> GatewayOptions {
        self.bytes(&SMTP_GW_CONFIG).map_or_else(GatewayOptions::default, |value| GatewayOptions::parse(value))
    }

    /// `DefaultSMTPGateways` with `SmtpGwConfig` applied; `None`: not set, or no host in it.
    pub fn default_smtp_gateways(&self) -> Option<GatewayList> {
        let list = GatewayList::parse(self.bytes(&DEFAULT_SMTP_GATEWAYS)?);
        (!list.hosts.is_empty()).then(|| list.with_overriding_options(self.smtp_gw_config()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    #[test]
    fn hosts_have_a_port_behind_the_last_separator() {
        for (text, host, port) in [
            ("mx1.test", "mx1.test", None),
            ("mx1.test:2525", "mx1.test", Some(2525)),
            ("mx1.test|2525", "mx1.test", Some(2525)),
            ("192.0.2.1:25", "192.0.2.1", Some(25)),
            ("[2001:db8::1]:25", "2001:db8::1", Some(25)),
            ("[2001:db8::1]|25", "2001:db8::1", Some(25)),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[192.0.2.1]", "192.0.2.1", None),
            ("2001:db8::1", "2001:db8::1", None),
            ("2001:db8::1|25", "2001:db8::1", Some(25)),
        ] {
            assert_eq!(HostPort::parse(text), Some(HostPort { host: host.into(), port }), "{text}");
        }
        for text in ["", ":25", "a:", "a:0", "a:65536", "a:x", "a b", "[x]:25", "[::1]25", "[::1", "[]"] {
            assert_eq!(HostPort::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_reads_back_as_it_is_displayed() {
        for text in ["mx1.test", "mx1.test:2525", "[2001:db8::1]:25", "[2001:db8::1]"] {
            assert_eq!(HostPort::parse(text).unwrap().to_string(), text);
        }
    }

    /// The rows of golden `spool_smtpgw`; the last two are those of `spool_gw_fwd`, which XMail does not take for
    /// routes to a port either.
    #[test]
    fn routes_are_found_by_the_first_pattern() {
        let (table, problems) = load_text::<SmtpGw>(
            "smtpgw.tab",
            "\"gwdom.test\"\t\"@sink.test\"\n\
             \"*.gw2.test\"\t\"@sink.test,@mail2.test\"\n\
             \"*@gwdom.test\"\t\"127.0.0.3:2626\"\n\
             \"*.gw4.test\"\t\"127.0.0.3:2626\"\n\
             \"gw5.test\"\n",
        );
        let route = |domain| table.route_for(domain).map(|row| &*row.route);
        assert_eq!(route("GWDOM.test"), Some("@sink.test"));
        assert_eq!(route("a.gw2.test"), Some("@sink.test,@mail2.test"));
        assert_eq!(route("a.gw4.test"), Some("127.0.0.3:2626"));
        assert_eq!(route("gw2.test"), None);
        assert_eq!(table.rows()[1].hosts(), Some(vec!["sink.test", "mail2.test"]));
        assert_eq!(table.rows()[3].hosts(), None);
        assert_eq!(
            problems,
            [
                "smtpgw.tab:3:1: is compared with a domain, which never has an '@': \"*@gwdom.test\"",
                "smtpgw.tab:3:16: is not a route (@relay or @relay1,@relay2): \"127.0.0.3:2626\"",
                "smtpgw.tab:4:14: is not a route (@relay or @relay1,@relay2): \"127.0.0.3:2626\"",
                "smtpgw.tab:5: needs 2 columns, has 1; the row is ignored",
            ]
        );
    }

    fn shown(list: &GatewayList) -> Vec<String> {
        let show = |gateway: &Gateway| {
            let GatewayOptions { need_tls, out_bind } = gateway.options;
            let tls = need_tls.map_or(String::new(), |tls| format!(" {tls:?}"));
            let bind = out_bind.map_or(String::new(), |address| format!(" {address}"));
            format!("{}{tls}{bind}", gateway.host)
        };
        list.hosts.iter().map(show).collect()
    }

    /// Decision 34: the options of the third column and those behind a host are both read; the nearer ones win.
    #[test]
    fn forward_rows_take_options_in_both_writings() {
        let (table, problems) = load_text::<SmtpFwd>(
            "smtpfwd.tab",
            "\"*.fwd.test\"\t\"127.0.0.3:2626\"\n\
             \"fwd.test\"\t\"127.0.0.9:25;127.0.0.3:2626\"\t\"NeedTLS=1\"\n\
             \"rnd.test\"\t\"#mx1.test,NeedTLS=2;mx2.test:2525,OutBind=192.0.2.1;\"\t\"NeedTLS=0\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let row = |domain| table.matching(domain).unwrap();
        assert_eq!(shown(&row("a.fwd.test").gateways), ["127.0.0.3:2626"]);
        assert!(!row("fwd.test").gateways.random);
        assert_eq!(shown(&row("FWD.test").gateways), ["127.0.0.9:25 IfOffered", "127.0.0.3:2626 IfOffered"]);
        assert!(row("rnd.test").gateways.random);
        assert_eq!(shown(&row("rnd.test").gateways), ["mx1.test Required", "mx2.test:2525 No 192.0.2.1"]);
        assert!(table.matching("else.test").is_none());
    }

    #[test]
    fn bad_hosts_and_options_are_reported_where_they_stand() {
        let (table, problems) = load_text::<SmtpFwd>(
            "smtpfwd.tab",
            "\"a.test\"\t\"mx1.test:99999;mx2.test,NeedTLS=x,Bind=1\"\t\"OutBind=here\"\n\"b.test\"\t\"#\"\n",
        );
        assert_eq!(shown(&table.rows()[0].gateways), ["mx2.test No"]);
        assert!(table.rows()[1].gateways.hosts.is_empty());
        assert_eq!(
            problems,
            [
                "smtpfwd.tab:1:10: is not a host (host, host:port, host|port or [v6]:port): \"mx1.test:99999\"",
                "smtpfwd.tab:1:10: is not a decimal number: \"x\"",
                "smtpfwd.tab:1:10: \"Bind\" is not one of: NeedTLS, OutBind",
                "smtpfwd.tab:1:53: is not an IP address: \"here\"",
                "smtpfwd.tab:2:10: names no host",
            ]
        );
    }

    #[test]
    fn need_tls_above_two_acts_as_one() {
        let need = |text: &str| GatewayOptions::parse(text.as_bytes()).need_tls;
        assert_eq!(need("NeedTLS=0"), Some(NeedTls::No));
        assert_eq!(need("NeedTLS=1"), Some(NeedTls::IfOffered));
        assert_eq!(need("NeedTLS=2"), Some(NeedTls::Required));
        assert_eq!(need("NeedTLS=3"), Some(NeedTls::IfOffered));
        assert_eq!(need("NeedTLS"), Some(NeedTls::IfOffered));
        assert_eq!(need("NeedTLS=1,NeedTLS=2"), Some(NeedTls::Required));
        assert_eq!(need("needtls=2"), None);
    }

    /// `mailroot.md` 10.3: for the default gateways the global options win, elsewhere the row's.
    #[test]
    fn the_order_of_options_is_that_of_xmail() {
        let (server, problems) = load_text::<ServerTab>(
            "server.tab",
            "\"SmtpGwConfig\"\t\"NeedTLS=0\"\n\
             \"DefaultSMTPGateways\"\t\"a.test,NeedTLS=2,OutBind=192.0.2.1;b.test:26\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let global = server.smtp_gw_config();
        assert_eq!(shown(&server.default_smtp_gateways().unwrap()), ["a.test No 192.0.2.1", "b.test:26 No"]);
        let row = GatewayList::from_columns(b"a.test;b.test", b"NeedTLS=2").with_options(global);
        assert_eq!(shown(&row), ["a.test Required", "b.test Required"]);
        assert_eq!(load_text::<ServerTab>("server.tab", "").0.default_smtp_gateways(), None);
    }

    /// The stock server.tab still shows commas between hosts, which ended with 1.24 (`mailroot.md` 8).
    #[test]
    fn gateways_of_server_tab_are_checked() {
        let (_, problems) = load_text::<ServerTab>(
            "server.tab",
            "\"DefaultSMTPGateways\"\t\"a.test,b.test\"\n\"SmtpGwConfig\"\t\"NeedTls=1\"\n",
        );
        assert_eq!(
            problems,
            [
                "server.tab:1:23: \"b.test\" is not one of: NeedTLS, OutBind",
                "server.tab:2:16: \"NeedTls\" is not one of: NeedTLS, OutBind",
            ]
        );
    }
}
