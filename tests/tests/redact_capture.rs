//! What is redacted of captured traffic is nowhere, nor of what only a capture sees: trailers, odd heads, messages with bytes missing.

use mirror_tests::capture::{Pcap, Talk, read, records};
use mirror_tests::recording::Fastavro;
use mirror_tests::secrets::{
    ANSWER, JSON, TARGET, assert_hidden, assert_recording_hidden, bodies, cut, request, response, stages,
};
use mirror_tests::{Server, json};

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
