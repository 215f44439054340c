//! Exchanges of every framing, as they are on the wire.

use mirror_tests::listener::{assert_arrived, assert_message};
use mirror_tests::{Message, Server, Value, json};

/// One exchange as it is on the wire, and the bodies in it.
pub(crate) struct Case {
    pub(crate) request: &'static str,
    pub(crate) body: &'static str,
    pub(crate) answer: &'static str,
    pub(crate) answer_body: &'static str,
}

pub(crate) const fn case(
    request: &'static str,
    body: &'static str,
    answer: &'static str,
    answer_body: &'static str,
) -> Case {
    Case { request, body, answer, answer_body }
}

/// Each is told from the others by its target, and all but the last leave the connection open.
pub(crate) const CASES: &[Case] = &[
    case("GET /0 HTTP/1.1\r\nHost: app\r\n\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
    case(
        "POST /1?q=%20&r HTTP/1.1\r\nhOST: app\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 5\r\n\r\nhello",
        "hello",
        "HTTP/1.1 201 Made It So\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n",
        "",
    ),
    case(
        "PUT /2 HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=\"a;b\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 13\r\n\r\n",
        "abc0123456789",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nwiki\r\n1\r\n!\r\n0\r\nX-Sum: 5\r\n\r\n",
        "wiki!",
    ),
    case("HEAD /3 HTTP/1.1\r\nHost: app\r\n\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", ""),
    case("DELETE /4 HTTP/1.1\r\nHost: app\r\n\r\n", "", "HTTP/1.1 204 No Content\r\n\r\n", ""),
    case(
        "GET /5 HTTP/1.1\r\nHost: app\r\nIf-None-Match: \"a\"\r\n\r\n",
        "",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n",
        "",
    ),
    case("OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
    case(
        "PROPFIND /7 HTTP/1.1\r\nHost: app\r\n\r\n",
        "",
        "HTTP/1.1 207 Multi-Status\r\nContent-Length: 1\r\n\r\n7",
        "7",
    ),
    case("M-SEARCH /8 HTTP/1.1\r\nHost: app\r\n\r\n", "", "HTTP/1.1 499 \r\nContent-Length: 1\r\n\r\n8", "8"),
    case(
        "X!#$%&'*+-.^_`|~9z /9 HTTP/1.1\r\nHost: app\r\n\r\n",
        "",
        "HTTP/1.1 520 Who Knows\r\nContent-Length: 1\r\n\r\n9",
        "9",
    ),
    case(
        "GET /10 HTTP/1.1\r\nHost: app\r\n\r\n",
        "",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "ok",
    ),
    case(
        "GET /11 HTTP/1.1\r\nHost: app\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\n\r\nall\r\n\r\nthat comes",
        "all\r\n\r\nthat comes",
    ),
];

impl Case {
    pub(crate) fn request_head(&self) -> &'static str {
        self.request.split_inclusive("\r\n\r\n").next().expect("a head")
    }

    /// The final one.
    pub(crate) fn answer_head(&self) -> &'static str {
        let mut heads = self.answer.split_inclusive("\r\n\r\n");
        heads.find(|head| !head.starts_with("HTTP/1.1 1")).expect("a head")
    }

    pub(crate) fn method(&self) -> &'static str {
        self.request.split(' ').next().expect("a method")
    }
}

/// A server that answers with the cases in turn on each connection, and closes after the last.
pub(crate) fn answering_cases() -> Server {
    Server::script(|mut conn| {
        for case in CASES {
            if conn.request().is_none() {
                return;
            }
            conn.send(case.answer);
        }
    })
}

#[track_caller]
pub(crate) fn assert_cases(records: &[Value], requests: &[Message]) {
    for (record, case) in records.iter().zip(CASES) {
        assert_message(&record["request"], case.request_head(), case.body.as_bytes());
        assert_message(&record["response"], case.answer_head(), case.answer_body.as_bytes());
        assert_arrived(requests, case.request_head(), case.body.as_bytes());
    }
    let trailer = |value: &str| json!([{ "name": "X-Sum", "value": value }]);
    let record = &records[2];
    assert_eq!((&record["request"]["trailers"], &record["response"]["trailers"]), (&trailer("13"), &trailer("5")));
}
