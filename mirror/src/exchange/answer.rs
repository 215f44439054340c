//! What targets answered, kept for whoever reads answers.

use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use crate::budget::Charge;
use crate::collected::{Collected, in_one_piece};
use crate::http1::ResponseHead;
use crate::outcome::{DropReason, Outcome};

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

impl Response {
    /// The body, where all of it was kept and is at most so many bytes. A copy is charged to where `charge` is.
    pub(crate) fn collected(&self, most: u64, charge: &Charge) -> Collected {
        let is_whole = self.truncated.is_none() && self.body_length <= most;
        match is_whole.then(|| in_one_piece(&self.body, charge)).flatten() {
            Some(bytes) => Collected::Whole { bytes, trailers: None },
            None => Collected::TooLong,
        }
    }

    /// Puts in another body, which is charged to where `charge` is; withheld where there is no room for it. The framing is the caller's to mend.
    pub(crate) fn replace_body(&mut self, bytes: Bytes, charge: &Charge) {
        match charge.another(bytes.len()) {
            Some(charge) => (self.body_length, self.body) = (bytes.len() as u64, vec![charge.hold(bytes)]),
            None => self.withhold_body(),
        }
    }

    /// Nobody gets to see the body.
    pub(crate) fn withhold_body(&mut self) {
        self.body.clear();
        self.truncated = Some(DropReason::Withheld.label());
    }
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
