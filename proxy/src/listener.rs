//! Listening sockets, and accepted connections as pingora's streams.

use std::net::{SocketAddr, TcpListener, TcpStream};

use mirror::config::ListenAddress;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted: as many as the kernel allows (it cuts this to `net.core.somaxconn`).
const BACKLOG: i32 = 65_535;

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
    pub fn bind(addresses: &[ListenAddress]) -> Result<Listeners, Vec<BindError>> {
        let (mut sockets, mut errors) = (Vec::new(), Vec::new());
        for address in addresses {
            match bind(address) {
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
pub(crate) fn bind(address: &ListenAddress) -> std::io::Result<TcpListener> {
    let mut refused = None;
    for at in address.socket_addrs() {
        match listen(at, address.dual_stack()) {
            Ok(socket) => return Ok(socket),
            // The first that is tried is the one that was meant; the others are for hosts that cannot have it at all.
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| std::io::ErrorKind::InvalidInput.into()))
}

fn listen(at: SocketAddr, dual_stack: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    // Restarts must not wait for the last run's connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// An accepted connection on the runtime of the thread that will serve it.
pub(crate) fn nonblocking(socket: TcpStream) -> std::io::Result<tokio::net::TcpStream> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(socket)
}
