//! What a switch's mirror port gives of each frame.

use std::net::UdpSocket;

use crate::namespace::Namespace;
use crate::tap::Tap;

/// What the mirror port gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Copies {
    /// Nothing.
    #[default]
    None,
    /// Each frame behind these tags, the outermost first; as it is where there are none.
    Frames(&'static [Tag]),
    /// Each frame in VXLAN, to its port on the mirror port's loopback.
    Vxlan,
}

/// A VLAN's tag: its EtherType, and what follows it.
pub type Tag = [u16; 2];

/// VXLAN's port (RFC 7348).
const VXLAN: u16 = 4789;

/// Where copies go.
pub(super) enum Outlet {
    None,
    Card(Tap, &'static [Tag]),
    Socket(UdpSocket),
}

impl Outlet {
    pub(super) fn vxlan(port: &Namespace) -> Outlet {
        let socket = port.within(|| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(("127.0.0.1", VXLAN))?;
            std::io::Result::Ok(socket)
        });
        Outlet::Socket(socket.expect("a socket on the loopback"))
    }

    /// Gives a copy.
    pub(super) fn copy(&self, frame: &[u8]) -> std::io::Result<()> {
        match self {
            Outlet::None => Ok(()),
            Outlet::Card(card, []) => card.send(frame),
            Outlet::Card(card, tags) => {
                // Behind the two addresses.
                let (addresses, rest) = frame.split_at(12);
                let tags: Vec<u8> = tags.iter().flatten().flat_map(|half| half.to_be_bytes()).collect();
                card.send(&[addresses, &tags, rest].concat())
            }
            Outlet::Socket(socket) => {
                const HEADER: [u8; 8] = [8, 0, 0, 0, 0, 0, 42, 0];
                match socket.send(&[&HEADER, frame].concat()) {
                    // Nobody has listened so far.
                    Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }
}
