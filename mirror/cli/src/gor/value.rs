//! The values of flags, as Go and GoReplay write them.

use std::time::Duration;

use mirror::config::Expected;

use super::flag::Kind;

/// Whether it is a value of this kind.
pub(super) fn check(kind: Kind, text: &str) -> Result<(), Expected> {
    match kind {
        Kind::Switch => switch(text).map(drop).ok_or("true or false".into()),
        Kind::Text | Kind::List => Ok(()),
        Kind::Number => number(text).map(drop).ok_or("a whole number, as in 10".into()),
        Kind::Time => time(text).map(drop).ok_or("a time as Go writes it, as in 5s, 1m30s or 1.5h".into()),
        Kind::Size => size(text).map(drop).ok_or("a size as GoReplay writes it, as in 32mb, 512k or 1gb".into()),
    }
}

/// The words that Go takes for a switch that is on or off (`strconv.ParseBool`).
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number of at least zero: less than none makes sense nowhere.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The units of Go's `time.ParseDuration`, in nanoseconds. A longer one stands before one that it begins with.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// A time: numbers, each with its unit, or a zero alone.
pub(super) fn time(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, scale) = UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        nanoseconds += number * scale;
        rest = &rest[end + unit.len()..];
    }
    // Ten years, as our own times; in it a float is exact to the microsecond.
    (nanoseconds <= 3.2e17).then(|| Duration::from_nanos(nanoseconds.round() as u64))
}

/// A number of bytes: with `k`, `kb`, `m`, `mb`, `g`, `gb`, `t` or `tb`, in either case, of 1024 each.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        b't' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let digits = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?;
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("100ms", 100_000_000),
            ("3µs", 3_000),
            ("7ns", 7),
            ("1h0m0.001s", 3_600_001_000_000),
        ] {
            assert_eq!(time(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1 s", "1d", "1.2.3s", "5s5", "999999h99999999h"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("32k", 32 << 10),
            ("32mb", 32 << 20),
            ("32MB", 32 << 20),
            ("1gb", 1 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "mb", "-1", "1.5mb", "1kib", "1 mb", "99999999999tb"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(
            ["0", "+7", "12", "-1", "1.5", "", "x"].map(number),
            [Some(0), Some(7), Some(12), None, None, None, None]
        );
    }
}
