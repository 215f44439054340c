//! Copies that go to a target in their order: one after another, or pipelined.

use std::time::Duration;

use mirror_tests::{Config, Mirror, Server, WITHIN, json};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: session={}\r\n\r\n", &path[1..2])
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A target that answers nothing before a file of this name is there.
fn gated(gate: &std::path::Path) -> Server {
    let gate = gate.to_owned();
    Server::answering(move |_| {
        while !gate.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        OK
    })
}

fn mirror(upstream: &Server, target: &Server, order: mirror_tests::Value, queue: usize) -> Mirror {
    let settings = json!({ "order": order, "queue": queue });
    Mirror::start(Config::upstream(upstream.address()).shadow_with("target", target.address(), settings))
}

fn lines(target: &Server) -> Vec<(usize, String)> {
    target.requests().iter().map(|request| (request.connection, request.start_line().to_owned())).collect()
}

#[test]
fn each_waits_for_the_one_before_it_and_for_no_other() {
    for (order, paths) in
        [(json!("connection"), ["/a1", "/a2", "/a3"]), (json!("cookie.session"), ["/a1", "/a2", "/a3"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let gate = folder.path().join("open");
        let (upstream, target) = (Server::ok(), gated(&gate));
        let mirror = mirror(&upstream, &target, order.clone(), 16);
        let mut client = mirror.connect();
        paths.iter().for_each(|path| drop(client.exchange(&get(path))));
        // Others are not behind them.
        mirror.connect().exchange(&get("/b1"));
        let mut first: Vec<String> =
            target.wait_requests(2).iter().map(|request| request.start_line().to_owned()).collect();
        first.sort();
        assert_eq!(first, ["GET /a1 HTTP/1.1", "GET /b1 HTTP/1.1"], "{order}");
        mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_shadow_order_waiting", &[]) == 2.0);
        std::fs::write(&gate, "").unwrap();
        target.wait_requests(4);
        let of_a: Vec<(usize, String)> = lines(&target).into_iter().filter(|(_, line)| line.contains("/a")).collect();
        let expected: Vec<String> = paths.iter().map(|path| format!("GET {path} HTTP/1.1")).collect();
        assert_eq!(of_a.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>(), expected, "{order}");
        assert!(of_a.iter().all(|(connection, _)| *connection == of_a[0].0), "one connection: {of_a:?}");
        assert_eq!(mirror.terminate().sink("target").delivered, 4);
    }
}

#[test]
fn a_session_goes_on_over_its_users_connections() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let (upstream, target) = (Server::ok(), gated(&gate));
    let mirror = mirror(&upstream, &target, json!({ "by": "cookie.session" }), 16);
    for path in ["/a1", "/a2", "/a3"] {
        mirror.connect().exchange(&get(path));
    }
    assert_eq!(target.wait_request().start_line(), "GET /a1 HTTP/1.1");
    std::fs::write(&gate, "").unwrap();
    let lines: Vec<String> = target.wait_requests(3).iter().map(|request| request.start_line().to_owned()).collect();
    assert_eq!(lines, ["GET /a1 HTTP/1.1", "GET /a2 HTTP/1.1", "GET /a3 HTTP/1.1"]);
}

#[test]
fn as_many_wait_as_may() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let (upstream, target) = (Server::ok(), gated(&gate));
    let mirror = mirror(&upstream, &target, json!("connection"), 2);
    let mut client = mirror.connect();
    for path in ["/a1", "/a2", "/a3", "/a4", "/a5"] {
        client.exchange(&get(path));
        target.wait_request();
    }
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_sink_dropped_total", &["queue_full"]) == 2.0);
    std::fs::write(&gate, "").unwrap();
    target.wait_requests(3);
    let summary = mirror.terminate();
    let sink = summary.sink("target");
    assert_eq!((sink.delivered, sink.reason("dropped queue_full")), (3, 2));
}

#[test]
fn pipelined_they_do_not_wait_for_answers() {
    let target = Server::script(|mut conn| {
        // Three requests, then three answers in one piece.
        for _ in 0..3 {
            conn.request().expect("a request");
        }
        conn.send(OK.repeat(3));
        while conn.request().is_some() {
            conn.send(OK);
        }
    });
    let upstream = Server::ok();
    let mirror = mirror(&upstream, &target, json!({ "by": "connection", "pipelined": true }), 16);
    let mut client = mirror.connect();
    client.exchange(&get("/a1"));
    client.exchange("POST /a2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    client.exchange(&get("/a3"));
    let requests = target.wait_requests(3);
    let told: Vec<_> =
        requests.iter().map(|request| (request.connection, request.start_line(), request.text())).collect();
    let expected = [(0, "GET /a1 HTTP/1.1", ""), (0, "POST /a2 HTTP/1.1", "hello"), (0, "GET /a3 HTTP/1.1", "")];
    assert_eq!(told, expected.map(|(connection, line, body)| (connection, line, body.to_owned())));
    mirror.wait_for(WITHIN, |metrics| metrics.settled("target") == 3);
    // The connection is there for what comes later.
    client.exchange(&get("/a4"));
    assert_eq!(target.wait_requests(4)[3].connection, 0);
    assert_eq!(mirror.terminate().sink("target").delivered, 4);
}

#[test]
fn what_a_closing_target_did_not_answer_is_sent_again() {
    let target = Server::script(|mut conn| {
        if conn.number() == 0 {
            for _ in 0..3 {
                conn.request().expect("a request");
            }
            conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            return;
        }
        while conn.request().is_some() {
            conn.send(OK);
        }
    });
    let upstream = Server::ok();
    let mirror = mirror(&upstream, &target, json!({ "by": "connection", "pipelined": true }), 16);
    let mut client = mirror.connect();
    for path in ["/a1", "/a2"] {
        client.exchange(&get(path));
    }
    client.exchange("POST /a3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    target.wait_requests(5);
    let told: Vec<(usize, String)> = lines(&target);
    let again = [(1, "GET /a2 HTTP/1.1".to_owned()), (1, "POST /a3 HTTP/1.1".to_owned())];
    assert_eq!(told[3..], again, "{told:?}");
    assert_eq!(mirror.terminate().sink("target").delivered, 3);
}

#[test]
fn a_connection_that_breaks_takes_along_what_was_on_it() {
    let target = Server::script(|mut conn| {
        if conn.number() > 0 {
            while conn.request().is_some() {
                conn.send(OK);
            }
            return;
        }
        for _ in 0..3 {
            conn.request().expect("a request");
        }
        conn.send(OK);
        conn.reset();
    });
    let upstream = Server::ok();
    let mirror = mirror(&upstream, &target, json!({ "by": "connection", "pipelined": true }), 16);
    let mut client = mirror.connect();
    for path in ["/a1", "/a2", "/a3"] {
        client.exchange(&get(path));
    }
    mirror.wait_for(WITHIN, |metrics| metrics.settled("target") == 3);
    client.exchange(&get("/a4"));
    target.wait_requests(4);
    let summary = mirror.terminate();
    let sink = summary.sink("target");
    assert_eq!((sink.delivered + sink.reason("failed reset"), sink.delivered >= 1), (4, true), "{summary:?}");
}
