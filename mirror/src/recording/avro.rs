//! The native format: an [Apache Avro 1.11] object container file.
//!
//! Avro because a file says its own schema, is compressed in blocks that can be found again after damage, and is opened by
//! every Avro library that has the zstandard codec, Java's (so Spark's) and Python's fastavro among them, without us. DuckDB's
//! extension has not ([duckdb-avro#5]; seen with 1.4.4): it needs the file rewritten with another codec, and then reads it well;
//! `tests/read_with_fastavro.py` shows how. Reading and writing are our own: one schema, known in advance, is written straight
//! from the record's bytes into the block, with no value tree in between.
//!
//! ```text
//! file   = header block*                                         spec: Object Container Files
//! header = "Obj" 0x01, {avro.schema: …, avro.codec: zstandard}, marker
//! block  = count, size, data (one zstd frame with its checksum), marker
//! marker = 16 random bytes, the same all through one file
//! ```
//!
//! A whole block ends in the marker, which is how a torn tail is told from a whole file ([`Reader`], and `RecordingFile`, which
//! cuts it off), and how a reader finds its way again behind a damaged block. The frame's checksum tells damage inside a block.
//!
//! # Bytes in strings
//!
//! Method, target, reason, header names and values are bytes on the wire, and need not be UTF-8, which an Avro string must be.
//! They are written as strings with one character U+0000 to U+00FF for each byte, as ISO-8859-1, which is what HTTP fields
//! historically are (RFC 9110 §5.5) and how browsers (the Fetch standard's isomorphic decode), Node.js and Python's WSGI show them.
//! Plain ASCII, so nearly all there is, reads as itself: `name = 'host'` works in SQL, where Avro's `bytes` would be a
//! BLOB to be decoded first. Every other byte survives exactly: `value.encode('latin-1')` is what was sent (a UTF-8 value looks
//! garbled until then). Bodies are Avro `bytes`.
//!
//! [duckdb-avro#5]: https://github.com/duckdb/duckdb-avro/issues/5
//! [Apache Avro 1.11]: https://avro.apache.org/docs/1.11.1/specification/

mod block;
mod container;
mod decode;
mod encode;
mod enter;
mod header;
mod long;
mod reader;
mod schema;

pub use block::Block;
pub use container::{BlockFramer, KEPT_FRAME, Writer, frame_bound};
pub use encode::{BlockEncoder, DoesNotFit};
pub use enter::MARGIN;
pub use header::HeaderError;
pub use reader::Reader;
pub use schema::{SCHEMA, SCHEMA_NAME};

pub(super) use super::input::Input;
pub(super) use container::{MARKER_LENGTH, RecordWriter, new_marker};
pub(crate) use encode::Size;
pub(super) use enter::enter;
pub(super) use header::{Codec, Header, MAGIC, is_start_of_header, write as header};
pub(super) use reader::{block_head, find};

/// The most bytes a block may hold, before and after compression: 256 MiB.
///
/// It bounds what a reader holds, also where damage made a length absurd, and is the default of the engine's byte budget, so
/// that whatever the engine can hold can be recorded.
pub const MAX_BLOCK: usize = 256 << 20;

/// The most headers, trailers and answers, all together, one record may have: 65536.
///
/// Each takes more room in memory than in the file; without a bound a small file could fill the reader's memory.
pub const MAX_ITEMS: usize = 1 << 16;

#[cfg(test)]
pub(crate) mod tests;
