//! Whether recordings can be written, each in a file of its own.

use std::ffi::OsStr;
use std::path::{PathBuf, absolute};

use super::{Findings, is_unreadable, path};
use crate::config::{Config, RecordConfig};
use crate::recording::{Format, Kind};

impl Config {
    pub(super) fn check_records(&self, findings: &mut Findings<'_>) {
        for (i, record) in self.record.iter().enumerate() {
            let key = |name: &str| format!("record[{i}].{name}");
            let before = &self.record[..i];
            if let Some(name) = &record.name
                && is_unreadable(name)
            {
                findings.add(&key("name"), name, "a name that can be read");
            }
            if before.iter().any(|other| other.label() == record.label()) {
                findings.add(&key("name"), record.label(), "a name that no other recording has");
            }
            if before.iter().any(|other| file_of(other) == file_of(record)) {
                let expected = "a file that no other recording is written to";
                findings.add(&key("path"), record.path.display(), expected);
            }
            check(record, &format!("record[{i}]"), findings);
        }
    }
}

/// Its path, however it is written.
fn file_of(record: &RecordConfig) -> PathBuf {
    if record.is_stdout() {
        record.path.clone()
    } else {
        absolute(&record.path).unwrap_or_else(|_| record.path.clone())
    }
}

fn check(record: &RecordConfig, place: &str, findings: &mut Findings<'_>) {
    let key = |name: &str| format!("{place}.{name}");
    if record.is_stdout() {
        let expected = "no such key, as the recording goes to stdout (`-`)";
        record.rotate_size.into_iter().for_each(|size| findings.add(&key("rotate_size"), size, expected));
        record.rotate_interval.into_iter().for_each(|age| findings.add(&key("rotate_interval"), age, expected));
        record.keep.into_iter().for_each(|size| findings.add(&key("keep"), size, expected));
    } else if let Err(expected) = path::check(&record.path) {
        findings.add(&key("path"), record.path.display(), expected.0);
    } else if record.format.is_none() && !findings.is_unread(&key("format")) {
        match Format::of(&record.path) {
            Ok(Format { kind: Kind::Avro, gzip: true }) => {
                let expected = "a name that ends in .avro, whose blocks are compressed already";
                findings.add(&key("path"), record.path.display(), expected);
            }
            Ok(_) => {}
            Err(_) => {
                let expected = "a name that ends in .avro, .gor, .har or .jsonl, with .gz behind the last three or not, or `format` beside it";
                findings.add(&key("path"), record.path.display(), expected);
            }
        }
    }
    findings.not_empty(&key("flush_bytes"), record.flush_bytes);
    findings.not_zero(&key("flush_interval"), record.flush_interval);
    if let Some(size) = record.rotate_size {
        findings.not_empty(&key("rotate_size"), size);
    }
    if let Some(interval) = record.rotate_interval {
        findings.not_zero(&key("rotate_interval"), interval);
    }
    // A `%%` is a sign of its own.
    let names_a_time = |name: &OsStr| name.to_string_lossy().replace("%%", "").contains('%');
    if record.rotate_by_name && !record.path.file_name().is_some_and(names_a_time) {
        let expected = "a name with strftime conversions, as in traffic-%Y%m%d-%H.avro, which says when";
        findings.add(&key("rotate_by_name"), true, expected);
    }
    let Some(keep) = record.keep else { return };
    findings.not_empty(&key("keep"), keep);
    match record.rotate_size {
        Some(size) if size > keep => {
            findings.add(
                &key("keep"),
                keep,
                format!("at least `rotate_size`, {size}: the current file is always kept"),
            );
        }
        None if record.rotate_interval.is_none() && !record.rotate_by_name && !findings.is_unread(place) => {
            let expected =
                "`rotate_size` or `rotate_interval` beside it: one file that grows for ever cannot be kept within";
            findings.add(&key("keep"), keep, expected);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(record: &str) -> Vec<String> {
        let config: Config =
            serde_yaml::from_str(&format!("{{listen: ':80', upstream: ':81', record: {record}}}")).unwrap();
        config.check(&[], &str::to_owned).into_iter().map(|fault| fault.place).collect()
    }

    #[test]
    fn several_have_a_file_and_a_name_each() {
        let none: [&str; 0] = [];
        assert_eq!(keys("[a.avro, b.gor, '-']"), none);
        assert_eq!(keys("[a.avro, ./a.avro]"), ["record[1].path"]);
        assert_eq!(keys("['-', b.gor, '-']"), ["record[2].path"]);
        assert_eq!(keys("[a.avro, {path: b.avro, name: record}]"), ["record[1].name"]);
        assert_eq!(keys("[{path: a.avro, name: record-2}, b.avro]"), ["record[1].name"]);
        assert_eq!(keys("[a.avro, {path: b.avro, name: ''}]"), ["record[1].name"]);
        assert_eq!(keys("[a.avro, {path: b.avro, keep: 1MiB}]"), ["record[1].keep"]);
    }
}
