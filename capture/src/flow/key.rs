//! Connections' names.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// One of a connection's two ends: the first or the second of its key.
pub(super) type End = usize;

/// Both ends of a connection, in an order that does not depend on who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    addresses: [u128; 2],
    ports: u32,
}

impl Key {
    /// The key, and which end the first address is. None where both are the same: nothing tells the directions apart.
    pub(super) fn new(from: SocketAddr, to: SocketAddr) -> Option<(Self, End)> {
        let (source, destination) = ((number(from), from.port()), (number(to), to.port()));
        let (end, low, high) = match source.cmp(&destination) {
            std::cmp::Ordering::Less => (0, source, destination),
            std::cmp::Ordering::Greater => (1, destination, source),
            std::cmp::Ordering::Equal => return None,
        };
        let ports = u32::from(low.1) << 16 | u32::from(high.1);
        Some((Self { addresses: [low.0, high.0], ports }, end))
    }
}

impl Hash for Key {
    /// At once, rather than field by field: it is done for each packet.
    fn hash<S: Hasher>(&self, state: &mut S) {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&self.addresses[0].to_ne_bytes());
        bytes[16..32].copy_from_slice(&self.addresses[1].to_ne_bytes());
        bytes[32..].copy_from_slice(&self.ports.to_ne_bytes());
        state.write(&bytes);
    }
}

/// An IPv4 address as its IPv4-mapped IPv6 address, which is never on a wire.
fn number(address: SocketAddr) -> u128 {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let (a, b) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
        let (forth, from_a) = Key::new(a, b).unwrap();
        let (back, from_b) = Key::new(b, a).unwrap();
        assert_eq!(forth, back);
        assert_eq!((from_a, from_b), (0, 1));
        assert_ne!(forth, Key::new(a, "10.0.0.1:5001".parse().unwrap()).unwrap().0);
        assert!(Key::new(a, a).is_none());
    }
}
