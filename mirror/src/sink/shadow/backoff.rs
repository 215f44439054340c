//! Leaves a failing target alone: after some failures in a row its copies are dropped for a while, then one is tried. Each try
//! that fails doubles the while.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::BackoffConfig;
use crate::telemetry::{Observed, Several, Telemetry};

/// One target's state.
pub(super) struct Backoff {
    after: u32,
    min: Duration,
    max: Duration,
    name: String,
    state: Arc<Mutex<State>>,
    _observed: Observed,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While backing off: until when, and how long this pause is.
    pause: Option<(Instant, Duration)>,
    /// Whether the one try is under way.
    trying: bool,
}

impl Backoff {
    pub(super) fn new(config: &BackoffConfig, name: &str, telemetry: &Telemetry) -> Backoff {
        let state: Arc<Mutex<State>> = Arc::default();
        let told = state.clone();
        let observed = telemetry.gauge_while(
            "mirror_shadow_backing_off",
            "1 while a failing target is left alone.",
            ("sink", name),
            Several::Most,
            Box::new(move || u64::from(told.lock().is_ok_and(|state| state.pause.is_some()))),
        );
        Backoff {
            after: config.after.get(),
            min: config.min.0,
            max: config.max.0,
            name: name.to_owned(),
            state,
            _observed: observed,
        }
    }

    /// Whether a copy may be sent now. The time is asked for only where it is left alone.
    pub(super) fn admits(&self, now: impl FnOnce() -> Instant) -> bool {
        let mut state = self.lock();
        match state.pause {
            None => true,
            Some((until, _)) if state.trying || now() < until => false,
            Some(_) => {
                state.trying = true;
                true
            }
        }
    }

    /// A copy was answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        if state.pause.is_some() {
            tracing::info!(target = self.name, "target answers again");
        }
        *state = State::default();
    }

    /// A copy ended in a way that says nothing of the target.
    pub(super) fn undecided(&self) {
        self.lock().trying = false;
    }

    /// A copy failed.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let pause = match state.pause {
            None if state.failures < self.after => return,
            None => {
                tracing::warn!(target = self.name, failures = state.failures, "target is failing: backing off");
                self.min
            }
            // Failures of copies that were under way already say nothing new.
            Some(_) if !state.trying => return,
            Some((_, pause)) => (pause * 2).min(self.max),
        };
        state.pause = Some((now + pause, pause));
        state.trying = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_target_is_left_alone_longer_and_longer_and_served_again() {
        let config = BackoffConfig {
            after: std::num::NonZeroU32::new(2).unwrap(),
            min: crate::config::Period(Duration::from_secs(1)),
            max: crate::config::Period(Duration::from_secs(3)),
        };
        let backoff = Backoff::new(&config, "t", &Telemetry::new());
        let start = Instant::now();
        let at = |s: f64| start + Duration::from_secs_f64(s);
        backoff.failed(at(0.0));
        assert!(backoff.admits(|| at(0.0)), "one failure is none");
        backoff.failed(at(0.0));
        assert!(!backoff.admits(|| at(0.9)));
        assert!(backoff.admits(|| at(1.0)), "one try after the pause");
        assert!(!backoff.admits(|| at(1.0)), "and only one");
        backoff.failed(at(1.0));
        assert!(!backoff.admits(|| at(2.9)), "the pause has doubled");
        assert!(backoff.admits(|| at(3.0)));
        backoff.failed(at(3.0));
        assert!(!backoff.admits(|| at(5.9)));
        assert!(backoff.admits(|| at(6.0)), "and is bounded");
        backoff.undecided();
        assert!(backoff.admits(|| at(6.0)), "a try that told nothing is tried again");
        backoff.succeeded();
        assert!(backoff.admits(|| at(6.0)) && backoff.admits(|| at(6.0)));
    }
}
