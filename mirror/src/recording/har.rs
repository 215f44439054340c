//! [HAR 1.2]: what browsers' developer tools, proxies and performance tools save and open.
//!
//! One entry an exchange, each on a line of its own, so that a HAR that is written has no pretty form and can be read while it grows.
//!
//! # What HAR has no field for
//!
//! It stands in objects named `_mirror`, as the specification lets fields of one's own begin with `_`: in an entry the exchange's id, the way in, the
//! client, why it was cut off, its times to the microsecond, and what targets answered; in a request and a response trailers, a body's length where it was
//! cut and why, and a target that the URL does not say (`*`, an absolute form). Bytes that are not UTF-8 are there or beside their field, as
//! `_value_base64`, with one character a byte in the field itself. Bodies that are not, and those whose escapes would take more than their text (mostly
//! control characters), are in base64, as `encoding` says. An entry with a `_mirror` is read as it was written: a HAR holds all that a
//! [`Record`](super::Record) has. One whose entry would be longer than [`MAX_ENTRY`] is not written.
//!
//! A response body that is compressed is shown decompressed, as HAR has it, up to [`MAX_SHOWN`]; what was sent is in its `_mirror`. The
//! URL is `http://`, the Host header, and the target. Status 0 stands for no response, as browsers have it.
//!
//! # HARs by others
//!
//! Of an entry without `_mirror`, as browsers write it, a request is made that can be sent in HTTP/1: HTTP/2's pseudo headers are left out, and
//! there is a Host; the version is HTTP/1.1 where it is none of HTTP/1; a Content-Length is that of the body that is there; the body comes from
//! `postData`, of a form also from its `params`. A body that was not saved is marked as cut (`har`). A response's body is decoded already, whatever its
//! Content-Encoding says, which is left as it is. `timings` become times.
//!
//! [HAR 1.2]: http://www.softwareishard.com/blog/har-12-spec/

mod decoded;
mod entry;
mod foreign;
mod need;
mod reader;
mod scan;
mod shown;

pub(super) use entry::encode;
pub(super) use reader::{Reader, is_ours, measure};

/// What a file of ours begins with.
pub(super) const HEAD: &[u8] = concat!(
    r#"{"log":{"version":"1.2","creator":{"name":"mirror","version":""#,
    env!("CARGO_PKG_VERSION"),
    "\"},\"entries\":[\n"
)
.as_bytes();

/// What a file of ours of any version begins with.
pub(super) const OURS: &[u8] = br#"{"log":{"version":"1.2","creator":{"name":"mirror","#;

/// What stands between two entries.
pub(super) const BETWEEN: &[u8] = b",\n";

/// What a file ends with.
pub(super) const TAIL: &[u8] = b"\n]}}\n";

/// The longest entry: 768 MiB, what a block of Avro becomes as base64, twice. It bounds what a reader holds; a longer one is skipped.
pub const MAX_ENTRY: usize = 768 << 20;

/// A compressed body is shown decompressed up to this size: 16 MiB, as what people look at.
pub const MAX_SHOWN: u64 = 16 << 20;

#[cfg(test)]
mod tests;
