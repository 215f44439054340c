//! What is in a recording, as people see it: a table, whole exchanges, totals; and as programs do.

use mirror_tests::{Folder, Value, json};

/// An exchange of this number, which began so many milliseconds after nine o'clock.
fn exchange(number: u32, millis: u32, request: Value, response: Value) -> Value {
    json!({
        "id": format!("5f0c3a7700000000{number:016x}"),
        "start": format!("2026-11-24T09:{:02}:{:02}.{:03}Z", millis / 60_000, millis / 1000 % 60, millis % 1000),
        "source": "proxy", "client": "10.0.0.7:40000", "server": "127.0.0.1:8080",
        "request": request, "response": response,
        "request_end_micros": 100, "response_start_micros": 1200 * number, "end_micros": 2000 * number,
    })
}

fn request(method: &str, target: &str) -> Value {
    json!({ "method": method, "target": target, "headers": [{ "name": "Host", "value": "shop" }] })
}

fn response(status: u16) -> Value {
    json!({ "status": status, "reason": "As Is", "body": "hello" })
}

/// Four exchanges; the third was answered otherwise by a target and not at all by another, the last came to no end.
fn four(folder: &Folder) {
    let mut third = exchange(3, 2500, request("POST", "/cart?add=1"), response(500));
    third["request"]["body"] = json!("x=1&y=%1b%5B2J");
    third["request"]["headers"] = json!([
        { "name": "Host", "value": "shop" },
        { "name": "Content-Type", "value": "application/x-www-form-urlencoded" },
    ]);
    third["response"]["body"] = json!(r#"{"error":{"code":7,"text":"\u001b[31m"}}"#);
    third["answers"] = json!([
        { "target": "next", "outcome": "delivered", "response": { "status": 201, "reason": "Made" }, "first_byte_micros": 900 },
        { "target": "gone", "outcome": "failed: connect" },
        { "target": "same", "outcome": "delivered", "response": { "status": 500 } },
    ]);
    let mut last = exchange(4, 60_000, request("GET", "/slow/\u{1b}[2Jx"), Value::Null);
    last["aborted"] = json!("upstream");
    last.as_object_mut().expect("a map").remove("response_start_micros");
    let exchanges = [
        exchange(1, 0, request("GET", "/"), response(200)),
        exchange(2, 1000, request("GET", "/items/1?page=2"), response(404)),
        third,
        last,
    ];
    folder.record("traffic.avro", &exchanges);
}

#[test]
fn a_table_of_a_line_an_exchange() {
    let folder = Folder::new();
    four(&folder);
    let table = folder.run(&["inspect", "traffic.avro"]).ok();
    let expected = "\
2026-11-24T09:00:00.000Z  00000001  GET      200   1.20ms      0      5  shop/
2026-11-24T09:00:01.000Z  00000002  GET      404   2.40ms      0      5  shop/items/1?page=2
2026-11-24T09:00:02.500Z  00000003  POST     500   3.60ms     14     40  shop/cart?add=1  next 201, gone failed: connect
2026-11-24T09:01:00.000Z  00000004  GET        -        -      0      -  shop/slow/\\x1b[2Jx  aborted: upstream
";
    assert_eq!(table, expected);
}

#[test]
fn a_terminal_gets_titles_colours_and_what_fits() {
    let folder = Folder::new();
    four(&folder);
    let ran = folder.run_on_terminal(100, &["inspect", "traffic.avro"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("\x1b[31m500\x1b[0m") && ran.stdout.contains("\x1b[32m200\x1b[0m"), "{}", ran.stdout);
    let plain = folder.run_on_terminal(100, &["inspect", "traffic.avro", "--color=never"]).stdout;
    let rows: Vec<_> = plain.lines().collect();
    assert_eq!(rows.len(), 5, "{plain}");
    assert!(rows[0].starts_with("time (UTC)") && rows[0].ends_with("address"), "{plain}");
    assert!(rows[3].ends_with("  shop/cart?add=1  next 201, gone failed: connect"), "{plain}");
    assert!(!plain.contains('\x1b'), "{plain:?}");
    // Those who want no colours anywhere say so once.
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let ran = folder.run_on_terminal_with(100, &[variable], &["inspect", "traffic.avro"]);
        assert_eq!(ran.stdout, plain, "{variable:?}");
    }
    folder.record("long.avro", &[exchange(1, 0, request("GET", &format!("/{}", "long/".repeat(40))), response(200))]);
    let row = folder.run_on_terminal(100, &["inspect", "long.avro", "--color=never"]).stdout;
    let row = row.lines().last().expect("a row");
    assert!(row.chars().count() <= 100 && row.ends_with('…'), "{row}");
    // Somebody who pipes it gets all of it, in colour where that is asked for.
    assert!(folder.run(&["inspect", "long.avro"]).ok().contains(&"long/".repeat(40)));
    assert!(folder.run(&["inspect", "long.avro", "--color=always"]).ok().contains("\x1b[32m"));
}

#[test]
fn whole_exchanges_are_decoded_and_nothing_in_them_reaches_the_terminal_raw() {
    let folder = Folder::new();
    four(&folder);
    let text = folder.run(&["inspect", "traffic.avro", "-v", "--id", "3"]).ok();
    let expected = r#"2026-11-24T09:00:02.500Z  5f0c3a77000000000000000000000003  proxy  10.0.0.7:40000 -> 127.0.0.1:8080
> POST /cart?add=1 HTTP/1.1
> Host: shop
> Content-Type: application/x-www-form-urlencoded
> [form, 14]
    x = 1
    y = \x1b[2J
< HTTP/1.1 500 As Is  after 3.60ms
< [json, 40]
    {
      "error": {
        "code": 7,
        "text": "\u001b[31m"
      }
    }
target next: delivered
< HTTP/1.1 201 Made  after 900µs
target gone: failed: connect
target same: delivered
< HTTP/1.1 500

"#;
    assert_eq!(text, expected);
    let last = folder.run(&["inspect", "traffic.avro", "--verbose", "--where", "not status"]).ok();
    assert!(last.contains("< no response\naborted: upstream\n") && !last.contains('\x1b'), "{last:?}");
    let cut = folder.run(&["inspect", "traffic.avro", "-v", "--id=3", "--body-limit=12"]).ok();
    assert!(cut.contains("    x = 1\n    y = \\\n") || cut.contains("more (--body-limit)"), "{cut}");
}

#[test]
fn bodies_are_decoded_by_their_coding() {
    let folder = Folder::new();
    let gzipped = "H4sIAAAAAAACA6tWSlSyMqwFAK+sG1YHAAAA";
    let coded = |body: &str| {
        json!({
            "status": 200, "body_base64": body, "body_length": 27,
            "headers": [{ "name": "Content-Encoding", "value": "gzip" }],
        })
    };
    let binary = json!({ "status": 200, "body_base64": "AAECA/8=", "body_length": 5 });
    let exchanges = [
        exchange(1, 0, request("GET", "/gz"), coded(gzipped)),
        exchange(2, 1, request("GET", "/cut"), coded("H4sIAAAA")),
        exchange(3, 2, request("GET", "/bin"), binary),
    ];
    folder.record("traffic.avro", &exchanges);
    let text = folder.run(&["inspect", "traffic.avro", "-v"]).ok();
    assert!(text.contains("gzip]\n    {\n      \"a\": 1\n    }\n"), "{text}");
    assert!(text.contains("gzip: it is not coded as its head says]\n    00000000  1f 8b 08"), "{text}");
    assert!(text.contains("    00000000  00 01 02 03 ff "), "{text}");
}

#[test]
fn exchanges_are_chosen_by_condition_time_id_and_number() {
    let folder = Folder::new();
    four(&folder);
    let numbers = |arguments: &[&str]| -> Vec<u32> {
        let table = folder.run(&[&["inspect", "traffic.avro"], arguments].concat()).ok();
        table.lines().map(|line| line.split_whitespace().nth(1).expect("an id").parse().expect("a number")).collect()
    };
    for (arguments, chosen) in [
        (&["--where", "status >= 500"][..], &[3][..]),
        (&["--where", "status = 4xx or not status"], &[2, 4]),
        (&["--where", "path = /items/*", "--where", "query.page = 2"], &[2]),
        (&["--where", "latency > 2ms and response_size = 5 and client = 10.0.0.0/8"], &[2]),
        (&["--where", "method = DELETE"], &[]),
        (&["--from", "+1s"], &[2, 3, 4]),
        (&["--from", "1s", "--to", "1m"], &[2, 3]),
        (&["--from", "2026-11-24T09:00:01Z", "--to", "2026-11-24T10:00:02.5+01:00"], &[2]),
        (&["--to", "2026-11-24"], &[]),
        (&["--id", "5F0C3A77000000000000000000000002", "--id", "4"], &[2, 4]),
        (&["-n", "2"], &[1, 2]),
        (&["--limit=1", "--where=status >= 400"], &[2]),
    ] {
        assert_eq!(numbers(arguments), chosen, "{arguments:?}");
    }
}

#[test]
fn json_is_all_that_was_recorded() {
    let folder = Folder::new();
    four(&folder);
    let lines = folder.run(&["inspect", "traffic.avro", "--json"]).lines_of_json();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[2]["answers"][0]["response"]["status"], 201, "{:#}", lines[2]);
    assert_eq!(lines[2]["id"], "5f0c3a77000000000000000000000003");
    // It is what convert writes, and reads.
    let converted = folder.shell("mirror convert traffic.avro - --format jsonl 2>/dev/null").lines_of_json();
    assert_eq!(lines, converted);
}

#[test]
fn totals_for_people_and_programs() {
    let folder = Folder::new();
    four(&folder);
    let text = folder.run(&["inspect", "traffic.avro", "--stats"]).ok();
    for told in [
        "exchanges   4 in 60.0s, 2026-11-24T09:00:00.000Z to 2026-11-24T09:01:00.000Z\n",
        "bodies      14 in requests, 50 in responses\n",
        "responses   2xx 1 (25.0%), 4xx 1 (25.0%), 5xx 1 (25.0%), no response 1 (25.0%)\n",
        "latency     p50 2.42ms, p90 3.60ms, p99 3.60ms, max 3.60ms\n",
        "methods     GET 3, POST 1\n",
        "hosts       shop 4\n",
        "targets     gone: failed: connect 1, next: delivered 1, same: delivered 1\n",
        "otherwise   next 1\n",
        "aborted     upstream 1\n",
        "        1   25.0%        1   3.60ms   3.60ms  shop/cart\n",
        "        1   25.0%        1        -        -  shop/slow/\\x1b[2Jx\n",
    ] {
        assert!(text.contains(told), "{told:?} is not in\n{text}");
    }
    let stats: Value =
        serde_json::from_str(&folder.run(&["inspect", "traffic.avro", "--stats", "--json"]).ok()).expect("JSON");
    assert_eq!(stats["exchanges"], 4);
    assert_eq!(stats["statuses"], json!({ "200": 1, "404": 1, "500": 1 }));
    assert_eq!(stats["classes"]["no response"], 1);
    assert_eq!(stats["rate"]["bars"].as_array().expect("bars").iter().filter_map(Value::as_u64).sum::<u64>(), 4);
    assert_eq!(stats["latency_micros"]["max"], 3600, "{stats:#}");
    let none = folder.run(&["inspect", "traffic.avro", "--stats", "--where", "status = 999"]).ok();
    assert_eq!(none, "exchanges   0\n");
}

#[test]
fn every_flag_that_makes_no_sense_is_told() {
    let folder = Folder::new();
    four(&folder);
    let arguments = [
        "inspect",
        "traffic.avro",
        "--where=status >=",
        "--where=colour = red",
        "--from=noon",
        "--to=5",
        "--limit=0",
        "--id=xyz",
        "--color=blue",
        "--body-limit=much",
        "--verbose",
        "--stats",
        "--input-format=xml",
        "--port=http",
    ];
    let ran = folder.run(&arguments);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    let told: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(told[0], "mirror inspect: 12 faults", "{}", ran.stderr);
    for fault in [
        r#"--where: "status >=": expected a value at column 10"#,
        r#"--from: "noon": expected a time as in 2026-11-24T09:30:00Z, or how long after the first exchange, as in 30s or +1h30m"#,
        r#"--limit: "0": expected a whole number from 1"#,
        r#"--id: "xyz": expected an id, or its last hexadecimal digits"#,
        r#"--color: "blue": expected auto, always or never"#,
        r#"--body-limit: "much": expected a size in bytes, as in 256MiB, 10MB, 64KiB or 1048576"#,
        "--verbose: expected neither `--json` nor `--stats` beside it: they print something else",
    ] {
        assert!(told.contains(&fault), "{fault:?} is not in\n{}", ran.stderr);
    }
    let backwards = folder.run(&["inspect", "traffic.avro", "--from=+5s", "--to=+5s"]).stderr;
    assert!(backwards.contains(r#"--to: "+5s": expected a time after that of `--from`"#), "{backwards}");
    assert_eq!(folder.run(&["inspect"]).code, Some(2));
}
