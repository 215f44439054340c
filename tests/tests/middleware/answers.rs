//! Middlewares that see responses and answers, before one sink and before all.

use mirror_tests::middleware::Programs;
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Mirror, Server, WITHIN, json};

/// Changes responses and answers, and tells what it has seen.
const SEES: &str = "with open(os.path.join(os.path.dirname(sys.argv[0]), 'kinds'), 'a') as file: file.write(kind.decode())\n\
                    out(message.replace(b'ok', b'ko').replace(b' /', b' /changed/'))";

#[test]
fn a_targets_own_concerns_that_target() {
    let programs = Programs::new();
    let (upstream, plain, changed) = (Server::ok(), Server::ok(), Server::ok());
    let stage = json!([{ "middleware": { "command": programs.python(SEES), "timeout": "20s" } }]);
    let config = Config::upstream(upstream.address()).shadow("plain", plain.address()).shadow_with(
        "changed",
        changed.address(),
        json!({ "pipeline": stage }),
    );
    let mirror = Mirror::start(config);
    mirror.connect().exchange("GET /a HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(plain.wait_request().start_line(), "GET /a HTTP/1.1");
    assert_eq!(changed.wait_request().start_line(), "GET /changed/a HTTP/1.1");
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_middleware_messages_total", &["\"changed\""]) == 3.0);
    assert_eq!(std::fs::read_to_string(programs.path("kinds")).expect("what it saw"), "123");
}

#[test]
fn the_recorders_own_concerns_the_recording() {
    let programs = Programs::new();
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, record) = (Server::ok(), Server::ok(), programs.path("traffic.avro"));
    let stage = json!([{ "middleware": { "command": programs.python(SEES), "timeout": "20s" } }]);
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("record", json!({ "path": record, "pipeline": stage }));
    let mirror = Mirror::start(config);
    mirror.connect().exchange("GET /a HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(target.wait_request().start_line(), "GET /a HTTP/1.1");
    mirror.terminate().assert_exact();
    let records = fastavro.read(&record);
    let recorded = &records[0];
    assert_eq!((&recorded["request"]["target"], &recorded["response"]["body"]), (&json!("/changed/a"), &json!("ko")));
    assert_eq!(recorded["answers"][0]["response"]["body"], "ko");
}

#[test]
fn a_response_that_is_filtered_is_recorded_by_its_status() {
    let programs = Programs::new();
    let Some(fastavro) = Fastavro::find() else { return };
    let answer = "HTTP/1.1 201 Created\r\nSet-Cookie: secret\r\nContent-Length: 6\r\n\r\nsecret";
    let (upstream, target) = (Server::answering(move |_| answer), Server::answering(move |_| answer));
    let record = programs.path("traffic.avro");
    let stage =
        json!([{ "middleware": { "command": programs.python("if kind == b'1': out(message)"), "timeout": "2s" } }]);
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("record", json!({ "path": record, "answer_wait": "10s" }))
        .set("pipeline", stage);
    let mirror = Mirror::start(config);
    assert_eq!(mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").text(), "secret");
    assert_eq!(mirror.terminate().sink("record").delivered, 1);
    let records = fastavro.read(&record);
    let recorded = &records[0];
    assert!(!recorded.to_string().contains("secret"), "{recorded:#}");
    for response in [&recorded["response"], &recorded["answers"][0]["response"]] {
        assert_eq!((&response["status"], &response["headers"]), (&json!(201), &json!([])), "{recorded:#}");
        assert_eq!((&response["truncated"], &response["body_length"]), (&json!("withheld"), &json!(6)));
    }
}

#[test]
fn a_long_answer_is_seen_whole_and_kept_as_far_as_others() {
    let programs = Programs::new();
    let Some(fastavro) = Fastavro::find() else { return };
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}", "a".repeat(200_000));
    let (upstream, target, record) =
        (Server::ok(), Server::answering(move |_| long.clone()), programs.path("traffic.avro"));
    let stage = json!([{ "middleware": { "command": programs.python("out(message.replace(b'a' * 100, b'bbb'))"), "timeout": "20s" } }]);
    let config = Config::upstream(upstream.address())
        .shadow_with("target", target.address(), json!({ "answer_body": "1KiB" }))
        .set("record", json!({ "path": record, "answer_wait": "10s" }))
        .set("pipeline", stage);
    let mirror = Mirror::start(config);
    mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    mirror.terminate().assert_exact();
    let records = fastavro.read(&record);
    let answer = &records[0]["answers"][0]["response"];
    assert_eq!((&answer["body_length"], &answer["truncated"]), (&json!(6000), &json!("answer_body")), "{answer:#}");
    assert_eq!(answer["body"], "b".repeat(1024));
}
