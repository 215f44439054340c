//! How much is kept of connections.

use std::time::Duration;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory for what is held out of order, and for what is held of messages that are not whole, in all, in bytes.
    pub bytes: usize,
    /// For what is held out of order in one direction, in bytes.
    pub flow_bytes: usize,
    /// Entries: connections, handshakes and what closed connections left.
    pub flows: usize,
    /// A connection without a segment for so long is forgotten.
    pub idle: Duration,
}

impl Default for Limits {
    /// 32 MiB in all: eight directions at their bound. 4 MiB for one: the default of Linux for a receive window at most is 6 MiB, of which half is
    /// offered to the sender. 65,536 entries: some 30 MB with nothing held. 6 minutes: a little more than the longest idle time usual in front of
    /// servers (350 s in network load balancers, 300 s in proxies), so that what is forgotten is dead, not an answer that takes its time.
    fn default() -> Self {
        Self { bytes: 32 << 20, flow_bytes: 4 << 20, flows: 65_536, idle: Duration::from_secs(360) }
    }
}
