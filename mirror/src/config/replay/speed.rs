use std::fmt;
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;

/// How fast recorded time goes by: `200%`, `2x`, `2`, `0.5`, or `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many percent of the recorded speed.
    Percent(f64),
    /// As fast as the targets take it.
    Max,
}

const EXPECTED: &str = "a speed, as in 200%, 10x or 0.5, or max";

/// From a hundred times slower to a hundred thousand times faster. Beyond, whoever types it means something else, such as `max`.
const BOUNDS: std::ops::RangeInclusive<f64> = 1.0..=1e7;

impl Speed {
    /// How many times as fast as recorded; none for `max`.
    pub fn factor(self) -> Option<f64> {
        match self {
            Speed::Percent(percent) => Some(percent / 100.0),
            Speed::Max => None,
        }
    }
}

impl FromStr for Speed {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Speed, Expected> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        // Shifted as text, so that what is typed is exactly what is shown.
        let (number, shift) = match text.strip_suffix('%') {
            Some(number) => (number, ""),
            None => (text.strip_suffix('x').unwrap_or(text), "e2"),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(EXPECTED.into());
        }
        let percent: f64 = format!("{number}{shift}").parse().map_err(|_| EXPECTED)?;
        match BOUNDS.contains(&percent) {
            true => Ok(Speed::Percent(percent)),
            false => Err("a speed from 1% to 100000x, or max".into()),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Speed::Percent(percent) => write!(f, "{percent}%"),
            Speed::Max => f.write_str("max"),
        }
    }
}

one_word!(Speed, "Speed", {
    "description": "A speed: a percentage or a multiple of the recorded one, or max.",
    "anyOf": [
        { "type": "string", "pattern": r"^(max|[0-9]*\.?[0-9]+[%x]?)$" },
        { "type": "number", "minimum": 0.01, "maximum": 100_000 }
    ],
    "examples": ["200%", "10x", "max"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        for (text, factor, shown) in [
            ("100%", 1.0, "100%"),
            ("200%", 2.0, "200%"),
            ("10x", 10.0, "1000%"),
            ("2", 2.0, "200%"),
            ("0.1", 0.1, "10%"),
            (".5x", 0.5, "50%"),
            ("12.5%", 0.125, "12.5%"),
        ] {
            let speed: Speed = text.parse().unwrap();
            assert_eq!((speed.factor(), &*speed.to_string()), (Some(factor), shown), "{text}");
            assert_eq!(shown.parse(), Ok(speed));
        }
        assert_eq!("max".parse::<Speed>().unwrap().factor(), None);
        for text in ["", "%", "x", "0", "0%", "0.5%", "-1", "2 x", "1e3", "inf", "fast", "1.2.3", "100001x"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
