//! The way in from the side: packets, put back into HTTP messages, offered to the mirror engine as exchanges.
//!
//! ```text
//!  interface ─┐ packet   segment                     bytes in order      messages
//!             ├──────▶ decode ──▶ flows ──▶ connection ┬▶ reassembly ──▶ reader ─┐
//!  saved file ┘                   (one a 4-tuple)      │  (one a direction)      ├─▶ pairing ──▶ Offer ──▶ engine
//!                                                      └▶ reassembly ──▶ reader ─┘
//! ```
//!
//! Every step is sans-io: a machine that is fed packets with the times they bear and never asks for the time, reads nothing and waits
//! for nothing. So a saved capture and a live one are read alike, and each step is tested on transcripts and fuzzed. What feeds them is
//! [`source`]: one thread that reads libpcap and pushes each packet through all steps.
//!
//! What the steps hand on:
//!
//! | type | is |
//! |---|---|
//! | [`Packet`] | what libpcap gave: bytes, their link type, the time, the length on the wire |
//! | [`Segment`] | a TCP segment with both ends' addresses, whatever it was wrapped in |
//! | [`Piece`] | the next bytes of one direction, or that some are missing, or the end |
//! | [`Offer`] | what takes exchanges: the engine's tap, or a test |
//!
//! A packet's bytes are copied once, from libpcap's ring into the reader's buffer; heads and bodies are slices of that.

// What the fuzz targets share with the tests names the crate as they do.
#[cfg(test)]
extern crate self as mirror_capture;

pub mod assembly;
pub mod connection;
pub mod decode;
pub mod flow;
pub mod listener;
mod metrics;
mod offer;
mod packet;
pub mod reassembly;
#[cfg(test)]
mod runs;
mod segment;
pub mod source;
mod tap;

pub use offer::{Offer, Orphan, Write};
pub use packet::{LinkType, Packet};
pub use segment::{Piece, Segment};
pub use tap::{SOURCE, Tapped, TappedWriter};
