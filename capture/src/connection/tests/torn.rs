//! What the capture lost, and connections that were open before.

use super::seen::{Line, check, play};

#[test]
fn a_gap_in_a_body_of_known_length_is_counted() {
    check(
        r"> POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab
          >~ 6
          > yz
          < HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n
          <~ 5
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na
          <~ 2
          < d\r\n0\r\n\r\n",
        &["POST / \"abyz\" lost 6 -> 200 OK lost 5", "GET /2 -> 200 OK \"ad\" lost 2"],
    );
    check(
        r"> GET / HTTP/1.0\r\n\r\n
          < HTTP/1.0 200 OK\r\n\r\nab
          <~ 3
          < HTTP/1.1 200 of the body\r\n\r\n
          <~ 0
          <.",
        &[r#"GET / HTTP/1.0 -> HTTP/1.0 200 OK "abHTTP/1.1 200 of the body\r\n\r\n" lost 3"#],
    );
}

#[test]
fn a_gap_over_the_end_of_a_body() {
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab
          <~ 9
          < ngth: 3\r\n\r\nxyz
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 -> 200 OK \"ab\" lost 3", "GET /2 -> 200 OK"],
    );
}

#[test]
fn a_gap_in_a_chunked_body_or_a_head_ends_the_message() {
    check(
        r"> POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab
          >~ 20
          > cd\r\n0\r\n\r\n
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n
          > GET /2 HTTP/1.1\r\nAccept
          >~ 3
          > : x\r\n\r\n
          < HTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 \"ab\" cut -> 200 A (capture)", "GET /3 -> 200 C", "orphan HTTP/1.1 200 B"],
    );
}

#[test]
fn what_is_given_up_for_want_of_room_is_as_if_it_was_lost() {
    // Nothing is kept of a message whose bytes are told as they come.
    check(
        r"> POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nab
          -
          > cd
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 \"abcd\" -> 200 A"],
    );
    // Heads.
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n
          -
          < \r\n
          > GET /2 HTTP/1.1\r\nAccept:
          -
          >  x\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 (capture)", "GET /3 -> 200 C"],
    );
    // Requests of a client that pipelines, whose answers are then nobody's, until it begins anew.
    check(
        r"> GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\nGET /5 HTTP/1.1\r\n\r\n
          -
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n
          + 1000
          > GET /6 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 F\r\nContent-Length: 0\r\n\r\n",
        &[
            "GET /1 (capture)",
            "GET /2 (capture)",
            "GET /3 (capture)",
            "GET /4 (capture)",
            "GET /5 (capture)",
            "GET /6 -> 200 F",
            "orphan HTTP/1.1 200 A",
        ],
    );
}

#[test]
fn a_lost_response_is_not_mistaken() {
    // The client waits for each answer, so the answer behind the gap is the newest request's.
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          <~ 40
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 (capture)", "GET /2 -> 200 B", "GET /3 -> 200 C"],
    );
    // The gap was in front of the answer's head, and no request has come since.
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          <~ 0
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 -> 200 A"],
    );
}

#[test]
fn a_gap_that_is_told_late_is_no_sign_of_pipelining() {
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          <~ 40
          < HTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 (capture)", "GET /2 -> 200 B", "GET /3 -> 200 C"],
    );
}

#[test]
fn a_lost_request_is_not_mistaken() {
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n
          >~ 40
          < HTTP/1.1 200 B\r\nContent-Length: 0\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 -> 200 A", "GET /3 -> 200 C", "orphan HTTP/1.1 200 B"],
    );
}

#[test]
fn with_pipelining_nothing_is_certain_behind_a_gap_until_it_is_quiet() {
    let empty = r"\r\nContent-Length: 0\r\n\r\n";
    check(
        &format!(
            r"> GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n
              < HTTP/1.1 200 A{empty}
              <~ 40
              < HTTP/1.1 200 C{empty}
              > GET /4 HTTP/1.1\r\n\r\n
              < HTTP/1.1 200 D{empty}
              + 1500
              > GET /5 HTTP/1.1\r\n\r\nGET /6 HTTP/1.1\r\n\r\n
              < HTTP/1.1 200 E{empty}HTTP/1.1 200 F{empty}"
        ),
        &[
            "GET /1 -> 200 A",
            "GET /2 (capture)",
            "GET /3 (capture)",
            "GET /4 (capture)",
            "GET /5 -> 200 E",
            "GET /6 -> 200 F",
            "orphan HTTP/1.1 200 C",
            "orphan HTTP/1.1 200 D",
        ],
    );
    // Requests before a gap of the client's own are still answered in order.
    check(
        &format!(
            r"> GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n
              >~ 40
              > GET /4 HTTP/1.1\r\n\r\n
              < HTTP/1.1 200 A{empty}HTTP/1.1 200 B{empty}HTTP/1.1 200 C{empty}HTTP/1.1 200 D{empty}"
        ),
        &["GET /1 -> 200 A", "GET /2 -> 200 B", "GET /4 (capture)", "orphan HTTP/1.1 200 C", "orphan HTTP/1.1 200 D"],
    );
}

#[test]
fn joined_in_the_middle() {
    check(
        r"midstream
          > of a body\r\nGET /not a request line\r\n\r\nGET /1 HTTP/1.1\r\nHost: x\r\n\r\n
          < the end of a response\nHTTP/1.1 200 is mentioned here\nno header\n\n
          < HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 204 x\r\n\r\n",
        &["GET /1 -> 200 OK \"ok\"", "GET /2 -> 204 x"],
    );
    check(
        r"midstream
          < HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 204 x\r\n\r\n",
        &["GET /2 -> 204 x", "orphan HTTP/1.1 200 OK"],
    );
    // The responses are seen only from the third on.
    check(
        r"midstream
          > GET /1 HTTP/1.1\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 C\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 (capture)", "GET /2 (capture)", "GET /3 -> 200 C"],
    );
}

#[test]
fn gaps_in_tunnels_change_nothing() {
    check(
        r"> GET / HTTP/1.1\r\n\r\n
          < HTTP/1.1 101 x\r\n\r\n
          <~ 100
          >~ 0
          < HTTP/1.1 200 OK\r\n\r\n
          > GET /not HTTP/1.1\r\n\r\n",
        &["GET / -> 101 x"],
    );
    check(
        r"> CONNECT a:1 HTTP/1.1\r\n\r\n
          >~ 5
          > GET /not HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 x\r\n\r\n",
        &["CONNECT a:1 -> 200 x"],
    );
}

#[test]
fn lines_that_look_like_heads_are_looked_at_once() {
    // What is said here would be looked at for minutes, if each line were looked at with all that follow.
    let lines =
        [Line::Data(true, b"GET / HTTP/1.1\n".repeat(400_000)), Line::Data(true, b"GET /1 HTTP/1.1\n\n".to_vec())];
    let told = play(true, &lines, |_, bytes| vec![bytes]);
    assert_eq!(told.lines(), ["GET /1 (shutdown)"]);
}
