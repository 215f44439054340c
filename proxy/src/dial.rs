//! Connections that the proxy makes: to the upstream, or to where a connection was going.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use mirror::config::{Config, Transparent};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use crate::route::{Route, plain};

/// Ports of connections that have their clients' addresses. To the kernel a client's connection to the application and ours for it would be one and the
/// same, had they the same port. So they are not of those that systems give to their clients: Linux from 32768, others from 49152.
const PORTS: Range<u16> = 10_000..32_768;

/// How many of them are tried: others may be taken, by a client or by a server of this host.
const TRIES: usize = 64;

/// How connections are made.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    /// SO_MARK of them.
    mark: Option<NonZeroU32>,
    /// Whether they may have addresses that are not this host's.
    foreign: bool,
    /// Which of [`PORTS`] is next.
    turn: Arc<AtomicU16>,
    /// Those of redirected ports' proxies, among which loops are looked for.
    own: Option<Arc<Own>>,
}

impl Dial {
    pub(crate) fn new(config: &Config) -> Dial {
        let mode = config.proxy.transparent;
        let foreign = mode == Some(Transparent::Tproxy);
        // Not where the run before began, whose connections the kernel may still remember.
        let turn = RandomState::new().hash_one(()) as u16;
        Dial {
            mark: config.proxy.upstream_mark(),
            foreign,
            turn: Arc::new(AtomicU16::new(turn)),
            own: mode.map(|_| Arc::default()),
        }
    }

    /// Whether connections to the application can have their clients' addresses.
    pub(crate) fn keeps_clients(&self) -> bool {
        self.foreign
    }

    /// Notes a client's connection, for as long as it is open. None where it is one of our own, which came back.
    pub(crate) fn arrived(&self, route: &Route) -> Option<Noted> {
        match &self.own {
            Some(own) => own.note((route.client, route.destination), Side::Arrived),
            None => Some(Noted::nothing()),
        }
    }

    /// Connects, from an address of another host where that is asked for.
    ///
    /// # Errors
    /// The system's; `ConnectionAborted` where the connection leads back here.
    pub(crate) async fn connect(&self, to: SocketAddr, from: Option<SocketAddr>) -> io::Result<(TcpStream, Noted)> {
        // From elsewhere nothing is answered on the loopback (but by route_localnet).
        let from = from.filter(|from| from.is_ipv4() == to.is_ipv4() && !to.ip().is_loopback());
        let stream = match from {
            Some(from) => self.connect_as(to, from.ip()).await?,
            None => self.socket(to)?.connect(to).await?,
        };
        stream.set_nodelay(true)?;
        // Others' addresses may be those of clients, whose own connections are open. The rules that let these by do not send connections with
        // our mark back here.
        let noted = match &self.own {
            Some(own) if from.is_none() => own.note((plain(stream.local_addr()?), to), Side::Made),
            _ => Some(Noted::nothing()),
        };
        let looped = || io::Error::new(io::ErrorKind::ConnectionAborted, "the connection leads back to this proxy");
        Ok((stream, noted.ok_or_else(looped)?))
    }

    /// Connects from another host's address.
    async fn connect_as(&self, to: SocketAddr, from: IpAddr) -> io::Result<TcpStream> {
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let from = SocketAddr::new(from, self.next_port());
            if self.own.as_ref().is_some_and(|own| own.has((from, to), Side::Arrived)) {
                continue;
            }
            let socket = self.socket(to)?;
            let options = SockRef::from(&socket);
            if to.is_ipv4() {
                options.set_ip_transparent_v4(true)?;
            } else {
                options.set_ip_transparent_v6(true)?;
            }
            // So that one port serves for many: it is taken only where it goes to the same place.
            socket.set_reuseaddr(true)?;
            let connected = match socket.bind(from) {
                Ok(()) => socket.connect(to).await,
                Err(error) => Err(error),
            };
            match connected {
                Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable) => {
                    refused = error;
                }
                connected => return connected,
            }
        }
        Err(refused)
    }

    fn socket(&self, to: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(mark) = self.mark {
            SockRef::from(&socket).set_mark(mark.get())?;
        }
        Ok(socket)
    }

    fn next_port(&self) -> u16 {
        let turn = self.turn.fetch_add(1, Relaxed) % (PORTS.end - PORTS.start);
        PORTS.start + turn
    }
}

/// The ends of open connections, by which a proxy that is redirected to itself sees it: a connection that it made comes in again, from the same
/// address and on its way to the same. (One of the two says nothing: a port serves for connections to several.) Whichever side is noted second
/// finds the other.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<[Open; 2]>);

/// How many connections there are between two addresses: a moment long the one that ends and the one that begins.
type Open = HashMap<Between, usize>;

/// From where to where.
type Between = (SocketAddr, SocketAddr);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Those that came in, and to where they were going.
    Arrived,
    /// Those that we made.
    Made,
}

/// A connection that is noted until this is dropped.
#[derive(Debug)]
pub(crate) struct Noted(Option<(Arc<Own>, Between, Side)>);

impl Noted {
    /// None.
    pub(crate) fn nothing() -> Noted {
        Noted(None)
    }
}

impl Own {
    fn note(self: &Arc<Own>, between: Between, side: Side) -> Option<Noted> {
        let mut open = self.lock();
        let other = if side == Side::Arrived { Side::Made } else { Side::Arrived };
        if open[other as usize].contains_key(&between) {
            return None;
        }
        *open[side as usize].entry(between).or_default() += 1;
        Some(Noted(Some((self.clone(), between, side))))
    }

    fn has(&self, between: Between, side: Side) -> bool {
        self.lock()[side as usize].contains_key(&between)
    }

    fn lock(&self) -> MutexGuard<'_, [Open; 2]> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let Some((own, between, side)) = self.0.take() else { return };
        let mut open = own.lock();
        let open = &mut open[side as usize];
        match open.get_mut(&between) {
            Some(count @ 2..) => *count -= 1,
            _ => drop(open.remove(&between)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_comes_back_is_seen_from_either_side() {
        let own = Arc::new(Own::default());
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let [us, there, elsewhere] = ["10.0.0.1:40000", "10.0.0.2:80", "10.0.0.3:80"].map(address);
        let made = own.note((us, there), Side::Made).expect("the first");
        assert!(own.note((us, there), Side::Arrived).is_none());
        let _other = own.note((us, elsewhere), Side::Arrived).expect("the same port, for another's connection");
        drop(made);
        let again = [(); 2].map(|()| own.note((us, there), Side::Arrived).expect("the other is gone"));
        let [one, two] = again;
        drop(one);
        assert!(own.note((us, there), Side::Made).is_none(), "one is open yet");
        drop(two);
        assert!(own.note((us, there), Side::Made).is_some());
    }
}
