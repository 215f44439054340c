//! Which response answers which request.
//!
//! On a connection of which everything was seen the order decides (RFC 9112 §9.3.2). Where bytes are missing between messages nobody knows how
//! many requests or responses they were. Then:
//!
//! - A response that began before a request did is not the answer to it. This holds always.
//! - A client that was never surely seen to send a request while another was unanswered (most clients) is taken to wait for each answer: a
//!   response behind a gap is the answer to the newest request, and older ones without one have lost theirs.
//! - With a client that pipelines, nothing is certain behind a gap. Requests that came before a gap of the client's own are still answered
//!   in order. All others, and all that are unanswered when the gap is the server's, are told without a response, and responses
//!   without one are orphans; until a request comes when nothing has passed for [`QUIET`], which is taken for a new beginning.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;

use super::head::Method;
use super::reader::Moment;
use crate::offer::Write;

/// How many requests may wait for their responses. Clients pipeline a few; more are seen where the responses never pass here.
pub(super) const MAX_UNANSWERED: usize = 1024;

/// How many exchanges there is room for on every connection. More are counted as held.
const USUAL: usize = 16;

/// How long nothing may pass until a client that pipelines is taken to have had all its answers: well over the time that a usual server
/// takes for one.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// So many unanswered requests make a client one that pipelines, whatever is missing: a gap among the responses may be told after the
/// next request, but not after the one behind it.
const SURELY_PIPELINED: usize = 2;

/// Exchanges that have not ended, oldest first. Requests come one after another, so only the last can still be read; responses too, so
/// only the first can have begun.
#[derive(Debug)]
pub(super) struct Exchanges<W> {
    open: VecDeque<Exchange<W>>,
    /// The client was seen to send a request while another was unanswered.
    pipelines: bool,
    /// Responses may have been missed since the last one.
    missed_responses: bool,
    /// Order says nothing any more.
    disordered: bool,
}

#[derive(Debug)]
struct Exchange<W> {
    /// None where nobody wanted it; its place in the order is kept.
    writer: Option<W>,
    began: Duration,
    method: Method,
    request: Side<()>,
    response: Side<Option<Bytes>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Side<T> {
    /// Nothing of it yet (a response).
    Awaited,
    /// It is being read.
    Open,
    /// It is whole.
    Whole(T),
    /// It will not be whole, for this reason.
    Cut(Abort),
}

impl<T> Side<T> {
    fn is_over(&self) -> bool {
        matches!(self, Side::Whole(_) | Side::Cut(_))
    }
}

impl<W: Write> Exchanges<W> {
    pub(super) fn new(midstream: bool) -> Self {
        Exchanges { open: VecDeque::new(), pipelines: false, missed_responses: midstream, disordered: false }
    }

    /// A request's head was read. `answered`: a response has come while it was being sent. `reliable`: that the server has not answered an
    /// earlier one is known. `idle`: the server's direction is at a message boundary.
    pub(super) fn begin(&mut self, writer: Option<W>, method: Method, at: Moment, told: Told) {
        if self.open.len() >= MAX_UNANSWERED {
            self.overflow(at.at);
        }
        let awaited = self.awaited();
        self.pipelines |= told.same_piece && awaited > 0 || told.reliable && awaited >= SURELY_PIPELINED;
        if self.pipelines && self.missed_responses && self.awaited() > 0 {
            // Which of these have been answered unseen?
            self.give_up_awaited(Abort::Capture, at.at);
            self.disordered = true;
        }
        if self.disordered && at.quiet >= QUIET && told.idle {
            // What waits still will not be answered in any order that is known.
            self.give_up_awaited(Abort::Capture, at.at);
            self.disordered = false;
            self.missed_responses = false;
        }
        let response = if self.disordered || told.answered { Side::Cut(Abort::Capture) } else { Side::Awaited };
        self.open.push_back(Exchange { writer, began: at.at, method, request: Side::Open, response });
    }

    /// The oldest give way. Then the order is gone too, unless it was not needed.
    fn overflow(&mut self, at: Duration) {
        if self.pipelines {
            self.give_up_awaited(Abort::Capture, at);
            self.disordered = true;
        } else if let Some(oldest) = self.open.iter_mut().find(|e| e.response == Side::Awaited) {
            oldest.response = Side::Cut(Abort::Capture);
            self.missed_responses = true;
        }
        self.settle(at);
    }

    /// Which request the response that began then answers, by its method. It is the one that [`Exchanges::response`] gives from now on.
    pub(super) fn answer(&mut self, began: Duration, at: Duration) -> Option<Method> {
        let answers = |e: &Exchange<W>| e.response == Side::Awaited && e.began <= began;
        let found = match self.missed_responses && !self.pipelines {
            true => self.open.iter().rposition(answers),
            false => self.open.iter().position(answers),
        }?;
        if !self.missed_responses {
            // Nothing is missing, so the later one did not wait for this answer.
            self.pipelines |= self.open.iter().skip(found + 1).any(answers);
        }
        self.missed_responses = false;
        for older in self.open.iter_mut().take(found) {
            if older.response == Side::Awaited {
                older.response = Side::Cut(Abort::Capture);
            }
        }
        self.open[found].response = Side::Open;
        let method = self.open[found].method;
        if found > 0 {
            self.settle(at);
        }
        Some(method)
    }

    /// The method of the request that the next response would answer, for one that began then.
    pub(super) fn awaits(&self, began: Duration) -> bool {
        self.open.iter().any(|e| e.response == Side::Awaited && e.began <= began)
    }

    /// How many requests are unanswered, counted no further than it matters.
    fn awaited(&self) -> usize {
        self.open.iter().filter(|e| e.response == Side::Awaited).take(SURELY_PIPELINED).count()
    }

    /// How much memory the exchanges hold here beyond the usual, in bytes.
    pub(super) fn held(&self) -> usize {
        self.open.capacity().saturating_sub(USUAL) * size_of::<Exchange<W>>()
    }

    /// The exchange whose request is being read.
    pub(super) fn request(&mut self) -> Option<&mut W> {
        self.open.back_mut().filter(|e| e.request == Side::Open)?.writer.as_mut()
    }

    /// The exchange whose response is being read.
    pub(super) fn response(&mut self) -> Option<&mut W> {
        self.open.front_mut().filter(|e| e.response == Side::Open)?.writer.as_mut()
    }

    /// The request that is being read has ended.
    pub(super) fn request_over(&mut self, end: Result<Option<Bytes>, Abort>, at: Duration) {
        let Some(last) = self.open.back_mut().filter(|e| e.request == Side::Open) else { return };
        last.request = match end {
            Ok(trailers) => {
                if let Some(writer) = &mut last.writer {
                    writer.request_end(trailers, at);
                }
                Side::Whole(())
            }
            Err(why) => Side::Cut(why),
        };
        if last.is_over()
            && let Some(exchange) = self.open.pop_back()
        {
            exchange.end(at);
        }
    }

    /// The response that is being read has ended.
    pub(super) fn response_over(&mut self, end: Result<Option<Bytes>, Abort>, at: Duration) {
        let Some(first) = self.open.front_mut().filter(|e| e.response == Side::Open) else { return };
        first.response = match end {
            Ok(trailers) => Side::Whole(trailers),
            Err(why) => Side::Cut(why),
        };
        if first.is_over()
            && let Some(exchange) = self.open.pop_front()
        {
            exchange.end(at);
            if self.open.is_empty() {
                self.open.shrink_to(USUAL);
            }
        }
    }

    /// Requests may be missing from here on.
    pub(super) fn missed_requests(&mut self) {
        self.disordered |= self.pipelines || self.awaited() >= SURELY_PIPELINED;
    }

    /// Responses may be missing from here on.
    pub(super) fn missed_responses(&mut self, at: Duration) {
        if self.pipelines && self.awaited() > 0 {
            self.give_up_awaited(Abort::Capture, at);
            self.disordered = true;
        }
        self.missed_responses = true;
    }

    /// No response comes any more.
    pub(super) fn give_up_awaited(&mut self, why: Abort, at: Duration) {
        for exchange in self.open.iter_mut().filter(|e| e.response == Side::Awaited) {
            exchange.response = Side::Cut(why);
        }
        self.settle(at);
    }

    /// The connection is over.
    pub(super) fn close(&mut self, why: Abort, at: Duration) {
        for exchange in self.open.drain(..) {
            if let Some(writer) = exchange.writer {
                writer.abort(why, at);
            }
        }
    }

    /// Ends the exchanges of which both sides are over.
    fn settle(&mut self, at: Duration) {
        if self.open.iter().any(Exchange::is_over) {
            for exchange in std::mem::take(&mut self.open) {
                if exchange.is_over() {
                    exchange.end(at);
                } else {
                    self.open.push_back(exchange);
                }
            }
        }
    }
}

/// What is known when a request's head has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// A response has come while the head was being sent: it will have no other.
    pub(super) answered: bool,
    /// The server's direction is read without a gap: what is unanswered here is unanswered.
    pub(super) reliable: bool,
    /// It began in the segment that the request before it ended in.
    pub(super) same_piece: bool,
    /// The server's direction is between two messages.
    pub(super) idle: bool,
}

impl<W: Write> Exchange<W> {
    fn is_over(&self) -> bool {
        self.request.is_over() && self.response.is_over()
    }

    fn end(self, at: Duration) {
        let Some(writer) = self.writer else { return };
        match (self.request, self.response) {
            (Side::Whole(()), Side::Whole(trailers)) => writer.finish(trailers, at),
            (Side::Cut(why), _) | (_, Side::Cut(why)) => writer.abort(why, at),
            _ => writer.abort(Abort::Shutdown, at),
        }
    }
}
