//! Two hosts with a cable between them, and a switch's mirror port beside it. Each is a network namespace with an Ethernet card, whose frames
//! a thread of the test carries: so a test decides what becomes of them.
//!
//! ```text
//!   client ── card ════ faults ════╦════ card ── server
//!                                  ║ a copy of each frame
//!                                 port
//! ```

mod cable;
mod copies;
mod faults;

use std::io::{self, PipeWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use cable::Carried;
pub use copies::{Copies, Tag};
pub use faults::Faults;

use crate::namespace::Namespace;
use crate::tap::Tap;
use cable::Cable;
use copies::Outlet;

/// The cards' name, in each of the namespaces: also that of the mirror port.
pub const CARD: &str = "wire0";
/// The client.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Another address of the client's.
pub const CLIENT_TOO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
/// The server.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CLIENT_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const SERVER_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// How the cable is laid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cabling {
    /// What goes wrong on it.
    pub faults: Faults,
    /// What the mirror port gets.
    pub copies: Copies,
    /// The cards offload: what passes are super-segments of up to 64 KiB whose checksums are not filled in.
    pub offloads: bool,
}

/// A cable with its hosts. It is pulled, and they are gone, when it is dropped.
pub struct Wire {
    /// The host that asks.
    pub client: Namespace,
    /// The host that answers.
    pub server: Namespace,
    /// What the switch's mirror port leads to.
    pub port: Namespace,
    carried: Arc<Carried>,
    // Closed, it ends the cable.
    stop: Option<PipeWriter>,
    cable: Option<JoinHandle<io::Result<()>>>,
}

impl Wire {
    /// Lays the cable. None where that cannot be done, which is then said.
    ///
    /// # Panics
    /// When the hosts can be made, but not set up.
    pub fn lay(cabling: Cabling) -> Option<Wire> {
        let (client, server, port) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let card = |host: &Namespace| {
            let card = host.within(|| Tap::new(CARD, cabling.offloads));
            card.inspect_err(|error| eprintln!("skipped: there are no TAP devices here ({error})")).ok()
        };
        let (at_client, at_server) = (card(&client)?, card(&server)?);
        let outlet = match cabling.copies {
            Copies::None => Outlet::None,
            Copies::Frames(tags) => {
                assert!(!cabling.offloads || tags.is_empty(), "the offset of the checksum is not adjusted for tags");
                let outlet = Outlet::Card(card(&port)?, tags);
                port.ip(&format!("link set {CARD} up\n"));
                outlet
            }
            Copies::Vxlan => Outlet::vxlan(&port),
        };
        for (host, addresses) in
            [(&client, [Some(CLIENT), Some(CLIENT_TOO)]), (&server, [Some(SERVER), None])]
        {
            let lines = addresses.into_iter().flatten().map(|address| format!("addr add {address}/24 dev {CARD}\n"));
            host.ip(&lines.chain([format!("link set {CARD} up\n")]).collect::<String>());
        }
        if has_ipv6() {
            for (host, address) in [(&client, CLIENT_6), (&server, SERVER_6)] {
                host.ip(&format!("addr add {address}/64 dev {CARD} nodad\n"));
            }
        }
        let carried = Arc::new(Carried::default());
        let (ends, stop) = io::pipe().expect("a pipe");
        let cable = Cable::new([at_client, at_server], outlet, cabling, carried.clone(), ends);
        let cable = std::thread::spawn(move || cable.carry());
        Some(Wire { client, server, port, carried, stop: Some(stop), cable: Some(cable) })
    }

    /// What it has carried so far.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }

    /// An address of the server's, on IPv4.
    pub fn address(&self, port: u16) -> SocketAddr {
        (SERVER, port).into()
    }

    /// The same on IPv6; none where there is none, which is said.
    pub fn address_6(&self, port: u16) -> Option<SocketAddr> {
        if !has_ipv6() {
            eprintln!("skipped: there is no IPv6 here");
            return None;
        }
        Some((IpAddr::from(SERVER_6), port).into())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop = None;
        match self.cable.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) if !std::thread::panicking() => panic!("the cable broke: {error}"),
            Some(Err(panic)) if !std::thread::panicking() => std::panic::resume_unwind(panic),
            _ => {}
        }
    }
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}
