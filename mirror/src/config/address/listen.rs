//! Where the program listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;
use crate::resolve::is_of_this_host;

/// An address to listen on: `:80` (every interface, IPv4 and IPv6), `127.0.0.1:80`, `[::1]:80`. Port 0 is any free one.
///
/// One address is one socket: `localhost` is read as 127.0.0.1, `0.0.0.0` is IPv4 alone and `[::]` IPv6 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    // None is every interface, both families.
    ip: Option<IpAddr>,
    port: u16,
}

const EXPECTED: &str = "an address to listen on, as in :80, 127.0.0.1:80 or [::1]:80";

impl ListenAddress {
    /// Every interface, IPv4 and IPv6.
    pub const fn every_interface(port: u16) -> Self {
        ListenAddress { ip: None, port }
    }

    /// The interface to listen on; none for every one, IPv4 and IPv6.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The port; 0 for any free one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether one socket is to take IPv4 and IPv6 alike, that is, with `IPV6_V6ONLY` off. It is on for every other IPv6 address.
    pub fn dual_stack(&self) -> bool {
        self.ip.is_none()
    }

    /// What to bind: the first that can be. There is a second only for every interface, for a machine without IPv6.
    pub fn socket_addrs(&self) -> Vec<SocketAddr> {
        match self.ip {
            Some(ip) => vec![SocketAddr::new(ip, self.port)],
            None => vec![(Ipv6Addr::UNSPECIFIED, self.port).into(), (Ipv4Addr::UNSPECIFIED, self.port).into()],
        }
    }

    /// Whether the two cannot both be bound, as they share a port and an interface. Port 0 is never shared.
    pub fn overlaps(&self, other: &ListenAddress) -> bool {
        if self.port != other.port || self.port == 0 {
            return false;
        }
        match (self.ip, other.ip) {
            (None, _) | (_, None) => true,
            (Some(a), Some(b)) => a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())),
        }
    }

    /// Whether a connection to `host` and `port` ends here, as far as can be told without asking DNS.
    pub fn is_reached_by(&self, host: &str, port: u16) -> bool {
        if self.port != port || port == 0 {
            return false;
        }
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) if is_localhost(host) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Err(_) => return false,
        };
        ips.into_iter().any(|ip| match self.ip {
            None => is_of_this_host(ip),
            Some(listen) if listen.is_unspecified() => listen.is_ipv4() == ip.is_ipv4() && is_of_this_host(ip),
            Some(listen) => listen == ip,
        })
    }
}

fn is_localhost(host: &str) -> bool {
    // RFC 6761 section 6.3: names below `localhost.` are loopback too.
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost")
}

impl FromStr for ListenAddress {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        // Not u16's own parse alone, which takes "+80".
        let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAddress { ip: Some(address.ip()), port: address.port() });
        }
        let (host, port_text) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port = port(port_text).ok_or_else(|| format!("{EXPECTED}, with a port from 0 to 65535"))?;
        match host {
            "" | "*" => Ok(ListenAddress { ip: None, port }),
            host if host.eq_ignore_ascii_case("localhost") => {
                Ok(ListenAddress { ip: Some(Ipv4Addr::LOCALHOST.into()), port })
            }
            host if host.contains("//") || host.contains('/') => {
                Err(format!("{EXPECTED}, without a scheme or path").into())
            }
            host if host.contains(':') => Err(format!("{EXPECTED}, with an IPv6 address in brackets").into()),
            _ => Err(format!("{EXPECTED}; of names only localhost is taken, as others may change what is listened on")
                .into()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

one_word!(ListenAddress, "ListenAddress", {
    "description": "An address to listen on. Without a host, every interface, IPv4 and IPv6. Port 0 is any free one.",
    "type": "string",
    "pattern": r"^(|\*|[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]|[0-9.]+|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]{1,5}$",
    "examples": [":80", "127.0.0.1:80", "[::1]:80"]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    #[test]
    fn forms() {
        for (text, shown) in [
            (":80", ":80"),
            ("*:80", ":80"),
            (":0", ":0"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            assert_eq!(listen(text).to_string(), shown);
            assert_eq!(listen(shown), listen(text));
        }
    }

    #[test]
    fn what_is_no_address_to_listen_on() {
        for (text, said) in [
            ("", "an address"),
            ("80", "an address"),
            (":", "port"),
            (":65536", "port"),
            (":+80", "port"),
            ("127.0.0.1", "an address"),
            ("app:80", "localhost"),
            ("256.0.0.1:80", "localhost"),
            ("::1:80", "brackets"),
            ("http://127.0.0.1:80", "scheme"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn every_interface_is_one_socket_for_both_families() {
        assert_eq!(listen(":80").socket_addrs(), ["[::]:80".parse().unwrap(), "0.0.0.0:80".parse().unwrap()]);
        assert!(listen(":80").dual_stack());
        assert_eq!(listen("[::]:80").socket_addrs(), ["[::]:80".parse().unwrap()]);
        assert!(!listen("[::]:80").dual_stack());
    }

    #[test]
    fn overlaps() {
        for (a, b, expected) in [
            (":80", ":80", true),
            (":80", "127.0.0.1:80", true),
            (":80", "[::1]:80", true),
            (":80", ":81", false),
            (":0", ":0", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
        ] {
            assert_eq!(listen(a).overlaps(&listen(b)), expected, "{a} {b}");
            assert_eq!(listen(b).overlaps(&listen(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_loop_is_seen_whatever_it_is_called() {
        for (at, host, port, expected) in [
            (":80", "127.0.0.1", 80, true),
            (":80", "127.8.8.8", 80, true),
            (":80", "::1", 80, true),
            (":80", "localhost", 80, true),
            (":80", "app.localhost", 80, true),
            (":80", "app", 80, false),
            (":80", "127.0.0.1", 81, false),
            // TEST-NET-1 (RFC 5737), which no interface has.
            (":80", "192.0.2.1", 80, false),
            ("0.0.0.0:80", "127.0.0.1", 80, true),
            ("0.0.0.0:80", "::1", 80, false),
            ("127.0.0.1:80", "localhost", 80, true),
            ("127.0.0.1:80", "127.0.0.2", 80, false),
            ("[::1]:80", "127.0.0.1", 80, false),
            (":0", "127.0.0.1", 0, false),
        ] {
            assert_eq!(listen(at).is_reached_by(host, port), expected, "{at} {host}:{port}");
        }
    }
}
