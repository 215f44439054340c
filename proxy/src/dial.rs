//! Connections that the proxy makes: to the upstream, or to where a connection was going.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};

use mirror::config::{Config, DEFAULT_MARK, Transparent};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use crate::route::plain;

/// How connections are made.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    /// SO_MARK of them.
    mark: Option<NonZeroU32>,
    /// Whether they may have addresses that are not this host's.
    foreign: bool,
    /// Those of redirected ports' proxies, among which loops are looked for.
    own: Option<Arc<Own>>,
}

impl Dial {
    pub(crate) fn new(config: &Config) -> Dial {
        let mode = config.proxy.transparent;
        let foreign = mode == Some(Transparent::Tproxy);
        Dial { mark: config.proxy.mark.or(foreign.then_some(DEFAULT_MARK)), foreign, own: mode.map(|_| Arc::default()) }
    }

    /// Whether connections to the application can have their clients' addresses.
    pub(crate) fn keeps_clients(&self) -> bool {
        self.foreign
    }

    /// Notes a client's address, for as long as its connection is open. None where the connection is one of our own, which came back.
    pub(crate) fn arrived(&self, client: SocketAddr) -> Option<Noted> {
        match &self.own {
            Some(own) => own.note(client, Side::Arrived),
            None => Some(Noted::nothing()),
        }
    }

    /// Connects, from an address of another host where that is asked for.
    ///
    /// # Errors
    /// The system's; `ConnectionAborted` where the connection leads back here.
    pub(crate) async fn connect(&self, to: SocketAddr, from: Option<SocketAddr>) -> io::Result<(TcpStream, Noted)> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        let options = SockRef::from(&socket);
        if let Some(mark) = self.mark {
            options.set_mark(mark.get())?;
        }
        let from = from.filter(|from| from.is_ipv4() == to.is_ipv4());
        if let Some(from) = from {
            if to.is_ipv4() {
                options.set_ip_transparent_v4(true)?;
            } else {
                options.set_ip_transparent_v6(true)?;
            }
            // The port is chosen when it is known where to, so that one serves for many.
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(from.ip(), 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        // Others' addresses may be those of clients, whose own connections are open. The rules that let these by do not send connections with
        // our mark back here.
        let noted = match &self.own {
            Some(own) if from.is_none() => own.note(plain(stream.local_addr()?), Side::Made),
            _ => Some(Noted::nothing()),
        };
        let looped = || io::Error::new(io::ErrorKind::ConnectionAborted, "the connection leads back to this proxy");
        Ok((stream, noted.ok_or_else(looped)?))
    }
}

/// The addresses of open connections, by which a proxy that is redirected to itself sees it: a connection that it made comes in again, from the same
/// address. Whichever side is noted second finds the other.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<[HashSet<SocketAddr>; 2]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Clients' ends of connections that came in.
    Arrived,
    /// Our ends of connections that we made.
    Made,
}

/// An address that is noted until this is dropped.
#[derive(Debug)]
pub(crate) struct Noted(Option<(Arc<Own>, SocketAddr, Side)>);

impl Noted {
    /// None.
    pub(crate) fn nothing() -> Noted {
        Noted(None)
    }
}

impl Own {
    fn note(self: &Arc<Own>, address: SocketAddr, side: Side) -> Option<Noted> {
        let mut sets = self.lock();
        let other = if side == Side::Arrived { Side::Made } else { Side::Arrived };
        if sets[other as usize].contains(&address) {
            return None;
        }
        sets[side as usize].insert(address);
        Some(Noted(Some((self.clone(), address, side))))
    }

    fn lock(&self) -> MutexGuard<'_, [HashSet<SocketAddr>; 2]> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some((own, address, side)) = self.0.take() {
            own.lock()[side as usize].remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_comes_back_is_seen_from_either_side() {
        let own = Arc::new(Own::default());
        let address: SocketAddr = "10.0.0.1:40000".parse().expect("an address");
        let made = own.note(address, Side::Made).expect("the first");
        assert!(own.note(address, Side::Arrived).is_none());
        drop(made);
        let _arrived = own.note(address, Side::Arrived).expect("the other is gone");
        assert!(own.note(address, Side::Made).is_none());
    }
}
