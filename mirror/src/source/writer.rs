//! What a source tells of one exchange, while it goes by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Arrival, Inner, head_cost};
use crate::body::{BodyEnd, BodyWriter};
use crate::exchange::{ExchangeId, Shared};
use crate::outcome::{Abort, DropReason};

/// What an exchange's times are told by.
pub(super) enum Clock {
    /// By ours: now is when the source saw it.
    Ours(Instant),
    /// By the source's stamps, since the Unix epoch.
    Told { began: Duration, now: Duration },
}

impl Clock {
    /// Since the exchange began.
    fn elapsed(&self) -> Duration {
        match self {
            Clock::Ours(began) => began.elapsed(),
            // Stamps may run backwards.
            Clock::Told { began, now } => now.saturating_sub(*began),
        }
    }
}

/// Writes one exchange as the source sees it go by. Dropped without a word it is an abort.
pub struct ExchangeWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) request: BodyWriter,
    pub(super) response: BodyWriter,
    /// Whether a stage waits for the response's head.
    pub(super) told: bool,
    /// What is all there already arrives as a whole, at its end: its readers are not woken for each part, and stages that learn from a response know
    /// it before the next request comes.
    pub(super) arrives: Option<(Box<Arrival>, Arc<Inner>)>,
}

impl ExchangeWriter {
    /// The exchange's id.
    pub fn id(&self) -> ExchangeId {
        self.shared.id
    }

    /// It arrives now, whatever of it is still to come: a body that is longer than what may be held has to be read while it is written.
    pub(crate) fn arrive(&mut self) {
        if let Some((arrival, tap)) = self.arrives.take() {
            tap.arrives(arrival);
        }
    }

    /// The application's address; the first one told is kept.
    pub fn upstream(&self, address: SocketAddr) {
        let _ = self.shared.upstream.set(address);
    }

    /// When what is told next passed, since the Unix epoch. Only for exchanges begun by [`Tap::begin_passed`](super::Tap::begin_passed).
    pub fn at(&mut self, time: Duration) {
        if let Clock::Told { now, .. } = &mut self.clock {
            *now = time;
        }
    }

    /// More of the request's body, transfer coding removed.
    pub fn data(&mut self, bytes: Bytes) {
        self.request.append(bytes);
    }

    /// The source has lost this many bytes of the request's body here. What follows still counts, but the request is not whole: no target
    /// gets it.
    pub fn lost(&mut self, length: u64) {
        self.request.lose(length);
    }

    /// The request is whole; with its trailer section as sent. What is called trailers in the design, and the end for a request
    /// without: a target must be told the end when it comes, not with the response's.
    pub fn request_end(&mut self, trailers: Option<Bytes>) {
        if self.request.is_open() {
            let _ = self.shared.request_end.set(self.clock.elapsed());
            self.request.end(BodyEnd::Complete(trailers));
        }
    }

    /// Whether any sink still reads the response: where none does, its head need not be made.
    pub fn is_response_read(&self) -> bool {
        self.response.is_read()
    }

    /// The final response's head: the bytes of a whole HTTP/1 head, its empty line included. Interim (1xx) heads are not offered,
    /// save 101.
    pub fn respond(&mut self, head: Bytes) {
        if !self.is_response_read() {
            return;
        }
        match self.shared.charge.another(head_cost(&head)) {
            Some(charge) => drop(self.shared.response.set((self.clock.elapsed(), head, charge))),
            None => self.response.end(BodyEnd::Lost(DropReason::Memory)),
        }
        if self.told {
            self.response.tell();
        }
    }

    /// Others may see the request or the response end elsewhere, which shows only now: it is recorded and marked. Targets may have the request
    /// by now; what they get of it ends in one place only.
    pub fn ambiguous(&self) {
        let _ = self.shared.ended_ambiguously.set(());
    }

    /// More of the response's body, transfer coding removed.
    pub fn response_data(&mut self, bytes: Bytes) {
        self.response.append(bytes);
    }

    /// The source has lost this many bytes of the response's body here.
    pub fn response_lost(&mut self, length: u64) {
        self.response.lose(length);
    }

    /// The exchange has come to its end; with the response's trailer section as sent.
    pub fn finish(mut self, trailers: Option<Bytes>) {
        self.request_end(None);
        self.end(None, BodyEnd::Complete(trailers));
    }

    /// The exchange has ended too soon. A request that was whole by then stays whole.
    pub fn abort(mut self, why: Abort) {
        self.close(why);
    }

    fn close(&mut self, why: Abort) {
        self.request.end(BodyEnd::Aborted(why));
        self.end(Some(why), BodyEnd::Aborted(why));
    }

    fn end(&mut self, abort: Option<Abort>, body: BodyEnd) {
        let _ = self.shared.ended.set((self.clock.elapsed(), abort));
        // Last, because readers take it for the end of the exchange.
        self.response.end(body);
        self.arrive();
    }
}

impl Drop for ExchangeWriter {
    fn drop(&mut self) {
        self.close(Abort::Shutdown);
    }
}
