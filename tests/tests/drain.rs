//! The end: what runs finishes within a limit, all accounts are settled, and the exit code means something.

use mirror_tests::{Config, Conn, Gate, Mirror, Server, WITHIN, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// An upstream that answers when the gate lets it.
fn held(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::answering(move |_| {
        gate.pass();
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    })
}

/// So long that nothing here waits for it to pass.
const NEVER: &str = "1h";

#[test]
fn a_running_exchange_finishes_and_then_it_exits_with_the_sums() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let answer = Gate::new();
        let (upstream, target) = (held(&answer), Server::ok());
        let config = Config::upstream(upstream.address()).shadow("target", target.address());
        let mirror = Mirror::start(config.set("drain_timeout", NEVER));
        let mut client = mirror.connect();
        client.send(GET);
        upstream.wait_requests(1);

        mirror.signal(signal);
        mirror.wait_log("draining");
        let address = mirror.address();
        wait_for("new connections to be refused", WITHIN, || Conn::try_open(address).is_err().then_some(()));

        answer.open();
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (200, "done".into()));
        let exit = mirror.wait_exit();
        assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
        let summary = exit.summary();
        summary.assert_exact();
        assert_eq!((summary.seen, summary.sink("target").delivered), (1, 1));
    }
}

#[test]
fn it_is_not_ready_while_it_drains() {
    let answer = Gate::new();
    let (upstream, target) = (held(&answer), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", NEVER));
    let mut client = mirror.connect();
    client.send(GET);
    upstream.wait_requests(1);
    assert_eq!((mirror.admin("/healthz").status(), mirror.admin("/readyz").status()), (200, 200));

    mirror.signal(libc::SIGTERM);
    mirror.wait_log("draining");
    wait_for("not to be ready", WITHIN, || (mirror.admin("/readyz").status() == 503).then_some(()));
    assert_eq!(mirror.admin("/healthz").status(), 200, "and yet alive");
    answer.open();
    assert_eq!(client.response().status(), 200);
    assert_eq!(mirror.wait_exit().status.code(), Some(0));
}

#[test]
fn an_upload_that_runs_is_taken_to_its_end() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", NEVER));
    let mut client = mirror.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nfirst");
    wait_for("the first half upstream", WITHIN, || upstream.received(0).ends_with(b"first").then_some(()));
    mirror.signal(libc::SIGTERM);
    mirror.wait_log("draining");
    client.send("-last");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(mirror.wait_exit().summary().sink("target").delivered, 1);
    assert_eq!([upstream.wait_request().text(), target.wait_request().text()], ["first-last", "first-last"]);
}

#[test]
fn idle_connections_hold_nothing_up() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", NEVER));
    let mut idle: Vec<_> = (0..3).map(|_| mirror.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.exchange(GET).status(), 200);
    }
    let mut fresh = mirror.connect();
    wait_for("four connections", WITHIN, || {
        (mirror.metrics().sum("mirror_proxy_connections", &[]) == 4.0).then_some(())
    });
    mirror.wait_delivered("target", 3);
    assert_eq!(mirror.terminate().sink("target").delivered, 3);
    assert_eq!(fresh.to_any_end(), b"");
    assert_eq!(idle[0].to_any_end(), b"");
}

#[test]
fn the_drain_timeout_cuts_what_does_not_finish() {
    let never = Gate::new();
    let (upstream, target) = (held(&never), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", "200ms"));
    let mut client = mirror.connect();
    client.send(GET);
    upstream.wait_requests(1);
    mirror.wait_delivered("target", 1);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (1, 1));
    assert_eq!(client.to_any_end(), b"");
}

#[test]
fn what_a_target_has_not_answered_in_time_is_dropped_and_counted() {
    let never = Gate::new();
    let (upstream, target) = (Server::ok(), held(&never));
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", "200ms"));
    let mut client = mirror.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange(GET).status(), 200);
    }
    target.wait_requests(3);
    let summary = mirror.terminate();
    let sink = summary.sink("target");
    assert_eq!((sink.offered, sink.delivered, sink.reason("dropped shutdown")), (3, 0, 3), "{summary:#?}");
}

#[test]
fn copies_that_run_are_taken_to_their_end() {
    let answer = Gate::new();
    let (upstream, target) = (Server::ok(), held(&answer));
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", NEVER));
    assert_eq!(mirror.connect().exchange(GET).status(), 200);
    target.wait_requests(1);
    mirror.signal(libc::SIGTERM);
    mirror.wait_log("draining");
    answer.open();
    let exit = mirror.wait_exit();
    assert_eq!((exit.status.code(), exit.summary().sink("target").delivered), (Some(0), 1));
}

#[test]
fn a_second_signal_ends_at_once() {
    let never = Gate::new();
    let (upstream, target) = (held(&never), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", NEVER));
    let mut client = mirror.connect();
    client.send(GET);
    upstream.wait_requests(1);
    mirror.signal(libc::SIGTERM);
    mirror.wait_log("draining");
    mirror.signal(libc::SIGTERM);
    let exit = mirror.wait_exit();
    assert!(exit.status.code().is_some_and(|code| code != 0), "it says that it was cut short: {exit:#?}");
}

#[test]
fn a_tunnel_is_cut_when_the_drain_is_over() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        conn.to_any_end();
    });
    let target = Server::ok();
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("drain_timeout", "200ms"));
    let mut client = mirror.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().status(), 101);
    mirror.wait_delivered("target", 1);
    assert_eq!(mirror.terminate().sink("target").delivered, 1);
    assert_eq!(client.to_any_end(), b"");
}

#[test]
fn it_ends_by_itself_after_exit_after() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let exit = Mirror::start(config.set("exit_after", "200ms")).wait_exit();
    assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
    assert_eq!(exit.summary().seen, 0);
}

#[test]
fn flags_say_the_same_as_a_file() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let (upstream_address, target_address) = (upstream.address().to_string(), target.address().to_string());
    let mirror = Mirror::start_with(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream_address,
        "--shadow",
        &target_address,
        "--admin",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--exit-after",
        "2s",
    ]);
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    let exit = mirror.wait_exit();
    assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
    let summary = exit.summary();
    summary.assert_exact();
    assert_eq!((summary.seen, summary.sinks.values().map(|sink| sink.delivered).sum::<u64>()), (1, 1));
}

#[test]
fn a_signal_right_after_the_start_drains_too() {
    let (upstream, target) = (Server::ok(), Server::ok());
    for _ in 0..20 {
        let mirror = Mirror::between(&upstream, &target);
        assert_eq!(mirror.terminate().seen, 0);
    }
}
