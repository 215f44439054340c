//! Messages that listeners get wrong, told segment by segment: each is recorded and copied as it was.

use mirror_tests::listener::{Listener, assert_arrived, assert_message};
use mirror_tests::{Config, Server, Stage, json};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

/// Both say this in turn, the client first, each piece in a segment of its own; None where listening cannot be tested.
fn hear(segments: &[(&str, &str)]) -> Option<Listener> {
    let stage = Stage::new();
    let listener = Listener::to(stage.address())?;
    let mut talk = stage.open();
    for (client, server) in segments {
        talk.client(client);
        talk.server(server);
    }
    talk.close();
    Some(listener)
}

/// One exchange, whose heads and bodies are these.
#[track_caller]
fn assert_heard(segments: &[(&str, &str)], request: (&str, &str), answer: (&str, &str)) {
    let Some(listener) = hear(segments) else { return };
    let (records, requests) = listener.end(1);
    assert_message(&records[0]["request"], request.0, request.1.as_bytes());
    assert_message(&records[0]["response"], answer.0, answer.1.as_bytes());
    assert_arrived(&requests, request.0, request.1.as_bytes());
}

#[test]
fn segments_of_nothing_but_zeros() {
    const ZEROS: &str = match str::from_utf8(&[0; 4000]) {
        Ok(zeros) => zeros,
        Err(_) => unreachable!(),
    };
    let request = "POST /zeros HTTP/1.1\r\nHost: app\r\nContent-Length: 8000\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8000\r\n\r\n";
    let body = ZEROS.repeat(2);
    assert_heard(
        &[(request, ""), (ZEROS, ""), (ZEROS, answer), ("", ZEROS), ("", ZEROS)],
        (request, &body),
        (answer, &body),
    );
}

/// A segment may end with what looks like the end of a chunked body, or be nothing else.
#[test]
fn chunks_whose_data_looks_like_the_last_chunk() {
    let request = "POST /chunks HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "data0\r\n\r\n0\r\n\r\n";
    assert_heard(
        &[
            (request, ""),
            ("e\r\ndata0\r\n\r\n", ""),
            ("0\r\n\r\n", ""),
            ("\r\n", ""),
            ("0\r\n\r\n", answer),
            ("", "e\r\ndata0\r\n\r\n"),
            ("", "0\r\n\r\n"),
            ("", "\r\n0\r\n\r\n"),
        ],
        (request, body),
        (answer, body),
    );
}

/// Nobody told of them before.
#[test]
fn trailers_that_no_header_declares() {
    let request = "POST /trailers HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Some(listener) = hear(&[
        (request, ""),
        ("2\r\nhi\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n", answer),
        ("", "3\r\nbye\r\n0\r\n"),
        ("", "X-Late: yes\r\n"),
        ("", "\r\n"),
    ]) else {
        return;
    };
    let (records, _) = listener.end(1);
    assert_message(&records[0]["request"], request, b"hi");
    assert_message(&records[0]["response"], answer, b"bye");
    let sums = json!([{ "name": "X-Sum", "value": "1" }, { "name": "x-sum", "value": "2" }]);
    assert_eq!(records[0]["request"]["trailers"], sums);
    assert_eq!(records[0]["response"]["trailers"], json!([{ "name": "X-Late", "value": "yes" }]));
}

#[test]
fn a_100_in_any_spelling() {
    for (expect, interim) in [
        ("Expect: 100-continue", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("expect:100-Continue", "HTTP/1.1 100\r\n\r\n"),
        ("EXPECT: 100-CONTINUE", "HTTP/1.1 100 \r\n\r\n"),
        ("Expect: 100-continue", "HTTP/1.0 100 go on then\r\nServer: odd\r\nContent-Length: 2\r\n\r\n"),
        ("Expect: 100-continue", "HTTP/1.1 100 CONTINUE\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"),
        // The server does not care.
        ("Expect: 100-continue", ""),
    ] {
        let request = format!("POST /wait HTTP/1.1\r\nHost: app\r\n{expect}\r\nContent-Length: 5\r\n\r\n");
        let answer = format!("{OK}ok");
        assert_heard(&[(&request, interim), ("hello", &answer)], (&request, "hello"), (OK, "ok"));
    }
}

#[test]
fn methods_that_few_know() {
    let query = "QUERY /search HTTP/1.1\r\nHost: app\r\nContent-Length: 11\r\n\r\n";
    let purge = "PURGE /cached HTTP/1.1\r\nHost: app\r\n\r\n";
    let search = "VERSION-CONTROL /file HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n";
    let answer = format!("{OK}ok");
    let Some(listener) = hear(&[(query, ""), ("select name", &answer), (purge, &answer), (search, &answer)]) else {
        return;
    };
    let (records, requests) = listener.end(3);
    for (record, (head, body)) in records.iter().zip([(query, "select name"), (purge, ""), (search, "")]) {
        assert_message(&record["request"], head, body.as_bytes());
        assert_message(&record["response"], OK, b"ok");
        assert_arrived(&requests, head, body.as_bytes());
    }
}

/// What stands between two records of a `.gor` file.
#[test]
fn bodies_with_another_tools_separator() {
    const SEPARATOR: &str = "\n\u{1f435}\u{1f648}\u{1f649}\n";
    let body =
        format!("before{SEPARATOR}1 824e46b17f0000016f787925 1795356240850091280 0\nGET / HTTP/1.1\r\n\r\n{SEPARATOR}");
    let request = format!("POST /separator HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let (said, answered) = (format!("{request}{body}"), format!("{answer}{body}"));
    assert_heard(&[(&said, &answered)], (&request, &body), (&answer, &body));
}

/// The first two and the start of the third are in one segment; so are the answers.
#[test]
fn posts_that_share_segments() {
    let post = |number: usize| format!("POST /{number} HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\n\r\n");
    let posts: String = (0..3).map(|number| format!("{}body {number}", post(number))).collect();
    let (first, last) = posts.split_at(posts.len() - 30);
    let answers = format!("{OK}ok").repeat(3);
    let (start, end) = answers.split_at(answers.len() - 10);
    let Some(listener) = hear(&[(first, ""), (last, start), ("", end)]) else { return };
    let (mut records, requests) = listener.end(3);
    records.sort_by_key(|record| record["request"]["target"].to_string());
    for (number, record) in records.iter().enumerate() {
        let (head, body) = (post(number), format!("body {number}"));
        assert_message(&record["request"], &head, body.as_bytes());
        assert_message(&record["response"], OK, b"ok");
        assert_arrived(&requests, &head, body.as_bytes());
    }
}

/// The final answer, while the request is still being sent, by a server that closes then.
#[test]
fn an_answer_to_half_a_request_before_the_end() {
    let request = "POST /half HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n";
    let answer = "HTTP/1.0 413 Too Much\r\n\r\n";
    let Some(listener) = hear(&[(request, ""), ("half", answer), ("", "until it closes")]) else { return };
    let (records, requests, summary) = listener.end_any();
    assert_eq!((summary.seen, records.len()), (1, 1), "{summary:#?}");
    let (response, body) = (&records[0]["response"], &records[0]["response"]["body"]);
    assert_eq!((&response["status"], body), (&json!(413), &json!("until it closes")));
    assert_eq!((&records[0]["request"]["body"], &records[0]["aborted"]), (&json!("half"), &json!("downstream")));
    assert!(requests.is_empty(), "half a request reaches no target: {requests:#?}");
}

/// Nothing is added to a copy but the marker, nothing sorted, no case changed; and the target's path stands before the request's own.
#[test]
fn a_copy_has_the_head_that_was_sent() {
    let stage = Stage::new();
    let (plain, prefixed) = (Server::ok(), Server::ok());
    let prefix = format!("http://{}/new/api/", prefixed.address());
    let config = Config::capture(json!({ "interface": "lo", "ports": stage.address().port() }))
        .shadow("plain", plain.address())
        .shadow_with("prefixed", prefixed.address(), json!({ "target": prefix }));
    let Some(listener) = Listener::configured(config) else { return };
    let head = |target: &str, marker: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nzebra: 1\r\nHOST: App.example\r\nX-two: b\r\nx-TWO: a\r\nAccept: */*\r\n\
             Cookie: a=1; b=2\r\nempty:\r\n{marker}\r\n"
        )
    };
    let mut talk = stage.open();
    talk.client(head("/p%2Fq//r?x=1&x=2", ""));
    talk.server(format!("{OK}ok"));
    let marker = "x-mirror-shadow: 1\r\n";
    assert_eq!(plain.wait_request().head, head("/p%2Fq//r?x=1&x=2", marker).replace("empty:", "empty: "));
    assert_eq!(prefixed.wait_request().head, head("/new/api/p%2Fq//r?x=1&x=2", marker).replace("empty:", "empty: "));
    let (records, _) = listener.end(1);
    assert_message(&records[0]["request"], &head("/p%2Fq//r?x=1&x=2", ""), b"");
}
