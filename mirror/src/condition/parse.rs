//! Conditions as expressions: `method in GET HEAD and not path = /health*`.
//!
//! ```text
//! or    = and { ("or" | "||") and }
//! and   = not { ("and" | "&&") not }
//! not   = ("not" | "!") not | "(" or ")" | test
//! test  = FIELD                              it is there
//!       | FIELD ("=" | "==" | "!=") value    as a glob, or a regular expression where it begins with "~"
//!       | FIELD ("~" | "!~") value           as a regular expression
//!       | FIELD ("<" | "<=" | ">" | ">=") number
//!       | FIELD "in" value { value }         one of these
//! value = a word, or a text in double quotes, in which \" and \\ stand for " and \
//! ```

use std::ops::Bound;
use std::str::FromStr;

use super::field::{NAMED, PLAIN, Values};
use super::pattern::{Kind, Pattern};
use super::{Condition, Field, Range};
use crate::config::{ByteSize, Period};

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at column {column}")]
pub struct ConditionError {
    /// Where, counted in characters from 1.
    pub column: usize,
    /// What should stand there, as in "a value".
    pub expected: String,
}

/// So deep may conditions be nested, that a file cannot overflow the stack.
const DEEPEST: usize = 64;

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Condition, ConditionError> {
        let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
        let condition = parser.or()?;
        match parser.peek() {
            None => Ok(condition),
            Some(_) => Err(parser.expected("`and`, `or` or the end")),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

/// The longest first.
const SIGNS: [&str; 15] = ["==", "!=", "!~", "<=", ">=", "&&", "||", "=", "~", "<", ">", "(", ")", "!", ","];

/// Tokens, each with the byte at which it begins.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ConditionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    // Where a value must come next, it is all up to white space, a bracket, or a comma that is not a glob's.
    let mut value = false;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        if next.is_whitespace() {
            at += next.len_utf8();
        } else if next == '"' {
            let (unquoted, length) = unquote(rest).ok_or_else(|| error(text, at, "a closing quote of the text"))?;
            tokens.push((at, Token::Quoted(unquoted)));
            at += length;
            value = false;
        } else if let (Some(sign), false) = (sign, value && !matches!(next, '(' | ')' | ',')) {
            tokens.push((at, Token::Sign(sign)));
            at += sign.len();
            value = !matches!(*sign, "&&" | "||" | "(" | ")" | "!" | ",");
        } else {
            let mut braces = 0_usize;
            let end = rest.find(|c: char| {
                braces = (braces + usize::from(c == '{')).saturating_sub(usize::from(c == '}'));
                c.is_whitespace()
                    || matches!(c, '(' | ')')
                    || (c == ',' && braces == 0)
                    || (!value && "=!~<>&|".contains(c))
            });
            let end = end.unwrap_or(rest.len()).max(next.len_utf8());
            tokens.push((at, Token::Word(rest[..end].to_owned())));
            at += end;
            value = false;
        }
    }
    Ok(tokens)
}

fn unquote(text: &str) -> Option<(String, usize)> {
    let mut unquoted = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((unquoted, at + 1)),
            '\\' => match characters.next()?.1 {
                escaped @ ('"' | '\\') => unquoted.push(escaped),
                // Most of them are of a regular expression's.
                other => unquoted.extend(['\\', other]),
            },
            other => unquoted.push(other),
        }
    }
    None
}

fn error(text: &str, byte: usize, expected: impl Into<String>) -> ConditionError {
    ConditionError { column: text[..byte].chars().count() + 1, expected: expected.into() }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn expected(&self, expected: impl Into<String>) -> ConditionError {
        let byte = self.tokens.get(self.at).map_or(self.text.len(), |(byte, _)| *byte);
        error(self.text, byte, expected)
    }

    /// Takes the next token if it is this word or sign.
    fn take(&mut self, wanted: &[&str]) -> bool {
        let taken = match self.peek() {
            Some(Token::Word(word)) => wanted.contains(&word.as_str()),
            Some(Token::Sign(sign)) => wanted.contains(sign),
            _ => false,
        };
        self.at += usize::from(taken);
        taken
    }

    fn or(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.and()?];
        while self.take(&["or", "||"]) {
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn and(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.not()?];
        while self.take(&["and", "&&"]) {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn not(&mut self) -> Result<Condition, ConditionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.expected(format!("at most {DEEPEST} conditions within each other")));
        }
        let condition = if self.take(&["not", "!"]) {
            Condition::Not(Box::new(self.not()?))
        } else if self.take(&["("]) {
            let inner = self.or()?;
            if !self.take(&[")"]) {
                return Err(self.expected("`)`"));
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn test(&mut self) -> Result<Condition, ConditionError> {
        let Some(Token::Word(name)) = self.peek() else { return Err(self.expected(fields())) };
        if name == "client" {
            return self.client();
        }
        let field: Field = name.parse().map_err(|()| self.expected(fields()))?;
        self.at += 1;
        for (sign, inverted) in [("=", false), ("==", false), ("!=", true), ("~", false), ("!~", true)] {
            if self.take(&[sign]) {
                let regex = sign.ends_with('~');
                let test = self.one_of(&field, regex, false)?;
                return Ok(if inverted { Condition::Not(Box::new(test)) } else { test });
            }
        }
        if self.take(&["in"]) {
            return self.one_of(&field, false, true);
        }
        for sign in ["<", "<=", ">", ">="] {
            if self.take(&[sign]) {
                if matches!(field.values(), Values::Texts(_)) {
                    self.at -= 1;
                    return Err(self.expected(format!("`=`, `!=`, `~`, `!~` or `in`, as {field} is a text")));
                }
                let number = self.value(|text| number(&field, text))?;
                let range = match sign {
                    "<" => Range(Bound::Unbounded, Bound::Excluded(number)),
                    "<=" => Range(Bound::Unbounded, Bound::Included(number)),
                    ">" => Range(Bound::Excluded(number), Bound::Unbounded),
                    _ => Range(Bound::Included(number), Bound::Unbounded),
                };
                return Ok(Condition::Number(field, vec![range]));
            }
        }
        Ok(Condition::Present(field))
    }

    fn client(&mut self) -> Result<Condition, ConditionError> {
        self.at += 1;
        let inverted = self.take(&["!="]);
        let many = !inverted && self.take(&["in"]);
        if !(inverted || many || self.take(&["=", "=="])) {
            return Err(self.expected("`=`, `!=` or `in`"));
        }
        let test = Condition::Client(self.values(many, network)?);
        Ok(if inverted { Condition::Not(Box::new(test)) } else { test })
    }

    fn one_of(&mut self, field: &Field, regex: bool, many: bool) -> Result<Condition, ConditionError> {
        match field.values() {
            Values::Texts(_) => {
                let pattern = |text: &str| match regex {
                    true => text_pattern(field, &format!("~{text}")),
                    false => text_pattern(field, text),
                };
                let patterns = self.values(many, pattern)?;
                Ok(Condition::Text(field.clone(), patterns))
            }
            _ if regex => {
                self.at -= 1;
                Err(self.expected(format!("`=`, `<` or the like, as {field} is a number")))
            }
            _ => Ok(Condition::Number(field.clone(), self.values(many, |text| range(field, text))?)),
        }
    }

    /// One value or, up to what cannot be one, many.
    fn values<T>(&mut self, many: bool, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, ConditionError> {
        let bracket = many && self.take(&["("]);
        let mut values = vec![self.value(&read)?];
        if !many {
            return Ok(values);
        }
        loop {
            let comma = self.take(&[","]);
            match self.peek() {
                Some(Token::Word(word)) if !comma && matches!(word.as_str(), "and" | "or") => break,
                Some(Token::Word(_) | Token::Quoted(_)) => values.push(self.value(&read)?),
                _ if comma => return Err(self.expected("a value")),
                _ => break,
            }
        }
        if bracket && !self.take(&[")"]) {
            return Err(self.expected("a value or `)`"));
        }
        Ok(values)
    }

    fn value<T>(&mut self, read: impl Fn(&str) -> Result<T, String>) -> Result<T, ConditionError> {
        let Some(Token::Word(text) | Token::Quoted(text)) = self.peek() else { return Err(self.expected("a value")) };
        let value = read(text).map_err(|expected| self.expected(expected))?;
        self.at += 1;
        Ok(value)
    }
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn fields() -> String {
    let plain = PLAIN.iter().map(|(name, _)| (*name).to_owned());
    let named = NAMED.iter().map(|(name, _)| format!("{name}.NAME"));
    let all: Vec<String> = plain.chain(["client".to_owned()]).chain(named).collect();
    format!("one of {}", all.join(", "))
}

/// A pattern of a text field; of any other as of a text.
pub(crate) fn text_pattern(field: &Field, text: &str) -> Result<Pattern, String> {
    let kind = match field.values() {
        Values::Texts(kind) => kind,
        _ => Kind::Text,
    };
    Pattern::new(text, kind).map_err(|error| error.to_string())
}

/// A network, or an address, which is the smallest.
pub(crate) fn network(text: &str) -> Result<ipnet::IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
    network.map_err(|_| "an address or a network, as in 10.0.0.0/8 or 2001:db8::/32".to_owned())
}

/// A number in a field's unit.
fn number(field: &Field, text: &str) -> Result<u64, String> {
    match field.values() {
        Values::Statuses => text.parse().map_err(|_| "a status, as in 404".to_owned()),
        Values::Times => {
            let period: Period = text.parse().map_err(|_| "a time, as in 250ms".to_owned())?;
            Ok(period.0.as_micros() as u64)
        }
        Values::Sizes | Values::Texts(_) => {
            text.parse().map(ByteSize::bytes).map_err(|_| "a size, as in 64KiB".to_owned())
        }
    }
}

/// A number, two with `-` between them, one behind `<`, `<=`, `>` or `>=`, or a class of statuses as `5xx`.
pub(crate) fn range(field: &Field, text: &str) -> Result<Range, String> {
    if let Some(class) = text.strip_suffix("xx")
        && field.values() == Values::Statuses
        && let [class @ b'1'..=b'9'] = class.as_bytes()
    {
        let first = u64::from(class - b'0') * 100;
        return Ok(Range(Bound::Included(first), Bound::Included(first + 99)));
    }
    for (sign, from) in [("<=", false), (">=", true), ("<", false), (">", true)] {
        let Some(bound) = text.strip_prefix(sign) else { continue };
        let number = number(field, bound.trim_start())?;
        let bound = if sign.ends_with('=') { Bound::Included(number) } else { Bound::Excluded(number) };
        return Ok(if from { Range(bound, Bound::Unbounded) } else { Range(Bound::Unbounded, bound) });
    }
    if let Some((from, to)) = text.split_once('-') {
        let (from, to) = (number(field, from.trim())?, number(field, to.trim())?);
        return match from <= to {
            true => Ok(Range(Bound::Included(from), Bound::Included(to))),
            false => Err("a range whose end is not below its start".to_owned()),
        };
    }
    number(field, text).map(Range::exactly)
}
