//! Who may connect, relay and be called a spammer: `*.ipmap.tab`, `smtprelay.tab`, `spammers.tab`,
//! `spam-address.tab`, `smtp.ipprop.tab`, `smtp.hnprop.tab` (`mailroot.md` 11).
//!
//! Rows whose address filter cannot be read are problems and never match; host names in filters are not resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{BitOr, BitOrAssign};

use bstr::{BStr, BString, ByteSlice};

use super::option_list::{ListedOption, OptionList};
use super::problem::{ProblemKind, Problems};
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

    fn with_bits(net: IpAddr, bits: &[u8]) -> Result<Self, BadAddressFilter> {
        // More bits than the address has are harmless, so only the digits are checked.
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
    pub(super) fn of_row(row: &Row, first: usize, second: &[u8], problems: &mut Problems) -> Option<Self> {
        let filter = Self::parse(row.bytes(first), second).ok();
        if filter.is_none() {
            let found = row.bytes(first).to_string();
            problems.note(row.line, row.column(first), ProblemKind::BadAddressFilter(found));
        }
        filter
    }
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

/// `smtp.ipmap.tab`, `pop3.ipmap.tab`, `ctrl.ipmap.tab`, `finger.ipmap.tab`: who may connect.
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

    /// All rows with a usable filter, in file order.
    pub fn rows(&self) -> &[IpMapRow] {
        &self.rows
    }
}

impl Table for IpMap {
    const SPEC: RowSpec = RowSpec::at_least(4, 510);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let permission = row.bytes(2);
        let allowed = permission.eq_ignore_ascii_case(b"ALLOW");
        if !allowed && !permission.eq_ignore_ascii_case(b"DENY") {
            let found = permission.to_string();
            problems.note(
                row.line,
                row.column(2),
                ProblemKind::UnknownWord { found, accepted: "ALLOW, DENY" },
            );
        }
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
    const SPEC: RowSpec = RowSpec::at_least(1, 510);

    fn push(&mut self, row: Row, problems: &mut Problems) {
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
    const SPEC: RowSpec = RowSpec::at_least(1, 510);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let has_mask = row.bytes(1).first().is_some_and(u8::is_ascii_digit);
        let mask: &BStr = if has_mask { row.bytes(1) } else { BStr::new("") };
        let parameters = if has_mask { 2 } else { 1 };
        let options = OptionList::parse(row.bytes(parameters));
        for option in options.iter().filter(|option| option.name != "code") {
            let found = option.name.to_string();
            problems.note(
                row.line,
                row.column(parameters),
                ProblemKind::UnknownWord { found, accepted: "code" },
            );
        }
        if let Some(filter) = AddressFilter::of_row(&row, 0, mask, problems) {
            let code = options.integer("code").unwrap_or(SPAMMER_CODE);
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
    const SPEC: RowSpec = RowSpec::at_least(1, 510);

    fn push(&mut self, row: Row, _problems: &mut Problems) {
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
    /// Reads all columns from the second on; unknown names are noted and ignored.
    fn of_row(row: &Row, problems: &mut Problems) -> Self {
        let mut properties = Self::default();
        for index in 1..row.fields.len() {
            let option = ListedOption::parse(row.bytes(index));
            match option.name.as_slice() {
                b"WhiteList" => properties.white_list = option.is_on(),
                b"NoAuth" => properties.no_auth = option.is_on(),
                b"SenderDomainCheck" => properties.skip_sender_domain_check = !option.is_on(),
                b"EaseTLS" => properties.ease_tls = option.is_on(),
                b"EnableVRFY" => properties.enable_vrfy = option.is_on(),
                b"EnableETRN" => properties.enable_etrn = option.is_on(),
                _ => {
                    let found = option.name.to_string();
                    let accepted = "WhiteList, NoAuth, SenderDomainCheck, EaseTLS, EnableVRFY, EnableETRN";
                    problems.note(row.line, row.column(index), ProblemKind::UnknownWord { found, accepted });
                }
            }
        }
        properties
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
    const SPEC: RowSpec = RowSpec::at_least(1, 1022);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let properties = Properties::of_row(&row, problems);
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
    const SPEC: RowSpec = RowSpec::at_least(1, 1022);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let properties = Properties::of_row(&row, problems);
        if let Some(text) = row.text(0, problems) {
            self.rows.push(PropertiesRow { line: row.line, peers: HostPattern { text }, properties });
        }
    }
}

/// The number in a column as XMail reads it; what is not a number is noted and counts by its leading digits.
fn number(row: &Row, index: usize, problems: &mut Problems) -> i64 {
    let text = row.bytes(index);
    if text.to_str().ok().and_then(|text| text.parse::<i64>().ok()).is_none() {
        problems.note(row.line, row.column(index), ProblemKind::NotANumber(text.to_string()));
    }
    leading_number(text)
}
