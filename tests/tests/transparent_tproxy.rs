//! `--transparent tproxy`: the application sees its clients' own addresses. The proxy has CAP_NET_ADMIN, and nothing else.

use std::net::SocketAddr;

use mirror_tests::curl::{self, curl};
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::redirected::{APP, PROXY, TARGET, UID, by_each, curl_as, filter_reverse_paths, telling};
use mirror_tests::{Conn, Unprivileged, WITHIN};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

#[test]
fn the_application_sees_the_clients_own_address() {
    if !curl::is_there() {
        return;
    }
    by_each(|hosts, backend| {
        filter_reverse_paths(hosts.server());
        let record = format!("--record={}", hosts.folder.path("tproxy.jsonl").display());
        let Some(mirror) = hosts.tproxy(&[&record]) else { return };
        let status = std::fs::read_to_string(format!("/proc/{}/status", mirror.pid())).expect("its status");
        let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim();
        assert!(value("Uid:").starts_with("2110"), "{status}");
        assert_eq!(value("CapEff:"), "0000000000001000", "{status}");

        let (target, app) = (hosts.target(), telling(hosts.server(), APP));
        hosts.redirect(&format!("install --mode tproxy --inbound {APP} --to {PROXY} --backend {backend}"));
        let servers = hosts.servers(APP);
        for (server, client) in servers.iter().zip(hosts.clients(0)) {
            hosts.client().within(|| {
                let mut open = Conn::open(*server);
                for _ in 0..3 {
                    let told: SocketAddr = open.exchange(GET).text().parse().expect("an address");
                    assert_eq!(told.ip(), client.ip());
                    assert_ne!(told, open.local_address(), "it is the proxy's connection all the same");
                }
                // A body that takes many packets both ways.
                let long = "x".repeat(1 << 20);
                let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{long}", long.len());
                assert_eq!(open.exchange(&post).status(), 200);
            });
            // What stays on the host is not redirected.
            hosts.server().within(|| curl(&["-g", &format!("http://{server}/own")]));
            let answer = hosts.client().within(|| {
                Conn::open(SocketAddr::new(server.ip(), PROXY)).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            });
            assert_eq!(answer.status(), 421, "{answer:?}");
        }
        let count = 4 * servers.len();
        assert_eq!(target.wait_requests(count).len(), count);
        let metrics = hosts.server().within(|| mirror.wait_settled(count as u64));
        assert_eq!(metrics.sum("mirror_proxy_refused_total", &["reason=\"not_redirected\""]), servers.len() as f64);
        assert_eq!(app.requests().len(), count + servers.len());
        mirror.terminate();
        for (i, record) in hosts.recorded("tproxy.jsonl", &[]).iter().enumerate() {
            assert_eq!(record["server"], servers[i / 4].to_string(), "{record}");
        }
    });
}

#[test]
fn real_peers_of_several_addresses_keep_theirs() {
    if !curl::is_there() || !nginx::is_there() {
        return;
    }
    by_each(|hosts, backend| {
        let Some(mirror) = hosts.tproxy(&[]) else { return };
        let target = hosts.target();
        let server = hosts.servers(APP)[0];
        let nginx = hosts.server().within(|| Nginx::start_at(server));
        hosts.redirect(&format!("install --mode tproxy --inbound all --to {PROXY} --backend {backend}"));
        for from in ["10.0.0.1", "10.0.0.3"] {
            let url = format!("http://{server}/tiny?{from}");
            assert_eq!(hosts.client().within(|| curl(&["--interface", from, &url])), b"ok");
        }
        let served = nginx.wait_served(3);
        assert_ne!(served[0].connection, served[1].connection, "one client's connection is not another's");
        target.wait_requests(2);
        drop(mirror);
    });
}

/// These cannot come by TPROXY, which sees what arrives: they are redirected beside it.
#[test]
fn the_hosts_own_calls_go_through_it_too() {
    if !curl::is_there() {
        return;
    }
    by_each(|hosts, backend| {
        let Some(mirror) = hosts.tproxy(&[]) else { return };
        let target = hosts.target();
        let (app, _other) = (telling(hosts.server(), APP), telling(hosts.client(), 8090));
        hosts.redirect(&format!(
            "install --mode tproxy --inbound {APP} --to {PROXY} --egress --local --exempt-uid {UID} --backend {backend}"
        ));
        let servers = hosts.servers(APP);
        for (server, client) in servers.iter().zip(hosts.clients(8090)) {
            hosts.server().within(|| {
                for url in [format!("http://{client}/out"), format!("http://{server}/own")] {
                    let told: SocketAddr = curl_as(0, &url).parse().expect("an address");
                    assert_eq!(told.ip(), server.ip(), "{url}");
                }
                let told: SocketAddr = curl_as(0, &format!("http://localhost:{APP}/own")).parse().expect("an address");
                assert!(told.ip().is_loopback(), "{told}");
            });
        }
        assert_eq!(target.wait_requests(3 * servers.len()).len(), 3 * servers.len());
        assert_eq!(app.requests().len(), 2 * servers.len());
        let metrics = hosts.server().within(|| {
            mirror.wait_for(WITHIN, |metrics| {
                metrics.delivered(&format!("127.0.0.1:{TARGET}")) == 3 * servers.len() as u64
            })
        });
        let seen = |source: &str| metrics.sum("mirror_source_exchanges_total", &[&format!("source=\"{source}\"")]);
        assert_eq!((seen("egress"), seen("proxy")), (servers.len() as f64, 2.0 * servers.len() as f64));
    });
}

/// The proxy's connection to the application must not have the very addresses and ports that the client's own has: to the kernel they were one.
#[test]
fn a_clients_port_is_not_used_for_its_connection_to_the_application() {
    by_each(|hosts, backend| {
        // So few ports that one is soon met.
        let ports = "/proc/sys/net/ipv4/ip_local_port_range";
        hosts.server().within(|| std::fs::write(ports, "40000 40009")).expect("a setting of the namespace");
        hosts.client().within(|| std::fs::write(ports, "40000 40009")).expect("a setting of the namespace");
        let Some(mirror) = hosts.tproxy(&["--set=shadow=[]"]) else { return };
        let _app = telling(hosts.server(), APP);
        hosts.redirect(&format!("install --mode tproxy --inbound {APP} --to {PROXY} --backend {backend}"));
        hosts.client().within(|| {
            for server in hosts.servers(APP) {
                let mut open: Vec<_> = (0..8).map(|_| Conn::open(server)).collect();
                for client in open.iter_mut().chain([&mut Conn::open(server)]) {
                    assert_ne!(client.exchange(GET).text(), client.local_address().to_string());
                }
                open.iter_mut().for_each(|client| assert_eq!(client.exchange(GET).status(), 200));
            }
        });
        drop(mirror);
    });
}

#[test]
fn without_the_capability_what_to_grant_is_said() {
    let Some(nobody) = Unprivileged::find() else { return };
    let folder = tempfile::tempdir().expect("a folder of our own");
    let flags = ["--listen=127.0.0.1:0", "--transparent=tproxy", "--shadow=127.0.0.1:1", "--admin=off"];
    let said = nobody.refusal(folder.path(), &flags);
    assert!(said.contains("tproxy takes CAP_NET_ADMIN"), "{said}");
}
