//! Where requests go: to the upstream, and as copies to the targets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;

/// The application the proxy stands before: `:8080` (127.0.0.1), `app:8080`, `[::1]:8080`, `http://app` (port 80).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamAddress(Place);

/// Where copies go: `:8082` (127.0.0.1), `staging:8082`, `http://10.0.0.7:9000/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    place: Place,
    // Empty, or from its first slash to before its last.
    prefix: String,
}

/// A host and a port to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    // A name in lower case, or an address as its type writes it, IPv6 without brackets.
    host: String,
    port: u16,
}

const UPSTREAM: &str = "an address, as in :8080, app:8080, [::1]:8080 or http://app:8080";
const TARGET: &str = "an address, as in :8082, staging:8082, [::1]:8082 or http://10.0.0.7:9000/prefix";
const DEFAULT_PORT: u16 = 80;

impl Place {
    /// `text` as a place and what follows it, from the slash on. `what` is the form expected.
    fn split<'a>(text: &'a str, what: &str, part: &str) -> Result<(Place, &'a str), Expected> {
        let wrong = |why: &str| Err(Expected::from(format!("{what}{why}")));
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong(", without spaces");
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        match scheme.as_deref() {
            None | Some("http") => {}
            Some("https") => return wrong(&format!("; TLS to the {part} (https://) is not supported yet")),
            Some(_) => return wrong("; http:// is the only scheme"),
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return wrong(", without a user or password");
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of a bare [::1] is not before a port.
            Some((_, tail)) if tail.ends_with(']') => (authority, None),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
                Ok(port) if port > 0 => port,
                _ => return wrong(", with a port from 1 to 65535"),
            },
            Some(_) => return wrong(", with a port from 1 to 65535"),
            None if scheme.is_some() => DEFAULT_PORT,
            None => return wrong(", with a port"),
        };
        let host = match host {
            // Not ::1 as well: one name is one address, and 127.0.0.1 is where nearly everything listens.
            "" if scheme.is_none() => Ipv4Addr::LOCALHOST.to_string(),
            host => match read_host(host) {
                Ok(host) => host,
                Err(why) => return wrong(why),
            },
        };
        Ok((Place { host, port }, path))
    }

    fn authority(&self) -> String {
        if self.port == DEFAULT_PORT { self.bracketed() } else { self.to_string() }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// A host as it is kept, or why it is none.
fn read_host(host: &str) -> Result<String, &'static str> {
    let ip = if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        IpAddr::V6(v6.parse::<Ipv6Addr>().map_err(|_| "; what is in brackets is no IPv6 address")?)
    } else if host.contains(':') {
        return Err(", with an IPv6 address in brackets");
    } else if !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        IpAddr::V4(host.parse::<Ipv4Addr>().map_err(|_| "; the host is no IPv4 address")?)
    } else {
        // Letters, digits and hyphens (RFC 1123 section 2.1), and underscores, which names in Docker and Kubernetes have.
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let name = host.strip_suffix('.').unwrap_or(host);
        return if name.len() <= 253 && name.split('.').all(label) {
            Ok(host.to_ascii_lowercase())
        } else {
            Err("; the host is no host name")
        };
    };
    if ip.is_unspecified() {
        return Err("; 0.0.0.0 and [::] can be listened on but not sent to");
    }
    Ok(ip.to_string())
}

/// What a path is written with: RFC 3986 section 3.3.
fn is_path_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed(), self.port)
    }
}

impl UpstreamAddress {
    /// The host's name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// What a `Host` header says: without the port where it is HTTP's own (RFC 9110 section 4.2.3).
    pub fn authority(&self) -> String {
        self.0.authority()
    }
}

impl Target {
    /// The host's name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.place.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// What is put before each request's own path: nothing, or `/prefix` without a slash at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What a `Host` header says: without the port where it is HTTP's own (RFC 9110 section 4.2.3).
    pub fn authority(&self) -> String {
        self.place.authority()
    }
}

impl FromStr for UpstreamAddress {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match Place::split(text, UPSTREAM, "upstream")? {
            (place, "" | "/") => Ok(UpstreamAddress(place)),
            _ => Err(format!("{UPSTREAM}, without a path: requests keep their own").into()),
        }
    }
}

impl FromStr for Target {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (place, path) = Place::split(text, TARGET, "target")?;
        if path.contains(['?', '#']) {
            return Err(format!("{TARGET}, without a query or fragment: requests keep their own").into());
        }
        let prefix = path.trim_end_matches('/').to_owned();
        if !prefix.bytes().all(is_path_byte) {
            return Err(format!("{TARGET}, with a path whose other characters are percent-encoded").into());
        }
        Ok(Target { place, prefix })
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.prefix)
    }
}

one_word!(UpstreamAddress, "UpstreamAddress", {
    "description": "The application. Without a host, 127.0.0.1; without a port, after http://, 80.",
    "type": "string",
    "pattern": r"^([Hh][Tt][Tt][Pp]://[^/?#@\s]+|[^/?#@\s]*:[0-9]{1,5})/?$",
    "examples": [":8080", "app:8080", "http://10.0.0.5:8080"]
});

one_word!(Target, "Target", {
    "description": "Where copies go. Without a host, 127.0.0.1; without a port, after http://, 80. A path is put before the request's own.",
    "type": "string",
    "pattern": r"^([Hh][Tt][Tt][Pp]://[^/?#@\s]+|[^/?#@\s]*:[0-9]{1,5})(/[^?#\s]*)?$",
    "examples": [":8082", "staging:8082", "http://10.0.0.7:9000/prefix"]
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn targets() {
        for (text, host, port, prefix, authority, shown) in [
            (":8082", "127.0.0.1", 8082, "", "127.0.0.1:8082", "127.0.0.1:8082"),
            ("Staging:8082", "staging", 8082, "", "staging:8082", "staging:8082"),
            ("http://app", "app", 80, "", "app", "app:80"),
            ("HTTP://app:80/", "app", 80, "", "app", "app:80"),
            ("http://10.0.0.7:9000/prefix", "10.0.0.7", 9000, "/prefix", "10.0.0.7:9000", "10.0.0.7:9000/prefix"),
            ("app:9/a/b//", "app", 9, "/a/b", "app:9", "app:9/a/b"),
            ("[::1]:80", "::1", 80, "", "[::1]", "[::1]:80"),
            ("http://[::1]", "::1", 80, "", "[::1]", "[::1]:80"),
            ("my_service.ns:80", "my_service.ns", 80, "", "my_service.ns", "my_service.ns:80"),
        ] {
            let target = target(text);
            assert_eq!((target.host(), target.port(), target.prefix()), (host, port, prefix), "{text}");
            assert_eq!((target.authority().as_str(), target.to_string().as_str()), (authority, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for (text, said) in [
            ("", "with a port"),
            ("app", "with a port"),
            ("8082", "with a port"),
            ("http://", "no host name"),
            ("http://:8080", "no host name"),
            ("app:", "1 to 65535"),
            ("app:0", "1 to 65535"),
            ("app:65536", "1 to 65535"),
            ("app:x", "1 to 65535"),
            ("[::1]", "with a port"),
            ("[::1", "brackets"),
            ("[::x]:80", "IPv6"),
            ("::1:80", "brackets"),
            ("10.0.0.256:80", "IPv4"),
            ("0.0.0.0:80", "not sent to"),
            ("a b:80", "spaces"),
            ("a..b:80", "host name"),
            ("https://app", "TLS to the target (https://) is not supported yet"),
            ("ftp://app", "only scheme"),
            ("http://me:secret@app:80", "user"),
            ("app:80/a?b=c", "query"),
            ("app:80#x", "query"),
            ("app:80/\"", "percent"),
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn an_upstream_is_a_target_without_a_path() {
        assert_eq!(":8080".parse::<UpstreamAddress>().unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!("http://app/".parse::<UpstreamAddress>().unwrap().authority(), "app");
        assert!("app:80/x".parse::<UpstreamAddress>().unwrap_err().to_string().contains("without a path"));
        assert!("https://app".parse::<UpstreamAddress>().unwrap_err().to_string().contains("TLS to the upstream"));
    }

    proptest! {
        #[test]
        fn text_round_trips(host in "[a-z][a-z0-9-]{0,10}(\\.[a-z]{1,5})?", port in 1u16.., prefix in "(/[a-z0-9.%~-]{1,4}){0,3}") {
            let there = target(&format!("{host}:{port}{prefix}"));
            prop_assert_eq!(target(&there.to_string()), there);
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,30}") {
            let _ = text.parse::<Target>();
            let _ = text.parse::<UpstreamAddress>();
        }
    }
}
