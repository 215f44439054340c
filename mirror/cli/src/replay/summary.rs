//! What has come of a replay, for people.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use mirror::replay::{Ending, Report, TargetReport, Times};

use super::short;

/// So many changes of status are told; the report has all.
const CHANGES: usize = 8;

pub(super) struct Summary<'a>(pub(super) &'a Report);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let why = match report.ended {
            Ending::Complete => "",
            Ending::Limit => ", to its limit",
            Ending::Duration => ", to its duration",
            Ending::Interrupted => ", interrupted",
            Ending::Unreadable => ", as far as could be read",
        };
        let passes = if report.passes > 1 { format!(", in {} passes", report.passes) } else { String::new() };
        write!(f, "{} requests replayed in {:.2} s{why}{passes}", report.replayed, report.took_seconds)?;
        match (report.reached_rate, report.planned_seconds, report.planned_rate) {
            (Some(reached), Some(planned), Some(rate)) => {
                writeln!(f, ", sent at {reached:.1}/s; planned: {planned:.2} s, {rate:.1}/s")?;
            }
            (Some(reached), ..) => writeln!(f, ", sent at {reached:.1}/s")?,
            _ => writeln!(f)?,
        }
        if !report.left_out.is_empty() {
            writeln!(f, "left out, as it cannot be sent: {}", counts(&report.left_out))?;
        }
        for target in &report.targets {
            of_target(f, target)?;
        }
        for unread in &report.unread {
            writeln!(f, "not read as a whole: {unread}")?;
        }
        for warning in &report.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for failure in &report.failures {
            writeln!(f, "failure: {}: {} of {}", failure.what, failure.count, failure.of)?;
        }
        writeln!(f)
    }
}

fn of_target(f: &mut fmt::Formatter<'_>, target: &TargetReport) -> fmt::Result {
    let TargetReport { name, sent, answered, dropped, failed, skipped, recorded, .. } = target;
    write!(f, "{name}: {sent} sent, {answered} answered")?;
    for (what, reasons) in [("dropped", dropped), ("failed", failed), ("skipped", skipped)] {
        if !reasons.is_empty() {
            write!(f, "; {what}: {}", counts(reasons))?;
        }
    }
    writeln!(f)?;
    let rows = [
        ("latency", &target.latency_seconds),
        ("as recorded", &recorded.latency_seconds),
        ("late by", &target.lateness_seconds),
    ];
    for (title, times) in rows {
        if let Some(times) = times {
            writeln!(f, "  {title:12}{}", Row(times))?;
        }
    }
    if !target.statuses.is_empty() {
        writeln!(f, "  {:12}{}", "statuses", counts(&target.statuses))?;
    }
    let compared = recorded.same_status + recorded.different_status;
    if compared > 0 {
        writeln!(f, "  {:12}{}", "as recorded", counts(&recorded.statuses))?;
        write!(f, "  {:12}{} the same, {} different", "compared", recorded.same_status, recorded.different_status)?;
        for (i, change) in recorded.changes.iter().take(CHANGES).enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            write!(f, "{before}{} → {} {}", change.from, change.to, change.count)?;
        }
        writeln!(f, "{}", if recorded.changes.len() > CHANGES { ", …" } else { "" })?;
    }
    Ok(())
}

struct Row<'a>(&'a Times);

impl Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Times { p50, p90, p99, max, .. } = *self.0;
        let cells = [("p50", p50), ("p90", p90), ("p99", p99), ("max", max)];
        let cells = cells.map(|(title, seconds)| format!("{title} {:>8}", short(Duration::from_secs_f64(seconds))));
        f.write_str(&cells.join("  "))
    }
}

fn counts<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    counts.iter().map(|(what, n)| format!("{what} {n}")).collect::<Vec<_>>().join(", ")
}
