//! Whether what is to be replayed makes sense.

use std::path::Path;

use super::Findings;
use crate::config::{Config, Passes, ReplayConfig, Speed};
use crate::recording::{Moment, files_named};

impl Config {
    pub(super) fn check_replay(&self, findings: &mut Findings<'_>) {
        let Some(replay) = &self.replay else { return };
        if !self.discard && self.shadow.is_empty() && self.record.is_empty() && !findings.is_unread("record") {
            findings
                .missing("shadow", "a target, or something to `record` to: what is replayed goes nowhere otherwise");
        }
        let beside = [
            ("listen", self.listen.first().map(ToString::to_string)),
            ("upstream", self.upstream.as_ref().map(ToString::to_string)),
            ("capture", self.capture.first().map(ToString::to_string)),
        ];
        for (key, value) in beside.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            findings.add(key, value, "`replay` alone, or no `replay`: live traffic is not mixed with recorded");
        }
        if replay.files.is_empty() {
            findings.missing("replay.files", "a recording, as in traffic.avro");
        }
        check_times(replay, findings);
        if replay.passes != Passes::default() {
            check_files_of_passes(replay, findings);
        }
        if replay.report.as_ref().is_some_and(|report| report.as_os_str().is_empty()) {
            findings.add("replay.report", "", "a file's path");
        }
        findings.not_zero("replay.late", replay.late);
        findings.not_empty("replay.read_ahead", replay.read_ahead);
    }
}

/// What is replayed again is read again: a pipe would be waited for without end, for another that writes to it.
fn check_files_of_passes(replay: &ReplayConfig, findings: &mut Findings<'_>) {
    if replay.files.iter().any(|file| file == Path::new("-")) {
        findings.add("replay.loop", replay.passes, "1, as stdin can be read only once");
    }
    for (i, word) in replay.files.iter().enumerate() {
        // What cannot be read at all is told where it is opened.
        let files = files_named(std::slice::from_ref(word)).unwrap_or_default();
        for file in files.iter().filter(|file| file.exists() && !file.is_file()) {
            let expected = format!("a regular file, to be replayed more than once (loop: {})", replay.passes);
            findings.add(&format!("replay.files[{i}]"), file.display(), expected);
        }
    }
}

fn check_times(replay: &ReplayConfig, findings: &mut Findings<'_>) {
    if let (Some(rate), Some(speed)) = (replay.rate, replay.speed) {
        findings.add("replay.rate", rate, format!("a rate or a speed ({speed}), and not both"));
    }
    if let (Some(arrivals), None) = (replay.arrivals, replay.rate)
        && !findings.is_unread("replay.rate")
    {
        let word = format!("{arrivals:?}").to_lowercase();
        findings.add("replay.arrivals", word, "`rate` beside it, whose requests it spreads");
    }
    if let Some(gap) = replay.max_gap {
        findings.not_zero("replay.max_gap", gap);
        if replay.rate.is_some() || replay.speed == Some(Speed::Max) {
            findings.add("replay.max_gap", gap, "recorded times, which `rate` and `speed: max` do not keep");
        }
    }
    if let Some(duration) = replay.duration {
        findings.not_zero("replay.duration", duration);
    }
    let empty = match (replay.from, replay.to) {
        (Some(Moment::At(from)), Some(Moment::At(to))) => to <= from,
        (Some(Moment::After(from)), Some(Moment::After(to))) => to <= from,
        (None, Some(Moment::After(to))) => to.is_zero(),
        _ => false,
    };
    if let (true, Some(to)) = (empty, replay.to) {
        findings.add("replay.to", to, "a moment after `from`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(yaml: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        config.check(&[], &str::to_owned).iter().map(|fault| fault.place.clone()).collect()
    }

    #[test]
    fn a_replay_stands_alone() {
        let none: [&str; 0] = [];
        assert_eq!(faults("{replay: a.avro, shadow: ':82'}"), none);
        assert_eq!(faults("{replay: [a.avro, 'b-*.gor'], record: b.avro}"), none);
        assert_eq!(faults("{replay: a.avro}"), ["shadow"]);
        assert_eq!(
            faults("{replay: a.avro, shadow: ':82', listen: ':80', upstream: ':81', capture: ':90'}"),
            ["listen", "upstream", "capture"]
        );
        assert_eq!(faults("{replay: [], shadow: ':82'}"), ["replay.files"]);
    }

    #[test]
    fn times_that_contradict() {
        let of = |keys: &str| faults(&format!("{{shadow: ':82', replay: {{files: a.avro, {keys}}}}}"));
        let none: [&str; 0] = [];
        assert_eq!(of("speed: 200%, rate: 5/s"), ["replay.rate"]);
        assert_eq!(of("arrivals: poisson"), ["replay.arrivals"]);
        assert_eq!(of("arrivals: poisson, rate: 5/s"), none);
        assert_eq!(of("max_gap: 1s, speed: max"), ["replay.max_gap"]);
        assert_eq!(of("max_gap: 0s, duration: 0s, late: 0s"), ["replay.max_gap", "replay.duration", "replay.late"]);
        assert_eq!(of("from: 30s, to: +10s"), ["replay.to"]);
        assert_eq!(of("from: 2026-11-24T09:30:00Z, to: 2026-11-24T09:30:00Z"), ["replay.to"]);
        assert_eq!(of("from: 2026-11-24T09:30:00Z, to: +10s"), none);
    }

    #[test]
    fn what_is_replayed_again_can_be_read_again() {
        assert_eq!(faults("{shadow: ':82', replay: {files: '-', loop: 2}}"), ["replay.loop"]);
        let of = |passes| faults(&format!("{{shadow: ':82', replay: {{files: [a.avro, /dev/null], loop: {passes}}}}}"));
        assert_eq!((of("forever"), of("1")), (vec!["replay.files[1]".to_owned()], vec![]));
    }
}
