//! What stands in a recording is what passed: heads, bodies, statuses, timings, both ends, and what each target answered.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Gate, Mirror, Refusing, Server, Summary, Value, WITHIN, json, upload};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// A `mirror` that records, and where to.
struct Recorder {
    mirror: Mirror,
    path: PathBuf,
    fastavro: Fastavro,
    _folder: tempfile::TempDir,
}

impl Recorder {
    fn start(fastavro: Fastavro, config: Config, settings: Value) -> Recorder {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let path = folder.path().join("traffic.avro");
        let mut record = json!({ "path": path });
        record.as_object_mut().expect("a map").extend(settings.as_object().expect("a map").clone());
        Recorder { mirror: Mirror::start(config.set("record", record)), path, fastavro, _folder: folder }
    }

    /// Ends it and reads what it has recorded.
    #[track_caller]
    fn end(self) -> (Vec<Value>, Summary) {
        let summary = self.mirror.terminate();
        let records = self.fastavro.read(&self.path);
        assert_eq!(records.len() as u64, summary.sink("record").delivered);
        (records, summary)
    }

    /// Ends it and reads the only record.
    #[track_caller]
    fn only(self) -> Value {
        let (mut records, _) = self.end();
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }
}

/// Takes the times out of a map, having seen that they are in order.
#[track_caller]
fn take_times(value: &mut Value, names: &[&str]) {
    let map = value.as_object_mut().expect("a map");
    let times: Vec<u64> =
        names.iter().map(|name| map.remove(*name).and_then(|time| time.as_u64()).expect(name)).collect();
    assert!(times.is_sorted() && times.last() < Some(&(WITHIN.as_micros() as u64)), "{names:?}: {times:?}");
}

fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_micros() as u64
}

fn fields(lines: &[(&str, &str)]) -> Value {
    lines.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

#[test]
fn a_record_is_what_passed() {
    let Some(fastavro) = Fastavro::find() else { return };
    let upstream = Server::answering(|_| {
        "HTTP/1.1 201 Made It So\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-ODD-case: ä\r\nContent-Length: 7\r\n\r\ncreated"
            // One byte a char.
            .chars()
            .map(|byte| byte as u8)
            .collect::<Vec<_>>()
    });
    let next = Server::answering(
        |_| "HTTP/1.1 503 Not Yet\r\nX-Next: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbus\r\n1\r\ny\r\n0\r\n\r\n",
    );
    let gone = Refusing::new();
    let config = Config::upstream(upstream.address()).shadow("next", next.address()).shadow("gone", gone.address());
    let recorder = Recorder::start(fastavro, config, json!({}));

    let before = now_micros();
    let mut client = recorder.mirror.connect();
    let answer = client.exchange(
        "POST /a%20path?q=1&q=2 HTTP/1.1\r\nhOST: app.example\r\nX-Two: first\r\nX-TWO: second\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(answer.status(), 201);
    recorder.mirror.wait_settled(1);
    let after = now_micros();

    let mut record = recorder.only();
    take_times(&mut record, &["request_end_micros", "response_start_micros", "end_micros"]);
    take_times(&mut record["answers"][0], &["first_byte_micros", "total_micros"]);
    let map = record.as_object_mut().expect("a map");
    let start = map.remove("start").and_then(|start| start.as_u64()).expect("a time");
    assert!((before..=after).contains(&start), "{before} {start} {after}");
    let id = map.remove("id").expect("an id");
    assert!(id.as_str().is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{id}");
    let expected = json!({
        "source": "proxy",
        "client": client.local_address().to_string(),
        "server": upstream.address().to_string(),
        "request": {
            "method": "POST", "target": "/a%20path?q=1&q=2", "version": "HTTP/1.1",
            "headers": fields(&[("hOST", "app.example"), ("X-Two", "first"), ("X-TWO", "second"), ("Content-Length", "5")]),
            "body": "hello", "body_length": 5, "trailers": [], "truncated": null,
        },
        "response": {
            "version": "HTTP/1.1", "status": 201, "reason": "Made It So",
            "headers": fields(&[("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-ODD-case", "ä"), ("Content-Length", "7")]),
            "body": "created", "body_length": 7, "trailers": [], "truncated": null,
        },
        "aborted": null,
        "answers": [
            {
                "target": "next", "outcome": "delivered",
                "response": {
                    "version": "HTTP/1.1", "status": 503, "reason": "Not Yet",
                    "headers": fields(&[("X-Next", "1"), ("Transfer-Encoding", "chunked")]),
                    "body": "busy", "body_length": 4, "trailers": [], "truncated": null,
                },
            },
            { "target": "gone", "outcome": "failed: connect", "response": null, "first_byte_micros": null, "total_micros": null },
        ],
    });
    assert_eq!(record, expected, "{record:#}");
}

#[test]
fn bodies_of_all_framings_and_bytes_are_recorded() {
    let Some(fastavro) = Fastavro::find() else { return };
    let bytes: Vec<u8> = (0..=255).collect();
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let upstream = Server::answering({
        let bytes = bytes.clone();
        move |request| match request.start_line().split(' ').next() {
            Some("HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec(),
            Some("DELETE") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n"[..], &bytes, b"\r\n0\r\n\r\n"]
                .concat(),
        }
    });
    let recorder = Recorder::start(fastavro, Config::upstream(upstream.address()), json!({}));
    let mut client = recorder.mirror.connect();
    client.send("PUT /1 HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send_chunk(&bytes[..100]);
    client.send_chunk(&bytes[100..]);
    client.send_chunk("");
    assert_eq!(client.response().body, bytes);
    client.exchange("HEAD /2 HTTP/1.1\r\nHost: app\r\n\r\n");
    client.exchange("DELETE /3 HTTP/1.1\r\nHost: app\r\n\r\n");
    client.exchange("FROB /4 HTTP/1.1\r\nHost: app\r\n\r\n");

    let (records, _) = recorder.end();
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            let (request, response) = (&record["request"], &record["response"]);
            json!([request["method"], request["body"], response["status"], response["body"], response["body_length"]])
        })
        .collect();
    let expected = [
        json!(["PUT", text, 200, text, 256]),
        json!(["HEAD", "", 200, "", 0]),
        json!(["DELETE", "", 204, "", 0]),
        json!(["FROB", "", 200, text, 256]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_longer_than_max_body_is_cut_and_marked() {
    let Some(fastavro) = Fastavro::find() else { return };
    const LENGTH: usize = 100_000;
    let long = || {
        Server::answering(|_| {
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes(), upload::body(LENGTH)].concat()
        })
    };
    let (upstream, target) = (long(), long());
    let settings = json!({ "answer_body": "5000B" });
    let config = Config::upstream(upstream.address()).shadow_with("target", target.address(), settings);
    let recorder = Recorder::start(fastavro, config, json!({ "max_body": "1000B" }));
    let mut client = recorder.mirror.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {LENGTH}\r\n\r\n"));
    client.send(upload::body(LENGTH));
    assert!(client.response().body == upload::body(LENGTH), "what passes is whole");
    assert!(target.wait_request().body == upload::body(LENGTH), "and so is the copy");
    recorder.mirror.wait_settled(1);

    let record = recorder.only();
    let start = |length| upload::body(length).iter().map(|&byte| char::from(byte)).collect::<String>();
    for (message, kept, why) in [
        (&record["request"], 1000, "max_body"),
        (&record["response"], 1000, "max_body"),
        (&record["answers"][0]["response"], 5000, "answer_body"),
    ] {
        assert_eq!((&message["truncated"], &message["body_length"]), (&json!(why), &json!(LENGTH)));
        assert_eq!(message["body"], start(kept));
    }
}

#[test]
fn an_upload_whose_client_leaves_is_recorded_as_far_as_it_came() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let recorder = Recorder::start(fastavro, config, json!({}));
    let mut client = recorder.mirror.connect();
    client.send("POST /left HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
    mirror_tests::wait_for("what was sent, upstream", WITHIN, || {
        upstream.received(0).ends_with(b"hello").then_some(())
    });
    client.reset();
    recorder.mirror.wait_settled(1);

    let record = recorder.only();
    assert_eq!(
        (&record["aborted"], &record["response"], &record["request_end_micros"]),
        (&json!("downstream"), &Value::Null, &Value::Null)
    );
    let request = &record["request"];
    assert_eq!(
        (&request["target"], &request["body"], &request["truncated"]),
        (&json!("/left"), &json!("hello"), &json!("aborted"))
    );
    assert_eq!(record["answers"][0]["outcome"], "dropped: aborted");
}

#[test]
fn an_answer_that_breaks_off_is_recorded_as_far_as_it_came() {
    let Some(fastavro) = Fastavro::find() else { return };
    let upstream = Server::script(|mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    });
    let recorder = Recorder::start(fastavro, Config::upstream(upstream.address()), json!({}));
    let mut client = recorder.mirror.connect();
    client.send(GET);
    assert!(client.to_any_end().ends_with(b"hello"));

    let record = recorder.only();
    assert_eq!((&record["aborted"], &record["request"]["truncated"]), (&json!("upstream"), &Value::Null));
    let response = &record["response"];
    assert_eq!(
        (&response["status"], &response["body"], &response["truncated"]),
        (&json!(200), &json!("hello"), &json!("aborted"))
    );
}

#[test]
fn an_upstream_that_refuses_is_recorded_as_such() {
    let Some(fastavro) = Fastavro::find() else { return };
    let recorder = Recorder::start(fastavro, Config::upstream(Refusing::new().address()), json!({}));
    assert_eq!(recorder.mirror.connect().exchange(GET).status(), 502);
    let record = recorder.only();
    assert_eq!(
        (&record["aborted"], &record["server"], &record["request"]["method"]),
        (&json!("upstream"), &Value::Null, &json!("GET"))
    );
}

/// It is waited for, but not for ever.
#[test]
fn an_answer_that_does_not_come_is_pending() {
    let Some(fastavro) = Fastavro::find() else { return };
    let answer = Gate::new();
    let target = Server::answering({
        let answer = answer.clone();
        move |_| {
            answer.pass();
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        }
    });
    let upstream = Server::ok();
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let recorder = Recorder::start(fastavro, config, json!({ "answer_wait": "50ms", "flush_interval": "10ms" }));
    assert_eq!(recorder.mirror.connect().exchange(GET).status(), 200);
    recorder.mirror.wait_delivered("record", 1);
    answer.open();
    recorder.mirror.wait_delivered("target", 1);
    assert_eq!(recorder.only()["answers"][0]["outcome"], "pending");
}

#[test]
fn a_target_outside_its_fraction_has_no_answer() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, always, never) = (Server::ok(), Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("always", always.address()).shadow_with(
        "never",
        never.address(),
        json!({ "fraction": "0%" }),
    );
    let recorder = Recorder::start(fastavro, config, json!({}));
    assert_eq!(recorder.mirror.connect().exchange(GET).status(), 200);
    let record = recorder.only();
    let answered: Vec<_> =
        record["answers"].as_array().into_iter().flatten().filter(|answer| answer["outcome"] == "delivered").collect();
    assert_eq!(answered.len(), 1, "{record:#}");
    assert_eq!(answered[0]["target"], "always");
}

/// Records that wait for the same target come free together, when it is given up: that is no reason to lose one.
#[test]
fn records_that_come_free_at_once_are_all_written() {
    const CLIENTS: usize = 64;
    const LENGTH: usize = 300_000;
    let Some(fastavro) = Fastavro::find() else { return };
    let upstream = Server::ok();
    let target = Server::script(|mut conn| {
        conn.request();
        Gate::new().pass();
    });
    let config =
        Config::upstream(upstream.address()).shadow_with("target", target.address(), json!({ "timeout": "1s" }));
    let recorder = Recorder::start(fastavro, config, json!({}));
    let address = recorder.mirror.address();
    let one = move || {
        let mut client = Conn::open(address);
        client.send(format!("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: {LENGTH}\r\n\r\n"));
        client.send(upload::body(LENGTH));
        assert_eq!(client.response().text(), "ok");
    };
    std::thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(one))));
    recorder.mirror.wait_settled(CLIENTS as u64);
    let (records, summary) = recorder.end();
    assert_eq!((records.len(), summary.sink("record").dropped), (CLIENTS, 0), "{summary:#?}");
}
