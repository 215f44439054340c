//! Upgrades, as WebSocket does them: the handshake is offered, the tunnel behind it passes untouched and is counted.

use mirror_tests::{Gate, Mirror, Server, WITHIN};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn every_byte() -> Vec<u8> {
    (0..=255).collect()
}

#[test]
fn a_tunnel_passes_every_byte_both_ways_and_its_handshake_is_copied() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send(ACCEPTED);
        // Looks like HTTP, and is none.
        assert_eq!(conn.exactly(256), every_byte());
        conn.send("HTTP/1.1 500 no\r\n\r\n0\r\n\r\n");
        assert_eq!(conn.exactly(18), b"GET / HTTP/1.1\r\n\r\n");
        conn.send(every_byte());
        conn.to_end();
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);

    let mut client = mirror.connect();
    client.send(HANDSHAKE);
    let answer = client.response();
    assert_eq!((answer.status(), answer.header("upgrade")), (101, Some("websocket")));
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client.send(every_byte());
    assert_eq!(client.exactly(24), b"HTTP/1.1 500 no\r\n\r\n0\r\n\r\n");
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.exactly(256), every_byte());
    drop(client);

    let proxied = upstream.wait_request();
    for (name, value) in [("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")] {
        assert_eq!(proxied.header_values(name), [value]);
    }
    assert_eq!(proxied.header("connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
    let copy = target.wait_request();
    assert_eq!(copy.head, HANDSHAKE.replace("==\r\n\r\n", "==\r\nx-mirror-shadow: 1\r\n\r\n"));

    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_proxy_connections", &[]) == 0.0);
    let metrics = mirror.wait_delivered("target", 1);
    assert_eq!(metrics.sum("mirror_proxy_tunnel_bytes_total", &["direction=\"up\""]), 256.0 + 18.0);
    assert_eq!(metrics.sum("mirror_proxy_tunnel_bytes_total", &["direction=\"down\""]), 24.0 + 256.0);
    assert_eq!(metrics.sum("mirror_source_aborted_total", &[]), 0.0, "a tunnel's end is no abort");
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (1, 1));
    assert_eq!(target.received_all(), copy.head.as_bytes(), "nothing of the tunnel");
}

#[test]
fn the_first_bytes_of_a_tunnel_may_come_with_its_handshake() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send([ACCEPTED.as_bytes(), b"hello at once"].concat());
        let reversed = conn.exactly(4).into_iter().rev().collect::<Vec<_>>();
        conn.send(reversed);
        conn.to_end();
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send(HANDSHAKE);
    assert_eq!(client.response().status(), 101);
    assert_eq!(client.exactly(13), b"hello at once");
    client.send("ping");
    assert_eq!(client.exactly(4), b"gnip");
}

#[test]
fn a_tunnel_outlives_the_copy_of_its_handshake_and_a_silent_client() {
    let talk = Gate::new();
    let upstream = Server::script({
        let talk = talk.clone();
        move |mut conn| {
            conn.request();
            conn.send(ACCEPTED);
            for word in ["one", "two", "three"] {
                talk.pass();
                conn.send(word);
            }
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send(HANDSHAKE);
    assert_eq!(client.response().status(), 101);
    mirror.wait_delivered("target", 1);
    for word in ["one", "two", "three"] {
        talk.open();
        assert_eq!(client.exactly(word.len()), word.as_bytes());
    }
    assert_eq!(client.to_end(), b"", "the upstream's end is the client's");
}

#[test]
fn an_upgrade_that_is_declined_is_an_ordinary_exchange() {
    let upstream = Server::answering(|_| "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    let answer = client.exchange(HANDSHAKE);
    assert_eq!((answer.status(), answer.text()), (426, "no".into()));
    mirror.wait_delivered("target", 1);
    assert_eq!(mirror.metrics().sum("mirror_proxy_tunnel_bytes_total", &[]), 0.0);
    assert_eq!(mirror.connect().exchange("GET /next HTTP/1.1\r\nHost: app\r\n\r\n").text(), "no");
}

#[test]
fn many_tunnels_at_once_are_each_their_own() {
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send(ACCEPTED);
        for _ in 0..20 {
            let word = conn.exactly(8);
            conn.send(word);
        }
    });
    let target = Server::ok();
    let mirror = Mirror::between(&upstream, &target);
    let mut clients: Vec<_> = (0..10).map(|_| mirror.connect()).collect();
    for client in &mut clients {
        client.send(HANDSHAKE);
        assert_eq!(client.response().status(), 101);
    }
    for round in 0..20 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(format!("{n:04}{round:04}"));
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.exactly(8), format!("{n:04}{round:04}").as_bytes());
        }
    }
    mirror.wait_delivered("target", 10);
}
