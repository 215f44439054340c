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
pub use shadow::{KeepAnswers, Shadow};

/// Tells a sink that time is up: what is under way is to be settled now. (That no more will come is told by the stream's end.)
pub type Shutdown = tokio::sync::watch::Receiver<bool>;

/// Takes exchanges at its own pace and settles each one's account.
pub trait Sink: Send + 'static {
    /// Runs until the stream has ended and what was taken from it is settled, or until `shutdown`.
    fn run(self, stream: ExchangeStream, shutdown: Shutdown) -> impl Future<Output = ()> + Send;
}

/// What sources, bodies and accounts know of one sink.
pub struct SinkSlot {
    /// As in metrics, the summary and recordings.
    pub name: String,
    /// The fraction of the exchanges that it gets.
    pub fraction: Fraction,
    /// How far it may be behind within one exchange, in bytes.
    pub lag: u64,
    /// What it alone may hold back.
    pub share: Arc<Share>,
    /// Copies that may wait before it.
    pub queue: usize,
    /// What it has finished with and waits for something else.
    pub(crate) backlog: Backlog,
    /// The stages before it.
    pub(crate) pipeline: Pipeline,
    /// Whether it reads responses, or its stages do.
    pub reads_responses: bool,
    /// Whether it reads what the targets answered.
    pub reads_answers: bool,
    /// Whether it is a target, which answers.
    pub answers: bool,
    /// Its counters.
    pub metrics: SinkMetrics,
}

impl SinkSlot {
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
/// When the recording cannot be opened, or a program not be started.
pub(crate) fn plan(
    config: &Config,
    pipeline: &Pipeline,
    programs: &Selection<'_>,
    budget: &Arc<Budget>,
    telemetry: &Arc<Telemetry>,
) -> Result<Vec<Plan>, crate::engine::EngineError> {
    let sinks = config.shadow.len() + usize::from(config.record.is_some());
    let share = || Share::new(budget.limit() / (sinks + 1));
    let recorders = config.record.as_ref().map(|_| share());
    let of_record = config.record.as_ref().map_or(&[][..], |record| &record.pipeline);
    let of_record = Pipeline::of_sink(of_record, "record.pipeline", programs)?;
    let mut plans = Vec::with_capacity(sinks);
    for (i, shadow) in config.shadow.iter().enumerate() {
        let own = Pipeline::of_sink(&shadow.pipeline, &format!("shadow[{i}].pipeline"), programs)?;
        let slot = SinkSlot {
            name: shadow.label(),
            fraction: shadow.fraction.unwrap_or(config.fraction),
            lag: shadow.lag.bytes(),
            share: share(),
            queue: shadow.queue.get(),
            backlog: Backlog::default(),
            reads_responses: own.needs_bodies().response_unread().is_some(),
            pipeline: own,
            reads_answers: false,
            answers: true,
            metrics: telemetry.sink(&shadow.label()),
        };
        let unread = |pipeline: &Pipeline| pipeline.needs_bodies().response_unread();
        let for_stages = unread(pipeline).max(unread(&slot.pipeline));
        let kept = shadow.answer_body.bytes().max(unread(&of_record).unwrap_or_default());
        let share = recorders.as_ref().or(for_stages.map(|_| &slot.share));
        let answers = share.map(|share| KeepAnswers {
            share: share.clone(),
            seen: kept.max(for_stages.unwrap_or_default()),
            kept,
        });
        let sink = Shadow::new(shadow, &config.marker, answers, budget, telemetry);
        plans.push(Plan::new(slot, sink));
    }
    if let (Some(record), Some(share)) = (&config.record, recorders) {
        let mut slot = SinkSlot {
            name: "record".into(),
            fraction: record.fraction.unwrap_or(config.fraction),
            // It collects up to `max_body` and passes on the rest as it comes, so that much and a little is its pace.
            lag: record.max_body.bytes() + recorder::READ_AHEAD,
            share,
            queue: recorder::QUEUE,
            backlog: Backlog::default(),
            pipeline: of_record,
            reads_responses: true,
            reads_answers: true,
            answers: false,
            metrics: telemetry.sink("record"),
        };
        let recorder = Recorder::open(record, budget, &slot.share, telemetry)?;
        slot.backlog = recorder.backlog();
        plans.push(Plan::new(slot, recorder));
    }
    Ok(plans)
}
