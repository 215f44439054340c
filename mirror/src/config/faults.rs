//! What is wrong with the settings: each fault with its place, its value and what was expected there.

use std::borrow::Cow;
use std::fmt;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a key's path (`shadow[0].lag`), a flag (`--fraction`), or a position in the file.
    pub place: String,
    /// What stands there, where something does.
    pub value: Option<String>,
    /// What should, in words that follow "expected".
    pub expected: String,
}

impl Fault {
    /// A fault of the value that stands at `place`.
    pub fn new(place: impl Into<String>, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        Fault { place: place.into(), value: Some(value.to_string()), expected: expected.into() }
    }

    /// A fault of a place at which nothing stands, or of the whole of it.
    pub fn missing(place: impl Into<String>, expected: impl Into<String>) -> Self {
        Fault { place: place.into(), value: None, expected: expected.into() }
    }
}

/// Faults end up in logs: of an address with a user and a password, which is refused, neither is repeated.
fn without_password(value: &str) -> String {
    let authority = value.find("//").map_or(0, |slashes| slashes + 2);
    let end = value[authority..].find(['/', '?', '#']).map_or(value.len(), |end| authority + end);
    match value[authority..end].rfind('@') {
        Some(at) if authority > 0 || value[..at].contains(':') => {
            format!("{}***{}", &value[..authority], &value[authority + at..])
        }
        _ => value.to_owned(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            // Quoted and escaped, so that a line break in a value cannot forge a second fault.
            Some(value) => write!(f, "{}: {:?}: expected {}", self.place, without_password(value), self.expected),
            None => write!(f, "{}: expected {}", self.place, self.expected),
        }
    }
}

/// All faults found, in the order of their discovery. Shown one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// `Ok` if there is none.
    pub fn or_ok(self) -> Result<(), Faults> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Faults(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Why a text is not a value of its type: what was expected in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub Cow<'static, str>);

impl From<&'static str> for Expected {
    fn from(expected: &'static str) -> Self {
        Expected(expected.into())
    }
}

impl From<String> for Expected {
    fn from(expected: String) -> Self {
        Expected(expected.into())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for Expected {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_repeated() {
        for (value, told) in [
            ("http://me:secret@app:80/x@y", "http://***@app:80/x@y"),
            ("me:secret@app:80", "***@app:80"),
            ("http://app/a@b", "http://app/a@b"),
            ("a@b", "a@b"),
        ] {
            let shown = Fault::new("upstream", value, "another").to_string();
            assert_eq!(shown, format!("upstream: {told:?}: expected another"));
        }
    }

    #[test]
    fn one_line_a_fault() {
        let faults = Faults(vec![
            Fault::new("--fraction", "150%", "0% to 100%"),
            Fault::missing("upstream", "an address"),
            Fault::new("log.level", "a\nb", "a level"),
        ]);
        let shown = "--fraction: \"150%\": expected 0% to 100%\n\
                     upstream: expected an address\n\
                     log.level: \"a\\nb\": expected a level";
        assert_eq!(faults.to_string(), shown);
    }
}
