//! The byte budget, driven to its limit: the primary is unharmed, what does not fit is dropped and counted, the budget holds, and all
//! of it is given back.

use std::net::SocketAddr;

use mirror_tests::{BlackHole, Config, Conn, Gate, Metrics, Mirror, Server, Value, WITHIN, json, upload};

const MIB: u64 = 1024 * 1024;

/// What a process may take beside the budget, its code and its proxy's buffers among it. A build with debug symbols has no more of its
/// code resident than this leaves room for.
const BESIDE: u64 = 64 * MIB;

/// An upstream that sends back how long the body was, and whether it was the right one.
fn judge() -> Server {
    Server::script(|mut conn| {
        while let Some(head) = conn.try_head() {
            let head = mirror_tests::Message { head, ..Default::default() };
            let length = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut check = upload::Check::default();
            conn.pour(length, |bytes| check.next(bytes));
            let verdict = format!("{:?}", check.right());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", verdict.len());
            if conn.try_send(head + &verdict).is_err() {
                return;
            }
        }
    })
}

/// A target that takes connections and reads nothing.
fn deaf() -> Server {
    Server::script(|conn| {
        Gate::new().pass();
        drop(conn);
    })
}

/// This many clients at once, each with this many uploads of this length one after the other, all of which arrive upstream.
#[track_caller]
fn upload_at_once(mirror: &Mirror, clients: usize, each: usize, length: usize) {
    let address = mirror.address();
    let one = move || {
        let mut client = Conn::open(address);
        for _ in 0..each {
            client.send(format!("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n"));
            client.send(upload::body(length));
            assert_eq!(client.response().text(), format!("{:?}", Some(length)));
        }
    };
    std::thread::scope(|scope| (0..clients).for_each(|_| drop(scope.spawn(one))));
}

fn sum(metrics: &Metrics, which: &str) -> u64 {
    metrics.sum(&format!("mirror_memory_{which}_bytes"), &[]) as u64
}

/// Nothing is held any more, and at no time was more than the limit; nor had the process more memory than that and what it may have beside.
#[track_caller]
fn assert_given_back(mirror: &Mirror, limit: u64) {
    let metrics = mirror.wait_for(WITHIN, |metrics| sum(metrics, "used") == 0);
    assert_eq!(sum(&metrics, "limit"), limit);
    assert!(sum(&metrics, "peak") <= limit, "{metrics:#?}");
    for sink in metrics.sinks() {
        let held = metrics.of_sink("mirror_sink_held_bytes", &sink);
        assert_eq!((held, metrics.settled(&sink)), (0, metrics.offered(&sink)), "{sink}: {metrics:#?}");
    }
    let peak = mirror.peak_resident();
    assert!(peak <= limit + BESIDE, "{peak} bytes resident, for a budget of {limit}");
}

fn short(more: Value) -> Value {
    let mut settings = json!({ "connect_timeout": "300ms", "timeout": "300ms", "backoff": { "after": 1000 } });
    settings.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    settings
}

/// Both kinds of black holes beside a healthy target, with a budget that a few of the uploads would fill.
#[test]
fn uploads_that_nobody_takes_cost_the_primary_nothing() {
    const LIMIT: u64 = 8 * MIB;
    const UPLOADS: u64 = 32 * 4;
    let (upstream, healthy, deaf, hole) = (judge(), judge(), deaf(), BlackHole::new());
    let config = Config::upstream(upstream.address())
        .shadow_with("deaf", deaf.address(), short(json!({ "lag": "2MiB" })))
        .shadow_with("hole", hole.address(), short(json!({ "lag": "2MiB" })))
        .shadow_with("healthy", healthy.address(), json!({ "lag": "2MiB" }))
        .set("limits.memory", LIMIT);
    let mirror = Mirror::start(config);
    upload_at_once(&mirror, 32, 4, 1_500_000);

    let metrics = mirror.wait_settled(UPLOADS);
    for sink in ["deaf", "hole"] {
        let dropped: u64 = ["memory", "share", "lag"].map(|reason| metrics.dropped(sink, reason)).iter().sum();
        assert_eq!(metrics.delivered(sink), 0);
        assert!(dropped > 0, "the bounds were met: {metrics:#?}");
    }
    let hungry: f64 = metrics.sum("mirror_sink_dropped_total", &["reason=\"share\""]);
    assert!(hungry > 0.0, "no sink had more than its share: {metrics:#?}");
    assert_given_back(&mirror, LIMIT);

    // And afterwards there is room again.
    upload_at_once(&mirror, 1, 1, 1_500_000);
    assert_eq!(mirror.wait_settled(UPLOADS + 1).delivered("healthy"), metrics.delivered("healthy") + 1);
    assert_eq!(mirror.terminate().sink("deaf").offered, UPLOADS + 1);
}

/// What is still arriving cannot be cut off from anyone: where it alone fills the budget, copies end as `memory`.
#[test]
fn more_exchanges_than_the_budget_has_room_for_are_dropped_and_counted() {
    const LIMIT: u64 = MIB;
    const CLIENTS: usize = 400;
    let (upstream, hole) = (Server::ok(), BlackHole::new());
    let settings = json!({ "connect_timeout": "1h", "lag": "400KiB", "concurrency": 1, "backoff": { "after": 1000 } });
    let config = Config::upstream(upstream.address()).shadow_with("hole", hole.address(), settings);
    let mirror = Mirror::start(config.set("limits.memory", LIMIT).set("drain_timeout", "100ms"));
    let mut client = mirror.connect();
    for _ in 0..CLIENTS {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
    }
    let metrics = mirror.wait_for(WITHIN, |metrics| metrics.offered("hole") == CLIENTS as u64);
    let dropped = metrics.dropped("hole", "memory");
    let in_flight = metrics.of_sink("mirror_sink_in_flight", "hole");
    assert!(dropped > 0 && in_flight > 0, "{metrics:#?}");
    assert_eq!(metrics.settled("hole") + in_flight, CLIENTS as u64, "{metrics:#?}");
    assert!(sum(&metrics, "peak") <= LIMIT && sum(&metrics, "used") > LIMIT / 2, "{metrics:#?}");
    assert!(mirror.peak_resident() <= LIMIT + BESIDE);

    let summary = mirror.terminate();
    let hole = summary.sink("hole");
    assert_eq!((hole.offered, hole.reason("dropped memory")), (CLIENTS as u64, dropped), "{summary:#?}");
    assert_eq!(hole.reason("dropped shutdown"), in_flight, "{summary:#?}");
}

/// Each chunk costs more than its byte.
#[test]
fn bodies_of_tiny_chunks_are_bounded_too() {
    const LIMIT: u64 = 4 * MIB;
    const CLIENTS: usize = 8;
    let (upstream, hole) = (Server::ok(), BlackHole::new());
    let config = Config::upstream(upstream.address())
        .shadow_with("hole", hole.address(), short(json!({ "connect_timeout": "5s", "lag": "2MiB" })))
        .set("limits.memory", LIMIT);
    let mirror = Mirror::start(config);
    let address = mirror.address();
    let one = move || drip(address, 1_500);
    std::thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(one))));
    assert!(upstream.requests().iter().all(|request| request.body.len() == 1_500));

    mirror.wait_settled(CLIENTS as u64);
    assert_given_back(&mirror, LIMIT);
    assert_eq!(mirror.terminate().sink("hole").offered, CLIENTS as u64);
}

/// A body of chunks of one byte, as many as said.
fn drip(address: SocketAddr, chunks: usize) {
    let mut client = Conn::open(address);
    client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    (0..chunks).for_each(|_| client.send_chunk("x"));
    client.send_chunk("");
    assert_eq!(client.response().text(), "ok");
}

/// Until its targets have answered, what the recorder has of an exchange is its own to hold, and starves nobody else.
#[test]
fn what_waits_for_an_answer_counts_to_the_recorder() {
    const LENGTH: usize = 500_000;
    let gate = Gate::new();
    let wait = gate.clone();
    let upstream = Server::answering(|_| {
        [b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", &upload::body(LENGTH)[..]].concat()
    });
    let target = Server::answering(move |_| {
        wait.pass();
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    });
    let folder = tempfile::tempdir().expect("a folder of our own");
    let record = json!({ "path": folder.path().join("traffic.avro"), "answer_wait": "1h", "flush_interval": "20ms" });
    let config = Config::upstream(upstream.address()).shadow("target", target.address()).set("record", record);
    let mirror = Mirror::start(config);
    assert_eq!(mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").body.len(), LENGTH);
    target.wait_requests(1);
    let held = |metrics: &Metrics| metrics.of_sink("mirror_sink_held_bytes", "record") as usize;
    mirror.wait_for(WITHIN, |metrics| held(metrics) >= LENGTH);
    // Not only while it is collected: as long as the target takes.
    assert!((0..20).all(|_| held(&mirror.metrics()) >= LENGTH));
    gate.open();
    mirror.wait_for(WITHIN, |metrics| metrics.delivered("record") == 1 && held(metrics) == 0);
}

/// Large answers, which the recorder holds until the exchange has ended, and the target's beside them.
#[test]
fn responses_count_too() {
    get_at_once("64KiB");
}

/// What is kept of the answers is the recorder's affair.
#[test]
fn answers_that_are_kept_starve_no_target() {
    get_at_once("2MiB");
}

fn get_at_once(answer_body: &str) {
    // Half as much again as all clients' answers together, as what is cut off may take a moment to be let go of.
    const LIMIT: u64 = 48 * MIB;
    const LENGTH: usize = 2_000_000;
    let large = || {
        Server::answering(|_| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            [head.into_bytes(), upload::body(LENGTH)].concat()
        })
    };
    let (upstream, target) = (large(), large());
    let folder = tempfile::tempdir().expect("a folder of our own");
    let settings = json!({ "lag": "2MiB", "answer_body": answer_body });
    let record = json!({ "path": folder.path().join("traffic.avro"), "max_body": "2MiB", "flush_interval": "20ms" });
    let config = Config::upstream(upstream.address()).shadow_with("target", target.address(), settings);
    let mirror = Mirror::start(config.set("record", record).set("limits.memory", LIMIT));
    let address = mirror.address();
    let one = move || {
        let mut client = Conn::open(address);
        for _ in 0..3 {
            assert!(client.exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").body == upload::body(LENGTH));
        }
    };
    std::thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(one))));
    let metrics = mirror.wait_settled(48);
    assert_given_back(&mirror, LIMIT);
    assert_eq!(metrics.delivered("target"), 48, "the target's copies are small: {metrics:#?}");
    assert_eq!(mirror.terminate().sink("record").offered, 48);
}

/// Bodies of which the recorder's share holds one or none whole.
#[test]
fn recordings_of_large_bodies_keep_within_a_small_budget() {
    exchange_and_record("2MiB");
}

/// Bodies of which it keeps the start, so that it always has some to encode, to compress and to write.
#[test]
fn recordings_of_cut_bodies_keep_within_a_small_budget() {
    let recorded = exchange_and_record("256KiB");
    assert!(recorded > 0, "nothing was recorded");
}

/// Uploads and answers of 2 MB at once, sent on and recorded up to `kept` each, with a budget of the length of four. Gives how many records
/// were written.
fn exchange_and_record(kept: &str) -> u64 {
    const LIMIT: u64 = 8 * MIB;
    const LENGTH: usize = 2_000_000;
    const CLIENTS: usize = 16;
    const EACH: usize = 20;
    let server = || {
        Server::script(|mut conn| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            let answer = [head.into_bytes(), upload::body(LENGTH)].concat();
            while conn.try_head().is_some() {
                if !conn.pour(LENGTH, |_| {}) || conn.try_send(&answer).is_err() {
                    return;
                }
            }
        })
    };
    let (upstream, target) = (server(), server());
    let folder = tempfile::tempdir().expect("a folder of our own");
    let settings = json!({ "lag": "2MiB", "answer_body": kept });
    let record = json!({ "path": folder.path().join("traffic.avro"), "max_body": kept });
    let config = Config::upstream(upstream.address()).shadow_with("target", target.address(), settings);
    let mirror = Mirror::start(config.set("record", record).set("limits.memory", LIMIT));
    let address = mirror.address();
    let one = move || {
        let mut client = Conn::open(address);
        for _ in 0..EACH {
            client.send(format!("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: {LENGTH}\r\n\r\n"));
            client.send(upload::body(LENGTH));
            let mut check = upload::Check::default();
            client.head();
            assert!(client.pour(LENGTH, |bytes| check.next(bytes)));
            assert_eq!(check.right(), Some(LENGTH));
        }
    };
    std::thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(one))));
    let metrics = mirror.wait_settled((CLIENTS * EACH) as u64);
    assert_given_back(&mirror, LIMIT);
    mirror.terminate();
    metrics.delivered("record")
}
