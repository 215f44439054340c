//! IPv4 (RFC 791), IPv6 (RFC 8200), their extension headers, and what follows them.

use etherparse::err::{ipv4, ipv6};
use etherparse::{IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice};

use super::cursor::Cursor;
use super::fragments::Fragment;
use super::{Ends, Layer, Read, Unreadable, tunnel};

/// IANA's protocol numbers (<https://www.iana.org/assignments/protocol-numbers>).
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const ETHER_IP: u8 = 97;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const MPLS: u8 = 137;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// By its first four bits.
pub(super) fn either(cursor: &Cursor<'_>) -> Read {
    match cursor.peek()? >> 4 {
        4 => Ok(Layer::Ipv4),
        6 => Ok(Layer::Ipv6),
        _ => Err(Unreadable::Malformed),
    }
}

pub(super) fn v4(cursor: &mut Cursor<'_>) -> Read {
    let header = Ipv4HeaderSlice::from_slice(cursor.data()).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(_) => cursor.short(),
        ipv4::HeaderSliceError::Content(_) => Unreadable::Malformed,
    })?;
    let header_length = header.slice().len();
    match usize::from(header.total_len()) {
        // Not known yet (the card splits the packet and fills it in), or more than the field can say: it goes as far as the packet.
        0 => {}
        length if length < header_length => return Err(Unreadable::Malformed),
        length => cursor.limit(length),
    }
    cursor.skip(header_length)?;
    let ends = Ends { from: header.source_addr().into(), to: header.destination_addr().into() };
    if header.is_fragmenting_payload() {
        return Ok(Layer::Fragment(Fragment {
            ends,
            identification: header.identification().into(),
            protocol: header.protocol().0,
            offset: header.fragments_offset().byte_offset().into(),
            more: header.more_fragments(),
        }));
    }
    Ok(above(ends, header.protocol().0))
}

pub(super) fn v6(cursor: &mut Cursor<'_>) -> Read {
    let header = Ipv6HeaderSlice::from_slice(cursor.data()).map_err(|error| match error {
        ipv6::HeaderSliceError::Len(_) => cursor.short(),
        ipv6::HeaderSliceError::Content(_) => Unreadable::Malformed,
    })?;
    cursor.skip(header.slice().len())?;
    let next = header.next_header().0;
    match usize::from(header.payload_length()) {
        // As with IPv4; or a jumbogram, which says its length itself.
        0 => {
            if next == protocol::HOP_BY_HOP
                && let Some(length) = jumbo_length(cursor.data())
            {
                cursor.limit(length);
            }
        }
        length => cursor.limit(length),
    }
    Ok(above(Ends { from: header.source_addr().into(), to: header.destination_addr().into() }, next))
}

/// The length in a jumbo payload option (RFC 2675) of a hop-by-hop header.
fn jumbo_length(data: &[u8]) -> Option<usize> {
    const PAD_1: u8 = 0;
    const JUMBO: u8 = 0xC2;
    let mut options = Ipv6RawExtHeaderSlice::from_slice(data).ok()?.payload();
    loop {
        match *options {
            [PAD_1, ref rest @ ..] => options = rest,
            [JUMBO, 4, a, b, c, d, ..] => return Some(u32::from_be_bytes([a, b, c, d]) as usize),
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

/// The layer of a protocol number. That of TCP is told at once, for speed.
fn above(ends: Ends, number: u8) -> Layer {
    if number == protocol::TCP { Layer::Tcp(ends) } else { Layer::Upper(ends, number) }
}

/// What follows an IP header or one of its extensions.
pub(super) fn upper(cursor: &mut Cursor<'_>, ends: Ends, number: u8, vxlan_ports: &[u16]) -> Read {
    let v6 = ends.from.is_ipv6();
    match number {
        protocol::TCP => Ok(Layer::Tcp(ends)),
        protocol::UDP => tunnel::udp(cursor, vxlan_ports),
        protocol::IPV4 => Ok(Layer::Ipv4),
        protocol::IPV6 => Ok(Layer::Ipv6),
        protocol::GRE => Ok(Layer::Gre),
        protocol::MPLS => Ok(Layer::Mpls),
        // RFC 3378: a version, and zeros.
        protocol::ETHER_IP => cursor.skip(2).map(|()| Layer::Ethernet),
        protocol::AUTHENTICATION => {
            let header = IpAuthHeaderSlice::from_slice(cursor.data()).map_err(|_| cursor.short())?;
            cursor.skip(header.slice().len())?;
            Ok(above(ends, header.next_header().0))
        }
        protocol::HOP_BY_HOP
        | protocol::ROUTING
        | protocol::DESTINATION_OPTIONS
        | protocol::MOBILITY
        | protocol::HIP
        | protocol::SHIM6
            if v6 =>
        {
            let header = Ipv6RawExtHeaderSlice::from_slice(cursor.data()).map_err(|_| cursor.short())?;
            cursor.skip(header.slice().len())?;
            Ok(above(ends, header.next_header().0))
        }
        protocol::FRAGMENT if v6 => {
            let header = Ipv6FragmentHeaderSlice::from_slice(cursor.data()).map_err(|_| cursor.short())?;
            cursor.skip(header.slice().len())?;
            if !header.is_fragmenting_payload() {
                return Ok(above(ends, header.next_header().0));
            }
            Ok(Layer::Fragment(Fragment {
                ends,
                identification: header.identification(),
                protocol: header.next_header().0,
                offset: header.fragment_offset().byte_offset().into(),
                more: header.more_fragments(),
            }))
        }
        _ => Ok(Layer::Other),
    }
}
