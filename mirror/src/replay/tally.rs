//! What comes of a replay at one target.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Replayed;

/// Percentiles are right to this many digits.
const DIGITS: u8 = 3;

/// Counts of one target. An engine's thread locks it for some ten nanoseconds a request; nobody else holds it for longer.
pub(crate) struct Tally {
    sums: Mutex<Sums>,
    metric: prometheus::Histogram,
}

/// All times in microseconds.
#[derive(Clone)]
pub(crate) struct Sums {
    /// Requests of which a first byte was written.
    pub(crate) sent: u64,
    /// When that was for the last of them.
    pub(crate) last_sent: Option<Instant>,
    pub(crate) lateness: Histogram<u64>,
    /// Since it was looked at last.
    recent: Histogram<u64>,
    /// From the first byte sent to the answer's last.
    pub(crate) latency: Histogram<u64>,
    /// As recorded, of those that were answered.
    pub(crate) recorded: Histogram<u64>,
    /// Answers by the recorded status, where there was one, and the new one.
    pub(crate) statuses: BTreeMap<(Option<u16>, u16), u64>,
}

impl Tally {
    pub(crate) fn new(metric: prometheus::Histogram) -> Tally {
        let sums = Sums {
            sent: 0,
            last_sent: None,
            lateness: histogram(),
            recent: histogram(),
            latency: histogram(),
            recorded: histogram(),
            statuses: BTreeMap::new(),
        };
        Tally { sums: Mutex::new(sums), metric }
    }

    /// A request's first byte is about to be written.
    pub(crate) fn sent(&self, replayed: &Replayed, now: Instant) {
        let mut sums = self.sums();
        sums.sent += 1;
        sums.last_sent = Some(now);
        if let Some(due) = replayed.due {
            let late = now.saturating_duration_since(due);
            note(&mut sums.lateness, late);
            note(&mut sums.recent, late);
            drop(sums);
            self.metric.observe(late.as_secs_f64());
        }
    }

    /// It was answered.
    pub(crate) fn answered(&self, replayed: &Replayed, status: u16, took: Duration) {
        let mut sums = self.sums();
        note(&mut sums.latency, took);
        if let Some(latency) = replayed.latency {
            note(&mut sums.recorded, latency);
        }
        *sums.statuses.entry((replayed.status, status)).or_default() += 1;
    }

    /// All of it.
    pub(crate) fn now(&self) -> Sums {
        self.sums().clone()
    }

    /// How many were sent.
    pub(crate) fn count(&self) -> u64 {
        self.sums().sent
    }

    /// The p99 of lateness since this was asked for last; none where nothing was sent.
    pub(crate) fn take_recent_p99(&self) -> Option<Duration> {
        let mut sums = self.sums();
        let p99 = (!sums.recent.is_empty()).then(|| Duration::from_micros(sums.recent.value_at_quantile(0.99)));
        sums.recent.reset();
        p99
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn histogram() -> Histogram<u64> {
    // It grows with what is counted.
    Histogram::new(DIGITS).expect("digits that there are")
}

fn note(histogram: &mut Histogram<u64>, time: Duration) {
    // It grows by itself as far as an hour is, and further.
    let _ = histogram.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}
