//! The built binary as a command that ends by itself.

use std::fmt::Debug;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::WITHIN;
use crate::process::binary;

/// Runs the binary in a folder to its end.
///
/// # Panics
/// When it does not end.
#[track_caller]
pub fn run_to_end(folder: &Path, arguments: &[&str]) -> Output {
    // `timeout` is everywhere that a shell is, and ends what serves instead of refusing.
    Command::new("timeout")
        .arg(WITHIN.as_secs().to_string())
        .arg(binary())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the binary")
}

/// What the binary says when it refuses this: exit code 2, nothing on stdout, and on stderr this.
///
/// # Panics
/// When it does not refuse it.
#[track_caller]
pub fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = run_to_end(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?} is refused: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    said
}

/// Whether a program is there to test with; where it is not, the test says that it is skipped.
pub fn is_there(program: &str, arguments: &[impl AsRef<std::ffi::OsStr> + Debug]) -> bool {
    let there = Command::new(program).args(arguments).stdin(Stdio::null()).output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("skipped: there is no {program} here (asked {arguments:?})");
    }
    there
}
