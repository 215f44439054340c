//! What is replayed, and when each request is due.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{self, order_schema};
use super::text::one_word;
use super::{ByteSize, OrderConfig, Period, RequestRate};
use crate::recording::Moment;

mod fail_on;
mod passes;
mod speed;

pub use fail_on::{Allowed, FailOn, Failing, StatusIs};
pub use passes::Passes;
pub use speed::Speed;

/// Recordings that are sent again, in place of live traffic. In YAML a plain string or list is the files.
///
/// Targets that do not say otherwise are never left alone for failures (`backoff`), as each request is to be sent, and have 5 s to take a connection
/// (`connect_timeout`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// The recordings: one or a list, globs too (`traffic-*.avro`); several are merged by time. `-` is stdin.
    #[serde(deserialize_with = "forms::one_or_list")]
    #[schemars(schema_with = "forms::files_schema")]
    pub files: Vec<PathBuf>,
    /// How fast: `200%`, `2` and `2x` are twice as fast as recorded, `max` is as fast as `concurrency` allows. By default as recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// So many requests in a time, in place of the recorded times: `5000/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RequestRate>,
    /// How the requests of a `rate` are spread. By default evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// How often: a number, or `forever`. A pass begins where the one before it would have gone on.
    #[serde(default, rename = "loop")]
    pub passes: Passes,
    /// End after this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Period>,
    /// End after so many requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU64>,
    /// Recorded gaps between requests are cut to this, before `speed` is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<Period>,
    /// Leave out what began before: `2026-11-24T09:30:00Z`, or `+30s` after the first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Leave out what began at this moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Moment>,
    /// Requests under way at once, for each target that does not say its own `concurrency`. By default 1024, which is 1,000 requests a second
    /// at a second each: a bound that is reached makes requests wait for answers, and then the timing is the target's. At `speed: max` it is
    /// 64, as there the target is always full, and more only makes it queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
    /// What is sent in its recorded order, each behind the answer to the one before it, to each target that does not say its own `order`:
    /// `connection`, `cookie.session`. A connection is one of a client with a server, and another one in each pass.
    #[serde(default, deserialize_with = "forms::order", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "order_schema")]
    pub order: Option<OrderConfig>,
    /// A p99 of lateness above this is told as a warning, and is what `late` in `fail_on` means. Lateness is how long after it was due a request's
    /// first byte was written. 100 ms is far more than a machine that keeps up needs, and hardly seen by who looks at seconds.
    #[serde(default = "default_late")]
    pub late: Period,
    /// What makes the replay a failure (exit code 1): a list of `failed`, `dropped`, `left-out`, `nothing`, `unread`, `late`, `different-status`,
    /// `status>=500`, `status=404`, `status=5xx`, each with what is allowed behind it (`failed>0.1%`, `status>=500>10`), or `none`.
    #[serde(default)]
    pub fail_on: FailOn,
    /// Where a report in JSON is written at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<PathBuf>,
    /// How many bytes of requests are read before they are due, beside `limits.memory`. 8 MiB is ten thousand usual requests, of
    /// a second at 10,000 a second: a disk's pauses are shorter.
    #[serde(default = "default_read_ahead")]
    pub read_ahead: ByteSize,
}

/// How the requests of a rate are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// One like the other.
    Even,
    /// As those of many users who do not know of each other: a Poisson process.
    Poisson,
}

impl ReplayConfig {
    /// What a target has to take a connection, where it does not say its own. An open loop opens many at once when a target pauses; those that its
    /// listen queue has no room for are tried again by the kernel after 1 s and 3 s, and then come late and not never.
    pub(super) const CONNECT_TIMEOUT: Period = Period(Duration::from_secs(5));

    /// These files, with the default for all else.
    pub fn new(files: Vec<PathBuf>) -> Self {
        ReplayConfig {
            files,
            speed: None,
            rate: None,
            arrivals: None,
            passes: Passes::default(),
            duration: None,
            limit: None,
            max_gap: None,
            from: None,
            to: None,
            concurrency: None,
            order: None,
            late: default_late(),
            fail_on: FailOn::default(),
            report: None,
            read_ahead: default_read_ahead(),
        }
    }

    /// Whether requests have no times that they are due at.
    pub fn is_untimed(&self) -> bool {
        self.rate.is_none() && self.speed == Some(Speed::Max)
    }

    /// What a target gets that does not say its own.
    pub(super) fn target_concurrency(&self) -> NonZeroUsize {
        let default = if self.is_untimed() { 64 } else { 1024 };
        self.concurrency.unwrap_or(NonZeroUsize::new(default).expect("not zero"))
    }
}

one_word!(Moment, "Moment", {
    "description": "A moment in recorded time: a time of the clock (RFC 3339), or how long after the first request.",
    "type": "string",
    "examples": ["2026-11-24T09:30:00Z", "+30s"]
});

fn default_late() -> Period {
    Period(Duration::from_millis(100))
}
fn default_read_ahead() -> ByteSize {
    ByteSize::mib(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constructor_and_yaml_have_the_same_defaults() {
        let files = vec![PathBuf::from("a.avro")];
        assert_eq!(serde_yaml::from_str::<ReplayConfig>("files: a.avro").unwrap(), ReplayConfig::new(files));
    }
}
