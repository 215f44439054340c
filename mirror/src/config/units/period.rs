//! How long.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::config::Expected;
use crate::config::text::one_word;

/// A length of time, always with its unit: `30s`, `500ms`, `2m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

const EXPECTED: &str = "a time with its unit, as in 30s, 500ms, 2m or 1h30m";

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Ten years: longer than any run, and far below where adding to a clock overflows.
const LONGEST_DAYS: u64 = 3650;

impl FromStr for Period {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let longest = LONGEST_DAYS * UNITS[0].1;
        let (mut rest, mut total) = (text, 0u64);
        while !rest.is_empty() || text.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
            let (number, tail) = rest.split_at(number_end);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(EXPECTED)?;
            let number: u64 = number.parse().map_err(|_| EXPECTED)?;
            total = number
                .checked_mul(*scale)
                .and_then(|nanos| total.checked_add(nanos))
                .filter(|total| *total <= longest)
                .ok_or_else(|| format!("a time of at most {LONGEST_DAYS}d"))?;
            rest = tail;
        }
        Ok(Period(Duration::from_nanos(total)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        // Days are read but not written: 36h says more than 1d12h.
        for (unit, scale) in &UNITS[1..] {
            let count = rest / u128::from(*scale);
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            rest %= u128::from(*scale);
        }
        Ok(())
    }
}

one_word!(Period, "Period", {
    "description": "A length of time with its unit: d, h, m, s, ms, us, ns, or several of them, largest first.",
    "type": "string",
    "pattern": "^([0-9]+(d|h|m|s|ms|us|ns))+$",
    "examples": ["30s", "500ms", "2m", "1h30m"]
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units() {
        for (text, millis) in [
            ("30s", 30_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("0s", 0),
            ("1s5ms", 1_005),
        ] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in ["", "30", "s", "1.5s", "-1s", "30 s", "1h30", "1x", "99999999999999999999s", "4000d"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_one_would_write_it() {
        for text in ["30s", "500ms", "2m", "1h30m", "36h", "0s", "1m500ms", "3ns"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(nanos in 0u64..300_000_000_000_000_000) {
            let period = Period(Duration::from_nanos(nanos));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }
    }
}
