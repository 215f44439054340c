//! TCP segments, and what reassembly makes of them.

use std::net::SocketAddr;
use std::time::Duration;

/// A TCP segment with its ends, whatever it came wrapped in.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// When it passed, since the Unix epoch.
    pub time: Duration,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// The sequence number: of the SYN where there is one, else of the first byte of the payload.
    pub sequence: u32,
    /// The next byte that the sender expects, where the ACK flag is set.
    pub acknowledgment: Option<u32>,
    /// The first of its direction.
    pub syn: bool,
    /// The last of its direction: the sequence number after the payload is the FIN's.
    pub fin: bool,
    /// The connection is gone.
    pub rst: bool,
    /// The payload, as much of it as was captured.
    pub payload: &'a [u8],
    /// How many bytes of payload followed on the wire that were not captured (a snapshot length too short).
    pub missing: u32,
}

/// What comes next in one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes, which passed (the last of them) at this time.
    Data(&'a [u8], Duration),
    /// This many bytes that were never captured, given up at this time. Zero: nobody knows how many.
    Gap(u64, Duration),
    /// The direction's end: by FIN, or by RST (`true`).
    End {
        /// By RST.
        reset: bool,
        /// When.
        at: Duration,
    },
}
