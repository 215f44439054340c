//! Recorded connections are connections again.

use std::collections::{BTreeMap, BTreeSet};

use mirror_tests::replay::replay;
use mirror_tests::{Server, Tape};

#[test]
fn each_recorded_connection_has_one_of_its_own() {
    let of_client = |tape: Tape, n: u64| {
        let port = 40_000 + (n % 5) as u16;
        tape.with(n * 4, &format!("/{port}/{}", n / 5), |record| record.client = Some(([10, 0, 0, 1], port).into()))
    };
    let tape = (0..40).fold(Tape::default(), of_client);
    for speed in ["--speed=100%", "--speed=max"] {
        let target = Server::ok();
        let done = replay(&tape, &target, &["--order=connection", speed]);
        assert_eq!(done.code, Some(0), "{done:#?}");
        let mut seen: BTreeMap<String, (BTreeSet<usize>, Vec<u32>)> = BTreeMap::new();
        for request in target.requests() {
            let parts: Vec<&str> = request.start_line().split(['/', ' ']).collect();
            let (connections, order) = seen.entry(parts[2].to_owned()).or_default();
            connections.insert(request.connection);
            order.push(parts[3].parse().expect("a number"));
        }
        assert_eq!((seen.len(), target.connections()), (5, 5), "{speed}: {seen:?}");
        for (client, (connections, order)) in seen {
            assert_eq!((connections.len(), order), (1, (0..8).collect()), "{speed}: {client}");
        }
    }
}

#[test]
fn several_engine_threads_keep_the_order_too() {
    // So short that a session ends and begins anew all the time.
    let of_client = |tape: Tape, n: u64| {
        let port = 40_000 + (n / 2 % 50) as u16;
        tape.with(n, &format!("/{port}/{n}"), |record| record.client = Some(([10, 0, 0, 1], port).into()))
    };
    let tape = (0..6000).fold(Tape::default(), of_client);
    let target = Server::ok();
    let done = replay(&tape, &target, &["--order=connection", "--speed=max", "--engine-threads=2", "--concurrency=16"]);
    assert_eq!((done.code, target.requests().len()), (Some(0), 6000), "{done:#?}");
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    for request in target.requests() {
        let parts: Vec<&str> = request.start_line().split(['/', ' ']).collect();
        let number = parts[3].parse().expect("a number");
        let before = last.insert(parts[2].to_owned(), number);
        assert!(before < Some(number), "{}: {number} behind {before:?}", parts[2]);
    }
}
