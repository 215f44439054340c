//! The admin endpoint: what it serves, where, and that everything which can be lost or waits is to be seen there.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use mirror_tests::{Config, Mirror, Server, Value, is_there, json, refusal, run_to_end};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// With everything that has metrics.
fn full(upstream: &Server, target: &Server, folder: &tempfile::TempDir) -> Config {
    let record = json!({ "path": folder.path().join("traffic.avro"), "flush_interval": "10ms" });
    Config::upstream(upstream.address()).shadow("target", target.address()).set("record", record)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

#[test]
fn the_metrics_pass_promtool() {
    if !is_there("promtool", &["--version"]) {
        return;
    }
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    // A name that has to be escaped.
    let config = full(&upstream, &target, &folder).shadow(r#"the "next" \ one"#, target.address());
    let mirror = Mirror::start(config);
    assert_eq!(mirror.connect().exchange(GET).status(), 200);
    mirror.wait_settled(1);
    let metrics = mirror.admin("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool");
    promtool.stdin.take().expect("a pipe").write_all(&metrics.body).expect("all of it");
    let output = promtool.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success() && said == ["", ""], "{said:?}\n{}", metrics.text());
}

#[test]
fn every_queue_bound_and_loss_is_a_metric_from_the_start() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let mirror = Mirror::start(full(&upstream, &target, &folder));
    let metrics = mirror.metrics();
    let has = |name: &str, labels: &[&str]| {
        let matches = |sample: &String| {
            sample.split('{').next() == Some(name) && labels.iter().all(|label| sample.contains(label))
        };
        assert!(metrics.samples().keys().any(matches), "{name} {labels:?}: {metrics:#?}");
    };
    for name in [
        "mirror_memory_used_bytes",
        "mirror_memory_peak_bytes",
        "mirror_memory_limit_bytes",
        "mirror_proxy_connections",
    ] {
        has(name, &[]);
    }
    has("mirror_config_last_reload_success_timestamp_seconds", &[]);
    for result in ["success", "failure"] {
        has("mirror_reloads_total", &[&format!("result=\"{result}\"")]);
    }
    has("mirror_source_exchanges_total", &["source=\"proxy\""]);
    has("mirror_source_outside_fraction_total", &["source=\"proxy\""]);
    has("http_server_request_duration_seconds_count", &["source=\"proxy\"", "http_response_status_class=\"5xx\""]);
    for fault in ["downstream", "upstream", "shutdown"] {
        has("mirror_source_aborted_total", &["source=\"proxy\"", &format!("fault=\"{fault}\"")]);
    }
    for sink in ["sink=\"target\"", "sink=\"record\""] {
        for name in [
            "offered_total",
            "delivered_total",
            "queue_length",
            "queue_limit",
            "held_bytes",
            "held_limit_bytes",
            "in_flight",
            "paused",
        ] {
            has(&format!("mirror_sink_{name}"), &[sink]);
        }
        for reason in [
            "memory",
            "share",
            "lag",
            "queue_full",
            "backoff",
            "aborted",
            "incomplete",
            "malformed",
            "ambiguous",
            "format",
            "disk_slow",
            "shutdown",
        ] {
            has("mirror_sink_dropped_total", &[sink, &format!("reason=\"{reason}\"")]);
        }
        for reason in ["resolve", "connect", "connect_timeout", "timeout", "reset", "protocol", "disk_full", "disk"] {
            has("mirror_sink_failed_total", &[sink, &format!("reason=\"{reason}\"")]);
        }
        for reason in ["fraction", "marked", "paused"] {
            has("mirror_sink_skipped_total", &[sink, &format!("reason=\"{reason}\"")]);
        }
    }
    for name in ["connections", "connections_opened_total", "retries_total", "backing_off"] {
        has(&format!("mirror_shadow_{name}"), &["sink=\"target\""]);
    }
    has("http_client_request_duration_seconds_count", &["sink=\"target\"", "http_response_status_class=\"2xx\""]);
    for name in ["records_total", "bytes_total", "blocks_total"] {
        has(&format!("mirror_record_{name}"), &[]);
    }
}

#[test]
fn the_metrics_count_what_happens() {
    let (upstream, folder) = (Server::ok(), folder());
    let target = Server::answering(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let mirror = Mirror::start(full(&upstream, &target, &folder));
    let mut client = mirror.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange(GET).status(), 200);
    }
    mirror.wait_settled(3);
    // What was read first of that answer may be older than what it says of the sinks.
    let metrics = mirror.metrics();
    let of_class = |name: &str, class: &str| metrics.sum(name, &[&format!("http_response_status_class=\"{class}\"")]);
    assert_eq!(of_class("http_server_request_duration_seconds_count", "2xx"), 3.0);
    assert_eq!(of_class("http_client_request_duration_seconds_count", "4xx"), 3.0);
    assert_eq!(of_class("http_client_request_duration_seconds_count", "2xx"), 0.0);
    assert_eq!(metrics.sum("mirror_source_exchanges_total", &[]), 3.0);
    assert_eq!(metrics.sum("mirror_record_records_total", &[]), 3.0);
    assert_eq!(metrics.sum("mirror_proxy_connections", &[]), 1.0);
    assert_eq!(
        (metrics.delivered("target"), metrics.delivered("record")),
        (3, 3),
        "that it is a 404 is the target's affair"
    );
}

#[test]
fn each_path_has_its_status() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let mirror = Mirror::start(full(&upstream, &target, &folder));
    for (path, status) in [
        ("/metrics", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/config", 200),
        ("/sinks", 200),
        ("/", 404),
        ("/metrics/more", 404),
        ("/nothing", 404),
    ] {
        assert_eq!(mirror.admin(path).status(), status, "{path}");
    }
    assert_eq!((mirror.admin("/healthz").text(), mirror.admin("/readyz").text()), ("ok\n".into(), "ready\n".into()));
    let address = mirror.admin_address();
    let post = "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(mirror_tests::Conn::open(address).exchange(post).status(), 405);
    // Nothing of it is traffic.
    assert_eq!(mirror.terminate().seen, 0);
    assert_eq!((upstream.requests(), target.requests()), (vec![], vec![]));
}

#[test]
fn the_config_is_what_print_config_prints() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let config = full(&upstream, &target, &folder).set("fraction", "25%").set("limits.memory", "128MiB");
    std::fs::write(folder.path().join("mirror.yaml"), config.text()).expect("a file of our own");
    let printed = run_to_end(folder.path(), &["run", "mirror.yaml", "--print-config"]);
    assert!(printed.status.success(), "{printed:?}");

    let mirror = Mirror::start(config);
    let served = mirror.admin("/config");
    assert_eq!(served.header("content-type"), Some("application/yaml"));
    assert_eq!(served.body, printed.stdout);
    assert!(served.text().contains("fraction: 25%\n"), "{}", served.text());
}

/// A second `mirror` on a host is no fault.
#[test]
fn where_the_default_address_is_taken_it_warns_and_goes_on() {
    // Where it is taken by someone else already, that is as good.
    let _taken = TcpListener::bind("127.0.0.1:9900");
    let upstream = Server::ok();
    let upstream_address = upstream.address().to_string();
    let arguments =
        ["--listen=127.0.0.1:0", "--upstream", &upstream_address, "--log-format=json", "--exit-after=100ms"];
    let output = run_to_end(folder().path(), &arguments);
    let log: Vec<Value> =
        String::from_utf8_lossy(&output.stderr).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(output.status.code(), Some(0), "{log:#?}");
    let warning = log.iter().find(|line| line["level"] == "WARN").expect("a warning");
    assert_eq!(warning["address"], "127.0.0.1:9900", "{warning}");
    assert!(warning["message"].as_str().is_some_and(|message| message.contains("--admin")), "{warning}");
    assert!(log.iter().any(|line| line["message"] == "listening"), "{log:#?}");
}

#[test]
fn an_explicit_address_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = taken.local_addr().expect("its address").to_string();
    let arguments = ["--listen=127.0.0.1:0", "--upstream=127.0.0.1:1", "--admin", &admin];
    let said = refusal(folder().path(), &arguments);
    let expected = format!("admin: {admin:?}: expected an address that can be listened on");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn there_may_be_none() {
    let upstream = Server::ok();
    let upstream_address = upstream.address().to_string();
    let arguments = [
        "--listen=127.0.0.1:0",
        "--upstream",
        &upstream_address,
        "--log-format=json",
        "--exit-after=100ms",
        "--admin=off",
    ];
    let output = run_to_end(folder().path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("admin") && !said.contains("WARN"), "{said}");
}
