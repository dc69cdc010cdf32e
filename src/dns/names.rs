//! Texts to DNS names: domains, hosts, address literals and list entries. Pure.

use std::fmt::Write;
use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;

/// A domain as an absolute name; `None` when no DNS name can be written so (RFC 1035 section 2.3.4), or it is
/// the root. Any printable ASCII but the escape sign is taken as is, underscores included; other text by IDNA.
pub(super) fn fqdn(domain: &str) -> Option<Name> {
    let domain = domain.trim_end_matches('.');
    if domain.is_empty()
        || domain.contains(|sign: char| sign == '\\' || sign.is_ascii_control() || sign == ' ')
    {
        return None;
    }
    let name = match domain.is_ascii() {
        true => Name::from_labels(domain.split('.').map(str::as_bytes)),
        false => Name::from_utf8(domain),
    };
    let mut name = name.ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// A host: absolute when it has a dot, else left to the system's search list.
pub(super) fn host(host: &str) -> Option<Name> {
    let mut name = fqdn(host)?;
    name.set_fqdn(host.contains('.'));
    Some(name)
}

/// An IP address as such, or as in an address literal (RFC 5321 section 4.1.3), brackets or not.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let tagged = inner.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    inner[if tagged { 5 } else { 0 }..].parse().ok()
}

/// The name of an address in a DNS list: octets or nibbles reversed, then the zone (RFC 5782 section 2.1, 2.4).
pub(super) fn in_list(address: IpAddr, zone: &str) -> String {
    let mut name = String::new();
    // Writing to a String cannot fail.
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().iter().rev().for_each(|octet| {
            let _ = write!(name, "{octet}.");
        }),
        IpAddr::V6(v6) => v6.octets().iter().rev().for_each(|octet| {
            let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
        }),
    }
    name + zone.trim_matches('.')
}

/// A name as XMail writes it: its labels as they are, each with a dot behind. Only labels that would not read
/// back are escaped (RFC 1035 section 5.1).
pub(super) fn with_dot(name: &Name) -> String {
    let plain =
        |label: &[u8]| label.iter().all(|&octet| octet.is_ascii_graphic() && !b".\\,:".contains(&octet));
    let mut text = match name.iter().all(plain) {
        true => name.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join("."),
        false => name.to_ascii(),
    };
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(fqdn(text).map(|name| with_dot(&name)).as_deref(), expected, "{text:?}");
        };
        check("example.test", Some("example.test."));
        check("example.test.", Some("example.test."));
        check("_dmarc.example_x.test", Some("_dmarc.example_x.test."));
        check("-a-.test", Some("-a-.test."));
        check("müller.test", Some("xn--mller-kva.test."));
        for bad in ["", ".", "a..b", "a b", "a\\b", "a\0b", &"x".repeat(64), &"x.".repeat(200)] {
            check(bad, None);
        }
    }

    #[test]
    fn only_names_without_a_dot_are_searched_for() {
        assert!(host("a.test").unwrap().is_fqdn() && host("localhost.").unwrap().is_fqdn());
        assert!(!host("localhost").unwrap().is_fqdn());
    }

    #[test]
    fn literals() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(literal(text), expected.map(|address| address.parse().unwrap()), "{text}");
        };
        check("10.0.0.1", Some("10.0.0.1"));
        check("[10.0.0.1]", Some("10.0.0.1"));
        check("[IPv6:::1]", Some("::1"));
        check("[::1]", Some("::1"));
        check("mail.test", None);
        check("ürüß", None);
        check("[", None);
    }

    #[test]
    fn list_names() {
        let name = |address: &str| in_list(address.parse().unwrap(), ".rbl.test.");
        assert_eq!(name("127.0.0.6"), "6.0.0.127.rbl.test");
        assert_eq!(name("::ffff:127.0.0.6"), "6.0.0.127.rbl.test");
        // RFC 5782 section 2.4.
        assert_eq!(
            name("2001:db8:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.rbl.test"
        );
    }
}
