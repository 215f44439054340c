//! A hundred reloads under the load of wrk: no client sees an error, and no exchange is lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Mirror, Server, WITHIN, json, wrk};

const RELOADS: usize = 100;

/// Each recording lasts for so many of them.
const RELOADS_A_RECORDING: usize = 10;

/// Connections of wrk.
const CLIENTS: usize = 4;

/// More copies than ever wait: that a busy machine gives a target no time is not what is shown here.
const QUEUE: usize = 100_000;

/// How many exchanges are to begin between one reload and the next.
const BETWEEN: f64 = 20.0;

/// Answers a moment later, so that exchanges are under way at every reload, and not more come than a busy machine can take.
fn late() -> Server {
    Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(2));
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    })
}

/// The settings after so many reloads: one target stays, one comes and goes, one is another each time; the recording is another now and then,
/// and with it the stages before all.
fn settings(n: usize, [upstream, stays, comes, anew]: [&Server; 4], folder: &Path) -> Config {
    let path = recording(n, folder);
    let stages =
        json!([{ "rewrite": { "header": { "set": { "X-Recording": (n / RELOADS_A_RECORDING).to_string() } } } }]);
    let settings = Config::upstream(upstream.address())
        .shadow_with("stays", stays.address(), json!({ "queue": QUEUE }))
        .shadow_with("anew", anew.address(), json!({ "queue": QUEUE, "timeout": format!("{}s", 20 + n % 2) }))
        .set("pipeline", stages)
        .set("record", json!({ "path": path, "flush_interval": "10ms" }));
    if n.is_multiple_of(2) {
        settings
    } else {
        settings.shadow_with("comes", comes.address(), json!({ "queue": QUEUE }))
    }
}

fn recording(n: usize, folder: &Path) -> PathBuf {
    folder.join(format!("{}.avro", n / RELOADS_A_RECORDING))
}

#[test]
fn a_hundred_reloads_cost_nothing() {
    if !wrk::is_there() {
        return;
    }
    let (upstream, stays, comes, anew) = (late(), Server::ok(), Server::ok(), late());
    let servers = [&upstream, &stays, &comes, &anew];
    let folder = tempfile::tempdir().expect("a folder of our own");
    let mirror = Mirror::start(settings(0, servers, folder.path()));
    let load = wrk::begin(mirror.address(), CLIENTS);
    let mut seen = 0.0;
    for n in 1..=RELOADS {
        let metrics =
            mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_source_exchanges_total", &[]) >= seen + BETWEEN);
        seen = metrics.sum("mirror_source_exchanges_total", &[]);
        let said = mirror.reload(&settings(n, servers, folder.path()));
        assert!(said.contains("shadow anew: begins anew (timeout)"), "{said}");
    }
    // That none of them was an error is asserted there.
    let answers = load.end();
    let metrics = mirror.metrics();
    assert_eq!(metrics.sum("mirror_reloads_total", &["result=\"success\""]), RELOADS as f64);
    let summary = mirror.terminate();

    assert!(answers >= (RELOADS as u64) * (BETWEEN as u64), "{answers}");
    // What was under way when wrk ended is seen and has no answer.
    assert!((answers..=answers + CLIENTS as u64).contains(&summary.seen), "{answers} {summary:#?}");
    for name in ["stays", "anew", "record"] {
        let sink = summary.sink(name);
        assert_eq!((sink.offered, sink.delivered), (summary.seen, summary.seen), "{name}: {summary:#?}");
    }
    let comes_and_goes = summary.sink("comes");
    assert!(comes_and_goes.offered > 0 && comes_and_goes.offered < summary.seen, "{summary:#?}");
    assert_eq!(comes_and_goes.offered, comes_and_goes.delivered, "{summary:#?}");
    for (name, server) in [("stays", &stays), ("anew", &anew), ("comes", &comes)] {
        assert_eq!(server.requests().len() as u64, summary.sink(name).delivered, "what {name} got");
    }

    let Some(fastavro) = Fastavro::find() else { return };
    let mut recorded = 0;
    for n in (0..=RELOADS).step_by(RELOADS_A_RECORDING) {
        // An exchange meets the stages of one generation and its recorder.
        let expected = ["X-Recording".to_owned(), (n / RELOADS_A_RECORDING).to_string()];
        for record in fastavro.read(&recording(n, folder.path())) {
            let headers = record["request"]["headers"].as_array().expect("headers");
            let stamp = headers.iter().find(|header| header["name"] == "X-Recording").expect("a header");
            assert_eq!([&stamp["name"], &stamp["value"]].map(|it| it.as_str().expect("text").to_owned()), expected);
            recorded += 1;
        }
    }
    assert_eq!(recorded, summary.seen, "every exchange is in one of the recordings");
}
