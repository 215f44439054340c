//! A conversation in every wrap: what fuzzing starts from. Shared by the tests and the fuzz target.

use std::time::Duration;

use etherparse::PacketBuilder;
use mirror_capture::flow::Limits;

use super::frames::{Case, Step};

/// What [`conversation`] is told as.
pub(crate) const TOLD: [&str; 2] =
    [r#"POST /a HTTP/1.1 "hello" -> HTTP/1.1 200 OK "ab" "cd""#, r"GET /b HTTP/1.0 -> HTTP/1.0 204 No"];

/// Makes a frame of an IP packet.
type Wrap = fn(&[u8]) -> Vec<u8>;

/// Names, link types, and how IP comes in it.
const WRAPS: &[(&str, i32, Wrap)] = &[
    ("ethernet", 1, ethernet),
    ("vlan", 1, |ip| [&[2; 12][..], &[0x88, 0xA8, 0, 7, 0x81, 0, 0, 8], &typed(ip)].concat()),
    ("llc", 1, |ip| [&[2; 12][..], &[0, 100], &snap(ip)].concat()),
    ("mpls", 1, |ip| [&[2; 12][..], &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64], ip].concat()),
    ("pseudowire", 1, |ip| [&[2; 12][..], &[0x88, 0x47, 0, 1, 1, 64, 0, 0, 0, 0], &ethernet(ip)].concat()),
    ("pppoe", 1, |ip| [&[2; 12][..], &[0x88, 0x64], &pppoe(ip)].concat()),
    ("ppp_ether", 51, pppoe),
    ("ppp", 9, |ip| [&[0xFF, 3][..], &ppp(ip)].concat()),
    ("ppp_serial", 50, |ip| [&[0x0F, 0][..], &typed(ip)].concat()),
    ("hdlc", 104, |ip| [&[0x8F, 0][..], &typed(ip)].concat()),
    ("null", 0, |ip| [&[if is_v6(ip) { 30 } else { 2 }, 0, 0, 0][..], ip].concat()),
    ("loop", 108, |ip| [&[0, 0, 0, if is_v6(ip) { 24 } else { 2 }][..], ip].concat()),
    ("raw", 101, <[u8]>::to_vec),
    ("sll", 113, |ip| [&[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], &typed(ip)].concat()),
    ("sll2", 276, |ip| [&typed(ip)[..2], &[0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0], ip].concat()),
    ("nflog", 239, |ip| {
        let attribute = |length: usize, kind: u16| [(4 + length as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        [&[2, 0, 0, 0][..], &attribute(5, 10), &[0; 8], &attribute(ip.len(), 9), ip].concat()
    }),
    ("wifi", 105, wifi),
    ("radiotap", 127, |ip| [&[0, 0, 9, 0, 2, 0, 0, 0, 0][..], &wifi(ip)].concat()),
    ("aggregate", 105, |ip| {
        let snap = snap(ip);
        [&[0x88, 1][..], &[0; 22], &[0x80, 0], &[2; 12], &(snap.len() as u16).to_be_bytes(), &snap].concat()
    }),
    ("ip in ip", 1, |ip| ethernet(&ip4(if is_v6(ip) { 41 } else { 4 }, ip))),
    ("options", 101, |ip| ip6(60, &[&[if is_v6(ip) { 41 } else { 4 }, 0, 1, 4, 0, 0, 0, 0][..], ip].concat())),
    ("gre", 101, |ip| ip4(47, &[&[0x20, 0][..], &typed(ip)[..2], &[0, 0, 0, 9], ip].concat())),
    ("pptp", 101, |ip| {
        let ppp = ppp(ip);
        let length = (ppp.len() as u16).to_be_bytes();
        ip4(47, &[&[0x30, 1, 0x88, 0x0B][..], &length, &[0, 5, 0, 0, 0, 1], &ppp].concat())
    }),
    ("erspan", 101, |ip| {
        ip4(47, &[&[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &ethernet(ip)].concat())
    }),
    ("ether ip", 101, |ip| ip4(97, &[&[0x30, 0][..], &ethernet(ip)].concat())),
    ("vxlan", 1, |ip| ethernet(&udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(ip)].concat()))),
    ("geneve", 1, |ip| {
        ethernet(&udp(6081, &[&[1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 0, 0, 0][..], &ethernet(ip)].concat()))
    }),
    ("gre in udp", 101, |ip| udp(4754, &[&[0, 0][..], &typed(ip)].concat())),
    ("teredo", 101, |ip| udp(3544, &if is_v6(ip) { ip.to_vec() } else { ip6(4, ip) })),
];

/// Every seed with its name.
pub(crate) fn seeds() -> Vec<(String, Case)> {
    let mut seeds = Vec::new();
    for v6 in [false, true] {
        let packets = conversation(v6);
        let family = if v6 { "6" } else { "4" };
        for &(name, link, wrap) in WRAPS {
            let steps = packets.iter().map(|packet| frame(link, wrap(packet))).collect();
            seeds.push((format!("{name} {family}"), case(steps)));
        }
        let number = if v6 { 229 } else { 228 };
        seeds
            .push((format!("ip {family}"), case(packets.iter().map(|packet| frame(number, packet.clone())).collect())));
        seeds.push((format!("twice {family}"), case(packets.iter().flat_map(|packet| twice(packet)).collect())));
        seeds.push((format!("turned {family}"), case(turned(&packets))));
        let fragments = packets.iter().zip(1..).flat_map(|(packet, number)| fragments(packet, number));
        seeds.push((format!("fragments {family}"), case(fragments.map(|packet| frame(101, packet)).collect())));
    }
    seeds
}

fn case(mut steps: Vec<Step>) -> Case {
    // Late copies, and the end of all that is kept.
    steps.extend([Step::Again(4), Step::Again(7), Step::Elapse(65_000), Step::Tick]);
    let limits = Limits { bytes: 20_000, flow_bytes: 10_000, flows: 8, idle: Duration::from_secs(60) };
    Case { ports: vec![80], limits, steps }
}

fn frame(link: i32, data: Vec<u8>) -> Step {
    Step::Frame { link, data, beyond: 0 }
}

/// As a capture on both ends of a link sees it.
fn twice(packet: &[u8]) -> [Step; 2] {
    [frame(101, packet.to_vec()), frame(1, ethernet(packet))]
}

/// Every two data segments that follow each other change places.
fn turned(packets: &[Vec<u8>]) -> Vec<Step> {
    let mut turned = packets.to_vec();
    turned.swap(3, 4);
    turned.swap(6, 7);
    turned.into_iter().map(|packet| frame(101, packet)).collect()
}

/// Two requests with their answers, from SYN to FIN, as IP packets.
fn conversation(v6: bool) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut next = [1000, u32::MAX - 20];
    let mut send = |from: usize, flags: &str, payload: &[u8]| {
        let address = |end: usize| if end == 0 { [10, 0, 0, 1] } else { [10, 0, 0, 2] };
        let port = |end: usize| if end == 0 { 40_000 } else { 80 };
        let (to, sequence) = (1 - from, next[from]);
        let ip = match v6 {
            false => PacketBuilder::ipv4(address(from), address(to), 64),
            true => PacketBuilder::ipv6(address6(from), address6(to), 64),
        };
        let mut tcp = ip.tcp(port(from), port(to), sequence, 64_000);
        if flags.contains('S') {
            tcp = tcp.syn();
        }
        if flags.contains('A') {
            tcp = tcp.ack(next[to]);
        }
        if flags.contains('F') {
            tcp = tcp.fin();
        }
        next[from] = sequence.wrapping_add(payload.len() as u32).wrapping_add(u32::from(flags.contains(['S', 'F'])));
        let mut packet = Vec::new();
        tcp.write(&mut packet, payload).expect("a packet");
        packets.push(packet);
    };
    send(0, "S", b"");
    send(1, "SA", b"");
    send(0, "A", b"");
    send(0, "A", b"POST /a HTTP/1.1\r\nContent-Len");
    send(0, "A", b"gth: 5\r\n\r\nhello");
    send(1, "A", b"");
    send(1, "A", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    send(1, "A", b"2\r\ncd\r\n0\r\n\r\n");
    send(0, "A", b"GET /b HTTP/1.0\r\n\r\n");
    send(1, "AF", b"HTTP/1.0 204 No\r\n\r\n");
    send(0, "AF", b"");
    send(1, "A", b"");
    packets
}

fn address6(last: usize) -> [u8; 16] {
    [0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last as u8 + 1]
}

fn is_v6(ip: &[u8]) -> bool {
    ip[0] >> 4 == 6
}

/// The EtherType before it.
fn typed(ip: &[u8]) -> Vec<u8> {
    [if is_v6(ip) { &[0x86, 0xDD] } else { &[8, 0] }, ip].concat()
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &typed(ip)].concat()
}

fn snap(ip: &[u8]) -> Vec<u8> {
    [&[0xAA, 0xAA, 3, 0, 0, 0][..], &typed(ip)].concat()
}

fn ppp(ip: &[u8]) -> Vec<u8> {
    [&[0, if is_v6(ip) { 0x57 } else { 0x21 }][..], ip].concat()
}

fn pppoe(ip: &[u8]) -> Vec<u8> {
    let ppp = ppp(ip);
    [&[0x11, 0, 0, 1][..], &(ppp.len() as u16).to_be_bytes(), &ppp].concat()
}

fn wifi(ip: &[u8]) -> Vec<u8> {
    [&[8, 1][..], &[0; 22], &snap(ip)].concat()
}

fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    fragment4([192, 168, 0, 1, 192, 168, 0, 2], protocol, 0, 0, payload)
}

/// An IPv4 packet with this identification, and in `place` flags and offset.
fn fragment4(ends: [u8; 8], protocol: u8, identification: u16, place: u16, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let (identification, place) = (identification.to_be_bytes(), place.to_be_bytes());
    [&[0x45, 0][..], &length, &identification, &place, &[64, protocol, 0, 0], &ends, payload].concat()
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &address6(6), &address6(7), payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = PacketBuilder::ipv4([192, 168, 0, 1], [192, 168, 0, 2], 64);
    ip.udp(50_000, port).write(&mut packet, payload).expect("a packet");
    packet
}

/// The packet in three fragments, the last one first and the middle one twice.
fn fragments(packet: &[u8], number: u16) -> Vec<Vec<u8>> {
    let header = if is_v6(packet) { 40 } else { 20 };
    let (payload, ends) = (&packet[header..], &packet[header - if is_v6(packet) { 32 } else { 8 }..header]);
    let part = |from: usize, to: usize, more: u16| {
        let offset = from as u16;
        let place = if is_v6(packet) { offset | more } else { more << 13 | offset >> 3 };
        let payload = &payload[from..to];
        match <[u8; 8]>::try_from(ends) {
            Ok(ends) => fragment4(ends, packet[9], number, place, payload),
            Err(_) => {
                let (length, place) = ((8 + payload.len() as u16).to_be_bytes(), place.to_be_bytes());
                let fragment = [&[packet[6], 0][..], &place, &[0, 0], &number.to_be_bytes()].concat();
                [&[0x60, 0, 0, 0][..], &length, &[44, 64], ends, &fragment, payload].concat()
            }
        }
    };
    vec![part(16, payload.len(), 0), part(8, 16, 1), part(8, 16, 1), part(0, 8, 1)]
}
