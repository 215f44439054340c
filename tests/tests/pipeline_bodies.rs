//! Bodies that are changed on their way, of requests and of responses.

use mirror_tests::capture::{Pcap, Talk, read, records};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Mirror, Server, json};

const JSON: &str = r#"{"user":{"name":"Ann","id":7},"total":10.00}"#;

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: shop.example\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_request_gets_another_body_for_all_or_for_one_target() {
    let (upstream, all, one) = (Server::ok(), Server::ok(), Server::ok());
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.avro");
    let for_all = json!([{ "rewrite": { "body": { "json": {
        "remove": "/user/id",
        "set": { "/from": "{header.x-env}", "/items/-": { "n": 1 } },
    } } } }]);
    let for_one = json!([{ "rewrite": { "body": { "replace": [{ "match": "Ann", "with": "Bo" }] } } }]);
    let config = Config::upstream(upstream.address())
        .shadow("all", all.address())
        .shadow_with("one", one.address(), json!({ "pipeline": for_one }))
        .set("pipeline", for_all)
        .set("record", json!({ "path": path }));
    let mirror = Mirror::start(config);
    let answer = mirror.connect().exchange(&post("/a", "X-Env: test\r\nContent-Type: application/json\r\n", JSON));
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.wait_request().text(), JSON, "the application gets it as it was");
    let made = r#"{"user":{"name":"Ann"},"total":10.00,"from":"test","items":[{"n":1}]}"#;
    let copy = all.wait_request();
    assert_eq!((copy.text().as_str(), copy.header("content-length")), (made, Some(made.len().to_string().as_str())));
    let copy = one.wait_request();
    let made_for_one = made.replace("Ann", "Bo");
    assert_eq!(copy.text(), made_for_one);
    assert_eq!(copy.header("content-length"), Some(made_for_one.len().to_string().as_str()));
    mirror.terminate();
    assert_eq!(fastavro.read(&path)[0]["request"]["body"], made, "the recorder is among all");
}

#[test]
fn a_chunked_request_stays_chunked_and_keeps_its_trailers() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let stages = json!([{ "rewrite": { "body": { "form": { "set": { "a": "{method}" }, "remove": "b" } } } }]);
    let mirror =
        Mirror::start(Config::upstream(upstream.address()).shadow("target", target.address()).set("pipeline", stages));
    mirror.connect().exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n\
         4\r\na=1&\r\n7\r\nb=2&c=3\r\n0\r\nX-T: end\r\n\r\n",
    );
    let copy = target.wait_request();
    assert_eq!((copy.text().as_str(), copy.header("transfer-encoding")), ("a=POST&c=3", Some("chunked")));
    assert_eq!(copy.header("content-length"), None);
}

#[test]
fn what_cannot_be_read_passes_or_is_withheld_as_asked() {
    let Some(fastavro) = Fastavro::find() else { return };
    let long = "x".repeat(100_000);
    for (unreadable, delivered) in [("pass", 2), ("withhold", 1)] {
        let (upstream, target) = (Server::ok(), Server::ok());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.avro");
        let body = json!({ "max_body": "64KiB", "unreadable": unreadable, "replace": [{ "match": "x", "with": "y" }] });
        let config = Config::upstream(upstream.address())
            .shadow("target", target.address())
            .set("pipeline", json!([{ "rewrite": { "body": body } }]))
            .set("record", json!({ "path": path }));
        let mirror = Mirror::start(config);
        assert_eq!(mirror.connect().exchange(&post("/long", "", &long)).status(), 200);
        assert_eq!(mirror.connect().exchange(&post("/short", "", "x")).status(), 200);
        let summary = mirror.terminate();
        let sink = summary.sink("target");
        assert_eq!((sink.delivered, sink.reason("dropped withheld")), (delivered, 2 - delivered));
        let texts: Vec<_> = target.requests().iter().map(|request| request.text().len()).collect();
        assert_eq!(texts.len() as u64, delivered, "{texts:?}");
        let mut found = fastavro.read(&path);
        found.sort_by_key(|record| record["request"]["target"].to_string());
        let (long_one, short_one) = (&found[0]["request"], &found[1]["request"]);
        assert_eq!(short_one["body"], "y");
        match unreadable {
            "pass" => assert_eq!(long_one["body"], long.as_str()),
            _ => assert_eq!((&long_one["body"], &long_one["truncated"]), (&json!(""), &json!("withheld"))),
        }
    }
}

#[test]
fn a_response_is_recorded_changed_and_nobody_waits_for_it() {
    let Some(fastavro) = Fastavro::find() else { return };
    let headers = format!("Content-Type: application/json\r\nX-Secret: 1\r\nContent-Length: {}", JSON.len());
    let upstream = Server::answering(move |_| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{JSON}"));
    let target = Server::ok();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.avro");
    let response = json!({
        "status": 201,
        "header": { "remove": "X-Secret", "set": { "X-Path": "{path}" } },
        "body": { "json": { "set": { "/user/name": "{header.host}" } } },
    });
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("pipeline", json!([{ "rewrite": { "response": response } }]))
        .set("record", json!({ "path": path }));
    let mirror = Mirror::start(config);
    let answer = mirror.connect().exchange("GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, JSON), "the client gets it as it was");
    assert_eq!(target.wait_request().start_line(), "GET /a HTTP/1.1");
    mirror.terminate();
    let response = &fastavro.read(&path)[0]["response"];
    let made = r#"{"user":{"name":"shop.example","id":7},"total":10.00}"#;
    assert_eq!((&response["status"], &response["reason"]), (&json!(201), &json!("Created")));
    assert_eq!(response["body"], made);
    let headers = response["headers"].to_string();
    assert!(headers.contains("/a") && !headers.contains("X-Secret"), "{headers}");
    assert!(headers.contains(&made.len().to_string()), "{headers}");
}

#[test]
fn a_captured_exchange_is_changed_alike() {
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = tempfile::tempdir().expect("a folder of our own");
    let mut pcap = Pcap::default();
    let mut talk = Talk::open(&mut pcap, 40_001);
    talk.client(&mut pcap, post("/a", "Content-Type: application/json\r\n", JSON));
    talk.server(&mut pcap, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabd\r\n0\r\n\r\n");
    talk.close(&mut pcap);
    pcap.write(&folder.path().join("trace.pcap"));
    let stages = json!([{ "rewrite": {
        "body": { "json": { "remove": "/user" } },
        "response": { "body": { "replace": [{ "match": "ab(.)", "with": "<$1>" }] } },
    } }]);
    let (code, _, said) = read(folder.path(), "trace.pcap:80", &[&format!("--set=pipeline={stages}")]);
    assert_eq!(code, Some(0), "{said}");
    let record = &records(&fastavro, folder.path())[0];
    assert_eq!(
        (&record["request"]["body"], &record["response"]["body"]),
        (&json!(r#"{"total":10.00}"#), &json!("<c><d>"))
    );
}
