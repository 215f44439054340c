//! Percentiles of times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Two digits of a percentile are right: a p99 of 20 ms is between 19.8 and 20.2.
const DIGITS: u8 = 2;

/// Times in microseconds, in 12 KiB for any number of them.
pub(super) struct Latency {
    times: Histogram<u32>,
    max: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        // It grows with the longest time that comes.
        Latency { times: Histogram::new(DIGITS).expect("digits that it has"), max: 0 }
    }
}

impl Latency {
    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(LONGEST);
        self.max = self.max.max(micros);
        // A count that is full stays so.
        let _ = self.times.record(micros);
    }

    pub(super) fn at(&self, percentile: f64) -> Duration {
        Duration::from_micros(self.micros(percentile))
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    fn micros(&self, percentile: f64) -> u64 {
        // A time stands for those near it, up to the last of them.
        self.times.value_at_percentile(percentile).min(self.max)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// In microseconds.
    pub(super) fn json(&self) -> Value {
        let at = |percentile| self.micros(percentile);
        json!({ "p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "max": self.max })
    }
}

/// Longer ones, of ten days and more, count as so long: a damaged time must not take memory.
const LONGEST: u64 = 864_000_000_000;
