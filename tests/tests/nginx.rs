//! Between curl or wrk and a real nginx, with another one as the target.

use std::path::Path;
use std::process::Command;

use mirror_tests::nginx::{self, Nginx, Served};
use mirror_tests::{Config, Mirror, is_there, json, upload};

/// An nginx, a copy of it, and a `mirror` between them and the clients.
struct Stand {
    upstream: Nginx,
    target: Nginx,
    mirror: Mirror,
    folder: tempfile::TempDir,
}

/// What a client is told that is not an error: what it printed.
#[track_caller]
fn print_of(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().expect("a program that was found");
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output.stdout
}

impl Stand {
    /// None where something that it needs is not there.
    fn new(client: &str) -> Option<Stand> {
        // wrk tells its version with exit code 1.
        let client_is_there = Command::new(client).arg("--version").output().is_ok();
        if !client_is_there {
            eprintln!("skipped: there is no {client} here");
        }
        if !(client_is_there && nginx::is_there()) {
            return None;
        }
        let (upstream, target) = (Nginx::start(), Nginx::start());
        for nginx in [&upstream, &target] {
            std::fs::write(nginx.file("16k"), upload::body(16 * 1024)).expect("a file of our own");
        }
        // As far behind as an upload is long: the machine may be busy.
        let settings = json!({ "timeout": "10s", "lag": "16MiB" });
        let config = Config::upstream(upstream.address()).shadow_with("target", target.address(), settings);
        let folder = tempfile::tempdir().expect("a folder of our own");
        Some(Stand { upstream, target, mirror: Mirror::start(config), folder })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.mirror.address())
    }

    /// Runs curl on a path.
    #[track_caller]
    fn curl(&self, arguments: &[&str], path: &str) -> Vec<u8> {
        print_of("curl", &[&["-sS", "--fail", "--max-time", "20"], arguments, &[&self.url(path)]].concat())
    }

    /// A file to send.
    fn body(&self, length: usize) -> String {
        let path = self.folder.path().join("body");
        std::fs::write(&path, upload::body(length)).expect("a file of our own");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// What both have served, which is the same; each line as `GET /tiny 200 2`.
    #[track_caller]
    fn served_by_both(&self, count: usize) -> Vec<String> {
        self.mirror.wait_delivered("target", count as u64);
        let lines = |nginx: &Nginx| {
            let line = |Served { request, status, sent, .. }| format!("{request} {status} {sent}");
            let mut lines: Vec<_> = nginx.wait_served(1 + count).into_iter().map(line).collect();
            lines.sort();
            lines
        };
        let (upstream, target) = (lines(&self.upstream), lines(&self.target));
        assert_eq!(upstream, target);
        assert_eq!(upstream.len(), count);
        upstream
    }
}

#[test]
fn files_heads_ranges_and_conditions() {
    let Some(stand) = Stand::new("curl") else { return };
    assert!(stand.curl(&[], "/16k") == upload::body(16 * 1024));
    assert!(stand.curl(&["--range", "100-299"], "/16k") == upload::body(300)[100..]);
    let head = String::from_utf8(stand.curl(&["--head"], "/16k")).expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("\r\nContent-Length: 16384\r\n"), "{head:?}");
    let later = ["-H", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "-w", "%{http_code}"];
    assert_eq!(stand.curl(&later, "/16k"), b"304");
    let missing = print_of("curl", &["-sS", "-o", "/dev/null", "-w", "%{http_code}", &stand.url("/missing")]);
    assert_eq!(missing, b"404");
    let served = stand.served_by_both(5);
    let expected =
        ["GET /16k 200 16384", "GET /16k 206 200", "GET /16k 304 0", "GET /missing 404 153", "HEAD /16k 200 0"];
    assert_eq!(served, expected);
    assert_eq!(stand.mirror.terminate().sink("target").delivered, 5);
}

#[test]
fn an_unhurried_load_is_delivered_whole_over_few_connections() {
    let Some(stand) = Stand::new("curl") else { return };
    // One after the other, over one connection.
    let print = stand.curl(&["-w", " %{http_code} %{num_connects}\n"], "/tiny?[1-200]");
    let print = String::from_utf8(print).expect("text");
    assert_eq!(print.lines().filter(|line| line.starts_with("ok 200 ")).count(), 200, "{print}");
    assert_eq!(print.lines().filter(|line| line.ends_with(" 1")).count(), 1, "{print}");
    stand.served_by_both(200);
    for (nginx, most) in [(&stand.upstream, 1), (&stand.target, 128)] {
        let connections: std::collections::BTreeSet<_> =
            nginx.served().iter().map(|served| served.connection).collect();
        assert!(connections.len() <= most, "{connections:?}");
    }
    let summary = stand.mirror.terminate();
    assert_eq!((summary.seen, summary.sink("target").delivered), (200, 200), "{summary:#?}");
}

#[test]
fn uploads_with_a_length_and_in_chunks() {
    const LENGTH: usize = 5_000_000;
    let Some(stand) = Stand::new("curl") else { return };
    let body = stand.body(LENGTH);
    let data = format!("@{body}");
    let put = ["-X", "PUT", "--data-binary", &data];
    stand.curl(&put, "/put/length");
    stand.curl(&[&put[..], &["-H", "Expect: 100-continue"]].concat(), "/put/length-expect");
    stand.curl(&[&put[..], &["-H", "Transfer-Encoding: chunked"]].concat(), "/put/chunked");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"];
    stand.curl(&[&put[..], &chunked].concat(), "/put/chunked-expect");
    stand.curl(&["-T", &body], "/put/file");
    let metrics = stand.mirror.wait_settled(5);
    assert_eq!(metrics.delivered("target"), 5, "{metrics:#?}");
    for name in ["length", "length-expect", "chunked", "chunked-expect", "file"] {
        for nginx in [&stand.upstream, &stand.target] {
            assert_uploaded(&nginx.file(&format!("put/{name}")), LENGTH);
        }
    }
    let served = stand.served_by_both(5);
    assert!(served.iter().all(|line| line.contains(" 201 ")), "{served:?}");
    assert_eq!(stand.mirror.terminate().sink("target").delivered, 5);
}

#[track_caller]
fn assert_uploaded(path: &Path, length: usize) {
    let uploaded = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(uploaded == upload::body(length), "{} has {} bytes", path.display(), uploaded.len());
}

/// Many clients at once for a second: no client sees an error, and what did not fit is counted.
#[track_caller]
fn hurry(path: &str, script: Option<&str>) {
    let Some(stand) = Stand::new("wrk") else { return };
    let file = stand.folder.path().join("script.lua");
    std::fs::write(&file, script.unwrap_or_default()).expect("a file of our own");
    let url = stand.url(path);
    let mut arguments = vec!["-c32", "-t2", "-d1s", "--timeout", "10s"];
    if script.is_some() {
        arguments.extend(["-s", file.to_str().expect("UTF-8")]);
    }
    let print = String::from_utf8(print_of("wrk", &[&arguments[..], &[&url]].concat())).expect("text");
    assert!(!print.contains("Socket errors") && !print.contains("Non-2xx"), "{print}");
    let requests: u64 = print
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())
        .unwrap_or_else(|| panic!("no number of requests: {print}"));

    let summary = stand.mirror.terminate();
    let target = summary.sink("target");
    assert_eq!((target.offered, target.failed), (summary.seen, 0), "{summary:#?}");
    // wrk leaves in the middle of up to 32 requests.
    assert!((requests..=requests + 32).contains(&summary.seen), "{requests}: {summary:#?}");
    assert!(requests > 0 && target.delivered > 0, "{summary:#?}");
    assert_eq!(
        stand.target.wait_served(1 + target.delivered as usize).iter().filter(|served| served.status != 200).count(),
        0
    );
}

#[test]
fn tiny_gets_by_wrk() {
    hurry("/tiny", None);
}

#[test]
fn gets_of_16_kib_by_wrk() {
    hurry("/16k", None);
}

#[test]
fn posts_of_16_kib_by_wrk() {
    hurry("/post", Some(r#"wrk.method = "POST"; wrk.body = string.rep("x", 16384)"#));
}

/// curl is quick to say that something is not HTTP as it should be.
#[test]
fn curl_finds_nothing_to_complain_of() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    let Some(stand) = Stand::new("curl") else { return };
    let said = Command::new("curl")
        .args(["-v", &stand.url("/16k"), &stand.url("/tiny"), "-o", "/dev/null", "-o", "/dev/null"])
        .output();
    let said = String::from_utf8_lossy(&said.expect("curl").stderr).into_owned();
    assert!(said.contains("Re-using existing connection") && said.contains("left intact"), "{said}");
    assert!(!said.contains("Excess found") && !said.contains("error"), "{said}");
}
