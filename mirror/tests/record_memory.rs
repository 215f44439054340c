//! What a recorder's formats take to be encoded is within the budget: a record for which there is no room is dropped, and all others are there.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mirror::config::{ByteSize, Config, RecordConfig};
use mirror::engine::Engine;
use mirror::exchange::Origin;
use mirror::outcome::DropReason;
use mirror::recording::Format;
use mirror::source::Tap;
use mirror::telemetry::Telemetry;

const MIB: u64 = 1 << 20;

/// This many zeros, compressed.
fn zeros(length: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![0; length]).expect("memory");
    encoder.finish().expect("memory")
}

/// An exchange whose response has this body; the number is in its target.
fn exchange(tap: &Tap, number: u64, coding: &str, body: Vec<u8>) {
    let head = format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut exchange = tap.begin(head.into(), Origin { source: "test", client: None }).expect("there is room");
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n");
    exchange.request_end(None);
    exchange.respond(head.into());
    exchange.response_data(Bytes::from(body));
    exchange.finish(None);
}

/// What became of it all.
struct Told {
    delivered: u64,
    dropped: Vec<(&'static str, u64)>,
    peak: u64,
    /// The targets of what is in the recording.
    targets: Vec<String>,
}

/// Records what `offer` offers, within a budget of so many bytes.
fn record(name: &str, memory: u64, offer: impl Fn(&Tap, &dyn Fn(u64))) -> Told {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let mut record = RecordConfig::new(&path);
    record.flush_interval = mirror::config::Period(Duration::from_millis(5));
    let mut config = Config { record: vec![record], ..Config::default() };
    config.limits.memory = ByteSize::new(memory);
    let engine = Engine::start(&config, "test", &Telemetry::new()).expect("an engine");
    let (tap, budget, sinks) = (engine.tap(), engine.budget(), engine.sinks());
    let metrics = &sinks[0].metrics;
    let settled = || metrics.delivered.get() + metrics.dropped.total() + metrics.failed.total();
    offer(&tap, &|count| {
        let begun = Instant::now();
        while settled() < count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} of {count} are settled", settled());
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    drop(tap);
    assert!(engine.drain(Duration::from_secs(60)), "all ends by itself");
    assert_eq!(metrics.offered.get(), settled(), "every account is settled once");
    assert_eq!((budget.used(), sinks[0].share.held()), (0, 0), "all is given back");
    let file = std::fs::File::open(&path).expect("the recording");
    let mut reader = Format::of(&path).expect("a format").reader(file).expect("a recording");
    let mut targets = Vec::new();
    while let Some(record) = reader.read().expect("the file") {
        targets.push(String::from_utf8_lossy(&record.request.target).into_owned());
    }
    assert!(!reader.losses().any(), "{}", reader.losses());
    Told {
        delivered: metrics.delivered.get(),
        dropped: metrics.dropped.counts().map(|(i, n)| (DropReason::ALL[i].label(), n)).collect(),
        peak: budget.peak() as u64,
        targets,
    }
}

/// Of 16 MiB of zeros a HAR shows 22 MiB of base64; what was sent has 16 KiB.
#[test]
fn a_body_that_decodes_to_more_than_there_is_room_for_is_dropped() {
    let bomb = zeros(16 * MIB as usize);
    let offer = |tap: &Tap, wait: &dyn Fn(u64)| {
        exchange(tap, 0, "identity", b"ok".to_vec());
        wait(1);
        exchange(tap, 1, "gzip", bomb.clone());
        exchange(tap, 2, "gzip", zeros(1000));
        wait(3);
    };
    for name in ["t.har", "t.har.gz"] {
        let small = record(name, 24 * MIB, offer);
        assert_eq!((small.delivered, &small.dropped[..]), (2, &[("memory", 1)][..]), "{name}");
        assert_eq!(small.targets, ["/0", "/2"], "{name}");
        assert!(small.peak <= 24 * MIB, "{name}: {}", small.peak);

        let large = record(name, 256 * MIB, offer);
        assert_eq!((large.delivered, &large.dropped[..]), (3, &[][..]), "{name}");
        assert_eq!(large.targets, ["/0", "/1", "/2"], "{name}");
        // What was held of it is told: the decoded body, its text, and the entry.
        assert!((60 * MIB..160 * MIB).contains(&large.peak), "{name}: {}", large.peak);
    }
    // The others show it as it was sent.
    for name in ["t.jsonl", "t.gor"] {
        let told = record(name, 24 * MIB, offer);
        assert_eq!((told.delivered, told.targets.len()), (3, 3), "{name}");
    }
}

/// Each is dropped by itself, in the middle of others that are written together; also where what it cannot be held by is the format.
#[test]
fn those_that_are_refused_cost_no_other() {
    let told = record("t.gor", 24 * MIB, |tap, wait| {
        for number in 0..300 {
            // Only HTTP/1.1 has chunks, which take a separator apart.
            let is_old = number % 10 == 3;
            let head = format!(
                "PUT /{number} HTTP/1.{}\r\nHost: a\r\nContent-Length: 14\r\n\r\n",
                if is_old { "0" } else { "1" }
            );
            let mut exchange = tap.begin(head.into(), Origin { source: "test", client: None }).expect("room");
            exchange.data(Bytes::from_static("\n🐵🙈🙉\n".as_bytes()));
            exchange.finish(None);
        }
        wait(300);
    });
    assert_eq!((told.delivered, &told.dropped[..]), (270, &[("format", 30)][..]));
    assert!(told.targets.iter().all(|target| !target.ends_with('3')) && told.targets.len() == 270);
}

/// More than the budget at once: what is held while it waits is bounded, and in the end all is told.
#[test]
fn a_flood_stays_within_the_budget() {
    for name in ["t.har", "t.jsonl.gz", "t.gor"] {
        let told = record(name, 8 * MIB, |tap, _| {
            for number in 0..400 {
                let head = format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n");
                let origin = Origin { source: "test", client: None };
                let Some(mut exchange) = tap.begin(head.into(), origin) else { continue };
                exchange.request_end(None);
                exchange.respond("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n".into());
                exchange.response_data(Bytes::from(vec![b'"'; 200_000]));
                exchange.finish(None);
            }
        });
        assert!(told.peak <= 8 * MIB, "{name}: {}", told.peak);
        assert_eq!(told.targets.len() as u64, told.delivered, "{name}");
        assert!(told.delivered > 0, "{name}: {:?}", told.dropped);
    }
}
