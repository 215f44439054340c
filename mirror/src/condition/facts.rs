//! What a condition is asked about.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::http1::Headers;

/// An exchange, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The request's method.
    pub method: &'a [u8],
    /// The request target as sent.
    pub target: &'a [u8],
    /// The request's headers.
    pub headers: &'a Headers,
    /// The client's address.
    pub client: Option<SocketAddr>,
    /// The way in: `proxy`, `capture`, `replay`.
    pub source: &'a str,
    /// The request's body length in bytes, as far as it is known: by its Content-Length before it was seen.
    pub request_size: Option<u64>,
    /// None until its head has come or the exchange has ended, and where nobody looks at responses.
    pub response: Option<ResponseFacts<'a>>,
}

/// The response, as far as it was seen.
#[derive(Debug, Clone, Copy)]
pub struct ResponseFacts<'a> {
    /// The status; none where no response came.
    pub status: Option<u16>,
    /// Its headers; none where no response came.
    pub headers: Option<&'a Headers>,
    /// From the request's first byte to the response's head.
    pub latency: Option<Duration>,
    /// The body's length in bytes; none before its end.
    pub size: Option<u64>,
}

impl<'a> Facts<'a> {
    /// The target's path: without the query, and of an absolute target (RFC 9112 §3.2.2) without scheme and authority.
    pub fn path(&self) -> &'a [u8] {
        let (_, path) = target_parts(self.method, self.target);
        &path[..path.iter().position(|&b| b == b'?').unwrap_or(path.len())]
    }

    /// What is behind the first `?`.
    pub fn query(&self) -> Option<&'a [u8]> {
        let at = self.target.iter().position(|&b| b == b'?')?;
        Some(&self.target[at + 1..])
    }

    /// The host that is asked for, without the port: of an absolute target or of `Host` (RFC 9112 §3.3).
    pub fn host(&self) -> Option<&'a [u8]> {
        let authority = match target_parts(self.method, self.target) {
            (Some(authority), _) => authority,
            (None, _) => self.headers.get("host").map(Bytes::as_ref)?,
        };
        Some(without_port(authority))
    }
}

/// The authority of an absolute target or of CONNECT's, and the rest of the target.
pub(crate) fn target_parts<'a>(method: &[u8], target: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    if target.first() == Some(&b'/') {
        return (None, target);
    }
    let Some(at) = target.windows(3).position(|three| three == b"://") else {
        return if method == b"CONNECT" { (Some(target), b"") } else { (None, target) };
    };
    let rest = &target[at + 3..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..end];
    let user = authority.iter().rposition(|&b| b == b'@').map_or(0, |at| at + 1);
    (Some(&authority[user..]), &rest[end..])
}

fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&b| b == b':') {
        // Not a colon of an IPv6 address.
        Some(at) if !authority[at..].contains(&b']') => &authority[..at],
        _ => authority,
    }
}
