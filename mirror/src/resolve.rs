//! A host's addresses, looked up again now and then, so that a name that moves is followed without a restart; and this host's own.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Whether an interface of this host has the address.
pub fn is_of_this_host(ip: IpAddr) -> bool {
    ip.is_loopback() || interfaces().contains(&ip)
}

/// The addresses of this host's interfaces. Asked for by netlink: that a socket can be bound to an address says nothing where others' may be
/// (net.ipv4.ip_nonlocal_bind).
fn interfaces() -> Vec<IpAddr> {
    let of = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
    };
    nix::ifaddrs::getifaddrs().map(|all| all.filter_map(of).collect()).unwrap_or_default()
}

/// This host's addresses, looked up again now and then, as asking for them each time costs too much for each connection.
#[derive(Debug, Default)]
pub struct OwnAddresses(Mutex<Option<(Instant, Vec<IpAddr>)>>);

/// How old they may be: an address that was given to this host just now is another's for so long.
const OWN_ADDRESSES_EVERY: Duration = Duration::from_secs(1);

impl OwnAddresses {
    /// Whether an interface of this host has the address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        if ip.is_loopback() {
            return true;
        }
        let mut known = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*known {
            Some((at, addresses)) if at.elapsed() < OWN_ADDRESSES_EVERY => addresses.contains(&ip),
            _ => known.insert((Instant::now(), interfaces())).1.contains(&ip),
        }
    }
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
