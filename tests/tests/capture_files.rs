//! Saved captures are read to their ends, and what cannot be captured is refused with what to do about it.

use std::path::Path;

use mirror_tests::capture::{Pcap, Talk, gzip, is_permitted, read, records};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Server, Value, json, refusal, run_to_end, upload};

const GET: &str = "GET /page HTTP/1.1\r\nHost: app\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

/// A request on one connection, and a long one on another, whole.
fn two() -> Pcap {
    let mut pcap = Pcap::default();
    let (mut short, mut long) = (Talk::open(&mut pcap, 40_001), Talk::open(&mut pcap, 40_002));
    long.client(&mut pcap, "POST /long HTTP/1.1\r\nHost: app\r\nContent-Length: 20000\r\n\r\n");
    short.client(&mut pcap, GET);
    short.server(&mut pcap, OK);
    short.close(&mut pcap);
    long.client(&mut pcap, upload::body(20_000));
    long.server(&mut pcap, OK);
    long.close(&mut pcap);
    pcap
}

#[track_caller]
fn assert_two(records: &[Value]) {
    let [long, short] = records else { panic!("{records:#?}") };
    let long_body: String = upload::body(20_000).into_iter().map(char::from).collect();
    assert!(long["request"]["body"] == long_body, "the long body is whole");
    assert_eq!((&short["request"]["target"], &short["request"]["body"]), (&json!("/page"), &json!("")));
    for record in records {
        assert_eq!((&record["source"], &record["aborted"]), (&json!("capture"), &Value::Null));
        assert_eq!((&record["response"]["status"], &record["response"]["body"]), (&json!(200), &json!("ok")));
        assert_eq!(record["server"], "10.0.0.2:80");
    }
    assert_eq!((&long["client"], &short["client"]), (&json!("10.0.0.1:40002"), &json!("10.0.0.1:40001")));
    // The packets' times, not those of the reading: six packets opened the connections.
    assert_eq!((&long["start"], &short["start"]), (&json!(Pcap::START + 6000), &json!(Pcap::START + 7000)));
    assert_eq!(short["response_start_micros"], 1000);
}

#[test]
fn it_ends_with_the_file() {
    let Some(fastavro) = Fastavro::find() else { return };
    for capture in ["trace.pcap:80", "trace.pcap"] {
        let folder = folder();
        two().write(&folder.path().join("trace.pcap"));
        let (code, summary, said) = read(folder.path(), capture, &[]);
        assert_eq!((code, summary.seen, summary.sink("record").delivered), (Some(0), 2, 2), "{said}");
        assert_two(&records(&fastavro, folder.path()));
    }
}

#[test]
fn gzip_is_read_as_it_is() {
    let Some(fastavro) = Fastavro::find() else { return };
    let folder = folder();
    let Some(compressed) = gzip(two().bytes(), folder.path()) else { return };
    std::fs::write(folder.path().join("trace.pcap.gz"), compressed).expect("a file of our own");
    let (code, summary, said) = read(folder.path(), "trace.pcap.gz:80", &[]);
    assert_eq!((code, summary.seen), (Some(0), 2), "{said}");
    assert_two(&records(&fastavro, folder.path()));
}

#[test]
fn other_ports_and_a_filter_leave_out() {
    let folder = folder();
    two().write(&folder.path().join("trace.pcap"));
    for (capture, filter, seen) in
        [("trace.pcap:81", "ip", 0), ("trace.pcap:80", "not port 40001", 1), ("trace.pcap:80,81", "port 80", 2)]
    {
        let (code, summary, said) = read(folder.path(), capture, &["--bpf", filter]);
        assert_eq!((code, summary.seen), (Some(0), seen), "{capture} {filter}: {said}");
    }
}

/// What was read is kept, and that it is not all is told.
#[test]
fn a_file_that_is_cut_short() {
    let Some(fastavro) = Fastavro::find() else { return };
    let pcap = two();
    let whole = pcap.bytes();
    let folder = folder();
    let mut cuts = vec![("cut.pcap", whole[..whole.len() - 7].to_vec())];
    if let Some(mut compressed) = gzip(whole, folder.path()) {
        compressed.truncate(compressed.len() - 7);
        cuts.push(("cut.pcap.gz", compressed));
    }
    for (name, bytes) in cuts {
        let path = folder.path().join(name);
        std::fs::write(path, bytes).expect("a file of our own");
        let (code, summary, said) = read(folder.path(), &format!("{name}:80"), &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(name) && (said.contains("cut") || said.contains("truncated")), "{said}");
        assert_eq!((summary.seen, summary.sink("record").delivered), (2, 2), "{said}");
        assert_two(&records(&fastavro, folder.path()));
        std::fs::remove_file(folder.path().join("out.avro")).expect("the recording");
    }
}

#[test]
fn what_the_capture_missed_is_marked() {
    let Some(fastavro) = Fastavro::find() else { return };
    let target = Server::ok();
    let folder = folder();
    let mut pcap = Pcap::default();
    let mut talk = Talk::open(&mut pcap, 40_001);
    talk.client(&mut pcap, "POST /hole HTTP/1.1\r\nHost: app\r\nContent-Length: 9\r\n\r\nabc");
    talk.missed("def");
    talk.client(&mut pcap, "ghi");
    talk.server(&mut pcap, OK);
    talk.client(&mut pcap, GET);
    talk.server(&mut pcap, OK);
    talk.close(&mut pcap);
    let mut talk = Talk::open(&mut pcap, 40_002);
    talk.client(&mut pcap, "POST /reset HTTP/1.1\r\nHost: app\r\nContent-Length: 9\r\n\r\nabc");
    talk.reset(&mut pcap);
    pcap.write(&folder.path().join("trace.pcap"));
    let shadow = target.address().to_string();
    let (code, summary, said) = read(folder.path(), "trace.pcap:80", &["--shadow", &shadow]);
    assert_eq!((code, summary.seen), (Some(0), 3), "{said}");
    // Nothing with a hole in it, and nothing that did not come to its end.
    assert_eq!(target.wait_request().start_line(), "GET /page HTTP/1.1");
    let records = records(&fastavro, folder.path());
    let [hole, next, reset] = &records[..] else { panic!("{records:#?}") };
    assert_eq!((&hole["request"]["truncated"], &hole["request"]["body_length"]), (&json!("capture"), &json!(9)));
    assert_eq!(hole["response"]["body"], "ok");
    assert_eq!((&next["request"]["truncated"], &next["response"]["body"]), (&Value::Null, &json!("ok")));
    assert_eq!((&reset["aborted"], &reset["request"]["body"]), (&json!("downstream"), &json!("abc")));
}

#[test]
fn the_example_reads_a_pcap() {
    let Some(fastavro) = Fastavro::find() else { return };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/read-a-pcap/mirror.yaml");
    let (target, folder) = (Server::ok(), folder());
    // As it is named there; which of the two formats it is, is told by what is in it.
    two().write(&folder.path().join("trace.pcapng"));
    let shadow = format!("--set=shadow.0.target=http://{}", target.address());
    let output = run_to_end(folder.path(), &["run", example.to_str().expect("UTF-8"), "--admin=off", &shadow]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(target.requests().len(), 2);
    let mut records = fastavro.read(&folder.path().join("traffic.avro"));
    records.sort_by_key(|record| record["start"].as_u64());
    assert_two(&records);
}

/// What is said of this capture, beside what makes a configuration whole.
#[track_caller]
fn refused(folder: &Path, flags: &[&str]) -> String {
    let said = refusal(folder, &[&["--record=out.avro", "--admin=off"], flags].concat());
    assert!(said.starts_with("mirror: 1 fault\n") && said.lines().count() == 2, "{said}");
    assert!(!folder.join("out.avro").exists(), "nothing was created: {said}");
    said
}

#[test]
fn captures_that_are_none() {
    let folder = folder();
    std::fs::write(folder.path().join("notes.pcap"), "dear diary, today it rained all day\n").expect("a file");
    std::fs::write(folder.path().join("empty.pcap"), "").expect("a file");
    std::fs::write(folder.path().join("head.pcap"), &Pcap::default().bytes()[..10]).expect("a file");
    std::fs::create_dir(folder.path().join("folder.pcap")).expect("a folder");
    for name in ["notes.pcap", "empty.pcap", "head.pcap", "folder.pcap", "none.pcap"] {
        let said = refused(folder.path(), &["--capture", &format!("{name}:80")]);
        assert!(said.contains(&format!("{name:?}: expected")), "{said}");
    }
    let said = refused(folder.path(), &["--capture=notes.pcap:80"]);
    assert!(said.contains("not a capture (pcap or pcapng"), "{said}");
    let said = refused(folder.path(), &["--capture=none.pcap:80"]);
    assert!(said.contains("No such file"), "{said}");
}

#[test]
fn ports_that_are_none() {
    let folder = folder();
    for port in ["0", "70000", "80,0", "http", ""] {
        let capture = format!("lo:{port}");
        let said = refused(folder.path(), &["--capture", &capture]);
        assert!(said.contains(&format!("--capture: {capture:?}: expected ports from 1 to 65535")), "{said}");
    }
    let said = refused(folder.path(), &["--capture=lo"]);
    assert!(said.contains("an interface needs ports, as in lo:80"), "{said}");
    let said = refused(folder.path(), &["--capture=8080"]);
    assert!(said.contains("of every interface it is :8080"), "{said}");
}

#[test]
fn a_target_that_is_listened_to() {
    let folder = folder();
    for capture in ["lo:8080", ":80,8080"] {
        let said = refused(folder.path(), &["--capture", capture, "--shadow=127.0.0.1:8080"]);
        assert!(
            said.contains("--shadow: \"127.0.0.1:8080\": expected another address") && said.contains("loop"),
            "{said}"
        );
    }
}

#[test]
fn filters_that_do_not_compile() {
    let folder = folder();
    two().write(&folder.path().join("trace.pcap"));
    let mut captures = vec!["trace.pcap:80"];
    captures.extend(is_permitted().then_some("lo:8080"));
    for capture in captures {
        let said = refused(folder.path(), &["--capture", capture, "--bpf=hots 10.0.0.9"]);
        // The end is libpcap's own.
        assert!(said.contains("bpf: \"hots 10.0.0.9\": expected") && said.contains("syntax error"), "{said}");
    }
}

#[test]
fn an_interface_that_is_not_there() {
    if !is_permitted() {
        return;
    }
    let folder = folder();
    let said = refused(folder.path(), &["--capture=lo77:8080"]);
    assert!(said.contains("capture[0].interface: \"lo77\": expected"), "{said}");
    let listed = said.split_once("there are: ").expect("those that there are").1;
    assert!(listed.split([',', ' ', ')']).any(|name| name == "lo"), "{said}");
    let output = run_to_end(folder.path(), &["interfaces"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.lines().any(|line| line.starts_with("lo ")), "{printed}");
    assert!(printed.contains("127.0.0.1"), "{printed}");
}
