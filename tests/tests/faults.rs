//! A target with a fault, beside a healthy one and a recording: clients see nothing of it, the others get everything, the
//! accounts are exact, memory stays within its budget, and the target is served again when it recovers.
//!
//! ```text
//!   clients ──▶ mirror ──▶ upstream         what they get back is what they sent
//!                  ├─────▶ faulty           loses copies, each with its reason
//!                  ├─────▶ healthy          gets every one
//!                  └─────▶ recording        has every one
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use mirror_tests::{BlackHole, Config, Conn, Gate, Mirror, Refusing, Server, Value, WITHIN, json, upload, wait_for};

const CLIENTS: usize = 4;
const ROUNDS: usize = 6;
/// Of the requests that one client sends in one round, the bodies.
const BODIES: [usize; 3] = [0, 20_000, 300_000];
const REQUESTS: u64 = (CLIENTS * ROUNDS * BODIES.len()) as u64;

/// What keeps a script from ever going on.
fn never() {
    Gate::new().pass();
}

/// For a target that answers late or not at all.
fn impatient() -> Value {
    json!({ "timeout": "1s" })
}

/// An upstream that sends back what it got.
fn echo() -> Server {
    Server::answering(|request| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        [head.into_bytes(), request.body.clone()].concat()
    })
}

/// A client that sends and gets back bodies of all lengths, by length and in chunks.
fn converse(address: SocketAddr) {
    let mut client = Conn::open(address);
    for round in 0..ROUNDS {
        for length in BODIES {
            let body = upload::body(length);
            if length == 0 {
                client.send(
                    "GET /some/path?and=a&query HTTP/1.1\r\nHost: app.example\r\nX-Padding: some more of it\r\n\r\n",
                );
            } else if round % 2 == 0 {
                client.send(format!("PUT /upload HTTP/1.1\r\nHost: app.example\r\nContent-Length: {length}\r\n\r\n"));
                client.send(&body);
            } else {
                client.send("POST /upload HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n");
                body.chunks(30_000).for_each(|chunk| client.send_chunk(chunk));
                client.send_chunk("");
            }
            let answer = client.response();
            assert_eq!(answer.status(), 200);
            assert!(answer.body == body, "{length} bytes went up, others came back");
        }
    }
}

/// All of the above, for a target at `address` with these settings. Whatever is lost there is lost for one of `reasons`.
/// `recover` takes the faulty one away, for a healthy one to take its place. Gives how many arrived before that.
#[track_caller]
fn survive(address: SocketAddr, settings: Value, reasons: &[&str], recover: impl FnOnce()) -> u64 {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let (upstream, healthy) = (echo(), Server::ok());
    let mut faulty = json!({
        "connect_timeout": "10s", "timeout": "10s",
        "backoff": { "after": 3, "min": "20ms", "max": "100ms" },
    });
    faulty.as_object_mut().expect("a map").extend(settings.as_object().expect("a map").clone());
    let recording = folder.path().join("traffic.avro");
    let record = json!({ "path": recording, "flush_interval": "20ms", "answer_wait": "3s" });
    let config = Config::upstream(upstream.address())
        .shadow_with("faulty", address, faulty)
        .shadow("healthy", healthy.address())
        .set("record", record);
    let mirror = Mirror::start(config);

    let listening = mirror.address();
    std::thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(|| converse(listening)))));
    assert_eq!(upstream.requests().len() as u64, REQUESTS, "no request was sent twice");

    let metrics = mirror.wait_settled(REQUESTS);
    assert_eq!((metrics.delivered("healthy"), metrics.delivered("record")), (REQUESTS, REQUESTS), "{metrics:#?}");
    let lost: u64 = reasons.iter().map(|reason| lost_for(&metrics, reason)).sum();
    let before = metrics.delivered("faulty");
    assert_eq!(before + lost, REQUESTS, "lost for {reasons:?} only: {metrics:#?}");
    let [peak, limit] = ["peak", "limit"].map(|which| metrics.sum(&format!("mirror_memory_{which}_bytes"), &[]));
    assert!(0.0 < peak && peak <= limit, "{peak} of {limit}");
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_memory_used_bytes", &[]) == 0.0);

    recover();
    let recovered = Server::script_at(address, |mut conn| {
        while conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {}
    });
    let (mut client, mut count) = (mirror.connect(), REQUESTS);
    let mut one_more = || {
        assert_eq!(client.exchange("GET /again HTTP/1.1\r\nHost: app\r\n\r\n").status(), 200);
        count += 1;
        mirror.wait_settled(count).delivered("faulty")
    };
    wait_for("a copy at the target that has recovered", WITHIN, || (one_more() > before).then_some(()));
    let served = (0..5).map(|_| one_more()).last().unwrap_or_default();
    assert_eq!((served, recovered.requests().len()), (before + 6, 6), "from then on it gets every one");

    let summary = mirror.terminate();
    let faulty = summary.sink("faulty");
    assert_eq!((faulty.offered, faulty.delivered), (count, served));
    assert!(faulty.reasons.keys().all(|reason| reasons.contains(&reason.as_str())), "{faulty:?}");
    for sink in ["healthy", "record"] {
        assert_eq!((summary.sink(sink).offered, summary.sink(sink).delivered), (count, count));
    }
    before
}

fn lost_for(metrics: &mirror_tests::Metrics, reason: &str) -> u64 {
    match reason.split_once(' ') {
        Some(("dropped", why)) => metrics.dropped("faulty", why),
        Some((_, why)) => metrics.failed("faulty", why),
        None => 0,
    }
}

#[test]
fn a_target_that_refuses() {
    let target = Refusing::new();
    let before = survive(target.address(), json!({}), &["failed connect", "dropped backoff"], || drop(target));
    assert_eq!(before, 0);
}

#[test]
fn a_target_that_cannot_be_connected_to() {
    let target = BlackHole::new();
    let reasons = ["failed connect_timeout", "dropped backoff", "dropped lag"];
    assert_eq!(survive(target.address(), json!({ "connect_timeout": "500ms" }), &reasons, || drop(target)), 0);
}

/// The copies of this one wait for the slots of those before them, until the queue is full.
#[test]
fn a_target_that_cannot_be_connected_to_and_few_copies_at_once() {
    let target = BlackHole::new();
    let reasons = ["failed connect_timeout", "dropped backoff", "dropped queue_full"];
    let settings =
        json!({ "connect_timeout": "500ms", "concurrency": 2, "queue": 3, "backoff": { "after": 100, "min": "1s" } });
    assert_eq!(survive(target.address(), settings, &reasons, || drop(target)), 0);
}

#[test]
fn a_target_that_accepts_and_never_answers() {
    let target = Server::script(|mut conn| {
        while conn.request().is_some() {
            never();
        }
    });
    let reasons = ["failed timeout", "dropped backoff"];
    assert_eq!(survive(target.address(), impatient(), &reasons, || target.stop()), 0);
}

#[test]
fn a_target_that_answers_after_two_seconds() {
    let target = Server::answering(|_| {
        std::thread::sleep(Duration::from_secs(2));
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    });
    assert_eq!(survive(target.address(), json!({}), &[], || target.stop()), REQUESTS, "late, but all");
}

#[test]
fn a_target_that_answers_after_the_timeout() {
    let target = Server::answering(|_| {
        std::thread::sleep(Duration::from_secs(2));
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    });
    let reasons = ["failed timeout", "dropped backoff"];
    assert_eq!(survive(target.address(), impatient(), &reasons, || target.stop()), 0);
}

#[test]
fn a_target_that_resets_mid_request() {
    let target = Server::script(|mut conn| {
        conn.pour(60, |_| {});
        conn.reset();
    });
    let reasons = ["failed reset", "dropped backoff"];
    assert_eq!(survive(target.address(), json!({}), &reasons, || target.stop()), 0);
}

#[test]
fn a_target_that_resets_mid_response() {
    for part in ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let target = Server::script(move |mut conn| {
            if conn.request().is_some() {
                conn.send(part);
                conn.reset();
            }
        });
        // A head that breaks off may have been read before the reset comes.
        let reasons = ["failed reset", "failed protocol", "dropped backoff"];
        assert_eq!(survive(target.address(), json!({}), &reasons, || target.stop()), 0);
    }
}

#[test]
fn a_target_that_closes_mid_response() {
    let target = Server::script(move |mut conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        }
    });
    let reasons = ["failed reset", "dropped backoff"];
    assert_eq!(survive(target.address(), json!({}), &reasons, || target.stop()), 0);
}

#[test]
fn a_target_that_never_reads() {
    let target = Server::script(|conn| {
        never();
        drop(conn);
    });
    let reasons = ["failed timeout", "dropped backoff"];
    assert_eq!(survive(target.address(), impatient(), &reasons, || target.stop()), 0);
}

#[test]
fn a_target_that_sends_garbage() {
    for garbage in [
        &b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
    ] {
        let target = Server::answering(move |_| garbage);
        let reasons = ["failed protocol", "dropped backoff"];
        assert_eq!(survive(target.address(), json!({}), &reasons, || target.stop()), 0, "{garbage:?}");
    }
}

#[test]
fn a_target_that_speaks_first() {
    let target = Server::script(|mut conn| {
        if conn.try_send("220 mail.example ESMTP\r\n").is_ok() {
            conn.request();
        }
    });
    let reasons = ["failed protocol", "failed reset", "dropped backoff"];
    assert_eq!(survive(target.address(), json!({}), &reasons, || target.stop()), 0);
}

/// Heads and bodies without an end.
#[test]
fn a_target_that_never_stops_answering() {
    for (start, more) in [
        ("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"),
        ("HTTP/1.1 200 OK\r\n\r\n", "more and more"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nmore\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let target = Server::script(move |mut conn| {
            if conn.request().is_some() && conn.try_send(start).is_ok() {
                while conn.try_send(more.repeat(50)).is_ok() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let reasons = ["failed timeout", "failed protocol", "dropped backoff"];
        let settings = json!({ "timeout": "1s", "concurrency": 8 });
        assert_eq!(survive(target.address(), settings, &reasons, || target.stop()), 0, "{start:?}");
    }
}

/// It says that it keeps the connection, and does not: what can be sent again without harm is, and arrives.
#[test]
fn a_target_that_closes_idle_connections_under_us() {
    let target = Server::script(|mut conn| {
        if conn.request().is_some() {
            let _ = conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    // Of a POST nobody knows whether it was taken (RFC 9110 section 9.2.2).
    let reasons = ["failed reset", "dropped backoff"];
    let before = survive(target.address(), json!({}), &reasons, || target.stop());
    assert!(before >= REQUESTS / 2, "{before} of {REQUESTS}");
}

#[test]
fn a_target_that_resets_idle_connections_under_us_still_gets_every_get() {
    let (upstream, target) = (
        echo(),
        Server::script(|mut conn| {
            if conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {
                conn.reset();
            }
        }),
    );
    let mirror = Mirror::start(Config::upstream(upstream.address()).shadow("target", target.address()));
    let mut client = mirror.connect();
    for _ in 0..100 {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").status(), 200);
    }
    let metrics = mirror.wait_settled(100);
    let lost = metrics.failed("target", "reset");
    // A reset may overtake the answer that was sent before it: that is lost on the way, and no fault of ours.
    assert_eq!(metrics.delivered("target") + lost, 100, "{metrics:#?}");
    assert_eq!(mirror.terminate().sink("target").failed, lost);
}
