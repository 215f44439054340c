//! The engine's tap as what takes a capture's exchanges.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mirror::exchange::Origin;
use mirror::outcome::Abort;
use mirror::source::{ExchangeWriter, Passed, Tap};
use mirror::telemetry::{Counter, Durations, Reasons, Telemetry};

use crate::offer::{Offer, Orphan, Write};

/// The way in, as recordings and metrics call it.
pub const SOURCE: &str = "capture";

/// The engine's tap, and what is counted beside it. Made once (its counters are registered then) and cloned for each source of packets.
#[derive(Clone)]
pub struct Tapped {
    /// Where exchanges go. A source that can wait puts [`Tap::patient`]'s here, and asks its pressure.
    pub tap: Tap,
    metrics: Arc<Metrics>,
}

struct Metrics {
    orphans: Counter,
    aborted: Reasons,
    durations: Durations,
}

impl Tapped {
    /// Registers the counters.
    ///
    /// # Panics
    /// When it is called twice with the same telemetry.
    pub fn new(tap: Tap, telemetry: &Telemetry) -> Tapped {
        let orphans = telemetry.counter(
            "mirror_capture_orphan_responses_total",
            "Responses whose requests were never seen; there is nothing to mirror of them.",
            ("source", SOURCE),
        );
        let (aborted, durations) = (telemetry.aborted(SOURCE), telemetry.server_durations(SOURCE));
        Tapped { tap, metrics: Arc::new(Metrics { orphans, aborted, durations }) }
    }
}

impl Offer for Tapped {
    type Writer = TappedWriter;

    fn begin(
        &mut self,
        head: Bytes,
        client: SocketAddr,
        server: SocketAddr,
        at: Duration,
        ambiguous: bool,
    ) -> Option<TappedWriter> {
        let origin = Origin { source: SOURCE, client: Some(client) };
        let writer = self.tap.begin_passed(head, origin, Passed { server: Some(server), at, ambiguous });
        Some(TappedWriter { writer, began: at, status: None, metrics: self.metrics.clone() })
    }

    fn orphan(&mut self, _: Orphan) {
        self.metrics.orphans.inc();
    }
}

/// Writes one exchange into the engine. It exists for those that are not mirrored too: they are timed, as the proxy's are.
pub struct TappedWriter {
    writer: Option<ExchangeWriter>,
    began: Duration,
    status: Option<u16>,
    metrics: Arc<Metrics>,
}

impl TappedWriter {
    fn at(&mut self, at: Duration) -> Option<&mut ExchangeWriter> {
        let writer = self.writer.as_mut()?;
        writer.at(at);
        Some(writer)
    }

    /// Counts how long it took, of an exchange whose end was seen.
    fn observe(&self, ended: Duration) {
        if let Some(status) = self.status {
            // Stamps may run backwards.
            self.metrics.durations.observe(status, ended.saturating_sub(self.began));
        }
    }
}

impl Write for TappedWriter {
    fn ambiguous(&mut self) {
        if let Some(writer) = &self.writer {
            writer.ambiguous();
        }
    }

    fn data(&mut self, bytes: Bytes, at: Duration) {
        if let Some(writer) = self.at(at) {
            writer.data(bytes);
        }
    }

    fn lost(&mut self, length: u64, at: Duration) {
        if let Some(writer) = self.at(at) {
            writer.lost(length);
        }
    }

    fn request_end(&mut self, trailers: Option<Bytes>, at: Duration) {
        if let Some(writer) = self.at(at) {
            writer.request_end(trailers);
        }
    }

    fn respond(&mut self, head: Bytes, at: Duration) {
        self.status = status(&head);
        if let Some(writer) = self.at(at) {
            writer.respond(head);
        }
    }

    fn response_data(&mut self, bytes: Bytes, at: Duration) {
        if let Some(writer) = self.at(at) {
            writer.response_data(bytes);
        }
    }

    fn response_lost(&mut self, length: u64, at: Duration) {
        if let Some(writer) = self.at(at) {
            writer.response_lost(length);
        }
    }

    fn finish(mut self, trailers: Option<Bytes>, at: Duration) {
        self.observe(at);
        self.at(at);
        if let Some(writer) = self.writer {
            writer.finish(trailers);
        }
    }

    fn abort(mut self, why: Abort, at: Duration) {
        self.metrics.aborted.inc(why as usize);
        // Otherwise it went on, and only we did not see how.
        if matches!(why, Abort::Downstream | Abort::Upstream) {
            self.observe(at);
        }
        self.at(at);
        if let Some(writer) = self.writer {
            writer.abort(why);
        }
    }
}

/// The status of a response's head.
fn status(head: &[u8]) -> Option<u16> {
    let code = head.get(b"HTTP/1.1".len()..)?.trim_ascii_start().get(..3)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use mirror::config::Config;
    use mirror::engine::Engine;

    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

    /// The end that is told, if any, so many milliseconds after the beginning.
    fn told(status: Option<&'static [u8]>, end: Option<Result<(), Abort>>, took: u64) -> String {
        let telemetry = Telemetry::new();
        let engine = Engine::start(&Config::default(), SOURCE, &telemetry).unwrap();
        let mut tapped = Tapped::new(engine.tap(), &telemetry);
        let (began, address) = (Duration::from_secs(1_700_000_000), SocketAddr::from(([10, 0, 0, 1], 80)));
        let head = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
        let mut writer = tapped.begin(head, address, address, began, false).expect("one that times it");
        if let Some(head) = status {
            writer.respond(Bytes::from_static(head), began);
        }
        let ended = began + Duration::from_millis(took);
        match end {
            Some(Ok(())) => writer.finish(None, ended),
            Some(Err(why)) => writer.abort(why, ended),
            None => drop(writer),
        }
        String::from_utf8(telemetry.render()).unwrap()
    }

    /// Though no sink has any of them.
    #[test]
    fn an_exchange_takes_as_long_as_its_packets_say() {
        let line = |what: &str, class: &str, value: &str| {
            format!(
                "http_server_request_duration_seconds_{what}{{http_response_status_class=\"{class}\",source=\"capture\"}} {value}\n"
            )
        };
        for (status, end) in [(OK, Ok(())), (OK, Err(Abort::Upstream)), (OK, Err(Abort::Downstream))] {
            let metrics = told(Some(status), Some(end), 1500);
            assert!(metrics.contains(&line("sum", "2xx", "1.5")), "{end:?}: {metrics}");
        }
        let odd = told(Some(b"HTTP/1.0   499\n\n"), Some(Ok(())), 20);
        assert!(odd.contains(&line("sum", "4xx", "0.02")), "{odd}");
        // No end, or no answer.
        for (status, end) in
            [(Some(OK), Some(Err(Abort::Capture))), (Some(OK), None), (None, Some(Err(Abort::Upstream)))]
        {
            let metrics = told(status, end, 1500);
            assert!(metrics.contains(&line("count", "2xx", "0")), "{end:?}: {metrics}");
        }
    }
}
