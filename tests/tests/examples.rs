//! Every example: it has a README, its settings are good, and with addresses of the test's own it mirrors a request.

use std::path::{Path, PathBuf};

use mirror_tests::{Mirror, Server, Tape, run_to_end};

/// The folders of the examples; those of another workspace where `MIRROR_TEST_EXAMPLES` names them.
fn examples() -> Vec<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let folder = std::env::var_os("MIRROR_TEST_EXAMPLES").map_or(ours, PathBuf::from);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let examples: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    assert!(!examples.is_empty(), "there is nothing in {}", folder.display());
    examples
}

fn settings(example: &Path) -> String {
    example.join("mirror.yaml").to_str().expect("UTF-8").to_owned()
}

/// What it prints for an example, in a folder of its own.
#[track_caller]
fn print(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let output = run_to_end(folder.path(), arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{arguments:?}: {error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is created by looking");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn each_tells_what_it_is_for_and_how_it_is_run() {
    for example in examples() {
        let readme = example.join("README.md");
        let text = std::fs::read_to_string(&readme).unwrap_or_else(|e| panic!("{}: {e}", readme.display()));
        assert!(text.starts_with("# ") && text.contains("mirror"), "{}", readme.display());
        assert!(example.join("mirror.yaml").is_file(), "{}", example.display());
    }
}

/// Whether it listens to packets, which the tests of the listener run, or replays.
fn listens(example: &Path) -> bool {
    let text = std::fs::read_to_string(settings(example)).expect("settings");
    text.lines().any(|line| line.starts_with("capture:") || line.starts_with("replay:"))
}

#[test]
fn each_passes_the_check() {
    for example in examples() {
        let file = settings(&example);
        let arguments = ["check", &file];
        // The capture that one reads is for its user to make.
        let folder = tempfile::tempdir().expect("a folder of our own");
        if example.ends_with("read-a-pcap") {
            std::fs::write(folder.path().join("trace.pcapng"), "").expect("a file of our own");
            let output = run_to_end(folder.path(), &arguments);
            assert!(output.status.success(), "{output:?}");
            continue;
        }
        let said = print(&arguments);
        assert!(said.contains("mirror.yaml: ok\n"), "{}: {said}", example.display());
    }
}

/// Whether not every target gets every request.
fn chooses(example: &Path) -> bool {
    std::fs::read_to_string(settings(example)).expect("settings").contains("pipeline:")
}

#[test]
fn each_that_serves_mirrors_a_request() {
    for example in examples().into_iter().filter(|example| !listens(example) && !chooses(example)) {
        let file = settings(&example);
        let config = print(&["run", &file, "--print-config"]);
        let upstream = Server::ok();
        // As in `- target: 127.0.0.1:9000/experiment`; the path is the example's own.
        let targets = config.lines().filter_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix("target: "));
        let targets: Vec<_> = targets
            .map(|target| (target.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}")), Server::ok()))
            .collect();
        let mut arguments: Vec<String> =
            ["run", &file, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--log-format=json", "--fraction=100%"]
                .map(str::to_owned)
                .to_vec();
        arguments.push(format!("--upstream={}", upstream.address()));
        for (i, (path, server)) in targets.iter().enumerate() {
            arguments.push(format!("--set=shadow.{i}.target=http://{}{path}", server.address()));
            arguments.push(format!("--set=shadow.{i}.fraction=100%"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mirror = Mirror::start_with(&arguments);
        assert_eq!(mirror.connect().exchange("GET /page?q HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
        for (path, target) in &targets {
            assert_eq!(target.wait_request().start_line(), format!("GET {path}/page?q HTTP/1.1"));
        }
        let metrics = mirror.wait_settled(1);
        assert!(!metrics.sinks().is_empty(), "{} has neither a target nor a recording", example.display());
        let summary = mirror.terminate();
        assert!(summary.sinks.values().all(|sink| sink.delivered == 1), "{}: {summary:#?}", example.display());
    }
}

#[test]
fn the_one_that_replays_ends_with_what_came_of_it() {
    let Some(example) = examples().into_iter().find(|example| example.ends_with("replay-at-twice-the-speed")) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder of our own");
    Tape::default().gets(20, 10).write(&folder.path().join("traffic.avro"));
    let target = Server::ok();
    let shadow = format!("--set=shadow.0.target={}", target.address());
    let output = run_to_end(folder.path(), &["run", &settings(&example), &shadow, "--admin=off"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("20 sent, 20 answered"), "{output:?}");
    assert!(said.contains("planned: 0.10 s") && folder.path().join("report.json").is_file(), "{said}");
}
