//! Clients of every kind: pipelining, half-closing, HTTP/1.0, absolute-form, any method.

use std::time::Duration;

use mirror_tests::{Message, Mirror, Server};

/// Answers with the request's target as the body, so that answers tell whose they are.
fn telling() -> Server {
    Server::answering(|request| {
        let target = request.start_line().split(' ').nth(1).unwrap_or_default().to_owned();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len())
    })
}

fn targets(requests: &[Message]) -> Vec<&str> {
    requests.iter().filter_map(|request| request.start_line().split(' ').nth(1)).collect()
}

#[track_caller]
fn pipelined(count: usize) {
    let (upstream, target) = (telling(), telling());
    let mirror = Mirror::between(&upstream, &target);
    let sent: Vec<_> = (0..count).map(|n| format!("/{n}")).collect();

    let mut client = mirror.connect();
    client.send(sent.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")).collect::<String>());
    for path in &sent {
        assert_eq!(client.response().text(), *path, "answers come in the order of the requests");
    }

    assert_eq!(targets(&upstream.wait_requests(count)), sent);
    let copies = target.wait_requests(count);
    let mut copied = targets(&copies);
    copied.sort_by_key(|path| path[1..].parse::<usize>().ok());
    assert_eq!(copied, sent, "each is copied once");
    mirror.wait_delivered("target", count as u64);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (count as u64, count as u64));
}

#[test]
fn two_pipelined_requests_are_both_answered_and_copied() {
    pipelined(2);
}

#[test]
fn twenty_pipelined_requests_are_all_answered_in_order_and_copied() {
    pipelined(20);
}

#[test]
fn pipelined_requests_keep_their_own_bodies() {
    let upstream = Server::answering(|request| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.body.len(), request.text())
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: app\r\nContent-Length: 3\r\n\r\none\
         POST /2 HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET /3 HTTP/1.1\r\nHost: app\r\n\r\n\
         POST /4 HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nfour",
    );
    let answers: Vec<_> = (0..4).map(|_| client.response().text()).collect();
    assert_eq!(answers, ["one", "two", "", "four"]);

    let mut copies = target.wait_requests(4);
    copies.sort_by_key(|copy| copy.start_line().split_once(' ').map(|(_, path)| path.to_owned()));
    assert_eq!(copies.iter().map(Message::text).collect::<Vec<_>>(), ["one", "two", "", "four"]);
    assert_eq!(targets(&copies), ["/1", "/2", "/3", "/4"]);
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_answer() {
    for request in [
        "GET / HTTP/1.1\r\nHost: app\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let upstream = Server::answering(|_| {
            // Long enough that the proxy sees the client's end before there is an answer; no event tells of that.
            std::thread::sleep(Duration::from_millis(50));
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        });
        let target = Server::ok();
        let mirror = Mirror::between(&upstream, &target);

        let mut client = mirror.connect();
        client.send(request);
        client.finish_sending();
        assert_eq!(client.response().text(), "ok", "{request:?}");
        assert_eq!(client.to_end(), b"");
        target.wait_request();
        mirror.wait_delivered("target", 1);
        let metrics = mirror.metrics();
        assert_eq!(metrics.sum("mirror_source_aborted_total", &[]), 0.0, "{request:?}");
    }
}

#[test]
fn an_absolute_target_reaches_both_with_its_authority() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let request = "GET http://app.example/a?b HTTP/1.1\r\nHost: app.example\r\n\r\n";
    assert_eq!(mirror.connect().exchange(request).status(), 200);

    let proxied = upstream.wait_request();
    assert!(
        ["GET /a?b HTTP/1.1", "GET http://app.example/a?b HTTP/1.1"].contains(&proxied.start_line()),
        "{:?}",
        proxied.head
    );
    assert_eq!(proxied.header_values("host"), ["app.example"]);
    let copy = target.wait_request();
    assert_eq!(copy.head, "GET http://app.example/a?b HTTP/1.1\r\nHost: app.example\r\nx-mirror-shadow: 1\r\n\r\n");
}

/// RFC 9112 section 3.2.2: a proxy that gets an absolute-form target ignores the Host that came with it. Refusing the
/// contradiction is as safe; the two must only not reach anyone together.
#[test]
fn an_absolute_target_and_another_host_never_pass_together() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let answer = mirror.connect().exchange("GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n");
    match answer.status() {
        400 => {
            assert_eq!(upstream.requests(), []);
            mirror.terminate();
            assert_eq!(target.requests(), [], "what the proxy refuses is not copied");
        }
        200 => assert_eq!(upstream.wait_request().header_values("host"), ["a.example"]),
        other => panic!("{other}"),
    }
}

#[test]
fn the_asterisk_form_is_kept() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    assert_eq!(mirror.connect().exchange("OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n").status(), 200);
    assert_eq!(upstream.wait_request().start_line(), "OPTIONS * HTTP/1.1");
    assert_eq!(target.wait_request().start_line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn any_method_passes_with_and_without_a_body() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    let methods =
        ["GET", "POST", "DELETE", "PATCH", "TRACE", "PROPFIND", "QUERY", "PURGE", "M-SEARCH", "lower", "a!#$%&'*+"];
    for (n, method) in methods.into_iter().enumerate() {
        let answer = client.exchange(&format!("{method} /{n} HTTP/1.1\r\nHost: app\r\n\r\n"));
        assert_eq!(answer.text(), "ok", "{method}");
        let answer = client.exchange(&format!("{method} /{n} HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nbody"));
        assert_eq!(answer.text(), "ok", "{method} with a body");
    }
    let mut requests = [upstream.wait_requests(2 * methods.len()), target.wait_requests(2 * methods.len())];
    for side in &mut requests {
        for (n, method) in methods.into_iter().enumerate() {
            let line = format!("{method} /{n} HTTP/1.1");
            let mut bodies: Vec<_> =
                side.iter().filter(|request| request.start_line() == line).map(Message::text).collect();
            bodies.sort();
            assert_eq!(bodies, ["", "body"], "{method}");
        }
    }
}

#[test]
fn an_http_1_0_client_is_answered_and_its_connection_closed() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send("GET /old HTTP/1.0\r\nHost: app\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), answer.text(), answer.header("connection")), (200, "ok".into(), Some("close")));
    assert_eq!(client.to_end(), b"");
    assert!(target.wait_request().head.starts_with("GET /old HTTP/1."));
}

#[test]
fn an_http_1_0_client_that_asks_for_it_keeps_its_connection() {
    let (upstream, target) = (telling(), telling());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    for path in ["/1", "/2"] {
        let answer = client.exchange(&format!("GET {path} HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n"));
        assert_eq!((answer.text().as_str(), answer.header("connection")), (path, Some("keep-alive")));
    }
}

/// RFC 9112 section 6.1: no Transfer-Encoding in an answer to an HTTP/1.0 client, which would not understand it.
#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let upstream =
        Server::answering(|_| "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    for connection in ["close", "keep-alive"] {
        let mut client = mirror.connect();
        client.send(format!("GET / HTTP/1.0\r\nHost: app\r\nConnection: {connection}\r\n\r\n"));
        let answer = client.response();
        assert_eq!((answer.header("transfer-encoding"), answer.text()), (None, "hello".into()), "{connection}");
    }
}

#[test]
fn an_http_1_0_client_needs_no_host() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    target.wait_request();
    // One of HTTP/1.1 would be refused without it.
    assert_eq!(upstream.wait_request().start_line(), "GET / HTTP/1.0");
}
