//! Any bytes are a recording in .jsonl, more or less.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirror_fuzz::read("jsonl", bytes));
