//! GoReplay's libraries for middlewares, as they are: `gor` from PyPI and `goreplay_middleware` from npm.

use mirror_tests::listener::Listener;
use mirror_tests::middleware::{Programs, members, wait_gone};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Gate, Message, Mirror, Server, Value, WITHIN, json};

/// Messages that the middlewares have printed as they were, or others in their place.
fn printed(mirror: &Mirror) -> f64 {
    let metrics = mirror.metrics();
    let of = |outcome| metrics.sum("mirror_middleware_messages_total", &[&format!("outcome=\"{outcome}\"")]);
    of("unchanged") + of("changed")
}

fn field<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    let of_name = |field: &&Value| field["name"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name));
    message["headers"].as_array()?.iter().find(of_name)?["value"].as_str()
}

const MASK: &str = r#"
from gor.middleware import AsyncioGor

def on_request(proxy, msg, **kwargs):
    http = proxy.set_http_header(msg.http, 'X-Method', proxy.http_method(msg.http))
    http = proxy.set_http_path_param(http, 'user', 'a b')
    body = proxy.http_body(http)
    if body:
        http = proxy.set_http_body(http, body.replace('secret', '\u2022\u2022\u2022'))
    msg.http = http
    return msg

def on_response(proxy, msg, **kwargs):
    msg.http = proxy.set_http_header(msg.http, 'Set-Cookie', 'masked')
    msg.http = proxy.set_http_body(msg.http, proxy.http_body(msg.http).replace('4111', 'xxxx'))
    return msg

proxy = AsyncioGor()
proxy.on('request', on_request)
proxy.on('response', on_response)
proxy.on('replay', on_response)
proxy.run()
"#;

/// It counts letters where bytes are to be counted, and knows nothing of chunks.
#[test]
fn a_masking_program_in_python() {
    let programs = Programs::new();
    let (Some(command), Some(fastavro)) = (programs.gor(MASK), Fastavro::find()) else { return };
    let answer = "HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: 12\r\n\r\n{\"pan\":4111}";
    let (upstream, target) = (Server::answering(move |_| answer), Server::answering(move |_| answer));
    let record = programs.path("traffic.avro");
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("pipeline", json!([{ "middleware": { "command": command } }]))
        .set("record", json!({ "path": record }));
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    assert_eq!(client.exchange("GET /plain?user=me&a=1 HTTP/1.1\r\nHost: app\r\n\r\n").text(), "{\"pan\":4111}");
    client.exchange("POST /length HTTP/1.1\r\nHost: app\r\nContent-Length: 12\r\n\r\nmy secret: 1");
    let chunks = "5\r\nmy se\r\n7\r\ncret: 2\r\n0\r\nX-Sum: 9\r\n\r\n";
    client.exchange(&format!("POST /chunks HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    let summary = mirror.terminate();
    assert_eq!((summary.sink("target").delivered, summary.sink("record").delivered), (3, 3), "{summary:#?}");

    assert_eq!(upstream.requests()[1].text(), "my secret: 1", "the application gets what the client sent");
    let mut requests = target.requests();
    requests.sort_by_key(|request| request.start_line().len());
    let lines: Vec<&str> = requests.iter().map(Message::start_line).collect();
    let expected = ["GET /plain?user=a+b&a=1", "POST /length?user=a+b", "POST /chunks?user=a+b"];
    assert!(expected.iter().all(|line| lines.contains(&&*format!("{line} HTTP/1.1"))), "{lines:?}");
    let of = |path: &str| requests.iter().find(|request| request.start_line().contains(path)).expect(path);
    assert_eq!(of("/plain").header("x-method"), Some("GET"));
    let masked = |i| format!("my \u{2022}\u{2022}\u{2022}: {i}").into_bytes();
    assert_eq!((&of("/length").body, of("/length").header("content-length")), (&masked(1), Some("15")));
    assert_eq!((&of("/chunks").body, of("/chunks").header("transfer-encoding")), (&masked(2), Some("chunked")));
    for recorded in fastavro.read(&record) {
        for response in [&recorded["response"], &recorded["answers"][0]["response"]] {
            assert_eq!(
                (&response["status"], field(response, "set-cookie")),
                (&json!(200), Some("masked")),
                "{recorded:#}"
            );
            assert_eq!(response["body"], "{\"pan\":xxxx}");
        }
    }
}

const COMPARE: &str = r"
import sys
from gor.middleware import AsyncioGor

def on_request(proxy, msg, **kwargs):
    proxy.on('response', on_response, idx=msg.id, req=msg)

def on_response(proxy, msg, **kwargs):
    proxy.on('replay', on_replay, idx=kwargs['req'].id, resp=msg)

def on_replay(proxy, msg, **kwargs):
    ours, theirs = proxy.http_status(kwargs['resp'].http), proxy.http_status(msg.http)
    sys.stderr.write('response %s, replay %s\n' % (ours, theirs))
    sys.stderr.flush()

proxy = AsyncioGor()
proxy.on('request', on_request)
proxy.run()
";

/// Such programs ask for the replay's status once they have seen the response, and here the target is the faster one.
#[test]
fn a_program_that_compares_sees_the_response_before_the_answer() {
    let programs = Programs::new();
    let Some(command) = programs.gor(COMPARE) else { return };
    let (gate, target) = (Gate::new(), Server::answering(|_| "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
    let hold = gate.clone();
    let upstream = Server::answering(move |_| {
        hold.pass();
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    });
    let stage = json!([{ "middleware": { "command": command, "timeout": "20s" } }]);
    let config = Config::upstream(upstream.address()).shadow("target", target.address()).set("pipeline", stage);
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    mirror.wait_for(WITHIN, |metrics| metrics.sum("http_client_request_duration_seconds_count", &[]) == 1.0);
    gate.open();
    assert_eq!(client.response().status(), 200);
    mirror.wait_log("response 200, replay 503");
    mirror.wait_delivered("target", 1);
}

const TOKENS: &str = r#"
const gor = require("goreplay_middleware");
gor.init();
const tokens = {};
gor.on("request", req => {
    const token = gor.httpHeader(req.http, "Auth-Token");
    if (token && tokens[token.value]) req.http = gor.setHttpHeader(req.http, "Auth-Token", tokens[token.value]);
    gor.searchResponses(req.ID, "X-Set-Token: (\\w+)", (ours, theirs) => {
        if (ours && theirs) tokens[ours] = theirs;
    });
    return req;
});
"#;

/// The main use of a middleware: a target that gives out tokens of its own gets these back.
#[test]
fn a_program_for_node_maps_the_applications_tokens_to_a_targets() {
    let programs = Programs::new();
    let Some(command) = programs.node(TOKENS) else { return };
    let giving = |token: &'static str| {
        Server::answering(move |_| format!("HTTP/1.1 200 OK\r\nX-Set-Token: {token}\r\nContent-Length: 2\r\n\r\nok"))
    };
    let (upstream, target) = (giving("ours"), giving("theirs"));
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("pipeline", json!([{ "middleware": { "command": command, "timeout": "20s" } }]));
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    client.exchange("GET /login HTTP/1.1\r\nHost: app\r\n\r\n");
    mirror.wait_for(WITHIN, |_| printed(&mirror) == 3.0);
    client.exchange("GET /account HTTP/1.1\r\nHost: app\r\nauth-token: ours\r\n\r\n");
    assert_eq!(target.wait_requests(2)[1].header("auth-token"), Some("theirs"));
    assert_eq!(upstream.requests()[1].header("auth-token"), Some("ours"));
    mirror.terminate().assert_exact();
}

const EDIT: &str = r#"
const gor = require("goreplay_middleware");
gor.init();
gor.on("request", req => {
    if (gor.httpPath(req.http).startsWith("/admin")) return;
    req.http = gor.setHttpPath(req.http, "/v2" + gor.httpPath(req.http));
    req.http = gor.deleteHttpHeader(req.http, "Authorization");
    if (gor.httpBodyParam(req.http, "card")) req.http = gor.setHttpBodyParam(req.http, "card", "none");
    return req;
});
gor.on("response", resp => {
    resp.http = gor.setHttpStatus(resp.http, "299");
    return resp;
});
"#;

/// What the clients of both sources send; the second is filtered.
const SENT: [&str; 4] = [
    "GET /a HTTP/1.1\r\nHost: app\r\nAuthorization: x\r\n\r\n",
    "GET /admin HTTP/1.1\r\nHost: app\r\n\r\n",
    "POST /form HTTP/1.1\r\nHost: app\r\ncontent-length: 13\r\n\r\ncard=4111&b=2",
    "POST /bytes HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\n\r\n\u{e9}\n\0\n\n",
];

fn assert_edited(requests: &[Message], records: &[Value]) {
    let of = |path: &str| {
        requests.iter().find(|it| it.start_line().contains(path)).unwrap_or_else(|| panic!("{path}: {requests:#?}"))
    };
    assert_eq!((requests.len(), of("/v2/a").header("authorization")), (3, None));
    assert_eq!(
        (of("/v2/form").text().as_str(), of("/v2/form").header_values("content-length")),
        ("card=none&b=2", vec!["13"])
    );
    assert_eq!(of("/v2/bytes").body, "\u{e9}\n\0\n\n".as_bytes());
    assert_eq!(records.len(), 3);
    for record in records {
        assert!(record["request"]["target"].as_str().expect("a target").starts_with("/v2/"), "{record:#}");
        assert_eq!((&record["response"]["status"], &record["response"]["body"]), (&json!(299), &json!("ok")));
        assert_eq!(record["answers"][0]["response"]["status"], 200);
    }
}

#[test]
fn a_program_for_node_edits_and_filters_what_passes_the_proxy() {
    let programs = Programs::new();
    let (Some(command), Some(fastavro)) = (programs.node(EDIT), Fastavro::find()) else { return };
    let (upstream, target, record) = (Server::ok(), Server::ok(), programs.path("traffic.avro"));
    let config = Config::upstream(upstream.address())
        .shadow("target", target.address())
        .set("pipeline", json!([{ "middleware": { "command": command, "timeout": "2s" } }]))
        .set("record", json!({ "path": record }));
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    SENT.iter().for_each(|request| assert_eq!(client.exchange(request).text(), "ok"));
    let summary = mirror.terminate();
    assert_eq!(summary.sink("target").reason("skipped middleware"), 1, "{summary:#?}");
    assert_edited(&target.requests(), &fastavro.read(&record));
}

#[test]
fn a_program_for_node_edits_and_filters_what_is_captured() {
    let programs = Programs::new();
    let Some(command) = programs.node(EDIT) else { return };
    let server = Server::ok();
    let capture = json!({ "interface": "lo", "ports": server.address().port() });
    let stage = json!([{ "middleware": { "command": command, "timeout": "2s" } }]);
    let Some(listener) = Listener::configured(Config::capture(capture).set("pipeline", stage)) else { return };
    let mut client = Conn::open(server.address());
    SENT.iter().for_each(|request| drop(client.exchange(request)));
    let (records, requests, summary) = listener.end_any();
    assert_eq!((summary.seen, summary.sink("record").reason("skipped middleware")), (4, 1), "{summary:#?}");
    assert_edited(&requests, &records);
}

const PROCESSES: &str = r"
import os, sys
from gor.middleware import MultiProcessGor

def on_request(proxy, msg, **kwargs):
    msg.http = proxy.set_http_header(msg.http, 'X-Worker', str(os.getpid()))
    return msg

proxy = MultiProcessGor()
proxy.on('request', on_request)
with open(os.path.join(os.path.dirname(sys.argv[0]), 'pid'), 'w') as file:
    file.write('%d\n' % os.getpid())
proxy.run()
";

/// Its processes wait for work that never comes when the one that reads is gone: that one has to tell them.
#[test]
fn a_program_with_processes_of_its_own_leaves_none_behind() {
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let programs = Programs::new();
        let Some(command) = programs.gor(PROCESSES) else { return };
        let (upstream, target) = (Server::ok(), Server::ok());
        let config = Config::upstream(upstream.address())
            .shadow("target", target.address())
            .set("pipeline", json!([{ "middleware": { "command": command } }]));
        let mirror = Mirror::start(config);
        let mut client = mirror.connect();
        for _ in 0..20 {
            client.exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
        }
        assert!(target.wait_requests(20).iter().all(|request| request.header("x-worker").is_some()));
        let processes = members(&programs.left("pid"));
        assert!(processes.lines().count() >= 3, "{processes}");
        mirror.signal(signal);
        let exit = mirror.wait_exit();
        assert_eq!(exit.status.success(), signal == libc::SIGTERM, "{exit:#?}");
        wait_gone(&processes);
    }
}
