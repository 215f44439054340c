//! Compression by gzip (RFC 1952) around any format: `traffic.gor.gz`.
//!
//! A file may be of several members, one behind the other (§2.2), which read as one: so a block that is appended is a member of its own, whole
//! by itself. Of a torn or damaged file everything before the place is used.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Losses, ReadRecords, Record};

/// How a member begins: its two magic bytes, and deflate, the only method there is.
pub(super) const MAGIC: &[u8] = b"\x1f\x8b\x08";

/// The level that gzip itself has by default costs four times this one's time for a tenth less, of HTTP.
const LEVEL: Compression = Compression::new(3);

/// Whether an input begins as a compressed one does; nothing is taken from it.
pub(super) fn is_compressed(input: &mut impl BufRead) -> io::Result<bool> {
    // Two bytes are enough: no format of ours begins so. (A pipe may give one alone, which is then taken for what it says.)
    Ok(input.fill_buf()?.starts_with(&MAGIC[..2]))
}

/// Behind how many bytes of what was compressed the rest cannot be had; not set where all can.
pub(super) type BrokenOff = Arc<OnceLock<u64>>;

/// What was compressed, and where it broke off.
pub(super) fn decompress<R: BufRead>(input: R) -> (Decompressor<R>, BrokenOff) {
    let broken = BrokenOff::default();
    (Decompressor { inner: MultiGzDecoder::new(input), given: 0, broken: broken.clone() }, broken)
}

/// Decompresses, and ends at the first place where that cannot be done.
pub(super) struct Decompressor<R> {
    inner: MultiGzDecoder<R>,
    given: u64,
    broken: BrokenOff,
}

impl<R: BufRead> Read for Decompressor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if self.broken.get().is_some() {
            return Ok(0);
        }
        match self.inner.read(into) {
            Ok(read) => {
                self.given += read as u64;
                Ok(read)
            }
            // The decoder's own: a member that ends too soon, or is none.
            Err(error) if matches!(error.kind(), UnexpectedEof | InvalidInput | InvalidData) => {
                let _ = self.broken.set(self.given);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
}

/// Compresses what is written, into one member for each flush.
pub(super) struct Compressor<W: Write> {
    /// None while nothing was written since the last flush.
    member: Option<GzEncoder<Vec<u8>>>,
    output: W,
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(output: W) -> Compressor<W> {
        Compressor { member: None, output }
    }

    /// What is compressed already is not held until the member ends.
    fn pass_on(&mut self) -> io::Result<()> {
        if let Some(member) = &mut self.member {
            self.output.write_all(member.get_ref())?;
            member.get_mut().clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let member = self.member.get_or_insert_with(|| GzEncoder::new(Vec::new(), LEVEL));
        member.write_all(bytes)?;
        self.pass_on()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(member) = self.member.take() {
            self.output.write_all(&member.finish()?)?;
        }
        self.output.flush()
    }
}

/// These bytes as one member.
pub(super) fn member(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut member = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), LEVEL);
    member.write_all(bytes)?;
    member.finish()
}

/// Reads what was compressed, and counts it as a loss that it broke off.
pub(super) struct Reader {
    inner: Box<dyn ReadRecords>,
    broken: BrokenOff,
}

impl Reader {
    pub(super) fn new(inner: Box<dyn ReadRecords>, broken: BrokenOff) -> Reader {
        Reader { inner, broken }
    }
}

impl ReadRecords for Reader {
    fn read(&mut self) -> io::Result<Option<Record>> {
        self.inner.read()
    }

    fn losses(&self) -> Losses {
        let mut losses = self.inner.losses();
        if let Some(at) = self.broken.get() {
            // How much there was behind it nobody knows.
            losses.torn(*at, 0, "the compressed data breaks off, or is damaged");
        }
        losses
    }
}
