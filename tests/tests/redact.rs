//! What is redacted is nowhere: not in the recording, at a target, in the log, in the metrics or the settings.

use mirror_tests::coding::{decode, encode};
use mirror_tests::recording::Fastavro;
use mirror_tests::secrets::{
    ANSWER, FORM, HEAD, JSON, TARGET, assert_hidden, assert_recording_hidden, bodies, cut, recorded_body, request,
    response, stages,
};
use mirror_tests::{Config, Message, Mirror, Server, Value, WITHIN, json};

#[test]
fn nothing_secret_that_the_proxy_sees_is_told_to_anybody() {
    let Some(fastavro) = Fastavro::find() else { return };
    let bodies = bodies();
    let of_upstream = bodies.clone();
    // What the upstream and the target answer has all of it too.
    let answer = move |request: &Message| {
        let number: usize = request.header("x-number").unwrap_or("0").parse().unwrap();
        let (lines, body) = &of_upstream[number];
        response(lines, body, number % 2 == 1)
    };
    let (upstream, target) = (Server::answering(answer.clone()), Server::answering(answer));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.avro");
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("record", json!({ "path": path }))
        .set("log.level", "debug")
        .set("pipeline", stages());
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for (number, (lines, body)) in bodies.iter().enumerate() {
        client.send(request(TARGET, &format!("X-Number: {number}\r\n{lines}"), body, number % 2 == 0));
        let answer = client.response();
        assert_eq!((answer.status(), &answer.body), (200, body), "the client gets all of it");
        assert!(answer.head.contains("set-cookie-secret"));
    }
    assert!(upstream.requests().iter().all(|request| request.head.contains("session-secret")));
    let metrics = mirror.wait_settled(bodies.len() as u64);
    assert_hidden("what the target got", &target.received_all());
    let copies = target.requests();
    for copy in &copies {
        assert_hidden("a copy's body", &copy.body);
        let text = decode(&copy.body).unwrap_or(copy.body.clone());
        assert!(String::from_utf8_lossy(&text).contains("kept"), "{copy:?}");
        assert_eq!(copy.header("cookie"), Some("REDACTED"));
        assert_eq!((copy.header("content-md5"), copy.header("etag")), (None, None));
    }
    assert_eq!(copies.len(), bodies.len());
    let counted = |rule: &str| metrics.sum("mirror_redact_values_total", &[&format!("rule=\"{rule}\"")]);
    for rule in ["header", "query", "userinfo", "form", "json", "card", "bearer", "email", "pattern"] {
        assert!(counted(rule) >= copies.len() as f64 / 5.0, "{rule}: {}", counted(rule));
    }
    assert_eq!(metrics.sum("mirror_redact_withheld_total", &[]), 0.0);
    assert_hidden("/metrics", mirror.admin("/metrics").text().as_bytes());
    assert_hidden("/config", mirror.admin("/config").text().as_bytes());
    let exit = {
        mirror.signal(15);
        mirror.wait_exit()
    };
    assert_hidden("the log", exit.stderr.as_bytes());
    assert_hidden("the summary", exit.stdout.as_bytes());
    let records = fastavro.read(&path);
    assert_eq!(records.len(), bodies.len());
    assert_recording_hidden(&path, &records);
    for record in &records {
        let answer = &record["answers"][0]["response"];
        for message in [&record["request"], &record["response"], answer] {
            assert_eq!(message["truncated"], Value::Null, "{message}");
            assert!(recorded_body(message).contains("kept"), "{message}");
        }
    }
}

/// Stages that count the withheld bodies by this reason.
#[track_caller]
fn assert_withheld(mirror: &Mirror, reason: &str, count: u64) {
    mirror.wait_for(WITHIN, |metrics| {
        metrics.sum("mirror_redact_withheld_total", &[&format!("reason=\"{reason}\"")]) as u64 == count
    });
}

#[test]
fn what_cannot_be_looked_into_is_withheld() {
    let Some(fastavro) = Fastavro::find() else { return };
    let long = [JSON.as_bytes(), &b" "[..].repeat(8000)].concat();
    let bomb = encode("gzip", &long);
    assert!(bomb.len() < 4096);
    let json_type = "Content-Type: application/json\r\n";
    let cases: Vec<(&str, String, Vec<u8>, bool)> = vec![
        ("too_long", json_type.into(), long.clone(), false),
        ("too_long", json_type.into(), long.clone(), true),
        ("too_long", format!("{json_type}Content-Encoding: gzip\r\n"), bomb, false),
        ("coding", format!("{json_type}Content-Encoding: compress\r\n"), JSON.into(), false),
        ("coding", format!("{json_type}Content-Encoding: gzip\r\n"), JSON.into(), true),
        ("json", json_type.into(), JSON.as_bytes()[..JSON.len() - 1].into(), false),
        ("charset", "Content-Type: text/plain; charset=utf-16\r\n".into(), JSON.into(), false),
        ("multipart", "Content-Type: multipart/form-data; boundary=b\r\n".into(), FORM.into(), false),
        ("partial", "Content-Range: bytes 0-9/20\r\n".into(), JSON.into(), false),
    ];
    for (reason, lines, body, chunked) in cases {
        let (of_upstream, to_say) = (lines.clone(), body.clone());
        let upstream = Server::answering(move |_| response(&of_upstream, &to_say, chunked));
        let target = Server::ok();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.avro");
        let config = Config::upstream(upstream.address())
            .shadow("target", target.address())
            .set("record", json!({ "path": path }))
            .set("log.level", "debug")
            .set("pipeline", stages());
        let mirror = Mirror::start(config);
        let mut client = mirror.connect();
        client.send(request(TARGET, &lines, &body, chunked));
        assert_eq!(client.response().body, body, "{reason}");
        assert_withheld(&mirror, reason, 2);
        mirror.signal(15);
        let exit = mirror.wait_exit();
        assert_hidden("the log", exit.stderr.as_bytes());
        assert_eq!(exit.summary().sink("target").reason("dropped withheld"), 1, "{reason}");
        assert_eq!(target.requests(), [], "{reason}");
        assert_hidden("what the target got", &target.received_all());
        let records = fastavro.read(&path);
        assert_recording_hidden(&path, &records);
        for message in [&records[0]["request"], &records[0]["response"]] {
            assert_eq!((&message["body"], &message["truncated"]), (&json!(""), &json!("withheld")), "{reason}");
        }
    }
}

#[test]
fn what_is_cut_off_is_withheld_and_a_failure_is_logged_without_secrets() {
    let Some(fastavro) = Fastavro::find() else { return };
    let upstream = Server::script(|mut conn| {
        let Some(request) = conn.request() else { return };
        match request.header("x-case") {
            // The head breaks off in a way that is not HTTP, with secrets before.
            Some("head") => conn.send(format!("HTTP/1.1 200 OK\r\n{ANSWER}{HEAD}no colon session-secret\r\n\r\n")),
            _ => conn.send(cut(response("Content-Type: application/json\r\n", JSON.as_bytes(), false))),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.avro");
    let config = Config::upstream(upstream.address())
        .set("record", json!({ "path": path }))
        .set("log.level", "debug")
        .set("pipeline", stages());
    let mirror = Mirror::start(config);
    for case in ["head", "body"] {
        let mut client = mirror.connect();
        client.send(request(TARGET, &format!("X-Case: {case}\r\n"), b"", false));
        client.to_any_end();
    }
    // The client's own body, of which half comes.
    let mut client = mirror.connect();
    client.send(cut(request(TARGET, "Content-Type: application/json\r\n", JSON.as_bytes(), false)));
    drop(client);
    mirror.wait_settled(3);
    assert_withheld(&mirror, "cut", 2);
    mirror.signal(15);
    let exit = mirror.wait_exit();
    assert!(exit.stderr.contains("exchange failed"), "{}", exit.stderr);
    assert_hidden("the log", exit.stderr.as_bytes());
    assert_recording_hidden(&path, &fastavro.read(&path));
}

#[test]
fn a_hash_is_the_same_in_every_run_with_the_same_key_and_for_one_sink_alone() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target) = (Server::ok(), Server::ok());
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let mut seen = Vec::new();
    for with in [json!({ "hash": { "key_file": key } }), json!({ "hash": { "key_file": key } }), json!("hash")] {
        let path = folder.path().join(format!("{}.avro", seen.len()));
        let stages = json!([{ "redact": { "preset": "credentials", "json": "token", "with": with } }]);
        let config = Config::upstream(upstream.address())
            .shadow("target", target.address())
            .set("record", json!({ "path": path, "pipeline": stages }));
        let mirror = Mirror::start(config);
        let body = br#"{"token":"t0ken"}"#;
        let head = "POST / HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer t0ken\r\nContent-Length: 17\r\n\r\n";
        mirror.connect().exchange(&format!("{head}{}", String::from_utf8_lossy(body)));
        let with_random_key = with == "hash";
        assert_eq!(mirror.stderr().contains("there is no `key_file`"), with_random_key, "{}", mirror.stderr());
        mirror.terminate();
        assert_eq!(target.wait_requests(seen.len() + 1)[seen.len()].body, body, "the target has it as it was");
        let request = &fastavro.read(&path)[0]["request"];
        let headers = request["headers"].to_string();
        let hash =
            request["body"].as_str().and_then(|body| body.strip_prefix("{\"token\":\"")?.strip_suffix("\"}")).unwrap();
        assert!(hash.starts_with("REDACTED-") && headers.contains(hash), "{request}");
        seen.push(hash.to_owned());
    }
    assert!(seen[0] == seen[1] && seen[1] != seen[2], "{seen:?}");
}

#[test]
fn a_program_behind_it_sees_nothing_secret() {
    let bodies = bodies();
    let of_upstream = bodies.clone();
    let upstream = Server::answering(move |request| {
        let number: usize = request.header("x-number").unwrap_or("0").parse().unwrap();
        let (lines, body) = &of_upstream[number];
        response(lines, body, true)
    });
    let target = Server::answering(|_| response("Content-Type: application/json\r\n", JSON.as_bytes(), false));
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let mut stages = stages();
    // It prints what it reads, and keeps it.
    stages.as_array_mut().unwrap().push(json!({ "middleware": { "command": ["tee", seen] } }));
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("record", json!({ "path": folder.path().join("out.avro") }))
        .set("pipeline", stages);
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for (number, (lines, body)) in bodies.iter().enumerate() {
        client.send(request(TARGET, &format!("X-Number: {number}\r\n{lines}"), body, number % 2 == 0));
        assert_eq!(client.response().status(), 200);
    }
    mirror.wait_settled(bodies.len() as u64);
    mirror.terminate();
    // A message a line, in hexadecimal digits.
    let seen = std::fs::read_to_string(seen).unwrap();
    let messages: Vec<Vec<u8>> = seen.lines().map(from_hex).collect();
    assert!(messages.len() >= 3 * bodies.len(), "requests, responses and answers: {}", messages.len());
    for message in &messages {
        assert_hidden("a message", message);
        if let Some(end) = message.windows(4).position(|four| four == b"\r\n\r\n") {
            assert_hidden("a message's body", &message[end + 4..]);
        }
    }
}

fn from_hex(line: &str) -> Vec<u8> {
    let pairs = line.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
