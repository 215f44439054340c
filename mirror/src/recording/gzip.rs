//! Compression by gzip (RFC 1952) around any format: `traffic.gor.gz`.
//!
//! A file may be of several members, one behind the other (§2.2), which read as one: so a block that is appended is a member of its own, whole
//! by itself. Of a torn or damaged file everything before the place is used.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::bufread::GzDecoder;
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
    (Decompressor { member: Some(GzDecoder::new(input)), given: 0, broken: broken.clone() }, broken)
}

/// Decompresses member by member. What is damaged is passed over, up to where another member may begin; whoever reads what it gives finds the
/// damage in that again.
pub(super) struct Decompressor<R> {
    /// None at the end.
    member: Option<GzDecoder<R>>,
    given: u64,
    broken: BrokenOff,
}

impl<R: BufRead> Decompressor<R> {
    /// The next member begins here, or the input ends.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        let mut input = member.into_inner();
        if !input.fill_buf()?.is_empty() {
            self.member = Some(GzDecoder::new(input));
        }
        Ok(())
    }

    /// Passes over the rest of a damaged member. One that begins so may turn out to be none, and then the next is looked for.
    fn skip_damage(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        let mut input = member.into_inner();
        loop {
            let bytes = input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            match memchr::memchr(MAGIC[0], &bytes[1..]).map(|at| at + 1) {
                // A member's start that is torn by the buffer's end is lost: one more in damage.
                Some(at) if bytes[at..].starts_with(MAGIC) => {
                    input.consume(at);
                    self.member = Some(GzDecoder::new(input));
                    return Ok(());
                }
                Some(at) => input.consume(at),
                None => {
                    let all = bytes.len();
                    input.consume(all);
                }
            }
        }
    }
}

impl<R: BufRead> Read for Decompressor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        while let Some(member) = &mut self.member {
            match member.read(into) {
                Ok(0) if !into.is_empty() => self.next_member()?,
                Ok(read) => {
                    self.given += read as u64;
                    return Ok(read);
                }
                // The decoder's own: a member that ends too soon, or is none.
                Err(error) if matches!(error.kind(), UnexpectedEof | InvalidInput | InvalidData) => {
                    let _ = self.broken.set(self.given);
                    self.skip_damage()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(0)
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

/// What a member holds.
pub(super) struct Member {
    /// Its first bytes, at most [`KEPT`].
    pub(super) start: Vec<u8>,
    /// Its last ones, at most as many.
    pub(super) end: Vec<u8>,
    /// How many there are.
    pub(super) length: u64,
}

/// How much of a member's start and end is looked at.
const KEPT: usize = 1024;

/// Reads one member to its end; none where it is not whole. (The input may then be anywhere within it, or behind.)
pub(super) fn measure(input: &mut impl BufRead) -> io::Result<Option<Member>> {
    use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let mut decoder = GzDecoder::new(input);
    let mut member = Member { start: Vec::new(), end: Vec::new(), length: 0 };
    let mut bytes = vec![0; 64 << 10];
    loop {
        match decoder.read(&mut bytes) {
            Ok(0) => return Ok(Some(member)),
            Ok(read) => {
                let bytes = &bytes[..read];
                member.start.extend_from_slice(&bytes[..read.min(KEPT - member.start.len())]);
                member.end.extend_from_slice(&bytes[read.saturating_sub(KEPT)..]);
                member.end.drain(..member.end.len().saturating_sub(KEPT));
                member.length += read as u64;
            }
            Err(error) if matches!(error.kind(), UnexpectedEof | InvalidInput | InvalidData) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
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
