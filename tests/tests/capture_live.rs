//! The listener on the loopback: clients and servers talk past it, and a target and a recording get every message byte for byte.

use std::process::{Command, Stdio};

use mirror_tests::capture::is_permitted;
use mirror_tests::listener::{Listener, assert_arrived, assert_message, is};
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Gate, Message, Mirror, Server, Value, is_there, json, upload};

#[path = "capture_live/cases.rs"]
mod cases;

use cases::{CASES, answering_cases, assert_cases};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

#[test]
fn one_after_the_other_on_one_connection() {
    let server = answering_cases();
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    for case in CASES {
        client.send(case.request);
        assert_eq!(client.response_to(case.method()).text(), case.answer_body, "{}", case.request);
    }
    let client = client.local_address().to_string();
    let (records, requests) = listener.end(CASES.len());
    assert_cases(&records, &requests);
    for record in &records {
        let ends = (&record["client"], &record["server"]);
        assert_eq!(ends, (&json!(client), &json!(server.address().to_string())));
    }
}

#[test]
fn all_in_one_segment() {
    let server = answering_cases();
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    client.send(CASES.iter().map(|case| case.request).collect::<String>());
    for case in CASES {
        assert_eq!(client.response_to(case.method()).text(), case.answer_body, "{}", case.request);
    }
    let (mut records, requests) = listener.end(CASES.len());
    // They began at the same time.
    let place = |record: &Value| {
        let target = format!(" {} ", record["request"]["target"].as_str().expect("a target"));
        CASES.iter().position(|case| case.request.contains(&target))
    };
    records.sort_by_key(place);
    assert_cases(&records, &requests);
}

#[test]
fn cut_at_any_byte() {
    const REQUEST: &str =
        "POST /cut HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbye\r\n0\r\nX-T: 2\r\n\r\n";
    let server = Server::script(|mut conn| {
        for at in 1.. {
            if conn.request().is_none() {
                return;
            }
            let (start, end) = ANSWER.split_at(at % ANSWER.len());
            conn.send(start);
            conn.send(end);
        }
    });
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    for at in 1..REQUEST.len() {
        client.send(&REQUEST[..at]);
        client.send(&REQUEST[at..]);
        assert_eq!(client.response().text(), "bye");
    }
    let (records, requests) = listener.end(REQUEST.len() - 1);
    for record in &records {
        assert_message(&record["request"], REQUEST, b"hi");
        assert_message(&record["response"], ANSWER, b"bye");
        for (side, value) in [("request", "1"), ("response", "2")] {
            assert_eq!(record[side]["trailers"], json!([{ "name": "X-T", "value": value }]));
        }
    }
    assert!(requests.iter().all(|request| request.body == b"hi"));
}

#[test]
fn a_request_that_waits_for_100() {
    const HEAD: &str = "POST /wait HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let server = Server::script(|mut conn| {
        conn.head();
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        conn.exactly(5);
        conn.send([ANSWER, "ok"].concat());
        conn.to_any_end();
    });
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    client.send(HEAD);
    client.head();
    client.send("hello");
    assert_eq!(client.response().text(), "ok");
    let (records, requests) = listener.end(1);
    assert_message(&records[0]["request"], HEAD, b"hello");
    assert_message(&records[0]["response"], ANSWER, b"ok");
    assert_arrived(&requests, HEAD, b"hello");
}

#[test]
fn an_answer_before_the_request_is_whole() {
    const HEAD: &str = "POST /early HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\n";
    let server = Server::script(|mut conn| {
        conn.head();
        conn.send([ANSWER, "no"].concat());
        conn.exactly(10);
        conn.request();
        conn.send([ANSWER, "no"].concat());
        conn.to_any_end();
    });
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    client.send([HEAD, "half "].concat());
    assert_eq!(client.response().status(), 413);
    client.send("whole");
    assert_eq!(client.exchange(GET).status(), 413);
    let (records, requests) = listener.end(2);
    assert_message(&records[0]["request"], HEAD, b"half whole");
    assert_message(&records[0]["response"], ANSWER, b"no");
    assert_arrived(&requests, HEAD, b"half whole");
    assert_message(&records[1]["request"], GET, b"");
}

#[test]
fn over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: there is no ::1 here");
        return;
    }
    let server = Server::script_at("[::1]:0".parse().expect("an address"), |mut conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    assert_eq!(client.exchange(GET).text(), "ok");
    let ends = [client.local_address().to_string(), server.address().to_string()];
    let (records, _) = listener.end(1);
    assert_eq!([&records[0]["client"], &records[0]["server"]], [&json!(ends[0]), &json!(ends[1])]);
    assert_message(&records[0]["request"], GET, b"");
}

#[test]
fn curl_and_nginx() {
    if !nginx::is_there() || !is_there("curl", &["--version"]) {
        return;
    }
    let nginx = Nginx::start();
    let page = upload::body(300_000);
    std::fs::write(nginx.file("page"), &page).expect("a file of our own");
    let Some(listener) = Listener::to(nginx.address()) else { return };
    let url = |path: &str| format!("http://{}{path}", nginx.address());
    let curl = |arguments: &[&str]| {
        let output =
            Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).stdin(Stdio::null()).output();
        let output = output.expect("curl");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert!(curl(&[&url("/page")]) == page);
    let file = nginx.file("page");
    let file = file.to_str().expect("UTF-8");
    // Asks first whether it may, and sends in chunks.
    curl(&["-T", file, "-H", "Expect: 100-continue", &url("/put/a")]);
    curl(&["-T", file, "-H", "Transfer-Encoding: chunked", &url("/put/b")]);
    // Three on one connection.
    assert_eq!(curl(&[&url("/tiny?1"), &url("/tiny?2"), &url("/tiny?3")]), b"okokok");
    curl(&["-I", &url("/page?head")]);
    listener.mirror.wait_settled(7);
    let (records, requests) = listener.end(7);
    let of = |target: &str| records.iter().find(|record| record["request"]["target"] == target).expect(target);
    assert!(is(&of("/page")["response"]["body"], &page));
    for put in ["/put/a", "/put/b"] {
        assert!(is(&of(put)["request"]["body"], &page), "{put}");
        assert_eq!(of(put)["response"]["status"], 201);
        let arrived = requests.iter().find(|request| request.start_line() == format!("PUT {put} HTTP/1.1"));
        assert!(arrived.is_some_and(|request| request.body == page), "{put}");
    }
    assert_eq!(of("/tiny?3")["response"]["body"], "ok");
    assert_eq!(
        (&of("/page?head")["request"]["method"], &of("/page?head")["response"]["body"]),
        (&json!("HEAD"), &json!(""))
    );
}

/// What was under way when it began to listen is read from the next message on.
#[test]
fn a_connection_that_was_open_before() {
    let server = Server::ok();
    let mut client = Conn::open(server.address());
    assert_eq!(client.exchange(GET).text(), "ok");
    let Some(listener) = Listener::to(server.address()) else { return };
    for number in 0..3 {
        assert_eq!(client.exchange(&format!("GET /{number} HTTP/1.1\r\nHost: app\r\n\r\n")).text(), "ok");
    }
    let (records, _) = listener.end(3);
    let targets: Vec<_> =
        records.iter().map(|record| record["request"]["target"].as_str().expect("a target")).collect();
    assert_eq!(targets, ["/0", "/1", "/2"]);
    assert!(records.iter().all(|record| record["response"]["body"] == "ok"), "{records:#?}");
}

#[test]
fn a_reset_in_the_middle_is_recorded_as_such() {
    let server = Server::ok();
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut client = Conn::open(server.address());
    client.send("POST /half HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhalf");
    client.reset();
    assert_eq!(Conn::open(server.address()).exchange(GET).text(), "ok");
    let (records, requests, summary) = listener.end_any();
    assert_eq!((summary.seen, records.len()), (2, 2), "{summary:#?}");
    let half = records.iter().find(|record| record["request"]["target"] == "/half").expect("it is recorded");
    assert_eq!(
        (&half["aborted"], &half["request"]["body"], &half["response"]),
        (&json!("downstream"), &json!("half"), &Value::Null)
    );
    assert!(requests.iter().all(|request| request.body.is_empty()), "half a request reaches no target: {requests:#?}");
}

/// The end comes while an answer is waited for: what was seen of it is recorded.
#[test]
fn the_drain_keeps_what_was_seen() {
    let answer = Gate::new();
    let server = Server::answering({
        let answer = answer.clone();
        move |request: &Message| {
            if request.start_line().contains("/slow") {
                answer.pass();
            }
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        }
    });
    let Some(listener) = Listener::to(server.address()) else { return };
    let mut slow = Conn::open(server.address());
    slow.send("GET /slow HTTP/1.1\r\nHost: app\r\n\r\n");
    let mut client = Conn::open(server.address());
    for _ in 0..100 {
        assert_eq!(client.exchange(GET).text(), "ok");
    }
    let (records, _, summary) = listener.end_any();
    answer.open();
    assert_eq!((summary.seen, records.len()), (101, 101), "{summary:#?}");
    let (whole, open): (Vec<_>, Vec<_>) = records.iter().partition(|record| record["aborted"].is_null());
    assert_eq!((whole.len(), open.len()), (100, 1));
    assert!(whole.iter().all(|record| record["response"]["body"] == "ok"));
    assert_eq!((&open[0]["request"]["target"], &open[0]["aborted"]), (&json!("/slow"), &json!("capture")));
}

/// The proxy and the listener see the same traffic, and tell the same of it.
#[test]
fn the_proxy_and_the_listener_agree() {
    if !is_permitted() {
        return;
    }
    let Some(fastavro) = Fastavro::find() else { return };
    let (server, folder) = (answering_cases(), tempfile::tempdir().expect("a folder of our own"));
    let path = folder.path().join("proxied.avro");
    let proxy = Mirror::start(Config::upstream(server.address()).set("record", json!({ "path": path })));
    let Some(listener) = Listener::to(proxy.address()) else { return };
    let mut client = proxy.connect();
    for case in CASES {
        client.send(case.request);
        assert_eq!(client.response_to(case.method()).text(), case.answer_body, "{}", case.request);
    }
    let (heard, _) = listener.end(CASES.len());
    proxy.terminate();
    let mut proxied = fastavro.read(&path);
    proxied.sort_by_key(|record| record["start"].as_u64());
    assert_eq!(proxied.len(), heard.len());
    for (proxied, heard) in proxied.iter().zip(&heard) {
        assert_eq!(proxied["client"], heard["client"]);
        assert_eq!(proxied["aborted"], heard["aborted"], "{proxied:#}");
        for field in ["method", "target", "version", "headers", "body", "body_length", "truncated"] {
            assert_eq!(proxied["request"][field], heard["request"][field], "{field} of {heard:#}");
        }
        for field in ["status", "body", "body_length", "truncated"] {
            assert_eq!(proxied["response"][field], heard["response"][field], "{field} of {heard:#}");
        }
        for side in ["request", "response"] {
            // Those that the proxy carries at all.
            let carried = proxied[side]["trailers"] != json!([]);
            assert!(!carried || proxied[side]["trailers"] == heard[side]["trailers"], "{side}: {proxied:#} {heard:#}");
        }
        assert_eq!(end_to_end(&proxied["response"]), end_to_end(&heard["response"]), "{heard:#}");
    }
}

/// The headers of a response but for those that are between two neighbours only: the proxy records what it was answered, and the listener what
/// the client got.
fn end_to_end(response: &Value) -> Vec<&Value> {
    let headers = response["headers"].as_array().expect("a list").iter();
    let neighbours = ["connection", "keep-alive", "transfer-encoding", "date"];
    headers
        .filter(|field| !neighbours.contains(&&*field["name"].as_str().expect("a name").to_ascii_lowercase()))
        .collect()
}
