use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::condition::Pattern;
use crate::config::condition::Several;
use crate::config::forms::{FromWord, one_or_list};
use crate::config::text::one_word;
use crate::config::{ConditionConfig, Expected};
use crate::template::Template;

mod body;
mod host;

pub use body::{BodyBound, BodyEdits, Encoding, Found, JsonEdits, NewStatus, NewValue, ResponseEdits, Unreadable};
pub use host::HostEdit;

/// Changes the request, and the response. Values are templates, filled from the request as it comes to this stage: `{host}`, `{header.X-User}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewriteConfig {
    /// Only requests that this holds for; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<ConditionConfig>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Token>,
    /// The host, with its port where it has one. (A target's own `host` setting goes over it.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostEdit>,
    /// The target, which is the path with the query: a map with `match` and `with`, or a list, of which the first that is found is the one.
    #[serde(deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "targets_schema")]
    pub target: Vec<TargetEdit>,
    /// The path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathEdit>,
    /// Parameters of the query, by their decoded names.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub query: Edits,
    /// Headers, by their names in any case. Those that frame the message or are of one hop stay as they are.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub header: Edits,
    /// Cookies.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub cookie: Edits,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<BodyEdits>>,
    /// What changes of the response.
    #[serde(skip_serializing_if = "is_default")]
    pub response: ResponseEdits,
}

fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    *it == T::default()
}

fn targets_schema(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<TargetEdit>();
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// A target is replaced where an expression is found in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetEdit {
    /// A regular expression: each place where it is found is replaced.
    #[serde(rename = "match")]
    pub found: Expression,
    /// What comes in its place; `$1` or `${name}` are what its groups found.
    pub with: String,
}

/// A path is replaced whole (`with` alone), by its beginning (`prefix`), or where an expression is found in it (`match`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathEdit {
    /// What the path begins with, at a slash's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression: each place where it is found is replaced.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub found: Option<Expression>,
    /// What comes in its place: with `match`, `$1` or `${name}` are what its groups found; otherwise a template.
    pub with: String,
}

/// What happens to headers, parameters or cookies, in this order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edits {
    /// Names that go: globs. One or a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<Several<Name>>,
    /// Old names and what they become.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Parts of values that are replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replace>,
    /// Names and the one value that each has then: in the place of the first that was there, or else at the end.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Template>,
    /// Names and a value that comes beside what is there, at the end.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub append: BTreeMap<String, Template>,
}

/// A part of values that is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// Whose values: a glob.
    pub name: Name,
    /// A regular expression: each place where it is found is replaced.
    #[serde(rename = "match")]
    pub found: Expression,
    /// What comes in its place; `$1` or `${name}` are what its groups found.
    pub with: String,
}

impl Edits {
    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        let Edits { remove, rename, replace, set, append } = self;
        remove.is_none() && rename.is_empty() && replace.is_empty() && set.is_empty() && append.is_empty()
    }
}

/// A method, which is any token (RFC 9110 §5.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

/// A glob of names in any case.
#[derive(Debug, Clone)]
pub struct Name(Pattern);

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Expression(regex::bytes::Regex);

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        self.0.matches(name)
    }
}

impl Expression {
    pub(crate) fn regex(&self) -> &regex::bytes::Regex {
        &self.0
    }
}

impl FromStr for Token {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if text != "CONNECT" => Ok(Token(text.to_owned())),
            _ => Err("a method other than CONNECT, as in GET or PURGE".into()),
        }
    }
}

impl FromStr for Name {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        Pattern::any_case(text).map(Name).map_err(|error| error.to_string().into())
    }
}

impl FromStr for Expression {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        Pattern::expression(text).map(Expression).map_err(|error| error.to_string().into())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

one_word!(Token, "Token", { "description": "A method.", "type": "string" });
one_word!(Name, "NamePattern", { "description": "A name; * is any text.", "type": "string", "examples": ["X-Internal-*"] });
one_word!(Expression, "Expression", { "description": "A regular expression.", "type": "string", "format": "regex" });
one_word!(Template, "Template", {
    "description": "A text, with places in braces that are filled from the exchange.",
    "type": ["string", "number", "boolean"],
    "examples": ["staging", "{host}", "{header.X-User}"]
});

impl FromWord for RewriteConfig {
    const FORMS: &'static str = "a map of what to rewrite: `method`, `host`, `target`, `path`, `query`, `header`, `cookie`, `body` or `response`";

    fn from_word(_: &str) -> Result<Self, Expected> {
        Err(Self::FORMS.into())
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        // There is no short form.
        json_schema!(false)
    }
}
