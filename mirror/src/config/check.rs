//! Whether the settings make sense together and on this host.

use std::collections::HashMap;
use std::fmt::Display;

use super::{AdminAddress, ByteSize, Config, Fault, Period, Transparent};

mod capture;
mod filter;
mod middleware;
mod path;
mod pipeline;
mod record;
mod replay;

/// The faults found so far, and the keys that could not be read, of which nothing more can be said.
struct Findings<'a> {
    faults: Vec<Fault>,
    unread: &'a [String],
    /// What a key was called before others could not be read.
    original: &'a dyn Fn(&str) -> String,
}

impl Findings<'_> {
    /// Whether the key, or something above or below it, could not be read: it has its default then, and blaming that would be wrong.
    fn is_unread(&self, key: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let key = (self.original)(key);
        self.unread.iter().any(|unread| within(unread, &key) || within(&key, unread))
    }

    fn add(&mut self, key: &str, value: impl Display, expected: impl Into<String>) {
        if !self.is_unread(key) {
            self.faults.push(Fault::new(key, value, expected));
        }
    }

    fn missing(&mut self, key: &str, expected: &str) {
        if !self.is_unread(key) {
            self.faults.push(Fault::missing(key, expected));
        }
    }

    fn not_zero(&mut self, key: &str, period: Period) {
        if period.0.is_zero() {
            self.add(key, period, "a time longer than 0s");
        }
    }

    fn not_empty(&mut self, key: &str, size: ByteSize) {
        if size.bytes() == 0 {
            self.add(key, size, "a size of at least 1 byte");
        }
    }
}

impl Config {
    /// What is wrong, given that the keys in `unread` could not be read, and that a key of this config was `original(key)` before.
    pub(super) fn check(&self, unread: &[String], original: &dyn Fn(&str) -> String) -> Vec<Fault> {
        let mut findings = Findings { faults: Vec::new(), unread, original };
        self.check_source(&mut findings);
        self.check_listen(&mut findings);
        self.check_loops(&mut findings);
        self.check_captures(&mut findings);
        self.check_replay(&mut findings);
        self.check_shadows(&mut findings);
        self.check_records(&mut findings);
        self.check_pipelines(&mut findings);
        self.check_memory(&mut findings);
        self.check_rest(&mut findings);
        findings.faults
    }

    /// Something gives exchanges: a proxy, which has two sides, a capture, or a replay.
    fn check_source(&self, findings: &mut Findings<'_>) {
        if self.replay.is_some() || findings.is_unread("replay") {
            // It has to stand alone, which is told there.
            return;
        }
        match (self.listen.is_empty(), &self.upstream) {
            (true, Some(upstream)) => {
                findings.missing("listen", &format!("an address to listen on, as there is an upstream ({upstream})"));
            }
            (true, None) if self.capture.is_empty() && !findings.is_unread("capture") => {
                findings.missing(
                    "listen",
                    "an address to listen on, or something to `capture`, as nothing else gives exchanges",
                );
            }
            (true, None) => {}
            (false, None) if self.proxy.transparent.is_none() && !findings.is_unread("proxy.transparent") => {
                findings.missing("upstream", "the application's address, as there is one to listen on");
            }
            (false, _) => {}
        }
    }

    /// All addresses to listen on can be had together.
    fn check_listen(&self, findings: &mut Findings<'_>) {
        for (i, address) in self.listen.iter().enumerate() {
            if let Some(earlier) = self.listen[..i].iter().find(|earlier| earlier.overlaps(address)) {
                let expected = format!("an address that {earlier}, which is listened on too, does not take");
                findings.add(&format!("listen[{i}]"), address, expected);
            }
        }
        // The default endpoint gives way by itself.
        if let AdminAddress::Address(admin) = &self.admin.address
            && let Some(taken) = self.listen.iter().find(|listen| listen.overlaps(admin))
        {
            let expected = format!("an address that {taken}, which is listened on, does not take");
            findings.add("admin.address", admin, expected);
        }
        if self.admin.control && self.admin.address == AdminAddress::Off {
            findings.add("admin.control", true, "an endpoint to control it by, and `admin.address` is off");
        }
    }

    /// Nothing is sent to where it comes from. A loop by way of a name that only DNS knows is stopped by the marker instead.
    fn check_loops(&self, findings: &mut Findings<'_>) {
        let looping = |host: &str, port| self.listen.iter().find(|listen| listen.is_reached_by(host, port));
        let expected = |listen| format!("another address than {listen}, which is listened on: this is a loop");
        if let Some(upstream) = &self.upstream
            && let Some(listen) = looping(upstream.host(), upstream.port())
        {
            findings.add("upstream", upstream, expected(listen));
        }
        for (i, shadow) in self.shadow.iter().enumerate() {
            if let Some(listen) = looping(shadow.target.host(), shadow.target.port()) {
                findings.add(&format!("shadow[{i}].target"), &shadow.target, expected(listen));
            }
        }
    }

    fn check_shadows(&self, findings: &mut Findings<'_>) {
        // A recording that is called as one before it is told of there.
        let records = self.record.iter().enumerate().rev();
        let mut names: HashMap<String, String> =
            records.map(|(i, record)| (record.label().to_owned(), format!("record[{i}]"))).collect();
        for (i, shadow) in self.shadow.iter().enumerate() {
            let key = |name: &str| format!("shadow[{i}].{name}");
            if let Some(name) = &shadow.name
                && is_unreadable(name)
            {
                findings.add(&key("name"), name, "a name that can be read");
            }
            if let Some(other) = names.insert(shadow.label(), format!("shadow[{i}]")) {
                let place = key(if shadow.name.is_some() { "name" } else { "target" });
                let other = (findings.original)(&other);
                let expected =
                    format!("a name other than that of {other}; by default it is the address, `name` sets it");
                findings.add(&place, shadow.label(), expected);
            }
            findings.not_zero(&key("connect_timeout"), shadow.connect_timeout);
            findings.not_zero(&key("timeout"), shadow.timeout);
            findings.not_empty(&key("lag"), shadow.lag);
            findings.not_zero(&key("idle_timeout"), shadow.idle_timeout);
            findings.not_zero(&key("resolve_every"), shadow.resolve_every);
            findings.not_zero(&key("backoff.min"), shadow.backoff.min);
            if shadow.backoff.max < shadow.backoff.min {
                let expected = format!("a time of at least `min`, {}", shadow.backoff.min);
                findings.add(&key("backoff.max"), shadow.backoff.max, expected);
            }
        }
    }

    /// No sink may hold more of one exchange than its share of the byte budget, or it could never be held at all beside the others.
    fn check_memory(&self, findings: &mut Findings<'_>) {
        let memory = self.limits.memory;
        findings.not_empty("limits.memory", memory);
        if memory.bytes() == 0 || findings.is_unread("limits.memory") {
            return;
        }
        let sinks = self.shadow.len() as u64 + self.record.len() as u64;
        let share = ByteSize::new(memory.bytes() / (sinks + 1));
        let mut within = |key: &str, size: ByteSize| {
            if size > share {
                let needed = ByteSize::new(size.bytes().saturating_mul(sinks + 1));
                let parts = if sinks == 1 {
                    "2 parts: one for the sink".to_owned()
                } else {
                    format!("{} parts: one for each of the {sinks} sinks", sinks + 1)
                };
                let expected = format!(
                    "at most {share}, a fair share of `limits.memory` ({memory}, in {parts}, one for what arrives); \
                     or `limits.memory` of at least {needed}"
                );
                findings.add(key, size, expected);
            }
        };
        for (i, shadow) in self.shadow.iter().enumerate() {
            within(&format!("shadow[{i}].lag"), shadow.lag);
        }
        for (i, record) in self.record.iter().enumerate() {
            within(&format!("record[{i}].max_body"), record.max_body);
        }
    }

    fn check_rest(&self, findings: &mut Findings<'_>) {
        if self.discard && (!self.shadow.is_empty() || !self.record.is_empty()) {
            findings.add(
                "discard",
                true,
                "neither a target nor a recording beside it: what goes somewhere is not discarded",
            );
        }
        if let (Some(mode), true) = (self.proxy.transparent, self.listen.is_empty()) {
            findings.add(
                "proxy.transparent",
                mode,
                "an address to `listen` on beside it, where connections are redirected to",
            );
        }
        if self.proxy.transparent == Some(Transparent::Tproxy) && self.proxy.proxy_protocol.accept {
            let expected = "false beside `transparent: tproxy`: who sends a header would choose the address that the application is shown";
            findings.add("proxy.proxy_protocol.accept", true, expected);
        }
        if self.proxy.drain_idle > self.drain_timeout {
            let expected = format!("at most `drain_timeout`, {}, after which all is cut", self.drain_timeout);
            findings.add("proxy.drain_idle", self.proxy.drain_idle, expected);
        }
        for (key, period) in [
            ("proxy.detect_timeout", self.proxy.detect_timeout),
            ("proxy.connect_timeout", self.proxy.connect_timeout),
            ("proxy.read_timeout", self.proxy.read_timeout),
            ("proxy.write_timeout", self.proxy.write_timeout),
            ("proxy.upstream_idle_timeout", self.proxy.upstream_idle_timeout),
            ("proxy.keepalive_timeout", self.proxy.keepalive_timeout),
        ] {
            findings.not_zero(key, period);
        }
        if let Some(exit_after) = self.exit_after {
            findings.not_zero("exit_after", exit_after);
        }
        if let Err(expected) = filter::check(&self.log.level) {
            findings.add("log.level", &self.log.level, expected.0);
        }
    }
}

/// Whether a name cannot be read where it is told.
fn is_unreadable(name: &str) -> bool {
    name.trim().is_empty() || name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        // Not by way of Draft, so that what is checked is what is written here.
        serde_yaml::from_str(yaml).unwrap()
    }

    fn keys(yaml: &str) -> Vec<String> {
        config(yaml).check(&[], &str::to_owned).into_iter().map(|fault| fault.place).collect()
    }

    #[test]
    fn a_plain_proxy_makes_sense_and_half_of_one_does_not() {
        assert!(keys("{listen: ':80', upstream: ':8080'}").is_empty());
        assert_eq!(keys("listen: ':80'"), ["upstream"]);
        assert_eq!(keys("upstream: ':80'"), ["listen"]);
        assert_eq!(keys("shadow: ':80'"), ["listen"]);
    }

    #[test]
    fn addresses_that_meet() {
        assert_eq!(keys("{listen: [':80', '127.0.0.1:80', ':0', ':0'], upstream: ':8080'}"), ["listen[1]"]);
        assert_eq!(keys("{listen: ':80', admin: '127.0.0.1:80', upstream: ':8080'}"), ["admin.address"]);
        assert_eq!(keys("{listen: ':80', admin: {address: off, control: true}, upstream: ':8080'}"), ["admin.control"]);
        assert!(keys("{listen: ':9900', upstream: ':8080'}").is_empty(), "the default endpoint gives way");
        assert_eq!(keys("{listen: ':80', upstream: 'localhost:80'}"), ["upstream"]);
        assert_eq!(keys("{listen: ':80', upstream: ':81', shadow: [':82', 'http://[::1]/x']}"), ["shadow[1].target"]);
    }

    #[test]
    fn names_are_had_by_one() {
        let two = |a, b| keys(&format!("{{listen: ':80', upstream: ':81', shadow: [{a}, {b}]}}"));
        assert_eq!(two("':82'", "'127.0.0.1:82'"), ["shadow[1].target"]);
        assert!(two("':82'", "{target: ':82', name: b}").is_empty());
        assert_eq!(two("{target: ':82', name: a}", "{target: ':83', name: a}"), ["shadow[1].name"]);
        assert_eq!(two("{target: ':82', name: ''}", "':83'"), ["shadow[0].name"]);
        assert_eq!(
            keys("{listen: ':80', upstream: ':81', record: a.avro, shadow: {target: ':82', name: record}}"),
            ["shadow[0].name"]
        );
    }

    #[test]
    fn a_share_of_the_memory_is_told_in_numbers() {
        let faults = config("{listen: ':80', upstream: ':81', shadow: ':82', record: a.avro, limits: {memory: 12MiB}}")
            .check(&[], &str::to_owned);
        let expected = "at most 4MiB, a fair share of `limits.memory` (12MiB, in 3 parts: one for each of the 2 sinks, one for what \
                        arrives); or `limits.memory` of at least 30MiB";
        assert_eq!(faults, [Fault::new("record[0].max_body", "10MiB", expected)]);
    }

    #[test]
    fn nothing_is_said_of_what_rests_on_a_key_that_could_not_be_read() {
        let config = config("{listen: ':80', shadow: {target: ':82', lag: 200MiB}}");
        let unread = ["upstream".to_owned(), "limits".to_owned()];
        assert_eq!(config.check(&unread, &str::to_owned), []);
    }
}
