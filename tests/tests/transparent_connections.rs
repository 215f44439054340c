//! Connections that are open when the rules come or go: each keeps the way that it has.

use mirror_tests::nginx::{self, Nginx};
use mirror_tests::redirected::{APP, Hosts, PROXY, by_each, telling};
use mirror_tests::{Conn, Mirror, Server};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// The proxy before an application, and what it copies to.
struct Path<'a> {
    hosts: &'a Hosts,
    mirror: Mirror,
    target: Server,
    _app: Server,
}

impl<'a> Path<'a> {
    fn of(hosts: &'a Hosts, mirror: Option<Mirror>) -> Option<Path<'a>> {
        Some(Path { hosts, mirror: mirror?, target: hosts.target(), _app: telling(hosts.server(), APP) })
    }

    /// Asks on each of these connections, and looks how many of the requests went through the proxy, which counts each before it is answered.
    #[track_caller]
    fn assert_copied(&self, open: &mut [Conn], expected: usize) {
        let before = self.seen();
        for client in &mut *open {
            assert_eq!(client.exchange(GET).status(), 200);
        }
        assert_eq!(self.seen(), before + expected);
        assert_eq!(self.target.wait_requests(before + expected).len(), before + expected);
    }

    fn seen(&self) -> usize {
        let metrics = self.hosts.server().within(|| self.mirror.metrics());
        metrics.sum("mirror_source_exchanges_total", &[]) as usize
    }
}

fn open(hosts: &Hosts) -> Vec<Conn> {
    hosts.client().within(|| hosts.servers(APP).into_iter().map(Conn::open).collect())
}

/// Where others have rules that keep the kernel following connections, as a host with containers or a firewall has.
#[test]
fn what_was_open_before_stays_and_what_was_redirected_stays_so_when_the_rules_are_gone() {
    by_each(|hosts, backend| {
        for tool in ["iptables", "ip6tables"] {
            hosts.shell(&format!("{tool} -t nat -A POSTROUTING -o docker0 -j MASQUERADE"));
        }
        let Some(path) = Path::of(hosts, hosts.proxy(&[])) else { return };
        let mut before = open(hosts);
        let count = before.len();
        path.assert_copied(&mut before, 0);

        let install = format!("install --inbound {APP} --to {PROXY} --backend {backend}");
        hosts.redirect(&install);
        path.assert_copied(&mut before, 0);
        let mut meanwhile = open(hosts);
        path.assert_copied(&mut meanwhile, count);
        // Other rules in their place.
        hosts.redirect(&install.replace("--inbound 8080", "--inbound 8080,9090"));
        path.assert_copied(&mut meanwhile, count);
        path.assert_copied(&mut before, 0);

        hosts.redirect("remove");
        assert_eq!(hosts.rules(), "");
        path.assert_copied(&mut meanwhile, count);
        path.assert_copied(&mut before, 0);
        path.assert_copied(&mut open(hosts), 0);
    });
}

/// Where nobody else has, and by TPROXY, what is open needs some of the rules: `--inbound none` leaves those, and takes no more.
#[test]
fn what_is_open_can_be_waited_for() {
    for mode in ["redirect", "tproxy"] {
        by_each(|hosts, backend| {
            let mirror = if mode == "redirect" { hosts.proxy(&[]) } else { hosts.tproxy(&[]) };
            let Some(path) = Path::of(hosts, mirror) else { return };
            let mut before = open(hosts);
            let count = before.len();
            path.assert_copied(&mut before, 0);
            let install = format!("install --mode {mode} --inbound {APP} --to {PROXY} --backend {backend}");
            hosts.redirect(&install);
            path.assert_copied(&mut before, 0);
            let mut meanwhile = open(hosts);
            path.assert_copied(&mut meanwhile, count);
            hosts.redirect(&install);
            path.assert_copied(&mut meanwhile, count);

            hosts.redirect(&install.replace("--inbound 8080", "--inbound none"));
            path.assert_copied(&mut open(hosts), 0);
            path.assert_copied(&mut meanwhile, count);
            path.assert_copied(&mut before, 0);
            drop(meanwhile);
            hosts.redirect("remove");
            assert_eq!(hosts.rules(), "");
            path.assert_copied(&mut before, 0);
            path.assert_copied(&mut open(hosts), 0);
        });
    }
}

/// Longer than what sockets hold of them.
#[test]
fn downloads_go_on_while_rules_come_and_go() {
    const LONG: usize = 32 << 20;
    if !nginx::is_there() {
        return;
    }
    by_each(|hosts, backend| {
        let Some(_mirror) = hosts.proxy(&[]) else { return };
        let target = hosts.target();
        let server = hosts.servers(APP)[0];
        let nginx = hosts.server().within(|| Nginx::start_at(server));
        std::fs::write(nginx.file("long"), vec![b'x'; LONG]).expect("a file of our own");
        let begun = || {
            let mut client = hosts.client().within(|| Conn::open(server));
            client.send("GET /long HTTP/1.1\r\nHost: app\r\n\r\n");
            assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
            client
        };
        let install = format!("install --inbound {APP} --to {PROXY} --backend {backend}");
        let mut direct = begun();
        hosts.redirect(&install);
        let mut redirected = begun();
        assert_eq!(target.wait_requests(1).len(), 1);
        hosts.redirect(&install);
        hosts.redirect(&install.replace("--inbound 8080", "--inbound none"));
        for client in [&mut direct, &mut redirected] {
            let mut count = 0;
            assert!(client.pour(LONG, |bytes| count += bytes.iter().filter(|byte| **byte == b'x').count()));
            assert_eq!(count, LONG);
        }
    });
}
