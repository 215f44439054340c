//! From packets to TCP segments: link layers, tunnels, IP and its fragments.
//!
//! A packet is read header by header: each reader takes its header off the `Cursor` and names the `Layer` that follows, until that is
//! TCP or something that cannot lead to it. So any wrapping nests in any other, and what bounds nesting stands in one place
//! ([`MAX_LAYERS`]). etherparse reads the headers it knows; for the others, a few bytes each, it has nothing.
//!
//! Checksums are not verified: of packets sent by this host most are captured before the card has filled them in.

mod cursor;
mod fragments;
mod ip;
mod link;
mod tunnel;
mod wifi;

#[cfg(test)]
mod build;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tunnel_tests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::TcpSlice;

use crate::packet::{LinkType, Packet};
use crate::segment::Segment;
use cursor::Cursor;
use fragments::{Datagram, Fragment, Fragments};

/// How many headers may stand before TCP's, each VLAN tag, MPLS label and IPv6 extension counted. A mirrored, double-tagged packet of an
/// overlay network has about twelve; a packet with more than this was made to keep its readers busy.
pub const MAX_LAYERS: u32 = 32;

/// How often one packet may be put together of fragments: a fragmented packet in a tunnel whose own packets were fragmented again.
const MAX_REASSEMBLIES: usize = 2;

/// The bounds on what is kept between packets: only fragments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes that all unfinished datagrams may occupy; the oldest is given up for a new one.
    pub fragment_bytes: usize,
    /// How many datagrams may be unfinished.
    pub fragment_datagrams: usize,
    /// How long a datagram may be unfinished, by the packets' times.
    pub fragment_time: Duration,
}

impl Default for Limits {
    /// 4 MiB and 1024 datagrams (64 of the longest, or 2 of usual length in flight for each of 512 tunnels), 30 seconds as Linux.
    fn default() -> Self {
        Limits { fragment_bytes: 4 << 20, fragment_datagrams: 1024, fragment_time: Duration::from_secs(30) }
    }
}

/// What a packet was.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A TCP segment.
    Segment(Segment<'a>),
    /// Read as far as it matters, and not TCP.
    Other,
    /// A fragment, kept until its datagram is whole; or a copy of one that was used already.
    Fragment,
    /// Nobody can tell what it was.
    Unreadable(Unreadable),
}

/// Why a packet could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unreadable {
    /// Its link type is not among [`Decoder::link_types`].
    LinkType,
    /// The snapshot length cut it within its headers.
    Cut,
    /// A header that cannot be: too short, of another version, longer than its packet.
    Malformed,
    /// More than [`MAX_LAYERS`] headers.
    Nested,
    /// An encrypted 802.11 frame.
    Protected,
    /// A fragment that does not fit its datagram, was cut by the snapshot length, or is one of 802.11's.
    Fragment,
    /// An 802.11 frame that aggregates several packets (A-MSDU).
    Aggregate,
}

impl Unreadable {
    /// Every reason, for the metric that counts them.
    pub const ALL: [Unreadable; 7] = [
        Unreadable::LinkType,
        Unreadable::Cut,
        Unreadable::Malformed,
        Unreadable::Nested,
        Unreadable::Protected,
        Unreadable::Fragment,
        Unreadable::Aggregate,
    ];

    /// Its value in a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Unreadable::LinkType => "link_type",
            Unreadable::Cut => "cut",
            Unreadable::Malformed => "malformed",
            Unreadable::Nested => "nested",
            Unreadable::Protected => "protected",
            Unreadable::Fragment => "fragment",
            Unreadable::Aggregate => "aggregate",
        }
    }
}

/// Reads packets. It keeps what outlives a packet: fragments, and which ports are tunnels.
#[derive(Debug)]
pub struct Decoder {
    fragments: Fragments,
    /// Datagrams put together for the packet at hand, which its segment borrows.
    wholes: [Vec<u8>; MAX_REASSEMBLIES],
    vxlan_ports: Vec<u16>,
}

/// Where an IP packet comes from and goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ends {
    from: IpAddr,
    to: IpAddr,
}

/// What the cursor stands at.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Null,
    Ethernet,
    Hdlc,
    LinuxSll,
    LinuxSll2,
    Nflog,
    Radiotap,
    Wifi,
    /// LLC, as in 802.11 frames and in Ethernet frames with a length instead of a type.
    Llc,
    Ppp,
    Pppoe,
    Mpls,
    /// What this EtherType says.
    Typed(u16),
    Gre,
    Teredo,
    Vxlan,
    Geneve,
    /// IPv4 or IPv6, as its first four bits say.
    Ip,
    Ipv4,
    Ipv6,
    /// What follows an IP header, by its protocol number: an extension header, a tunnel, TCP.
    Upper(Ends, u8),
    Fragment(Fragment),
    Tcp(Ends),
    /// Nothing that can lead to TCP.
    Other,
}

type Read = Result<Layer, Unreadable>;

impl Decoder {
    /// A decoder that knows VXLAN by its usual ports.
    pub fn new(limits: Limits) -> Self {
        Decoder { fragments: Fragments::new(limits), wholes: Default::default(), vxlan_ports: Vec::new() }
    }

    /// Reads VXLAN on these UDP ports too, beside 4789 (RFC 7348), 4790 (its generic extension) and 8472 (Linux before they were
    /// assigned).
    #[must_use]
    pub fn with_vxlan_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.vxlan_ports.extend(ports);
        self
    }

    /// Whether packets of this link type can be read.
    pub fn supports(link: LinkType) -> bool {
        Self::link_name(link).is_some()
    }

    /// libpcap's name of a link type that can be read.
    pub fn link_name(link: LinkType) -> Option<&'static str> {
        link::begin(link).map(|(name, _)| name)
    }

    /// Every link type that can be read, with libpcap's name.
    pub fn link_types() -> impl Iterator<Item = (LinkType, &'static str)> {
        link::ALL.iter().filter_map(|&link| Some((LinkType(link), Self::link_name(LinkType(link))?)))
    }

    /// Reads one packet. A segment borrows the packet's bytes or, put together of fragments, the decoder's.
    pub fn decode<'a>(&'a mut self, packet: Packet<'a>) -> Decoded<'a> {
        let Some((_, mut layer)) = link::begin(packet.link) else {
            return Decoded::Unreadable(Unreadable::LinkType);
        };
        let mut cursor = Cursor::new(packet.data, packet.length);
        let cut = !cursor.whole();
        let mut wholes = self.wholes.as_mut_slice();
        for _ in 0..MAX_LAYERS {
            let read = match layer {
                Layer::Tcp(ends) => match segment(&cursor, ends, packet.time) {
                    Ok(segment) => return Decoded::Segment(segment),
                    Err(why) => Err(why),
                },
                Layer::Other => return Decoded::Other,
                Layer::Fragment(fragment) => match self.fragments.keep(&fragment, &cursor, packet.time) {
                    Ok(None) => return Decoded::Fragment,
                    Ok(Some(Datagram { ends, protocol, bytes })) => match std::mem::take(&mut wholes).split_first_mut()
                    {
                        Some((slot, rest)) => {
                            *slot = bytes;
                            wholes = rest;
                            cursor.replace(slot);
                            Ok(Layer::Upper(ends, protocol))
                        }
                        None => Err(Unreadable::Nested),
                    },
                    Err(why) => Err(why),
                },
                layer => read(layer, &mut cursor, &self.vxlan_ports),
            };
            match read {
                Ok(next) => layer = next,
                // Whether a guess was wrong cannot be told where the capture was cut; silence would hide a snapshot length too short.
                Err(Unreadable::Cut) if cut => return Decoded::Unreadable(Unreadable::Cut),
                Err(_) if cursor.guessed => return Decoded::Other,
                Err(why) => return Decoded::Unreadable(why),
            }
        }
        Decoded::Unreadable(Unreadable::Nested)
    }
}

/// Takes one header off the cursor.
fn read(layer: Layer, cursor: &mut Cursor<'_>, vxlan_ports: &[u16]) -> Read {
    match layer {
        Layer::Null => link::null(cursor),
        Layer::Ethernet => link::ethernet(cursor),
        Layer::Hdlc => link::hdlc(cursor),
        Layer::LinuxSll => link::linux_sll(cursor),
        Layer::LinuxSll2 => link::linux_sll2(cursor),
        Layer::Nflog => link::nflog(cursor),
        Layer::Llc => link::llc(cursor),
        Layer::Ppp => link::ppp(cursor),
        Layer::Pppoe => link::pppoe(cursor),
        Layer::Typed(ether_type) => link::typed(cursor, ether_type),
        Layer::Radiotap => wifi::radiotap(cursor),
        Layer::Wifi => wifi::frame(cursor),
        Layer::Mpls => tunnel::mpls(cursor),
        Layer::Gre => tunnel::gre(cursor),
        Layer::Teredo => tunnel::teredo(cursor),
        Layer::Vxlan => tunnel::vxlan(cursor),
        Layer::Geneve => tunnel::geneve(cursor),
        Layer::Ip => ip::either(cursor),
        Layer::Ipv4 => ip::v4(cursor),
        Layer::Ipv6 => ip::v6(cursor),
        Layer::Upper(ends, protocol) => ip::upper(cursor, ends, protocol, vxlan_ports),
        Layer::Fragment(_) | Layer::Tcp(_) | Layer::Other => Ok(layer),
    }
}

/// Reads the TCP header. Its options do not matter here.
fn segment<'a>(cursor: &Cursor<'a>, ends: Ends, time: Duration) -> Result<Segment<'a>, Unreadable> {
    const FIXED: usize = 20;
    let fixed: &[u8; FIXED] = cursor.data().first_chunk().ok_or_else(|| cursor.short())?;
    let header = usize::from(fixed[12] >> 4) * 4;
    if header < FIXED || header > cursor.wire() {
        return Err(Unreadable::Malformed);
    }
    // The fixed part alone is enough: the snapshot length may have cut the options, and still the sequence numbers tell what passed.
    let mut fields = *fixed;
    fields[12] = ((FIXED / 4) as u8) << 4;
    let tcp = TcpSlice::from_slice(&fields).map_err(|_| Unreadable::Malformed)?;
    let payload = cursor.data().get(header..).unwrap_or_default();
    Ok(Segment {
        time,
        from: SocketAddr::new(ends.from, tcp.source_port()),
        to: SocketAddr::new(ends.to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledgment: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload,
        missing: u32::try_from(cursor.wire() - header - payload.len()).unwrap_or(u32::MAX),
    })
}
