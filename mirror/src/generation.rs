//! The stages and sinks that an exchange meets.
//!
//! They can change while the engine runs, and no exchange meets a mixture: it belongs to the generation that it began in, from the tap to the last
//! of its sinks, and brings it along to the fan-out. A generation that was replaced lasts until its last exchange is through the stages. With it
//! its ends of the queues go, and a sink that no later generation has finds that nothing more comes. Whoever has it last frees it, which may be a
//! source's thread: nothing in it waits for anything when it is dropped.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::budget::Budget;
use crate::pipeline::Pipeline;
use crate::queue::Queue;
use crate::sink::{KeptAnswers, SinkSlot};

/// What exchanges meet that begin at the same time.
pub(crate) struct Generation {
    /// The stages before the fan-out.
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) sinks: Arc<[SinkSlot]>,
    /// In the order of the sinks. None once the engine takes no more.
    pub(crate) queues: Vec<Queue>,
    pub(crate) budget: Arc<Budget>,
    /// Exchanges that are held back before a stage now, of all generations.
    pub(crate) held: Arc<AtomicUsize>,
    /// Whether there are targets and a sink that reads what they answered.
    pub(crate) keeps_answers: bool,
    /// Whether a sink is paused.
    pub(crate) pauses: bool,
    /// Whether a stage may wait for a response's head.
    pub(crate) waits_for_heads: bool,
    /// Whether a sink or a stage reads responses.
    pub(crate) reads_responses: bool,
}

impl Generation {
    /// These stages before these sinks, each with its queue.
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        mut sinks: Vec<SinkSlot>,
        queues: Vec<Queue>,
        budget: Arc<Budget>,
        held: Arc<AtomicUsize>,
    ) -> Generation {
        let reader = sinks.iter().find(|sink| sink.wants_answers());
        // The reader's own stages come last.
        let left = reader.and_then(|sink| sink.pipeline.needs_bodies().response_unread()).unwrap_or_default();
        let reader = reader.map(|sink| sink.share.clone());
        for sink in sinks.iter_mut().filter(|sink| sink.answers) {
            let [of_all, own] = [&pipeline, &sink.pipeline].map(|pipeline| pipeline.needs_bodies().response_unread());
            let for_stages = of_all.max(own);
            let share = reader.clone().or_else(|| for_stages.map(|_| sink.share.clone()));
            let seen = left.max(for_stages.unwrap_or_default());
            sink.kept_answers = share.map(|share| KeptAnswers { share, seen, left });
        }
        let waits_for_heads = pipeline.needs_response() || sinks.iter().any(|sink| sink.pipeline.needs_response());
        let may_change = |pipeline: &Pipeline| pipeline.needs_bodies().response.is_some();
        let reads_responses = waits_for_heads
            || may_change(&pipeline)
            || sinks.iter().any(|sink| sink.reads_responses || may_change(&sink.pipeline));
        Generation {
            keeps_answers: reader.is_some() && sinks.iter().any(|sink| sink.answers),
            pauses: sinks.iter().any(|sink| sink.paused),
            waits_for_heads,
            reads_responses,
            pipeline,
            sinks: sinks.into(),
            queues,
            budget,
            held,
        }
    }

    /// The same sinks, to which nothing comes any more.
    pub(crate) fn closed(&self) -> Generation {
        let Generation { pipeline, sinks, budget, held, .. } = self;
        Generation::new(pipeline.clone(), sinks.to_vec(), Vec::new(), budget.clone(), held.clone())
    }
}
