//! A packet as it was captured.

use std::time::Duration;

/// How a packet's bytes begin: one of libpcap's `LINKTYPE_`s (<https://www.tcpdump.org/linktypes.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkType(pub i32);

/// What was captured of one packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// When it passed, since the Unix epoch.
    pub time: Duration,
    /// What its bytes begin with.
    pub link: LinkType,
    /// Its bytes, as many as were captured.
    pub data: &'a [u8],
    /// Its length on the wire, in bytes; more than `data` has where the capture cut it.
    pub length: u32,
}
