use std::num::{NonZeroU32, NonZeroUsize};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::condition::Key;
use crate::config::forms::FromWord;
use crate::config::{ByteRate, ByteSize, Expected, RequestRate};

/// How many go on in a second; what is more is skipped (`rate`). A rate alone is `requests`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateConfig {
    /// Requests in a time: `500/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestRate>,
    /// Bytes of requests in a time: `1MiB/s`. A request counts by its head and its Content-Length; of a chunked one only the head is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteRate>,
    /// Requests that may come at once; by default those of a second, and at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Bytes that may come at once; by default those of a second. A request that is larger passes when nothing else has for as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_bytes: Option<ByteSize>,
    /// What has a limit of its own: `client`, `header.x-tenant`. Without it there is one for all; those that lack it have one together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Key>,
    /// Keys that are told apart at once, at some 50 bytes each; those beyond have one limit together. A key is forgotten once it has its whole burst again.
    pub keys: Keys,
}

/// How many keys a rate tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Keys(pub NonZeroUsize);

impl Default for Keys {
    /// The users of a busy service, in 3 MiB.
    fn default() -> Self {
        Keys(NonZeroUsize::new(65_536).expect("not zero"))
    }
}

impl RateConfig {
    pub(crate) fn burst_of_requests(&self) -> f64 {
        let a_second = self.requests.map_or(1.0, RequestRate::per_second);
        self.burst.map_or(a_second, |burst| f64::from(burst.get())).max(1.0)
    }

    pub(crate) fn burst_of_bytes(&self) -> f64 {
        let a_second = self.bytes.map_or(0.0, ByteRate::per_second);
        self.burst_bytes.map_or(a_second, |burst| burst.bytes() as f64)
    }
}

impl FromWord for RateConfig {
    const FORMS: &'static str = "a rate, as in 500/s, or a map with the keys `requests` or `bytes`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(RateConfig { requests: Some(word.parse()?), ..RateConfig::default() })
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<RequestRate>()
    }
}
