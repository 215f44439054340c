use super::*;
use crate::budget::Budget;
use crate::content::Codings;

const JSON: &str = "Content-Type: application/json\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\n";

/// What becomes of a body: another, none where it is the same, or why it is withheld.
fn redacted(yaml: &str, lines: &str, body: impl AsRef<[u8]>) -> Result<Option<Bytes>, Withheld> {
    let budget = Budget::new(1 << 30);
    let body = Bytes::copy_from_slice(body.as_ref());
    let looked = rules(yaml).body(&headers(lines), &body, &|n| budget.charge(n), &mut Tally::default());
    looked.map(|content| content.map(|content| content.bytes))
}

#[track_caller]
fn assert_becomes(yaml: &str, lines: &str, body: &str, expected: &str) {
    let new = redacted(yaml, lines, body)
        .map(|new| new.map_or_else(|| body.to_owned(), |new| String::from_utf8(new.to_vec()).unwrap()));
    assert_eq!(new.as_deref(), Ok(expected), "{yaml} {lines} {body}");
}

#[test]
fn json_by_pointers_keys_and_patterns() {
    let body = r#"{"user": {"ssn": 12, "name": "a"}, "Password": "p\u0040", "list": [{"password": {"x": 1}}, {"ssn": null}], "mail": "me\u0040example.com"}"#;
    for (yaml, expected) in [
        (
            "{json: /user/ssn}",
            r#"{"user":{"ssn":"REDACTED","name":"a"},"Password":"p@","list":[{"password":{"x":1}},{"ssn":null}],"mail":"me@example.com"}"#,
        ),
        (
            "{json: password}",
            r#"{"user":{"ssn":12,"name":"a"},"Password":"REDACTED","list":[{"password":"REDACTED"},{"ssn":null}],"mail":"me@example.com"}"#,
        ),
        (
            "{json: [password, /list/*/ssn, /user/*], with: remove}",
            r#"{"user":{},"list":[{},{"ssn":null}],"mail":"me@example.com"}"#,
        ),
        (
            "{pattern: email}",
            r#"{"user":{"ssn":12,"name":"a"},"Password":"p@","list":[{"password":{"x":1}},{"ssn":null}],"mail":"REDACTED"}"#,
        ),
        ("{json: nothing}", body),
    ] {
        assert_becomes(yaml, JSON, body, expected);
        assert_becomes(yaml, "", body, expected);
        assert_becomes(yaml, "Content-Type: text/html\n", body, expected);
    }
}

#[test]
fn json_in_odd_shapes() {
    for (yaml, body, expected) in [
        ("{pattern: card}", "[4111111111111111]", r#"["REDACTED"]"#),
        ("{pattern: email}", r#"{"me@example.com": 1, "you@example.com": 2}"#, r#"{"REDACTED":2}"#),
        ("{pattern: email}", r#""me\u0040example.com""#, r#""REDACTED""#),
        ("{json: a}", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":\"REDACTED\"}\n{\"a\":\"REDACTED\"}\n"),
        // Who takes the first of two values would see one that is not in the document.
        ("{json: a}", r#"{"a":"secret","a":null}"#, r#"{"a":null}"#),
        ("{pattern: email}", r#"{"x":"me@example.com","x":""}"#, r#"{"x":""}"#),
        ("{json: a}", "\u{feff}{\"a\":1}", r#"{"a":"REDACTED"}"#),
    ] {
        assert_becomes(yaml, JSON, body, expected);
    }
}

#[test]
fn forms() {
    for (yaml, lines, body, expected) in [
        ("{form: password}", FORM, "user=a&password=s%26&x", "user=a&password=REDACTED&x"),
        ("{form: password}", "", "user=a&password=s", "user=a&password=REDACTED"),
        ("{form: password}", "Content-Type: text/plain\n", "user=a&password=s\n", "user=a&password=REDACTED"),
        ("{form: password, with: remove}", FORM, "user=a&password=s", "user=a"),
        ("{form: password}", FORM, "login[password]=s", "login%5Bpassword%5D=REDACTED"),
        ("{form: password}", FORM, "user=a;password=s", "user=a;password=REDACTED"),
        ("{form: a}", FORM, r#"{"x":"1&a=secret"}"#, r#"{"x":"1&a=REDACTED"#),
        ("{form: a}", "Content-Type: text/html\n", "<a href='?a=1'>", "<a href='?a=1'>"),
        ("{pattern: email}", FORM, "to=me%40example.com&b=1+2", "to=REDACTED&b=1+2"),
        ("{pattern: card}", FORM, "n=4111+1111+1111+1111&b=1+2", "n=REDACTED&b=1+2"),
        ("{query: a, pattern: card}", FORM, "next=/x?a=1&b=%26", "next=%2Fx%3Fa%3DREDACTED&b=%26"),
    ] {
        assert_becomes(yaml, lines, body, expected);
    }
}

#[test]
fn other_texts_and_bytes() {
    assert_becomes("{pattern: email}", "Content-Type: text/html\n", "<b>me@example.com</b>", "<b>REDACTED</b>");
    assert_becomes("{json: a, form: b}", "Content-Type: text/html\n", "<b>a=1</b>", "<b>a=1</b>");
    let bytes = b"\x89PNG\0\xff<me@example.com>\xff\0";
    let new = redacted("{pattern: email}", "Content-Type: image/png\n", bytes).unwrap().unwrap();
    assert_eq!(&new[..], b"\x89PNG\0\xff<REDACTED>\xff\0");
}

#[test]
fn codings_are_kept_or_taken_off() {
    let text = "mail me@example.com, or me@example.com";
    for name in ["gzip", "deflate", "br", "zstd", "x-gzip, br"] {
        let lines = format!("Content-Encoding: {name}\n");
        let codings = Codings::of(&headers(&lines)).unwrap();
        let body = codings.encode(text.as_bytes());
        let new = redacted("{pattern: email}", &lines, &body).unwrap().unwrap();
        assert_eq!(codings.decode(&new, 100).unwrap(), "mail REDACTED, or REDACTED", "{name}");
        let new = redacted("{pattern: email, encoding: identity}", &lines, &body).unwrap().unwrap();
        assert_eq!(new, "mail REDACTED, or REDACTED", "{name}");
        assert_eq!(redacted("{pattern: card}", &lines, &body), Ok(None));
        assert_eq!(redacted("{pattern: card, encoding: identity}", &lines, &body).unwrap().unwrap(), text);
        assert_eq!(redacted("{pattern: email, max_body: 20}", &lines, &body), Err(Withheld::TooLong), "{name}");
        assert_eq!(redacted("{pattern: email}", &lines, text), Err(Withheld::Coding), "{name}");
    }
}

#[test]
fn what_cannot_be_looked_into_is_withheld() {
    for (yaml, lines, body, reason) in [
        ("{pattern: card}", "Content-Encoding: compress\n", "x", Withheld::Coding),
        ("{pattern: card}", "Transfer-Encoding: gzip, chunked\n", "x", Withheld::Coding),
        ("{pattern: card}", "Content-Type: text/plain; charset=utf-16\n", "x", Withheld::Charset),
        ("{pattern: card}", JSON, "{\"a\":", Withheld::Json),
        ("{json: a}", JSON, "not json", Withheld::Json),
        ("{json: a}", "Content-Type: text/plain\n", "{\"a\": 1} and more", Withheld::Json),
        ("{json: a}", "Content-Type: text/event-stream\n", "data: {\"a\":1}\n\n", Withheld::Json),
        ("{form: a}", "Content-Type: multipart/form-data; boundary=x\n", "--x--", Withheld::Multipart),
        ("{json: a}", "Content-Type: multipart/mixed; boundary=x\n", "--x--", Withheld::Multipart),
    ] {
        assert_eq!(redacted(yaml, lines, body), Err(reason), "{yaml} {lines} {body}");
    }
    let deep = ["[".repeat(128), "]".repeat(128)].concat();
    assert_eq!(redacted("{json: a}", "", deep), Err(Withheld::Json));
    assert_eq!(redacted("{json: a}", JSON, ""), Ok(None));
    assert_eq!(redacted("{pattern: card}", "Content-Type: text/event-stream\n", "data: 1\n\n"), Ok(None));
}

#[test]
fn work_that_there_is_no_room_for_is_not_begun() {
    let budget = Budget::new(1400);
    let look = |body: &str| {
        let room = |n| budget.charge(n);
        rules("{json: a}").body(&headers(JSON), &Bytes::copy_from_slice(body.as_bytes()), &room, &mut Tally::default())
    };
    assert!(look("{\"a\":1}").is_ok());
    assert_eq!(look("{\"a\":[[],[],[],[]]}").unwrap_err(), Withheld::Memory);
    assert_eq!(budget.used(), 0);
}

#[test]
fn digests_go_with_what_they_tell_of() {
    let lines = "Digest: a\nContent-Digest: a\nRepr-Digest: a\nContent-MD5: a\nETag: \"a\"\nX-Amz-Content-Sha256: a\nContent-Encoding: gzip\nX: 1\n";
    let content = |decoded| Ok(Some(Content { bytes: Bytes::new(), decoded }));
    for (looked, left) in [
        (Ok(None), lines),
        (content(false), "Content-Encoding: gzip\nX: 1\n"),
        (content(true), "X: 1\n"),
        (Err(Withheld::TooLong), "Content-Encoding: gzip\nX: 1\n"),
    ] {
        let mut headers = headers(lines);
        mend(&mut headers, &looked);
        assert_eq!(wire(&headers), left);
    }
}
