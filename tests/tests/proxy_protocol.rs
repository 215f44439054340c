//! The PROXY protocol on both sides: who the client is comes with a header, and goes on with one.

use mirror_tests::{Config, Conn, Mirror, Server, WITHIN, json};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// As a load balancer writes it, in both versions.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x40\0\x50";

fn accepting(upstream: &Server, target: &Server) -> Config {
    Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("proxy.proxy_protocol", json!({ "accept": true }))
        .set("proxy.forwarded", true)
        .set("pipeline", json!([{ "filter": "client = 192.0.2.7" }]))
}

#[test]
fn a_header_says_who_the_client_is() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::start(accepting(&upstream, &target));
    for (number, header) in [V1, V2].into_iter().enumerate() {
        let mut client = mirror.connect();
        // In one segment with the request, and cut within the header.
        match number {
            0 => client.send([header, GET.as_bytes()].concat()),
            _ => {
                client.send(&header[..20]);
                client.send([&header[20..], GET.as_bytes()].concat());
            }
        }
        assert_eq!(client.response().status(), 200);
        // A connection has one header, and any number of requests.
        assert_eq!(client.exchange(GET).status(), 200);
    }
    mirror.wait_delivered("target", 4);
    assert_eq!(upstream.requests().len(), 4);
    for request in upstream.requests() {
        assert_eq!(request.header("x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(request.head.lines().next(), Some("GET /a HTTP/1.1"), "nothing of the header goes on");
    }
    // What a load balancer asks for itself has no other client.
    let mut probe = mirror.connect();
    probe.send(["PROXY UNKNOWN\r\n", GET].concat());
    assert_eq!(probe.response().status(), 200);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (5, 4), "the filter knows the client");
}

#[test]
fn without_its_header_a_connection_is_refused() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::start(accepting(&upstream, &target));
    let answer = Conn::open(mirror.address()).exchange(GET);
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (400, "mirror: this connection has to begin with a PROXY header\n")
    );
    let mut other = mirror.connect();
    other.send(b"\x16\x03\x01 what is no HTTP gets no answer in it");
    other.to_any_end();
    let reason = "reason=\"proxy_header\"";
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_proxy_refused_total", &[reason]) == 2.0);
    assert_eq!(mirror.wait_log("a connection is refused")["reason"], "proxy_header");
    assert!(upstream.requests().is_empty());
    assert_eq!(mirror.terminate().seen, 0);
}

#[test]
fn the_application_is_told_who_the_client_is() {
    for version in ["v1", "v2"] {
        let upstream = Server::script(move |mut conn| {
            let header = match version {
                "v1" => conn.until("\r\n"),
                _ => conn.exactly(28),
            };
            conn.request();
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", header.len()));
            conn.send(header);
            // More of the same client comes on the same connection.
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
            conn.to_end();
        });
        let target = Server::ok();
        let config = Config::upstream(upstream.address())
            .shadow("target", target.address())
            .set("proxy.proxy_protocol", json!({ "send": version }));
        let mirror = Mirror::start(config);
        // Two clients at once: neither gets a connection that says it is the other.
        let mut clients = [mirror.connect(), mirror.connect()];
        for client in &mut clients {
            client.send(GET);
            let (port, listen) = (client.local_address().port(), mirror.address().port());
            let header = client.response().body.clone();
            let expected = match version {
                "v1" => format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {listen}\r\n").into_bytes(),
                _ => {
                    let ends = [&[127, 0, 0, 1, 127, 0, 0, 1], &port.to_be_bytes()[..], &listen.to_be_bytes()].concat();
                    [&V2[..16], &ends].concat()
                }
            };
            assert_eq!(header, expected, "{version}");
        }
        for client in &mut clients {
            assert_eq!(client.exchange(GET).text(), "again");
        }
        mirror.wait_delivered("target", 4);
        assert!(!target.received_all().windows(5).any(|bytes| bytes == b"PROXY"), "a target is told nothing");
        assert_eq!(mirror.terminate().seen, 4);
    }
}
