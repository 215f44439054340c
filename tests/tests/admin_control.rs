//! Runtime control: for those who ask for it, sinks are paused and resumed and have other fractions.

use std::net::{IpAddr, UdpSocket};

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Mirror, Server, Value, WITHIN, json, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

const NEVER: &str = "1h";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

/// With control, and a recorder that would wait long for an answer that does not come.
fn controlled(upstream: &Server, target: &Server, folder: &tempfile::TempDir) -> Config {
    let path = folder.path().join("traffic.avro");
    Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("record", json!({ "path": path, "flush_interval": "10ms", "answer_wait": NEVER }))
        .set("admin", json!({ "address": "127.0.0.1:0", "control": true }))
}

/// What is answered, with its status.
#[track_caller]
fn ask(mirror: &Mirror, method: &str, path: &str, body: &str) -> (u16, String) {
    let answer = mirror.ask(method, path, body);
    (answer.status(), answer.text())
}

fn sink(mirror: &Mirror, name: &str) -> Value {
    let sinks: Value = serde_json::from_str(&mirror.admin("/sinks").text()).expect("JSON");
    let mut sinks = sinks.as_array().expect("a list").iter();
    sinks.find(|sink| sink["name"] == name).expect("a sink").clone()
}

#[test]
fn a_paused_target_gets_nothing_until_it_is_resumed() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let mirror = Mirror::start(controlled(&upstream, &target, &folder));
    let mut client = mirror.connect();
    let mut exchange = |recorded: u64| {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_delivered("record", recorded)
    };
    exchange(1);
    assert_eq!(ask(&mirror, "POST", "/sinks/target/pause", ""), (200, "target: paused\n".into()));
    assert_eq!(mirror.metrics().sum("mirror_sink_paused", &["sink=\"target\""]), 1.0);
    exchange(2);
    let metrics = exchange(3);
    let skipped = metrics.sum("mirror_sink_skipped_total", &["sink=\"target\"", "reason=\"paused\""]);
    assert_eq!((skipped, metrics.offered("target")), (2.0, 1));
    assert!(mirror.admin("/config").text().starts_with("# sink target: paused\n"));

    assert_eq!(ask(&mirror, "POST", "/sinks/target/resume", ""), (200, "target: resumed\n".into()));
    exchange(4);
    mirror.wait_delivered("target", 2);
    assert_eq!(target.connections(), 1, "its connection was kept");
    let changes = wait_for("the log", WITHIN, || {
        let lines = mirror.log().into_iter().filter(|line| line["message"] == "changed");
        Some(lines.map(|line| [line["sink"].clone(), line["what"].clone()]).collect::<Vec<_>>())
            .filter(|changes| changes.len() >= 2)
    });
    assert_eq!(changes, [["target", "paused"], ["target", "resumed"]]);
    let summary = mirror.terminate();
    assert_eq!((summary.sink("target").offered, summary.sink("target").reason("skipped paused")), (2, 2));

    let Some(fastavro) = Fastavro::find() else { return };
    let records = fastavro.read(&folder.path().join("traffic.avro"));
    let outcomes: Vec<_> = records.iter().map(|record| &record["answers"][0]["outcome"]).collect();
    assert_eq!(outcomes, ["delivered", "skipped: paused", "skipped: paused", "delivered"]);
}

#[test]
fn a_paused_recorder_keeps_its_file_and_targets_go_on() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let mirror = Mirror::start(controlled(&upstream, &target, &folder));
    let mut client = mirror.connect();
    assert_eq!(ask(&mirror, "POST", "/sinks/record/pause", ""), (200, "record: paused\n".into()));
    assert_eq!(client.exchange(GET).text(), "ok");
    mirror.wait_delivered("target", 1);
    assert_eq!(ask(&mirror, "POST", "/sinks/target/pause", ""), (200, "target: paused\n".into()));
    assert_eq!(client.exchange(GET).text(), "ok", "when nobody gets it");
    assert_eq!(ask(&mirror, "POST", "/sinks/record/resume", ""), (200, "record: resumed\n".into()));
    assert_eq!(client.exchange(GET).text(), "ok");
    mirror.wait_delivered("record", 1);
    let metrics = mirror.metrics();
    let outside = metrics.sum("mirror_source_outside_fraction_total", &[]);
    assert_eq!((outside, metrics.of_sink("mirror_sink_skipped_total", "record")), (0.0, 2));
    let summary = mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").reason("skipped paused")), (3, 2));
}

#[test]
fn a_fraction_lasts_until_the_settings_have_another() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let config = controlled(&upstream, &target, &folder);
    let mirror = Mirror::start(config.clone());
    assert_eq!(ask(&mirror, "PUT", "/sinks/target/fraction", "0%\n"), (200, "target: fraction 0%\n".into()));
    let now = sink(&mirror, "target");
    assert_eq!([&now["fraction"], &now["configured_fraction"]], ["0%", "100%"], "{now:#}");
    assert!(mirror.admin("/config").text().starts_with("# sink target: fraction 0%, as set while it runs\n"));
    let mut client = mirror.connect();
    assert_eq!(client.exchange(GET).text(), "ok");
    mirror.wait_delivered("record", 1);

    // A reload that says nothing else of it leaves it, and a pause, and says so.
    assert_eq!(mirror.ask("POST", "/sinks/target/pause", "").status(), 200);
    let said = mirror.reload(&config.clone().set("drain_timeout", "7s"));
    let kept =
        "shadow target: still 0%, as set while it ran; 100% from its next start on\nshadow target: still paused\n";
    assert!(said.ends_with(&format!("reloaded\n{kept}drain_timeout: 7s, in place of 30s\n")), "{said}");
    assert_eq!(mirror.ask("POST", "/sinks/target/resume", "").status(), 200);
    assert_eq!(client.exchange(GET).text(), "ok");
    mirror.wait_delivered("record", 2);
    assert_eq!(mirror.metrics().offered("target"), 0);

    let said = mirror.reload(&config.clone().set("fraction", "99.9%"));
    let expected = "shadow target: fraction 99.9%, in place of 0%, which was set while it ran\n";
    assert!(said.contains(expected), "{said}");
    assert!(mirror.reload(&config).contains("shadow target: fraction 100%, in place of 99.9%\n"));
    assert_eq!(client.exchange(GET).text(), "ok");
    mirror.wait_delivered("target", 1);
    mirror.terminate();
}

#[test]
fn the_sinks_are_listed() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let mirror = Mirror::start(controlled(&upstream, &target, &folder));
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    mirror.wait_delivered("record", 1);
    let answer = mirror.admin("/sinks");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let counted = json!({
        "fraction": "100%", "configured_fraction": "100%", "paused": false, "waiting": 0, "in_flight": 0,
        "offered": 1, "delivered": 1, "dropped": 0, "failed": 0, "skipped": 0,
    });
    let path = folder.path().join("traffic.avro");
    for (name, kind, to) in
        [("target", "shadow", target.address().to_string()), ("record", "record", path.display().to_string())]
    {
        let mut expected = json!({ "name": name, "kind": kind, "to": to });
        expected.as_object_mut().expect("a map").extend(counted.as_object().expect("a map").clone());
        assert_eq!(sink(&mirror, name), expected);
    }
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    // A name with everything that has a meaning in a path.
    let config = controlled(&upstream, &target, &folder).shadow("a/b ?%", target.address());
    let mirror = Mirror::start(config);
    let paused = ask(&mirror, "POST", "/sinks/a%2Fb%20%3F%25/pause", "");
    assert_eq!(paused, (200, "a/b ?%: paused\n".into()));
    for (method, path, body, status, said) in [
        ("POST", "/sinks/other/pause", "", 404, "there is no sink \"other\", only target, a/b ?%, record\n"),
        ("PUT", "/sinks/other/fraction", "1%", 404, "there is no sink \"other\", only target, a/b ?%, record\n"),
        (
            "PUT",
            "/sinks/target/fraction",
            "101%",
            400,
            "fraction: \"101%\": expected a fraction from 0% to 100%, as in 25%, 12.5%, 1/1000 or 0.25\n",
        ),
        (
            "PUT",
            "/sinks/target/fraction",
            "",
            400,
            "fraction: \"\": expected a fraction from 0% to 100%, as in 25%, 12.5%, 1/1000 or 0.25\n",
        ),
    ] {
        assert_eq!(ask(&mirror, method, path, body), (status, said.into()), "{method} {path}");
    }
    for (method, path, status) in [
        ("GET", "/sinks/target/pause", 405),
        ("POST", "/sinks/target/fraction", 405),
        ("POST", "/sinks/target", 404),
        ("POST", "/sinks", 405),
        ("GET", "/reload", 405),
    ] {
        assert_eq!(mirror.ask(method, path, "").status(), status, "{method} {path}");
    }
    let long = mirror.ask("PUT", "/sinks/target/fraction", &"1".repeat(10_000));
    assert_eq!(long.status(), 413);
}

#[test]
fn without_leave_nothing_can_be_done_but_a_reload_from_here() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.clone());
    for (method, path, body) in [
        ("POST", "/sinks/target/pause", ""),
        ("POST", "/sinks/target/resume", ""),
        ("PUT", "/sinks/target/fraction", "1%"),
    ] {
        let (status, said) = ask(&mirror, method, path, body);
        assert!(status == 403 && said.starts_with("admin.control: expected true, as by --admin-control"), "{said}");
    }
    assert_eq!(sink(&mirror, "target")["paused"], false);
    assert_eq!(mirror.ask("POST", "/reload", "").status(), 200);

    // By the settings it is given and taken back.
    let allowed = config.clone().set("admin", json!({ "address": "127.0.0.1:0", "control": true }));
    assert!(mirror.reload(&allowed).ends_with("reloaded\nadmin.control: true, in place of false\n"));
    assert_eq!(mirror.ask("POST", "/sinks/target/pause", "").status(), 200);
    mirror.reload(&config);
    assert_eq!(mirror.ask("POST", "/sinks/target/resume", "").status(), 403);
}

/// An address of this host by which others reach it; none where it has no way to anywhere.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the system only says where it would be sent from.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

#[test]
fn a_reload_from_elsewhere_needs_leave_too() {
    let Some(address) = own_address() else {
        return eprintln!("skipped: this host has no address but its own");
    };
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.clone().set("admin", "0.0.0.0:0"));
    let port = mirror.admin_address().port();
    let ask = || {
        let head = "POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        Conn::open((address, port).into()).exchange(head).status()
    };
    assert_eq!(ask(), 403);
    assert_eq!(
        Conn::open(([127, 0, 0, 1], port).into()).exchange("POST /reload HTTP/1.1\r\nHost: a\r\n\r\n").status(),
        200
    );
    mirror.write(&config.set("admin", json!({ "address": "0.0.0.0:0", "control": true })));
    mirror.signal(libc::SIGHUP);
    mirror.wait_log("changed");
    assert_eq!(ask(), 200);
}

/// Somebody's page in a browser on this host can reach it, too.
#[test]
fn a_page_in_a_browser_has_no_leave() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let mirror = Mirror::start(controlled(&upstream, &target, &folder));
    for (method, path) in [("POST", "/sinks/target/pause"), ("POST", "/reload")] {
        let answer = mirror.ask_with(method, path, "Origin: http://127.0.0.1:9900\r\n", "");
        assert_eq!((answer.status(), answer.text().starts_with("Origin: expected none")), (403, true), "{path}");
    }
    assert_eq!(sink(&mirror, "target")["paused"], false);
}

#[test]
fn the_flag_gives_leave_too() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let (upstream, target) = (upstream.address().to_string(), target.address().to_string());
    let arguments = ["--listen=127.0.0.1:0", "--upstream", &upstream, "--shadow", &target, "--log-format=json"];
    let mirror = Mirror::start_with(&[&arguments[..], &["--admin=127.0.0.1:0", "--admin-control"]].concat());
    assert_eq!(mirror.ask("POST", &format!("/sinks/{target}/pause"), "").status(), 200);
}
