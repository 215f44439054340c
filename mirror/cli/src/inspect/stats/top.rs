//! What there is most of, in bounded memory.

use std::collections::HashMap;

/// So many names are kept for sure. Twice as many may be there; then those that were seen least are given up, and what is seen of them later is
/// counted anew. So a count is what it says or less, by at most the share of one in five hundred of all that was seen: whatever makes up more
/// than that is among those kept.
const KEPT: usize = 500;

/// Longer names are cut to so many bytes.
const LONGEST: usize = 256;

/// Names with how often they were seen, and what else is known of them.
#[derive(Default)]
pub(super) struct Top<T> {
    names: HashMap<String, (u64, T)>,
    /// How often names were seen that were given up.
    given_up: u64,
}

impl<T: Default> Top<T> {
    /// Counts a name, and gives what is known of it.
    pub(super) fn add(&mut self, name: &str) -> &mut T {
        let end = (0..=name.len().min(LONGEST)).rev().find(|&end| name.is_char_boundary(end));
        let name = &name[..end.unwrap_or_default()];
        // Not by the map's entries, which want a name of their own each time.
        if !self.names.contains_key(name) {
            if self.names.len() >= 2 * KEPT {
                self.give_up();
            }
            self.names.insert(name.to_owned(), Default::default());
        }
        let (count, value) = self.names.get_mut(name).expect("it is there now");
        *count += 1;
        value
    }

    fn give_up(&mut self) {
        let mut counts: Vec<u64> = self.names.values().map(|(count, _)| *count).collect();
        let (_, least, _) = counts.select_nth_unstable_by(KEPT, |one, other| other.cmp(one));
        let least = *least;
        let mut given_up = 0;
        self.names.retain(|_, (count, _)| {
            given_up += if *count > least { 0 } else { *count };
            *count > least
        });
        self.given_up += given_up;
    }

    /// The first of them, those seen most first.
    pub(super) fn first(&self, most: usize) -> Vec<(&str, u64, &T)> {
        let mut names: Vec<_> =
            self.names.iter().map(|(name, (count, value))| (name.as_str(), *count, value)).collect();
        names.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        names.truncate(most);
        names
    }

    /// How often others were seen than those that [`Top::first`] gives.
    pub(super) fn others(&self, most: usize) -> u64 {
        let all: u64 = self.names.values().map(|(count, _)| count).sum();
        all + self.given_up - self.first(most).iter().map(|(_, count, _)| count).sum::<u64>()
    }

    pub(super) fn total(&self) -> u64 {
        self.others(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_most_stays_and_the_rest_is_bounded() {
        let mut top = Top::<()>::default();
        for n in 0..100_000 {
            top.add(&format!("/seldom/{n}"));
            if n % 10 == 0 {
                top.add("/often");
            }
        }
        top.add(&"ä".repeat(1000));
        assert!(top.names.len() <= 2 * KEPT);
        assert_eq!(top.first(1), [("/often", 10_000, &())]);
        assert_eq!((top.others(1), top.total()), (100_001, 110_001));
    }
}
