//! Where packets come from: interfaces and saved captures.

use std::net::IpAddr;

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
