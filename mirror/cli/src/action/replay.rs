//! The flags of `mirror replay`, as settings.

use std::ffi::OsString;

use mirror::config::{Draft, Fault};
use serde_yaml::Value;

use super::number;
use crate::args::ReplayFlags;

/// The recordings and what is said of them.
pub(super) fn lay_over(files: &[OsString], flags: &ReplayFlags, draft: &mut Draft) {
    draft.set("replay.files", Value::Sequence(Vec::new()), "FILES");
    for (i, file) in files.iter().enumerate() {
        match file.to_str() {
            Some(file) => draft.set(&format!("replay.files.{i}"), Value::from(file), "FILES"),
            None => draft.fault(Fault::new("FILES", file.display(), "a path in UTF-8")),
        }
    }
    for (flag, key, word) in [
        ("--speed", "replay.speed", &flags.speed),
        ("--rate", "replay.rate", &flags.rate),
        ("--arrivals", "replay.arrivals", &flags.arrivals),
        ("--loop", "replay.loop", &flags.passes),
        ("--duration", "replay.duration", &flags.duration),
        ("--max-gap", "replay.max_gap", &flags.max_gap),
        ("--from", "replay.from", &flags.from),
        ("--to", "replay.to", &flags.to),
        ("--order", "replay.order", &flags.order),
        ("--fail-on", "replay.fail_on", &flags.fail_on),
    ] {
        if let Some(word) = word {
            draft.set(key, Value::from(word.as_str()), flag);
        }
    }
    for (flag, key, word) in
        [("--limit", "replay.limit", &flags.limit), ("--concurrency", "replay.concurrency", &flags.concurrency)]
    {
        if let Some(word) = word {
            draft.set(key, number(word), flag);
        }
    }
    match flags.report.as_ref().map(|path| (path, path.to_str())) {
        Some((_, Some(path))) => draft.set("replay.report", Value::from(path), "--report"),
        Some((path, None)) => draft.fault(Fault::new("--report", path.display(), "a path in UTF-8")),
        None => {}
    }
}
