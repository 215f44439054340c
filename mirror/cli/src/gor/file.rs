//! `--input-file` and `--output-file`: what is replayed, and what is recorded. `--output-stdout` is a recording on stdout.

use std::path::Path;

use mirror::recording::{Format, Kind};

use super::limit::Limit;
use super::line::Line;
use super::{Settings, limit, value};

const INPUT: &str = "input-file";
const OUTPUT: &str = "output-file";
const STDOUT: &str = "output-stdout";

/// GoReplay begins a new file at this size.
const SIZE_LIMIT: u64 = 32 << 20;

/// Where the paid edition keeps files.
const S3: &str = "s3://";
const NO_S3: &str = "a file's path: S3 is of GoReplay's paid edition";

pub(super) fn map_inputs(line: &Line, settings: &mut Settings) {
    let mut speeds: Vec<Option<String>> = Vec::new();
    for word in line.all(INPUT) {
        let (file, limit) = match limit::split(word) {
            Ok((file, _)) if file.starts_with(S3) => {
                settings.fault(INPUT, word, NO_S3);
                continue;
            }
            Ok(split) => split,
            Err(_) => {
                let expected = "behind the bar a speed, as in |200%, or requests in a second, as in |10";
                settings.fault(INPUT, word, expected);
                continue;
            }
        };
        settings.set(&format!("replay.files.{}", speeds.len()), file, INPUT);
        speeds.push(match limit {
            Some(Limit::Percent(speed)) if speed != "100%" => Some(speed),
            _ => None,
        });
    }
    let Some(speed) = speeds.first().cloned() else { return };
    if speeds.iter().any(|other| *other != speed) {
        let given: Vec<String> = speeds.into_iter().map(|speed| speed.unwrap_or_else(|| "100%".to_owned())).collect();
        settings.fault(INPUT, &given.join(", "), "one speed, as files that are replayed together have one clock");
        return;
    }
    if let Some(speed) = &speed {
        settings.set("replay.speed", speed.as_str(), INPUT);
    }
    if line.is_on("input-file-loop") {
        settings.set("replay.loop", "forever", "input-file-loop");
    }
    if let Some(wait) = line.last("input-file-max-wait").and_then(value::time).filter(|wait| !wait.is_zero()) {
        // GoReplay cuts what is left of a gap at its speed, we cut the gap that was recorded.
        let percent = speed.as_deref().and_then(|speed| speed.trim_end_matches('%').parse::<u32>().ok()).unwrap_or(100);
        settings.set_time("replay.max_gap", wait * percent / 100, "input-file-max-wait");
    }
}

/// Each is a recording of its own: the files in their order, and then stdout.
pub(super) fn map_outputs(line: &Line, settings: &mut Settings) {
    let stdout = line.is_on(STDOUT).then_some(None);
    let outputs: Vec<Option<&str>> = line.all(OUTPUT).map(Some).chain(stdout).collect();
    let mut recordings = 0;
    for file in &outputs {
        let at = if outputs.len() == 1 { "record".to_owned() } else { format!("record.{recordings}") };
        match file {
            Some(file) if !map_file(line, file, &at, settings) => continue,
            Some(_) => map_any(line, OUTPUT, &at, settings),
            None => {
                settings.set(&format!("{at}.path"), "-", STDOUT);
                settings.set(&format!("{at}.format"), Kind::Gor.extension(), STDOUT);
                map_any(line, STDOUT, &at, settings);
            }
        }
        recordings += 1;
    }
}

/// What is said of all outputs, for the recording at this key, which is there by this flag.
fn map_any(line: &Line, flag: &str, at: &str, settings: &mut Settings) {
    for (key, switch) in [("responses", "input-raw-track-response"), ("answers", "output-http-track-response")] {
        let is_on = line.is_on(switch) || (key == "responses" && line.has(&[INPUT]));
        settings.set(&format!("{at}.{key}"), is_on, if line.is_on(switch) { switch } else { flag });
    }
    if let Some(bytes) = line.last("copy-buffer-size").and_then(value::size) {
        settings.set_size(&format!("{at}.max_body"), bytes, "copy-buffer-size");
    }
    if let Some(time) = line.last("output-file-flush-interval").and_then(value::time) {
        settings.set_time(&format!("{at}.flush_interval"), time, "output-file-flush-interval");
    }
}

/// Whether there is a file to record to, at this key.
fn map_file(line: &Line, word: &str, at: &str, settings: &mut Settings) -> bool {
    let key = |name: &str| format!("{at}.{name}");
    let split = limit::split(word).map_err(|_| limit::EXPECTED);
    let read = split.and_then(|(file, limit)| if file.starts_with(S3) { Err(NO_S3) } else { Ok((name(file)?, limit)) });
    let (name, limit) = match read {
        Ok(read) => read,
        Err(expected) => {
            settings.fault(OUTPUT, word, expected);
            return false;
        }
    };
    let append = line.is_on("output-file-append");
    let path = if append { name.clone() } else { with_index(&name) };
    // Whatever a file is called, it is GoReplay's.
    let format = Format { kind: Kind::Gor, gzip: name.ends_with(".gz") };
    if Format::of(Path::new(&path)) != Ok(format) {
        settings.set(&key("format"), format.to_string(), OUTPUT);
    }
    // With us that is stdout.
    settings.set(&key("path"), if path == "-" { "./-" } else { &path }, OUTPUT);
    match limit {
        Some(Limit::Rate(per_second)) => settings.set(&key("pipeline.0.rate"), limit::rate(per_second), OUTPUT),
        Some(Limit::Percent(percent)) => settings.set(&key("fraction"), percent, OUTPUT),
        None => {}
    }
    // One that is appended to does not end, but for another name.
    if name.replace("%%", "").contains('%') {
        settings.set(&key("rotate_by_name"), true, OUTPUT);
    }
    if !append {
        match line.last("output-file-size-limit").and_then(value::size) {
            Some(0) => {}
            Some(bytes) => settings.set_size(&key("rotate_size"), bytes, "output-file-size-limit"),
            None => settings.set_size(&key("rotate_size"), SIZE_LIMIT, OUTPUT),
        }
    }
    if let Some((word, bytes)) =
        line.last("output-file-max-size-limit").and_then(|word| Some((word, value::size(word)?)))
    {
        match append {
            true => {
                let expected = "--output-file-append off beside it, as it is kept by removing the oldest files";
                settings.fault("output-file-max-size-limit", word, expected);
            }
            false => {
                settings.tell(
                    "output-file-max-size-limit",
                    "beyond it the oldest files are removed, and recording goes on",
                );
                settings.set_size(&key("keep"), bytes, "output-file-max-size-limit");
            }
        }
    }
    true
}

/// GoReplay's variables as strftime's conversions.
fn name(file: &str) -> Result<String, &'static str> {
    let mut name = String::new();
    let mut rest = file;
    while let Some(at) = rest.find('%') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut take = |variable: &str, becomes: &str| {
            let taken = rest.strip_prefix(variable);
            if let Some(after) = taken {
                name.push_str(becomes);
                rest = after;
            }
            taken.is_some()
        };
        if take("NS", "") {
            return Err("another variable than %NS, which gives each message a file of its own");
        }
        if take("r", "") || take("t", "") {
            return Err(
                "another variable than %r and %t, which give each message a file of its own; `mirror inspect` finds a message in a recording",
            );
        }
        let ours = ["Y", "m", "d", "H", "M", "S"].iter().any(|variable| take(variable, &format!("%{variable}")));
        if !ours && !take("i", &std::process::id().to_string()) {
            name.push_str("%%");
        }
    }
    name.push_str(rest);
    Ok(name)
}

/// The name of the first file: GoReplay numbers them from `_0`.
fn with_index(name: &str) -> String {
    let (folder, base) = name.rsplit_once('/').map_or(("", name), |(folder, base)| (folder, base));
    let (plain, gz) = base.strip_suffix(".gz").map_or((base, ""), |plain| (plain, ".gz"));
    let (stem, extension) = match plain.rfind('.') {
        Some(dot) if dot > 0 => plain.split_at(dot),
        _ => (plain, ""),
    };
    let has_index = stem.rsplit_once('_').is_some_and(|(_, index)| value::number(index).is_some() && !index.is_empty());
    let index = if has_index { "" } else { "_0" };
    let slash = if folder.is_empty() && !name.starts_with('/') { "" } else { "/" };
    format!("{folder}{slash}{stem}{index}{extension}{gz}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (given, becomes) in [
            ("requests.gor", "requests.gor"),
            ("%Y-%m-%d_%H-%M-%S.gor", "%Y-%m-%d_%H-%M-%S.gor"),
            ("100%.gor", "100%%.gor"),
            ("%j.gor", "%%j.gor"),
        ] {
            assert_eq!(name(given).as_deref(), Ok(becomes));
        }
        assert_eq!(name("a-%i.gor"), Ok(format!("a-{}.gor", std::process::id())));
        assert!(["%r.gor", "a-%t", "%NS"].iter().all(|given| name(given).is_err()));
    }

    #[test]
    fn indices() {
        for (given, becomes) in [
            ("requests.gor", "requests_0.gor"),
            ("/var/a.b/requests", "/var/a.b/requests_0"),
            ("/requests.gor.gz", "/requests_0.gor.gz"),
            ("requests_7.gor", "requests_7.gor"),
            ("./.hidden", "./.hidden_0"),
        ] {
            assert_eq!(with_index(given), becomes);
        }
    }
}
