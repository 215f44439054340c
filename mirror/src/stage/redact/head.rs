//! Secrets in heads and trailers.

use bytes::Bytes;

use super::Rules;
use super::substitute::MASK;
use super::tally::Tally;
use crate::content::remove_digests;
use crate::http1::{Header, Headers, RequestHead, ResponseHead};
use crate::outcome::Redacted;
use crate::stage::FRAMING;

/// Headers that say how the body is to be read: no glob concerns them.
const DESCRIBING: [&str; 2] = ["content-type", "content-encoding"];

impl Rules {
    /// A request's target and headers.
    pub(super) fn request(&self, head: &mut RequestHead, tally: &mut Tally) {
        if let Some(target) = self.target(&head.target, tally) {
            head.target = target.into();
        }
        self.headers(&mut head.headers, head.odd, tally);
    }

    /// A response's reason phrase and headers.
    pub(super) fn response(&self, head: &mut ResponseHead, tally: &mut Tally) {
        if let Some(reason) = self.patterns.replace(&head.reason, &self.substitute, tally) {
            head.reason = reason.into();
        }
        self.headers(&mut head.headers, head.odd, tally);
    }

    /// A request's target, or only its path; none where nothing in it is secret.
    pub(super) fn target(&self, target: &[u8], tally: &mut Tally) -> Option<Vec<u8>> {
        let url = self.url(target, 0, tally);
        let found = self.patterns.replace(url.as_deref().unwrap_or(target), &self.substitute, tally);
        let mut new = found.or(url)?;
        // It still begins as a path does, and is something.
        if new.first() != Some(&b'/') && (new.is_empty() || target.first() == Some(&b'/')) {
            new.insert(0, b'/');
        }
        Some(new)
    }

    /// A trailer section; none where it cannot be read. It may have a digest of a body that is another now, so where bodies are looked into
    /// it has none.
    pub(super) fn trailers(&self, section: &Bytes, tally: &mut Tally) -> Option<Bytes> {
        let (sent, odd) = match Headers::parse(section) {
            Ok(sent) => (sent, false),
            Err(_) => (Headers::parse_lenient(section)?, true),
        };
        let mut headers = sent.clone();
        if self.looks_into_bodies() {
            remove_digests(&mut headers);
        }
        self.headers(&mut headers, odd, tally);
        if headers == sent {
            return Some(section.clone());
        }
        let lines = headers.iter().map(|Header { name, value }| [&name[..], b": ", value, b"\r\n"].concat());
        Some([lines.collect::<Vec<_>>().concat(), b"\r\n".to_vec()].concat().into())
    }

    fn headers(&self, headers: &mut Headers, odd: bool, tally: &mut Tally) {
        let lines = std::mem::take(headers).into_iter();
        *headers = lines.filter_map(|line| self.line(line, odd, tally)).collect();
    }

    /// One line; none where it is taken out.
    fn line(&self, mut line: Header, odd: bool, tally: &mut Tally) -> Option<Header> {
        let is = |name: &str| line.name.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        if FRAMING.into_iter().any(|name| name != "host" && is(name)) {
            return Some(line);
        }
        if odd && self.names_headers() && !is_plain(&line) {
            // Others may see a header in it that is secret.
            tally.count(Redacted::Header);
            let new = self.substitute.of(&line.value)?;
            return Some(Header { name: Bytes::from_static(MASK.as_bytes()), value: new.into() });
        }
        if self.header.has(&line.name) && !is("host") && !DESCRIBING.into_iter().any(is) {
            tally.count(Redacted::Header);
            line.value = self.substitute.of(credentials(&line.value))?.into();
            return Some(line);
        }
        if is("cookie") && !self.cookie.is_empty() {
            line.value = self.cookies(line.value, tally)?;
        }
        if is("set-cookie") && !self.cookie.is_empty() {
            line.value = self.set_cookie(line.value, tally)?;
        }
        if let Some(new) = self.urls(&line.value, tally) {
            line.value = new.into();
        }
        if let Some(new) = self.patterns.replace(&line.value, &self.substitute, tally) {
            line.value = new.into();
        }
        Some(line)
    }

    fn names_headers(&self) -> bool {
        !self.header.is_empty() || !self.cookie.is_empty()
    }

    /// The cookies of a request (RFC 6265 §4.2.1); none where no cookie is left.
    fn cookies(&self, value: Bytes, tally: &mut Tally) -> Option<Bytes> {
        let (mut pieces, mut changed) = (Vec::new(), false);
        let mut rest = &value[..];
        while !rest.is_empty() {
            let (piece, behind) = first_pair(rest, false);
            let Some((name, secret)) = self.secret_cookie(piece) else {
                pieces.push(piece.to_vec());
                rest = behind;
                continue;
            };
            // What servers take for its value that read quoted ones with semicolons in them.
            let (whole, behind) = first_pair(rest, true);
            let secret = if whole.len() > piece.len() { &whole[name.len() + 1..] } else { secret };
            tally.count(Redacted::Cookie);
            changed = true;
            pieces.extend(self.substitute.of(secret.trim_ascii()).map(|new| [name, b"=", new.as_bytes()].concat()));
            rest = behind;
        }
        if !changed {
            return Some(value);
        }
        let joined = pieces.join(&b";"[..]);
        let new = joined.trim_ascii();
        if new.is_empty() { None } else { Some(Bytes::copy_from_slice(new)) }
    }

    /// A cookie as it is set (RFC 6265 §4.1.1), whose attributes stay; none where it is taken out.
    fn set_cookie(&self, value: Bytes, tally: &mut Tally) -> Option<Bytes> {
        let (piece, _) = first_pair(&value, false);
        let Some((name, secret)) = self.secret_cookie(piece) else { return Some(value) };
        let (whole, _) = first_pair(&value, true);
        let secret = if whole.len() > piece.len() { &whole[name.len() + 1..] } else { secret };
        tally.count(Redacted::Cookie);
        let new = self.substitute.of(secret.trim_ascii())?;
        Some([name, b"=", new.as_bytes(), &value[whole.len()..]].concat().into())
    }

    /// Name and value, where the name is that of a secret.
    fn secret_cookie<'a>(&self, piece: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let equals = piece.iter().position(|&b| b == b'=')?;
        let (name, value) = (&piece[..equals], &piece[equals + 1..]);
        (self.cookie.has(name) && !value.trim_ascii().is_empty()).then_some((name, value))
    }
}

/// What is before the first `;`, and what is behind it. `quoted`, a `;` between the quotes of a value is a part of it.
fn first_pair(cookies: &[u8], quoted: bool) -> (&[u8], &[u8]) {
    let semicolon = |from: usize| cookies[from..].iter().position(|&b| b == b';').map(|length| from + length);
    let value = cookies.iter().position(|&b| b == b'=').map(|equals| equals + 1);
    let open = value.and_then(|value| Some(value + cookies[value..].iter().position(|b| !b.is_ascii_whitespace())?));
    let closed = open.filter(|&open| quoted && cookies[open] == b'"').and_then(|open| {
        let length = cookies[open + 1..].iter().position(|&b| b == b'"')?;
        Some(open + 1 + length)
    });
    match semicolon(closed.unwrap_or(0)) {
        Some(end) => (&cookies[..end], &cookies[end + 1..]),
        None => (cookies, b""),
    }
}

/// What is secret of a value: of `Bearer abc` the token, whose hash is then the same as where it stands alone.
fn credentials(value: &[u8]) -> &[u8] {
    match value.split_first_chunk::<7>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => value,
    }
}

/// Whether a line of a head that breaks the syntax is one that everybody reads alike.
fn is_plain(line: &Header) -> bool {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let name = line.name.trim_ascii();
    !name.is_empty() && name.iter().all(is_token) && !line.value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}
