//! Requests that two readers could read differently, which is how one request is smuggled in another (RFC 9112 section 11.2): each
//! is refused with 400, or passed on in a form that has one reading only. What counts is what upstream and target receive.

use mirror_tests::{Message, Mirror, Server};

/// A second request inside the first one's body. Nobody may ever take it for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n";

/// What a client was told, and what came out at the other side.
struct Outcome {
    /// All that the client got until the proxy closed.
    told: String,
    /// What came to the upstream and to the target: the requests, and the bytes of all connections.
    sides: [(Vec<Message>, String); 2],
}

/// Sends bytes, then nothing more, and looks at what became of them once all has settled.
#[track_caller]
fn send(bytes: &str) -> Outcome {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::between(&upstream, &target);
    let mut client = mirror.connect();
    client.send(bytes.chars().map(|c| c as u8).collect::<Vec<_>>());
    client.finish_sending();
    let told = client.to_any_end().iter().map(|&b| char::from(b)).collect();
    // After the drain all has arrived that ever will.
    mirror.terminate();
    let side = |server: &Server| {
        let bytes = server.received_all().iter().map(|&b| char::from(b)).collect();
        (server.requests(), bytes)
    };
    Outcome { told, sides: [side(&upstream), side(&target)] }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [(_, upstream), (_, target)] = &self.sides;
        write!(f, "\n  client told   {:?}\n  upstream got  {upstream:?}\n  target got    {target:?}", self.told)
    }
}

impl Outcome {
    fn is_refused(&self) -> bool {
        self.told.starts_with("HTTP/1.1 400 ")
    }

    /// Why this is not one request of one reading, or none, at both sides.
    fn ambiguity(&self) -> Option<String> {
        if self.told.matches("HTTP/1.1 ").count() > 1 {
            return Some("two answers".into());
        }
        self.sides.iter().find_map(|(requests, _)| match &requests[..] {
            [] => None,
            [request] => ambiguity(request),
            requests => Some(format!("one request became {}", requests.len())),
        })
    }
}

/// Why a request has more than one reading.
fn ambiguity(request: &Message) -> Option<String> {
    let (lengths, codings) = (request.header_values("content-length"), request.header_values("transfer-encoding"));
    let plain = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        let token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        token && !name.is_empty() && !line.contains(['\r', '\n', '\0'])
    };
    let why = [
        (lengths.len() + codings.len() > 1, "more than one framing"),
        (!lengths.iter().all(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit())), "a length that is no number"),
        (!codings.iter().all(|coding| *coding == "chunked"), "a coding other than chunked"),
        (request.header_values("host").len() > 1, "more than one Host"),
        (request.start_line().split(' ').count() != 3, "a start line of other than three words"),
        (!request.lines().iter().all(plain), "a line that is no header"),
    ];
    why.iter().find(|(is, _)| *is).map(|(_, why)| format!("{why}: {:?}", request.head))
}

/// Sends each, and asserts that none is at fault; all that are, are told together.
#[track_caller]
fn assert_each(sent: impl IntoIterator<Item = String>, fault: impl Fn(&Outcome) -> Option<String>) {
    let faults: Vec<_> = sent
        .into_iter()
        .filter_map(|sent| {
            let outcome = send(&sent);
            fault(&outcome).map(|fault| format!("{fault}\n  client sent   {sent:?}{outcome}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// These must be refused: no reading is the right one, or the RFC says so.
#[track_caller]
fn assert_refused(sent: impl IntoIterator<Item = String>) {
    assert_each(sent, |outcome| match &outcome.sides {
        _ if !outcome.is_refused() => Some("not refused".into()),
        [(upstream, _), (target, _)] if upstream.is_empty() && target.is_empty() => None,
        _ => Some("refused, and yet passed on".into()),
    });
}

/// These may be refused, or read in the one way that the RFC names, with this body.
#[track_caller]
fn assert_refused_or_read_as(sent: impl IntoIterator<Item = String>, body: &str) {
    assert_each(sent, |outcome| {
        outcome.ambiguity().or_else(|| {
            outcome.sides.iter().find_map(|(requests, _)| match requests.first() {
                None if outcome.is_refused() => None,
                None => Some("neither refused nor passed on".into()),
                Some(request) if request.text() == body => None,
                Some(request) => Some(format!("read as {:?}", request.text())),
            })
        })
    });
}

fn post(framing: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: app\r\n{framing}\r\n\r\n{rest}")
}

#[test]
fn content_length_with_transfer_encoding_is_one_request() {
    // RFC 9112 section 6.3: Transfer-Encoding wins, and the connection is closed after it.
    let behind = format!("0\r\n\r\n{SMUGGLED}");
    let long = format!("Content-Length: {}", behind.len());
    let sent = [
        post(&format!("{long}\r\nTransfer-Encoding: chunked"), &behind),
        post(&format!("Transfer-Encoding: chunked\r\n{long}"), &behind),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked", &behind),
        post("Transfer-Encoding: chunked\r\nContent-Length: 0", &behind),
    ];
    assert_refused_or_read_as(sent, "");
}

#[test]
fn a_length_that_hides_a_request_in_chunks_is_one_request() {
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    assert_refused_or_read_as([post("Content-Length: 4\r\nTransfer-Encoding: chunked", &chunks)], SMUGGLED);
}

#[test]
fn differing_lengths_are_refused() {
    let lengths =
        ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5, 6", "Content-Length: 0\r\ncontent-length: 5"];
    assert_refused(lengths.map(|lengths| post(lengths, &format!("hello{SMUGGLED}"))));
}

/// RFC 9110 section 8.6.
#[test]
fn the_same_length_twice_is_refused_or_sent_once() {
    let lengths = ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5"];
    assert_refused_or_read_as(lengths.map(|lengths| post(lengths, "hello")), "hello");
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    let lengths = ["+5", "-5", "0x5", "5 5", "5;", "", "five", "5.0", "99999999999999999999", "\u{b2}"];
    assert_refused(lengths.map(|length| post(&format!("Content-Length: {length}"), &format!("hello{SMUGGLED}"))));
}

#[test]
fn a_coding_that_does_not_end_in_chunked_is_refused() {
    let codings = [
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: ",
    ];
    assert_refused(codings.map(|coding| post(coding, "0\r\n\r\n")));
}

#[test]
fn odd_spellings_of_chunked_are_refused_or_made_plain() {
    let codings = [
        "Transfer-Encoding:\tchunked",
        "transfer-encoding: Chunked",
        "Transfer-Encoding: chunked ",
        "TRANSFER-ENCODING:chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ];
    assert_refused_or_read_as(codings.map(|coding| post(coding, "5\r\nhello\r\n0\r\n\r\n")), "hello");
}

/// The head may be on its way before the bad chunk comes; then the request never becomes whole, anywhere.
#[test]
fn bad_chunks_never_make_a_whole_request() {
    let chunks = [
        "-1\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
    ];
    let sent = chunks.map(|chunks| post("Transfer-Encoding: chunked", &format!("{chunks}{SMUGGLED}")));
    assert_each(sent, |outcome| {
        let whole = outcome.sides.iter().any(|(requests, _)| !requests.is_empty());
        let on = outcome.sides.iter().any(|(_, bytes)| bytes.contains("/smuggled"));
        match (outcome.told.starts_with("HTTP/1.1 2"), whole, on) {
            (_, _, true) => Some("what follows went on".into()),
            (_, true, _) => Some("became a whole request".into()),
            (true, ..) => Some("was answered".into()),
            _ => None,
        }
    });
}

/// Bare LF ends no chunk's size (RFC 9112 section 7.1); a reader that lets it end one sees other chunks than one that does not.
#[test]
fn a_bare_line_feed_in_chunks_is_refused_or_made_plain() {
    let chunks =
        ["5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5\rX\nhello\r\n0\r\n\r\n"];
    assert_each(chunks.map(|chunks| post("Transfer-Encoding: chunked", chunks)), Outcome::ambiguity);
}

#[test]
fn folded_and_malformed_lines_are_refused() {
    let lines = [
        "X-A: 1\r\n continued",
        "X-A: 1\r\n\tcontinued",
        "Transfer-Encoding:\r\n chunked",
        " X-A: 1",
        "Content-Length : 5",
        "X-A : 1",
        "X A: 1",
        "no colon",
        ": no name",
        "X-A: a\rb",
        "X-A: a\0b",
        "X\u{0}A: 1",
        "X-A(: 1",
    ];
    assert_refused(lines.map(|line| format!("GET / HTTP/1.1\r\nHost: app\r\n{line}\r\n\r\n")));
}

#[test]
fn malformed_request_lines_are_refused() {
    let lines = ["GET / HTTP/1.1 x", "GET /", "GET / HTTP/3.7", "G\u{0}T / HTTP/1.1", "(GET) / HTTP/1.1"];
    assert_refused(lines.map(|line| format!("{line}\r\nHost: app\r\n\r\n")));
}

/// RFC 9112 sections 2.2 and 3 let a server be lenient in some of these, but nobody may be left to be lenient in another way.
#[test]
fn loose_request_lines_are_refused_or_made_plain() {
    let heads = [
        "GET  / HTTP/1.1\r\nHost: app\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: app\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: app\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: app\r\n\r\n",
        "GET / HTTP/1.1\nHost: app\n\n",
        "GET / HTTP/1.1\r\n\r\n",
    ];
    assert_refused_or_read_as(heads.map(str::to_owned), "");
}

/// On a connection that may stay open: what is behind a body of odd framing is no request. (Not here: pingora's chunk parser reads a size
/// line without digits as 0, a limit that the README names.)
#[test]
fn nothing_behind_an_odd_body_is_taken_for_a_request() {
    let empty = format!("0\r\n\r\n{SMUGGLED}");
    let framings = [
        post(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked", empty.len()), &empty),
        post(&format!("Transfer-Encoding: chunked\r\nContent-Length: {}", empty.len()), &empty),
        post("Transfer-Encoding: chunked", &format!("0\r\n{SMUGGLED}")),
        post("Content-Length: 0\r\nContent-Length: 0", SMUGGLED).replace("HTTP/1.1\r\nHost", "HTTP/1.0\r\nHost"),
        post("Connection: keep-alive\r\nTransfer-Encoding: chunked", &empty).replacen("HTTP/1.1", "HTTP/1.0", 1),
    ];
    let faults: Vec<_> = framings
        .into_iter()
        .filter_map(|sent| {
            let (upstream, target) = (Server::ok(), Server::ok());
            let mirror = Mirror::between(&upstream, &target);
            let mut client = mirror.connect();
            client.send(&sent);
            // What was refused may have closed the connection already.
            let _ = client.try_send("GET /next HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
            client.finish_sending();
            let told: String = client.to_any_end().iter().map(|&b| char::from(b)).collect();
            mirror.terminate();
            let smuggled = |server: &Server| server.requests().iter().any(|r| r.start_line().contains("/smuggled"));
            (smuggled(&upstream) || smuggled(&target)).then(|| format!("{sent:?}\n  was answered {told:?}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn chunks_from_an_http_1_0_client_are_refused_or_end_the_connection() {
    let head = "POST / HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_each([format!("{head}0\r\n\r\n{SMUGGLED}")], Outcome::ambiguity);
}

/// RFC 9112 section 3.2.
#[test]
fn a_request_has_no_two_hosts() {
    let hosts = ["Host: a.example\r\nHost: b.example\r\n", "Host: a.example\r\nhost: a.example\r\n"];
    assert_refused(hosts.map(|hosts| format!("GET / HTTP/1.1\r\n{hosts}\r\n")));
}

/// A GET's body is a body, not a second request.
#[test]
fn a_body_is_read_whatever_the_method() {
    let sent = ["GET", "HEAD", "DELETE", "OPTIONS"].map(|method| {
        let length = SMUGGLED.len();
        format!("{method} / HTTP/1.1\r\nHost: app\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}")
    });
    assert_refused_or_read_as(sent, SMUGGLED);
}

/// The other way round: an answer whose end is unclear must not leave bytes for the next client on a pooled connection.
#[test]
fn an_answer_of_unclear_length_poisons_nothing() {
    for framing in [
        "Content-Length: 2\r\nContent-Length: 5",
        "Content-Length: +2",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2",
    ] {
        let upstream = Server::answering(move |request| match request.start_line().contains("/odd") {
            true => format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
            false => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean".into(),
        });
        let target = Server::ok();
        let mirror = Mirror::between(&upstream, &target);
        let mut client = mirror.connect();
        client.send("GET /odd HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
        client.finish_sending();
        let told: String = client.to_any_end().iter().map(|&b| char::from(b)).collect();
        let head = told.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        assert!(
            head.matches("content-length").count() + head.matches("transfer-encoding").count() <= 1,
            "{framing}: {told:?}"
        );
        // On every thread of the proxy, so on every pool.
        for _ in 0..4 {
            let answer = mirror.connect().exchange("GET /next HTTP/1.1\r\nHost: app\r\n\r\n");
            assert_eq!(answer.text(), "clean", "{framing}");
        }
    }
}
