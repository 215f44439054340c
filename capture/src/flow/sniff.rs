//! Who is the server, by what is said: for connections that were open before the capture, where no port tells.

/// How many bytes a method has at most: the longest registered one, `UPDATEREDIRECTREF`, has 17.
const METHOD: usize = 24;

/// What the first bytes of a message look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniff {
    /// A request: who sends it is the client.
    Request,
    /// A response: who sends it is the server.
    Response,
    /// Neither of them.
    Neither,
    /// More bytes will tell.
    Unclear,
}

/// Looks at the bytes that a segment begins with.
pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    // Empty lines may come before a message (RFC 9112, 2.2).
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    const STATUS: &[u8] = b"HTTP/1.";
    if bytes.starts_with(STATUS) {
        return Sniff::Response;
    }
    if STATUS.starts_with(bytes) {
        return Sniff::Unclear;
    }
    let method = bytes.iter().take(METHOD + 1).take_while(|byte| token(**byte)).count();
    match bytes.get(method) {
        _ if method > METHOD => Sniff::Neither,
        None => Sniff::Unclear,
        Some(b' ') if method > 0 => request(&bytes[..method], &bytes[method + 1..]),
        Some(_) => Sniff::Neither,
    }
}

/// What follows a method: with one that is well known the target's first byte tells, else the line's end does.
fn request(method: &[u8], rest: &[u8]) -> Sniff {
    const KNOWN: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
    if KNOWN.contains(&method) && matches!(rest.first(), Some(b'/' | b'*' | b'h')) {
        return Sniff::Request;
    }
    let Some(end) = rest.iter().position(|byte| *byte == b'\n' || !(b' '..=b'~').contains(byte) && *byte != b'\r')
    else {
        return Sniff::Unclear;
    };
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    let version = line.len().checked_sub(8).map(|at| &line[at..]);
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', b'1' | b'2', b'.', b'0'..=b'9']) if rest[end] == b'\n' => Sniff::Request,
        _ => Sniff::Neither,
    }
}

/// Whether a byte may be in a method (RFC 9110, 5.6.2).
fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        for (bytes, is) in [
            ("GET /", Sniff::Request),
            ("\r\nGET / HTTP/1.1\r\n", Sniff::Request),
            ("OPTIONS * HTTP/1.1\r\n", Sniff::Request),
            ("PROPFIND /a HTTP/1.1\r\n", Sniff::Request),
            ("CONNECT a.example:443 HTTP/1.1\r\n", Sniff::Request),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniff::Request),
            ("HTTP/1.1 200 OK\r\n", Sniff::Response),
            ("HTTP/1.", Sniff::Response),
            ("", Sniff::Unclear),
            ("H", Sniff::Unclear),
            ("HTTP/1", Sniff::Unclear),
            ("GET", Sniff::Unclear),
            ("GET ", Sniff::Unclear),
            ("QUERY /a HTTP/1", Sniff::Unclear),
            ("QUERY /a HTTP/1.1\r", Sniff::Unclear),
            ("HTTP/2", Sniff::Neither),
            ("SSH-2.0-x y\r\n", Sniff::Neither),
            ("NOTICE AUTH :*** Looking up\r\n", Sniff::Neither),
            ("\u{16}\u{3}\u{1}", Sniff::Neither),
            ("a line of a body, with blanks\n", Sniff::Neither),
            ("x {\u{1}", Sniff::Neither),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n", Sniff::Neither),
        ] {
            assert_eq!(sniff(bytes.as_bytes()), is, "{bytes:?}");
        }
    }
}
