//! The built binary as a command that ends by itself.

use std::fmt::Debug;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::WITHIN;
use crate::process::{Mirror, binary};

/// Runs the binary in a folder to its end.
///
/// # Panics
/// When it does not end.
#[track_caller]
pub fn run_to_end(folder: &Path, arguments: &[&str]) -> Output {
    run_as(&[], &binary(), folder, arguments)
}

/// The same by way of another command, which is given the program and its arguments.
fn run_as(by: &[String], program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    // `timeout` is everywhere that a shell is, and ends what serves instead of refusing.
    Command::new("timeout")
        .arg(WITHIN.as_secs().to_string())
        .args(by)
        .arg(program)
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
    refused(&run_to_end(folder, arguments), arguments)
}

#[track_caller]
fn refused(output: &Output, arguments: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?} is refused: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    said
}

/// The binary as run by someone to whom the permissions of files apply: they do not to root.
pub struct Unprivileged {
    by: Vec<String>,
    program: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

const NOBODY: u32 = 65534;

impl Unprivileged {
    /// Ourselves, or where we are root, nobody. None where root may not become another, which is then said.
    ///
    /// # Panics
    /// When the binary cannot be copied to where nobody may run it.
    pub fn find() -> Option<Unprivileged> {
        // SAFETY: a system call that only gives a number.
        if unsafe { libc::geteuid() } != 0 {
            return Some(Unprivileged { by: Vec::new(), program: binary(), _folder: None });
        }
        Unprivileged::user(NOBODY)
    }

    /// Nobody, with CAP_NET_RAW and no other capability, nor a way to one. None where that cannot be had, which is then said.
    ///
    /// # Panics
    /// As [`Unprivileged::find`].
    pub fn with_net_raw() -> Option<Unprivileged> {
        Unprivileged::with(NOBODY, "net_raw")
    }

    /// This user, without capabilities. None where root may not become another, which is then said.
    ///
    /// # Panics
    /// As [`Unprivileged::find`].
    pub fn user(uid: u32) -> Option<Unprivileged> {
        Unprivileged::by(become_another(uid))
    }

    /// This user, with this capability and no other, nor a way to one. None where that cannot be had, which is then said.
    ///
    /// # Panics
    /// As [`Unprivileged::find`].
    pub fn with(uid: u32, capability: &str) -> Option<Unprivileged> {
        let sets = ["inh-caps", "ambient-caps", "bounding-set"].map(|set| format!("--{set}=-all,+{capability}"));
        Unprivileged::by(become_another(uid).into_iter().chain(sets).collect())
    }

    fn by(by: Vec<String>) -> Option<Unprivileged> {
        if !is_there(&by[0], &[&by[1..], &["true".to_owned()]].concat()) {
            return None;
        }
        // Where it was built may be closed to others.
        let folder = tempfile::tempdir().expect("a folder of our own");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a folder of our own");
        let program = folder.path().join("mirror");
        // By another process: what one of ours has open for writing, a fork of another test's may hold a moment longer, and then
        // it cannot be run.
        let copied = Command::new("install").arg("--mode=755").arg(binary()).arg(&program).status();
        assert!(copied.expect("coreutils").success(), "the binary cannot be copied");
        Some(Unprivileged { by, program, _folder: Some(folder) })
    }

    /// As [`refusal`].
    ///
    /// # Panics
    /// When it does not refuse it.
    #[track_caller]
    pub fn refusal(&self, folder: &Path, arguments: &[&str]) -> String {
        refused(&self.run(folder, arguments), arguments)
    }

    /// As [`run_to_end`].
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn run(&self, folder: &Path, arguments: &[&str]) -> Output {
        run_as(&self.by, &self.program, folder, arguments)
    }

    /// As [`Mirror::start_with`].
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn start(&self, arguments: &[&str]) -> Mirror {
        let mut command = match &self.by[..] {
            [] => Command::new(&self.program),
            [by, rest @ ..] => {
                let mut command = Command::new(by);
                command.args(rest).arg(&self.program);
                command
            }
        };
        command.args(arguments);
        Mirror::start_command(command)
    }
}

fn become_another(uid: u32) -> Vec<String> {
    vec!["setpriv".into(), format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]
}

/// Whether a program is there to test with; where it is not, the test says that it is skipped.
pub fn is_there(program: &str, arguments: &[impl AsRef<std::ffi::OsStr> + Debug]) -> bool {
    let there = Command::new(program).args(arguments).stdin(Stdio::null()).output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("skipped: there is no {program} here (asked {arguments:?})");
    }
    there
}
