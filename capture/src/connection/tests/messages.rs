//! What HTTP/1 allows.

use std::time::Duration;

use super::seen::{check, parse, play};

#[test]
fn one_exchange_after_another() {
    check(
        r"> GET /a HTTP/1.1\r\nHost: x\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello
          > POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc
          < HTTP/1.1 204 No Content\r\n\r\n
          > DELETE /c HTTP/1.1\r\n\r\n
          < HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n
          >.
          <.",
        &["GET /a -> 200 OK \"hello\"", "POST /b \"abc\" -> 204 No Content", "DELETE /c -> 404 Not Found"],
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    check(
        r"> GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiHEAD /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2
          < HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 499 \r\nContent-Length: 1\r\n\r\n4",
        &["GET /1 -> 200 OK \"1\"", "POST /2 \"hi\" -> 200 OK \"2\"", "HEAD /3 -> 200 OK", "GET /4 -> 499 \"4\""],
    );
}

#[test]
fn chunked_both_ways_with_extensions_and_trailers() {
    check(
        r#"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n1 \r\n!\r\n0\r\n\r\n
           < HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n
           > PUT /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n
           < HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"#,
        &[r#"POST / "hello!" -> 200 OK "abc" [X-Sum: 1\r\n\r\n]"#, r"PUT /2 [A: b\r\n\r\n] -> 200"],
    );
}

#[test]
fn a_body_may_last_until_the_connection_ends() {
    let transcript = |end: &str| {
        format!(
            r"> GET / HTTP/1.0\r\n\r\n
              < HTTP/1.0 200 OK\r\n\r\nall
              <  of it
              {end}"
        )
    };
    check(&transcript("<."), &["GET / HTTP/1.0 -> HTTP/1.0 200 OK \"all of it\""]);
    check(&transcript("<!"), &["GET / HTTP/1.0 -> HTTP/1.0 200 OK \"all of it\" (upstream)"]);
    check(&transcript(""), &["GET / HTTP/1.0 -> HTTP/1.0 200 OK \"all of it\" (shutdown)"]);
}

#[test]
fn http_1_0_may_keep_alive() {
    check(
        r"> GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n
          < HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na
          > GET /2 HTTP/1.0\r\n\r\n
          < HTTP/1.0 200 OK\r\n\r\nb
          <.",
        &["GET /1 HTTP/1.0 -> HTTP/1.0 200 OK \"a\"", "GET /2 HTTP/1.0 -> HTTP/1.0 200 OK \"b\""],
    );
}

#[test]
fn no_body_where_there_can_be_none() {
    check(
        r"> HEAD /1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n
          > GET /3 HTTP/1.1\r\n\r\n
          < HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n
          > GET /4 HTTP/1.1\r\n\r\n
          < HTTP/1.1 520 ?\r\nContent-Length: 1\r\n\r\n4",
        &["HEAD /1 -> 200 OK", "GET /2 -> 304 Not Modified", "GET /3 -> 204 No Content", "GET /4 -> 520 ? \"4\""],
    );
}

#[test]
fn interim_responses_are_passed_over() {
    check(
        r"> POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n
          < HTTP/1.1 100 go on, please\r\nX: y\r\n\r\n
          > hi
          < HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        &["POST / \"hi\" -> 200 OK \"ok\""],
    );
}

#[test]
fn an_answer_may_come_before_the_request_ends() {
    check(
        r"> POST /1 HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc
          < HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno
          > defGET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["POST /1 \"abcdef\" -> 413 Too Large \"no\"", "GET /2 -> 200 OK"],
    );
    // Even before its head does.
    check(
        r"> GET /1 HTTP/1.1\r\nA:
          < HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n
          >  b\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &["GET /1 (capture)", "GET /2 -> 200 OK", "orphan HTTP/1.1 408 Timeout"],
    );
}

#[test]
fn upgrades_and_tunnels_are_opaque() {
    check(
        r"> GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n
          < HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05HTTP/1.1 200 OK\r\n\r\n
          > GET /not HTTP/1.1\r\n\r\n",
        &["GET /chat -> 101 Switching Protocols"],
    );
    check(
        r"> CONNECT a:443 HTTP/1.1\r\n\r\n
          > GET /too-early HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n
          > GET /not HTTP/1.1\r\n\r\n",
        &["CONNECT a:443 -> 200 Connection established"],
    );
    check(
        r"> CONNECT a:443 HTTP/1.1\r\n\r\n
          > GET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 407 Who?\r\nContent-Length: 1\r\n\r\nx
          < HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny",
        &["CONNECT a:443 -> 407 Who? \"x\"", "GET /2 -> 200 OK \"y\""],
    );
}

#[test]
fn an_early_101_lets_the_request_end() {
    check(
        r"> POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nab
          < HTTP/1.1 101 Switching Protocols\r\n\r\nGET /not HTTP/1.1\r\n\r\n
          > cdGET /not HTTP/1.1\r\n\r\n",
        &["POST / \"abcd\" -> 101 Switching Protocols"],
    );
}

#[test]
fn what_is_opaque_is_counted() {
    let (_, lines) = parse(
        r"> GET / HTTP/1.1\r\n\r\n
          < HTTP/1.1 101 x\r\n\r\nabc
          > hello",
    );
    let mut told = super::seen::Told::default();
    let address = std::net::SocketAddr::from(([10, 0, 0, 1], 1));
    let mut connection = super::super::Connection::new(address, address, false);
    for line in &lines {
        let super::seen::Line::Data(client, bytes) = line else { continue };
        connection.piece(*client, crate::segment::Piece::Data(bytes, Duration::ZERO), &mut told);
    }
    assert_eq!(connection.opaque(), (5, 3));
}

#[test]
fn other_protocols_are_opaque_at_once() {
    for hello in [r"\x16\x03\x01\x02\x00\x01\x00", r"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        check(
            &format!(
                r"> {hello}
                  < HTTP/1.1 200 OK\r\n\r\n
                  > \r\nGET /not HTTP/1.1\r\n\r\n"
            ),
            &[],
        );
    }
}

#[test]
fn one_direction_alone() {
    check(
        r"> GET /1 HTTP/1.1\r\n\r\n
          > POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi
          > GET /3 HTTP/1.1\r\n\r\n
          >.",
        &["GET /1 (shutdown)", "POST /2 \"hi\" (shutdown)", "GET /3 (shutdown)"],
    );
    check(
        r"< HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na
          < HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 x\r\n\r\n",
        &["orphan HTTP/1.1 200 OK", "orphan HTTP/1.1 304 x"],
    );
}

#[test]
fn ends_that_come_too_soon() {
    check(
        r"> POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab
          >.",
        &["POST / \"ab\" cut (shutdown)"],
    );
    check(
        r"> POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab
          >.
          < HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
        &["POST / \"ab\" cut -> 400 Bad (downstream)"],
    );
    check(
        r"> GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab
          <.",
        &["GET /1 -> 200 OK \"ab\" (upstream)", "GET /2 (upstream)"],
    );
}

#[test]
fn times_are_of_the_first_and_last_bytes() {
    let (_, lines) = parse(
        r"> POST / HTTP/1.1\r\nContent-
          > Length: 2\r\n\r\na
          > b
          < HTTP/1.1 200 OK\r\nContent-Le
          < ngth: 1\r\n\r\n
          < c",
    );
    let told = play(false, &lines, |_, bytes| vec![bytes]);
    let ms = |n| Some(Duration::from_millis(n));
    assert_eq!(told.exchanges[0].borrow().times, [ms(1), ms(3), ms(4), ms(6)]);
}
