//! A disk that does not keep up costs records, each counted with that reason, and nobody else anything.

use std::collections::BTreeSet;
use std::path::Path;

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Mirror, Server, SlowDisk, json, upload};

/// Of each request's body; no compression makes it smaller by much.
const LENGTH: usize = 2000;

/// Each record is a block of its own, and a few of them may wait.
fn config(upstream: &Server, target: &Server, path: &Path) -> Config {
    let record = json!({ "path": path, "flush_bytes": "1B", "disk_queue": "16KiB" });
    Config::upstream(upstream.address()).shadow("target", target.address()).set("record", record)
}

#[track_caller]
fn send(mirror: &Mirror, numbers: std::ops::Range<usize>) {
    let mut client = mirror.connect();
    for n in numbers {
        client.send(format!("PUT /{n} HTTP/1.1\r\nHost: app\r\nContent-Length: {LENGTH}\r\n\r\n"));
        client.send(upload::body(LENGTH));
        assert_eq!(client.response().text(), "ok");
        // In this order to the recorder, too.
        mirror.wait_delivered("target", n as u64 + 1);
    }
}

#[test]
fn records_that_a_slow_disk_has_no_time_for_are_dropped_until_it_is_fast_again() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.avro");
    let disk = SlowDisk::new();
    let mirror = disk.start(&config(&upstream, &target, &path));

    send(&mirror, 0..10);
    mirror.wait_settled(10);
    disk.stall();
    send(&mirror, 10..60);
    // The one that is being written and those that may wait, and no more, are still to come.
    let slow = mirror.wait_for(mirror_tests::WITHIN, |metrics| {
        metrics.offered("record") == 60 && metrics.sum("mirror_record_waiting_bytes", &[]) > 12_000.0
    });
    assert!(slow.dropped("record", "disk_slow") >= 30, "{slow:#?}");
    assert!(slow.sum("mirror_record_waiting_bytes", &[]) <= 16_384.0, "{slow:#?}");
    assert_eq!(slow.delivered("record"), 10, "nothing is counted as written that is not");
    disk.go_on();
    let dropped = mirror.wait_settled(60).dropped("record", "disk_slow");
    send(&mirror, 60..70);

    let summary = mirror.terminate();
    let record = summary.sink("record");
    assert_eq!((record.delivered, record.failed, record.dropped), (70 - dropped, 0, dropped));
    assert_eq!(record.reason("dropped disk_slow"), dropped);
    assert_eq!((summary.sink("target").delivered, target.requests().len()), (70, 70));
    assert_eq!((upstream.requests().len(), summary.seen), (70, 70));

    let Some(fastavro) = Fastavro::find() else { return };
    let written: BTreeSet<usize> = fastavro
        .read(&path)
        .iter()
        .filter_map(|record| record["request"]["target"].as_str()?.strip_prefix('/')?.parse().ok())
        .collect();
    assert_eq!(written.len() as u64, record.delivered);
    assert!(written.is_superset(&(0..10).chain(60..70).collect()), "{written:?}");
}

/// The end does not wait for it, and still says what became of every record.
#[test]
fn a_disk_that_never_goes_on_does_not_keep_it_from_ending() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let disk = SlowDisk::new();
    let config = config(&upstream, &target, &folder.path().join("traffic.avro")).set("drain_timeout", "200ms");
    let mirror = disk.start(&config);
    disk.stall();
    send(&mirror, 0..20);
    let summary = mirror.terminate();
    let record = summary.sink("record");
    assert_eq!((record.offered, record.delivered, record.failed), (20, 0, 0), "{record:?}");
    assert!(record.reason("dropped disk_slow") > 0 && record.reason("dropped shutdown") > 0, "{record:?}");
    assert_eq!(summary.sink("target").delivered, 20);
}
