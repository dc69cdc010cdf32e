//! What one network says about another: for those who look for rows that never count.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{AddressFilter, Network};

impl AddressFilter {
    /// Whether every address of `other` is in this network. Networks of different families are not compared.
    ///
    /// ```
    /// use tabmail::mailroot::access::AddressFilter;
    /// let network = |text: &[u8]| AddressFilter::parse(text, b"").unwrap();
    /// assert!(network(b"192.0.2.0/24").covers(&network(b"192.0.2.7/32")));
    /// assert!(!network(b"192.0.2.7/32").covers(&network(b"192.0.2.0/24")));
    /// ```
    pub fn covers(&self, other: &Self) -> bool {
        let (net, mask) = self.bits();
        let (other_net, other_mask) = other.bits();
        self.is_v4() == other.is_v4() && mask & other_mask == mask && net & mask == other_net & mask
    }

    /// Whether the network is everything of its family.
    pub fn is_everything(&self) -> bool {
        self.bits().1 == 0
    }

    /// Whether the mask is ones followed by zeros.
    pub fn is_contiguous(&self) -> bool {
        let (_, mask) = self.bits();
        let width = if self.is_v4() { 32 } else { 128 };
        mask.count_ones() + mask.trailing_zeros().min(width) == width
    }

    /// The network as it should be written, when bits behind its length are set. `None`: it is written so, or its
    /// mask has gaps.
    pub fn canonical(&self) -> Option<String> {
        let (net, mask) = self.bits();
        let length = mask.count_ones();
        (net & !mask != 0 && self.is_contiguous()).then(|| match self.network {
            Network::V4 { net, mask } => format!("{}/{length}", Ipv4Addr::from(net & mask)),
            Network::V6 { net, mask } => format!("{}/{length}", Ipv6Addr::from(net & mask)),
        })
    }

    fn is_v4(&self) -> bool {
        matches!(self.network, Network::V4 { .. })
    }

    /// Network and mask in one width.
    fn bits(&self) -> (u128, u128) {
        match self.network {
            Network::V4 { net, mask } => (net.into(), mask.into()),
            Network::V6 { net, mask } => (net, mask),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_and_written_as_they_should_be() {
        let network =
            |first: &str, second: &str| AddressFilter::parse(first.as_bytes(), second.as_bytes()).unwrap();
        for (wide, narrow, covers) in [
            ("0.0.0.0/0", "192.0.2.0/24", true),
            ("192.0.2.0/24", "192.0.2.0/24", true),
            ("192.0.2.0/25", "192.0.2.0/24", false),
            ("192.0.2.0/24", "192.0.3.0/25", false),
            ("::/0", "2001:db8::/32", true),
            ("::/0", "192.0.2.0/24", false),
        ] {
            assert_eq!(network(wide, "").covers(&network(narrow, "")), covers, "{wide} {narrow}");
        }
        assert_eq!(network("192.0.2.7/24", "").canonical().as_deref(), Some("192.0.2.0/24"));
        assert_eq!(network("2001:db8::1/32", "").canonical().as_deref(), Some("2001:db8::/32"));
        assert_eq!(network("192.0.2.7", "255.255.255.0").canonical().as_deref(), Some("192.0.2.0/24"));
        assert_eq!(network("192.0.2.0/24", "").canonical(), None);
        assert!(!network("10.0.0.0", "255.0.255.0").is_contiguous());
        assert!(network("10.0.0.0", "255.0.0.0").is_contiguous() && network("::/0", "").is_contiguous());
    }
}
