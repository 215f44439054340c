//! A stream against a model: cut at random, sent twice, overlapping, out of order, some of it lost to the capture with acknowledgments
//! that tell. What comes out is the stream, with exactly the lost ranges missing.

use std::time::Duration;

use proptest::prelude::*;

use super::operations::{self, Case, Missing, Op, Place};
use super::*;

/// The byte at an offset.
fn byte(offset: usize) -> u8 {
    (offset as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]
}

/// What comes out: the bytes, with None for those lost.
#[derive(Default)]
struct Out {
    bytes: Vec<Option<u8>>,
    end: Option<bool>,
}

impl Out {
    fn piece(&mut self, piece: Piece<'_>) {
        assert_eq!(self.end, None, "{piece:?} after the end");
        match piece {
            Piece::Data(bytes, _) => {
                assert!(!bytes.is_empty());
                self.bytes.extend(bytes.iter().copied().map(Some));
            }
            Piece::Gap(length, _) => {
                assert!(length > 0);
                self.bytes.extend((0..length).map(|_| None));
            }
            Piece::End { reset, .. } => self.end = Some(reset),
        }
    }
}

fn segment(sequence: u32, payload: &[u8], fin: bool) -> Segment<'_> {
    Segment { fin, ..super::tests::plain(sequence, payload) }
}

/// What is done with a part of the stream: how long it is, how far it is delayed, whether the capture lost it, whether and with how much more
/// it is sent again, and whether it is acknowledged before it is captured.
#[derive(Debug, Clone)]
struct Part {
    length: usize,
    delay: usize,
    lost: bool,
    again: Option<usize>,
    early: bool,
}

fn part() -> impl Strategy<Value = Part> {
    (
        1..40usize,
        0..6usize,
        prop::bool::weighted(0.15),
        prop::option::weighted(0.3, 0..60usize),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(length, delay, lost, again, early)| Part { length, delay, lost, again, early })
}

/// What the capture sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Data(usize, usize),
    Ack(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_stream_comes_out(parts in prop::collection::vec(part(), 1..60), start: u32, told: bool) {
        let mut stream = Vec::new();
        let mut events = Vec::new();
        let mut lost = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let from = stream.len();
            let to = from + part.length;
            stream.extend((from..to).map(byte));
            lost.extend((from..to).map(|_| part.lost));
            if !part.lost {
                events.push((10 * at + 10 * part.delay, Event::Data(from, to)));
                if let Some(more) = part.again {
                    // Again, with some of what was before it, as far as that was not lost.
                    let whole = (from.saturating_sub(more)..from).rev().take_while(|at| !lost[*at]).count();
                    events.push((10 * at + 35, Event::Data(from - whole, to)));
                }
            }
        }
        events.sort();
        // The receiver has what was lost to us: it acknowledges all up to its first hole, a little late or, with `early`, a little soon.
        let mut have = lost.clone();
        let mut seen = Vec::new();
        let mut highest = 0;
        for (at, (_, event)) in events.iter().enumerate() {
            if let Event::Data(from, to) = *event {
                have[from..to].fill(true);
                let ack = Event::Ack(have.iter().position(|have| !have).unwrap_or(have.len()));
                // Soon only where the data is in the sender's order: both at once look like a loss.
                let early = told && parts[at % parts.len()].early && from >= highest;
                highest = highest.max(to);
                if early { seen.push(ack.clone()); }
                seen.push(event.clone());
                if told && !early { seen.push(ack); }
            }
        }
        let mut reassembly = Reassembly::new(1 << 20);
        let mut counters = Counters::default();
        let mut out = Out::default();
        reassembly.begin(start);
        let number = |offset: usize| start.wrapping_add(offset as u32);
        for event in seen {
            let emit = &mut |piece: Piece<'_>| out.piece(piece);
            match event {
                Event::Data(from, to) => reassembly.segment(&segment(number(from), &stream[from..to], false), &mut counters, emit),
                Event::Ack(to) => reassembly.acknowledge(number(to), Duration::ZERO, &mut counters, emit),
            }
        }
        let emit = &mut |piece: Piece<'_>| out.piece(piece);
        reassembly.segment(&segment(number(stream.len()), b"", true), &mut counters, emit);
        reassembly.acknowledge(number(stream.len() + 1), Duration::ZERO, &mut counters, emit);
        let expected: Vec<_> = stream.iter().zip(&lost).map(|(byte, lost)| (!lost).then_some(*byte)).collect();
        prop_assert_eq!(&out.bytes, &expected);
        prop_assert_eq!(out.end, Some(false));
        prop_assert_eq!(counters.lost_bytes, lost.iter().filter(|lost| **lost).count() as u64);
        prop_assert_eq!((counters.differing_overlaps, counters.foreign, counters.late, counters.gaps_by_bound), (0, 0, 0, 0));
        prop_assert_eq!(reassembly.held(), 0);
    }

    /// Whatever comes: nothing is invented, nothing is swallowed, no bound is broken, and there is one end.
    #[test]
    fn anything(case in case()) {
        operations::run(&case);
    }
}

fn case() -> impl Strategy<Value = Case> {
    (any::<u32>(), any::<bool>(), 0..3000u16, prop::collection::vec(op(), 0..200))
        .prop_map(|(start, begun, limit, ops)| Case { start, begun, limit, ops })
}

fn op() -> impl Strategy<Value = Op> {
    let missing = prop_oneof![
        8 => Just(Missing::None),
        1 => any::<u8>().prop_map(Missing::Some),
        1 => any::<u32>().prop_map(Missing::Much),
    ];
    let segment = (place(), 0..50u8, 0..20u8, missing, prop::bool::weighted(0.1));
    prop_oneof![
        16 => segment.prop_map(|(place, length, copy, missing, fin)| Op::Segment { place, length, copy: copy / 19, missing, fin }),
        1 => (place(), 0..80u8, 0..50u8).prop_map(|(place, count, length)| Op::Torn { place, count, length }),
        1 => (0..50u8).prop_map(|length| Op::Syn { length }),
        4 => place().prop_map(Op::Acknowledge),
        1 => prop::bool::weighted(0.1).prop_map(|reset| if reset { Op::Reset } else { Op::Release }),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        8 => any::<i8>().prop_map(Place::Near),
        4 => (-100..400i16).prop_map(Place::Ahead),
        1 => any::<i32>().prop_map(Place::Far),
    ]
}
