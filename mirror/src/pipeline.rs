//! Stages in order.

use crate::config::Config;
use crate::exchange::Exchange;
use crate::stage::{Marker, Stage, Verdict};

/// The stages before the fan-out. (The fraction is decided before any of this, in [`crate::source::Tap::begin`], where leaving
/// an exchange out costs nothing at all.)
pub(crate) struct Pipeline(Vec<Box<dyn Stage>>);

impl Pipeline {
    pub(crate) fn new(config: &Config) -> Pipeline {
        let mut stages: Vec<Box<dyn Stage>> = Vec::new();
        stages.extend(Marker::new(&config.marker).map(|stage| Box::new(stage) as Box<dyn Stage>));
        Pipeline(stages)
    }

    /// Runs the stages until one does not let the exchange pass.
    pub(crate) fn apply(&self, exchange: &mut Exchange) -> Verdict {
        for stage in &self.0 {
            match stage.apply(exchange) {
                Verdict::Continue => {}
                verdict => return verdict,
            }
        }
        Verdict::Continue
    }
}
