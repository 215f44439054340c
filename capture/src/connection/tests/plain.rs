//! A second reader, which knows the plainest heads only, and sees a direction as a whole. Shared by the property test and the fuzz target.

use super::seen::{Kind, Line, Seen, Told};

/// Longer heads are taken for none.
const LONGEST: usize = 256 * 1024;

/// On a connection of which all was seen: each message is told from where the one before it ended, with all of its body that passed, until
/// one that this reader does not know.
///
/// # Panics
/// When it is not so.
pub(super) fn agrees(lines: &[Line], told: &Told, from_client: bool) {
    let sent = sent(lines, from_client);
    let mut rest = &sent[..];
    let opaque = if from_client { told.opaque.0 } else { told.opaque.1 };
    let parts = told.parts.borrow();
    let mut parts = parts.iter().filter(|part| part.from_client == from_client).peekable();
    loop {
        rest = skip(rest, from_client);
        let known = is_plain(rest, from_client);
        let Some(part) = parts.next_if(|_| known || told.losses == 0) else {
            assert!(!known || opaque > 0, "{:?} is not told", said(rest));
            return;
        };
        let Kind::Head(number) = part.kind else { panic!("{part:?} before a head") };
        let mut body = Vec::new();
        while let Some(part) = parts.next_if(|part| part.kind == Kind::Body) {
            body.extend_from_slice(&part.bytes);
        }
        let trailers = parts.next_if(|part| part.kind == Kind::Trailers);
        assert_eq!(head(&part.bytes), Some(part.bytes.len()), "{part:?}");
        rest = rest.strip_prefix(&part.bytes[..]).unwrap_or_else(|| panic!("{part:?} is not at {:?}", said(rest)));
        let seen = number.map(|number| told.exchanges[number].borrow());
        let framing = match &seen {
            Some(seen) if from_client => of_request(&seen.head),
            Some(seen) => of_response(&seen.head, &part.bytes),
            None => of_response(b"", &part.bytes),
        };
        let Some((known, behind)) = framing.split(rest) else { return };
        // Of orphans there is only the head.
        assert!(number.is_none() || body == known, "{:?} should be {:?}", said(&body), said(&known));
        if let Some(trailers) = trailers {
            assert!(rest[..rest.len() - behind.map_or(0, <[u8]>::len)].ends_with(&trailers.bytes));
        }
        let Some(behind) = behind else {
            assert!(parts.next().is_none(), "more behind a message that is not whole");
            return;
        };
        rest = behind;
    }
}

/// Bodies are as long as the heads say.
///
/// # Panics
/// When they are not.
pub(super) fn lengths(seen: &Seen) {
    is_so_long(of_request(&seen.head), &seen.request_body, seen.request_lost, seen.request_trailers.is_some());
    let Some(head) = &seen.response else { return };
    let whole = seen.end == Some(Ok(()));
    is_so_long(of_response(&seen.head, head), &seen.response_body, seen.response_lost, whole);
}

/// Of the plainest messages nothing is ambiguous. Behind a request that is, all are: they may be bytes of its body.
///
/// # Panics
/// When it is not so.
pub(super) fn doubts(told: &Told) {
    // Where a direction was lost, what is found behind may be no request.
    let (mut may_be, mut must_be) = (told.losses > 0, false);
    for seen in told.exchanges.iter().map(|seen| seen.borrow()) {
        let plain = of_request(&seen.head).is_plain();
        may_be |= !plain;
        assert!(may_be || !seen.ambiguous[0], "{seen:?}");
        assert!(seen.ambiguous[0] || !must_be, "{seen:?}");
        must_be |= seen.ambiguous[0];
        // A request's chunks can come behind the response's head.
        let response = seen.response.as_ref().map(|head| of_response(&seen.head, head));
        assert!(!seen.ambiguous[1] || !plain || response.is_some_and(|framing| !framing.is_plain()), "{seen:?}");
    }
}

fn is_so_long(framing: Framing, body: &[u8], lost: Option<u64>, whole: bool) {
    let told = body.len() as u64 + lost.unwrap_or(0);
    match framing {
        Framing::None => assert_eq!((told, lost), (0, None)),
        Framing::Length(length) => assert!(if whole { told == length } else { told <= length }, "{told} of {length}"),
        Framing::Chunked | Framing::Close | Framing::Tunnel | Framing::Unclear => {}
    }
}

/// Whether a whole head is at the front that nobody can doubt.
fn is_plain(input: &[u8], from_client: bool) -> bool {
    let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let words: Vec<&str> = line.trim_end_matches('\r').split(' ').collect();
    let version = |word| matches!(word, "HTTP/1.0" | "HTTP/1.1");
    let line = match (&words[..], from_client) {
        ([method, target, last], true) => {
            let usual = matches!(*method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "CONNECT");
            usual && !target.is_empty() && version(last)
        }
        ([first, code, ..], false) => {
            let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
            version(first) && digits && !code.starts_with('0')
        }
        _ => false,
    };
    line && head(input).is_some_and(|length| length <= LONGEST)
}

/// What was sent until the end.
fn sent(lines: &[Line], from_client: bool) -> Vec<u8> {
    let ended = |line: &&Line| !matches!(line, Line::End(client, _) if *client == from_client);
    let bytes = lines.iter().take_while(ended).filter_map(|line| match line {
        Line::Data(client, bytes) if *client == from_client => Some(&bytes[..]),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Passes over empty lines, and over responses that are not final.
fn skip(mut rest: &[u8], from_client: bool) -> &[u8] {
    loop {
        match rest {
            [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] => rest = behind,
            _ if !from_client && is_interim(rest) => match head(rest) {
                Some(length) => rest = &rest[length..],
                None => return rest,
            },
            _ => return rest,
        }
    }
}

fn is_interim(head: &[u8]) -> bool {
    let code = status(head);
    head.starts_with(b"HTTP/1.") && code.starts_with(b"1") && !code.starts_with(b"101")
}

fn status(head: &[u8]) -> &[u8] {
    let code = head.get(8..).unwrap_or_default().trim_ascii_start();
    &code[..code.len().min(3)]
}

/// How long the head is, and its empty line.
fn head(input: &[u8]) -> Option<usize> {
    let mut length = 0;
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        length += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return Some(length);
        }
    }
    None
}

/// How a message ends.
enum Framing {
    /// With its head.
    None,
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
    /// What follows are no messages.
    Tunnel,
    /// In a way that this reader does not know.
    Unclear,
}

fn is(head: &[u8], method: &[u8]) -> bool {
    head.strip_prefix(method).is_some_and(|rest| matches!(rest[0], b' ' | b'\t'))
}

fn of_request(head: &[u8]) -> Framing {
    if is(head, b"CONNECT") { Framing::Tunnel } else { of_lines(head, Framing::None) }
}

fn of_response(request: &[u8], head: &[u8]) -> Framing {
    match status(head) {
        [b'2', ..] if is(request, b"CONNECT") => Framing::Tunnel,
        b"101" => Framing::Tunnel,
        b"204" | b"304" => Framing::None,
        _ if is(request, b"HEAD") => Framing::None,
        _ => of_lines(head, Framing::Close),
    }
}

/// What the plainest lines say.
fn of_lines(head: &[u8], without: Framing) -> Framing {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lines = || head.split('\n').skip(1);
    let values = |name| lines().filter(move |line| line.contains(name)).map(move |line| line.strip_prefix(name));
    let lengths: Vec<_> = values("content-length").collect();
    let codings: Vec<_> = values("transfer-encoding").collect();
    let folded = lines().any(|line| line.starts_with([' ', '\t']));
    match (&lengths[..], &codings[..]) {
        _ if folded => Framing::Unclear,
        ([], []) => without,
        ([Some(length)], []) => {
            let digits =
                length.strip_prefix(':').map(str::trim_ascii).filter(|s| s.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).map_or(Framing::Unclear, |length| match length {
                0 => Framing::None,
                length => Framing::Length(length),
            })
        }
        ([], [Some(coding)]) if coding.trim_ascii() == ": chunked" => Framing::Chunked,
        _ => Framing::Unclear,
    }
}

impl Framing {
    /// Whether nobody could see the message end elsewhere.
    fn is_plain(&self) -> bool {
        matches!(self, Framing::None | Framing::Length(_))
    }

    /// The body's bytes that are there, and what follows it if it is whole. None where this reader does not know.
    fn split<'a>(&self, rest: &'a [u8]) -> Option<(Vec<u8>, Option<&'a [u8]>)> {
        match self {
            Framing::None => Some((Vec::new(), Some(rest))),
            Framing::Length(length) => {
                let length = usize::try_from(*length).ok().filter(|length| *length <= rest.len());
                Some(length.map_or_else(|| (rest.to_vec(), None), |n| (rest[..n].to_vec(), Some(&rest[n..]))))
            }
            Framing::Chunked => dechunk(rest),
            Framing::Close => Some((rest.to_vec(), None)),
            Framing::Tunnel | Framing::Unclear => None,
        }
    }
}

/// As [`Framing::split`] of a chunked body. Long lines and trailers are for others to judge.
fn dechunk(mut rest: &[u8]) -> Option<(Vec<u8>, Option<&[u8]>)> {
    const LONG: usize = 4000;
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.iter().take(LONG).position(|&byte| byte == b'\n') else {
            return (rest.len() < LONG).then_some((body, None));
        };
        let line = std::str::from_utf8(&rest[..end]).ok().filter(|_| !has_bare_cr(&rest[..=end]))?;
        let size = line.split([';', '\r']).next()?.trim_end_matches([' ', '\t']);
        let size =
            usize::from_str_radix(size, 16).ok().filter(|_| size.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        rest = &rest[end + 1..];
        if size == 0 {
            let trailers = head(rest);
            let section = &rest[..trailers.unwrap_or(rest.len())];
            let known = section.len() < LONG && (trailers.is_none() || !has_bare_cr(section));
            return known.then(|| (body, trailers.map(|length| &rest[length..])));
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size..).unwrap_or_default();
        match rest {
            [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] => rest = behind,
            [] | [b'\r'] => return Some((body, None)),
            _ => return None,
        }
    }
}

/// Whether there is a CR that no LF follows.
fn has_bare_cr(lines: &[u8]) -> bool {
    (0..lines.len()).any(|at| lines[at] == b'\r' && lines.get(at + 1) != Some(&b'\n'))
}

fn said(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
