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
        // The second one's head may be bytes of the first one's body.
        &["POST /1 \"hi\" ambiguous -> 200 OK \"x\" ambiguous", "GET /2 ambiguous -> 200 OK \"y\" ambiguous"],
    );
}

#[test]
fn odd_lines_are_ambiguous_where_they_may_hide_a_framing() {
    for (line, mark) in [
        (r"X: a\r\n b", ""),
        (r"no colon", ""),
        (r"X : a", ""),
        (r"X: a\r\n Content-Length: 5", " ambiguous"),
        (r"X: a\rTransfer-Encoding: chunked", " ambiguous"),
        (r"Transfer-Encoding chunked", " ambiguous"),
    ] {
        check(
            &format!(
                r"> GET /1 HTTP/1.1\r\n{line}\r\n\r\nGET /2 HTTP/1.1\r\n\r\n
                  < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n"
            ),
            &[&format!("GET /1{mark} -> 200 A"), &format!("GET /2{mark} -> 200 B")],
        );
    }
}

#[test]
fn framing_that_nobody_can_read_ends_the_message() {
    check(
        r"> POST /1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxyzPOST /not HTTP/1.1\r\n\r\n
          < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n
          > \nGET /not HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 ambiguous cut -> 400 Bad (framing)", "orphan HTTP/1.1 200 OK"],
    );
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: z\r\n\r\nwhatever\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 -> 200 OK (framing)", "GET /2 -> 200 OK"],
    );
    // Where the capture began too late, it may be the reading that is wrong.
    check(
        r"midstream
          > POST /1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxyz\r\n
          < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 ambiguous cut -> 400 Bad (framing)", "GET /2 ambiguous -> 200 OK"],
    );
}

/// As nginx has them, which is more than RFC 9112 §7.1 has. Where a line ends with LF alone, others read on to a CRLF.
#[test]
fn chunk_sizes_in_many_spellings() {
    for (size, end) in [
        ("00000000000000000000a", r"\r\n"),
        ("A ", r"\r\n"),
        ("0a ;b=c", r"\r\n"),
        ("A b", r"\r\n"),
        ("A", r"\n"),
        (r"A\t", r"\n"),
        ("A;b=\"c;d\"", r"\n"),
    ] {
        let mark = if end == r"\n" { " ambiguous" } else { "" };
        check(
            &format!(
                r"> PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{size}{end}0123456789{end}00{end}{end}GET /2 HTTP/1.1\r\n\r\n
                  < HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n{size}{end}9876543210{end}0{end}{end}
                  < HTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n"
            ),
            &[&format!("PUT /1 \"0123456789\"{mark} -> 200 A \"9876543210\"{mark}"), &format!("GET /2{mark} -> 200 B")],
        );
    }
}

/// What a server refuses, and then closes: nothing behind it is a request, whatever it looks like.
#[test]
fn what_follows_a_broken_chunk_is_no_request() {
    const LOOKS_LIKE_ONE: &str = r"\r\nGET /not HTTP/1.1\r\nHost: x\r\n\r\n";
    for broken in [
        r" 5\r\nhello\r\n0\r\n\r\n",
        r"0x5\r\nhello\r\n0\r\n\r\n",
        r"+5\r\nhello\r\n0\r\n\r\n",
        r"\r\nhello\r\n0\r\n\r\n",
        r"5\r\r\nhello\r\n0\r\n\r\n",
        r"10000000000000005\r\nhello\r\n0\r\n\r\n",
        r"0\r\nX: y\r\r\n\r\n",
    ] {
        check(
            &format!(
                r"> POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{broken}{LOOKS_LIKE_ONE}
                  < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n
                  > {LOOKS_LIKE_ONE}
                  <.
                  >."
            ),
            &["POST /1 cut -> 400 Bad (framing)"],
        );
    }
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
