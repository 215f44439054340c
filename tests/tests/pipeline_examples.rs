//! The examples whose targets do not get all.

use std::path::Path;

use mirror_tests::recording::Fastavro;
use mirror_tests::{Message, Mirror, Server, WITHIN, json};

/// Runs an example with targets of our own, and gives what each got of the requests.
fn run(example: &str, more: &[&str], requests: &[String]) -> [Vec<Message>; 2] {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example).join("mirror.yaml");
    let (upstream, targets) = (Server::ok(), [Server::ok(), Server::ok()]);
    let shadows = [0, 1].map(|i| format!("--set=shadow.{i}.target={}", targets[i].address()));
    let upstream_flag = format!("--upstream={}", upstream.address());
    let flags = [
        "run",
        file.to_str().expect("UTF-8"),
        "--listen=127.0.0.1:0",
        "--admin=127.0.0.1:0",
        "--log-format=json",
        &upstream_flag,
        &shadows[0],
        &shadows[1],
    ];
    let mirror = Mirror::start_with(&[&flags, more].concat());
    let mut client = mirror.connect();
    requests.iter().for_each(|request| drop(client.exchange(request)));
    let all = requests.len() as u64;
    mirror.wait_for(WITHIN, |metrics| {
        let skipped = |sink: &String| metrics.sum("mirror_sink_skipped_total", &[&format!("sink=\"{sink}\"")]) as u64;
        metrics.sinks().iter().all(|sink| metrics.settled(sink) + skipped(sink) == all)
    });
    mirror.terminate().assert_exact();
    targets.map(|target| target.requests())
}

#[test]
fn redact_what_is_recorded_and_copied() {
    let body = r#"{"password":"hunter2","note":"4111111111111111 of ann@example.com"}"#;
    let post = |length: usize| {
        format!(
            "POST /a?token=t0ken&b=1 HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer t0ken\r\nCookie: session=s1\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let folder = tempfile::tempdir().expect("a folder of our own");
    let record = format!("--set=record.path={}", folder.path().join("redacted.avro").display());
    let [copies, _] = run("redact", &[&record], &[post(body.len()), post(body.len())]);
    assert_eq!(copies.len(), 2);
    for copy in &copies {
        let all = format!("{}{}", copy.head, copy.text());
        assert!(all.contains("note") && all.contains("b=1"), "{all}");
        for secret in ["hunter2", "4111", "ann@", "t0ken", "s1"] {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
    }
    assert_eq!(copies[0].text(), copies[1].text(), "the same secrets look the same");
    let token = copies[0].header("authorization").expect("a hash");
    assert!(token.starts_with("REDACTED-") && copies[0].start_line().contains(token), "{:?}", copies[0].head);
}

fn get(path: &str, session: usize) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app\r\nAuthorization: x\r\nCookie: session={session}; remember_me=1\r\n\r\n")
}

#[test]
fn a_canary_by_user() {
    let mut requests: Vec<String> = (0..50).flat_map(|user| [get("/a", user), get("/b", user)]).collect();
    requests.push(get("/healthz", 0));
    requests.push("POST /c HTTP/1.1\r\nHost: app\r\nCookie: session=none\r\nContent-Length: 0\r\n\r\n".to_owned());
    let [next, canary] = run("canary-by-user", &[], &requests);
    assert_eq!(next.len(), 100, "all that is read-only and no health check");
    assert!((2..40).contains(&canary.len()), "about a tenth: {}", canary.len());
    assert!(canary.iter().all(|copy| copy.header("x-canary") == Some("1")));
    assert!(next.iter().all(|copy| copy.header("x-canary").is_none()));
}

#[test]
fn staging_at_its_own_pace() {
    let requests: Vec<String> = (0..20).map(|user| get("/api/x", user)).collect();
    // As many at once as in the example, and then none for as long as a test may take.
    let slow = ["--set=pipeline.2.rate.requests=1/h", "--set=pipeline.2.rate.burst=5"];
    let copies = run("rate-limited-staging", &slow, &requests).concat();
    assert_eq!(copies.len(), 5, "of one client");
    for copy in &copies {
        assert_eq!(copy.start_line(), "GET /staging/api/x HTTP/1.1");
        assert_eq!((copy.header("host"), copy.header("authorization")), (Some("staging.example"), None));
        assert!(copy.header("cookie").is_some_and(|cookie| !cookie.contains("remember_me")));
    }
}

#[test]
fn a_program_that_masks() {
    let (upstream, target) = (
        Server::answering(|_| "HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nContent-Length: 19\r\n\r\n4111 1111 1111 1111"),
        Server::ok(),
    );
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = tempfile::tempdir().expect("a folder of our own");
    let record = folder.path().join("traffic.avro");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/middleware");
    let mirror = Mirror::start_with(&[
        "run",
        example.join("mirror.yaml").to_str().expect("UTF-8"),
        "--listen=127.0.0.1:0",
        "--admin=127.0.0.1:0",
        "--log-format=json",
        &format!("--upstream={}", upstream.address()),
        &format!("--set=shadow.target={}", target.address()),
        &format!("--set=record={}", record.display()),
        &format!("--set=pipeline.0.middleware.command=[python3, {}]", example.join("mask.py").display()),
        "--set=pipeline.0.middleware.timeout=3s",
    ]);
    let mut client = mirror.connect();
    let pay = "POST /pay HTTP/1.1\r\nHost: app\r\nCookie: s=1\r\nContent-Length: 22\r\n\r\ncard=5500005555555559\n";
    assert_eq!(client.exchange(pay).header("set-cookie"), Some("s=1"), "the client sees nothing of this");
    client.exchange("GET /private HTTP/1.1\r\nHost: app\r\n\r\n");
    let copy = target.wait_request();
    assert_eq!((copy.text().as_str(), copy.header("cookie")), ("card=****5559\n", Some("masked")));
    let summary = mirror.terminate();
    summary.assert_exact();
    assert_eq!((summary.sink("staging").delivered, summary.sink("staging").reason("skipped middleware")), (1, 1));
    let records = fastavro.read(&record);
    assert_eq!((records.len(), &records[0]["response"]["body"]), (1, &json!("****1111")));
    assert!(!records[0].to_string().contains("s=1"), "{records:#?}");
}
