//! One packet in each link layer, and what can be wrong with it.

use super::build::{ETHERNET, RAW, TCP4, TCP6, decode, ethernet, tcp4, tcp4_with, tcp6};
use super::{Decoder, LinkType, link};

/// LLC with SNAP.
fn snap(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xAA, 0xAA, 0x03, 0, 0, 0][..], &ether_type.to_be_bytes(), payload].concat()
}

#[test]
fn every_link_type_has_a_name_and_others_are_told() {
    assert_eq!(Decoder::link_types().count(), link::ALL.len());
    for link in [0, 1, 9, 12, 50, 101, 104, 105, 108, 113, 127, 228, 229, 239, 276] {
        assert!(Decoder::supports(LinkType(link)), "{link}");
    }
    assert_eq!(Decoder::link_name(LinkType(113)), Some("LINUX_SLL"));
    assert!(!Decoder::supports(LinkType(195)));
    assert_eq!(decode(195, &tcp4()), "unreadable: link_type");
    // The list is all that is known.
    let known = (-10..1000).filter(|&link| Decoder::supports(LinkType(link))).collect::<Vec<_>>();
    assert_eq!(known, link::ALL);
}

#[test]
fn ethernet_frames() {
    assert_eq!(decode(ETHERNET, &ethernet(0x0800, &tcp4())), TCP4);
    assert_eq!(decode(ETHERNET, &ethernet(0x86DD, &tcp6())), TCP6);
    // ARP; a type that nobody knows; 802.3 with a length, with SNAP in it and with spanning tree.
    assert_eq!(decode(ETHERNET, &ethernet(0x0806, &[0; 28])), "other");
    assert_eq!(decode(ETHERNET, &ethernet(0xFFFF, &[0; 28])), "other");
    assert_eq!(decode(ETHERNET, &ethernet(60, &snap(0x0800, &tcp4()))), TCP4);
    assert_eq!(decode(ETHERNET, &ethernet(38, &[0x42, 0x42, 0x03, 0, 0, 0, 0, 0])), "other");
    assert_eq!(decode(ETHERNET, &[0; 13]), "unreadable: malformed");
    // The type says IPv4, the packet IPv6.
    assert_eq!(decode(ETHERNET, &ethernet(0x0800, &tcp6())), "unreadable: malformed");
}

#[test]
fn padding_is_not_payload() {
    let mut frame = ethernet(0x0800, &tcp4());
    frame.resize(60 + 14, 0);
    assert_eq!(decode(ETHERNET, &frame), TCP4);
    let mut frame = ethernet(0x86DD, &tcp6());
    frame.resize(100, 0xFF);
    assert_eq!(decode(ETHERNET, &frame), TCP6);
}

#[test]
fn vlan_tags_of_every_kind_nest_up_to_a_bound() {
    for outer in [0x8100, 0x88A8, 0x9100, 0x9200, 0x9300] {
        assert_eq!(decode(ETHERNET, &ethernet(outer, &[&[0, 5, 0x08, 0][..], &tcp4()].concat())), TCP4);
        let double = [&[0, 5, 0x81, 0, 0, 6, 0x86, 0xDD][..], &tcp6()].concat();
        assert_eq!(decode(ETHERNET, &ethernet(outer, &double)), TCP6);
    }
    let tags = |count| ethernet(0x8100, &[[0, 5, 0x81, 0].repeat(count), vec![0, 5, 0x08, 0], tcp4()].concat());
    assert_eq!(decode(ETHERNET, &tags(25)), TCP4);
    assert_eq!(decode(ETHERNET, &tags(40)), "unreadable: nested");
}

#[test]
fn mpls_stacks_lead_to_what_their_payload_looks_like() {
    const MORE: [u8; 4] = [0, 1, 0x00, 64];
    const LAST: [u8; 4] = [0, 2, 0x01, 64];
    for ether_type in [0x8847, 0x8848] {
        let labelled = |payload: &[u8]| decode(ETHERNET, &ethernet(ether_type, &[&MORE, &LAST, payload].concat()));
        assert_eq!(labelled(&tcp4()), TCP4);
        assert_eq!(labelled(&tcp6()), TCP6);
        let frame = ethernet(0x0800, &tcp4());
        assert_eq!(labelled(&frame), TCP4);
        assert_eq!(labelled(&[&[0, 0, 0, 7], &frame[..]].concat()), TCP4);
        // An address that begins with zeros is not a control word.
        let mut zeros = frame.clone();
        zeros[0] = 0;
        assert_eq!(labelled(&zeros), TCP4);
        assert_eq!(labelled(&[0x10, 0, 0, 0x21, 1, 2, 3, 4]), "other");
        assert_eq!(labelled(&[0x45, 1, 2, 3]), "other");
    }
}

#[test]
fn pppoe_sessions() {
    let session = |code: u8, packet: &[u8]| {
        let length = u16::try_from(packet.len() + 2).unwrap().to_be_bytes();
        ethernet(0x8864, &[&[0x11, code, 0, 1][..], &length, &[0x00, 0x21], packet, &[0; 9]].concat())
    };
    assert_eq!(decode(ETHERNET, &session(0, &tcp4())), TCP4);
    assert_eq!(decode(51, &session(0, &tcp4())[14..]), TCP4);
    assert_eq!(decode(ETHERNET, &session(0xA7, &tcp4())), "other");
}

#[test]
fn ppp_with_all_that_may_be_left_out() {
    for link in [9, 50] {
        for (head, packet, said) in [
            (&[0xFF, 0x03, 0x00, 0x21][..], tcp4(), TCP4),
            (&[0xFF, 0x03, 0x21][..], tcp4(), TCP4),
            (&[0x00, 0x57][..], tcp6(), TCP6),
            (&[0x57][..], tcp6(), TCP6),
            (&[0x00, 0x21][..], tcp4(), TCP4),
            (&[0xFF, 0x03, 0x02, 0x81, 0, 1, 1, 64][..], tcp4(), TCP4),
            // Link control; Cisco's framing.
            (&[0xFF, 0x03, 0xC0, 0x21][..], vec![1, 1, 0, 4], "other"),
            (&[0x0F, 0x00, 0x08, 0x00][..], tcp4(), TCP4),
        ] {
            assert_eq!(decode(link, &[head, &packet].concat()), said, "{head:02x?}");
        }
    }
    assert_eq!(decode(104, &[&[0x0F, 0x00, 0x08, 0x00][..], &tcp4()].concat()), TCP4);
    assert_eq!(decode(104, &[&[0x8F, 0x00, 0x86, 0xDD][..], &tcp6()].concat()), TCP6);
    assert_eq!(decode(104, &[0x8F, 0x00, 0x80, 0x35, 0, 0, 0, 0]), "other");
}

#[test]
fn loopback_families_in_either_byte_order() {
    for link in [0, 108] {
        for order in [u32::to_be_bytes, u32::to_le_bytes] {
            assert_eq!(decode(link, &[&order(2)[..], &tcp4()].concat()), TCP4);
            for family in [10, 24, 28, 30] {
                assert_eq!(decode(link, &[&order(family)[..], &tcp6()].concat()), TCP6);
            }
            assert_eq!(decode(link, &[&order(7)[..], &tcp4()].concat()), "other");
        }
    }
}

#[test]
fn raw_ip() {
    for link in [12, RAW] {
        assert_eq!(decode(link, &tcp4()), TCP4);
        assert_eq!(decode(link, &tcp6()), TCP6);
        assert_eq!(decode(link, &[0x10; 40]), "unreadable: malformed");
        assert_eq!(decode(link, &[]), "unreadable: malformed");
    }
    assert_eq!(decode(228, &tcp4()), TCP4);
    assert_eq!(decode(229, &tcp6()), TCP6);
    assert_eq!(decode(229, &tcp4()), "unreadable: malformed");
}

#[test]
fn linux_cooked() {
    let sll = |hardware: u16, protocol: u16, packet: &[u8]| {
        let header = [&[0, 0][..], &hardware.to_be_bytes(), &[0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &protocol.to_be_bytes()];
        decode(113, &[&header.concat(), packet].concat())
    };
    let sll2 = |hardware: u16, protocol: u16, packet: &[u8]| {
        let header = [&protocol.to_be_bytes()[..], &[0, 0, 0, 0, 0, 3], &hardware.to_be_bytes(), &[0, 6], &[2; 8]];
        decode(276, &[&header.concat(), packet].concat())
    };
    for cooked in [&sll as &dyn Fn(u16, u16, &[u8]) -> String, &sll2] {
        assert_eq!(cooked(1, 0x0800, &tcp4()), TCP4);
        assert_eq!(cooked(772, 0x86DD, &tcp6()), TCP6);
        assert_eq!(cooked(1, 0x8100, &[&[0, 5, 0x08, 0][..], &tcp4()].concat()), TCP4);
        assert_eq!(cooked(1, 4, &snap(0x0800, &tcp4())), TCP4);
        assert_eq!(cooked(1, 0x0806, &[0; 28]), "other");
        assert_eq!(cooked(824, 0x0800, &tcp4()), "other");
        assert_eq!(cooked(1, 1, &tcp4()), "other");
    }
}

/// What Linux makes of two tags or more on `any`: the outermost is gone, and the protocol is that behind the others.
#[test]
fn linux_cooked_with_inner_tags() {
    let cooked = |protocol: u16, rest: &[u8]| decode(276, &[&protocol.to_be_bytes()[..], &[0; 18], rest].concat());
    // Priorities and numbers that look like the beginning of IPv4 or IPv6 are among them.
    for tag in [[0x00, 7], [0x45, 0x00], [0x4f, 0xff], [0x60, 0x00], [0xff, 0xff]] {
        for (protocol, packet, said) in [(0x0800u16, tcp4(), TCP4), (0x86DD, tcp6(), TCP6)] {
            let tagged = [&tag[..], &protocol.to_be_bytes(), &packet].concat();
            assert_eq!(cooked(protocol, &tagged), said, "{tag:02x?}");
            for outer in [[0x81, 0x00], [0x88, 0xA8]] {
                assert_eq!(cooked(protocol, &[&tag[..], &outer, &tagged].concat()), said, "{tag:02x?}");
            }
        }
    }
    // A packet whose length is an EtherType, with a number that begins with a 4.
    let mut long = tcp4_with(&[b'a'; 0x0800 - 40]);
    long[4] = 0x45;
    assert_eq!(cooked(0x0800, &long), TCP4.replace("'GET /'", "2008 bytes"));
}

#[test]
fn netfilter_log() {
    let attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 4).unwrap().to_ne_bytes();
        let mut bytes = [&length[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let packet = |attributes: &[Vec<u8>]| decode(239, &[&[2, 0, 0, 30][..], &attributes.concat()].concat());
    assert_eq!(packet(&[attribute(1, &[8, 0, 3, 0]), attribute(10, b"web\0\0"), attribute(9, &tcp4())]), TCP4);
    assert_eq!(packet(&[attribute(9, &tcp6()), attribute(1, &[1])]), TCP6);
    assert_eq!(packet(&[attribute(10, b"web\0")]), "other");
    assert_eq!(packet(&[vec![3, 0, 3, 0]]), "unreadable: malformed");
}

/// A data frame: frame control, then addresses and sequence, then the rest.
fn wifi(control: [u8; 2], after_addresses: &[u8], packet: &[u8]) -> Vec<u8> {
    [&control[..], &[0; 22], after_addresses, packet].concat()
}

#[test]
fn wireless_data_frames() {
    let packet = snap(0x0800, &tcp4());
    for (control, after_addresses, what) in [
        ([0x08, 0x01], &[][..], "to the distribution system"),
        ([0x08, 0x02], &[][..], "from it"),
        ([0x08, 0x03], &[0; 6][..], "four addresses"),
        ([0x88, 0x01], &[0; 2][..], "QoS"),
        ([0x88, 0x03], &[0; 8][..], "QoS, four addresses"),
        ([0x88, 0x81], &[0; 6][..], "QoS, HT control"),
    ] {
        assert_eq!(decode(105, &wifi(control, after_addresses, &packet)), TCP4, "{what}");
        // With the check sequence behind.
        assert_eq!(
            decode(105, &wifi(control, after_addresses, &[&packet[..], &[1, 2, 3, 4]].concat())),
            TCP4,
            "{what}"
        );
    }
    assert_eq!(decode(105, &wifi([0x08, 0x41], &[], &packet)), "unreadable: protected");
    assert_eq!(decode(105, &wifi([0x08, 0x05], &[], &packet)), "unreadable: fragment");
    // A beacon, an acknowledgment, a frame without data.
    assert_eq!(decode(105, &wifi([0x80, 0x00], &[], &[0; 30])), "other");
    assert_eq!(decode(105, &[0xD4, 0, 0, 0, 2, 0, 0, 0, 0, 1]), "other");
    assert_eq!(decode(105, &wifi([0xC8, 0x01], &[0; 2], &[])), "other");
}

#[test]
fn an_aggregate_of_one_packet_is_read_and_of_two_refused() {
    let packet = snap(0x0800, &tcp4());
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    let one = [&[0; 12][..], &length, &packet].concat();
    let aggregate = |subframes: &[u8]| decode(105, &wifi([0x88, 0x01], &[0x80, 0], subframes));
    assert_eq!(aggregate(&one), TCP4);
    assert_eq!(aggregate(&[&one[..], &[0; 3], &[1, 2, 3, 4]].concat()), TCP4);
    assert_eq!(aggregate(&[&one[..], &[0; 3], &one].concat()), "unreadable: aggregate");
}

#[test]
fn radiotap_says_how_the_frame_was_captured() {
    let packet = snap(0x0800, &tcp4());
    let qos = wifi([0x88, 0x01], &[0; 2], &packet);
    let qos_padded = wifi([0x88, 0x01], &[0; 4], &packet);
    let with = |header: &[u8], frame: &[u8]| decode(127, &[header, frame].concat());
    assert_eq!(with(&[0, 0, 8, 0, 0, 0, 0, 0], &qos), TCP4);
    // Flags alone: nothing, padding after the header, a frame that arrived damaged.
    assert_eq!(with(&[0, 0, 9, 0, 2, 0, 0, 0, 0x10], &qos), TCP4);
    assert_eq!(with(&[0, 0, 9, 0, 2, 0, 0, 0, 0x20], &qos_padded), TCP4);
    assert_eq!(with(&[0, 0, 9, 0, 2, 0, 0, 0, 0x50], &qos), "unreadable: malformed");
    // A time before the flags; a second word of bits, which moves the time to the next multiple of eight.
    assert_eq!(with(&[&[0, 0, 17, 0, 3, 0, 0, 0][..], &[9; 8], &[0x20]].concat(), &qos_padded), TCP4);
    let two_words = [&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0][..], &[0; 4], &[9; 8], &[0x20]].concat();
    assert_eq!(with(&two_words, &qos_padded), TCP4);
    assert_eq!(with(&[1, 0, 8, 0, 0, 0, 0, 0], &qos), "unreadable: malformed");
    assert_eq!(with(&[0, 0, 7, 0, 0, 0, 0, 0], &qos), "unreadable: malformed");
}
