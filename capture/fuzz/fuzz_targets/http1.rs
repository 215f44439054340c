//! Whatever is said on a connection, and however it is cut: the same messages, of bytes that passed, in bounded memory.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mirror_capture_fuzz::{http1, seeds};

fuzz_target!(init: seeds::write(http1::seeds), |input: &[u8]| http1::run(input));
