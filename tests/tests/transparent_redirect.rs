//! `--transparent redirect`: real clients and a real application, neither of which knows of the proxy that the kernel sends them through.

use std::net::SocketAddr;

use mirror_tests::curl::{self, curl};
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::redirected::{APP, Hosts, PROXY, UID, by_each, curl_as, telling};
use mirror_tests::{Conn, Metrics, Mirror, WITHIN};

/// Root, who is nobody that is exempt.
const APPLICATION: u32 = 0;
const MESH: u32 = 1337;

fn are_there() -> bool {
    nginx::is_there() && curl::is_there()
}

fn exchanges(metrics: &Metrics, source: &str) -> f64 {
    metrics.sum("mirror_source_exchanges_total", &[&format!("source=\"{source}\"")])
}

fn refused(metrics: &Metrics, reason: &str) -> f64 {
    metrics.sum("mirror_proxy_refused_total", &[&format!("reason=\"{reason}\"")])
}

#[test]
fn clients_reach_the_application_through_the_proxy() {
    if !are_there() {
        return;
    }
    by_each(|hosts, backend| {
        let file = format!("{backend}.jsonl");
        let Some(mirror) = hosts.proxy(&[&format!("--record={}", hosts.folder.path(&file).display())]) else { return };
        let target = hosts.target();
        hosts.redirect(&format!("install --inbound {APP} --to {PROXY} --backend {backend}"));
        let servers = hosts.servers(APP);
        let mut peers = Vec::new();
        for server in &servers {
            let nginx = hosts.server().within(|| Nginx::start_at(*server));
            let path = format!("/tiny?{server}");
            assert_eq!(hosts.client().within(|| curl(&["-g", &format!("http://{server}{path}")])), b"ok");
            assert_eq!(nginx.wait_served(2)[0].request, format!("GET {path}"));
            peers.push(nginx);
        }
        let copies = target.wait_requests(servers.len());
        let metrics = hosts.server().within(|| mirror.wait_delivered("record", servers.len() as u64));
        assert_eq!((exchanges(&metrics, "proxy"), exchanges(&metrics, "egress")), (servers.len() as f64, 0.0));

        // Who comes to the proxy itself comes to nothing.
        for proxy in hosts.servers(PROXY) {
            let answer = hosts.client().within(|| Conn::open(proxy).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!((answer.status(), answer.header("connection")), (421, Some("close")), "{answer:?}");
        }
        let metrics = hosts.server().within(|| mirror.metrics());
        assert_eq!(refused(&metrics, "not_redirected"), servers.len() as f64);
        assert_eq!(exchanges(&metrics, "proxy"), servers.len() as f64);

        mirror.terminate();
        for ((server, client), record) in servers.iter().zip(hosts.clients(0)).zip(hosts.recorded(&file, &[])) {
            assert_eq!(record["server"], server.to_string(), "the original destination: {record}");
            let recorded: SocketAddr = record["client"].as_str().expect("an address").parse().expect("an address");
            assert_eq!(recorded.ip(), client.ip(), "{record}");
            assert!(copies.iter().any(|copy| copy.start_line().contains(&format!("/tiny?{server} "))), "{copies:#?}");
        }
    });
}

#[test]
fn the_applications_own_calls_go_through_it_too() {
    if !are_there() {
        return;
    }
    by_each(|hosts, backend| {
        let file = format!("{backend}.jsonl");
        let record = format!("--record={}", hosts.folder.path(&file).display());
        // The filter is before the target alone.
        let filter = "--set=shadow.0.pipeline=[{filter: source = egress}]";
        let Some(mirror) = hosts.proxy(&[&record, filter]) else { return };
        let target = hosts.target();
        let (app, other) = (telling(hosts.server(), APP), telling(hosts.client(), 8090));
        let _exempt = telling(hosts.client(), 8091);
        hosts.redirect(&format!(
            "install --inbound {APP} --to {PROXY} --egress --exempt-uid {UID} --exempt-port 8091 --backend {backend}"
        ));
        for (server, client) in hosts.servers(APP).into_iter().zip(hosts.clients(8090)) {
            hosts.client().within(|| curl(&["-g", &format!("http://{server}/in")]));
            let url = format!("http://{client}/out");
            let told: SocketAddr = hosts.server().within(|| curl_as(APPLICATION, &url)).parse().expect("an address");
            assert_eq!(told.ip(), server.ip(), "it is called from the same host");
            // Neither what is exempt nor what stays on the host is.
            hosts.server().within(|| {
                curl_as(APPLICATION, &format!("http://{}/", SocketAddr::new(client.ip(), 8091)));
                curl_as(UID, &url);
                curl_as(APPLICATION, &format!("http://{server}/own"));
                curl_as(APPLICATION, &format!("http://127.0.0.1:{APP}/own"));
            });
        }
        let count = hosts.servers(APP).len();
        let metrics = hosts.server().within(|| {
            mirror.wait_for(WITHIN, |metrics| {
                metrics.delivered("record") == 2 * count as u64 && target.requests().len() == count
            })
        });
        assert_eq!((exchanges(&metrics, "proxy"), exchanges(&metrics, "egress")), (count as f64, count as f64));
        assert!(target.requests().iter().all(|copy| copy.start_line() == "GET /out HTTP/1.1"));
        assert_eq!((app.requests().len(), other.requests().len()), (3 * count, 2 * count));
        mirror.terminate();
        let egress = hosts.recorded(&file, &["--where", "source = egress"]);
        assert_eq!(egress.len(), count, "{egress:#?}");
        for (record, client) in egress.iter().zip(hosts.clients(8090)) {
            assert_eq!((&record["source"], &record["server"]), (&"egress".into(), &client.to_string().into()));
            assert_eq!(record["request"]["target"], "/out");
        }
        assert_eq!(hosts.recorded(&file, &["--where", "source = proxy"]).len(), count);
    });
}

#[test]
fn what_the_host_sends_to_the_application_itself_goes_through_it_where_that_is_asked_for() {
    if !are_there() {
        return;
    }
    by_each(|_, backend| {
        for inbound in ["8080", "all"] {
            let Some(hosts) = Hosts::new() else { return };
            let Some(mirror) = hosts.proxy(&[]) else { return };
            let target = hosts.target();
            let app = telling(hosts.server(), APP);
            hosts.redirect(&format!(
                "install --inbound {inbound} --exempt-inbound-port 8082 --to {PROXY} --local --exempt-uid {UID} --backend {backend}"
            ));
            let mut urls: Vec<_> = hosts.servers(APP).iter().map(|server| format!("http://{server}/")).collect();
            urls.extend([format!("http://127.0.0.1:{APP}/"), format!("http://[::1]:{APP}/")]);
            for url in &urls {
                hosts.server().within(|| curl_as(APPLICATION, url));
                hosts.server().within(|| curl_as(UID, url));
            }
            assert_eq!(target.wait_requests(urls.len()).len(), urls.len());
            let metrics = hosts.server().within(|| mirror.wait_delivered("127.0.0.1:8082", urls.len() as u64));
            assert_eq!(exchanges(&metrics, "proxy"), urls.len() as f64, "a call to this host is no egress");
            assert_eq!(app.requests().len(), 2 * urls.len());
            mirror.terminate();
        }
    });
}

/// As Istio and Linkerd have it: the mesh's proxy takes what comes, as a uid of its own, and passes it on over the loopback.
#[test]
fn before_a_meshs_application_it_stands_between_the_meshs_proxy_and_that() {
    const MESHS: u16 = 15006;
    if !are_there() {
        return;
    }
    by_each(|hosts, backend| {
        let Some(mirror) = hosts.proxy(&[]) else { return };
        let target = hosts.target();
        let app = telling(hosts.server(), APP);
        // Its proxy: another of ours, which takes what is redirected to it likewise.
        let Some(user) = mirror_tests::Unprivileged::user(MESH) else { return };
        let mesh = hosts.server().within(|| {
            let (listen, upstream) = (format!("--listen=:{MESHS}"), format!("--upstream=127.0.0.1:{APP}"));
            user.start(&[&listen, &upstream, "--transparent=redirect", "--admin=127.0.0.1:0", "--log-format=json"])
        });
        for tool in ["iptables", "ip6tables"] {
            hosts.shell(&format!(
                "{tool} -t nat -F; {tool} -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports {MESHS}
                {tool} -t nat -A OUTPUT -o lo -j RETURN"
            ));
        }
        hosts.redirect(&format!("install --inbound {APP} --to {PROXY} --mesh-uid {MESH} --backend {backend}"));
        let servers = hosts.servers(APP);
        for server in &servers {
            hosts.client().within(|| curl(&["-g", &format!("http://{server}/meshed")]));
            // What does not come from the mesh is not its business.
            hosts.server().within(|| curl_as(APPLICATION, &format!("http://{server}/own")));
        }
        assert_eq!(target.wait_requests(servers.len()).len(), servers.len());
        // What has no target is not offered, and counted all the same.
        let name = "http_server_request_duration_seconds_count";
        let seen = |mirror: &Mirror| hosts.server().within(|| mirror.metrics().sum(name, &[]));
        assert_eq!((seen(&mesh), seen(&mirror)), (servers.len() as f64, servers.len() as f64));
        assert_eq!(app.requests().len(), 2 * servers.len());
        assert!(target.requests().iter().all(|copy| copy.start_line() == "GET /meshed HTTP/1.1"));
        mirror.terminate();
        mesh.terminate();
    });
}

/// By hand, as `mirror redirect` refuses to make such rules: no uid is exempt, the proxy's own connections come to itself.
#[test]
fn a_proxy_that_is_redirected_to_itself_ends_the_loop() {
    if !are_there() {
        return;
    }
    let Some(hosts) = Hosts::new() else { return };
    let Some(mirror) = hosts.proxy(&[]) else { return };
    let _target = hosts.target();
    let other = telling(hosts.client(), 8090);
    for tool in ["iptables", "ip6tables"] {
        hosts.shell(&format!("{tool} -t nat -A OUTPUT ! -o lo -p tcp -j REDIRECT --to-ports {PROXY}"));
    }
    let before = cpu(&mirror);
    let mut count = 0.0;
    for client in hosts.clients(8090) {
        hosts.server().within(|| {
            for _ in 0..20 {
                let answer = Conn::open(client).exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert_eq!(answer.status(), 508, "{answer:?}");
                count += 1.0;
            }
            // A tunnel cannot be told.
            let mut tunnel = Conn::open(client);
            tunnel.send(b"\x16\x03\x01\x00\x05hello");
            assert_eq!(tunnel.to_any_end(), b"");
        });
    }
    let metrics = hosts
        .server()
        .within(|| mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_proxy_connections", &[]) == 0.0));
    let loops = refused(&metrics, "loop");
    assert!(loops <= count + 2.0, "no connection comes in more than twice: {loops}");
    assert_eq!(exchanges(&metrics, "egress"), count, "nor is it mirrored twice");
    assert_eq!(other.connections(), 0);
    let spent = cpu(&mirror) - before;
    assert!(spent < 200, "{spent} ticks for {count} requests");
    mirror.terminate();
}

/// What a process has spent, in ticks of 10 ms.
fn cpu(mirror: &Mirror) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", mirror.pid())).expect("a process");
    let fields: Vec<_> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum()
}

/// A port that is closed, and an application that is down: as without the proxy, but told.
#[test]
fn what_cannot_be_reached_is_told() {
    if !are_there() {
        return;
    }
    let Some(hosts) = Hosts::new() else { return };
    let Some(mirror) = hosts.proxy(&[]) else { return };
    hosts.redirect(&format!("install --inbound all --to {PROXY}"));
    for server in hosts.servers(APP) {
        let answer = hosts.client().within(|| Conn::open(server).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((answer.status(), answer.text()), (502, format!("mirror: {server} refused the connection\n")));
        let mut tunnel = hosts.client().within(|| Conn::open(server));
        tunnel.send(b"\x16\x03\x01\x00\x05hello");
        assert_eq!(tunnel.to_any_end(), b"", "and what is none of HTTP is reset");
    }
    let metrics = hosts.server().within(|| mirror.metrics());
    let tls = |name| metrics.sum(name, &["protocol=\"tls\""]);
    assert_eq!(tls("mirror_proxy_tunnels_unopened_total"), hosts.servers(APP).len() as f64);
    assert_eq!(tls("mirror_proxy_tunnels_total"), 0.0);
    // The admin endpoint is not redirected.
    assert_eq!(hosts.server().within(|| mirror.admin("/readyz").status()), 200);
}
