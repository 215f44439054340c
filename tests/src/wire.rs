//! Two hosts with a cable between them, and a switch's mirror port beside it. Each is a network namespace with an Ethernet card, whose frames
//! a thread of the test carries: so a test decides what becomes of them. Or it is the kernel's own cable, on which nothing goes wrong.
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
use crate::{WITHIN, wait_for};
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
/// The client, on IPv6.
pub const CLIENT_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
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
    // What ends the thread when it is closed, and the thread.
    cable: Option<(PipeWriter, JoinHandle<io::Result<()>>)>,
}

impl Wire {
    /// Lays the cable. None where that cannot be done, which is then said.
    ///
    /// # Panics
    /// When the hosts can be made, but not set up.
    pub fn lay(cabling: Cabling) -> Option<Wire> {
        let mut wire = Wire::unplugged()?;
        let card = |host: &Namespace| {
            let card = host.within(|| Tap::new(CARD, cabling.offloads));
            card.inspect_err(|error| eprintln!("skipped: there are no TAP devices here ({error})")).ok()
        };
        let cards = [card(&wire.client)?, card(&wire.server)?];
        let outlet = match cabling.copies {
            Copies::None => Outlet::None,
            Copies::Frames(tags) => {
                assert!(!cabling.offloads || tags.is_empty(), "the offset of the checksum is not adjusted for tags");
                let outlet = Outlet::Card(card(&wire.port)?, tags);
                wire.port.ip(&format!("link set {CARD} up\n"));
                outlet
            }
            Copies::Vxlan => Outlet::vxlan(&wire.port),
        };
        let (ends, stop) = io::pipe().expect("a pipe");
        let cable = Cable::new(cards, outlet, cabling, wire.carried.clone(), ends);
        wire.cable = Some((stop, std::thread::spawn(move || cable.carry())));
        wire.set_up();
        Some(wire)
    }

    /// The kernel's own (veth): nothing goes wrong on it, and nothing is copied. None where there is none, which is then said.
    ///
    /// # Panics
    /// As [`Wire::lay`].
    pub fn lay_kernels() -> Option<Wire> {
        let wire = Wire::unplugged()?;
        let pair = format!("link add name {CARD} type veth peer name {CARD} netns {}\n", wire.server.path());
        if let Err(said) = wire.client.try_ip(&pair) {
            eprintln!("skipped: there are no veth devices here ({})", said.trim());
            return None;
        }
        wire.set_up();
        Some(wire)
    }

    fn unplugged() -> Option<Wire> {
        let [client, server, port] = [Namespace::new()?, Namespace::new()?, Namespace::new()?];
        Some(Wire { client, server, port, carried: Arc::default(), cable: None })
    }

    /// Gives both ends their addresses.
    fn set_up(&self) {
        let up = format!("link set {CARD} up\n");
        let v4 = |address: Ipv4Addr| format!("addr add {address}/24 dev {CARD}\n");
        let v6 = |address: Ipv6Addr| match has_ipv6() {
            true => format!("addr add {address}/64 dev {CARD} nodad\n"),
            false => String::new(),
        };
        self.client.ip(&[v4(CLIENT), v4(CLIENT_TOO), v6(CLIENT_6), up.clone()].concat());
        self.server.ip(&[v4(SERVER), v6(SERVER_6), up].concat());
        if has_ipv6() {
            self.client.within(|| wait_until_local(CLIENT_6));
            self.server.within(|| wait_until_local(SERVER_6));
        }
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
        let Some((stop, cable)) = self.cable.take() else { return };
        drop(stop);
        match cable.join() {
            _ if std::thread::panicking() => {}
            Ok(carried) => carried.expect("a cable that holds"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// An address of IPv6 becomes the host's own a little after it is said to: until then, what is sent to it is sent out.
fn wait_until_local(address: Ipv6Addr) {
    const LOCAL: u32 = 0x8000_0000;
    let route = format!("{:032x} 80 ", address.to_bits());
    let is_local = |line: &str| {
        let flags = line.split_whitespace().nth(8).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        line.starts_with(&route) && flags.is_some_and(|flags| flags & LOCAL != 0)
    };
    wait_for("an address of our own", WITHIN, || {
        std::fs::read_to_string("/proc/thread-self/net/ipv6_route").ok()?.lines().any(is_local).then_some(())
    });
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}
