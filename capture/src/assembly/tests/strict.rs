//! The steps one by one, with a look at what each hands on: a segment's payload is of its frame, or put together of frames; a piece is of one
//! segment; what is told of an exchange is of its connection's pieces, in their order.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use mirror::outcome::Abort;
use mirror_capture::connection::Connection;
use mirror_capture::decode::{self, Decoded, Decoder};
use mirror_capture::flow::{self, Closed, Flows, Handler};
use mirror_capture::{Offer, Orphan, Piece, Segment, Write};

use super::frames::{Case, Digest, Digested, Event};
use crate::runs::Runs;

/// What came of a capture.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) digest: u64,
    pub(super) flows: flow::Counters,
    pub(super) other: u64,
    pub(super) fragments: u64,
    pub(super) unreadable: u64,
    pub(super) opaque: u64,
    pub(super) losses: u64,
    /// The exchanges, a line each.
    pub(super) lines: Vec<String>,
}

pub(super) fn run(case: &Case) -> Outcome {
    let mut decoder = Decoder::new(decode::Limits::default());
    let mut flows = Flows::new(case.limits, &case.ports);
    let mut strict = Strict::default();
    let (mut other, mut fragments, mut unreadable) = (0, 0, 0);
    let mut frames: Vec<&[u8]> = Vec::new();
    case.each(|event| {
        match event {
            Event::Packet(packet) => {
                frames.push(packet.data);
                match decoder.decode(packet) {
                    Decoded::Segment(segment) => {
                        assert_eq!(segment.time, packet.time);
                        check_payload(&segment, &frames);
                        strict.sent(&segment);
                        flows.segment(&segment, &mut strict);
                    }
                    Decoded::Other => other += 1,
                    Decoded::Fragment => fragments += 1,
                    Decoded::Unreadable(_) => unreadable += 1,
                }
            }
            Event::Tick(now) => flows.tick(now, &mut strict),
        }
        assert!(flows.entries() <= case.limits.flows && flows.held() <= case.limits.bytes);
        assert!(strict.held.len() <= flows.entries());
        assert!(strict.held.values().sum::<usize>() <= flows.held(), "what connections hold is counted");
    });
    flows.finish(&mut strict);
    assert_eq!((strict.held.len(), flows.entries(), flows.held()), (0, 0, 0));
    let lines = strict.offer.lines.borrow().clone();
    Outcome {
        digest: strict.offer.digest.finish(),
        flows: *flows.counters(),
        other,
        fragments,
        unreadable,
        opaque: strict.opaque,
        losses: strict.losses,
        lines,
    }
}

/// A payload is a part of the last frame, or consists of parts of several.
fn check_payload(segment: &Segment<'_>, frames: &[&[u8]]) {
    let (payload, last) = (segment.payload.as_ptr_range(), frames[frames.len() - 1].as_ptr_range());
    if segment.payload.is_empty() || last.start <= payload.start && payload.end <= last.end {
        return;
    }
    // Each frame brings one part, which others may cut in two.
    let mut parts = 0;
    let mut rest = segment.payload;
    while !rest.is_empty() {
        let there = |length: &usize| frames.iter().any(|frame| memmem::find(frame, &rest[..*length]).is_some());
        let (mut known, mut beyond) = (0, rest.len() + 1);
        while beyond - known > 1 {
            let middle = usize::midpoint(known, beyond);
            if there(&middle) { known = middle } else { beyond = middle }
        }
        assert!(known > 0, "{:?} is in no frame", rest.escape_ascii().to_string());
        rest = &rest[known..];
        parts += 1;
    }
    assert!(parts <= 2 * frames.len(), "{parts} parts of {} frames", frames.len());
}

/// Holds the rules of [`Handler`], and feeds connections.
#[derive(Default)]
struct Strict {
    offer: Checked,
    opened: usize,
    /// What each open connection holds, by its number.
    held: HashMap<usize, usize>,
    opaque: u64,
    losses: u64,
    /// The payloads that went from one end to the other.
    sent: HashMap<(SocketAddr, SocketAddr), Vec<Vec<u8>>>,
}

struct Watched {
    number: usize,
    connection: Connection<Writer>,
    /// The server and the client.
    ends: [SocketAddr; 2],
    ended: [bool; 2],
    said: Said,
}

/// What was said on a connection: by the server, and by the client.
type Said = Rc<RefCell<[Runs; 2]>>;

impl Strict {
    fn sent(&mut self, segment: &Segment<'_>) {
        let sent = self.sent.entry((segment.from, segment.to)).or_default();
        if !sent.iter().any(|payload| payload == segment.payload) {
            sent.push(segment.payload.to_vec());
        }
    }
}

impl Handler for Strict {
    type Connection = Watched;

    fn open(&mut self, client: SocketAddr, server: SocketAddr, midstream: bool, _: Duration) -> Watched {
        let (number, connection) = (self.opened, Connection::new(client, server, midstream));
        self.opened += 1;
        self.held.insert(number, 0);
        Watched { number, connection, ends: [server, client], ended: [false; 2], said: Said::default() }
    }

    fn piece(&mut self, watched: &mut Watched, from_client: bool, piece: Piece<'_>) {
        let from = usize::from(from_client);
        assert!(!watched.ended[from], "{piece:?} after the end");
        match piece {
            Piece::Data(bytes, _) => {
                let sent = &self.sent[&(watched.ends[from], watched.ends[1 - from])];
                let is_there = sent.iter().any(|payload| memmem::find(payload, bytes).is_some());
                assert!(is_there && !bytes.is_empty(), "{:?} is in no segment", bytes.escape_ascii().to_string());
                watched.said.borrow_mut()[from].data(bytes);
            }
            Piece::Gap(length, _) => {
                assert!(length > 0 || watched.connection.held(from_client) > 0);
                watched.said.borrow_mut()[from].gap();
            }
            Piece::End { .. } => watched.ended[from] = true,
        }
        self.offer.said = watched.said.clone();
        watched.connection.piece(from_client, piece, &mut self.offer);
        let held = watched.connection.held(true) + watched.connection.held(false);
        self.held.insert(watched.number, held);
    }

    fn held(&self, watched: &Watched, from_client: bool) -> usize {
        watched.connection.held(from_client)
    }

    fn close(&mut self, watched: Watched, why: Closed, at: Duration) {
        assert!(watched.ended == [true; 2] || !matches!(why, Closed::Finished | Closed::Reset));
        self.held.remove(&watched.number);
        let (up, down) = watched.connection.opaque();
        self.opaque += up + down;
        self.losses += watched.connection.losses();
        self.offer.said = watched.said;
        watched.connection.close(Abort::Capture, at, &mut self.offer);
    }
}

/// Checks what is told against what was said on the connection that is being read.
#[derive(Default)]
struct Checked {
    digest: Digest,
    said: Said,
    lines: Rc<RefCell<Vec<String>>>,
}

struct Writer {
    digested: Digested,
    said: Said,
    lines: Rc<RefCell<Vec<String>>>,
    line: usize,
}

fn take(said: &Said, from_client: bool, bytes: &[u8]) {
    let taken = said.borrow_mut()[usize::from(from_client)].take(bytes);
    assert!(taken, "{:?} was not said there", bytes.escape_ascii().to_string());
}

/// Small chunks are brought together.
fn take_body(said: &Said, from_client: bool, bytes: &[u8]) {
    let taken = said.borrow_mut()[usize::from(from_client)].take_scattered(bytes);
    assert!(taken, "{:?} was not said there", bytes.escape_ascii().to_string());
}

fn first_line(head: &[u8]) -> String {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.trim_ascii_end().escape_ascii().to_string()
}

impl Offer for Checked {
    type Writer = Writer;

    fn begin(&mut self, head: Bytes, client: SocketAddr, server: SocketAddr, at: Duration) -> Option<Writer> {
        take(&self.said, true, &head);
        let line = self.lines.borrow().len();
        self.lines.borrow_mut().push(first_line(&head));
        let digested = self.digest.begin(head, client, server, at)?;
        Some(Writer { digested, said: self.said.clone(), lines: self.lines.clone(), line })
    }

    fn orphan(&mut self, orphan: Orphan) {
        take(&self.said, false, &orphan.head);
        self.lines.borrow_mut().push(format!("orphan {}", first_line(&orphan.head)));
        self.digest.orphan(orphan);
    }
}

impl Writer {
    fn add(&self, what: &str) {
        self.lines.borrow_mut()[self.line] += what;
    }
}

impl Write for Writer {
    fn ambiguous(&mut self, request: bool) {
        self.digested.ambiguous(request);
    }
    fn data(&mut self, bytes: Bytes, at: Duration) {
        take_body(&self.said, true, &bytes);
        self.add(&format!(" {:?}", bytes.escape_ascii().to_string()));
        self.digested.data(bytes, at);
    }
    fn lost(&mut self, length: u64, at: Duration) {
        self.digested.lost(length, at);
    }
    fn request_end(&mut self, trailers: Option<Bytes>, at: Duration) {
        trailers.iter().for_each(|trailers| take(&self.said, true, trailers));
        self.digested.request_end(trailers, at);
    }
    fn respond(&mut self, head: Bytes, at: Duration) {
        take(&self.said, false, &head);
        self.add(&format!(" -> {}", first_line(&head)));
        self.digested.respond(head, at);
    }
    fn response_data(&mut self, bytes: Bytes, at: Duration) {
        take_body(&self.said, false, &bytes);
        self.add(&format!(" {:?}", bytes.escape_ascii().to_string()));
        self.digested.response_data(bytes, at);
    }
    fn response_lost(&mut self, length: u64, at: Duration) {
        self.digested.response_lost(length, at);
    }
    fn finish(self, trailers: Option<Bytes>, at: Duration) {
        // They may have waited for the request's end, and others come before them.
        let said = self.said.borrow();
        assert!(trailers.iter().all(|trailers| said[0].has(trailers)), "trailers that were not said");
        self.digested.finish(trailers, at);
    }
    fn abort(self, why: Abort, at: Duration) {
        self.add(" (aborted)");
        self.digested.abort(why, at);
    }
}
