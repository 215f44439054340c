//! Bodies as people read them: decoded, pretty-printed, and with nothing in them that a terminal would take for a command.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;

use super::{Codings, form, json};
use crate::http1::Headers;

/// The most bytes that are shown of what is no text: 16 lines of 16.
pub const MOST_BINARY: usize = 256;

/// The most that a body is decoded to: 32 MiB, three times what is recorded of one by default.
pub const MOST_DECODED: u64 = 32 << 20;

/// A body to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it is: `json`, `form`, `text`, `binary`.
    pub kind: &'static str,
    /// The codings that were undone, or why they were not; none where there were none.
    pub coding: Option<String>,
    /// Lines, without one end of line that stands behind the last. No character in it is a control character but line ends and tabs.
    pub text: String,
    /// How many bytes of it, decoded, are not in the text.
    pub left_out: usize,
}

/// Shows a body, at most `most` bytes of its text; none where there is no body.
pub fn show(headers: &Headers, body: &Bytes, most: usize) -> Option<Shown> {
    if body.is_empty() {
        return None;
    }
    let named = || {
        let names =
            headers.get_all("content-encoding").map(|value| plain(&String::from_utf8_lossy(value)).into_owned());
        names.collect::<Vec<_>>().join(", ")
    };
    let (decoded, coding) = match Codings::of(headers) {
        Ok(codings) if codings.is_identity() => (body.clone(), None),
        Ok(codings) => match codings.decode(body, MOST_DECODED) {
            Ok(decoded) => (decoded, Some(named())),
            Err(error) => (body.clone(), Some(format!("{}: {error}", named()))),
        },
        Err(error) => (body.clone(), Some(error.to_string())),
    };
    let (kind, text) = match as_text(headers, &decoded) {
        Some(shown) => shown,
        None => return Some(binary(coding, &decoded, most)),
    };
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let left_out = text.len() - end;
    Some(Shown { kind, coding, text: plain_lines(text[..end].trim_end_matches('\n')), left_out })
}

/// Its kind and its text, where it is one.
fn as_text(headers: &Headers, body: &[u8]) -> Option<(&'static str, String)> {
    let value = headers.get("content-type").map(|value| String::from_utf8_lossy(value).to_ascii_lowercase());
    let value = value.unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        // One character a byte, as RFC 9110's predecessors had it for text.
        Err(_) if value.contains("charset=iso-8859-1") || value.contains("charset=latin1") => {
            Cow::Owned(body.iter().map(|&byte| char::from(byte)).collect())
        }
        // It is cut off within a character.
        Err(error) if error.error_len().is_none() => {
            let (whole, cut) = body.split_at(error.valid_up_to());
            Cow::Owned(format!("{}{}", std::str::from_utf8(whole).ok()?, plain_bytes(cut)))
        }
        Err(_) => return None,
    };
    let begins_as_json = text.trim_start().starts_with(['{', '[']);
    if (media_type.contains("json") || begins_as_json)
        && let Ok(documents) = json::read_all(text.as_bytes())
        && !documents.is_empty()
    {
        let documents: Result<Vec<_>, _> = documents.iter().map(serde_json::to_string_pretty).collect();
        return Some(("json", documents.ok()?.join("\n")));
    }
    if media_type == "application/x-www-form-urlencoded" {
        return Some(("form", pairs(&text)));
    }
    let odd = text.chars().filter(|&c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x1b')).count();
    // A few of them are somebody's mistake or attack; more are no text.
    (odd * 50 <= text.len()).then(|| ("text", text.replace("\r\n", "\n")))
}

/// A line for each name of a form.
fn pairs(text: &str) -> String {
    let mut lines = String::new();
    for pair in form::read(&Bytes::copy_from_slice(text.trim_end().as_bytes())) {
        let (name, value) = (String::from_utf8_lossy(&pair.name), String::from_utf8_lossy(&pair.value));
        let _ = writeln!(lines, "{} = {}", plain(&name), plain(&value));
    }
    lines
}

/// As `hexdump -C` has it: offset, bytes, and what of them is ASCII.
fn binary(coding: Option<String>, body: &[u8], most: usize) -> Shown {
    let shown = &body[..body.len().min(MOST_BINARY).min(most)];
    let mut text = String::new();
    for (line, bytes) in shown.chunks(16).enumerate() {
        let mut hex = String::new();
        for (i, byte) in bytes.iter().enumerate() {
            let _ = write!(hex, "{}{byte:02x} ", if i == 8 { " " } else { "" });
        }
        let ascii: String =
            bytes.iter().map(|b| if b.is_ascii_graphic() || *b == b' ' { *b as char } else { '.' }).collect();
        let _ = write!(text, "{}{:08x}  {hex:49} |{ascii}|", if line > 0 { "\n" } else { "" }, line * 16);
    }
    Shown { kind: "binary", coding, text, left_out: body.len() - shown.len() }
}

/// A text in one line that does nothing to a terminal: control characters, and those that turn the direction of writing or cannot be seen,
/// are escaped.
pub fn plain(text: &str) -> Cow<'_, str> {
    match text.contains(is_unseen) {
        true => Cow::Owned(escaped(text, |_| false)),
        false => Cow::Borrowed(text),
    }
}

/// The same of bytes, which are UTF-8 or escaped one by one.
pub fn plain_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&plain(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn plain_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if !is_unseen(c) || kept(c) => plain.push(c),
            c if c.is_ascii() => {
                let _ = write!(plain, "\\x{:02x}", c as u32);
            }
            c => {
                let _ = write!(plain, "\\u{{{:x}}}", c as u32);
            }
        }
    }
    plain
}

/// Control characters (Unicode's Cc), and of its format characters (Cf) those that hide or turn what stands around them.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Header;

    fn shown(head: &str, body: impl Into<Bytes>, most: usize) -> Shown {
        let lines = head.lines().map(|line| line.split_once(": ").unwrap());
        let headers =
            lines.map(|(name, value)| Header { name: name.to_owned().into(), value: value.to_owned().into() });
        show(&headers.collect(), &body.into(), most).unwrap()
    }

    #[test]
    fn json_forms_and_text() {
        let json = shown("", r#"{"b":[1,{"a":1.50}]}"#, 1000);
        assert_eq!(json.kind, "json");
        assert_eq!(json.text, "{\n  \"b\": [\n    1,\n    {\n      \"a\": 1.50\n    }\n  ]\n}");
        assert_eq!(shown("Content-Type: application/x-ndjson", "{}\n{}\n", 1000).text, "{}\n{}");
        let form = shown("Content-Type: application/x-www-form-urlencoded", "a=1&b%20c=%1b%5Bx\n", 1000);
        assert_eq!((form.kind, &*form.text), ("form", "a = 1\nb c = \\x1b[x"));
        let text = shown("", "one\r\ntwo\n", 1000);
        assert_eq!((text.kind, &*text.text, text.left_out), ("text", "one\ntwo", 0));
        assert_eq!(shown("Content-Type: text/html; charset=ISO-8859-1", &b"caf\xe9"[..], 1000).text, "café");
        assert_eq!(shown("", r#"{"a": "cut"#, 1000).text, r#"{"a": "cut"#);
        assert_eq!(show(&Headers::default(), &Bytes::new(), 10), None);
    }

    #[test]
    fn codings_are_undone_or_said_to_be_broken() {
        let headers: Headers = [Header { name: "Content-Encoding".into(), value: "gzip".into() }].into_iter().collect();
        let coded = Codings::of(&headers).unwrap().encode(br#"{"a":1}"#);
        let body = shown("Content-Encoding: gzip", coded.clone(), 1000);
        assert_eq!((body.text.as_str(), body.coding.as_deref()), ("{\n  \"a\": 1\n}", Some("gzip")));
        let cut = shown("Content-Encoding: gzip", coded.slice(..coded.len() - 3), 1000);
        assert_eq!(cut.coding.as_deref(), Some("gzip: it is not coded as its head says"));
        assert_eq!(cut.kind, "binary");
        let unknown = shown("Content-Encoding: x\x1b[2J", "a", 1000);
        assert!(!unknown.coding.unwrap().contains('\x1b'));
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_no_text_is_dumped() {
        let cut = shown("", "ää".repeat(10), 3);
        assert_eq!((&*cut.text, cut.left_out), ("ä", 38));
        let dump = shown("", [&b"\x00PNG\xff"[..], &[b'x'; 300]].concat(), 1000);
        assert_eq!(dump.left_out, 305 - MOST_BINARY);
        assert_eq!(
            dump.text.lines().next(),
            Some("00000000  00 50 4e 47 ff 78 78 78  78 78 78 78 78 78 78 78  |.PNG.xxxxxxxxxxx|")
        );
        assert_eq!(
            shown("", &b"ab\xff"[..], 1000).text,
            "00000000  61 62 ff                                          |ab.|"
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let text = shown("", "a\x1b[2Jb\x07\u{202e}c\u{200b}\td\r".to_owned() + &"x".repeat(500), 1000).text;
        assert!(text.starts_with("a\\x1b[2Jb\\x07\\u{202e}c\\u{200b}\td\\x0dx"), "{text}");
        assert_eq!(plain("a\nb\t"), "a\\x0ab\\x09");
        assert_eq!(plain_bytes(b"/\xc3\xa4\xff\x1b"), "/ä\\xff\\x1b");
    }
}
