//! Stages look at an exchange between the source and the sinks, and let it pass, change it, or keep it from what is behind them.
//!
//! Adding one is a file below `stage/` with its config, behaviour and tests, and a line in [`crate::pipeline`].

use crate::exchange::Exchange;
use crate::outcome::SkipReason;

mod marker;

pub use marker::Marker;

/// What a stage says of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Not for what is behind this stage. That is a choice, no loss: it counts as skipped.
    Skip(SkipReason),
}

/// A step between source and sinks. It sees the head; the bodies flow past it.
pub trait Stage: Send + Sync + 'static {
    /// Looks at one exchange; must not wait.
    fn apply(&self, exchange: &mut Exchange) -> Verdict;
}
