//! `mirror demo`: the main job in one command. Two versions of a small application, embedded; real traffic to the one through the
//! real proxy, its copies to the other, all of it recorded; then what the recording says of both.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use mirror::config::{AdminConfig, ByteSize, Config, RecordConfig, ShadowConfig};

use crate::run::{Failed, Running, control_runtime};
use crate::say::show;

mod application;
mod report;
mod traffic;

/// Runs the demo with this many requests.
pub(crate) fn run(requests: u64) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = std::env::temp_dir().join(format!("mirror-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let done = demo(&runtime, requests, &folder.join("demo.avro"));
    std::fs::remove_dir_all(&folder).ok();
    done
}

fn demo(runtime: &tokio::runtime::Runtime, requests: u64, recording: &std::path::Path) -> anyhow::Result<ExitCode> {
    let v1 = runtime.block_on(application::serve(application::Version::One))?;
    let v2 = runtime.block_on(application::serve(application::Version::Two))?;
    let running = match Running::start(&config(v1, v2, recording)?, control_runtime()?, None, None, Ok(None)) {
        Ok(running) => running,
        Err(Failed::Input(faults)) => return Err(faults.into()),
        Err(Failed::System(error)) => return Err(error),
    };
    let proxy = running.addresses[0];
    show!("application v1   {v1}   (the upstream: its answers go to the clients)");
    show!("application v2   {v2}   (the shadow: its answers are only recorded)");
    show!("mirror           {proxy}   --upstream {v1} --shadow {v2} --record {}\n", recording.display());

    let client = runtime.block_on(traffic::send(proxy, requests));
    let summary = running.end();

    show!("What the clients saw:\n{client}\n");
    show!("What mirror did:\n{summary}");
    show!("What the recording says, v1 against v2:\n{}", report::of(recording)?);
    let whole = client.errors == 0 && summary.sinks.iter().all(|sink| sink.delivered == sink.offered);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn config(v1: SocketAddr, v2: SocketAddr, recording: &std::path::Path) -> anyhow::Result<Config> {
    let mut shadow = ShadowConfig::new(v2.to_string().parse()?);
    shadow.name = Some("v2".into());
    // The longest answer is compared whole.
    shadow.answer_body = ByteSize::mib(2);
    shadow.timeout = mirror::config::Period(Duration::from_secs(10));
    Ok(Config {
        listen: vec!["127.0.0.1:0".parse()?],
        upstream: Some(v1.to_string().parse()?),
        shadow: vec![shadow],
        record: vec![RecordConfig::new(recording)],
        admin: AdminConfig::off(),
        ..Config::default()
    })
}
