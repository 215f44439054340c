//! Content codings, as servers and clients use them.

use std::io::{Read, Write};

use flate2::Compression;

/// What can be written in Content-Encoding here.
pub const NAMES: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// A body in this coding.
///
/// # Panics
/// When there is no such coding.
pub fn encode(name: &str, body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    match name {
        "gzip" => flate2::write::GzEncoder::new(&mut coded, Compression::default()).write_all(body),
        "deflate" => flate2::write::ZlibEncoder::new(&mut coded, Compression::default()).write_all(body),
        "br" => brotli::CompressorWriter::new(&mut coded, 4096, 5, 22).write_all(body),
        "zstd" => zstd::stream::copy_encode(body, &mut coded, 3),
        other => panic!("no coding {other}"),
    }
    .expect("room in memory");
    coded
}

/// The body in any of the codings that it is in; none where it is in none.
pub fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut read = |decoder: &mut dyn Read| {
        body.clear();
        decoder.read_to_end(&mut body).is_ok() && !body.is_empty()
    };
    let known = read(&mut flate2::read::GzDecoder::new(coded))
        || read(&mut flate2::read::ZlibDecoder::new(coded))
        || zstd::Decoder::new(coded).is_ok_and(|mut decoder| read(&mut decoder))
        || read(&mut brotli::Decompressor::new(coded, 4096));
    known.then_some(body)
}
