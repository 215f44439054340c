//! One target, and the bounds of its sink.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use http::uri::Authority;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{self, order_schema};
use super::text::one_word;
use super::{ByteSize, Expected, Fraction, Period, StageConfig, Target, seconds};

mod order;

pub use order::OrderConfig;

/// One target that requests are shadowed to, with the bounds of its sink. In YAML a plain string is its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowConfig {
    /// Where to: `:8082` (this host), `staging:8082`, `http://10.0.0.7:9000/prefix`. A path is put before the request's own.
    pub target: Target,
    /// The target's name in metrics, logs and recordings; by default its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The fraction of all exchanges that this target gets; by default the top-level `fraction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
    /// Stages that exchanges pass before they go to this target, after those for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipeline: Vec<StageConfig>,
    /// The `Host` of the copies: `original`, `target`, or a literal.
    #[serde(default)]
    pub host: HostPolicy,
    /// Copies under way at once, which is also the most connections the target sees. 128 answers 10k requests a second at 12 ms each.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// Copies that wait for a free slot; beyond it they are dropped (`queue_full`). 1024 rides out a pause of 100 ms at 10k requests a second.
    #[serde(default = "default_queue")]
    pub queue: NonZeroUsize,
    /// What goes to the target in its order, and not side by side: copies of one `connection`, one `cookie.session`. As many may wait for those before
    /// them as in `queue`.
    #[serde(default, deserialize_with = "forms::order", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "order_schema")]
    pub order: Option<OrderConfig>,
    /// How long a TCP connection may take to open.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: Period,
    /// How long the target may take from the end of the request to the end of its answer, and before that to take what is there of it.
    #[serde(default = "default_shadow_timeout")]
    pub timeout: Period,
    /// How many bytes of one request the target may be behind the source before the copy is dropped (`lag`).
    #[serde(default = "default_lag")]
    pub lag: ByteSize,
    /// How often a failed copy is sent again where all of it is still at hand. None by default: a shadow must not multiply load.
    #[serde(default)]
    pub retries: u32,
    /// How much of each answer's body is kept for recording and comparison; the rest is read and thrown away.
    #[serde(default = "default_answer_body")]
    pub answer_body: ByteSize,
    /// How long a connection may be idle before it is closed.
    #[serde(default = "default_idle_timeout")]
    pub idle_timeout: Period,
    /// How often the target's name is looked up again.
    #[serde(default = "default_resolve_every")]
    pub resolve_every: Period,
    /// When a failing target is left alone for a while.
    #[serde(default)]
    pub backoff: BackoffConfig,
}

/// When a failing target is left alone, and for how long: copies are dropped (`backoff`) meanwhile, then one is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffConfig {
    /// Failures in a row that start it.
    pub after: NonZeroU32,
    /// The first pause; it doubles with each failed try.
    pub min: Period,
    /// The longest pause, so that a target that recovers is served again within it.
    pub max: Period,
}

impl ShadowConfig {
    /// This target, with the default for all else.
    pub fn new(target: Target) -> Self {
        ShadowConfig {
            target,
            name: None,
            fraction: None,
            pipeline: Vec::new(),
            host: HostPolicy::default(),
            concurrency: default_concurrency(),
            queue: default_queue(),
            order: None,
            connect_timeout: default_connect_timeout(),
            timeout: default_shadow_timeout(),
            lag: default_lag(),
            retries: 0,
            answer_body: default_answer_body(),
            idle_timeout: default_idle_timeout(),
            resolve_every: default_resolve_every(),
            backoff: BackoffConfig::default(),
        }
    }

    /// What the target is called in metrics, logs and recordings.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.target.to_string())
    }
}

impl BackoffConfig {
    /// For a replay, which is to send each request: after more failures than there will be.
    pub(super) fn never() -> Self {
        BackoffConfig { after: NonZeroU32::MAX, ..BackoffConfig::default() }
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        BackoffConfig {
            after: NonZeroU32::new(5).expect("not zero"),
            min: Period(Duration::from_millis(100)),
            max: seconds(5),
        }
    }
}

fn default_concurrency() -> NonZeroUsize {
    NonZeroUsize::new(128).expect("not zero")
}
fn default_queue() -> NonZeroUsize {
    NonZeroUsize::new(1024).expect("not zero")
}
fn default_connect_timeout() -> Period {
    seconds(1)
}
fn default_shadow_timeout() -> Period {
    seconds(30)
}
fn default_lag() -> ByteSize {
    ByteSize::mib(4)
}
fn default_answer_body() -> ByteSize {
    ByteSize::kib(64)
}
fn default_idle_timeout() -> Period {
    seconds(60)
}
fn default_resolve_every() -> Period {
    seconds(5)
}

/// What a copy's `Host` header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// What the client sent.
    #[default]
    Original,
    /// The target's own authority.
    Target,
    /// This.
    Literal(String),
}

impl FromStr for HostPolicy {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "original" => Ok(HostPolicy::Original),
            "target" => Ok(HostPolicy::Target),
            // A Host is a host and perhaps a port, and no userinfo: RFC 9110 section 7.2.
            literal if !literal.contains('@') && literal.parse::<Authority>().is_ok() => {
                Ok(HostPolicy::Literal(literal.to_owned()))
            }
            _ => Err("original, target, or a host of your own, as in www.example.com or example.com:8080".into()),
        }
    }
}

impl fmt::Display for HostPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostPolicy::Original => "original",
            HostPolicy::Target => "target",
            HostPolicy::Literal(literal) => literal,
        })
    }
}

one_word!(HostPolicy, "HostPolicy", {
    "description": "The Host of the copies: original (what the client sent), target (the target's own), or a literal.",
    "type": "string",
    "pattern": r"^[^@/?#\s]+$",
    "examples": ["original", "target", "www.example.com"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for text in ["original", "target", "www.example.com", "example.com:8080", "[::1]:80"] {
            assert_eq!(text.parse::<HostPolicy>().unwrap().to_string(), text);
        }
        for text in ["", "a b", "a/b", "me@a", "a\r\nx: y", "a,b\u{7f}"] {
            assert!(text.parse::<HostPolicy>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_constructor_and_yaml_have_the_same_defaults() {
        let target: Target = ":8082".parse().unwrap();
        assert_eq!(serde_yaml::from_str::<ShadowConfig>("target: ':8082'").unwrap(), ShadowConfig::new(target));
    }
}
