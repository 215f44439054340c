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
    /// How users are chosen.
    #[serde(default, skip_serializing_if = "FractionRule::is_ours")]
    pub rule: FractionRule,
}

/// How the users are chosen that a fraction takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FractionRule {
    /// By a hash that any fraction is exact for.
    #[default]
    Mirror,
    /// As GoReplay's `--http-header-limiter` and `--http-param-limiter` choose, so that the same users are taken as with it: where the value's FNV-1a
    /// hash of 32 bits, modulo 100, is below the percentage. A request without such a value goes on.
    Goreplay,
}

impl FractionRule {
    fn is_ours(&self) -> bool {
        *self == FractionRule::Mirror
    }
}

impl FromWord for FractionConfig {
    const FORMS: &'static str = "a fraction, as in 10%, or a map with the keys `of` and `by`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(FractionConfig { of: word.parse()?, by: None, rule: FractionRule::default() })
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
