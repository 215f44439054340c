//! Stages in order.

use crate::config::{Config, ShadowConfig, StageConfig};
use crate::engine::EngineError;
use crate::exchange::Exchange;
use crate::middleware::{Place, Selection};
use crate::outcome::{DropReason, SkipReason};
use crate::stage::{self, Bodies, Marker, Need, Stage, Verdict};
use crate::telemetry::Telemetry;

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
    ///
    /// # Errors
    /// When one cannot be built.
    pub fn new(config: &Config, programs: &Selection<'_>, telemetry: &Telemetry) -> Result<Pipeline, EngineError> {
        // The targets come first among the sinks.
        let sinks: Vec<String> = config.shadow.iter().map(ShadowConfig::label).collect();
        let place = |index| Place { sink: None, pipeline: "pipeline", index };
        let build = |(i, stage)| stage::build(stage, place(i), &sinks, programs, telemetry);
        let marker = Marker::new(&config.marker).map(|stage| Ok(Box::new(stage) as Box<dyn Stage>));
        let stages = marker.into_iter().chain(config.pipeline.iter().enumerate().map(build));
        Ok(Pipeline::of(stages.collect::<Result<_, _>>()?))
    }

    /// The stages that are for one sink, by its name, which are at this key.
    ///
    /// # Errors
    /// When one cannot be built.
    pub fn of_sink(
        stages: &[StageConfig],
        sink: &str,
        key: &str,
        programs: &Selection<'_>,
        telemetry: &Telemetry,
    ) -> Result<Pipeline, EngineError> {
        let place = |index| Place { sink: Some(sink), pipeline: key, index };
        let build = |(i, stage)| stage::build(stage, place(i), &[], programs, telemetry);
        let stages = stages.iter().enumerate().map(build);
        Ok(Pipeline::of(stages.collect::<Result<_, _>>()?))
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

    /// How full the fullest of the stages is where `arriving` exchanges more come: 0 is empty, 1 is where exchanges are given up.
    pub(crate) fn level(&self, arriving: usize) -> f32 {
        self.stages.iter().map(|stage| stage.level(arriving)).fold(0.0, f32::max)
    }

    /// Hides what a stage keeps secret of a path that is to be logged.
    pub(crate) fn redact_path(&self, path: &mut String) {
        self.stages.iter().for_each(|stage| stage.redact_path(path));
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
