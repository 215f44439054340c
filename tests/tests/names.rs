//! A name that moves to another address is followed without a restart.

use std::net::{Ipv4Addr, SocketAddr};

use mirror_tests::{Config, Mirror, Names, Server, WITHIN, json, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// Two servers on the same port of two addresses.
fn pair(server: impl Fn(SocketAddr) -> Server) -> (Server, Server) {
    let old = server((Ipv4Addr::new(127, 0, 0, 2), 0).into());
    let new = server((Ipv4Addr::new(127, 0, 0, 3), old.address().port()).into());
    (old, new)
}

fn ok_at(address: SocketAddr) -> Server {
    Server::script_at(address, |mut conn| {
        while conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {}
    })
}

#[track_caller]
fn send(mirror: &Mirror, count: u64) {
    let mut client = mirror.connect();
    for _ in 0..count {
        let before = mirror.metrics().offered("target");
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_settled(before + 1);
    }
}

/// Looked up for each copy here, so that each goes where the name leads at that moment.
#[test]
fn copies_go_where_the_targets_name_leads_now() {
    let Some(names) = Names::new() else { return };
    let upstream = Server::ok();
    let (old, new) = pair(ok_at);
    let target = format!("http://next.example:{}", old.address().port());
    let settings = json!({ "target": target, "resolve_every": "1ns" });
    let mirror = names.start(&Config::upstream(upstream.address()).shadow_with("target", old.address(), settings));

    send(&mirror, 1);
    assert_eq!(mirror.metrics().failed("target", "resolve"), 1, "there is no such name yet");
    names.set("next.example", old.address().ip());
    send(&mirror, 10);
    assert_eq!((old.requests().len(), new.requests().len()), (10, 0));

    names.set("next.example", new.address().ip());
    send(&mirror, 10);
    assert_eq!(
        (old.requests().len(), new.requests().len()),
        (10, 10),
        "although the old one's connection is still good"
    );

    // A name server that fails is no reason to lose a copy.
    names.clear();
    send(&mirror, 10);
    assert_eq!((old.requests().len(), new.requests().len()), (10, 20));
    let summary = mirror.terminate();
    let sink = summary.sink("target");
    assert_eq!((sink.delivered, sink.reason("failed resolve")), (30, 1), "{sink:?}");
}

/// By default neither is looked up more often than every few seconds.
#[test]
fn requests_and_copies_follow_names_within_seconds() {
    let Some(names) = Names::new() else { return };
    let (old_upstream, new_upstream) = pair(ok_at);
    let (old_target, new_target) = pair(ok_at);
    let at = |server: &Server| format!("http://app.example:{}", server.address().port());
    names.set("app.example", old_upstream.address().ip());
    let config = Config::upstream(old_upstream.address()).set("upstream", at(&old_upstream)).shadow_with(
        "target",
        old_target.address(),
        json!({ "target": at(&old_target) }),
    );
    let mirror = names.start(&config);
    send(&mirror, 1);
    assert_eq!((old_upstream.requests().len(), old_target.requests().len()), (1, 1));

    names.set("app.example", new_upstream.address().ip());
    wait_for("a request and a copy at the new address", WITHIN, || {
        send(&mirror, 1);
        (!new_upstream.requests().is_empty() && !new_target.requests().is_empty()).then_some(())
    });
    let (upstream, target) = (old_upstream.requests().len(), old_target.requests().len());
    send(&mirror, 10);
    assert_eq!((old_upstream.requests().len(), old_target.requests().len()), (upstream, target));
    let seen = mirror.terminate();
    assert_eq!(seen.sink("target").delivered, seen.seen);
}
