//! Times as formats write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

/// Microseconds since 1970, rounded down; beyond an `i64` its first or last.
pub(super) fn micros_since_epoch(time: SystemTime) -> i64 {
    let micros = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => return i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1000)),
    };
    micros.map_or(i64::MIN, |micros| -micros)
}

/// The time so many microseconds after 1970, or before; none where the system has no such time.
pub(super) fn at_micros(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// As RFC 3339 has it, in UTC, to the microsecond; none outside of the years 0 to 9999, for which it has no form.
pub(super) fn rfc3339(time: SystemTime) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_micros(micros_since_epoch(time))?;
    (0..=9999).contains(&time.year()).then(|| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The time that such a text says, in any zone, to the microsecond.
pub(super) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    at_micros(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_down_on_both_sides_of_the_epoch() {
        let at = Duration::from_nanos(1_500);
        assert_eq!(micros_since_epoch(UNIX_EPOCH + at), 1);
        assert_eq!(micros_since_epoch(UNIX_EPOCH - at), -2);
    }

    #[test]
    fn texts_say_the_same_time_again() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_735_732_805_123_456, "2025-01-01T12:00:05.123456Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            let time = at_micros(micros).unwrap();
            assert_eq!(rfc3339(time).as_deref(), Some(text));
            assert_eq!(from_rfc3339(text), Some(time));
        }
        assert_eq!(rfc3339(at_micros(i64::MAX).unwrap()), None);
        assert_eq!(from_rfc3339("2025-01-01T13:00:05.123+01:00"), at_micros(1_735_732_805_123_000));
        assert_eq!(from_rfc3339("yesterday"), None);
    }
}
