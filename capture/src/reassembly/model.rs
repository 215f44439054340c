//! A model of one direction, which knows each byte by its place. Shared by the property test and the fuzz target.
//!
//! It does not say when a hole is given up. It follows what is told, and knows what may be told: bytes as their first copy had them, gaps only
//! where nothing is held, and only with a reason.

use std::collections::BTreeMap;

use mirror_capture::{Piece, Segment};

/// As `WINDOW`, `FLIGHT` and `ACKNOWLEDGED_AGAIN` of the reassembly: what is further off is of another stream; what is nearer may be the
/// beginning; so many acknowledgments tell a loss.
const WINDOW: u32 = 1 << 30;
const FLIGHT: i32 = 1 << 20;
const ACKNOWLEDGED_AGAIN: u64 = 8;

/// What may be a reason to give up a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The direction is at its end, or there is no room in all.
    Told,
    /// Only what the other side acknowledged; and where the segment begins that the sender has sent now.
    Acknowledged(Option<u64>),
    /// That, or that this one has no room, which was so.
    Bound,
}

/// What a bystander with all the memory and time in the world knows.
#[derive(Debug, Default)]
pub(super) struct Model {
    base: u32,
    pub(super) begun: bool,
    /// How the direction ended: by RST, or by FIN.
    pub(super) ended: Option<bool>,
    /// It was reset.
    pub(super) reset: bool,
    /// The next byte to be told.
    pub(super) offset: u64,
    /// Bytes that were seen and not told, and ranges that were seen to be cut off.
    pub(super) bytes: BTreeMap<u64, u8>,
    cut: BTreeMap<u64, u64>,
    pub(super) fin: Option<u64>,
    /// The other side: whether it was heard, what it has, how often it said so since a byte was told, and what it waited for before the first
    /// byte was seen.
    heard: bool,
    pub(super) acknowledged: u64,
    again: u64,
    awaited: Option<u32>,
    pub(super) gaps: u64,
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    pub(super) foreign: u64,
    pub(super) differs: bool,
}

impl Model {
    /// Of a direction whose first byte has this sequence number, as far as is known.
    pub(super) fn new(base: u32) -> Self {
        Self { base, ..Self::default() }
    }

    pub(super) fn next(&self) -> u32 {
        // Sequence numbers wrap.
        self.base.wrapping_add(self.offset as u32)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cut.is_empty()
    }

    fn is_cut(&self, at: u64) -> bool {
        self.cut.range(..=at).next_back().is_some_and(|(_, to)| at < *to)
    }

    /// The first place of which something is known.
    pub(super) fn known(&self) -> Option<u64> {
        self.bytes.keys().next().into_iter().chain(self.cut.keys().next()).min().copied()
    }

    pub(super) fn says(&self, segment: &Segment<'_>) -> bool {
        !segment.payload.is_empty() || segment.missing > 0
    }

    /// Whether so much may be held after this segment that something has to go: each entry costs more than its bytes, and one segment may fill
    /// as many holes as it has bytes, or as there are.
    pub(super) fn crowded(&self, held: usize, segment: &Segment<'_>, limit: usize) -> bool {
        const OVERHEAD: usize = 128;
        const UNHEARD_SEGMENTS: usize = 64;
        let entries = (held - self.bytes.len()) / OVERHEAD;
        let more = segment.payload.len() + entries + 2;
        held + more * (OVERHEAD + 1) > limit || !self.heard && entries + more > UNHEARD_SEGMENTS
    }

    /// Gives where it begins.
    pub(super) fn segment(&mut self, segment: &Segment<'_>) -> Option<u64> {
        let (payload, missing) = (segment.payload, u64::from(segment.missing));
        let length = payload.len() as u64 + missing;
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        if self.ended.is_some() || !self.begun && !segment.syn && length == 0 && !segment.fin {
            return None;
        }
        if !self.begun {
            self.begun = true;
            let ahead = self.awaited.map(|awaited| (sequence.wrapping_sub(awaited) as i32, awaited));
            self.base = match ahead {
                Some((0..=FLIGHT, awaited)) if !segment.syn => awaited,
                Some((-1, awaited)) if !segment.syn && length <= 1 => awaited,
                _ => sequence,
            };
        }
        let ahead = sequence.wrapping_sub(self.next()) as i32;
        if ahead.unsigned_abs() > WINDOW {
            self.foreign += 1;
            return None;
        }
        let old = if ahead < 0 { u64::from(ahead.unsigned_abs()) } else { 0 };
        self.repeated += old.min(payload.len() as u64);
        if old > length {
            return None;
        }
        let first = self.offset + u64::from(ahead.max(0).unsigned_abs());
        let end = first + length - old;
        if self.fin.is_some_and(|fin| end > fin) {
            self.foreign += 1;
            return None;
        }
        self.out_of_order += u64::from(first > self.offset && end > first);
        let payload = payload.get(old as usize..).unwrap_or_default();
        self.hold(first, payload);
        let rest = first + payload.len() as u64;
        if end > rest {
            self.cut(rest, end);
        }
        if segment.fin && self.acknowledged <= end + 1 {
            self.truncate(end);
            self.fin = Some(end);
        }
        Some(first)
    }

    /// Where copies overlap, the first one counts.
    fn hold(&mut self, first: u64, payload: &[u8]) {
        for (at, byte) in (first..).zip(payload) {
            match self.bytes.get(&at) {
                Some(old) => {
                    self.repeated += 1;
                    self.differs |= old != byte;
                }
                None if self.is_cut(at) => {}
                None => {
                    self.bytes.insert(at, *byte);
                }
            }
        }
    }

    /// A range that was cut off: where it was not seen before.
    fn cut(&mut self, from: u64, to: u64) {
        let mut edges = vec![from];
        edges.extend(self.bytes.range(from..to).flat_map(|(at, _)| [*at, at + 1]));
        edges.extend(self.cut.iter().flat_map(|(from, to)| [*from, *to]));
        edges.retain(|edge| (from..to).contains(edge));
        edges.push(to);
        edges.sort_unstable();
        edges.dedup();
        for edge in edges.windows(2) {
            if !self.bytes.contains_key(&edge[0]) && !self.is_cut(edge[0]) {
                self.cut.insert(edge[0], edge[1]);
            }
        }
    }

    fn truncate(&mut self, end: u64) {
        self.bytes.split_off(&end);
        self.cut.split_off(&end);
        if let Some((_, to)) = self.cut.iter_mut().next_back() {
            *to = end.min(*to);
        }
    }

    pub(super) fn acknowledge(&mut self, number: u32, distance: i32) {
        self.heard = true;
        if !self.begun {
            self.awaited = Some(number);
        } else if self.ended.is_none() && distance > 0 && distance.unsigned_abs() <= WINDOW {
            self.acknowledged = self.acknowledged.max(self.offset + u64::from(distance.unsigned_abs()));
            self.again += 1;
            if self.fin.is_some_and(|fin| self.acknowledged > fin + 1) {
                self.fin = None;
                self.foreign += 1;
            }
        }
    }

    /// What lies far behind all that the other side has was never sent by this one.
    pub(super) fn close(&mut self) {
        if self.begun && self.ended.is_none() && self.heard {
            self.truncate(self.acknowledged.max(self.offset) + u64::from(FLIGHT.unsigned_abs()));
        }
    }

    /// Takes what is told.
    pub(super) fn told(&mut self, piece: Piece<'_>, why: Why) {
        assert_eq!(self.ended, None, "{piece:?} after the end");
        match piece {
            Piece::Data(bytes, _) => {
                assert!(!bytes.is_empty());
                for byte in bytes {
                    assert_eq!(self.bytes.remove(&self.offset), Some(*byte), "at {}", self.offset);
                    self.offset += 1;
                }
                self.again = 0;
            }
            Piece::Gap(length, _) => self.gap(length, why),
            Piece::End { reset, .. } => {
                assert!(if reset { self.reset } else { self.fin == Some(self.offset) }, "{piece:?}");
                // Behind a FIN there is nothing of this stream's; after a RST all was told.
                self.ended = Some(reset);
                self.reset = reset;
                self.begun = true;
            }
        }
    }

    fn gap(&mut self, length: u64, why: Why) {
        let end = self.offset + length;
        assert!(length > 0);
        assert_eq!(self.bytes.range(..end).next(), None, "bytes in a gap");
        if let Some(to) = self.cut.remove(&self.offset) {
            assert_eq!(to, end, "what the snapshot length cut off");
        } else {
            match self.known().or(self.fin) {
                Some(hole_end) => assert_eq!(end, hole_end),
                None => assert_eq!(end, self.acknowledged),
            }
            if let Why::Acknowledged(sent) = why {
                let lost =
                    self.acknowledged > end || sent.is_some_and(|sent| sent >= end) || self.again >= ACKNOWLEDGED_AGAIN;
                assert!(end <= self.acknowledged && lost, "no reason to give up {length} bytes");
            }
        }
        self.offset = end;
        self.again = 0;
        self.gaps += 1;
        self.lost += length;
    }
}

/// The byte with a sequence number.
pub(super) fn byte(sequence: u32) -> u8 {
    sequence.wrapping_mul(2_654_435_761).to_be_bytes()[0]
}
