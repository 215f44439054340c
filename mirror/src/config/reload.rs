//! What a running `mirror` can take of another configuration, and what has to wait for its next start.

use serde::Serialize;
use serde_yaml::Value;

use super::{AdminConfig, Config, LogConfig, RecordConfig};

impl Config {
    /// What a `mirror` that runs with this configuration runs with once it was told to take `wanted`, and the keys in which that is not what is
    /// wanted: they change at the next start. What may make no sense in between (a target that is the address listened on before) is for
    /// [`validate`](Config::validate).
    ///
    /// The sockets and the threads stay, and what was laid out when they began: that is the price of dropping no connection. Of a recording that goes
    /// on in the same file all stays but what stands before it.
    pub fn reloaded(&self, wanted: &Config) -> (Config, Vec<String>) {
        let fixed = self.clone();
        // Every key, so that who adds one has to say which it is.
        let taken = Config {
            listen: fixed.listen,
            upstream: fixed.upstream,
            capture: fixed.capture,
            replay: fixed.replay,
            shadow: wanted.shadow.clone(),
            record: wanted.record.iter().map(|wanted| wanted.going_on(&fixed.record)).collect(),
            discard: wanted.discard,
            fraction: wanted.fraction,
            pipeline: wanted.pipeline.clone(),
            marker: wanted.marker.clone(),
            proxy: fixed.proxy,
            engine: fixed.engine,
            limits: fixed.limits,
            admin: AdminConfig { control: wanted.admin.control, address: fixed.admin.address },
            log: LogConfig { level: wanted.log.level.clone(), format: fixed.log.format },
            drain_timeout: wanted.drain_timeout,
            exit_after: fixed.exit_after,
        };
        let left = differing(&taken, wanted);
        (taken, left)
    }
}

impl RecordConfig {
    /// As it is where one of these is the same in the same file.
    fn going_on(&self, running: &[RecordConfig]) -> RecordConfig {
        let is_same = |running: &&RecordConfig| running.label() == self.label() && running.path == self.path;
        match running.iter().find(is_same) {
            Some(running) => {
                RecordConfig { fraction: self.fraction, pipeline: self.pipeline.clone(), ..running.clone() }
            }
            None => self.clone(),
        }
    }
}

/// The keys in which two configurations of one kind differ, as in `proxy.read_timeout`. A list counts as one.
pub(crate) fn differing<T: Serialize>(one: &T, other: &T) -> Vec<String> {
    let value = |config| serde_yaml::to_value(config).unwrap_or(Value::Null);
    let mut keys = Vec::new();
    compare("", &value(one), &value(other), &mut keys);
    keys
}

fn compare(path: &str, one: &Value, other: &Value, keys: &mut Vec<String>) {
    match (one, other) {
        _ if one == other => {}
        (Value::Mapping(these), Value::Mapping(those)) => {
            let added = those.keys().filter(|key| !these.contains_key(*key));
            for key in these.keys().chain(added) {
                let name = key.as_str().unwrap_or_default();
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                let of = |map: &serde_yaml::Mapping| map.get(key).cloned().unwrap_or(Value::Null);
                compare(&path, &of(these), &of(those), keys);
            }
        }
        _ => keys.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloaded(running: &str, wanted: &str) -> (Config, Vec<String>) {
        let config = |yaml| serde_yaml::from_str::<Config>(yaml).unwrap();
        config(running).reloaded(&config(wanted))
    }

    #[test]
    fn what_stays_is_named_and_the_rest_is_taken() {
        let (taken, left) = reloaded(
            "{listen: ':80', upstream: ':81', shadow: ':82', log: {level: info, format: json}}",
            "{listen: [':80', ':90'], upstream: ':81', proxy: {threads: 3, forwarded: true}, shadow: ':83', fraction: 1%, \
             log: {level: warn}, limits: {reassembly: {flows: 1}}, admin: {address: off, control: true}, drain_timeout: 1s, exit_after: 1m}",
        );
        let stays = [
            "listen",
            "proxy.forwarded",
            "proxy.threads",
            "limits.reassembly.flows",
            "admin.address",
            "log.format",
            "exit_after",
        ];
        assert_eq!(left, stays);
        assert_eq!((taken.listen.len(), taken.shadow[0].label().as_str()), (1, "127.0.0.1:83"));
        assert_eq!((taken.fraction.to_string().as_str(), taken.log.level.as_str()), ("1%", "warn"));
        assert!(taken.admin.control && taken.drain_timeout.to_string() == "1s");
    }

    #[test]
    fn a_recording_goes_on_as_it_began() {
        let running = "{record: {path: a.avro, max_body: 1MiB}}";
        let (taken, left) =
            reloaded(running, "{record: {path: a.avro, max_body: 2MiB, rotate_size: 1GiB, fraction: 5%}}");
        assert_eq!(left, ["record.max_body", "record.rotate_size"]);
        let [record] = &taken.record[..] else { panic!("{taken:?}") };
        assert_eq!((record.max_body.to_string(), record.fraction.unwrap().to_string()), ("1MiB".into(), "5%".into()));
        for wanted in ["{record: {path: b.avro, max_body: 2MiB}}", "{}"] {
            assert_eq!(reloaded(running, wanted).1, [""; 0], "{wanted}");
        }
        assert_eq!(reloaded("{}", running).1, [""; 0]);
    }
}
