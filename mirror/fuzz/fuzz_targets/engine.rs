//! Whatever a source does and however a target behaves, accounts close and memory is given back.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/engine/operations.rs"]
mod operations;

fuzz_target!(|case: (operations::Manner, u32, u8, Vec<operations::Op>)| {
    let (manner, memory, stages, ops) = case;
    operations::run(manner, 20_000 + memory as usize % 2_000_000, stages, &ops);
});
