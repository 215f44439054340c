//! What is not HTTP/1 on a redirected port passes as it is, byte for byte, and is counted.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::time::Duration;

use mirror_tests::curl::{self, curl};
use mirror_tests::redirected::{APP, Hosts, PROXY, by_each};
use mirror_tests::{Conn, Mirror, Server, WITHIN, is_there, wait_for};

const TLS: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Bytes that are no protocol's, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(next).collect()
}

fn tunnels(mirror: &Mirror, hosts: &Hosts, protocol: &str) -> f64 {
    hosts.server().within(|| {
        let metrics = mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_proxy_connections", &[]) == 0.0);
        metrics.sum("mirror_proxy_tunnels_total", &[&format!("protocol=\"{protocol}\"")])
    })
}

fn installed(hosts: &Hosts, backend: &str) -> Option<(Mirror, Server)> {
    // By one of them redirected, by the other not translated at all.
    let (mode, mirror) = match backend {
        "nft" => ("redirect", hosts.proxy(&[])?),
        _ => ("tproxy", hosts.tproxy(&[])?),
    };
    hosts.redirect(&format!("install --mode {mode} --inbound all --to {PROXY} --backend {backend}"));
    Some((mirror, hosts.target()))
}

#[test]
fn every_byte_passes_both_ways_and_an_end_is_passed_on() {
    by_each(|hosts, backend| {
        let Some((mirror, target)) = installed(hosts, backend) else { return };
        // It answers once the client has sent all, with what that was.
        let _app = hosts.server().within(|| {
            Server::script_at((Ipv6Addr::UNSPECIFIED, APP).into(), |mut conn| {
                let all = conn.to_end();
                conn.send(&all);
                conn.send("and that was all");
            })
        });
        let long = noise(3 << 20);
        let mut expected = 0;
        for server in hosts.servers(APP) {
            for (protocol, begin) in
                [("tls", TLS), ("http2", HTTP2), ("other", b"\x00\xff"), ("other", b"GET /\xe9 HTTP/1.1\r\n")]
            {
                let before = tunnels(&mirror, hosts, protocol);
                let mut client = hosts.client().within(|| Conn::open(server));
                // What it is may come byte by byte.
                for byte in begin {
                    client.send([*byte]);
                }
                client.send(&long);
                client.finish_sending();
                let answer = client.to_end();
                let said = [begin, &long, b"and that was all"].concat();
                assert!(answer == said, "{protocol}: {} bytes of {}", answer.len(), said.len());
                assert_eq!(tunnels(&mirror, hosts, protocol), before + 1.0, "{protocol}");
                expected += said.len();
            }
        }
        let metrics = hosts.server().within(|| mirror.metrics());
        let bytes = |direction: &str| {
            metrics.sum("mirror_proxy_tunnel_bytes_total", &[&format!("direction=\"{direction}\"")]) as usize
        };
        let ends = hosts.servers(APP).len() * 4 * b"and that was all".len();
        assert_eq!((bytes("up"), bytes("down")), (expected - ends, expected));
        assert_eq!((target.connections(), metrics.sum("mirror_source_exchanges_total", &[])), (0, 0.0));
    });
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    by_each(|hosts, backend| {
        let Some((mirror, _target)) = installed(hosts, backend) else { return };
        let _app = hosts.server().within(|| {
            Server::script_at((Ipv6Addr::UNSPECIFIED, APP).into(), |mut conn| {
                conn.send("220 ready\r\n");
                let line = conn.until("\r\n");
                conn.send(line);
                // Its end comes first.
                conn.finish_sending();
                conn.to_end();
            })
        });
        for server in hosts.servers(APP) {
            let mut client = hosts.client().within(|| Conn::open(server));
            assert_eq!(client.until("\r\n"), b"220 ready\r\n");
            // Though it looks like HTTP, it is too late for it to be.
            client.send("GET / HTTP/1.1\r\n");
            assert_eq!(client.to_end(), b"GET / HTTP/1.1\r\n");
            client.send("more");
            drop(client);
        }
        assert_eq!(tunnels(&mirror, hosts, "server_first"), hosts.servers(APP).len() as f64);
    });
}

/// A connection that says nothing for a while, and then HTTP, is proxied; one that is opened and closed, as by a port's probe, is seen by the application.
#[test]
fn who_is_silent_at_first_is_waited_for() {
    by_each(|hosts, backend| {
        let Some((mirror, target)) = installed(hosts, backend) else { return };
        let app = hosts.server().within(|| {
            Server::script_at((Ipv6Addr::UNSPECIFIED, APP).into(), |mut conn| {
                while conn.request().is_some() {
                    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            })
        });
        let server = hosts.servers(APP)[0];
        let mut client = hosts.client().within(|| Conn::open(server));
        assert!(client.is_silent_for(Duration::from_millis(300)));
        assert_eq!(client.exchange("GET /late HTTP/1.1\r\nHost: a\r\n\r\n").text(), "ok");
        assert_eq!(target.wait_request().start_line(), "GET /late HTTP/1.1");
        drop(client);
        let before = app.connections();
        let mut probe = hosts.client().within(|| Conn::open(server));
        probe.finish_sending();
        assert_eq!(probe.to_any_end(), b"");
        wait_for("the probe", WITHIN, || (app.connections() == before + 1).then_some(()));
        drop(mirror);
    });
}

/// Real peers, whose handshake ends when a byte of it is another.
#[test]
fn tls_is_between_the_client_and_the_application() {
    if !curl::is_there() || !is_there("openssl", &["version"]) {
        return;
    }
    by_each(|hosts, backend| {
        let Some((mirror, target)) = installed(hosts, backend) else { return };
        hosts
            .shell("openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=app -days 1 2>/dev/null");
        let app = format!("exec openssl s_server -accept {APP} -key key -cert cert -www -quiet");
        let mut app = hosts.server().within(|| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", &app]).current_dir(hosts.folder.path("")).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("openssl")
        });
        wait_for("openssl", WITHIN, || {
            let listening = hosts.server().within(|| Conn::try_open((Ipv4Addr::LOCALHOST, APP).into()));
            listening.ok().map(drop)
        });
        let pinned = hosts.folder.path("cert").display().to_string();
        for server in hosts.servers(APP) {
            let resolved = format!("app:{APP}:{}", server.ip());
            let url = format!("https://app:{APP}/");
            let page = hosts.client().within(|| curl(&["--cacert", &pinned, "--resolve", &resolved, &url]));
            assert!(String::from_utf8_lossy(&page).contains("s_server"), "the application's own page");
        }
        assert_eq!(tunnels(&mirror, hosts, "tls"), hosts.servers(APP).len() as f64);
        assert_eq!(target.connections(), 0);
        let _ = app.kill();
        let _ = app.wait();
    });
}

/// A word without an end of line may be all that is said, as to ZooKeeper.
#[test]
fn a_bare_word_is_passed_on() {
    let Some(hosts) = Hosts::new() else { return };
    let Some((mirror, _target)) = installed(&hosts, "nft") else { return };
    let _app = hosts.server().within(|| {
        Server::script_at((Ipv6Addr::UNSPECIFIED, APP).into(), |mut conn| {
            assert_eq!(conn.exactly(4), b"ruok");
            conn.send("imok");
        })
    });
    for server in hosts.servers(APP) {
        let mut client = hosts.client().within(|| Conn::open(server));
        client.send("ruok");
        assert_eq!(client.to_end(), b"imok");
    }
    assert_eq!(tunnels(&mirror, &hosts, "other"), hosts.servers(APP).len() as f64);
}

/// Where the application is told by a header who a client is, a tunnel begins with one too: what the client says is no header.
#[test]
fn a_tunnel_begins_with_the_header_that_the_application_asks_for() {
    let Some(hosts) = Hosts::new() else { return };
    let Some(_mirror) = hosts.proxy(&["--set=proxy.proxy_protocol.send=v1"]) else { return };
    hosts.redirect(&format!("install --inbound all --to {PROXY}"));
    let _app = hosts.server().within(|| {
        Server::script_at((Ipv6Addr::UNSPECIFIED, APP).into(), |mut conn| {
            let header = conn.until("\r\n");
            conn.send(header);
            let said = conn.until("\r\n");
            conn.send(said);
        })
    });
    for server in hosts.servers(APP) {
        let mut client = hosts.client().within(|| Conn::open(server));
        let forged = "PROXY TCP4 192.0.2.6 192.0.2.7 1 2\r\n";
        client.send(forged);
        let (family, us) = (if server.is_ipv4() { "TCP4" } else { "TCP6" }, client.local_address());
        let header = format!("PROXY {family} {} {} {} {}\r\n", us.ip(), server.ip(), us.port(), server.port());
        assert_eq!(String::from_utf8_lossy(&client.to_end()), format!("{header}{forged}"));
    }
}

/// Who has not said what it speaks when the proxy ends has nothing to lose, and holds nothing up.
#[test]
fn an_unclear_connection_does_not_hold_up_a_drain() {
    let Some(hosts) = Hosts::new() else { return };
    let Some((mirror, _target)) = installed(&hosts, "nft") else { return };
    let _app = hosts.server().within(|| {
        Server::script_at((Ipv6Addr::UNSPECIFIED, APP).into(), |mut conn| {
            conn.to_any_end();
        })
    });
    let mut silent: Vec<Conn> =
        hosts.servers(APP).into_iter().map(|server| hosts.client().within(|| Conn::open(server))).collect();
    hosts.server().within(|| {
        mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_proxy_connections", &[]) == silent.len() as f64);
    });
    mirror.signal(libc::SIGTERM);
    let exit = mirror.wait_exit();
    assert!(exit.status.success() && !exit.stderr.contains("drain timeout"), "{exit:#?}");
    silent.iter_mut().for_each(|client| drop(client.to_any_end()));
}
