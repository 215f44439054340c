//! Whoever reads what a command prints may leave at any time (`mirror inspect traffic.avro 2>&1 | head`): that is no panic, and ends nothing else.

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use mirror_tests::{Server, Tape, binary};

/// The end of a pipe that is written to, where nobody reads.
fn broken_pipe() -> OwnedFd {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two numbers that live; what is opened is owned from there on.
    let [_read, write] = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        ends.map(|end| OwnedFd::from_raw_fd(end))
    };
    write
}

/// The exit code where nobody reads stdout, or stderr, or both.
#[track_caller]
fn codes(folder: &Path, arguments: &[&str]) -> [Option<i32>; 3] {
    [(true, false), (false, true), (true, true)].map(|(stdout, stderr)| {
        let output = |is_broken| if is_broken { Stdio::from(broken_pipe()) } else { Stdio::null() };
        let mut command = Command::new("timeout");
        command.arg("30").arg(binary()).args(arguments).current_dir(folder).stdin(Stdio::null());
        command.stdout(output(stdout)).stderr(output(stderr)).status().expect("the binary").code()
    })
}

#[test]
fn a_reader_that_left_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let traffic = folder.path().join("traffic.avro");
    Tape::default().gets(50, 1).write(&traffic);
    let mut torn = std::fs::read(&traffic).expect("a recording");
    torn.truncate(torn.len() - 10);
    std::fs::write(folder.path().join("torn.avro"), torn).expect("a file of our own");
    File::create(folder.path().join("no.avro"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"neither"))
        .expect("a file");
    let target = format!("--shadow={}", Server::ok().address());
    for (arguments, code) in [
        (&["schema"][..], 0),
        (&["man"], 0),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
        (&["replay", "--help"], 0),
        (&["gor", "--help"], 0),
        (&["gor", "--input-raw", ":80", "--output-null", "--stats", "--print-config"], 0),
        (&["--listen=:0", "--upstream=:1", "--print-config"], 0),
        (&["inspect", "traffic.avro"], 0),
        (&["inspect", "traffic.avro", "--stats"], 0),
        (&["inspect", "traffic.avro", "--json"], 0),
        (&["convert", "traffic.avro", "again.jsonl", "--force"], 0),
        // What is wrong is wrong, whether it is read or not.
        (&["inspect", "no.avro"], 2),
        (&["convert", "no.avro", "again.jsonl", "--force"], 2),
        (&["convert", "torn.avro", "again.jsonl", "--force"], 1),
        (&["inspect", "torn.avro"], 1),
        (&["demo", "--requests=10"], 0),
        (&["check", "none.yaml"], 2),
        (&["--listen=x"], 2),
        (&["--none"], 2),
        (&["gor", "--none"], 2),
        (&["reload", "--admin=127.0.0.1:1"], 1),
        (&["replay", "traffic.avro", &target, "--speed=max", "--admin=off", "--fail-on=none"], 0),
    ] {
        assert_eq!(codes(folder.path(), arguments), [Some(code); 3], "{arguments:?}");
    }
}
