//! Handshakes, and what is held of connections whose sides are not told apart yet.

use std::net::SocketAddr;
use std::time::Duration;

use super::key::End;
use super::sniff::{Sniff, sniff};
use crate::Segment;

/// How far behind its SYN a direction's first captured data may be, in bytes. Further off, the SYN was not this connection's.
const REACH: u32 = 1 << 24;

/// How much data a SYN may carry (TCP Fast Open, RFC 7413), in bytes: no packet has more.
const SYN_DATA: u32 = 65_535;

/// A handshake: nothing was said yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Half {
    /// Who sent the first SYN, or was sent the first SYN-ACK.
    pub(super) client: End,
    /// Both sent a SYN (simultaneous open), so that this does not tell who is the client.
    pub(super) crossed: bool,
    /// Both initial sequence numbers, where known.
    pub(super) isn: [Option<u32>; 2],
    /// Which ends were heard.
    pub(super) heard: [bool; 2],
    /// Another initial sequence number of the server's: one of two SYN-ACKs was injected.
    rival: Option<u32>,
}

/// What a segment without data does to a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Fine,
    /// It is not of this connection.
    Foreign,
    /// The connection was refused, or given up.
    Refused,
}

impl Half {
    /// Before anything was heard: of a connection that was open before the capture, or of one whose SYN is given to [`Self::segment`] next.
    pub(super) fn unheard(client: End) -> Self {
        Self { client, crossed: false, isn: [None; 2], heard: [false; 2], rival: None }
    }

    /// Of a SYN or a SYN-ACK.
    pub(super) fn new(segment: &Segment<'_>, end: End) -> Self {
        let mut half = Self::unheard(if segment.acknowledgment.is_some() { 1 - end } else { end });
        half.segment(segment, end);
        half
    }

    /// Takes a segment's flags and numbers.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, end: End) -> Step {
        let other = 1 - end;
        let answers =
            |ack: u32, isn: Option<u32>| isn.is_none_or(|isn| ack.wrapping_sub(isn).wrapping_sub(1) <= SYN_DATA);
        if segment.rst {
            let refused =
                segment.acknowledgment.is_some_and(|ack| self.isn[other].is_some() && answers(ack, self.isn[other]));
            let given_up = self.isn[end].is_some_and(|isn| segment.sequence.wrapping_sub(isn) <= 1);
            return if refused || given_up { Step::Refused } else { Step::Foreign };
        }
        match (segment.syn, segment.acknowledgment) {
            (true, None) => {
                if self.isn[end].is_some_and(|isn| isn != segment.sequence) {
                    // Another try. What was answered was the last one.
                    *self = Self::unheard(end);
                }
                self.crossed |= self.heard[other] && self.isn[end].is_none();
                self.isn[end] = Some(segment.sequence);
            }
            (true, Some(ack)) => {
                if !answers(ack, self.isn[other]) {
                    return Step::Foreign;
                }
                self.isn[other].get_or_insert(ack.wrapping_sub(1));
                match self.isn[end] {
                    Some(isn) if isn != segment.sequence => self.rival = Some(segment.sequence),
                    _ => self.isn[end] = Some(segment.sequence),
                }
            }
            (false, Some(ack)) => {
                // Which of two SYN-ACKs it was that the client took.
                if self.rival.is_some_and(|rival| ack == rival.wrapping_add(1)) {
                    std::mem::swap(&mut self.rival, &mut self.isn[other]);
                }
            }
            (false, None) => (),
        }
        self.heard[end] = true;
        Step::Fine
    }

    /// What is left of it once data comes: a SYN far from the data was not this connection's.
    pub(super) fn meet(mut self, segment: &Segment<'_>, end: End) -> Self {
        let near = |isn: u32, sequence: u32| sequence.wrapping_sub(isn) <= REACH;
        self.isn[end] = self.isn[end].filter(|isn| near(*isn, segment.sequence));
        self.isn[1 - end] = self.isn[1 - end].filter(|isn| segment.acknowledgment.is_none_or(|ack| near(*isn, ack)));
        self
    }
}

/// How many bytes and segments are held of a connection where nobody knows who is the server: a request line that goes over some segments.
const UNCLEAR_BYTES: usize = 8 * 1024;
const UNCLEAR_SEGMENTS: usize = 16;

/// What holding one of its segments costs besides the bytes.
const OVERHEAD: usize = 128;

/// Segments that begin like a head, but not clearly.
#[derive(Debug, Default)]
pub(super) struct Unclear {
    segments: Vec<(End, Copied)>,
    bytes: usize,
}

/// A segment of its own.
#[derive(Debug)]
pub(super) struct Copied {
    time: Duration,
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledgment: Option<u32>,
    fin: bool,
    payload: Box<[u8]>,
    missing: u32,
}

impl Copied {
    fn new(segment: &Segment<'_>) -> Self {
        let &Segment { time, from, to, sequence, acknowledgment, fin, payload, missing, .. } = segment;
        Self { time, from, to, sequence, acknowledgment, fin, payload: payload.into(), missing }
    }

    /// The segment again.
    pub(super) fn segment(&self) -> Segment<'_> {
        let &Self { time, from, to, sequence, acknowledgment, fin, ref payload, missing } = self;
        Segment { time, from, to, sequence, acknowledgment, syn: false, fin, rst: false, payload, missing }
    }
}

impl Unclear {
    /// Takes a segment with data, and looks whether it is clear now who is the client. None where more bytes will tell.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, end: End) -> Option<Result<End, Hopeless>> {
        if self.segments.len() >= UNCLEAR_SEGMENTS || self.bytes + segment.payload.len() > UNCLEAR_BYTES {
            return Some(Err(Hopeless));
        }
        let alone = sniff(segment.payload);
        if matches!(alone, Sniff::Request | Sniff::Response) {
            // What looked like the beginning of a head was a line of a body.
            self.segments.retain(|(from, _)| *from != end);
        }
        self.segments.push((end, Copied::new(segment)));
        self.bytes = self.segments.iter().map(|(_, segment)| segment.payload.len()).sum();
        match sniff(&self.beginning(end)) {
            Sniff::Request => Some(Ok(end)),
            Sniff::Response => Some(Ok(1 - end)),
            Sniff::Neither => Some(Err(Hopeless)),
            Sniff::Unclear => None,
        }
    }

    /// What one end said, in order, as far as it is whole.
    fn beginning(&self, end: End) -> Vec<u8> {
        let mut said: Vec<_> =
            self.segments.iter().filter(|(from, _)| *from == end).map(|(_, segment)| segment).collect();
        let Some(first) = said.first().map(|first| first.sequence) else { return Vec::new() };
        said.sort_by_key(|segment| segment.sequence.wrapping_sub(first) as i32);
        let mut bytes = Vec::new();
        let mut next = said[0].sequence;
        for segment in said {
            let known = next.wrapping_sub(segment.sequence) as usize;
            if let Some(new) = segment.payload.get(known..) {
                bytes.extend_from_slice(new);
                next = next.wrapping_add(new.len() as u32);
            }
        }
        bytes
    }

    /// How much memory it holds, in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.segments.len() * OVERHEAD
    }

    /// The segments, in the order in which they came.
    pub(super) fn into_segments(self) -> Vec<(End, Copied)> {
        self.segments
    }
}

/// It is not HTTP, or not from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hopeless;
