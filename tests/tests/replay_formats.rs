//! What a target gets of real traffic, it gets of its recording too, through any two formats.

use mirror_tests::replay::replayed;
use mirror_tests::{Config, Folder, Message, Mirror, Server};

const FORMATS: [&str; 5] = ["avro", "gor", "gor.gz", "har", "jsonl"];

/// Requests whose copies are hard to get right.
fn odd() -> Vec<Vec<u8>> {
    let post = |path: &str, body: &[u8]| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let every_byte: Vec<u8> = (0..=255).collect();
    let huge: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect();
    vec![
        b"GET /plain?a=1&b=%20&&c HTTP/1.1\r\nHost: app\r\nX-A: 1\r\nx-b:  two \r\nX-A: 3\r\nX-Latin: caf\xe9\r\n\r\n".to_vec(),
        post("/empty", b""),
        post("/binary", &every_byte),
        post("/huge", &huge),
        post("/line-ends", b"\r\n\r\n1 2 3\n\n"),
        b"PURGE /odd-method HTTP/1.1\r\nhOST: app\r\nX-Empty:\r\n\r\n".to_vec(),
        b"PUT /chunks HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\n\0\xff\r\n\r\r\n0\r\n\r\n".to_vec(),
        post("/separator", "1\n\u{1f435}\u{1f648}\u{1f649}\n2".as_bytes()),
    ]
}

/// What came, whatever connection it came on.
fn arrived(server: &Server) -> Vec<(String, Vec<u8>)> {
    // One with GoReplay's separator in it is sent in chunks, which take that apart.
    let framed = |head: String| match head.starts_with("POST /separator") {
        true => head.replace("Transfer-Encoding: chunked", "Content-Length: 16"),
        false => head,
    };
    let requests = server.requests().into_iter();
    let mut all: Vec<_> = requests.map(|Message { head, body, .. }| (framed(head), body)).collect();
    all.sort_unstable();
    all
}

#[test]
fn recorded_converted_and_replayed_it_arrives_as_it_was() {
    let (folder, upstream, live) = (Folder::new(), Server::ok(), Server::ok());
    let record = folder.path("live.avro");
    let config = Config::upstream(upstream.address())
        .shadow("live", live.address())
        .set("record", record.to_str().expect("UTF-8"));
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for request in odd() {
        client.send(&request);
        assert_eq!(client.response_to("POST").status(), 200);
    }
    mirror.terminate().assert_exact();
    let wanted = arrived(&live);
    assert_eq!(wanted.len(), odd().len());
    let convert = |from: &str, to: &str| {
        let ran = folder.run(&["convert", from, to]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    for from in FORMATS {
        let first = format!("first.{from}");
        convert("live.avro", &first);
        for to in FORMATS {
            let second = format!("{from}.second.{to}");
            convert(&first, &second);
            let target = Server::ok();
            let shadow = format!("--shadow={}", target.address());
            let done = replayed(&folder.path(""), &[&second, &shadow, "--speed=max", "--order=connection"]);
            assert_eq!(done.code, Some(0), "{from} to {to}: {done:#?}");
            let found = arrived(&target);
            for (found, wanted) in found.iter().zip(&wanted) {
                assert_eq!(found.0, wanted.0, "{from} to {to}");
                assert!(found.1 == wanted.1, "{from} to {to}: the body of {}", found.0);
            }
            assert_eq!(found.len(), wanted.len(), "{from} to {to}");
        }
    }
}
