//! A replay that has nothing to send, or could not send it as often as is asked for, says so.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mirror_tests::replay::{Replayed, replay, replay_in};
use mirror_tests::{Server, Tape, json, refusal, run_to_end};

#[track_caller]
fn assert_nothing(done: &Replayed, why: &str) {
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert_eq!(done.report["failures"], json!([{ "what": "nothing", "count": 1, "of": 1 }]), "{done:#?}");
    let told = format!("nothing was replayed: {why}");
    assert!(done.stderr.contains(&told) && done.stdout.contains(&format!("warning: {told}")), "{told}: {done:#?}");
}

#[test]
fn that_nothing_was_left_to_send_is_a_failure() {
    let target = Server::ok();
    let three = Tape::default().gets(3, 1);
    let none = "there is no request in what was to be read";
    assert_nothing(&replay(&Tape::default(), &target, &["--loop"]), none);
    assert_nothing(&replay(&three, &target, &["--from=+1h"]), none);
    assert_nothing(&replay(&three, &target, &["--to=2001-01-01"]), none);
    let skipped = "3 requests were to be sent, and the pipeline or a fraction skipped each";
    assert_nothing(&replay(&three, &target, &["--filter", "path = /other"]), skipped);
    assert_nothing(&replay(&three, &target, &["--set=shadow.0.pipeline=[{filter: {deny: {method: GET}}}]"]), skipped);
    assert_eq!(target.requests().len(), 0);
}

#[test]
fn it_is_none_where_that_is_asked_for() {
    let target = Server::ok();
    for fail_on in ["none", "failed,dropped"] {
        let done = replay(&Tape::default(), &target, &["--fail-on", fail_on]);
        assert_eq!((done.code, &done.report["failures"]), (Some(0), &json!([])), "{fail_on}: {done:#?}");
        assert!(done.stderr.contains("nothing was replayed"), "it is told all the same: {done:#?}");
    }
    let malformed = Tape::default().with(0, "/", |record| record.aborted = Some("malformed head".into()));
    let done = replay(&malformed, &target, &[]);
    let failures = json!([
        { "what": "left-out", "count": 1, "of": 1 },
        { "what": "nothing", "count": 1, "of": 1 },
    ]);
    assert_eq!((done.code, &done.report["failures"]), (Some(1), &failures), "{done:#?}");
    assert!(done.stderr.contains("of 1 requests that were read none can be sent"), "{done:#?}");
}

#[test]
fn one_request_is_something() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let done = replay_in(folder.path(), &Tape::default().gets(1, 1), &Server::ok(), &[]);
    assert_eq!((done.code, &done.report["failures"]), (Some(0), &json!([])), "{done:#?}");
}

fn make_fifo(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
    // SAFETY: the pointer is to a string that ends in a zero byte and outlives the call, which only reads it.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

#[test]
fn a_pipe_is_not_replayed_twice() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    make_fifo(&folder.path().join("pipe"));
    let expected = "expected a regular file, to be replayed more than once";
    for (given, passes) in [("pipe", "--loop=2"), ("p?pe", "--loop")] {
        let said = refusal(folder.path(), &["replay", given, "--shadow=:1", passes]);
        assert!(said.contains("\"pipe\"") && said.contains(expected), "{said}");
    }
    let yaml = "{replay: {files: pipe, loop: forever}, shadow: ':1', admin: off}";
    std::fs::write(folder.path().join("mirror.yaml"), yaml).expect("a file of our own");
    let said = refusal(folder.path(), &["run", "mirror.yaml"]);
    assert!(said.contains("replay.files: \"pipe\"") && said.contains(expected), "{said}");
    let said = refusal(folder.path(), &["replay", "-", "--shadow=:1", "--loop=2"]);
    assert!(said.contains("1, as stdin can be read only once"), "{said}");
}

#[test]
fn a_value_with_a_minus_is_told_as_one_of_its_flag() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    for (flag, value) in [
        ("--speed", "-1"),
        ("--speed", "-200%"),
        ("--rate", "-5/s"),
        ("--limit", "-1"),
        ("--loop", "-1"),
        ("--from", "-30s"),
        ("--to", "-1h"),
        ("--max-gap", "-1s"),
        ("--duration", "-5m"),
        ("--concurrency", "-1"),
        ("--fraction", "-5%"),
        ("--shadow-timeout", "-1s"),
        ("--memory", "-1MiB"),
        ("--exit-after", "-1s"),
    ] {
        let said = refusal(folder.path(), &["replay", "a.avro", "--shadow=:1", flag, value]);
        assert!(said.contains(&format!("{flag}: {value:?}: expected ")), "{flag} {value}: {said}");
    }
    for (flag, value) in [("--from", "-30s"), ("--limit", "-1"), ("--body-limit", "-1")] {
        let said = refusal(folder.path(), &["inspect", "a.avro", flag, value]);
        assert!(said.contains(&format!("{flag}: {value:?}: expected ")), "{flag} {value}: {said}");
    }
    // Whatever stands behind it: its number may be left out.
    let output = run_to_end(folder.path(), &["replay", "a.avro", "--loop", "--shadow=:1", "--print-config"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("loop: forever"), "{output:?}");
}
