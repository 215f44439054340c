//! Stages in order.

use crate::config::{Config, ShadowConfig, StageConfig};
use crate::exchange::Exchange;
use crate::outcome::{DropReason, SkipReason};
use crate::stage::{self, Bodies, Marker, Need, Stage, Verdict};

/// The stages before the fan-out, or those before one sink. (The top-level fraction is decided before any of this, in [`crate::source::Tap::begin`],
/// where leaving an exchange out costs nothing at all.)
pub struct Pipeline {
    stages: Vec<Box<dyn Stage>>,
    needs_response: bool,
    needs_bodies: Bodies,
}

/// How far an exchange came.
pub enum Progress {
    /// Past all stages.
    Through,
    /// No further.
    Skipped(SkipReason),
    /// No further, which is a loss.
    Dropped(DropReason),
    /// To this stage, which needs something first.
    Waits(usize, Need),
}

impl Pipeline {
    /// The stages that are for all sinks.
    pub fn new(config: &Config) -> Pipeline {
        // The targets come first among the sinks.
        let sinks: Vec<String> = config.shadow.iter().map(ShadowConfig::label).collect();
        let build = |stage| stage::build(stage, &sinks);
        let marker = Marker::new(&config.marker).map(|stage| Box::new(stage) as Box<dyn Stage>);
        Pipeline::of(marker.into_iter().chain(config.pipeline.iter().map(build)).collect())
    }

    /// The stages that are for one.
    pub fn of_sink(stages: &[StageConfig]) -> Pipeline {
        Pipeline::of(stages.iter().map(|stage| stage::build(stage, &[])).collect())
    }

    fn of(stages: Vec<Box<dyn Stage>>) -> Pipeline {
        let needs_response = stages.iter().any(|stage| stage.needs_response());
        let needs_bodies = stages.iter().map(|stage| stage.needs_bodies()).fold(Bodies::default(), Bodies::and);
        Pipeline { stages, needs_response, needs_bodies }
    }

    /// Whether a stage may have to know the response. Sources ask it for each exchange.
    pub fn needs_response(&self) -> bool {
        self.needs_response
    }

    /// Whether a stage may have an exchange wait.
    pub fn holds(&self) -> bool {
        self.needs_response || self.needs_bodies.request.is_some()
    }

    /// Which bodies the stages may have to see as a whole.
    pub fn needs_bodies(&self) -> Bodies {
        self.needs_bodies
    }

    /// Runs the stages from the one at `from` on, until one does not let the exchange pass. `said` is that one's verdict where it is there already.
    pub fn apply(&self, exchange: &mut Exchange, from: usize, mut said: Option<Verdict>) -> Progress {
        for (at, stage) in self.stages.iter().enumerate().skip(from) {
            match said.take().unwrap_or_else(|| stage.apply(exchange)) {
                Verdict::Continue => {}
                Verdict::Skip(reason) => return Progress::Skipped(reason),
                Verdict::Drop(reason) => return Progress::Dropped(reason),
                Verdict::Wait(need) => return Progress::Waits(at, need),
            }
        }
        Progress::Through
    }
}
