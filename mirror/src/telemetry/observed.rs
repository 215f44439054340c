//! Gauges of what comes and goes while the program runs: a sink's queue, a target's connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use prometheus::IntGaugeVec;

use super::Reading;

/// What to tell where one name stands for several: a target with new settings begins while the one before it finishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Several {
    /// Of amounts: all together.
    Sum,
    /// Of states, and of what all count together: the most.
    Most,
}

/// Keeps a reading looked at; dropped, nothing is told of it any more.
#[derive(Debug, Default)]
#[must_use]
pub struct Observed(Vec<Arc<()>>);

impl Observed {
    /// Both of them, as long as this is there.
    pub fn and(mut self, other: Observed) -> Observed {
        self.0.extend(other.0);
        self
    }
}

/// One gauge with the values of its label that there are now.
pub(super) struct Family {
    gauge: IntGaugeVec,
    several: Several,
    readings: Vec<(String, Weak<()>, Reading)>,
}

impl Family {
    pub(super) fn new(gauge: IntGaugeVec, several: Several) -> Family {
        Family { gauge, several, readings: Vec::new() }
    }

    pub(super) fn add(&mut self, value: &str, reading: Reading) -> Observed {
        let kept = Arc::new(());
        // Here too, as it may be that nobody ever looks.
        self.forget_gone();
        self.readings.push((value.to_owned(), Arc::downgrade(&kept), reading));
        Observed(vec![kept])
    }

    fn forget_gone(&mut self) {
        self.readings.retain(|(_, kept, _)| kept.strong_count() > 0);
    }

    /// Looks at all that are there, and forgets those that are not.
    pub(super) fn look(&mut self) {
        self.gauge.reset();
        self.forget_gone();
        let mut told: BTreeMap<&str, u64> = BTreeMap::new();
        for (value, _, reading) in &self.readings {
            let (sum, now) = (told.entry(value).or_default(), reading());
            *sum = match self.several {
                Several::Sum => sum.saturating_add(now),
                Several::Most => (*sum).max(now),
            };
        }
        for (value, now) in told {
            self.gauge.with_label_values(&[value]).set(i64::try_from(now).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    fn told(telemetry: &Telemetry) -> Vec<String> {
        let text = String::from_utf8(telemetry.render()).unwrap();
        text.lines().filter(|line| line.starts_with("test_")).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_gone_is_told_no_more_and_what_comes_again_is() {
        let telemetry = Telemetry::new();
        let gauge = |name, several, value: &str, reading| {
            telemetry.gauge_while(name, "A test.", ("sink", value), several, Box::new(move || reading))
        };
        let first = gauge("test_bytes", Several::Sum, "a", 1);
        let second = gauge("test_bytes", Several::Sum, "a", 2);
        let other = gauge("test_bytes", Several::Sum, "b", 4);
        let states = gauge("test_state", Several::Most, "a", 1).and(gauge("test_state", Several::Most, "a", 1));
        let all = [r#"test_bytes{sink="a"} 3"#, r#"test_bytes{sink="b"} 4"#, r#"test_state{sink="a"} 1"#];
        assert_eq!(told(&telemetry), all);
        drop((first, other, states));
        assert_eq!(told(&telemetry), [r#"test_bytes{sink="a"} 2"#]);
        drop(second);
        assert!(told(&telemetry).is_empty());
        let _again = gauge("test_bytes", Several::Sum, "a", 8);
        assert_eq!(told(&telemetry), [r#"test_bytes{sink="a"} 8"#]);
    }

    #[test]
    fn a_counter_of_one_name_and_label_is_one() {
        let telemetry = Telemetry::new();
        let counter = |value| telemetry.counter("test_total", "A test.", ("sink", value));
        counter("a").inc();
        counter("b").inc();
        counter("a").inc();
        assert_eq!(told(&telemetry), [r#"test_total{sink="a"} 2"#, r#"test_total{sink="b"} 1"#]);
    }
}
