//! The stages and sinks that an exchange meets.
//!
//! They can change while the engine runs, and no exchange meets a mixture: it belongs to the generation that it began in, from the tap to the last
//! of its sinks, and brings it along to the fan-out. A generation that was replaced lasts until its last exchange is through the stages. With it
//! its ends of the queues go, and a sink that no later generation has finds that nothing more comes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::budget::Share;
use crate::pipeline::Pipeline;
use crate::queue::Queue;
use crate::sink::SinkSlot;

/// What exchanges meet that begin at the same time.
pub(crate) struct Generation {
    /// The stages before the fan-out.
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) sinks: Arc<[SinkSlot]>,
    /// In the order of the sinks. None once the engine takes no more.
    pub(crate) queues: Vec<Queue>,
    /// Exchanges that are held back before a stage now, of all generations.
    pub(crate) held: Arc<AtomicUsize>,
    /// Whether a sink reads what the targets answered.
    pub(crate) keeps_answers: bool,
    /// Whether a sink is paused.
    pub(crate) pauses: bool,
    /// Whether stages before the fan-out may have to know the response, and what their readers of responses hold: next to nothing.
    pub(crate) holds: bool,
    pub(crate) stage_share: Arc<Share>,
}

impl Generation {
    /// These stages before these sinks, each with its queue.
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        sinks: Arc<[SinkSlot]>,
        queues: Vec<Queue>,
        held: Arc<AtomicUsize>,
        stage_share: Arc<Share>,
    ) -> Generation {
        Generation {
            keeps_answers: sinks.iter().any(SinkSlot::wants_answers),
            pauses: sinks.iter().any(|sink| sink.paused),
            holds: pipeline.needs_response(),
            pipeline,
            sinks,
            queues,
            held,
            stage_share,
        }
    }

    /// The same sinks, to which nothing comes any more.
    pub(crate) fn closed(&self) -> Generation {
        let Generation { pipeline, sinks, held, stage_share, .. } = self;
        Generation::new(pipeline.clone(), sinks.clone(), Vec::new(), held.clone(), stage_share.clone())
    }
}
