//! The engine's tap as what takes a capture's exchanges.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mirror::exchange::Origin;
use mirror::outcome::Abort;
use mirror::source::{ExchangeWriter, Tap};
use mirror::telemetry::{Counter, Reasons, Telemetry};

use crate::offer::{Offer, Orphan, Write};

/// The way in, as recordings and metrics call it.
pub const SOURCE: &str = "capture";

/// The engine's tap, and what is counted beside it. Made once (its counters are registered then) and cloned for each source of packets.
#[derive(Clone)]
pub struct Tapped {
    /// Where exchanges go. A source that can wait puts [`Tap::patient`]'s here, and asks its pressure.
    pub tap: Tap,
    orphans: Counter,
    aborted: Reasons,
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
        Tapped { tap, orphans, aborted: telemetry.aborted(SOURCE) }
    }
}

impl Offer for Tapped {
    type Writer = TappedWriter;

    fn begin(&mut self, head: Bytes, client: SocketAddr, server: SocketAddr, at: Duration) -> Option<TappedWriter> {
        let origin = Origin { source: SOURCE, client: Some(client) };
        let writer = self.tap.begin_at(head, origin, Some(server), at)?;
        Some(TappedWriter { writer, aborted: self.aborted.clone() })
    }

    fn orphan(&mut self, _: Orphan) {
        self.orphans.inc();
    }
}

/// Writes one exchange into the engine.
pub struct TappedWriter {
    writer: ExchangeWriter,
    aborted: Reasons,
}

impl TappedWriter {
    fn at(&mut self, at: Duration) -> &mut ExchangeWriter {
        self.writer.at(at);
        &mut self.writer
    }
}

impl Write for TappedWriter {
    fn data(&mut self, bytes: Bytes, at: Duration) {
        self.at(at).data(bytes);
    }

    fn lost(&mut self, length: u64, at: Duration) {
        self.at(at).lost(length);
    }

    fn request_end(&mut self, trailers: Option<Bytes>, at: Duration) {
        self.at(at).request_end(trailers);
    }

    fn respond(&mut self, head: Bytes, at: Duration) {
        self.at(at).respond(head);
    }

    fn response_data(&mut self, bytes: Bytes, at: Duration) {
        self.at(at).response_data(bytes);
    }

    fn response_lost(&mut self, length: u64, at: Duration) {
        self.at(at).response_lost(length);
    }

    fn finish(mut self, trailers: Option<Bytes>, at: Duration) {
        self.at(at);
        self.writer.finish(trailers);
    }

    fn abort(mut self, why: Abort, at: Duration) {
        self.aborted.inc(why as usize);
        self.at(at);
        self.writer.abort(why);
    }
}
