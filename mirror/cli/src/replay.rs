//! A replay as its user sees it: how it goes, what has come of it, and whether that is good.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mirror::config::{Config, Fault};
use mirror::control::Control;
use mirror::engine::Engine;
use mirror::replay::{self, Report, Running, Watch};
use mirror::telemetry::Telemetry;

use crate::say::tell;
use crate::status;

mod summary;

/// How often it is looked whether requests go late.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often that is told at most, and how it goes where there is no terminal.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What is to be replayed, open, and where the report goes.
pub(crate) struct Opened {
    replay: replay::Opened,
    report: Option<(String, File)>,
}

/// A replay under way.
pub(crate) struct Replay {
    pub(crate) running: Running,
    result: ReplayResult,
}

/// Tells what has come of it once it is over.
pub(crate) struct ReplayResult {
    watch: Watch,
    control: Control,
    report: Option<(String, File)>,
}

impl Opened {
    /// Opens all of it; none where nothing is replayed.
    fn open(config: &Config) -> Result<Option<Opened>, Vec<Fault>> {
        let cannot_read = |error| Fault::missing("replay.files", format!("recordings that can be read ({error})"));
        let opened = replay::Opened::open(config).map_err(|errors| errors.into_iter().map(cannot_read).collect());
        let path = config.replay.as_ref().and_then(|replay| replay.report.as_ref());
        // What a report of another replay says stays until this one has one.
        let report = path.map(|path| File::options().create(true).append(true).open(path).map(|file| (path, file)));
        let cannot_write = |error| {
            let value = path.map_or(String::new(), |path| path.display().to_string());
            Fault::new("replay.report", value, format!("a file that can be written ({error})"))
        };
        match (opened, report.transpose().map_err(cannot_write)) {
            (Ok(opened), Ok(report)) => Ok(opened.map(|replay| Opened {
                replay,
                report: report.map(|(path, file)| (path.display().to_string(), file)),
            })),
            (Err(faults), Ok(_)) => Err(faults),
            (Ok(_), Err(fault)) => Err(vec![fault]),
            (Err(mut faults), Err(fault)) => {
                faults.push(fault);
                Err(faults)
            }
        }
    }

    /// The same on a thread of its own: a pipe may say nothing for as long as it likes, and who waits here need not.
    pub(crate) async fn open_apart(config: &Config) -> anyhow::Result<Result<Option<Opened>, Vec<Fault>>> {
        if config.replay.is_none() {
            return Ok(Ok(None));
        }
        let (done, opened) = tokio::sync::oneshot::channel();
        let config = config.clone();
        let opening = std::thread::Builder::new().name("mirror-replay-open".into());
        opening.spawn(move || drop(done.send(Opened::open(&config))))?;
        opened.await.context("the recordings could not be opened")
    }

    /// Begins. `may_change`: the configuration may be read again.
    pub(crate) fn start(
        self,
        config: &Config,
        may_change: bool,
        engine: &Engine,
        telemetry: &Arc<Telemetry>,
    ) -> std::io::Result<Replay> {
        let running = self.replay.start(config, may_change, engine, telemetry)?;
        let result = ReplayResult { watch: running.watch(), control: engine.control(), report: self.report };
        Ok(Replay { running, result })
    }
}

impl Replay {
    /// What is told when it is over, apart from what ends it.
    pub(crate) fn split(self) -> (Running, ReplayResult) {
        (self.running, self.result)
    }
}

impl ReplayResult {
    /// Prints and writes what has come of it, and gives the exit code.
    pub(crate) fn tell(self, stdout_is_taken: bool) -> anyhow::Result<ExitCode> {
        let report = self.watch.report(&self.control);
        status::print(&summary::Summary(&report), stdout_is_taken);
        if let Some(nothing) = &report.nothing {
            // Logging has ended.
            tell!("mirror: {nothing}");
        }
        if let Some((path, file)) = self.report {
            write(file, &report).with_context(|| format!("the report cannot be written to {path}"))?;
        }
        Ok(if report.has_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn write(mut file: File, report: &Report) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    // A pipe or a device has no length.
    let _ = file.set_len(0);
    Ok(file.write_all(&text)?)
}

/// Tells that requests go late, and where there is no terminal how it goes, for ever.
pub(crate) async fn keep_telling(watch: &Watch) {
    let on_terminal = std::io::stderr().is_terminal();
    let (mut since_told, mut since_warned) = (Duration::ZERO, TELL_EVERY);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        (since_told, since_warned) = (since_told + LOOK_EVERY, since_warned + LOOK_EVERY);
        let lateness = watch.look_at_lateness();
        if let Some(p99) = lateness.filter(|p99| watch.is_late(*p99) && since_warned >= TELL_EVERY) {
            since_warned = Duration::ZERO;
            tracing::warn!(p99_lateness = %short(p99), "requests go out late: a target, or this machine, does not keep up");
        }
        if !on_terminal && since_told >= TELL_EVERY {
            since_told = Duration::ZERO;
            let left = watch.progress().left().map(|left| short(left).to_string());
            tracing::info!(sent = watch.sent(), p99_lateness = lateness.map(short), left, "replaying");
        }
    }
}

/// What the live line tells beside the counts.
pub(crate) fn parts(watch: &Watch) -> Vec<String> {
    let lateness = watch.lateness().map(|lateness| format!("late p99 {}", short(lateness)));
    let left = watch.progress().left().map(|left| format!("{} left", short(left)));
    lateness.into_iter().chain(left).collect()
}

/// A time with three digits.
pub(crate) fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} us", s * 1e6),
        s if s < 10e-3 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (micros, shown) in [
            (7, "7 us"),
            (1_234, "1.23 ms"),
            (56_700, "57 ms"),
            (1_500_000, "1.5 s"),
            (600_000_000, "10 min"),
            (7_200_000_000, "2.0 h"),
        ] {
            assert_eq!(short(Duration::from_micros(micros)), shown);
        }
    }
}
