//! The configuration: typed once, valid for good.
//!
//! A file (`mirror run mirror.yaml`) and the flags (`mirror --listen …`) both end in one [`Config`]; after [`Config::validate`]
//! nothing downstream of here checks a setting again. Every fault found is reported in one go, each with its place (the key's
//! path), its value and what was expected; see [`Faults`].
//!
//! Every bound of the program is a key here with its default and its reason; no other file invents one.
//!
//! No setting is a secret (addresses with a user or password are refused), so that all of it may be shown: there is no masked view.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

mod address;
mod admin;
mod capture;
mod check;
mod condition;
mod draft;
mod faults;
mod forms;
mod marker;
mod pipeline;
mod ports;
mod record;
mod reload;
mod replay;
mod shadow;
mod text;
mod transparent;
mod units;

pub use address::{ListenAddress, Target, UpstreamAddress};
pub use admin::{AdminAddress, AdminConfig, DEFAULT_ADMIN};
pub use capture::{CaptureConfig, CaptureFrom};
pub use condition::{ConditionConfig, ConditionMap};
pub use draft::{Draft, nearest};
pub use faults::{Expected, Fault, Faults};
pub use marker::MarkerConfig;
pub use pipeline::{
    BodyBound, BodyEdits, Brought, Carried, CarryConfig, CommandLine, Edits, Encoding, Expression, FilterConfig, Found,
    FractionConfig, FractionRule, HandedOut, HashConfig, HostEdit, JsonEdits, JsonRule, MiddlewareConfig, Name,
    NewStatus, NewValue, OnFailure, PathEdit, Preset, RateConfig, RedactConfig, Replace, Replacement, ResponseEdits,
    RestartConfig, RewriteConfig, SecretPattern, SplitConfig, StageConfig, TargetEdit, Token, Unreadable,
};
pub use ports::Ports;
pub use record::{RecordConfig, RecordFormat};
pub(crate) use reload::differing;
pub use replay::{Allowed, Arrivals, FailOn, Failing, Passes, ReplayConfig, Speed, StatusIs};
pub use shadow::{BackoffConfig, HostPolicy, OrderConfig, ShadowConfig};
pub use transparent::{DEFAULT_MARK, ProxyProtocolConfig, ProxyProtocolVersion, Transparent};
pub use units::{ByteRate, ByteSize, Fraction, Period, RequestRate};

/// All settings of one running `mirror`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses the proxy listens on: `:80` (every interface, IPv4 and IPv6), `127.0.0.1:80`, `[::1]:80`. One or a list.
    #[serde(deserialize_with = "forms::one_or_list")]
    #[schemars(schema_with = "forms::listen_schema")]
    pub listen: Vec<ListenAddress>,
    /// The application the proxy stands before: `:8080` (this host), `app:8080`, `http://10.0.0.5:8080`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamAddress>,
    /// What a passive listener takes packets from, beside the proxy or instead of it. One or a list, each a word (`:8080`, `eth0:80,8080`,
    /// `trace.pcapng:80`, `vxlan::4789`) or a map.
    #[serde(deserialize_with = "forms::capture")]
    #[schemars(schema_with = "forms::capture_schema")]
    pub capture: Vec<CaptureConfig>,
    /// Recordings that are sent again, in place of a proxy and of captures. A file, a list of them, or a map.
    #[serde(deserialize_with = "forms::replay", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "forms::replay_schema")]
    pub replay: Option<ReplayConfig>,
    /// Where copies of the requests go. One or a list, each an address or a map.
    #[serde(deserialize_with = "forms::shadow")]
    #[schemars(schema_with = "forms::shadow_schema")]
    pub shadow: Vec<ShadowConfig>,
    /// The recordings that exchanges are written to. One or a list, each a path or a map.
    #[serde(
        deserialize_with = "forms::record",
        serialize_with = "forms::one_alone",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "forms::record_schema")]
    pub record: Vec<RecordConfig>,
    /// Without a target or a recording what a source sees is counted, and goes nowhere; this says that it is meant so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
    /// The fraction of the exchanges that is mirrored, to every sink that does not say its own: `25%`, `1/1000`, `0.5`.
    pub fraction: Fraction,
    /// Stages that every exchange passes before it goes to the sinks, in this order.
    pub pipeline: Vec<StageConfig>,
    /// The header added to every copy, which also stops mirror loops.
    pub marker: MarkerConfig,
    /// The proxy's own settings.
    pub proxy: ProxyConfig,
    /// The engine's own settings.
    pub engine: EngineConfig,
    /// Bounds on what is held.
    pub limits: LimitsConfig,
    /// The admin endpoint. A word (`:9900`, `off`) or a map.
    #[serde(deserialize_with = "forms::admin")]
    #[schemars(schema_with = "forms::admin_schema")]
    pub admin: AdminConfig,
    /// What is logged and how.
    pub log: LogConfig,
    /// After SIGTERM: how long running exchanges, and then the engine, may take to finish, each.
    pub drain_timeout: Period,
    /// End by itself after this long, as on SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_after: Option<Period>,
}

/// The proxy's own settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// Threads that serve connections; by default the machine's cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<NonZeroUsize>,
    /// Take connections that were redirected here, and proxy each to where it was going: `redirect` or `tproxy`. `upstream` may be left out then;
    /// where it is there, all but the application's own calls go to it. What is not HTTP/1 is tunnelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transparent: Option<Transparent>,
    /// SO_MARK of connections to the upstream, for rules that let them pass; 2 with `tproxy`, otherwise none. Takes CAP_NET_ADMIN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<NonZeroU32>,
    /// How long a redirected connection may say nothing before it is taken for one on which the server speaks first: it is connected to where
    /// it was going then, and whoever speaks first decides. Clients of HTTP speak at once; 100 ms is a slow start of TCP away.
    pub detect_timeout: Period,
    /// The PROXY protocol, where a load balancer or the application speaks it.
    pub proxy_protocol: ProxyProtocolConfig,
    /// Listen with SO_REUSEPORT, so that a second `mirror` of the same user may take the same addresses while this one drains.
    pub reuse_port: bool,
    /// While the proxy drains: how long a connection that is idle may still send a request, whose answer then says that it is the last. A client
    /// that sends one just as its connection is closed has to send it again, and does not always.
    pub drain_idle: Period,
    /// Add `X-Forwarded-For` and `X-Forwarded-Proto` towards the upstream.
    pub forwarded: bool,
    /// How long a TCP connection to the upstream may take to open; then 504.
    pub connect_timeout: Period,
    /// How long the upstream may be silent, before its answer or within it; then 504. An hour, so that long polls and quiet
    /// event streams are not cut by a proxy nobody knows of.
    pub read_timeout: Period,
    /// How long a write to the upstream may make no headway.
    pub write_timeout: Period,
    /// How long an upstream connection is kept unused. Below the 5 s after which common servers (Node.js among them) close theirs, so
    /// that a request does not meet a connection that is being closed: one that may not be sent twice would get 502.
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
    /// The byte budget: all that the engine holds of exchanges, together, from the head until a target or the disk has it. What does not
    /// fit is dropped (`memory`). The process has up to 64 MB more: code, the proxy's buffers, and what is freed and not yet given back.
    pub memory: ByteSize,
    /// Bounds on what captures hold to put packets back into streams, beside `memory`.
    pub reassembly: ReassemblyConfig,
}

/// Bounds on what captures hold to put packets back into streams, of all connections together. Beyond one, the connection that was idle longest
/// is given up, and counted: nobody's flood of packets costs more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReassemblyConfig {
    /// Bytes that wait for others, in all: for some before them, or for the rest of their head. 32 MiB is eight connections at their own bound.
    pub bytes: ByteSize,
    /// Bytes that wait for others before them, in one direction of a connection; beyond it what is missing is given up as lost. 4 MiB is what
    /// a fast connection has under way while one packet is sent again.
    pub flow_bytes: ByteSize,
    /// Connections that are known at once; at some 500 bytes each, 65,536 are 32 MiB.
    pub flows: NonZeroUsize,
    /// How long a connection may be silent before it is forgotten. Six minutes: a little more than load balancers keep theirs (350 s), so that what
    /// is forgotten is dead and not an answer that takes its time.
    pub idle: Period,
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

fn seconds(n: u64) -> Period {
    Period(Duration::from_secs(n))
}
impl Config {
    /// The settings in a YAML file, checked.
    pub fn load(path: &Path) -> Result<Config, Faults> {
        Draft::read(path)?.finish()
    }

    /// The settings in a YAML text, checked.
    pub fn from_yaml(text: &str) -> Result<Config, Faults> {
        Draft::parse(text)?.finish()
    }

    /// All settings, defaults too, as YAML that reads as the same config again.
    pub fn to_yaml(&self) -> String {
        // It cannot fail but by a path that is not UTF-8, which no YAML and no flag can give.
        serde_yaml::to_string(self).unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// The JSON Schema of the YAML form, for editors and for checking files without us.
    pub fn schema() -> Schema {
        schemars::schema_for!(Config)
    }

    /// Whether the settings make sense together and on this host: all that do not, at once. Nothing is bound or created.
    pub fn validate(&self) -> Result<(), Faults> {
        Faults(self.check(&[], &str::to_owned)).or_ok()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Vec::new(),
            upstream: None,
            capture: Vec::new(),
            replay: None,
            shadow: Vec::new(),
            record: Vec::new(),
            discard: false,
            fraction: Fraction::ALL,
            pipeline: Vec::new(),
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

impl ProxyConfig {
    /// SO_MARK of connections to the upstream, where they have one.
    pub fn upstream_mark(&self) -> Option<NonZeroU32> {
        self.mark.or((self.transparent == Some(Transparent::Tproxy)).then_some(DEFAULT_MARK))
    }
}

impl Default for ProxyConfig {
    fn default() -> Self {
        ProxyConfig {
            threads: None,
            transparent: None,
            mark: None,
            detect_timeout: Period(Duration::from_millis(100)),
            proxy_protocol: ProxyProtocolConfig::default(),
            reuse_port: false,
            drain_idle: Period(Duration::ZERO),
            forwarded: false,
            connect_timeout: seconds(5),
            read_timeout: seconds(3600),
            write_timeout: seconds(60),
            upstream_idle_timeout: seconds(4),
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
        LimitsConfig { memory: ByteSize::mib(256), reassembly: ReassemblyConfig::default() }
    }
}

impl Default for ReassemblyConfig {
    fn default() -> Self {
        ReassemblyConfig {
            bytes: ByteSize::mib(32),
            flow_bytes: ByteSize::mib(4),
            flows: NonZeroUsize::new(65_536).expect("not zero"),
            idle: seconds(360),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { format: LogFormat::Auto, level: "info".into() }
    }
}
