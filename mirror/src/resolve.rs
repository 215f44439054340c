//! A host's addresses, looked up again now and then, so that a name that moves is followed without a restart; and this host's own.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Whether an interface of this host has the address: only then can a socket be bound to it. The port is any free one, of UDP, and
/// given back at once, so that nothing is taken from anyone.
pub fn is_of_this_host(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// One host and port.
pub struct Resolver {
    host: String,
    port: u16,
    every: Duration,
    timeout: Duration,
    /// Of a literal address: nothing is ever looked up then, and no lock is taken.
    literal: Option<Arc<[SocketAddr]>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    addresses: Option<Arc<[SocketAddr]>>,
    looked_up: Option<Instant>,
}

impl Resolver {
    /// Looks `host` up at most once in `every`, and gives each look-up `timeout`.
    pub fn new(host: &str, port: u16, every: Duration, timeout: Duration) -> Resolver {
        let host = host.trim_matches(['[', ']']).to_owned();
        let literal = host.parse::<IpAddr>().ok().map(|address| [SocketAddr::new(address, port)].into());
        Resolver { host, port, every, timeout, literal, known: Mutex::default() }
    }

    /// The addresses, at least one. While a look-up is under way, and when it fails, those known before are given.
    ///
    /// # Errors
    /// When the name has never been found.
    pub async fn addresses(&self) -> std::io::Result<Arc<[SocketAddr]>> {
        if let Some(literal) = &self.literal {
            return Ok(literal.clone());
        }
        let before = {
            let mut known = self.lock();
            let fresh = known.looked_up.is_some_and(|at| at.elapsed() < self.every);
            if let (true, Some(addresses)) = (fresh, &known.addresses) {
                return Ok(addresses.clone());
            }
            // Others go on with what is known while this one looks.
            known.looked_up = Some(Instant::now());
            known.addresses.clone()
        };
        let look_up = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found = match tokio::time::timeout(self.timeout, look_up).await {
            Ok(found) => found.map(Vec::from_iter),
            Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the look-up took too long")),
        };
        match found {
            Ok(found) if !found.is_empty() => {
                let found: Arc<[SocketAddr]> = found.into();
                self.lock().addresses = Some(found.clone());
                Ok(found)
            }
            Ok(_) => before.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "no address")),
            Err(error) => before.ok_or(error),
        }
    }

    /// How many addresses are known; none before the first look-up.
    pub fn known(&self) -> usize {
        match &self.literal {
            Some(literal) => literal.len(),
            None => self.lock().addresses.as_ref().map_or(0, |known| known.len()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
