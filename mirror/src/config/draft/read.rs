//! From the tree to the typed config, past every fault.
//!
//! A typed read stops at the first fault. So that all are found, what is at fault is taken out of the tree and the rest is read
//! again, until the read succeeds. The config that results is good for finding more faults, and for nothing else.

use serde_path_to_error::Segment;

use super::node::{Kind, Node, Step};
use crate::config::{BackoffConfig, Config, Fault, ReplayConfig};

/// More are not told: each costs a read of the whole tree, and nobody mends a hundred at a time.
const MOST_FAULTS: usize = 100;
/// Beyond the faults, reads are for keys with nothing after them, each of which takes one.
const MOST_READS: usize = 1000;

/// The config of what could be read, and the keys of what could not.
pub(super) fn read(root: &mut Node, faults: &mut Vec<Fault>) -> (Option<Config>, Vec<String>) {
    let mut unread = Vec::new();
    for _ in 0..MOST_READS {
        if faults.len() >= MOST_FAULTS {
            return (None, unread);
        }
        let error = match serde_path_to_error::deserialize::<_, Config>(root.to_value()) {
            Ok(mut config) => {
                fit_targets(&mut config, root);
                return (Some(config), unread);
            }
            Err(error) => error,
        };
        let message = error.inner().to_string();
        // As far as the tree goes: a short form has fewer nodes than the type.
        let mut steps = Vec::new();
        for segment in error.path() {
            steps.push(match segment {
                Segment::Seq { index } => Step::Index(*index),
                Segment::Map { key } => Step::Key(key.clone()),
                Segment::Enum { .. } | Segment::Unknown => break,
            });
            if root.find(&steps).is_none() {
                steps.pop();
                break;
            }
        }
        let node = root.find(&steps).expect("found above");
        let told = fault(node, &message);
        // A key that counts as not given is not one that could not be read: what is missing for want of it is to be told.
        let not_given = told.is_none() && node.is_null();
        faults.extend(told);
        let Some((last, above)) = steps.split_last() else {
            return (None, unread);
        };
        if !not_given {
            unread.push(node.key.clone());
        }
        // A slip of the pen leaves the key that was meant unread.
        if let (Some(known), Step::Key(key)) = (known_keys(&message), last) {
            let above = &root.find(above).expect("found with what is below it").key;
            unread.extend(nearest(key, &known).into_iter().map(|meant| Step::Key(meant.to_owned()).after(above)));
        }
        root.remove(&steps);
    }
    faults.push(Fault::missing("the settings", format!("fewer than {MOST_READS} keys with nothing after them")));
    (None, unread)
}

/// What a replay has for targets that do not say it themselves.
fn fit_targets(config: &mut Config, root: &Node) {
    let Some(replay) = &config.replay else { return };
    for (i, shadow) in config.shadow.iter_mut().enumerate() {
        let said = |key: &str| {
            let at = |path: &str| Step::parse(path).is_some_and(|steps| root.find(&steps).is_some());
            at(&format!("shadow.{i}.{key}")) || i == 0 && at(&format!("shadow.{key}"))
        };
        if !said("concurrency") {
            shadow.concurrency = replay.target_concurrency();
        }
        if !said("connect_timeout") {
            shadow.connect_timeout = ReplayConfig::CONNECT_TIMEOUT;
        }
        if !said("backoff") {
            shadow.backoff = BackoffConfig::never();
        }
        if !said("order") {
            shadow.order = replay.order.clone();
        }
    }
}

/// The fault that serde's message tells of the node, if it is one.
fn fault(node: &Node, message: &str) -> Option<Fault> {
    if let Some(field) = message.strip_prefix("missing field ").map(|field| field.trim_matches('`')) {
        let place = match node.place == node.key {
            true => Step::Key(field.to_owned()).after(&node.key),
            false => node.place.clone(),
        };
        return (!node.damaged).then(|| Fault::missing(place, format!("the key `{field}`, which has no default")));
    }
    let known = known_keys(message);
    let expected = if let Some(known) = &known {
        let key = node.key.rsplit('.').next().unwrap_or_default();
        match nearest(key, known).as_slice() {
            [] => format!("a known key: one of {}", known.join(", ")),
            near => format!("a known key; did you mean `{}`?", near.join("` or `")),
        }
    } else if node.is_null() && !node.key.ends_with(']') {
        // A key with nothing after it, as when all below it is commented out, counts as not given.
        return None;
    } else if let Some((_, expected)) = message.rsplit_once(", expected ") {
        plain(expected)
    } else {
        message.strip_prefix("expected ").map_or_else(|| format!("something else ({message})"), str::to_owned)
    };
    let value = match &node.kind {
        Kind::Leaf(_) => node.word(),
        Kind::List(_) | Kind::Map(_) if known.is_some() => None,
        Kind::List(_) => Some("a list".to_owned()),
        Kind::Map(_) => Some("a map".to_owned()),
    };
    Some(Fault { place: node.place.clone(), value, expected })
}

/// The keys that would have been known, where serde's message is that one is not.
fn known_keys(message: &str) -> Option<Vec<&str>> {
    // The unknown one is the first in backticks, and may itself have some.
    let (_, known) = message.strip_prefix("unknown field ")?.rsplit_once(", expected ")?;
    Some(known.split('`').skip(1).step_by(2).collect())
}

/// Serde's words for what is expected, in words for who writes settings and not the program.
fn plain(expected: &str) -> String {
    match expected {
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number of at least 1".to_owned(),
        "usize" | "u32" | "u64" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "text (a number needs quotes)".to_owned(),
        "path string" => "a path".to_owned(),
        _ if expected.starts_with("struct ") => "a map of settings".to_owned(),
        _ if expected.starts_with("one of ") => expected.replace('`', ""),
        _ => expected.to_owned(),
    }
}

/// The known names that `key` is likely a slip of: as few letters away as any, and not more than a quarter of its own and one.
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Vec<&'a str> {
    if key.len() > 64 {
        // Longer than any key, and the distance takes its square.
        return Vec::new();
    }
    let distances: Vec<usize> = known.iter().map(|known| distance(key, known)).collect();
    let least = distances.iter().copied().min().unwrap_or(usize::MAX);
    // `max_body` for `maxBody`, `concurrency` for `concurency`, but not `record` for `reply`.
    let slip = least <= 1 + key.len() / 4;
    known.iter().zip(distances).filter(|(_, d)| slip && *d == least).map(|(known, _)| *known).collect()
}

/// Levenshtein's distance: how many letters are to be added, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_through() {
        let known = ["listen", "upstream", "shadow", "record", "rotate_size", "rotate_interval", "max_body"];
        for (slip, meant) in
            [("lisen", "listen"), ("shadows", "shadow"), ("maxBody", "max_body"), ("rotate-size", "rotate_size")]
        {
            assert_eq!(nearest(slip, &known), [meant]);
        }
        assert!(nearest("replay", &known).is_empty());
        assert!(nearest("", &known).is_empty());
    }
}
