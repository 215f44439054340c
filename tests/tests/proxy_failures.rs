//! What fails at the upstream or at the client is told, logged with whose fault it is, and accounted for.

use mirror_tests::{BlackHole, Config, Gate, Message, Mirror, Refusing, Server, Value, WITHIN, json, wait_for};

/// One request to an upstream that fails; what the client is told and what is logged.
#[track_caller]
fn failing(config: Config, request: &str) -> (Message, Value, Mirror) {
    let mirror = Mirror::start(config);
    let answer = mirror.connect().exchange(request);
    let line = mirror.wait_log("exchange failed");
    (answer, line, mirror)
}

const GET: &str = "GET /path?q HTTP/1.1\r\nHost: app\r\n\r\n";

#[test]
fn an_upstream_that_refuses_is_a_502() {
    let (upstream, target) = (Refusing::new(), Server::ok());
    let (answer, line, mirror) = failing(Config::upstream(upstream.address()).shadow("target", target.address()), GET);
    assert_eq!(answer.status(), 502);
    assert!(answer.text().contains("refused"), "{:?}", answer.text());
    assert_eq!((&line["fault"], &line["status"], &line["method"]), (&json!("upstream"), &json!(502), &json!("GET")));
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("refused")), "{line}");

    // The request was whole: it is copied whatever became of it here.
    assert_eq!(target.wait_request().start_line(), "GET /path?q HTTP/1.1");
    mirror.wait_delivered("target", 1);
    assert_eq!(mirror.metrics().sum("mirror_source_aborted_total", &["fault=\"upstream\""]), 1.0);
    assert_eq!(mirror.terminate().sink("target").delivered, 1);
}

#[test]
fn an_upload_to_an_upstream_that_refuses_is_accounted_for() {
    let (upstream, target) = (Refusing::new(), Server::ok());
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow("target", target.address()));
    let mut client = mirror.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status(), 502);
    mirror.wait_for(WITHIN, |metrics| metrics.settled("target") == 1);
    assert_eq!(mirror.terminate().sink("target").offered, 1);
}

#[test]
fn an_upstream_that_closes_or_resets_before_its_answer_is_a_502() {
    let reset = Server::script(|mut conn| {
        conn.request();
        conn.reset();
    });
    let close = Server::script(|mut conn| drop(conn.request()));
    let cut = Server::script(|mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Le");
    });
    for upstream in [reset, close, cut] {
        let target = Server::ok();
        let (answer, line, mirror) =
            failing(Config::upstream(upstream.address()).shadow("target", target.address()), GET);
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains("closed or reset"), "{:?}", answer.text());
        assert_eq!(line["fault"], "upstream");
        target.wait_request();
        assert_eq!(mirror.terminate().sink("target").delivered, 1);
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_passed_off_as_whole() {
    for (answer, reset) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello", false),
    ] {
        let seen = Gate::new();
        let upstream = Server::script({
            let seen = seen.clone();
            move |mut conn| {
                conn.request();
                conn.send(answer);
                seen.pass();
                if reset {
                    conn.reset();
                }
            }
        });
        let target = Server::ok();
        let mirror = Mirror::between(&upstream, &target);
        let mut client = mirror.connect();
        client.send(GET);
        assert!(client.head().starts_with("HTTP/1.1 200 "));
        seen.open();
        let rest = client.to_any_end();
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 10 + 9, "{answer:?} came as {rest:?}");

        mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_source_aborted_total", &["fault=\"upstream\""]) == 1.0);
        assert_eq!(mirror.wait_log("exchange failed")["fault"], "upstream");
        target.wait_request();
        assert_eq!(mirror.terminate().sink("target").delivered, 1);
    }
}

#[test]
fn an_upstream_that_speaks_something_else_is_a_502() {
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "\0\0\0\0\0\0\r\n\r\n",
    ] {
        let upstream = Server::answering(move |_| garbage);
        let target = Server::ok();
        let (answer, line, _mirror) =
            failing(Config::upstream(upstream.address()).shadow("target", target.address()), GET);
        assert_eq!(answer.status(), 502, "{garbage:?}");
        assert!(answer.text().starts_with("mirror: "), "{:?}", answer.text());
        assert_eq!(line["fault"], "upstream", "{garbage:?}: {line}");
        target.wait_request();
    }
}

#[test]
fn an_upstream_that_never_answers_is_a_504() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.to_any_end();
    });
    let target = Server::ok();
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let (answer, line, mirror) = failing(config.set("proxy.read_timeout", "200ms"), GET);
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("said nothing for 200ms"), "{:?}", answer.text());
    assert_eq!((&line["fault"], &line["status"]), (&json!("upstream"), &json!(504)));
    target.wait_request();
    assert_eq!(mirror.terminate().sink("target").delivered, 1);
}

#[test]
fn an_upstream_that_falls_silent_within_its_answer_ends_it() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        conn.to_any_end();
    });
    let target = Server::ok();
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("proxy.read_timeout", "200ms"));
    let mut client = mirror.connect();
    client.send(GET);
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    assert!(client.to_any_end().len() < 10);
    assert_eq!(mirror.wait_log("exchange failed")["fault"], "upstream");
}

#[test]
fn an_upstream_that_cannot_be_reached_is_a_504() {
    let (upstream, target) = (BlackHole::new(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let (answer, line, _mirror) = failing(config.set("proxy.connect_timeout", "200ms"), GET);
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("within 200ms"), "{:?}", answer.text());
    assert_eq!(line["fault"], "upstream");
}

/// The upstream closes a pooled connection just as the next request is on its way: the proxy sends it again, on another.
#[track_caller]
fn on_a_stale_connection(second: &str) -> (Message, Server, Server, Mirror) {
    let upstream = Server::script(|mut conn| {
        while conn.request().is_some() {
            let (connection, requests) = (conn.number(), conn.received_requests());
            if connection == 0 && requests == 2 {
                return;
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    assert_eq!(client.exchange("GET /first HTTP/1.1\r\nHost: app\r\n\r\n").status(), 200);
    let answer = client.exchange(second);
    (answer, upstream, target, mirror)
}

#[test]
fn a_request_that_the_proxy_sends_again_is_mirrored_once() {
    for second in [
        "GET /second HTTP/1.1\r\nHost: app\r\n\r\n",
        "PUT /second HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /second HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        let (answer, upstream, target, mirror) = on_a_stale_connection(second);
        let body = if second.starts_with("PUT") { "hello" } else { "" };
        assert_eq!(answer.status(), 200, "{second:?}");
        let seen = upstream.requests();
        let seen: Vec<_> = seen.iter().map(|request| (request.connection, request.text())).collect();
        assert_eq!(seen, [(0, String::new()), (0, body.into()), (1, body.into())]);

        mirror.wait_delivered("target", 2);
        let summary = mirror.terminate();
        assert_eq!((summary.seen, summary.sink("target").offered), (2, 2));
        let copies = target.requests();
        let second: Vec<_> = copies.iter().filter(|copy| copy.start_line().contains("/second")).collect();
        assert_eq!((second.len(), second[0].text()), (1, body.to_string()), "once, with its body once");
    }
}

#[test]
fn an_upstream_that_closes_idle_connections_costs_nobody_a_request() {
    let upstream = Server::script(|mut conn| {
        if conn.request().is_some() {
            // It says that it keeps the connection, and does not.
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    for _ in 0..50 {
        assert_eq!(client.exchange(GET).text(), "ok");
    }
    mirror.wait_delivered("target", 50);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered, upstream.requests().len()), (50, 50, 50));
}

/// It may have taken effect already (RFC 9110 section 9.2.2).
#[test]
fn a_post_is_not_sent_twice() {
    let (answer, upstream, target, mirror) =
        on_a_stale_connection("POST /second HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.status(), 502);
    assert_eq!(upstream.requests().len(), 2);
    assert_eq!(target.wait_requests(2).len(), 2);
    assert_eq!(mirror.terminate().sink("target").delivered, 2);
}

#[test]
fn a_client_that_leaves_within_its_upload_is_accounted_for() {
    for (framing, reset) in [
        ("Content-Length: 10\r\n\r\nhello", false),
        ("Content-Length: 10\r\n\r\nhello", true),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false),
    ] {
        let (upstream, target) = (Server::ok(), Server::ok());
        let mirror = Mirror::between(&upstream, &target);
        let mut client = mirror.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: app\r\n{framing}"));
        wait_for("the first half upstream", WITHIN, || {
            upstream.received(0).windows(5).any(|window| window == b"hello").then_some(())
        });
        if reset {
            client.reset()
        } else {
            drop(client)
        }

        mirror.wait_for(WITHIN, |m| m.sum("mirror_source_aborted_total", &["fault=\"downstream\""]) == 1.0);
        mirror.wait_for(WITHIN, |metrics| metrics.settled("target") == 1);
        let summary = mirror.terminate();
        let sink = summary.sink("target");
        assert_eq!((summary.seen, sink.offered, sink.reason("dropped aborted")), (1, 1, 1), "{framing:?}");
        assert_eq!((upstream.requests(), target.requests()), (vec![], vec![]), "half a request is nowhere a whole one");
    }
}

#[test]
fn a_client_that_leaves_within_its_download_is_accounted_for() {
    let (left, done) = (Gate::new(), Gate::new());
    let upstream = Server::script({
        let (left, done) = (left.clone(), done.clone());
        move |mut conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            left.pass();
            // Nobody reads this any more, so the proxy must let go of it.
            while conn.try_send([&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat()).is_ok() {}
            done.open();
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send(GET);
    client.until("hello");
    client.reset();
    left.open();
    done.pass();

    mirror.wait_for(WITHIN, |m| m.sum("mirror_source_aborted_total", &["fault=\"downstream\""]) == 1.0);
    mirror.wait_delivered("target", 1);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (1, 1), "the request itself was whole");
}

#[test]
fn a_client_that_leaves_before_its_answer_is_accounted_for() {
    let answer = Gate::new();
    let upstream = Server::answering({
        let answer = answer.clone();
        move |_| {
            answer.pass();
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send(GET);
    upstream.wait_requests(1);
    client.reset();
    answer.open();
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_proxy_connections", &[]) == 0.0);
    mirror.wait_delivered("target", 1);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").offered), (1, 1));
}
