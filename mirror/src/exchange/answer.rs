//! What targets answered, kept for whoever reads answers.

use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use crate::http1::ResponseHead;
use crate::outcome::Outcome;

/// What a target answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The head.
    pub head: ResponseHead,
    /// The body's pieces, as far as they were kept.
    pub body: Vec<Bytes>,
    /// The whole body's length.
    pub body_length: u64,
    /// The trailer section as sent.
    pub trailers: Option<Bytes>,
    /// Why `body` is not the whole body.
    pub truncated: Option<&'static str>,
    /// From the first byte sent to the answer's head.
    pub first_byte: Duration,
    /// From the first byte sent to the answer's end.
    pub total: Duration,
}

/// What a target made of its copy.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What became of the copy.
    pub outcome: Outcome,
    /// The answer, where there was one.
    pub response: Option<Response>,
}

/// The targets' answers, a slot a sink; no slots where no sink reads them.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    slots: Box<[OnceLock<Answer>]>,
    waker: AtomicWaker,
}

impl Answers {
    pub(crate) fn new(slots: usize) -> Answers {
        Answers { slots: (0..slots).map(|_| OnceLock::new()).collect(), waker: AtomicWaker::new() }
    }

    /// What this sink's target answered, where that is known.
    pub(super) fn of(&self, sink: usize) -> Option<&Answer> {
        self.slots.get(sink).and_then(OnceLock::get)
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// What this sink's target made of the exchange, where anybody asks.
    pub(crate) fn settle(&self, sink: usize, answer: impl FnOnce() -> Answer) {
        if let Some(slot) = self.slots.get(sink) {
            let _ = slot.set(answer());
            self.waker.wake();
        }
    }
}
