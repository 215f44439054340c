use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::condition::Key;
use crate::config::Expected;
use crate::config::forms::FromWord;

/// Shares exchanges out over a group of targets: each goes to one of them, where otherwise all get all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// The targets' names: a list, or a map with the weight of each.
    #[serde(deserialize_with = "weights")]
    #[schemars(schema_with = "weights_schema")]
    pub targets: BTreeMap<String, NonZeroU32>,
    /// What stays together: all exchanges of one `client`, `connection` or `cookie.session` go to the same target. Without it, and where a request has no
    /// such value, targets take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Key>,
}

impl FromWord for SplitConfig {
    const FORMS: &'static str = "a map with the key `targets`";

    fn from_word(_: &str) -> Result<Self, Expected> {
        Err(Self::FORMS.into())
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        // There is no short form.
        json_schema!(false)
    }
}

fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, NonZeroU32>, D::Error> {
    struct ListOrMap;

    impl<'de> Visitor<'de> for ListOrMap {
        type Value = BTreeMap<String, NonZeroU32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of targets' names, or a map of them with the weight of each")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            let names: Vec<String> = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
            Ok(names.into_iter().map(|name| (name, NonZeroU32::MIN)).collect())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            BTreeMap::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(ListOrMap)
}

fn weights_schema(_: &mut SchemaGenerator) -> Schema {
    let name = json_schema!({ "type": "string" });
    json_schema!({
        "anyOf": [
            { "type": "array", "items": name, "minItems": 2 },
            { "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 }, "minProperties": 2 }
        ]
    })
}
