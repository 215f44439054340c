//! Stages look at an exchange between the source and the sinks, and let it pass, change it, or keep it from what is behind them.
//!
//! Adding one is a file below `stage/` with its behaviour and tests, its config below `config/stage/`, and a line in [`build`].

use crate::config::StageConfig;
use crate::exchange::Exchange;
use crate::outcome::SkipReason;

mod filter;
mod fraction;
mod marker;
mod rate;
mod rewrite;
mod split;

pub use filter::Filter;
pub use fraction::OfKeys;
pub use marker::Marker;
pub use rate::Rate;
pub(crate) use rewrite::FRAMING;
pub use rewrite::Rewrite;
pub use split::Split;

/// What a stage says of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Not for what is behind this stage. That is a choice, no loss: it counts as skipped.
    Skip(SkipReason),
    /// Ask again when the exchange has ended and [`Exchange::facts`] tells the response. Said then, it counts as to go on.
    Wait,
}

/// A step between source and sinks. It sees the head; the bodies flow past it.
pub trait Stage: Send + Sync + 'static {
    /// Looks at one exchange; must not wait itself.
    fn apply(&self, exchange: &mut Exchange) -> Verdict;

    /// Whether it may say [`Verdict::Wait`]: responses are looked at for its sake.
    fn needs_response(&self) -> bool {
        false
    }
}

/// The stage that a configuration asks for; `sinks` are their names in the order of their numbers.
pub(crate) fn build(config: &StageConfig, sinks: &[String]) -> Box<dyn Stage> {
    match config {
        StageConfig::Filter(config) => Box::new(Filter::new(config)),
        StageConfig::Fraction(config) => Box::new(OfKeys::new(config)),
        StageConfig::Rate(config) => Box::new(Rate::new(config)),
        StageConfig::Rewrite(config) => Box::new(Rewrite::new(config)),
        StageConfig::Split(config) => Box::new(Split::new(config, sinks)),
    }
}
