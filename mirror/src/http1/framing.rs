//! How long a message's body is: RFC 9112 §6.3, told by the head alone.

use super::lines::Lines;
use super::{RequestHead, ResponseHead};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After this many bytes, at least one.
    Length(u64),
    /// By the chunked coding.
    Chunked,
    /// With the connection.
    Close,
}

/// Framing that two readers could read differently, which is how requests are smuggled (RFC 9112 §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A Content-Length that is not one number, or several that differ.
    #[error("bad or contradictory Content-Length")]
    Length,
    /// A request whose Transfer-Encoding does not end in chunked.
    #[error("a request's Transfer-Encoding does not end in chunked")]
    Coding,
}

/// The framing of a request's body. Transfer-Encoding wins over Content-Length.
///
/// # Errors
/// When the framing is ambiguous.
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
    if head.headers.get("transfer-encoding").is_some() {
        return if ends_in_chunked(&head.headers) { Ok(Framing::Chunked) } else { Err(FramingError::Coding) };
    }
    Ok(content_length(&head.headers)?.map_or(Framing::None, by_length))
}

/// The framing of a response's body to a request of this method.
///
/// # Errors
/// When the framing is ambiguous.
pub fn response_framing(method: &[u8], head: &ResponseHead) -> Result<Framing, FramingError> {
    of_response(method, head.status, &head.headers)
}

/// The same of a head that is held otherwise.
pub(super) fn of_response(
    method: &[u8],
    status: u16,
    headers: &(impl Lines + ?Sized),
) -> Result<Framing, FramingError> {
    if method == b"HEAD" || matches!(status, 100..=199 | 204 | 304) {
        return Ok(Framing::None);
    }
    if method == b"CONNECT" && matches!(status, 200..=299) {
        return Ok(Framing::Close);
    }
    if headers.values("transfer-encoding").next().is_some() {
        return Ok(if ends_in_chunked(headers) { Framing::Chunked } else { Framing::Close });
    }
    Ok(content_length(headers)?.map_or(Framing::Close, by_length))
}

fn by_length(n: u64) -> Framing {
    if n == 0 { Framing::None } else { Framing::Length(n) }
}

fn ends_in_chunked(headers: &(impl Lines + ?Sized)) -> bool {
    headers
        .values("transfer-encoding")
        .last()
        .and_then(|value| value.rsplit(|&b| b == b',').next())
        .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// The one length that all Content-Length values, and all members of a list value, agree on.
fn content_length(headers: &(impl Lines + ?Sized)) -> Result<Option<u64>, FramingError> {
    let mut length = None;
    for member in headers.values("content-length").flat_map(|value| value.split(|&b| b == b',')) {
        let digits = member.trim_ascii();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(FramingError::Length);
        }
        let n = std::str::from_utf8(digits).ok().and_then(|s| s.parse::<u64>().ok()).ok_or(FramingError::Length)?;
        if length.is_some_and(|other| other != n) {
            return Err(FramingError::Length);
        }
        length = Some(n);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(lines: &str) -> Result<Framing, FramingError> {
        request_framing(&RequestHead::parse(&Bytes::from(format!("POST / HTTP/1.1\r\n{lines}\r\n"))).unwrap())
    }

    fn response(method: &str, status: u16, lines: &str) -> Result<Framing, FramingError> {
        let wire = Bytes::from(format!("HTTP/1.1 {status} x\r\n{lines}\r\n"));
        response_framing(method.as_bytes(), &ResponseHead::parse(&wire).unwrap().unwrap().0)
    }

    #[test]
    fn of_requests() {
        for (lines, framing) in [
            ("", Ok(Framing::None)),
            ("Content-Length: 0\r\n", Ok(Framing::None)),
            ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 5, 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(FramingError::Length)),
            ("Content-Length: +5\r\n", Err(FramingError::Length)),
            ("Content-Length: 99999999999999999999\r\n", Err(FramingError::Length)),
            ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: gzip, Chunked\r\nContent-Length: 5\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: chunked, gzip\r\n", Err(FramingError::Coding)),
        ] {
            assert_eq!(request(lines), framing, "{lines:?}");
        }
    }

    #[test]
    fn of_responses() {
        for (method, status, lines, framing) in [
            ("GET", 200, "", Ok(Framing::Close)),
            ("GET", 200, "Content-Length: 7\r\n", Ok(Framing::Length(7))),
            ("HEAD", 200, "Content-Length: 7\r\n", Ok(Framing::None)),
            ("GET", 304, "Content-Length: 7\r\n", Ok(Framing::None)),
            ("GET", 204, "", Ok(Framing::None)),
            ("GET", 103, "", Ok(Framing::None)),
            ("CONNECT", 200, "Content-Length: 7\r\n", Ok(Framing::Close)),
            ("GET", 200, "Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
            ("GET", 200, "Transfer-Encoding: gzip\r\n", Ok(Framing::Close)),
            ("GET", 200, "Content-Length: x\r\n", Err(FramingError::Length)),
        ] {
            assert_eq!(response(method, status, lines), framing, "{method} {status} {lines:?}");
        }
    }
}
