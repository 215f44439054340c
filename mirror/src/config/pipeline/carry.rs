use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::config::condition::Several;
use crate::config::forms::FromWord;
use crate::config::text::one_word;
use crate::config::{ByteSize, Expected, Period, seconds};
use crate::content::json::Pointer;

/// What a target hands out, cookies and tokens, in place of what the application handed out. One value alone is `values`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CarryConfig {
    /// Where values are handed out, and where requests bring them: one or a list.
    pub values: Several<Carried>,
    /// How long a request waits whose value the target has yet to hand out, because the answer is under way. Then it goes as it is.
    #[serde(default = "default_wait")]
    pub wait: Period,
    /// Values that are remembered; beyond it the oldest is forgotten.
    #[serde(default = "default_most")]
    pub most: NonZeroUsize,
    /// JSON that is longer is not looked into.
    #[serde(default = "default_max_body")]
    pub max_body: ByteSize,
}

/// As long as GoReplay waits for an answer: whoever logs in is seldom kept waiting longer.
fn default_wait() -> Period {
    seconds(5)
}

/// The sessions of a busy day, of some 300 bytes each.
fn default_most() -> NonZeroUsize {
    NonZeroUsize::new(65_536).expect("not zero")
}

/// As for all stages that look into bodies.
fn default_max_body() -> ByteSize {
    ByteSize::mib(1)
}

impl FromWord for CarryConfig {
    const FORMS: &'static str =
        "a value to carry, as in cookie:session or json:/token -> header:Authorization, or a map with the key `values`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(CarryConfig {
            values: Several::one(word.parse()?),
            wait: default_wait(),
            most: default_most(),
            max_body: default_max_body(),
        })
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Carried>()
    }
}

/// A value that is carried from answers to requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// Where it is handed out.
    pub from: HandedOut,
    /// Where it is brought.
    pub to: Brought,
}

/// Where an answer has a value.
#[derive(Debug, Clone, PartialEq)]
pub enum HandedOut {
    /// A `Set-Cookie` of this name.
    Cookie(String),
    /// A header.
    Header(String),
    /// A place in a body of JSON.
    Json(Pointer),
}

/// Where a request has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Brought {
    /// A cookie.
    Cookie(String),
    /// A header: all of its value, or what stands behind the last space (`Bearer …`).
    Header(String),
    /// A parameter of the query.
    Query(String),
}

impl Carried {
    const EXPECTED: &'static str = "cookie:NAME, header:NAME, or with an arrow to where it goes, as in json:/token -> header:Authorization, \
        cookie:csrf -> header:X-CSRF-Token or header:X-Key -> query:key";
}

impl FromStr for Carried {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let expected = || Expected::from(Self::EXPECTED);
        let (from, to) = match text.split_once("->").or_else(|| text.split_once('→')) {
            Some((from, to)) => (from.trim(), Some(to.trim())),
            None => (text.trim(), None),
        };
        let (kind, name) = from.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or_else(expected)?;
        let token = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).map(|_| name.to_owned());
        let from = match kind {
            "cookie" => HandedOut::Cookie(token(name).map_err(|_| expected())?),
            "header" => HandedOut::Header(token(name).map_err(|_| expected())?),
            "json" => HandedOut::Json(name.parse()?),
            _ => return Err(expected()),
        };
        let to = match (to, &from) {
            (None, HandedOut::Cookie(name)) => Brought::Cookie(name.clone()),
            (None, HandedOut::Header(name)) => Brought::Header(name.clone()),
            // A token nearly always goes there.
            (Some("header"), _) => Brought::Header("Authorization".into()),
            (Some(to), _) => match to.split_once(':') {
                Some(("cookie", name)) => Brought::Cookie(token(name).map_err(|_| expected())?),
                Some(("header", name)) => Brought::Header(token(name).map_err(|_| expected())?),
                Some(("query", name)) if !name.is_empty() => Brought::Query(name.to_owned()),
                _ => return Err(expected()),
            },
            (None, HandedOut::Json(_)) => return Err(expected()),
        };
        Ok(Carried { from, to })
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            HandedOut::Cookie(name) => write!(to, "cookie:{name}")?,
            HandedOut::Header(name) => write!(to, "header:{name}")?,
            HandedOut::Json(pointer) => write!(to, "json:{pointer}")?,
        }
        match (&self.from, &self.to) {
            (HandedOut::Cookie(from), Brought::Cookie(name)) if from == name => Ok(()),
            (HandedOut::Header(from), Brought::Header(name)) if from == name => Ok(()),
            (_, Brought::Cookie(name)) => write!(to, " -> cookie:{name}"),
            (_, Brought::Header(name)) => write!(to, " -> header:{name}"),
            (_, Brought::Query(name)) => write!(to, " -> query:{name}"),
        }
    }
}

one_word!(Carried, "Carried", {
    "description": "Where answers have a value, and where requests bring it.",
    "type": "string",
    "pattern": r"^((cookie|header):.+|(cookie|header|json):.*(->|→).+)$",
    "examples": ["cookie:session", "json:/token -> header:Authorization"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_is_made_of_them() {
        for (word, shown) in [
            ("cookie:session", "cookie:session"),
            ("cookie:csrf → header:X-CSRF-Token", "cookie:csrf -> header:X-CSRF-Token"),
            ("header:X-Key->query:key", "header:X-Key -> query:key"),
            ("json:/a/b~1c -> header", "json:/a/b~1c -> header:Authorization"),
            ("json:/id -> cookie:id", "json:/id -> cookie:id"),
        ] {
            let carried: Carried = word.parse().unwrap_or_else(|error| panic!("{word}: {error:?}"));
            assert_eq!((carried.to_string().as_str(), shown.parse().as_ref()), (shown, Ok(&carried)));
        }
        for word in
            ["", "session", "cookie:", "json:/token", "json:token -> header", "cookie:a b", "cookie:a -> body:b"]
        {
            assert!(word.parse::<Carried>().is_err(), "{word}");
        }
    }
}
