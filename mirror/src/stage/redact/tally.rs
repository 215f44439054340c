//! How much was redacted, until it is counted.

use crate::outcome::Redacted;
use crate::telemetry::RedactMetrics;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally([u32; Redacted::ALL.len()]);

impl Tally {
    pub(super) fn count(&mut self, rule: Redacted) {
        self.0[rule as usize] += 1;
    }

    pub(super) fn of(&self, rule: Redacted) -> u32 {
        self.0[rule as usize]
    }

    pub(super) fn add_to(&self, metrics: &RedactMetrics) {
        for &rule in Redacted::ALL {
            if self.of(rule) > 0 {
                metrics.redacted.inc_by(rule as usize, u64::from(self.of(rule)));
            }
        }
    }
}
