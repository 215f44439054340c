//! A replay ends, with an exit code that means something, and loses nothing on the way.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mirror_tests::replay::{replay, replayed};
use mirror_tests::{Config, Gate, Mirror, Refusing, Server, Tape, Value, WITHIN, json, refusal, wait_for};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

#[test]
fn each_request_is_tried_where_a_target_is_down() {
    let folder = folder();
    Tape::default().gets(30, 1).write(&folder.path().join("traffic.avro"));
    let down = Refusing::new();
    let arguments = ["traffic.avro", &format!("--shadow={}", down.address())];
    let done = replayed(folder.path(), &arguments);
    assert_eq!((done.code, &done.target()["failed"]), (Some(1), &json!({ "connect": 30 })), "{done:#?}");
    assert_eq!(done.report["failures"], json!([{ "what": "failed", "count": 30, "of": 30 }]));
    assert!(done.stdout.contains("failure: failed: 30 of 30"), "{}", done.stdout);
    assert_eq!(done.summary().seen, 30);
    for (fail_on, code) in [("none", 0), ("dropped,status>=500", 0), ("failed>30", 0), ("failed>99%", 1)] {
        let done = replayed(folder.path(), &[&arguments[..], &["--fail-on", fail_on]].concat());
        assert_eq!(done.code, Some(code), "{fail_on}: {done:#?}");
    }
}

#[test]
fn statuses_can_fail_it() {
    let target = Server::answering(|request| match request.start_line().contains("/0 ") {
        true => "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        false => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    });
    let tape = Tape::default().gets(4, 1);
    for (fail_on, code, failure) in [
        ("failed", 0, json!([])),
        ("status>=500", 1, json!([{ "what": "status>=500", "count": 1, "of": 4 }])),
        ("status=5xx>25%", 0, json!([])),
        ("different-status", 1, json!([{ "what": "different-status", "count": 1, "of": 4 }])),
        ("different-status>1,failed", 0, json!([])),
    ] {
        let done = replay(&tape, &target, &["--fail-on", fail_on]);
        assert_eq!((done.code, &done.report["failures"]), (Some(code), &failure), "{fail_on}: {done:#?}");
    }
}

/// Its pace becomes the target's, nothing is lost, and it is said.
#[test]
fn a_slow_target_makes_requests_late_and_loses_none() {
    let target = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(20));
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    });
    let slow = ["--concurrency=1", "--set=replay.late=50ms", "--fail-on=late,failed"];
    let done = replay(&Tape::default().gets(30, 1), &target, &slow);
    let of_target = done.target();
    assert_eq!((done.code, &of_target["answered"], target.connections()), (Some(1), &json!(30), 1), "{done:#?}");
    // 29 times 20 ms went by before the last of them, which was due after 29 ms.
    assert!(of_target["lateness_seconds"]["max"].as_f64().unwrap() > 0.5, "{done:#?}");
    assert_eq!(done.report["failures"], json!([{ "what": "late", "count": 1, "of": 1 }]));
    assert!(done.number("reached_rate") < done.number("planned_rate") / 2.0, "{done:#?}");
    let [rate, late] = done.report["warnings"].as_array().map(Vec::as_slice).unwrap() else { panic!("{done:#?}") };
    assert!(rate.as_str().unwrap().contains("were planned, and") && late.as_str().unwrap().contains("went out late"));
    assert!(done.stdout.contains("warning: requests to"), "{}", done.stdout);
}

#[test]
fn full_queues_are_waited_for() {
    let target = Server::ok();
    let tape = Tape::default().gets(400, 0);
    for arguments in [
        &["--shadow-queue=4", "--concurrency=1", "--speed=max"][..],
        &["--shadow-queue=4", "--concurrency=2"],
        &["--shadow-queue=4", "--order=connection"],
        &["--memory=2MiB", "--set=shadow.0.lag=1KiB", "--record=again.avro", "--max-body=64KiB"],
    ] {
        let done = replay(&tape, &target, arguments);
        assert_eq!((done.code, &done.target()["answered"]), (Some(0), &json!(400)), "{arguments:?}: {done:#?}");
    }
}

#[test]
fn a_body_may_be_longer_than_what_is_held() {
    let body: Vec<u8> = (0..20 << 20).map(|i: u32| (i % 251) as u8).collect();
    let tape = Tape::default().with(0, "/long", |record| {
        record.request.message.headers.push(("Content-Length".into(), body.len().to_string().into()));
        record.request.message.body_length = body.len() as u64;
        record.request.message.body = vec![body.clone().into()];
    });
    let target = Server::ok();
    let done = replay(&tape, &target, &["--memory=8MiB"]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert!(target.wait_request().body == body, "as it was recorded");
}

#[test]
fn a_signal_ends_it_with_the_summary_and_the_report() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let folder = folder();
        let (traffic, report) = (folder.path().join("traffic.avro"), folder.path().join("report.json"));
        Tape::default().get(0, "/now").get(3_600_000, "/in-an-hour").write(&traffic);
        let target = Server::ok();
        let mirror = Mirror::start_with(&[
            "replay",
            traffic.to_str().unwrap(),
            &format!("--shadow={}", target.address()),
            &format!("--report={}", report.display()),
            "--admin=127.0.0.1:0",
            "--log-format=json",
        ]);
        target.wait_request();
        let metrics = mirror.wait_delivered(&target.address().to_string(), 1);
        assert_eq!(metrics.sum("mirror_source_exchanges_total", &[r#"source="replay""#]), 1.0);
        mirror.signal(signal);
        let exit = mirror.wait_exit();
        assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
        assert!(exit.stdout.contains("1 requests replayed in") && exit.stdout.contains(", interrupted"), "{exit:#?}");
        exit.summary().assert_exact();
        let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("JSON");
        assert_eq!(
            (&report["ended"], &report["replayed"], &report["version"]),
            (&json!("interrupted"), &json!(1), &json!(1))
        );
    }
}

#[test]
fn a_file_replays_too() {
    let folder = folder();
    Tape::default().gets(3, 1).write(&folder.path().join("traffic.avro"));
    let target = Server::ok();
    for replay in [
        "traffic.avro".to_owned(),
        "[traffic.avro]".to_owned(),
        "{ files: traffic.avro, speed: 200%, loop: 1, limit: 3, order: { by: client } }".to_owned(),
    ] {
        let text = format!("replay: {replay}\nshadow: '{}'\nadmin: off\n", target.address());
        std::fs::write(folder.path().join("mirror.yaml"), text).expect("a file of our own");
        for more in [&[][..], &["--set=replay.speed=max", "--set=replay.files.0=traffic.avro"]] {
            let output = mirror_tests::run_to_end(folder.path(), &[&["run", "mirror.yaml"][..], more].concat());
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("3 sent, 3 answered"), "{replay} {more:?}: {output:?}");
        }
    }
}

#[test]
fn what_is_asked_for_is_shown() {
    let folder = folder();
    let arguments = ["replay", "a.avro", "b-*.avro", "--speed=10x", "--loop", "--shadow=:8082", "--order=connection"];
    let output = mirror_tests::run_to_end(folder.path(), &[&arguments[..], &["--print-config"]].concat());
    let shown = String::from_utf8_lossy(&output.stdout);
    for line in [
        "  - a.avro\n  - b-*.avro\n",
        "  speed: 1000%\n",
        "  loop: forever\n",
        "  concurrency: 1024\n",
        "  connect_timeout: 5s\n",
        "    by: connection\n",
    ] {
        assert!(output.status.success() && shown.contains(line), "{line}: {output:?}");
    }
}

#[test]
fn every_fault_is_named() {
    let folder = folder();
    let faults = |arguments: &[&str]| {
        let said = refusal(folder.path(), &[&["replay"][..], arguments].concat());
        said.lines()
            .skip(1)
            .map(|line| line.split(": expected ").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        faults(&[
            "a.avro",
            "--speed=fast",
            "--rate=5",
            "--arrivals=odd",
            "--loop=b.avro",
            "--duration=5",
            "--limit=0",
            "--max-gap=1",
            "--from=noon",
            "--to=+",
            "--concurrency=0",
            "--order=sideways",
            "--fail-on=bugs",
            "--shadow=:x",
        ]),
        [
            r#"--speed: "fast""#,
            r#"--rate: "5""#,
            r#"--arrivals: "odd""#,
            r#"--loop: "b.avro""#,
            r#"--duration: "5""#,
            r#"--max-gap: "1""#,
            r#"--from: "noon""#,
            r#"--to: "+""#,
            r#"--order: "sideways""#,
            r#"--fail-on: "bugs""#,
            r#"--limit: "0""#,
            r#"--concurrency: "0""#,
            r#"--shadow: ":x""#,
        ]
    );
    assert_eq!(
        faults(&[
            "a.avro",
            "--shadow=:1",
            "--speed=2",
            "--rate=5/s",
            "--max-gap=1s",
            "--listen=:80",
            "--from=9s",
            "--to=3s"
        ]),
        [r#"--listen: ":80""#, r#"--rate: "5/s""#, r#"--max-gap: "1s""#, r#"--to: "+3s""#]
    );
    assert_eq!(faults(&["a.avro"]), ["shadow"]);
    assert_eq!(faults(&["a.avro", "--shadow=:1", "--arrivals=even"]), [r#"--arrivals: "even""#]);
    std::fs::write(folder.path().join("no.avro"), "neither").expect("a file of our own");
    std::fs::create_dir(folder.path().join("folder.avro")).expect("a folder of our own");
    let said = refusal(
        folder.path(),
        &["replay", "none.avro", "no.avro", "odd.txt", "--shadow=:1", "--report=none/report.json", "--admin=off"],
    );
    for what in ["none.avro: ", "no.avro: ", "odd.txt", r#"replay.report: "none/report.json""#] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(said.starts_with("mirror: 4 faults\n"), "{said}");
}

#[test]
fn metrics_tell_lateness_and_what_is_left_out() {
    let folder = folder();
    let tape =
        Tape::default().get(0, "/a").with(1, "/cut", |record| record.request.message.truncated = Some("lag".into()));
    let traffic = folder.path().join("traffic.avro");
    tape.get(3_600_000, "/in-an-hour").write(&traffic);
    let target = Server::ok();
    let address = target.address().to_string();
    let mirror = Mirror::start_with(&[
        "replay",
        traffic.to_str().unwrap(),
        &format!("--shadow={address}"),
        "--admin=127.0.0.1:0",
        "--log-format=json",
    ]);
    let metrics = mirror.wait_delivered(&address, 1);
    assert_eq!(metrics.sum("mirror_replay_lateness_seconds_count", &[]), 1.0);
    assert_eq!(metrics.sum("mirror_replay_left_out_total", &[r#"reason="truncated""#]), 1.0);
}

/// As many are under way at once as are due, whatever a shell gives its programs.
#[test]
fn more_connections_than_files_may_be_open_by_default() {
    let folder = folder();
    let traffic = folder.path().join("traffic.avro");
    Tape::default().gets(150, 0).write(&traffic);
    let (all, count) = (Gate::new(), std::sync::atomic::AtomicUsize::new(0));
    let target = Server::answering({
        let all = all.clone();
        move |_| {
            if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 149 {
                (0..150).for_each(|_| all.open());
            }
            all.pass();
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        }
    });
    let config = Config::replay(traffic.to_str().unwrap()).shadow("target", target.address());
    let exit = Mirror::start_through(r#"ulimit -Sn 100; exec "$@""#, &config).wait_exit();
    assert_eq!((exit.status.code(), exit.summary().sink("target").delivered), (Some(0), 150), "{exit:#?}");
}

#[test]
fn on_a_terminal_one_line_tells_how_it_goes() {
    let folder = folder();
    let traffic = folder.path().join("traffic.avro");
    Tape::default().get(0, "/now").get(3_600_000, "/in-an-hour").write(&traffic);
    let target = Server::ok();
    let config = Config::replay(traffic.to_str().unwrap()).shadow("target", target.address()).set("log", json!({}));
    let (mirror, terminal) = Mirror::start_on_terminal(120, &config);
    let row = wait_for("the line", WITHIN, || terminal.rows().pop().filter(|row| row.contains("60 min left")));
    assert!(row.contains("1 seen · 1 mirrored · 0 dropped · 0 failed · 0 in flight"), "{row}");
    mirror.signal(libc::SIGINT);
    assert_eq!(mirror.wait_exit().status.code(), Some(0));
    let rows = terminal.rows();
    assert!(rows.iter().any(|row| row.starts_with("target: 1 sent, 1 answered")), "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains('·')), "the line is gone: {rows:#?}");
}

/// A replay of what comes by a pipe, and the end of it that is written to.
fn piped(folder: &Path, arguments: &[&str]) -> (Child, std::process::ChildStdin) {
    let mut command = Command::new(mirror_tests::binary());
    command.args(["replay", "-", "--report=report.json", "--admin=off", "--log-format=json"]).args(arguments);
    let mut child =
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the binary");
    let pipe = child.stdin.take().expect("a pipe");
    (child, pipe)
}

/// Its exit code, where it ends; where it does not, it is ended.
#[track_caller]
fn code(mut child: Child) -> Option<i32> {
    let until = std::time::Instant::now() + WITHIN;
    while child.try_wait().expect("our own").is_none() && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    child.wait().expect("our own").code()
}

#[test]
fn a_pipe_that_says_no_more_holds_nothing_up() {
    let target = Server::ok();
    for (most, ended) in [("--limit=10", "limit"), ("--duration=300ms", "duration")] {
        let folder = folder();
        let traffic = folder.path().join("traffic.avro");
        // More than what is held back to be put in order.
        Tape::default().gets(200, 1000).write(&traffic);
        let arguments = [&format!("--shadow={}", target.address()), "--speed=max", most];
        let (child, mut pipe) = piped(folder.path(), &arguments);
        pipe.write_all(&std::fs::read(&traffic).expect("a recording")).expect("all of it");
        assert_eq!(code(child), Some(0), "{most}");
        let report = std::fs::read(folder.path().join("report.json")).expect("a report");
        let report: Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(report["ended"], ended, "{report:#}");
        drop(pipe);
    }
}

#[test]
fn a_signal_ends_what_waits_for_a_pipe_to_say_a_word() {
    let folder = folder();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let (child, pipe) = piped(folder.path(), &["--shadow=127.0.0.1:9"]);
        wait_for("the signal to be caught", WITHIN, || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught & 1 << (signal - 1) != 0).then_some(())
        });
        // SAFETY: a system call that takes numbers; the process is our own and was not waited for.
        assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
        assert_eq!(code(child), Some(130), "as a shell shows it");
        drop(pipe);
    }
}

/// The connection that it was kept for is gone when it is used: it is sent again, and is one copy still.
#[test]
fn a_copy_that_is_sent_again_is_counted_once() {
    for order in [&[][..], &["--order=connection"], &["--set=shadow.0.order={by: connection, pipelined: true}"]] {
        let connections = std::sync::atomic::AtomicUsize::new(0);
        let target = Server::script(move |mut conn| {
            let is_first = connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            while conn.request().is_some() && conn.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok() {
                if is_first {
                    // Reads the next one, and closes without a word.
                    let _ = conn.request();
                    return;
                }
            }
        });
        let done = replay(&Tape::default().gets(5, 20), &target, &[&["--concurrency=1"], order].concat());
        let of_target = done.target();
        assert_eq!((&of_target["sent"], &of_target["answered"]), (&json!(5), &json!(5)), "{done:#?}");
        assert_eq!(target.requests().len(), 6, "one was sent again");
    }
}
