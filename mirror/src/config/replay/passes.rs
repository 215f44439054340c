use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;

/// How often something is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// So often.
    Times(NonZeroU64),
    /// Until something else ends it.
    Forever,
}

impl Default for Passes {
    fn default() -> Passes {
        Passes::Times(NonZeroU64::MIN)
    }
}

impl Passes {
    /// Whether so many are all.
    pub fn are_over(self, done: u64) -> bool {
        match self {
            Passes::Times(times) => done >= times.get(),
            Passes::Forever => false,
        }
    }
}

impl FromStr for Passes {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Passes, Expected> {
        match (text, text.parse()) {
            ("forever", _) => Ok(Passes::Forever),
            (_, Ok(times)) => Ok(Passes::Times(times)),
            _ => Err("how often, as in 3, or forever".into()),
        }
    }
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Passes::Times(times) => times.fmt(f),
            Passes::Forever => f.write_str("forever"),
        }
    }
}

one_word!(Passes, "Passes", {
    "description": "How often: a number of at least 1, or forever.",
    "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": "^(forever|[1-9][0-9]*)$" }],
    "examples": [3, "forever"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_for_ever() {
        for text in ["1", "3", "forever"] {
            assert_eq!(text.parse::<Passes>().unwrap().to_string(), text);
        }
        for text in ["", "0", "-1", "1.5", "always", "traffic.avro"] {
            assert!(text.parse::<Passes>().is_err(), "{text}");
        }
    }
}
