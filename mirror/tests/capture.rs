//! What a capture offers: its times are the packets', what it lost is told, and one that can wait loses nothing for want of room.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use mirror::config::{Config, RecordConfig, ShadowConfig};
use mirror::engine::Engine;
use mirror::exchange::Origin;
use mirror::outcome::{Abort, DropReason};
use mirror::pressure::Patience;
use mirror::recording::Record;
use mirror::recording::avro::Reader;
use mirror::source::{ExchangeWriter, Passed, Tap};
use mirror::telemetry::Telemetry;

const SERVER: &str = "10.0.0.5:80";

/// 2026-01-01T00:00:00Z.
const BEGAN: Duration = Duration::from_secs(1_767_225_600);

fn at(millis: u64) -> Duration {
    BEGAN + Duration::from_millis(millis)
}

fn begin(tap: &Tap, head: &str) -> Option<ExchangeWriter> {
    begin_passed(tap, head, false)
}

fn begin_passed(tap: &Tap, head: &str, ambiguous: bool) -> Option<ExchangeWriter> {
    let origin = Origin { source: "capture", client: None };
    let passed = Passed { server: Some(SERVER.parse().unwrap()), at: at(0), ambiguous };
    tap.begin_passed(Bytes::from(head.replace('\n', "\r\n")), origin, passed)
}

fn records(path: &Path) -> Vec<Record> {
    let mut reader = Reader::new(std::fs::File::open(path).unwrap()).unwrap();
    std::iter::from_fn(|| reader.read().unwrap()).collect()
}

/// Answers each request without a body, after a while.
fn target(after: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut write = connection.try_clone().unwrap();
                for line in BufReader::new(connection).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        std::thread::sleep(after);
                        let _ = write.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                    }
                }
            });
        }
    });
    address
}

fn shadow(after: Duration) -> ShadowConfig {
    ShadowConfig::new(target(after).to_string().parse().unwrap())
}

#[test]
fn times_are_the_packets_and_what_was_lost_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avro");
    let mut record = RecordConfig::new(&path);
    record.answer_wait = mirror::config::Period(Duration::from_secs(5));
    let config = Config { shadow: vec![shadow(Duration::ZERO)], record: vec![record], ..Config::default() };
    let engine = Engine::start(&config, "capture", &Telemetry::new()).unwrap();
    let tap = engine.tap();

    let mut whole = begin(&tap, "GET /whole HTTP/1.1\nHost: a\n\n").unwrap();
    whole.at(at(1));
    whole.request_end(None);
    whole.at(at(30));
    whole.respond(Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"));
    whole.response_data(Bytes::from_static(b"abc"));
    whole.response_lost(4);
    whole.response_data(Bytes::from_static(b"hij"));
    whole.at(at(40));
    whole.finish(None);

    let mut lossy = begin(&tap, "PUT /lossy HTTP/1.1\nHost: a\nContent-Length: 10\n\n").unwrap();
    lossy.data(Bytes::from_static(b"abc"));
    lossy.lost(7);
    lossy.at(at(5));
    lossy.request_end(None);
    lossy.respond(Bytes::from_static(b"HTTP/1.1 204 No Content\r\n\r\n"));
    lossy.finish(None);

    let mut cut = begin(&tap, "PUT /cut HTTP/1.1\nHost: a\nContent-Length: 10\n\n").unwrap();
    cut.data(Bytes::from_static(b"ab"));
    // A stamp from before the start.
    cut.at(BEGAN - Duration::from_secs(1));
    cut.abort(Abort::Capture);

    let sinks = engine.sinks();
    drop(tap);
    assert!(engine.drain(Duration::from_secs(10)));
    let dropped: Vec<(&str, u64)> =
        sinks[0].metrics.dropped.counts().map(|(i, n)| (DropReason::ALL[i].label(), n)).collect();
    assert_eq!(dropped, [("aborted", 1), ("incomplete", 1)]);
    assert_eq!(sinks[0].metrics.delivered.get(), 1);

    let records = records(&path);
    let of = |target: &str| records.iter().find(|record| record.request.target == target.as_bytes()).unwrap();
    let millis = |n| Some(Duration::from_millis(n));
    let whole = of("/whole");
    assert_eq!(whole.started, UNIX_EPOCH + BEGAN);
    assert_eq!((whole.request_end, whole.response_start, whole.end), (millis(1), millis(30), millis(40)));
    assert_eq!((whole.server, whole.aborted.as_deref()), (Some(SERVER.parse().unwrap()), None));
    let response = &whole.response.as_ref().unwrap().message;
    assert_eq!((response.body.concat(), response.body_length), (b"abchij".to_vec(), 10));
    assert_eq!(response.truncated.as_deref(), Some("capture"));

    let lossy = of("/lossy");
    let message = &lossy.request.message;
    assert_eq!((message.body.concat(), message.body_length), (b"abc".to_vec(), 10));
    assert_eq!((message.truncated.as_deref(), lossy.aborted.as_deref()), (Some("capture"), None));

    let cut = of("/cut");
    assert_eq!(cut.request.message.truncated.as_deref(), Some("capture"));
    assert_eq!((cut.aborted.as_deref(), cut.end), (Some("capture"), millis(0)));
}

#[test]
fn what_can_be_read_in_two_ways_is_recorded_and_reaches_no_target() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avro");
    let config =
        Config { shadow: vec![shadow(Duration::ZERO)], record: vec![RecordConfig::new(&path)], ..Config::default() };
    let engine = Engine::start(&config, "capture", &Telemetry::new()).unwrap();
    let tap = engine.tap();

    begin(&tap, "GET /in-order HTTP/1.1\nHost: a\n\n").unwrap().finish(None);
    begin_passed(&tap, "GET /said HTTP/1.1\nHost: a\n\n", true).unwrap().finish(None);
    begin(&tap, "GET /folded HTTP/1.1\nHost: a\nX: b\n\tc\nX : d\n\n").unwrap().finish(None);
    let mut answered = begin(&tap, "GET /answer HTTP/1.1\nHost: a\n\n").unwrap();
    answered.respond(Bytes::from_static(b"HTTP/1.1 200 OK\r\nno colon\r\nA: b\r\n\r\n"));
    answered.finish(None);
    let mut answered = begin(&tap, "GET /answer-said HTTP/1.1\nHost: a\n\n").unwrap();
    answered.respond(Bytes::from_static(OK));
    answered.ambiguous();
    answered.finish(None);
    begin(&tap, "no head at all\n\n").unwrap().finish(None);

    let sinks = engine.sinks();
    drop(tap);
    assert!(engine.drain(Duration::from_secs(10)));
    let dropped = |sink: usize| -> Vec<(&str, u64)> {
        sinks[sink].metrics.dropped.counts().map(|(i, n)| (DropReason::ALL[i].label(), n)).collect()
    };
    assert_eq!((sinks[0].metrics.delivered.get(), dropped(0)), (3, vec![("malformed", 1), ("ambiguous", 2)]));
    assert_eq!((sinks[1].metrics.delivered.get(), dropped(1)), (5, vec![("malformed", 1)]));

    let records = records(&path);
    let of = |target: &str| records.iter().find(|record| record.request.target == target.as_bytes()).unwrap();
    let mark = |target: &str| of(target).aborted.as_deref();
    assert_eq!([mark("/in-order"), mark("/said")], [None, Some("ambiguous framing")]);
    assert_eq!([mark("/folded"), mark("/answer")], [Some("malformed head"); 2]);
    assert_eq!(mark("/answer-said"), Some("ambiguous framing"));
    let lines = |name: &'static str, value: &'static str| (Bytes::from(name), Bytes::from(value));
    assert_eq!(of("/folded").request.message.headers, [lines("Host", "a"), lines("X", "b c"), lines("X ", "d")]);
    let response = of("/answer").response.as_ref().unwrap();
    assert_eq!((response.status, &response.message.headers[0]), (200, &lines("", "no colon")));
}

#[test]
fn a_source_that_waits_loses_nothing_to_a_slow_target() {
    let mut shadow = shadow(Duration::from_millis(1));
    (shadow.queue, shadow.concurrency) = (8.try_into().unwrap(), 2.try_into().unwrap());
    let config = Config { shadow: vec![shadow], ..Config::default() };
    for (patient, count) in [(true, 400), (false, 400)] {
        let engine = Engine::start(&config, "capture", &Telemetry::new()).unwrap();
        let tap = if patient { engine.tap().patient() } else { engine.tap() };
        let mut patience = Patience::default();
        for i in 0..count {
            while patient && patience.waits(tap.pressure(), Instant::now) {
                std::thread::sleep(Duration::from_micros(100));
            }
            begin(&tap, &format!("GET /{i} HTTP/1.1\nHost: a\n\n")).unwrap().finish(None);
        }
        let sinks = engine.sinks();
        drop(tap);
        assert!(engine.drain(Duration::from_secs(20)));
        assert_eq!(sinks[0].metrics.delivered.get() == count, patient, "{:?}", sinks[0].metrics);
    }
}

#[test]
fn one_long_upload_may_be_behind_by_what_the_sink_may_hold() {
    let config = Config { shadow: vec![shadow(Duration::ZERO)], ..Config::default() };
    let engine = Engine::start(&config, "capture", &Telemetry::new()).unwrap();
    let tap = engine.tap().patient();
    // In lines, none of them empty, as that ends a request for this target; ten times its `lag`.
    let mut upload = begin(&tap, "PUT / HTTP/1.1\nHost: a\nContent-Length: 41943040\n\n").unwrap();
    let piece = Bytes::from([&[b'a'; 65_535][..], b"\n"].concat());
    let mut patience = Patience::default();
    for _ in 0..640 {
        while patience.waits(tap.pressure(), Instant::now) {
            std::thread::sleep(Duration::from_micros(100));
        }
        upload.data(piece.clone());
    }
    upload.finish(None);
    let sinks = engine.sinks();
    drop(tap);
    assert!(engine.drain(Duration::from_secs(20)));
    assert_eq!(sinks[0].metrics.delivered.get(), 1, "{:?}", sinks[0].metrics);
}
