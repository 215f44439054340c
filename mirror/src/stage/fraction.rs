//! Lets a fraction pass, chosen by what tells users apart.

use crate::condition::Key;
use crate::config::{Fraction, FractionConfig};
use crate::exchange::Exchange;
use crate::outcome::SkipReason;
use crate::stage::{Stage, Verdict};

/// Lets a fraction of the keys pass, with all exchanges of each: the same ones on every host and for every sink. An exchange without the key, and
/// every one where no key is given, counts by itself.
pub struct OfKeys {
    fraction: Fraction,
    by: Option<Key>,
}

impl OfKeys {
    /// As configured.
    pub fn new(config: &FractionConfig) -> OfKeys {
        OfKeys { fraction: config.of, by: config.by.clone() }
    }
}

impl Stage for OfKeys {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        let hash = self.by.as_ref().and_then(|key| key.hash(&exchange.facts()));
        let takes = match hash {
            Some(hash) => self.fraction.takes_hash(hash),
            None => self.fraction.takes(exchange.id().0),
        };
        if takes { Verdict::Continue } else { Verdict::Skip(SkipReason::Fraction) }
    }
}
