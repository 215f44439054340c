//! Moments of a recording, as users type them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

use crate::config::{Expected, Period};

/// A moment in recorded time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Of the clock: `2026-11-24T09:30:00Z` (RFC 3339). Without an offset it is UTC, as in the names of recordings; without a time of day it
    /// is midnight.
    At(SystemTime),
    /// So long after the first exchange: `30s`, `+1h30m`.
    After(Duration),
}

const EXPECTED: &str = "a time as in 2026-11-24T09:30:00Z, or how long after the first exchange, as in 30s or +1h30m";

/// The forms without an offset.
const FORMS: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

impl Moment {
    /// When that is in a recording that begins at `first`.
    pub fn from(self, first: SystemTime) -> SystemTime {
        match self {
            Moment::At(time) => time,
            Moment::After(distance) => first.checked_add(distance).unwrap_or(first),
        }
    }
}

impl FromStr for Moment {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Moment, Expected> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Moment::At(time.into()));
        }
        let naive = FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let midnight = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN));
        if let Some(time) = naive.or_else(midnight) {
            return Ok(Moment::At(time.and_utc().into()));
        }
        let period: Period = text.strip_prefix('+').unwrap_or(text).parse().map_err(|_| EXPECTED)?;
        Ok(Moment::After(period.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::At(time) => f.write_str(&DateTime::<Utc>::from(*time).to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Moment::After(distance) => write!(f, "+{}", Period(*distance)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_distances() {
        for (text, shown) in [
            ("2026-11-24T09:30:00Z", "2026-11-24T09:30:00Z"),
            ("2026-11-24T09:30:00.250+02:00", "2026-11-24T07:30:00.250Z"),
            ("2026-11-24T09:30:00", "2026-11-24T09:30:00Z"),
            ("2026-11-24 09:30", "2026-11-24T09:30:00Z"),
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("30s", "+30s"),
            ("+1h30m", "+1h30m"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(moment));
        }
        for text in ["", "+", "noon", "30", "-5s", "2026-13-01", "09:30", "2026-11-24T25:00:00Z"] {
            assert_eq!(text.parse::<Moment>(), Err(EXPECTED.into()), "{text}");
        }
    }

    #[test]
    fn a_distance_counts_from_the_first_exchange() {
        let first = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert_eq!(Moment::After(Duration::from_secs(5)).from(first), first + Duration::from_secs(5));
        assert_eq!(Moment::At(SystemTime::UNIX_EPOCH).from(first), SystemTime::UNIX_EPOCH);
    }
}
