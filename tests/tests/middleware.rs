//! Middlewares that do as they please: what goes on, what is lost, and what is told of it.

use mirror_tests::capture::{Pcap, Talk, read, records};
use mirror_tests::listener::Listener;
use mirror_tests::middleware::{Programs, members, wait_gone};
use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Message, Mirror, Server, Summary, Value, WITHIN, json, refusal};

#[path = "middleware/answers.rs"]
mod answers;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A proxy with one target, before which is a middleware that sees only requests.
struct Rig {
    mirror: Mirror,
    target: Server,
    _upstream: Server,
}

impl Rig {
    fn start(command: &Value, settings: &Value) -> Rig {
        let (upstream, target) = (Server::ok(), Server::ok());
        let mut middleware = json!({ "command": command, "responses": false });
        middleware.as_object_mut().expect("a map").extend(settings.as_object().expect("a map").clone());
        let config = Config::upstream(upstream.address())
            .shadow("target", target.address())
            .set("pipeline", json!([{ "middleware": middleware }]));
        Rig { mirror: Mirror::start(config), target, _upstream: upstream }
    }

    /// Sends requests for `/0`, `/1` and so on, whose clients see nothing of all this.
    fn send(&self, count: usize) {
        let mut client = self.mirror.connect();
        for i in 0..count {
            let response =
                client.exchange(&format!("POST /{i} HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nbody"));
            assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
        }
    }

    fn counted(&self, what: &str, label: &str) -> f64 {
        let labels = if label.is_empty() { vec![] } else { vec![label] };
        self.mirror.metrics().sum(&format!("mirror_middleware_{what}"), &labels)
    }

    /// Ends it; with what the target got.
    fn end(self) -> (Summary, Vec<Message>) {
        let summary = self.mirror.terminate();
        summary.assert_exact();
        (summary, self.target.requests())
    }
}

#[test]
fn a_program_that_dies_now_and_then_loses_what_it_had_and_nothing_else() {
    let programs = Programs::new();
    // Of every ten it takes the last with it.
    let command =
        programs.python("if count == 10:\n    sys.stderr.write('had enough\\n')\n    os._exit(3)\nout(message)");
    let rig = Rig::start(&command, &json!({ "restart": { "min": "10ms", "max": "10ms" }, "timeout": "20s" }));
    for sent in 1..=50 {
        rig.send(1);
        rig.mirror.wait_settled(sent);
    }
    rig.mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_middleware_restarts_total", &[]) == 5.0);
    assert_eq!(rig.counted("messages_total", "outcome=\"exited\""), 5.0);
    rig.mirror.wait_log("had enough");
    let told = rig.mirror.wait_log("the middleware has ended and is started again");
    assert_eq!((&told["status"], &told["messages_failed"]), (&json!("exit status: 3"), &json!(1)), "{told}");
    let (summary, requests) = rig.end();
    let target = summary.sink("target");
    assert_eq!((target.delivered, target.reason("dropped middleware"), requests.len()), (45, 5, 45), "{summary:#?}");
}

#[test]
fn what_a_program_does_not_get_to_is_dropped_or_passes_as_it_was() {
    let programs = Programs::new();
    for (on_failure, passes) in [("drop", false), ("pass", true)] {
        // It reads nothing, and is given more than it may have.
        let settings = json!({ "timeout": "200ms", "queue": 10, "on_failure": on_failure });
        let rig = Rig::start(&programs.shell("sleep 1000"), &settings);
        rig.send(30);
        rig.mirror.wait_settled(30);
        let (stalled, full) = (rig.counted("messages_total", "\"stalled\""), rig.counted("messages_total", "\"full\""));
        assert!(stalled >= 10.0 && stalled + full == 30.0, "{stalled} {full}");
        rig.mirror.wait_log("the middleware did not get to messages in time");
        let (summary, requests) = rig.end();
        let target = summary.sink("target");
        match passes {
            true => assert_eq!((target.delivered, requests.len()), (30, 30)),
            false => assert_eq!((target.reason("dropped middleware"), requests.len()), (30, 0)),
        }
    }
}

#[test]
fn garbage_and_floods_cost_nothing() {
    let programs = Programs::new();
    let each = "print('nonsense\\n\\n31\\n' + 'ab' * 2000000, flush=True)\n\
                sys.stderr.write('is it me? ' * 1000 + 'you are looking for\\n' * 1000)\n\
                out(message + b'!')\n\
                out(message)";
    let rig = Rig::start(&programs.python(each), &json!({ "timeout": "20s", "max_body": "16KiB" }));
    rig.send(10);
    rig.mirror.wait_settled(10);
    rig.mirror.wait_for(WITHIN, |metrics| {
        let bad = |reason: &str| metrics.sum("mirror_middleware_bad_lines_total", &[&format!("reason=\"{reason}\"")]);
        [bad("malformed"), bad("too_long"), bad("unmatched")] == [30.0, 10.0, 10.0]
    });
    assert!(rig.counted("stderr_suppressed_total", "") > 1000.0);
    rig.mirror.wait_log("the middleware printed what is no answer");
    rig.mirror.wait_log("you are looking for");
    let (summary, requests) = rig.end();
    assert_eq!(summary.sink("target").delivered, 10, "{summary:#?}");
    assert!(requests.iter().all(|request| request.text() == "body!"), "{requests:#?}");
}

#[test]
fn what_it_has_read_and_not_printed_is_filtered() {
    let programs = Programs::new();
    let each = "if b'/1 ' not in message and b'/2 ' not in message: out(message)";
    let rig = Rig::start(&programs.python(each), &json!({ "timeout": "3s", "on_failure": "pass" }));
    rig.send(4);
    let (summary, requests) = rig.end();
    let target = summary.sink("target");
    assert_eq!((target.delivered, target.reason("skipped middleware")), (2, 2), "{summary:#?}");
    let mut lines: Vec<&str> = requests.iter().map(Message::start_line).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["POST /0 HTTP/1.1", "POST /3 HTTP/1.1"]);
}

#[test]
fn long_bodies_are_not_shown() {
    let programs = Programs::new();
    let command = programs.python("out(message.replace(b'aaa', b'b'))");
    for (on_failure, passes) in [("drop", false), ("pass", true)] {
        let rig = Rig::start(&command, &json!({ "max_body": "64KiB", "on_failure": on_failure, "timeout": "20s" }));
        let mut client = rig.mirror.connect();
        for length in [65_536, 65_537] {
            let body = "a".repeat(length);
            client.exchange(&format!("PUT /{length} HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
        rig.mirror.wait_settled(2);
        assert_eq!(rig.counted("messages_total", "\"too_long\""), 1.0);
        let (summary, mut requests) = rig.end();
        requests.sort_by_key(|request| request.body.len());
        let bodies: Vec<String> = requests.iter().map(Message::text).collect();
        assert_eq!(bodies[0], "b".repeat(65_536 / 3) + "a");
        match passes {
            true => assert_eq!(bodies[1..], ["a".repeat(65_537)]),
            false => assert_eq!((bodies.len(), summary.sink("target").reason("dropped body_too_long")), (1, 1)),
        }
    }
}

#[test]
fn a_connection_stays_with_one_worker() {
    let programs = Programs::new();
    let command = programs.python("out(message + b' %d %d' % (os.getpid(), count))");
    let rig = Rig::start(&command, &json!({ "workers": 3, "timeout": "20s" }));
    let mut clients: Vec<_> = (0..6).map(|_| rig.mirror.connect()).collect();
    for i in 0..5 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.exchange(&format!("GET /{number}/{i} HTTP/1.1\r\nHost: app\r\nContent-Length: 1\r\n\r\n:"));
        }
    }
    rig.mirror.wait_delivered("target", 30);
    assert_eq!(rig.counted("running", ""), 3.0);
    let (_, requests) = rig.end();
    for number in 0..6 {
        let of =
            |i| requests.iter().find(|it| it.start_line() == format!("GET /{number}/{i} HTTP/1.1")).expect("a copy");
        let seen = (0..5).map(|i| {
            let text = of(i).text();
            let mut words = text.split(' ').skip(1).map(|word| word.parse::<u64>().expect("a number"));
            (words.next().expect("the process"), words.next().expect("the place in its order"))
        });
        let seen: Vec<_> = seen.collect();
        assert!(seen.windows(2).all(|two| two[0].0 == two[1].0 && two[0].1 < two[1].1), "{seen:?}");
    }
}

/// Starts a program of shell that tells its own number.
fn telling(programs: &Programs, then: &str) -> Value {
    programs.shell(&format!("echo $$ > pid.new; mv pid.new pid; {then}"))
}

#[test]
fn it_ends_with_us_and_may_finish_what_it_does() {
    let programs = Programs::new();
    let rig = Rig::start(&telling(&programs, "cat; sleep 0.5; echo all is written > told"), &json!({}));
    rig.send(3);
    let pid = programs.left("pid");
    assert!(members(&pid).lines().any(|member| member == pid.trim()), "a Ctrl-C at the terminal is not for it");
    let (summary, _) = rig.end();
    assert_eq!(summary.sink("target").delivered, 3, "{summary:#?}");
    assert_eq!(std::fs::read_to_string(programs.path("told")).expect("what it has written"), "all is written\n");
    wait_gone(&pid);
}

#[test]
fn one_that_does_not_want_to_end_is_made_to_with_all_that_it_has_started() {
    let programs = Programs::new();
    let rig =
        Rig::start(&telling(&programs, "trap '' TERM INT HUP; sleep 1000 & while :; do sleep 1; done"), &json!({}));
    let pid = programs.left("pid");
    let group =
        mirror_tests::wait_for("its processes", WITHIN, || Some(members(&pid)).filter(|all| all.lines().count() >= 3));
    rig.mirror.terminate();
    wait_gone(&group);
}

#[test]
fn it_ends_when_we_are_killed() {
    let programs = Programs::new();
    let rig = Rig::start(&telling(&programs, "exec cat"), &json!({}));
    rig.send(1);
    let pid = programs.left("pid");
    rig.mirror.signal(libc::SIGKILL);
    rig.mirror.wait_exit();
    wait_gone(&pid);
}

#[test]
fn programs_that_cannot_be_started_are_told_with_their_place() {
    let programs = Programs::new();
    let folder = tempfile::tempdir().expect("a folder of our own");
    let run = |more: &[&str]| {
        let flags = ["--listen=127.0.0.1:0", "--upstream=127.0.0.1:9", "--shadow=127.0.0.1:8", "--admin=127.0.0.1:0"];
        refusal(folder.path(), &[&flags, more].concat())
    };
    let said = run(&["--filter=method = GET", "--middleware=mirror-no-such-program --mask", "--middleware=sh -c cat"]);
    assert!(
        said.starts_with("mirror: 1 fault\n--middleware: \"mirror-no-such-program --mask\": expected a program"),
        "{said}"
    );
    // What only the system knows.
    let file = programs.path("mask");
    std::fs::write(&file, "#!/no/such/interpreter\n").expect("a file of our own");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&file, mode).expect("a file of our own");
    let said = run(&["--middleware=cat", &format!("--middleware={}", file.display())]);
    let place =
        format!("pipeline[1].middleware.command: \"{}\": expected a program that can be started", file.display());
    assert!(said.starts_with("mirror: 1 fault\n") && said.contains(&place), "{said}");
}

/// Thousands of exchanges that are there at once, for a program that gets sixteen at a time.
#[test]
fn a_saved_capture_waits_for_it() {
    let programs = Programs::new();
    let Some(fastavro) = Fastavro::find() else { return };
    let mut pcap = Pcap::default();
    for port in 40_000..40_040 {
        let mut talk = Talk::open(&mut pcap, port);
        for i in 0..50 {
            talk.client(&mut pcap, format!("GET /{port}/{i} HTTP/1.1\r\nHost: app\r\n\r\n"));
            talk.server(&mut pcap, OK);
        }
        talk.close(&mut pcap);
    }
    let folder = tempfile::tempdir().expect("a folder of our own");
    pcap.write(&folder.path().join("trace.pcap"));
    let each = "out(message.replace(b' /', b' /seen/').replace(b'ok', b'OK'))";
    let stage = json!([{ "middleware": { "command": programs.python(each), "queue": 256, "in_flight": 16, "timeout": "20s" } }]);
    let (code, summary, said) = read(folder.path(), "trace.pcap:80", &[&format!("--set=pipeline={stage}")]);
    assert_eq!((code, summary.seen, summary.sink("record").delivered), (Some(0), 2000, 2000), "{said}");
    for record in records(&fastavro, folder.path()) {
        assert!(record["request"]["target"].as_str().expect("a target").starts_with("/seen/"), "{record:#}");
        assert_eq!(record["response"]["body"], "OK");
    }
}

#[test]
fn it_has_no_privileges_that_a_listener_has_given_up() {
    let programs = Programs::new();
    let server = Server::answering(|_| OK);
    let command = programs.shell("grep CapEff /proc/self/status > caps.new; mv caps.new caps; exec cat");
    let capture = json!({ "interface": "lo", "ports": server.address().port() });
    let config = Config::capture(capture).set("pipeline", json!([{ "middleware": { "command": command } }]));
    let Some(listener) = Listener::configured(config) else { return };
    let effective = |status: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("capabilities");
        u64::from_str_radix(value.trim(), 16).expect("hex")
    };
    let ours = std::fs::read_to_string(format!("/proc/{}/status", listener.mirror.pid())).expect("its status");
    let (ours, theirs) = (effective(&ours), effective(&programs.left("caps")));
    assert_eq!(theirs & !ours, 0, "{theirs:x} is more than {ours:x}");
    assert_eq!(theirs & (1 << 21), 0, "CAP_SYS_ADMIN");
    drop(listener);
}

#[test]
fn a_reload_keeps_the_program_that_did_not_change_and_finishes_with_the_one_that_did() {
    let programs = Programs::new();
    let (upstream, target) = (Server::ok(), Server::ok());
    let plain = Config::upstream(upstream.address()).shadow("target", target.address());
    let stages = |mark: &str, more: Value| {
        // It tells its number, and marks what it has seen.
        let line = format!("echo $$ >> pids-{mark}; exec cat");
        let first = json!({ "middleware": { "command": programs.shell(&line), "responses": false, "timeout": "20s" } });
        plain
            .clone()
            .set("pipeline", Value::from_iter([first].into_iter().chain(more.as_array().cloned().unwrap_or_default())))
    };
    let mirror = Mirror::start(stages("a", json!([])));
    let mut client = mirror.connect();
    let mut send = |path: &str| client.exchange(&format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")).status();
    assert_eq!(send("/1"), 200);
    mirror.wait_delivered("target", 1);
    // Something else changes, and a second program comes.
    let second = json!({ "middleware": { "command": programs.python("out(message.replace(b' /', b' /b/'))"), "timeout": "20s" } });
    mirror.reload(&stages("a", json!([{ "rewrite": { "header": { "set": { "X-New": "1" } } } }, second])));
    assert_eq!(send("/2"), 200);
    mirror.wait_delivered("target", 2);
    assert_eq!(target.requests()[1].start_line(), "GET /b/2 HTTP/1.1");
    let first = programs.left("pids-a");
    assert_eq!(first.lines().count(), 1, "{first}");
    // One that cannot be had changes nothing.
    let none = json!([{ "middleware": "mirror-no-such-program" }]);
    let said = mirror.refuse(&plain.clone().set("pipeline", none));
    assert!(said.contains("mirror-no-such-program"), "{said}");
    mirror.reload(&stages("b", json!([])));
    assert_eq!(send("/3"), 200);
    mirror.wait_delivered("target", 3);
    assert_eq!(target.requests()[2].start_line(), "GET /3 HTTP/1.1");
    wait_gone(&first);
    mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_middleware_running", &[]) == 1.0);
    let second = programs.left("pids-b");
    mirror.terminate().assert_exact();
    wait_gone(&second);
}
