//! Every metric's name. OpenTelemetry's names where it has one, with Prometheus' units and suffixes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::outcome::{Abort, DropReason, FailReason, Outcome, Redacted, SkipReason, Withheld};
use crate::replay::Tally;

mod middleware;
mod observed;

pub use middleware::MiddlewareMetrics;
use observed::Family;
pub use observed::{Observed, Several};

/// OpenTelemetry's boundaries for HTTP durations, in seconds.
const DURATION_BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// From what a machine does that keeps up to what one does that does not, in seconds.
const LATENESS_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// All metrics of one running `mirror`.
pub struct Telemetry {
    registry: Registry,
    // What is kept elsewhere (queues, the budget) is looked at when it is asked for.
    observers: Mutex<Vec<Box<dyn Fn() + Send>>>,
    /// Those of what comes and goes, by the gauge's name.
    passing: Mutex<HashMap<String, Family>>,
    /// What has a name and a label of its own, by both: what comes again counts on.
    counters: Mutex<HashMap<(String, String), IntCounter>>,
    seen: IntCounterVec,
    outside_fraction: IntCounterVec,
    aborted: IntCounterVec,
    offered: IntCounterVec,
    delivered: IntCounterVec,
    dropped: IntCounterVec,
    failed: IntCounterVec,
    skipped: IntCounterVec,
    client_duration: HistogramVec,
    server_duration: HistogramVec,
    redacted: IntCounterVec,
    withheld: IntCounterVec,
    middleware: middleware::Families,
    lateness: HistogramVec,
    /// What comes of a replay at each target, by its name.
    tallies: Mutex<BTreeMap<String, Arc<Tally>>>,
}

/// What redaction counts, all its stages together.
#[derive(Debug, Clone)]
pub struct RedactMetrics {
    /// Values, by [`Redacted`].
    pub redacted: Reasons,
    /// Bodies, by [`Withheld`].
    pub withheld: Reasons,
}

/// What is counted of one source.
#[derive(Clone)]
pub struct SourceMetrics {
    /// Exchanges that the source saw.
    pub seen: IntCounter,
    /// Of those, outside the fraction of every sink.
    pub outside_fraction: IntCounter,
}

/// A counter for each of an enum's reasons.
#[derive(Debug, Clone)]
pub struct Reasons(Box<[IntCounter]>);

impl Reasons {
    /// One more for the reason of this number.
    pub fn inc(&self, reason: usize) {
        self.inc_by(reason, 1);
    }

    /// So many more.
    pub fn inc_by(&self, reason: usize, count: u64) {
        self.0[reason].inc_by(count);
    }

    /// The reasons that have happened, by number.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().enumerate().map(|(i, c)| (i, c.get())).filter(|&(_, n)| n > 0)
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(IntCounter::get).sum()
    }
}

/// What is counted of one sink. Always: offered = delivered + dropped + failed + what is under way.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// Exchanges that the sink was meant to have.
    pub offered: IntCounter,
    /// Those that arrived.
    pub delivered: IntCounter,
    /// Those given up, by [`DropReason`].
    pub dropped: Reasons,
    /// Those that did not arrive, by [`FailReason`].
    pub failed: Reasons,
    /// Exchanges that it was not meant to have, by [`SkipReason`]; not among the offered.
    pub skipped: Reasons,
}

/// A histogram of durations for each class of status, 1xx to 5xx.
#[derive(Debug, Clone)]
pub struct Durations([Histogram; 5]);

impl Durations {
    /// Counts one answer of this status that took this long.
    pub fn observe(&self, status: u16, took: std::time::Duration) {
        let class = usize::from(status / 100).clamp(1, 5);
        self.0[class - 1].observe(took.as_secs_f64());
    }
}

impl Telemetry {
    /// A registry with all names in it.
    ///
    /// # Panics
    /// Never: the names are constants that the tests register.
    pub fn new() -> Arc<Telemetry> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid metric name");
            registry.register(Box::new(family.clone())).expect("a metric registered once");
            family
        };
        let histogram_of = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let family = HistogramVec::new(opts, labels).expect("a valid metric name");
            registry.register(Box::new(family.clone())).expect("a metric registered once");
            family
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| histogram_of(name, help, labels, &DURATION_BUCKETS);
        let telemetry = Telemetry {
            seen: counter("mirror_source_exchanges_total", "Exchanges that a source saw.", &["source"]),
            outside_fraction: counter(
                "mirror_source_outside_fraction_total",
                "Exchanges outside the fraction of every sink.",
                &["source"],
            ),
            aborted: counter(
                "mirror_source_aborted_total",
                "Exchanges that did not come to their end, by whose fault it was.",
                &["source", "fault"],
            ),
            offered: counter("mirror_sink_offered_total", "Exchanges that a sink was meant to have.", &["sink"]),
            delivered: counter("mirror_sink_delivered_total", "Copies that arrived.", &["sink"]),
            dropped: counter("mirror_sink_dropped_total", "Copies given up, by reason.", &["sink", "reason"]),
            failed: counter("mirror_sink_failed_total", "Copies that did not arrive, by reason.", &["sink", "reason"]),
            skipped: counter(
                "mirror_sink_skipped_total",
                "Exchanges that a sink was not meant to have, by reason; not among the offered.",
                &["sink", "reason"],
            ),
            client_duration: histogram(
                "http_client_request_duration_seconds",
                "Time from sending a copy to the end of the target's answer.",
                &["sink", "http_response_status_class"],
            ),
            server_duration: histogram(
                "http_server_request_duration_seconds",
                "Time from a request's head to the end of its response: by the proxy's clock, or by the stamps of the captured packets.",
                &["source", "http_response_status_class"],
            ),
            redacted: counter(
                "mirror_redact_values_total",
                "Values that redaction has masked, removed or hashed, by rule.",
                &["rule"],
            ),
            withheld: counter(
                "mirror_redact_withheld_total",
                "Bodies that redaction has withheld because it could not look into them, by reason.",
                &["reason"],
            ),
            middleware: middleware::Families::new(&registry),
            lateness: histogram_of(
                "mirror_replay_lateness_seconds",
                "How long after it was due the first byte of a replayed request was written.",
                &["sink"],
                &LATENESS_BUCKETS,
            ),
            tallies: Mutex::default(),
            observers: Mutex::default(),
            passing: Mutex::default(),
            counters: Mutex::default(),
            registry,
        };
        Arc::new(telemetry)
    }

    /// The counters of a source.
    pub fn source(&self, source: &str) -> SourceMetrics {
        SourceMetrics {
            seen: self.seen.with_label_values(&[source]),
            outside_fraction: self.outside_fraction.with_label_values(&[source]),
        }
    }

    /// The exchanges of a source that did not come to their end, by [`Abort`].
    pub fn aborted(&self, source: &str) -> Reasons {
        Reasons(Abort::ALL.iter().map(|why| self.aborted.with_label_values(&[source, why.label()])).collect())
    }

    /// The counters of a sink.
    pub fn sink(&self, sink: &str) -> SinkMetrics {
        fn reasons(family: &IntCounterVec, sink: &str, labels: impl Iterator<Item = &'static str>) -> Reasons {
            Reasons(labels.map(|label| family.with_label_values(&[sink, label])).collect())
        }
        SinkMetrics {
            offered: self.offered.with_label_values(&[sink]),
            delivered: self.delivered.with_label_values(&[sink]),
            dropped: reasons(&self.dropped, sink, DropReason::ALL.iter().map(|r| r.label())),
            failed: reasons(&self.failed, sink, FailReason::ALL.iter().map(|r| r.label())),
            skipped: reasons(&self.skipped, sink, SkipReason::ALL.iter().map(|r| r.label())),
        }
    }

    /// What redaction counts.
    pub fn redaction(&self) -> RedactMetrics {
        let of = |family: &IntCounterVec, label: &str| family.with_label_values(&[label]);
        RedactMetrics {
            redacted: Reasons(Redacted::ALL.iter().map(|rule| of(&self.redacted, rule.label())).collect()),
            withheld: Reasons(Withheld::ALL.iter().map(|reason| of(&self.withheld, reason.label())).collect()),
        }
    }

    /// How long a target takes.
    pub fn client_durations(&self, sink: &str) -> Durations {
        Self::durations(&self.client_duration, sink)
    }

    /// How long the application takes, as a source sees it. OpenTelemetry has the server itself measure this; the proxy and the listener do it
    /// where they stand, on the network's side, which is what `source` is for. An upgrade's tunnel is part of it for the proxy, whose exchange it
    /// is; the listener has seen the end of the exchange with the 101. A saved capture counts the durations of its own day.
    pub fn server_durations(&self, source: &str) -> Durations {
        Self::durations(&self.server_duration, source)
    }

    /// What comes of a replay at a target.
    pub(crate) fn tally(&self, sink: &str) -> Arc<Tally> {
        let make = || Arc::new(Tally::new(self.lateness.with_label_values(&[sink])));
        locked(&self.tallies).entry(sink.to_owned()).or_insert_with(make).clone()
    }

    /// Of all targets, by their names.
    pub(crate) fn tallies(&self) -> Vec<(String, Arc<Tally>)> {
        locked(&self.tallies).iter().map(|(sink, tally)| (sink.clone(), tally.clone())).collect()
    }

    fn durations(family: &HistogramVec, label: &str) -> Durations {
        Durations(["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| family.with_label_values(&[label, class])))
    }

    /// A counter of its own name; the same name with other label values is the same family, and with the same the same counter.
    pub fn counter(&self, name: &str, help: &str, label: (&str, &str)) -> IntCounter {
        let make = || {
            let opts = Opts::new(name, help).const_label(label.0, label.1);
            let counter = IntCounter::with_opts(opts).expect("a valid metric name");
            self.registry.register(Box::new(counter.clone())).expect("a metric registered once");
            counter
        };
        locked(&self.counters).entry((name.to_owned(), label.1.to_owned())).or_insert_with(make).clone()
    }

    /// A family of its own name, with a counter for each of these values of its label.
    pub fn reasons(&self, name: &str, help: &str, label: &str, values: impl Iterator<Item = &'static str>) -> Reasons {
        Reasons(values.map(|value| self.counter(name, help, (label, value))).collect())
    }

    /// Gauges of one family that are looked at when asked for: `(label value, reading)`.
    pub fn gauges(&self, name: &str, help: &str, label: &str, readings: Vec<(String, Reading)>) {
        let family = IntGaugeVec::new(Opts::new(name, help), &[label]).expect("a valid metric name");
        self.registry.register(Box::new(family.clone())).expect("a metric registered once");
        for (value, reading) in readings {
            let gauge = family.with_label_values(&[&value]);
            self.observe(gauge, reading);
        }
    }

    /// A gauge with a label that is looked at when it is asked for, until what is returned is dropped.
    pub fn gauge_while(
        &self,
        name: &str,
        help: &str,
        label: (&str, &str),
        several: Several,
        reading: Reading,
    ) -> Observed {
        let make = || {
            let family = IntGaugeVec::new(Opts::new(name, help), &[label.0]).expect("a valid metric name");
            self.registry.register(Box::new(family.clone())).expect("a metric registered once");
            Family::new(family, several)
        };
        locked(&self.passing).entry(name.to_owned()).or_insert_with(make).add(label.1, reading)
    }

    /// Gauges of one family, of which the reading tells all that there are now: `(label value, reading)`.
    pub fn gauges_now(
        &self,
        name: &str,
        help: &str,
        label: &str,
        readings: Box<dyn Fn() -> Vec<(String, u64)> + Send>,
    ) {
        let family = IntGaugeVec::new(Opts::new(name, help), &[label]).expect("a valid metric name");
        self.registry.register(Box::new(family.clone())).expect("a metric registered once");
        self.on_render(move || {
            family.reset();
            for (value, now) in readings() {
                family.with_label_values(&[&value]).set(i64::try_from(now).unwrap_or(i64::MAX));
            }
        });
    }

    /// A gauge that is looked at when it is asked for.
    pub fn gauge(&self, name: &str, help: &str, reading: Reading) {
        let gauge = IntGauge::new(name, help).expect("a valid metric name");
        self.registry.register(Box::new(gauge.clone())).expect("a metric registered once");
        self.observe(gauge, reading);
    }

    fn observe(&self, gauge: IntGauge, reading: Reading) {
        self.on_render(move || gauge.set(i64::try_from(reading()).unwrap_or(i64::MAX)));
    }

    /// Counters of one family that others count, looked at when they are asked for: `(label value, reading)`. Readings never fall.
    pub fn counters(&self, name: &str, help: &str, label: &str, readings: Vec<(String, Reading)>) {
        let family = IntCounterVec::new(Opts::new(name, help), &[label]).expect("a valid metric name");
        self.registry.register(Box::new(family.clone())).expect("a metric registered once");
        for (value, reading) in readings {
            let counter = family.with_label_values(&[&value]);
            self.on_render(move || counter.inc_by(reading().saturating_sub(counter.get())));
        }
    }

    fn on_render(&self, look: impl Fn() + Send + 'static) {
        locked(&self.observers).push(Box::new(look));
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        // Held until all is gathered: another look begins by forgetting what is told now.
        let observers = locked(&self.observers);
        observers.iter().for_each(|observe| observe());
        locked(&self.passing).values_mut().for_each(Family::look);
        let mut text = Vec::new();
        if let Err(e) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(error = %e, "metrics cannot be rendered");
        }
        text
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A counter for crates that do not know the metrics library.
pub use prometheus::IntCounter as Counter;

/// Tells a gauge's value when it is asked for.
pub type Reading = Box<dyn Fn() -> u64 + Send>;

impl SinkMetrics {
    /// Whether it has had to do with any exchange.
    pub(crate) fn is_counted(&self) -> bool {
        self.offered.get() + self.skipped.total() > 0
    }

    /// Counts what became of so many copies.
    pub(crate) fn settle(&self, outcome: Outcome, count: u64) {
        match outcome {
            Outcome::Delivered => self.delivered.inc_by(count),
            Outcome::Dropped(reason) => self.dropped.inc_by(reason as usize, count),
            Outcome::Failed(reason) => self.failed.inc_by(reason as usize, count),
            Outcome::Skipped(reason) => self.skipped.inc_by(reason as usize, count),
        }
    }

    /// Offered and not yet settled.
    pub fn in_flight(&self) -> u64 {
        let settled = self.delivered.get() + self.dropped.total() + self.failed.total();
        self.offered.get().saturating_sub(settled)
    }
}
