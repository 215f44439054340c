//! What is redacted is nowhere: not in the recording, at a target, in the log, in the metrics or the settings.

use std::path::Path;

use mirror_tests::capture::{Pcap, Talk, read, records};
use mirror_tests::coding::{self, decode, encode};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Message, Mirror, Server, Value, WITHIN, json};

/// Each is secret by another rule, and is found in no text that is not.
const SECRETS: [&str; 14] = [
    "Zm9vOnNlY3JldA",
    "session-secret",
    "cookie-secret",
    "set-cookie-secret",
    "query-secret",
    "signature-secret",
    "form-secret",
    "key-secret",
    "place-secret",
    "4111111111111111",
    "5555 5555 5555 4444",
    "ann.secret@example.com",
    "bearer-secret",
    "acct-8155",
];

fn stages() -> Value {
    json!([{ "redact": {
        "preset": "credentials",
        "header": ["X-Session", "X-Internal-*"],
        "cookie": "sid",
        "query": "token",
        "form": "password",
        "json": ["/user/ssn", "key"],
        "pattern": ["card", "bearer", "jwt", "email", "~acct-[0-9]+"],
        "max_body": "4KiB",
    } }])
}

/// Everything secret that a head can have.
const HEAD: &str = "Authorization: Basic Zm9vOnNlY3JldA\r\nX-Session: session-secret\r\nX-Internal-Id: session-secret\r\n\
    X-Note: Bearer bearer-secret for ann.secret@example.com, acct-8155\r\n\
    Referer: http://foo:session-secret@app/?token=query-secret#x\r\n";

const COOKIE: &str = "Cookie: theme=dark; sid=cookie-secret\r\n";

const TARGET: &str = "/users/ann.secret%40example.com/4111111111111111?a=1&token=query-secret&sig=signature-secret&next=%2F%3Ftoken%3Dquery-secret";

const ANSWER: &str = "Set-Cookie: sid=set-cookie-secret; Path=/\r\nX-Session: session-secret\r\n\
    Location: /?token=query-secret\r\nX-Note: 5555 5555 5555 4444\r\n";

const JSON: &str = r#"{"user": {"ssn": "place-secret", "mail": "ann.secret\u0040example.com"}, "list": [{"KEY": "key-secret"}],
    "card": 4111111111111111, "text": "5555 5555 5555 4444, acct-8155", "note": "kept"}"#;

const FORM: &str = "user=ann&password=form%2dsecret&password=form-secret&mail=ann.secret%40example.com&n=5555+5555+5555+4444&note=kept";

/// A message with this body, as one piece or chunked.
fn message(start: &str, head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    let framing = if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", body.len()) };
    let mut message = format!("{start}\r\n{head}{framing}\r\n\r\n").into_bytes();
    if !chunked {
        message.extend(body);
        return message;
    }
    for piece in body.chunks(7) {
        message.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()).chain(*b"\r\n"));
    }
    message.extend(b"0\r\n\r\n");
    message
}

fn request(path: &str, head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    message(&format!("POST {path} HTTP/1.1"), &format!("Host: app\r\n{HEAD}{head}{COOKIE}"), body, chunked)
}

fn response(head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    message("HTTP/1.1 200 acct-8155", &format!("{ANSWER}{head}"), body, chunked)
}

/// All but the end of a message.
fn cut(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(message.len() - 20);
    message
}

/// Panics where a secret is in it, as it stands or encoded.
#[track_caller]
fn assert_hidden(place: &str, bytes: &[u8]) {
    for bytes in [Some(bytes.to_vec()), decode(bytes)].into_iter().flatten() {
        let text = String::from_utf8_lossy(&bytes).replace("%40", "@").replace("\\u0040", "@").replace('+', " ");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
}

/// Looks through a recording, as bytes and as it is read. Text in it has one char a byte.
#[track_caller]
fn assert_recording_hidden(path: &Path, records: &[Value]) {
    fn each(value: &Value) {
        match value {
            Value::String(text) => {
                let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
                assert_hidden("the recording", &bytes);
            }
            Value::Array(values) => values.iter().for_each(each),
            Value::Object(values) => values.values().for_each(each),
            _ => {}
        }
    }
    records.iter().for_each(each);
    assert_hidden("the recording's file", &std::fs::read(path).unwrap());
}

/// A recorded body as it was before its coding.
fn recorded_body(message: &Value) -> String {
    let body: Vec<u8> = message["body"].as_str().unwrap().chars().map(|c| c as u8).collect();
    String::from_utf8_lossy(&decode(&body).unwrap_or(body)).into_owned()
}

/// Bodies of all kinds in all codings: their head's lines, and the bytes.
fn bodies() -> Vec<(String, Vec<u8>)> {
    let kinds = [
        ("application/json", JSON),
        ("text/plain", JSON),
        ("application/x-www-form-urlencoded", FORM),
        (
            "text/html",
            "<b>ann.secret@example.com</b> 5555 5555 5555 4444 acct-8155, <a href=/ann.secret%40example.com>kept</a>",
        ),
    ];
    let mut bodies = Vec::new();
    for (kind, text) in kinds {
        let digests = "Content-MD5: MTIz\r\nETag: \"1\"\r\n";
        bodies.push((format!("Content-Type: {kind}\r\n{digests}"), text.as_bytes().to_vec()));
        for name in coding::NAMES {
            let lines = format!("Content-Type: {kind}\r\nContent-Encoding: {name}\r\n");
            bodies.push((lines, encode(name, text.as_bytes())));
        }
    }
    bodies
}

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
fn nothing_secret_that_is_captured_is_told_to_anybody() {
    let Some(fastavro) = Fastavro::find() else { return };
    let target = Server::answering(|_| response("Content-Type: application/json\r\n", JSON.as_bytes(), false));
    let folder = tempfile::tempdir().expect("a folder of our own");
    let mut pcap = Pcap::default();
    let bodies = bodies();
    let mut talk = Talk::open(&mut pcap, 40_001);
    for (number, (lines, body)) in bodies.iter().enumerate() {
        talk.client(&mut pcap, request(TARGET, lines, body, number % 2 == 0));
        talk.server(&mut pcap, response(lines, body, number % 2 == 1));
    }
    // Trailers, with and without rules for bodies to look into.
    let trailers = |message: Vec<u8>| {
        let end = message.len() - 2;
        [&message[..end], b"X-Session: session-secret\r\nX-Note: ann.secret@example.com\r\n\r\n"].concat()
    };
    talk.client(&mut pcap, trailers(request("/trailers", "", b"kept", true)));
    talk.server(&mut pcap, trailers(response("", b"kept", true)));
    talk.close(&mut pcap);
    // Heads that servers read differently.
    let mut odd = Talk::open(&mut pcap, 40_002);
    odd.client(
        &mut pcap,
        format!("GET {TARGET} HTTP/1.1\r\nHost: app\r\nX-Session : session-secret\r\nX\r\n cookie-secret\r\n\r\n"),
    );
    odd.server(
        &mut pcap,
        format!("HTTP/1.1 200 OK\r\n{ANSWER}no colon: a\r\nX-Session session-secret\r\nContent-Length: 0\r\n\r\n"),
    );
    odd.close(&mut pcap);
    // A body of which the capture missed a part, and one that ends with it.
    let mut missing = Talk::open(&mut pcap, 40_003);
    let sent = request("/missing", "Content-Type: application/json\r\n", JSON.as_bytes(), false);
    let (before, after) = sent.split_at(sent.len() - 100);
    missing.client(&mut pcap, before);
    missing.missed(&after[..50]);
    missing.client(&mut pcap, &after[50..]);
    missing.server(&mut pcap, cut(response("", JSON.as_bytes(), false)));
    missing.reset(&mut pcap);
    pcap.write(&folder.path().join("trace.pcap"));

    for stages in [stages(), json!([{ "redact": { "preset": "credentials", "header": "X-*" } }])] {
        let only_heads = stages[0]["redact"]["json"].is_null();
        let shadow = format!("--shadow={}", target.address());
        let flags = [&shadow, "--set=log.level=debug", &format!("--set=pipeline={stages}")];
        let (code, _, said) = read(folder.path(), "trace.pcap:80", &flags);
        assert_eq!(code, Some(0), "{said}");
        let found = records(&fastavro, folder.path());
        assert_eq!(found.len(), bodies.len() + 3);
        let with_trailers = found.iter().find(|record| record["request"]["target"] == "/trailers").expect("trailers");
        for message in ["request", "response"] {
            let trailers = with_trailers[message]["trailers"].to_string();
            assert!(trailers.contains("X-Session") && !trailers.contains("secret"), "{trailers}");
        }
        if !only_heads {
            assert_hidden("the log", said.as_bytes());
            assert_hidden("what the target got", &target.received_all());
            target.requests().iter().for_each(|copy| assert_hidden("a copy's body", &copy.body));
            assert_recording_hidden(&folder.path().join("out.avro"), &found);
        }
        std::fs::remove_file(folder.path().join("out.avro")).unwrap();
    }
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
