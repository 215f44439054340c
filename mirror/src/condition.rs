//! What may be asked of an exchange: by filters, by rates and splits that concern some exchanges only, and by `mirror inspect --where`.
//!
//! Two forms come to the same [`Condition`]: an expression (`method = GET and status >= 500`, [`parse`]) and, in YAML, a map
//! (`{method: GET, status: 5xx}`, [`crate::config::ConditionConfig`]).
//!
//! A condition may be asked before the response is there. It has an answer then where the request alone decides ([`Condition::holds`]), so
//! that an exchange is held back for its response only where that matters.

mod facts;
mod field;
mod key;
mod parse;
mod pattern;
mod range;
mod recorded;

pub(crate) use facts::target_parts;
pub use facts::{Facts, ResponseFacts};
pub use field::Field;
pub use key::Key;
pub use parse::ConditionError;
pub use pattern::{Pattern, PatternError};
pub use range::Range;

pub(crate) use field::{cookies, media_type};
pub(crate) use parse::{network, range, text_pattern};

/// A question about an exchange.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Each of these holds; none at all is true.
    All(Vec<Condition>),
    /// One of these holds; none at all is false.
    Any(Vec<Condition>),
    /// This does not hold.
    Not(Box<Condition>),
    /// A text of the exchange matches one of the patterns. What is not there matches none.
    Text(Field, Vec<Pattern>),
    /// It is there.
    Present(Field),
    /// A number of the exchange is in one of the ranges.
    Number(Field, Vec<Range>),
    /// The client's address is in one of the networks. An unknown one is in none.
    Client(Vec<ipnet::IpNet>),
}

impl Condition {
    /// Whether it holds; none while that hangs on the response, which is not there yet.
    pub fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Condition::All(parts) => fold(parts, facts, false),
            Condition::Any(parts) => fold(parts, facts, true),
            Condition::Not(part) => part.holds(facts).map(|holds| !holds),
            Condition::Text(field, patterns) => {
                field.texts(facts, |text| patterns.iter().any(|pattern| pattern.matches(text)))
            }
            Condition::Present(field) => field.texts(facts, |_| true),
            Condition::Number(field, ranges) => {
                let number = field.number(facts)?;
                Some(number.is_some_and(|number| ranges.iter().any(|range| range.contains(number))))
            }
            Condition::Client(networks) => {
                let Some(client) = facts.client else { return Some(false) };
                let client = client.ip().to_canonical();
                Some(networks.iter().any(|network| network.contains(&client)))
            }
        }
    }

    /// Whether the response may matter.
    pub fn needs_response(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().any(Condition::needs_response),
            Condition::Not(part) => part.needs_response(),
            Condition::Text(field, _) | Condition::Present(field) | Condition::Number(field, _) => {
                field.needs_response()
            }
            Condition::Client(_) => false,
        }
    }
}

/// `decisive` if any part is that, the contrary if all parts are, and unknown otherwise: Kleene's strong logic.
fn fold(parts: &[Condition], facts: &Facts<'_>, decisive: bool) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part.holds(facts) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

#[cfg(test)]
mod tests;
