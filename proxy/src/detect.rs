//! What a connection speaks, by its first bytes. Sans-io.
//!
//! A port that is redirected whole carries whatever the application speaks there. Only what is plainly HTTP/1 is proxied; all else is tunnelled, and so
//! is what is HTTP/1 but would not be proxied as it is: a CONNECT, which pingora refuses, and a request line that is not ASCII.

use std::fmt;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// HTTP/1, which is proxied. All others are tunnelled.
    Http1,
    /// A request for a tunnel in HTTP/1 (RFC 9110 §9.3.6).
    Connect,
    /// HTTP/2 without TLS, begun by its preface (RFC 9113 §3.4).
    Http2,
    /// A TLS record of a handshake (RFC 8446 §5.1).
    Tls,
    /// Something else that the client said.
    Other,
    /// The server spoke first, or nobody for a long time, or the client closed without a word.
    ServerFirst,
}

/// The longest request line that is waited for to be whole, in bytes: as long as heads may be that servers commonly take. What begins as one and goes
/// on is taken for HTTP/1, whose proxy then refuses or takes it.
pub(crate) const LONGEST_LINE: usize = 16 * 1024;

/// The longest method: the longest registered one has 17 letters.
const LONGEST_METHOD: usize = 32;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

impl Protocol {
    /// All that are not proxied.
    pub(crate) const TUNNELLED: [Protocol; 5] =
        [Protocol::Connect, Protocol::Http2, Protocol::Tls, Protocol::Other, Protocol::ServerFirst];

    /// Which of [`TUNNELLED`](Self::TUNNELLED) it is.
    ///
    /// # Panics
    /// For HTTP/1.
    pub(crate) fn tunnelled(self) -> usize {
        let place = Protocol::TUNNELLED.iter().position(|protocol| *protocol == self);
        place.expect("HTTP/1 is not tunnelled")
    }

    /// As metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Protocol::Http1 => "http1",
            Protocol::Connect => "connect",
            Protocol::Http2 => "http2",
            Protocol::Tls => "tls",
            Protocol::Other => "other",
            Protocol::ServerFirst => "server_first",
        }
    }

    /// What these first bytes of a client are; none while they may still be several.
    pub(crate) fn of(bytes: &[u8]) -> Option<Protocol> {
        // Empty lines before a request are passed over (RFC 9112 §2.2).
        let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let Some(bytes) = start.map(|start| &bytes[start..]) else {
            return (bytes.len() > LONGEST_LINE).then_some(Protocol::Other);
        };
        if bytes[0] == 22 {
            // A record's version is 3.x ever since SSL 3.
            return match bytes.get(1) {
                None => None,
                Some(3) => Some(Protocol::Tls),
                Some(_) => Some(Protocol::Other),
            };
        }
        if bytes.starts_with(PREFACE) {
            return Some(Protocol::Http2);
        }
        let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
        match bytes.get(method) {
            None if method <= LONGEST_METHOD => return None,
            Some(b' ') if (1..=LONGEST_METHOD).contains(&method) => {}
            _ => return Some(Protocol::Other),
        }
        let rest = &bytes[method + 1..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.iter().any(|byte| !matches!(byte, b' '..=b'~' | b'\r')) {
            return Some(Protocol::Other);
        }
        match end {
            Some(_) => Some(if !has_version(line) {
                Protocol::Other
            } else if bytes[..method] == *b"CONNECT" {
                Protocol::Connect
            } else {
                Protocol::Http1
            }),
            None => (bytes.len() > LONGEST_LINE).then_some(Protocol::Http1),
        }
    }
}

/// Whether a request line's rest ends with a version of HTTP/1.
fn has_version(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    matches!(line, [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'])
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the whole is, given that every beginning of it is that or not yet known.
    fn protocol(bytes: &[u8]) -> Option<Protocol> {
        let whole = Protocol::of(bytes);
        // Every cut of a short one, some of a long one.
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 1000) {
            let part = Protocol::of(&bytes[..end]);
            assert!(part.is_none() || part == whole, "{:?} is {part:?}", bytes[..end].escape_ascii().to_string());
        }
        whole
    }

    #[test]
    fn http1_is_told_by_its_request_line() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "PROPFIND /a?b HTTP/1.0\n",
            "\r\n\r\nGET * HTTP/1.1\r\n",
            "X!Y http://a/ HTTP/1.1\r\nHost: a",
        ] {
            assert_eq!(protocol(line.as_bytes()), Some(Protocol::Http1), "{line}");
        }
        assert_eq!(protocol(b"GET /not/yet/ended"), None);
        assert_eq!(protocol(b"\r\n"), None);
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2 * LONGEST_LINE));
        assert_eq!(protocol(long.as_bytes()), Some(Protocol::Http1));
    }

    #[test]
    fn all_else_is_tunnelled() {
        for (bytes, expected) in [
            (&b"CONNECT a:443 HTTP/1.1\r\n"[..], Protocol::Connect),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Protocol::Http2),
            (b"\x16\x03\x01\x02\x00\x01", Protocol::Tls),
            (b"\x16\x07", Protocol::Other),
            (b"EHLO mail.example\r\n", Protocol::Other),
            (b"GET /of-http-0.9\r\n", Protocol::Other),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Protocol::Other),
            (b"*1\r\n$4\r\nPING\r\n", Protocol::Other),
            (b"GET /caf\xe9 HTTP/1.1\r\n", Protocol::Other),
            (b"\x00\x00\x00\x17\xffSMB", Protocol::Other),
            (b"AVERYLONGWORDTHATISNOMETHODOFANYKIND", Protocol::Other),
        ] {
            assert_eq!(protocol(bytes), Some(expected), "{:?}", bytes.escape_ascii().to_string());
        }
    }
}
