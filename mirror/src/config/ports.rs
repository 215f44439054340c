//! The ports of servers.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::Expected;

/// Ports from 1 to 65535: `80`, `80,8080`, in YAML a list too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports(Vec<u16>);

const EXPECTED: &str = "ports from 1 to 65535, as in 80 or 80,8080";

impl Ports {
    /// Whether there are none, which is any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they were given.
    pub fn as_slice(&self) -> &[u16] {
        &self.0
    }

    /// Whether this is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

impl FromStr for Ports {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let port = |text: &str| {
            let text = text.trim();
            // Not u16's own parse alone, which takes "+80".
            let port = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
            port.filter(|port| *port != 0).ok_or(Expected::from(EXPECTED))
        };
        text.split(',').map(port).collect::<Result<_, _>>().map(Ports)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, port) in self.0.iter().enumerate() {
            write!(f, "{}{port}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl serde::Serialize for Ports {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<Ports, E> {
                v.parse().map_err(E::custom)
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<Ports, E> {
                self.visit_str(&v.to_string())
            }
            fn visit_i64<E: Error>(self, v: i64) -> Result<Ports, E> {
                self.visit_str(&v.to_string())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ports, A::Error> {
                let mut ports = Vec::new();
                while let Some(Ports(more)) = seq.next_element()? {
                    ports.extend(more);
                }
                Ok(Ports(ports))
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl schemars::JsonSchema for Ports {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = serde_json::json!({ "type": "integer", "minimum": 1, "maximum": 65535 });
        let words = serde_json::json!({ "type": "string", "pattern": "^ *[0-9]{1,5} *(, *[0-9]{1,5} *)*$" });
        schemars::json_schema!({
            "description": "Ports from 1 to 65535: one, a list, or 80,8080.",
            "anyOf": [one, words, { "type": "array", "items": { "anyOf": [one, words] } }],
            "examples": [80, "80,8080", [80, 8080]]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_list_or_a_word() {
        for yaml in ["[80, 8080]", "80, 8080", "['80', 8080]", "'80,8080'", "['80,8080']"] {
            assert_eq!(serde_yaml::from_str::<Ports>(yaml).unwrap().as_slice(), [80, 8080], "{yaml}");
        }
        assert_eq!(serde_yaml::from_str::<Ports>("80").unwrap().to_string(), "80");
        for yaml in ["0", "70000", "-1", "http", "[80, 0]", "''", "80-90", "1.5", "{a: 1}"] {
            let error = serde_yaml::from_str::<Ports>(yaml).unwrap_err().to_string();
            assert!(error.contains("ports from 1 to 65535"), "{yaml}: {error}");
        }
    }
}
