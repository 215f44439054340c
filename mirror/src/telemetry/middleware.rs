//! What is counted of middlewares, of which there may be new ones while the program runs.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{Reasons, Telemetry};
use crate::outcome::{BadLine, Screening};

/// Of all of them.
pub(super) struct Families {
    messages: IntCounterVec,
    bad_lines: IntCounterVec,
    restarts: IntCounterVec,
    suppressed: IntCounterVec,
    in_flight: IntGaugeVec,
    waiting_bytes: IntGaugeVec,
    running: IntGaugeVec,
}

/// What is counted of one middleware, all its workers together.
#[derive(Debug, Clone)]
pub struct MiddlewareMetrics {
    /// What became of its messages, by [`Screening`].
    pub messages: Reasons,
    /// Lines that it printed and that are no answer, by [`BadLine`].
    pub bad_lines: Reasons,
    /// Starts after the first of each worker.
    pub restarts: IntCounter,
    /// Lines of its stderr that were too many for the log.
    pub suppressed: IntCounter,
    /// Messages that are with it.
    pub in_flight: IntGauge,
    /// Bytes of those that it has not been given yet.
    pub waiting_bytes: IntGauge,
    /// Workers that run.
    pub running: IntGauge,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Families {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid metric name");
            registry.register(Box::new(family.clone())).expect("a metric registered once");
            family
        };
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["middleware"]).expect("a valid metric name");
            registry.register(Box::new(family.clone())).expect("a metric registered once");
            family
        };
        Families {
            messages: counter(
                "mirror_middleware_messages_total",
                "Messages that a middleware was to see, by what became of them.",
                &["middleware", "outcome"],
            ),
            bad_lines: counter(
                "mirror_middleware_bad_lines_total",
                "Lines that a middleware printed and that are no answer, by reason.",
                &["middleware", "reason"],
            ),
            restarts: counter(
                "mirror_middleware_restarts_total",
                "Times that a middleware's program was started again.",
                &["middleware"],
            ),
            suppressed: counter(
                "mirror_middleware_stderr_suppressed_total",
                "Lines of a middleware's stderr that were too many for the log.",
                &["middleware"],
            ),
            in_flight: gauge("mirror_middleware_in_flight", "Messages that are with a middleware."),
            waiting_bytes: gauge(
                "mirror_middleware_waiting_bytes",
                "Bytes of messages that wait until a middleware reads.",
            ),
            running: gauge("mirror_middleware_running", "A middleware's workers that run."),
        }
    }
}

impl Telemetry {
    /// The counters of a middleware. Asked again for the same name they are the same.
    pub fn middleware(&self, name: &str) -> MiddlewareMetrics {
        let families = &self.middleware;
        let of = |family: &IntCounterVec, label: &str| family.with_label_values(&[name, label]);
        MiddlewareMetrics {
            messages: Reasons(Screening::ALL.iter().map(|it| of(&families.messages, it.label())).collect()),
            bad_lines: Reasons(BadLine::ALL.iter().map(|it| of(&families.bad_lines, it.label())).collect()),
            restarts: families.restarts.with_label_values(&[name]),
            suppressed: families.suppressed.with_label_values(&[name]),
            in_flight: families.in_flight.with_label_values(&[name]),
            waiting_bytes: families.waiting_bytes.with_label_values(&[name]),
            running: families.running.with_label_values(&[name]),
        }
    }
}
