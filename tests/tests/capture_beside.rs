//! The listener beside the rest: its metrics, its privileges, its example.

use std::process::{Command, Stdio};

use mirror_tests::capture::is_permitted;
use mirror_tests::listener::Listener;
use mirror_tests::{Conn, Metrics, Mirror, Server, WITHIN, is_there};

#[test]
fn the_metrics_pass_promtool() {
    let server = Server::ok();
    let Some(listener) = Listener::to(server.address()) else { return };
    assert_eq!(Conn::open(server.address()).exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
    listener.mirror.wait_settled(1);
    // What is counted of packets is told ten times a second.
    let segments = |metrics: &Metrics| metrics.sum("mirror_capture_packets_total", &["kind=\"segment\""]);
    let metrics = listener.mirror.wait_for(WITHIN, |metrics| segments(metrics) >= 1.0);
    for (name, label) in [
        ("mirror_source_exchanges_total", "source=\"capture\""),
        ("http_server_request_duration_seconds_count", "source=\"capture\""),
        ("mirror_capture_packets_total", "kind=\"segment\""),
        ("mirror_capture_connections_total", "event=\"opened\""),
        ("mirror_capture_received_packets_total", "interface=\"lo\""),
        ("mirror_capture_received_bytes_total", "interface=\"lo\""),
        ("mirror_capture_up", "interface=\"lo\""),
        ("mirror_capture_flows_limit", ""),
        ("mirror_capture_held_limit_bytes", ""),
    ] {
        assert!(metrics.sum(name, &[label]) >= 1.0, "{name}: {metrics:#?}");
    }
    for name in ["kernel_dropped_packets_total", "gaps_total", "orphan_responses_total", "unreadable_packets_total"] {
        assert!(metrics.samples().keys().any(|key| key.starts_with(&format!("mirror_capture_{name}"))), "{name}");
        assert_eq!(metrics.sum(&format!("mirror_capture_{name}"), &[]), 0.0, "{name}");
    }
    if !is_there("promtool", &["--version"]) {
        return;
    }
    let text = listener.mirror.admin("/metrics").body;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool");
    std::io::Write::write_all(&mut promtool.stdin.take().expect("a pipe"), &text).expect("all of it");
    let output = promtool.wait_with_output().expect("its end");
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// On every interface, as it is written there: what passes the loopback is seen once.
#[test]
fn the_example_listens_on_a_vm() {
    if !is_permitted() {
        return;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/listen-on-a-vm/mirror.yaml");
    let (server, target) = (Server::ok(), Server::ok());
    let ports = format!("--set=capture.0.ports={}", server.address().port());
    let shadow = format!("--set=shadow.0.target=http://{}", target.address());
    let mirror = Mirror::start_with(&["run", example, &ports, &shadow, "--admin=127.0.0.1:0", "--log-format=json"]);
    let mut client = Conn::open(server.address());
    for number in 0..3 {
        assert_eq!(client.exchange(&format!("GET /{number} HTTP/1.1\r\nHost: app\r\n\r\n")).text(), "ok");
    }
    let summary = mirror.terminate();
    assert_eq!((summary.seen, target.requests().len()), (3, 3), "{summary:#?}");
}

/// Of root's privileges, those stay that a recording in another's folder and an interface that comes back need.
#[test]
fn privileges_are_given_up_by_every_thread() {
    let server = Server::ok();
    let Some(listener) = Listener::to(server.address()) else { return };
    for thread in std::fs::read_dir(format!("/proc/{}/task", listener.mirror.pid())).expect("its threads") {
        let status = std::fs::read_to_string(thread.expect("a thread").path().join("status")).expect("its status");
        let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim();
        let capabilities = u64::from_str_radix(value("CapEff:"), 16).expect("a mask");
        const NEEDED: u64 = 1 << 1 /* CAP_DAC_OVERRIDE */ | 1 << 13 /* CAP_NET_RAW */;
        assert_eq!((capabilities & !NEEDED, value("NoNewPrivs:")), (0, "1"), "{status}");
    }
}
