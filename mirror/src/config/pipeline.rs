//! The stages of a pipeline: in YAML each is a map with one key, its kind, and below it its settings.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::forms::{WordOrMap, word_or_map_schema};

mod carry;
mod filter;
mod fraction;
mod middleware;
mod rate;
mod redact;
mod rewrite;
mod split;

pub use carry::{Brought, Carried, CarryConfig, HandedOut};
pub use filter::FilterConfig;
pub use fraction::{FractionConfig, FractionRule};
pub use middleware::{CommandLine, MiddlewareConfig, OnFailure, RestartConfig};
pub use rate::RateConfig;
pub use redact::{HashConfig, JsonRule, Preset, RedactConfig, Replacement, SecretPattern};
pub use rewrite::{
    BodyBound, BodyEdits, Edits, Encoding, Expression, Found, HostEdit, JsonEdits, Name, NewStatus, NewValue, PathEdit,
    Replace, ResponseEdits, RewriteConfig, TargetEdit, Token, Unreadable,
};
pub use split::SplitConfig;

/// Declares the stages: the key in YAML, the variant, and the type of its settings, which have a short form.
macro_rules! stages {
    ($($(#[$doc:meta])* $key:literal $variant:ident($config:ty),)*) => {
        /// One stage: in YAML a map with one key, its kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum StageConfig { $($(#[$doc])* $variant($config),)* }

        const KINDS: &[&str] = &[$($key),*];

        #[derive(Deserialize)]
        #[serde(field_identifier)]
        enum Kind { $(#[serde(rename = $key)] $variant,)* }

        impl Kind {
            fn read<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<StageConfig, A::Error> {
                match self {
                    $(Kind::$variant => map.next_value::<WordOrMap<$config>>().map(|it| StageConfig::$variant(it.0)),)*
                }
            }
        }

        impl Serialize for StageConfig {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(1))?;
                match self { $(StageConfig::$variant(config) => map.serialize_entry($key, config)?,)* }
                map.end()
            }
        }

        fn properties(generator: &mut SchemaGenerator) -> serde_json::Map<String, serde_json::Value> {
            [$(($key.to_owned(), word_or_map_schema::<$config>(generator).to_value()),)*].into_iter().collect()
        }
    };
}

stages! {
    /// What a target hands out comes back to it.
    "carry" Carry(CarryConfig),
    /// Which exchanges go on.
    "filter" Filter(FilterConfig),
    /// How many of the users go on, all exchanges of each.
    "fraction" Fraction(FractionConfig),
    /// What a program of one's own makes of it.
    "middleware" Middleware(Box<MiddlewareConfig>),
    /// How many go on in a second.
    "rate" Rate(RateConfig),
    /// What is hidden of it.
    "redact" Redact(Box<RedactConfig>),
    /// What changes of the request and of the response.
    "rewrite" Rewrite(Box<RewriteConfig>),
    /// Which target of a group gets one.
    "split" Split(SplitConfig),
}

impl<'de> Deserialize<'de> for StageConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;

        impl<'de> Visitor<'de> for OneKey {
            type Value = StageConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a stage: a map with one key of {}", KINDS.join(", "))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StageConfig, A::Error> {
                let Some(kind) = map.next_key::<Kind>()? else { return Err(A::Error::missing_field(KINDS[0])) };
                let stage = kind.read(&mut map)?;
                match map.next_key::<Kind>()? {
                    None => Ok(stage),
                    Some(_) => Err(A::Error::custom("expected one stage: each begins with a `-` of its own")),
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
        let properties = properties(generator);
        json_schema!({
            "description": "One stage: a map with one key, its kind.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1
        })
    }
}
