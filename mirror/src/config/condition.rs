//! Conditions in YAML: an expression, or a map of which every key must hold.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::Expected;
use crate::condition::{Condition, Field};

mod leaf;

use leaf::{AnyCase, Leaf, Network, Path, Size, Status, Text, Time};

/// A question about an exchange: an expression (`method = GET and path = /api/**`), or a map of which every key must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum ConditionConfig {
    /// An expression, see [`crate::condition`].
    Expression(Parsed),
    /// A map.
    Map(Box<ConditionMap>),
}

/// Every key that is given must hold. A value may be one or a list, of which one must match. Texts are globs (`*` is anything, in paths
/// anything without a slash; `**` anything), or with `~` in front regular expressions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionMap {
    /// Each of these holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<ConditionConfig>>,
    /// One of these holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<ConditionConfig>>,
    /// This does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<ConditionConfig>,
    /// The request's method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Several<Text>>,
    /// The host asked for, without its port, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Several<AnyCase>>,
    /// The request's target as sent: the path with the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Several<Text>>,
    /// The target's path as sent, without the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Several<Path>>,
    /// Parameters of the query, decoded, by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, Wanted>>,
    /// Request headers by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<BTreeMap<String, Wanted>>,
    /// Cookies by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<BTreeMap<String, Wanted>>,
    /// The user and the password of `Authorization: Basic`, decoded: `user:password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<Wanted>,
    /// The media type of the request's body, without parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Several<AnyCase>>,
    /// The length of the request's body by its Content-Length: `> 1MiB`, `1KiB-1MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_size: Option<Several<Size>>,
    /// The client's address: networks or addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Several<Network>>,
    /// The way in: `proxy`, `capture`, `replay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Several<Text>>,
    /// The response's status: `404`, `5xx`, `>= 500`, `200-299`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Several<Status>>,
    /// From the request's first byte to the response's head: `> 250ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Several<Time>>,
    /// The length of the response's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_size: Option<Several<Size>>,
    /// The media type of the response's body, without parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_type: Option<Several<AnyCase>>,
    /// Response headers by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header: Option<BTreeMap<String, Wanted>>,
}

/// An expression and what it asks.
#[derive(Debug, Clone)]
pub struct Parsed {
    text: String,
    condition: Condition,
}

impl PartialEq for Parsed {
    fn eq(&self, other: &Parsed) -> bool {
        self.text == other.text
    }
}

/// One, or a list of which one must match.
#[derive(Debug, Clone, PartialEq)]
pub struct Several<T>(Vec<T>);

/// What is asked of a header, a cookie or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// `true`: that it is there; `false`: that it is not.
    Present(bool),
    /// That one of its values matches one of these.
    Like(Several<Text>),
}

impl ConditionConfig {
    /// What it asks.
    pub fn condition(&self) -> Condition {
        match self {
            ConditionConfig::Expression(parsed) => parsed.condition.clone(),
            ConditionConfig::Map(map) => map.condition(),
        }
    }
}

impl ConditionMap {
    fn condition(&self) -> Condition {
        let several = |configs: &[ConditionConfig]| configs.iter().map(ConditionConfig::condition).collect();
        let mut parts: Vec<Condition> = Vec::new();
        parts.extend(self.all.as_deref().map(|all| Condition::All(several(all))));
        parts.extend(self.any.as_deref().map(|any| Condition::Any(several(any))));
        parts.extend(self.not.as_ref().map(|not| Condition::Not(Box::new(not.condition()))));
        parts.extend(self.method.as_ref().map(|several| several.of(Field::Method)));
        parts.extend(self.host.as_ref().map(|several| several.of(Field::Host)));
        parts.extend(self.target.as_ref().map(|several| several.of(Field::Target)));
        parts.extend(self.path.as_ref().map(|several| several.of(Field::Path)));
        parts.extend(named(&self.query, |name| Field::Query(Some(name))));
        parts.extend(named(&self.header, Field::Header));
        parts.extend(named(&self.cookie, Field::Cookie));
        parts.extend(self.basic_auth.as_ref().map(|wanted| wanted.of(Field::BasicAuth)));
        parts.extend(self.content_type.as_ref().map(|several| several.of(Field::ContentType)));
        parts.extend(self.request_size.as_ref().map(|several| several.of(Field::RequestSize)));
        parts.extend(
            self.client.as_ref().map(|Several(networks)| Condition::Client(networks.iter().map(|n| n.0).collect())),
        );
        parts.extend(self.source.as_ref().map(|several| several.of(Field::Source)));
        parts.extend(self.status.as_ref().map(|several| several.of(Field::Status)));
        parts.extend(self.latency.as_ref().map(|several| several.of(Field::Latency)));
        parts.extend(self.response_size.as_ref().map(|several| several.of(Field::ResponseSize)));
        parts.extend(self.response_type.as_ref().map(|several| several.of(Field::ResponseType)));
        parts.extend(named(&self.response_header, Field::ResponseHeader));
        Condition::All(parts)
    }
}

impl<T> Several<T> {
    pub(crate) fn one(it: T) -> Self {
        Several(vec![it])
    }

    pub(crate) fn any(&self, test: impl FnMut(&T) -> bool) -> bool {
        self.0.iter().any(test)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Whether it is a list without anything in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Leaf> Several<T> {
    fn of(&self, field: Field) -> Condition {
        T::condition(field, &self.0)
    }
}

fn named(map: &Option<BTreeMap<String, Wanted>>, field: fn(String) -> Field) -> impl Iterator<Item = Condition> {
    map.iter().flatten().map(move |(name, wanted)| wanted.of(field(name.clone())))
}

impl Wanted {
    fn of(&self, field: Field) -> Condition {
        match self {
            Wanted::Present(true) => Condition::Present(field),
            Wanted::Present(false) => Condition::Not(Box::new(Condition::Present(field))),
            Wanted::Like(several) => several.of(field),
        }
    }
}

impl FromStr for ConditionConfig {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text.parse::<Condition>() {
            Ok(condition) => Ok(ConditionConfig::Expression(Parsed { text: text.to_owned(), condition })),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

impl Serialize for ConditionConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ConditionConfig::Expression(parsed) => serializer.serialize_str(&parsed.text),
            ConditionConfig::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ConditionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = ConditionConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a condition, as in `method = GET and path = /api/**` or a map {method: GET, path: /api/**}",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ConditionConfig, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConditionConfig, A::Error> {
                let map = ConditionMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ConditionConfig::Map(Box::new(map)))
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for ConditionConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<ConditionMap>();
        json_schema!({
            "description": "A question about an exchange: an expression, or a map of which every key must hold.",
            "anyOf": [{ "type": "string", "examples": ["method = GET and path = /api/**", "status >= 500"] }, map]
        })
    }
}

impl<T: Serialize> Serialize for Several<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::forms::one_or_list(deserializer).map(Several)
    }
}

impl<T: JsonSchema> JsonSchema for Several<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Several{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl Serialize for Wanted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Wanted::Present(present) => serializer.serialize_bool(*present),
            Wanted::Like(several) => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true (it is there), false (it is not), or what its value is to match")
            }

            fn visit_bool<E: Error>(self, present: bool) -> Result<Wanted, E> {
                Ok(Wanted::Present(present))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wanted, E> {
                Ok(Wanted::Like(Several(vec![text.parse().map_err(E::custom)?])))
            }

            // Values that are numbers need no quotes.
            fn visit_u64<E: Error>(self, number: u64) -> Result<Wanted, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Wanted, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(|values| Wanted::Like(Several(values)))
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wanted".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<Several<Text>>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, values] })
    }
}
