//! Sinks: where exchanges go. A new one is a file below `sink/` with one `run`, and its plan in [`Planner`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::body::SlotBounds;
use crate::budget::{Budget, Share};
use crate::config::{Config, Fraction, RecordConfig, ShadowConfig};
use crate::middleware::Selection;
use crate::pipeline::Pipeline;
use crate::pressure::Backlog;
use crate::queue::ExchangeStream;
use crate::recording::file::FileError;
use crate::telemetry::{SinkMetrics, Telemetry};

mod recorder;
mod shadow;

pub use recorder::{Recorder, file_options};
pub use shadow::Shadow;

/// What a recorder is called that has no other name, as metrics, the summary and control know it.
pub(crate) const RECORD: &str = "record";

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

    /// Has these stages before it. A target reads responses where they do.
    pub(crate) fn stand_behind(&mut self, pipeline: Arc<Pipeline>) {
        if self.answers {
            self.reads_responses = pipeline.needs_bodies().response_unread().is_some();
        }
        self.pipeline = pipeline;
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

pub(crate) type Run = Box<dyn FnOnce(ExchangeStream, Shutdown) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

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

/// What sinks are made with.
pub(crate) struct Planner<'a> {
    pub(crate) config: &'a Config,
    pub(crate) programs: &'a Selection<'a>,
    pub(crate) budget: &'a Arc<Budget>,
    pub(crate) telemetry: &'a Arc<Telemetry>,
}

impl Planner<'_> {
    /// What each sink may hold back, in bytes: a fair share of the byte budget, which leaves one for what arrives.
    pub(crate) fn share(&self) -> usize {
        let sinks = self.config.shadow.len() + self.config.record.len();
        self.budget.limit() / (sinks + 1)
    }

    /// A target.
    pub(crate) fn shadow(&self, shadow: &ShadowConfig, pipeline: Arc<Pipeline>) -> Plan {
        let mut slot = SinkSlot {
            name: shadow.label(),
            fraction: shadow.fraction.unwrap_or(self.config.fraction),
            paused: false,
            lag: shadow.lag.bytes(),
            share: Share::new(self.share()),
            queue: shadow.queue.get(),
            backlog: Backlog::default(),
            reads_responses: false,
            pipeline: pipeline.clone(),
            reads_answers: false,
            answers: true,
            kept_answers: None,
            metrics: self.telemetry.sink(&shadow.label()),
        };
        slot.stand_behind(pipeline);
        let sink = Shadow::new(shadow, self.config, self.budget, self.telemetry);
        slot.backlog = sink.backlog();
        Plan::new(slot, sink)
    }

    /// A recorder, with its recording open.
    ///
    /// # Errors
    /// When the recording cannot be opened.
    pub(crate) fn recorder(&self, record: &RecordConfig, pipeline: Arc<Pipeline>) -> Result<Plan, FileError> {
        let share = Share::new(self.share());
        let recorder = Recorder::open(record, self.budget, &share, self.telemetry)?;
        let slot = SinkSlot {
            name: record.label().into(),
            fraction: record.fraction.unwrap_or(self.config.fraction),
            paused: false,
            // It collects up to `max_body` and passes on the rest as it comes, so that much and a little is its pace.
            lag: record.max_body.bytes() + recorder::READ_AHEAD,
            share,
            queue: recorder::QUEUE,
            backlog: recorder.backlog(),
            pipeline,
            reads_responses: record.responses,
            reads_answers: record.answers,
            answers: false,
            kept_answers: None,
            metrics: self.telemetry.sink(record.label()),
        };
        Ok(Plan::new(slot, recorder))
    }
}
