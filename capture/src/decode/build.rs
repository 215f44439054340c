//! Packets for the tests, and what the decoder says of them in a line.

use etherparse::{IpNumber, Ipv4Header, PacketBuilder};

use super::{Decoded, Decoder, Limits};
use crate::packet::{LinkType, Packet};
use std::time::Duration;

pub(super) const ETHERNET: i32 = 1;
pub(super) const RAW: i32 = 101;

/// What [`tcp4`] and [`tcp6`] make, as [`say`] tells it.
pub(super) const TCP4: &str = "10.0.0.1:40000 > 10.0.0.2:80 seq 1000 ack 9 'GET /'";
pub(super) const TCP6: &str = "[fd00::1]:40000 > [fd00::2]:80 seq 1000 ack 9 'GET /'";

pub(super) fn tcp4() -> Vec<u8> {
    tcp4_with(b"GET /")
}

pub(super) fn tcp4_with(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40_000, 80, 1000, 64).ack(9);
    builder.write(&mut packet, payload).unwrap();
    packet
}

pub(super) fn tcp6() -> Vec<u8> {
    let mut packet = Vec::new();
    let (from, to) = (v6_address(1), v6_address(2));
    PacketBuilder::ipv6(from, to, 64).tcp(40_000, 80, 1000, 64).ack(9).write(&mut packet, b"GET /").unwrap();
    packet
}

pub(super) fn v6_address(last: u8) -> [u8; 16] {
    [0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

/// An IPv4 packet between two tunnel ends.
pub(super) fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let header = Ipv4Header::new(length, 64, IpNumber(protocol), [192, 168, 0, 1], [192, 168, 0, 2]).unwrap();
    [&header.to_bytes()[..], payload].concat()
}

/// An IPv6 packet between two tunnel ends.
pub(super) fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &v6_address(3), &v6_address(4), payload].concat()
}

/// UDP over IPv4 between two tunnel ends.
pub(super) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 168, 0, 1], [192, 168, 0, 2], 64).udp(from, to).write(&mut packet, payload).unwrap();
    packet
}

pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &ether_type.to_be_bytes()[..], payload].concat()
}

/// What a new decoder says of one whole packet.
pub(super) fn decode(link: i32, data: &[u8]) -> String {
    say(&mut Decoder::new(Limits::default()), link, 0, data, data.len())
}

/// What a decoder says of one packet that passed at a millisecond and was so long on the wire.
pub(super) fn say(decoder: &mut Decoder, link: i32, millisecond: u64, data: &[u8], wire: usize) -> String {
    let time = Duration::from_millis(millisecond);
    match decoder.decode(Packet { time, link: LinkType(link), data, length: u32::try_from(wire).unwrap() }) {
        Decoded::Other => "other".into(),
        Decoded::Fragment => "fragment".into(),
        Decoded::Unreadable(why) => format!("unreadable: {}", why.label()),
        Decoded::Segment(segment) => {
            assert_eq!(segment.time, time);
            let mut said = format!("{} > {} seq {}", segment.from, segment.to, segment.sequence);
            if let Some(acknowledgment) = segment.acknowledgment {
                said += &format!(" ack {acknowledgment}");
            }
            for (flag, name) in [(segment.syn, " syn"), (segment.fin, " fin"), (segment.rst, " rst")] {
                said += if flag { name } else { "" };
            }
            match segment.payload.len() {
                0 => {}
                1..40 => said += &format!(" '{}'", segment.payload.escape_ascii()),
                length => said += &format!(" {length} bytes"),
            }
            if segment.missing > 0 {
                said += &format!(" {} missing", segment.missing);
            }
            said
        }
    }
}
