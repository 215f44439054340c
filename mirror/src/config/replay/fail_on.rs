//! What makes a replay a failure, in a small language: `failed,dropped,status>=500>1%`.

use std::fmt;
use std::str::FromStr;

use crate::config::Expected;
use crate::config::text::one_word;

/// What makes a replay a failure; of an empty one nothing does.
#[derive(Debug, Clone, PartialEq)]
pub struct FailOn(pub Vec<(Failing, Allowed)>);

/// One thing that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// Copies that were not answered.
    Failed,
    /// Copies that were given up.
    Dropped,
    /// Recorded requests that could not be sent.
    LeftOut,
    /// Not one request was there for any target or recording.
    Nothing,
    /// Recordings of which something could not be read.
    Unread,
    /// Targets whose p99 of lateness is above `late`.
    Late,
    /// Answers with another status than the recorded one.
    DifferentStatus,
    /// Answers with such a status.
    Status(StatusIs),
}

/// A range of statuses, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusIs {
    comparison: Comparison,
    code: Code,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Not,
    Is,
    Above,
    Below,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    One(u16),
    /// A hundred of them, by the first digit.
    Class(u16),
}

/// How much of it is none yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// So many.
    Count(u64),
    /// So many in a hundred.
    Percent(f64),
}

const EXPECTED: &str = "a list of failed, dropped, left-out, nothing, unread, late, different-status and statuses, as in status>=500 \
                        or status=5xx, each with what is allowed behind it where that is not none, as in failed>0.1%; or none";

const NAMES: [(&str, Failing); 7] = [
    ("failed", Failing::Failed),
    ("dropped", Failing::Dropped),
    ("left-out", Failing::LeftOut),
    ("nothing", Failing::Nothing),
    ("unread", Failing::Unread),
    ("late", Failing::Late),
    ("different-status", Failing::DifferentStatus),
];

/// The longer ones first.
const COMPARISONS: [(&str, Comparison); 6] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("!=", Comparison::Not),
    ("=", Comparison::Is),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

impl StatusIs {
    /// Whether it is one of these.
    pub fn holds(self, status: u16) -> bool {
        let (first, last) = match self.code {
            Code::One(code) => (code, code),
            Code::Class(digit) => (digit * 100, digit * 100 + 99),
        };
        match self.comparison {
            Comparison::AtLeast => status >= first,
            Comparison::AtMost => status <= last,
            Comparison::Not => !(first..=last).contains(&status),
            Comparison::Is => (first..=last).contains(&status),
            Comparison::Above => status > last,
            Comparison::Below => status < first,
        }
    }

    /// What stands at the start of this, and the rest.
    fn split(text: &str) -> Option<(StatusIs, &str)> {
        let text = text.trim_start();
        let (sign, comparison) = COMPARISONS.iter().find(|(sign, _)| text.starts_with(sign))?;
        let text = text[sign.len()..].trim_start();
        let (code, rest) = (text.get(..3)?, &text[3..]);
        let code = match code.strip_suffix("xx") {
            Some(digit) => Code::Class(digit.parse().ok().filter(|digit| (1..=9).contains(digit))?),
            None => Code::One(code.parse().ok().filter(|code| (100..=999).contains(code))?),
        };
        Some((StatusIs { comparison: *comparison, code }, rest))
    }
}

impl Allowed {
    /// Whether so many, of so many in all, are more.
    pub fn is_exceeded(self, count: u64, of: u64) -> bool {
        match self {
            Allowed::Count(most) => count > most,
            Allowed::Percent(most) => count as f64 * 100.0 > most * of as f64,
        }
    }

    fn parse(text: &str) -> Option<Allowed> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Allowed::Count(0));
        }
        let text = text.strip_prefix('>')?.trim();
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse().ok()?;
                (0.0..=100.0).contains(&percent).then_some(Allowed::Percent(percent))
            }
            None => text.parse().ok().map(Allowed::Count),
        }
    }
}

impl Default for FailOn {
    /// All was sent and answered, and that was something.
    fn default() -> FailOn {
        FailOn(
            [Failing::Failed, Failing::Dropped, Failing::LeftOut, Failing::Nothing]
                .map(|what| (what, Allowed::Count(0)))
                .into(),
        )
    }
}

impl FromStr for FailOn {
    type Err = Expected;

    fn from_str(text: &str) -> Result<FailOn, Expected> {
        if text.trim() == "none" {
            return Ok(FailOn(Vec::new()));
        }
        text.split(',').map(|term| term_of(term.trim())).collect::<Option<_>>().map(FailOn).ok_or(EXPECTED.into())
    }
}

fn term_of(text: &str) -> Option<(Failing, Allowed)> {
    let (failing, rest) = match text.strip_prefix("status") {
        Some(rest) => StatusIs::split(rest).map(|(status, rest)| (Failing::Status(status), rest))?,
        None => NAMES.iter().find_map(|(name, failing)| Some((*failing, text.strip_prefix(name)?)))?,
    };
    Some((failing, Allowed::parse(rest)?))
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Failing::Status(StatusIs { comparison, code }) = self {
            f.write_str("status")?;
            f.write_str(COMPARISONS.iter().find(|(_, known)| known == comparison).map_or("", |(sign, _)| sign))?;
            return match code {
                Code::One(code) => code.fmt(f),
                Code::Class(digit) => write!(f, "{digit}xx"),
            };
        }
        f.write_str(NAMES.iter().find(|(_, known)| known == self).map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Count(0) => Ok(()),
            Allowed::Count(most) => write!(f, ">{most}"),
            Allowed::Percent(most) => write!(f, ">{most}%"),
        }
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (failing, allowed)) in self.0.iter().enumerate() {
            write!(f, "{}{failing}{allowed}", if i == 0 { "" } else { "," })?;
        }
        if self.0.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

one_word!(FailOn, "FailOn", {
    "description": "What makes a replay a failure: a list with commas, or none.",
    "type": "string",
    "examples": ["failed,dropped,left-out,nothing", "failed>0.1%,status>=500", "different-status,late", "none"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, shown) in [
            ("failed,dropped,left-out", "failed,dropped,left-out"),
            ("failed > 0.5% , status >= 500 > 10", "failed>0.5%,status>=500>10"),
            ("status=5xx,status!=200,status<400>1%", "status=5xx,status!=200,status<400>1%"),
            ("unread,late,nothing,different-status", "unread,late,nothing,different-status"),
            ("none", "none"),
        ] {
            let fail_on: FailOn = text.parse().unwrap();
            assert_eq!(fail_on.to_string(), shown);
            assert_eq!(shown.parse(), Ok(fail_on));
        }
        for text in [
            "",
            "fail",
            "failed,",
            "failed,none",
            "status",
            "status>=",
            "status>=5",
            "status=0xx",
            "failed>x",
            "late>101%",
        ] {
            assert!(text.parse::<FailOn>().is_err(), "{text}");
        }
    }

    #[test]
    fn statuses() {
        let holds = |text: &str, status| {
            let FailOn(terms) = text.parse().unwrap();
            let [(Failing::Status(is), _)] = terms[..] else { panic!("{terms:?}") };
            is.holds(status)
        };
        for (text, inside, outside) in [
            ("status>=500", 500, 499),
            ("status=4xx", 499, 500),
            ("status!=200", 201, 200),
            ("status>4xx", 500, 499),
            ("status<=404", 404, 405),
        ] {
            assert!(holds(text, inside) && !holds(text, outside), "{text}");
        }
    }

    #[test]
    fn what_is_allowed() {
        assert!(Allowed::Count(0).is_exceeded(1, 10) && !Allowed::Count(1).is_exceeded(1, 10));
        assert!(Allowed::Percent(1.0).is_exceeded(2, 100) && !Allowed::Percent(1.0).is_exceeded(1, 100));
        assert!(!Allowed::Percent(0.0).is_exceeded(0, 0));
    }
}
