//! The copies: when they start, where they go, which of them, how they are marked, over how many connections.

use std::collections::BTreeSet;

use mirror_tests::{Config, Conn, Gate, Mirror, Refusing, Server, Value, WITHIN, json, wait_for};

const GET: &str = "GET /p?q HTTP/1.1\r\nHost: app.example\r\n\r\n";

/// The copy of one GET under these settings.
#[track_caller]
fn copy_under(settings: Value) -> (String, Server) {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mut settings = settings;
    if let Some(path) = settings.get("target").and_then(|path| path.as_str()) {
        settings["target"] = json!(format!("http://{}{path}", target.address()));
    }
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow_with("target", target.address(), settings));
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    assert_eq!(upstream.wait_request().head, GET, "the upstream's stays as it is");
    (target.wait_request().head, target)
}

#[test]
fn a_copy_starts_before_the_body_ends() {
    for framing in ["Content-Length: 10\r\n\r\nfirst", "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"] {
        let (upstream, target) = (Server::ok(), Server::ok());
        let mirror = Mirror::between(&upstream, &target);
        let mut client = mirror.connect();
        client.send(format!("POST /upload HTTP/1.1\r\nHost: app\r\n{framing}"));
        wait_for("the head and the first bytes at the target", WITHIN, || {
            let received = String::from_utf8_lossy(&target.received(0)).into_owned();
            (received.starts_with("POST /upload HTTP/1.1\r\n") && received.contains("first")).then_some(())
        });
        assert_eq!(target.requests(), [], "it is not whole yet");
        client.send(if framing.starts_with('C') { "-last" } else { "5\r\n-last\r\n0\r\n\r\n" });
        assert_eq!(client.response().text(), "ok");
        assert_eq!(target.wait_request().text(), "first-last");
    }
}

#[test]
fn two_targets_get_the_same() {
    let (upstream, a, b) = (Server::ok(), Server::ok(), Server::ok());
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow("a", a.address()).shadow("b", b.address()));
    let mut client = mirror.connect();
    let answer = client.exchange("POST /1 HTTP/1.1\r\nHost: app\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.status(), 200);
    let (at_a, at_b) = (a.wait_request(), b.wait_request());
    assert_eq!((&at_a, at_a.text()), (&at_b, "hello".to_string()));
    mirror.wait_delivered("a", 1);
    mirror.wait_delivered("b", 1);
    let summary = mirror.terminate();
    assert_eq!((summary.sink("a").delivered, summary.sink("b").delivered), (1, 1));
}

#[test]
fn a_dead_target_costs_the_other_nothing() {
    let (upstream, dead, alive) = (Server::ok(), Refusing::new(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("dead", dead.address()).shadow("alive", alive.address());
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for _ in 0..20 {
        assert_eq!(client.exchange(GET).text(), "ok");
    }
    mirror.wait_delivered("alive", 20);
    mirror.wait_for(WITHIN, |metrics| metrics.settled("dead") == 20);
    let summary = mirror.terminate();
    let dead = summary.sink("dead");
    assert_eq!((summary.sink("alive").delivered, dead.offered, dead.delivered), (20, 20, 0));
    assert_eq!(dead.reason("failed connect") + dead.reason("dropped backoff"), 20, "{dead:?}");
}

#[test]
fn a_targets_path_is_put_before_the_requests_own() {
    assert!(copy_under(json!({ "target": "/base" })).0.starts_with("GET /base/p?q HTTP/1.1\r\nHost: app.example\r\n"));
    assert!(copy_under(json!({ "target": "/base/" })).0.starts_with("GET /base/p?q HTTP/1.1\r\nHost: app.example\r\n"));
}

#[test]
fn the_host_is_the_original_or_the_targets_or_a_literal() {
    let head = |host: &str| format!("GET /p?q HTTP/1.1\r\nHost: {host}\r\nx-mirror-shadow: 1\r\n\r\n");
    assert_eq!(copy_under(json!({})).0, head("app.example"));
    assert_eq!(copy_under(json!({ "host": "original" })).0, head("app.example"));
    assert_eq!(copy_under(json!({ "host": "staging.example:81" })).0, head("staging.example:81"));
    let (copy, target) = copy_under(json!({ "host": "target" }));
    assert_eq!(copy, head(&target.address().to_string()));
}

#[test]
fn the_marker_can_be_another_or_off() {
    for (marker, line) in
        [("off", ""), ("X-Copy: yes", "X-Copy: yes\r\n"), ("x-mirror-shadow: eu", "x-mirror-shadow: eu\r\n")]
    {
        let (upstream, target) = (Server::ok(), Server::ok());
        let config = Config::upstream(upstream.address()).shadow("target", target.address());
        let mirror = Mirror::start(config.set("marker", marker));
        mirror.connect().exchange(GET);
        assert_eq!(target.wait_request().head, GET.replace("\r\n\r\n", &format!("\r\n{line}\r\n")));
    }
}

#[test]
fn a_marked_request_is_proxied_and_not_mirrored_again() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    let marked = "GET /marked HTTP/1.1\r\nHost: app\r\nX-MIRROR-Shadow: whoever\r\n\r\n";
    assert_eq!(client.exchange(marked).text(), "ok");
    assert_eq!(client.exchange("GET /plain HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
    assert_eq!(upstream.wait_requests(2)[0].head, marked);
    mirror.wait_delivered("target", 1);
    let summary = mirror.terminate();
    assert_eq!(target.wait_request().start_line(), "GET /plain HTTP/1.1");
    let sink = summary.sink("target");
    assert_eq!((summary.seen, sink.offered, sink.reason("skipped marked")), (2, 1, 1));
}

/// Two mirrors that are each other's target: the copy of a copy is not made.
#[test]
fn a_loop_of_mirrors_ends() {
    let upstream = Server::ok();
    let second = Mirror::start(Config::upstream(upstream.address()).shadow("nobody", Refusing::new().address()));
    let first = Mirror::start(Config::upstream(upstream.address()).shadow("second", second.address()));
    assert_eq!(first.connect().exchange(GET).text(), "ok");
    first.wait_delivered("second", 1);
    assert_eq!(upstream.wait_requests(2).len(), 2);
    let summary = second.terminate();
    assert_eq!((summary.seen, summary.sink("nobody").offered), (1, 0));
}

/// Sends this many requests, each with its number in a header, over one connection.
fn send_numbered(mirror: &Mirror, count: usize) {
    let mut client = mirror.connect();
    for n in 0..count {
        assert_eq!(client.exchange(&format!("GET / HTTP/1.1\r\nHost: app\r\nX-Number: {n}\r\n\r\n")).text(), "ok");
    }
}

fn numbers(target: &Server) -> BTreeSet<usize> {
    target.requests().iter().filter_map(|copy| copy.header("x-number")?.parse().ok()).collect()
}

#[test]
fn a_fraction_takes_the_same_requests_to_all_targets() {
    let (upstream, a, b) = (Server::ok(), Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("a", a.address()).shadow("b", b.address());
    let mirror = Mirror::start(config.set("fraction", "25%"));
    send_numbered(&mirror, 400);
    let summary = mirror.terminate();

    assert_eq!((summary.seen, upstream.requests().len()), (400, 400));
    assert_eq!(numbers(&a), numbers(&b));
    let taken = numbers(&a).len() as u64;
    // A quarter is 100; the standard deviation is 8.7, and five of it are allowed.
    assert!((57..=143).contains(&taken), "{taken} of 400");
    for sink in ["a", "b"] {
        assert_eq!((summary.sink(sink).offered, summary.sink(sink).delivered), (taken, taken));
    }
}

#[test]
fn a_smaller_fraction_is_part_of_a_larger_one() {
    let (upstream, some, few, none) = (Server::ok(), Server::ok(), Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address())
        .shadow_with("some", some.address(), json!({ "fraction": "1/2" }))
        .shadow_with("few", few.address(), json!({ "fraction": "10%" }))
        .shadow_with("none", none.address(), json!({ "fraction": "0%" }));
    let mirror = Mirror::start(config);
    send_numbered(&mirror, 300);
    let summary = mirror.terminate();
    let (some, few) = (numbers(&some), numbers(&few));
    assert!(few.is_subset(&some), "{few:?} {some:?}");
    // 150 ± five times 8.7, and 30 ± five times 5.2.
    assert!((106..=194).contains(&some.len()) && (4..=56).contains(&few.len()), "{} and {}", some.len(), few.len());
    assert_eq!((none.connections(), summary.sink("none").offered), (0, 0));
}

#[test]
fn a_healthy_target_sees_no_more_connections_than_the_concurrency() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let settings = json!({ "concurrency": 4 });
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow_with("target", target.address(), settings));
    let address = mirror.address();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Conn::open(address);
                for _ in 0..25 {
                    assert_eq!(client.exchange(GET).text(), "ok");
                }
            });
        }
    });
    mirror.wait_delivered("target", 200);
    assert!(target.connections() <= 4, "{} connections", target.connections());
    assert_eq!(mirror.terminate().sink("target").delivered, 200);
}

#[test]
fn no_more_copies_than_the_concurrency_are_under_way() {
    let answer = Gate::new();
    let upstream = Server::ok();
    let target = Server::answering({
        let answer = answer.clone();
        move |_| {
            answer.pass();
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        }
    });
    let settings = json!({ "concurrency": 2, "queue": 3 });
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow_with("target", target.address(), settings));
    let mut client = mirror.connect();
    for n in 1..=10 {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_for(WITHIN, |metrics| metrics.offered("target") == n);
        if n == 2 {
            // Both are under way before the next comes, so that it is known which of them wait.
            target.wait_requests(2);
        }
    }
    assert_eq!((target.requests().len(), target.connections()), (2, 2));
    for _ in 0..5 {
        answer.open();
    }
    mirror.wait_delivered("target", 5);
    let summary = mirror.terminate();
    let sink = summary.sink("target");
    assert_eq!((sink.offered, sink.delivered, sink.reason("dropped queue_full")), (10, 5, 5), "{sink:?}");
}

#[test]
fn a_target_that_keeps_its_connection_sees_only_one() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    for n in 1..=10 {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_delivered("target", n);
    }
    assert_eq!(target.connections(), 1);
}

#[test]
fn a_target_that_closes_after_each_answer_still_gets_all() {
    let upstream = Server::ok();
    let target = Server::script(|mut conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end");
        }
    });
    let mirror = Mirror::between(&upstream, &target);
    send_numbered(&mirror, 20);
    mirror.wait_delivered("target", 20);
    assert_eq!(mirror.terminate().sink("target").delivered, 20);
    assert_eq!(numbers(&target).len(), 20);
}

#[test]
fn a_copy_that_finds_no_connection_is_tried_again_as_often_as_was_asked() {
    let (upstream, dead) = (Server::ok(), Refusing::new());
    let config = Config::upstream(upstream.address()).shadow_with("dead", dead.address(), json!({ "retries": 2 }));
    let mirror = Mirror::start(config);
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    let metrics = mirror.wait_settled(1);
    assert_eq!(metrics.failed("dead", "connect"), 1);
    assert_eq!(metrics.sum("mirror_shadow_retries_total", &[]), 2.0);
}
