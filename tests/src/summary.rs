//! The table that is printed at the end.

use std::collections::BTreeMap;

/// The sums of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Exchanges that the source saw.
    pub seen: u64,
    /// By the sink's name.
    pub sinks: BTreeMap<String, SinkSummary>,
}

/// The sums of one sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkSummary {
    /// Copies that it was meant to have.
    pub offered: u64,
    /// Copies that arrived.
    pub delivered: u64,
    /// Copies given up.
    pub dropped: u64,
    /// Copies that did not arrive.
    pub failed: u64,
    /// Why, as in `dropped aborted` or `skipped marked`, with how often.
    pub reasons: BTreeMap<String, u64>,
}

impl SinkSummary {
    /// How often for this reason, as in `dropped aborted`.
    pub fn reason(&self, reason: &str) -> u64 {
        self.reasons.get(reason).copied().unwrap_or(0)
    }
}

impl Summary {
    /// Reads the table; none where there is none.
    pub fn parse(text: &str) -> Option<Summary> {
        let (before, table) = text.split_once("\nsink ")?;
        let seen = before.lines().last()?.split(' ').next()?.parse().ok()?;
        let sinks = table.lines().skip(1).map(sink).collect::<Option<_>>()?;
        Some(Summary { seen, sinks })
    }

    /// One sink's sums.
    ///
    /// # Panics
    /// When there is no such sink.
    #[track_caller]
    pub fn sink(&self, name: &str) -> &SinkSummary {
        self.sinks.get(name).unwrap_or_else(|| panic!("no sink {name}: {self:#?}"))
    }

    /// Asserts that nothing has vanished: for every sink, offered = delivered + dropped + failed, and every loss has its reason.
    #[track_caller]
    pub fn assert_exact(&self) {
        for (name, sink) in &self.sinks {
            assert_eq!(sink.offered, sink.delivered + sink.dropped + sink.failed, "{name} of {self:#?}");
            for (what, sum) in [("dropped", sink.dropped), ("failed", sink.failed)] {
                let reasons: u64 = sink.reasons.iter().filter(|(why, _)| why.starts_with(what)).map(|(_, n)| n).sum();
                assert_eq!(reasons, sum, "the reasons of what {name} {what}: {self:#?}");
            }
        }
    }
}

fn sink(line: &str) -> Option<(String, SinkSummary)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (offered, delivered, dropped, failed) = (number()?, number()?, number()?, number()?);
    let reasons = words.collect::<Vec<_>>().join(" ");
    let reasons = reasons
        .split(", ")
        .filter(|reason| !reason.is_empty())
        .map(|reason| reason.rsplit_once(' ').and_then(|(why, n)| Some((why.to_owned(), n.parse().ok()?))))
        .collect::<Option<_>>()?;
    Some((name, SinkSummary { offered, delivered, dropped, failed, reasons }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let summary = Summary::parse(
            "7 exchanges seen; at most 6 KiB of 256.0 MiB held\n\
             sink     offered   delivered     dropped      failed  reasons\n\
             a              5           3           1           1  dropped aborted 1, failed connect 1, skipped marked 2\n\
             b              7           7           0           0\n",
        )
        .unwrap();
        assert_eq!(summary.seen, 7);
        assert_eq!(summary.sink("a").reason("skipped marked"), 2);
        assert_eq!(summary.sink("b").delivered, 7);
        summary.assert_exact();
    }
}
