//! Stages in order.

use crate::config::{Config, ShadowConfig, StageConfig};
use crate::exchange::Exchange;
use crate::outcome::SkipReason;
use crate::stage::{self, Marker, Stage, Verdict};

/// The stages before the fan-out, or those before one sink. (The top-level fraction is decided before any of this, in [`crate::source::Tap::begin`],
/// where leaving an exchange out costs nothing at all.)
pub(crate) struct Pipeline {
    stages: Vec<Box<dyn Stage>>,
    needs_response: bool,
}

/// How far an exchange came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Past all stages.
    Through,
    /// No further.
    Skipped(SkipReason),
    /// To this stage, which has to know the response first.
    Waits(usize),
}

impl Pipeline {
    /// The stages that are for all sinks.
    pub(crate) fn new(config: &Config) -> Pipeline {
        // The targets come first among the sinks.
        let sinks: Vec<String> = config.shadow.iter().map(ShadowConfig::label).collect();
        let build = |stage| stage::build(stage, &sinks);
        let marker = Marker::new(&config.marker).map(|stage| Box::new(stage) as Box<dyn Stage>);
        Pipeline::of(marker.into_iter().chain(config.pipeline.iter().map(build)).collect())
    }

    /// The stages that are for one.
    pub(crate) fn of_sink(stages: &[StageConfig]) -> Pipeline {
        Pipeline::of(stages.iter().map(|stage| stage::build(stage, &[])).collect())
    }

    fn of(stages: Vec<Box<dyn Stage>>) -> Pipeline {
        let needs_response = stages.iter().any(|stage| stage.needs_response());
        Pipeline { stages, needs_response }
    }

    /// Whether a stage may have to know the response. Sources ask it for each exchange.
    pub(crate) fn needs_response(&self) -> bool {
        self.needs_response
    }

    /// Runs the stages from the one at `from` on, until one does not let the exchange pass.
    pub(crate) fn apply(&self, exchange: &mut Exchange, from: usize) -> Progress {
        for (at, stage) in self.stages.iter().enumerate().skip(from) {
            match stage.apply(exchange) {
                Verdict::Continue => {}
                Verdict::Skip(reason) => return Progress::Skipped(reason),
                Verdict::Wait => return Progress::Waits(at),
            }
        }
        Progress::Through
    }
}
