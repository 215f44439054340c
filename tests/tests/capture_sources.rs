//! Where packets come from beside an interface and a file of the classic format.

use mirror_tests::capture::{Pcap, Talk, is_permitted};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Mirror, Server, Summary, Value, json, run_to_end};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n")
}

/// One program stands before an application and listens to another one beside it; both ways lead to the same target and recording.
#[test]
fn a_proxy_and_a_listener_in_one_program() {
    let Some(fastavro) = Fastavro::find() else { return };
    if !is_permitted() {
        return;
    }
    let (upstream, beside, target) = (Server::ok(), Server::ok(), Server::ok());
    let folder = tempfile::tempdir().expect("a folder of our own");
    let path = folder.path().join("traffic.avro");
    let config = Config::upstream(upstream.address())
        .set("capture", format!("lo:{}", beside.address().port()))
        .set("record", json!({ "path": path }))
        .shadow("target", target.address());
    let mirror = Mirror::start(config);
    let (mut proxied, mut heard) = (mirror.connect(), Conn::open(beside.address()));
    for number in 0..3 {
        assert_eq!(proxied.exchange(&get(&format!("/proxied/{number}"))).text(), "ok");
        assert_eq!(heard.exchange(&get(&format!("/heard/{number}"))).text(), "ok");
    }
    let metrics = mirror.wait_settled(6);
    for source in ["proxy", "capture"] {
        let label = format!("source=\"{source}\"");
        assert_eq!(metrics.sum("mirror_source_exchanges_total", &[&label]), 3.0, "{source}: {metrics:#?}");
    }
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered, summary.sink("record").delivered), (6, 6, 6));
    assert_eq!(upstream.requests().len(), 3, "what was heard is only copied");
    // They are written as their answers come in.
    let mut records = fastavro.read(&path);
    records.sort_by_key(|record| record["start"].as_u64());
    let of = |source: &str| {
        let of_it = records.iter().filter(|record| record["source"] == source);
        of_it.map(|record| record["request"]["target"].as_str().expect("a target")).collect::<Vec<_>>()
    };
    assert_eq!(of("proxy"), ["/proxied/0", "/proxied/1", "/proxied/2"]);
    assert_eq!(of("capture"), ["/heard/0", "/heard/1", "/heard/2"]);
    for record in &records {
        assert_eq!(record["answers"][0]["response"]["status"], 200, "{record:#}");
    }
}

/// An exchange on each of two connections.
fn two() -> Pcap {
    let mut pcap = Pcap::default();
    for port in [40_001, 40_002] {
        let mut talk = Talk::open(&mut pcap, port);
        talk.client(&mut pcap, get(&format!("/{port}")));
        talk.server(&mut pcap, OK);
        talk.close(&mut pcap);
    }
    pcap
}

#[track_caller]
fn targets(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["request"]["target"].as_str().expect("a target")).collect()
}

/// Whole, with times to the microsecond; and cut short, when what was read is kept.
#[test]
fn a_file_of_the_other_format() {
    let Some(fastavro) = Fastavro::find() else { return };
    let whole = two().to_pcapng();
    // Within the packet that would have answered the second request.
    let answer = whole.windows(4).rposition(|bytes| bytes == b"HTTP").expect("an answer");
    for (file, code, heard) in
        [(&whole[..], 0, [Value::Null, Value::Null]), (&whole[..answer], 1, [Value::Null, json!("capture")])]
    {
        let folder = tempfile::tempdir().expect("a folder of our own");
        std::fs::write(folder.path().join("trace.pcapng"), file).expect("a file of our own");
        let output = run_to_end(folder.path(), &["--capture=trace.pcapng:80", "--record=out.avro", "--admin=off"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(code == 0 || said.contains("trace.pcapng is cut short after"), "{said}");
        let summary = Summary::parse(&String::from_utf8_lossy(&output.stdout)).expect("sums");
        assert_eq!((summary.seen, summary.sink("record").delivered), (2, 2), "{said}");
        let mut records = fastavro.read(&folder.path().join("out.avro"));
        records.sort_by_key(|record| record["start"].as_u64());
        assert_eq!(targets(&records), ["/40001", "/40002"]);
        assert_eq!([&records[0]["aborted"], &records[1]["aborted"]], [&heard[0], &heard[1]]);
        assert_eq!((&records[0]["start"], &records[0]["response"]["body"]), (&json!(Pcap::START + 3000), &json!("ok")));
    }
}

/// They are read one after the other, as those are written that are begun anew when they are long: a connection goes on in the next.
#[test]
fn a_capture_in_two_files() {
    let Some(fastavro) = Fastavro::find() else { return };
    let all = two();
    let packets = 2 * 8;
    for first in [1, 3, 4, packets / 2, packets - 1] {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let file = |name: &str| folder.path().join(name);
        let [one, two] = all.split(first);
        one.write(&file("one.pcap"));
        std::fs::write(file("two.pcapng"), two.to_pcapng()).expect("a file of our own");
        let arguments = ["--capture=one.pcap:80", "--capture=two.pcapng:80", "--record=out.avro", "--admin=off"];
        let output = run_to_end(folder.path(), &arguments);
        assert!(output.status.success(), "{output:?}");
        let mut records = fastavro.read(&file("out.avro"));
        records.sort_by_key(|record| record["start"].as_u64());
        assert_eq!(targets(&records), ["/40001", "/40002"], "after {first}");
        assert!(records.iter().all(|record| record["response"]["body"] == "ok"), "after {first}: {records:#?}");
    }
}

/// A recording that is there is appended to, and nothing of it is lost.
#[test]
fn a_second_reading_appends() {
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = tempfile::tempdir().expect("a folder of our own");
    two().write(&folder.path().join("trace.pcap"));
    for read in 1..=3 {
        let output = run_to_end(folder.path(), &["--capture=trace.pcap:80", "--record=out.avro", "--admin=off"]);
        assert!(output.status.success(), "{output:?}");
        let mut records = fastavro.read(&folder.path().join("out.avro"));
        records.sort_by_key(|record| record["start"].as_u64());
        assert_eq!(targets(&records), [vec!["/40001"; read], vec!["/40002"; read]].concat());
    }
}
