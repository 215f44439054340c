//! What is offered to the engine of one exchange while pingora proxies it.

use std::time::Instant;

use bytes::Bytes;
use mirror::outcome::Abort;
use mirror::source::ExchangeWriter;
use pingora::http::ResponseHeader;

use crate::service::Metrics;

/// One exchange's state, from the request's head to the end. It exists for exchanges that are not mirrored too: they are timed.
pub(crate) struct Tee {
    writer: Option<ExchangeWriter>,
    /// Bytes of the request's body that were offered.
    teed: u64,
    /// Bytes of the request's body that this attempt's filter has seen; a retry starts again from the first.
    seen: u64,
    /// After 101: what passes is a tunnel's, not a body's.
    tunnel: bool,
    /// The final status, once there is one.
    pub(crate) status: Option<u16>,
    /// Attempts to reach the upstream so far.
    pub(crate) attempts: usize,
    pub(crate) started: Instant,
}

impl Tee {
    pub(crate) fn new() -> Tee {
        Tee { writer: None, teed: 0, seen: 0, tunnel: false, status: None, attempts: 0, started: Instant::now() }
    }

    pub(crate) fn begin(&mut self, writer: Option<ExchangeWriter>) {
        self.writer = writer;
    }

    /// Whether the exchange is offered.
    pub(crate) fn writer(&mut self) -> Option<&mut ExchangeWriter> {
        self.writer.as_mut()
    }

    /// Another attempt: pingora will show the request's body again.
    pub(crate) fn attempt(&mut self) -> usize {
        self.seen = 0;
        self.attempts += 1;
        self.attempts - 1
    }

    pub(crate) fn request_data(&mut self, bytes: Option<&Bytes>, end: bool, metrics: &Metrics) {
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        if self.tunnel {
            metrics.tunnel_up.inc_by(bytes.map_or(0, |bytes| bytes.len() as u64));
            return;
        }
        let Some(writer) = &mut self.writer else { return };
        if let Some(bytes) = bytes {
            let known = usize::try_from(self.teed - self.seen).unwrap_or(usize::MAX).min(bytes.len());
            self.seen += bytes.len() as u64;
            if known < bytes.len() {
                self.teed = self.seen;
                writer.data(bytes.slice(known..));
            }
        }
        if end {
            writer.request_end(None);
        }
    }

    /// A head from the upstream. Interim ones pass by.
    pub(crate) fn response_head(&mut self, head: &ResponseHeader) {
        let status = head.status.as_u16();
        if status < 200 && status != 101 {
            return;
        }
        self.status = Some(status);
        self.tunnel = status == 101;
        if let Some(writer) = &mut self.writer {
            if writer.is_response_read() {
                writer.respond(wire(head));
            }
            if self.tunnel {
                // The handshake is whole; what follows is not mirrored.
                writer.request_end(None);
            }
        }
    }

    pub(crate) fn response_data(&mut self, bytes: Option<&Bytes>, metrics: &Metrics) {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return };
        if self.tunnel {
            metrics.tunnel_down.inc_by(bytes.len() as u64);
        } else if let Some(writer) = &mut self.writer {
            writer.response_data(bytes.clone());
        }
    }

    /// The end, whatever it was.
    pub(crate) fn end(&mut self, abort: Option<Abort>) {
        match (self.writer.take(), abort) {
            (None, _) => {}
            // A tunnel ends when one side has had enough; that is no abort.
            (Some(writer), Some(why)) if !self.tunnel => writer.abort(why),
            (Some(writer), _) => writer.finish(None),
        }
    }
}

/// The head's bytes, in the case and (but for repeated names, which pingora groups) the order they came in.
fn wire(head: &ResponseHeader) -> Bytes {
    let mut wire = Vec::with_capacity(64 + head.headers.len() * 48);
    wire.extend_from_slice(if head.version == http::Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    wire.extend_from_slice(head.status.as_str().as_bytes());
    wire.push(b' ');
    wire.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    wire.extend_from_slice(b"\r\n");
    head.header_to_h1_wire(&mut wire);
    wire.extend_from_slice(b"\r\n");
    wire.into()
}
