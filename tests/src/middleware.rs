//! Programs for middlewares: our own, and GoReplay's libraries for such.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::{WITHIN, wait_for};

/// Where the libraries for Node.js are, from this crate's folder.
const NODE_MODULES: &str = "../target/npm/node_modules";

/// Reads messages, and prints what [`Programs::python`] is told to make of each.
const READER: &str = r#"
import binascii, os, signal, sys, time
def out(message):
    sys.stdout.buffer.write(binascii.hexlify(meta + b"\n" + message) + b"\n")
    sys.stdout.buffer.flush()
count = 0
for line in sys.stdin.buffer:
    meta, message = binascii.unhexlify(line.strip()).split(b"\n", 1)
    kind, ident, at, took = meta.split(b" ")
    count += 1
"#;

/// A folder with programs and what they leave.
pub struct Programs(tempfile::TempDir);

impl Programs {
    /// An empty one.
    ///
    /// # Panics
    /// When there is no room for it.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Programs {
        Programs(tempfile::tempdir().expect("a folder of our own"))
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What a program has left in a file, once it is there.
    #[track_caller]
    pub fn left(&self, name: &str) -> String {
        wait_for(name, WITHIN, || std::fs::read_to_string(self.path(name)).ok().filter(|text| text.ends_with('\n')))
    }

    /// The command of a program in Python that runs these lines for each message, its `meta` line (`kind`, `ident`, `at`, `took`) and the `message` itself,
    /// the `count` of all so far; `out(message)` prints.
    pub fn python(&self, each: &str) -> Value {
        let lines: Vec<String> = each.lines().map(|line| format!("    {line}\n")).collect();
        let path = self.write("middleware.py", &format!("{READER}{}", lines.concat()));
        json!(["python3", path])
    }

    /// The command of a line of shell that runs in the folder.
    pub fn shell(&self, line: &str) -> Value {
        json!(["sh", "-c", format!("cd {}; {line}", self.0.path().display())])
    }

    /// The command of a program in Python that uses the library `gor`. Where that is not there, the test is skipped and says so, unless
    /// `$MIRROR_TEST_PYTHON` names a Python, as then someone means it to run.
    ///
    /// # Panics
    /// When the Python that is named lacks it.
    pub fn gor(&self, text: &str) -> Option<Value> {
        let wanted = std::env::var_os("MIRROR_TEST_PYTHON");
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
        let python = wanted.clone().map_or(ours, PathBuf::from);
        if Command::new(&python)
            .args(["-c", "import gor.middleware"])
            .output()
            .is_ok_and(|probe| probe.status.success())
        {
            return Some(json!([python, self.write("gor_middleware.py", text)]));
        }
        assert!(wanted.is_none(), "{} has no library gor: tests/setup.sh installs it", python.display());
        eprintln!("skipped: {} has no library gor", python.display());
        None
    }

    /// The command of a program for Node.js that uses the library `goreplay_middleware`. Where that is not there, the test is skipped and says so,
    /// unless the tests were set up (`$MIRROR_TEST_PYTHON`).
    ///
    /// # Panics
    /// When it ought to be there and is not.
    pub fn node(&self, text: &str) -> Option<Value> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join(NODE_MODULES);
        let path = format!("NODE_PATH={}", modules.display());
        let mut probe = Command::new("env");
        probe.args([&path, "node", "-e", "require('goreplay_middleware')"]);
        if probe.output().is_ok_and(|probe| probe.status.success()) {
            return Some(json!(["env", path, "node", self.write("middleware.js", text)]));
        }
        assert!(
            std::env::var_os("MIRROR_TEST_PYTHON").is_none(),
            "there is no Node.js with goreplay_middleware: tests/setup.sh installs it"
        );
        eprintln!("skipped: there is no Node.js with goreplay_middleware in {}", modules.display());
        None
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file of our own");
        path
    }
}

/// Whether a process runs; one that has ended and that nobody has waited for does not.
pub fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// The numbers of the processes in a group, a line each.
///
/// # Panics
/// Where there is no `/proc`.
pub fn members(group: &str) -> String {
    let processes = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let is_of_group = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may be anything: the state, the parent, the group.
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(2)) == Some(group.trim())
    };
    pids.filter(is_of_group).map(|pid| pid + "\n").collect()
}

/// Waits until none of these processes runs, whose numbers are a line each.
#[track_caller]
pub fn wait_gone(pids: &str) {
    for pid in pids.split_whitespace() {
        wait_for(&format!("the end of process {pid}"), WITHIN, || (!runs(pid)).then_some(()));
    }
}
