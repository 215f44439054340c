//! Heads that break RFC 9112's syntax and that some server takes all the same. A passive listener tells them as they were sent, and marks
//! them ([`RequestHead::odd`]); they are never sent on, since no two servers read them alike.
//!
//! | on the wire | is told as |
//! |---|---|
//! | a line and its folds (obs-fold, RFC 9112 §5.2) | one line, a single space for each fold |
//! | a fold with no line before it, a line without a colon | a line without a name: the value is all of it |
//! | white space before the colon | a part of the name |
//! | NUL, or CR alone | a part of the name or value |
//! | any bytes, or none, between method and version | the target |

use std::ops::Range;

use bytes::Bytes;

use super::head::MAX_HEADERS;
use super::{Header, Headers, RequestHead, ResponseHead};

impl RequestHead {
    /// Reads a whole head that [`RequestHead::parse`] refuses. None where it has no request line, or too many headers.
    pub fn parse_lenient(wire: &Bytes) -> Option<RequestHead> {
        let start = physical_line(wire, 0)?;
        let line = without_end(&wire[start.clone()]);
        let (before, version) = line.split_last_chunk::<8>()?;
        let method = before.iter().position(|&b| is_space(b)).filter(|&length| length > 0)?;
        Some(RequestHead {
            method: wire.slice_ref(&line[..method]),
            target: wire.slice_ref(trim(&before[method..])),
            minor: minor(version)?,
            headers: headers(wire, start.end)?,
            odd: true,
        })
    }
}

impl ResponseHead {
    /// Reads a whole head that [`ResponseHead::parse`] refuses. None where it has no status line, or too many headers.
    pub fn parse_lenient(wire: &Bytes) -> Option<ResponseHead> {
        let start = physical_line(wire, 0)?;
        let (version, rest) = without_end(&wire[start.clone()]).split_first_chunk::<8>()?;
        let (code, reason) = trim(rest).split_first_chunk::<3>()?;
        let status = std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|b| b.is_ascii_digit()))?;
        Some(ResponseHead {
            minor: minor(version)?,
            status: status.parse().ok()?,
            reason: wire.slice_ref(trim(reason)),
            headers: headers(wire, start.end)?,
            odd: true,
        })
    }
}

impl Headers {
    /// Reads a block of header lines that [`Headers::parse`] refuses. None where they are too many.
    pub fn parse_lenient(wire: &Bytes) -> Option<Headers> {
        headers(wire, 0)
    }
}

/// The header lines from `at` to the empty line.
fn headers(wire: &Bytes, mut at: usize) -> Option<Headers> {
    let mut lines = Vec::new();
    while let Some(first) = physical_line(wire, at).filter(|line| !without_end(&wire[line.clone()]).is_empty()) {
        if lines.len() == MAX_HEADERS {
            return None;
        }
        let mut end = first.end;
        while let Some(fold) = physical_line(wire, end).filter(|line| is_space(wire[line.start])) {
            end = fold.end;
        }
        let colon = wire[first.clone()].iter().position(|&b| b == b':').filter(|_| !is_space(wire[first.start]));
        let (name, value) = match colon.map(|colon| first.start + colon) {
            Some(colon) => (first.start..colon, colon + 1..end),
            None => (first.start..first.start, first.start..end),
        };
        lines.push(Header { name: wire.slice(name), value: unfolded(wire, value, first.end) });
        at = end;
    }
    Some(lines.into_iter().collect())
}

/// A value whose first line ends at `first`.
fn unfolded(wire: &Bytes, value: Range<usize>, first: usize) -> Bytes {
    let bytes = &wire[value.clone()];
    if value.end == first {
        return wire.slice_ref(trim(without_end(bytes)));
    }
    let parts: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').map(|line| trim(without_end(line))).collect();
    Bytes::copy_from_slice(trim(&parts.join(&b" "[..])))
}

/// The line that starts there, its end included; the last may lack that.
fn physical_line(wire: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = wire.get(at..).filter(|rest| !rest.is_empty())?;
    Some(at..rest.iter().position(|&b| b == b'\n').map_or(wire.len(), |end| at + end + 1))
}

/// A line without CRLF, or LF alone (RFC 9112 §2.2).
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&b| !is_space(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&b| !is_space(b)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

fn minor(version: &[u8; 8]) -> Option<u8> {
    version.strip_prefix(b"HTTP/1.").and_then(|digit| digit[0].is_ascii_digit().then(|| digit[0] - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(headers: &Headers) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| bytes.escape_ascii().to_string();
        headers.iter().map(|line| (text(&line.name), text(&line.value))).collect()
    }

    #[test]
    fn odd_lines_are_told_as_they_were_sent() {
        for (wire, expected) in [
            ("X: a\r\n b\r\n", &[("X", "a b")][..]),
            ("X: a  \r\n \t b\r\n\t\r\n c \r\nY: d\r\n", &[("X", "a b  c"), ("Y", "d")]),
            ("X:\r\n a\r\n", &[("X", "a")]),
            ("X : a\r\nY\t: b\r\n", &[("X ", "a"), ("Y\\t", "b")]),
            ("no colon\r\nX: a\r\n", &[("", "no colon"), ("X", "a")]),
            ("no colon\r\n here: a\r\n", &[("", "no colon here: a")]),
            (" X: a\r\n Y: b\r\nZ: c\r\n", &[("", "X: a Y: b"), ("Z", "c")]),
            (": a\r\n", &[("", "a")]),
            ("X: a\rb\r\r\nY: \0\r\n", &[("X", "a\\rb\\r"), ("Y", "\\x00")]),
            ("X(\x0b: a\n", &[("X(\\x0b", "a")]),
            ("X: a\nY: b\n", &[("X", "a"), ("Y", "b")]),
        ] {
            for end in ["\r\n", "\n"] {
                let head = format!("GET / HTTP/1.1\r\n{wire}{end}");
                let head = RequestHead::parse_lenient(&head.into()).expect(wire);
                let expected: Vec<_> = expected.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
                assert_eq!(lines(&head.headers), expected, "{wire:?}");
                let trailers = Headers::parse_lenient(&Bytes::from(format!("{wire}{end}"))).expect(wire);
                assert_eq!(lines(&trailers), expected, "{wire:?} as trailers");
            }
        }
    }

    #[test]
    fn odd_start_lines() {
        for (line, expected) in [
            ("GET /a b HTTP/1.1", Some(("GET", "/a b", "HTTP/1.1"))),
            ("get\t/\tHTTP/1.0", Some(("get", "/", "HTTP/1.0"))),
            ("GET HTTP/1.7", Some(("GET", "", "HTTP/1.7"))),
            ("GET  /  HTTP/1.1", Some(("GET", "/", "HTTP/1.1"))),
            ("GET /", None),
            (" / HTTP/1.1", None),
            ("HTTP/1.1", None),
            ("GET / HTTP/2.0", None),
        ] {
            let head = RequestHead::parse_lenient(&Bytes::from(format!("{line}\r\n\r\n")));
            let told = head.as_ref().map(|head| (&head.method[..], &head.target[..], head.version()));
            assert_eq!(told, expected.map(|(m, t, v)| (m.as_bytes(), t.as_bytes(), v)), "{line:?}");
        }
        for (line, expected) in [
            ("HTTP/1.1  299  Odd ", Some((299, "Odd"))),
            ("HTTP/1.1\t200", Some((200, ""))),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 +20", None),
            ("nonsense", None),
        ] {
            let head = ResponseHead::parse_lenient(&Bytes::from(format!("{line}\r\n\r\n")));
            let told = head.as_ref().map(|head| (head.status, &head.reason[..]));
            assert_eq!(told, expected.map(|(s, r)| (s, r.as_bytes())), "{line:?}");
        }
    }

    #[test]
    fn what_is_in_order_is_read_alike() {
        let wire = Bytes::from_static(b"PUT /a?b HTTP/1.0\r\nhOsT: x\nX-A:\t1 \r\nx-a: \"2 , 3\"\r\nEmpty:\r\n\r\n");
        let strict = RequestHead::parse(&wire).unwrap();
        assert_eq!(RequestHead::parse_lenient(&wire), Some(RequestHead { odd: true, ..strict }));
        let wire = Bytes::from_static(b"HTTP/1.1 404 Not  Found\r\nA: b\r\n\r\n");
        let (strict, _) = ResponseHead::parse(&wire).unwrap().unwrap();
        assert_eq!(ResponseHead::parse_lenient(&wire), Some(ResponseHead { odd: true, ..strict }));
    }

    #[test]
    fn lines_have_a_bound_and_folds_cost_no_more_than_their_bytes() {
        let head = |lines: &str| RequestHead::parse_lenient(&Bytes::from(format!("GET / HTTP/1.1\r\n{lines}\r\n")));
        assert_eq!(head(&"a\r\n".repeat(MAX_HEADERS)).map(|head| head.headers.len()), Some(MAX_HEADERS));
        assert_eq!(head(&"a\r\n".repeat(MAX_HEADERS + 1)), None);
        let folds = head(&format!("a:{}", "\r\n b".repeat(60_000) + "\r\n")).expect("one line");
        assert_eq!((folds.headers.len(), folds.headers.get("a").map(Bytes::len)), (1, Some(2 * 60_000 - 1)));
    }
}
