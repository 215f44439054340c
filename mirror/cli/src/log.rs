//! Logging by tracing: for people on a terminal, JSON otherwise or where it is asked for. On stderr, by a thread of its own: a terminal that is
//! stopped or a pipe that nobody reads must not stop who serves a request.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use mirror::config::{LogConfig, LogFormat};
use mirror::telemetry::Telemetry;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::EitherWriter;

use crate::status::{CLEAR, SHOWN};

/// pingora tells by itself of every failed exchange, in its own words; ours say whose fault it is.
const OTHERS: &str = "pingora_core=off,pingora_proxy=off,";

/// Lines that may wait for stderr to take them; more are given up and counted. Some 300 KiB: a burst, and not a leak.
const WAITING: usize = 1024;

/// Has another level from now on.
pub(crate) type Level = Arc<dyn Fn(&str) + Send + Sync>;

/// Logging. Once it has a thread: dropped, it writes what waits, within a second.
pub(crate) struct Log {
    pub(crate) level: Level,
    queue: Arc<OnceLock<NonBlocking>>,
    writing: Option<WorkerGuard>,
}

impl Log {
    /// From here on lines are written by a thread of their own, which the metrics tell of. It has this thread's privileges, so it is started
    /// after some were given up, and before anybody is served.
    pub(crate) fn start_thread(&mut self, telemetry: &Telemetry) {
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).thread_name("mirror-log");
        let (queue, writing) = builder.finish(Stderr);
        let given_up = queue.error_counter();
        telemetry.counters(
            "mirror_log_lines_dropped_total",
            "Log lines given up, as they could not be written in time.",
            "to",
            vec![("stderr".into(), Box::new(move || given_up.dropped_lines() as u64))],
        );
        self.writing = Some(writing);
        let _ = self.queue.set(queue);
    }
}

/// Starts logging; once a process.
pub(crate) fn start(config: &LogConfig) -> Log {
    let people = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let queue: Arc<OnceLock<NonBlocking>> = Arc::default();
    let log_queue = queue.clone();
    let writer = move || match queue.get() {
        Some(queue) => EitherWriter::A(queue.clone()),
        None => EitherWriter::B(Stderr),
    };
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter(&config.level)).with_writer(writer).with_target(false);
    let (started, level): (_, Level) = if people {
        let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
        let level = subscriber.reload_handle();
        (subscriber.try_init(), Arc::new(move |directives| drop(level.reload(filter(directives)))))
    } else {
        let subscriber = subscriber.json().flatten_event(true).with_filter_reloading();
        let level = subscriber.reload_handle();
        (subscriber.try_init(), Arc::new(move |directives| drop(level.reload(filter(directives)))))
    };
    // A second start, as by tests in one process, keeps the first.
    drop(started);
    Log { level, queue: log_queue, writing: None }
}

/// What the configuration says comes last and so wins.
fn filter(directives: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{OTHERS}{directives}")).unwrap_or_else(|_| EnvFilter::new("info"))
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
