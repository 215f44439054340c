//! Command lines and the settings that they come to.

use std::collections::BTreeSet;

use mirror::config::Config;

use super::flag::Kind;
use super::*;

mod faults;

/// An input and an output that say nothing more.
const ENDS: &str = "--input-raw lo:80 --output-http :81";
const ENDS_YAML: &str = "{capture: lo:80, shadow: {target: ':81', host: target, timeout: 5s}}";

/// Each is a line, and what it comes to in YAML. Words are split at spaces, with `·` for a space in a word. Where a line begins with `+`, it is [`ENDS`]
/// with these words, and [`ENDS_YAML`] with these keys.
const CASES: &[(&str, &str)] = &[
    // Inputs
    (
        "--input-raw :8080 --output-http http://staging:8082",
        "{capture: {interface: any, ports: 8080, bpf: '(inbound and dst port 8080) or src port 8080'}, shadow: {target: 'staging:8082', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw eth0:80,8080 --output-http :81",
        "{capture: {interface: eth0, ports: '80,8080', bpf: '(inbound and (dst port 80 or dst port 8080)) or (src port 80 or src port 8080)'},
          shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw 127.0.0.1:80 --input-raw [2001:db8::1]:8080 --output-http :81",
        "{capture: [{interface: lo, ports: 80, bpf: '(dst host 127.0.0.1 and dst port 80) or (src host 127.0.0.1 and src port 80)'},
                    {interface: any, ports: 8080, bpf: '(dst host 2001:db8::1 and dst port 8080) or (src host 2001:db8::1 and src port 8080)'}],
          shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw localhost:80 --input-raw-bpf-filter dst·port·80 --output-http :81",
        "{capture: {interface: lo, ports: 80, bpf: dst port 80}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw trace.pcap.gz:80 --input-raw /a/b.pcapng: --output-http :81",
        "{capture: ['trace.pcap.gz:80', /a/b.pcapng], shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw dump:80 --input-raw-engine pcap_file --output-http :81",
        "{capture: {file: dump, ports: 80}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw :80 --input-raw-engine vxlan --input-raw-vxlan-port 4000 --output-http :81",
        "{capture: 'vxlan::4000:80', shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw :80 -input-raw-engine=vxlan --output-http :81",
        "{capture: 'vxlan::4789:80', shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    ("+ --input-raw-engine libpcap --input-raw-protocol http --input-raw-buffer-timeout 0", "{}"),
    (
        "--input-raw eth0:80 --input-raw-promisc --input-raw-buffer-size 8mb --input-raw-buffer-timeout 5ms --output-http :81",
        "{capture: {interface: eth0, ports: 80, promiscuous: true, buffer: 8MiB, block_time: 5ms}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw lo:80 --input-raw-vlan --input-raw-vlan-vid 7 --output-http :81",
        "{capture: {interface: lo, ports: 80, bpf: vlan 7}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw lo:80 --input-raw-vlan-vid 7 --input-raw-bpf-filter host·a·or·host·b --output-http :81",
        "{capture: {interface: lo, ports: 80, bpf: vlan 7 and (host a or host b)}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    ("+ --input-raw-realip-header X-Real-IP", "{pipeline: [{rewrite: {header: {set: {X-Real-IP: '{client}'}}}}]}"),
    (
        "--input-raw lo:80|100 --output-http :81",
        "{capture: lo:80, pipeline: [{rate: {requests: 100/s, burst: 1}}], shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-raw lo:80|5% --output-http :81",
        "{capture: lo:80, pipeline: [{fraction: 5%}], shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-file requests.gor|200% --input-file-loop --input-file-max-wait 1s --output-http :81",
        "{replay: {files: requests.gor, speed: 200%, loop: forever, max_gap: 2s}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-file a_*.gor --input-file b.gz --output-http :81",
        "{replay: {files: ['a_*.gor', b.gz]}, shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    (
        "--input-file a.gor|10 --output-http :81",
        "{replay: {files: a.gor}, pipeline: [{rate: {requests: 10/s, burst: 1}}], shadow: {target: ':81', host: target, timeout: 5s}}",
    ),
    // Targets
    (
        "--input-raw lo:80 --output-http staging.com --output-http a:81|10 --output-http a:81|25% --output-http http://b/p",
        "{capture: lo:80, shadow: [
            {target: 'staging.com:80', host: target, timeout: 5s},
            {target: 'a:81', host: target, timeout: 5s, pipeline: [{rate: {requests: 10/s, burst: 1}}]},
            {target: 'a:81', name: 'a:81 (3)', host: target, timeout: 5s, fraction: 25%},
            {target: http://b/p, host: target, timeout: 5s}]}",
    ),
    (
        "--input-raw lo:80 --output-http :81 --http-original-host --output-http-timeout 1m --output-http-workers 8 --output-http-queue-len 10
         --output-http-worker-timeout 2s --output-http-response-buffer 32k --output-http-redirects 0",
        "{capture: lo:80, shadow: {target: ':81', host: original, timeout: 1m, concurrency: 8, queue: 10, idle_timeout: 2s, answer_body: 32KiB}}",
    ),
    ("+ --output-http-workers 0 --output-http-skip-verify --http-original-host=false", "{}"),
    (
        "--input-raw lo:80 --output-http :81 --output-http-track-response",
        "{capture: lo:80, shadow: {target: ':81', host: target, timeout: 5s, answer_body: 5MiB}}",
    ),
    (
        "--input-raw lo:80 --output-http :81 --output-http :82 --split-output true",
        "{capture: lo:80, pipeline: [{split: {targets: ['127.0.0.1:81', '127.0.0.1:82']}}],
          shadow: [{target: ':81', host: target, timeout: 5s}, {target: ':82', host: target, timeout: 5s}]}",
    ),
    ("+ --split-output", "{}"),
    ("--input-raw lo:80 --output-null", "{capture: lo:80, discard: true}"),
    ("+ --output-null", "{}"),
    // Recordings
    (
        "--input-raw lo:80 --output-file requests.gor",
        "{capture: lo:80, record: {path: requests_0.gor, responses: false, answers: false, rotate_size: 32MiB}}",
    ),
    (
        "--input-raw lo:80 --output-file %Y-%m-%d-%H.gor.gz|50% --input-raw-track-response --output-file-size-limit 1gb --output-file-flush-interval 10s
         --output-file-max-size-limit 1tb --copy-buffer-size 1mb",
        "{capture: lo:80, record: {path: '%Y-%m-%d-%H_0.gor.gz', responses: true, answers: false, fraction: 50%, rotate_size: 1GiB,
          rotate_by_name: true, keep: 1TiB, flush_interval: 10s, max_body: 1MiB}}",
    ),
    (
        "--input-raw lo:80 --output-file a.gor|5 --output-file-append --output-file-queue-limit 0",
        "{capture: lo:80, record: {path: a.gor, responses: false, answers: false, pipeline: [{rate: {requests: 5/s, burst: 1}}]}}",
    ),
    (
        "+ --output-stdout --input-raw-track-response --output-http-track-response",
        "{shadow: {target: ':81', host: target, timeout: 5s, answer_body: 5MiB}, record: {path: '-', format: gor, responses: true, answers: true}}",
    ),
    (
        "--input-raw lo:80 --output-file requests.log --input-raw-track-response",
        "{capture: lo:80, record: {path: requests_0.log, format: gor, responses: true, answers: false, rotate_size: 32MiB}}",
    ),
    (
        "--input-raw lo:80 --output-file all.avro.gz --output-file-append",
        "{capture: lo:80, record: {path: all.avro.gz, format: gor.gz, responses: false, answers: false}}",
    ),
    (
        "--input-raw lo:80 --output-file - --output-file-append",
        "{capture: lo:80, record: {path: ./-, format: gor, responses: false, answers: false}}",
    ),
    (
        "--input-file a.gor --input-file b.gz|100% --output-file c.gor --output-file-append",
        "{replay: {files: [a.gor, b.gz]}, record: {path: c.gor, responses: true, answers: false}}",
    ),
    // General
    ("+ --verbose 1 --exit-after 1h30m", "{log: {level: 'info,mirror=debug'}, exit_after: 1h30m}"),
    ("+ --verbose 0 --exit-after 0", "{}"),
    ("+ -verbose=3 --http-pprof :8181", "{log: {level: trace}, admin: ':8181'}"),
    ("+ --middleware python3·mw.py", "{pipeline: [{middleware: python3 mw.py}]}"),
    ("+ --middleware ./mw --copy-buffer-size 10mb", "{pipeline: [{middleware: {command: ./mw, max_body: 10MiB}}]}"),
    (
        "+ --prettify-http",
        "{pipeline: [{rewrite: {body: {encoding: identity}, response: {body: {encoding: identity}}}}]}",
    ),
    ("+ --set limits.memory=64MiB", "{limits: {memory: 64MiB}}"),
    // Modifiers
    ("+ --http-allow-method GET --http-allow-method OPTIONS", "{pipeline: [{filter: {allow: {method: [GET, OPTIONS]}}}]}"),
    (
        "+ --http-set-header User-Agent:·{Gor} --http-set-header X-A:1 --http-set-header x-a:·2:3",
        "{pipeline: [{rewrite: {header: {set: {User-Agent: '{{Gor}}', x-a: '2:3'}}}}]}",
    ),
    (
        "--input-raw lo:80 --output-http :81 --http-set-header Host:·a.example",
        "{capture: lo:80, pipeline: [{rewrite: {host: a.example}}], shadow: {target: ':81', host: original, timeout: 5s}}",
    ),
    ("+ --http-set-param api_key=1 --http-set-param q=a%20b=", "{pipeline: [{rewrite: {query: {set: {api_key: 1, q: 'a b='}}}}]}"),
    (
        "+ --http-allow-url ^/api --http-allow-url {id} --http-disallow-url /internal",
        "{pipeline: [{filter: {allow: {target: ['~^/api', '~\\{id}']}}}, {filter: {deny: {target: ~/internal}}}]}",
    ),
    ("+ --http-allow-header api-version:^v1", "{pipeline: [{filter: {allow: {header: {api-version: ~^v1}}}}]}"),
    (
        "+ --http-allow-header A:·1 --http-allow-header B:2: --http-disallow-header C:3 --http-disallow-header D:4",
        "{pipeline: [{filter: {allow: {all: [{header: {A: '~1'}}, {header: {B: '~2:'}}]}}},
                     {filter: {deny: {any: [{header: {C: '~3'}}, {header: {D: '~4'}}]}}}]}",
    ),
    (
        "+ --http-basic-auth-filter ^customer[0-9].*",
        "{pipeline: [{filter: {allow: {any: [{basic_auth: false}, {basic_auth: '~^customer[0-9].*'}]}}}]}",
    ),
    (
        "+ --http-header-limiter user-id:25% --http-param-limiter id:1/3",
        "{pipeline: [{fraction: {of: 25%, by: header.user-id, rule: goreplay}}, {fraction: {of: 33%, by: query.id, rule: goreplay}}]}",
    ),
    (
        "+ --http-rewrite-url /v1/user/([^\\/]+)/ping:/v2/user/$1/ping --http-rewrite-url a:b:c",
        "{pipeline: [{rewrite: {target: [{match: '/v1/user/([^\\/]+)/ping', with: /v2/user/$1/ping}, {match: a, with: 'b:c'}]}}]}",
    ),
    (
        "+ --http-rewrite-header Host:·(.*).example.com,$1.beta.example.com --http-rewrite-header X-A:a,b,c",
        "{pipeline: [{rewrite: {host: {match: (.*).example.com, with: $1.beta.example.com}}},
                     {rewrite: {header: {replace: [{name: X-A, match: a, with: 'b,c'}]}}}]}",
    ),
    // In GoReplay's order, whatever the line's
    (
        "--prettify-http --http-rewrite-header A:b,c --http-rewrite-url a:b --http-param-limiter p:1% --http-header-limiter h:1% --http-basic-auth-filter x
         --http-disallow-header A:b --http-allow-header A:b --http-disallow-url a --http-allow-url a --http-set-param a=b --http-set-header A:b
         --http-allow-method GET --middleware ./mw --input-raw-realip-header R --split-output
         --output-http :81 --output-http :82 --input-raw lo:80|9",
        "{capture: lo:80, shadow: [{target: ':81', host: target, timeout: 5s}, {target: ':82', host: target, timeout: 5s}], pipeline: [
            {rewrite: {header: {set: {R: '{client}'}}}}, {rate: {requests: 9/s, burst: 1}}, {middleware: ./mw},
            {filter: {allow: {method: GET}}}, {rewrite: {header: {set: {A: b}}}}, {rewrite: {query: {set: {a: b}}}},
            {filter: {allow: {target: ~a}}}, {filter: {deny: {target: ~a}}}, {filter: {allow: {header: {A: ~b}}}}, {filter: {deny: {header: {A: ~b}}}},
            {filter: {allow: {any: [{basic_auth: false}, {basic_auth: ~x}]}}},
            {fraction: {of: 1%, by: header.h, rule: goreplay}}, {fraction: {of: 1%, by: query.p, rule: goreplay}},
            {rewrite: {target: {match: a, with: b}}}, {rewrite: {header: {replace: [{name: A, match: b, with: c}]}}},
            {rewrite: {body: {encoding: identity}, response: {body: {encoding: identity}}}},
            {split: {targets: ['127.0.0.1:81', '127.0.0.1:82']}}]}",
    ),
];

fn words(line: &str) -> Vec<String> {
    let line = line.strip_prefix('+').map_or_else(|| line.to_owned(), |more| format!("{ENDS}{more}"));
    line.split_whitespace().map(|word| word.replace('·', " ")).collect()
}

/// The settings of a line, not asked whether they can be run with here.
fn typed(line: &str) -> Result<Config, Faults> {
    let Asked { mut draft, set, .. } = read(&words(line));
    for setting in set {
        let (key, value) = setting.split_once('=').unwrap();
        draft.set(key, serde_yaml::from_str(value).unwrap(), "--set");
    }
    draft.typed()
}

/// The settings of a YAML text; behind `+` those of the ends with these over them.
fn expected(line: &str, yaml: &str) -> Config {
    let over = |text: &str, draft: &mut Draft| {
        let keys: Mapping = serde_yaml::from_str(text).unwrap();
        keys.into_iter().for_each(|(key, value)| draft.set(key.as_str().unwrap(), value, "expected"));
    };
    let mut draft = Draft::default();
    if line.starts_with('+') {
        over(ENDS_YAML, &mut draft);
    }
    over(yaml, &mut draft);
    draft.typed().unwrap_or_else(|faults| panic!("{yaml}: {faults}"))
}

#[test]
fn lines_come_to_settings() {
    let mut wrong = Vec::new();
    for (line, yaml) in CASES {
        let yaml = expected(line, yaml).to_yaml();
        let config = typed(line).map_or_else(|faults| faults.to_string(), |config| config.to_yaml());
        // The lines in which they differ are enough to see.
        let differing = config.lines().filter(|line| !yaml.lines().any(|other| other == *line)).collect::<Vec<_>>();
        if config != yaml {
            wrong.push(format!("{line}: {differing:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The shared notes' list of the flags of GoReplay 2.0, area by area.
const NOTED: &[&str] = &[
    "verbose stats exit-after http-pprof copy-buffer-size prettify-http split-output recognize-tcp-sessions middleware",
    "input-dummy output-stdout output-null",
    "input-raw input-raw-track-response input-raw-engine input-raw-protocol input-raw-bpf-filter input-raw-expire input-raw-allow-incomplete
     input-raw-realip-header input-raw-stats input-raw-buffer-size input-raw-buffer-timeout input-raw-override-snaplen input-raw-timestamp-type
     input-raw-promisc input-raw-monitor input-raw-ignore-interface input-raw-vlan input-raw-vlan-vid input-raw-vxlan-port input-raw-vxlan-vni",
    "input-tcp input-tcp-secure input-tcp-certificate input-tcp-certificate-key",
    "output-tcp output-tcp-secure output-tcp-skip-verify output-tcp-sticky output-tcp-workers output-tcp-stats",
    "output-ws output-ws-skip-verify output-ws-sticky output-ws-workers output-ws-stats",
    "input-file input-file-loop input-file-read-depth input-file-max-wait input-file-dry-run",
    "output-file output-file-append output-file-flush-interval output-file-size-limit output-file-queue-limit output-file-max-size-limit",
    "output-http output-http-workers-min output-http-workers output-http-queue-len output-http-timeout output-http-redirects output-http-skip-verify
     output-http-track-response output-http-stats output-http-stats-ms output-http-elasticsearch http-original-host",
    "output-binary",
    "input-kafka-host input-kafka-topic input-kafka-json-format input-kafka-use-sasl input-kafka-mechanism input-kafka-username input-kafka-password
     input-kafka-offset output-kafka-host output-kafka-topic output-kafka-json-format output-kafka-use-sasl output-kafka-mechanism output-kafka-username
     output-kafka-password kafka-tls-ca-cert kafka-tls-client-cert kafka-tls-client-key",
    "http-allow-method http-set-header http-set-param http-allow-url http-disallow-url http-allow-header http-disallow-header http-basic-auth-filter
     http-header-limiter http-param-limiter http-rewrite-url http-rewrite-header",
];

#[test]
fn every_flag_has_one_fate() {
    let names: BTreeSet<&str> = FLAGS.iter().map(|flag| flag.name).collect();
    assert_eq!(names.len(), FLAGS.len(), "each is there once");
    let noted: Vec<&str> = NOTED.iter().flat_map(|area| area.split_whitespace()).collect();
    let unknown: Vec<_> = noted.iter().filter(|name| !names.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A value that a flag of this kind takes.
fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "true",
        Kind::Text | Kind::List => "x",
        Kind::Number => "1",
        Kind::Time => "1s",
        Kind::Size => "1mb",
    }
}

#[test]
fn none_is_ignored_silently() {
    let used: BTreeSet<String> = CASES
        .iter()
        .flat_map(|(line, _)| {
            Line::read(&words(line)).0.given().map(|(flag, _)| flag.name.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    for flag in FLAGS {
        let line = format!("+ --{}={}", flag.name, example(flag.kind));
        let Asked { draft, told, .. } = read(&words(&line));
        let faults = draft.typed().err().map(|faults| faults.to_string()).unwrap_or_default();
        let about = format!("--{}: ", flag.name);
        match flag.fate {
            Fate::Mapped(_) => assert!(used.contains(flag.name), "no line above has --{}", flag.name),
            Fate::Told(why) => {
                assert_eq!((told.as_slice(), faults.as_str()), (&[format!("{about}{why}")][..], ""), "{line}");
            }
            Fate::Later(what) => {
                assert_eq!(faults, format!("{about}expected a command line without it: not supported yet ({what})"))
            }
            Fate::Paid => assert!(faults.starts_with(&about) && faults.contains("paid edition"), "{line}: {faults}"),
            Fate::Instead(what) => assert_eq!(faults, format!("{about}expected in its place {what}")),
        }
    }
}

#[test]
fn a_switch_that_is_off_asks_for_nothing() {
    let Asked { draft, told, .. } = read(&words("+ --stats=false --recognize-tcp-sessions=false --input-tcp-secure=0"));
    assert_eq!((draft.typed().unwrap(), told), (expected("+", "{}"), vec![]));
}

#[test]
fn what_is_told_is_told_once() {
    let told = read(&words(
        "+ --stats --stats --output-http-stats --http-pprof :1 --output-file a.gor --output-file-max-size-limit 1gb",
    ))
    .told;
    let flags: Vec<_> = told.iter().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(flags, ["--stats", "--output-http-stats", "--http-pprof", "--output-file-max-size-limit"]);
}

#[test]
fn the_help_has_every_flag() {
    let help = help();
    assert!(FLAGS.iter().all(|flag| help.contains(&format!("--{} ", flag.name))));
}

#[test]
fn the_example_has_every_flag_with_what_becomes_of_it() {
    let readme = include_str!("../../../../examples/from-goreplay/README.md");
    for flag in FLAGS {
        let row = format!("| `--{}` | {} |", flag.name, flag.fate.to_string().replace('|', "\\|"));
        assert!(readme.contains(&row), "{row}");
    }
}
