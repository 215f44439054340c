use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::TargetEdit;
use crate::template::Template;

/// What becomes of the host.
#[derive(Debug, Clone, PartialEq)]
pub enum HostEdit {
    /// It is this.
    Whole(Template),
    /// It is another where an expression is found in it.
    Found(TargetEdit),
}

impl Serialize for HostEdit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            HostEdit::Whole(template) => template.serialize(serializer),
            HostEdit::Found(edit) => edit.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HostEdit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = HostEdit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host, as in staging.example, or a map with the keys `match` and `with`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<HostEdit, E> {
                text.parse().map(HostEdit::Whole).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HostEdit, A::Error> {
                TargetEdit::deserialize(MapAccessDeserializer::new(map)).map(HostEdit::Found)
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for HostEdit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostEdit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (word, map) = (generator.subschema_for::<Template>(), generator.subschema_for::<TargetEdit>());
        json_schema!({ "anyOf": [word, map] })
    }
}
