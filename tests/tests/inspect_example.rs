//! What the README of examples/inspect-and-convert says is what one can do.

use std::path::Path;

use mirror_tests::capture::{Pcap, Talk};
use mirror_tests::{Config, Folder, Mirror, Server, json};

const README: &str = include_str!("../../examples/inspect-and-convert/README.md");

/// The lines that are typed at a prompt.
fn typed() -> impl Iterator<Item = &'static str> {
    README.lines().filter_map(|line| line.strip_prefix("    mirror "))
}

#[test]
fn each_line_of_it_works() {
    let folder = Folder::new();
    let upstream = Server::answering(|request| match request.start_line().contains("/fail") {
        true => "HTTP/1.1 500 Oh No\r\nContent-Length: 2\r\n\r\nno",
        false => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    });
    let record = json!({ "path": folder.path("traffic-%Y%m%d-%H%M%S.avro") });
    let mirror = Mirror::start(Config::upstream(upstream.address()).set("record", record));
    let mut client = mirror.connect();
    for target in ["/", "/api/one", "/fail"] {
        client.exchange(&format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n"));
    }
    mirror.wait_settled(3);
    mirror.terminate();
    let mut pcap = Pcap::default();
    let mut talk = Talk::open(&mut pcap, 40_001);
    talk.client(&mut pcap, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    talk.server(&mut pcap, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    talk.close(&mut pcap);
    pcap.write(&folder.path("trace.pcap"));

    let mut seen = 0;
    for line in typed().filter(|line| line.starts_with("inspect ") || line.starts_with("convert ")) {
        // What is followed does not end.
        let line = line.replace("--follow", "--follow -n 1");
        let ran = folder.shell(&format!("mirror {line}"));
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        seen += 1;
        if line.contains("--where 'status") {
            let out = line.split_whitespace().find(|word| word.starts_with("failed."));
            let shown = out.map_or(ran.stdout, |out| folder.run(&["inspect", out]).ok());
            assert!(shown.lines().count() == 1 && shown.contains("app/fail"), "{line}: {shown}");
        }
    }
    assert!(seen > 12, "{seen} lines were run");
    assert!(Path::new(&folder.path("traffic.gor.gz")).is_file());
}
