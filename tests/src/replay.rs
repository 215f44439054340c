//! `mirror replay`, run to its end.

use std::path::Path;

use serde_json::Value;

use crate::command::run_to_end;
use crate::server::Server;
use crate::summary::Summary;
use crate::tape::Tape;

/// A replay that has ended.
#[derive(Debug)]
pub struct Replayed {
    /// The exit code.
    pub code: Option<i32>,
    /// All that it printed.
    pub stdout: String,
    /// All that it logged.
    pub stderr: String,
    /// The report that it wrote.
    pub report: Value,
}

/// Replays a tape to a target, with more arguments, in a folder of its own.
///
/// # Panics
/// When it does not end, or writes no report.
#[track_caller]
pub fn replay(tape: &Tape, target: &Server, arguments: &[&str]) -> Replayed {
    let folder = tempfile::tempdir().expect("a folder of our own");
    replay_in(folder.path(), tape, target, arguments)
}

/// The same in this folder, where it is `traffic.avro`.
#[track_caller]
pub fn replay_in(folder: &Path, tape: &Tape, target: &Server, arguments: &[&str]) -> Replayed {
    tape.write(&folder.join("traffic.avro"));
    let target = format!("--shadow={}", target.address());
    let all = [&["traffic.avro", &target][..], arguments].concat();
    replayed(folder, &all)
}

/// Runs `mirror replay` with these arguments, and a report.
#[track_caller]
pub fn replayed(folder: &Path, arguments: &[&str]) -> Replayed {
    let own = ["replay", "--report=report.json", "--admin=off", "--log-format=json"];
    let output = run_to_end(folder, &[&own[..], arguments].concat());
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    let report = std::fs::read(folder.join("report.json")).unwrap_or_default();
    let report =
        serde_json::from_slice(&report).unwrap_or_else(|error| panic!("no report ({error}): {stdout}{stderr}"));
    Replayed { code: output.status.code(), stdout, stderr, report }
}

impl Replayed {
    /// The sums, which it asserts to be exact.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        let summary = Summary::parse(&self.stdout).unwrap_or_else(|| panic!("no table of sums: {self:#?}"));
        summary.assert_exact();
        summary
    }

    /// What the report says of its only target.
    ///
    /// # Panics
    /// When there are several.
    #[track_caller]
    pub fn target(&self) -> &Value {
        match self.report["targets"].as_array().map(Vec::as_slice) {
            Some([target]) => target,
            _ => panic!("not one target: {self:#?}"),
        }
    }

    /// A number of the report, such as `planned_seconds`.
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        self.report[name].as_f64().unwrap_or_else(|| panic!("no number {name}: {self:#?}"))
    }
}
