//! HTTP/1.1 through the proxy: framing, order and head are what was sent, on both sides.

use mirror_tests::{Config, Mirror, Server};

/// An upstream and a target that answer 200, with `mirror` between them and its client.
fn mirrored(upstream: &Server) -> (Mirror, Server) {
    let target = Server::ok();
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow("target", target.address()));
    (mirror, target)
}

#[test]
fn a_request_is_answered_by_the_upstream_and_copied_to_the_target() {
    let upstream = Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nupstream");
    let (mirror, target) = mirrored(&upstream);

    let answer = mirror.connect().exchange("GET /a?b=c HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"upstream"[..]));

    assert_eq!(target.wait_request().head, "GET /a?b=c HTTP/1.1\r\nHost: app\r\nx-mirror-shadow: 1\r\n\r\n");
    assert_eq!(upstream.wait_request().head, "GET /a?b=c HTTP/1.1\r\nHost: app\r\n\r\n");
    mirror.wait_delivered("target", 1);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (1, 1));
}
