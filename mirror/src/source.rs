//! What a source holds: a [`Tap`], and for each exchange an [`ExchangeWriter`]. Nothing in them waits, takes a lock or copies a
//! body's byte; what cannot be taken now is given up and counted.
//!
//! Heads are offered as the bytes of an HTTP/1 head and parsed later, on the engine's threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::mpsc::UnboundedSender;

use crate::body::{BodyReader, BodyWriter};
use crate::budget::{Budget, Share};
use crate::exchange::{Account, Answer, Answers, ExchangeId, Origin, Shared};
use crate::generation::Generation;
use crate::looks::Looks;
use crate::outcome::{DropReason, Outcome, SkipReason};
use crate::pressure::{Arriving, OneArriving, Pressure};
use crate::replay::Replayed;
use crate::sink::SinkSlot;
use crate::telemetry::SourceMetrics;

mod writer;

use writer::Clock;
pub use writer::ExchangeWriter;

/// What an exchange costs beside its bodies: the buffer its head is in (pingora reads into 4 KiB), its cells, slots and tasks.
const EXCHANGE_OVERHEAD: usize = 6 * 1024;

/// What a head costs: the buffer it came in may have grown by doubling, and parsed lines are about as long as themselves again.
fn head_cost(head: &Bytes) -> usize {
    2 * head.len()
}

/// Where a source offers its exchanges. Cheap to clone; one a thread.
#[derive(Clone)]
pub struct Tap {
    inner: Arc<Inner>,
    metrics: SourceMetrics,
    patient: bool,
}

struct Inner {
    // Unbounded in number, but each arrival is charged to the budget first, which bounds it. In boxes: it goes through a few hands.
    arrivals: UnboundedSender<Box<Arrival>>,
    budget: Arc<Budget>,
    /// What an exchange that begins now meets. Loading it takes no lock and waits for nobody.
    generation: Arc<ArcSwap<Generation>>,
    /// Arrivals of patient taps that the fan-out has not taken yet.
    arriving: Arriving,
    /// What readers of stages hold: the bodies that are collected for them.
    held: Arc<Share>,
    instance: u64,
    sequence: AtomicU64,
}

/// One exchange on its way to the fan-out.
pub(crate) struct Arrival {
    /// What it meets, whatever others meet that begin later.
    pub(crate) generation: Arc<Generation>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) copies: Copies,
    /// For the stages before the fan-out.
    pub(crate) looks: Looks,
    /// The response's body, where those may change it: then no copy has a reader of it.
    pub(crate) response: Option<BodyReader>,
    /// Counts it, where its source asks for that.
    pub(crate) _counted: Option<OneArriving>,
}

/// One for each sink that gets it: with one, in no memory of their own.
pub(crate) type Copies = SmallVec<[Copy; 1]>;

/// What one sink gets of an exchange.
pub(crate) struct Copy {
    pub(crate) account: Account,
    pub(crate) request_body: BodyReader,
    pub(crate) response_body: Option<BodyReader>,
    /// For the sink's stages.
    pub(crate) looks: Looks,
}

/// What a source knows of an exchange that it did not carry but saw pass.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// The application's address, where it is known.
    pub server: Option<SocketAddr>,
    /// When the request's first byte passed, since the Unix epoch.
    pub at: Duration,
    /// The application may have seen the request begin or end elsewhere (RFC 9112 §11.2). It is recorded and marked, and no target gets
    /// it. Told now, because a target may get the head before anything else is told.
    pub ambiguous: bool,
}

impl Inner {
    /// An engine that has ended drops it, and each account in it settles itself as dropped.
    fn arrives(&self, arrival: Box<Arrival>) {
        let _ = self.arrivals.send(arrival);
    }
}

impl Tap {
    pub(crate) fn new(
        arrivals: UnboundedSender<Box<Arrival>>,
        budget: Arc<Budget>,
        generation: Arc<ArcSwap<Generation>>,
        metrics: SourceMetrics,
    ) -> Result<Tap, getrandom::Error> {
        let instance = getrandom::u64()?;
        let inner = Inner {
            arrivals,
            held: Share::new(budget.limit()),
            budget,
            generation,
            arriving: Arriving::default(),
            instance,
            sequence: AtomicU64::new(0),
        };
        Ok(Tap { inner: Arc::new(inner), metrics, patient: false })
    }

    /// The same for another way in, with counters of its own.
    pub(crate) fn counted_by(&self, metrics: SourceMetrics) -> Tap {
        Tap { metrics, ..self.clone() }
    }

    /// The same for a source that waits where there is no room, as [`pressure`](Self::pressure) tells it. Within one exchange no sink's
    /// `lag` cuts its copies off, which is for sources that cannot wait: a sink may be behind by what it may hold in all.
    pub fn patient(&self) -> Tap {
        Tap { patient: true, ..self.clone() }
    }

    /// How full the bounds are now. It costs a few atomic reads a sink.
    pub fn pressure(&self) -> Pressure {
        let tap = &*self.inner;
        let generation = tap.generation.load();
        Pressure::of(&tap.budget, &generation, tap.arriving.count())
    }

    /// A request's path as it may be logged: without what a stage, be it of one sink, keeps secret.
    pub fn redacted(&self, path: &str) -> String {
        let generation = self.inner.generation.load();
        let mut path = path.to_owned();
        let of_sinks = generation.sinks.iter().map(|sink| &*sink.pipeline);
        std::iter::once(&*generation.pipeline).chain(of_sinks).for_each(|pipeline| pipeline.redact_path(&mut path));
        path
    }

    /// Offers an exchange by its request's head: the bytes of a whole HTTP/1 head, its empty line included. None where no sink
    /// is to have it, or it cannot be taken now, which is counted.
    pub fn begin(&self, head: Bytes, origin: Origin) -> Option<ExchangeWriter> {
        // A source in the path made one request of it, and that is what the application got.
        self.offer(head, origin, false, None, || (SystemTime::now(), Clock::Ours(Instant::now())))
    }

    /// The same for a source that only saw it pass. Of what follows, [`ExchangeWriter::at`] tells the times.
    pub fn begin_passed(&self, head: Bytes, origin: Origin, passed: Passed) -> Option<ExchangeWriter> {
        self.begin_again(head, origin, passed, None)
    }

    /// The same for one that may have passed before and is now due again.
    pub(crate) fn begin_again(
        &self,
        head: Bytes,
        origin: Origin,
        passed: Passed,
        replayed: Option<Replayed>,
    ) -> Option<ExchangeWriter> {
        let Passed { server, at, ambiguous } = passed;
        // A stamp beyond what the system's time holds is nonsense of a damaged file.
        let started = UNIX_EPOCH.checked_add(at).unwrap_or(UNIX_EPOCH);
        let writer = self.offer(head, origin, ambiguous, replayed, || (started, Clock::Told { began: at, now: at }))?;
        if let Some(server) = server {
            writer.upstream(server);
        }
        Some(writer)
    }

    fn offer(
        &self,
        head: Bytes,
        origin: Origin,
        ambiguous: bool,
        replayed: Option<Replayed>,
        now: impl FnOnce() -> (SystemTime, Clock),
    ) -> Option<ExchangeWriter> {
        let tap = &*self.inner;
        let id = ExchangeId(u128::from(tap.instance) << 64 | u128::from(tap.sequence.fetch_add(1, Relaxed)));
        self.metrics.seen.inc();
        let generation = tap.generation.load();
        let within = |sink: &SinkSlot| sink.fraction.takes(id.0);
        let takes = |sink: &SinkSlot| !sink.paused && within(sink);
        if generation.pauses {
            for sink in generation.sinks.iter().filter(|sink| sink.paused && within(sink)) {
                sink.metrics.skipped.inc(SkipReason::Paused as usize);
            }
        }
        if !generation.sinks.iter().any(takes) {
            if !generation.sinks.iter().any(within) {
                self.metrics.outside_fraction.inc();
            }
            return None;
        }
        let Some(charge) = tap.budget.charge(EXCHANGE_OVERHEAD + head_cost(&head)) else {
            for sink in generation.sinks.iter().filter(|sink| takes(sink)) {
                sink.metrics.offered.inc();
                sink.metrics.dropped.inc(DropReason::Memory as usize);
            }
            return None;
        };
        let (started, clock) = now();
        let shared = Arc::new(Shared {
            id,
            origin,
            started,
            request_head: head,
            ambiguous,
            replayed,
            upstream: Default::default(),
            request_end: Default::default(),
            response: Default::default(),
            ended_ambiguously: Default::default(),
            ended: Default::default(),
            sinks: generation.sinks.clone(),
            answers: if generation.keeps_answers { Answers::new(generation.sinks.len()) } else { Answers::default() },
            charge,
        });
        if generation.keeps_answers {
            // Who waits for the answers of all must not wait for these.
            for (index, sink) in generation.sinks.iter().enumerate().filter(|(_, sink)| sink.answers && !takes(sink)) {
                let reason = if within(sink) { SkipReason::Paused } else { SkipReason::Fraction };
                shared.answers.settle(index, || Answer { outcome: Outcome::Skipped(reason), response: None });
            }
        }
        let taking = || generation.sinks.iter().enumerate().filter(|(_, sink)| takes(sink));
        // What a stage holds back may be behind by all that the sink may hold, as if it came from a source that waits.
        let waits = |sink: &SinkSlot| generation.pipeline.holds() || sink.pipeline.holds();
        let bounds = |sink: &SinkSlot| if self.patient || waits(sink) { sink.unhurried() } else { sink.bounds() };
        // First the sinks' readers, then those of their stages, last those of the stages for all.
        let pipelines = || taking().map(|(_, sink)| &*sink.pipeline).chain([&*generation.pipeline]);
        let [of_requests, of_responses] =
            pipelines().map(Looks::needed).fold([0, 0], |[a, b], [more_a, more_b]| [a + more_a, b + more_b]);
        let look = || Looks::bounds(&tap.held);
        let of_requests = std::iter::repeat_with(look).take(of_requests);
        let (request, mut requests) =
            BodyWriter::new(taking().map(|(_, sink)| bounds(sink)).chain(of_requests), &tap.budget);
        let changed = generation.pipeline.needs_bodies().response.is_some();
        let reads = |sink: &SinkSlot| sink.reads_responses && !changed;
        let reading = taking().filter(|(_, sink)| reads(sink)).map(|(_, sink)| bounds(sink));
        let of_responses = std::iter::repeat_with(look).take(of_responses + usize::from(changed));
        let (response, mut responses) = BodyWriter::new(reading.chain(of_responses), &tap.budget);
        let mut copies: Copies = taking()
            .zip(&mut requests)
            .map(|((index, sink), request_body)| Copy {
                account: Account::new(shared.clone(), index),
                request_body,
                response_body: if reads(sink) { responses.next() } else { None },
                looks: Looks::default(),
            })
            .collect();
        for (copy, (_, sink)) in copies.iter_mut().zip(taking()) {
            copy.looks = Looks::of(&sink.pipeline, &mut requests, &mut responses);
        }
        let looks = Looks::of(&generation.pipeline, &mut requests, &mut responses);
        let response_body = if changed { responses.next() } else { None };
        let counted = self.patient.then(|| tap.arriving.one_more());
        let at_its_end = shared.replayed.is_some();
        let arrival = Box::new(Arrival {
            generation: Arc::clone(&generation),
            shared: shared.clone(),
            copies,
            looks,
            response: response_body,
            _counted: counted,
        });
        let arrives = match at_its_end {
            true => Some((arrival, self.inner.clone())),
            false => {
                tap.arrives(arrival);
                None
            }
        };
        Some(ExchangeWriter { shared, clock, request, response, told: generation.waits_for_heads, arrives })
    }

    /// Whether every target has settled what was offered to it, and nothing is on its way there.
    pub fn is_settled(&self) -> bool {
        let tap = &*self.inner;
        let generation = tap.generation.load();
        // In the order in which an exchange goes on, so that none slips by.
        tap.arriving.count() == 0
            && generation.held.load(Relaxed) == 0
            && generation.sinks.iter().all(|sink| !sink.answers || sink.metrics.in_flight() == 0)
    }

    /// Whether a sink or a stage reads responses, as long as there is no other configuration.
    pub(crate) fn reads_responses(&self) -> bool {
        self.inner.generation.load().reads_responses
    }

    /// Whether anything takes exchanges at all.
    pub fn has_sinks(&self) -> bool {
        !self.inner.generation.load().sinks.is_empty()
    }
}
