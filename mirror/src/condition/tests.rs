use bytes::Bytes;

use super::pattern::Kind;
use super::*;
use crate::http1::{RequestHead, ResponseHead};

const REQUEST: &str = "POST http://Shop.example:8080/api/v2/orders?user=a%20b&debug HTTP/1.1\r\nHost: other\r\nX-Team: red\r\nx-team: blue\r\n\
    Cookie: session=abc; theme=dark\r\nAuthorization: Bearer eyJ\r\nauthorization: basic Y3VzdG9tZXI3OnB3\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2048\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nRetry-After: 5\r\n\r\n";

/// What the expression says of a request alone, and of the whole exchange.
fn ask(expression: &str) -> (Option<bool>, Option<bool>) {
    let condition: Condition = expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"));
    let request = RequestHead::parse(&Bytes::from_static(REQUEST.as_bytes())).unwrap();
    let (response, _) = ResponseHead::parse(&Bytes::from_static(RESPONSE.as_bytes())).unwrap().unwrap();
    let alone = Facts {
        method: &request.method,
        target: &request.target,
        headers: &request.headers,
        client: Some("[::ffff:10.1.2.3]:4711".parse().unwrap()),
        source: "proxy",
        request_size: Some(2048),
        response: None,
    };
    let latency = Some(std::time::Duration::from_millis(120));
    let response = ResponseFacts { status: Some(503), headers: Some(&response.headers), latency, size: Some(10_000) };
    (condition.holds(&alone), condition.holds(&Facts { response: Some(response), ..alone }))
}

#[test]
fn of_a_request() {
    for (expression, holds) in [
        ("method = POST", true),
        ("method = post", false),
        ("method in GET POST", true),
        ("method in (GET, HEAD)", false),
        ("method != GET && path = /api/**", true),
        ("path = /api/*", false),
        ("path = /api/*/orders", true),
        ("path = /api/v[12]/{orders,carts}", true),
        ("path ~ ^/api/v[0-9]+/", true),
        ("path !~ \"^/api/\"", false),
        ("host = shop.EXAMPLE", true),
        ("host = *.example", true),
        ("host = other", false),
        ("target ~ \"orders[?]user=a%20b&\"", true),
        ("target ~ ^/api", false),
        ("basic_auth", true),
        ("basic_auth ~ ^customer[0-9]:", true),
        ("basic_auth = other:*", false),
        ("query", true),
        ("query = user=*", true),
        ("query.debug", true),
        ("query.user = \"a b\"", true),
        ("query.absent", false),
        ("header.X-Team = blue", true),
        ("not header.x-team = blue", false),
        ("header.X-Absent != blue", true),
        ("cookie.theme = dark and cookie.session", true),
        ("cookie.Theme", false),
        ("content_type = application/json", true),
        ("request_size >= 2KiB", true),
        ("request_size > 2KiB or request_size<1", false),
        ("request_size in 1-100 2048", true),
        ("client = 10.0.0.0/8", true),
        ("client in ::1 10.1.2.3", true),
        ("client != 10.0.0.0/8", false),
        ("source = proxy", true),
        ("(method = GET or method = POST) and !(host = other)", true),
        ("method = GET or method = POST and host = other", false),
        ("method=POST && path=/api/v2/orders", true),
    ] {
        assert_eq!(ask(expression), (Some(holds), Some(holds)), "{expression}");
    }
}

#[test]
fn of_a_response_that_may_not_be_there_yet() {
    for (expression, before, after) in [
        ("status = 503", None, true),
        ("status = 5xx", None, true),
        ("status in 200-299 404", None, false),
        ("status >= 500 and latency > 100ms", None, true),
        ("latency<=100ms", None, false),
        ("response_size > 1KiB", None, true),
        ("response_type = text/*", None, true),
        ("response_header.retry-after", None, true),
        ("not status = 200", None, true),
        // The request alone decides.
        ("method = GET and status = 503", Some(false), false),
        ("method = POST or status = 200", Some(true), true),
        ("method = POST and status = 200", None, false),
    ] {
        assert_eq!(ask(expression), (before, Some(after)), "{expression}");
        assert!(expression.parse::<Condition>().unwrap().needs_response());
    }
}

#[test]
fn what_is_no_condition_is_told_with_its_place() {
    for (expression, column, expected) in [
        ("", 1, "one of method, host, target, path"),
        ("verb = GET", 1, "one of method, host, target, path"),
        ("header. = x", 1, "one of method"),
        ("method = ", 10, "a value"),
        ("method = GET path", 14, "`and`, `or` or the end"),
        ("(method = GET", 14, "`)`"),
        ("method < GET", 8, "as method is a text"),
        ("status ~ 5..", 8, "as status is a number"),
        ("status = fine", 10, "a status, as in 404"),
        ("latency > soon", 11, "a time, as in 250ms"),
        ("request_size > much", 16, "a size, as in 64KiB"),
        ("client = 10.0.0.0/99", 10, "an address or a network"),
        ("client > 1", 8, "`=`, `!=` or `in`"),
        ("path = \"/a", 8, "a closing quote"),
        ("path ~ \"(\"", 8, "a regular expression"),
        ("path = /a[", 8, "a glob"),
        ("status = 500-400", 10, "a range whose end"),
        ("method in GET,", 15, "a value"),
    ] {
        let error = expression.parse::<Condition>().unwrap_err();
        assert_eq!(error.column, column, "{expression}: {error}");
        assert!(error.expected.contains(expected), "{expression}: {error}");
    }
    let deep = format!("{}method", "not ".repeat(10_000));
    assert!(deep.parse::<Condition>().unwrap_err().expected.contains("at most 64"));
}

#[test]
fn hosts_of_all_forms_of_a_target() {
    for (target, header, host, path) in [
        ("/a?b", "Host: x:80", Some("x"), "/a"),
        ("/a://b/c", "Host: [::1]:80", Some("[::1]"), "/a://b/c"),
        ("http://me@[::1]/?q", "Host: x", Some("[::1]"), "/"),
        ("https://h:1", "Host: x", Some("h"), ""),
        ("*", "Host: x", Some("x"), "*"),
        ("/", "X: x", None, "/"),
    ] {
        let wire = Bytes::from(format!("GET {target} HTTP/1.1\r\n{header}\r\n\r\n"));
        let request = RequestHead::parse(&wire).unwrap();
        let facts = Facts {
            method: &request.method,
            target: &request.target,
            headers: &request.headers,
            client: None,
            source: "capture",
            request_size: None,
            response: None,
        };
        assert_eq!(facts.host(), host.map(str::as_bytes), "{target}");
        assert_eq!(facts.path(), path.as_bytes(), "{target}");
    }
}

#[test]
fn globs_match_alike_with_a_regular_expression_behind_them_and_without() {
    for (glob, kind, like, unlike) in [
        ("X-A", Kind::AnyCase, vec!["x-a", "X-A"], vec!["x-ab", ""]),
        ("X-*", Kind::AnyCase, vec!["x-", "X-a/b"], vec!["x", "ax-"]),
        ("[Xx]-*", Kind::AnyCase, vec!["x-", "X-a/b"], vec!["x", "ax-"]),
        // Names and hosts are ASCII; of other letters the case is not known.
        ("É*", Kind::AnyCase, vec!["É", "É1"], vec!["é", "e"]),
        ("a*", Kind::Text, vec!["a", "a/b"], vec!["A", "ba"]),
        ("{a,a}*", Kind::Text, vec!["a", "a/b"], vec!["A", "ba"]),
        ("/a*", Kind::Path, vec!["/a", "/ab"], vec!["/a/b", "/A"]),
        ("*", Kind::Path, vec!["", "a"], vec!["/", "a/"]),
        ("**", Kind::Path, vec!["", "a/b"], vec![]),
        ("*", Kind::Text, vec!["", "a/b"], vec![]),
    ] {
        let pattern = Pattern::new(glob, kind).unwrap();
        like.iter().for_each(|text| assert!(pattern.matches(text.as_bytes()), "{glob} {text}"));
        unlike.iter().for_each(|text| assert!(!pattern.matches(text.as_bytes()), "{glob} {text}"));
    }
}
