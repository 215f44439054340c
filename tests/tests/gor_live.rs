//! GoReplay's command lines on live traffic: what its documentation shows, with `mirror` in place of `gor`'s first word.

use std::path::Path;

use mirror_tests::capture::is_permitted;
use mirror_tests::middleware::Programs;
use mirror_tests::wire::{CARD, CLIENT, Wire};
use mirror_tests::{Conn, Message, Mirror, Server, WITHIN, refusal, run_to_end};

/// The words of a line: split at spaces, save in quotes.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// An application that is listened to, and two targets.
struct Stage {
    application: Server,
    targets: [Server; 2],
}

impl Stage {
    /// None where nobody may listen here, which is said.
    fn set() -> Option<Stage> {
        is_permitted().then(|| Stage { application: Server::ok(), targets: [Server::ok(), Server::ok()] })
    }

    /// The flags with the ports of the application (`APP`), and the addresses of the targets (`ONE`, `TWO`) in them.
    fn words(&self, line: &str) -> Vec<String> {
        let [one, two] = self.targets.each_ref().map(|target| target.address().to_string());
        let port = self.application.address().port().to_string();
        let line = line.replace("APP", &port).replace("ONE", &one).replace("TWO", &two);
        words(&line)
    }

    fn start(&self, line: &str) -> Mirror {
        let words = self.words(line);
        Mirror::gor(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Sends each request to the application, and gives what has come to the targets of them.
    fn mirrored(&self, line: &str, requests: &[&str]) -> [Vec<Message>; 2] {
        let mirror = self.start(line);
        self.send(requests);
        self.settled(mirror, requests.len())
    }

    fn send(&self, requests: &[&str]) {
        let mut client = Conn::open(self.application.address());
        for request in requests {
            assert_eq!(client.exchange(request).text(), "ok");
        }
    }

    /// What has come to the targets once all of so many requests are settled or skipped at each.
    fn settled(&self, mirror: Mirror, count: usize) -> [Vec<Message>; 2] {
        mirror.wait_for(WITHIN, |metrics| {
            metrics.sinks().iter().all(|sink| {
                let skipped = metrics.sum("mirror_sink_skipped_total", &[&format!("sink=\"{sink}\"")]);
                // What a target's own fraction leaves out is not offered, and its absence is no skip.
                let outside = metrics.sum("mirror_source_outside_fraction_total", &[]);
                metrics.settled(sink) as f64 + skipped + outside >= count as f64
            })
        });
        mirror.terminate();
        self.targets.each_ref().map(Server::requests)
    }
}

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n{more}\r\n")
}

/// What was asked for, sorted: what goes out at once arrives in any order.
fn lines(requests: &[Message]) -> Vec<&str> {
    let mut lines: Vec<_> = requests.iter().map(|request| request.start_line().trim_end_matches(" HTTP/1.1")).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn live_traffic_goes_to_another_host() {
    let Some(stage) = Stage::set() else { return };
    let [one, two] = stage.mirrored(
        "--input-raw :APP --output-http http://ONE --output-http TWO",
        &[&get("/a?b=c", "User-Agent: curl\r\n")],
    );
    for (requests, target) in [one, two].iter().zip(&stage.targets) {
        assert_eq!(lines(requests), ["GET /a?b=c"]);
        let host = target.address().to_string();
        assert_eq!((requests[0].header("host"), requests[0].header("user-agent")), (Some(&*host), Some("curl")));
    }
}

#[test]
fn with_the_original_host() {
    let Some(stage) = Stage::set() else { return };
    let [one, _] = stage.mirrored("-input-raw 127.0.0.1:APP -output-http=ONE -http-original-host", &[&get("/", "")]);
    assert_eq!(one[0].header("host"), Some("app.example"));
}

#[test]
fn filtered_by_method_url_and_header() {
    let Some(stage) = Stage::set() else { return };
    let v1 = "api-version: v1.0\r\n";
    let requests = [
        get("/api/1", v1),
        get("/api/2", ""),
        get("/api/3", "Api-Version: v2\r\n"),
        get("/api/internal", v1),
        get("/other?next=/api/", v1),
        get("/v2/4", &format!("{v1}X-Skip: Replayed by Gor\r\n")),
        get("/v2/5?id=7", v1),
        format!("DELETE /api/6 HTTP/1.1\r\nHost: app\r\n{v1}\r\n"),
        format!("POST /api/7 HTTP/1.1\r\nHost: app\r\n{v1}Content-Length: 2\r\n\r\nhi"),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let line = "--input-raw lo:APP --output-http ONE --http-allow-method GET --http-allow-method POST --http-allow-url ^/api/ \
                --http-allow-url 'id=\\d$' --http-disallow-url internal --http-allow-header api-version:^v1 \
                --http-disallow-header 'X-Skip: Gor'";
    let [one, _] = stage.mirrored(line, &requests);
    assert_eq!(lines(&one), ["GET /api/1", "GET /v2/5?id=7", "POST /api/7"]);
}

#[test]
fn filtered_by_basic_credentials() {
    let Some(stage) = Stage::set() else { return };
    // customer1:welcome, other:welcome
    let (customer, other) =
        ("Authorization: Basic Y3VzdG9tZXIxOndlbGNvbWU=\r\n", "Authorization: Basic b3RoZXI6d2VsY29tZQ==\r\n");
    let requests = [
        get("/customer", customer),
        get("/other", other),
        get("/nobody", ""),
        get("/token", "Authorization: Bearer x\r\n"),
    ];
    let line = "--input-raw lo:APP --output-http ONE --http-basic-auth-filter '^customer[0-9].*'";
    let [one, _] = stage.mirrored(line, &requests.each_ref().map(String::as_str));
    assert_eq!(lines(&one), ["GET /customer", "GET /nobody", "GET /token"]);
}

#[test]
fn rewritten() {
    let Some(stage) = Stage::set() else { return };
    let line = "--input-raw lo:APP --output-http ONE --http-rewrite-url '/v1/user/([^\\/]+)/ping:/v2/user/$1/ping' --http-rewrite-url /v2:/never \
                --http-set-param api_key=1 --http-set-param 'q=a%20b' --http-set-header 'User-Agent: Gor' --http-set-header 'X-Env: {staging}' \
                --http-rewrite-header 'Host: (.*).example,$1.beta.example' --http-rewrite-header 'X-Ids: (\\d+),<$1>' --http-original-host \
                --input-raw-realip-header X-Real-IP";
    let [one, _] = stage.mirrored(line, &[&get("/v1/user/joe/ping?q=z&v2=1", "X-Ids: 1 22\r\nUser-Agent: curl\r\n")]);
    assert_eq!(lines(&one), ["GET /v2/user/joe/ping?q=a+b&v2=1&api_key=1"]);
    for (name, value) in [
        ("host", "app.beta.example"),
        ("user-agent", "Gor"),
        ("x-env", "{staging}"),
        ("x-ids", "<1> <22>"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        assert_eq!(one[0].header_values(name), [value], "{:?}", one[0]);
    }
}

#[test]
fn a_host_that_is_set_is_the_host() {
    let Some(stage) = Stage::set() else { return };
    let [one, _] =
        stage.mirrored("--input-raw lo:APP --output-http ONE --http-set-header 'Host: beta.example'", &[&get("/", "")]);
    assert_eq!(one[0].header_values("host"), ["beta.example"]);
}

#[test]
fn the_same_users_as_with_goreplay() {
    let Some(stage) = Stage::set() else { return };
    // FNV-1a of 32 bits modulo 100, as GoReplay's own code has it: `abc` is 31, `a` 20, `b` 77.
    let requests = [
        get("/1?id=b", "User-Id: abc\r\n"),
        get("/2?id=b", "User-Id: a\r\n"),
        get("/3?id=a", "User-Id: a\r\n"),
        get("/4", ""),
    ];
    let line = "--input-raw lo:APP --output-http ONE --http-header-limiter user-id:25% --http-param-limiter id:70%";
    let [one, _] = stage.mirrored(line, &requests.each_ref().map(String::as_str));
    assert_eq!(lines(&one), ["GET /3?id=a", "GET /4"]);
}

#[test]
fn limits_of_each_output() {
    let Some(stage) = Stage::set() else { return };
    let requests = vec![get("/", ""); 200];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let mirror = stage.start("--input-raw lo:APP --output-http 'ONE|1' --output-http 'TWO|20%'");
    stage.send(&requests);
    let [one, two] = stage.targets.each_ref().map(|target| target.address().to_string());
    let metrics = mirror.wait_for(WITHIN, |metrics| {
        let skipped = |sink: &str| metrics.sum("mirror_sink_skipped_total", &[&format!("sink=\"{sink}\"")]) as u64;
        metrics.settled(&one) + skipped(&one) == 200 && metrics.settled(&two) > 0
    });
    let first = metrics.settled(&one);
    assert!((1..100).contains(&first), "one a second, of those that came at once: {first}");
    mirror.terminate();
    let second = stage.targets[1].requests().len();
    assert!((10..100).contains(&second), "about a fifth of two hundred: {second}");
}

#[test]
fn outputs_take_turns() {
    let Some(stage) = Stage::set() else { return };
    let requests: Vec<String> = (0..10).map(|i| get(&format!("/{i}"), "")).collect();
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let [one, two] =
        stage.mirrored("--input-raw lo:APP --output-http ONE --output-http TWO --split-output true", &requests);
    assert_eq!((one.len(), two.len()), (5, 5));
    assert!(lines(&one).iter().all(|line| !lines(&two).contains(line)));
}

#[test]
fn a_middleware_filters_and_changes() {
    let Some(stage) = Stage::set() else { return };
    let programs = Programs::new();
    let command = programs.python("if b'/secret' not in message: out(message.replace(b'X-Token: a', b'X-Token: b'))");
    let words: Vec<&str> = command.as_array().expect("a list").iter().filter_map(|word| word.as_str()).collect();
    let line =
        format!("--input-raw lo:APP --input-raw-track-response --output-http ONE --middleware '{}'", words.join(" "));
    let [one, _] = stage.mirrored(&line, &[&get("/a", "X-Token: a\r\n"), &get("/secret", ""), &get("/b", "")]);
    assert_eq!(lines(&one), ["GET /a", "GET /b"]);
    assert!(one.iter().any(|request| request.header("x-token") == Some("b")), "{one:?}");
}

#[test]
fn nowhere_and_for_a_time() {
    let Some(stage) = Stage::set() else { return };
    let mirror = stage.start("--input-raw :APP --output-null");
    stage.send(&[&get("/", "")]);
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_source_exchanges_total", &[]) >= 1.0);
    assert_eq!(mirror.terminate().seen, 1);

    let exit = stage.start("--input-raw :APP --output-http ONE --exit-after 300ms").wait_exit();
    assert_eq!(exit.status.code(), Some(0), "{exit:?}");
}

/// What this host asks of others on the same port is not meant.
#[test]
fn only_what_is_asked_of_this_host() {
    if !is_permitted() {
        return;
    }
    let Some(wire) = Wire::lay_kernels() else { return };
    const PORT: u16 = 8080;
    let answer = |mut conn: Conn| {
        while conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {}
    };
    let other = wire.client.within(|| Server::script_at((CLIENT, PORT).into(), answer));
    let ours = wire.server.within(|| Server::script_at(wire.address(PORT), answer));
    for input in [format!(":{PORT}"), format!("{CARD}:{PORT}"), format!("{}", ours.address())] {
        let (mirror, target) = wire.server.within(|| {
            let target = Server::ok();
            let output = target.address().to_string();
            (Mirror::gor(&["--input-raw", &input, "--output-http", &output]), target)
        });
        let ask = |address, path: &str| assert_eq!(Conn::open(address).exchange(&get(path, "")).text(), "ok");
        wire.server.within(|| ask(other.address(), "/outbound"));
        wire.client.within(|| ask(ours.address(), "/inbound"));
        wire.server.within(|| assert_eq!(target.wait_request().start_line(), "GET /inbound HTTP/1.1", "{input}"));
        let summary = wire.server.within(|| mirror.terminate());
        assert_eq!(summary.seen, 1, "{input}: {summary:?}");
    }
}

#[test]
fn what_is_printed_runs_the_same() {
    let Some(stage) = Stage::set() else { return };
    let line = "--input-raw lo:APP --output-http ONE --http-allow-url ^/a --http-rewrite-url /a(.*):/b$1 --http-set-header 'X-A: {b}'";
    let requests = [get("/a/1", ""), get("/c", "")];
    let requests = requests.each_ref().map(String::as_str);
    let [by_flags, _] = stage.mirrored(line, &requests);

    let words = stage.words(line);
    let words: Vec<&str> =
        ["gor"].into_iter().chain(words.iter().map(String::as_str)).chain(["--print-config"]).collect();
    let folder = tempfile::tempdir().expect("a folder of our own");
    let printed = run_to_end(folder.path(), &words);
    let yaml = String::from_utf8(printed.stdout).expect("UTF-8");
    let path = folder.path().join("mirror.yaml");
    std::fs::write(&path, yaml).expect("a file of our own");
    let again = Stage { application: stage.application, targets: stage.targets };
    let path = path.to_str().expect("UTF-8");
    let mirror = Mirror::start_with(&["run", path, "--admin=127.0.0.1:0", "--log-format=json"]);
    again.send(&requests);
    let [both, _] = again.settled(mirror, requests.len());
    let heads = |requests: &[Message]| requests.iter().map(|request| request.head.clone()).collect::<Vec<_>>();
    assert_eq!(heads(&both[by_flags.len()..]), heads(&by_flags));
    assert_eq!(lines(&by_flags), ["GET /b/1"]);
}

#[test]
fn what_cannot_be_run_is_refused_with_all_faults() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let said = refusal(
        folder.path(),
        &[
            "gor",
            "--input-raw",
            ":80",
            "--output-kafka-host",
            "a",
            "--http-allow-url",
            "(",
            "--output-htpp",
            ":81",
            "--recognize-tcp-sessions",
        ],
    );
    for part in [
        "mirror gor: 4 faults\n",
        "--output-htpp: expected a flag of GoReplay's; did you mean --output-http?\n",
        "--output-kafka-host: expected a command line without it: not supported yet (Kafka)\n",
        "--recognize-tcp-sessions: expected a command line without it: it is of GoReplay's paid edition\n",
        "--http-allow-url: \"~(\": expected a regular expression (unclosed group, at its character 1)\n",
    ] {
        assert!(said.contains(part), "{part}{said}");
    }
}

#[test]
fn what_has_nothing_to_set_is_told() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let words =
        ["gor", "--input-raw", ":80", "--output-http", ":81", "--stats", "--input-raw-expire=5s", "--print-config"];
    let output = run_to_end(folder.path(), &words);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<&str> = said.lines().collect();
    assert!(output.status.success() && lines.len() == 2, "{said}");
    assert!(lines[0].starts_with("mirror gor: --stats: the sums are printed at the end"), "{said}");
    assert!(lines[1].starts_with("mirror gor: --input-raw-expire: a message ends where HTTP says so"), "{said}");
}

/// The example's file is what the line in its README prints; `UPDATE_EXPECTED=1` writes it anew.
#[test]
fn the_example_is_what_its_line_comes_to() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/from-goreplay");
    let readme = std::fs::read_to_string(example.join("README.md")).expect("a README");
    let line = readme.lines().find(|line| line.ends_with("--print-config")).expect("a line that prints");
    let line = line.trim().strip_prefix("mirror ").expect("our own program");
    let words = words(line);
    let output = run_to_end(&example, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let printed = format!("# What a command line of GoReplay's comes to; README.md has the line.\n{printed}");
    let file = example.join("mirror.yaml");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, &printed).expect("a file that can be written");
    }
    assert_eq!(std::fs::read_to_string(file).expect("the example"), printed);
}
