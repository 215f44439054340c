//! What stages cost an exchange that needs only its head: `cargo bench -p mirror --bench pipeline`. The reach is 1 µs for five of them.
//!
//! Each row is what the engine does with an exchange's head before the fan-out: it parses it and takes it through so many stages. What the stages cost
//! is the difference to the row without any.
#![allow(missing_docs)]

use divan::Bencher;
use mirror::config::Config;
use mirror::exchange::Exchange;
use mirror::middleware::Programs;
use mirror::pipeline::Pipeline;
use mirror::telemetry::Telemetry;

/// As a browser sends it.
const HEAD: &str = "GET /api/v1/orders/4711?page=2&sort=date HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 \
    Firefox/128.0\r\nAccept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nReferer: \
    https://shop.example/orders\r\nX-Tenant: acme\r\nCookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\nConnection: keep-alive\r\n\r\n";

/// Those of the README, which all let this exchange pass.
const STAGES: [&str; 5] = [
    "filter: {deny: {path: [/healthz, '~^/internal/']}}",
    "filter: method in GET HEAD or header.content-type = application/json",
    "fraction: {of: 100%, by: cookie.session}",
    "rate: {requests: 1000000000/s, by: header.x-tenant}",
    "rewrite: {path: {prefix: /api, with: /v2}, header: {remove: [Authorization, X-Internal-*], set: {X-From: '{client}'}}}",
];

fn main() {
    divan::main();
}

#[divan::bench(args = 0..=5)]
fn stages(bencher: Bencher<'_, '_>, count: usize) {
    through(bencher, &STAGES[..count]);
}

#[divan::bench(args = STAGES)]
fn one(bencher: Bencher<'_, '_>, stage: &str) {
    through(bencher, &[stage]);
}

fn through(bencher: Bencher<'_, '_>, stages: &[&str]) {
    let yaml = format!("{{listen: ':0', upstream: ':8080', pipeline: [{{{}}}]}}", stages.join("}, {"));
    let yaml = if stages.is_empty() { "{listen: ':0', upstream: ':8080'}".to_owned() } else { yaml };
    let (telemetry, stages) = (Telemetry::new(), Config::from_yaml(&yaml).expect("stages").pipeline);
    let programs = Programs::new(&telemetry);
    let pipeline =
        Pipeline::of_sink(&stages, "next", "shadow[0].pipeline", &programs.select(), &telemetry).expect("stages");
    let client = "192.0.2.7:40123".parse().ok();
    bencher.bench_local(|| {
        let mut exchange = Exchange::of_head(HEAD, client);
        let progress = pipeline.apply(&mut exchange, 0, None);
        assert!(matches!(progress, mirror::pipeline::Progress::Through));
        exchange
    });
}
