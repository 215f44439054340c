//! Real wrk as a client that is as fast as it can be.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// Whether it is installed; where not, the test says that it is skipped.
pub fn is_there() -> bool {
    // Asked for its version it prints that, and how it is used, and says that it failed.
    let there = Command::new("wrk").arg("-v").stdin(Stdio::null()).output().is_ok();
    if !there {
        eprintln!("skipped: there is no wrk here");
    }
    there
}

/// Asks for a path over so many connections for so many seconds, with this script. Gives how many answers came.
///
/// # Panics
/// When any of them was an error or none.
#[track_caller]
pub fn wrk(address: SocketAddr, path: &str, connections: usize, seconds: u32, script: Option<&str>) -> u64 {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    if let Some(script) = script {
        let file = folder.path().join("script.lua");
        std::fs::write(&file, script).expect("a file of our own");
        wrk.arg("-s").arg(file);
    }
    let output = wrk.arg(format!("http://{address}{path}")).stdin(Stdio::null()).output().expect("wrk");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx"), "{output:?}");
    let answers = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    answers.unwrap_or_else(|| panic!("no count: {said}"))
}
