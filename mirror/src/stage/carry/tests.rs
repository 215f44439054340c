use super::*;

/// A stage that carries these values.
fn carry(values: &str) -> Carry {
    let config = serde_yaml::from_str(&format!("{{values: {values}}}")).unwrap_or_else(|e| panic!("{values}: {e}"));
    Carry::new(&config, "target", &Telemetry::new())
}

fn sent(stage: &Carry, head: &str) -> Exchange {
    let mut exchange = Exchange::of_head(&format!("{head}\r\n\r\n"), None);
    assert!(matches!(stage.apply(&mut exchange), Verdict::Continue), "{head}");
    exchange
}

/// The request's lines once it is through.
fn lines(exchange: &Exchange) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<_> =
        exchange.request.headers.iter().map(|line| format!("{}: {}", text(&line.name), text(&line.value))).collect();
    format!("{} {}", text(&exchange.request.target), lines.join(", "))
}

fn head(lines: &str) -> ResponseHead {
    let wire = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    ResponseHead::parse(&Bytes::from(wire)).unwrap().unwrap().0
}

async fn application(exchange: &Exchange, lines: &str, body: &'static str) {
    let mut head = head(lines);
    for change in exchange.changes() {
        change.head(exchange, &mut head);
        if change.body_bound(&head).is_some() {
            let body = Collected::Whole { bytes: Bytes::from_static(body.as_bytes()), trailers: None };
            assert_eq!(change.body(exchange, &mut head, body).await, NewBody::Same);
        }
    }
}

async fn target(exchange: &Exchange, lines: &str, body: &'static str) {
    let mut response = Response {
        head: head(lines),
        body: vec![Bytes::from_static(body.as_bytes())],
        body_length: body.len() as u64,
        trailers: None,
        truncated: None,
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
    };
    for change in exchange.changes() {
        change.answer(exchange, &mut response).await;
    }
}

#[tokio::test]
async fn a_value_comes_back_to_who_handed_it_out() {
    let json = "Content-Type: application/json";
    for (value, old, new, before, after) in [
        (
            "cookie:s",
            ("Set-Cookie: t=9\r\nSet-Cookie: s=old; Path=/", ""),
            ("Set-Cookie: s=new; HttpOnly", ""),
            "GET / HTTP/1.1\r\nCookie: a=old; s=old;b=2\r\nX: old",
            "/ Cookie: a=old; s=new;b=2, X: old",
        ),
        (
            "header:X-Csrf",
            ("x-csrf: old", ""),
            ("X-Csrf: new", ""),
            "GET / HTTP/1.1\r\nx-CSRF: old\r\nX-Csrf: other",
            "/ x-CSRF: new, X-Csrf: other",
        ),
        (
            "json:/auth/token -> header",
            (json, r#"{"auth": {"token": "old"}}"#),
            (json, r#"{"auth": {"token": "new"}}"#),
            "GET / HTTP/1.1\r\nAuthorization: Bearer old",
            "/ Authorization: Bearer new",
        ),
        (
            "json:/id -> query:id",
            (json, r#"{"id": 7}"#),
            ("Content-Type: application/hal+json", r#"{"id": 8}"#),
            "GET /x?a=%20&id=7&id=9 HTTP/1.1\r\nX: 7",
            "/x?a=%20&id=8&id=9 X: 7",
        ),
    ] {
        for target_first in [false, true] {
            let stage = carry(value);
            let login = sent(&stage, "POST /login HTTP/1.1\r\nHost: a");
            if target_first {
                target(&login, new.0, new.1).await;
            }
            application(&login, old.0, old.1).await;
            if !target_first {
                target(&login, new.0, new.1).await;
            }
            assert_eq!(lines(&sent(&stage, before)), after, "{value}");
        }
    }
}

#[tokio::test]
async fn a_request_waits_for_the_answer_that_its_value_comes_with() {
    let stage = carry("cookie:s");
    let login = sent(&stage, "GET / HTTP/1.1\r\nHost: a");
    application(&login, "Set-Cookie: s=old", "").await;
    let mut next = Exchange::of_head("GET / HTTP/1.1\r\nCookie: s=old\r\n\r\n", None);
    let Verdict::Wait(Need::Work(work)) = stage.apply(&mut next) else { panic!("it has to wait") };
    target(&login, "Set-Cookie: s=new", "").await;
    assert!(matches!(work.await(&mut next), Verdict::Continue));
    assert_eq!(lines(&next), "/ Cookie: s=new");
    assert_eq!((stage.0.carried.get(), stage.0.late.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn it_does_not_wait_for_ever() {
    for (is_lost, late) in [(true, 0), (false, 1)] {
        let stage = carry("cookie:s");
        let login = sent(&stage, "GET / HTTP/1.1\r\nHost: a");
        application(&login, "Set-Cookie: s=old", "").await;
        let mut next = Exchange::of_head("GET / HTTP/1.1\r\nCookie: s=old\r\n\r\n", None);
        let Verdict::Wait(Need::Work(work)) = stage.apply(&mut next) else { panic!("it has to wait") };
        // Without an answer, or with none as long as is waited.
        let kept = (!is_lost).then_some(login);
        assert!(matches!(work.await(&mut next), Verdict::Continue));
        assert_eq!((lines(&next).as_str(), stage.0.late.get()), ("/ Cookie: s=old", late));
        drop(kept);
    }
}

#[tokio::test]
async fn the_oldest_are_forgotten() {
    let config = serde_yaml::from_str("{values: cookie:s, most: 2}").unwrap();
    let stage = Carry::new(&config, "target", &Telemetry::new());
    for (old, new) in [
        ("Set-Cookie: s=a", "Set-Cookie: s=A"),
        ("Set-Cookie: s=b", "Set-Cookie: s=B"),
        ("Set-Cookie: s=c", "Set-Cookie: s=C"),
    ] {
        let login = sent(&stage, "GET / HTTP/1.1\r\nHost: a");
        application(&login, old, "").await;
        target(&login, new, "").await;
    }
    let after = ["a", "b", "c"].map(|value| lines(&sent(&stage, &format!("GET / HTTP/1.1\r\nCookie: s={value}"))));
    assert_eq!(after, ["/ Cookie: s=a", "/ Cookie: s=B", "/ Cookie: s=C"]);
}

#[tokio::test]
async fn a_long_body_is_looked_into_too() {
    let stage = carry("json:/token -> header");
    let login = sent(&stage, "POST /login HTTP/1.1\r\nHost: a");
    let long = |token: &str| -> &'static str {
        format!(r#"{{"rest": "{}", "token": "{token}"}}"#, "x".repeat(100_000)).leak()
    };
    application(&login, "Content-Type: application/json", long("old")).await;
    target(&login, "Content-Type: application/json", long("new")).await;
    let next = sent(&stage, "GET / HTTP/1.1\r\nAuthorization: Bearer old");
    assert_eq!(lines(&next), "/ Authorization: Bearer new");
}
