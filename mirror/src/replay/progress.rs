//! How far a replay is.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::report::Report;
use crate::config::ReplayConfig;
use crate::control::Control;
use crate::outcome::LeftOut;
use crate::telemetry::{Counter, Telemetry};

/// Why a replay has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All was sent.
    Complete,
    /// So many requests were sent as are asked for.
    Limit,
    /// It took as long as is asked for.
    Duration,
    /// It was told to end.
    Interrupted,
    /// A recording could not be read any further.
    Unreadable,
}

/// What both threads of a replay tell of it.
pub struct Progress {
    pub(super) config: ReplayConfig,
    /// Requests of the first pass that were read.
    pub(super) read: AtomicU64,
    /// How many of them came behind one that began after them.
    pub(super) out_of_order: AtomicU64,
    /// Requests that the engine was given.
    pub(super) offered: AtomicU64,
    /// The pass that it is in.
    pub(super) passes: AtomicU64,
    left_out: Vec<Counter>,
    began: OnceLock<(Instant, SystemTime)>,
    ending: OnceLock<Ending>,
    settled: OnceLock<Instant>,
    /// When the request sent last was due, since the beginning, and when it was recorded, since the Unix epoch or before it; in nanoseconds.
    due: AtomicU64,
    at: AtomicI64,
    /// When the request read last was recorded, and whether it was the last one there is.
    read_to: AtomicI64,
    is_read: AtomicBool,
    /// As it was looked at last, in nanoseconds.
    lateness: AtomicU64,
    unread: Mutex<Vec<String>>,
}

const NOT_KNOWN: u64 = u64::MAX;

impl Progress {
    pub(super) fn new(config: &ReplayConfig, telemetry: &Telemetry) -> Progress {
        let counter = |reason: &LeftOut| {
            let help = "Recorded requests that are not sent again, by reason.";
            telemetry.counter("mirror_replay_left_out_total", help, ("reason", reason.label()))
        };
        Progress {
            config: config.clone(),
            read: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            offered: AtomicU64::new(0),
            passes: AtomicU64::new(1),
            left_out: LeftOut::ALL.iter().map(counter).collect(),
            began: OnceLock::new(),
            ending: OnceLock::new(),
            settled: OnceLock::new(),
            due: AtomicU64::new(0),
            at: AtomicI64::new(i64::MIN),
            read_to: AtomicI64::new(i64::MIN),
            is_read: AtomicBool::new(false),
            lateness: AtomicU64::new(NOT_KNOWN),
            unread: Mutex::default(),
        }
    }

    pub(super) fn begin(&self, at: Instant, wall: SystemTime) {
        let _ = self.began.set((at, wall));
    }

    /// The first end that is told counts.
    pub(super) fn end(&self, ending: Ending) {
        let _ = self.ending.set(ending);
    }

    /// Every target has made something of all that was sent.
    pub(super) fn settled(&self) {
        let _ = self.settled.set(Instant::now());
    }

    /// One more was sent, which was recorded then, and due then. Gives how many there were.
    pub(super) fn sent_one(&self, recorded: SystemTime, due: Duration) -> u64 {
        self.at.store(since_epoch(recorded), Relaxed);
        self.due.store(nanos(due), Relaxed);
        self.offered.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn leave_out(&self, reason: LeftOut) {
        self.left_out[reason as usize].inc();
    }

    /// So far it is read.
    pub(super) fn read_to(&self, recorded: SystemTime) {
        self.read_to.fetch_max(since_epoch(recorded), Relaxed);
    }

    /// There is no more to read.
    pub(super) fn all_read(&self) {
        self.is_read.store(true, Relaxed);
    }

    /// A part of this recording could not be read, or nothing more.
    pub(super) fn unread(&self, what: String) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What could not be read, by the recording's name.
    pub fn unreadable(&self) -> Vec<String> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why it has ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// How many were left out, by reason.
    pub fn left_out(&self) -> impl Iterator<Item = (LeftOut, u64)> + '_ {
        LeftOut::ALL.iter().zip(&self.left_out).map(|(reason, count)| (*reason, count.get())).filter(|(_, n)| *n > 0)
    }

    /// When it began: when the first request was due.
    pub(super) fn began(&self) -> Option<(Instant, SystemTime)> {
        self.began.get().copied()
    }

    /// When the last answer was there, or now.
    pub(super) fn until(&self) -> Instant {
        self.settled.get().copied().unwrap_or_else(Instant::now)
    }

    /// When the last request was due, since the beginning.
    pub(super) fn planned(&self) -> Duration {
        Duration::from_nanos(self.due.load(Relaxed))
    }

    /// How long it still takes, where that can be told: of a long recording only once its end was read.
    pub fn left(&self) -> Option<Duration> {
        let (began, _) = self.began()?;
        let ReplayConfig { duration, limit, rate, passes, max_gap, .. } = &self.config;
        let by_duration = duration.map(|duration| duration.0.saturating_sub(began.elapsed()));
        let offered = self.offered.load(Relaxed);
        let by_limit = limit.zip(*rate).map(|(limit, rate)| {
            Duration::from_secs_f64(limit.get().saturating_sub(offered) as f64 / rate.per_second())
        });
        let factor = self.config.speed.map_or(Some(1.0), |speed| speed.factor()).filter(|_| rate.is_none());
        let is_known = self.is_read.load(Relaxed) && passes.are_over(1) && max_gap.is_none();
        let by_recording = factor.filter(|_| is_known).map(|factor| {
            let recorded = self.read_to.load(Relaxed).saturating_sub(self.at.load(Relaxed));
            Duration::from_nanos(u64::try_from(recorded).unwrap_or_default()).div_f64(factor)
        });
        [by_duration, by_limit, by_recording].into_iter().flatten().min()
    }
}

/// Looks at a replay, also when it has ended.
#[derive(Clone)]
pub struct Watch {
    progress: Arc<Progress>,
    telemetry: Arc<Telemetry>,
}

impl Watch {
    pub(super) fn new(progress: Arc<Progress>, telemetry: Arc<Telemetry>) -> Watch {
        Watch { progress, telemetry }
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How many requests the target that has most of them was sent.
    pub fn sent(&self) -> u64 {
        self.telemetry.tallies().iter().map(|(_, tally)| tally.count()).max().unwrap_or_default()
    }

    /// The p99 of lateness since this was asked for last, of the target where it is worst; none where nothing was sent.
    pub fn look_at_lateness(&self) -> Option<Duration> {
        let p99 = self.telemetry.tallies().iter().filter_map(|(_, tally)| tally.take_recent_p99()).max();
        let nanos = p99.map_or(NOT_KNOWN, nanos);
        self.progress.lateness.store(nanos, Relaxed);
        p99
    }

    /// What that was.
    pub fn lateness(&self) -> Option<Duration> {
        Some(self.progress.lateness.load(Relaxed)).filter(|nanos| *nanos != NOT_KNOWN).map(Duration::from_nanos)
    }

    /// Whether that is as much as is to be told.
    pub fn is_late(&self, lateness: Duration) -> bool {
        lateness > self.progress.config.late.0
    }

    /// What has come of it.
    pub fn report(&self, control: &Control) -> Report {
        Report::new(&self.progress, &control.all_sinks(), &self.telemetry.tallies())
    }
}

/// In nanoseconds, negative before it.
fn since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
