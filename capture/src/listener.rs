//! All that a configuration captures, from the packets to the engine: opens the sources, pushes their packets through all steps, and tells
//! how it ends.

use std::sync::Arc;

use mirror::config::{Config, Fault};
use mirror::source::Tap;
use mirror::telemetry::Telemetry;

/// Everything in `config.capture`, open and not yet read.
pub struct Captures;

/// Captures that are being read.
pub struct Running;

impl Captures {
    /// Opens all.
    ///
    /// # Errors
    /// Every one that cannot be had, each with its key (`capture[0].interface`).
    pub fn open(_config: &Config) -> Result<Captures, Vec<Fault>> {
        Ok(Captures)
    }

    /// Starts to read, into a tap whose exchanges are counted as [`crate::SOURCE`]'s.
    pub fn start(self, _tap: &Tap, _telemetry: &Arc<Telemetry>) -> Running {
        Running
    }
}

impl Running {
    /// Resolves when all saved captures are read to their ends; never while a live one runs.
    pub async fn ended(&self) {
        std::future::pending().await
    }

    /// Drains what is buffered and closes all flows.
    pub fn stop(self) {}

    /// Why a saved capture could not be read to its end, once it is known.
    pub fn cut(&self) -> Option<String> {
        None
    }
}
