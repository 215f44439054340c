//! What can be listened on.

use std::net::IpAddr;

use pcap::{Capture, Device, Linktype};

use super::OpenError;
use super::error::message;

/// Devices that libpcap lists too, and on which no IP packet passes.
const NOT_A_NETWORK: [&str; 4] = ["bluetooth", "dbus-", "nfqueue", "usbmon"];
/// The ring of a handle that only asks what link types there are: one block.
const PROBE_BUFFER: i32 = 256 * 1024;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, also for [`LiveOptions::interface`](super::LiveOptions).
    pub name: String,
    /// What libpcap says of it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The link types it can be captured with, the usual one first. Empty where capturing is not permitted.
    pub link_types: Vec<String>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
}

/// The interfaces there are, `any` among them.
///
/// # Errors
/// libpcap cannot list them.
pub fn interfaces() -> Result<Vec<Interface>, OpenError> {
    let interfaces = devices()?.into_iter().map(|device| Interface {
        link_types: link_types(&device.name),
        up: device.flags.is_up(),
        loopback: device.flags.is_loopback(),
        addresses: device.addresses.iter().map(|address| address.addr).collect(),
        name: device.name,
        description: device.desc,
    });
    Ok(interfaces.collect())
}

pub(super) fn names() -> Vec<String> {
    devices().map(|devices| devices.into_iter().map(|device| device.name).collect()).unwrap_or_default()
}

fn devices() -> Result<Vec<Device>, OpenError> {
    let mut devices = Device::list().map_err(|error| OpenError::System(std::io::Error::other(message(&error))))?;
    devices.retain(|device| !NOT_A_NETWORK.iter().any(|prefix| device.name.starts_with(prefix)));
    Ok(devices)
}

fn link_types(name: &str) -> Vec<String> {
    let handle = Capture::from_device(name).and_then(|handle| handle.buffer_size(PROBE_BUFFER).open());
    let links = handle.and_then(|handle| {
        let usual = handle.get_datalink();
        let mut links = handle.list_datalinks()?;
        links.sort_by_key(|&link| link != usual);
        Ok(links)
    });
    links.unwrap_or_default().into_iter().map(link_name).collect()
}

/// libpcap's name of a link type, or its number.
pub(super) fn link_name(link: Linktype) -> String {
    link.get_name().unwrap_or_else(|_| link.0.to_string())
}
