//! How much in a time.

use std::fmt;
use std::str::FromStr;

use super::ByteSize;
use crate::config::Expected;
use crate::config::text::one_word;

/// Requests in a time: `500/s`, `60/m`, `10/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    count: u64,
    per: Per,
}

/// Bytes in a time: `1MiB/s`, `10MB/m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate {
    size: ByteSize,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Per {
    const ALL: [(&'static str, Per); 3] = [("/s", Per::Second), ("/m", Per::Minute), ("/h", Per::Hour)];

    /// What stands before it, and it.
    fn split(text: &str) -> Option<(&str, Per)> {
        Per::ALL.iter().find_map(|(suffix, per)| Some((text.strip_suffix(suffix)?.trim_end(), *per)))
    }

    fn seconds(self) -> f64 {
        match self {
            Per::Second => 1.0,
            Per::Minute => 60.0,
            Per::Hour => 3600.0,
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Per::ALL[*self as usize].0)
    }
}

impl RequestRate {
    /// How many in a second.
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.per.seconds()
    }
}

impl ByteRate {
    /// How many bytes in a second.
    pub fn per_second(self) -> f64 {
        self.size.bytes() as f64 / self.per.seconds()
    }
}

impl FromStr for RequestRate {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let parts = Per::split(text).and_then(|(count, per)| Some((count.parse().ok()?, per)));
        match parts {
            Some((count @ 1.., per)) => Ok(RequestRate { count, per }),
            _ => Err("requests in a time, as in 500/s, 60/m or 10/h".into()),
        }
    }
}

impl FromStr for ByteRate {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let parts = Per::split(text).and_then(|(size, per)| Some((size.parse::<ByteSize>().ok()?, per)));
        match parts {
            Some((size, per)) if size.bytes() > 0 => Ok(ByteRate { size, per }),
            _ => Err("bytes in a time, as in 1MiB/s or 10MB/m".into()),
        }
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.per)
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.size, self.per)
    }
}

one_word!(RequestRate, "RequestRate", {
    "description": "Requests in a time.",
    "type": "string",
    "pattern": "^[0-9]+ */[smh]$",
    "examples": ["500/s", "60/m"]
});
one_word!(ByteRate, "ByteRate", {
    "description": "Bytes in a time.",
    "type": "string",
    "pattern": "^[0-9.]+ *[A-Za-z]* */[smh]$",
    "examples": ["1MiB/s"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, per_second) in [("500/s", 500.0), ("60/m", 1.0), ("36/h", 0.01)] {
            let rate: RequestRate = text.parse().unwrap();
            assert_eq!((rate.per_second(), rate.to_string()), (per_second, text.to_owned()));
        }
        let rate: ByteRate = "6MiB/m".parse().unwrap();
        assert_eq!((rate.per_second(), rate.to_string()), (104_857.6, "6MiB/m".to_owned()));
        for text in ["", "0/s", "5", "5/d", "1.5/s", "-1/s", "/s"] {
            assert!(text.parse::<RequestRate>().is_err(), "{text}");
        }
        for text in ["", "0MiB/s", "MiB/s", "1MiB"] {
            assert!(text.parse::<ByteRate>().is_err(), "{text}");
        }
    }
}
