//! The header that marks copies.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Expected, text};

/// The header that marks copies: `x-mirror-shadow: 1` by default, `off`, or a name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkerConfig {
    /// No header is added, and none is looked for: nothing stops a mirror loop then.
    Off,
    /// Added to every copy; a request that already bears the name is not mirrored again.
    Header {
        /// The header's name, as it is sent; it is looked for in any case.
        name: String,
        /// The header's value.
        value: String,
    },
}

const EXPECTED: &str = "off, or a header's name and value, as in \"x-mirror-shadow: 1\" (in YAML with the quotes)";

/// Headers that frame or route a message, which a copy has already: a second one would change what it means.
const TAKEN: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

impl Default for MarkerConfig {
    fn default() -> Self {
        MarkerConfig::Header { name: "x-mirror-shadow".into(), value: "1".into() }
    }
}

struct Name(String);
struct Value(String);

impl FromStr for Name {
    type Err = Expected;

    fn from_str(name: &str) -> Result<Self, Expected> {
        let known = HeaderName::from_str(name).map_err(|_| "a header's name, as in x-mirror-shadow")?;
        if TAKEN.contains(&known.as_str()) {
            return Err("a header's name of its own, as every request may have this one".into());
        }
        Ok(Name(name.to_owned()))
    }
}

impl FromStr for Value {
    type Err = Expected;

    fn from_str(value: &str) -> Result<Self, Expected> {
        // Space around a value is not part of it: RFC 9110 section 5.5.
        let value = value.trim_matches([' ', '\t']);
        match HeaderValue::from_str(value) {
            Ok(known) if !value.is_empty() && known.to_str().is_ok() => Ok(Value(value.to_owned())),
            _ => Err("a header's value in printable ASCII".into()),
        }
    }
}

impl FromStr for MarkerConfig {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if matches!(text, "off" | "false") {
            return Ok(MarkerConfig::Off);
        }
        let (name, value) = text.split_once(':').ok_or(EXPECTED)?;
        let (Name(name), Value(value)) = (name.parse()?, value.parse()?);
        Ok(MarkerConfig::Header { name, value })
    }
}

impl fmt::Display for MarkerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MarkerConfig::Off => f.write_str("off"),
            MarkerConfig::Header { name, value } => write!(f, "{name}: {value}"),
        }
    }
}

impl Serialize for MarkerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The form of a map, which lets a name or a value be set alone by `--set marker.value=…`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(deserialize_with = "text::deserialize")]
    name: Name,
    #[serde(deserialize_with = "text::deserialize")]
    value: Value,
}

impl<'de> Deserialize<'de> for MarkerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = MarkerConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<MarkerConfig, E> {
                v.parse().map_err(E::custom)
            }

            fn visit_bool<E: Error>(self, v: bool) -> Result<MarkerConfig, E> {
                self.visit_str(if v { "true" } else { "false" })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MarkerConfig, A::Error> {
                let Fields { name: Name(name), value: Value(value) } =
                    Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(MarkerConfig::Header { name, value })
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for MarkerConfig {
    fn schema_name() -> Cow<'static, str> {
        "MarkerConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+";
        json_schema!({
            "description": "The header that marks copies: off, \"name: value\", or a map of the two.",
            "anyOf": [
                { "enum": ["off", false] },
                { "type": "string", "pattern": format!("^{name}:.*[^ \t].*$") },
                {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "pattern": format!("^{name}$") },
                        "value": { "type": ["string", "number", "boolean"] }
                    },
                    "required": ["name", "value"],
                    "additionalProperties": false
                }
            ],
            "examples": ["off", "x-mirror-shadow: 1"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> MarkerConfig {
        MarkerConfig::Header { name: name.into(), value: value.into() }
    }

    #[test]
    fn forms() {
        for (yaml, marker) in [
            ("off", MarkerConfig::Off),
            ("false", MarkerConfig::Off),
            ("'x-mirror-shadow: 1'", MarkerConfig::default()),
            ("'X-Copy:yes: indeed '", header("X-Copy", "yes: indeed")),
            ("{name: X-Copy, value: 1}", header("X-Copy", "1")),
        ] {
            assert_eq!(serde_yaml::from_str::<MarkerConfig>(yaml).unwrap(), marker, "{yaml}");
            assert_eq!(marker.to_string().parse(), Ok(marker));
        }
    }

    #[test]
    fn what_is_no_marker() {
        for yaml in [
            "on",
            "true",
            "7",
            "'x y: 1'",
            "': 1'",
            "'x:'",
            "'x: a\u{7f}'",
            "'host: a'",
            "'Content-Length: 0'",
            "{name: x}",
            "{name: x, value: ''}",
            "{name: x, value: 1, more: 2}",
            "[x, y]",
        ] {
            assert!(serde_yaml::from_str::<MarkerConfig>(yaml).is_err(), "{yaml}");
        }
    }
}
