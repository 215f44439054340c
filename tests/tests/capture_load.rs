//! The listener beside a client that is as fast as it can be: nothing is lost, not even what waits when it is told to end.

use std::path::PathBuf;

use mirror_tests::capture::is_permitted;
use mirror_tests::listener::{Listener, patient};
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::recording::Fastavro;
use mirror_tests::wire::{CARD, Cabling, Faults, Wire};
use mirror_tests::{Config, Conn, Metrics, Mirror, Server, WITHIN, json, wrk};

/// A listener to nginx that records only: so that nothing else sets the pace.
struct Recorder {
    mirror: Mirror,
    fastavro: Fastavro,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Recorder {
    /// To this interface and port.
    fn start(interface: &str, port: u16) -> Option<Recorder> {
        if !is_permitted() {
            return None;
        }
        let fastavro = Fastavro::find()?;
        let folder = tempfile::tempdir().expect("a folder of our own");
        let path = folder.path().join("traffic.avro");
        let config = Config::capture(patient(interface, port))
            .set("record", json!({ "path": path, "disk_queue": "256MiB" }))
            .set("limits.memory", "1GiB");
        Some(Recorder { mirror: Mirror::start(config), fastavro, path, _folder: folder })
    }

    /// How many exchanges are recorded, once there are as many as were answered: none was dropped by anyone, and all are whole, with this target
    /// and this answer, but so many at the most.
    #[track_caller]
    fn end(self, answered: u64, target: &str, answer: &str, cut: u64) -> u64 {
        let seen = |metrics: &Metrics| metrics.sum("mirror_source_exchanges_total", &["source=\"capture\""]) as u64;
        let metrics = self.mirror.wait_for(WITHIN, |metrics| seen(metrics) >= answered);
        assert_eq!(metrics.sum("mirror_capture_kernel_dropped_packets_total", &[]), 0.0, "{metrics:#?}");
        let summary = self.mirror.terminate();
        let record = summary.sink("record");
        assert_eq!((record.delivered, record.dropped, record.failed), (summary.seen, 0, 0), "{summary:#?}");
        let kinds = self.fastavro.kinds(&self.path);
        assert_eq!(kinds.iter().map(|(_, count)| count).sum::<u64>(), summary.seen, "{kinds:#?}");
        let (whole, others): (Vec<_>, Vec<_>) = kinds.iter().partition(|(kind, _)| kind["aborted"].is_null());
        assert!(others.iter().map(|(_, count)| count).sum::<u64>() <= cut, "{others:#?}");
        let [(kind, count)] = whole[..] else { panic!("each is as the others: {whole:#?}") };
        assert_eq!((&kind["target"], &kind["request"]), (&json!(target), &json!(["", 0, null])));
        assert_eq!(kind["response"], json!([200, answer, answer.len(), null]));
        *count
    }
}

/// What wrk says that it was answered is recorded, and what nginx says that it has answered. Only what was under way when wrk left, `depth`
/// exchanges a connection, may be known to one of them and not to another.
#[track_caller]
fn assert_all_recorded(connections: usize, depth: usize, script: Option<&str>) {
    if !nginx::is_there() || !wrk::is_there() {
        return;
    }
    let nginx = Nginx::start();
    let Some(recorder) = Recorder::start("lo", nginx.address().port()) else { return };
    let answers = wrk::wrk(nginx.address(), "/tiny", connections, 1, script);
    let under_way = (connections * depth) as u64;
    let recorded = recorder.end(answers, "/tiny", "ok", under_way);
    // Those whose answer was sent: the client may have been gone.
    let served = nginx.served().iter().filter(|served| served.sent == 2).count() as u64;
    eprintln!("wrk was answered {answers} times, nginx served {served}, and {recorded} are recorded");
    assert!((answers..=answers + under_way).contains(&recorded), "{recorded} of {answers}");
    assert!(recorded.abs_diff(served) <= under_way, "{recorded} of {served}");
}

#[test]
fn every_exchange_of_wrk_is_recorded() {
    assert_all_recorded(16, 1, None);
}

/// Several requests in one segment.
#[test]
fn every_exchange_of_a_wrk_that_pipelines_is_recorded() {
    const SCRIPT: &str = r#"
        init = function() all = string.rep(wrk.format("GET", "/tiny"), 8) end
        request = function() return all end
    "#;
    assert_all_recorded(8, 8, Some(SCRIPT));
}

/// Requests and answers of several segments each, over a cable that loses some of them.
#[test]
fn every_exchange_of_wrk_over_a_bad_cable_is_recorded() {
    const CONNECTIONS: usize = 8;
    if !nginx::is_there() || !wrk::is_there() {
        return;
    }
    let Some(wire) = Wire::lay(Cabling { faults: Faults::ALL, ..Cabling::default() }) else { return };
    let nginx = wire.server.within(|| Nginx::start_at(wire.address(80)));
    let page = "all that is on a page. ".repeat(1000);
    std::fs::write(nginx.file("page"), &page).expect("a file of our own");
    wire.server.within(|| {
        let Some(recorder) = Recorder::start(CARD, 80) else { return };
        let script = r#"wrk.headers["X-Padding"] = string.rep("x", 4000)"#;
        let answers = wire.client.within(|| wrk::wrk(nginx.address(), "/page", CONNECTIONS, 1, Some(script)));
        assert!(answers > 0, "the cable carries something");
        let recorded = recorder.end(answers, "/page", &page, CONNECTIONS as u64);
        eprintln!("wrk was answered {answers} times, and {recorded} are recorded; {:?}", wire.carried());
        assert!((answers..=answers + CONNECTIONS as u64).contains(&recorded), "{recorded} of {answers}");
    });
    wire.carried().assert_met(Faults::ALL);
}

/// All of them wait in the kernel's ring just before it is told to end: it was stopped while they passed.
#[test]
fn ten_thousand_exchanges_that_wait_at_the_end_are_all_delivered() {
    const ALL: usize = 10_000;
    const AT_ONCE: usize = 100;
    let server = Server::script(|mut conn| {
        while let Some(request) = conn.request() {
            if request.start_line() == "GET /last HTTP/1.1" {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".repeat(AT_ONCE));
            }
        }
    });
    let Some(listener) = Listener::of(patient("lo", server.address().port())) else { return };
    let mut client = Conn::open(server.address());
    listener.mirror.signal(libc::SIGSTOP);
    let requests = ["GET / HTTP/1.1\r\nHost: app\r\n\r\n".repeat(AT_ONCE - 1), "GET /last HTTP/1.1\r\n\r\n".into()];
    for _ in 0..ALL / AT_ONCE {
        client.send(requests.concat());
        (0..AT_ONCE).for_each(|_| assert_eq!(client.response().text(), "ok"));
    }
    listener.mirror.signal(libc::SIGCONT);
    let (records, _) = listener.end(ALL);
    assert!(records.iter().all(|record| record["response"]["body"] == "ok"));
}
