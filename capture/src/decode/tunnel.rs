//! What carries packets in packets: MPLS, GRE with all that it carries, and tunnels in UDP.

use etherparse::UdpHeaderSlice;

use super::cursor::Cursor;
use super::link::{self, ether_type};
use super::{Layer, Read, Unreadable};

/// UDP ports of tunnels (<https://www.iana.org/assignments/service-names-port-numbers>).
mod port {
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const GRE: u16 = 4754;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    /// VXLAN on Linux, unless it is told otherwise.
    pub(super) const VXLAN_LINUX: u16 = 8472;
}

/// UDP matters only as a tunnel. A port is no more than a hint: what does not fit was something else.
pub(super) fn udp(cursor: &mut Cursor<'_>, vxlan_ports: &[u16]) -> Read {
    let header = UdpHeaderSlice::from_slice(cursor.data()).map_err(|_| cursor.short())?;
    let layer = match (header.source_port(), header.destination_port()) {
        (_, port::VXLAN | port::VXLAN_GPE | port::VXLAN_LINUX) => Layer::Vxlan,
        (_, port::GENEVE) => Layer::Geneve,
        (_, port::GRE) => Layer::Gre,
        // Only one end is a server; to the others the client's port is known by no number.
        (port::TEREDO, _) | (_, port::TEREDO) => Layer::Teredo,
        (_, to) if vxlan_ports.contains(&to) => Layer::Vxlan,
        _ => return Ok(Layer::Other),
    };
    cursor.guessed = true;
    match usize::from(header.length()) {
        // As with IP: filled in later, or longer than the field can say.
        0 => {}
        length => cursor.limit(length),
    }
    cursor.skip(header.slice().len())?;
    Ok(layer)
}

/// VXLAN (RFC 7348): flags, of which one is always set, and a network's number. Its generic extension (draft-ietf-nvo3-vxlan-gpe) sets a
/// flag more, which else is zero, and says what follows.
pub(super) fn vxlan(cursor: &mut Cursor<'_>) -> Read {
    const VALID: u8 = 0x08;
    const EXTENDED: u8 = 0x04;
    let &[flags, _, _, next, ..] = cursor.take::<8>()?;
    if flags & VALID == 0 {
        return Ok(Layer::Other);
    }
    Ok(match next {
        _ if flags & EXTENDED == 0 => Layer::Ethernet,
        1 => Layer::Ipv4,
        2 => Layer::Ipv6,
        3 => Layer::Ethernet,
        5 => Layer::Mpls,
        _ => Layer::Other,
    })
}

/// Geneve (RFC 8926): options of given length, and an EtherType.
pub(super) fn geneve(cursor: &mut Cursor<'_>) -> Read {
    let &[version_and_length, _, high, low, ..] = cursor.take::<8>()?;
    if version_and_length >> 6 != 0 {
        return Ok(Layer::Other);
    }
    cursor.skip(usize::from(version_and_length & 0x3F) * 4)?;
    carried(u16::from_be_bytes([high, low]))
}

/// An EtherType where lengths are none.
fn carried(ether_type: u16) -> Read {
    Ok(if ether_type < ether_type::LEAST { Layer::Other } else { Layer::Typed(ether_type) })
}

/// Teredo (RFC 4380 §5.1.1): IPv6, before it maybe an authentication and an origin.
pub(super) fn teredo(cursor: &mut Cursor<'_>) -> Read {
    if let &[0, 1, id_length, value_length, ..] = cursor.data() {
        // Nonce and confirmation follow the two values.
        cursor.skip(4 + usize::from(id_length) + usize::from(value_length) + 8 + 1)?;
    }
    if cursor.data().starts_with(&[0, 0]) {
        cursor.skip(8)?;
    }
    Ok(Layer::Ipv6)
}

/// An MPLS label (RFC 3032). What follows the last one nothing says; as other readers do, we tell it by its first four bits.
pub(super) fn mpls(cursor: &mut Cursor<'_>) -> Read {
    const BOTTOM: u8 = 0x01;
    const CONTROL_WORD: usize = 4;
    if cursor.take::<4>()?[2] & BOTTOM == 0 {
        return Ok(Layer::Mpls);
    }
    cursor.guessed = true;
    match cursor.peek()? >> 4 {
        4 => Ok(Layer::Ipv4),
        6 => Ok(Layer::Ipv6),
        // A pseudowire's control word (RFC 4385), or an address that begins with zeros.
        0 if ethernet_at(cursor, CONTROL_WORD) => cursor.skip(CONTROL_WORD).map(|()| Layer::Ethernet),
        // An associated channel: the network's own talk.
        1 if !ethernet_at(cursor, 0) => Ok(Layer::Other),
        _ => Ok(Layer::Ethernet),
    }
}

/// Whether an Ethernet frame that could lead to TCP may begin here.
fn ethernet_at(cursor: &Cursor<'_>, offset: usize) -> bool {
    match cursor.data().get(offset + 12..) {
        Some(&[high, low, ..]) => !matches!(
            link::typed(&mut cursor.clone(), u16::from_be_bytes([high, low])),
            Ok(Layer::Other | Layer::Llc) | Err(_)
        ),
        _ => false,
    }
}

/// GRE (RFC 2784, RFC 2890), which NVGRE (RFC 7637) is too, and its version 1 (RFC 2637), which carries PPP.
pub(super) fn gre(cursor: &mut Cursor<'_>) -> Read {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    const VERSION: u16 = 0x0007;
    let flags = cursor.take_u16()?;
    let protocol = cursor.take_u16()?;
    match flags & VERSION {
        0 => {}
        1 => {
            let length = cursor.take_u16()?;
            cursor.skip(2)?;
            cursor.skip(4 * [SEQUENCE, ACKNOWLEDGMENT].into_iter().filter(|flag| flags & flag != 0).count())?;
            cursor.limit(length.into());
            // Without a payload it acknowledges only.
            return Ok(if protocol == ether_type::PPP && length > 0 { Layer::Ppp } else { Layer::Other });
        }
        _ => return Err(Unreadable::Malformed),
    }
    // Its source routes were given up with RFC 2784.
    if flags & ROUTING != 0 {
        return Ok(Layer::Other);
    }
    cursor.skip(4 * [CHECKSUM, KEY, SEQUENCE].into_iter().filter(|flag| flags & flag != 0).count())?;
    match protocol {
        // Type I has no header at all, nor a sequence number.
        ether_type::ERSPAN if flags & SEQUENCE == 0 => Ok(Layer::Ethernet),
        ether_type::ERSPAN | ether_type::ERSPAN_III => erspan(cursor),
        _ => carried(protocol),
    }
}

/// ERSPAN types II and III (draft-foschiano-erspan-03): their version tells them apart.
fn erspan(cursor: &mut Cursor<'_>) -> Read {
    match cursor.peek()? >> 4 {
        1 => cursor.skip(8).map(|()| Layer::Ethernet),
        2 => {
            const SUBHEADER: u8 = 0x01;
            const FRAME_TYPE_IP: u8 = 2;
            let &[.., high, low] = cursor.take::<12>()?;
            if low & SUBHEADER != 0 {
                cursor.skip(8)?;
            }
            Ok(if high >> 2 & 0x1F == FRAME_TYPE_IP { Layer::Ip } else { Layer::Ethernet })
        }
        _ => Err(Unreadable::Malformed),
    }
}
