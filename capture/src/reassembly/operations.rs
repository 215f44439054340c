//! Lists of what may pass in one direction, against the model of it. Shared by the property test and the fuzz target.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mirror_capture::reassembly::{Counters, Reassembly};
use mirror_capture::{Piece, Segment};

use super::model::{Model, Why, byte};

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

/// The reassembly beside its model.
struct Stream {
    reassembly: Reassembly,
    counters: Counters,
    model: Model,
    limit: usize,
}

impl Stream {
    fn new(limit: usize, start: u32) -> Self {
        Self { reassembly: Reassembly::new(limit), counters: Counters::default(), model: Model::new(start), limit }
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
