//! Requests that are changed on their way: for all sinks, or for one target alone.

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Mirror, Server, json};

const POST: &str = "POST /api/v1/users?id=7 HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Basic eDp5\r\nX-A: 1\r\n\
    Content-Length: 5\r\n\r\nhello";

#[test]
fn one_target_gets_it_changed_and_the_others_as_it_was() {
    let (upstream, plain, changed) = (Server::ok(), Server::ok(), Server::ok());
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.avro");
    let rewrite = json!([{ "rewrite": {
        "method": "PUT",
        "host": "staging.example",
        "path": { "prefix": "/api/v1", "with": "/v2" },
        "query": { "append": { "from": "{header.x-a}" } },
        "header": { "remove": "Authorization", "set": { "X-Env": "staging" } },
    } }]);
    let config = Config::upstream(upstream.address())
        .shadow("plain", plain.address())
        .shadow_with("changed", changed.address(), json!({ "pipeline": rewrite }))
        .set("record", json!({ "path": path }))
        .set("marker", "off");
    let mirror = Mirror::start(config);
    mirror.connect().exchange(POST);
    let (head, body) = POST.split_once("\r\n\r\n").unwrap();
    let head = format!("{head}\r\n\r\n");
    assert_eq!(upstream.wait_request().head, head);
    let copy = plain.wait_request();
    assert_eq!((copy.head.as_str(), copy.text().as_str()), (head.as_str(), body));
    let copy = changed.wait_request();
    assert_eq!(
        copy.head,
        "PUT /v2/users?id=7&from=1 HTTP/1.1\r\nHost: staging.example\r\nX-A: 1\r\nContent-Length: 5\r\nX-Env: staging\r\n\r\n"
    );
    assert_eq!(copy.text(), body);
    mirror.terminate();
    assert_eq!(fastavro.read(&path)[0]["request"]["target"], "/api/v1/users?id=7", "the recording has it as it was");
}

#[test]
fn later_stages_see_what_earlier_ones_made_of_it() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address()).set(
        "pipeline",
        json!([
            { "rewrite": { "path": { "match": "^/api/v1", "with": "/api/v2" } } },
            { "filter": "path = /api/v2/*" },
            { "rewrite": { "when": "query.id = 7", "header": { "set": { "X-Seen": "{path}" } } } },
        ]),
    );
    let mirror = Mirror::start(config);
    mirror.connect().exchange(POST);
    mirror.connect().exchange("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
    let copy = target.wait_request();
    assert_eq!((copy.start_line(), copy.header("x-seen")), ("POST /api/v2/users?id=7 HTTP/1.1", Some("/api/v2/users")));
    assert_eq!(mirror.terminate().sink("target").reason("skipped filter"), 1);
}
