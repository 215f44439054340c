//! What `/metrics` says.

use std::collections::BTreeMap;

/// Every sample by its name with its labels, as Prometheus' text format writes it: `name{a="b",c="d"}`.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text format.
    ///
    /// # Panics
    /// When a line is not a sample.
    #[track_caller]
    pub fn parse(text: &str) -> Metrics {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics(
            samples
                .map(|line| {
                    let sample =
                        line.rsplit_once(' ').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
                    sample.unwrap_or_else(|| panic!("not a sample: {line:?}"))
                })
                .collect(),
        )
    }

    /// The sum of all samples of this name that have all these labels, each written as `sink="a"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        let matching = self.0.iter().filter(|(key, _)| of_name(key) && labels.iter().all(|label| key.contains(label)));
        matching.map(|(_, value)| value).sum()
    }

    /// Of one sink: a counter's sum over all reasons.
    pub fn of_sink(&self, name: &str, sink: &str) -> u64 {
        self.sum(name, &[&format!("sink=\"{sink}\"")]) as u64
    }

    /// Of one sink: copies that arrived.
    pub fn delivered(&self, sink: &str) -> u64 {
        self.of_sink("mirror_sink_delivered_total", sink)
    }

    /// Of one sink: copies offered.
    pub fn offered(&self, sink: &str) -> u64 {
        self.of_sink("mirror_sink_offered_total", sink)
    }

    /// Of one sink: copies given up for this reason.
    pub fn dropped(&self, sink: &str, reason: &str) -> u64 {
        self.sum("mirror_sink_dropped_total", &[&format!("sink=\"{sink}\""), &format!("reason=\"{reason}\"")]) as u64
    }

    /// Of one sink: copies that did not arrive for this reason.
    pub fn failed(&self, sink: &str, reason: &str) -> u64 {
        self.sum("mirror_sink_failed_total", &[&format!("sink=\"{sink}\""), &format!("reason=\"{reason}\"")]) as u64
    }

    /// The sinks' names.
    pub fn sinks(&self) -> Vec<String> {
        let name = |sample: &String| {
            Some(sample.strip_prefix("mirror_sink_offered_total{sink=\"")?.strip_suffix("\"}")?.to_owned())
        };
        self.0.keys().filter_map(name).collect()
    }

    /// Of one sink: copies that are delivered, dropped or failed.
    pub fn settled(&self, sink: &str) -> u64 {
        let [dropped, failed] =
            ["mirror_sink_dropped_total", "mirror_sink_failed_total"].map(|n| self.of_sink(n, sink));
        self.delivered(sink) + dropped + failed
    }

    /// All samples.
    pub fn samples(&self) -> &BTreeMap<String, f64> {
        &self.0
    }
}
