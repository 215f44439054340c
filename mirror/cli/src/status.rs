//! What people see: one live line while it runs, one table at the end.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mirror::budget::Budget;
use mirror::control::Control;
use mirror::engine::Engine;
use mirror::outcome::{DropReason, FailReason, SkipReason};
use mirror::replay::Watch;
use mirror::telemetry::{SinkMetrics, Telemetry};
use terminal_size::{Width, terminal_size_of};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_secs(1);

/// Back to the line's start, and the line away.
pub(crate) const CLEAR: &str = "\r\x1b[2K";

/// Whether the line is on the terminal now: who writes a log line clears it first. Changed by who holds the lock of stderr.
pub(crate) static SHOWN: AtomicBool = AtomicBool::new(false);

/// The live line on stderr, where that is a terminal.
pub(crate) struct StatusLine {
    sums: Sums,
    replay: Option<Watch>,
}

impl StatusLine {
    pub(crate) fn new(sums: Sums, replay: Option<Watch>) -> StatusLine {
        StatusLine { sums, replay }
    }

    /// Writes the line for ever.
    pub(crate) async fn show(&self) {
        if !std::io::stderr().is_terminal() {
            return std::future::pending().await;
        }
        let (mut before, mut at) = (self.sums.seen(), Instant::now());
        loop {
            tokio::time::sleep(EVERY).await;
            let (seen, now) = (self.sums.seen(), Instant::now());
            let rate = (seen - before) as f64 / (now - at).as_secs_f64();
            (before, at) = (seen, now);
            let line = self.line(rate, seen);
            // Held while it is written, so that a line of the log comes before it or after it.
            let mut stderr = std::io::stderr().lock();
            SHOWN.store(true, Relaxed);
            let _ = stderr.write_all(line.as_bytes());
        }
    }

    fn line(&self, rate: f64, seen: u64) -> String {
        let totals = self.sums.summary().totals();
        let replay = self.replay.iter().flat_map(crate::replay::parts);
        let parts = [
            format!("{rate:.0}/s"),
            format!("{seen} seen"),
            format!("{} mirrored", totals.delivered),
            format!("{} dropped", totals.dropped),
            format!("{} failed", totals.failed),
            format!("{} in flight", totals.in_flight),
            format!("{} held", bytes(self.sums.budget.used())),
        ];
        // What is most asked for comes first: the line ends where the row does.
        let [rate, rest @ ..] = parts;
        let parts: Vec<String> = std::iter::once(rate).chain(replay).chain(rest).collect();
        let columns = terminal_size_of(std::io::stderr()).map_or(usize::MAX, |(Width(columns), _)| columns.into());
        format!("{CLEAR}{}", joined(&parts, columns))
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        let mut stderr = std::io::stderr().lock();
        if SHOWN.swap(false, Relaxed) {
            let _ = stderr.write_all(CLEAR.as_bytes());
        }
    }
}

/// As many of the first parts as a row has room for: of a line that wraps, [`CLEAR`] would take the last row only.
fn joined(parts: &[String], columns: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let between = if line.is_empty() { "" } else { " · " };
        // Some terminals wrap already when a row is full.
        if line.chars().count() + between.chars().count() + part.len() >= columns {
            break;
        }
        line.push_str(between);
        line.push_str(part);
    }
    line
}

fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{} KiB", n / 1024),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// Where the sums are read from; outlives the engine.
#[derive(Clone)]
pub(crate) struct Sums {
    control: Control,
    budget: Arc<Budget>,
    seen: Vec<mirror::telemetry::Counter>,
}

/// What has become of everything.
#[derive(Debug)]
pub(crate) struct Summary {
    seen: u64,
    pub(crate) sinks: Vec<SinkSummary>,
    peak: usize,
    limit: usize,
}

/// What has become of one sink's copies.
#[derive(Debug, Default, Clone)]
pub(crate) struct SinkSummary {
    pub(crate) name: String,
    pub(crate) offered: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) failed: u64,
    pub(crate) in_flight: u64,
    reasons: String,
}

impl Sums {
    /// What comes of these ways in.
    pub(crate) fn of(engine: &Engine, sources: &[&str], telemetry: &Telemetry) -> Sums {
        let seen = sources.iter().map(|source| telemetry.source(source).seen).collect();
        Sums { control: engine.control(), budget: engine.budget(), seen }
    }

    fn seen(&self) -> u64 {
        self.seen.iter().map(mirror::telemetry::Counter::get).sum()
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            seen: self.seen(),
            sinks: self.control.all_sinks().iter().map(|sink| SinkSummary::of(&sink.name, &sink.metrics)).collect(),
            peak: self.budget.peak(),
            limit: self.budget.limit(),
        }
    }
}

impl SinkSummary {
    fn of(name: &str, metrics: &SinkMetrics) -> SinkSummary {
        let mut reasons = Vec::new();
        let mut add = |what: &str, counts: Vec<(usize, u64)>, label: fn(usize) -> &'static str| {
            reasons.extend(counts.into_iter().map(|(i, n)| format!("{what} {} {n}", label(i))));
        };
        add("dropped", metrics.dropped.counts().collect(), |i| DropReason::ALL[i].label());
        add("failed", metrics.failed.counts().collect(), |i| FailReason::ALL[i].label());
        add("skipped", metrics.skipped.counts().collect(), |i| SkipReason::ALL[i].label());
        SinkSummary {
            name: name.to_owned(),
            offered: metrics.offered.get(),
            delivered: metrics.delivered.get(),
            dropped: metrics.dropped.total(),
            failed: metrics.failed.total(),
            in_flight: metrics.in_flight(),
            reasons: reasons.join(", "),
        }
    }
}

impl Summary {
    fn totals(&self) -> SinkSummary {
        self.sinks.iter().fold(SinkSummary::default(), |sum, sink| SinkSummary {
            delivered: sum.delivered + sink.delivered,
            dropped: sum.dropped + sink.dropped,
            failed: sum.failed + sink.failed,
            in_flight: sum.in_flight + sink.in_flight,
            ..sum
        })
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.sinks.iter().map(|sink| sink.name.len()).max().unwrap_or(0).max("sink".len());
        let mut table = String::new();
        writeln!(
            table,
            "{:width$}  {:>10}  {:>10}  {:>10}  {:>10}  reasons",
            "sink", "offered", "delivered", "dropped", "failed"
        )?;
        for sink in &self.sinks {
            let SinkSummary { name, offered, delivered, dropped, failed, reasons, .. } = sink;
            let line = format!("{name:width$}  {offered:>10}  {delivered:>10}  {dropped:>10}  {failed:>10}  {reasons}");
            writeln!(table, "{}", line.trim_end())?;
        }
        write!(f, "{} exchanges seen; at most {} of {} held\n{table}", self.seen, bytes(self.peak), bytes(self.limit))
    }
}

/// Prints what a run comes to; where its recording is on stdout, to stderr.
pub(crate) fn print(what: &dyn std::fmt::Display, stdout_is_taken: bool) {
    let _ = match stdout_is_taken {
        true => write!(std::io::stderr(), "{what}"),
        false => write!(std::io::stdout(), "{what}"),
    };
}
