//! Link layers, and what they share: EtherTypes, LLC and PPP.

use super::cursor::Cursor;
use super::{Layer, Read, Unreadable};
use crate::packet::LinkType;

/// EtherTypes (<https://www.iana.org/assignments/ieee-802-numbers>).
pub(super) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86DD;
    /// Ethernet frames in GRE and Geneve.
    pub(crate) const BRIDGED: u16 = 0x6558;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const PROVIDER_BRIDGING: u16 = 0x88A8;
    /// QinQ before it was standardised.
    pub(crate) const VLAN_DOUBLE: [u16; 3] = [0x9100, 0x9200, 0x9300];
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const PPP: u16 = 0x880B;
    pub(crate) const ERSPAN: u16 = 0x88BE;
    pub(crate) const ERSPAN_III: u16 = 0x22EB;
    /// What is less is the length of an 802.3 frame, whose payload begins with LLC.
    pub(crate) const LEAST: u16 = 0x0600;
}

/// Every link type that [`begin`] knows.
pub(super) const ALL: [i32; 16] = [0, 1, 9, 12, 50, 51, 101, 104, 105, 108, 113, 127, 228, 229, 239, 276];

/// What a link type's packets begin with, and its name (<https://www.tcpdump.org/linktypes.html>).
pub(super) fn begin(link: LinkType) -> Option<(&'static str, Layer)> {
    Some(match link.0 {
        0 => ("NULL", Layer::Null),
        1 => ("EN10MB", Layer::Ethernet),
        9 => ("PPP", Layer::Ppp),
        // 12 is what a live capture calls it on Linux, 101 what a file does.
        12 | 101 => ("RAW", Layer::Ip),
        50 => ("PPP_SERIAL", Layer::Ppp),
        51 => ("PPP_ETHER", Layer::Pppoe),
        104 => ("C_HDLC", Layer::Hdlc),
        105 => ("IEEE802_11", Layer::Wifi),
        108 => ("LOOP", Layer::Null),
        113 => ("LINUX_SLL", Layer::LinuxSll),
        127 => ("IEEE802_11_RADIO", Layer::Radiotap),
        228 => ("IPV4", Layer::Ipv4),
        229 => ("IPV6", Layer::Ipv6),
        239 => ("NFLOG", Layer::Nflog),
        276 => ("LINUX_SLL2", Layer::LinuxSll2),
        _ => return None,
    })
}

/// BSD's loopback: an address family in the byte order of the host that captured (NULL) or of the network (LOOP). Families are small
/// numbers, so the order shows.
pub(super) fn null(cursor: &mut Cursor<'_>) -> Read {
    const INET: u32 = 2;
    /// Linux, NetBSD and OpenBSD, FreeBSD, Darwin: each has its own.
    const INET6: [u32; 4] = [10, 24, 28, 30];
    let bytes = *cursor.take::<4>()?;
    let family = u32::from_be_bytes(bytes).min(u32::from_le_bytes(bytes));
    Ok(match family {
        INET => Layer::Ipv4,
        family if INET6.contains(&family) => Layer::Ipv6,
        _ => Layer::Other,
    })
}

pub(super) fn ethernet(cursor: &mut Cursor<'_>) -> Read {
    let &[.., high, low] = cursor.take::<14>()?;
    typed(cursor, u16::from_be_bytes([high, low]))
}

/// What an EtherType stands for.
pub(super) fn typed(cursor: &mut Cursor<'_>, ether_type: u16) -> Read {
    Ok(match ether_type {
        ether_type::IPV4 => Layer::Ipv4,
        ether_type::IPV6 => Layer::Ipv6,
        ether_type::VLAN | ether_type::PROVIDER_BRIDGING => vlan(cursor)?,
        ether_type if ether_type::VLAN_DOUBLE.contains(&ether_type) => vlan(cursor)?,
        ether_type::MPLS | ether_type::MPLS_MULTICAST => Layer::Mpls,
        ether_type::PPPOE_SESSION => Layer::Pppoe,
        ether_type::PPP => Layer::Ppp,
        ether_type::BRIDGED => Layer::Ethernet,
        length if length < ether_type::LEAST => Layer::Llc,
        _ => Layer::Other,
    })
}

/// One tag (802.1Q): the VLAN, then the EtherType of what follows.
fn vlan(cursor: &mut Cursor<'_>) -> Read {
    cursor.skip(2)?;
    cursor.take_u16().map(Layer::Typed)
}

/// LLC (802.2) with SNAP, which leads to an EtherType. Nothing else that LLC carries today is IP.
pub(super) fn llc(cursor: &mut Cursor<'_>) -> Read {
    let Some(&[0xAA, 0xAA, 0x03, 0, 0, oui, high, low]) = cursor.data().first_chunk() else {
        return Ok(Layer::Other);
    };
    cursor.skip(8)?;
    // 00-00-00 says that an EtherType follows (RFC 1042); 00-00-F8 the same, for some types (802.1H).
    let ether_type = u16::from_be_bytes([high, low]);
    Ok(if matches!(oui, 0 | 0xF8) && ether_type >= ether_type::LEAST { Layer::Typed(ether_type) } else { Layer::Other })
}

/// Cisco's HDLC: address, control, and an EtherType.
pub(super) fn hdlc(cursor: &mut Cursor<'_>) -> Read {
    cursor.skip(2)?;
    Ok(match cursor.take_u16()? {
        ether_type if ether_type >= ether_type::LEAST => Layer::Typed(ether_type),
        _ => Layer::Other,
    })
}

/// PPP (RFC 1661), with or without address and control (RFC 1662), the protocol compressed or not. Cisco's HDLC comes with the same link
/// type.
pub(super) fn ppp(cursor: &mut Cursor<'_>) -> Read {
    const ALL_STATIONS: u8 = 0xFF;
    const CISCO: [u8; 2] = [0x0F, 0x8F];
    match cursor.data() {
        [ALL_STATIONS, 0x03, ..] => cursor.skip(2)?,
        [address, 0x00, ..] if CISCO.contains(address) => return hdlc(cursor),
        _ => {}
    }
    let mut protocol = u16::from(cursor.take::<1>()?[0]);
    // The last byte of a protocol, and only that, is odd.
    if protocol & 1 == 0 {
        protocol = protocol << 8 | u16::from(cursor.take::<1>()?[0]);
    }
    Ok(match protocol {
        0x0021 => Layer::Ipv4,
        0x0057 => Layer::Ipv6,
        0x0281 | 0x0283 => Layer::Mpls,
        _ => Layer::Other,
    })
}

/// A PPPoE session's packet (RFC 2516).
pub(super) fn pppoe(cursor: &mut Cursor<'_>) -> Read {
    let &[version, code, _, _, high, low] = cursor.take::<6>()?;
    if version != 0x11 {
        return Err(Unreadable::Malformed);
    }
    // Other codes find and end sessions.
    if code != 0 {
        return Ok(Layer::Other);
    }
    cursor.limit(u16::from_be_bytes([high, low]).into());
    Ok(Layer::Ppp)
}

/// Linux's `any` device: packet type, ARP hardware type, address, protocol.
pub(super) fn linux_sll(cursor: &mut Cursor<'_>) -> Read {
    let header = cursor.take::<16>()?;
    linux_protocol(cursor, u16::from_be_bytes([header[2], header[3]]), u16::from_be_bytes([header[14], header[15]]))
}

/// The same with the interface's number: protocol, interface, ARP hardware type, packet type, address.
pub(super) fn linux_sll2(cursor: &mut Cursor<'_>) -> Read {
    let header = cursor.take::<20>()?;
    linux_protocol(cursor, u16::from_be_bytes([header[8], header[9]]), u16::from_be_bytes([header[0], header[1]]))
}

/// What a protocol of Linux's cooked headers stands for: an EtherType, or one of Linux's own small numbers.
fn linux_protocol(cursor: &mut Cursor<'_>, hardware: u16, protocol: u16) -> Read {
    /// `ARPHRD_` numbers whose protocols are none, or whose own header comes next.
    const NETLINK: u16 = 824;
    const RADIOTAP: u16 = 803;
    const ETH_P_802_2: u16 = 4;
    Ok(match (hardware, protocol) {
        (NETLINK, _) => Layer::Other,
        (RADIOTAP, _) => Layer::Radiotap,
        (_, ETH_P_802_2) => Layer::Llc,
        (_, protocol) if protocol < ether_type::LEAST => Layer::Other,
        (_, protocol) => {
            while begins_with_tag(cursor, protocol) {
                cursor.skip(4)?;
            }
            Layer::Typed(protocol)
        }
    })
}

/// Whether a tag stands before what the protocol says. Of tagged packets Linux takes the outermost tag off; newer kernels (2024) tell the
/// protocol behind all tags and leave the inner ones where they are. Such a tag is told from an IP header by its second half, the type of what
/// follows it, which does follow; where IPv4 has its length or IPv6 its flow label by chance, the length on the wire tells.
fn begins_with_tag(cursor: &Cursor<'_>, protocol: u16) -> bool {
    let Some(&[first, _, a, b, c, d]) = cursor.data().first_chunk() else { return false };
    let (second, third) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let (version, length) = match protocol {
        ether_type::IPV4 => (4, usize::from(second)),
        ether_type::IPV6 => (6, usize::from(third) + 40),
        _ => return false,
    };
    let follows = match second {
        ether_type::VLAN | ether_type::PROVIDER_BRIDGING => true,
        second => second == protocol && c >> 4 == version,
    };
    follows && (first >> 4 != version || length != cursor.wire())
}

/// What Linux's netfilter logs: attributes, of which one is the packet from its IP header on. Their lengths and types are in the order of
/// the host; libpcap turns them round in files of the other.
pub(super) fn nflog(cursor: &mut Cursor<'_>) -> Read {
    const PAYLOAD: u16 = 9;
    const HEADER: usize = 4;
    cursor.skip(4)?;
    loop {
        if cursor.data().is_empty() && cursor.whole() {
            return Ok(Layer::Other);
        }
        let &[a, b, c, d] = cursor.take::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([a, b])).checked_sub(HEADER).ok_or(Unreadable::Malformed)?;
        // The highest bit says that the value is in network order.
        if u16::from_ne_bytes([c, d]) & 0x7FFF == PAYLOAD {
            cursor.limit(length);
            return Ok(Layer::Ip);
        }
        // The last may be without its padding.
        cursor.skip(length.next_multiple_of(4).min(cursor.wire().max(length)))?;
    }
}
