//! Logging by tracing: for people on a terminal, JSON otherwise or where it is asked for. On stderr, by a thread of its own: a terminal that is
//! stopped or a pipe that nobody reads must not stop who serves a request.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::Relaxed;

use mirror::config::{LogConfig, LogFormat};
use mirror::telemetry::Telemetry;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::status::{CLEAR, SHOWN};

/// pingora tells by itself of every failed exchange, in its own words; ours say whose fault it is.
const OTHERS: &str = "pingora_core=off,pingora_proxy=off,";

/// Lines that may wait for stderr to take them; more are given up and counted. Some 300 KiB: a burst, and not a leak.
const WAITING: usize = 1024;

/// Logging, as long as it is held: dropped, it writes what waits, within a second.
pub(crate) struct Log {
    _writing: WorkerGuard,
    given_up: ErrorCounter,
}

impl Log {
    /// Has the metrics tell of lines that were given up.
    pub(crate) fn observe(&self, telemetry: &Telemetry) {
        let given_up = self.given_up.clone();
        telemetry.counters(
            "mirror_log_lines_dropped_total",
            "Log lines given up, as they could not be written in time.",
            "to",
            vec![("stderr".into(), Box::new(move || given_up.dropped_lines() as u64))],
        );
    }
}

/// Starts logging; once a process.
pub(crate) fn start(config: &LogConfig) -> Log {
    let people = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // What the configuration says comes last and so wins.
    let filter = EnvFilter::try_new(format!("{OTHERS}{}", config.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).thread_name("mirror-log");
    let (writer, writing) = builder.finish(Stderr);
    let log = Log { _writing: writing, given_up: writer.error_counter() };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match people {
        true => subscriber.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        false => subscriber.json().flatten_event(true).with_target(false).try_init(),
    };
    // A second start, as by tests in one process, keeps the first.
    drop(started);
    log
}

/// stderr, off which the live status line is taken before anything is written.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut stderr = std::io::stderr().lock();
        if SHOWN.swap(false, Relaxed) {
            stderr.write_all(CLEAR.as_bytes())?;
        }
        stderr.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
