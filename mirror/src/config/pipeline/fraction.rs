use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::condition::Key;
use crate::config::forms::FromWord;
use crate::config::text::one_word;
use crate::config::{Expected, Fraction};

/// How much goes on. A fraction alone is `of`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FractionConfig {
    /// Which part: `10%`, `1/1000`.
    pub of: Fraction,
    /// What tells users apart, so that all exchanges of one go on or none. Without it, and where a request has no such value, each exchange counts by
    /// itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Key>,
}

impl FromWord for FractionConfig {
    const FORMS: &'static str = "a fraction, as in 10%, or a map with the keys `of` and `by`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(FractionConfig { of: word.parse()?, by: None })
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Fraction>()
    }
}

one_word!(Key, "Key", {
    "description": "What tells users apart.",
    "type": "string",
    "pattern": r"^(client|connection|host|path(\.[1-9][0-9]*)?|(header|cookie|query)\..+)$",
    "examples": ["cookie.session", "header.x-user", "client"]
});
