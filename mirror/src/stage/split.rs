//! Shares exchanges out over a group of targets, where otherwise each gets all.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::condition::Key;
use crate::config::SplitConfig;
use crate::exchange::Exchange;
use crate::stage::{Stage, Verdict};

/// Lets one of the targets have an exchange, and keeps it from the others of the group. Targets outside the group get it as before.
pub struct Split {
    /// The sinks' numbers, in turn: each as often as its weight.
    turns: Box<[usize]>,
    /// All of them, each once.
    group: Box<[usize]>,
    by: Option<Key>,
    turn: AtomicUsize,
}

impl Split {
    /// As configured; `names` are the sinks' in the order of their numbers.
    pub fn new(config: &SplitConfig, names: &[String]) -> Split {
        let number = |name: &str| names.iter().position(|known| known == name);
        let weights: Vec<(usize, u32)> =
            config.targets.iter().filter_map(|(name, weight)| Some((number(name)?, weight.get()))).collect();
        let group = weights.iter().map(|(sink, _)| *sink).collect();
        Split { turns: turns(&weights), group, by: config.by.clone(), turn: AtomicUsize::new(0) }
    }
}

/// nginx's smooth weighted round robin: in each turn all gain their weight, the one that has most takes it and loses the sum. So 3:1 is A A B A and
/// not A A A B.
fn turns(weights: &[(usize, u32)]) -> Box<[usize]> {
    let total: i64 = weights.iter().map(|(_, weight)| i64::from(*weight)).sum();
    let mut gained = vec![0; weights.len()];
    let next = |_| {
        gained.iter_mut().zip(weights).for_each(|(gained, (_, weight))| *gained += i64::from(*weight));
        // The first of those that have most.
        let most = (0..gained.len()).rev().max_by_key(|&at| gained[at]).unwrap_or_default();
        gained[most] -= total;
        weights[most].0
    };
    (0..total).map(next).collect()
}

impl Stage for Split {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        if self.turns.is_empty() {
            return Verdict::Continue;
        }
        let hash = self.by.as_ref().and_then(|key| key.hash(&exchange.facts()));
        let turn = match hash {
            // Fibonacci hashing spreads FNV's weak high bits; a product's high bits are fair for any number of turns.
            Some(hash) => {
                let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                ((u128::from(spread) * self.turns.len() as u128) >> 64) as usize
            }
            None => self.turn.fetch_add(1, Relaxed) % self.turns.len(),
        };
        let chosen = self.turns[turn];
        self.group.iter().filter(|&&sink| sink != chosen).for_each(|&sink| exchange.keep_from(sink));
        Verdict::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavier_targets_have_more_turns_and_not_in_a_row() {
        assert_eq!(*turns(&[(4, 1), (5, 1)]), [4, 5]);
        assert_eq!(*turns(&[(0, 3), (1, 1)]), [0, 0, 1, 0]);
        assert_eq!(*turns(&[(0, 5), (1, 1), (2, 1)]), [0, 0, 1, 0, 2, 0, 0]);
    }
}
