//! What is said on one connection: both directions read as HTTP/1, requests paired with their responses.
//!
//! ```text
//!   pieces of the client ──▶ reader ──▶ begin, data, request_end ──────┐
//!                                                       pairing ──────▶ exchanges ──▶ Offer
//!   pieces of the server ──▶ reader ──▶ respond, response_data, finish ┘
//! ```
//!
//! Messages flow: a request is offered when its head is whole, a body's bytes as they come. Nothing is invented: what is told are bytes
//! that passed, and a message whose end nobody can know is told as aborted.
//!
//! - **A gap** inside a body (or a chunk) of known length is counted and the message goes on. Anywhere else the message is aborted, and the
//!   next one is looked for: a whole head, each line of it in order, that starts where a line does, or (behind a gap) a segment.
//! - **Ambiguous framing** (Content-Length with Transfer-Encoding, the same length twice, a folded Transfer-Encoding …) is read as
//!   RFC 9112 §6.3 says and marked ([`Offer::begin`], [`Write::ambiguous`]). So are all requests behind it on the connection: where a server
//!   has read another framing, they are bytes of a body.
//! - **No framing**: where the RFC has no reading (lengths that differ, a request's coding that is not chunked) and where the chunked coding
//!   breaks, the message is aborted ([`Abort::Framing`]). Of a client nothing more is read then: a server has to close the connection
//!   (RFC 9112 §6.3), and what follows is no request to it, whatever it looks like. Of a server the next head is looked for, and of a client
//!   whose bytes were not all seen, as it may be the reading that is wrong.
//! - **Opaque** is what follows 101 and a CONNECT's 2xx, TLS, HTTP/2 with prior knowledge, and a first response without a status line
//!   (HTTP/0.9). It is only counted.
//!
//! Each byte of a body is copied once, off the packet, into a piece of memory of its own size: what a sink is charged for is what it
//! holds, and a connection between messages holds nothing.

mod framing;
mod gathered;
mod head;
mod pairing;
mod reader;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;

use crate::offer::{Offer, Orphan, Write};
use crate::segment::Piece;
use gathered::Gathered;
use head::{Method, Start};
use pairing::{Exchanges, Told};
use reader::{Head, Loss, Moment, Reader, Step};

/// One TCP connection, read as HTTP/1.
#[derive(Debug)]
pub struct Connection<W: Write> {
    client: SocketAddr,
    server: SocketAddr,
    requests: Direction,
    responses: Direction,
    exchanges: Exchanges<W>,
    /// When the last bytes passed.
    active: Option<Duration>,
    /// How many pieces there were.
    pieces: u64,
    /// In which of them the last request ended.
    request_ended: u64,
    /// The request whose head is being read has been answered already.
    answered: bool,
    /// Where the next request begins is not certain any more: the server may have seen an earlier one end elsewhere.
    doubtful: bool,
    losses: u64,
}

#[derive(Debug)]
struct Direction {
    reader: Reader,
    /// What the reader wants to see again: the start of a head, of a chunk-size line or of trailers. Bounded by what each may be long.
    rest: Vec<u8>,
    opaque: u64,
}

impl<W: Write> Connection<W> {
    /// A connection between these two. `midstream`: it was open before the capture began, so that each direction starts anywhere.
    pub fn new(client: SocketAddr, server: SocketAddr, midstream: bool) -> Self {
        let direction =
            |from_client| Direction { reader: Reader::new(from_client, midstream), rest: Vec::new(), opaque: 0 };
        Connection {
            client,
            server,
            requests: direction(true),
            responses: direction(false),
            exchanges: Exchanges::new(midstream),
            active: None,
            pieces: 0,
            request_ended: 0,
            answered: false,
            doubtful: false,
            losses: 0,
        }
    }

    /// What comes next in one direction. Pieces of both directions come in the order of their times.
    pub fn piece<O: Offer<Writer = W>>(&mut self, from_client: bool, piece: Piece<'_>, offer: &mut O) {
        self.pieces += 1;
        match piece {
            Piece::Data(bytes, at) => {
                let quiet = self.active.map_or(Duration::ZERO, |active| at.saturating_sub(active));
                self.active = Some(at);
                self.data(from_client, bytes, Moment { at, quiet }, offer);
                if !from_client {
                    self.release(Moment { at, quiet }, offer);
                }
            }
            Piece::Gap(missing, at) => self.gap(from_client, missing, at, offer),
            Piece::End { reset, at } => self.end(from_client, reset, at, offer),
        }
    }

    /// The end of the connection: what is open is aborted for this reason.
    pub fn close<O: Offer<Writer = W>>(mut self, why: Abort, at: Duration, _offer: &mut O) {
        self.exchanges.close(why, at);
    }

    /// How much memory is kept because more has to come first, in bytes: what is there of a head, and the places of requests that wait for
    /// their answers.
    pub fn kept(&self) -> usize {
        self.requests.rest.capacity() + self.responses.rest.capacity() + self.exchanges.kept()
    }

    /// Gives that up, as if the rest of it had been missed.
    pub fn give_up<O: Offer<Writer = W>>(&mut self, at: Duration, offer: &mut O) {
        for from_client in [true, false] {
            let direction = self.direction(from_client);
            if direction.reader.is_opaque() {
                direction.opaque += std::mem::take(&mut direction.rest).len() as u64;
            } else if !direction.rest.is_empty() {
                self.gap(from_client, 0, at, offer);
            }
        }
        self.exchanges.give_up(at);
    }

    /// How many bytes passed that are not HTTP/1: of a tunnel, or between messages where these are lost. From the client, and from the
    /// server.
    pub fn opaque(&self) -> (u64, u64) {
        (self.requests.opaque, self.responses.opaque)
    }

    /// How often a direction was lost: by a gap where it could not be counted, or by bytes that are no message.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    fn direction(&mut self, from_client: bool) -> &mut Direction {
        if from_client { &mut self.requests } else { &mut self.responses }
    }

    fn data<O: Offer<Writer = W>>(&mut self, from_client: bool, bytes: &[u8], now: Moment, offer: &mut O) {
        let direction = self.direction(from_client);
        if direction.reader.is_opaque() {
            direction.opaque += bytes.len() as u64;
            return;
        }
        let mut rest = std::mem::take(&mut direction.rest);
        if rest.is_empty() {
            let used = self.read(from_client, bytes, 0, now, offer);
            self.direction(from_client).rest = bytes[used..].to_vec();
        } else {
            let segment = rest.len();
            rest.extend_from_slice(bytes);
            let used = self.read(from_client, &rest, segment, now, offer);
            self.direction(from_client).rest = match used {
                0 => rest,
                used => rest[used..].to_vec(),
            };
        }
    }

    /// Takes all messages off the front of `input`, in which the newest segment starts at `segment`; gives how many bytes those were.
    fn read<O: Offer<Writer = W>>(
        &mut self,
        from_client: bool,
        input: &[u8],
        segment: usize,
        now: Moment,
        offer: &mut O,
    ) -> usize {
        let mut used = 0;
        let mut body = Gathered::default();
        loop {
            let (taken, step) = self.direction(from_client).reader.step(&input[used..], segment.checked_sub(used), now);
            used += taken;
            if let Step::Data(n) = step {
                body.add(&input[used - n..used], input.len() - used);
                continue;
            }
            self.tell(from_client, body.take(), now.at);
            match step {
                Step::More => return used,
                Step::Head(head) if from_client => {
                    self.request(&head, &input[used - head.length..used], now.at, offer);
                }
                Step::Head(head) => {
                    self.response(&head, &input[used - head.length..used], now.at, offer);
                    // What the server says next may be the answer to what the client has said behind a CONNECT.
                    self.release(now, offer);
                }
                Step::Data(_) => {}
                Step::End(n) => {
                    if self.direction(from_client).reader.ended_ambiguously() {
                        self.doubt(from_client);
                    }
                    let trailers = (n > 0).then(|| Bytes::copy_from_slice(&input[used - n..used]));
                    self.over(from_client, Ok(trailers), now.at);
                }
                Step::Broken => {
                    self.over(from_client, Err(Abort::Framing), now.at);
                    self.lose(from_client, Loss::Coding, now.at);
                }
                Step::Nonsense if !from_client && !self.responses.reader.spoke() => self.responses.reader.opaque(),
                Step::Nonsense => self.lose(from_client, Loss::Nonsense, now.at),
                Step::Opaque => {
                    self.requests.reader.opaque();
                    self.responses.reader.opaque();
                    self.exchanges.give_up_awaited(Abort::Framing, now.at);
                }
                Step::Passed(n) => self.direction(from_client).opaque += n as u64,
            }
        }
    }

    fn tell(&mut self, from_client: bool, body: Option<Bytes>, at: Duration) {
        let Some(body) = body else { return };
        if from_client {
            if let Some(writer) = self.exchanges.request() {
                writer.data(body, at);
            }
        } else if let Some(writer) = self.exchanges.response() {
            writer.response_data(body, at);
        }
    }

    /// The message that is being read has ended, and others may see it end elsewhere.
    fn doubt(&mut self, from_client: bool) {
        self.doubtful |= from_client;
        if let Some(writer) = if from_client { self.exchanges.request() } else { self.exchanges.response() } {
            writer.ambiguous();
        }
    }

    fn request<O: Offer<Writer = W>>(&mut self, head: &Head, bytes: &[u8], at: Duration, offer: &mut O) {
        let Start::Request(method) = head.start else { return };
        let told = Told {
            answered: std::mem::take(&mut self.answered),
            reliable: !self.responses.reader.is_lost(),
            same_piece: self.request_ended == self.pieces,
            idle: self.responses.reader.is_idle(),
        };
        let reading = framing::of_request(&bytes[head.line..], minor(bytes, head.line));
        self.doubtful |= !reading.is_ok_and(|reading| !reading.ambiguous);
        let writer = offer.begin(Bytes::copy_from_slice(bytes), self.client, self.server, head.began.at, self.doubtful);
        self.exchanges.begin(writer, method, head.began, told);
        match reading {
            Ok(reading) => {
                self.requests.reader.body(reading.framing);
                if method == Method::Connect && self.exchanges.awaits(head.began.at) {
                    // Its content, where it has any, is nothing that anybody knows (RFC 9110 §9.3.6).
                    self.over(true, Ok(None), at);
                    self.requests.reader.hold();
                }
            }
            Err(framing::Unreadable) => {
                self.over(true, Err(Abort::Framing), at);
                self.lose(true, Loss::Framing, at);
            }
        }
    }

    fn response<O: Offer<Writer = W>>(&mut self, head: &Head, bytes: &[u8], at: Duration, offer: &mut O) {
        let Start::Response(status) = head.start else { return };
        if matches!(status, 100 | 102..=199) {
            return;
        }
        let method = self.exchanges.answer(head.began.at, at);
        if method.is_none() {
            self.answered |= self.requests.reader.head_began().is_some_and(|began| began <= head.began.at);
            let head = Orphan {
                head: Bytes::copy_from_slice(bytes),
                client: self.client,
                server: self.server,
                at: head.began.at,
            };
            offer.orphan(head);
        }
        let connect = method == Some(Method::Connect);
        let method = method.unwrap_or(Method::Other);
        let reading = framing::of_response(&bytes[head.line..], minor(bytes, head.line), status, method);
        if let Some(writer) = self.exchanges.response() {
            writer.respond(Bytes::copy_from_slice(bytes), head.began.at);
            if reading.is_ok_and(|reading| reading.ambiguous) {
                writer.ambiguous();
            }
        }
        if status == 101 || connect && matches!(status, 200..=299) {
            self.over(false, Ok(None), at);
            self.requests.reader.opaque();
            self.responses.reader.opaque();
            self.exchanges.give_up_awaited(Abort::Framing, at);
            return;
        }
        match reading {
            Ok(reading) => self.responses.reader.body(reading.framing),
            Err(framing::Unreadable) => {
                self.over(false, Err(Abort::Framing), at);
                self.lose(false, Loss::Framing, at);
            }
        }
    }

    /// The message that is being read has ended.
    fn over(&mut self, from_client: bool, end: Result<Option<Bytes>, Abort>, at: Duration) {
        if from_client {
            self.request_ended = self.pieces;
            self.exchanges.request_over(end, at);
        } else {
            self.exchanges.response_over(end, at);
        }
    }

    /// The message boundaries of this direction are lost.
    fn lose(&mut self, from_client: bool, how: Loss, at: Duration) {
        self.losses += 1;
        self.direction(from_client).reader.lose(how);
        if from_client {
            // A server need not have taken for a request what is found by looking for one, unless only the capture has missed the way to it.
            self.doubtful |= how != Loss::Gap;
            self.answered = false;
            self.exchanges.missed_requests();
        } else {
            self.exchanges.missed_responses(at);
        }
    }

    /// Reads on what has waited for the answer to a CONNECT, once that has come and was no.
    fn release<O: Offer<Writer = W>>(&mut self, now: Moment, offer: &mut O) {
        if self.requests.rest.is_empty() && !self.requests.reader.is_held() || self.exchanges.awaits(now.at) {
            return;
        }
        if self.requests.reader.is_opaque() {
            self.requests.opaque += std::mem::take(&mut self.requests.rest).len() as u64;
        } else if self.requests.reader.release() {
            self.data(true, &[], now, offer);
        }
    }

    fn gap<O: Offer<Writer = W>>(&mut self, from_client: bool, missing: u64, at: Duration, offer: &mut O) {
        let now = Moment { at, quiet: Duration::ZERO };
        let direction = self.direction(from_client);
        let missed = direction.reader.gap(missing);
        if direction.reader.is_opaque() {
            direction.opaque += missing;
            return;
        }
        if missed.counted > 0 || !missed.lost {
            if from_client {
                if let Some(writer) = self.exchanges.request() {
                    writer.lost(missed.counted, at);
                }
            } else if let Some(writer) = self.exchanges.response() {
                writer.response_lost(missed.counted, at);
            }
            // It may have been the body's end.
            self.read(from_client, &[], 0, now, offer);
        }
        if missed.lost {
            let direction = self.direction(from_client);
            let rest = std::mem::take(&mut direction.rest).len() as u64;
            direction.opaque += rest;
            self.over(from_client, Err(Abort::Capture), at);
            self.lose(from_client, Loss::Gap, at);
            self.release(now, offer);
        }
    }

    fn end<O: Offer<Writer = W>>(&mut self, from_client: bool, reset: bool, at: Duration, offer: &mut O) {
        let direction = self.direction(from_client);
        let whole = direction.reader.end() && !reset;
        direction.rest = Vec::new();
        if from_client {
            self.over(true, if whole { Ok(None) } else { Err(Abort::Downstream) }, at);
        } else {
            self.over(false, if whole { Ok(None) } else { Err(Abort::Upstream) }, at);
            self.exchanges.give_up_awaited(Abort::Upstream, at);
            self.release(Moment { at, quiet: Duration::ZERO }, offer);
        }
    }
}

/// The minor version that a head's start line bears: of a request at its end, of a response at its start.
fn minor(head: &[u8], line: usize) -> u8 {
    let line = head[..line].trim_ascii_end();
    let digit = if line.starts_with(b"HTTP/1.") { line.get(7) } else { line.last() };
    digit.map_or(1, |b| b.wrapping_sub(b'0'))
}
