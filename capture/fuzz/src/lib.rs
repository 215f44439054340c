//! What the fuzz targets do. What must hold stands with the tests of the crate, which share it.

#[path = "../../src/flow/operations.rs"]
mod connections;
#[path = "../../src/assembly/tests/frames.rs"]
mod frames;
#[path = "../../src/connection/tests/holds.rs"]
mod holds;
#[path = "../../src/reassembly/model.rs"]
mod model;
#[path = "../../src/connection/tests/plain.rs"]
mod plain;
#[path = "../../src/runs.rs"]
mod runs;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../src/connection/tests/seen.rs"]
mod seen;
#[path = "../../src/reassembly/operations.rs"]
mod stream;
#[path = "../../src/assembly/tests/strict.rs"]
mod strict;
#[path = "../../src/assembly/tests/wraps.rs"]
mod wraps;

pub mod http1;
mod input;
mod memory;
pub mod packets;
pub mod reassembly;
pub mod seeds;
