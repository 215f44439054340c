//! Command lines that are refused, and what is told of them.

use super::*;

/// A line, and what its faults begin with, one a line.
const FAULTS: &[(&str, &str)] = &[
    ("", "mirror gor: expected an input\nmirror gor: expected an output"),
    ("--input-raw :80", "mirror gor: expected an output"),
    ("--output-http a", "mirror gor: expected an input"),
    (
        "--input-tcp :1 --output-kafka-host a",
        "--input-tcp: expected a command line without it: not supported yet\n--output-kafka-host: expected a command line without it: not supported yet",
    ),
    ("--input-raw 80 --output-http :81", "--input-raw: \"80\": expected an address with a port"),
    ("--input-raw eth0: --output-http :81", "--input-raw: \"eth0:\": expected the servers' ports"),
    ("--input-raw lo:0 --output-http :81", "--input-raw: \"0\": expected ports from 1 to 65535"),
    (
        "--input-raw k8s://pod/a:80 --output-http :81",
        "--input-raw: \"k8s://pod/a:80\": expected an interface or an address: not supported yet (finding pods)",
    ),
    ("--input-raw lo:80|x --output-http :81", "--input-raw: \"lo:80|x\": expected behind the bar requests in a second"),
    (
        "--input-raw lo:80|1 --input-raw lo:81|2 --output-http :82",
        "--input-raw: \"lo:80|1\": expected a limit where it is the only input\n--input-raw: \"lo:81|2\": expected a limit",
    ),
    ("--input-raw lo:80 --input-file Cargo.toml --output-http :81", "--input-raw: \"lo:80\": expected `replay` alone"),
    ("--input-raw none.pcap:80 --output-http :81", "--input-raw: \"none.pcap\": expected a saved capture"),
    ("+ --input-raw-engine pcap", "--input-raw-engine: \"pcap\": expected one of libpcap"),
    (
        "+ --input-raw-protocol binary",
        "--input-raw-protocol: \"binary\": expected http; other protocols are of GoReplay's paid edition",
    ),
    ("+ --input-raw-vlan-vid x", "--input-raw-vlan-vid: \"x\": expected a VLAN's number"),
    ("+ --input-raw-vlan-vid 1 --input-raw-vlan-vid 2", "--input-raw-vlan-vid: \"1, 2\": expected one VLAN"),
    (
        "--input-raw :80 --input-raw-promisc --output-http :81",
        "--input-raw-promisc: \"true\": expected one interface's name",
    ),
    ("+ --input-raw-buffer-timeout 1ns", "--input-raw-buffer-timeout: \"1ns\": expected whole milliseconds"),
    (
        "--input-file s3://a/b --output-http :81",
        "--input-file: \"s3://a/b\": expected a file's path: S3 is of GoReplay's paid edition",
    ),
    ("--input-file a|1% --input-file b --output-http :81", "--input-file: \"1%, 100%\": expected one speed"),
    ("--input-file a|x% --output-http :81", "--input-file: \"a|x%\": expected behind the bar a speed"),
    ("--input-raw lo:80 --output-file s3://a", "--output-file: \"s3://a\": expected a file's path"),
    ("--input-raw lo:80 --output-file %r.gor", "--output-file: \"%r.gor\": expected another variable"),
    (
        "--input-raw lo:80 --output-file no/a.gor",
        "--output-file: \"no/a_0.gor\": expected a path in a directory that exists",
    ),
    (
        "--input-raw lo:80 --output-file a.gor --output-file-append --output-file-max-size-limit 1gb",
        "--output-file-max-size-limit: \"1gb\": expected --output-file-append off",
    ),
    (
        "--input-raw lo:80 --output-file a.gor --output-file-max-size-limit 1mb",
        "--output-file-max-size-limit: \"1MiB\": expected at least `rotate_size`",
    ),
    ("--input-raw lo:80 --output-http https://a", "--output-http: \"https://a\": expected an address"),
    ("--input-raw lo:80 --output-http lo:80|101%", "--output-http: \"101%\": expected a fraction from 0% to 100%"),
    ("--input-raw lo:80 --output-http :80", "--output-http: \"127.0.0.1:80\": expected another address than"),
    ("+ --output-http-redirects 3", "--output-http-redirects: \"3\": expected 0: a copy follows no redirect"),
    ("+ --output-http-timeout 0s", "--output-http-timeout: \"0s\": expected a time longer than 0s"),
    ("+ --output-http-queue-len 0", "--output-http-queue-len: \"0\": expected a whole number of at least 1"),
    ("+ --split-output --output-file a.gor", "--split-output: \"true\": expected --output-http alone beside it"),
    ("+ --http-set-header X", "--http-set-header: \"X\": expected a name and a value"),
    ("+ --http-set-header Content-Length:5", "--http-set-header: \"Content-Length\": expected another header"),
    ("+ --http-set-param x", "--http-set-param: \"x\": expected a name and a value"),
    ("+ --http-allow-url (", "--http-allow-url: \"~(\": expected a regular expression (unclosed group"),
    ("+ --http-allow-header x", "--http-allow-header: \"x\": expected a header's name and an expression"),
    ("+ --http-header-limiter a:101%", "--http-header-limiter: \"a:101%\": expected a name and a whole percentage"),
    ("+ --http-param-limiter a:2.5%", "--http-param-limiter: \"a:2.5%\": expected a name and a whole percentage"),
    ("+ --http-rewrite-url a", "--http-rewrite-url: \"a\": expected an expression and what comes"),
    ("+ --http-rewrite-header Host:a", "--http-rewrite-header: \"Host:a\": expected a header's name"),
    ("+ --http-pprof 8181", "--http-pprof: \"8181\": expected"),
    (
        "+ --stats on --inputfile=a",
        "\"on\": expected a flag\n--inputfile: expected a flag of GoReplay's; did you mean --input-file?",
    ),
];

#[test]
fn all_faults_of_a_line_are_told_with_its_flags() {
    let mut wrong = Vec::new();
    for (line, said) in FAULTS {
        let faults = retold(read(&words(line)).draft.finish().expect_err(line));
        let told: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
        let alike = told.iter().zip(said.lines()).all(|(told, said)| told.starts_with(said));
        if !alike || told.len() != said.lines().count() {
            wrong.push(format!("{line}: {told:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
