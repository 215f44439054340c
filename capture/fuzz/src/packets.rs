//! The target `packets`.
//!
//! An input is a byte for ports and limits, and steps. A step is a byte that says what it is: a frame of one of the link types, followed by
//! its length and its bytes; a frame that was there before; or that time passes.

use std::time::Duration;

use mirror_capture::decode::{self, Decoder};
use mirror_capture::flow::Limits;

use crate::frames::{Case, Step, run as check};
use crate::input::Input;
use crate::{memory, wraps};

const AGAIN: u8 = 24;
const ELAPSE: u8 = 26;
const TICK: u8 = 28;
/// The bits of a step's byte that say what it is, and the one that says that the frame was cut.
const WHAT: u8 = 0x1F;
const CUT: u8 = 0x20;

/// In what times are written, in milliseconds.
const GRAIN: i32 = 8;
/// No decoder's.
const UNKNOWN: i32 = 147;

/// What an entry of the flow table costs at most beside what is counted as held: both directions, their readers, a few exchanges, the place in
/// the table.
const ENTRY: usize = 8192;

/// What one packet may need for a moment: two datagrams put together, each in memory that had grown, and one that grows.
const MOMENT: usize = 6 * 65_536;

/// Runs one.
///
/// # Panics
/// When what must hold does not.
pub fn run(input: &[u8]) {
    let case = decode(input);
    let bound = decode::Limits::default().fragment_bytes + MOMENT + case.limits.bytes + case.limits.flows * ENTRY;
    let before = memory::held();
    check(&case, || {
        let held = memory::held().saturating_sub(before);
        assert!(held <= bound, "{held} bytes are held, of {bound}");
    });
}

/// The conversations, as inputs.
///
/// # Panics
/// When they are not told as what they are.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let seeds = wraps::seeds().into_iter().map(|(name, case)| {
        let seed = encode(&case.steps);
        assert_eq!(check(&decode(&seed), || ()), wraps::TOLD, "{name}");
        (name, seed)
    });
    seeds.collect()
}

fn decode(input: &[u8]) -> Case {
    let mut input = Input(input);
    let links: Vec<i32> = Decoder::link_types().map(|(link, _)| link.0).collect();
    let options = input.byte();
    let (bytes, flow_bytes, flows) = match options >> 2 & 3 {
        0 => (20_000, 10_000, 8),
        1 => (2000, 1000, 2),
        2 => (1000, 1000, 1),
        _ => (1 << 20, 1 << 18, 64),
    };
    let ports = [&[80][..], &[], &[80, 8080], &[40_000]][usize::from(options & 3)].to_vec();
    let mut steps = Vec::new();
    while !input.is_empty() {
        let byte = input.byte();
        steps.push(match byte & WHAT {
            AGAIN..ELAPSE => Step::Again(input.byte()),
            ELAPSE..TICK => Step::Elapse(i32::from(input.number() as i16) * GRAIN),
            TICK.. => Step::Tick,
            link => {
                let link = links.get(usize::from(link)).copied().unwrap_or(UNKNOWN);
                let beyond = if byte & CUT != 0 { input.number().into() } else { 0 };
                let length = input.number();
                Step::Frame { link, data: input.bytes(length).to_vec(), beyond }
            }
        });
    }
    Case { ports, limits: Limits { bytes, flow_bytes, flows, idle: Duration::from_secs(60) }, steps }
}

fn encode(steps: &[Step]) -> Vec<u8> {
    let mut input = vec![0];
    for step in steps {
        match step {
            Step::Frame { link, data, .. } => {
                let place = Decoder::link_types().position(|(known, _)| known.0 == *link);
                input.push(place.expect("a link type that can be read") as u8);
                input.extend((data.len() as u16).to_le_bytes());
                input.extend(data);
            }
            Step::Again(number) => input.extend([AGAIN, *number]),
            Step::Elapse(milliseconds) => {
                input.push(ELAPSE);
                input.extend(((*milliseconds / GRAIN) as i16).to_le_bytes());
            }
            Step::Tick => input.push(TICK),
        }
    }
    input
}
