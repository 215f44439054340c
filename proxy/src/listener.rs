//! Listening sockets, and accepted connections as pingora's streams.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::handover;
use mirror::config::{ListenAddress, ProxyConfig, Transparent};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted: as many as the kernel allows (it cuts this to `net.core.somaxconn`).
const BACKLOG: i32 = 65_535;

const NO_NET_ADMIN: &str = "tproxy takes CAP_NET_ADMIN: `setcap cap_net_admin+ep` on the program, AmbientCapabilities=CAP_NET_ADMIN in its unit, \
     or `redirect`, which takes none";

const NO_MARK: &str = "proxy.mark, which tproxy has too, takes CAP_NET_ADMIN: `setcap cap_net_admin+ep` on the program, \
     AmbientCapabilities=CAP_NET_ADMIN in its unit";

/// Sockets that listen; dropping them stops that.
pub struct Listeners(pub(crate) Vec<TcpListener>);

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address, as configured.
    pub address: ListenAddress,
    /// Why not.
    pub error: std::io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "listen: \"{}\": cannot be listened on: {}", self.address, self.error)
    }
}

impl std::error::Error for BindError {}

impl Listeners {
    /// Listens on all addresses, or on none.
    ///
    /// # Errors
    /// Every address that cannot be had.
    pub fn bind(addresses: &[ListenAddress], config: &ProxyConfig) -> Result<Listeners, Vec<BindError>> {
        let (mut sockets, mut errors) = (Vec::new(), Vec::new());
        for address in addresses {
            match bind(address, config) {
                Ok(socket) => sockets.push(socket),
                Err(error) => errors.push(BindError { address: *address, error }),
            }
        }
        if errors.is_empty() { Ok(Listeners(sockets)) } else { Err(errors) }
    }

    /// The sockets themselves.
    pub fn into_sockets(self) -> Vec<TcpListener> {
        self.0
    }

    /// Where they listen; tells the ports that were chosen for port 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }
}

/// Listens on one address. Every interface means one IPv6 socket that takes IPv4 too, or IPv4 alone where the host has no IPv6.
fn bind(address: &ListenAddress, config: &ProxyConfig) -> std::io::Result<TcpListener> {
    let mut refused = None;
    for at in address.socket_addrs() {
        match listen(at, address.dual_stack(), config) {
            Ok(socket) => return Ok(socket),
            // The first that is tried is the one that was meant; the others are for hosts that cannot have it at all.
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| std::io::ErrorKind::InvalidInput.into()))
}

fn listen(at: SocketAddr, dual_stack: bool, config: &ProxyConfig) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    // Restarts must not wait for the last run's connections to be forgotten.
    socket.set_reuse_address(true)?;
    if config.reuse_port {
        socket.set_reuse_port(true)?;
    }
    let told = |why| {
        move |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => std::io::Error::new(error.kind(), why),
            _ => error,
        }
    };
    if config.transparent == Some(Transparent::Tproxy) {
        take_foreign(&socket, at).map_err(told(NO_NET_ADMIN))?;
    }
    // Connections to the upstream are marked, each when it is made: what would be refused then is told now.
    if let Some(mark) = config.upstream_mark() {
        let other = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        other.set_mark(mark.get()).map_err(told(NO_MARK))?;
    }
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    if config.reuse_port {
        handover::join(&socket);
    }
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Has a socket take connections to other hosts' addresses that TPROXY sends to it.
fn take_foreign(socket: &Socket, at: SocketAddr) -> std::io::Result<()> {
    if at.is_ipv6() { socket.set_ip_transparent_v6(true) } else { socket.set_ip_transparent_v4(true) }
}

/// An accepted connection on the runtime of the thread that will serve it.
pub(crate) fn nonblocking(socket: TcpStream) -> std::io::Result<tokio::net::TcpStream> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(socket)
}
