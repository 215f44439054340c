//! The kernel's side of the filter: what of an interface's packets is worth the way up.
//!
//! It lets through too much rather than too little: a fragment after the first bears no ports, and an IPv6 extension header or a tunnel
//! hides them. What comes up in vain is sorted out by the flow table.

/// TCP fragments after the first.
const FRAGMENTS: &str = "(ip proto 6 and ip[6:2] & 0x1fff != 0)";
/// IPv6 whose first next header is an extension: hop-by-hop, routing, fragment, authentication, destination options.
const EXTENSIONS: &str = "ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60";
/// GRE and ERSPAN, IP in IP, VXLAN (also on Linux' old port), Geneve, Teredo.
const TUNNELS: &str =
    "proto 47 or proto 4 or proto 41 or udp port 4789 or udp port 8472 or udp port 6081 or udp port 3544";
/// MPLS and PPPoE, by their EtherTypes.
const LABELS: &str = "ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864";
/// Tags that the hardware left in: 802.1Q, 802.1ad and what was before it, by their EtherTypes.
const TAGS: &str =
    "ether proto 0x8100 or ether proto 0x88a8 or ether proto 0x9100 or ether proto 0x9200 or ether proto 0x9300";
/// The same where the cooked header has the protocol of what is behind all tags (Linux of 2024 and later), though inner tags are still there: the
/// EtherType of such a tag is where IPv4 has its length and IPv6 its flow label. (The kernel's own run of the filter sees the tag's type as the
/// protocol, libpcap's run does not; both have to let it pass.)
const INNER_TAGS: &str = "ip[2:2] = 0x0800 or ip[2:2] = 0x8100 or ip[2:2] = 0x88a8 or \
     ip6[2:2] = 0x86dd or ip6[2:2] = 0x8100 or ip6[2:2] = 0x88a8";

/// Words after which libpcap looks for all that follows inside of what they name.
const MOVES_INSIDE: [&str; 6] = ["vlan", "mpls", "pppoed", "pppoes", "geneve", "vxlan"];

/// Whether a filter asks which way packets went.
pub(super) fn asks_for_direction(filter: &str) -> bool {
    filter.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| matches!(word, "inbound" | "outbound"))
}

/// How the packets are framed, as far as a filter has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Ethernet: `vlan` can be asked for, and so it is as deep as QinQ goes.
    Ethernet,
    /// Linux' "cooked" headers, on which libpcap has no `vlan`: whatever is tagged comes up.
    Cooked,
    /// Others, which know no tags.
    Other,
}

/// The filter for TCP on these ports, all if there are none, and for what the user wants (with libpcap's own meaning, so that it is about a
/// tunnel's outside), in libpcap's language.
pub(super) fn expression(ports: &[u16], user: Option<&str>, framing: Framing, tunnels: bool) -> String {
    let mut wanted = if ports.is_empty() {
        "tcp".to_owned()
    } else {
        ports.iter().map(|port| format!("tcp port {port}")).collect::<Vec<_>>().join(" or ")
    };
    for more in [Some(FRAGMENTS), Some(EXTENSIONS), tunnels.then_some(TUNNELS)].into_iter().flatten() {
        wanted.push_str(" or ");
        wanted.push_str(more);
    }
    if tunnels && framing != Framing::Other {
        wanted = format!("{wanted} or {LABELS}");
    }
    if framing == Framing::Cooked {
        wanted = format!("{wanted} or {TAGS} or {INNER_TAGS}");
    }
    let Some(user) = user else {
        return if framing == Framing::Ethernet { tagged_too(&wanted) } else { wanted };
    };
    let both = format!("({user}) and ({wanted})");
    if framing == Framing::Ethernet && !moves_inside(user) { tagged_too(&both) } else { both }
}

/// The same, also behind one tag or two. libpcap reads all that comes after `vlan` as behind the tag, hence the nesting.
fn tagged_too(expression: &str) -> String {
    format!("({expression}) or (vlan and (({expression}) or (vlan and ({expression}))))")
}

fn moves_inside(user: &str) -> bool {
    user.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| MOVES_INSIDE.contains(&word))
}

#[cfg(test)]
mod tests {
    use pcap::{Capture, Linktype};

    use super::*;

    fn compiled(expression: &str, link: i32) -> pcap::BpfProgram {
        let dead = Capture::dead(Linktype(link)).expect("a handle for compiling");
        dead.compile(expression, true).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Ethernet with these EtherTypes and tags before an IPv4 header and a TCP segment from 1234 to a port.
    fn frame(tags: &[u16], fragment: u16, port: u16) -> Vec<u8> {
        framed(tags, &[8, 0], &ipv4(fragment, port))
    }

    /// Ethernet with these tags, then what else comes before the packet: at least its type.
    fn framed(tags: &[u16], before: &[u8], packet: &[u8]) -> Vec<u8> {
        let tags = tags.iter().flat_map(|tag| [tag.to_be_bytes(), [0, 7]].concat()).collect();
        [vec![2; 12], tags, before.to_vec(), packet.to_vec()].concat()
    }

    fn ipv4(fragment: u16, port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 1];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(tcp(port));
        packet
    }

    fn ipv6(port: u16) -> Vec<u8> {
        [&[0x60, 0, 0, 0, 0, 20, 6, 64][..], &[0xfd; 32], &tcp(port)].concat()
    }

    fn tcp(port: u16) -> Vec<u8> {
        [&1234u16.to_be_bytes()[..], &port.to_be_bytes(), &[0; 16]].concat()
    }

    #[test]
    fn tagged_frames_and_fragments_come_up_too() {
        let filter = compiled(&expression(&[80, 8080], None, Framing::Ethernet, false), 1);
        assert!(filter.filter(&frame(&[], 0, 80)));
        assert!(filter.filter(&frame(&[], 0, 8080)));
        assert!(!filter.filter(&frame(&[], 0, 81)));
        assert!(filter.filter(&frame(&[0x8100], 0, 80)));
        assert!(!filter.filter(&frame(&[0x8100], 0, 81)));
        assert!(filter.filter(&frame(&[0x88a8, 0x8100], 0, 80)));
        assert!(!filter.filter(&frame(&[0x88a8, 0x8100], 0, 81)));
        assert!(filter.filter(&frame(&[], 0x2003, 81)), "a later fragment's bytes are no ports");
        assert!(filter.filter(&frame(&[0x8100], 0x2003, 81)));
    }

    /// VLAN, QinQ, MPLS and PPPoE before the port, IPv4 and IPv6. What is behind labels comes up whatever its port.
    #[test]
    fn what_stands_before_the_port_does_not_hide_it() {
        let filter = compiled(&expression(&[80], None, Framing::Ethernet, true), 1);
        for tags in [&[][..], &[0x8100], &[0x88a8], &[0x9100], &[0x88a8, 0x8100], &[0x8100, 0x8100], &[0x9100, 0x8100]]
        {
            assert!(filter.filter(&framed(tags, &[0x86, 0xdd], &ipv6(80))), "{tags:x?}");
            assert!(filter.filter(&frame(tags, 0, 80)), "{tags:x?}");
            assert!(!filter.filter(&framed(tags, &[0x86, 0xdd], &ipv6(81))), "{tags:x?}");
            assert!(!filter.filter(&frame(tags, 0, 81)), "{tags:x?}");
            for before in [
                &[0x88, 0x47, 0, 1, 1, 64][..],
                &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64],
                &[0x88, 0x48, 0, 1, 1, 64],
                &[0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21],
            ] {
                assert!(filter.filter(&framed(tags, before, &ipv4(0, 80))), "{tags:x?} {before:x?}");
                assert!(filter.filter(&framed(tags, before, &ipv6(80))), "{tags:x?} {before:x?}");
            }
        }
    }

    #[test]
    fn inner_tags_on_cooked_headers_come_up_too() {
        for ports in [&[80][..], &[]] {
            let filter = compiled(&expression(ports, None, Framing::Cooked, false), 276);
            let cooked = |protocol: u16, rest: &[u8]| [&protocol.to_be_bytes()[..], &[0; 18], rest].concat();
            let (v4, v6) = (ipv4(0, 80), ipv6(80));
            for tag in [[0x00, 7], [0x45, 7], [0x60, 7], [0xff, 0xff]] {
                for (protocol, packet) in [(0x0800u16, &v4), (0x86dd, &v6)] {
                    let tagged = [&tag, &protocol.to_be_bytes()[..], packet].concat();
                    let twice = [&tag, &[0x81, 0][..], &tagged].concat();
                    assert!(filter.filter(&cooked(protocol, packet)));
                    assert!(filter.filter(&cooked(protocol, &tagged)), "{tag:x?}");
                    assert!(filter.filter(&cooked(protocol, &twice)), "{tag:x?}");
                    // As older kernels tell it.
                    assert!(filter.filter(&cooked(0x8100, &tagged)), "{tag:x?}");
                }
            }
            assert_eq!(filter.filter(&cooked(0x0800, &ipv4(0, 81))), ports.is_empty());
            assert_eq!(filter.filter(&cooked(0x86dd, &ipv6(81))), ports.is_empty());
            assert!(!filter.filter(&cooked(0x0806, &[0; 28])));
        }
    }

    #[test]
    fn the_users_filter_holds_behind_tags_too() {
        let filter = compiled(&expression(&[80], Some("not host 10.0.0.2"), Framing::Ethernet, false), 1);
        assert!(!filter.filter(&frame(&[], 0, 80)));
        assert!(!filter.filter(&frame(&[0x8100], 0, 80)));
        let filter = compiled(&expression(&[80], Some("src host 10.0.0.1 or arp"), Framing::Ethernet, false), 1);
        assert!(filter.filter(&frame(&[], 0, 80)));
        assert!(filter.filter(&frame(&[0x8100], 0, 80)));
        assert!(!filter.filter(&frame(&[], 0, 81)), "the user's `or` is within its own parentheses");
    }

    #[test]
    fn a_user_who_asks_for_a_vlan_gets_that_one() {
        let filter = compiled(&expression(&[80], Some("vlan 7"), Framing::Ethernet, false), 1);
        assert!(filter.filter(&frame(&[0x8100], 0, 80)));
        assert!(!filter.filter(&frame(&[], 0, 80)));
        let filter = compiled(&expression(&[80], Some("vlan 8"), Framing::Ethernet, false), 1);
        assert!(!filter.filter(&frame(&[0x8100], 0, 80)));
    }

    #[test]
    fn it_compiles_for_each_framing() {
        for ports in [&[][..], &[80], &[80, 443, 8080]] {
            for tunnels in [false, true] {
                for user in [None, Some("not host 10.0.0.9")] {
                    compiled(&expression(ports, user, Framing::Ethernet, tunnels), 1);
                    for cooked in [113, 276] {
                        compiled(&expression(ports, user, Framing::Cooked, tunnels), cooked);
                    }
                    compiled(&expression(ports, user, Framing::Other, tunnels), 12);
                }
            }
        }
    }
}
