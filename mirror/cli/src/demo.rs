//! `mirror demo`: embedded backends, real traffic through the real proxy, and a table of what happened.

use std::process::ExitCode;

/// Shows what `requests` requests come to.
pub(crate) fn run(_requests: u64) -> anyhow::Result<ExitCode> {
    anyhow::bail!("demo: not built yet")
}
