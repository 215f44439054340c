//! Message heads exactly as they were sent: order, case and duplicates of the headers kept.

use std::mem::MaybeUninit;

use bytes::Bytes;

use super::framing::of_response;
use super::lines::Lines;
use super::{Framing, FramingError};

/// The most headers a head may have. Four times what pingora accepts, so that the engine refuses nothing that the proxy let pass.
pub const MAX_HEADERS: usize = 1024;

/// Heads with no more headers than this are parsed without an allocation for the parser's own table.
const USUAL_HEADERS: usize = 64;

/// One header line: its name in its own case, its value without the white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// As sent; compare without regard to case. Of an odd head it may be no token, or empty.
    pub name: Bytes,
    /// As sent; any bytes but CR, LF and NUL, and in an odd head any but LF.
    pub value: Bytes,
}

/// Header lines in the order they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// The lines in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// The lines, all together.
    pub(crate) fn lines(&self) -> &[Header] {
        &self.0
    }

    /// The same, to be changed.
    pub(crate) fn lines_mut(&mut self) -> &mut Vec<Header> {
        &mut self.0
    }

    /// The first value of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|h| h.name.eq_ignore_ascii_case(name.as_bytes())).map(|h| &h.value)
    }

    /// Every value of this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        self.0.iter().filter(move |h| h.name.eq_ignore_ascii_case(name.as_bytes())).map(|h| &h.value)
    }

    /// Whether a comma-separated list header (RFC 9110 §5.6.1) of this name has this token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        Lines::has_token(self, name, token)
    }

    /// Adds a line at the end.
    pub fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Header { name: name.into(), value: value.into() });
    }

    /// One line of this name, in any case, with this value: in the place of the first that there was and spelled as that, or else at the end.
    pub fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        let first = self.0.iter().position(|line| line.name.eq_ignore_ascii_case(name.as_bytes()));
        let spelled = first.map_or(Bytes::from_static(name.as_bytes()), |at| self.0[at].name.clone());
        self.remove(name);
        self.0.insert(first.unwrap_or(self.0.len()), Header { name: spelled, value: value.into() });
    }

    /// Takes out every line of this name, in any case.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|line| !line.name.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Mends the framing for a body of this length: chunked stays chunked. Without a Content-Length one is `added` where there is a body.
    pub(crate) fn set_length(&mut self, length: u64, added: bool) {
        let told = self.get("content-length").is_some();
        if self.get("transfer-encoding").is_some() {
            return;
        }
        if told || (added && length > 0) {
            self.set("Content-Length", length.to_string());
        }
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parses a block of header lines without a start line, as trailers are.
    pub fn parse(wire: &Bytes) -> Result<Headers, HeadError> {
        let mut table = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
        match httparse::parse_headers(wire, &mut table)? {
            httparse::Status::Complete((_, parsed)) => Ok(Headers::of(wire, parsed)),
            httparse::Status::Partial => Err(HeadError::Incomplete),
        }
    }

    fn of(wire: &Bytes, parsed: &[httparse::Header<'_>]) -> Headers {
        Headers(
            parsed
                .iter()
                .map(|h| Header { name: wire.slice_ref(h.name.as_bytes()), value: wire.slice_ref(h.value) })
                .collect(),
        )
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(lines: I) -> Headers {
        Headers(lines.into_iter().collect())
    }
}

impl IntoIterator for Headers {
    type Item = Header;
    type IntoIter = std::vec::IntoIter<Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Any token.
    pub method: Bytes,
    /// The request target as sent: origin-form, absolute-form, authority-form or `*` (RFC 9112 §3.2).
    pub target: Bytes,
    /// The minor version of HTTP/1: 0 or 1, and any digit in an odd one.
    pub minor: u8,
    /// The header lines.
    pub headers: Headers,
    /// It is not spelled as RFC 9112 has it ([`RequestHead::parse_lenient`]): another server may read something else in it.
    pub odd: bool,
}

/// A response's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The minor version of HTTP/1: 0 or 1, and any digit in an odd one.
    pub minor: u8,
    /// Three digits.
    pub status: u16,
    /// The reason phrase; often empty.
    pub reason: Bytes,
    /// The header lines.
    pub headers: Headers,
    /// It is not spelled as RFC 9112 has it ([`ResponseHead::parse_lenient`]).
    pub odd: bool,
}

/// Why bytes are not a message head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It breaks RFC 9112's syntax.
    #[error("not an HTTP/1 head: {0}")]
    Syntax(httparse::Error),
    /// It does not end.
    #[error("the head ends before its empty line")]
    Incomplete,
    /// More than [`MAX_HEADERS`].
    #[error("more than {MAX_HEADERS} headers")]
    TooManyHeaders,
}

impl From<httparse::Error> for HeadError {
    fn from(e: httparse::Error) -> Self {
        match e {
            httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
            e => HeadError::Syntax(e),
        }
    }
}

impl RequestHead {
    /// Parses a whole head, its empty line included. The parts share `wire`'s memory.
    ///
    /// # Errors
    /// When it is not one whole head, or has more than [`MAX_HEADERS`] headers.
    pub fn parse(wire: &Bytes) -> Result<RequestHead, HeadError> {
        with_room(wire, Self::parse_with)
    }

    fn parse_with<'b>(wire: &'b Bytes, table: &mut Table<'b>) -> Result<RequestHead, HeadError> {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(wire, table)? {
            httparse::Status::Partial => Err(HeadError::Incomplete),
            httparse::Status::Complete(_) => Ok(RequestHead {
                method: wire.slice_ref(parsed.method.unwrap_or_default().as_bytes()),
                target: wire.slice_ref(parsed.path.unwrap_or_default().as_bytes()),
                minor: parsed.version.unwrap_or(1),
                headers: Headers::of(wire, parsed.headers),
                odd: false,
            }),
        }
    }

    /// The version as on the wire.
    pub fn version(&self) -> &'static str {
        version(self.minor)
    }
}

impl ResponseHead {
    /// Parses a head at the start of `wire`; `Ok(None)` while it has not ended. Gives the head and its length in bytes. The
    /// parts share `wire`'s memory.
    ///
    /// # Errors
    /// When it cannot become a head, or has more than [`MAX_HEADERS`] headers.
    pub fn parse(wire: &Bytes) -> Result<Option<(ResponseHead, usize)>, HeadError> {
        ResponseParts::look(wire, |parts| {
            let owned = |(parts, length): (ResponseParts<'_>, usize)| {
                let head = ResponseHead {
                    minor: parts.minor,
                    status: parts.status,
                    reason: wire.slice_ref(parts.reason),
                    headers: Headers::of(wire, parts.headers),
                    odd: false,
                };
                (head, length)
            };
            parts.map(|parts| parts.map(owned))
        })
    }

    /// The version as on the wire.
    pub fn version(&self) -> &'static str {
        version(self.minor)
    }
}

/// A response's head as it stands in its bytes, for one who only looks at it: a reference to each part, counted, costs more than the parsing.
#[derive(Debug)]
pub(crate) struct ResponseParts<'a> {
    pub(crate) minor: u8,
    pub(crate) status: u16,
    pub(crate) reason: &'a [u8],
    pub(crate) headers: &'a [httparse::Header<'a>],
}

impl ResponseParts<'_> {
    /// As [`ResponseHead::parse`].
    pub(crate) fn look<T>(
        wire: &[u8],
        at: impl FnOnce(Result<Option<(ResponseParts<'_>, usize)>, HeadError>) -> T,
    ) -> T {
        let mut few = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
        match ResponseParts::parse(wire, &mut few) {
            Err(HeadError::TooManyHeaders) => {
                at(ResponseParts::parse(wire, &mut vec![MaybeUninit::uninit(); MAX_HEADERS]))
            }
            parsed => at(parsed),
        }
    }

    fn parse<'a>(wire: &'a [u8], table: &'a mut Table<'a>) -> Result<Option<(ResponseParts<'a>, usize)>, HeadError> {
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, wire, table)? {
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(length) => Ok(Some((
                ResponseParts {
                    minor: parsed.version.unwrap_or(1),
                    status: parsed.code.unwrap_or_default(),
                    reason: parsed.reason.unwrap_or_default().as_bytes(),
                    headers: parsed.headers,
                },
                length,
            ))),
        }
    }

    /// The version as on the wire.
    pub(crate) fn version(&self) -> &'static str {
        version(self.minor)
    }

    /// As [`response_framing`](super::response_framing).
    pub(crate) fn framing(&self, method: &[u8]) -> Result<Framing, FramingError> {
        of_response(method, self.status, self.headers)
    }

    /// Whether the connection is for more messages behind this one (RFC 9112 §9.3).
    pub(crate) fn keeps_open(&self) -> bool {
        match self.minor {
            0 => self.headers.has_token("connection", "keep-alive"),
            _ => !self.headers.has_token("connection", "close"),
        }
    }
}

/// The parser's own, of lines that it has found.
type Table<'b> = [MaybeUninit<httparse::Header<'b>>];

/// Parses with a small table, and with the largest where that one is too small.
fn with_room<'b, T>(
    wire: &'b Bytes,
    parse: impl Fn(&'b Bytes, &mut Table<'b>) -> Result<T, HeadError>,
) -> Result<T, HeadError> {
    let mut few = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    match parse(wire, &mut few) {
        Err(HeadError::TooManyHeaders) => parse(wire, &mut vec![MaybeUninit::uninit(); MAX_HEADERS]),
        done => done,
    }
}

/// The length of the head at the front of `bytes`, its empty line included; none while it has not ended.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = bytes[start..].iter().position(|&b| b == b'\n').map(|at| start + at) {
        if start > 0 && matches!(&bytes[start..end], b"" | b"\r") {
            return Some(end + 1);
        }
        start = end + 1;
    }
    None
}

fn version(minor: u8) -> &'static str {
    const VERSIONS: [&str; 10] = [
        "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.3", "HTTP/1.4", "HTTP/1.5", "HTTP/1.6", "HTTP/1.7", "HTTP/1.8",
        "HTTP/1.9",
    ];
    VERSIONS.get(usize::from(minor)).copied().unwrap_or("HTTP/1.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_case_and_duplicates_are_kept() {
        let wire =
            Bytes::from_static(b"PROPFIND /a?b HTTP/1.1\r\nhOsT: x\r\nX-A: 1\r\nAccept: */*\r\nx-a:  2 \r\n\r\n");
        let head = RequestHead::parse(&wire).unwrap();
        assert_eq!((&head.method[..], &head.target[..], head.minor), (&b"PROPFIND"[..], &b"/a?b"[..], 1));
        let lines: Vec<_> = head.headers.iter().map(|h| (&h.name[..], &h.value[..])).collect();
        assert_eq!(lines, [(&b"hOsT"[..], &b"x"[..]), (b"X-A", b"1"), (b"Accept", b"*/*"), (b"x-a", b"2")]);
        assert_eq!(head.headers.get_all("X-A").count(), 2);
    }

    #[test]
    fn heads_with_very_many_headers_are_parsed_and_too_many_refused() {
        let head = |n: usize| {
            let mut wire = b"GET / HTTP/1.1\r\n".to_vec();
            (0..n).for_each(|i| wire.extend_from_slice(format!("a{i}: b\r\n").as_bytes()));
            wire.extend_from_slice(b"\r\n");
            RequestHead::parse(&wire.into())
        };
        assert_eq!(head(65).unwrap().headers.len(), 65);
        assert_eq!(head(MAX_HEADERS).unwrap().headers.len(), MAX_HEADERS);
        assert_eq!(head(MAX_HEADERS + 1), Err(HeadError::TooManyHeaders));
    }

    #[test]
    fn a_response_head_is_awaited_until_its_empty_line() {
        let whole = b"HTTP/1.0 499 \r\nA: b\r\n\r\nbody";
        for cut in 0..whole.len() - 4 {
            assert_eq!(ResponseHead::parse(&Bytes::copy_from_slice(&whole[..cut])).unwrap(), None, "cut at {cut}");
        }
        let (head, length) = ResponseHead::parse(&Bytes::from_static(whole)).unwrap().unwrap();
        assert_eq!((head.minor, head.status, length), (0, 499, whole.len() - 4));
    }

    #[test]
    fn list_headers_are_searched_by_token() {
        let wire = Bytes::from_static(b"GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\n\r\n");
        let head = RequestHead::parse(&wire).unwrap();
        assert!(head.headers.has_token("connection", "upgrade"));
        assert!(!head.headers.has_token("connection", "up"));
    }
}
