//! The network of a request, by which anonymous callers are told apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http::RequestHead;

/// The network that a request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Network {
    /// The IPv4 address, or the /64 of the IPv6 address: one household or one server.
    pub own: String,
    /// The surrounding network: the /24 of an IPv4 address, or the /48 of an IPv6 address, the size
    /// that providers assign to one customer.
    pub around: String,
}

impl Network {
    /// The network of the address in `CF-Connecting-IP`; empty without that field.
    pub fn of(head: &RequestHead<'_>) -> Self {
        let address = head.headers.value("cf-connecting-ip").unwrap_or_default();
        match address.parse().map(canonical) {
            Ok(IpAddr::V4(address)) => Self::of_v4(address),
            Ok(IpAddr::V6(address)) => Self::of_v6(address),
            Err(_) => Self { own: address.to_owned(), around: address.to_owned() },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        Self { own: address.to_string(), around: format!("{a}.{b}.{c}.0/24") }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [a, b, c, d, ..] = address.segments();
        Self { own: format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"), around: format!("{a:x}:{b:x}:{c:x}::/48") }
    }
}

/// Unwraps an IPv4 address that is mapped or translated to IPv6 (RFC 4291 §2.5.5.2, RFC 6052 §2.1).
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => address,
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        let head = format!("GET\nhttps://b.example/\ncf-connecting-ip:{address}");
        Network::of(&RequestHead::new(&head))
    }

    #[test]
    fn tells_networks_apart_as_far_as_one_owner_reaches() {
        assert_eq!(network("192.0.2.1").own, "192.0.2.1");
        for same in ["::ffff:192.0.2.1", "64:ff9b::192.0.2.1"] {
            assert_eq!(network(same), network("192.0.2.1"), "{same}");
        }
        assert_ne!(network("192.0.2.1").own, network("192.0.2.2").own);
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1").own, network("2001:db8:1:3::1").own);
    }

    #[test]
    fn knows_what_networks_one_owner_is_given_together() {
        assert_eq!(network("192.0.2.1").around, network("192.0.2.254").around);
        assert_ne!(network("192.0.2.1").around, network("192.0.3.1").around);
        assert_eq!(network("2001:db8:1:2::1").around, network("2001:db8:1:ffff::1").around);
        assert_ne!(network("2001:db8:1:2::1").around, network("2001:db8:2:2::1").around);
        assert_eq!(network(""), Network { own: String::new(), around: String::new() });
    }
}
