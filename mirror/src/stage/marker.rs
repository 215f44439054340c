//! Keeps copies from being mirrored again, which is how a mirror of a mirror of oneself ends.

use crate::config::MarkerConfig;
use crate::exchange::Exchange;
use crate::outcome::SkipReason;
use crate::stage::{Stage, Verdict};

/// Skips exchanges whose request bears the marker header, whatever its value: another `mirror` may have another.
pub struct Marker(String);

impl Marker {
    /// None where the marker is off.
    pub fn new(config: &MarkerConfig) -> Option<Marker> {
        match config {
            MarkerConfig::Off => None,
            MarkerConfig::Header { name, .. } => Some(Marker(name.clone())),
        }
    }
}

impl Stage for Marker {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        match exchange.request.headers.get(&self.0) {
            Some(_) => Verdict::Skip(SkipReason::Marked),
            None => Verdict::Continue,
        }
    }
}
