//! Where packets come from: interfaces and saved captures.

use std::net::IpAddr;
use std::sync::Arc;

use mirror::config::{Config, Fault};
use mirror::source::Tap;
use mirror::telemetry::Telemetry;

/// All captures of a configuration, opened.
pub struct Captures;

/// Captures that are read.
pub struct Running;

impl Captures {
    /// Opens all that `config.capture` names.
    ///
    /// # Errors
    /// Every one that cannot be had.
    pub fn open(_config: &Config) -> Result<Captures, Vec<Fault>> {
        Ok(Captures)
    }

    /// Starts to read.
    pub fn start(self, _tap: &Tap, _telemetry: &Arc<Telemetry>) -> Running {
        Running
    }
}

impl Running {
    /// Resolves when all saved captures are read to their ends; never while a live one runs.
    pub async fn ended(&self) {
        std::future::pending().await
    }

    /// Drains what is buffered and closes all flows.
    pub fn stop(self) {}

    /// Why a saved capture could not be read to its end.
    pub fn cut(&self) -> Option<String> {
        None
    }
}

/// An interface that can be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// As `--capture` takes it.
    pub name: String,
    /// What the system says of it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The link types that it can be captured as, by libpcap's names.
    pub link_types: Vec<String>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is this host's own.
    pub loopback: bool,
}

/// All interfaces that can be listened on.
///
/// # Errors
/// When the system does not tell them.
pub fn interfaces() -> Result<Vec<Interface>, String> {
    Ok(Vec::new())
}
