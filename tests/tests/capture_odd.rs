//! What some servers take though RFC 9112 forbids it: the listener records it as it was sent, says so, and sends it to no target.

use mirror_tests::capture::{Pcap, Talk, read, records};
use mirror_tests::listener::Listener;
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Conn, Server, Summary, Value, json};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A folder with a capture of one connection for each of these requests, all answered so.
fn capture(requests: &[&str], answer: &str) -> tempfile::TempDir {
    let mut pcap = Pcap::default();
    for (port, request) in (40_001..).zip(requests) {
        let mut talk = Talk::open(&mut pcap, port);
        talk.client(&mut pcap, request);
        talk.server(&mut pcap, answer);
        talk.close(&mut pcap);
    }
    let folder = tempfile::tempdir().expect("a folder of our own");
    pcap.write(&folder.path().join("trace.pcap"));
    folder
}

/// Records it, with this target.
#[track_caller]
fn read_to(target: &Server, folder: &tempfile::TempDir) -> (Option<i32>, Summary, String) {
    let shadow = target.address().to_string();
    read(folder.path(), "trace.pcap:80", &["--shadow", &shadow, "--set=shadow.0.name=target"])
}

/// Names and values.
type Lines<'a> = Vec<(&'a str, &'a str)>;

/// A record's header lines, but for `Host`.
fn lines(message: &Value) -> Lines<'_> {
    fn text(value: &Value) -> &str {
        value.as_str().expect("text")
    }
    let lines = message["headers"].as_array().expect("a list").iter();
    lines.map(|line| (text(&line["name"]), text(&line["value"]))).filter(|(name, _)| *name != "Host").collect()
}

#[test]
fn odd_heads_are_recorded_as_they_were_sent() {
    let Some(fastavro) = Fastavro::find() else { return };
    let cases: [(&str, Lines<'_>, Option<&str>); 9] = [
        ("X-A: folded\r\n  here\r\n\tand here", vec![("X-A", "folded here and here")], Some("malformed head")),
        ("no colon", vec![("", "no colon")], Some("malformed head")),
        ("X-A : b", vec![("X-A ", "b")], Some("malformed head")),
        ("X-A: b\rX-C: d", vec![("X-A", "b\rX-C: d")], Some("malformed head")),
        ("X-A: \u{1}\0", vec![("X-A", "\u{1}\0")], Some("malformed head")),
        ("X(A): b", vec![("X(A)", "b")], Some("malformed head")),
        ("X-A: b\r\n Content-Length: 5", vec![("X-A", "b Content-Length: 5")], Some("ambiguous framing")),
        ("Transfer-Encoding chunked", vec![("", "Transfer-Encoding chunked")], Some("ambiguous framing")),
        // LF alone ends a line for everybody (RFC 9112 §2.2).
        ("X-A: b\nX-C:", vec![("X-A", "b"), ("X-C", "")], None),
    ];
    let requests: Vec<_> = cases
        .iter()
        .zip(0..)
        .map(|((odd, ..), n)| format!("GET /{n} HTTP/1.1\r\nHost: app\r\n{odd}\r\n\r\n"))
        .collect();
    let (target, folder) = (Server::ok(), capture(&requests.iter().map(String::as_str).collect::<Vec<_>>(), OK));
    let (code, summary, said) = read_to(&target, &folder);
    assert_eq!((code, summary.seen), (Some(0), 9), "{said}");
    assert_eq!(summary.sink("target").reason("dropped ambiguous"), 8, "{summary:#?}");
    assert_eq!(target.wait_request().lines(), ["Host: app", "X-A: b", "X-C: ", "x-mirror-shadow: 1"]);
    let records = records(&fastavro, folder.path());
    assert_eq!(records.len(), cases.len());
    for (record, (odd, expected, mark)) in records.iter().zip(cases) {
        assert_eq!(lines(&record["request"]), expected, "{odd:?}");
        assert_eq!((&record["aborted"], &record["response"]["body"]), (&json!(mark), &json!("ok")), "{odd:?}");
    }
}

#[test]
fn odd_start_lines_and_answers_are_recorded_as_they_were_sent() {
    let Some(fastavro) = Fastavro::find() else { return };
    let lines = ["GET /a b HTTP/1.1", "GET\t/c\tHTTP/1.0", "GET HTTP/1.1", "GET /d HTTP/1.7"];
    let requests = lines.map(|line| format!("{line}\r\nHost: app\r\n\r\n"));
    let answer = "HTTP/1.1  299  Odd\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok";
    let folder = capture(&requests.each_ref().map(String::as_str), answer);
    let (code, summary, said) = read(folder.path(), "trace.pcap:80", &[]);
    assert_eq!((code, summary.sink("record").delivered), (Some(0), 4), "{said}");
    let records = records(&fastavro, folder.path());
    for (record, expected) in records.iter().zip([["/a b", "1.1"], ["/c", "1.0"], ["", "1.1"], ["/d", "1.7"]]) {
        let (request, response) = (&record["request"], &record["response"]);
        assert_eq!([&request["target"], &request["version"]], [expected[0], &format!("HTTP/{}", expected[1])]);
        assert_eq!(record["aborted"], "malformed head");
        assert_eq!((&response["status"], &response["reason"]), (&json!(299), &json!("Odd")));
        assert_eq!((&response["headers"][0]["value"], &response["body"]), (&json!("b c"), &json!("ok")));
    }
}

/// A server that goes by Content-Length has seen one request here, and one that goes by Transfer-Encoding two.
#[test]
fn what_may_be_smuggled_reaches_no_target() {
    let Some(fastavro) = Fastavro::find() else { return };
    let body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n";
    let length = body.len();
    let smuggling = format!(
        "POST /outer HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
    );
    let folder = capture(&[&smuggling, "GET /other HTTP/1.1\r\nHost: app\r\n\r\n"], OK);
    let target = Server::ok();
    let (code, summary, said) = read_to(&target, &folder);
    assert_eq!((code, summary.seen), (Some(0), 3), "{said}");
    assert_eq!(target.wait_request().start_line(), "GET /other HTTP/1.1");
    assert_eq!(summary.sink("target").reason("dropped ambiguous"), 2, "{summary:#?}");
    let records = records(&fastavro, folder.path());
    let marks = |at: usize| (&records[at]["request"]["target"], &records[at]["aborted"]);
    assert_eq!(marks(0), (&json!("/outer"), &json!("ambiguous framing")));
    // Of its answer nothing was seen, which counts for more.
    assert_eq!(marks(1), (&json!("/smuggled"), &json!("upstream")));
    assert_eq!(marks(2), (&json!("/other"), &Value::Null));
}

#[test]
fn trailers_reach_a_target_as_it_expects_them_or_not_at_all() {
    let request = |path: &str, trailers: &str| {
        format!("PUT {path} HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{trailers}")
    };
    let folder = capture(&[&request("/lf", "X-Sum:2\n\n"), &request("/odd", "X : 2\r\n y\r\n\r\n")], OK);
    let target = Server::ok();
    let (code, summary, said) = read_to(&target, &folder);
    assert_eq!((code, summary.seen), (Some(0), 2), "{said}");
    let sums = summary.sink("target");
    assert_eq!((sums.delivered, sums.reason("dropped ambiguous")), (1, 1), "{summary:#?}");
    let sent = String::from_utf8(target.received_all()).expect("ASCII");
    assert!(sent.contains("\r\n0\r\nX-Sum: 2\r\n\r\n") && !sent.contains("X :"), "{sent:?}");
    assert_eq!(target.wait_request().start_line(), "PUT /lf HTTP/1.1");
}

/// Chunk sizes in all spellings, and how each is taken. What nginx takes is told whole; of what it refuses, no end is told and nothing
/// behind it.
#[test]
fn nginx_and_the_listener_agree_on_what_a_chunk_is() {
    const SPELLINGS: &[&str] = &[
        "5\r\nhello\r\n0\r\n\r\n",
        "0000000000000000000005\r\nhello\r\n0000000000000000000000\r\n\r\n",
        "5 \r\nhello\r\n0 \r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5 a\r\nhello\r\n0\r\n\r\n",
        "5 ;a=b\r\nhello\r\n0;c\r\n\r\n",
        "5;a=\"b;c\"\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello\n0\r\n\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "5,\r\nhello\r\n0\r\n\r\n",
        "5\u{b}\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhellox\r\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\rX: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ];
    let has_bare_lf = |spelling: &str| spelling.replace("\r\n", "").contains('\n');
    const BEHIND: &str = "\r\nGET /tiny HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
    if !nginx::is_there() {
        return;
    }
    let nginx = Nginx::start();
    let Some(listener) = Listener::to(nginx.address()) else { return };
    let mut taken = Vec::new();
    for (number, spelling) in SPELLINGS.iter().enumerate() {
        let mut client = Conn::open(nginx.address());
        let head = format!("PUT /put/{number} HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{head}{spelling}{BEHIND}"));
        let answers = String::from_utf8_lossy(&client.to_any_end()).into_owned();
        taken.push(answers.starts_with("HTTP/1.1 201 "));
        assert_eq!(
            answers.ends_with("\r\n\r\nok"),
            taken[number],
            "it closes where it refuses: {spelling:?} {answers}"
        );
    }
    assert!(taken.contains(&true) && taken.contains(&false));
    let (records, requests, summary) = listener.end_any();
    let of = |target: &str| records.iter().find(|record| record["request"]["target"] == target).expect(target);
    for (number, (spelling, &taken)) in SPELLINGS.iter().zip(&taken).enumerate() {
        let record = of(&format!("/put/{number}"));
        let expected = if has_bare_lf(spelling) { json!("ambiguous framing") } else { Value::Null };
        let whole = record["aborted"] == expected && record["request"]["body"] == "hello";
        assert_eq!(whole, taken, "{spelling:?}: {record:#}");
        let arrived = requests.iter().any(|request| request.start_line() == format!("PUT /put/{number} HTTP/1.1"));
        assert_eq!(arrived, taken, "{spelling:?}: {summary:#?}");
    }
    let behind = records.iter().filter(|record| record["request"]["target"] == "/tiny").count();
    assert_eq!(behind, taken.iter().filter(|&&taken| taken).count(), "nothing is told that nginx has not read");
    // Others than nginx may not have seen it begin there.
    let sure = SPELLINGS.iter().zip(&taken).filter(|(spelling, taken)| **taken && !has_bare_lf(spelling)).count();
    assert_eq!(requests.iter().filter(|request| request.start_line() == "GET /tiny HTTP/1.1").count(), sure);
}
