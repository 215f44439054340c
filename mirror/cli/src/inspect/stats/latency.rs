//! Percentiles of times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Two digits of a percentile are right: a p99 of 20 ms is between 19.8 and 20.2.
const DIGITS: u8 = 2;

/// Times to the microsecond, 12 KiB for any number of them.
pub(super) struct Latency(Histogram<u32>);

impl Default for Latency {
    fn default() -> Latency {
        // It grows with the longest time that comes.
        Latency(Histogram::new(DIGITS).expect("digits that it has"))
    }
}

impl Latency {
    pub(super) fn add(&mut self, time: Duration) {
        // A count that is full stays so.
        let _ = self.0.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(LONGEST));
    }

    pub(super) fn at(&self, percentile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_percentile(percentile))
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In microseconds.
    pub(super) fn json(&self) -> Value {
        let at = |percentile| self.0.value_at_percentile(percentile);
        json!({ "p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "max": self.0.max() })
    }
}

/// Longer ones, of ten days and more, count as so long: a damaged time must not take memory.
const LONGEST: u64 = 864_000_000_000;
