//! Every flag of GoReplay 2.0 and what becomes of it.

use std::fmt;

/// A flag of GoReplay's.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) fate: Fate,
}

/// What a flag's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Text,
    /// A text that may be given several times.
    List,
    Number,
    Time,
    Size,
}

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It sets this, or makes this stage.
    Mapped(&'static str),
    /// It has nothing to set here, for this reason, which is told.
    Told(&'static str),
    /// It is refused until this is there.
    Later(&'static str),
    /// It is refused, as it belongs to GoReplay's paid edition.
    Paid,
    /// It is refused, as this does it here.
    Instead(&'static str),
}

use Fate::{Instead, Later, Mapped, Paid, Told};
use Kind::{List, Number, Size, Switch, Text, Time};

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mapped(what) => f.write_str(what),
            Told(why) => write!(f, "nothing to set: {why}"),
            Later(what) => write!(f, "refused: not supported yet ({what})"),
            Paid => f.write_str("refused: of GoReplay's paid edition"),
            Instead(what) => write!(f, "refused: in its place {what}"),
        }
    }
}

impl Kind {
    /// How it is written.
    pub(super) fn example(self) -> &'static str {
        match self {
            Switch => "as in --flag or --flag=false",
            Text | List => "as in --flag value",
            Number => "as in --flag 10",
            Time => "as in --flag 5s",
            Size => "as in --flag 32mb",
        }
    }
}

const fn flag(name: &'static str, kind: Kind, fate: Fate) -> Flag {
    Flag { name, kind, fate }
}

const SEEN: &str = "the sums are printed at the end, and until then they are on the admin endpoint: /metrics, /sinks";
const KAFKA: Fate = Later("Kafka");
const AGGREGATION: Fate = Later("sending traffic from one mirror to another");
const WEBSOCKET: Fate = Later("WebSocket targets");
const KUBERNETES: Fate = Later("finding pods");

/// All of them, in the order of GoReplay's areas.
pub(super) const FLAGS: &[Flag] = &[
    // General
    flag("verbose", Number, Mapped("log.level")),
    flag("stats", Switch, Told(SEEN)),
    flag("exit-after", Time, Mapped("exit_after")),
    flag("http-pprof", Text, Mapped("admin.address")),
    flag("cpuprofile", Text, Told("there is no Go runtime to be profiled")),
    flag("memprofile", Text, Told("there is no Go runtime to be profiled")),
    flag("copy-buffer-size", Size, Mapped("record.max_body, and `max_body` of the middleware")),
    flag("prettify-http", Switch, Mapped("rewrite: body.encoding: identity, of requests and responses")),
    flag("split-output", Switch, Mapped("split, whose targets take turns")),
    flag("recognize-tcp-sessions", Switch, Paid),
    flag("middleware", Text, Mapped("middleware")),
    // For tests
    flag("input-dummy", List, Instead("`mirror demo`, which makes traffic of its own")),
    flag("output-stdout", Switch, Mapped("record.path: \"-\", record.format: gor")),
    flag("output-null", Switch, Mapped("discard")),
    // Capture
    flag("input-raw", List, Mapped("capture; behind |, rate or fraction")),
    flag("input-raw-track-response", Switch, Mapped("record.responses")),
    flag("input-raw-engine", Text, Mapped("capture: interface, file or vxlan")),
    flag("input-raw-protocol", Text, Mapped("nothing but http")),
    flag("input-raw-bpf-filter", Text, Mapped("capture.bpf")),
    flag(
        "input-raw-expire",
        Time,
        Told("a message ends where HTTP says so, and not when nothing more came for a while"),
    ),
    flag(
        "input-raw-allow-incomplete",
        Switch,
        Told("what was seen of an incomplete message is always recorded, and marked; targets get whole requests only"),
    ),
    flag("input-raw-realip-header", Text, Mapped("rewrite: header.set, to {client}")),
    flag("input-raw-stats", Switch, Told(SEEN)),
    flag("input-raw-buffer-size", Size, Mapped("capture.buffer")),
    flag("input-raw-buffer-timeout", Time, Mapped("capture.block_time")),
    flag(
        "input-raw-override-snaplen",
        Switch,
        Told("256 KiB of each packet are taken in any case, which is all of it"),
    ),
    flag("input-raw-timestamp-type", Text, Told("packets bear the kernel's time")),
    flag("input-raw-promisc", Switch, Mapped("capture.promiscuous")),
    flag("input-raw-monitor", Switch, Later("listening to radio frames in monitor mode")),
    flag(
        "input-raw-ignore-interface",
        List,
        Instead("an --input-raw for each interface that is to be listened to: eth0:80"),
    ),
    flag("input-raw-vlan", Switch, Told("VLAN tags are seen through in any case")),
    flag("input-raw-vlan-vid", List, Mapped("capture.bpf: vlan N")),
    flag("input-raw-vxlan-port", Number, Mapped("capture.vxlan")),
    flag("input-raw-vxlan-vni", List, Later("choosing among VXLAN networks")),
    flag("input-raw-k8s-nomatch-nocap", Switch, KUBERNETES),
    flag("input-raw-k8s-skip-ns", List, KUBERNETES),
    flag("input-raw-k8s-skip-svc", List, KUBERNETES),
    // From one to another
    flag("input-tcp", List, AGGREGATION),
    flag("input-tcp-secure", Switch, AGGREGATION),
    flag("input-tcp-certificate", Text, AGGREGATION),
    flag("input-tcp-certificate-key", Text, AGGREGATION),
    flag("output-tcp", List, AGGREGATION),
    flag("output-tcp-secure", Switch, AGGREGATION),
    flag("output-tcp-skip-verify", Switch, AGGREGATION),
    flag("output-tcp-sticky", Switch, AGGREGATION),
    flag("output-tcp-workers", Number, AGGREGATION),
    flag("output-tcp-stats", Switch, AGGREGATION),
    flag("output-tcp-response-buffer", Size, AGGREGATION),
    flag("output-ws", List, WEBSOCKET),
    flag("output-ws-skip-verify", Switch, WEBSOCKET),
    flag("output-ws-sticky", Switch, WEBSOCKET),
    flag("output-ws-workers", Number, WEBSOCKET),
    flag("output-ws-stats", Switch, WEBSOCKET),
    // Files
    flag("input-file", List, Mapped("replay.files; behind |, replay.speed or rate")),
    flag("input-file-loop", Switch, Mapped("replay.loop: forever")),
    flag(
        "input-file-read-depth",
        Number,
        Told("requests are put in order, and read ahead, by bytes: replay.read_ahead"),
    ),
    flag("input-file-max-wait", Time, Mapped("replay.max_gap")),
    flag("input-file-dry-run", Switch, Instead("`mirror inspect --stats FILE`")),
    flag("output-file", List, Mapped("record.path, format and rotate_by_name; behind |, rate or fraction")),
    flag("output-file-append", Switch, Mapped("record.path without _0, and no record.rotate_size")),
    flag("output-file-flush-interval", Time, Mapped("record.flush_interval")),
    flag("output-file-size-limit", Size, Mapped("record.rotate_size")),
    flag("output-file-queue-limit", Number, Told("a new file is begun by size alone: --output-file-size-limit")),
    flag("output-file-max-size-limit", Size, Mapped("record.keep")),
    flag("output-file-buffer", Text, Paid),
    // HTTP
    flag("output-http", List, Mapped("shadow; behind |, rate or fraction")),
    flag("output-http-workers-min", Number, Told("connections are opened as they are needed, and kept for a while")),
    flag("output-http-workers", Number, Mapped("shadow.concurrency")),
    flag("output-http-worker-timeout", Time, Mapped("shadow.idle_timeout")),
    flag("output-http-queue-len", Number, Mapped("shadow.queue")),
    flag("output-http-timeout", Time, Mapped("shadow.timeout")),
    flag("output-http-redirects", Number, Mapped("nothing but 0")),
    flag("output-http-skip-verify", Switch, Told("there are no certificates to verify: targets are plain HTTP so far")),
    flag("output-http-response-buffer", Size, Mapped("shadow.answer_body")),
    flag("output-http-track-response", Switch, Mapped("record.answers, shadow.answer_body")),
    flag("output-http-stats", Switch, Told(SEEN)),
    flag("output-http-stats-ms", Number, Told(SEEN)),
    flag("output-http-elasticsearch", Text, Later("Elasticsearch")),
    flag("http-original-host", Switch, Mapped("shadow.host: original, in place of target")),
    // Binary protocols
    flag("output-binary", List, Paid),
    flag("output-binary-workers", Number, Paid),
    flag("output-binary-timeout", Time, Paid),
    flag("output-binary-track-response", Switch, Paid),
    flag("output-binary-debug", Switch, Paid),
    flag("output-binary-stats", Switch, Paid),
    // Kafka
    flag("input-kafka-host", Text, KAFKA),
    flag("input-kafka-topic", Text, KAFKA),
    flag("input-kafka-offset", Text, KAFKA),
    flag("input-kafka-json-format", Switch, KAFKA),
    flag("input-kafka-use-sasl", Switch, KAFKA),
    flag("input-kafka-mechanism", Text, KAFKA),
    flag("input-kafka-username", Text, KAFKA),
    flag("input-kafka-password", Text, KAFKA),
    flag("output-kafka-host", Text, KAFKA),
    flag("output-kafka-topic", Text, KAFKA),
    flag("output-kafka-json-format", Switch, KAFKA),
    flag("output-kafka-use-sasl", Switch, KAFKA),
    flag("output-kafka-mechanism", Text, KAFKA),
    flag("output-kafka-username", Text, KAFKA),
    flag("output-kafka-password", Text, KAFKA),
    flag("kafka-tls-ca-cert", Text, KAFKA),
    flag("kafka-tls-client-cert", Text, KAFKA),
    flag("kafka-tls-client-key", Text, KAFKA),
    // Modifiers, in the order in which they run
    flag("http-allow-method", List, Mapped("filter: allow: method")),
    flag("http-set-header", List, Mapped("rewrite: header.set; Host is rewrite: host")),
    flag("http-set-param", List, Mapped("rewrite: query.set")),
    flag("http-allow-url", List, Mapped("filter: allow: target")),
    flag("http-disallow-url", List, Mapped("filter: deny: target")),
    flag("http-allow-header", List, Mapped("filter: allow: header")),
    flag("http-disallow-header", List, Mapped("filter: deny: header")),
    flag("http-basic-auth-filter", List, Mapped("filter: allow: basic_auth")),
    flag("http-header-limiter", List, Mapped("fraction: by header.NAME, rule: goreplay")),
    flag("http-param-limiter", List, Mapped("fraction: by query.NAME, rule: goreplay")),
    flag("http-rewrite-url", List, Mapped("rewrite: target")),
    flag("http-rewrite-header", List, Mapped("rewrite: header.replace; Host is rewrite: host")),
];
