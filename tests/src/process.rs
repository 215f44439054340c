//! The built binary as a process: started, scraped, told to end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::config::Config;
use crate::conn::Conn;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::server::Server;
use crate::summary::Summary;
use crate::terminal::Terminal;
use crate::{WITHIN, wait_for};

mod memory;
mod written;

use written::{Written, collect, plain, text};

/// A running `mirror`; killed when it is dropped.
pub struct Mirror {
    child: Child,
    listen: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    stdout: Written,
    stderr: Written,
    readers: Vec<std::thread::JoinHandle<()>>,
    /// The configuration lives in it.
    pub(crate) folder: tempfile::TempDir,
}

/// An ended `mirror`.
#[derive(Debug)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it printed.
    pub stdout: String,
    /// All that it logged.
    pub stderr: String,
}

impl Exit {
    /// The table that it printed.
    ///
    /// # Panics
    /// When it printed none.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        Summary::parse(&self.stdout).unwrap_or_else(|| panic!("no table of sums: {self:#?}"))
    }
}

/// The binary under test: `MIRROR_BIN`, or the one that was built into the same folder as the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MIRROR_BIN") {
        return path.into();
    }
    // <target>/<profile>/deps/<test>
    let test = std::env::current_exe().expect("the test's own path");
    let built = test.ancestors().nth(2).map(|profile| profile.join("mirror")).unwrap_or_default();
    assert!(
        built.is_file(),
        "there is no {}: run `cargo build` first, or name a binary in MIRROR_BIN",
        built.display()
    );
    built
}

/// What the file is called that a configuration is run from.
pub(crate) const FILE: &str = "mirror.yaml";

/// How a configuration is run, and the folder that it is in as a file.
pub(crate) fn run(config: &Config, mut program: Command) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let file = folder.path().join(FILE);
    std::fs::write(&file, config.text()).expect("a file of our own");
    program.arg("run").arg(file);
    (program, folder)
}

impl Mirror {
    /// Starts it from a file and waits until it listens, be it at an address or to packets.
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn start(config: Config) -> Mirror {
        let (command, folder) = run(&config, Command::new(binary()));
        Mirror::launch(command, folder)
    }

    /// Starts it from a file by way of a line of shell, which ends in `exec "$@"`: for what a process inherits.
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn start_through(shell: &str, config: &Config) -> Mirror {
        let mut command = Command::new("sh");
        command.args(["-c", shell, "sh"]).arg(binary());
        let (command, folder) = run(config, command);
        Mirror::launch(command, folder)
    }

    /// Starts it from a file on a terminal that is so wide, with stdout and stderr. What it writes is in [`Mirror::stderr`].
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn start_on_terminal(columns: u16, config: &Config) -> (Mirror, Terminal) {
        let (terminal, ends) = Terminal::open(columns);
        let (mut command, folder) = run(config, Command::new(binary()));
        command.stdout(ends.stdout).stderr(ends.stderr);
        let stderr = terminal.written().clone();
        let readers = vec![collect(terminal.until_it_is_gone(ends.read), &stderr)];
        (Mirror::spawn(command, folder, |_| (Written::default(), stderr, readers)), terminal)
    }

    /// Starts it between clients and an upstream, with one target that is called `target`.
    #[track_caller]
    pub fn between(upstream: &Server, target: &Server) -> Mirror {
        Mirror::start(Config::upstream(upstream.address()).shadow("target", target.address()))
    }

    /// Starts it with these arguments, which ask for JSON logs, and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn start_with(arguments: &[&str]) -> Mirror {
        let mut command = Command::new(binary());
        command.args(arguments);
        Mirror::start_command(command)
    }

    /// Starts it with GoReplay's flags, and waits until it listens. (GoReplay has none for the log's format, nor for an address of the system's choice.)
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn gor(flags: &[&str]) -> Mirror {
        let ours = ["--set=admin.address=127.0.0.1:0", "--set=log.format=json"];
        Mirror::start_with(&[&["gor"], flags, &ours].concat())
    }

    /// The same by a command that runs it.
    #[track_caller]
    pub(crate) fn start_command(command: Command) -> Mirror {
        Mirror::launch(command, tempfile::tempdir().expect("a folder of our own"))
    }

    #[track_caller]
    pub(crate) fn launch(mut command: Command, folder: tempfile::TempDir) -> Mirror {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Mirror::spawn(command, folder, |child| {
            let (stdout, stderr) = (Written::default(), Written::default());
            let readers = vec![
                collect(child.stdout.take().expect("a pipe"), &stdout),
                collect(child.stderr.take().expect("a pipe"), &stderr),
            ];
            (stdout, stderr, readers)
        })
    }

    #[track_caller]
    fn spawn(
        mut command: Command,
        folder: tempfile::TempDir,
        collect: impl FnOnce(&mut Child) -> (Written, Written, Vec<std::thread::JoinHandle<()>>),
    ) -> Mirror {
        command.current_dir(folder.path()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        // It holds a terminal's other end, which would not come to its end.
        drop(command);
        let (stdout, stderr, readers) = collect(&mut child);
        let mut mirror = Mirror { child, listen: Vec::new(), admin: None, stdout, stderr, readers, folder };
        // The admin endpoint is served last, and with it all is ready: what is read of the log after it tells all addresses.
        wait_for("the addresses in the log", WITHIN, || {
            if let Ok(Some(status)) = mirror.child.try_wait() {
                mirror.read_to_end();
                panic!("it ended ({status}) instead of listening: {}{}", mirror.stderr(), mirror.stdout());
            }
            mirror.admin = mirror.told("admin endpoint").first().copied();
            mirror.listen = mirror.told("listening");
            // What only listens to packets, or replays, has no address.
            let without = |line: &Value| line["message"] == "capturing" || line["message"] == "replaying";
            let on_terminal = || plain(&mirror.stderr()).contains(" replaying ");
            let ready = !mirror.listen.is_empty() || mirror.log().iter().any(without) || on_terminal();
            (ready && mirror.admin.is_some()).then_some(())
        });
        mirror
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.listen[0]
    }

    /// All addresses that it listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.clone()
    }

    /// A client's connection.
    #[track_caller]
    pub fn connect(&self) -> Conn {
        Conn::open(self.address())
    }

    /// Where the admin endpoint is.
    ///
    /// # Panics
    /// When there is none.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("an admin endpoint")
    }

    /// What the admin endpoint answers at a path.
    ///
    /// # Panics
    /// When there is no such endpoint.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Message {
        let address = self.admin_address();
        Conn::open(address).exchange(&format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
    }

    /// What is counted now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer = self.admin("/metrics");
        assert_eq!(answer.status(), 200, "{answer:?}");
        Metrics::parse(&answer.text())
    }

    /// Looks at the metrics until they are as they should be, and gives them.
    #[track_caller]
    pub fn wait_for(&self, within: Duration, predicate: impl Fn(&Metrics) -> bool) -> Metrics {
        let mut last = Metrics::default();
        let until = std::time::Instant::now() + within;
        while std::time::Instant::now() < until {
            last = self.metrics();
            if predicate(&last) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("waited {within:?} in vain; at last: {last:#?}\nlogged: {}", self.stderr())
    }

    /// Waits until this many copies have arrived at a target.
    #[track_caller]
    pub fn wait_delivered(&self, sink: &str, count: u64) -> Metrics {
        self.wait_for(WITHIN, |metrics| metrics.delivered(sink) >= count)
    }

    /// Waits until every sink was offered this many copies and has settled them all, and gives what is counted then.
    #[track_caller]
    pub fn wait_settled(&self, count: u64) -> Metrics {
        self.wait_for(WITHIN * 2, |metrics| {
            metrics.sinks().iter().all(|sink| (metrics.offered(sink), metrics.settled(sink)) == (count, count))
        })
    }

    /// The log so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// What was printed so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// The log's lines so far that are JSON objects.
    pub fn log(&self) -> Vec<Value> {
        log_lines(&self.stderr())
    }

    /// Waits for a line of the log with this message, and gives it.
    #[track_caller]
    pub fn wait_log(&self, message: &str) -> Value {
        wait_for(&format!("the log line {message:?}"), WITHIN, || {
            self.log().into_iter().find(|line| line["message"] == message)
        })
    }

    /// The addresses in the log's lines with this message, in JSON or for people.
    fn told(&self, message: &str) -> Vec<SocketAddr> {
        let lines = self.log();
        let json = lines.iter().filter(|line| line["message"] == message);
        let json = json.filter_map(|line| line["address"].as_str()?.parse().ok());
        let (people, start) = (plain(&self.stderr()), format!(" {message} address="));
        // Of a line that is not whole yet, neither is the address.
        let whole = people.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let people = whole.filter_map(|line| line.split_once(&start)?.1.split_whitespace().next()?.parse().ok());
        json.chain(people).collect()
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: a system call; the child has not been waited for, so the number is still its own.
        let done = unsafe { libc::kill(pid, signal) };
        assert_eq!(done, 0, "kill: {}", std::io::Error::last_os_error());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait_exit(mut self) -> Exit {
        let status = self.wait_status();
        self.read_to_end();
        Exit { status, stdout: self.stdout(), stderr: self.stderr() }
    }

    #[track_caller]
    fn wait_status(&mut self) -> ExitStatus {
        // Half again as long as anything else: the drain itself may take as long as what it waits for.
        let until = std::time::Instant::now() + WITHIN * 3 / 2;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of our own") {
                return status;
            }
            assert!(std::time::Instant::now() < until, "it does not end; logged: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it by SIGTERM and gives the sums, which it asserts to be exact.
    ///
    /// # Panics
    /// When it does not end well.
    #[track_caller]
    pub fn terminate(self) -> Summary {
        self.signal(libc::SIGTERM);
        let exit = self.wait_exit();
        assert_eq!(exit.status.code(), Some(0), "{exit:#?}");
        let summary = exit.summary();
        summary.assert_exact();
        summary
    }

    fn read_to_end(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("mirror logged:\n{}", self.stderr());
        }
    }
}

fn log_lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
