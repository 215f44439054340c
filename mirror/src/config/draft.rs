//! Settings as they were given, by a file and by flags, each with its place; from them one [`Config`], or all that is wrong.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_yaml::Value;

use super::{ByteSize, Config, Fault, Faults};

mod node;
mod read;

use node::{Node, Step};
pub use read::nearest;

/// Settings as they were given.
///
/// A file is read first ([`Draft::read`]), then each flag is [`set`](Draft::set) over it, and [`Draft::finish`] types and checks
/// all of it at once. A fault is told with the place its value came from: the key's path in the file, or the flag.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    root: Node,
    faults: Vec<Fault>,
}

/// Far above any settings, so that a wrong path (`/dev/zero`) ends.
const LARGEST_FILE: ByteSize = ByteSize::mib(1);

impl Draft {
    /// The settings in a YAML file.
    pub fn read(path: &Path) -> Result<Draft, Faults> {
        Draft::parse(&Draft::text(path)?)
    }

    /// The text of a YAML file.
    pub fn text(path: &Path) -> Result<String, Faults> {
        let fault = |expected: String| Faults::from(Fault::missing(path.display().to_string(), expected));
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST_FILE.bytes() + 1).read_to_end(&mut bytes))
            .map_err(|error| fault(format!("a file that can be read ({error})")))?;
        if bytes.len() as u64 > LARGEST_FILE.bytes() {
            return Err(fault(format!("a file of at most {LARGEST_FILE}")));
        }
        String::from_utf8(bytes)
            .map_err(|error| fault(format!("UTF-8 text, which ends at byte {}", error.utf8_error().valid_up_to())))
    }

    /// The settings in a YAML text.
    pub fn parse(text: &str) -> Result<Draft, Faults> {
        let mut faults = Vec::new();
        let root = Node::parse(text, &mut faults)?;
        Ok(Draft { root, faults })
    }

    /// Sets the key at a path (`shadow.0.concurrency`, `shadow[0].concurrency`) in place of what was there. The index one past a
    /// list's end adds to it. What is wrong with the path is told by [`finish`](Draft::finish).
    pub fn set(&mut self, path: &str, value: Value, place: &str) {
        let steps = match Step::parse(path) {
            Some(steps) => steps,
            None => return self.fault(Fault::new(place, path, "a key's path, as in shadow.0.concurrency")),
        };
        match self.root.reach(&steps, place) {
            Ok(node) => node.replace(value, place),
            Err(expected) => self.fault(Fault::new(place, path, expected.0)),
        }
    }

    /// Whether something is given at the key.
    pub fn has(&self, key: &str) -> bool {
        Step::parse(key).is_some_and(|steps| self.root.find(&steps).is_some_and(|node| !node.is_null()))
    }

    /// Adds a fault that was found elsewhere, to be told with the others.
    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Types the settings, and asks whether they make sense together and on this host.
    pub fn finish(mut self) -> Result<Config, Faults> {
        let (config, unread) = read::read(&mut self.root, &mut self.faults);
        if let Some(config) = config {
            let found = config.check(&unread, &|key| self.root.origin_of(key).0);
            self.faults
                .extend(found.into_iter().map(|fault| Fault { place: self.root.origin_of(&fault.place).1, ..fault }));
            if self.faults.is_empty() {
                return Ok(config);
            }
        }
        Err(Faults(self.faults))
    }

    /// Types the settings only: what they are, and not whether they can be run with here. To look at, as another host's may be.
    pub fn typed(mut self) -> Result<Config, Faults> {
        match read::read(&mut self.root, &mut self.faults) {
            (Some(config), _) if self.faults.is_empty() => Ok(config),
            _ => Err(Faults(self.faults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fraction;

    fn flag(settings: &[(&str, &str, &str)], yaml: &str) -> Draft {
        let mut draft = if yaml.is_empty() { Draft::default() } else { Draft::parse(yaml).unwrap() };
        for (path, value, place) in settings {
            draft.set(path, serde_yaml::from_str(value).unwrap(), place);
        }
        draft
    }

    fn faults(draft: Draft) -> Vec<String> {
        draft.finish().unwrap_err().0.iter().map(Fault::to_string).collect()
    }

    const FILE: &str = "listen: ':0'\nupstream: ':8080'\nshadow: ':8082'\nrecord: a.avro";

    #[test]
    fn flags_go_over_the_file_and_into_its_short_forms() {
        let config = flag(
            &[
                ("fraction", "10%", "--fraction"),
                ("shadow.0.concurrency", "5", "--set"),
                ("shadow[1]", "':8083'", "--set"),
                ("record.keep", "1GiB", "--keep"),
                ("record.rotate_size", "1MiB", "--rotate-size"),
                ("limits.memory", "64MiB", "--memory"),
                ("marker.name", "x-a", "--set"),
                ("marker.value", "b", "--set"),
            ],
            FILE,
        )
        .finish()
        .unwrap();
        assert_eq!(config.fraction, Fraction::new(1, 10).unwrap());
        assert_eq!(config.shadow[0].target.to_string(), "127.0.0.1:8082");
        assert_eq!(config.shadow[0].concurrency.get(), 5);
        assert_eq!(config.shadow[1].target.to_string(), "127.0.0.1:8083");
        assert_eq!(config.record[0].path.to_str(), Some("a.avro"));
        assert_eq!(config.limits.memory, ByteSize::mib(64));
        assert_eq!(config.marker.to_string(), "x-a: b");
    }

    #[test]
    fn a_fault_is_told_with_the_place_its_value_came_from() {
        let faults = faults(flag(
            &[
                ("fraction", "150%", "--fraction"),
                ("shadow.0.queue", "0", "--shadow-queue"),
                ("shadow.7.queue", "1", "--set shadow.7.queue"),
                ("limits..memory", "1", "--set limits..memory"),
                ("shadow.lag", "1", "--set shadow.lag"),
                ("frction", "1", "--set frction"),
            ],
            "listen: [':0', ':x']\nupstream: ':8080'\nshadow: [':8082', {target: ':8083', lag: 0}]",
        ));
        let starts = [
            r#"--set shadow.7.queue: "shadow.7.queue": expected an index from 0 to 2"#,
            r#"--set limits..memory: "limits..memory": expected a key's path"#,
            r#"--set shadow.lag: "shadow.lag": expected an index"#,
            r#"listen[1]: ":x": expected an address"#,
            r#"--shadow-queue: "0": expected a whole number"#,
            r#"--fraction: "150%": expected a fraction"#,
            r#"--set frction: "1": expected a known key; did you mean `fraction`?"#,
            r#"shadow[1].lag: "0": expected"#,
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}\n{start}");
        }
    }

    #[test]
    fn files_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("binary.yaml");
        std::fs::write(&binary, b"listen: \xff").unwrap();
        for (path, said) in [
            (dir.path(), "can be read"),
            (&dir.path().join("none.yaml"), "can be read"),
            (&binary, "UTF-8 text, which ends at byte 8"),
            (Path::new("/dev/zero"), "at most 1MiB"),
        ] {
            let faults = Draft::read(path).unwrap_err().to_string();
            assert!(faults.starts_with(&path.display().to_string()) && faults.contains(said), "{faults}");
        }
    }
}
