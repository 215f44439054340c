//! What was recorded is sent again, when it is due, and it ends with what came of it.

use std::time::Duration;

use mirror_tests::recording::Fastavro;
use mirror_tests::replay::{replay, replay_in, replayed};
use mirror_tests::{Server, Tape, Value, json};

fn targets(server: &Server) -> Vec<String> {
    let line = |line: String| line.split(' ').nth(1).unwrap_or_default().to_owned();
    server.requests().iter().map(|request| line(request.start_line().to_owned())).collect()
}

#[test]
fn each_request_is_sent_again_and_compared() {
    let target = Server::answering(|request| match request.start_line() {
        "GET /gone HTTP/1.1" => "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    });
    let tape = Tape::default().get(0, "/a").get(20, "/gone").with(40, "/c", |record| {
        record.request.method = "POST".into();
        record.request.message.headers.push(("content-LENGTH".into(), "5".into()));
        record.request.message.body = vec!["he".into(), "llo".into()];
        record.response = None;
    });
    let done = replay(&tape, &target, &[]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert_eq!(targets(&target), ["/a", "/gone", "/c"]);
    let sent = target.requests();
    let post = String::from_utf8_lossy(&target.received(sent[2].connection)).into_owned();
    assert!(post.contains("content-LENGTH: 5\r\nx-mirror-shadow: 1\r\n\r\nhello"), "{post}");
    let of_target = done.target();
    assert_eq!((&of_target["sent"], &of_target["answered"]), (&json!(3), &json!(3)));
    assert_eq!(of_target["statuses"], json!({ "200": 2, "404": 1 }));
    let recorded = &of_target["recorded"];
    assert_eq!(recorded["statuses"], json!({ "200": 2 }));
    assert_eq!(
        [&recorded["same_status"], &recorded["different_status"], &recorded["unknown_status"]],
        [&json!(1), &json!(1), &json!(1)]
    );
    assert_eq!(recorded["changes"], json!([{ "from": 200, "to": 404, "count": 1 }]));
    assert!((0.0009..0.0011).contains(&recorded["latency_seconds"]["max"].as_f64().unwrap()));
    assert!(of_target["lateness_seconds"]["p99"].is_number() && of_target["latency_seconds"]["max"].is_number());
    assert_eq!((&done.report["ended"], &done.report["failures"]), (&json!("complete"), &json!([])));
    for said in ["3 requests replayed in", "3 sent, 3 answered", "1 the same, 1 different: 200 → 404 1"] {
        assert!(done.stdout.contains(said), "{}", done.stdout);
    }
    assert_eq!(done.summary().seen, 3);
}

/// Plans are exact, and nothing is early.
#[test]
fn times_are_kept_divided_by_the_speed() {
    let tape = Tape::default().get(0, "/a").get(150, "/b").get(400, "/c");
    for (arguments, planned) in [
        (&[][..], 0.4),
        (&["--speed=200%"], 0.2),
        (&["--speed", "0.5"], 0.8),
        (&["--speed=4x"], 0.1),
        (&["--max-gap=100ms"], 0.2),
        (&["--max-gap=100ms", "--speed=2"], 0.1),
        (&["--from=+100ms"], 0.25),
        (&["--from=2026-11-24T09:00:00.100Z", "--to=+399ms"], 0.0),
        (&["--to", "2026-11-24T09:00:00.300Z"], 0.15),
        // Each pass follows after the mean gap.
        (&["--loop=2", "--speed=10x"], 0.1),
    ] {
        let target = Server::ok();
        let done = replay(&tape, &target, arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:#?}");
        assert!((done.number("planned_seconds") - planned).abs() < 1e-9, "{arguments:?}: {done:#?}");
        assert!(done.number("took_seconds") >= planned, "{arguments:?}: {done:#?}");
    }
}

/// The figure, on a shorter recording. A machine that is busy with something else may need more than one try.
#[test]
fn a_recording_takes_as_long_as_it_took_within_half_a_percent() {
    let tape = Tape::default().gets(201, 10);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let done = replay(&tape, &Server::ok(), &[]);
        let off = done.number("took_seconds") / 2.0 - 1.0;
        if off.abs() <= 0.005 {
            return;
        }
        seen.push((off, done.target()["lateness_seconds"].clone()));
    }
    panic!("{seen:?}");
}

#[test]
fn passes_a_rate_and_bounds() {
    let tape = Tape::default().gets(4, 10);
    for (arguments, sent, ended) in [
        (&["--loop", "3", "--speed=max"][..], 12, "complete"),
        (&["--loop", "--limit=10", "--speed=max"], 10, "limit"),
        (&["--limit=2"], 2, "limit"),
        (&["--rate=1000/s", "--loop", "5"], 20, "complete"),
        (&["--rate=100/s", "--loop", "--duration=100ms"], 10, "duration"),
        (&["--rate=1000/s", "--arrivals=poisson", "--limit=9", "--loop=forever"], 9, "limit"),
        (&["--from=+10ms", "--to=+30ms"], 2, "complete"),
    ] {
        let target = Server::ok();
        let done = replay(&tape, &target, arguments);
        assert_eq!((done.code, &done.report["ended"]), (Some(0), &json!(ended)), "{arguments:?}: {done:#?}");
        assert_eq!(target.requests().len(), sent, "{arguments:?}: {done:#?}");
    }
    let done = replay(&tape, &Server::ok(), &["--rate=100/s", "--loop=3"]);
    assert!((done.number("planned_seconds") - 0.11).abs() < 1e-9 && done.number("planned_rate") == 100.0, "{done:#?}");
    assert_eq!(
        (&done.report["passes"], &done.report["read"], &done.report["replayed"]),
        (&json!(3), &json!(4), &json!(12))
    );
}

/// An open loop: what was asked first is not waited for.
#[test]
fn nobody_waits_for_an_earlier_answer() {
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = std::sync::Mutex::new(answers);
    let target = Server::script(move |mut conn| {
        while let Some(request) = conn.request() {
            if request.start_line().starts_with("GET /0 ") {
                let _ = answers.lock().unwrap().recv_timeout(Duration::from_secs(15));
            } else if request.start_line().starts_with("GET /9 ") {
                let _ = answer.send(());
            }
            if conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let done = replay(&Tape::default().gets(10, 1), &target, &[]);
    assert_eq!((done.code, &done.target()["answered"]), (Some(0), &json!(10)), "{done:#?}");
}

#[test]
fn connections_stay_in_their_order_and_each_pass_is_another() {
    let client =
        |port| move |record: &mut mirror::recording::Record| record.client = Some(([10, 0, 0, 1], port).into());
    let mut tape = Tape::default();
    for i in 0..8 {
        tape = tape.with(i, &format!("/a{i}"), client(1)).with(i, &format!("/b{i}"), client(2));
    }
    let target = Server::ok();
    let done = replay(&tape, &target, &["--order=connection", "--speed=max", "--loop=2"]);
    assert_eq!((done.code, &done.target()["answered"]), (Some(0), &json!(32)), "{done:#?}");
    let all = targets(&target);
    for who in ["/a", "/b"] {
        // Of two passes that may overlap, each is in its order.
        let one: Vec<_> = all.iter().filter(|target| target.starts_with(who)).collect();
        for i in 1..8 {
            let places = |i: usize| {
                one.iter()
                    .enumerate()
                    .filter(|(_, t)| ***t == format!("{who}{i}"))
                    .map(|(at, _)| at)
                    .collect::<Vec<_>>()
            };
            assert!(places(i - 1)[0] < places(i)[0] && places(i - 1)[1] < places(i)[1], "{all:?}");
        }
    }
}

#[test]
fn the_recording_of_a_replay_has_both_answers() {
    let Some(fastavro) = Fastavro::find() else { return };
    let target = Server::answering(|_| "HTTP/1.1 503 Down\r\nContent-Length: 3\r\n\r\nnew");
    let folder = tempfile::tempdir().expect("a folder of our own");
    let tape = Tape::default().get(0, "/a").with(5, "/copy", |record| {
        record.request.message.headers.push(("x-mirror-shadow".into(), "1".into()));
    });
    let done = replay_in(folder.path(), &tape, &target, &["--record=again.avro", "--filter=status = 200"]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    let records = fastavro.read(&folder.path().join("again.avro"));
    assert_eq!(records.len(), 2, "a copy is sent again, too: {records:#?}");
    for record in &records {
        assert_eq!((&record["source"], &record["aborted"]), (&json!("replay"), &Value::Null));
        assert_eq!((&record["client"], &record["server"]), (&json!("10.0.0.1:40000"), &json!("10.0.0.2:80")));
        assert_eq!((&record["response"]["status"], &record["response"]["body"]), (&json!(200), &json!("ok")));
        assert_eq!((&record["response_start_micros"], &record["end_micros"]), (&json!(1000), &json!(1000)));
        let answer = &record["answers"][0]["response"];
        assert_eq!((&answer["status"], &answer["body"]), (&json!(503), &json!("new")));
    }
}

#[test]
fn what_cannot_be_sent_is_left_out_and_told() {
    let target = Server::ok();
    let tape = Tape::default()
        .get(0, "/good")
        .with(1, "/cut", |record| record.request.message.truncated = Some("max_body".into()))
        .with(2, "/odd", |record| record.aborted = Some("malformed head".into()))
        .with(3, "/two", |record| record.aborted = Some("ambiguous framing".into()))
        .with(4, "/left", |record| record.aborted = Some("downstream".into()));
    let done = replay(&tape, &target, &[]);
    assert_eq!(done.code, Some(1), "{done:#?}");
    let mut sent = targets(&target);
    sent.sort();
    assert_eq!(sent, ["/good", "/left"]);
    assert_eq!(done.report["left_out"], json!({ "ambiguous": 1, "malformed": 1, "truncated": 1 }));
    assert_eq!(done.report["failures"], json!([{ "what": "left-out", "count": 3, "of": 5 }]));
    assert!(done.stdout.contains("failure: left-out: 3 of 5"), "{}", done.stdout);
    assert_eq!(replay(&tape, &target, &["--fail-on=failed,dropped"]).code, Some(0));
}

#[test]
fn a_recording_with_a_torn_tail_is_replayed_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let path = folder.path().join("traffic.avro");
    Tape::default().gets(4, 1).write(&path);
    let mut bytes = std::fs::read(&path).expect("the recording");
    bytes.extend_from_slice(&[4, 200, 1, 7, 7, 7]);
    std::fs::write(&path, bytes).expect("a file of our own");
    let target = Server::ok();
    let arguments = ["traffic.avro", &format!("--shadow={}", target.address())];
    let done = replayed(folder.path(), &arguments);
    assert_eq!((done.code, target.requests().len()), (Some(0), 4), "{done:#?}");
    assert_eq!(done.report["unread"], json!(["traffic.avro"]));
    assert!(done.stderr.contains("not all of it can be read"), "{}", done.stderr);
    let done = replayed(folder.path(), &[&arguments[..], &["--fail-on=unread"]].concat());
    assert_eq!(done.code, Some(1), "{done:#?}");
}
