//! One `mirror` takes another's place at the same port, and clients see nothing of it: as in a rollout, or when a program is replaced on a host.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use mirror_tests::{Config, Conn, Mirror, Server, WITHIN, json, wait_for, wrk};

/// How often it is replaced.
const TIMES: usize = 4;

/// How many requests come between one replacement and the next.
const BETWEEN: u64 = 200;

fn behind_one_port(listen: SocketAddr, upstream: &Server, target: &Server) -> Config {
    Config::upstream(upstream.address())
        .shadow_with("target", target.address(), json!({ "queue": 100_000 }))
        .set("listen", listen.to_string())
        .set("proxy.reuse_port", true)
}

/// Asks over a new connection each time, until it is told to end.
fn ask_anew(address: SocketAddr, asked: &AtomicU64, ended: &AtomicBool) {
    while !ended.load(Relaxed) {
        let answer = Conn::open(address).exchange("GET /anew HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.status(), 200);
        asked.fetch_add(1, Relaxed);
    }
}

/// Clients that keep their connections, and one that opens one for each request.
#[test]
fn one_takes_the_others_place_without_an_error() {
    if !wrk::is_there() {
        return;
    }
    let (upstream, target) = (Server::ok(), Server::ok());
    let any = "127.0.0.1:0".parse().expect("an address");
    let settings = |listen| behind_one_port(listen, &upstream, &target).set("proxy.drain_idle", "1s");
    let mut serving = Mirror::start(settings(any));
    let address = serving.address();
    let load = wrk::begin(address, 4);
    let (asked, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut seen = 0;
    let of_others = std::thread::scope(|scope| {
        let anew = scope.spawn(|| ask_anew(address, &asked, &ended));
        for _ in 0..TIMES {
            let before = asked.load(Relaxed);
            wait_for("requests", WITHIN, || {
                (asked.load(Relaxed) >= before + BETWEEN || anew.is_finished()).then_some(())
            });
            let next = Mirror::start(settings(address));
            let replaced = std::mem::replace(&mut serving, next).terminate();
            assert_eq!(replaced.sink("target").delivered, replaced.seen, "{replaced:#?}");
            seen += replaced.seen;
        }
        ended.store(true, Relaxed);
        anew.join().expect("no error");
        // That none of them was an error is asserted there.
        load.end()
    });
    let last = serving.terminate();
    seen += last.seen;
    let answered = of_others + asked.load(Relaxed);
    // What was under way when wrk ended is seen and has no answer.
    assert!((answered..=answered + 4).contains(&seen), "{answered} answered, {seen} seen");
}

/// What is taken while a port is left is answered, also where idle connections have no time to speak; and of three, two may leave at once.
#[test]
fn what_comes_last_is_answered() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let any = "127.0.0.1:0".parse().expect("an address");
    // One that looks at connections before it proxies them takes the last ones all the same.
    let settings = |listen| behind_one_port(listen, &upstream, &target).set("proxy.transparent", "redirect");
    let first = Mirror::start(settings(any));
    let address = first.address();
    let [second, stays] = [(); 2].map(|()| Mirror::start(settings(address)));
    let (asked, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let clients = [(); 3].map(|()| scope.spawn(|| ask_anew(address, &asked, &ended)));
        let more = |count| {
            let before = asked.load(Relaxed);
            wait_for("requests", WITHIN, || {
                let is_over = clients.iter().any(|client| client.is_finished());
                (asked.load(Relaxed) >= before + count || is_over).then_some(())
            });
        };
        more(BETWEEN);
        let leaving = [first, second];
        leaving.iter().for_each(|leaves| leaves.signal(libc::SIGTERM));
        leaving.into_iter().for_each(|leaves| drop(leaves.wait_exit().summary()));
        more(BETWEEN);
        ended.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("no error"));
    });
    stays.terminate();
}

#[test]
fn an_idle_client_may_speak_once_more() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("proxy.drain_idle", "10s"));
    let mut client = mirror.connect();
    assert_eq!(client.exchange("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    mirror.signal(libc::SIGTERM);
    mirror.wait_log("draining");
    wait_for("the port to be left", WITHIN, || Conn::try_open(mirror.address()).err());
    let last = client.exchange("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((last.status(), last.header("connection")), (200, Some("close")));
    // It does not wait for what is left of the ten seconds: nobody is there any more.
    let summary = mirror.wait_exit().summary();
    assert_eq!((summary.seen, summary.sink("target").delivered), (2, 2));
}
