//! Whether what is to be captured makes sense.

use std::fs::{self, File};
use std::path::Path;

use super::Findings;
use crate::config::capture::is_interface;
use crate::config::{ByteSize, CaptureConfig, CaptureFrom, Config, Expected, ListenAddress, MarkerConfig};

/// libpcap's own bound (MAXIMUM_SNAPLEN).
const MOST_SNAPLEN: ByteSize = ByteSize::kib(256);

/// libpcap takes the ring's size as a C int.
const MOST_BUFFER: ByteSize = ByteSize::mib(2047);

/// Longer is of no use: copies would come late by it.
const MOST_BLOCK_TIME_MS: u128 = 10_000;

impl Config {
    pub(super) fn check_captures(&self, findings: &mut Findings<'_>) {
        if !self.capture.is_empty()
            && !self.discard
            && self.shadow.is_empty()
            && self.record.is_empty()
            && !findings.is_unread("record")
        {
            findings
                .missing("shadow", "a target, or something to `record` to: what is captured goes nowhere otherwise");
        }
        for (i, capture) in self.capture.iter().enumerate() {
            check_keys(i, capture, findings);
            check_sizes(i, capture, findings);
            self.check_capture_loops(i, capture, findings);
        }
        let reassembly = &self.limits.reassembly;
        findings.not_empty("limits.reassembly.bytes", reassembly.bytes);
        findings.not_empty("limits.reassembly.flow_bytes", reassembly.flow_bytes);
        findings.not_zero("limits.reassembly.idle", reassembly.idle);
        if reassembly.flow_bytes > reassembly.bytes {
            let expected = format!("at most `bytes`, {}, which is for all connections", reassembly.bytes);
            findings.add("limits.reassembly.flow_bytes", reassembly.flow_bytes, expected);
        }
    }

    /// Copies that go where captured requests go are captured as well: by the marker they are known and not copied again. Without a
    /// marker each copy would make another. And to send them to the very server that is listened to is a mistake in any case.
    fn check_capture_loops(&self, i: usize, capture: &CaptureConfig, findings: &mut Findings<'_>) {
        let of_this_host = match capture.from() {
            CaptureFrom::Any => true,
            CaptureFrom::Interface(name) => name == "lo",
            CaptureFrom::File(_) | CaptureFrom::Vxlan(_) => return,
        };
        for (at, shadow) in self.shadow.iter().enumerate() {
            let (host, port) = (shadow.target.host(), shadow.target.port());
            if !capture.ports.contains(port) {
                continue;
            }
            let place = (findings.original)(&format!("capture[{i}]"));
            if of_this_host && ListenAddress::every_interface(port).is_reached_by(host, port) {
                let expected = format!("another address than {place} listens to ({capture}): this is a loop");
                findings.add(&format!("shadow[{at}].target"), &shadow.target, expected);
            } else if self.marker == MarkerConfig::Off {
                let expected = format!(
                    "a marker, as copies to {} may be seen by {place} ({capture}), and copied again",
                    shadow.target
                );
                findings.add("marker", &self.marker, expected);
            }
        }
    }
}

/// One place, and only what is for it.
fn check_keys(i: usize, capture: &CaptureConfig, findings: &mut Findings<'_>) {
    let key = |name: &str| format!("capture[{i}].{name}");
    let from = capture.from();
    let places = [
        ("file", capture.file.as_ref().map(|file| file.display().to_string())),
        ("vxlan", capture.vxlan.map(|address| address.to_string())),
        ("interface", capture.interface.clone()),
    ];
    let mut given = places.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    if let Some((first, _)) = given.next() {
        for (name, value) in given {
            findings.add(
                &key(name),
                value,
                format!("`{first}` or `{name}` alone: one capture has one place; several are a list"),
            );
        }
    }
    if let CaptureFrom::Interface(name) = from
        && !is_interface(name)
    {
        findings.add(&key("interface"), name, "an interface's name, as `mirror interfaces` lists them, or any");
    }
    let elsewhere = findings.is_unread(&key("file")) || findings.is_unread(&key("vxlan"));
    if matches!(from, CaptureFrom::Any | CaptureFrom::Interface(_)) && capture.ports.is_empty() && !elsewhere {
        findings.missing(
            &key("ports"),
            "the servers' ports, as in 80 or 80,8080: without them all that passes would be read",
        );
    }
    if let CaptureFrom::File(path) = from
        && let Err(expected) = readable(path)
    {
        findings.add(&key("file"), path.display(), expected.0);
    }
    if let (CaptureFrom::Vxlan(_), Some(bpf)) = (from, &capture.bpf) {
        findings.add(&key("bpf"), bpf, "no filter for VXLAN: what is mirrored is chosen where it is sent");
    }
    if let Some(bpf) = &capture.bpf
        && (bpf.trim().is_empty() || bpf.contains('\0'))
    {
        findings.add(&key("bpf"), bpf, "a filter in libpcap's language, as in not host 10.0.0.9");
    }
    if capture.promiscuous {
        match from {
            CaptureFrom::Interface(_) => {}
            CaptureFrom::Any => findings.add(
                &key("promiscuous"),
                true,
                "one interface's name beside it: all at once cannot be promiscuous",
            ),
            CaptureFrom::File(_) | CaptureFrom::Vxlan(_) => {
                findings.add(&key("promiscuous"), true, format!("an interface beside it, not {from}"));
            }
        }
    }
}

fn check_sizes(i: usize, capture: &CaptureConfig, findings: &mut Findings<'_>) {
    let key = |name: &str| format!("capture[{i}].{name}");
    if capture.snaplen.bytes() == 0 || capture.snaplen > MOST_SNAPLEN {
        findings.add(&key("snaplen"), capture.snaplen, format!("a size from 1 byte to {MOST_SNAPLEN}"));
    } else if capture.buffer > MOST_BUFFER || capture.buffer.bytes() < 2 * capture.snaplen.bytes() {
        let least = ByteSize::new(2 * capture.snaplen.bytes());
        findings.add(&key("buffer"), capture.buffer, format!("a size from {least}, twice `snaplen`, to {MOST_BUFFER}"));
    }
    let time = capture.block_time.0;
    if time.as_millis() == 0 || !time.subsec_nanos().is_multiple_of(1_000_000) || time.as_millis() > MOST_BLOCK_TIME_MS
    {
        findings.add(&key("block_time"), capture.block_time, "whole milliseconds, from 1ms to 10s");
    }
}

/// Looks, and reads nothing.
fn readable(path: &Path) -> Result<(), Expected> {
    let cannot = |error: std::io::Error| Expected::from(format!("a saved capture that can be read ({error})"));
    let found = fs::metadata(path).map_err(cannot)?;
    if found.is_dir() {
        return Err("a saved capture, and this is a directory".into());
    }
    // To open a pipe can wait for ever.
    if found.is_file() {
        File::open(path).map_err(cannot)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(yaml: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        config.check(&[], &str::to_owned).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_capture_stands_alone_or_beside_a_proxy() {
        let none: [&str; 0] = [];
        assert_eq!(faults("{capture: ':8080', shadow: ':8082'}"), none);
        assert_eq!(faults("{listen: ':80', upstream: ':8080', capture: ':9090', record: a.avro}"), none);
        assert!(faults("{capture: ':8080'}")[0].starts_with("shadow: expected a target, or something to `record`"));
        assert!(faults("{capture: ':8080', shadow: ':81', upstream: ':8081'}")[0].starts_with("listen: expected"));
    }

    #[test]
    fn copies_are_not_sent_to_who_is_listened_to() {
        for (capture, target, marker, said) in [
            (
                "':80'",
                ":80",
                "'x-a: b'",
                "shadow[0].target: \"127.0.0.1:80\": expected another address than capture[0] listens to (any:80): this is a loop",
            ),
            (
                "lo:80",
                "localhost:80",
                "'x-a: b'",
                "shadow[0].target: \"localhost:80\": expected another address than capture[0] listens to (lo:80): this is a loop",
            ),
            ("':80'", "app:80", "'x-a: b'", ""),
            (
                "':80'",
                "app:80",
                "off",
                "marker: \"off\": expected a marker, as copies to app:80 may be seen by capture[0] (any:80), and copied again",
            ),
            ("eth0:80", "127.0.0.1:80", "'x-a: b'", ""),
            ("':80'", ":81", "off", ""),
            ("'vxlan::4789:80'", ":80", "off", ""),
        ] {
            let yaml = format!("{{capture: {capture}, shadow: '{target}', marker: {marker}}}");
            assert_eq!(faults(&yaml).join("\n"), said, "{yaml}");
        }
    }
}
