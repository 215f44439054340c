//! The configuration: typed once, valid for good.
//!
//! A file (`mirror run mirror.yaml`) and the flags (`mirror --listen …`) both end in one [`Config`]; after [`Config::validate`]
//! nothing downstream of here checks a setting again. Every fault found is reported in one go, each with its place (the key's
//! path), its value and what was expected; see [`Faults`].
//!
//! Every bound of the program is a key here with its default and its reason; no other file invents one.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod address;
mod faults;
mod load;
mod units;

pub use address::{ListenAddress, Target, UpstreamAddress};
pub use faults::{Fault, Faults};
pub use units::{ByteSize, Fraction, Period};

/// All settings of one running `mirror`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses the proxy listens on: `:80` (every interface, IPv4 and IPv6), `127.0.0.1:80`, `[::1]:80`. One or a list.
    pub listen: Vec<ListenAddress>,
    /// The application the proxy stands before: `:8080` (this host), `app:8080`, `http://10.0.0.5:8080`.
    pub upstream: Option<UpstreamAddress>,
    /// Where copies of the requests go.
    pub shadow: Vec<ShadowConfig>,
    /// The recording that exchanges are written to.
    pub record: Option<RecordConfig>,
    /// The fraction of the exchanges that is mirrored, to every sink that does not say its own: `25%`, `1/1000`, `0.5`.
    pub fraction: Fraction,
    /// The header added to every copy, which also stops mirror loops.
    pub marker: MarkerConfig,
    /// The proxy's own settings.
    pub proxy: ProxyConfig,
    /// The engine's own settings.
    pub engine: EngineConfig,
    /// Bounds on what is held.
    pub limits: LimitsConfig,
    /// The admin endpoint.
    pub admin: AdminConfig,
    /// What is logged and how.
    pub log: LogConfig,
    /// After SIGTERM: how long running exchanges, and then the engine, may take to finish, each.
    pub drain_timeout: Period,
    /// End by itself after this long, as on SIGTERM.
    pub exit_after: Option<Period>,
}

/// One target that requests are shadowed to, with the bounds of its sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowConfig {
    /// Where to: `:8082` (this host), `staging:8082`, `http://10.0.0.7:9000/prefix`. A path is put before the request's own.
    pub target: Target,
    /// The target's name in metrics, logs and recordings; by default its address.
    #[serde(default)]
    pub name: Option<String>,
    /// The fraction of all exchanges that this target gets; by default the top-level `fraction`.
    #[serde(default)]
    pub fraction: Option<Fraction>,
    /// The `Host` of the copies: `original`, `target`, or a literal.
    #[serde(default)]
    pub host: HostPolicy,
    /// Copies under way at once, which is also the most connections the target sees. 128 answers 10k requests a second at 12 ms each.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// Copies that wait for a free slot; beyond it they are dropped (`queue_full`). 1024 rides out a pause of 100 ms at 10k requests a second.
    #[serde(default = "default_queue")]
    pub queue: NonZeroUsize,
    /// How long a TCP connection may take to open.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: Period,
    /// How long the target may take from the end of the request to the end of its answer.
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

/// The header that marks copies: `x-mirror-shadow: 1` by default, `off`, or a name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkerConfig {
    /// No header is added, and none is looked for: nothing stops a mirror loop then.
    Off,
    /// Added to every copy; a request that already bears the name is not mirrored again.
    Header {
        /// The header's name.
        name: String,
        /// The header's value.
        value: String,
    },
}

/// The recording that exchanges are written to. In YAML a plain string is its path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordConfig {
    /// The file; strftime conversions (`traffic-%Y%m%d-%H%M%S.avro`) name a new one at each rotation. An existing one is appended to.
    pub path: PathBuf,
    /// The fraction of all exchanges that is recorded; by default the top-level `fraction`.
    #[serde(default)]
    pub fraction: Option<Fraction>,
    /// Bodies longer than this are cut, and marked as cut.
    #[serde(default = "default_max_body")]
    pub max_body: ByteSize,
    /// A block is written when it holds this much, before compression.
    #[serde(default = "default_flush_bytes")]
    pub flush_bytes: ByteSize,
    /// A block is written when its first record is this old: what a crash can lose.
    #[serde(default = "default_flush_interval")]
    pub flush_interval: Period,
    /// A new file is begun when this one is larger.
    #[serde(default)]
    pub rotate_size: Option<ByteSize>,
    /// A new file is begun when this one is older.
    #[serde(default)]
    pub rotate_interval: Option<Period>,
    /// The oldest files of this recording are removed when all together are larger.
    #[serde(default)]
    pub keep: Option<ByteSize>,
    /// Finished blocks that may wait for the disk; beyond it records are dropped (`disk_slow`).
    #[serde(default = "default_disk_queue")]
    pub disk_queue: NonZeroUsize,
    /// How long a finished exchange waits for its targets' answers before it is written without them.
    #[serde(default = "default_answer_wait")]
    pub answer_wait: Period,
}

/// The proxy's own settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Threads that serve connections; by default the machine's cores.
    pub threads: Option<NonZeroUsize>,
    /// Add `X-Forwarded-For` and `X-Forwarded-Proto` towards the upstream.
    pub forwarded: bool,
    /// How long a TCP connection to the upstream may take to open; then 504.
    pub connect_timeout: Period,
    /// How long the upstream may be silent, before its answer or within it; then 504. An hour, so that long polls and quiet
    /// event streams are not cut by a proxy nobody knows of.
    pub read_timeout: Period,
    /// How long a write to the upstream may make no headway.
    pub write_timeout: Period,
    /// How long an upstream connection is kept unused.
    pub upstream_idle_timeout: Period,
    /// How long a downstream connection is kept between requests.
    pub keepalive_timeout: Period,
}

/// The engine's own settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Threads that run stages and sinks, apart from the proxy's.
    pub threads: NonZeroUsize,
}

/// Bounds on what is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// The byte budget: all that the engine holds of exchanges, together. What does not fit is dropped (`memory`).
    pub memory: ByteSize,
}

/// The admin endpoint: `/metrics`, `/healthz`, `/readyz`, `/config`. In YAML an address, or `off`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdminConfig {
    /// 127.0.0.1:9900; if that is taken, a warning and no endpoint.
    #[default]
    Default,
    /// None.
    Off,
    /// This; if it is taken, an error.
    Address(ListenAddress),
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `auto`: for people on a terminal, else JSON.
    pub format: LogFormat,
    /// A tracing filter: `info`, `warn,mirror=debug`.
    pub level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, else JSON.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where the admin endpoint is unless told otherwise.
pub const DEFAULT_ADMIN: &str = "127.0.0.1:9900";

fn seconds(n: u64) -> Period {
    Period(Duration::from_secs(n))
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
fn default_max_body() -> ByteSize {
    ByteSize::mib(10)
}
fn default_flush_bytes() -> ByteSize {
    ByteSize::kib(256)
}
fn default_flush_interval() -> Period {
    seconds(1)
}
fn default_disk_queue() -> NonZeroUsize {
    NonZeroUsize::new(16).expect("not zero")
}
fn default_answer_wait() -> Period {
    seconds(5)
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Vec::new(),
            upstream: None,
            shadow: Vec::new(),
            record: None,
            fraction: Fraction::ALL,
            marker: MarkerConfig::default(),
            proxy: ProxyConfig::default(),
            engine: EngineConfig::default(),
            limits: LimitsConfig::default(),
            admin: AdminConfig::default(),
            log: LogConfig::default(),
            drain_timeout: seconds(30),
            exit_after: None,
        }
    }
}

impl Default for MarkerConfig {
    fn default() -> Self {
        MarkerConfig::Header { name: "x-mirror-shadow".into(), value: "1".into() }
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

impl Default for ProxyConfig {
    fn default() -> Self {
        ProxyConfig {
            threads: None,
            forwarded: false,
            connect_timeout: seconds(5),
            read_timeout: seconds(3600),
            write_timeout: seconds(60),
            upstream_idle_timeout: seconds(60),
            keepalive_timeout: seconds(75),
        }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig { threads: NonZeroUsize::MIN }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig { memory: ByteSize::mib(256) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { format: LogFormat::Auto, level: "info".into() }
    }
}
