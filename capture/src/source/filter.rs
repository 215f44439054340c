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
/// Tags that the hardware left in: 802.1Q and 802.1ad, by their EtherTypes.
const TAGS: &str = "ether proto 0x8100 or ether proto 0x88a8";

/// Words after which libpcap looks for all that follows inside of what they name.
const MOVES_INSIDE: [&str; 6] = ["vlan", "mpls", "pppoed", "pppoes", "geneve", "vxlan"];

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
        wanted = format!("{wanted} or {TAGS}");
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
        let mut frame = vec![2; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1]);
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(1234u16.to_be_bytes());
        frame.extend(port.to_be_bytes());
        frame.extend([0; 16]);
        frame
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
