//! One direction of a TCP connection, put back in order.
//!
//! Bytes that come in their turn are handed on straight from the segment. Bytes that come early are copied and held until the hole before
//! them is filled or given up. Where copies of the same bytes overlap, the first one wins; those that were handed on already are not kept
//! for comparison.
//!
//! # When a hole is given up
//!
//! What a capture lost comes no more once its receiver has acknowledged it. Yet an acknowledgment may be captured a little before the data
//! that it acknowledges, where the two directions come through different queues or interfaces. Each direction for itself is nearly
//! in order. So a hole is given up when the other side has acknowledged all of it, and
//!
//! - has acknowledged bytes (or the FIN) behind it too that are held here: they were captured long since, so the hole's would have been; or
//! - the sender sends a segment, be it an empty one, from behind the hole after that acknowledgment; or
//! - `ACKNOWLEDGED_AGAIN` acknowledgments have said so.
//!
//! Without acknowledgments: when more is held behind it than the bound, or than `UNHEARD_SEGMENTS` where the other side was never heard,
//! or at the direction's end. No clock is asked.
//!
//! What this gets wrong: bytes out of order in their own direction whose acknowledgment is captured before them as well look lost.
//!
//! Bytes behind a FIN contradict it: the FIN is believed until the other side has acknowledged such bytes.
//!
//! One lost byte with nothing behind it is not told from a FIN that was lost: it counts as the FIN until bytes follow.

mod counters;
mod held;
#[cfg(test)]
mod model;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use counters::Counters;
use held::{Held, New};

use crate::{Piece, Segment};

/// How far from the next byte a sequence number may be: the largest window that TCP knows, 65,535 scaled by 2^14 (RFC 7323, 2.3). What is
/// further off is not of this stream, nor of its connection: where more than that was lost at once, the connection falls idle and is begun anew.
const WINDOW: u32 = 1 << 30;

/// After how many acknowledgments of a hole it is given up where the sender is silent: more than two queues bring out of order, and few
/// enough that a lost request is told of within a response of some segments.
const ACKNOWLEDGED_AGAIN: u8 = 8;

/// How many segments are held behind a hole where the other side was never heard, so that nothing tells a loss: several times what networks
/// reorder, and the default receive buffer of most systems in full segments.
const UNHEARD_SEGMENTS: usize = 64;

/// How far before the first captured byte the first byte may be that the other side still waits for, in bytes; beyond it, the stream begins
/// with what was captured.
const FLIGHT: i32 = 1 << 20;

/// By how much the sequence number of a RST may lie beyond all that was seen of its direction, for data that was not captured: a window
/// without scaling.
const RESET_SLACK: u64 = 65_535;

/// One direction. Offsets are of bytes since the stream's beginning and do not wrap.
#[derive(Debug)]
pub struct Reassembly {
    phase: Phase,
    /// The sequence number of the next byte to be handed on, once begun.
    next: u32,
    /// Its offset.
    offset: u64,
    /// The offset up to which the other side has acknowledged; more than `offset` where bytes are missing.
    acknowledged: u64,
    /// How often it said so since something was handed on.
    again: u8,
    /// Before the beginning: what the other side waits for.
    awaited: Option<u32>,
    /// Whether the other side was ever heard.
    heard: bool,
    /// The offset of a FIN that came before its turn.
    fin: Option<u64>,
    held: Held,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unseen,
    Open,
    Ended,
}

impl Reassembly {
    /// A direction of which nothing was seen, that holds at most `limit` bytes (bookkeeping included) out of order.
    pub fn new(limit: usize) -> Self {
        Self {
            phase: Phase::Unseen,
            next: 0,
            offset: 0,
            acknowledged: 0,
            again: 0,
            awaited: None,
            heard: false,
            fin: None,
            held: Held::default(),
            limit,
        }
    }

    /// The sequence number of its first byte: the one after the SYN's. Without it, the first data begins the stream.
    pub fn begin(&mut self, sequence: u32) {
        if self.phase == Phase::Unseen {
            self.phase = Phase::Open;
            self.next = sequence;
        }
    }

    /// Whether its first byte is known.
    pub fn begun(&self) -> bool {
        self.phase != Phase::Unseen
    }

    /// Whether its end was handed on.
    pub fn ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// How much memory is held out of order, in bytes.
    pub fn held(&self) -> usize {
        self.held.cost()
    }

    /// Whether a segment with this sequence number can be of this stream. False is final: it is foreign, and all that it says.
    pub fn plausible(&self, sequence: u32) -> bool {
        self.phase == Phase::Unseen || distance(self.next, sequence).unsigned_abs() <= WINDOW
    }

    /// Whether this is the sequence number of the next byte.
    pub fn expects(&self, sequence: u32) -> bool {
        self.phase == Phase::Open && sequence == self.next
    }

    /// Whether an acknowledgment can be of this stream: of its beginning, or of what was lately sent.
    pub fn near(&self, acknowledgment: u32) -> bool {
        self.phase == Phase::Unseen || distance(self.next, acknowledgment).unsigned_abs() <= FLIGHT.unsigned_abs()
    }

    /// Whether a RST with this sequence number ends the connection: it lies between the next byte and the last that was seen or acknowledged,
    /// or a little behind it. A receiver takes only the exact one (RFC 5961, 3.2), but which it is cannot be told from the side where packets
    /// were lost. Where nothing is known of the direction, what the other side acknowledged decides.
    pub fn resets(&self, sequence: u32) -> bool {
        if self.phase == Phase::Unseen {
            return self.awaited.is_some_and(|awaited| (0..=RESET_SLACK as i32).contains(&distance(awaited, sequence)));
        }
        let seen = self.held.end().unwrap_or(0).max(self.acknowledged).max(self.offset);
        u64::try_from(distance(self.next, sequence)).is_ok_and(|ahead| self.offset + ahead <= seen + RESET_SLACK)
    }

    /// Takes a segment of this direction, and hands on what is in order now. A RST is for [`Self::reset`].
    pub fn segment(&mut self, segment: &Segment<'_>, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        let new = New { payload: segment.payload, missing: u64::from(segment.missing), time: segment.time };
        let length = new.length();
        match self.phase {
            Phase::Open => (),
            Phase::Ended => return counters.late += u64::from(length > 0),
            Phase::Unseen if segment.syn => self.begin(sequence),
            Phase::Unseen if length == 0 && !segment.fin => return,
            Phase::Unseen => self.begin_midstream(sequence, length),
        }
        let ahead = distance(self.next, sequence);
        if ahead.unsigned_abs() > WINDOW {
            return counters.foreign += 1;
        }
        if ahead == 0 && self.fin.is_none() && self.held.is_empty() && self.acknowledged <= self.offset + length {
            // As nearly always.
            self.hand_on(new, counters, emit);
            if segment.fin {
                self.end(false, segment.time, emit);
            }
        } else {
            self.unusual(ahead, new, segment.fin, counters, emit);
        }
    }

    /// Takes what the other side acknowledged: the sequence number that it waits for.
    pub fn acknowledge(
        &mut self,
        acknowledgment: u32,
        at: Duration,
        counters: &mut Counters,
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        self.heard = true;
        match self.phase {
            Phase::Unseen => return self.awaited = Some(acknowledgment),
            Phase::Ended => return,
            Phase::Open => (),
        }
        let ahead = distance(self.next, acknowledgment);
        if ahead > 0 && ahead.unsigned_abs() <= WINDOW {
            self.acknowledged = self.acknowledged.max(self.offset + u64::from(ahead.unsigned_abs()));
            self.again = self.again.saturating_add(1);
            if self.fin.is_some_and(|fin| self.acknowledged > fin + 1) {
                // It was not this stream's.
                self.fin = None;
                counters.foreign += 1;
            }
            self.give_up_lost(None, at, counters, emit);
        }
    }

    /// Gives up every hole and hands on all that is held, to make room or because nothing more will come.
    pub fn release(&mut self, at: Duration, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        while let Some(hole_end) = self.hole_end() {
            self.gap(hole_end, at, counters, emit);
        }
    }

    /// The connection is gone without a word of this direction's: hands on what is held, and tells what is missing.
    pub fn close(&mut self, at: Duration, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        if self.phase != Phase::Open {
            return;
        }
        if self.heard {
            // What lies far behind all that was acknowledged was never sent by who is believed to be the sender.
            let far = self.acknowledged.max(self.offset) + u64::from(FLIGHT.unsigned_abs());
            counters.foreign += self.held.truncate(far);
        }
        self.release(at, counters, emit);
        if self.phase == Phase::Open && self.acknowledged > self.offset + 1 {
            self.gap(self.acknowledged, at, counters, emit);
        }
    }

    /// The connection was reset: as [`Self::close`], and the end.
    pub fn reset(&mut self, at: Duration, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        self.close(at, counters, emit);
        if self.phase != Phase::Ended {
            self.end(true, at, emit);
        }
    }

    /// Begins with data, or a FIN, of a connection that was open before the capture. Where the other side was heard, it said what it waits
    /// for; a little before this data, that is the beginning.
    fn begin_midstream(&mut self, sequence: u32, length: u64) {
        let start = match self.awaited {
            Some(awaited) if (0..=FLIGHT).contains(&distance(awaited, sequence)) => awaited,
            // A keep-alive probe: the last byte, which was acknowledged long ago.
            Some(awaited) if distance(awaited, sequence) == -1 && length <= 1 => awaited,
            _ => sequence,
        };
        self.begin(start);
    }

    /// A segment out of order, or one in order where something is held or missing.
    fn unusual(
        &mut self,
        ahead: i32,
        new: New<'_>,
        fin: bool,
        counters: &mut Counters,
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        let old = if ahead < 0 { u64::from(ahead.unsigned_abs()) } else { 0 };
        counters.repeated_bytes += old.min(new.payload.len() as u64);
        if old > new.length() {
            return;
        }
        let start = self.offset + u64::from(ahead.max(0).unsigned_abs());
        let time = new.time;
        let new = new.part(old, new.length());
        let end = start + new.length();
        if self.fin.is_some_and(|fin| end > fin) {
            // Bytes behind the FIN: until the other side has acknowledged such, the FIN is believed.
            return counters.foreign += 1;
        }
        if start == self.offset && self.held.first().is_none_or(|first| first >= end) {
            self.hand_on(new, counters, emit);
        } else if new.length() > 0 {
            counters.out_of_order += u64::from(start > self.offset);
            self.held.insert(start, new, counters);
        }
        if fin && self.acknowledged <= end + 1 {
            counters.foreign += self.held.truncate(end);
            self.fin = Some(end);
        }
        self.forward(time, counters, emit);
        self.give_up_lost(Some(start), time, counters, emit);
        while self.held.cost() > self.limit || (!self.heard && self.held.len() > UNHEARD_SEGMENTS) {
            let Some(hole_end) = self.hole_end() else { break };
            counters.gaps_by_bound += 1;
            self.gap(hole_end, time, counters, emit);
        }
    }

    /// Hands on bytes whose turn it is.
    fn hand_on(&mut self, new: New<'_>, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        if !new.payload.is_empty() {
            self.advance(new.payload.len() as u64);
            emit(Piece::Data(new.payload, new.time));
        }
        if new.missing > 0 {
            self.advance(new.missing);
            self.tell(new.missing, new.time, counters, emit);
        }
    }

    /// Hands on what is held and whose turn it is, and the end.
    fn forward(&mut self, at: Duration, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        while let Some(entry) = self.held.take(self.offset) {
            self.advance(entry.bytes.len() as u64);
            if !entry.bytes.is_empty() {
                emit(Piece::Data(&entry.bytes, entry.time));
            }
            if entry.missing > 0 {
                self.advance(entry.missing);
                self.tell(entry.missing, entry.time, counters, emit);
            }
        }
        if self.phase == Phase::Open && self.fin.is_some_and(|fin| fin <= self.offset) {
            self.end(false, at, emit);
        }
    }

    /// Gives up the holes that were lost by the rule above. `sent` is where the segment begins that the sender has just sent.
    fn give_up_lost(
        &mut self,
        sent: Option<u64>,
        at: Duration,
        counters: &mut Counters,
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        while self.phase == Phase::Open && self.acknowledged > self.offset {
            let surely = sent.is_some_and(|sent| sent >= self.acknowledged) || self.again >= ACKNOWLEDGED_AGAIN;
            let (hole_end, lost) = match self.hole_end() {
                Some(hole_end) => {
                    let sent = sent.is_some_and(|sent| sent >= hole_end);
                    (hole_end, self.acknowledged > hole_end || (self.acknowledged == hole_end && (sent || surely)))
                }
                None => (self.acknowledged, surely && self.acknowledged > self.offset + 1),
            };
            if !lost {
                return;
            }
            self.gap(hole_end, at, counters, emit);
        }
    }

    /// Where the first hole ends: where something is held or the FIN is.
    fn hole_end(&self) -> Option<u64> {
        self.held.first().or(self.fin).filter(|_| self.phase == Phase::Open)
    }

    /// Gives up the bytes until `end`, and hands on what is held behind them.
    fn gap(&mut self, end: u64, at: Duration, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        let length = end - self.offset;
        self.advance(length);
        self.tell(length, at, counters, emit);
        self.forward(at, counters, emit);
    }

    fn tell(&self, length: u64, at: Duration, counters: &mut Counters, emit: &mut impl FnMut(Piece<'_>)) {
        counters.gaps += 1;
        counters.lost_bytes += length;
        emit(Piece::Gap(length, at));
    }

    fn advance(&mut self, length: u64) {
        self.offset += length;
        // Sequence numbers wrap.
        self.next = self.next.wrapping_add(length as u32);
        self.again = 0;
    }

    fn end(&mut self, reset: bool, at: Duration, emit: &mut impl FnMut(Piece<'_>)) {
        self.phase = Phase::Ended;
        self.held = Held::default();
        emit(Piece::End { reset, at });
    }
}

/// From one sequence number to another, which may be before it: they are compared modulo 2^32 (RFC 9293, 3.4).
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}
