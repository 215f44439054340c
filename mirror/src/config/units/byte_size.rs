//! How many bytes.

use std::fmt;
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;

/// A number of bytes: `256MiB`, `10MB`, `64KiB`, `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const EXPECTED: &str = "a size in bytes, as in 256MiB, 10MB, 64KiB or 1048576";

/// Largest first, the powers of two before those of ten, as [`ByteSize`]'s Display prefers them.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

impl ByteSize {
    /// This many bytes.
    pub const fn new(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// This many times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        ByteSize(n << 10)
    }

    /// This many times 1024 × 1024 bytes.
    pub const fn mib(n: u64) -> Self {
        ByteSize(n << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, as a length in memory.
    pub const fn as_usize(self) -> usize {
        // More than the address space holds bounds nothing, on a machine of any width.
        if self.0 > usize::MAX as u64 { usize::MAX } else { self.0 as usize }
    }
}

impl FromStr for ByteSize {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim_start());
        let scale = match unit {
            "" | "B" | "b" => 1,
            unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(EXPECTED)?.1,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits: u128 = [whole, part].concat().parse().map_err(|_| EXPECTED)?;
        let parts = 10u128.checked_pow(part.len() as u32).ok_or(EXPECTED)?;
        let bytes = digits.checked_mul(u128::from(scale)).ok_or(EXPECTED)?;
        // 1.5GiB is a number of bytes; 0.3kB is, 0.3B is not.
        if bytes % parts != 0 {
            return Err(EXPECTED.into());
        }
        u64::try_from(bytes / parts).map(ByteSize).map_err(|_| EXPECTED.into())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, scale)| self.0 != 0 && self.0.is_multiple_of(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

one_word!(ByteSize, "ByteSize", {
    "description": "A number of bytes, with or without a unit: KiB, MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB (powers of 1000).",
    "anyOf": [
        { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? *([KkMmGgTt][Ii]?)?[Bb]?$" },
        { "type": "integer", "minimum": 0 }
    ],
    "examples": ["256MiB", "10MB", "64KiB", 1048576]
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units() {
        for (text, bytes) in [
            ("0", 0),
            ("7", 7),
            ("7B", 7),
            ("64KiB", 65_536),
            ("64kib", 65_536),
            ("10MB", 10_000_000),
            ("256 MiB", 268_435_456),
            ("1.5GiB", 1_610_612_736),
            ("2TB", 2_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5",
            "0.3B",
            "10 megs",
            "1M",
            "1.2.3KiB",
            "18446744073709551616",
            "16777216TiB",
            "1e6",
            "+5",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_one_would_write_it() {
        for (bytes, shown) in
            [(0, "0"), (1023, "1023"), (1 << 20, "1MiB"), (10_000_000, "10MB"), (5_000, "5kB"), (1536, "1536")]
        {
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(n: u64, shift in 0u32..64) {
            let size = ByteSize(n >> shift << (shift / 2));
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
