//! A recording that is made.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::one_word;
use super::{ByteSize, Expected, Fraction, Period, StageConfig, seconds};
use crate::recording::{Format, Kind};
use crate::sink::RECORD;

/// A recording that exchanges are written to. In YAML a plain string is its path. The name's extension picks the format: `.avro`, the native one,
/// `.gor`, GoReplay's, `.har` or `.jsonl`; all but the first also compressed, with `.gz` behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordConfig {
    /// What it is called in metrics, in the sums and by who pauses it; by default `record`, and of several `record-2`, `record-3`
    /// by their places. A reload tells them apart by it: one that is to go on where another goes has a name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file; strftime conversions (`traffic-%Y%m%d-%H%M%S.avro`) name a new one at each rotation. An existing one is appended to. `-` is
    /// stdout.
    pub path: PathBuf,
    /// The format, whatever the name says; by default that of its extension, and `jsonl` to stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<RecordFormat>,
    /// The fraction of all exchanges that is recorded; by default the top-level `fraction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
    /// Stages that exchanges pass before they are recorded, after those for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipeline: Vec<StageConfig>,
    /// Record the responses too. Without them a record is the request, written as soon as that is whole.
    #[serde(default = "default_both")]
    pub responses: bool,
    /// Record what the targets answered too.
    #[serde(default = "default_both")]
    pub answers: bool,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_size: Option<ByteSize>,
    /// A new file is begun when this one is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_interval: Option<Period>,
    /// A new file is begun when the conversions in its name say another time: at the turn of each hour with `%H`.
    #[serde(default, skip_serializing_if = "is_off")]
    pub rotate_by_name: bool,
    /// The oldest files of this recording are removed when all together are larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<ByteSize>,
    /// Bytes of finished blocks, or of records still to be encoded, that may wait for the disk; beyond it records are dropped (`disk_slow`). 64 MiB is what a slow disk
    /// writes in a second. What waits is within the recorder's share of `limits.memory`, which bounds it where that is less.
    #[serde(default = "default_disk_queue")]
    pub disk_queue: ByteSize,
    /// How long a finished exchange waits for its targets' answers before it is written without them.
    #[serde(default = "default_answer_wait")]
    pub answer_wait: Period,
}

impl RecordConfig {
    /// This file, with the default for all else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RecordConfig {
            name: None,
            path: path.into(),
            format: None,
            fraction: None,
            pipeline: Vec::new(),
            responses: default_both(),
            answers: default_both(),
            max_body: default_max_body(),
            flush_bytes: default_flush_bytes(),
            flush_interval: default_flush_interval(),
            rotate_size: None,
            rotate_interval: None,
            rotate_by_name: false,
            keep: None,
            disk_queue: default_disk_queue(),
            answer_wait: default_answer_wait(),
        }
    }

    /// What it is called in metrics, in the sums and by who pauses it.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(RECORD)
    }

    /// Whether it goes to stdout.
    pub fn is_stdout(&self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// The format that it is written in: the native one where neither it nor its name says any, which is refused before.
    pub fn format(&self) -> Format {
        let usual = if self.is_stdout() { Format { kind: Kind::Jsonl, gzip: false } } else { Format::AVRO };
        self.format.map(|format| format.0).or_else(|| Format::of(&self.path).ok()).unwrap_or(usual)
    }
}

/// A format of recordings: `avro`, `gor`, `gor.gz`, `har`, `har.gz`, `jsonl`, `jsonl.gz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFormat(pub Format);

impl FromStr for RecordFormat {
    type Err = Expected;

    fn from_str(text: &str) -> Result<RecordFormat, Expected> {
        let format = text.parse::<Format>().ok().filter(|format| *format != Format { kind: Kind::Avro, gzip: true });
        format.map(RecordFormat).ok_or_else(|| RECORD_FORMATS.into())
    }
}

impl Display for RecordFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What [`RecordFormat`] takes.
const RECORD_FORMATS: &str = "one of avro, gor, gor.gz, har, har.gz, jsonl, jsonl.gz";

one_word!(RecordFormat, "RecordFormat", {
    "type": "string",
    "description": "A format of recordings.",
    "enum": ["avro", "gor", "gor.gz", "har", "har.gz", "jsonl", "jsonl.gz"],
});

fn default_both() -> bool {
    true
}
fn is_off(switch: &bool) -> bool {
    !switch
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
fn default_disk_queue() -> ByteSize {
    ByteSize::mib(64)
}
fn default_answer_wait() -> Period {
    seconds(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constructor_and_yaml_have_the_same_defaults() {
        assert_eq!(serde_yaml::from_str::<RecordConfig>("path: a.avro").unwrap(), RecordConfig::new("a.avro"));
    }
}
