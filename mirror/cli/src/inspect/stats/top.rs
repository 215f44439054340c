//! What there is most of, in bounded memory.

use std::collections::HashMap;

/// So many names are kept. Twice as many may be there; then those of least weight are given up, and what is seen of them later is counted anew. The
/// weight of a name is how often it was seen, less what the heaviest of those given up had, each time: so whatever makes up more than one in five
/// hundred of all that is seen is among those kept, and was counted but for at most that much (Misra and Gries, "Finding repeated elements", 1982).
const KEPT: usize = 500;

/// Longer names are cut to so many bytes.
const LONGEST: usize = 256;

/// Names with how often they were seen, and what else is known of them.
#[derive(Default)]
pub(super) struct Top<T> {
    names: HashMap<String, Seen<T>>,
    /// How often names were seen that were given up.
    given_up: u64,
}

#[derive(Default)]
struct Seen<T> {
    count: u64,
    weight: u64,
    value: T,
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
        let seen = self.names.get_mut(name).expect("it is there now");
        seen.count += 1;
        seen.weight += 1;
        &mut seen.value
    }

    fn give_up(&mut self) {
        let mut weights: Vec<u64> = self.names.values().map(|seen| seen.weight).collect();
        let (heavier, least, _) = weights.select_nth_unstable_by(KEPT, |one, other| other.cmp(one));
        let least = *least;
        // Of those that weigh as much as the heaviest that goes, as many stay as there is room for.
        let mut room = KEPT - heavier.iter().filter(|weight| **weight > least).count();
        let mut given_up = 0;
        self.names.retain(|_, seen| {
            let stays = seen.weight > least || (seen.weight == least && room > 0);
            if !stays {
                given_up += seen.count;
            } else if seen.weight == least {
                room -= 1;
            }
            seen.weight = seen.weight.saturating_sub(least);
            stays
        });
        self.given_up += given_up;
    }

    /// The first of them, those seen most first.
    pub(super) fn first(&self, most: usize) -> Vec<(&str, u64, &T)> {
        let mut names: Vec<_> =
            self.names.iter().map(|(name, seen)| (name.as_str(), seen.count, &seen.value)).collect();
        names.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        names.truncate(most);
        names
    }

    /// How often others were seen than those that [`Top::first`] gives.
    pub(super) fn others(&self, most: usize) -> u64 {
        let all: u64 = self.names.values().map(|seen| seen.count).sum();
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
    fn what_comes_late_is_among_the_first_too() {
        let mut top = Top::<()>::default();
        for name in 0..500 {
            for _ in 0..400 {
                top.add(&format!("/early/{name}"));
            }
        }
        for n in 0..500_000 {
            top.add(&if n % 4 == 0 { "/new".to_owned() } else { format!("/once/{n}") });
        }
        let (name, count, ()) = top.first(1)[0];
        assert!(name == "/new" && count > 125_000 - 700_000 / 500, "{name} {count}");
        assert_eq!(top.total(), 700_000);
    }

    #[test]
    fn of_those_seen_as_often_as_others_as_many_stay_as_there_is_room_for() {
        let mut top = Top::<()>::default();
        for n in 0..100_100 {
            top.add(&format!("/{}", n % 1001));
        }
        assert!(top.names.len() >= KEPT, "{}", top.names.len());
    }

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
