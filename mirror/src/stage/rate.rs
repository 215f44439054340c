//! Lets no more pass than so many a second.
//!
//! The generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A): of each key only the time is kept at which what has
//! passed would have passed at exactly the rate. What comes more than the burst before that time is too much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::condition::Key;
use crate::config::RateConfig;
use crate::exchange::Exchange;
use crate::outcome::SkipReason;
use crate::stage::{Stage, Verdict};
use crate::telemetry::{Observed, Several, Telemetry};

/// How often it is looked for keys to forget where there are too many.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Lets so many requests and bytes of requests pass in a second, of all or of each key.
pub struct Rate {
    by: Option<Key>,
    requests: Option<Limit>,
    bytes: Option<Limit>,
    started: Instant,
    keys: Arc<Mutex<Keys>>,
    _observed: Option<Observed>,
}

/// A rate and its burst.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// The time that one takes, in nanoseconds.
    each: f64,
    /// How long before its time one may come, in nanoseconds.
    early: f64,
}

/// When what has passed would have passed at exactly the rate, in nanoseconds since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Due {
    requests: f64,
    bytes: f64,
}

#[derive(Debug)]
struct Keys {
    most: usize,
    due: HashMap<u64, Due>,
    beyond: Due,
    forgot: Option<f64>,
}

impl Limit {
    fn new(per_second: f64, burst: f64) -> Limit {
        let each = 1e9 / per_second;
        Limit { each, early: burst * each }
    }

    /// When the next would be due once `count` has passed now; none where that is too soon. One that is larger than the whole burst passes when
    /// nothing else has for as long, since it would never pass otherwise.
    fn take(&self, due: f64, now: f64, count: f64) -> Option<f64> {
        let next = due.max(now) + count * self.each;
        (next <= now + self.early || due <= now).then_some(next)
    }
}

impl Keys {
    fn of(&mut self, key: u64, now: f64) -> &mut Due {
        if self.due.len() >= self.most && !self.due.contains_key(&key) {
            if self.forgot.is_none_or(|forgot| now - forgot >= FORGET_EVERY.as_nanos() as f64) {
                self.forgot = Some(now);
                self.due.retain(|_, due| due.requests > now || due.bytes > now);
            }
            if self.due.len() >= self.most {
                return &mut self.beyond;
            }
        }
        self.due.entry(key).or_default()
    }
}

impl Rate {
    /// As configured.
    pub fn new(config: &RateConfig, telemetry: &Telemetry) -> Rate {
        let mut rate = Rate::untold(config);
        if let Some(by) = &rate.by {
            let keys = rate.keys.clone();
            let known = move || keys.lock().unwrap_or_else(PoisonError::into_inner).due.len() as u64;
            let help = "Keys that a rate tells apart now.";
            rate._observed = Some(telemetry.gauge_while(
                "mirror_rate_keys",
                help,
                ("by", &by.to_string()),
                Several::Sum,
                Box::new(known),
            ));
        }
        rate
    }

    fn untold(config: &RateConfig) -> Rate {
        let requests = config.requests.map(|rate| Limit::new(rate.per_second(), config.burst_of_requests()));
        let bytes = config.bytes.map(|rate| Limit::new(rate.per_second(), config.burst_of_bytes()));
        let keys = Keys { most: config.keys.0.get(), due: HashMap::new(), beyond: Due::default(), forgot: None };
        let keys = Arc::new(Mutex::new(keys));
        Rate { by: config.by.clone(), requests, bytes, started: Instant::now(), keys, _observed: None }
    }

    /// Whether one of this length may pass now, in nanoseconds since the start.
    fn passes(&self, key: u64, length: f64, now: f64) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let due = keys.of(key, now);
        let of =
            |limit: Option<Limit>, due: f64, count: f64| limit.map_or(Some(due), |limit| limit.take(due, now, count));
        match (of(self.requests, due.requests, 1.0), of(self.bytes, due.bytes, length)) {
            (Some(requests), Some(bytes)) => {
                *due = Due { requests, bytes };
                true
            }
            _ => false,
        }
    }
}

impl Stage for Rate {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        let facts = exchange.facts();
        // Those without the key are limited together.
        let key = self.by.as_ref().and_then(|key| key.hash(&facts)).unwrap_or_default();
        let length = exchange.request_length();
        match self.passes(key, length as f64, self.started.elapsed().as_nanos() as f64) {
            true => Verdict::Continue,
            false => Verdict::Skip(SkipReason::Rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: f64 = 1e9;

    fn rate(yaml: &str) -> Rate {
        Rate::untold(&serde_yaml::from_str(yaml).unwrap())
    }

    /// How many of `offered` a second, evenly, pass in so many seconds.
    fn passed(rate: &Rate, key: u64, offered: u32, seconds: u32, length: f64) -> usize {
        (0..offered * seconds).filter(|i| rate.passes(key, length, f64::from(*i) * SECOND / f64::from(offered))).count()
    }

    #[test]
    fn no_more_than_the_rate_and_one_burst() {
        assert_eq!(passed(&rate("{requests: 100/s, burst: 10}"), 0, 1000, 10, 0.0), 1000 + 9);
        assert_eq!(passed(&rate("{requests: 60/m, burst: 1}"), 0, 10, 60, 0.0), 60);
        assert_eq!(passed(&rate("{requests: 100/s}"), 0, 99, 10, 0.0), 990, "below it all pass");
        // 4 KiB a second of 1 KiB each, and a burst of a second's.
        assert_eq!(passed(&rate("{bytes: 4KiB/s}"), 0, 100, 10, 1024.0), 43);
        assert_eq!(passed(&rate("{requests: 1/s, bytes: 1GiB/s}"), 0, 100, 10, 1024.0), 10, "both must allow it");
    }

    #[test]
    fn what_is_larger_than_a_burst_passes_alone() {
        let rate = rate("{bytes: 1KiB/s}");
        assert!(rate.passes(0, 10_240.0, 0.0));
        assert!(!rate.passes(0, 1.0, 8.0 * SECOND));
        assert!(rate.passes(0, 1.0, 10.0 * SECOND));
    }

    #[test]
    fn keys_have_limits_of_their_own_and_are_forgotten() {
        let rate = rate("{requests: 1/s, burst: 1, keys: 100}");
        assert!((0..100).all(|key| rate.passes(key, 0.0, 0.0)));
        assert!(!rate.passes(7, 0.0, 0.5 * SECOND));
        // Those beyond have one together.
        assert!(rate.passes(1 << 40, 0.0, 0.5 * SECOND));
        assert!(!rate.passes(2 << 40, 0.0, 0.5 * SECOND));
        assert!(rate.passes(3 << 40, 0.0, 2.0 * SECOND));
        assert!(rate.passes(4 << 40, 0.0, 2.0 * SECOND), "there is room again");
        assert!(rate.keys.lock().unwrap().due.len() < 10);
    }
}
