//! What a body is, by its head and by itself: a head may be wrong.

use bytes::Bytes;

use crate::http1::Headers;
use crate::outcome::Withheld;

/// Character sets in which ASCII's characters are spelled as in ASCII, by the beginnings of their names (IANA's registry); in others, as in UTF-16, no secret is
/// found.
const LIKE_ASCII: [&str; 13] = [
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859-",
    "iso8859-",
    "latin",
    "windows-125",
    "windows-874",
    "koi8-",
    "gb",
    "big5",
    "euc-",
];

/// What is compressed or an archive of such, whatever the head says: gzip, zstd and zip.
const COMPRESSED: [&[u8]; 3] = [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"];

/// A decoded body's kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its head says that it is JSON, in one document or several.
    pub(super) declared_json: bool,
    /// It begins as an object or an array does.
    pub(super) begins_as_json: bool,
    /// It begins as a string of JSON does.
    begins_as_text: bool,
    /// Its head says that it is a form (application/x-www-form-urlencoded).
    pub(super) declared_form: bool,
    /// All of it may be a form.
    pub(super) looks_like_form: bool,
    /// It has parts of their own kinds (multipart).
    pub(super) has_parts: bool,
    /// It is a stream of events, which often are JSON.
    pub(super) has_events: bool,
}

impl Kind {
    /// The kind of a body.
    ///
    /// # Errors
    /// Why nothing would be found in it.
    pub(super) fn of(headers: &Headers, text: &Bytes) -> Result<Kind, Withheld> {
        let first = text.trim_ascii_start().first();
        let mut kind = Kind {
            begins_as_json: matches!(first, Some(b'{' | b'[')),
            begins_as_text: first == Some(&b'"'),
            looks_like_form: looks_like_form(text),
            ..Kind::default()
        };
        let mut is_text = false;
        // More than one would be an error, of which the readers that matter may take either.
        for value in headers.get_all("content-type") {
            let value = value.to_ascii_lowercase();
            let value = String::from_utf8_lossy(&value);
            let mut parts = value.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            kind.declared_json |= media_type.contains("json");
            kind.declared_form |= media_type == "application/x-www-form-urlencoded";
            kind.has_parts |= media_type.starts_with("multipart/");
            kind.has_events |= media_type == "text/event-stream";
            is_text |= kind.declared_json || kind.declared_form || media_type.starts_with("text/");
            for charset in parts.filter_map(|part| part.strip_prefix("charset=")) {
                let name = charset.trim_matches(['"', ' ']);
                if !LIKE_ASCII.iter().any(|known| name.starts_with(known)) {
                    return Err(Withheld::Charset);
                }
            }
        }
        // A byte order mark of UTF-16 or UTF-32, or, in what is to be text, the zeroes of either.
        let marked =
            text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || text.starts_with(b"\0\0\xfe\xff");
        let texts = is_text || kind.begins_as_json || kind.begins_as_text || headers.get("content-type").is_none();
        if marked || (texts && text.contains(&0)) {
            return Err(Withheld::Charset);
        }
        match COMPRESSED.iter().any(|magic| text.starts_with(magic)) {
            true => Err(Withheld::Coding),
            false => Ok(kind),
        }
    }

    /// Whether it is to be read as JSON if that is possible.
    pub(super) fn may_be_json(&self) -> bool {
        self.declared_json || self.begins_as_json || self.begins_as_text
    }
}

/// One line of names and values, in what a form is spelled with.
fn looks_like_form(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    text.contains(&b'=') && text.iter().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Header;

    fn kind(content_type: &str, text: &[u8]) -> Result<Kind, Withheld> {
        let lines = content_type.split('\n').filter(|line| !line.is_empty());
        let headers = lines.map(|line| Header { name: "Content-Type".into(), value: line.to_owned().into() }).collect();
        Kind::of(&headers, &Bytes::copy_from_slice(text))
    }

    #[test]
    fn the_head_and_the_body_are_both_asked() {
        let kind = |content_type, text: &str| kind(content_type, text.as_bytes()).unwrap();
        assert!(kind("Application/Problem+JSON; charset=utf-8", "x").declared_json);
        assert!(kind("application/x-ndjson", "x").declared_json);
        assert!(kind("text/plain", " {").begins_as_json && kind("", "[").begins_as_json);
        assert!(kind("text/html\napplication/json", "x").declared_json);
        assert!(kind("application/x-www-form-urlencoded", "x").declared_form);
        assert!(kind("multipart/form-data; boundary=x", "x").has_parts);
        assert!(kind("text/event-stream", "x").has_events);
        assert!(kind("", "a=b&c=%20+\r\n").looks_like_form);
        for text in ["a", "a = b", "<a href=x>", "{\"a\":\"=\"}", "a=b\nc=d"] {
            assert!(!kind("", text).looks_like_form, "{text}");
        }
        assert_eq!(kind("image/png", "\u{89}PNG"), Kind::default());
    }

    #[test]
    fn what_nobody_looks_into() {
        for (content_type, text, reason) in [
            ("text/plain; charset=UTF-16LE", &b"a"[..], Withheld::Charset),
            ("application/json; charset=\"utf-32\"", b"{}", Withheld::Charset),
            ("text/html;charset=IBM037", b"a", Withheld::Charset),
            ("", b"\xff\xfea\0", Withheld::Charset),
            ("text/plain", b"\0a\0b", Withheld::Charset),
            ("", b"a\0b\0", Withheld::Charset),
            ("application/octet-stream", b"\x1f\x8b\x08\0", Withheld::Coding),
            ("application/zip", b"PK\x03\x04", Withheld::Coding),
        ] {
            assert_eq!(kind(content_type, text), Err(reason), "{content_type} {}", text.escape_ascii());
        }
        assert!(kind("image/png", b"\x89PNG\0\0").is_ok());
        assert!(kind("text/html; Charset=ISO-8859-1", b"a").is_ok());
    }
}
