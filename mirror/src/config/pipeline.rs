//! The stages of a pipeline.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::ConditionConfig;
use super::forms::WordOrMap;

/// One stage: in YAML a map with one key, its kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", into = "std::collections::BTreeMap<&'static str, Settings>")]
pub enum StageConfig {
    /// Which exchanges go on.
    Filter(FilterConfig),
}

/// A stage's settings, whichever it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Settings {
    Filter(FilterConfig),
}

impl From<StageConfig> for std::collections::BTreeMap<&'static str, Settings> {
    fn from(stage: StageConfig) -> Self {
        let StageConfig::Filter(filter) = stage;
        [("filter", Settings::Filter(filter))].into()
    }
}

impl<'de> Deserialize<'de> for StageConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Kind {
            Filter,
        }

        struct OneKey;

        impl<'de> Visitor<'de> for OneKey {
            type Value = StageConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a stage: a map with one key, `filter`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StageConfig, A::Error> {
                let Some(kind) = map.next_key()? else { return Err(A::Error::missing_field("filter")) };
                let stage = match kind {
                    Kind::Filter => StageConfig::Filter(map.next_value::<WordOrMap<FilterConfig>>()?.0),
                };
                match map.next_key::<Kind>()? {
                    None => Ok(stage),
                    Some(_) => Err(A::Error::custom("expected a stage each: put `-` before the second key")),
                }
            }
        }

        deserializer.deserialize_map(OneKey)
    }
}

impl JsonSchema for StageConfig {
    fn schema_name() -> Cow<'static, str> {
        "StageConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let filter = super::forms::word_or_map_schema::<FilterConfig>(generator);
        json_schema!({
            "description": "One stage: a map with one key, its kind.",
            "type": "object",
            "properties": { "filter": filter },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1
        })
    }
}

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
