use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Edits, Expression, Name};
use crate::config::condition::Several;
use crate::config::text::one_word;
use crate::config::{ByteSize, Expected};
use crate::content::json::Pointer;
use crate::exchange::Exchange;
use crate::template::Template;

/// Changes the response as the application sent it; what targets answer is not touched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseEdits {
    /// The status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<NewStatus>,
    /// Headers, by their names in any case. Those that frame the message or are of one hop stay as they are.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub header: Edits,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<BodyEdits>>,
}

/// What happens to a body, in this order: `json`, `form`, `replace`. It is collected for that, decoded (gzip, br, zstd, deflate), and its framing mended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodyEdits {
    /// Only bodies of these media types, without parameters: globs. One or a list; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Several<Name>>,
    /// Values of a JSON document. A body that is none stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonEdits>,
    /// Fields of a form (application/x-www-form-urlencoded), by their decoded names.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub form: Edits,
    /// Parts of the text that are replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Found>,
    /// The most bytes of a body that are collected, before and after it is decoded.
    pub max_body: BodyBound,
    /// What becomes of a body that is longer, cut short, or not in a known coding.
    pub unreadable: Unreadable,
    /// How a body goes on that was encoded.
    pub encoding: Encoding,
}

/// Places of a JSON document (RFC 6901 pointers, as in `/user/name`) that change: first `remove`, then `set`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonEdits {
    /// Places that go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<Several<Pointer>>,
    /// Places and the value that each has then, whose texts are templates. What is missing on the way is made; `-` appends to an array.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<Pointer, NewValue>,
}

/// A part of a text that is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// A regular expression: each place where it is found is replaced.
    #[serde(rename = "match")]
    pub found: Expression,
    /// What comes in its place; `$1` or `${name}` are what its groups found.
    pub with: String,
}

/// What becomes of a body that a stage cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// It goes on as it is.
    #[default]
    Pass,
    /// Nobody gets to see it: no target gets the request, and a recording marks the body as withheld.
    Withhold,
}

/// How an encoded body goes on that a stage has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Encoded as it was.
    #[default]
    Keep,
    /// Decoded, and without Content-Encoding; even if nothing else has changed.
    Identity,
}

/// The most bytes of a body that a stage collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BodyBound(pub ByteSize);

impl Default for BodyBound {
    /// What nearly all texts of an API are within, and a hundred of them within the byte budget.
    fn default() -> Self {
        BodyBound(ByteSize::mib(1))
    }
}

/// A status of a final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewStatus(pub(crate) u16);

impl FromStr for NewStatus {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text.parse() {
            Ok(status @ 200..=599) => Ok(NewStatus(status)),
            _ => Err("a status from 200 to 599".into()),
        }
    }
}

impl fmt::Display for NewStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

one_word!(NewStatus, "NewStatus", { "description": "A status.", "type": ["integer", "string"], "minimum": 200, "maximum": 599 });

one_word!(Pointer, "JsonPointer", { "description": "A JSON pointer (RFC 6901).", "type": "string", "examples": ["/user/name"] });

/// A JSON value whose texts are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "serde_yaml::Value", into = "serde_yaml::Value")]
#[schemars(with = "serde_json::Value")]
pub struct NewValue {
    source: serde_yaml::Value,
    parts: Parts,
}

#[derive(Debug, Clone, PartialEq)]
enum Parts {
    Fixed(Value),
    Text(Template),
    Elements(Vec<Parts>),
    Members(Vec<(String, Parts)>),
}

impl NewValue {
    /// The value for one exchange.
    pub(crate) fn fill(&self, exchange: &Exchange) -> Value {
        self.parts.fill(exchange)
    }
}

impl Parts {
    fn fill(&self, exchange: &Exchange) -> Value {
        match self {
            Parts::Fixed(value) => value.clone(),
            Parts::Text(template) => String::from_utf8_lossy(&template.fill(exchange)).into(),
            Parts::Elements(elements) => elements.iter().map(|element| element.fill(exchange)).collect(),
            Parts::Members(members) => {
                members.iter().map(|(name, value)| (name.clone(), value.fill(exchange))).collect::<Map<_, _>>().into()
            }
        }
    }

    fn of(value: &serde_yaml::Value) -> Result<Parts, Expected> {
        use serde_yaml::Value as Yaml;
        Ok(match value {
            Yaml::Null => Parts::Fixed(Value::Null),
            Yaml::Bool(value) => Parts::Fixed((*value).into()),
            Yaml::Number(number) => {
                let whole = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
                let number = whole.or_else(|| Number::from_f64(number.as_f64()?));
                Parts::Fixed(number.ok_or("a number that JSON has")?.into())
            }
            Yaml::String(text) => Parts::Text(text.parse()?),
            Yaml::Sequence(elements) => Parts::Elements(elements.iter().map(Parts::of).collect::<Result<_, _>>()?),
            Yaml::Mapping(members) => {
                let member = |(name, value): (&Yaml, &Yaml)| match name {
                    Yaml::String(name) => Ok((name.clone(), Parts::of(value)?)),
                    _ => Err(Expected::from("a map whose keys are texts, as JSON's are")),
                };
                Parts::Members(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            Yaml::Tagged(_) => return Err("a value without a YAML tag".into()),
        })
    }
}

impl TryFrom<serde_yaml::Value> for NewValue {
    type Error = Expected;

    fn try_from(source: serde_yaml::Value) -> Result<Self, Expected> {
        Ok(NewValue { parts: Parts::of(&source)?, source })
    }
}

impl From<NewValue> for serde_yaml::Value {
    fn from(value: NewValue) -> Self {
        value.source
    }
}
