//! `--output-http`: where copies go. And `--output-null`, where they go nowhere.

use mirror::config::Target;
use serde_yaml::Value;

use super::limit::Limit;
use super::line::Line;
use super::{Settings, limit, value};

const HTTP: &str = "output-http";

/// How long GoReplay waits for an answer.
const TIMEOUT: &str = "5s";

pub(super) fn map(line: &Line, settings: &mut Settings) {
    let mut labels: Vec<String> = Vec::new();
    for word in line.all(HTTP) {
        let (address, limit) = match limit::split(word) {
            Ok(split) => split,
            Err(_) => {
                settings.fault(HTTP, word, limit::EXPECTED);
                continue;
            }
        };
        // A host alone is one, and a port alone this host's.
        let address = match address.contains("://") || address.starts_with(':') {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let at = labels.len();
        let key = |name: &str| format!("shadow.{at}.{name}");
        settings.set(&key("target"), address.as_str(), HTTP);
        let label = address.parse::<Target>().map_or(address, |target| target.to_string());
        labels.push(match labels.contains(&label) {
            false => label,
            // The same target twice, with another limit.
            true => {
                let name = format!("{label} ({})", at + 1);
                settings.set(&key("name"), name.as_str(), HTTP);
                name
            }
        });
        match limit {
            Some(Limit::Rate(per_second)) => settings.set(&key("pipeline.0.rate"), limit::rate(per_second), HTTP),
            Some(Limit::Percent(percent)) => settings.set(&key("fraction"), percent, HTTP),
            None => {}
        }
        options(line, &key, settings);
    }
    if let Some(times @ 1..) = line.last("output-http-redirects").and_then(value::number) {
        let expected = "0: a copy follows no redirect, so that a target gets what the application got and nothing more";
        settings.fault("output-http-redirects", &times.to_string(), expected);
    }
    split(line, labels, settings);
    if line.is_on("output-null") && !line.has(&[HTTP, "output-file", "output-stdout"]) {
        settings.set("discard", true, "output-null");
    }
}

/// What is said of all targets.
fn options(line: &Line, key: &dyn Fn(&str) -> String, settings: &mut Settings) {
    // Who sets a Host means it.
    let sets_host =
        line.all("http-set-header").any(|header| header.split(':').next().is_some_and(|name| name.trim() == "Host"));
    match (line.is_on("http-original-host"), sets_host) {
        (true, _) => settings.set(&key("host"), "original", "http-original-host"),
        (false, true) => settings.set(&key("host"), "original", "http-set-header"),
        (false, false) => settings.set(&key("host"), "target", HTTP),
    }
    match line.last("output-http-timeout").and_then(value::time) {
        Some(time) => settings.set_time(&key("timeout"), time, "output-http-timeout"),
        None => settings.set(&key("timeout"), TIMEOUT, HTTP),
    }
    if let Some(time) = line.last("output-http-worker-timeout").and_then(value::time) {
        settings.set_time(&key("idle_timeout"), time, "output-http-worker-timeout");
    }
    // None is GoReplay's word for no bound, in whose place there is our default.
    if let Some(workers @ 1..) = line.last("output-http-workers").and_then(value::number) {
        settings.set(&key("concurrency"), workers, "output-http-workers");
    }
    if let Some(length) = line.last("output-http-queue-len").and_then(value::number) {
        settings.set(&key("queue"), length, "output-http-queue-len");
    }
    // Of answers that are tracked, as much is kept as of any message.
    let kept = |flag: &'static str| Some((flag, line.last(flag).and_then(value::size).filter(|bytes| *bytes > 0)?));
    let tracks = line.is_on("output-http-track-response");
    match kept("output-http-response-buffer").or_else(|| kept("copy-buffer-size").filter(|_| tracks)) {
        Some((flag, bytes)) => settings.set_size(&key("answer_body"), bytes, flag),
        None if tracks => settings.set_size(&key("answer_body"), 5 << 20, "output-http-track-response"),
        None => {}
    }
}

/// Outputs take turns.
fn split(line: &Line, targets: Vec<String>, settings: &mut Settings) {
    if !line.is_on("split-output") {
        return;
    }
    if line.has(&["output-file", "output-stdout"]) {
        let expected =
            "--output-http alone beside it: traffic is shared out over targets, and a recording has all of it";
        settings.fault("split-output", "true", expected);
    } else if targets.len() > 1 {
        let targets = Value::Sequence(targets.into_iter().map(Value::from).collect());
        settings.stage("split", super::map([("targets", targets)]), "split-output");
    }
}
