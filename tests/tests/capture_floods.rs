//! Packets that are sent to use memory up: what is kept of them is bounded, and what is said between them is heard.

use std::path::Path;

use mirror_tests::capture::{Pcap, Talk};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Metrics, Mirror, Server, json};

const GET: &str = "GET /good HTTP/1.1\r\nHost: app\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const MIB: u64 = 1024 * 1024;
/// The budgets of what is held: of exchanges, and of what is out of order.
const EXCHANGES: u64 = 16 * MIB;
const REASSEMBLY: u64 = 4 * MIB;
/// What a process may take beside them, its code among it: that of a release build, which is what the promise is made for.
const BESIDE: u64 = 64 * MIB;
const CODE: u64 = 12 * MIB;

/// So many entries are kept at most; that costs some 30 MB (`limits.reassembly.flows`).
const FLOWS: f64 = 65_536.0;

/// A flood amid good exchanges, of which one is on a connection that is open all the time. All of these are recorded, and memory is bounded. Gives
/// what was counted.
#[track_caller]
fn withstand(flood: impl FnOnce(&mut Pcap)) -> Option<Metrics> {
    let fastavro = Fastavro::find()?;
    let folder = tempfile::tempdir().expect("a folder of our own");
    let [capture, recording] = ["flood.pcap", "traffic.avro"].map(|name| folder.path().join(name));
    write(flood, &capture);
    // Beside a proxy, so that it goes on when the file is read.
    let upstream = Server::ok();
    let config = Config::upstream(upstream.address())
        .set("capture", json!({ "file": capture, "ports": 80 }))
        .set("record", json!({ "path": recording, "max_body": "1MiB" }))
        .set("limits.memory", EXCHANGES)
        .set("limits.reassembly.bytes", REASSEMBLY);
    let mirror = Mirror::start(config);
    let metrics = mirror.wait_for(mirror_tests::WITHIN * 2, |metrics| {
        // The last connection's end is the file's.
        metrics.sum("mirror_capture_connections_total", &["event=\"finished\""]) >= 3.0
    });
    assert!(metrics.sum("mirror_capture_flows", &[]) <= FLOWS, "{metrics:#?}");
    assert!(metrics.sum("mirror_capture_held_bytes", &[]) as u64 <= REASSEMBLY, "{metrics:#?}");
    let peak = mirror.peak_resident() - mirror.resident_code() + CODE;
    eprintln!("at most {} MiB resident", peak / MIB);
    assert!(peak <= BESIDE + EXCHANGES + REASSEMBLY, "{peak} bytes resident");
    mirror.terminate();
    let good = fastavro.read(&recording).into_iter().filter(|record| record["request"]["target"] == "/good");
    let good: Vec<_> = good.collect();
    assert_eq!(good.len(), 4);
    assert!(good.iter().all(|record| record["aborted"].is_null() && record["response"]["body"] == "ok"), "{good:#?}");
    Some(metrics)
}

fn write(flood: impl FnOnce(&mut Pcap), path: &Path) {
    let mut pcap = Pcap::default();
    let exchange = |pcap: &mut Pcap, talk: &mut Talk| {
        talk.client(pcap, GET);
        talk.server(pcap, OK);
    };
    let mut lasting = Talk::open(&mut pcap, 40_001);
    exchange(&mut pcap, &mut lasting);
    let mut before = Talk::open(&mut pcap, 40_002);
    exchange(&mut pcap, &mut before);
    before.close(&mut pcap);
    flood(&mut pcap);
    let mut after = Talk::open(&mut pcap, 40_003);
    exchange(&mut pcap, &mut after);
    after.close(&mut pcap);
    exchange(&mut pcap, &mut lasting);
    lasting.close(&mut pcap);
    pcap.write(path);
}

#[test]
fn syns_of_300000_addresses() {
    let Some(metrics) = withstand(|pcap| pcap.flood_of_syns(300_000)) else { return };
    let evicted = metrics.sum("mirror_capture_connections_total", &["event=\"handshake_evicted\""]);
    assert!(evicted >= 300_000.0 - FLOWS, "{metrics:#?}");
}

#[test]
fn requests_of_80000_clients_that_are_never_whole() {
    let Some(metrics) = withstand(|pcap| pcap.flood_of_starts(80_000, b"GET / HTTP/1.1\r\nHost: ")) else { return };
    let evicted = metrics.sum("mirror_capture_connections_total", &["event=\"evicted\""]);
    assert!(evicted >= 80_000.0 - FLOWS, "{metrics:#?}");
}

/// Each could still become a head: it is no longer than those that are read.
#[test]
fn long_heads_that_are_never_whole() {
    let start = ["GET / HTTP/1.1\r\nCookie: ", &"a".repeat(240_000)].concat();
    withstand(|pcap| pcap.flood_of_starts(600, start.as_bytes()));
}
