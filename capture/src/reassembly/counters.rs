//! What is counted of streams.

/// What happened in streams, in all since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that came again: retransmissions, keep-alive probes, packets that were captured twice.
    pub repeated_bytes: u64,
    /// Copies of held bytes that did not equal the first.
    pub differing_overlaps: u64,
    /// Segments that came before their turn.
    pub out_of_order: u64,
    /// Holes that were given up.
    pub gaps: u64,
    /// The bytes in them.
    pub lost_bytes: u64,
    /// Of the gaps, those that were given up because too much was held behind them.
    pub gaps_by_bound: u64,
    /// Segments whose sequence number is not of the stream.
    pub foreign: u64,
    /// Segments after the stream's end.
    pub late: u64,
}
