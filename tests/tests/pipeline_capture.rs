//! The same stages for what is captured.

use mirror_tests::capture::{Pcap, Talk, read, records};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Server, json};

/// Four exchanges on two connections, one of which failed, and one whose response was not captured.
fn capture() -> Pcap {
    let mut pcap = Pcap::default();
    let (mut a, mut b) = (Talk::open(&mut pcap, 40_001), Talk::open(&mut pcap, 40_002));
    for (path, status) in [("/a", "200 OK"), ("/b", "500 Broken")] {
        a.client(&mut pcap, format!("GET {path} HTTP/1.1\r\nHost: app\r\nCookie: user=1\r\n\r\n"));
        a.server(&mut pcap, format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok"));
    }
    b.client(&mut pcap, "POST /c HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi");
    b.server(&mut pcap, "HTTP/1.1 404 Missing\r\nContent-Length: 0\r\n\r\n");
    b.client(&mut pcap, "GET /d HTTP/1.1\r\nHost: app\r\n\r\n");
    a.close(&mut pcap);
    b.close(&mut pcap);
    pcap
}

#[test]
fn filters_by_response_choose_what_is_recorded() {
    let Some(fastavro) = Fastavro::find() else { return };
    for (flags, targets) in [
        (vec!["--filter=status >= 400"], vec!["/b", "/c"]),
        (vec!["--filter=status >= 400", "--deny=client = 10.0.0.1 and path = /c"], vec!["/b"]),
        (vec!["--filter=not status"], vec!["/d"]),
        (vec!["--filter=source = capture", "--deny=cookie.user = 1"], vec!["/c", "/d"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder of our own");
        capture().write(&folder.path().join("trace.pcap"));
        let (code, summary, said) = read(folder.path(), "trace.pcap:80", &flags);
        assert_eq!((code, summary.seen), (Some(0), 4), "{said}");
        let record = summary.sink("record");
        assert_eq!(
            (record.delivered, record.reason("skipped filter")),
            (targets.len() as u64, 4 - targets.len() as u64)
        );
        let found = records(&fastavro, folder.path());
        let found: Vec<_> =
            found.iter().map(|record| record["request"]["target"].as_str().unwrap_or_default()).collect();
        assert_eq!(found, targets, "{flags:?}");
    }
}

#[test]
fn copies_of_what_is_captured_are_rewritten() {
    let target = Server::ok();
    let folder = tempfile::tempdir().expect("a folder of our own");
    capture().write(&folder.path().join("trace.pcap"));
    let stages = json!([{ "filter": "path = /c" }, { "rewrite": { "path": { "with": "/new{path}" } } }]);
    let shadow = format!("--shadow={}", target.address());
    let (code, _, said) =
        read(folder.path(), "trace.pcap:80", &[&shadow, &format!("--set=shadow.0.pipeline={stages}")]);
    assert_eq!(code, Some(0), "{said}");
    let requests = target.requests();
    let [copy] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((copy.start_line(), copy.text().as_str()), ("POST /new/c HTTP/1.1", "hi"));
}
