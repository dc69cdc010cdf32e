//! What a value may be: its description for people, and the check of what they wrote.
//!
//! [`Kind::note`] never judges more strictly than the loaders and getters act: what XMail tolerates is read as XMail
//! reads it, and at most a warning says so.

use std::fmt::Write as _;

use bstr::{BStr, ByteSlice};

use super::options::OptionGroup;
use crate::address::{Mailbox, is_domain, is_rfc822_name};
use crate::dns::SmartHost;
use crate::mailroot::ProblemKind;
use crate::mailroot::access::exceeded_width;
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::authentication::is_password_encoding;
use crate::mailroot::links::LinkTarget;
use crate::mailroot::option_list::{ListedOption, OptionList};
use crate::mailroot::routing::{GatewayList, GatewayOptions, HostPort, route_hosts};
use crate::mailroot::server_tab::leading_number;
use crate::net::BindAddress;

/// The kind of a variable, an option or a column.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A decimal number: 0 is off, every other is on.
    Flag,
    /// A decimal number.
    Integer {
        /// The smallest that means something.
        min: i64,
        /// The largest that means something.
        max: i64,
        /// What is counted, in the plural; empty for a code.
        unit: &'static str,
    },
    /// A size in kB of 1024 bytes; 0 = no limit.
    Kilobytes,
    /// Any text.
    Text,
    /// A complete reply line with its code, such as `554 Go away`.
    ReplyLine,
    /// A mail address.
    Address,
    /// A wildcard pattern that is compared with a mail address.
    AddressPattern,
    /// A domain.
    Domain,
    /// A domain, or a wildcard pattern for domains.
    DomainPattern,
    /// The part of an address before the `@`.
    LocalPart,
    /// Such a part, or a wildcard pattern for it.
    LocalPartPattern,
    /// The name of an account, or a full address.
    AccountOrAddress,
    /// A mail address, or a domain, which gets the recipient's local part. May hold macros.
    RedirectTarget,
    /// The first column of `pop3links.tab`.
    LinkTarget,
    /// `net/bits`, or an address whose mask is in the next column.
    Network,
    /// `net/bits`.
    NetworkBits,
    /// The mask of the address in the column before.
    Mask,
    /// An IP address.
    IpAddress,
    /// A host name; with a dot in front all its sub-domains.
    HostPattern,
    /// A host to connect to, perhaps with a port.
    Host,
    /// Hosts to connect to: `[#]host[:port][,option...];...`. May hold macros in command files.
    Gateways,
    /// Options for hosts to connect to.
    GatewayOptions,
    /// `@relay` or `@relay1,@relay2`.
    Route,
    /// A password as it is stored for accounts.
    Password,
    /// A password in clear.
    ClearPassword,
    /// One of some words, in any case.
    OneOf(Words),
    /// The type of an account: a word of which the first letter counts.
    AccountType,
    /// Any of some letters, in any order, upper case.
    Letters(&'static OptionGroup),
    /// `name=value,name,...` (`mailroot.md` 2.7).
    Options(&'static OptionGroup),
    /// One `name=value` or `name`.
    Property(&'static OptionGroup),
    /// A comma list.
    List(ListOf),
    /// The name of a file in a certain directory.
    FileName(&'static str),
    /// The path of a program, which is run without a shell.
    Program,
    /// An argument of a program, in which macros are replaced.
    Argument,
}

/// A word of a fixed set.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// As it is written.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// A fixed set of words.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The words; of a variable the first is the default.
    pub words: &'static [Word],
    /// All of them, separated by commas, for a [`ProblemKind::UnknownWord`].
    pub accepted: &'static str,
}

impl Words {
    /// The word that a value is, in any case.
    pub fn find(&self, value: &[u8]) -> Option<&'static Word> {
        self.words.iter().find(|known| known.word.as_bytes().eq_ignore_ascii_case(value))
    }
}

/// A fixed set of words, each with its meaning.
macro_rules! words {
    ($first:literal: $first_doc:literal $(, $word:literal: $doc:literal)* $(,)?) => {
        $crate::mailroot::schema::kind::Words {
            words: &[
                $crate::mailroot::schema::kind::Word { word: $first, doc: $first_doc },
                $($crate::mailroot::schema::kind::Word { word: $word, doc: $doc }),*
            ],
            accepted: concat!($first $(, ", ", $word)*),
        }
    };
}
pub(in crate::mailroot) use words;

/// What a comma list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOf {
    /// Numbers of attempts.
    Attempts,
    /// Mechanisms of AUTH.
    Mechanisms,
    /// `zone.:code`.
    DnsLists,
    /// `server:udp` or `server:tcp`.
    DnsServers,
    /// Header fields, with `+` in front or not.
    HeaderFields,
    /// `address[:port]`, or `-` alone.
    Listeners,
}

impl Kind {
    /// The first thing that is wrong with a value.
    pub fn check(&self, value: &[u8]) -> Option<ProblemKind> {
        let mut first = None;
        self.note(value, &mut |problem| {
            first.get_or_insert(problem);
        });
        first
    }

    /// All that is wrong with a value.
    pub fn note(&self, value: &[u8], note: &mut dyn FnMut(ProblemKind)) {
        let mut demand = |is_good: bool, problem: fn(String) -> ProblemKind| {
            if !is_good {
                note(problem(value.as_bstr().to_string()));
            }
        };
        match self {
            Self::Text | Self::Argument | Self::Mask | Self::ClearPassword => {}
            Self::Program | Self::LocalPartPattern | Self::AddressPattern => {
                demand(!value.is_empty(), |_| ProblemKind::Empty)
            }
            Self::Flag => note_number(value, (i64::MIN, i64::MAX), "", note),
            Self::Integer { min, max, unit } => note_number(value, (*min, *max), unit, note),
            Self::Kilobytes => note_number(value, (0, i64::MAX), "kB", note),
            Self::ReplyLine => demand(has_reply_code(value), ProblemKind::NoReplyCode),
            Self::Address => demand(Mailbox::parse(value).is_ok(), ProblemKind::BadAddress),
            Self::Domain => demand(is_domain(value), ProblemKind::BadDomain),
            Self::DomainPattern => {
                demand(!value.contains(&b'@'), ProblemKind::AtInDomainPattern);
                demand(!value.is_empty(), |_| ProblemKind::Empty);
            }
            Self::LocalPart => demand(is_rfc822_name(value), ProblemKind::BadLocalPart),
            Self::AccountOrAddress if value.contains(&b'@') => Self::Address.note(value, note),
            Self::AccountOrAddress => Self::LocalPart.note(value, note),
            Self::RedirectTarget if has_macro(value) => {}
            Self::RedirectTarget if value.contains(&b'@') => Self::Address.note(value, note),
            Self::RedirectTarget => Self::Domain.note(value, note),
            Self::LinkTarget => note_link_target(value, note),
            Self::Network | Self::NetworkBits => match exceeded_width(value) {
                Some(width) => note(ProblemKind::TooManyBits { found: value.as_bstr().to_string(), width }),
                None => {
                    let has_bits = matches!(self, Self::Network) || value.contains(&b'/');
                    demand(has_bits && is_network(value), ProblemKind::BadAddressFilter);
                }
            },
            Self::IpAddress => demand(is_ip_address(value), ProblemKind::BadIpAddress),
            Self::HostPattern => {
                let name = value.strip_prefix(b".").unwrap_or(value);
                demand(is_domain(name.strip_suffix(b".").unwrap_or(name)), ProblemKind::BadDomain);
            }
            Self::Host => {
                demand(value.to_str().ok().and_then(HostPort::parse).is_some(), ProblemKind::BadHost)
            }
            Self::Gateways if has_macro(value) => {}
            Self::Gateways => {
                if GatewayList::parse_noting(value, note).hosts.is_empty() {
                    note(ProblemKind::NoHost);
                }
            }
            Self::GatewayOptions => drop(GatewayOptions::parse_noting(value, note)),
            Self::Route => demand(value.to_str().ok().and_then(route_hosts).is_some(), ProblemKind::BadRoute),
            Self::Password if is_password_encoding(value) => {}
            Self::Password => note(ProblemKind::BadPassword),
            Self::OneOf(words) => demand_known(words.find(value).is_some(), value, words.accepted, note),
            Self::AccountType => {
                let letter = value.get(..1).unwrap_or_default();
                demand_known(ACCOUNT_TYPES.find(letter).is_some(), value, ACCOUNT_TYPES.accepted, note);
            }
            Self::Letters(group) => {
                if let Some(odd) = group.odd_letter(value) {
                    note(ProblemKind::CountsForNothing { found: odd.to_string(), accepted: group.accepted });
                }
            }
            Self::Options(group) => {
                OptionList::parse(value).iter().for_each(|option| note_option(group, option, note));
            }
            Self::Property(group) => note_option(group, &ListedOption::parse(value), note),
            Self::List(of) => of.note(value, note),
            Self::FileName(_) => demand(value.to_str().is_ok_and(is_plain_name), ProblemKind::BadName),
        }
    }

    /// What a value may be, in words: "a decimal number from 0 to 4". Empty: anything.
    pub fn describe(&self) -> String {
        match self {
            Self::Flag => "1 or 0".into(),
            Self::Integer { min, max, unit } => describe_number(*min, *max, unit),
            Self::Kilobytes => "a size in kB, 0 for none".into(),
            Self::Text | Self::ClearPassword | Self::Program | Self::Argument => String::new(),
            Self::ReplyLine => "a reply line with its code, such as `554 Go away`".into(),
            Self::Address => "a mail address".into(),
            Self::AddressPattern => "a pattern with * and ? for mail addresses".into(),
            Self::Domain => "a domain".into(),
            Self::DomainPattern => "a domain, or a pattern with * and ?".into(),
            Self::LocalPart => "the part of an address before the @".into(),
            Self::LocalPartPattern => "the part of an address before the @, or a pattern with * and ?".into(),
            Self::AccountOrAddress => "an account's name, or a mail address".into(),
            Self::RedirectTarget => "a mail address, or a domain".into(),
            Self::LinkTarget => "domain, @domain, ?domain,domain... or &suffix,domain...".into(),
            Self::Network => {
                "an address with bits, such as 192.0.2.0/24, or without, if the next column is a mask".into()
            }
            Self::NetworkBits => "an address with bits, such as 192.0.2.0/24".into(),
            Self::Mask => "a mask, such as 255.255.255.0".into(),
            Self::IpAddress => "an IP address".into(),
            Self::HostPattern => "a host name; with a dot in front all its sub-domains".into(),
            Self::Host => "a host, host:port or [v6]:port".into(),
            Self::Gateways => "hosts: [#]host[:port][,option...];...  # in front: in random order".into(),
            Self::GatewayOptions => "options for hosts, separated by commas".into(),
            Self::Route => "@relay or @relay1,@relay2".into(),
            Self::Password => {
                "a stored password: XMail's hex digits, or $argon2id$...; tabmail xmcrypt makes both".into()
            }
            Self::OneOf(words) => format!("one of {}, in any case", words.accepted),
            Self::AccountType => format!("one of {}, in any case", ACCOUNT_TYPES.accepted),
            Self::Letters(_) => "letters, upper case, in any order".into(),
            Self::Options(_) => "options, separated by commas".into(),
            Self::Property(_) => "name=value, or a name, which means 1".into(),
            Self::List(of) => of.describe().into(),
            Self::FileName(directory) => format!("the name of a file in {directory}"),
        }
    }

    /// The options or letters that the kind consists of.
    pub fn options(&self) -> Option<&'static OptionGroup> {
        match self {
            Self::Letters(group) | Self::Options(group) | Self::Property(group) => Some(group),
            Self::Gateways | Self::GatewayOptions => Some(&super::options::GATEWAY),
            _ => None,
        }
    }

    /// The words that the kind consists of.
    pub fn words(&self) -> &'static [Word] {
        match self {
            Self::OneOf(words) => words.words,
            Self::AccountType => ACCOUNT_TYPES.words,
            _ => &[],
        }
    }
}

impl ListOf {
    fn describe(self) -> &'static str {
        match self {
            Self::Attempts => "numbers of attempts, separated by commas",
            Self::Mechanisms => "LOGIN, PLAIN, CRAM-MD5, separated by commas",
            Self::DnsLists => "zone.:code, separated by commas",
            Self::DnsServers => "server:udp or server:tcp, separated by commas",
            Self::HeaderFields => "header fields, separated by commas",
            Self::Listeners => "address[:port], separated by commas; or - alone",
        }
    }

    fn note(self, value: &[u8], note: &mut dyn FnMut(ProblemKind)) {
        if self == Self::Listeners && value == b"-" {
            return;
        }
        for element in
            value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
        {
            let found = || element.as_bstr().to_string();
            match self {
                Self::Attempts if number(element).is_none() => {
                    note(ProblemKind::CountsForNothing { found: found(), accepted: "numbers of attempts" });
                }
                Self::Mechanisms if MECHANISMS.find(element).is_none() => {
                    note(ProblemKind::CountsForNothing { found: found(), accepted: MECHANISMS.accepted });
                }
                Self::DnsLists => {
                    let code = element.rsplit_once_str(":").map(|(_, code)| code);
                    if let Some(code) = code {
                        note_number(code, (i64::MIN, i64::MAX), "", note);
                    }
                }
                Self::DnsServers => {
                    let is_known =
                        element.to_str().is_ok_and(|element| SmartHost::parse_list(element).is_ok());
                    demand_known(is_known, element, "server:udp, server:tcp", note);
                }
                Self::Listeners
                    if !element.to_str().is_ok_and(|text| BindAddress::parse(text, 0).is_ok()) =>
                {
                    note(ProblemKind::BadIpAddress(found()));
                }
                Self::Attempts | Self::Mechanisms | Self::HeaderFields | Self::Listeners => {}
            }
        }
    }
}

/// The mechanisms that exist in SMTP here, in XMail's order.
pub const MECHANISMS: Words = words!(
    "LOGIN": "user and password, one after the other",
    "PLAIN": "user and password at once (RFC 4616)",
    "CRAM-MD5": "proof by a digest (RFC 2195)",
);

/// The types of accounts.
pub const ACCOUNT_TYPES: Words = words!("U": "a user with a mailbox", "M": "a mailing list");

fn demand_known(is_known: bool, value: &[u8], accepted: &'static str, note: &mut dyn FnMut(ProblemKind)) {
    if !is_known {
        note(ProblemKind::UnknownWord { found: value.as_bstr().to_string(), accepted });
    }
}

fn note_number(value: &[u8], (min, max): (i64, i64), unit: &'static str, note: &mut dyn FnMut(ProblemKind)) {
    let found = || value.as_bstr().to_string();
    match number(value) {
        None => note(ProblemKind::ReadAsNumber { found: found(), counts_as: leading_number(value) }),
        Some(number) if number < min || number > max => {
            note(ProblemKind::OutOfRange { found: found(), accepted: describe_number(min, max, unit) });
        }
        Some(_) => {}
    }
}

fn describe_number(min: i64, max: i64, unit: &str) -> String {
    let mut text = if unit.is_empty() { "a number".to_owned() } else { format!("a number of {unit}") };
    let written = match (min, max) {
        (i64::MIN, i64::MAX) => Ok(()),
        (_, i64::MAX) => write!(text, ", at least {min}"),
        (i64::MIN, _) => write!(text, ", at most {max}"),
        _ => write!(text, " from {min} to {max}"),
    };
    // Writing to a string cannot fail.
    written.map_or_else(|_| String::new(), |()| text)
}

/// The value as a whole decimal number.
fn number(value: &[u8]) -> Option<i64> {
    value.to_str().ok().and_then(|text| text.parse().ok())
}

fn note_option(group: &'static OptionGroup, option: &ListedOption, note: &mut dyn FnMut(ProblemKind)) {
    match (group.find(&option.name), &option.value) {
        // XMail passes it over, and so do we (`mailroot.md` 2.7).
        (None, _) => {
            let found = option.name.as_bstr().to_string();
            note(ProblemKind::CountsForNothing { found, accepted: group.accepted });
        }
        (Some(known), Some(value)) => known.kind.note(value, note),
        // A bare name means 1.
        (Some(known), None) => known.kind.note(b"1", note),
    }
}

fn note_link_target(value: &[u8], note: &mut dyn FnMut(ProblemKind)) {
    match value.to_str().map(LinkTarget::parse) {
        Err(_) => note(ProblemKind::NotUtf8),
        Ok(LinkTarget::Replace { matching, .. } | LinkTarget::Append { matching, .. }) => {
            if matching.is_empty() {
                note(ProblemKind::NothingToMatch);
            }
        }
        Ok(LinkTarget::Account { domain } | LinkTarget::Spool { domain }) => {
            Kind::Domain.note(domain.as_bytes(), note)
        }
    }
}

fn is_ip_address(value: &[u8]) -> bool {
    value.to_str().is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

fn is_network(value: &[u8]) -> bool {
    match value.split_once_str("/") {
        Some((net, bits)) => is_ip_address(net) && !bits.is_empty() && bits.iter().all(u8::is_ascii_digit),
        None => is_ip_address(value),
    }
}

/// Whether a reply begins with a code from 400 to 599 and a blank.
fn has_reply_code(value: &[u8]) -> bool {
    matches!(value, [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..])
}

/// Whether a value holds a macro, so that it can only be judged when it is used.
pub fn has_macro(value: &[u8]) -> bool {
    value.starts_with(b"@@") || BStr::new(value).contains_str("$(")
}
