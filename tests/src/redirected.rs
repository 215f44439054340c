//! Two hosts, of which one has an application and the proxy, and rules that send connections to it.
//!
//! ```text
//!   client ── card ════ the kernel's cable ════ card ── server: rules ─▶ proxy ─▶ application
//! ```

use std::fs::Permissions;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::wire::{CARD, CLIENT, CLIENT_6, Wire};
use crate::{Conn, Folder, Mirror, Namespace, Server, Unprivileged, Value, is_there};

/// Where the proxy listens.
pub const PROXY: u16 = 15001;
/// Where the application does.
pub const APP: u16 = 8080;
/// Where a target does.
pub const TARGET: u16 = 8082;
/// Who the proxy is.
pub const UID: u32 = 2110;

/// What installs the rules.
pub const BACKENDS: [&str; 2] = ["nft", "iptables"];

/// The hosts. All is gone with them when this is dropped.
pub struct Hosts {
    wire: Wire,
    /// Where a test's files are; the proxy may write there.
    pub folder: Folder,
}

impl Hosts {
    /// Lays the cable. None where that cannot be done, or something is not there that it takes, which is then said.
    ///
    /// # Panics
    /// When the hosts can be made, but not set up.
    pub fn new() -> Option<Hosts> {
        if !BACKENDS.iter().all(|program| is_there(program, &["--version"])) {
            return None;
        }
        let (wire, folder) = (Wire::lay_kernels()?, Folder::new());
        std::fs::set_permissions(folder.path(""), Permissions::from_mode(0o777)).expect("a folder of our own");
        Some(Hosts { wire, folder })
    }

    /// The host that asks.
    pub fn client(&self) -> &Namespace {
        &self.wire.client
    }

    /// The host that answers.
    pub fn server(&self) -> &Namespace {
        &self.wire.server
    }

    /// The server's addresses with this port: of IPv4, and where there is IPv6, of that.
    pub fn servers(&self, port: u16) -> Vec<SocketAddr> {
        [Some(self.wire.address(port)), self.wire.address_6(port)].into_iter().flatten().collect()
    }

    /// The client's addresses likewise.
    pub fn clients(&self, port: u16) -> Vec<SocketAddr> {
        let ipv6 = self.wire.address_6(port).map(|_| (CLIENT_6, port).into());
        [Some((CLIENT, port).into()), ipv6].into_iter().flatten().collect()
    }

    /// Runs `mirror redirect` on the server; gives what it printed.
    ///
    /// # Panics
    /// When it fails, or complains.
    #[track_caller]
    pub fn redirect(&self, words: &str) -> String {
        let words: Vec<_> = ["redirect"].into_iter().chain(words.split_whitespace()).collect();
        self.server().within(|| self.folder.run(&words)).ok()
    }

    /// Runs a line of shell on the server, in which the binary is `mirror`.
    ///
    /// # Panics
    /// When it fails, or complains.
    #[track_caller]
    pub fn shell(&self, line: &str) -> String {
        self.server().within(|| self.folder.shell(line)).ok()
    }

    /// All that is there of ours on the server: nothing, when it is not installed.
    #[track_caller]
    pub fn rules(&self) -> String {
        self.shell(
            r#"nft list tables | grep mirror && nft list table inet mirror
            for tool in iptables ip6tables; do "$tool-save" 2>/dev/null | grep MIRROR | sed "s/^/$tool /"; done
            for family in -4 -6; do
                ip $family rule show priority 2102 | sed "s/^/ip $family rule /"
                ip $family route show table 2102 2>/dev/null | sed "s/^/ip $family route /"
            done; true"#,
        )
    }

    /// Starts the proxy on the server with these flags too, without capabilities.
    ///
    /// # Panics
    /// When it ends instead.
    #[track_caller]
    pub fn proxy(&self, flags: &[&str]) -> Option<Mirror> {
        self.proxy_by(&Unprivileged::user(UID)?, &[&["--transparent=redirect"], flags].concat())
    }

    /// The same with CAP_NET_ADMIN alone, for TPROXY.
    ///
    /// # Panics
    /// When it ends instead.
    #[track_caller]
    pub fn tproxy(&self, flags: &[&str]) -> Option<Mirror> {
        self.proxy_by(&Unprivileged::with(UID, "net_admin")?, &[&["--transparent=tproxy"], flags].concat())
    }

    #[track_caller]
    fn proxy_by(&self, user: &Unprivileged, flags: &[&str]) -> Option<Mirror> {
        let listen = format!("--listen=:{PROXY}");
        let shadow = format!("--shadow=127.0.0.1:{TARGET}");
        let ours = [&*listen, &shadow, "--admin=127.0.0.1:9900", "--log-format=json"];
        Some(self.server().within(|| user.start(&[&ours, flags].concat())))
    }

    /// A target on the server.
    pub fn target(&self) -> Server {
        self.server().within(|| Server::script_at((Ipv4Addr::LOCALHOST, TARGET).into(), serve_ok))
    }

    /// What the proxy has recorded in a file so far.
    #[track_caller]
    pub fn recorded(&self, file: &str, flags: &[&str]) -> Vec<Value> {
        self.folder.run(&[&["inspect", file, "--json"], flags].concat()).lines_of_json()
    }
}

/// An application that tells each client its address, at every address.
pub fn telling(host: &Namespace, port: u16) -> Server {
    host.within(|| {
        Server::script_at((Ipv6Addr::UNSPECIFIED, port).into(), |mut conn| {
            let client = conn.peer_address();
            let body = SocketAddr::new(client.ip().to_canonical(), client.port()).to_string();
            while conn.request().is_some() {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if conn.try_send(answer).is_err() {
                    return;
                }
            }
        })
    })
}

fn serve_ok(mut conn: Conn) {
    while conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {}
}

/// Runs a test by each backend, on hosts of its own and at once.
///
/// # Panics
/// When one of them does.
pub fn by_each(test: impl Fn(&Hosts, &str) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        let running = BACKENDS.map(|backend| {
            scope.spawn(move || {
                let Some(hosts) = Hosts::new() else { return };
                test(&hosts, backend);
            })
        });
        for (backend, ran) in BACKENDS.into_iter().zip(running) {
            ran.join().unwrap_or_else(|_| panic!("by {backend}"));
        }
    });
}

/// Has a host heed where packets come from, as many distributions do.
#[track_caller]
pub fn filter_reverse_paths(host: &Namespace) {
    for name in ["all", "default", CARD] {
        let file = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        host.within(|| std::fs::write(&file, "1")).expect("a setting of the namespace");
    }
}

/// What curl gets as this user on the host that it is called on.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn curl_as(uid: u32, url: &str) -> String {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]);
    command.args(["curl", "-q", "-sS", "--fail", "--max-time", "20", url]).stdin(Stdio::null());
    let output = command.output().expect("setpriv");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
