//! What a person at a terminal sees: logs for people, one line that tells how it goes, the table at the end.

use mirror_tests::{Config, Gate, Mirror, Refusing, Server, Summary, Terminal, Value, WITHIN, json, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

/// As it is by default: for people on a terminal, JSON elsewhere.
fn unasked(config: Config) -> Config {
    config.set("log", json!({}))
}

/// The rows once the last of them is a status line that tells all of this.
#[track_caller]
fn wait_line(terminal: &Terminal, told: &[&str]) -> Vec<String> {
    wait_for(&format!("{told:?} on the terminal"), WITHIN, || {
        let rows = terminal.rows();
        rows.last().is_some_and(|row| told.iter().all(|part| row.contains(part))).then_some(rows)
    })
}

/// The parts of a status line are parted by these.
fn status_rows(rows: &[String]) -> Vec<&String> {
    rows.iter().filter(|row| row.contains('·')).collect()
}

#[test]
fn one_line_tells_how_it_goes_and_gives_way_to_the_table() {
    let answer = Gate::new();
    let upstream = Server::ok();
    let target = Server::answering({
        let answer = answer.clone();
        move |_| {
            answer.pass();
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        }
    });
    let settings = json!({ "concurrency": 1, "queue": 1 });
    let config = unasked(Config::upstream(upstream.address()).shadow_with("target", target.address(), settings));
    let (mirror, terminal) = Mirror::start_on_terminal(120, &config);

    let mut client = mirror.connect();
    for n in 1..=3 {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_for(WITHIN, |metrics| metrics.offered("target") == n);
        target.wait_requests(1);
    }
    // One is under way, one waits, for one there was no room.
    let rows = wait_line(&terminal, &["/s · 3 seen · 0 mirrored · 1 dropped · 0 failed · 2 in flight · ", " held"]);
    assert_eq!(status_rows(&rows).len(), 1, "{rows:#?}");
    answer.open();
    answer.open();
    let rows = wait_line(&terminal, &["0/s · 3 seen · 2 mirrored · 1 dropped · 0 failed · 0 in flight · 0 B held"]);
    assert_eq!(status_rows(&rows).len(), 1, "{rows:#?}");

    mirror.signal(libc::SIGTERM);
    let exit = mirror.wait_exit();
    assert_eq!(exit.status.code(), Some(0));
    let rows = terminal.rows();
    assert_eq!(status_rows(&rows), [""; 0], "the line is gone: {rows:#?}");
    let draining = rows.iter().find(|row| row.ends_with(r#"draining signal="SIGTERM""#)).expect("a line of the log");
    assert!(draining.contains(" INFO "), "{draining}");
    let summary = Summary::parse(&rows.join("\n")).expect("a table");
    summary.assert_exact();
    let sink = summary.sink("target");
    assert_eq!((summary.seen, sink.delivered, sink.reason("dropped queue_full")), (3, 2, 1), "{rows:#?}");
    assert!(rows.iter().all(|row| !row.starts_with('{')), "no JSON: {rows:#?}");
}

#[test]
fn the_rate_is_that_of_now() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = unasked(Config::upstream(upstream.address()).shadow("target", target.address()));
    let (mirror, terminal) = Mirror::start_on_terminal(120, &config);
    wait_line(&terminal, &["0/s · 0 seen"]);
    let mut client = mirror.connect();
    let row = wait_for("a rate", WITHIN, || {
        (0..20).for_each(|_| assert_eq!(client.exchange(GET).text(), "ok"));
        terminal.rows().pop().filter(|row| row.contains("seen") && !row.starts_with("0/s"))
    });
    let rate: u64 = row.split_once("/s · ").and_then(|(rate, _)| rate.parse().ok()).expect("a rate");
    assert!(rate > 0, "{row}");
    wait_line(&terminal, &["0/s · "]);
}

/// A line that wraps could not be taken away again.
#[test]
fn on_a_narrow_terminal_the_line_is_cut_where_a_part_of_it_ends() {
    for (columns, shown) in [(60, "0/s · 3 seen · 3 mirrored · 0 dropped · 0 failed"), (25, "0/s · 3 seen"), (4, "0/s")]
    {
        let (upstream, target) = (Server::ok(), Server::ok());
        let config = unasked(Config::upstream(upstream.address()).shadow("target", target.address()));
        let (mirror, terminal) = Mirror::start_on_terminal(columns, &config);
        wait_line(&terminal, &["0/s"]);
        let mut client = mirror.connect();
        for n in 1..=3 {
            assert_eq!(client.exchange(GET).text(), "ok");
            mirror.wait_delivered("target", n);
        }
        let rows = wait_line(&terminal, &[shown]);
        assert_eq!(rows.last().map(String::as_str), Some(shown), "{rows:#?}");
        assert_eq!(rows.iter().filter(|row| row.contains("/s")).count(), 1, "{rows:#?}");
    }
}

/// What is logged while the line is there stands above it.
#[test]
fn a_line_of_the_log_takes_the_line_off_and_it_comes_back() {
    let (upstream, dead) = (Server::ok(), Refusing::new());
    let config = unasked(Config::upstream(upstream.address()).shadow("dead", dead.address()));
    let (mirror, terminal) = Mirror::start_on_terminal(120, &config);
    wait_line(&terminal, &["0 seen"]);
    let mut client = mirror.connect();
    for n in 1..=5 {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_settled(n);
    }
    let rows = wait_line(&terminal, &["5 seen", "5 failed"]);
    assert_eq!(status_rows(&rows).len(), 1, "{rows:#?}");
    let told = rows.iter().find(|row| row.contains("target is failing: backing off")).expect("a line of the log");
    assert!(told.contains(" WARN ") && told.ends_with("failures=5"), "{told}");
}

#[test]
fn where_stderr_is_no_terminal_there_are_only_lines_of_json() {
    let upstream = Server::ok();
    // Longer than it takes until the line comes on a terminal.
    let exit = Mirror::start(unasked(Config::upstream(upstream.address())).set("exit_after", "1500ms")).wait_exit();
    assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
    assert!(exit.stderr.lines().count() >= 3, "the addresses and the end: {exit:#?}");
    for line in exit.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        assert!(["timestamp", "level", "message"].iter().all(|key| line[key].is_string()), "{line}");
    }
    exit.summary().assert_exact();
}
