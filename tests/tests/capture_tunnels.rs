//! What stops being HTTP/1, or never was: the handshake is recorded and copied, the bytes behind it are counted, and nothing is read out of
//! them.

use mirror_tests::listener::{Listener, assert_arrived, assert_message};
use mirror_tests::{Stage, WITHIN};

const GET: &str = "GET /fake HTTP/1.1\r\nHost: app\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

fn every_byte() -> Vec<u8> {
    (0..=255).collect()
}

/// Waits until so many bytes are counted as no HTTP/1: they are when their connection has closed.
#[track_caller]
fn assert_opaque(listener: &Listener, bytes: usize) {
    listener.mirror.wait_for(WITHIN, |metrics| {
        metrics.sum("mirror_capture_stream_bytes_total", &["kind=\"opaque\""]) as usize == bytes
    });
}

/// A client says this and is answered so, and what follows is a tunnel.
#[track_caller]
fn assert_tunnel(request: &str, answer: &str) {
    let stage = Stage::new();
    let Some(listener) = Listener::to(stage.address()) else { return };
    let mut talk = stage.open();
    talk.client(request);
    // Its first bytes come with the answer.
    talk.server([answer.as_bytes(), &every_byte()].concat());
    talk.client(every_byte());
    // Looks like HTTP, and is none.
    talk.client(GET);
    talk.server([OK, "ok"].concat());
    talk.close();
    assert_opaque(&listener, 512 + GET.len() + OK.len() + 2);
    let (records, requests) = listener.end(1);
    assert_message(&records[0]["request"], request, b"");
    assert_message(&records[0]["response"], answer, b"");
    assert_eq!(requests[0].start_line(), request.split("\r\n").next().expect("a line"));
}

#[test]
fn an_upgrade_to_websocket() {
    assert_tunnel(
        "GET /chat HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
}

#[test]
fn an_upgrade_to_http2() {
    assert_tunnel(
        "GET /h2c HTTP/1.1\r\nHost: app\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    );
}

#[test]
fn a_connect() {
    assert_tunnel(
        "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n",
        "HTTP/1.1 200 Established\r\n\r\n",
    );
}

/// What follows is HTTP/1 as before.
#[test]
fn a_connect_and_an_upgrade_that_are_refused() {
    let connect = "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n";
    let upgrade = "GET /chat HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let no = "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n";
    let stage = Stage::new();
    let Some(listener) = Listener::to(stage.address()) else { return };
    let mut talk = stage.open();
    for request in [connect, upgrade, GET] {
        talk.client(request);
        talk.server(no);
    }
    talk.close();
    let (records, requests) = listener.end(3);
    for (record, request) in records.iter().zip([connect, upgrade, GET]) {
        assert_message(&record["request"], request, b"");
        assert_message(&record["response"], no, b"");
        assert_arrived(&requests, request, b"");
    }
}

/// HTTP/2 with prior knowledge, TLS, and what is no protocol that is known: no exchange comes of them, and others are heard meanwhile.
#[test]
fn what_was_never_http1() {
    let http2 = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let tls = [&[0x16, 3, 1, 0, 250, 1, 0, 0, 246, 3, 3][..], &[7; 244]].concat();
    for (client, server) in [
        (&http2[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0][..]),
        (&tls, &[0x16, 3, 3, 0, 2, 2, 0]),
        (&every_byte(), &every_byte()),
    ] {
        let stage = Stage::new();
        let Some(listener) = Listener::to(stage.address()) else { return };
        let (mut odd, mut usual) = (stage.open(), stage.open());
        odd.client(client);
        odd.server(server);
        usual.client(GET);
        odd.client(GET);
        odd.server([OK, "no"].concat());
        usual.server([OK, "ok"].concat());
        odd.close();
        usual.close();
        assert_opaque(&listener, client.len() + server.len() + GET.len() + OK.len() + 2);
        let (records, requests) = listener.end(1);
        assert_message(&records[0]["request"], GET, b"");
        assert_message(&records[0]["response"], OK, b"ok");
        assert_arrived(&requests, GET, b"");
    }
}
