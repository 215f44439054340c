//! What has come of a replay, as it is printed and written as JSON.
//!
//! The JSON is this module's types as serde writes them: a field may be added, and none changes its meaning or goes while `version` is 1. Times are in
//! seconds; what is not known is null.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::progress::{Ending, Progress};
use super::tally::{Sums, Tally};
use crate::config::{Allowed, Failing, Period, StatusIs};
use crate::outcome::{DropReason, FailReason, SkipReason};
use crate::recording::REORDER_TIME;
use crate::sink::SinkSlot;

/// The version of the report's form.
const VERSION: u32 = 1;

/// A rate counts as reached within a hundredth: what is due last is sent a little later in any case.
const REACHED: f64 = 0.99;

/// What has come of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// 1.
    pub version: u32,
    /// Why it ended: `complete`, `limit`, `duration`, `interrupted` or `unreadable`.
    pub ended: Ending,
    /// When the first request was due, in RFC 3339; null where there was none.
    pub began: Option<String>,
    /// From there to the last answer.
    pub took_seconds: f64,
    /// From there to when the last request was due; null where requests have no times (`speed: max`).
    pub planned_seconds: Option<f64>,
    /// Requests a second as planned, where there are two at least.
    pub planned_rate: Option<f64>,
    /// Requests a second as they were sent.
    pub reached_rate: Option<f64>,
    /// The passes that were begun.
    pub passes: u64,
    /// Requests that were read, of the first pass.
    pub read: u64,
    /// Requests among them that came behind one that began after them, beyond what recordings are put in order by.
    pub out_of_order: u64,
    /// Requests that were given to the pipeline, of all passes.
    pub replayed: u64,
    /// Requests that cannot be sent, by reason: `truncated`, `malformed`, `ambiguous`.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Recordings of which not all could be read.
    pub unread: Vec<String>,
    /// What came of it at each target.
    pub targets: Vec<TargetReport>,
    /// What the replay is held against, as in `failed,dropped,left-out`.
    pub fail_on: String,
    /// What of that has happened. Empty where the replay has passed.
    pub failures: Vec<Failure>,
    /// What is amiss, in words.
    pub warnings: Vec<String>,
    /// Why nothing was replayed, where that is so; it is among the warnings too.
    #[serde(skip)]
    pub nothing: Option<String>,
}

/// One target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// As in metrics and recordings.
    pub name: String,
    /// Requests that it was to have.
    pub offered: u64,
    /// Requests of which it was written a first byte.
    pub sent: u64,
    /// Requests that it answered.
    pub answered: u64,
    /// Requests that were given up, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Requests that were not answered, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Requests that it was not to have, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// From a request's first byte to its answer's last.
    pub latency_seconds: Option<Times>,
    /// From when a request was due to its first byte.
    pub lateness_seconds: Option<Times>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The same requests when they were recorded.
    pub recorded: Recorded,
}

/// The answered requests as they were recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// From a request's first byte to its response's last.
    pub latency_seconds: Option<Times>,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers with the status that was recorded.
    pub same_status: u64,
    /// Answers with another.
    pub different_status: u64,
    /// Answers to requests without a recorded response.
    pub unknown_status: u64,
    /// Those with another, the most frequent first.
    pub changes: Vec<StatusChange>,
}

/// Answers with another status than the recorded one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusChange {
    /// The recorded one.
    pub from: u16,
    /// The new one.
    pub to: u16,
    /// How many.
    pub count: u64,
}

/// How long things took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// Half of them took at most so long,
    pub p50: f64,
    /// nine of ten,
    pub p90: f64,
    /// and 99 of a hundred.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
}

/// Something that the replay is held against has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// As in `failed`, with what is allowed of it.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Of how many.
    pub of: u64,
}

impl Report {
    pub(super) fn new(progress: &Progress, sinks: &[SinkSlot], tallies: &[(String, Arc<Tally>)]) -> Report {
        let sums: Vec<(&SinkSlot, Sums)> = tallies
            .iter()
            .filter_map(|(name, tally)| Some((sinks.iter().find(|sink| sink.name == *name)?, tally.now())))
            .collect();
        let replayed = progress.offered.load(Relaxed);
        let began = progress.began();
        let last_sent = sums.iter().filter_map(|(_, sums)| sums.last_sent).max();
        let sending = began.zip(last_sent).map(|((began, _), last)| last.saturating_duration_since(began));
        let planned = (!progress.config.is_untimed() && began.is_some()).then(|| progress.planned());
        let mut report = Report {
            version: VERSION,
            ended: progress.ending().unwrap_or(Ending::Interrupted),
            began: began.map(|(_, wall)| rfc_3339(wall)),
            took_seconds: began.map_or(0.0, |(began, _)| (progress.until() - began).as_secs_f64()),
            planned_seconds: planned.map(|planned| planned.as_secs_f64()),
            planned_rate: planned.and_then(|planned| rate(replayed, planned)),
            reached_rate: sending
                .and_then(|sending| rate(sums.iter().map(|(_, sums)| sums.sent).max().unwrap_or_default(), sending)),
            passes: progress.passes.load(Relaxed),
            read: progress.read.load(Relaxed),
            out_of_order: progress.out_of_order.load(Relaxed),
            replayed,
            left_out: progress.left_out().map(|(reason, count)| (reason.label(), count)).collect(),
            unread: progress.unreadable(),
            targets: sums.iter().map(|(sink, sums)| TargetReport::new(sink, sums)).collect(),
            fail_on: progress.config.fail_on.to_string(),
            failures: Vec::new(),
            warnings: Vec::new(),
            nothing: None,
        };
        report.nothing = is_nothing(&report, sinks).then(|| nothing(&report));
        report.failures = failures(&report, progress, sinks);
        report.warnings = report.nothing.iter().cloned().collect();
        report.warnings.extend(warnings(&report, sending.zip(planned), progress.config.late.0));
        report
    }

    /// Whether nothing has happened that it is held against.
    pub fn has_passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl TargetReport {
    fn new(sink: &SinkSlot, sums: &Sums) -> TargetReport {
        let metrics = &sink.metrics;
        let (mut statuses, mut before) = (BTreeMap::new(), BTreeMap::new());
        let (mut same, mut unknown, mut changes) = (0, 0, Vec::new());
        for (&(from, to), &count) in &sums.statuses {
            *statuses.entry(to).or_default() += count;
            match from {
                None => unknown += count,
                Some(from) => {
                    *before.entry(from).or_default() += count;
                    match from == to {
                        true => same += count,
                        false => changes.push(StatusChange { from, to, count }),
                    }
                }
            }
        }
        changes.sort_by_key(|change| std::cmp::Reverse(change.count));
        TargetReport {
            name: sink.name.clone(),
            offered: metrics.offered.get(),
            sent: sums.sent,
            answered: metrics.delivered.get(),
            dropped: metrics.dropped.counts().map(|(i, n)| (DropReason::ALL[i].label(), n)).collect(),
            failed: metrics.failed.counts().map(|(i, n)| (FailReason::ALL[i].label(), n)).collect(),
            skipped: metrics.skipped.counts().map(|(i, n)| (SkipReason::ALL[i].label(), n)).collect(),
            latency_seconds: Times::of(&sums.latency),
            lateness_seconds: Times::of(&sums.lateness),
            statuses,
            recorded: Recorded {
                latency_seconds: Times::of(&sums.recorded),
                statuses: before,
                same_status: same,
                different_status: changes.iter().map(|change| change.count).sum(),
                unknown_status: unknown,
                changes,
            },
        }
    }
}

impl Times {
    /// Of microseconds; none where there are none.
    fn of(histogram: &Histogram<u64>) -> Option<Times> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        (!histogram.is_empty()).then(|| Times {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: histogram.max() as f64 / 1e6,
            mean: histogram.mean() / 1e6,
        })
    }
}

/// Whether no target and no recording was to have any request.
fn is_nothing(report: &Report, sinks: &[SinkSlot]) -> bool {
    // Without any, all that can be asked for is to read.
    report.replayed == 0 || !sinks.is_empty() && sinks.iter().all(|sink| sink.metrics.offered.get() == 0)
}

/// Why, as far as it is known.
fn nothing(report: &Report) -> String {
    let why = match (report.read, report.replayed) {
        _ if report.ended == Ending::Interrupted => "it was interrupted before".to_owned(),
        (0, _) => "there is no request in what was to be read".to_owned(),
        (read, 0) => format!("of {read} requests that were read none can be sent"),
        (_, replayed) => format!("{replayed} requests were to be sent, and the pipeline or a fraction skipped each"),
    };
    format!("nothing was replayed: {why}")
}

fn failures(report: &Report, progress: &Progress, sinks: &[SinkSlot]) -> Vec<Failure> {
    // What a recorder loses is a loss too.
    let of_sinks = |count: fn(&SinkSlot) -> u64| sinks.iter().map(count).sum::<u64>();
    let of_targets = |count: &dyn Fn(&TargetReport) -> u64| report.targets.iter().map(count).sum::<u64>();
    let offered = of_sinks(|sink| sink.metrics.offered.get());
    let answered = of_targets(&|target| target.answered);
    let with_status = |is: StatusIs| {
        of_targets(&|target| target.statuses.iter().filter(|(status, _)| is.holds(**status)).map(|(_, n)| n).sum())
    };
    let late = progress.config.late.0.as_secs_f64();
    let is_late = |target: &TargetReport| target.lateness_seconds.is_some_and(|times| times.p99 > late);
    let left_out = report.left_out.values().sum();
    let count = |(failing, allowed): &(Failing, Allowed)| {
        let (count, of) = match *failing {
            Failing::Failed => (of_sinks(|sink| sink.metrics.failed.total()), offered),
            Failing::Dropped => (of_sinks(|sink| sink.metrics.dropped.total()), offered),
            Failing::LeftOut => (left_out, report.replayed + left_out),
            Failing::Nothing => (report.nothing.is_some().into(), 1),
            Failing::Unread => (report.unread.len() as u64, progress.config.files.len() as u64),
            Failing::Late => (of_targets(&|target| is_late(target).into()), report.targets.len() as u64),
            Failing::DifferentStatus => (of_targets(&|target| target.recorded.different_status), answered),
            Failing::Status(is) => (with_status(is), answered),
        };
        let what = format!("{failing}{allowed}");
        allowed.is_exceeded(count, of).then_some(Failure { what, count, of })
    };
    let mut failures: Vec<Failure> = progress.config.fail_on.0.iter().filter_map(count).collect();
    // What was to be sent was not, whatever is asked for.
    if report.ended == Ending::Unreadable {
        failures.push(Failure { what: "unreadable".to_owned(), count: 1, of: 1 });
    }
    failures
}

/// `times` are how long it took to send, and was to take.
fn warnings(report: &Report, times: Option<(Duration, Duration)>, late: Duration) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.out_of_order > 0 {
        let window = Period(REORDER_TIME);
        warnings.push(format!(
            "{} of {} requests came behind one that began after them: they lasted longer than {window}, or the recorded clock was set back",
            report.out_of_order, report.read
        ));
    }
    if let (Some((took, planned)), Some(rate), Some(reached)) = (times, report.planned_rate, report.reached_rate)
        && took > planned + late
        && took.mul_f64(REACHED) > planned
    {
        warnings.push(format!("{rate:.0} requests a second were planned, and {reached:.0} were reached"));
    }
    for target in &report.targets {
        if let Some(times) = target.lateness_seconds
            && times.p99 > late.as_secs_f64()
        {
            let p99 = Duration::from_secs_f64(times.p99);
            warnings.push(format!(
                "requests to {} went out late, by {p99:.1?} at the p99: it, or this machine, did not keep up",
                target.name
            ));
        }
    }
    warnings
}

/// Of so many, the first of which is at the beginning and the last at the end.
fn rate(count: u64, span: Duration) -> Option<f64> {
    (count > 1 && !span.is_zero()).then(|| (count - 1) as f64 / span.as_secs_f64())
}

fn rfc_3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Micros, true)
}
