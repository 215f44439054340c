//! One recording of several, in any format, of captures too: whole or not at all.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use mirror_tests::capture::{Pcap, Talk};
use mirror_tests::{Folder, Value, WITHIN, json, wait_for};

/// An exchange of this number, of which every format keeps all.
fn exchange(number: u32) -> Value {
    json!({
        "id": format!("{number:032x}"),
        "start": format!("2026-11-24T09:00:{number:02}Z"),
        "source": "proxy", "client": "10.0.0.7:40000", "server": "127.0.0.1:8080",
        "request": {
            "method": "POST", "target": format!("/{number}"), "version": "HTTP/1.1",
            "headers": [{ "name": "Host", "value": "shop" }, { "name": "Content-Length", "value": "3" }], "body": "x=1",
        },
        "response": {
            "version": "HTTP/1.1", "status": 200, "reason": "OK",
            "headers": [{ "name": "Content-Length", "value": "2" }], "body": "ok",
        },
        "request_end_micros": 100, "response_start_micros": 1200, "end_micros": 2000,
    })
}

fn exchanges(count: u32) -> Vec<Value> {
    (1..=count).map(exchange).collect()
}

/// What of an exchange is on the wire.
fn on_the_wire(record: &Value) -> [Value; 2] {
    ["request", "response"].map(|side| record[side].clone())
}

#[test]
fn through_every_pair_of_formats_and_back() {
    let folder = Folder::new();
    folder.record("0.jsonl", &exchanges(3));
    let wanted: Vec<_> = exchanges(3).iter().map(on_the_wire).collect();
    let formats = ["avro", "gor", "gor.gz", "har", "jsonl", "jsonl.gz"];
    for from in formats {
        let input = format!("a.{from}");
        let ran = folder.run(&["convert", "0.jsonl", &input]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for to in formats {
            let output = format!("{}.{to}", from.replace('.', "-"));
            let ran = folder.run(&["convert", &input, &output]);
            assert!(ran.code == Some(0) && ran.stderr.starts_with(&format!("{output}: 3 exchanges\n")), "{ran:?}");
            let mode = std::fs::metadata(folder.path(&output)).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "it holds all that users send");
            let read = folder.run(&["inspect", "--json", &output]).lines_of_json();
            assert_eq!(read.iter().map(on_the_wire).collect::<Vec<_>>(), wanted, "{input} to {output}");
        }
    }
}

#[test]
fn some_of_several_by_time() {
    let folder = Folder::new();
    folder.record("a.avro", &[exchange(1), exchange(4), exchange(5)]);
    folder.record("b.jsonl", &[exchange(2), exchange(3)]);
    let arguments = ["convert", "?.*", "out.jsonl", "--where", "path != /3", "--from", "+1s", "--limit", "2"];
    assert_eq!(folder.run(&arguments).code, Some(0));
    let lines = String::from_utf8(folder.read("out.jsonl")).expect("JSON");
    let targets: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["request"]["target"].clone())
        .collect();
    assert_eq!(targets, ["/2", "/4"]);
}

#[test]
fn what_is_there_is_replaced_only_where_that_is_asked_for() {
    let folder = Folder::new();
    folder.record("a.avro", &exchanges(2));
    folder.write("out.avro", "precious");
    let ran = folder.run(&["convert", "a.avro", "out.avro"]);
    let fault = r#"OUT: "out.avro": expected a file that is not there yet; `--force` replaces it"#;
    assert_eq!((ran.code, ran.stderr), (Some(2), format!("mirror convert: 1 fault\n{fault}\n")));
    assert_eq!(folder.read("out.avro"), b"precious");
    assert_eq!(folder.run(&["convert", "a.avro", "out.avro", "--force"]).code, Some(0));
    assert_eq!(folder.run(&["inspect", "out.avro"]).ok().lines().count(), 2);
    // Itself, and by a link that stays one.
    std::os::unix::fs::symlink("out.avro", folder.path("link.avro")).expect("a link");
    assert_eq!(folder.run(&["convert", "out.avro", "link.avro", "--force", "-n1"]).code, Some(0));
    assert!(std::fs::symlink_metadata(folder.path("link.avro")).expect("a link").is_symlink());
    assert_eq!(folder.run(&["inspect", "out.avro"]).ok().lines().count(), 1);
    assert_eq!(std::fs::read_dir(&folder).expect("our folder").count(), 3, "nothing else is left");
}

#[test]
fn a_device_is_written_to_and_stays() {
    let folder = Folder::new();
    folder.record("a.avro", &exchanges(2));
    let ran = folder.run(&["convert", "a.avro", "/dev/null", "--format=jsonl"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "/dev/null: 2 exchanges\n"));
    let ran = folder.shell("mirror convert a.avro /dev/full --format jsonl");
    assert!(ran.code == Some(1) && ran.stderr.contains("/dev/full: cannot be written: No space left"), "{ran:?}");
    let on_terminal = folder.run_on_terminal(80, &["convert", "a.avro", "-"]);
    assert!(on_terminal.code == Some(2) && on_terminal.stdout.contains("expected a pipe or a file"), "{on_terminal:?}");
}

#[test]
fn what_was_lost_on_the_way_is_told() {
    let folder = Folder::new();
    folder.record("a.avro", &exchanges(2));
    let mut bytes = folder.read("a.avro");
    bytes.extend_from_slice(&[7; 30]);
    folder.write("a.avro", bytes);
    let ran = folder.run(&["convert", "a.avro", "out.jsonl"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("a.avro: a torn tail of 30 bytes") && ran.stderr.contains("out.jsonl: 2 exchanges"),
        "{ran:?}"
    );

    let mut answered = exchange(1);
    answered["response"]["trailers"] = json!([{ "name": "X-Sum", "value": "1" }]);
    answered["aborted"] = json!("downstream");
    folder.record("b.avro", &[answered, exchange(2)]);
    let ran = folder.run(&["convert", "b.avro", "out.gor"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("mirror convert: the format has no place for"), "{ran:?}");
}

/// Exchanges stand in a recording as they ended; what lasted longer than a minute comes too late for its place.
#[test]
fn records_are_put_in_order_of_their_starts() {
    let folder = Folder::new();
    let lasting = |number: u32, start: &str, seconds: u64| {
        let mut lasting = exchange(number);
        lasting["start"] = json!(format!("2026-11-24T{start}Z"));
        lasting["end_micros"] = json!(seconds * 1_000_000);
        lasting
    };
    let ended = [
        lasting(2, "09:00:05", 1),
        lasting(1, "09:00:00", 50),
        lasting(4, "09:02:30", 1),
        lasting(5, "09:04:00", 1),
        lasting(3, "09:00:10", 300),
    ];
    let lines: String = ended.iter().map(|exchange| format!("{exchange}\n")).collect();
    folder.write("ended.jsonl", lines);
    let ran = folder.run(&["convert", "ended.jsonl", "out.jsonl"]);
    let late = "mirror convert: 1 exchange stands behind later ones: it ended too late to be put in order\n";
    assert_eq!((ran.code, ran.stderr), (Some(0), format!("out.jsonl: 5 exchanges\n{late}")));
    let lines = String::from_utf8(folder.read("out.jsonl")).expect("JSON");
    let targets: Vec<_> =
        lines.lines().filter_map(|line| line.split(r#""target":"/"#).nth(1)?.chars().next()).collect();
    assert_eq!(targets, ['1', '2', '4', '3', '5']);
}

/// The first signal is heard where something comes; who waits for what does not come is ended.
#[test]
fn who_is_interrupted_leaves_nothing_behind() {
    let folder = Folder::new();
    assert_eq!(folder.shell("mkfifo live").code, Some(0));
    let converting = folder.start(&["convert", "live", "out.avro"]);
    let mut live = std::fs::File::options().write(true).open(folder.path("live")).expect("a pipe of our own");
    writeln!(live, "{}", exchange(1)).expect("it is read");
    let files = || std::fs::read_dir(&folder).expect("our folder").count();
    wait_for("a file", WITHIN, || (files() == 2).then_some(()));
    assert_eq!(converting.interrupt(), Some(130));
    assert_eq!(files(), 1, "only the pipe is left");
}

#[test]
fn every_fault_is_told_and_nothing_is_made() {
    let folder = Folder::new();
    folder.record("a.avro", &exchanges(1));
    std::fs::create_dir(folder.path("folder")).expect("a folder of our own");
    for (arguments, fault) in [
        (&["a.avro"][..], "2 values required"),
        (&["a.avro", "out.txt"], "OUT: \"out.txt\": expected a name that ends in one of .avro"),
        (&["a.avro", "folder", "--format=avro"], "OUT: \"folder\": expected a file, not a folder"),
        (
            &["a.avro", "none/out.avro"],
            "OUT: \"none/out.avro\": expected a file in a folder that is there (none: No such file",
        ),
        (&["a.avro", "out.avro", "--format=xml"], "--format: \"xml\": expected one of avro"),
        (&["a.avro", "out.avro", "--where=status >"], "--where: \"status >\": expected a value at column 9"),
        (&["a.avro", "out.avro", "--port=80"], "--port: expected a saved capture among the files"),
        (&["none.avro", "out.avro"], "none.avro: cannot be opened: No such file"),
        (&["none.pcap:80", "out.avro"], "none.pcap"),
    ] {
        let ran = folder.run(&[&["convert"], arguments].concat());
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(fault), "{fault:?} is not in\n{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(&folder).expect("our folder").count(), 2, "nothing is made");
}

#[test]
fn captures_are_read_as_recordings_are() {
    let folder = Folder::new();
    let mut pcap = Pcap::default();
    let mut talk = Talk::open(&mut pcap, 40_001);
    for number in 1..=3 {
        // One of them is a copy of somebody's.
        let marker = if number == 3 { "x-mirror-shadow: 1\r\n" } else { "" };
        talk.client(&mut pcap, format!("GET /{number} HTTP/1.1\r\nHost: shop\r\n{marker}\r\n"));
        talk.server(&mut pcap, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    talk.close(&mut pcap);
    folder.write("trace.pcap", pcap.bytes());
    for (name, arguments) in [("trace.pcap:80", &[][..]), ("trace.pcap", &["--port", "80"]), ("trace.pcap", &[])] {
        let ran = folder.run(&[&["convert", name, "out.gor", "--force", "--where=path != /2"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let table = folder.run(&["inspect", "out.gor"]).ok();
        let addresses: Vec<_> = table.lines().map(|line| line.rsplit(' ').next().expect("an address")).collect();
        assert_eq!(addresses, ["shop/1", "shop/3"]);
    }
    // The packets' times.
    let table = folder.run(&["inspect", "trace.pcap:80", "-n1"]).ok();
    assert!(table.starts_with("2023-11-14T22:13:20.003Z"), "{table}");
    // Only what it has.
    assert_eq!(folder.run(&["inspect", "trace.pcap:81"]).ok(), "");
    folder.write("cut.pcap", &pcap.bytes()[..pcap.bytes().len() - 5]);
    let ran = folder.run(&["inspect", "cut.pcap:80"]);
    assert!(ran.code == Some(1) && ran.stdout.lines().count() == 3 && ran.stderr.contains("cut.pcap"), "{ran:?}");
}
