//! What takes exchanges: the engine's tap in the program, a list in tests and in `make corpus`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;

/// Takes exchanges as their requests' heads are read. Nothing in it waits.
pub trait Offer {
    /// Writes one exchange.
    type Writer: Write;

    /// An exchange begins: with the bytes of the request's head (its empty line included), the client, the server, and the time of the
    /// head's first byte since the Unix epoch. `ambiguous`: the server may have seen the request begin or end elsewhere (RFC 9112 §11.2);
    /// it is read as the RFC says, and what is told may not be what the server got. None where nobody wants it.
    fn begin(
        &mut self,
        head: Bytes,
        client: SocketAddr,
        server: SocketAddr,
        at: Duration,
        ambiguous: bool,
    ) -> Option<Self::Writer>;

    /// A response whose request was never seen, once its head is read.
    fn orphan(&mut self, orphan: Orphan);
}

/// A response without a request: there is nothing to shadow, it is only counted (and listed by `make corpus`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The head's bytes.
    pub head: Bytes,
    /// The client.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// When its first byte passed, since the Unix epoch.
    pub at: Duration,
}

/// Writes one exchange as the wire shows it. Times are of the packets, since the Unix epoch. The calls are those of
/// [`mirror::source::ExchangeWriter`]; dropped without a word it is an abort.
pub trait Write {
    /// Others may see a message end elsewhere: the response, by its head, or either one, by the chunks of its body.
    fn ambiguous(&mut self);
    /// More of the request's body, transfer coding removed.
    fn data(&mut self, bytes: Bytes, at: Duration);
    /// Bytes of the request's body that the capture lost, in a body of known length. The request is not whole any more, though its end
    /// is told like any other's.
    fn lost(&mut self, length: u64, at: Duration);
    /// The request is whole.
    fn request_end(&mut self, trailers: Option<Bytes>, at: Duration);
    /// The final response's head, or 101.
    fn respond(&mut self, head: Bytes, at: Duration);
    /// More of the response's body.
    fn response_data(&mut self, bytes: Bytes, at: Duration);
    /// Bytes of the response's body that the capture lost; zero: nobody knows how many.
    fn response_lost(&mut self, length: u64, at: Duration);
    /// Both are whole.
    fn finish(self, trailers: Option<Bytes>, at: Duration);
    /// It ended too soon.
    fn abort(self, why: Abort, at: Duration);
}
