//! Any config that makes sense comes back from its own YAML, and no text makes the reader panic.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use mirror::config::{
    AdminConfig, BackoffConfig, ByteSize, CaptureConfig, CaptureFrom, Config, EngineConfig, Fraction, HostPolicy,
    LimitsConfig, LogConfig, LogFormat, MarkerConfig, Period, ProxyConfig, ProxyProtocolConfig, ProxyProtocolVersion,
    ReassemblyConfig, RecordConfig, ReplayConfig, ShadowConfig, StageConfig, Transparent,
};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn period() -> impl Strategy<Value = Period> {
    (1..1_000_000_000_000u64).prop_map(|nanos| Period(Duration::from_nanos(nanos)))
}

fn size(most: u64) -> impl Strategy<Value = ByteSize> {
    (1..=most).prop_map(ByteSize::new)
}

fn fraction() -> impl Strategy<Value = Fraction> {
    (0..=1_000_000u64, 0..1000u64).prop_map(|(n, more)| Fraction::new(n, 1_000_000 + more).unwrap())
}

fn count() -> impl Strategy<Value = NonZeroUsize> {
    (1..=usize::MAX).prop_map(|n| NonZeroUsize::new(n).unwrap())
}

fn host() -> impl Strategy<Value = HostPolicy> {
    prop_oneof![
        Just(HostPolicy::Original),
        Just(HostPolicy::Target),
        "[a-z]{1,8}\\.[a-z]{2}(:[1-9][0-9]{0,3})?".prop_map(HostPolicy::Literal)
    ]
}

fn marker() -> impl Strategy<Value = MarkerConfig> {
    let header = ("[xX]-[A-Za-z0-9_-]{1,8}", "[!-~]([ -~]{0,8}[!-~])?");
    prop_oneof![Just(MarkerConfig::Off), header.prop_map(|(name, value)| MarkerConfig::Header { name, value })]
}

prop_compose! {
    /// The port is the target's own, so that no two have one name.
    fn shadow(port: u16)(
        // What YAML takes for something other than a string is among the names.
        name in of(prop_oneof![select(vec!["off", "null", "1", "~", "- a", "a: b", "#"]), Just("plain")]),
        address in select(vec!["", "app", "http://10.0.0.7", "[2001:db8::1]"]),
        prefix in "(/[a-z0-9]{1,4}){0,2}",
        (fraction, host, retries) in (of(fraction()), host(), any::<u32>()),
        (concurrency, queue) in (count(), count()),
        (connect_timeout, timeout, idle_timeout, resolve_every) in (period(), period(), period(), period()),
        (lag, answer_body) in (size(1 << 20), size(1 << 40)),
        (after, min, more) in (1u32.., period(), period()),
    ) -> ShadowConfig {
        ShadowConfig {
            name: name.map(|name| format!("{name}{port}")),
            fraction, host, retries, concurrency, queue, connect_timeout, timeout, idle_timeout, resolve_every, lag, answer_body,
            backoff: BackoffConfig { after: NonZeroU32::new(after).unwrap(), min, max: Period(min.0 + more.0) },
            ..ShadowConfig::new(format!("{address}:{port}{prefix}").parse().unwrap())
        }
    }
}

prop_compose! {
    fn record()(
        path in select(vec!["a.avro", "%Y-%m-%d.avro", "1", "~"]),
        format in select(vec!["avro", "gor.gz", "har", "jsonl"]),
        fraction in of(fraction()),
        (max_body, flush_bytes, disk_queue) in (size(1 << 20), size(1 << 30), size(1 << 30)),
        (flush_interval, answer_wait) in (period(), period()),
        (responses, answers, by_name) in (any::<bool>(), any::<bool>(), any::<bool>()),
        rotation in of((size(1 << 40), of(period()), of(size(1 << 40)))),
    ) -> RecordConfig {
        let (size, interval, more) = rotation.map_or((None, None, None), |(size, interval, more)| (Some(size), interval, more));
        RecordConfig {
            // Two of the names say none.
            format: Some(format.parse().unwrap()),
            fraction, responses, answers, max_body, flush_bytes, disk_queue, flush_interval, answer_wait,
            rotate_size: size,
            rotate_interval: interval,
            rotate_by_name: by_name && path.contains('%'),
            keep: more.map(|more| ByteSize::new(size.unwrap().bytes() + more.bytes())),
            ..RecordConfig::new(path)
        }
    }
}

prop_compose! {
    fn proxy()(
        threads in of(count()),
        forwarded: bool,
        transparent in of(select(vec![Transparent::Redirect, Transparent::Tproxy])),
        mark in of(any::<NonZeroU32>()),
        (accept, send) in (any::<bool>(), of(select(vec![ProxyProtocolVersion::V1, ProxyProtocolVersion::V2]))),
        reuse_port: bool,
        times in (period(), period(), period(), period(), period(), period()),
        drain_idle in period(),
    ) -> ProxyConfig {
        let (connect_timeout, read_timeout, write_timeout, upstream_idle_timeout, keepalive_timeout, detect_timeout) = times;
        ProxyConfig {
            threads, transparent, mark, reuse_port, forwarded,
            // Who sends a header would choose what tproxy shows.
            proxy_protocol: ProxyProtocolConfig { accept: accept && transparent != Some(Transparent::Tproxy), send },
            drain_idle, detect_timeout, connect_timeout, read_timeout, write_timeout, upstream_idle_timeout, keepalive_timeout,
        }
    }
}

prop_compose! {
    /// Ports that no shadow's target has.
    fn capture()(
        from in select(vec!["", "any", "eth0", "1", "null", "vxlan::4789", "vxlan:[::1]:1"]),
        ports in prop::collection::vec(10_000u16.., 1..3),
        bpf in of(select(vec!["not host 10.0.0.9", "off", "1", "# a"])),
        (promiscuous, snaplen, more) in (any::<bool>(), size(1 << 18), size(1 << 30)),
        millis in 1..10_000u64,
    ) -> CaptureConfig {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let capture: CaptureConfig = format!("{from}:{}", ports.join(",")).parse().unwrap();
        CaptureConfig {
            bpf: bpf.filter(|_| capture.vxlan.is_none()).map(str::to_owned),
            promiscuous: promiscuous && matches!(capture.from(), CaptureFrom::Interface(_)),
            snaplen,
            buffer: ByteSize::new(2 * snaplen.bytes() + more.bytes()),
            block_time: Period(Duration::from_millis(millis)),
            ..capture
        }
    }
}

prop_compose! {
    fn reassembly()(flow_bytes in size(1 << 40), more in size(1 << 40), flows in count(), idle in period()) -> ReassemblyConfig {
        ReassemblyConfig { bytes: ByteSize::new(flow_bytes.bytes() + more.bytes()), flow_bytes, flows, idle }
    }
}

/// A stage, each of its forms.
fn stage() -> impl Strategy<Value = StageConfig> {
    let forms = [
        "filter: method = GET and path = /api/**",
        "filter: {deny: {path: ['/health*', '~^/v[12]/'], any: [{status: 5xx}, 'latency > 1s']}}",
        "filter: {allow: {header: {x-a: true, x-b: false, x-c: [1, '2*']}, not: {client: [10.0.0.0/8, '::1']}}, deny: query.debug}",
        "filter: {allow: {all: [], request_size: '> 1KiB', status: [404, '>= 500'], response_type: text/*}}",
        "fraction: 10%",
        "fraction: {of: 1/3, by: cookie.session}",
        "fraction: {of: 25%, by: header.user-id, rule: goreplay}",
        "filter: {allow: {target: ['~^/api', /b], basic_auth: '~^customer[0-9]'}, deny: {basic_auth: false}}",
        "rewrite: {host: {match: '(.*)[.]example', with: $1.test}, target: [{match: '^/v1', with: /v2}]}",
        "rewrite: {host: staging.example, header: {set: {X-A: '{client}'}}}",
        "middleware: sh -c cat",
        "middleware: {command: [sh, -c, 'exec cat  #'], workers: 3, timeout: 250ms, on_failure: pass, responses: false}",
        "middleware: {command: cat, max_body: 64KiB, queue: 7, queue_bytes: 64KiB, restart: {min: 1s, max: 1m}}",
        "rate: 500/s",
        "rate: {requests: 60/m, bytes: 1MiB/s, burst: 5, burst_bytes: 64KiB, by: path.2}",
    ];
    select(forms.to_vec()).prop_map(|yaml| serde_yaml::from_str(yaml).unwrap())
}

/// As those of one list, each with a name and a file of its own.
fn named(mut records: Vec<RecordConfig>) -> Vec<RecordConfig> {
    for (i, record) in records.iter_mut().enumerate().skip(1) {
        record.name = Some(format!("record-{}", i + 1));
        record.path = format!("{i}-{}", record.path.display()).into();
    }
    records
}

prop_compose! {
    fn config()(
        ports in prop::collection::btree_set(1u16..1000, 1..4),
        listen_host in select(vec!["", "127.0.0.1", "[::1]", "0.0.0.0", "[::]"]),
        upstream in select(vec!["http://app", ":8080", "[::1]:8080"]),
        shadow in prop::collection::btree_set(1000u16..8000, 0..4)
            .prop_flat_map(|ports| ports.into_iter().map(shadow).collect::<Vec<_>>()),
        pipeline in prop::collection::vec(stage(), 0..4),
        (records, fraction, marker, proxy, threads) in (prop::collection::vec(record(), 0..3), fraction(), marker(), proxy(), count()),
        memory in size(1 << 50),
        (captures, reassembly) in (prop::collection::vec(capture(), 0..3), reassembly()),
        (admin, control) in (select(vec!["off", "default", ":9900", "[::1]:0"]), any::<bool>()),
        (format, level) in (select(vec![LogFormat::Auto, LogFormat::Human, LogFormat::Json]), select(vec!["off", "warn,mirror=debug"])),
        (drain_timeout, exit_after) in (period(), of(period())),
    ) -> Config {
        let drain_timeout = if drain_timeout < proxy.drain_idle { proxy.drain_idle } else { drain_timeout };
        Config {
            listen: ports.iter().map(|port| format!("{listen_host}:{port}").parse().unwrap()).collect(),
            upstream: Some(upstream.parse().unwrap()),
            admin: AdminConfig { address: admin.parse().unwrap(), control: control && admin != "off" },
            engine: EngineConfig { threads },
            // At least what the largest sinks generated need.
            limits: LimitsConfig { memory: ByteSize::new(memory.bytes() + (8 << 20)), reassembly },
            log: LogConfig { format, level: level.to_owned() },
            capture: if shadow.is_empty() && records.is_empty() { Vec::new() } else { captures },
            discard: false,
            replay: None,
            shadow, record: named(records), fraction, pipeline, marker, proxy, drain_timeout, exit_after,
        }
    }
}

prop_compose! {
    fn replay()(
        files in prop::collection::vec(select(vec!["a.avro", "b-*.gor", "1", "~", "null", "# a"]), 1..3),
        speed in of(select(vec!["200%", "0.125", "12345.678%", "10x"])),
        passes in select(vec!["1", "3", "forever"]),
        (duration, max_gap, late) in (of(period()), of(period()), period()),
        (limit, concurrency) in (of(1u64..), of(count())),
        from in of(select(vec!["2026-11-24T09:30:00.000001Z", "+5ms"])),
        to in of(select(vec!["2026-11-24T12:30:00+01:30", "+1h"])),
        fail_on in select(vec!["none", "failed,dropped,left-out", "failed>0.1%,status>=500>10,status!=2xx,late"]),
        report in of(select(vec!["report.json", "1"])),
        read_ahead in size(1 << 40),
    ) -> ReplayConfig {
        ReplayConfig {
            speed: speed.map(|speed| speed.parse().unwrap()),
            passes: passes.parse().unwrap(),
            limit: limit.and_then(std::num::NonZeroU64::new),
            from: from.map(|from| from.parse().unwrap()),
            to: to.map(|to| to.parse().unwrap()),
            fail_on: fail_on.parse().unwrap(),
            report: report.map(Into::into),
            duration, max_gap, late, concurrency, read_ahead,
            ..ReplayConfig::new(files.into_iter().map(Into::into).collect())
        }
    }
}

proptest! {
    #[test]
    fn a_replay_to_yaml_to_a_replay(replay in replay(), shadow in shadow(8082)) {
        let config = Config { replay: Some(replay), shadow: vec![shadow], ..Config::default() };
        let yaml = config.to_yaml();
        match Config::from_yaml(&yaml) {
            Ok(again) => prop_assert_eq!(again, config, "{}", yaml),
            Err(faults) => prop_assert!(false, "{}\n{}", faults, yaml),
        }
    }

    #[test]
    fn config_to_yaml_to_config(config in config()) {
        let yaml = config.to_yaml();
        match Config::from_yaml(&yaml) {
            Ok(again) => prop_assert_eq!(again, config, "{}", yaml),
            Err(faults) => prop_assert!(false, "{}\n{}", faults, yaml),
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "([ \n\\[\\]{},:*&!|>~'\"-]|listen|capture|ports|shadow|target|record|marker|name|0|:80|%|<<){0,40}") {
        let _ = Config::from_yaml(&text);
    }
}

#[test]
fn the_default_says_all_it_is() {
    let yaml = Config::default().to_yaml();
    for key in [
        "listen: []",
        "fraction: 100%",
        "marker: 'x-mirror-shadow: 1'",
        "memory: 256MiB",
        "address: default",
        "drain_timeout: 30s",
    ] {
        assert!(yaml.contains(key), "{key}:\n{yaml}");
    }
}
