//! Who may connect, relay and be called a spammer: `*.ipmap.tab`, `smtprelay.tab`, `spammers.tab`,
//! `spam-address.tab`, `smtp.ipprop.tab`, `smtp.hnprop.tab` (`mailroot.md` 11).
//!
//! Rows whose address filter cannot be read are problems and never match; host names in filters are not resolved.

mod cover;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{BitOr, BitOrAssign};

use bstr::{BStr, BString, ByteSlice};

use super::option_list::OptionList;
use super::problem::{ProblemKind, Problems};
use super::schema::tables::access as tables;
use super::schema::{Kind, options};
use super::server_tab::leading_number;
use super::table::{Row, RowSpec, Table};
use crate::tab::wildcard;

/// A network: `net/bits`, or net and mask (`mailroot.md` 2.6).
///
/// A filter of one family also tests mapped (`::ffff:a.b.c.d`) and compatible (`::a.b.c.d`) addresses of the other.
///
/// ```
/// use tabmail::mailroot::access::AddressFilter;
/// let filter = AddressFilter::parse(b"192.0.2.0/24", b"").unwrap();
/// assert!(filter.matches("::ffff:192.0.2.7".parse().unwrap()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFilter {
    network: Network,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    V4 { net: u32, mask: u32 },
    V6 { net: u128, mask: u128 },
}

/// Text that is not an address filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address filter (net/bits, or net and mask)")]
pub struct BadAddressFilter;

impl AddressFilter {
    /// Reads a filter from one or two columns; with a `/` in the first the second is not looked at.
    ///
    /// # Errors
    /// A host name, an address without bits or mask, a mask of another family, bits that are no number.
    pub fn parse(first: &[u8], second: &[u8]) -> Result<Self, BadAddressFilter> {
        match first.split_once_str("/") {
            Some((net, bits)) => Self::with_bits(address(net)?, bits),
            None => Self::with_mask(address(first)?, address(second)?),
        }
    }

    /// Whether the address is in the network.
    pub fn matches(&self, peer: IpAddr) -> bool {
        match (self.network, peer) {
            (Network::V4 { net, mask }, IpAddr::V4(peer)) => u32::from(peer) & mask == net & mask,
            (Network::V4 { net, mask }, IpAddr::V6(peer)) => {
                embedded(peer).is_some_and(|(_, peer)| u32::from(peer) & mask == net & mask)
            }
            (Network::V6 { net, mask }, IpAddr::V6(peer)) => u128::from(peer) & mask == net & mask,
            (Network::V6 { net, mask }, IpAddr::V4(peer)) => embedded(Ipv6Addr::from(net))
                .is_some_and(|(prefix, _)| (prefix | u128::from(u32::from(peer))) & mask == net & mask),
        }
    }

    /// The first and the last address of the network, as if its mask had no holes.
    pub fn range(self) -> (IpAddr, IpAddr) {
        match self.network {
            Network::V4 { net, mask } => {
                (IpAddr::V4((net & mask).into()), IpAddr::V4((net & mask | !mask).into()))
            }
            Network::V6 { net, mask } => {
                (IpAddr::V6((net & mask).into()), IpAddr::V6((net & mask | !mask).into()))
            }
        }
    }

    fn with_bits(net: IpAddr, bits: &[u8]) -> Result<Self, BadAddressFilter> {
        // More bits than the address has are told as a problem; they count as all of its bits, as in XMail.
        if bits.is_empty() || !bits.iter().all(u8::is_ascii_digit) {
            return Err(BadAddressFilter);
        }
        let bits = u32::try_from(leading_number(bits)).unwrap_or(u32::MAX);
        let network = match net {
            IpAddr::V4(net) => {
                Network::V4 { net: net.into(), mask: !u32::MAX.checked_shr(bits).unwrap_or(0) }
            }
            IpAddr::V6(net) => {
                Network::V6 { net: net.into(), mask: !u128::MAX.checked_shr(bits).unwrap_or(0) }
            }
        };
        Ok(Self { network })
    }

    fn with_mask(net: IpAddr, mask: IpAddr) -> Result<Self, BadAddressFilter> {
        match (net, mask) {
            (IpAddr::V4(net), IpAddr::V4(mask)) => {
                Ok(Self { network: Network::V4 { net: net.into(), mask: mask.into() } })
            }
            _ => Err(BadAddressFilter),
        }
    }

    /// Reads the filter of a row, or notes what is wrong with it.
    pub(super) fn of_row(
        row: &Row<'_>,
        first: usize,
        second: &[u8],
        problems: &mut Problems,
    ) -> Option<Self> {
        let text = row.bytes(first);
        let filter = Self::parse(text, second).ok();
        if filter.is_none() {
            let found = text.to_string();
            problems.note(row.line, row.column(first), ProblemKind::BadAddressFilter(found));
        } else if let Some(width) = exceeded_width(text) {
            let found = text.to_string();
            problems.note(row.line, row.column(first), ProblemKind::TooManyBits { found, width });
        }
        filter
    }
}

/// The bits an address of this family has, if `text` is `net/bits` with more.
pub(super) fn exceeded_width(text: &[u8]) -> Option<u32> {
    let (net, bits) = text.split_once_str("/")?;
    let width = if address(net).ok()?.is_ipv4() { 32 } else { 128 };
    let is_number = !bits.is_empty() && bits.iter().all(u8::is_ascii_digit);
    (is_number && u32::try_from(leading_number(bits)).map_or(true, |bits| bits > width)).then_some(width)
}

fn address(text: &[u8]) -> Result<IpAddr, BadAddressFilter> {
    text.to_str().ok().and_then(|text| text.parse().ok()).ok_or(BadAddressFilter)
}

/// The IPv4 address inside a mapped or compatible IPv6 address, and the prefix before it.
fn embedded(address: Ipv6Addr) -> Option<(u128, Ipv4Addr)> {
    const MAPPED: u128 = 0xffff << 32;
    let bits = u128::from(address);
    let [.., a, b, c, d] = address.octets();
    let low = u32::from_be_bytes([a, b, c, d]);
    match bits - u128::from(low) {
        MAPPED => Some((MAPPED, low.into())),
        // `::` and `::1` are IPv6's own (RFC 4291 2.5).
        0 if low > 1 => Some((0, low.into())),
        _ => None,
    }
}

/// `smtp.ipmap.tab`, `pop3.ipmap.tab`, `imap.ipmap.tab`, `ctrl.ipmap.tab`, `finger.ipmap.tab`: who may connect.
#[derive(Clone, Debug, Default)]
pub struct IpMap {
    rows: Vec<IpMapRow>,
}

/// A row of an IP map.
#[derive(Clone, Debug)]
pub struct IpMapRow {
    /// The line, from 1.
    pub line: u32,
    /// The peers it is about.
    pub filter: AddressFilter,
    /// `ALLOW` in any case; every other word denies.
    pub allowed: bool,
    /// The row with the highest precedence decides; a negative one never applies.
    pub precedence: i64,
}

/// What an IP map says about a peer.
#[derive(Clone, Copy, Debug)]
pub struct IpVerdict<'a> {
    /// Whether the peer may connect.
    pub allowed: bool,
    /// The row that decided; `None`: no row applied, which allows.
    pub row: Option<&'a IpMapRow>,
}

impl IpMap {
    /// Whether `peer` may connect (`mailroot.md` 11.1, decision 47): the highest precedence decides, the later row on
    /// a tie.
    pub fn verdict(&self, peer: IpAddr) -> IpVerdict<'_> {
        let applying = self.rows.iter().filter(|row| row.precedence >= 0 && row.filter.matches(peer));
        // `max_by_key` gives the last of equal rows.
        let row = applying.max_by_key(|row| row.precedence);
        IpVerdict { allowed: row.is_none_or(|row| row.allowed), row }
    }

    /// All rows about `peer`, also those that never apply, in file order.
    pub fn matching(&self, peer: IpAddr) -> impl Iterator<Item = &IpMapRow> {
        self.rows.iter().filter(move |row| row.filter.matches(peer))
    }

    /// All rows with a usable filter, in file order.
    pub fn rows(&self) -> &[IpMapRow] {
        &self.rows
    }
}

impl Table for IpMap {
    const SPEC: RowSpec = tables::IPMAP.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let allowed = row.bytes(2).eq_ignore_ascii_case(b"ALLOW");
        tables::IPMAP.check(&row, [2], problems);
        let precedence = number(&row, 3, problems);
        if precedence < 0 {
            problems.note(row.line, row.column(3), ProblemKind::NegativePrecedence);
        }
        if let Some(filter) = AddressFilter::of_row(&row, 0, row.bytes(1), problems) {
            self.rows.push(IpMapRow { line: row.line, filter, allowed, precedence });
        }
    }
}

/// `smtprelay.tab`: peers that may relay.
#[derive(Clone, Debug, Default)]
pub struct SmtpRelay {
    rows: Vec<SmtpRelayRow>,
}

/// A row of `smtprelay.tab`.
#[derive(Clone, Debug)]
pub struct SmtpRelayRow {
    /// The line, from 1.
    pub line: u32,
    /// The peers that may relay.
    pub filter: AddressFilter,
}

impl SmtpRelay {
    /// The first row that lets `peer` relay.
    pub fn matching(&self, peer: IpAddr) -> Option<&SmtpRelayRow> {
        self.rows.iter().find(|row| row.filter.matches(peer))
    }

    /// All rows with a usable filter, in file order.
    pub fn rows(&self) -> &[SmtpRelayRow] {
        &self.rows
    }
}

impl Table for SmtpRelay {
    const SPEC: RowSpec = tables::SMTPRELAY.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        if let Some(filter) = AddressFilter::of_row(&row, 0, row.bytes(1), problems) {
            self.rows.push(SmtpRelayRow { line: row.line, filter });
        }
    }
}

/// `spammers.tab`: peers that are refused or slowed down. A missing file is an empty one (decision 36).
#[derive(Clone, Debug, Default)]
pub struct Spammers {
    rows: Vec<SpammerRow>,
}

/// A row of `spammers.tab`.
#[derive(Clone, Debug)]
pub struct SpammerRow {
    /// The line, from 1.
    pub line: u32,
    /// The peers it is about.
    pub filter: AddressFilter,
    /// Above 0: refuse at connect; 0: refuse later unless authenticated; below 0: a delay of as many seconds for
    /// each command.
    pub code: i64,
}

/// `code` of a row that does not say.
pub const SPAMMER_CODE: i64 = 1;

impl Spammers {
    /// The first row about `peer`; it decides.
    pub fn matching(&self, peer: IpAddr) -> Option<&SpammerRow> {
        self.rows.iter().find(|row| row.filter.matches(peer))
    }

    /// All rows with a usable filter, in file order.
    pub fn rows(&self) -> &[SpammerRow] {
        &self.rows
    }
}

impl Table for Spammers {
    const SPEC: RowSpec = tables::SPAMMERS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let has_mask = row.bytes(1).first().is_some_and(u8::is_ascii_digit);
        let mask: &BStr = if has_mask { row.bytes(1) } else { BStr::new("") };
        let parameters = if has_mask { 2 } else { 1 };
        let list = OptionList::parse(row.bytes(parameters));
        Kind::Options(&options::SPAMMER).note(row.bytes(parameters), &mut |kind| {
            problems.note(row.line, row.column(parameters), kind);
        });
        if let Some(filter) = AddressFilter::of_row(&row, 0, mask, problems) {
            let code = list.integer(&options::CODE).unwrap_or(SPAMMER_CODE);
            self.rows.push(SpammerRow { line: row.line, filter, code });
        }
    }
}

/// `spam-address.tab`: patterns of senders that are refused.
#[derive(Clone, Debug, Default)]
pub struct SpamAddresses {
    rows: Vec<SpamAddressRow>,
}

/// A row of `spam-address.tab`.
#[derive(Clone, Debug)]
pub struct SpamAddressRow {
    /// The line, from 1.
    pub line: u32,
    /// The wildcard pattern, compared with the whole sender address.
    pub pattern: BString,
}

impl SpamAddresses {
    /// The first row whose pattern matches the envelope sender.
    pub fn matching(&self, sender: &str) -> Option<&SpamAddressRow> {
        self.rows.iter().find(|row| wildcard::matches(&row.pattern, sender.as_bytes()))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[SpamAddressRow] {
        &self.rows
    }
}

impl Table for SpamAddresses {
    const SPEC: RowSpec = tables::SPAM_ADDRESS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        tables::SPAM_ADDRESS.check(&row, [0], problems);
        self.rows.push(SpamAddressRow { line: row.line, pattern: row.bytes(0).to_owned() });
    }
}

/// What a peer is excused from or may do (`mailroot.md` 11.3). `a | b` has what either has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// `WhiteList`: no `smtp.ipmap.tab`, `spammers.tab`, maps and reverse DNS checks; `wlex` filters are skipped.
    pub white_list: bool,
    /// `NoAuth`: lifts `MailAuth`.
    pub no_auth: bool,
    /// `SenderDomainCheck=0`: no `CheckMailerDomain`.
    pub skip_sender_domain_check: bool,
    /// `EaseTLS`: lifts `WantTLS` (decision 37).
    pub ease_tls: bool,
    /// `EnableVRFY`: VRFY is allowed.
    pub enable_vrfy: bool,
    /// `EnableETRN`: ETRN is allowed.
    pub enable_etrn: bool,
}

impl BitOr for Properties {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            white_list: self.white_list || other.white_list,
            no_auth: self.no_auth || other.no_auth,
            skip_sender_domain_check: self.skip_sender_domain_check || other.skip_sender_domain_check,
            ease_tls: self.ease_tls || other.ease_tls,
            enable_vrfy: self.enable_vrfy || other.enable_vrfy,
            enable_etrn: self.enable_etrn || other.enable_etrn,
        }
    }
}

impl BitOrAssign for Properties {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl Properties {
    /// Reads all columns from the second on; unknown names are ignored.
    fn of_row(row: &Row<'_>) -> Self {
        let list = OptionList::of_columns(row.values_from(1));
        Self {
            white_list: list.flag(&options::WHITE_LIST),
            no_auth: list.flag(&options::NO_AUTH),
            skip_sender_domain_check: list
                .get(&options::SENDER_DOMAIN_CHECK)
                .is_some_and(|option| !option.is_on()),
            ease_tls: list.flag(&options::EASE_TLS),
            enable_vrfy: list.flag(&options::ENABLE_VRFY),
            enable_etrn: list.flag(&options::ENABLE_ETRN),
        }
    }
}

/// `smtp.ipprop.tab`: properties by address.
#[derive(Clone, Debug, Default)]
pub struct IpProperties {
    rows: Vec<PropertiesRow<AddressFilter>>,
}

/// A row of `smtp.ipprop.tab` or `smtp.hnprop.tab`.
#[derive(Clone, Debug)]
pub struct PropertiesRow<Peers = AddressFilter> {
    /// The line, from 1.
    pub line: u32,
    /// The peers it is about.
    pub peers: Peers,
    /// What they are excused from or may do.
    pub properties: Properties,
}

impl IpProperties {
    /// The first row about `peer`; others are not merged.
    pub fn matching(&self, peer: IpAddr) -> Option<&PropertiesRow> {
        self.rows.iter().find(|row| row.peers.matches(peer))
    }

    /// All rows with a usable filter, in file order.
    pub fn rows(&self) -> &[PropertiesRow] {
        &self.rows
    }
}

impl Table for IpProperties {
    const SPEC: RowSpec = tables::IPPROP.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        tables::IPPROP.check(&row, 1..row.fields.len(), problems);
        let properties = Properties::of_row(&row);
        // The second column is a property here: the form with a mask does not exist (`mailroot.md` 11.3).
        if let Some(peers) = AddressFilter::of_row(&row, 0, b"", problems) {
            self.rows.push(PropertiesRow { line: row.line, peers, properties });
        }
    }
}

/// `smtp.hnprop.tab`: properties by host name, applied in addition to those by address.
///
/// XMail compares prefixes, which lets anybody choose a name that matches; we compare whole names (`mailroot.md` 11.4).
#[derive(Clone, Debug, Default)]
pub struct HostProperties {
    rows: Vec<PropertiesRow<HostPattern>>,
}

/// A host name, or with a leading dot all its sub-domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// The pattern as written.
    pub text: Box<str>,
}

impl HostPattern {
    /// Whether the pattern means `host`: ASCII case is folded and one trailing dot of either is ignored.
    pub fn matches(&self, host: &str) -> bool {
        let without_dot = |name| -> &[u8] { str::strip_suffix(name, ".").unwrap_or(name).as_bytes() };
        let (pattern, host) = (without_dot(&self.text), without_dot(host));
        if pattern.first() == Some(&b'.') {
            host.len().checked_sub(pattern.len()).is_some_and(|labels| {
                labels > 0 && pattern.len() > 1 && host[labels..].eq_ignore_ascii_case(pattern)
            })
        } else {
            !pattern.is_empty() && host.eq_ignore_ascii_case(pattern)
        }
    }
}

impl HostProperties {
    /// The first row about a peer of this verified name.
    pub fn matching(&self, host: &str) -> Option<&PropertiesRow<HostPattern>> {
        self.rows.iter().find(|row| row.peers.matches(host))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[PropertiesRow<HostPattern>] {
        &self.rows
    }
}

impl Table for HostProperties {
    const SPEC: RowSpec = tables::HNPROP.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        tables::HNPROP.check(&row, 0..row.fields.len(), problems);
        let properties = Properties::of_row(&row);
        if let Some(text) = row.text(0, problems) {
            self.rows.push(PropertiesRow { line: row.line, peers: HostPattern { text }, properties });
        }
    }
}

/// The number in a column as XMail reads it; what is not a number is noted and counts by its leading digits.
fn number(row: &Row<'_>, index: usize, problems: &mut Problems) -> i64 {
    let text = row.bytes(index);
    if text.to_str().ok().and_then(|text| text.parse::<i64>().ok()).is_none() {
        problems.note(row.line, row.column(index), ProblemKind::NotANumber(text.to_string()));
    }
    leading_number(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(columns: (&str, &str), matching: &[&str], others: &[&str]) {
        let filter = AddressFilter::parse(columns.0.as_bytes(), columns.1.as_bytes()).unwrap();
        for peer in matching {
            assert!(filter.matches(ip(peer)), "{columns:?} must match {peer}");
        }
        for peer in others {
            assert!(!filter.matches(ip(peer)), "{columns:?} must not match {peer}");
        }
    }

    #[test]
    fn filters_match_networks_of_both_families() {
        check(
            ("192.0.2.0/24", ""),
            &["192.0.2.1", "::ffff:192.0.2.1", "::192.0.2.1"],
            &["192.0.3.1", "2001::1"],
        );
        check(("192.0.2.77/24", "ignored"), &["192.0.2.1"], &["192.0.3.1"]);
        check(("192.0.2.1", "255.255.255.255"), &["192.0.2.1"], &["192.0.2.2"]);
        check(("10.0.0.5", "255.0.0.255"), &["10.9.8.5"], &["10.9.8.6", "11.0.0.5"]);
        check(("0.0.0.0", "0.0.0.0"), &["1.2.3.4", "::ffff:1.2.3.4"], &["::1", "::", "2001:db8::1"]);
        check(("0.0.0.0/0", ""), &["255.255.255.255"], &["::1"]);
        check(("127.0.0.1/99", ""), &["127.0.0.1"], &["127.0.0.2"]);
        check(("2001:db8::/32", ""), &["2001:db8:ffff::1"], &["2001:db9::1", "192.0.2.1"]);
        check(("::/0", ""), &["::1", "2001::1"], &["192.0.2.1"]);
        check(("::ffff:192.0.2.0/120", ""), &["192.0.2.9", "::ffff:192.0.2.9"], &["192.0.3.9"]);
        check(("::192.0.2.0/120", ""), &["192.0.2.9"], &["192.0.3.9"]);
        check(("::1/128", ""), &["::1"], &["0.0.0.1"]);
    }

    #[test]
    fn what_is_no_filter_never_matches() {
        for (first, second) in [
            ("192.0.2.1", ""),
            ("192.0.2.1", "24"),
            ("192.0.2.1/", ""),
            ("192.0.2.1/x", ""),
            ("192.0.2.1/-1", ""),
            ("host.test/32", ""),
            ("host.test", "255.255.255.255"),
            ("2001:db8::", "ffff::"),
            ("2001:db8::", "255.255.255.0"),
            ("", ""),
        ] {
            assert_eq!(
                AddressFilter::parse(first.as_bytes(), second.as_bytes()),
                Err(BadAddressFilter),
                "{first}"
            );
        }
    }

    #[test]
    fn the_highest_precedence_decides_and_the_later_row_on_a_tie() {
        let (map, problems) = load_text::<IpMap>(
            "smtp.ipmap.tab",
            "\"0.0.0.0\"\t\"0.0.0.0\"\t\"DENY\"\t\"1\"\n\
             \"192.0.2.0/24\"\t\"-\"\t\"allow\"\t\"2\"\n\
             \"192.0.2.9/32\"\t\"-\"\t\"DENY\"\t\"2\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let verdict = |peer| {
            let verdict = map.verdict(ip(peer));
            (verdict.allowed, verdict.row.map(|row| row.line))
        };
        assert_eq!(verdict("198.51.100.1"), (false, Some(1)));
        assert_eq!(verdict("192.0.2.1"), (true, Some(2)));
        assert_eq!(verdict("192.0.2.9"), (false, Some(3)));
        assert_eq!(verdict("2001:db8::1"), (true, None));
    }

    #[test]
    fn odd_rows_of_an_ip_map_are_reported() {
        let (map, problems) = load_text::<IpMap>(
            "smtp.ipmap.tab",
            "\"192.0.2.0/24\"\t\"DENY\"\t\"1\"\n\
             \"192.0.2.0/24\"\t\"-\"\t\"DENY\"\t\"-1\"\n\
             \"host.test\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n\
             \"192.0.2.0/24\"\t\"-\"\t\"PERMIT\"\t\"x\"\n",
        );
        assert_eq!(
            problems,
            [
                "smtp.ipmap.tab:1: needs 4 columns, has 3; the row is ignored",
                "smtp.ipmap.tab:2:27: a negative precedence never applies",
                "smtp.ipmap.tab:3:1: is not an address filter (net/bits, or net and mask): \"host.test\"; the row never matches",
                "smtp.ipmap.tab:4:20: \"PERMIT\" is not one of: ALLOW, DENY",
                "smtp.ipmap.tab:4:29: is not a decimal number: \"x\"",
            ]
        );
        // The last row denies: every word but ALLOW does, and its precedence reads as 0.
        assert!(!map.verdict(ip("192.0.2.1")).allowed);
        assert_eq!(map.rows().len(), 2);
    }

    #[test]
    fn more_bits_than_an_address_has_are_reported_and_mean_the_address() {
        let (map, problems) = load_text::<IpMap>(
            "smtp.ipmap.tab",
            "\"192.0.2.0/32\"\t\"-\"\t\"DENY\"\t\"1\"\n\
             \"192.0.2.0/33\"\t\"-\"\t\"DENY\"\t\"1\"\n\
             \"2001:db8::/128\"\t\"-\"\t\"DENY\"\t\"1\"\n\
             \"2001:db8::/129\"\t\"-\"\t\"DENY\"\t\"1\"\n\
             \"192.0.2.0/99999999999999999999\"\t\"-\"\t\"DENY\"\t\"1\"\n",
        );
        let has = "has more bits than the address, which has";
        assert_eq!(
            problems,
            [
                format!("smtp.ipmap.tab:2:1: {has} 32: \"192.0.2.0/33\"; it is that address alone"),
                format!("smtp.ipmap.tab:4:1: {has} 128: \"2001:db8::/129\"; it is that address alone"),
                format!(
                    "smtp.ipmap.tab:5:1: {has} 32: \"192.0.2.0/99999999999999999999\"; it is that address alone"
                ),
            ]
        );
        assert!(!map.verdict(ip("192.0.2.0")).allowed && map.verdict(ip("192.0.2.1")).allowed);
    }

    #[test]
    fn relaying_peers_are_listed_in_either_form() {
        let (relay, problems) = load_text::<SmtpRelay>(
            "smtprelay.tab",
            "\"192.0.2.0\"\t\"255.255.255.0\"\n\"2001:db8::/32\"\n\"198.51.100.1\"\n",
        );
        assert_eq!(relay.matching(ip("192.0.2.200")).unwrap().line, 1);
        assert_eq!(relay.matching(ip("2001:db8::7")).unwrap().line, 2);
        assert!(relay.matching(ip("198.51.100.1")).is_none());
        assert_eq!(
            problems,
            [
                "smtprelay.tab:3:1: is not an address filter (net/bits, or net and mask): \"198.51.100.1\"; the row never matches"
            ]
        );
    }

    /// The rows of golden `smtp_opt_spammers`, and a mask with parameters.
    #[test]
    fn spammers_have_a_code() {
        let (spammers, problems) = load_text::<Spammers>(
            "spammers.tab",
            "\"127.0.0.6\"\t\"255.255.255.255\"\n\
             \"127.0.0.7/32\"\t\"code=0\"\n\
             \"127.0.0.8/32\"\t\"code=-1\"\n\
             \"127.0.1.0/24\"\n\
             \"127.0.2.0\"\t\"255.255.255.0\"\t\"code=5,Code=6\"\n",
        );
        let code = |peer| spammers.matching(ip(peer)).map(|row| row.code);
        assert_eq!(code("127.0.0.6"), Some(1));
        assert_eq!(code("127.0.0.7"), Some(0));
        assert_eq!(code("127.0.0.8"), Some(-1));
        assert_eq!(code("127.0.1.9"), Some(1));
        assert_eq!(code("127.0.2.9"), Some(5));
        assert_eq!(code("127.0.0.1"), None);
        assert_eq!(problems, ["spammers.tab:5:29: \"Code\" counts for nothing: accepted are code"]);
    }

    #[test]
    fn spam_addresses_are_patterns() {
        let (spam, _) = load_text::<SpamAddresses>("spam-address.tab", "\"*@bulk.example\"\n\"x?@*\"\n");
        assert_eq!(spam.matching("A@BULK.example").unwrap().line, 1);
        assert_eq!(spam.matching("x1@a.test").unwrap().line, 2);
        assert!(spam.matching("a@bulk.example.test").is_none());
        assert!(spam.matching("").is_none());
    }

    /// The rows of golden `smtp_opt_ipprop`.
    #[test]
    fn the_first_row_about_an_address_gives_its_properties() {
        let (table, problems) = load_text::<IpProperties>(
            "smtp.ipprop.tab",
            "\"127.0.0.6/32\"\t\"WhiteList=1\"\n\
             \"127.0.0.7/32\"\t\"EnableVRFY=1\"\t\"EnableETRN\"\t\"NoAuth=0\"\n\
             \"127.0.0.0/8\"\t\"EaseTLS=1\"\t\"SenderDomainCheck=0\"\t\"whitelist\"\n\
             \"10.0.0.1\"\t\"255.255.255.255\"\t\"NoAuth\"\n",
        );
        let properties = |peer| table.matching(ip(peer)).map(|row| row.properties);
        let none = Properties::default();
        assert_eq!(properties("127.0.0.6"), Some(Properties { white_list: true, ..none }));
        assert_eq!(
            properties("127.0.0.7"),
            Some(Properties { enable_vrfy: true, enable_etrn: true, ..none })
        );
        let eased = Properties { ease_tls: true, skip_sender_domain_check: true, ..none };
        assert_eq!(properties("127.0.0.8"), Some(eased));
        assert_eq!(properties("10.0.0.1"), None);
        let accepted = "WhiteList, NoAuth, SenderDomainCheck, EaseTLS, EnableVRFY, EnableETRN";
        assert_eq!(
            problems,
            [
                format!("smtp.ipprop.tab:3:49: \"whitelist\" counts for nothing: accepted are {accepted}"),
                format!("smtp.ipprop.tab:4:12: \"255.255.255.255\" counts for nothing: accepted are {accepted}"),
                "smtp.ipprop.tab:4:1: is not an address filter (net/bits, or net and mask): \"10.0.0.1\"; the row never matches".to_owned(),
            ]
        );
        assert_eq!(eased | Properties { no_auth: true, ..none }, Properties { no_auth: true, ..eased });
    }

    #[test]
    fn host_patterns_mean_whole_names_or_sub_domains() {
        for (pattern, host, expected) in [
            ("home.test", "HOME.test", true),
            ("home.test", "home.test.", true),
            ("home.test.", "home.test", true),
            ("home.test", "home.test.evil.example", false),
            ("home.test", "a.home.test", false),
            (".home.test", "a.b.home.test", true),
            (".home.test.", "a.home.test.", true),
            (".home.test", "home.test", false),
            (".home.test", ".home.test", false),
            (".home.test", "evilhome.test", false),
            (".", "a.test", false),
            ("", "", false),
        ] {
            assert_eq!(HostPattern { text: pattern.into() }.matches(host), expected, "{pattern} {host}");
        }
        let (table, _) = load_text::<HostProperties>("smtp.hnprop.tab", "\".home.test\"\t\"NoAuth\"\n");
        assert!(table.matching("a.home.test").unwrap().properties.no_auth);
        assert!(table.matching("home.test").is_none());
    }
}
