//! Real wrk as a client that is as fast as it can be.

use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

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
    answers(wrk.arg(format!("http://{address}{path}")).stdin(Stdio::null()).output().expect("wrk"))
}

/// wrk while it runs.
pub struct Running(Child);

/// Begins to ask over so many connections, until it is told to end.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn begin(address: SocketAddr, connections: usize) -> Running {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{connections}"), "-d1h"]).arg(format!("http://{address}/"));
    Running(wrk.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("wrk"))
}

impl Running {
    /// Ends it, and gives how many answers came.
    ///
    /// # Panics
    /// When any of them was an error or none.
    #[track_caller]
    pub fn end(self) -> u64 {
        let pid = libc::pid_t::try_from(self.0.id()).expect("a process id");
        // SAFETY: a system call; the child has not been waited for, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        answers(self.0.wait_with_output().expect("wrk"))
    }
}

#[track_caller]
fn answers(output: Output) -> u64 {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx"), "{output:?}");
    let answers = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    answers.unwrap_or_else(|| panic!("no count: {said}"))
}
