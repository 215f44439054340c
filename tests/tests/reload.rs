//! Other settings while it runs: sinks and stages change, and nothing that is under way notices.

use std::path::Path;

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Gate, Mirror, Server, Value, WITHIN, json, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// So long that nothing here waits for it to pass.
const NEVER: &str = "1h";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

fn recording(path: &Path) -> Value {
    json!({ "path": path, "flush_interval": "10ms" })
}

/// A target that answers when the gate lets it.
fn held(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::answering(move |_| {
        gate.pass();
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    })
}

#[test]
fn targets_come_and_go_and_what_one_has_it_finishes() {
    let answer = Gate::new();
    let (upstream, old, new) = (Server::ok(), held(&answer), Server::ok());
    let before = Config::upstream(upstream.address());
    let with_old = before.clone().shadow("old", old.address());
    let mirror = Mirror::start(with_old.clone());
    let mut client = mirror.connect();
    assert_eq!(client.exchange(GET).text(), "ok");
    old.wait_requests(1);

    let said = mirror.reload(&before.shadow("new", new.address()));
    assert!(said.ends_with("reloaded\nshadow new: added\nshadow old: removed; it finishes what it has\n"), "{said}");
    assert_eq!(client.exchange(GET).text(), "ok", "the client's connection is the same");
    mirror.wait_delivered("new", 1);
    let metrics = mirror.metrics();
    assert_eq!((metrics.offered("old"), metrics.of_sink("mirror_sink_in_flight", "old")), (1, 1), "it still runs");

    answer.open();
    // Then it has ended, and with it the gauges of what it had.
    let metrics = mirror.wait_for(WITHIN, |metrics| {
        metrics.delivered("old") == 1 && !metrics.samples().contains_key("mirror_sink_queue_length{sink=\"old\"}")
    });
    assert_eq!(metrics.sum("mirror_shadow_connections", &["sink=\"old\""]), 0.0);

    // The same again counts on where it was.
    mirror.reload(&with_old);
    assert_eq!(client.exchange(GET).text(), "ok");
    answer.open();
    mirror.wait_delivered("old", 2);
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("old").delivered, summary.sink("new").delivered), (3, 2, 1));
    assert_eq!((old.requests().len(), new.requests().len()), (2, 1));
}

#[test]
fn an_upload_that_has_begun_goes_on_to_where_it_began() {
    let (upstream, old, new, folder) = (Server::ok(), Server::ok(), Server::ok(), folder());
    let paths = ["before.avro", "after.avro"].map(|name| folder.path().join(name));
    let settings = Config::upstream(upstream.address());
    let mirror = Mirror::start(settings.clone().shadow("old", old.address()).set("record", recording(&paths[0])));
    let mut client = mirror.connect();
    client.send("PUT /upload HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n01234");
    wait_for("the first half", WITHIN, || old.received_all().ends_with(b"01234").then_some(()));

    mirror.reload(&settings.shadow("new", new.address()).set("record", recording(&paths[1])));
    client.send("56789");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(old.wait_request().text(), "0123456789");
    assert_eq!(client.exchange("GET /next HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
    assert_eq!(new.wait_request().start_line(), "GET /next HTTP/1.1");
    mirror.wait_delivered("record", 2);
    let summary = mirror.terminate();
    assert_eq!((summary.sink("old").delivered, summary.sink("new").delivered), (1, 1));
    assert_eq!((upstream.connections(), summary.sink("record").offered), (1, 2));

    let Some(fastavro) = Fastavro::find() else { return };
    let targets = |path: &Path| -> Vec<Value> {
        fastavro.read(path).iter().map(|record| record["request"]["target"].clone()).collect()
    };
    assert_eq!(paths.map(|path| targets(&path)), [[json!("/upload")], [json!("/next")]]);
}

#[test]
fn what_stands_before_a_sink_changes_and_the_sink_stays() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let path = folder.path().join("traffic.avro");
    let settings = |target_has: Value, fraction: &str| {
        Config::upstream(upstream.address())
            .shadow_with("target", target.address(), target_has)
            .set("fraction", fraction)
            .set("record", recording(&path))
    };
    let mirror = Mirror::start(settings(json!({}), "100%"));
    let mut client = mirror.connect();
    let mut exchange = |path: &str, delivered: u64| {
        assert_eq!(client.exchange(&format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")).text(), "ok");
        mirror.wait_delivered("record", delivered);
    };
    exchange("/a", 1);

    let deny = json!({ "pipeline": [{ "filter": { "deny": "path = /b" } }] });
    let said = mirror.reload(&settings(deny.clone(), "100%"));
    assert!(said.ends_with("reloaded\nshadow target: its pipeline is another\n"), "{said}");
    exchange("/b", 2);
    exchange("/c", 3);

    // The recorder has the fraction of all, the target its own.
    let mut none = deny;
    none["fraction"] = json!("0%");
    let said = mirror.reload(&settings(none, "100%"));
    assert!(said.ends_with("reloaded\nshadow target: fraction 0%, in place of 100%\n"), "{said}");
    exchange("/d", 4);
    assert_eq!(mirror.reload(&settings(json!({ "fraction": "0%" }), "100%")).lines().count(), 2);
    exchange("/e", 5);
    let said = mirror.reload(&settings(json!({}), "100%"));
    assert!(said.ends_with("reloaded\nshadow target: fraction 100%, in place of 0%\n"), "{said}");
    exchange("/f", 6);
    let targets: Vec<String> = target.wait_requests(3).iter().map(|request| request.start_line().to_owned()).collect();
    assert_eq!(targets, ["/a", "/c", "/f"].map(|path| format!("GET {path} HTTP/1.1")));
    assert_eq!(target.connections(), 1, "its connection is the same");
    mirror.terminate();
    if let Some(fastavro) = Fastavro::find() {
        assert_eq!(fastavro.read(&path).len(), 6, "one file has it all");
    }
}

#[test]
fn a_target_with_other_settings_is_another() {
    let answer = Gate::new();
    let (upstream, target) = (Server::ok(), held(&answer));
    let settings = |settings| Config::upstream(upstream.address()).shadow_with("target", target.address(), settings);
    let mirror = Mirror::start(settings(json!({ "timeout": NEVER })));
    let mut client = mirror.connect();
    assert_eq!(client.exchange(GET).text(), "ok");
    target.wait_requests(1);

    let said = mirror.reload(&settings(json!({ "timeout": "50ms", "queue": 7, "backoff": { "after": 1000 } })));
    let expected = "shadow target: begins anew (queue, timeout, backoff.after); the one before finishes what it has\n";
    assert!(said.ends_with(expected), "{said}");
    assert_eq!(mirror.metrics().of_sink("mirror_sink_queue_limit", "target"), 1024 + 7, "both are there");
    assert_eq!(client.exchange(GET).text(), "ok");
    // The new one does not wait long, the old one does.
    mirror.wait_for(WITHIN, |metrics| metrics.failed("target", "timeout") == 1);
    // Both wait at the target; only one of them has somebody to answer still.
    answer.open();
    answer.open();
    mirror.wait_delivered("target", 1);
    mirror.wait_for(WITHIN, |metrics| metrics.of_sink("mirror_sink_queue_limit", "target") == 7);
    let summary = mirror.terminate();
    assert_eq!((summary.sink("target").offered, summary.sink("target").failed), (2, 1));
}

#[test]
fn a_recording_begins_and_ends_and_answers_are_kept_for_it() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let without = Config::upstream(upstream.address()).shadow("target", target.address());
    let path = folder.path().join("traffic.avro");
    let with = without.clone().set("record", recording(&path));
    let mirror = Mirror::start(without.clone());
    let mut client = mirror.connect();
    let mut exchange = |delivered: u64| {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_delivered("target", delivered);
    };
    exchange(1);
    assert!(mirror.reload(&with).ends_with(&format!("reloaded\nrecord: to {}\n", path.display())));
    exchange(2);
    mirror.wait_delivered("record", 1);
    assert!(mirror.reload(&without).ends_with("reloaded\nrecord: removed; it finishes what it has\n"));
    exchange(3);
    // Its file is free again once it has ended.
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_record_waiting_limit_bytes", &[]) == 0.0);
    mirror.reload(&with);
    exchange(4);
    mirror.wait_delivered("record", 2);
    assert_eq!(target.connections(), 1);
    let summary = mirror.terminate();
    assert_eq!((summary.sink("record").offered, summary.sink("target").delivered), (2, 4));

    let Some(fastavro) = Fastavro::find() else { return };
    for record in fastavro.read(&path) {
        let answer = &record["answers"][0];
        assert_eq!((&answer["target"], &answer["response"]["body"]), (&json!("target"), &json!("ok")), "{record:#}");
    }
}

#[test]
fn what_cannot_change_while_it_runs_is_named() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let path = folder.path().join("traffic.avro");
    let settings = Config::upstream(upstream.address()).set("record", recording(&path));
    let mirror = Mirror::start(settings.clone());
    let mut record = recording(&path);
    record["max_body"] = json!("1KiB");
    let other = settings
        .shadow("target", target.address())
        .set("listen", json!(["127.0.0.1:0", "127.0.0.1:0"]))
        .set("upstream", "127.0.0.1:1")
        .set("proxy.threads", 1)
        .set("engine.threads", 2)
        .set("limits.memory", "64MiB")
        .set("record", record)
        .set("drain_timeout", "7s");
    let said = mirror.reload(&other);
    let left = ["listen", "upstream", "record.max_body", "proxy.threads", "engine.threads", "limits.memory"];
    let expected: String = left.iter().map(|key| format!("{key}: changes at the next start\n")).collect();
    let changed = "shadow target: added\ndrain_timeout: 7s, in place of 30s\n";
    assert!(said.ends_with(&format!("reloaded\n{changed}{expected}")), "{said}");

    // The rest has changed.
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    mirror.wait_delivered("target", 1);
    let served = mirror.admin("/config").text();
    let comment: String = left.iter().map(|key| format!("# {key}: changes at the next start\n")).collect();
    assert!(served.starts_with(&format!("{comment}listen:\n- 127.0.0.1:0\nupstream: ")), "{served}");
    assert!(served.contains("drain_timeout: 7s\n") && served.contains("max_body: 10MiB\n"), "{served}");
    let warned = || {
        let lines = mirror.log().into_iter().filter(|line| line["level"] == "WARN");
        Some(lines.map(|line| line["key"].clone()).collect::<Vec<_>>()).filter(|keys| keys.len() >= left.len())
    };
    assert_eq!(wait_for("the warnings", WITHIN, warned), left);
}

/// A target that is left out is not waited for by who records what all have answered.
#[test]
fn a_target_that_an_exchange_is_not_for_delays_no_record() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let path = folder.path().join("traffic.avro");
    let record = json!({ "path": path, "flush_interval": "10ms", "answer_wait": NEVER });
    let settings = json!({ "fraction": "0%" });
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .shadow_with("none", target.address(), settings)
        .set("record", record);
    let mirror = Mirror::start(config);
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    mirror.wait_delivered("record", 1);
    mirror.terminate();
    let Some(fastavro) = Fastavro::find() else { return };
    let answers = &fastavro.read(&path)[0]["answers"];
    assert_eq!(answers[1]["outcome"], "skipped: fraction", "{answers:#}");
}
