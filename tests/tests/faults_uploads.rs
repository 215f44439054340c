//! Long uploads beside a target that does not take them: they finish with the right bytes, the others have them too, and what the
//! faulty target holds back is bounded and given back.

use std::sync::{Arc, Mutex};

use mirror_tests::upload::{self, Check};
use mirror_tests::{Config, Conn, Gate, Message, Mirror, Server, WITHIN, json, wait_for};

const MIB: usize = 1024 * 1024;

/// How far a client may be ahead of the slower of the upstream and the healthy target: within every bound, whatever the machine.
const AHEAD: usize = MIB / 4;

/// A server that takes uploads of any length without keeping them. It tells of each what was right, as `upload::Check` says, and
/// as it comes how much it has of the upload whose number is in the path.
struct Taker {
    server: Server,
    taken: Arc<Mutex<Vec<usize>>>,
    ended: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Taker {
    fn new() -> Taker {
        let taken = Arc::new(Mutex::new(vec![0; 16]));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let server = Server::script({
            let (taken, ended) = (taken.clone(), ended.clone());
            move |mut conn: Conn| {
                while let Some((upload, length)) = conn.try_head().map(|head| upload_of(&head)) {
                    let mut check = Check::default();
                    let whole = conn.pour(length, |bytes| {
                        check.next(bytes);
                        taken.lock().expect("no panic while it is held")[upload] += bytes.len();
                    });
                    ended.lock().expect("no panic while it is held").push(check.right().filter(|_| whole));
                    if conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            }
        });
        Taker { server, taken, ended }
    }

    fn taken(&self, upload: usize) -> usize {
        self.taken.lock().expect("no panic while it is held")[upload]
    }

    /// Whether an upload has ended too soon, so that waiting for more of it is in vain.
    fn is_cut_off(&self) -> bool {
        self.ended.lock().expect("no panic while it is held").contains(&None)
    }

    /// What this many uploads came to.
    fn ended(&self, count: usize) -> Vec<Option<usize>> {
        wait_for("the ends of all uploads", WITHIN, || {
            let ended = self.ended.lock().expect("no panic while it is held");
            (ended.len() == count).then(|| ended.clone())
        })
    }
}

/// The upload's number and its length.
fn upload_of(head: &str) -> (usize, usize) {
    let head = Message { head: head.to_owned(), ..Message::default() };
    let number = head.start_line().split(['/', ' ']).nth(2).and_then(|number| number.parse().ok());
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    number.zip(length).unwrap_or_else(|| panic!("not an upload: {head:?}"))
}

/// Uploads as fast as both takers take it.
fn send_upload(mirror: &Mirror, number: usize, length: usize, takers: &[&Taker]) {
    let mut client = mirror.connect();
    client.send(format!("PUT /{number} HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n"));
    let mut sent = 0;
    while sent < length {
        let piece = upload::piece(sent, length - sent);
        client.send(piece);
        sent += piece.len();
        wait_for("both to follow", WITHIN, || {
            takers.iter().all(|taker| taker.taken(number) + AHEAD >= sent || taker.is_cut_off()).then_some(())
        });
    }
    assert_eq!(client.response().text(), "ok");
}

/// Several uploads of 64 MB at once, beside a target that does with each connection what `serve` does.
#[track_caller]
fn upload_beside(serve: impl Fn(Conn) + Send + Sync + 'static, reasons: &[&str]) {
    const UPLOADS: usize = 3;
    const LENGTH: usize = 64_000_000;
    let (upstream, healthy, faulty) = (Taker::new(), Taker::new(), Server::script(serve));
    let folder = tempfile::tempdir().expect("a folder of our own");
    let settings = json!({ "timeout": "1s", "backoff": { "after": 3, "min": "20ms", "max": "100ms" } });
    let config = Config::upstream(upstream.server.address())
        .shadow_with("faulty", faulty.address(), settings)
        .shadow("healthy", healthy.server.address())
        .set("limits.memory", "64MiB")
        .set(
            "record",
            json!({ "path": folder.path().join("traffic.avro"), "max_body": "1MiB", "flush_interval": "20ms" }),
        );
    let mirror = Mirror::start(config);
    let idle = mirror.peak_resident();

    std::thread::scope(|scope| {
        for number in 0..UPLOADS {
            let (mirror, takers) = (&mirror, [&upstream, &healthy]);
            scope.spawn(move || send_upload(mirror, number, LENGTH, &takers));
        }
    });
    assert_eq!(upstream.ended(UPLOADS), [Some(LENGTH); UPLOADS], "the right bytes upstream");
    assert_eq!(healthy.ended(UPLOADS), [Some(LENGTH); UPLOADS], "and at the healthy target");

    let count = UPLOADS as u64;
    let metrics = mirror.wait_settled(count);
    assert_eq!((metrics.delivered("healthy"), metrics.delivered("record")), (count, count), "{metrics:#?}");
    let lost: u64 = reasons.iter().map(|r| metrics.dropped("faulty", r) + metrics.failed("faulty", r)).sum();
    assert_eq!(lost, count, "{metrics:#?}");
    let [peak, limit] = ["peak", "limit"].map(|which| metrics.sum(&format!("mirror_memory_{which}_bytes"), &[]));
    assert!(peak <= limit, "{peak} of {limit}");
    let grown = mirror.peak_resident() - idle;
    assert!(grown < 2 * 64 * MIB as u64, "{grown} bytes more than idle");
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_memory_used_bytes", &[]) == 0.0);

    let address = faulty.address();
    faulty.stop();
    let recovered = Server::script_at(address, |mut conn| {
        while conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {}
    });
    let mut again = 0;
    wait_for("an upload at the target that has recovered", WITHIN, || {
        again += 1;
        send_upload(&mirror, 15, 100_000, &[]);
        mirror.wait_settled(count + again);
        (recovered.requests().len() == 1).then_some(())
    });
    assert!(recovered.wait_request().body == upload::body(100_000));

    let summary = mirror.terminate();
    assert_eq!((summary.sink("faulty").offered, summary.sink("faulty").delivered), (count + again, 1));
    for sink in ["healthy", "record"] {
        assert_eq!(summary.sink(sink).delivered, count + again);
    }
}

/// It is cut off when it is further behind than its bound, or given up when it takes nothing for the whole of its timeout,
/// whichever comes first.
#[test]
fn a_target_that_never_reads() {
    upload_beside(
        |conn| {
            Gate::new().pass();
            drop(conn);
        },
        &["lag", "timeout"],
    );
}

#[test]
fn a_target_that_stops_reading_in_the_middle() {
    upload_beside(
        |mut conn| {
            conn.pour(10 * MIB, |_| {});
            Gate::new().pass();
        },
        &["lag", "timeout"],
    );
}

#[test]
fn a_target_that_resets_in_the_middle() {
    upload_beside(
        |mut conn| {
            conn.pour(10 * MIB, |_| {});
            conn.reset();
        },
        &["reset", "lag", "timeout"],
    );
}

/// It has heard enough: an answer, though the upload goes on (RFC 9110 section 10.1.1 lets it).
#[test]
fn a_target_that_takes_all_and_never_answers() {
    upload_beside(
        |mut conn| {
            conn.pour(usize::MAX, |_| {});
        },
        &["timeout", "lag"],
    );
}

/// A copy that is whole here, but not taken there, ends too: by the target's own timeout, as no lag cuts it off.
#[test]
fn what_a_target_never_reads_is_given_back_even_where_it_is_within_all_bounds() {
    const LENGTH: usize = 12 * MIB;
    let (upstream, faulty) = (
        Taker::new(),
        Server::script(|conn| {
            Gate::new().pass();
            drop(conn);
        }),
    );
    let settings = json!({ "timeout": "300ms", "lag": "16MiB" });
    let mirror =
        Mirror::start(Config::upstream(upstream.server.address()).shadow_with("faulty", faulty.address(), settings));
    send_upload(&mirror, 0, LENGTH, &[]);
    let metrics = mirror.wait_settled(1);
    assert_eq!(metrics.failed("faulty", "timeout"), 1, "{metrics:#?}");
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_memory_used_bytes", &[]) == 0.0);
    assert_eq!(mirror.terminate().sink("faulty").failed, 1);
}
