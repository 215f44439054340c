//! Lets some exchanges pass, and others not.

use crate::condition::Condition;
use crate::config::FilterConfig;
use crate::exchange::Exchange;
use crate::outcome::SkipReason;
use crate::stage::{Need, Stage, Verdict};

/// Lets pass what `allow` holds for, where there is one, and `deny` does not. Where that hangs on the response the exchange waits for it.
pub struct Filter(Condition);

impl Filter {
    /// As configured.
    pub fn new(config: &FilterConfig) -> Filter {
        let allow = config.allow.as_ref().map(|allow| allow.condition());
        let deny = config.deny.as_ref().map(|deny| Condition::Not(Box::new(deny.condition())));
        Filter(Condition::All(allow.into_iter().chain(deny).collect()))
    }
}

impl Stage for Filter {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        match self.0.holds(&exchange.facts()) {
            Some(true) => Verdict::Continue,
            Some(false) => Verdict::Skip(SkipReason::Filter),
            None => Verdict::Wait(Need::Response),
        }
    }

    fn needs_response(&self) -> bool {
        self.0.needs_response()
    }
}
