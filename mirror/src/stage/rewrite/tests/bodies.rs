//! Bodies, of requests and of responses.

use super::*;
use crate::collected::Collected;
use crate::content::Codings;
use crate::http1::ResponseHead;

const BOTH: &str = "POST /a?n=5 HTTP/1.1\r\nHost: shop.example\r\n";

fn stage(yaml: &str) -> Rewrite {
    Rewrite::new(&serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}")))
}

fn whole(body: impl Into<Bytes>) -> Collected {
    Collected::Whole { bytes: body.into(), trailers: None }
}

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// The head and the body as a target gets them; none where it is withheld.
fn rewritten(yaml: &str, headers: &str, body: Collected) -> (String, Option<Bytes>) {
    let mut exchange = Exchange::of_head(&format!("{BOTH}{headers}\r\n"), None);
    let stage = stage(yaml);
    if matches!(stage.apply(&mut exchange), Verdict::Wait(Need::Body)) {
        exchange.collected(body.clone());
        let verdict = match stage.apply(&mut exchange) {
            // On a thread of its own.
            Verdict::Wait(Need::Work(work)) => threads().block_on(work)(&mut exchange),
            verdict => verdict,
        };
        assert!(matches!(verdict, Verdict::Continue));
    }
    let body = match exchange.replacement().unwrap_or(&body) {
        Collected::Whole { bytes, .. } => Some(bytes.clone()),
        Collected::TooLong => Some(Bytes::from_static(b"as it was")),
        Collected::Cut if exchange.replacement().is_none() => Some(Bytes::from_static(b"as it was")),
        Collected::Cut => None,
    };
    (wire(&exchange.request), body)
}

/// What becomes of a body of this type, which is sent with its length.
fn text(yaml: &str, media_type: &str, body: &str) -> String {
    let headers = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
    let (head, made) = rewritten(&format!("body: {yaml}"), &headers, whole(body.to_owned()));
    let made = made.expect("a body");
    assert!(head.contains(&format!("Content-Length: {}\r\n", made.len())), "{head}");
    String::from_utf8(made.to_vec()).unwrap()
}

#[test]
fn one_edit_changes_one_thing() {
    const JSON: &str = "application/json; charset=utf-8";
    const FORM: &str = "application/x-www-form-urlencoded";
    for (yaml, media_type, body, expected) in [
        ("{json: {set: {/a: 1}}}", JSON, r#"{"a":0,"b":1e400}"#, r#"{"a":1,"b":1e+400}"#),
        ("{json: {set: {/a/b: '{host}'}}}", JSON, "{}", r#"{"a":{"b":"shop.example"}}"#),
        ("{json: {set: {/a: {b: ['{query.n}', 2.5, null, true]}}}}", JSON, "{}", r#"{"a":{"b":["5",2.5,null,true]}}"#),
        ("{json: {set: {/l/-: x}}}", JSON, r#"{"l":["w"]}"#, r#"{"l":["w","x"]}"#),
        ("{json: {set: {/l/-: x}}}", JSON, "{}", r#"{"l":["x"]}"#),
        ("{json: {set: {'': new}}}", JSON, "[1]", r#""new""#),
        ("{json: {remove: [/a, /c/0]}}", JSON, r#"{"a":1,"b":2,"c":[1,2]}"#, r#"{"b":2,"c":[2]}"#),
        ("{json: {remove: /a, set: {/a: 2}}}", JSON, r#"{"a":1,"b":1}"#, r#"{"b":1,"a":2}"#),
        ("{json: {remove: /none}}", JSON, r#"{"kept": "as it is" }"#, r#"{"kept": "as it is" }"#),
        ("{json: {set: {/a: 1}}}", JSON, "no JSON", "no JSON"),
        ("{form: {set: {a: '{method}'}, remove: b, rename: {c: d}}}", FORM, "a=1&b=2&c=%33&e=+", "a=POST&d=3&e=+"),
        ("{form: {set: {a: 1}}}", "text/plain", "a=0", "a=0"),
        ("{replace: [{match: '(\\d+)', with: '<$1>'}]}", "text/plain", "a 12 b 3", "a <12> b <3>"),
        ("{replace: [{match: a, with: b}, {match: b, with: c}]}", "text/plain", "ab", "cc"),
        ("{replace: [{match: a, with: ''}]}", "text/plain", "aaa", ""),
        ("{content_type: [application/*, text/html], replace: [{match: a, with: b}]}", "text/plain", "a", "a"),
        ("{content_type: [application/*, text/html], replace: [{match: a, with: b}]}", "Text/HTML", "a", "b"),
        ("{json: {set: {/a: x}}, replace: [{match: x, with: y}]}", JSON, "{}", r#"{"a":"y"}"#),
    ] {
        assert_eq!(text(yaml, media_type, body), expected, "{yaml} {body}");
    }
}

#[test]
fn an_encoded_body_is_encoded_again_or_sent_without() {
    for coding in ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br"] {
        let headers = format!("Content-Encoding: {coding}\r\nContent-MD5: x\r\nContent-Length: 99\r\n");
        let sent = RequestHead::parse(&format!("{BOTH}{headers}\r\n").into()).unwrap();
        let codings = Codings::of(&sent.headers).unwrap();
        let body = || whole(codings.encode(b"some text, some text"));
        let (head, made) = rewritten("body: {replace: [{match: some, with: other}]}", &headers, body());
        let made = made.unwrap();
        assert_eq!(codings.decode(&made, 100).unwrap(), "other text, other text");
        let expected = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", made.len());
        assert!(head.ends_with(&format!("{expected}\r\n")), "{head}");
        // Nothing changed, but asked for without.
        let (head, made) = rewritten("body: {encoding: identity}", &headers, body());
        assert_eq!(made.unwrap(), "some text, some text");
        assert!(head.ends_with("\r\nContent-MD5: x\r\nContent-Length: 20\r\n\r\n"), "{head}");
    }
}

#[test]
fn what_cannot_be_read_goes_on_or_does_not() {
    let bomb = || {
        let head = RequestHead::parse(&format!("{BOTH}Content-Encoding: gzip\r\n\r\n").into()).unwrap();
        whole(Codings::of(&head.headers).unwrap().encode(&[b'a'; 2_000_000]))
    };
    for (coding, body) in [
        ("identity", Collected::TooLong),
        ("identity", Collected::Cut),
        ("gzip", whole("no gzip")),
        ("gzip", bomb()),
        ("compress", whole("a")),
    ] {
        let headers = format!("Content-Encoding: {coding}\r\nContent-Length: 5\r\n");
        let made = |unreadable: &str| {
            let yaml = format!("body: {{replace: [{{match: a, with: b}}], unreadable: {unreadable}}}");
            rewritten(&yaml, &headers, body.clone()).1
        };
        let kept = match &body {
            Collected::Whole { bytes, .. } => bytes.clone(),
            _ => Bytes::from_static(b"as it was"),
        };
        assert_eq!((made("pass"), made("withhold")), (Some(kept), None), "{coding} {body:?}");
    }
}

#[test]
fn a_request_without_a_body_does_not_wait_for_one() {
    let mut exchange = Exchange::of_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None);
    assert!(matches!(stage("body: {replace: [{match: a, with: b}]}").apply(&mut exchange), Verdict::Continue));
}

#[tokio::test]
async fn a_response_has_its_own_edits() {
    let mut exchange = Exchange::of_head(&format!("{BOTH}\r\n"), None);
    let yaml = "response: {status: 404, header: {remove: x-*, set: {X-New: '{query.n}'}}, body: {json: {set: {/a: '{path}'}}}}";
    assert!(matches!(stage(yaml).apply(&mut exchange), Verdict::Continue));
    let [change] = exchange.changes() else { panic!("one change") };
    let sent = "HTTP/1.1 200 OK\r\nX-Old: 1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    let (mut head, _) = ResponseHead::parse(&Bytes::from_static(sent.as_bytes())).unwrap().unwrap();
    change.head(&exchange, &mut head);
    let lines: Vec<_> = head.headers.iter().map(|line| (&line.name[..], &line.value[..])).collect();
    let expected: [(&[u8], &[u8]); 3] =
        [(b"Content-Type", b"application/json"), (b"Content-Length", b"2"), (b"X-New", b"5")];
    assert_eq!((head.status, &head.reason[..], lines.as_slice()), (404, &b"Not Found"[..], &expected[..]));
    assert_eq!(change.body_bound(&head), Some(1 << 20));
    let made = change.body(&exchange, &mut head, whole("{}")).await;
    assert_eq!(made, NewBody::Other(Bytes::from_static(br#"{"a":"/a"}"#)));
}

proptest! {
    /// Whatever the body and its framing were, the new one is as long as its head says.
    #[test]
    fn a_new_body_never_breaks_framing(
        body in "[a-c{}\":,=&]{0,30}",
        framing in prop::sample::select(vec!["Content-Length: 5", "Transfer-Encoding: chunked", "X: y", "Content-Length: 5\r\ncontent-length: 5"]),
        media_type in prop::sample::select(vec!["application/json", "application/x-www-form-urlencoded", "text/plain"]),
        yaml in prop::sample::select(vec![
            "{replace: [{match: 'a|$', with: xyz}]}",
            "{replace: [{match: '.', with: ''}]}",
            "{json: {set: {/a: '{header.x-v}'}, remove: /b}}",
            "{form: {set: {a: '{query.n}'}, append: {b: '{path}'}, remove: 'c*'}}",
        ]),
    ) {
        let headers = format!("{framing}\r\nContent-Type: {media_type}\r\n");
        let (head, made) = rewritten(&format!("body: {yaml}"), &headers, whole(body.clone()));
        let made = made.unwrap();
        let head = RequestHead::parse(&Bytes::from(head)).unwrap();
        match request_framing(&head) {
            Ok(Framing::Length(length)) => prop_assert!(length == made.len() as u64 || made == body),
            Ok(Framing::Chunked) => prop_assert!(framing.starts_with("Transfer")),
            Ok(Framing::None) => prop_assert!(made.is_empty() || framing == "X: y"),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
}
