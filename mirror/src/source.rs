//! What a source holds: a [`Tap`], and for each exchange an [`ExchangeWriter`]. Nothing in them waits, takes a lock or copies a
//! body's byte; what cannot be taken now is given up and counted.
//!
//! Heads are offered as the bytes of an HTTP/1 head and parsed later, on the engine's threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use crate::body::{BodyEnd, BodyReader, BodyWriter, SlotBounds};
use crate::budget::Budget;
use crate::exchange::{Account, Answers, ExchangeId, Origin, Shared};
use crate::outcome::{Abort, DropReason};
use crate::sink::SinkSlot;
use crate::telemetry::SourceMetrics;

/// What an exchange costs beside its bodies: the buffer its head is in (pingora reads into 4 KiB), its cells, slots and tasks.
const EXCHANGE_OVERHEAD: usize = 6 * 1024;

/// What a head costs: the buffer it came in may have grown by doubling, and parsed lines are about as long as themselves again.
fn head_cost(head: &Bytes) -> usize {
    2 * head.len()
}

/// Where a source offers its exchanges. Cheap to clone; one a thread.
#[derive(Clone)]
pub struct Tap(Arc<Inner>);

struct Inner {
    // Unbounded in number, but each arrival is charged to the budget first, which bounds it.
    arrivals: UnboundedSender<Arrival>,
    budget: Arc<Budget>,
    sinks: Arc<[SinkSlot]>,
    keeps_answers: bool,
    metrics: SourceMetrics,
    instance: u64,
    sequence: AtomicU64,
}

/// One exchange on its way to the fan-out.
pub(crate) struct Arrival {
    pub(crate) shared: Arc<Shared>,
    pub(crate) copies: Vec<Copy>,
}

/// What one sink gets of an exchange.
pub(crate) struct Copy {
    pub(crate) account: Account,
    pub(crate) request_body: BodyReader,
    pub(crate) response_body: Option<BodyReader>,
}

impl Tap {
    pub(crate) fn new(
        arrivals: UnboundedSender<Arrival>,
        budget: Arc<Budget>,
        sinks: Arc<[SinkSlot]>,
        metrics: SourceMetrics,
    ) -> Result<Tap, getrandom::Error> {
        let keeps_answers = sinks.iter().any(|sink| sink.reads_answers);
        let instance = getrandom::u64()?;
        Ok(Tap(Arc::new(Inner {
            arrivals,
            budget,
            sinks,
            keeps_answers,
            metrics,
            instance,
            sequence: AtomicU64::new(0),
        })))
    }

    /// Offers an exchange by its request's head: the bytes of a whole HTTP/1 head, its empty line included. None where no sink
    /// is to have it, or it cannot be taken now, which is counted.
    pub fn begin(&self, head: Bytes, origin: Origin) -> Option<ExchangeWriter> {
        let tap = &*self.0;
        let id = ExchangeId(u128::from(tap.instance) << 64 | u128::from(tap.sequence.fetch_add(1, Relaxed)));
        tap.metrics.seen.inc();
        let takes = |sink: &SinkSlot| sink.fraction.takes(id.0);
        if !tap.sinks.iter().any(takes) {
            tap.metrics.outside_fraction.inc();
            return None;
        }
        let Some(charge) = tap.budget.charge(EXCHANGE_OVERHEAD + head_cost(&head)) else {
            for sink in tap.sinks.iter().filter(|sink| takes(sink)) {
                sink.metrics.offered.inc();
                sink.metrics.dropped.inc(DropReason::Memory as usize);
            }
            return None;
        };
        let shared = Arc::new(Shared {
            id,
            origin,
            started: SystemTime::now(),
            clock: Instant::now(),
            request_head: head,
            upstream: Default::default(),
            request_end: Default::default(),
            response: Default::default(),
            ended: Default::default(),
            sinks: tap.sinks.clone(),
            answers: if tap.keeps_answers { Answers::new(tap.sinks.len()) } else { Answers::default() },
            _charge: charge,
        });
        let taking = || tap.sinks.iter().enumerate().filter(|(_, sink)| takes(sink));
        let bounds = |sink: &SinkSlot| SlotBounds { lag: sink.lag, share: sink.share.clone() };
        let (request, request_readers) = BodyWriter::new(taking().map(|(_, sink)| bounds(sink)), &tap.budget);
        let reading = taking().filter(|(_, sink)| sink.reads_responses);
        let (response, response_readers) = BodyWriter::new(reading.map(|(_, sink)| bounds(sink)), &tap.budget);
        let mut response_readers = response_readers.into_iter();
        let copies = taking()
            .zip(request_readers)
            .map(|((index, sink), request_body)| Copy {
                account: Account::new(shared.clone(), index),
                request_body,
                response_body: if sink.reads_responses { response_readers.next() } else { None },
            })
            .collect();
        // An engine that has ended drops the arrival, and each account in it settles itself as dropped.
        let _ = tap.arrivals.send(Arrival { shared: shared.clone(), copies });
        Some(ExchangeWriter { shared, request, response, budget: tap.budget.clone() })
    }

    /// Whether anything takes exchanges at all.
    pub fn has_sinks(&self) -> bool {
        !self.0.sinks.is_empty()
    }
}

/// Writes one exchange as the source sees it go by. Dropped without a word it is an abort.
pub struct ExchangeWriter {
    shared: Arc<Shared>,
    request: BodyWriter,
    response: BodyWriter,
    budget: Arc<Budget>,
}

impl ExchangeWriter {
    /// The exchange's id.
    pub fn id(&self) -> ExchangeId {
        self.shared.id
    }

    /// The application's address; the first one told is kept.
    pub fn upstream(&self, address: SocketAddr) {
        let _ = self.shared.upstream.set(address);
    }

    /// More of the request's body, transfer coding removed.
    pub fn data(&mut self, bytes: Bytes) {
        self.request.append(bytes);
    }

    /// The request is whole; with its trailer section as sent. What is called trailers in the design, and the end for a request
    /// without: a target must be told the end when it comes, not with the response's.
    pub fn request_end(&mut self, trailers: Option<Bytes>) {
        if self.request.is_open() {
            let _ = self.shared.request_end.set(self.shared.clock.elapsed());
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
        match self.budget.charge(head_cost(&head)) {
            Some(charge) => drop(self.shared.response.set((self.shared.clock.elapsed(), charge.hold(head)))),
            None => self.response.end(BodyEnd::Lost(DropReason::Memory)),
        }
    }

    /// More of the response's body, transfer coding removed.
    pub fn response_data(&mut self, bytes: Bytes) {
        self.response.append(bytes);
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
        let _ = self.shared.ended.set((self.shared.clock.elapsed(), abort));
        // Last, because readers take it for the end of the exchange.
        self.response.end(body);
    }
}

impl Drop for ExchangeWriter {
    fn drop(&mut self) {
        self.close(Abort::Shutdown);
    }
}
