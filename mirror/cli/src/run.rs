//! `mirror --listen …`, `mirror run`: the proxy and the engine, until they are told to end.

use std::process::ExitCode;

use mirror::config::Config;

/// Runs with these settings, which are good.
pub(crate) fn run(_config: Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("run: not built yet")
}
