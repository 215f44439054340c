//! Lets a fraction pass, chosen by what tells users apart.

use crate::condition::Key;
use crate::config::{Fraction, FractionConfig, FractionRule};
use crate::exchange::Exchange;
use crate::outcome::SkipReason;
use crate::stage::{Stage, Verdict};

/// Lets a fraction of the keys pass, with all exchanges of each: the same ones on every host and for every sink. An exchange without the key, and
/// every one where no key is given, counts by itself; by GoReplay's rule it passes.
pub struct OfKeys {
    fraction: Fraction,
    by: Option<Key>,
    rule: FractionRule,
}

impl OfKeys {
    /// As configured.
    pub fn new(config: &FractionConfig) -> OfKeys {
        OfKeys { fraction: config.of, by: config.by.clone(), rule: config.rule }
    }

    fn takes(&self, exchange: &Exchange) -> bool {
        match (self.rule, &self.by) {
            (FractionRule::Goreplay, Some(by)) => {
                let hash = by.hash_of_goreplay(&exchange.facts());
                hash.is_none_or(|hash| self.fraction.takes_of_hundred(hash % 100))
            }
            (_, by) => match by.as_ref().and_then(|key| key.hash(&exchange.facts())) {
                Some(hash) => self.fraction.takes_hash(hash),
                None => self.fraction.takes(exchange.id().0),
            },
        }
    }
}

impl Stage for OfKeys {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        if self.takes(exchange) { Verdict::Continue } else { Verdict::Skip(SkipReason::Fraction) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a request with this target and header passes.
    fn passes(yaml: &str, target: &str, header: &str) -> bool {
        let stage = OfKeys::new(&serde_yaml::from_str(yaml).unwrap());
        stage.takes(&Exchange::of_head(&format!("GET {target} HTTP/1.1\r\n{header}\r\n\r\n"), None))
    }

    /// The hashes are those of Go's hash/fnv: 440920331 of `abc`, 3826002220 of `a`, 3876335077 of `b`, 2166136261 of nothing.
    #[test]
    fn by_goreplays_rule_its_users_are_taken() {
        let header = |of: u32, value: &str| {
            passes(&format!("{{of: {of}%, by: header.user-id, rule: goreplay}}"), "/", &format!("User-Id: {value}"))
        };
        assert_eq!([header(31, "abc"), header(32, "abc")], [false, true]);
        assert_eq!([header(20, "a"), header(21, "a")], [false, true]);
        assert!(header(0, ""), "an empty one is none");
        assert!(passes("{of: 0%, by: header.user-id, rule: goreplay}", "/", "Host: a"), "one without passes");

        let param =
            |of: u32, target: &str| passes(&format!("{{of: {of}%, by: query.id, rule: goreplay}}"), target, "Host: a");
        assert_eq!([param(77, "/?x=1&id=b"), param(78, "/?x=1&id=b")], [false, true]);
        assert_eq!([param(61, "/?id="), param(62, "/?id=")], [false, true]);
        assert!(param(0, "/?id2=b") && param(0, "/"));
    }
}
