//! How much of the traffic.

use std::fmt;
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;

/// A part of the traffic, exact: `25%`, `12.5%`, `1/1000`, `0.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fraction {
    // Reduced, so that equal fractions compare equal; numerator ≤ denominator, denominator > 0.
    numerator: u64,
    denominator: u64,
}

const EXPECTED: &str = "a fraction from 0% to 100%, as in 25%, 12.5%, 1/1000 or 0.25";

impl Fraction {
    /// All of it.
    pub const ALL: Fraction = Fraction { numerator: 1, denominator: 1 };
    /// Nothing of it.
    pub const NONE: Fraction = Fraction { numerator: 0, denominator: 1 };

    /// `numerator` of `denominator`; none where that is more than all, or of nothing.
    pub fn new(numerator: u64, denominator: u64) -> Option<Fraction> {
        if denominator == 0 || numerator > denominator {
            return None;
        }
        let divisor = gcd(numerator, denominator);
        Some(Fraction { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// Whether the exchange with this id is in. The same for everyone who asks with the same id, so that an exchange goes to all
    /// targets or to none; and an exchange that is in at 10% is in at 20% as well.
    pub fn takes(self, id: u128) -> bool {
        self.takes_hash(id as u64 ^ mix((id >> 64) as u64))
    }

    /// Whether what has this hash is in: the same for all with the same hash, however unevenly hashes are spread.
    pub fn takes_hash(self, hash: u64) -> bool {
        let hash = mix(hash);
        // hash / 2^64 < numerator / denominator, without a division: both products fit in 128 bits.
        u128::from(hash) * u128::from(self.denominator) < u128::from(self.numerator) << 64
    }

    /// Whether the one with this number, of a hundred that are counted from 0, is in: the first so many are.
    pub fn takes_of_hundred(self, number: u32) -> bool {
        u128::from(number) * u128::from(self.denominator) < u128::from(self.numerator) * 100
    }
}

/// The finalizer of SplitMix64: every input bit flips every output bit with a probability near one half, so that ids that count
/// up are spread evenly. It is David Stafford's variant 13 of MurmurHash3's; see Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014. The increment in front keeps 0 from mapping to 0.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `12.5` as (125, 10). Digits and at most one point; what does not fit in 64 bits is none.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = [whole, part].concat();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, 10u64.checked_pow(u32::try_from(part.len()).ok()?)?))
}

impl FromStr for Fraction {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (numerator, denominator) = if let Some(percent) = text.strip_suffix('%') {
            let (n, d) = decimal(percent).ok_or(EXPECTED)?;
            (n, d.checked_mul(100).ok_or(EXPECTED)?)
        } else if let Some((n, d)) = text.split_once('/') {
            let whole = |part: &str| decimal(part).filter(|(_, scale)| *scale == 1).map(|(n, _)| n);
            (whole(n).ok_or(EXPECTED)?, whole(d).ok_or(EXPECTED)?)
        } else {
            let (n, d) = decimal(text).ok_or(EXPECTED)?;
            if d == 1 && (2..=100).contains(&n) {
                return Err(format!("{EXPECTED}; did you mean {n}%?").into());
            }
            (n, d)
        };
        Fraction::new(numerator, denominator).ok_or(EXPECTED.into())
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denominator = u128::from(self.denominator);
        let percent = u128::from(self.numerator) * 100;
        // As a percentage where that ends after a few digits, else as it is: 1/3.
        let (mut rest, mut digits) = (percent % denominator, String::new());
        while rest != 0 && digits.len() < 6 {
            rest *= 10;
            digits.push(char::from(b'0' + (rest / denominator) as u8));
            rest %= denominator;
        }
        match (rest, digits.as_str()) {
            (0, "") => write!(f, "{}%", percent / denominator),
            (0, digits) => write!(f, "{}.{digits}%", percent / denominator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

one_word!(Fraction, "Fraction", {
    "description": "A part of the traffic: a percentage, a ratio, or a number from 0 to 1.",
    "anyOf": [
        { "type": "string", "pattern": r"^([0-9]+\.?[0-9]*%|[0-9]+/[0-9]+|[01]|[01]?\.[0-9]+)$" },
        { "type": "number", "minimum": 0, "maximum": 1 }
    ],
    "examples": ["25%", "12.5%", "1/1000", 0.25]
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fraction(text: &str) -> Fraction {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_says_the_same() {
        for text in ["25%", "1/4", "0.25", ".25", "25.0%", "250/1000"] {
            assert_eq!(fraction(text), Fraction { numerator: 1, denominator: 4 }, "{text}");
        }
        assert_eq!(fraction("1"), Fraction::ALL);
        assert_eq!(fraction("100%"), Fraction::ALL);
        assert_eq!(fraction("0"), Fraction::NONE);
    }

    #[test]
    fn what_is_no_fraction() {
        for text in
            ["", "%", ".", "150%", "100.1%", "2/1", "1/0", "0/0", "-1%", "1.5", "1e-3", "a%", "1/2/3", "1.0/2", "25 %"]
        {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
        assert!("25".parse::<Fraction>().unwrap_err().to_string().ends_with("did you mean 25%?"));
        assert!(format!("0.{}", "1".repeat(30)).parse::<Fraction>().is_err());
    }

    #[test]
    fn shown_as_one_would_write_it() {
        for (text, shown) in
            [("1/4", "25%"), ("1/8", "12.5%"), ("1/1000", "0.1%"), ("1/3", "1/3"), ("1/1", "100%"), ("0/7", "0%")]
        {
            assert_eq!(fraction(text).to_string(), shown);
        }
    }

    #[test]
    fn keys_are_spread_evenly() {
        use crate::condition::{Facts, Key};
        let key: Key = "path.1".parse().unwrap();
        for (of, expected) in [("10%", 10_000), ("50%", 50_000), ("99%", 99_000), ("1%", 1_000)] {
            let of = fraction(of);
            let taken = (0..100_000).filter(|user| {
                let (target, headers) = (format!("/{user}"), Default::default());
                let facts = Facts {
                    method: b"GET",
                    target: target.as_bytes(),
                    headers: &headers,
                    client: None,
                    source: "proxy",
                    request_size: None,
                    response: None,
                };
                of.takes_hash(key.hash(&facts).unwrap())
            });
            let off = taken.count().abs_diff(expected);
            assert!(off < 1_000, "{of}: {off} of 100,000 off");
        }
    }

    #[test]
    fn ids_that_count_up_are_spread_evenly() {
        for (text, expected) in [("10%", 10_000), ("1/1000", 100), ("50%", 50_000), ("1/3", 33_333)] {
            // Both halves of the id count, in turn.
            for shift in [0, 64] {
                let taken = (0..100_000u128).filter(|i| fraction(text).takes(i << shift)).count() as f64;
                let expected = f64::from(expected);
                assert!((taken - expected).abs() < 5.0 * expected.sqrt(), "{text}: {taken} of 100000");
            }
        }
    }

    #[test]
    fn the_first_of_a_hundred() {
        let taken = |text| (0..100).filter(|number| fraction(text).takes_of_hundred(*number)).count();
        assert_eq!(["0%", "1%", "25%", "99%", "100%"].map(taken), [0, 1, 25, 99, 100]);
    }

    proptest! {
        #[test]
        fn text_round_trips(a: u64, b in 1u64..) {
            let fraction = Fraction::new(a.min(b), a.max(b)).unwrap();
            prop_assert_eq!(fraction.to_string().parse(), Ok(fraction));
        }

        #[test]
        fn percentages_round_trip(thousandths in 0u64..=100_000) {
            let fraction = Fraction::new(thousandths, 100_000).unwrap();
            prop_assert_eq!(fraction.to_string().parse(), Ok(fraction));
        }

        #[test]
        fn more_takes_all_that_less_takes(id: u128, a in 0u64..=1000, b in 0u64..=1000) {
            let (less, more) = (Fraction::new(a.min(b), 1000).unwrap(), Fraction::new(a.max(b), 1000).unwrap());
            prop_assert!(!less.takes(id) || more.takes(id));
            prop_assert!(Fraction::ALL.takes(id) && !Fraction::NONE.takes(id));
        }
    }
}
