//! The mirror engine.

pub mod recording;
