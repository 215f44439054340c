//! One packet in each tunnel, and tunnels in tunnels.

use super::build::{ETHERNET, RAW, TCP4, TCP6, decode, ethernet, ip4, ip6, say, tcp4, tcp6, udp};
use super::{Decoder, Limits};

const GRE: u8 = 47;

fn vxlan(frame: &[u8]) -> Vec<u8> {
    [&[0x08, 0, 0, 0, 0, 0, 42, 0], frame].concat()
}

#[test]
fn vxlan_on_its_ports_and_on_those_given() {
    let inner = vxlan(&ethernet(0x0800, &tcp4()));
    assert_eq!(decode(RAW, &udp(50_000, 4789, &inner)), TCP4);
    assert_eq!(decode(RAW, &udp(50_000, 8472, &inner)), TCP4);
    assert_eq!(decode(RAW, &udp(50_000, 5000, &inner)), "other");
    let mut decoder = Decoder::new(Limits::default()).with_vxlan_ports([5000]);
    let packet = udp(50_000, 5000, &inner);
    assert_eq!(say(&mut decoder, RAW, 0, &packet, packet.len()), TCP4);
    // A port is only a guess: what is not VXLAN, or does not parse, is something else.
    assert_eq!(decode(RAW, &udp(50_000, 4789, &ethernet(0x0800, &tcp4()))), "other");
    assert_eq!(decode(RAW, &udp(50_000, 4789, b"hello")), "other");
    assert_eq!(decode(RAW, &udp(50_000, 4789, &vxlan(&ethernet(0x0800, &tcp6())))), "other");
    assert_eq!(decode(RAW, &udp(50_000, 53, &inner)), "other");
}

#[test]
fn a_tunnel_that_the_capture_cut_is_told_as_cut() {
    let packet = udp(50_000, 4789, &vxlan(&ethernet(0x0800, &tcp4())));
    let said = |captured: usize, wire| say(&mut Decoder::new(Limits::default()), RAW, 0, &packet[..captured], wire);
    assert_eq!(said(85, packet.len()), "unreadable: cut");
    assert_eq!(said(91, packet.len()), TCP4.replace(" 'GET /'", " 'G' 4 missing"));
    // So long on the wire, it was no VXLAN.
    assert_eq!(said(85, 85), "other");
}

#[test]
fn vxlan_that_says_what_follows() {
    let extended =
        |next: u8, inner: &[u8]| decode(RAW, &udp(50_000, 4790, &[&[0x0C, 0, 0, next, 0, 0, 42, 0], inner].concat()));
    assert_eq!(extended(1, &tcp4()), TCP4);
    assert_eq!(extended(2, &tcp6()), TCP6);
    assert_eq!(extended(3, &ethernet(0x0800, &tcp4())), TCP4);
    assert_eq!(extended(5, &[&[0, 1, 1, 64][..], &tcp4()].concat()), TCP4);
    assert_eq!(extended(4, &tcp4()), "other");
}

#[test]
fn geneve_with_options() {
    let geneve = |options: &[u8], ether_type: u16, inner: &[u8]| {
        let length = u8::try_from(options.len() / 4).unwrap();
        let header = [&[length, 0][..], &ether_type.to_be_bytes(), &[0, 0, 42, 0], options].concat();
        decode(RAW, &udp(50_000, 6081, &[&header[..], inner].concat()))
    };
    assert_eq!(geneve(&[], 0x6558, &ethernet(0x86DD, &tcp6())), TCP6);
    assert_eq!(geneve(&[7; 32], 0x6558, &ethernet(0x0800, &tcp4())), TCP4);
    assert_eq!(geneve(&[7; 8], 0x0800, &tcp4()), TCP4);
    assert_eq!(geneve(&[], 5, &tcp4()), "other");
}

#[test]
fn gre_with_its_optional_fields() {
    for (flags, fields) in [(0x0000_u16, 0), (0x8000, 4), (0x2000, 4), (0x1000, 4), (0xA000, 8), (0xB000, 12)] {
        let gre = |protocol: u16, inner: &[u8]| {
            let header = [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), &vec![1; fields]].concat();
            [&header[..], inner].concat()
        };
        assert_eq!(decode(RAW, &ip4(GRE, &gre(0x0800, &tcp4()))), TCP4, "{flags:x}");
        assert_eq!(decode(RAW, &ip6(GRE, &gre(0x86DD, &tcp6()))), TCP6, "{flags:x}");
        assert_eq!(decode(RAW, &ip4(GRE, &gre(0x6558, &ethernet(0x0800, &tcp4())))), TCP4, "NVGRE, {flags:x}");
        assert_eq!(decode(RAW, &udp(50_000, 4754, &gre(0x0800, &tcp4()))), TCP4, "over UDP, {flags:x}");
        assert_eq!(decode(RAW, &ip4(GRE, &gre(0x8847, &[&[0, 1, 1, 64][..], &tcp4()].concat()))), TCP4);
    }
    assert_eq!(decode(RAW, &ip4(GRE, &[0x40, 0, 8, 0])), "other");
    assert_eq!(decode(RAW, &ip4(GRE, &[0, 3, 8, 0])), "unreadable: malformed");
    assert_eq!(decode(RAW, &ip4(GRE, &[0, 0, 8])), "unreadable: malformed");
}

#[test]
fn pptp() {
    let inner = [&[0xFF, 0x03, 0x00, 0x21][..], &tcp4()].concat();
    let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
    let gre = [&[0x30, 0x81, 0x88, 0x0B][..], &length, &[0, 1], &[0, 0, 0, 1], &[0, 0, 0, 2], &inner].concat();
    assert_eq!(decode(RAW, &ip4(GRE, &gre)), TCP4);
    assert_eq!(decode(RAW, &ip4(GRE, &[0x20, 0x81, 0x88, 0x0B, 0, 0, 0, 1, 0, 0, 0, 2])), "other");
}

#[test]
fn erspan_of_three_types() {
    let frame = ethernet(0x0800, &tcp4());
    let gre = |header: &[u8]| decode(RAW, &ip4(GRE, &[header, &frame].concat()));
    assert_eq!(gre(&[0, 0, 0x88, 0xBE]), TCP4);
    assert_eq!(gre(&[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0]), TCP4);
    assert_eq!(gre(&[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), TCP4);
    let subheader = [&[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8]].concat();
    assert_eq!(gre(&subheader), TCP4);
    let ip = [&[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0][..], &tcp6()].concat();
    assert_eq!(decode(RAW, &ip4(GRE, &ip)), TCP6);
}

#[test]
fn ip_in_ip_of_either_version() {
    assert_eq!(decode(RAW, &ip4(4, &tcp4())), TCP4);
    assert_eq!(decode(RAW, &ip4(41, &tcp6())), TCP6);
    assert_eq!(decode(RAW, &ip6(4, &tcp4())), TCP4);
    assert_eq!(decode(RAW, &ip6(41, &tcp6())), TCP6);
    assert_eq!(decode(RAW, &ip4(137, &[&[0, 1, 1, 64][..], &tcp6()].concat())), TCP6);
    assert_eq!(decode(RAW, &ip4(97, &[&[0x30, 0][..], &ethernet(0x0800, &tcp4())].concat())), TCP4);
    assert_eq!(decode(RAW, &ip4(1, &[8, 0, 0, 0])), "other");
}

#[test]
fn teredo_with_authentication_and_origin() {
    let authentication = [&[0, 1, 2, 3][..], &[9; 2 + 3 + 8 + 1]].concat();
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    for head in [vec![], authentication.clone(), origin.to_vec(), [&authentication[..], &origin].concat()] {
        let packet = [head, tcp6()].concat();
        assert_eq!(decode(RAW, &udp(50_000, 3544, &packet)), TCP6);
        assert_eq!(decode(RAW, &udp(3544, 50_000, &packet)), TCP6);
    }
    assert_eq!(decode(RAW, &udp(50_000, 3544, &tcp4())), "other");
}

#[test]
fn tunnels_nest_up_to_a_bound() {
    // A cloud's mirror session: VXLAN around ERSPAN around double-tagged VXLAN around IPv6 in IPv4.
    let innermost = ethernet(0x0800, &ip4(41, &tcp6()));
    let tagged =
        ethernet(0x88A8, &[&[0, 1, 0x81, 0, 0, 2, 0x08, 0][..], &udp(50_000, 4789, &vxlan(&innermost))].concat());
    let erspan = [&[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &tagged].concat();
    let packet = ethernet(0x0800, &udp(50_000, 4789, &vxlan(&ethernet(0x0800, &ip4(GRE, &erspan)))));
    assert_eq!(decode(ETHERNET, &packet), TCP6);
    let nested = |depth| (0..depth).fold(tcp4(), |inner, _| ip4(4, &inner));
    assert_eq!(decode(RAW, &nested(14)), TCP4);
    assert_eq!(decode(RAW, &nested(40)), "unreadable: nested");
}
