use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::forms::FromWord;
use crate::config::{ConditionConfig, Expected};

/// Which exchanges go on: those that `allow` holds for, where it is given, and `deny` does not. A condition alone is `allow`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// What goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<ConditionConfig>,
    /// What does not, even if it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<ConditionConfig>,
}

impl FromWord for FilterConfig {
    const FORMS: &'static str = "a condition, as in `method = GET`, or a map with the keys `allow` and `deny`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(FilterConfig { allow: Some(word.parse()?), deny: None })
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["method = GET"] })
    }
}
