//! Recordings, read by an implementation of Avro that is not ours: Python's fastavro.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Says how to read a recording; run by [`Fastavro`].
const SCRIPT: &str = include_str!("recording.py");

/// A Python with fastavro and its zstd codec.
#[derive(Debug, Clone)]
pub struct Fastavro(PathBuf);

impl Fastavro {
    /// Looks for it: `$MIRROR_TEST_PYTHON`, else that of `target/venv` (`pip install 'fastavro[zstandard]'`), else the
    /// system's. Where there is none, the test is skipped and says so, unless the variable is set, as then someone means it to
    /// run.
    ///
    /// # Panics
    /// When the variable names a Python without it.
    pub fn find() -> Option<Fastavro> {
        let wanted = std::env::var_os("MIRROR_TEST_PYTHON");
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
        let python = match &wanted {
            Some(python) => python.into(),
            None if ours.is_file() => ours,
            None => "python3".into(),
        };
        if Command::new(&python).args(["-c", SCRIPT]).output().is_ok_and(|probe| probe.status.success()) {
            return Some(Fastavro(python));
        }
        assert!(wanted.is_none(), "{} has no fastavro with zstandard", python.display());
        eprintln!("skipped: {} has no fastavro with zstandard", python.display());
        None
    }

    /// Every record of a file. Bytes are text with one char a byte, times are microseconds.
    ///
    /// # Panics
    /// When it cannot be read to its end.
    #[track_caller]
    pub fn read(&self, path: &Path) -> Vec<Value> {
        self.print(&[], path)
    }

    /// Every kind of record of a file, and how many there are of it: many are read faster so. A kind is what is said (`method`, `target`, `aborted`,
    /// and of `request` and `response` the body, its length and how it was cut, of the latter first the status) without where and when.
    ///
    /// # Panics
    /// When it cannot be read to its end.
    #[track_caller]
    pub fn kinds(&self, path: &Path) -> Vec<(Value, u64)> {
        let kinds = self.print(&["--kinds"], path).into_iter();
        kinds.map(|kind| (kind.clone(), kind["count"].as_u64().expect("a count"))).collect()
    }

    #[track_caller]
    fn print(&self, options: &[&str], path: &Path) -> Vec<Value> {
        let output = Command::new(&self.0)
            .args(["-c", SCRIPT])
            .args(options)
            .arg(path)
            .output()
            .expect("a Python that was found");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} cannot be read: {error}", path.display());
        let text = String::from_utf8(output.stdout).expect("JSON");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}
