//! IP, its fragments, and TCP; and that no bytes at all upset the decoder.

use std::time::Duration;

use proptest::prelude::*;

use super::build::{ETHERNET, RAW, TCP4, TCP6, decode, ethernet, ip4, ip6, say, tcp4, tcp4_with, tcp6, udp};
use super::{Decoder, Limits, link};

/// A TCP header with payload, from port 40000 to 80.
fn tcp(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = u8::try_from(5 + options.len() / 4).unwrap() << 4;
    let ports = [0x9C, 0x40, 0, 80];
    [&ports[..], &[0, 0, 3, 0xE8], &[0, 0, 0, 9], &[offset, flags, 1, 0, 0, 0, 0, 0], options, payload].concat()
}

const ENDS: &str = "192.168.0.1:40000 > 192.168.0.2:80 seq 1000";

#[test]
fn flags_options_and_fast_open() {
    let said = |flags, options: &[u8], payload: &[u8]| decode(RAW, &ip4(6, &tcp(flags, options, payload)));
    assert_eq!(said(0x02, &[2, 4, 5, 0xB4], b""), format!("{ENDS} syn"));
    assert_eq!(said(0x02, &[34, 2, 1, 1], b"GET /"), format!("{ENDS} syn 'GET /'"));
    assert_eq!(said(0x12, &[], b""), format!("{ENDS} ack 9 syn"));
    assert_eq!(said(0x11, &[1; 40], b"x"), format!("{ENDS} ack 9 fin 'x'"));
    assert_eq!(said(0x14, &[], b""), format!("{ENDS} ack 9 rst"));
    assert_eq!(said(0x00, &[], b"x"), format!("{ENDS} 'x'"));
}

#[test]
fn a_data_offset_that_cannot_be() {
    let mut packet = ip4(6, &tcp(0x10, &[], b"abc"));
    packet[32] = 0x40;
    assert_eq!(decode(RAW, &packet), "unreadable: malformed");
    packet[32] = 0x60;
    assert_eq!(decode(RAW, &packet), "unreadable: malformed");
    assert_eq!(decode(RAW, &ip4(6, &[0; 19])), "unreadable: malformed");
}

#[test]
fn a_cut_payload_says_how_much_is_missing() {
    let packet = ethernet(0x0800, &tcp4_with(&[b'a'; 1000]));
    let cut =
        |captured: usize| say(&mut Decoder::new(Limits::default()), ETHERNET, 0, &packet[..captured], packet.len());
    assert!(cut(1054).ends_with("ack 9 1000 bytes"));
    assert!(cut(154).ends_with("ack 9 100 bytes 900 missing"));
    assert!(cut(54).ends_with("ack 9 1000 missing"));
    assert_eq!(cut(53), "unreadable: cut");
    assert_eq!(cut(20), "unreadable: cut");
    assert_eq!(cut(0), "unreadable: cut");
    // Where the wire's length was lost, IP's tells.
    let said = say(&mut Decoder::new(Limits::default()), ETHERNET, 0, &packet[..154], 154);
    assert!(said.ends_with("ack 9 100 bytes 900 missing"));
}

#[test]
fn cut_options_leave_the_numbers() {
    let packet = ip4(6, &tcp(0x10, &[1; 12], &[b'a'; 100]));
    let said = say(&mut Decoder::new(Limits::default()), RAW, 0, &packet[..44], packet.len());
    assert_eq!(said, format!("{ENDS} ack 9 100 missing"));
}

#[test]
fn lengths_that_are_not_known_yet() {
    let long = tcp4_with(&[b'a'; 60_000]);
    let mut packet = long.clone();
    packet[2..4].fill(0);
    assert!(decode(RAW, &packet).ends_with(" 60000 bytes"));
    // More than the field can say, and cut.
    packet.resize(100_040, b'a');
    assert!(decode(RAW, &packet).ends_with(" 100000 bytes"));
    let said = say(&mut Decoder::new(Limits::default()), RAW, 0, &packet[..1040], 100_040);
    assert!(said.ends_with(" 1000 bytes 99000 missing"), "{said}");
    // In a tunnel, all its lengths are missing.
    let inner = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0800, &packet)[..1054]].concat();
    let mut outer = udp(50_000, 4789, &inner);
    outer[2..4].fill(0);
    outer[24..26].fill(0);
    assert!(decode(RAW, &outer).ends_with(" 1000 bytes"));

    let mut packet = tcp6();
    packet[4..6].fill(0);
    assert_eq!(decode(RAW, &packet), TCP6);
    packet.resize(60 + 70_000, b'a');
    assert!(decode(RAW, &packet).ends_with(" 70000 bytes"));
}

#[test]
fn jumbograms_say_their_length() {
    let segment = [&tcp6()[40..60], &[b'a'; 70_000][..]].concat();
    let length = u32::try_from(8 + segment.len()).unwrap().to_be_bytes();
    let mut packet = ip6(0, &[]);
    packet.extend([&[6, 0, 0xC2, 4][..], &length, &segment].concat());
    let captured = packet.len();
    packet.extend([0; 6]);
    assert!(decode(RAW, &packet).ends_with(" 70000 bytes"));
    let said = say(&mut Decoder::new(Limits::default()), RAW, 0, &packet[..1068], captured);
    assert!(said.ends_with(" 1000 bytes 69000 missing"), "{said}");
}

#[test]
fn lengths_that_cannot_be() {
    let mut packet = tcp4();
    packet[3] = 19;
    assert_eq!(decode(RAW, &packet), "unreadable: malformed");
    packet[3] = 30;
    assert_eq!(decode(RAW, &packet), "unreadable: malformed");
    let mut packet = tcp4();
    packet[0] = 0x44;
    assert_eq!(decode(RAW, &packet), "unreadable: malformed");
}

#[test]
fn ipv4_options_and_authentication_are_passed() {
    let mut packet = tcp4();
    packet.splice(20..20, [1; 8]);
    packet[0] = 0x47;
    packet[3] += 8;
    assert_eq!(decode(RAW, &packet), TCP4);
    let authentication = [6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    assert_eq!(decode(RAW, &ip4(51, &[&authentication, &tcp(0, &[], b"x")[..]].concat())), format!("{ENDS} 'x'"));
}

#[test]
fn ipv6_extension_headers_are_passed() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let authentication = [6, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9];
    let chain = [&options(60)[..], &options(43), &options(135), &options(139), &options(140), &options(51)];
    let packet = ip6(0, &[&chain.concat()[..], &authentication, &tcp(0, &[], b"x")].concat());
    assert_eq!(decode(RAW, &packet), "[fd00::3]:40000 > [fd00::4]:80 seq 1000 'x'");
    // A fragment that is the whole.
    let packet = ip6(44, &[&[6, 0, 0, 0, 0, 0, 0, 7][..], &tcp(0, &[], b"x")].concat());
    assert_eq!(decode(RAW, &packet), "[fd00::3]:40000 > [fd00::4]:80 seq 1000 'x'");
    // No next header; encryption; and an extension of IPv6 in IPv4.
    assert_eq!(decode(RAW, &ip6(59, b"")), "other");
    assert_eq!(decode(RAW, &ip6(50, &[0; 40])), "other");
    assert_eq!(decode(RAW, &ip4(60, &[&options(6)[..], &tcp(0, &[], b"x")].concat())), "other");
    assert_eq!(decode(RAW, &ip6(0, &[6, 9, 0])), "unreadable: malformed");
}

#[test]
fn mapped_addresses_stay_as_they_are() {
    let mut packet = tcp6();
    packet[8..24].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 1]);
    assert!(decode(RAW, &packet).starts_with("[::ffff:10.0.0.1]:40000 >"));
}

/// Fragments of a segment with a payload, by begin and end in eights of bytes.
fn fragments4(identification: u16, pieces: &[(usize, usize)], filler: u8) -> Vec<Vec<u8>> {
    let segment = tcp(0x10, &[], &[filler; 76]);
    let last = segment.len() / 8;
    let cut = |&(from, to): &(usize, usize)| {
        let mut packet = ip4(6, &segment[from * 8..to * 8]);
        packet[4..6].copy_from_slice(&identification.to_be_bytes());
        let more = if to == last { 0 } else { 0x2000 };
        packet[6..8].copy_from_slice(&u16::to_be_bytes(from as u16 | more));
        packet
    };
    pieces.iter().map(cut).collect()
}

fn transcript(decoder: &mut Decoder, millisecond: u64, packets: &[Vec<u8>]) -> Vec<String> {
    packets.iter().map(|packet| say(decoder, RAW, millisecond, packet, packet.len())).collect()
}

#[test]
fn fragments_in_any_order_make_one_segment() {
    let whole = format!("{ENDS} ack 9 76 bytes");
    let decoder = &mut Decoder::new(Limits::default());
    let orders: [&[(usize, usize)]; 5] = [
        &[(0, 4), (4, 8), (8, 12)],
        &[(8, 12), (4, 8), (0, 4)],
        &[(4, 8), (4, 8), (8, 12), (0, 4)],
        &[(0, 1), (11, 12), (2, 3), (1, 2), (3, 11)],
        &[(0, 6), (2, 10), (2, 3), (8, 12)],
    ];
    for (identification, order) in orders.iter().enumerate() {
        let said = transcript(decoder, 0, &fragments4(identification as u16, order, b'a'));
        let (last, others) = said.split_last().unwrap();
        assert_eq!(last, &whole);
        assert!(others.iter().all(|said| said == "fragment"), "{others:?}");
    }
    assert_eq!(decoder.fragments.held(), (0, 0));
}

#[test]
fn where_fragments_overlap_the_first_data_wins() {
    let decoder = &mut Decoder::new(Limits::default());
    let pieces = [
        fragments4(1, &[(0, 3)], b'a').remove(0),
        fragments4(1, &[(5, 7)], b'b').remove(0),
        fragments4(1, &[(2, 8)], b'c').remove(0),
        fragments4(1, &[(0, 12)], b'd').remove(0),
    ];
    transcript(decoder, 0, &pieces[..3]);
    let packet = super::Packet {
        time: Duration::ZERO,
        link: super::LinkType(RAW),
        data: &pieces[3],
        length: pieces[3].len() as u32,
    };
    // Its header has no offset and says no more: a whole packet, so it is not of them.
    assert!(matches!(decoder.decode(packet), super::Decoded::Segment(_)));
    let last = fragments4(1, &[(7, 12)], b'd').remove(0);
    match decoder.decode(super::Packet { data: &last, length: last.len() as u32, ..packet }) {
        super::Decoded::Segment(segment) => {
            assert_eq!(
                segment.payload.escape_ascii().to_string(),
                format!("{:a<4}{:c<16}{:b<16}{:c<8}{:d<32}", "", "", "", "", "")
            );
        }
        other => panic!("{other:?}"),
    };
}

#[test]
fn copies_of_a_finished_datagrams_fragments_begin_no_new_one() {
    let decoder = &mut Decoder::new(Limits::default());
    let fragments = fragments4(1, &[(0, 4), (0, 4), (4, 12), (4, 12)], b'a');
    let whole = format!("{ENDS} ack 9 76 bytes");
    assert_eq!(transcript(decoder, 0, &fragments), ["fragment", "fragment", &whole, "fragment"]);
    assert_eq!(decoder.fragments.held(), (0, 0));
    // The identification comes again, later.
    assert_eq!(transcript(decoder, 500, &fragments), ["fragment", "fragment", &whole, "fragment"]);
}

#[test]
fn fragments_of_ipv6_and_in_tunnels() {
    let segment = tcp(0x10, &[], &[b'a'; 76]);
    // The extension header after the fragment header is of the datagram.
    let datagram = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &segment].concat();
    let cut = |from: usize, to: usize, next: u8| {
        let offset = u16::to_be_bytes((from as u16) | u16::from(to < datagram.len()));
        ip6(44, &[&[next, 0][..], &offset, &[0, 0, 0, 7], &datagram[from..to]].concat())
    };
    let whole = "[fd00::3]:40000 > [fd00::4]:80 seq 1000 ack 9 76 bytes";
    let decoder = &mut Decoder::new(Limits::default());
    // What follows is told by the first fragment, whichever comes first.
    assert_eq!(transcript(decoder, 0, &[cut(48, 104, 59), cut(0, 48, 60)]), ["fragment", whole]);

    // Fragments in VXLAN, and VXLAN in fragments: of both, the inner are made whole first.
    let inner = |packet: &[u8]| [&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0800, packet)].concat();
    let mut said = Vec::new();
    for (identification, fragment) in fragments4(9, &[(0, 6), (6, 12)], b'a').iter().enumerate() {
        let packet = udp(50_000, 4789, &inner(fragment));
        let (first, second) = packet[20..].split_at(40);
        for (offset, more, bytes) in [(0, 0x20, first), (5, 0, second)] {
            let mut part = ip4(17, bytes);
            part[4..8].copy_from_slice(&[1, identification as u8, more, offset]);
            said.extend(transcript(decoder, 0, &[part]));
        }
    }
    assert_eq!(said, ["fragment", "fragment", "fragment", &format!("{ENDS} ack 9 76 bytes")]);
    assert_eq!(decoder.fragments.held(), (0, 0));
}

#[test]
fn fragments_that_cannot_be_are_refused() {
    let decoder = &mut Decoder::new(Limits::default());
    let mut odd = fragments4(1, &[(0, 4)], b'a').remove(0);
    odd.truncate(50);
    odd[3] = 50;
    assert_eq!(decode(RAW, &odd), "unreadable: fragment");
    // Cut by the snapshot length.
    let cut = fragments4(1, &[(0, 4)], b'a').remove(0);
    assert_eq!(say(decoder, RAW, 0, &cut[..44], cut.len()), "unreadable: fragment");
    // Past the longest packet.
    let mut far = ip4(6, &[0; 16]);
    far[6..8].copy_from_slice(&[0x1F, 0xFF]);
    assert_eq!(decode(RAW, &far), "unreadable: fragment");
    // Two different ends.
    let mut short = fragments4(2, &[(4, 6)], b'a').remove(0);
    short[6] = 0;
    let ends = [fragments4(2, &[(8, 12)], b'a').remove(0), short];
    assert_eq!(transcript(decoder, 0, &ends), ["fragment", "unreadable: fragment"]);
    assert_eq!(decoder.fragments.held(), (0, 0));
}

#[test]
fn unfinished_datagrams_are_bounded_in_number_bytes_and_time() {
    let limits = Limits { fragment_bytes: 16 << 10, fragment_datagrams: 3, fragment_time: Duration::from_secs(30) };
    let decoder = &mut Decoder::new(limits);
    let first = |identification| fragments4(identification, &[(0, 4)], b'a');
    let last = |identification| fragments4(identification, &[(4, 12)], b'a');
    for identification in 0..4 {
        transcript(decoder, 0, &first(identification));
    }
    assert_eq!(decoder.fragments.held().0, 3);
    // The oldest made room; the next one is there.
    let whole = format!("{ENDS} ack 9 76 bytes");
    assert_eq!(transcript(decoder, 0, &last(1)), [&*whole]);
    assert_eq!(transcript(decoder, 0, &last(0)), ["fragment"]);
    // After half a minute all are forgotten; a clock that goes back forgets nothing.
    transcript(decoder, 31_000, &first(7));
    assert_eq!(decoder.fragments.held().0, 1);
    assert_eq!(transcript(decoder, 5, &last(7)), [whole]);
    // Few fragments far out take many bytes.
    for identification in 0..9_u16 {
        let mut far = ip4(6, &[0; 8]);
        far[4..8].copy_from_slice(&[0, identification as u8, 0x23, 0xFF]);
        transcript(decoder, 40_000, &[far]);
        let (datagrams, bytes) = decoder.fragments.held();
        assert!(datagrams <= 3 && bytes <= 16 << 10, "{datagrams} {bytes}");
    }
}

/// Feeds bytes as a fuzzer gives them: packets, each a byte of link type, one of length, one that says how much was cut.
fn feed(bytes: &[u8]) {
    let limits = Limits { fragment_bytes: 4 << 10, fragment_datagrams: 4, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut rest = bytes;
    while let [kind, length, cut, tail @ ..] = rest {
        let (data, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        let link = link::ALL[usize::from(*kind) % link::ALL.len()];
        say(&mut decoder, link, u64::from(*cut) * 1000, data, data.len() + usize::from(*cut % 16));
        let (datagrams, bytes) = decoder.fragments.held();
        assert!(datagrams <= limits.fragment_datagrams && bytes <= limits.fragment_bytes);
        rest = tail;
    }
}

proptest! {
    #[test]
    fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        feed(&bytes);
    }

    /// Real packets with some bytes changed get farther than random ones.
    #[test]
    fn no_changed_packet_upsets_it(
        which in 0..7_usize,
        changes in prop::collection::vec((0..120_usize, any::<u8>()), 0..6),
        cut in 0..200_usize,
    ) {
        let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x86DD, &tcp6())].concat();
        let mut packet = match which {
            0 => ethernet(0x0800, &tcp4()),
            1 => ethernet(0x86DD, &tcp6()),
            2 => ethernet(0x0800, &udp(1, 4789, &vxlan)),
            3 => ethernet(0x0800, &ip4(47, &[&[0x30, 0, 0x88, 0xBE, 0, 0, 0, 1, 0, 0, 0, 1][..], &[0x10; 8], &vxlan[8..]].concat())),
            4 => ethernet(0x8847, &[&[0, 1, 1, 64][..], &tcp4()].concat()),
            5 => ethernet(0x0800, &fragments4(1, &[(0, 4)], b'a')[0]),
            _ => ethernet(0x86DD, &ip6(0, &[&[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0xC2, 4, 0, 0, 1, 0][..], &tcp(0, &[], b"x")].concat())),
        };
        for (at, value) in changes {
            let at = at % packet.len();
            packet[at] = value;
        }
        for link in link::ALL {
            let cut = cut.min(packet.len());
            let decoder = &mut Decoder::new(Limits::default());
            say(decoder, link, 0, &packet[..cut], packet.len());
            say(decoder, link, 0, &packet[..cut], cut);
            say(decoder, link, 0, &packet, packet.len());
        }
    }

    /// Whatever the cuts and their order, what comes out is what was cut.
    #[test]
    fn any_cuts_in_any_order_come_together(
        cuts in prop::collection::btree_set(1..12_usize, 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let bounds = [0].into_iter().chain(cuts.iter().copied()).chain([12]).collect::<Vec<_>>();
        let mut pieces = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>();
        for (at, other) in order.iter().enumerate() {
            let (at, other) = (at % pieces.len(), other.index(pieces.len()));
            pieces.swap(at, other);
        }
        let said = transcript(&mut Decoder::new(Limits::default()), 0, &fragments4(3, &pieces, b'a'));
        prop_assert_eq!(said.last().cloned(), Some(format!("{ENDS} ack 9 76 bytes")));
        prop_assert!(said[..said.len() - 1].iter().all(|said| said == "fragment"));
    }
}
