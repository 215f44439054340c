//! Totals for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::units::{moment, size, time};
use super::{Stats, Top};

/// So many lines of paths.
const PATHS: usize = 20;

/// So many names of anything else.
const NAMES: usize = 10;

const CLASSES: [&str; 6] = ["no response", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Bars of eight heights, from none at all.
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Stats {
    pub(super) fn text(&self) -> String {
        let mut text = format!("{:12}{}", "exchanges", self.exchanges);
        if let Some((first, last)) = self.first.zip(self.last) {
            let _ = write!(text, " in {}, {} to {}", time(self.span()), moment(first), moment(last));
        }
        text.push('\n');
        if self.exchanges == 0 {
            return text;
        }
        let mut row = |name: &str, said: &str| {
            let _ = writeln!(text, "{name:12}{said}");
        };
        row("rate", &self.bars());
        let sent = format!("{} in requests, {} in responses", size(self.request_bytes), size(self.response_bytes));
        row("bodies", &sent);
        let classes = CLASSES.iter().zip(self.classes).cycle().skip(1).take(CLASSES.len());
        let classes: Vec<_> = classes
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{class} {count} ({})", percent(count, self.exchanges)))
            .collect();
        row("responses", &classes.join(", "));
        row("statuses", &listed(&self.statuses));
        if !self.latency.is_empty() {
            let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percentile| time(self.latency.at(percentile)));
            row("latency", &format!("p50 {p50}, p90 {p90}, p99 {p99}, max {}", time(self.latency.max())));
        }
        for (name, top) in [
            ("methods", &self.methods),
            ("hosts", &self.hosts),
            ("targets", &self.targets),
            ("otherwise", &self.other_status),
            ("cut", &self.truncated),
            ("aborted", &self.aborted),
        ] {
            if top.total() > 0 {
                row(name, &listed(top));
            }
        }
        let _ = writeln!(text, "\n{:>9}  {:>6}  {:>7}  {:>7}  {:>7}  address", "exchanges", "", "errors", "p50", "p99");
        for (name, count, path) in self.paths.first(PATHS) {
            let at =
                |percentile| if path.latency.is_empty() { "-".to_owned() } else { time(path.latency.at(percentile)) };
            let _ = writeln!(
                text,
                "{count:>9}  {:>6}  {:>7}  {:>7}  {:>7}  {name}",
                percent(count, self.exchanges),
                path.errors,
                at(50.0),
                at(99.0)
            );
        }
        match self.paths.others(PATHS) {
            0 => {}
            others => {
                let _ = writeln!(text, "{others:>9}  {:>6}  {:27}others", percent(others, self.exchanges), "");
            }
        }
        text
    }

    fn bars(&self) -> String {
        let (width, bars) = self.rate.bars();
        let most = bars.iter().copied().max().unwrap_or_default().max(1);
        // What is not nothing can be seen.
        let height = |count: &u64| HEIGHTS[(count * 8).div_ceil(most) as usize];
        let drawn: String = bars.iter().map(height).collect();
        let average = match self.span() {
            Duration::ZERO => String::new(),
            span => format!("{}/s, ", per_second(self.exchanges, span)),
        };
        format!("{average}at most {}/s  |{drawn}| {} a bar", per_second(most, width), time(width))
    }

    pub(super) fn json(&self) -> Value {
        let (width, bars) = self.rate.bars();
        let paths = self.paths.first(PATHS).into_iter().map(|(name, count, path)| {
            json!({ "address": name, "exchanges": count, "errors": path.errors, "latency_micros": path.latency.json() })
        });
        let classes: Map<_, _> =
            CLASSES.iter().zip(self.classes).map(|(class, count)| ((*class).to_owned(), count.into())).collect();
        json!({
            "exchanges": self.exchanges,
            "first": self.first.map(moment),
            "last": self.last.map(moment),
            "span_seconds": self.span().as_secs_f64(),
            "rate": { "bar_seconds": width.as_secs_f64(), "bars": bars },
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "classes": classes,
            "statuses": counts(&self.statuses),
            "latency_micros": self.latency.json(),
            "methods": counts(&self.methods),
            "hosts": counts(&self.hosts),
            "targets": counts(&self.targets),
            "other_status": counts(&self.other_status),
            "truncated": counts(&self.truncated),
            "aborted": counts(&self.aborted),
            "paths": paths.collect::<Value>(),
            "other_paths": self.paths.others(PATHS),
        })
    }
}

fn listed(top: &Top<()>) -> String {
    let mut names: Vec<_> = top.first(NAMES).iter().map(|(name, count, ())| format!("{name} {count}")).collect();
    match top.others(NAMES) {
        0 => {}
        others => names.push(format!("others {others}")),
    }
    names.join(", ")
}

fn counts(top: &Top<()>) -> Map<String, Value> {
    let all = top.first(usize::MAX);
    all.into_iter().map(|(name, count, ())| (name.to_owned(), count.into())).collect()
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}

fn per_second(count: u64, span: Duration) -> String {
    match count as f64 / span.as_secs_f64() {
        rate @ ..9.95 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}
