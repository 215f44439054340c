//! Where a connection comes from, and where it was going.

use std::io;
use std::net::SocketAddr;

use mirror::config::Transparent;
use mirror::resolve::OwnAddresses;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::dial::Dial;

/// What is known of a connection beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The client: the other end, or who a PROXY header says it is.
    pub(crate) client: SocketAddr,
    /// What the client connected to, as it saw it, or as a PROXY header says.
    pub(crate) server: SocketAddr,
    /// Where the connection was going when it came here.
    pub(crate) destination: SocketAddr,
    /// Whether it was redirected, so that it is to go on to `destination`.
    pub(crate) redirected: bool,
    /// Whether it is a call that the application, or somebody else on this host, makes to elsewhere.
    pub(crate) egress: bool,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was made to the listener itself, and there is no upstream.
    NotRedirected,
    /// It leads back here: to where this program listens, or it is this program's own.
    Loop,
    /// It does not begin with a PROXY header, or that is none, or did not come in time.
    ProxyHeader,
}

impl Refused {
    pub(crate) const ALL: [Refused; 3] = [Refused::NotRedirected, Refused::Loop, Refused::ProxyHeader];

    /// As metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Refused::NotRedirected => "not_redirected",
            Refused::Loop => "loop",
            Refused::ProxyHeader => "proxy_header",
        }
    }

    /// What a client that speaks HTTP is told, with the status for it (RFC 9110 §15.5.20, RFC 5842 §7.2).
    pub(crate) fn told(self) -> (&'static str, &'static str) {
        match self {
            Refused::NotRedirected => {
                ("421 Misdirected Request", "this address takes connections that are redirected to it, and no others")
            }
            Refused::Loop => ("508 Loop Detected", "this connection leads back to the proxy that it comes from"),
            Refused::ProxyHeader => ("400 Bad Request", "this connection has to begin with a PROXY header"),
        }
    }
}

impl Route {
    /// A connection as it is seen; IPv4 is IPv4, whatever the listening socket is.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn of(socket: &TcpStream) -> io::Result<Route> {
        let (client, server) = (plain(socket.peer_addr()?), plain(socket.local_addr()?));
        Ok(Route { client, server, destination: server, redirected: false, egress: false })
    }

    /// The same for one that may have been redirected to a socket that listens at one of `listening`.
    ///
    /// # Errors
    /// When it was not, or leads back here; with what it is.
    pub(crate) fn redirected(
        mut self,
        socket: &TcpStream,
        how: Transparent,
        listening: &[SocketAddr],
        own: &OwnAddresses,
    ) -> Result<Route, (Refused, Route)> {
        let original = original_destination(socket, self.server).filter(|original| *original != self.server);
        self.redirected = match (original, how) {
            (Some(original), _) => {
                (self.server, self.destination) = (original, original);
                true
            }
            // TPROXY changes nothing: what is not addressed to the listener was sent here by it.
            (None, Transparent::Tproxy) => !is_at(self.server, listening, own),
            (None, Transparent::Redirect) => false,
        };
        if !self.redirected {
            return Err((Refused::NotRedirected, self));
        }
        let to_this_host = own.contains(self.server.ip());
        if to_this_host && listening.iter().any(|listen| listen.port() == self.server.port()) {
            return Err((Refused::Loop, self));
        }
        self.egress = !to_this_host && own.contains(self.client.ip());
        Ok(self)
    }
}

impl Route {
    /// Whether it goes on to where it was going, though there is an upstream.
    pub(crate) fn goes_on(&self) -> bool {
        self.redirected && self.egress
    }

    /// The address from which the application is to see it come, where that is not this host's.
    pub(crate) fn seen_from(&self, dial: &Dial) -> Option<SocketAddr> {
        (dial.keeps_clients() && self.redirected && !self.egress).then_some(self.client)
    }
}

/// Where a connection was going before the kernel's address translation; none where nothing is known of it.
fn original_destination(socket: &TcpStream, server: SocketAddr) -> Option<SocketAddr> {
    let socket = SockRef::from(socket);
    let original = if server.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    original.ok()?.as_socket().map(plain)
}

fn is_at(address: SocketAddr, listening: &[SocketAddr], own: &OwnAddresses) -> bool {
    listening.iter().any(|listen| {
        listen.port() == address.port()
            && (listen.ip() == address.ip() || (listen.ip().is_unspecified() && own.contains(address.ip())))
    })
}

/// IPv4 as such, also on a socket for both.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        // With the scope that a link-local one has.
        std::net::IpAddr::V6(_) => address,
        v4 => SocketAddr::new(v4, address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connection() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (accepted.expect("a connection").0, connected.expect("a connection"), address)
    }

    #[tokio::test]
    async fn what_was_made_to_the_listener_itself_is_refused() {
        let (socket, other, address) = connection().await;
        let own = OwnAddresses::default();
        let route = Route::of(&socket).expect("a connection");
        assert_eq!((route.client, route.server), (other.local_addr().expect("an address"), address));
        for how in [Transparent::Redirect, Transparent::Tproxy] {
            let refused = route.clone().redirected(&socket, how, &[address], &own);
            assert_eq!(refused, Err((Refused::NotRedirected, route.clone())));
        }
    }

    #[tokio::test]
    async fn what_was_addressed_to_another_came_by_tproxy() {
        let (socket, _other, address) = connection().await;
        let own = OwnAddresses::default();
        let elsewhere = "127.0.0.1:1".parse().expect("an address");
        let route = Route::of(&socket).expect("a connection");
        let route = route.redirected(&socket, Transparent::Tproxy, &[elsewhere], &own).expect("a redirected one");
        assert!(route.redirected && !route.egress && route.server == address);
        // As a dual-stack socket's addresses are told.
        let everywhere = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), address.port());
        let route = Route::of(&socket).expect("a connection");
        let refused = route.clone().redirected(&socket, Transparent::Tproxy, &[everywhere], &own);
        assert_eq!(refused, Err((Refused::NotRedirected, route)));
    }
}
