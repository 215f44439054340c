//! Any bytes are a recording in .har, more or less.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirror_fuzz::read("har", bytes));
