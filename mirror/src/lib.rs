//! The mirror engine.

pub mod config;
