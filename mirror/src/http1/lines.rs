//! What is asked of header lines however they are held, and how one is written.

use bytes::BufMut;

use super::Headers;

/// Header lines, however they are held.
pub(super) trait Lines {
    /// Every value of this name, in any case, in order.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// As [`Headers::has_token`].
    fn has_token(&self, name: &str, token: &str) -> bool {
        let is_token = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
        self.values(name).any(|value| value.split(|&b| b == b',').any(is_token))
    }
}

impl Lines for Headers {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).map(|value| &value[..])
    }
}

impl Lines for [httparse::Header<'_>] {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
    }
}

/// Writes a line.
pub(crate) fn push_line(to: &mut impl BufMut, name: &[u8], value: &[u8]) {
    to.put_slice(name);
    to.put_slice(b": ");
    to.put_slice(value);
    to.put_slice(b"\r\n");
}

/// Writes a line of a head that may be odd, as it was sent: one without a name is all value. Not for what targets get: there it could be a line that the
/// application has not read, or the head's end.
pub(crate) fn push_odd_line(to: &mut impl BufMut, name: &[u8], value: &[u8]) {
    if !name.is_empty() {
        return push_line(to, name, value);
    }
    to.put_slice(value);
    to.put_slice(b"\r\n");
}
