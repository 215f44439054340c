//! Bytes as JSON has them: as text, or in base64.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::BadValue;

/// Text, borrowed where it can be.
pub(in crate::recording) type Text<'a> = Option<Cow<'a, str>>;

/// These bytes as text, or as base64.
pub(in crate::recording) fn text(bytes: &[u8]) -> (Text<'_>, Text<'_>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.into()), None),
        Err(_) => (None, Some(base64(bytes).into())),
    }
}

pub(in crate::recording) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that one of the two says.
pub(in crate::recording) fn bytes(key: &'static str, text: Text<'_>, base64: Text<'_>) -> Result<Bytes, BadValue> {
    match base64 {
        Some(base64) => from_base64(key, &base64),
        None => Ok(text.map(|text| text.into_owned().into()).unwrap_or_default()),
    }
}

/// What base64 says; line ends and spaces in it are passed over, as some programs fold it.
pub(in crate::recording) fn from_base64(key: &'static str, text: &str) -> Result<Bytes, BadValue> {
    let bad = |_| BadValue { key, expected: "base64" };
    match text.contains(|c: char| c.is_ascii_whitespace()) {
        true => STANDARD.decode(text.split_ascii_whitespace().collect::<String>()),
        false => STANDARD.decode(text),
    }
    .map(Bytes::from)
    .map_err(bad)
}

/// A body in one piece; without a copy where it is one.
pub(in crate::recording) fn whole(body: &[Bytes]) -> Cow<'_, [u8]> {
    match body {
        [one] => Cow::Borrowed(one),
        pieces => Cow::Owned(pieces.concat()),
    }
}

/// A body as records have it: no piece where it is empty.
pub(in crate::recording) fn pieces(body: Bytes) -> Vec<Bytes> {
    if body.is_empty() { Vec::new() } else { vec![body] }
}

/// A body as text; in base64 where it is not UTF-8, or where its escapes would take more than the text itself. No text that people write does: it takes
/// control characters, of six bytes each, and in base64 they take a third more than they are.
pub(in crate::recording) fn text_of(body: Cow<'_, [u8]>) -> Result<Cow<'_, str>, String> {
    if escapes(&body) > body.len() {
        return Err(base64(&body));
    }
    match body {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::from).map_err(|_| base64(bytes)),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(base64(error.as_bytes())),
        },
    }
}

/// How many bytes more than these a text of them takes in JSON, as it is written here (RFC 8259 §7): two bytes for some, six for other control characters.
pub(super) fn escapes(bytes: &[u8]) -> usize {
    let escaped = bytes.iter().filter(|byte| matches!(byte, ..0x20 | b'"' | b'\\')).count();
    let long = bytes.iter().filter(|byte| matches!(byte, 0..=7 | 0x0b | 0x0e..=0x1f)).count();
    escaped + 4 * long
}

/// How many bytes base64 takes for so many.
pub(in crate::recording) fn base64_length(length: usize) -> usize {
    length.div_ceil(3).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_counted_as_they_are_written() {
        for byte in 0..=0x7f_u8 {
            let written = serde_json::to_string(std::str::from_utf8(&[byte]).unwrap()).unwrap();
            assert_eq!(written.len(), 3 + escapes(&[byte]), "{byte}");
        }
        assert_eq!(escapes("é\u{80}".as_bytes()), 0);
        for length in 0..10 {
            assert_eq!(base64_length(length), base64(&vec![7; length]).len());
        }
    }

    #[test]
    fn a_body_is_base64_where_its_escapes_take_more_than_its_text() {
        for (body, is_text) in [
            ("{\"a\":\"b\"}\r\n\t", true),
            ("\"\"\n\n\\\\", true),
            ("four\u{1}", true),
            ("thr\u{1}", false),
            ("\0\0\0", false),
            ("", true),
        ] {
            for whole in [Cow::Borrowed(body.as_bytes()), Cow::Owned(body.as_bytes().to_vec())] {
                assert_eq!(text_of(whole).is_ok(), is_text, "{body:?}");
            }
        }
        assert_eq!(text_of(Cow::Borrowed(b"\xff")), Err("/w==".to_owned()));
    }
}
