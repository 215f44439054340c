//! Why a source cannot be opened, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No interface has this name.
    #[error("there is no interface {name}; there are: {}", .there_are.join(", "))]
    NoSuchInterface {
        /// The name.
        name: String,
        /// Those that there are.
        there_are: Vec<String>,
    },
    /// The process may not capture.
    #[error(
        "no permission to capture on {name}: CAP_NET_RAW is missing. Grant it to the program: \
         `sudo setcap cap_net_raw+ep {}`; or in its systemd unit: `AmbientCapabilities=CAP_NET_RAW`; or in its pod's \
         securityContext: `capabilities: {{ add: [NET_RAW] }}`", .program.display()
    )]
    NotPermitted {
        /// The interface.
        name: String,
        /// The program's path.
        program: PathBuf,
    },
    /// A filter does not compile.
    #[error("the filter `{filter}` does not compile: {message}")]
    Filter {
        /// As it was given.
        filter: String,
        /// libpcap's words.
        message: String,
    },
    /// An interface cannot be opened for another reason.
    #[error("cannot capture on {name}: {message}")]
    Interface {
        /// The interface.
        name: String,
        /// libpcap's words.
        message: String,
    },
    /// Its packets begin with something that cannot be decoded.
    #[error("{name} is of link type {link}, which is not supported")]
    LinkType {
        /// The interface or file.
        name: String,
        /// libpcap's name of the link type.
        link: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not a capture.
    #[error("{} is not a capture (pcap or pcapng, or either compressed by gzip): {message}", .path.display())]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// libpcap's words.
        message: String,
    },
    /// A pcapng file of several interfaces that libpcap does not read.
    #[error(
        "{} was captured on several interfaces of different link types or snapshot lengths, which libpcap does not read as one \
         ({message}); split it by interface first, e.g. `tshark -r IN -Y frame.interface_id==0 -w OUT`", .path.display()
    )]
    MixedInterfaces {
        /// The file.
        path: PathBuf,
        /// libpcap's words.
        message: String,
    },
    /// A socket cannot be bound.
    #[error("cannot receive VXLAN at {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The system is out of something.
    #[error("cannot open a capture: {0}")]
    System(io::Error),
}

/// libpcap's words, without the crate's.
pub(super) fn message(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        other => other.to_string(),
    }
}
