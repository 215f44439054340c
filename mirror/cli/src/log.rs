//! Logging by tracing: for people on a terminal, JSON otherwise or where it is asked for. On stderr.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::Relaxed;

use mirror::config::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::status::{CLEAR, SHOWN};

/// pingora tells by itself of every failed exchange, in its own words; ours say whose fault it is.
const OTHERS: &str = "pingora_core=off,pingora_proxy=off,";

/// Starts logging; once a process.
pub(crate) fn start(config: &LogConfig) {
    let people = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // What the configuration says comes last and so wins.
    let filter = EnvFilter::try_new(format!("{OTHERS}{}", config.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Stderr);
    let started = match people {
        true => subscriber.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        false => subscriber.json().flatten_event(true).with_target(false).try_init(),
    };
    // A second start, as by tests in one process, keeps the first.
    drop(started);
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
