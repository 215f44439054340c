//! Sinks: where exchanges go. A new one is a file below `sink/` with one `run`, and a line in [`plan`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::body::SlotBounds;
use crate::budget::{Budget, Share};
use crate::config::{Config, Fraction};
use crate::middleware::Selection;
use crate::pipeline::Pipeline;
use crate::pressure::Backlog;
use crate::queue::ExchangeStream;
use crate::telemetry::{SinkMetrics, Telemetry};

mod recorder;
mod shadow;

pub use recorder::{Recorder, file_options};
pub use shadow::Shadow;

/// Tells a sink that time is up: what is under way is to be settled now. (That no more will come is told by the stream's end.)
pub type Shutdown = tokio::sync::watch::Receiver<bool>;

/// Takes exchanges at its own pace and settles each one's account.
pub trait Sink: Send + 'static {
    /// Runs until the stream has ended and what was taken from it is settled, or until `shutdown`.
    fn run(self, stream: ExchangeStream, shutdown: Shutdown) -> impl Future<Output = ()> + Send;
}

/// What sources, bodies and accounts know of one sink, as it is in one generation.
#[derive(Clone)]
pub struct SinkSlot {
    /// As in metrics, the summary and recordings.
    pub name: String,
    /// The fraction of the exchanges that it gets.
    pub fraction: Fraction,
    /// It gets none at the moment.
    pub paused: bool,
    /// How far it may be behind within one exchange, in bytes.
    pub lag: u64,
    /// What it alone may hold back.
    pub share: Arc<Share>,
    /// Copies that may wait before it.
    pub queue: usize,
    /// What it has finished with and waits for something else.
    pub(crate) backlog: Backlog,
    /// The stages before it.
    pub(crate) pipeline: Arc<Pipeline>,
    /// Whether it reads responses, or its stages do.
    pub reads_responses: bool,
    /// Whether it reads what the targets answered.
    pub reads_answers: bool,
    /// Whether it is a target, which answers.
    pub answers: bool,
    /// What is kept of its answers; none where nobody reads them.
    pub(crate) kept_answers: Option<KeptAnswers>,
    /// Its counters.
    pub metrics: SinkMetrics,
}

/// What is kept of a target's answers.
#[derive(Debug, Clone)]
pub(crate) struct KeptAnswers {
    /// It counts to this.
    pub(crate) share: Arc<Share>,
    /// Of a body, in bytes, so much is for stages to see, whatever the target's setting,
    pub(crate) seen: u64,
    /// and so much stays after those before the target's have.
    pub(crate) left: u64,
}

impl SinkSlot {
    /// Whether what the targets answer is kept for it.
    pub(crate) fn wants_answers(&self) -> bool {
        self.reads_answers && !self.paused
    }

    /// The bounds of its readers.
    pub(crate) fn bounds(&self) -> SlotBounds {
        SlotBounds { lag: self.lag, share: self.share.clone() }
    }

    /// Those of readers that have more to wait for than the sink: they may be behind by all that the sink may hold.
    pub(crate) fn unhurried(&self) -> SlotBounds {
        SlotBounds { lag: self.lag.max(self.share.limit() as u64), share: self.share.clone() }
    }
}

type Run = Box<dyn FnOnce(ExchangeStream, Shutdown) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A sink that is ready to run.
pub(crate) struct Plan {
    pub(crate) slot: SinkSlot,
    pub(crate) run: Run,
}

impl Plan {
    fn new<S: Sink>(slot: SinkSlot, sink: S) -> Plan {
        Plan { slot, run: Box::new(move |stream, shutdown| Box::pin(sink.run(stream, shutdown))) }
    }
}

/// The sinks that a configuration asks for.
///
/// # Errors
/// When the recording cannot be opened, or a stage not be built.
pub(crate) fn plan(
    config: &Config,
    programs: &Selection<'_>,
    budget: &Arc<Budget>,
    telemetry: &Arc<Telemetry>,
) -> Result<Vec<Plan>, crate::engine::EngineError> {
    let sinks = config.shadow.len() + usize::from(config.record.is_some());
    let share = || Share::new(budget.limit() / (sinks + 1));
    let mut plans = Vec::with_capacity(sinks);
    for (i, shadow) in config.shadow.iter().enumerate() {
        let key = format!("shadow[{i}].pipeline");
        let pipeline = Pipeline::of_sink(&shadow.pipeline, &key, programs, telemetry)?;
        let slot = SinkSlot {
            name: shadow.label(),
            fraction: shadow.fraction.unwrap_or(config.fraction),
            paused: false,
            lag: shadow.lag.bytes(),
            share: share(),
            queue: shadow.queue.get(),
            backlog: Backlog::default(),
            reads_responses: pipeline.needs_bodies().response_unread().is_some(),
            pipeline: Arc::new(pipeline),
            reads_answers: false,
            answers: true,
            kept_answers: None,
            metrics: telemetry.sink(&shadow.label()),
        };
        let sink = Shadow::new(shadow, &config.marker, budget, telemetry);
        plans.push(Plan::new(slot, sink));
    }
    if let Some(record) = &config.record {
        let mut slot = SinkSlot {
            name: "record".into(),
            fraction: record.fraction.unwrap_or(config.fraction),
            paused: false,
            // It collects up to `max_body` and passes on the rest as it comes, so that much and a little is its pace.
            lag: record.max_body.bytes() + recorder::READ_AHEAD,
            share: share(),
            queue: recorder::QUEUE,
            backlog: Backlog::default(),
            pipeline: Arc::new(Pipeline::of_sink(&record.pipeline, "record.pipeline", programs, telemetry)?),
            reads_responses: true,
            reads_answers: true,
            answers: false,
            kept_answers: None,
            metrics: telemetry.sink("record"),
        };
        let recorder = Recorder::open(record, budget, &slot.share, telemetry)?;
        slot.backlog = recorder.backlog();
        plans.push(Plan::new(slot, recorder));
    }
    Ok(plans)
}
