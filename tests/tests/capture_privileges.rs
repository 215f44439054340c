//! What it takes to listen: one capability, and what is said without it.

use std::os::unix::fs::PermissionsExt;

use mirror_tests::capture::{Pcap, Talk, is_permitted};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Conn, Server, Unprivileged};

/// A folder of anyone's.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder of our own");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("a folder of our own");
    folder
}

/// Of another user than root, on one interface and on all.
#[test]
fn cap_net_raw_alone_is_enough() {
    if !is_permitted() {
        return;
    }
    let (Some(nobody), Some(fastavro)) = (Unprivileged::with_net_raw(), Fastavro::find()) else { return };
    for interface in ["lo", ""] {
        let (server, target, folder) = (Server::ok(), Server::ok(), folder());
        let path = folder.path().join("traffic.avro");
        let mirror = nobody.start(&[
            &format!("--capture={interface}:{}", server.address().port()),
            &format!("--shadow={}", target.address()),
            &format!("--record={}", path.display()),
            "--admin=127.0.0.1:0",
            "--log-format=json",
        ]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", mirror.pid())).expect("its status");
        let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim();
        assert!(value("Uid:").starts_with("65534"), "{status}");
        assert_eq!((value("CapEff:"), value("CapAmb:")), ("0000000000002000", "0000000000000000"), "{status}");
        let answer = Conn::open(server.address()).exchange("GET /heard HTTP/1.1\r\nHost: app\r\n\r\n");
        assert_eq!(answer.text(), "ok");
        let summary = mirror.terminate();
        assert_eq!((summary.seen, summary.sink("record").delivered), (1, 1), "{summary:#?}");
        assert_eq!(target.wait_request().start_line(), "GET /heard HTTP/1.1");
        assert_eq!(fastavro.read(&path)[0]["request"]["target"], "/heard");
    }
}

#[test]
fn without_it_what_to_grant_is_said() {
    let Some(nobody) = Unprivileged::find() else { return };
    let folder = folder();
    for (capture, interface) in [("lo:80", "lo"), (":80", "any")] {
        let capture = format!("--capture={capture}");
        let said = nobody.refusal(folder.path(), &[&capture, "--record=out.avro", "--admin=off"]);
        assert!(said.starts_with("mirror: 1 fault\n") && said.lines().count() == 2, "{said}");
        assert!(said.contains(&format!("capture[0].interface: \"{interface}\": expected")), "{said}");
        for way in [
            "CAP_NET_RAW is missing",
            "sudo setcap cap_net_raw+ep /",
            "AmbientCapabilities=CAP_NET_RAW",
            "securityContext: `capabilities: { add: [NET_RAW] }`",
        ] {
            assert!(said.contains(way), "{said}");
        }
        assert!(!folder.path().join("out.avro").exists(), "nothing was created: {said}");
    }
}

/// Nor does it take any to receive VXLAN.
#[test]
fn vxlan_takes_no_capability() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let Some(nobody) = Unprivileged::find() else { return };
    // With the servers' ports, and without.
    for ports in [":80", ""] {
        let target = Server::ok();
        let mirror = nobody.start(&[
            &format!("--capture=vxlan:127.0.0.1:0{ports}"),
            &format!("--shadow={}", target.address()),
            "--admin=127.0.0.1:0",
            "--log-format=json",
        ]);
        let metrics = mirror.metrics();
        let bound = metrics.samples().keys().find_map(|sample| {
            sample.strip_prefix("mirror_capture_up{interface=\"vxlan:")?.strip_suffix("\"}")?.parse().ok()
        });
        let mut pcap = Pcap::default();
        let mut talk = Talk::open(&mut pcap, 40_001);
        talk.client(&mut pcap, "GET /wrapped HTTP/1.1\r\nHost: app\r\n\r\n");
        talk.server(&mut pcap, OK);
        talk.close(&mut pcap);
        pcap.send_in_vxlan(bound.expect("the port that it was given"));
        assert_eq!(target.wait_request().start_line(), "GET /wrapped HTTP/1.1");
        let metrics = mirror.wait_settled(1);
        assert_eq!(metrics.sum("mirror_capture_received_packets_total", &["interface=\"vxlan:127.0.0.1:"]), 8.0);
        assert_eq!(mirror.terminate().seen, 1);
    }
}
