//! What is sent all the same.

use super::super::head::MAX_HEAD;
use super::super::pairing::MAX_UNANSWERED;
use super::seen::{Line, check, play};

#[test]
fn odd_but_real_syntax() {
    check(
        r"> \r\n\nget /a b HTTP/1.1\nHost: x\nno colon here\n folded\nX: \xff\xfe\n\n
          < HTTP/1.1 200\nContent-Length: 2\n\nokay
          < \r\nHTTP/1.1 200 OK\r\n\r\n",
        &["get /a b -> 200 \"ok\"", "orphan HTTP/1.1 200 OK"],
    );
    check(
        r"> GET http://a.example/x?y HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n
          > M-SEARCH * HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\n
          < HTTP/1.1 200 OK\r\nX: a\r\n\tfolded\r\nContent-Length: 0\r\n\r\n
          > GET HTTP/1.1\r\n\r\n
          < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
        &["GET http://a.example/x?y -> 200 OK \"ok\"", "M-SEARCH * \"x\" -> 200 OK", "GET -> 400 Bad"],
    );
}

#[test]
fn ambiguous_framing_is_read_as_the_rfc_says_and_marked() {
    check(
        r"> POST /1 HTTP/1.1\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n",
        &["POST /1 \"hi\" ambiguous -> 200 OK \"x\" ambiguous", "GET /2 -> 200 OK \"y\" ambiguous"],
    );
}

#[test]
fn framing_that_nobody_can_read_ends_the_message() {
    check(
        r"> POST /1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxyzPOST /not HTTP/1.1\r\n\r\n
          < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 cut -> 400 Bad (framing)", "GET /2 -> 200 OK"],
    );
    check(
        r"> POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhix\r\n
          < HTTP/1.1 400 Bad\r\nContent-Length: z\r\n\r\nwhatever\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 \"hi\" cut -> 400 Bad (framing)", "GET /2 -> 200 OK"],
    );
}

#[test]
fn no_http_is_not_made_http() {
    // A reply of HTTP/0.9.
    check(
        r"> GET / HTTP/1.1\r\n\r\n
          < <html>\nHTTP/1.1 200 OK\r\n\r\n
          <.",
        &["GET / (upstream)"],
    );
    check(
        r"> \x85\x00GET / HTTP/1.1\r\nHost: x\r\n\r\n
          < HTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\n\r\nx",
        &["orphan HTTP/1.1 400 Bad Request"],
    );
    check(
        r"> GET / HTTP/1.1\n\n
          < HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n
          > T / HTTP\n\n
          < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n
          > T / HTTP\n\nT / HTTP\n\n",
        &["GET / -> 301 Moved", "orphan HTTP/1.1 400 Bad"],
    );
}

#[test]
fn more_responses_than_requests() {
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 -> 200 A", "GET /2 -> 200 C", "orphan HTTP/1.1 200 B"],
    );
}

#[test]
fn heads_have_a_bound() {
    let head = |n: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(n)).into_bytes();
    for (n, whole) in [(MAX_HEAD - 100, 1), (MAX_HEAD + 100, 0)] {
        let lines = [Line::Data(true, head(n)), Line::Data(true, b"GET /2 HTTP/1.1\r\n\r\n".to_vec())];
        let told = play(false, &lines, |_, bytes| bytes.chunks(1400).collect());
        assert_eq!(told.exchanges.len(), whole + 1);
        let told = play(false, &lines[..1], |_, bytes| bytes.chunks(1400).collect());
        assert_eq!(told.exchanges.len(), whole);
    }
}

#[test]
fn unanswered_requests_have_a_bound() {
    let n = MAX_UNANSWERED + 10;
    let requests: Vec<u8> = (0..n).flat_map(|i| format!("GET /{i} HTTP/1.1\r\n\r\n").into_bytes()).collect();
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let told = play(false, &[Line::Data(true, requests), Line::Data(false, response)], |_, bytes| vec![bytes]);
    let lines = told.lines();
    assert_eq!(lines.len(), n + 1);
    assert!(lines[..n].iter().all(|line| line.ends_with("(capture)")), "nobody knows whose answer it is");
    assert_eq!(lines[n], "orphan HTTP/1.1 200 OK");
}
