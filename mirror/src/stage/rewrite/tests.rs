use proptest::prelude::*;

use super::*;

mod bodies;
use crate::http1::{Framing, request_framing};

const REQUEST: &str = "POST /api/v1/users?id=7&name=a%20b&debug HTTP/1.1\r\nHost: shop.example:8080\r\nuser-agent: curl/8.1\r\nX-A: 1\r\n\
    X-B: 2\r\nx-a: 3\r\nCookie: session=s3; theme=dark\r\nContent-Length: 5\r\n\r\n";

/// The head as it is written after the stage.
fn rewritten(yaml: &str, request: &str) -> String {
    let mut exchange = Exchange::of_head(request, Some("10.1.2.3:4711".parse().unwrap()));
    let stage = Rewrite::new(&serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}")));
    assert!(matches!(stage.apply(&mut exchange), Verdict::Continue));
    wire(&exchange.request)
}

fn wire(head: &RequestHead) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let lines = head.headers.iter().map(|line| format!("{}: {}\r\n", text(&line.name), text(&line.value)));
    format!("{} {} {}\r\n{}\r\n", text(&head.method), text(&head.target), head.version(), lines.collect::<String>())
}

#[test]
fn one_edit_changes_one_thing() {
    for (yaml, from, to) in [
        ("method: PURGE", "POST", "PURGE"),
        ("host: staging.example", "shop.example:8080", "staging.example"),
        ("host: {match: '^shop[.](.*):8080', with: '$1'}", "shop.example:8080", "example"),
        ("host: {match: '^other', with: x}", "", ""),
        ("target: {match: '/v1/(\\w+)[?]id=', with: '/v2/${1}?user='}", "/api/v1/users?id=7", "/api/v2/users?user=7"),
        (
            "target: [{match: '^/none', with: /a}, {match: '^/api', with: 'b c'}, {match: debug, with: ''}]",
            "/api/v1/users",
            "/b%20c/v1/users",
        ),
        ("host: '{header.x-a}.{client}'", "shop.example:8080", "1.10.1.2.3"),
        ("path: {prefix: /api/v1, with: /v2}", "/api/v1/users", "/v2/users"),
        ("path: {prefix: /api/v1/, with: /}", "/api/v1/users", "/users"),
        ("path: {prefix: /api/v, with: /x}", "", ""),
        ("path: {match: '^/api/v(?<n>[0-9])/', with: '/V${n}0/'}", "/api/v1/users", "/V10/users"),
        ("path: {with: '/{method}{path}'}", "/api/v1/users", "/POST/api/v1/users"),
        ("path: {match: users, with: 'a b?#'}", "/api/v1/users", "/api/v1/a%20b%3F%23"),
        ("path: {match: '^/', with: ''}", "", ""),
        ("query: {set: {id: 8}}", "id=7", "id=8"),
        ("query: {set: {new: '{query.name}&'}}", "&debug", "&debug&new=a+b%26"),
        ("query: {remove: '*'}", "?id=7&name=a%20b&debug", ""),
        ("query: {remove: [id, debug]}", "id=7&name=a%20b&debug", "name=a%20b"),
        ("query: {rename: {name: n}}", "name=a%20b", "n=a+b"),
        ("query: {append: {id: 9}}", "&debug", "&debug&id=9"),
        ("query: {replace: [{name: i*, match: '\\d', with: 'x$0'}]}", "id=7", "id=x7"),
        ("header: {set: {User-Agent: mirror}}", "user-agent: curl/8.1", "user-agent: mirror"),
        ("header: {set: {X-A: 9}}", "X-A: 1\r\nX-B: 2\r\nx-a: 3", "X-A: 9\r\nX-B: 2"),
        (
            "header: {set: {X-Path: '{{{path}}} {target}'}}",
            "Length: 5\r\n",
            "Length: 5\r\nX-Path: {/api/v1/users} /api/v1/users?id=7&name=a%20b&debug\r\n",
        ),
        ("header: {append: {X-A: '{id}'}}", "Length: 5\r\n", "Length: 5\r\nX-A: 00000000000000000000000000000007\r\n"),
        ("header: {remove: ['x-?', User-Agent]}", "user-agent: curl/8.1\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\n", ""),
        ("header: {rename: {x-b: X-C}}", "X-B: 2", "X-C: 2"),
        ("header: {replace: [{name: User-Agent, match: '^(\\w+)/', with: '$1 '}]}", "curl/8.1", "curl 8.1"),
        ("cookie: {set: {session: other}}", "session=s3", "session=other"),
        ("cookie: {remove: session}", "session=s3; ", ""),
        ("cookie: {remove: '*'}", "Cookie: session=s3; theme=dark\r\n", ""),
        ("cookie: {append: {a: 'b;c'}}", "theme=dark", "theme=dark; a=bc"),
        ("{when: method = GET, method: PUT}", "", ""),
        ("{when: method = POST, method: PUT}", "POST", "PUT"),
    ] {
        assert_eq!(rewritten(yaml, REQUEST), REQUEST.replacen(from, to, 1), "{yaml}");
    }
}

#[test]
fn all_but_what_frames_the_message_goes_with_a_star() {
    let framed = "POST / HTTP/1.1\r\nHost: a\r\nA: 1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert_eq!(rewritten("header: {remove: '*'}", framed), framed.replace("A: 1\r\n", ""));
}

#[test]
fn other_forms_of_a_target() {
    for (yaml, target, expected) in [
        ("host: b", "http://me@a:1/x?y", "/x?y"),
        ("host: b", "http://a", "/"),
        ("host: b", "http://a?y", "/?y"),
        ("host: b", "*", "*"),
        ("path: {with: /n}", "http://a:1/x?y", "http://a:1/n?y"),
        ("path: {with: /n}", "http://a", "http://a/n"),
        ("path: {with: n}", "*", "*"),
        ("query: {set: {a: 1}}", "/x", "/x?a=1"),
        ("query: {set: {a: 1}}", "/x?", "/x?a=1"),
    ] {
        let of = |target: &str, host: &str| format!("OPTIONS {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let host = if yaml.starts_with("host") { "b" } else { "h" };
        assert_eq!(rewritten(yaml, &of(target, "h")), of(expected, host), "{yaml} {target}");
    }
}

proptest! {
    /// Whatever a request has and wherever it is put, what comes out is one request, framed as it was.
    #[test]
    fn a_rewrite_never_breaks_framing(
        path in "/[!-~]{0,12}",
        value in "[ -~\t]{0,12}",
        query in "([a-z%&=+;]|%0d|%0a|%20|%00){0,24}",
        framing in prop::sample::select(vec!["Content-Length: 5", "Transfer-Encoding: chunked", "X: y"]),
        stage in prop::sample::select(vec![
            "host: '{query.a}{header.x-v}'",
            "path: {with: '/{query.a}{header.x-v}{cookie.c}'}",
            "path: {match: '.', with: '$0 '}",
            "query: {set: {a: '{header.x-v}', b: '{path}'}, remove: '?'}",
            "header: {set: {X-New: '{query.a}{path}'}, append: {X-More: '{query.b}'}, remove: '*e*', rename: {x-v: X-W}}",
            "header: {replace: [{name: '**', match: '.', with: \"\\r\\n\"}]}",
            "cookie: {set: {c: '{query.a}', d: '{header.x-v}'}, append: {e: '{query.b}'}}",
        ]),
    ) {
        let target = format!("{}?a={query}&b={query}", path.replace('?', ""));
        let request = format!("POST {target} HTTP/1.1\r\nHost: h\r\nX-V: {value}\r\nCookie: c={value}\r\n{framing}\r\n\r\n");
        let Ok(before) = RequestHead::parse(&Bytes::from(request.clone())) else { return Ok(()) };
        let after = rewritten(stage, &request);
        let head = RequestHead::parse(&Bytes::from(after.clone()));
        let head = match head {
            Ok(head) => head,
            Err(error) => return Err(TestCaseError::fail(format!("{error}: {after:?}"))),
        };
        prop_assert_eq!(request_framing(&head).unwrap_or(Framing::Close), request_framing(&before).unwrap(), "{}", after);
        prop_assert_eq!(crate::http1::head_length(after.as_bytes()), Some(after.len()), "{}", after);
        prop_assert_eq!(&head.method, &before.method);
    }
}
