//! What happened to segments and connections.

use crate::reassembly;

/// What happened, in all since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments that were given.
    pub segments: u64,
    /// Segments between ports that were not asked for, or from an address and port to itself.
    pub ignored: u64,
    /// Segments of no connection known that begin none: without data, or with data that tells not who is the server.
    pub strays: u64,
    /// Segments of connections that were closed.
    pub late: u64,
    /// RSTs with sequence numbers that they cannot have.
    pub resets_ignored: u64,
    /// Connections on which something was said.
    pub opened: u64,
    /// Of these, those that were open before the capture.
    pub midstream: u64,
    /// Ended by both sides.
    pub finished: u64,
    /// Ended by a RST.
    pub reset: u64,
    /// Evicted because there were too many.
    pub evicted: u64,
    /// Handshakes, and what closed connections left, evicted because there were too many.
    pub evicted_small: u64,
    /// Forgotten because nothing was said for long.
    pub idle: u64,
    /// Replaced by another connection between the same ends.
    pub replaced: u64,
    /// Times that a connection gave up its holes, and what was held of its messages, because too much was held in all.
    pub released: u64,
    /// Within the streams.
    pub streams: reassembly::Counters,
}
