//! GoReplay's command lines on files: what was saved is replayed, and what is saved is GoReplay's.

use std::io::{Read, Write};

use mirror_tests::capture::is_permitted;
use mirror_tests::{Conn, Folder, Mirror, Ran, Server, Summary, WITHIN, refusal};

/// What GoReplay ends a message with.
const SEPARATOR: &str = "\n🐵🙈🙉\n";

/// Two requests and the response to the first, half a second between them, as GoReplay writes them.
fn by_goreplay() -> String {
    [
        "1 824e46b17f0000016f787925 1795356240850091280 0\nPOST /a?x=1 HTTP/1.1\r\nHost: app\r\nContent-Length: 7\r\n\r\na=1&b=2",
        "2 824e46b17f0000016f787925 1795356240851091280 1000\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "1 824e46b17f0000016f787930 1795356241350091280 0\nGET /b HTTP/1.1\r\nHost: app\r\n\r\n",
    ]
    .map(|message| format!("{message}{SEPARATOR}"))
    .concat()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(text.as_bytes()).and_then(|()| to.finish()).expect("memory")
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).expect("gzip of text");
    text
}

/// Runs a line to its end.
#[track_caller]
fn gor(folder: &Folder, flags: &[&str]) -> Ran {
    folder.run(&[&["gor"], flags, &["--set=admin.address=off", "--set=log.format=json"]].concat())
}

/// The same, which has to end well; the sums.
#[track_caller]
fn replay(folder: &Folder, target: &Server, flags: &[&str]) -> Summary {
    let output = format!("--output-http={}", target.address());
    let ran = gor(folder, &[flags, &[&output]].concat());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let summary = Summary::parse(&ran.stdout).unwrap_or_else(|| panic!("no table of sums: {ran:#?}"));
    summary.assert_exact();
    summary
}

fn lines(target: &Server) -> Vec<String> {
    let line = |line: &str| line.trim_end_matches(" HTTP/1.1").to_owned();
    target.requests().iter().map(|request| line(request.start_line())).collect()
}

/// The first line and the payload's first line of each message.
fn messages(recording: &str) -> Vec<(String, String)> {
    assert!(recording.ends_with(SEPARATOR), "{recording}");
    let whole = recording.strip_suffix(SEPARATOR).expect("looked at above");
    let line = |lines: &mut std::str::Lines<'_>| lines.next().expect("a line").to_owned();
    let message = |message: &str| {
        let mut lines = message.lines();
        (line(&mut lines), line(&mut lines))
    };
    whole.split(SEPARATOR).map(message).collect()
}

/// Types and start lines, without what no two runs have in common.
fn told(recording: &str) -> Vec<String> {
    messages(recording).into_iter().map(|(meta, line)| format!("{} {line}", &meta[..1])).collect()
}

#[test]
fn saved_and_replayed() {
    if !is_permitted() {
        return;
    }
    let (folder, application) = (Folder::new(), Server::ok());
    let input = format!("lo:{}", application.address().port());
    let file = folder.path("requests.gor");
    let mirror = Mirror::gor(&["--input-raw", &input, "--output-file", file.to_str().expect("UTF-8")]);
    let mut client = Conn::open(application.address());
    for request in [
        "GET /1 HTTP/1.1\r\nHost: app\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello",
        "PURGE /3 HTTP/1.1\r\nHost: app\r\n\r\n",
    ] {
        assert_eq!(client.exchange(request).text(), "ok");
    }
    mirror.wait_delivered("record", 3);
    mirror.terminate();
    // GoReplay numbers its files, and records requests alone where responses were not asked for.
    let recording = String::from_utf8(folder.read("requests_0.gor")).expect("text");
    assert_eq!(told(&recording), ["1 GET /1 HTTP/1.1", "1 POST /2 HTTP/1.1", "1 PURGE /3 HTTP/1.1"]);
    for (meta, _) in messages(&recording) {
        let fields: Vec<&str> = meta.split(' ').collect();
        assert!(fields.len() == 4 && fields[1].len() == 24 && fields[2].parse::<u64>().is_ok(), "{meta}");
    }

    let target = Server::ok();
    let summary = replay(&folder, &target, &["--input-file", "requests*.gor|200%", "--http-disallow-url", "/1"]);
    assert_eq!((lines(&target), summary.seen), (vec!["POST /2".into(), "PURGE /3".into()], 3));
    assert_eq!(target.requests()[0].text(), "hello");
}

#[test]
fn with_responses_and_answers_into_a_compressed_file_of_any_name() {
    if !is_permitted() {
        return;
    }
    let (folder, application) = (Folder::new(), Server::ok());
    let target = Server::answering(|_| "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let (input, output) = (format!("lo:{}", application.address().port()), target.address().to_string());
    let file = folder.path("traffic.log.gz");
    let mirror = Mirror::gor(&[
        "--input-raw",
        &input,
        "--input-raw-track-response",
        "--output-http",
        &output,
        "--output-http-track-response",
        "--output-file",
        file.to_str().expect("UTF-8"),
        "--output-file-append",
    ]);
    assert_eq!(Conn::open(application.address()).exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
    mirror.wait_delivered("record", 1);
    mirror.terminate();
    let recording = gunzip(&folder.read("traffic.log.gz"));
    assert_eq!(told(&recording), ["1 GET / HTTP/1.1", "2 HTTP/1.1 200 OK", "3 HTTP/1.1 404 No"]);
    let ids: Vec<_> = messages(&recording).iter().map(|(meta, _)| meta[2..26].to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn goreplays_own_files_are_replayed() {
    let folder = Folder::new();
    let (first, second) = (by_goreplay(), by_goreplay().replace("/a?x=1", "/c").replace("/b", "/d"));
    folder.write("one_0.gor", &first);
    folder.write("two.gor.gz", gzip(&second));
    folder.write("any-name", &first);
    for (flags, mut expected) in [
        (&["--input-file", "one_0.gor|500%"][..], vec!["POST /a?x=1", "GET /b"]),
        (&["--input-file", "any-name|500%"], vec!["POST /a?x=1", "GET /b"]),
        (&["-input-file=two.gor.gz|1000%"], vec!["POST /c", "GET /d"]),
        (
            &["--input-file", "one*.gor|1000%", "--input-file", "t*.gz|1000%"],
            vec!["POST /a?x=1", "POST /c", "GET /b", "GET /d"],
        ),
        (
            &["--input-file", "one_0.gor", "--input-file-max-wait", "10ms", "--input-file-read-depth", "1000"],
            vec!["POST /a?x=1", "GET /b"],
        ),
    ] {
        let target = Server::ok();
        let summary = replay(&folder, &target, flags);
        let mut sent = lines(&target);
        // What is due at the same time arrives in any order.
        sent.sort_unstable();
        expected.sort_unstable();
        assert_eq!((sent, summary.seen), (expected.iter().map(ToString::to_string).collect(), expected.len() as u64));
        let bodies: Vec<String> = target.requests().iter().map(|request| request.text()).collect();
        assert!(bodies.iter().any(|body| body == "a=1&b=2"), "{bodies:?}");
    }
}

#[test]
fn round_and_round_until_it_is_told_to_end() {
    let (folder, target) = (Folder::new(), Server::ok());
    folder.write("requests.gor", by_goreplay());
    let (file, output) = (folder.path("requests.gor"), target.address().to_string());
    let input = format!("{}|2000%", file.display());
    let mirror = Mirror::gor(&["--input-file", &input, "--input-file-loop", "--output-http", &output]);
    mirror.wait_for(WITHIN, |metrics| metrics.delivered(&output) >= 7);
    let summary = mirror.terminate();
    assert!(summary.seen >= 7, "{summary:?}");
}

#[test]
fn on_stdout_in_goreplays_format() {
    let folder = Folder::new();
    folder.write("requests.gor", by_goreplay());
    let ran = gor(&folder, &["--input-file", "requests.gor|500%", "--output-stdout"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(told(&ran.stdout), ["1 POST /a?x=1 HTTP/1.1", "2 HTTP/1.1 200 OK", "1 GET /b HTTP/1.1"]);
    assert!(ran.stdout.contains("\r\n\r\na=1&b=2\n🐵🙈🙉\n"), "{}", ran.stdout);
}

#[test]
fn what_is_replayed_is_recorded_again_without_what_is_filtered() {
    let folder = Folder::new();
    folder.write("all.gor", by_goreplay());
    let filters = ["--http-allow-url", "^/a", "--http-set-header", "X-Env: staging"];
    let ran = gor(&folder, &[&["--input-file", "all.gor|500%", "--output-file", "some.gor"][..], &filters].concat());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let recording = String::from_utf8(folder.read("some_0.gor")).expect("text");
    assert_eq!(told(&recording), ["1 POST /a?x=1 HTTP/1.1", "2 HTTP/1.1 200 OK"]);
    assert!(recording.contains("\r\nX-Env: staging\r\n"), "{recording}");

    let target = Server::ok();
    replay(&folder, &target, &["--input-file", "some_0.gor"]);
    assert_eq!(lines(&target), ["POST /a?x=1"]);
}

#[test]
fn a_file_for_each_time_that_a_name_says() {
    let folder = Folder::new();
    // More than a second between the two.
    folder.write("all.gor", by_goreplay().replace("1795356241350091280", "1795356242050091280"));
    let output = ["--output-file", "at-%H%M%S.txt", "--output-file-append", "--output-file-flush-interval", "10ms"];
    let ran = gor(&folder, &[&["--input-file", "all.gor"][..], &output].concat());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let files = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").file_name());
    let mut files: Vec<String> = files.map(|name| name.into_string().expect("UTF-8")).collect();
    files.retain(|name| name.starts_with("at-"));
    let recorded: Vec<Vec<String>> =
        files.iter().map(|name| told(&String::from_utf8(folder.read(name)).expect("text"))).collect();
    assert!(recorded.contains(&vec!["1 GET /b HTTP/1.1".to_owned()]), "{files:?}: {recorded:?}");
    assert!(recorded.iter().any(|told| told[0] == "1 POST /a?x=1 HTTP/1.1"), "{files:?}: {recorded:?}");
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn limits_of_files() {
    let folder = Folder::new();
    let message = |i: u64| {
        format!(
            "1 {i:024x} {} 0\nGET /{i} HTTP/1.1\r\nHost: app\r\n\r\n{SEPARATOR}",
            1_795_356_240_850_091_280 + i * 1_000_000
        )
    };
    folder.write("many.gor", (1..=200).map(message).collect::<String>());
    // Two hundred in a fifth of a second, of which one a second may pass.
    let target = Server::ok();
    let summary = replay(&folder, &target, &["--input-file", "many.gor|1"]);
    let passed = target.requests().len();
    assert_eq!(summary.seen, 200);
    assert!((1..100).contains(&passed), "{passed}");
    // Of an output, a fraction.
    let ran = gor(&folder, &["--input-file", "many.gor", "--output-file", "few.gor|20%"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let few = told(&String::from_utf8(folder.read("few_0.gor")).expect("text")).len();
    assert!((10..100).contains(&few), "about a fifth of two hundred: {few}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = Folder::new();
    folder.write("notes", "precious notes");
    for (file, part) in [("notes", "notes"), ("none*.gor", "none*.gor"), ("none.gor", "none.gor")] {
        let said = refusal(folder.as_ref(), &["gor", "--input-file", file, "--output-http", ":81"]);
        assert!(said.contains("expected recordings that can be read") && said.contains(part), "{said}");
    }
    let said = refusal(folder.as_ref(), &["gor", "--input-file", "notes|max", "--output-http", ":81"]);
    assert!(said.contains("--input-file: \"notes|max\": expected behind the bar a speed, as in |200%"), "{said}");
    let dry = ["gor", "--input-file", "a.gor", "--input-file-dry-run", "--output-http", ":81"];
    let said = refusal(folder.as_ref(), &dry);
    assert!(said.contains("--input-file-dry-run: expected in its place `mirror inspect --stats FILE`"), "{said}");
    assert_eq!(folder.read("notes"), b"precious notes");
}
