//! Traffic that is full of secrets, the stages that redact it, and a search for what they left.

use std::path::Path;

use serde_json::{Value, json};

use crate::coding::{self, decode, encode};

/// Each is secret by another rule, and is found in no text that is not.
pub const SECRETS: [&str; 14] = [
    "Zm9vOnNlY3JldA",
    "session-secret",
    "cookie-secret",
    "set-cookie-secret",
    "query-secret",
    "signature-secret",
    "form-secret",
    "key-secret",
    "place-secret",
    "4111111111111111",
    "5555 5555 5555 4444",
    "ann.secret@example.com",
    "bearer-secret",
    "acct-8155",
];

/// A stage with a rule for each of them.
pub fn stages() -> Value {
    json!([{ "redact": {
        "preset": "credentials",
        "header": ["X-Session", "X-Internal-*"],
        "cookie": "sid",
        "query": "token",
        "form": "password",
        "json": ["/user/ssn", "key"],
        "pattern": ["card", "bearer", "jwt", "email", "~acct-[0-9]+"],
        "max_body": "4KiB",
    } }])
}

/// Everything secret that a head can have.
pub const HEAD: &str = "Authorization: Basic Zm9vOnNlY3JldA\r\nX-Session: session-secret\r\nX-Internal-Id: session-secret\r\n\
    X-Note: Bearer bearer-secret for ann.secret@example.com, acct-8155\r\n\
    Referer: http://foo:session-secret@app/?token=query-secret#x\r\n";

/// And a secret cookie among others.
const COOKIE: &str = "Cookie: theme=dark; sid=cookie-secret\r\n";

/// A target with secrets in its path and its query, one of them in a URL within.
pub const TARGET: &str = "/users/ann.secret%40example.com/4111111111111111?a=1&token=query-secret&sig=signature-secret&next=%2F%3Ftoken%3Dquery-secret";

/// The same of a response.
pub const ANSWER: &str = "Set-Cookie: sid=set-cookie-secret; Path=/\r\nX-Session: session-secret\r\n\
    Location: /?token=query-secret\r\nX-Note: 5555 5555 5555 4444\r\n";

/// A document with secrets at a place, below a key, and by their looks; and something that is none.
pub const JSON: &str = r#"{"user": {"ssn": "place-secret", "mail": "ann.secret\u0040example.com"}, "list": [{"KEY": "key-secret"}],
    "card": 4111111111111111, "text": "5555 5555 5555 4444, acct-8155", "note": "kept"}"#;

/// The same of a form.
pub const FORM: &str = "user=ann&password=form%2dsecret&password=form-secret&mail=ann.secret%40example.com&n=5555+5555+5555+4444&note=kept";

/// A message with this body, as one piece or chunked.
fn message(start: &str, head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    let framing = if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", body.len()) };
    let mut message = format!("{start}\r\n{head}{framing}\r\n\r\n").into_bytes();
    if !chunked {
        message.extend(body);
        return message;
    }
    for piece in body.chunks(7) {
        message.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()).chain(*b"\r\n"));
    }
    message.extend(b"0\r\n\r\n");
    message
}

/// A request with [`HEAD`], with more lines and a body.
pub fn request(path: &str, head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    message(&format!("POST {path} HTTP/1.1"), &format!("Host: app\r\n{HEAD}{head}{COOKIE}"), body, chunked)
}

/// A response with [`ANSWER`] and a reason phrase that is secret too.
pub fn response(head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    message("HTTP/1.1 200 acct-8155", &format!("{ANSWER}{head}"), body, chunked)
}

/// All but the end of a message.
pub fn cut(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(message.len() - 20);
    message
}

/// Looks for secrets as they stand, and within what is encoded.
///
/// # Panics
/// When there is one.
#[track_caller]
pub fn assert_hidden(place: &str, bytes: &[u8]) {
    for bytes in [Some(bytes.to_vec()), decode(bytes)].into_iter().flatten() {
        let text = String::from_utf8_lossy(&bytes).replace("%40", "@").replace("\\u0040", "@").replace('+', " ");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
}

/// Looks through a recording, as bytes and as it is read. Text in it has one char a byte.
///
/// # Panics
/// When there is a secret in it.
#[track_caller]
pub fn assert_recording_hidden(path: &Path, records: &[Value]) {
    fn each(value: &Value) {
        match value {
            Value::String(text) => {
                let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
                assert_hidden("the recording", &bytes);
            }
            Value::Array(values) => values.iter().for_each(each),
            Value::Object(values) => values.values().for_each(each),
            _ => {}
        }
    }
    records.iter().for_each(each);
    assert_hidden("the recording's file", &std::fs::read(path).expect("a recording"));
}

/// A recorded body as it was before its coding.
///
/// # Panics
/// When it is no recorded message.
pub fn recorded_body(message: &Value) -> String {
    let body: Vec<u8> = message["body"].as_str().expect("a body").chars().map(|c| c as u8).collect();
    String::from_utf8_lossy(&decode(&body).unwrap_or(body)).into_owned()
}

/// Bodies of all kinds in all codings: their head's lines, and the bytes.
pub fn bodies() -> Vec<(String, Vec<u8>)> {
    let kinds = [
        ("application/json", JSON),
        ("text/plain", JSON),
        ("application/x-www-form-urlencoded", FORM),
        (
            "text/html",
            "<b>ann.secret@example.com</b> 5555 5555 5555 4444 acct-8155, <a href=/ann.secret%40example.com>kept</a>",
        ),
    ];
    let mut bodies = Vec::new();
    for (kind, text) in kinds {
        let digests = "Content-MD5: MTIz\r\nETag: \"1\"\r\n";
        bodies.push((format!("Content-Type: {kind}\r\n{digests}"), text.as_bytes().to_vec()));
        for name in coding::NAMES {
            let lines = format!("Content-Type: {kind}\r\nContent-Encoding: {name}\r\n");
            bodies.push((lines, encode(name, text.as_bytes())));
        }
    }
    bodies
}
