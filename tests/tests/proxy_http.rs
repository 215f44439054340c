//! HTTP/1.1 through the proxy: every framing of a body, both ways, each on a connection that goes on to serve.

use mirror_tests::{Config, Gate, Mirror, Server, json};

/// A body of this length in which every place is recognisable.
fn long_body(length: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

#[test]
fn a_request_is_answered_by_the_upstream_and_copied_to_the_target() {
    let upstream = Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nupstream");
    let target = Server::answering(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\ntarget");
    let mirror = Mirror::between(&upstream, &target);

    let answer = mirror.connect().exchange("GET /a?b=c HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "upstream".into()));

    assert_eq!(upstream.wait_request().head, "GET /a?b=c HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(target.wait_request().head, "GET /a?b=c HTTP/1.1\r\nHost: app\r\nx-mirror-shadow: 1\r\n\r\n");
    mirror.wait_delivered("target", 1);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (1, 1));
}

#[test]
fn both_sides_keep_their_connections() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    for n in 0..10 {
        let answer = client.exchange(&format!("GET /{n} HTTP/1.1\r\nHost: app\r\n\r\n"));
        assert_eq!((answer.status(), answer.header("connection")), (200, Some("keep-alive")));
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(target.wait_requests(10).len(), 10);
}

#[test]
fn clients_share_the_pool_of_upstream_connections() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address()).set("proxy.threads", 1);
    let mirror = Mirror::start(config);
    for _ in 0..20 {
        let answer = mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
        assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    }
    // One client may come before the last one's connection is back in the pool.
    assert!(upstream.connections() <= 5, "{} connections for 20 clients, one after another", upstream.connections());
}

#[test]
fn chunked_bodies_go_both_ways() {
    let upstream = Server::answering(
        |_| "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n7;ext=1\r\n, world\r\n0\r\n\r\n",
    );
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();

    client.send("POST /up HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["one ", "two ", "three", ""] {
        client.send_chunk(piece);
    }
    let answer = client.response();
    assert_eq!((answer.header("transfer-encoding"), answer.text()), (Some("chunked"), "Hello, world".into()));

    for request in [upstream.wait_request(), target.wait_request()] {
        assert_eq!((request.header("transfer-encoding"), request.text()), (Some("chunked"), "one two three".into()));
        assert_eq!(request.header("content-length"), None);
    }
    assert_eq!(client.exchange("GET /again HTTP/1.1\r\nHost: app\r\n\r\n").text(), "Hello, world");
}

#[test]
fn long_bodies_go_both_ways_whole() {
    const LENGTH: usize = 8 << 20;
    let upstream = Server::answering(|request| {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()).as_bytes(), &request.body]
            .concat()
    });
    let target = Server::ok();
    let config = Config::upstream(upstream.address());
    let mirror = Mirror::start(config.shadow_with("target", target.address(), json!({ "lag": "64MiB" })));

    let mut client = mirror.connect();
    client.send(format!("PUT /long HTTP/1.1\r\nHost: app\r\nContent-Length: {LENGTH}\r\n\r\n"));
    client.send(long_body(LENGTH));
    let answer = client.response();
    assert!(answer.body == long_body(LENGTH), "the answer's {} bytes differ", answer.body.len());
    for request in [upstream.wait_request(), target.wait_request()] {
        assert!(request.body == long_body(LENGTH), "the request's {} bytes differ", request.body.len());
        assert_eq!(request.header("content-length"), Some(LENGTH.to_string().as_str()));
    }
}

#[test]
fn an_answer_that_ends_with_the_connection_arrives_whole() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
        conn.send("to the ");
        conn.send("end");
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let answer = mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "to the end".into()));
}

#[test]
fn events_arrive_one_by_one_before_the_end() {
    let next = Gate::new();
    let upstream = Server::script({
        let next = next.clone();
        move |mut conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            for n in 0..3 {
                next.pass();
                conn.send_chunk(format!("data: {n}\n\n"));
            }
            next.pass();
            conn.send_chunk("");
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    client.send("GET /events HTTP/1.1\r\nHost: app\r\nAccept: text/event-stream\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 "), "the head comes before the first event");
    for n in 0..3 {
        next.open();
        assert_eq!(client.chunk(), format!("data: {n}\n\n").as_bytes());
    }
    next.open();
    assert_eq!(client.chunk(), b"");
}

#[test]
fn a_long_poll_keeps_nobody_else_waiting() {
    let news = Gate::new();
    let upstream = Server::answering({
        let news = news.clone();
        move |request| {
            if request.start_line().contains("/poll") {
                news.pass();
            }
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews"
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut polling = mirror.connect();
    polling.send("GET /poll HTTP/1.1\r\nHost: app\r\n\r\n");
    upstream.wait_requests(1);
    for _ in 0..4 {
        assert_eq!(mirror.connect().exchange("GET /other HTTP/1.1\r\nHost: app\r\n\r\n").text(), "news");
    }
    // The copy does not wait for the upstream's answer either.
    assert!(target.wait_requests(5).iter().any(|copy| copy.start_line().contains("/poll")));
    news.open();
    assert_eq!(polling.response().text(), "news");
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let upstream = Server::answering(|request| match request.start_line().split(' ').nth(1) {
        Some("/head") => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Some("/chunked-head") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        Some("/204") => "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        Some("/304") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"1\"\r\n\r\n",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    let answer = client.exchange("HEAD /head HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.header("content-length")), (200, Some("5")));
    let answer = client.exchange("HEAD /chunked-head HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.header("content-length")), (200, None));
    let answer = client.exchange("GET /204 HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.header("x-a"), answer.header("transfer-encoding")), (204, Some("1"), None));
    let answer = client.exchange("GET /304 HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.header("content-length")), (304, Some("5")));
    let answer = client.exchange("GET /empty HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), answer.header("content-length")), (200, Some("0")));
    assert_eq!(upstream.connections(), 1, "each answer's end was known");

    target.wait_requests(5);
    mirror.wait_delivered("target", 5);
    assert_eq!(mirror.terminate().sink("target").delivered, 5);
}

#[test]
fn a_body_is_sent_once_the_upstream_says_100_continue() {
    let upstream = Server::script(|mut conn| {
        let mut request = mirror_tests::Message { head: conn.head(), ..Default::default() };
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        request.body = conn.exactly(5);
        conn.note(request);
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    client.send("PUT / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100 "), "before the body");
    client.send("hello");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(upstream.wait_request().text(), "hello");
    assert_eq!(target.wait_request().text(), "hello");
}

#[test]
fn an_upstream_that_does_not_want_the_body_says_so_before_it_is_sent() {
    let upstream = Server::script(|mut conn| {
        conn.head();
        conn.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    client.send("PUT / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (413, "no!".into()));
    drop(client);

    let settled = mirror.wait_for(mirror_tests::WITHIN, |metrics| metrics.settled("target") == 1);
    assert_eq!(settled.offered("target"), 1, "a copy that never became whole is accounted for");
    assert_eq!(mirror.terminate().sink("target").delivered, 0);
}

#[test]
fn early_hints_come_early() {
    let ready = Gate::new();
    let upstream = Server::script({
        let ready = ready.clone();
        move |mut conn| {
            conn.request();
            conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            ready.pass();
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    ready.open();
    let answer = client.response();
    assert_eq!((answer.status(), answer.text(), answer.interim.len()), (200, "ok".into(), 0));
}
