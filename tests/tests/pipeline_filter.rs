//! Which exchanges go on: filters before all sinks, before one target, before the recording.

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Mirror, Server, WITHIN, json};

/// An upstream whose status is in the path.
fn upstream() -> Server {
    Server::answering(|request| {
        let status = if request.start_line().contains("/broken") { "500 Broken" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
    })
}

/// Asks for these paths one after another, and says which of them got to the target.
fn mirrored(config: Config, target: &Server, paths: &[&str]) -> Vec<String> {
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for path in paths {
        client.exchange(&format!("GET {path} HTTP/1.1\r\nHost: app\r\nX-User: {path}\r\n\r\n"));
    }
    let accounted = |skipped: f64, offered: u64| skipped as usize + offered as usize == paths.len();
    mirror.wait_for(WITHIN, |metrics| {
        let skipped = metrics.sum("mirror_sink_skipped_total", &["sink=\"target\""]);
        accounted(skipped, metrics.settled("target"))
    });
    let summary = mirror.terminate();
    let requests = target.requests();
    assert_eq!(summary.sink("target").delivered as usize, requests.len());
    assert_eq!(summary.sink("target").reason("skipped filter") as usize, paths.len() - requests.len());
    let path = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut paths: Vec<String> = requests.iter().map(|request| path(request.start_line())).collect();
    paths.sort();
    paths
}

const PATHS: [&str; 5] = ["/api/a", "/api/b/c", "/api/broken", "/health", "/broken"];

#[test]
fn what_the_request_decides() {
    for (filter, expected) in [
        (json!("path = /api/*"), vec!["/api/a", "/api/broken"]),
        (json!({ "deny": { "path": ["/health", "~^/api/b"] } }), vec!["/api/a", "/broken"]),
        (json!({ "allow": { "path": "/api/**" }, "deny": "header.x-user ~ /c$" }), vec!["/api/a", "/api/broken"]),
        (json!({ "allow": { "client": "127.0.0.0/8", "any": [{ "path": "/health" }] } }), vec!["/health"]),
    ] {
        let (upstream, target) = (upstream(), Server::ok());
        let config = Config::upstream(upstream.address()).shadow("target", target.address());
        let config = config.set("pipeline", json!([{ "filter": filter }]));
        assert_eq!(mirrored(config, &target, &PATHS), expected, "{filter}");
    }
}

#[test]
fn what_the_response_decides_is_held_until_then() {
    for (filter, expected) in [
        (json!("status >= 500"), vec!["/api/broken", "/broken"]),
        (
            json!({ "allow": { "status": "2xx", "response_type": "text/*", "response_size": 2 }, "deny": "path = /api/**" }),
            vec!["/health"],
        ),
        (json!("path = /api/** and status = 5xx or path = /health"), vec!["/api/broken", "/health"]),
    ] {
        for at in ["pipeline", "shadow"] {
            let (upstream, target) = (upstream(), Server::ok());
            let stages = json!([{ "filter": filter }]);
            let config = Config::upstream(upstream.address());
            let config = match at {
                "pipeline" => config.shadow("target", target.address()).set("pipeline", stages),
                _ => config.shadow_with("target", target.address(), json!({ "pipeline": stages })),
            };
            assert_eq!(mirrored(config, &target, &PATHS), expected, "{at}: {filter}");
        }
    }
}

#[test]
fn a_held_copy_is_whole() {
    let (upstream, target) = (upstream(), Server::ok());
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("pipeline", json!([{ "filter": "status = 500" }]));
    let mirror = Mirror::start(config);
    let body = "x".repeat(6 << 20);
    let mut client = mirror.connect();
    client.send(format!("POST /broken HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.response().status(), 500);
    // More than the bound on how far a target may be behind within one exchange.
    assert!(target.wait_request().body == body.as_bytes(), "the copy differs");
    assert_eq!(mirror.terminate().sink("target").delivered, 1);
}

#[test]
fn one_sinks_filter_holds_no_other_back() {
    let (gate, entered) = (mirror_tests::Gate::new(), Server::ok());
    let passed = std::sync::Arc::new(gate);
    let waits = passed.clone();
    let upstream = Server::answering(move |_| {
        waits.pass();
        "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
    });
    let held = Server::ok();
    let config = Config::upstream(upstream.address()).shadow("prompt", entered.address()).shadow_with(
        "held",
        held.address(),
        json!({ "pipeline": [{ "filter": "status = 500" }] }),
    );
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    entered.wait_request();
    assert_eq!(held.requests(), []);
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_pipeline_held", &[]) == 1.0);
    passed.open();
    assert_eq!(client.response().status(), 500);
    held.wait_request();
    let summary = mirror.terminate();
    assert_eq!((summary.sink("prompt").delivered, summary.sink("held").delivered), (1, 1));
}

#[test]
fn only_what_failed_is_recorded() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target) = (upstream(), Server::ok());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("failed.avro");
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("record", json!({ "path": path, "pipeline": [{ "filter": { "deny": { "status": "2xx" } } }] }));
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for path in PATHS {
        client.exchange(&format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n"));
    }
    let summary = mirror.terminate();
    assert_eq!((summary.sink("target").delivered, summary.sink("record").delivered), (5, 2));
    let records = fastavro.read(&path);
    let targets: Vec<_> =
        records.iter().map(|record| record["request"]["target"].as_str().unwrap_or_default()).collect();
    assert_eq!(targets, ["/api/broken", "/broken"]);
}

#[test]
fn what_the_responses_head_decides_is_not_held_until_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("end");
    let ends = gate.clone();
    let upstream = Server::script(move |mut conn| {
        conn.request().expect("a request");
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        while !ends.exists() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        conn.send("0\r\n\r\n");
    });
    let target = Server::ok();
    let filter = json!([{ "filter": "status = 200 and response_type = text/*" }]);
    let mirror =
        Mirror::start(Config::upstream(upstream.address()).shadow("target", target.address()).set("pipeline", filter));
    let mut client = mirror.connect();
    client.send("GET /events HTTP/1.1\r\nHost: app\r\n\r\n");
    // The stream has not begun, and has not ended.
    assert_eq!(target.wait_request().start_line(), "GET /events HTTP/1.1");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(client.response().status(), 200);
    assert_eq!(mirror.terminate().sink("target").delivered, 1);
}
