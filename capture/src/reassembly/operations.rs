//! Lists of what may pass in one direction, against a model that knows each byte by its place. Shared by the property test and the fuzz
//! target.
//!
//! The model does not know when a hole is given up. It follows what is told, and knows what may be told: bytes as their first copy had them,
//! gaps only where nothing is held, and only with a reason.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mirror_capture::reassembly::{Counters, Reassembly};
use mirror_capture::{Piece, Segment};

/// As `WINDOW`, `FLIGHT` and `ACKNOWLEDGED_AGAIN` of the reassembly: what is further off is of another stream; what is nearer may be the
/// beginning; so many acknowledgments tell a loss.
const WINDOW: u32 = 1 << 30;
const FLIGHT: i32 = 1 << 20;
const ACKNOWLEDGED_AGAIN: u64 = 8;

/// One direction's life.
#[derive(Debug, Clone)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) struct Case {
    /// The first byte's sequence number.
    pub(crate) start: u32,
    /// Whether its SYN was captured.
    pub(crate) begun: bool,
    /// How many bytes may be held, over a few.
    pub(crate) limit: u16,
    /// What passes.
    pub(crate) ops: Vec<Op>,
}

/// What passes.
#[derive(Debug, Clone)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Op {
    /// A segment.
    Segment {
        /// Where it begins.
        place: Place,
        /// Its payload.
        length: u8,
        /// Zero: the stream's bytes. Else others, as a liar would send.
        copy: u8,
        /// What the snapshot length cut off.
        missing: Missing,
        /// With a FIN.
        fin: bool,
    },
    /// Several that follow each other, with a byte between them that is not seen.
    Torn {
        /// Where the first begins.
        place: Place,
        /// How many.
        count: u8,
        /// Each one's payload.
        length: u8,
    },
    /// The SYN, again or late, with data or without.
    Syn {
        /// Its payload.
        length: u8,
    },
    /// The other side acknowledges.
    Acknowledge(Place),
    /// There is no room.
    Release,
    /// A RST.
    Reset,
}

/// A place in the stream.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Place {
    /// So far from the next byte.
    Near(i8),
    /// So far.
    Ahead(i16),
    /// Anywhere.
    Far(i32),
}

/// How much of a segment was not captured.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Missing {
    /// Nothing.
    None,
    /// A little.
    Some(u8),
    /// So much that sequence numbers wrap.
    Much(u32),
}

impl Place {
    fn distance(self) -> i32 {
        match self {
            Place::Near(n) => n.into(),
            Place::Ahead(n) => n.into(),
            Place::Far(n) => n,
        }
    }
}

impl Missing {
    fn bytes(self) -> u32 {
        match self {
            Missing::None => 0,
            Missing::Some(n) => n.into(),
            Missing::Much(n) => n,
        }
    }
}

/// Runs the operations and checks what must hold whatever they were.
///
/// # Panics
/// When it does not.
pub(crate) fn run(case: &Case) {
    let mut stream = Stream::new(256 + usize::from(case.limit), case.start);
    if case.begun {
        stream.reassembly.begin(case.start);
        stream.model.begun = true;
    }
    for op in &case.ops {
        match *op {
            Op::Segment { place, length, copy, missing, fin } => {
                let payload = stream.payload(place.distance(), length, copy);
                let plain = stream.plain(place.distance());
                stream.segment(&Segment { fin, missing: missing.bytes(), payload: &payload, ..plain });
            }
            Op::Torn { place, count, length } => {
                let length = length % 32;
                for i in 0..i32::from(count % 80) {
                    // Each is as far from the first as it would be if nothing were handed on between them.
                    let moved = stream.model.offset;
                    let distance = place.distance().saturating_add(i * (i32::from(length) + 1));
                    let payload = stream.payload(distance, length, 0);
                    stream.segment(&Segment { payload: &payload, ..stream.plain(distance) });
                    if stream.model.offset != moved {
                        break;
                    }
                }
            }
            Op::Syn { length } => {
                let back = stream.model.offset.try_into().map_or(i32::MIN, |offset: i32| -offset);
                let payload = stream.payload(back, length, 0);
                let plain = stream.plain(back.wrapping_sub(1));
                stream.segment(&Segment { syn: true, payload: &payload, ..plain });
            }
            Op::Acknowledge(place) => stream.acknowledge(place.distance()),
            Op::Release => stream.step(Why::Told, |reassembly, counters, mut emit| {
                reassembly.release(Duration::ZERO, counters, &mut emit);
            }),
            Op::Reset => stream.reset(),
        }
    }
    stream.reset();
    assert_eq!(stream.model.ended, Some(stream.model.reset));
}

/// What may be a reason to give up a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The direction is at its end, or there is no room in all.
    Told,
    /// Only what the other side acknowledged; and where the segment begins that the sender has sent now.
    Acknowledged(Option<u64>),
    /// That, or that this one has no room, which was so.
    Bound,
}

/// The reassembly beside its model.
struct Stream {
    reassembly: Reassembly,
    counters: Counters,
    model: Model,
    limit: usize,
}

impl Stream {
    fn new(limit: usize, start: u32) -> Self {
        let model = Model { base: start, ..Model::default() };
        Self { reassembly: Reassembly::new(limit), counters: Counters::default(), model, limit }
    }

    /// The sequence number so far from the next byte.
    fn number(&self, distance: i32) -> u32 {
        self.model.next().wrapping_add_signed(distance)
    }

    fn plain(&self, distance: i32) -> Segment<'static> {
        const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Segment {
            time: Duration::ZERO,
            from: NOBODY,
            to: NOBODY,
            sequence: self.number(distance),
            acknowledgment: None,
            syn: false,
            fin: false,
            rst: false,
            payload: b"",
            missing: 0,
        }
    }

    /// The stream's bytes, or other ones.
    fn payload(&self, distance: i32, length: u8, copy: u8) -> Vec<u8> {
        let from = self.number(distance);
        (0..u32::from(length)).map(|i| byte(from.wrapping_add(i)).wrapping_add(copy)).collect()
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        let late = self.counters.late + u64::from(self.model.ended.is_some() && self.model.says(segment));
        let crowded = self.model.crowded(self.reassembly.held(), segment, self.limit);
        let sent = self.model.segment(segment);
        let why = if crowded { Why::Bound } else { Why::Acknowledged(sent) };
        self.step(why, |reassembly, counters, mut emit| reassembly.segment(segment, counters, &mut emit));
        assert_eq!(self.counters.late, late);
        assert!(self.reassembly.held() <= self.limit);
    }

    fn acknowledge(&mut self, distance: i32) {
        let number = self.number(distance);
        self.model.acknowledge(number, distance);
        self.step(Why::Acknowledged(None), |reassembly, counters, mut emit| {
            reassembly.acknowledge(number, Duration::ZERO, counters, &mut emit);
        });
    }

    fn reset(&mut self) {
        self.model.reset |= self.model.ended.is_none();
        self.model.close();
        self.step(Why::Told, |reassembly, counters, mut emit| reassembly.reset(Duration::ZERO, counters, &mut emit));
    }

    fn step(&mut self, why: Why, step: impl FnOnce(&mut Reassembly, &mut Counters, &mut dyn FnMut(Piece<'_>))) {
        let bounded = self.counters.gaps_by_bound;
        let model = &mut self.model;
        step(&mut self.reassembly, &mut self.counters, &mut |piece| model.told(piece, why));
        assert!(why == Why::Bound || self.counters.gaps_by_bound == bounded, "nothing was full");
        self.agree();
    }

    /// What holds between two segments.
    fn agree(&self) {
        let Self { reassembly, counters, model, .. } = self;
        assert_eq!((reassembly.begun(), reassembly.ended()), (model.begun, model.ended.is_some()));
        assert!(model.begun || model.is_empty());
        if model.begun && model.ended.is_none() {
            assert!(reassembly.expects(model.next()) && reassembly.plausible(model.next()));
            let known = model.known();
            assert_ne!(known, Some(model.offset), "what is in turn is handed on at once");
            assert_ne!(model.fin, Some(model.offset), "and so is the end");
            let hole_end = known.or(model.fin);
            assert!(hole_end.is_none_or(|end| end >= model.acknowledged), "a hole that was lost is given up");
        }
        assert!(model.ended.is_none() || model.is_empty(), "nothing is swallowed by the end");
        assert!(reassembly.held() >= model.bytes.len());
        assert_eq!(reassembly.held() == 0, model.is_empty());
        let Counters { gaps, gaps_by_bound, lost_bytes, repeated_bytes, differing_overlaps, out_of_order, .. } =
            *counters;
        assert_eq!((gaps, lost_bytes), (model.gaps, model.lost));
        assert_eq!((repeated_bytes, out_of_order), (model.repeated, model.out_of_order));
        assert_eq!(differing_overlaps > 0, model.differs);
        assert!(gaps_by_bound <= gaps && counters.foreign >= model.foreign);
    }
}

/// What a bystander with all the memory and time in the world knows.
#[derive(Debug, Default)]
struct Model {
    base: u32,
    begun: bool,
    /// How the direction ended: by RST, or by FIN.
    ended: Option<bool>,
    /// It was reset.
    reset: bool,
    /// The next byte to be told.
    offset: u64,
    /// Bytes that were seen and not told, and ranges that were seen to be cut off.
    bytes: BTreeMap<u64, u8>,
    cut: BTreeMap<u64, u64>,
    fin: Option<u64>,
    /// The other side: whether it was heard, what it has, how often it said so since a byte was told, and what it waited for before the first
    /// byte was seen.
    heard: bool,
    acknowledged: u64,
    again: u64,
    awaited: Option<u32>,
    gaps: u64,
    lost: u64,
    repeated: u64,
    out_of_order: u64,
    foreign: u64,
    differs: bool,
}

impl Model {
    fn next(&self) -> u32 {
        // Sequence numbers wrap.
        self.base.wrapping_add(self.offset as u32)
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cut.is_empty()
    }

    fn is_cut(&self, at: u64) -> bool {
        self.cut.range(..=at).next_back().is_some_and(|(_, to)| at < *to)
    }

    /// The first place of which something is known.
    fn known(&self) -> Option<u64> {
        self.bytes.keys().next().into_iter().chain(self.cut.keys().next()).min().copied()
    }

    fn says(&self, segment: &Segment<'_>) -> bool {
        !segment.payload.is_empty() || segment.missing > 0
    }

    /// Whether so much may be held after this segment that something has to go: each entry costs more than its bytes, and one segment may fill
    /// as many holes as it has bytes, or as there are.
    fn crowded(&self, held: usize, segment: &Segment<'_>, limit: usize) -> bool {
        const OVERHEAD: usize = 128;
        const UNHEARD_SEGMENTS: usize = 64;
        let entries = (held - self.bytes.len()) / OVERHEAD;
        let more = segment.payload.len() + entries + 2;
        held + more * (OVERHEAD + 1) > limit || !self.heard && entries + more > UNHEARD_SEGMENTS
    }

    /// Gives where it begins.
    fn segment(&mut self, segment: &Segment<'_>) -> Option<u64> {
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

    fn acknowledge(&mut self, number: u32, distance: i32) {
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
    fn close(&mut self) {
        if self.begun && self.ended.is_none() && self.heard {
            self.truncate(self.acknowledged.max(self.offset) + u64::from(FLIGHT.unsigned_abs()));
        }
    }

    /// Takes what is told.
    fn told(&mut self, piece: Piece<'_>, why: Why) {
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
fn byte(sequence: u32) -> u8 {
    sequence.wrapping_mul(2_654_435_761).to_be_bytes()[0]
}
