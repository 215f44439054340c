//! Message heads as a bystander finds them: where one begins and ends, what its start line says, and the few header lines that tell
//! where the message ends. Anything a server may have taken is taken here: leading empty lines, LF alone, a missing reason phrase or
//! target, folded lines, lines without a colon, any bytes in a value. The bytes go on as they are; nothing is repaired.

/// The longest head, in bytes: as the shadow sink bounds a target's answers, and far over what servers accept.
pub(super) const MAX_HEAD: usize = 256 * 1024;

/// The longest method that is believed, in bytes: the registered ones end at 17, and a line that has no space for longer is no request.
const MAX_METHOD: usize = 64;

/// What a start line says, as far as it matters to what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// A request, by the method's bearing on the response.
    Request(Method),
    /// A response, with its status.
    Response(u16),
}

/// What a method means for the length of the response (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The response has no body.
    Head,
    /// After a 2xx, the connection is a tunnel.
    Connect,
    /// Any other.
    Other,
}

/// What the first bytes of a message turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Too little to say.
    More,
    /// A start line of this length, its end included.
    Line(Start, usize),
    /// HTTP/2 with prior knowledge, or TLS: nothing that follows is HTTP/1.
    Opaque,
    /// Neither.
    Nothing,
}

/// Reads the first line of a client's message.
pub(super) fn request_line(input: &[u8]) -> Found {
    if input.first() == Some(&0x16) {
        return tls(input);
    }
    let method = input.iter().take(MAX_METHOD + 1).take_while(|&&b| is_token(b)).count();
    match input.get(method) {
        None if method <= MAX_METHOD => return Found::More,
        // As long as what is believed before the space is there: what a line is, it is in whatever pieces it comes.
        Some(b' ' | b'\t') if (1..=MAX_METHOD).contains(&method) => {}
        _ => return Found::Nothing,
    }
    let Some(end) = memchr::memchr(b'\n', input) else {
        return if input.len() > MAX_HEAD { Found::Nothing } else { Found::More };
    };
    let line = input[..end].trim_ascii_end();
    if line == b"PRI * HTTP/2.0" {
        return Found::Opaque;
    }
    // The version is a word of its own; between it and the method there may be anything, spaces too, and even nothing.
    let Some((before, version)) = line.split_last_chunk::<8>() else { return Found::Nothing };
    if !is_version(version) || !matches!(before.last(), Some(b' ' | b'\t')) {
        return Found::Nothing;
    }
    let method = match &input[..method] {
        b"HEAD" => Method::Head,
        b"CONNECT" => Method::Connect,
        _ => Method::Other,
    };
    Found::Line(Start::Request(method), end + 1)
}

/// Reads the first line of a server's message: `HTTP/1.x`, spaces, three digits, and a reason phrase or none.
pub(super) fn status_line(input: &[u8]) -> Found {
    if input.first() == Some(&0x16) {
        return tls(input);
    }
    let start = &input[..input.len().min(7)];
    if !b"HTTP/1.".starts_with(start) {
        return Found::Nothing;
    }
    let Some(end) = memchr::memchr(b'\n', input) else {
        return if input.len() > MAX_HEAD { Found::Nothing } else { Found::More };
    };
    let line = input[..end].trim_ascii_end();
    let Some((version, rest)) = line.split_first_chunk::<8>() else { return Found::Nothing };
    let code = rest.trim_ascii_start();
    match code.split_first_chunk::<3>() {
        Some((code, after))
            if is_version(version)
                && matches!(rest.first(), Some(b' ' | b'\t'))
                && code.iter().all(u8::is_ascii_digit)
                && code[0] != b'0'
                && after.first().is_none_or(u8::is_ascii_whitespace) =>
        {
            let digit = |i: usize| u16::from(code[i] - b'0');
            Found::Line(Start::Response(digit(0) * 100 + digit(1) * 10 + digit(2)), end + 1)
        }
        _ => Found::Nothing,
    }
}

/// A TLS record of a handshake that starts with a hello (RFC 8446 §5.1 and §4): type 22, version 3.x, a length, type 1 or 2.
fn tls(input: &[u8]) -> Found {
    match input {
        [0x16] | [0x16, 3] | [0x16, 3, 0..=4] | [0x16, 3, 0..=4, _] | [0x16, 3, 0..=4, _, _] => Found::More,
        [0x16, 3, 0..=4, _, _, 1 | 2, ..] => Found::Opaque,
        _ => Found::Nothing,
    }
}

fn is_version(word: &[u8; 8]) -> bool {
    word.starts_with(b"HTTP/1.") && word[7].is_ascii_digit()
}

/// Whether the bytes up to the first space, or all, could be the end of no other line: the method is in capitals, as all registered ones are.
pub(super) fn is_usual_method(input: &[u8]) -> bool {
    input.iter().take_while(|&&b| b != b' ').all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
}

/// `tchar`, RFC 9110 §5.6.2. A table, since each byte of each name is asked for.
pub(super) fn is_token(b: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let (mut table, mut b, mut other) = ([false; 256], 0, b"!#$%&'*+-.^_`|~".as_slice());
        while b < 256 {
            table[b] = (b as u8).is_ascii_alphanumeric();
            b += 1;
        }
        while let [first, rest @ ..] = other {
            table[*first as usize] = true;
            other = rest;
        }
        table
    };
    TOKEN[usize::from(b)]
}

/// How many bytes of empty lines are at the front (RFC 9112 §2.2: robust servers skip them, and some responses' bodies are two bytes
/// longer than they say). A CR whose LF is not there yet stays.
pub(super) fn empty_lines(input: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match &input[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return at,
        }
    }
}

/// Looks for the empty line that ends a head from `from`, where a line starts, on: gives the head's length, or where to go on looking.
pub(super) fn end_of_head(input: &[u8], from: usize) -> Result<usize, usize> {
    let mut start = from;
    while let Some(end) = memchr::memchr(b'\n', &input[start..]).map(|at| start + at) {
        if matches!(&input[start..end], b"" | b"\r") {
            return Ok(end + 1);
        }
        start = end + 1;
    }
    Err(start)
}

/// The length of a head that was found among bytes that may be anything, from its header lines on; the inner `None` when its empty line is not
/// there yet. The outer one at the first line that is neither a name, a colon and a value nor the fold of one: no start line is, so that
/// bytes full of these are looked at once.
pub(super) fn length_of_found(input: &[u8], from: usize) -> Option<Option<usize>> {
    let mut start = from;
    while let Some(end) = memchr::memchr(b'\n', &input[start..]).map(|at| start + at) {
        match &input[start..end] {
            b"" | b"\r" => return Some(Some(end + 1)),
            [b' ' | b'\t', ..] if start > from => {}
            line => {
                let name = line.iter().take_while(|&&b| is_token(b)).count();
                if name == 0 || line.get(name) != Some(&b':') {
                    return None;
                }
            }
        }
        start = end + 1;
    }
    Some(None)
}

/// One header line, folds included.
pub(super) struct Field<'a> {
    /// As sent, without white space around it; empty where the line has no colon, and is all value.
    pub(super) name: &'a [u8],
    /// As sent, with CR, LF and white space of folds in it.
    pub(super) value: &'a [u8],
    /// Whether white space stands before the colon, which RFC 9112 §5.1 forbids.
    pub(super) spaced: bool,
    /// Whether it goes over several lines.
    pub(super) folded: bool,
}

impl Field<'_> {
    /// Whether others may read this line as another, or as several, and then find in it what is looked for, which is longer than `length`
    /// (most names and values are not): behind a fold, CR or NUL, where there is no colon, or in a name that is no token.
    pub(super) fn hides(&self, length: usize, what: impl Fn(&[u8]) -> bool) -> bool {
        let several = || self.folded || self.name.is_empty() || memchr::memchr2(b'\r', 0, self.value).is_some();
        let token = || self.name.iter().all(|&b| is_token(b));
        self.value.len() > length && several() && what(self.value)
            || self.name.len() > length && !token() && what(self.name)
    }
}

/// The header lines, folds joined to their lines. `lines` is a head without its start line.
pub(super) fn fields(lines: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = end_of_line(lines, at)?;
        let mut end = first;
        while let Some(b' ' | b'\t') = lines.get(end) {
            end = end_of_line(lines, end)?;
        }
        let line = &lines[at..end];
        let (name, value) = match memchr::memchr(b':', &lines[at..first]) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..0], line),
        };
        at = end;
        let token = name.trim_ascii();
        Some(Field { name: token, value: value.trim_ascii(), spaced: name.len() != token.len(), folded: end != first })
    })
}

/// Behind the line that starts at `at`; none where nothing does.
fn end_of_line(lines: &[u8], at: usize) -> Option<usize> {
    let rest = lines.get(at..).filter(|rest| !rest.is_empty())?;
    Some(memchr::memchr(b'\n', rest).map_or(lines.len(), |end| at + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        let other = |n| Found::Line(Start::Request(Method::Other), n);
        for (line, found) in [
            (&b"GET / HTTP/1.1\r\n"[..], other(16)),
            (b"get / HTTP/1.0\n", other(15)),
            (b"QUERY http://a/ b c HTTP/1.1 \r\n", other(31)),
            (b"GET HTTP/1.1\r\n", other(14)),
            (b"HEAD / HTTP/1.1\r\n", Found::Line(Start::Request(Method::Head), 17)),
            (b"CONNECT a:1 HTTP/1.1\r\n", Found::Line(Start::Request(Method::Connect), 22)),
            (b"GET / HTTP/1.1", Found::More),
            (b"GE", Found::More),
            (b"", Found::More),
            (b"GET /\r\n", Found::Nothing),
            (b"GET /HTTP/1.1\r\n", Found::Nothing),
            (b"GET / HTTP/3.1\r\n", Found::Nothing),
            (b"\xdd\0 GET / HTTP/1.1\r\n", Found::Nothing),
            (b" / HTTP/1.1\r\n", Found::Nothing),
            (b"\x16", Found::More),
            (b"\x16\x03\x01\x02\x00\x01", Found::Opaque),
            (b"\x16\x03\x01\x02\x00\x0e", Found::Nothing),
            (b"PRI * HTTP/2.0\r\n", Found::Opaque),
        ] {
            assert_eq!(request_line(line), found, "{:?}", line.escape_ascii().to_string());
        }
        let long = |method: usize, behind: &[u8]| request_line(&[&vec![b'A'; method], behind].concat());
        assert_eq!(long(MAX_METHOD, b""), Found::More);
        assert_eq!(long(MAX_METHOD, b" / HTTP/1.1\r\n"), other(MAX_METHOD + 13));
        assert_eq!(long(MAX_METHOD + 1, b""), Found::Nothing);
        assert_eq!(long(MAX_METHOD + 1, b" / HTTP/1.1\r\n"), Found::Nothing);
    }

    #[test]
    fn status_lines() {
        for (line, found) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Found::Line(Start::Response(200), 17)),
            (b"HTTP/1.0  499\n", Found::Line(Start::Response(499), 14)),
            (b"HTTP/1.1 200", Found::More),
            (b"HT", Found::More),
            (b"HTTP/1.1 2XX OK\n", Found::Nothing),
            (b"HTTP/1.1 2000\n", Found::Nothing),
            (b"HTTP/1.1\n", Found::Nothing),
            (b"HTTP/2 200\n", Found::Nothing),
            (b"<html>", Found::Nothing),
        ] {
            assert_eq!(status_line(line), found, "{:?}", line.escape_ascii().to_string());
        }
    }

    #[test]
    fn fields_are_found_among_odd_lines() {
        let found: Vec<_> = fields(b"A: b\r\nno colon\r\nTe : x\r\n\ty\r\n\xff:\n\r\n")
            .map(|f| (f.name, f.value, f.spaced, f.folded))
            .collect();
        let expected: [(&[u8], &[u8], bool, bool); 5] = [
            (b"A", b"b", false, false),
            (b"", b"no colon", false, false),
            (b"Te", b"x\r\n\ty", true, true),
            (b"\xff", b"", false, false),
            (b"", b"", false, false),
        ];
        assert_eq!(found, expected);
    }
}
