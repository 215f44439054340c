use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BodyBound, Encoding, Expression, Name};
use crate::config::Expected;
use crate::config::condition::Several;
use crate::config::forms::{FromWord, WordOrMap, word_or_map_schema};
use crate::config::text::one_word;
use crate::content::json::Pointer;

/// Hides what is secret of requests, responses and targets' answers from all that is behind: recordings, targets, other stages. A body that it cannot
/// look into (too long, cut off, of an unknown coding, unreadable) is withheld where rules concern bodies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedactConfig {
    /// Rules by a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Headers and trailers, by globs of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Several<Name>>,
    /// Cookies, in `Cookie` and `Set-Cookie`, by globs of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Several<Name>>,
    /// Parameters of queries, in the target and in URLs that headers have, by globs of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Several<Name>>,
    /// Fields of forms (application/x-www-form-urlencoded), by globs of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Several<Name>>,
    /// Values of JSON bodies: `/user/ssn` is a JSON pointer, in which the segment `*` is any member or element; otherwise a glob of keys, at any
    /// depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Several<JsonRule>>,
    /// What is secret wherever it stands: `card`, `bearer`, `jwt`, `email`, or `~` and a regular expression, of which the first group is the
    /// secret where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Several<SecretPattern>>,
    /// What comes in a secret's place.
    #[serde(rename = "with", deserialize_with = "replacement")]
    #[schemars(schema_with = "replacement_schema")]
    pub replacement: Replacement,
    /// The most bytes of a body that are looked into, before and after it is decoded. A longer one is withheld.
    pub max_body: BodyBound,
    /// How a body goes on that was encoded (gzip, br, zstd, deflate).
    pub encoding: Encoding,
}

/// Rules by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The headers Authorization, Proxy-Authorization, Cookie, Set-Cookie and X-Api-Key, users and passwords in URLs, and the parameters that
    /// sign a URL: AWSAccessKeyId, Signature, sig, X-Goog-Signature, X-Amz-Credential, X-Amz-Security-Token and X-Amz-Signature.
    Credentials,
}

/// What comes in a secret's place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// `REDACTED`, whatever it was.
    #[default]
    Mask,
    /// Nothing: the header, cookie, parameter, field or member is taken out.
    Remove,
    /// `REDACTED-` and 16 hexadecimal digits, the same for the same secret (HMAC-SHA-256).
    Hash(HashConfig),
}

/// The key of hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HashConfig {
    /// A file with the key, of at least 16 bytes. By default each process has a random one, so that its hashes are equal to nobody else's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// Which values of JSON are secret.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonRule {
    /// Those at a place.
    Pointer(Pointer),
    /// Those of a key, at any depth.
    Key(Name),
}

/// What a secret looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum SecretPattern {
    /// A payment card's number: 13 to 19 digits, with or without spaces and dashes, of a known issuer and with a right check digit.
    Card,
    /// What stands behind `Bearer`.
    Bearer,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// An e-mail address.
    Email,
    /// What an expression finds.
    Own(Expression),
}

impl RedactConfig {
    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        let RedactConfig { preset, header, cookie, query, form, json, pattern, .. } = self;
        let names = [header, cookie, query, form].iter().all(|names| names.as_ref().is_none_or(Several::is_empty));
        preset.is_none()
            && names
            && json.as_ref().is_none_or(Several::is_empty)
            && pattern.as_ref().is_none_or(Several::is_empty)
    }
}

impl JsonRule {
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        if let JsonRule::Pointer(pointer) = self { Some(pointer) } else { None }
    }

    pub(crate) fn key(&self) -> Option<&Name> {
        if let JsonRule::Key(name) = self { Some(name) } else { None }
    }
}

impl FromStr for JsonRule {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text.as_bytes().first() {
            Some(b'/') => text.parse().map(JsonRule::Pointer),
            Some(_) => text.parse().map(JsonRule::Key),
            None => Err("a JSON pointer, as in /user/ssn, or a key, as in password".into()),
        }
    }
}

impl fmt::Display for JsonRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonRule::Pointer(pointer) => pointer.fmt(f),
            JsonRule::Key(name) => name.fmt(f),
        }
    }
}

impl FromStr for SecretPattern {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        Ok(match text {
            "card" => SecretPattern::Card,
            "bearer" => SecretPattern::Bearer,
            "jwt" => SecretPattern::Jwt,
            "email" => SecretPattern::Email,
            own => match own.strip_prefix('~') {
                Some(expression) if !expression.is_empty() => SecretPattern::Own(expression.parse()?),
                _ => return Err("card, bearer, jwt, email, or ~ and a regular expression".into()),
            },
        })
    }
}

impl fmt::Display for SecretPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretPattern::Card => f.write_str("card"),
            SecretPattern::Bearer => f.write_str("bearer"),
            SecretPattern::Jwt => f.write_str("jwt"),
            SecretPattern::Email => f.write_str("email"),
            SecretPattern::Own(expression) => write!(f, "~{expression}"),
        }
    }
}

one_word!(JsonRule, "JsonRule", {
    "description": "A JSON pointer, in which the segment * is any member or element, or else a glob of keys, at any depth.",
    "type": "string",
    "examples": ["/user/ssn", "password"]
});
one_word!(SecretPattern, "SecretPattern", {
    "description": "What a secret looks like; with ~ in front a regular expression.",
    "anyOf": [{ "enum": ["card", "bearer", "jwt", "email"] }, { "type": "string", "pattern": "^~." }]
});

impl Serialize for Replacement {
    /// A map with one key where it is no word: YAML would have a tag of it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Replacement::Mask => serializer.serialize_str("mask"),
            Replacement::Remove => serializer.serialize_str("remove"),
            Replacement::Hash(hash) if *hash == HashConfig::default() => serializer.serialize_str("hash"),
            Replacement::Hash(hash) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("hash", hash)?;
                map.end()
            }
        }
    }
}

impl FromWord for RedactConfig {
    const FORMS: &'static str =
        "`credentials`, or a map with `preset`, `header`, `cookie`, `query`, `form`, `json` or `pattern`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        match word {
            "credentials" => Ok(RedactConfig { preset: Some(Preset::Credentials), ..RedactConfig::default() }),
            _ => Err(Self::FORMS.into()),
        }
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Preset>()
    }
}

impl FromWord for Replacement {
    const FORMS: &'static str = "`mask`, `remove` or `hash`, or {hash: {key_file: PATH}}";

    fn from_word(word: &str) -> Result<Self, Expected> {
        match word {
            "mask" => Ok(Replacement::Mask),
            "remove" => Ok(Replacement::Remove),
            "hash" => Ok(Replacement::Hash(HashConfig::default())),
            _ => Err(Self::FORMS.into()),
        }
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["mask", "remove", "hash"] })
    }
}

fn replacement<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Replacement, D::Error> {
    WordOrMap::deserialize(deserializer).map(|WordOrMap(replacement)| replacement)
}

fn replacement_schema(generator: &mut SchemaGenerator) -> Schema {
    word_or_map_schema::<Replacement>(generator)
}
