//! A folder in which the built binary reads and writes files, as at a prompt.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::process::binary;
use crate::terminal::Terminal;
use crate::{WITHIN, run_to_end, wait_for};

/// A folder of a test's own.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

/// What a command that has ended said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed; on a terminal, all that it wrote there.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// What it printed, when all went well and there was nothing to complain of.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// The JSON in each line that it printed, when all went well.
    ///
    /// # Panics
    /// When it did not, or a line is none.
    #[track_caller]
    pub fn lines_of_json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    /// When there can be none.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder of our own"))
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("a file of our own");
    }

    /// Reads a file.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Makes a recording of these exchanges, as lines of a `.jsonl` have them. The file's name says the format.
    ///
    /// # Panics
    /// When that is refused.
    #[track_caller]
    pub fn record(&self, name: &str, exchanges: &[Value]) {
        let lines: String = exchanges.iter().map(|exchange| format!("{exchange}\n")).collect();
        self.write("made.jsonl", lines);
        let ran = self.run(&["convert", "made.jsonl", name, "--force"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        std::fs::remove_file(self.path("made.jsonl")).expect("it was there");
    }

    /// Runs the binary to its end.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&run_to_end(self.0.path(), arguments))
    }

    /// Runs a line of shell, in which the binary is `mirror`.
    ///
    /// # Panics
    /// When there is no shell.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Ran {
        let mut command = Command::new("timeout");
        command.arg(WITHIN.as_secs().to_string()).args(["bash", "-c"]).arg(script(line));
        command.env("MIRROR", binary()).current_dir(self.0.path()).stdin(Stdio::null());
        Ran::of(&command.output().expect("a shell"))
    }

    /// Starts a line of shell, in which the binary is `mirror`.
    ///
    /// # Panics
    /// When there is no shell.
    #[track_caller]
    pub fn start_in_shell(&self, line: &str) -> Started {
        let mut command = Command::new("bash");
        command.arg("-c").arg(script(line)).env("MIRROR", binary());
        self.start_command(command)
    }

    /// Runs the binary to its end on a terminal that is so wide.
    ///
    /// # Panics
    /// When it cannot be run.
    #[track_caller]
    pub fn run_on_terminal(&self, columns: u16, arguments: &[&str]) -> Ran {
        self.run_on_terminal_with(columns, &[], arguments)
    }

    /// The same with these variables in its environment.
    ///
    /// # Panics
    /// When it cannot be run.
    #[track_caller]
    pub fn run_on_terminal_with(&self, columns: u16, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let (_terminal, mut ends) = Terminal::open(columns);
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.stdout(ends.stdout).stderr(ends.stderr).env("TERM", "xterm").env_remove("NO_COLOR");
        command.envs(variables.iter().copied());
        let mut child = command.spawn().expect("the binary");
        // It holds the terminal's other end, which would not come to its end.
        drop(command);
        let mut written = Vec::new();
        // A terminal that nobody writes to any more is an error to read.
        let _ = ends.read.read_to_end(&mut written);
        let status = child.wait().expect("it has ended");
        Ran { code: status.code(), stdout: String::from_utf8_lossy(&written).into_owned(), stderr: String::new() }
    }

    /// Starts the binary.
    ///
    /// # Panics
    /// When it cannot be run.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Started {
        let mut command = Command::new(binary());
        command.args(arguments);
        self.start_command(command)
    }

    #[track_caller]
    fn start_command(&self, mut command: Command) -> Started {
        command.current_dir(self.0.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stdout, written) = (child.stdout.take().expect("a pipe"), lines.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                written.lock().expect("no panic while it is held").push(line);
            }
        });
        Started { child, lines }
    }
}

/// Of a pipeline, the first that failed tells.
fn script(line: &str) -> String {
    format!("set -o pipefail; mirror() {{ \"$MIRROR\" \"$@\"; }}; {line}")
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        self.0.path()
    }
}

/// The binary while it runs; killed when it is dropped.
#[derive(Debug)]
pub struct Started {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Started {
    /// The lines printed so far, once there are so many.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn wait_lines(&self, count: usize) -> Vec<String> {
        wait_for(&format!("{count} lines"), WITHIN, || {
            let lines = self.lines.lock().expect("no panic while it is held");
            (lines.len() >= count).then(|| lines.clone())
        })
    }

    /// Ctrl-C; gives the exit code.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn interrupt(mut self) -> Option<i32> {
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        self.wait()
    }

    /// Waits for its end; gives the exit code.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        wait_for("the end", WITHIN, || self.child.try_wait().expect("our child")).code()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
