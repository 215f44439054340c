//! Lists of segments against a model of one direction, and of some connections.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mirror_capture_fuzz::reassembly::{self, Case};

fuzz_target!(|case: Case| reassembly::run(&case));
