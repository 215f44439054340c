//! Sizes, times and moments in few characters.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

/// In at most five characters, as `ls -h` has it: `0`, `999`, `1.5K`, `12M`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["", "K", "M", "G", "T", "P"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be shown as 1024 is one of the next.
    while value >= if unit == 0 { 1024.0 } else { 1023.5 } && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => bytes.to_string(),
        _ if value < 9.95 => format!("{value:.1}{}", UNITS[unit]),
        _ => format!("{value:.0}{}", UNITS[unit]),
    }
}

/// In at most seven characters: `1µs`, `1.23ms`, `45.6ms`, `1.23s`, `123s`, `2h05m`.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    let scaled = |value: f64, unit: &str| match value {
        ..9.995 => format!("{value:.2}{unit}"),
        ..99.95 => format!("{value:.1}{unit}"),
        _ => format!("{value:.0}{unit}"),
    };
    match micros {
        0..1000 => format!("{micros}µs"),
        1000..999_500 => scaled(micros as f64 / 1e3, "ms"),
        999_500..600_000_000 => scaled(micros as f64 / 1e6, "s"),
        _ => {
            let minutes = time.as_secs() / 60;
            match minutes / 60 {
                0 => format!("{minutes}m{:02}s", time.as_secs() % 60),
                hours @ 1..1000 => format!("{hours}h{:02}m", minutes % 60),
                hours => format!("{}d{:02}h", hours / 24, hours % 24),
            }
        }
    }
}

/// In UTC, to the millisecond: `2026-11-24T09:30:00.123Z`.
pub(crate) fn moment(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_characters() {
        for (bytes, shown) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (10_188, "9.9K"),
            (10_200, "10K"),
            (1_048_063, "1023K"),
            (1_048_065, "1.0M"),
            (u64::MAX, "16384P"),
        ] {
            assert_eq!(size(bytes), shown);
        }
        for (micros, shown) in [
            (0, "0µs"),
            (999, "999µs"),
            (1234, "1.23ms"),
            (45_600, "45.6ms"),
            (999_499, "999ms"),
            (999_500, "1.00s"),
            (123_456_000, "123s"),
            (605_000_000, "10m05s"),
            (7_500_000_000, "2h05m"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), shown);
        }
    }
}
