//! Any frames, of any link type, through all steps: no panic, bounded memory, closed accounts, nothing invented.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mirror_capture_fuzz::{packets, seeds};

fuzz_target!(init: seeds::write(packets::seeds), |input: &[u8]| packets::run(input));
