//! Recordings of every format, made live: read here without any of ours.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Mirror, Server, Value, is_there, json, refusal};

/// All but Avro.
const FORMATS: [&str; 6] = ["gor", "gor.gz", "har", "har.gz", "jsonl", "jsonl.gz"];

/// What GoReplay ends a message with.
const SEPARATOR: &str = "\n🐵🙈🙉\n";

fn recording(upstream: &Server, record: Value) -> Config {
    Config::upstream(upstream.address()).set("record", record)
}

/// Requests `/first` and on, each with bytes that are no text.
#[track_caller]
fn send(mirror: &Mirror, numbers: std::ops::Range<usize>) {
    let mut client = mirror.connect();
    for n in numbers {
        client.send(format!("PUT /{n} HTTP/1.1\r\nHost: app\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 4\r\n\r\n"));
        client.send(b"\x00\xff\n\n");
        assert_eq!(client.response().text(), "ok");
    }
}

/// A file's bytes, decompressed as far as they can be.
fn plain(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a recording");
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    let _ = flate2::bufread::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain);
    plain
}

/// The numbers of the requests in a recording, sorted. Of one that a crash has torn, those that are whole.
#[track_caller]
fn numbers(path: &Path, format: &str) -> Vec<usize> {
    let bytes = plain(path);
    let number = |target: &str| target.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number");
    let mut numbers: Vec<usize> = match format.trim_end_matches(".gz") {
        "gor" => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // Behind the last separator is what is torn.
            let whole = text.rsplit_once(SEPARATOR).map_or("", |(whole, _)| whole);
            let requests = whole.split(SEPARATOR).filter(|message| message.starts_with("1 "));
            requests.map(|request| number(request.split(' ').nth(4).expect("a target"))).collect()
        }
        "jsonl" => {
            let lines = bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
            let line = |line: &[u8]| serde_json::from_slice::<Value>(line).expect("JSON");
            lines.map(|bytes| number(line(bytes)["request"]["target"].as_str().expect("a target"))).collect()
        }
        "har" => {
            let document: Value = serde_json::from_slice(&bytes).expect("a whole document");
            let entries = document["log"]["entries"].as_array().expect("a list");
            entries.iter().map(|entry| number(entry["request"]["url"].as_str().expect("a URL"))).collect()
        }
        other => unreachable!("{other}"),
    };
    numbers.sort_unstable();
    numbers
}

#[test]
fn every_format_is_recorded_and_appended_to() {
    let (upstream, folder) = (Server::ok(), tempfile::tempdir().expect("a folder"));
    for format in FORMATS {
        let path = folder.path().join(format!("traffic.{format}"));
        let config = recording(&upstream, json!({ "path": path, "flush_interval": "10ms" }));
        let first = Mirror::start(config.clone());
        send(&first, 0..20);
        first.wait_delivered("record", 20);
        assert_eq!(numbers(&path, format), Vec::from_iter(0..20), "{format}, while it is written");
        let summary = first.terminate();
        assert_eq!(summary.sink("record").delivered, 20);
        let second = Mirror::start(config);
        send(&second, 20..25);
        second.terminate();
        assert_eq!(numbers(&path, format), Vec::from_iter(0..25), "{format}");
        assert_eq!(path.metadata().expect("a file").mode() & 0o777, 0o600, "{format}");
    }
}

#[test]
fn a_har_is_one_to_others() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/npm/node_modules");
    let validator = "require('har-validator').har(JSON.parse(require('fs').readFileSync(process.argv[1], 'utf8'))).then(() => console.log('valid'), \
                     error => { console.log(JSON.stringify(error.errors)); process.exit(1) })";
    if !is_there("node", &["--version"]) || !modules.join("har-validator").is_dir() {
        return eprintln!("skipped: there is no har-validator (tests/setup.sh installs it)");
    }
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.har");
    let config = recording(&upstream, json!({ "path": path })).shadow("target", target.address());
    let mirror = Mirror::start(config);
    send(&mirror, 0..3);
    let mut client = mirror.connect();
    client.exchange("GET /a%20b?x=1&y HTTP/1.1\r\nHost: app\r\nCookie: a=1; b=\"2\"\r\nX-Latin: \u{e9}\r\n\r\n");
    client.exchange("OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n");
    mirror.terminate();
    let output = Command::new("node").args(["-e", validator]).arg(&path).env("NODE_PATH", &modules).output();
    let output = output.expect("a program that is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "valid\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_recording_goes_to_stdout() {
    let upstream = Server::ok();
    for (record, begins, count) in [
        (json!("-"), "{\"id\":\"", "\"method\":\"PUT\""),
        (json!({ "path": "-", "format": "gor" }), "1 ", "PUT /"),
        (json!({ "path": "-", "format": "har" }), "{\"log\":", "\"method\":\"PUT\""),
    ] {
        let mirror = Mirror::start(recording(&upstream, record.clone()));
        send(&mirror, 0..5);
        mirror.signal(libc::SIGTERM);
        let exit = mirror.wait_exit();
        assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
        assert!(exit.stdout.starts_with(begins), "{record}: {}", exit.stdout);
        assert_eq!(exit.stdout.matches(count).count(), 5, "{record}: {}", exit.stdout);
        assert!(!exit.stdout.contains("exchanges seen") && exit.stderr.contains("exchanges seen"), "{exit:#?}");
        if begins == "{\"log\":" {
            assert!(serde_json::from_str::<Value>(&exit.stdout).is_ok(), "{}", exit.stdout);
        }
    }
}

#[test]
fn the_key_goes_over_the_name() {
    let (upstream, folder) = (Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.log");
    let mirror = Mirror::start(recording(&upstream, json!({ "path": path, "format": "jsonl" })));
    send(&mirror, 0..3);
    mirror.terminate();
    assert_eq!(numbers(&path, "jsonl"), [0, 1, 2]);
}

#[test]
fn names_that_say_no_format_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let run =
        |more: &[&str]| refusal(folder.path(), &[&["--listen=:0", "--upstream=:9", "--admin=off"], more].concat());
    let said = run(&["--record=traffic.txt"]);
    assert!(said.contains("traffic.txt") && said.contains("expected a name that ends in .avro, .gor"), "{said}");
    let said = run(&["--record=traffic.gor", "--set=record.format=xml"]);
    assert!(said.contains("\"xml\"") && said.contains("expected one of avro, gor, gor.gz"), "{said}");
    std::fs::write(folder.path().join("notes.gor"), "precious").expect("a file");
    let said = run(&["--record=notes.gor"]);
    assert!(said.contains("at byte 0: found \"precious\", expected a GoReplay recording"), "{said}");
    assert_eq!(std::fs::read(folder.path().join("notes.gor")).expect("a file"), b"precious");
    let log = "{\"level\":\"info\"}\n";
    std::fs::write(folder.path().join("app.jsonl"), log).expect("a file");
    let said = run(&["--record=app.jsonl"]);
    assert!(said.contains("missing field `request`") && said.contains("left as it is"), "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("app.jsonl")).expect("a file"), log);
}

/// What a format cannot hold costs that exchange alone, and is counted.
#[test]
fn what_a_format_cannot_hold_is_dropped_with_its_reason() {
    let (upstream, folder) = (Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.gor");
    let mirror = Mirror::start(recording(&upstream, json!({ "path": path })));
    let mut client = mirror.connect();
    let body = SEPARATOR;
    client.exchange(&format!("PUT /0 HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    client.exchange(&format!(
        "PUT /1 HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let summary = mirror.terminate();
    assert_eq!((summary.sink("record").delivered, summary.sink("record").reason("dropped format")), (1, 1));
    assert_eq!(numbers(&path, "gor"), [0], "taken apart by chunks");
}

fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// Kills it again and again at a random moment under load. What was counted as written by then is there afterwards, in a file that is appended to.
#[track_caller]
fn kill_again_and_again(path: &Path, rounds: usize, read: impl Fn() -> usize) {
    let upstream = Server::ok();
    let config = recording(&upstream, json!({ "path": path, "flush_interval": "2ms", "flush_bytes": "4KiB" }));
    let mut counted = 0;
    for round in 0..rounds {
        let mirror = Mirror::start(config.clone());
        let address = mirror.address();
        let clients: Vec<_> = (0..2)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = Conn::open(address);
                    let upload =
                        [&b"PUT /0 HTTP/1.1\r\nHost: app\r\nContent-Length: 900\r\n\r\n"[..], &[7; 900]].concat();
                    while client.try_send(&upload).is_ok() && client.try_head().is_some() && client.pour(2, |_| {}) {}
                })
            })
            .collect();
        // The moment is what this test is about.
        std::thread::sleep(Duration::from_micros(random(40_000)));
        counted += mirror.wait_delivered("record", 1).delivered("record");
        mirror.signal(libc::SIGKILL);
        mirror.wait_exit();
        clients.into_iter().for_each(|client| client.join().expect("a client that ends"));
        if round % 10 == 9 || round + 1 == rounds {
            // Opened and repaired.
            Mirror::start(config.clone()).terminate();
            let found = read() as u64;
            assert!(found >= counted, "{}, round {round}: {found} of {counted}", path.display());
        }
    }
}

#[test]
fn fifty_kills_9_lose_nothing_that_was_written_of_avro() {
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("traffic.avro");
    kill_again_and_again(&path, 50, || fastavro.read(&path).len());
}

#[test]
fn kills_9_lose_nothing_that_was_written_of_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in FORMATS {
        let path = folder.path().join(format!("traffic.{format}"));
        kill_again_and_again(&path, 6, || numbers(&path, format).len());
    }
}
