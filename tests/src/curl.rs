//! Real curl as a client.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::WITHIN;

/// Whether it is installed; where not, the test says that it is skipped.
pub fn is_there() -> bool {
    crate::is_there("curl", &["--version"])
}

/// Runs it with these arguments and gives what came.
///
/// # Panics
/// When curl says that something failed, or an answer is an error's.
#[track_caller]
pub fn curl(arguments: &[&str]) -> Vec<u8> {
    run(arguments, "")
}

/// Posts each file to its URL, one after the other on one connection, or all at once. Gives what came.
///
/// # Panics
/// As [`curl`].
#[track_caller]
pub fn post(files: &[(String, PathBuf)], at_once: bool) -> Vec<u8> {
    let mut config = String::new();
    for (url, file) in files {
        if !config.is_empty() {
            config += "next\n";
        }
        let _ = writeln!(config, "fail\nurl = \"{url}\"\ndata-binary = \"@{}\"", file.display());
    }
    let parallel: &[&str] =
        if at_once { &["--parallel", "--parallel-immediate", "--parallel-max", "100"] } else { &[] };
    run(&[parallel, &["--config", "-"]].concat(), &config)
}

#[track_caller]
fn run(arguments: &[&str], input: &str) -> Vec<u8> {
    let within = WITHIN.as_secs().to_string();
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--no-progress-meter", "--fail", "--max-time", &within]).args(arguments);
    let mut curl = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("curl");
    curl.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("all of it");
    let output = curl.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {} {said}", output.status);
    output.stdout
}
