//! How a format's blocks stand in a file: what comes first, what is before and behind each, and how a file is known again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::standing::{Extent, read_at};
use crate::recording::avro::{self, BlockFramer, MARKER_LENGTH};
use crate::recording::block::BlockRef;
use crate::recording::format::FormatError;
use crate::recording::input::Input;
use crate::recording::plain::Plain;
use crate::recording::{Format, gor, gzip, har, jsonl};

/// Makes blocks into the bytes that stand in a file.
#[derive(Debug)]
pub(crate) enum Shape {
    Avro(Box<BlockFramer>),
    Plain(PlainShape),
}

/// That of a format whose blocks are its own bytes, or those compressed, a member each.
#[derive(Debug)]
pub(crate) struct PlainShape {
    plain: Plain,
    gzip: bool,
    /// The block made last, with what comes before and behind it.
    buffer: Vec<u8>,
}

/// A buffer up to this size is kept for the next block; see [`avro::KEPT_FRAME`].
const KEPT: usize = avro::KEPT_FRAME;

impl Shape {
    pub(crate) fn of(format: Format) -> io::Result<Shape> {
        Ok(match Plain::of(format.kind) {
            None => Shape::Avro(Box::new(BlockFramer::new()?)),
            Some(plain) => Shape::Plain(PlainShape { plain, gzip: format.gzip, buffer: Vec::new() }),
        })
    }

    /// What a new file begins with.
    pub(crate) fn head(&self, marker: &[u8; MARKER_LENGTH]) -> io::Result<Vec<u8>> {
        match self {
            Shape::Avro(_) => Ok(avro::header(marker)),
            Shape::Plain(shape) => shape.framed(shape.plain.head()),
        }
    }

    /// What stands behind the last block, and is written over by the next.
    pub(crate) fn tail(&self) -> io::Result<Vec<u8>> {
        match self {
            Shape::Avro(_) => Ok(Vec::new()),
            Shape::Plain(shape) => shape.framed(shape.plain.tail()),
        }
    }

    /// The first half of making a block into bytes, for one who picks the file by the length, which is returned.
    pub(crate) fn prepare(&mut self, block: BlockRef<'_>) -> io::Result<usize> {
        match (self, block) {
            (Shape::Avro(framer), BlockRef::Avro(block)) => framer.compress(block),
            (Shape::Plain(shape), BlockRef::Plain(block)) => {
                // Room for what a file may need before it.
                shape.buffer.clear();
                let between = shape.framed(shape.plain.between())?;
                shape.buffer.extend_from_slice(&between);
                match shape.gzip {
                    true => {
                        let member = gzip::member(&block.bytes)?;
                        shape.buffer.extend_from_slice(&member);
                    }
                    false => shape.buffer.extend_from_slice(&block.bytes),
                }
                let tail = shape.framed(shape.plain.tail())?;
                shape.buffer.extend_from_slice(&tail);
                Ok(shape.buffer.len())
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "a block of another format")),
        }
    }

    /// The second half: the bytes for a file with this marker that has blocks already or not, and how many of them are the tail.
    pub(crate) fn sealed(&mut self, marker: &[u8; MARKER_LENGTH], has_blocks: bool) -> io::Result<(&[u8], usize)> {
        match self {
            Shape::Avro(framer) => Ok((framer.seal(marker), 0)),
            Shape::Plain(shape) => {
                let before = if has_blocks { 0 } else { shape.framed(shape.plain.between())?.len() };
                let tail = shape.framed(shape.plain.tail())?.len();
                Ok((&shape.buffer[before..], tail))
            }
        }
    }

    /// Lets go of the bytes made last where they are many.
    pub(crate) fn let_go(&mut self) {
        match self {
            Shape::Avro(framer) => framer.let_go(),
            Shape::Plain(shape) if shape.buffer.capacity() > KEPT => shape.buffer = Vec::new(),
            Shape::Plain(_) => {}
        }
    }
}

impl PlainShape {
    fn framed(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self.gzip && !bytes.is_empty() {
            true => gzip::member(bytes),
            false => Ok(bytes.to_vec()),
        }
    }
}

/// What a file of a format that has its records one behind the other holds.
pub(super) enum Found {
    /// Nothing, or the start of what every file begins with.
    Bare,
    /// A recording so far.
    Whole(Extent),
}

/// Looks at a file that is not of Avro, and finds out how far it is whole. Blocks of those formats that have no such thing count as one all together.
pub(super) fn measure(plain: Plain, gzip: bool, file: &File, length: u64) -> Result<Found, FormatError> {
    if length == 0 {
        return Ok(Found::Bare);
    }
    if gzip {
        return members(plain, file, length);
    }
    begins(plain, At { file, offset: 0 })?;
    let mut start = [0; har::HEAD.len()];
    let read = read_at(file, &mut start, 0)?;
    let start = &start[..read];
    match plain {
        Plain::Har if length <= har::HEAD.len() as u64 && har::HEAD.starts_with(start) => Ok(Found::Bare),
        Plain::Har => {
            let Some(extent) = har::measure(At { file, offset: 0 })? else {
                return Err(FormatError::foreign(0, "a HAR that another program wrote", "one of mirror's own"));
            };
            let behind = length - extent.end;
            let mut tail = vec![0; har::TAIL.len()];
            let read = read_at(file, &mut tail, extent.end)?;
            let torn = if behind == har::TAIL.len() as u64 && tail[..read] == *har::TAIL { 0 } else { behind };
            Ok(Found::Whole(Extent {
                blocks: extent.entries,
                end: extent.end,
                damaged: extent.damaged,
                torn,
                lacks: b"",
            }))
        }
        Plain::Gor | Plain::Jsonl => {
            let (mut end, mut lacks) = (end_of_last(plain.ends_with(), file, length)?, &b""[..]);
            if plain == Plain::Jsonl && jsonl::is_record(At { file, offset: end })? {
                (end, lacks) = (length, plain.ends_with());
            }
            let blocks = u64::from(end > 0);
            Ok(Found::Whole(Extent { blocks, end, damaged: 0, torn: length - end, lacks }))
        }
    }
}

/// Whether a file is one of the format, and one to append to, by what its reader looks at first.
fn begins(plain: Plain, input: impl Read) -> Result<(), FormatError> {
    match plain {
        Plain::Gor => gor::Reader::new(input).map(drop),
        Plain::Jsonl => jsonl::is_ours(input),
        Plain::Har => {
            let mut input = Input::new(input);
            let start = input.want(har::HEAD.len())?;
            if har::is_ours(start) { Ok(()) } else { Err(FormatError::begins(start, "a HAR that mirror wrote")) }
        }
    }
}

/// Whether a file is one of the format, whatever its end is like.
pub(super) fn is_recording(format: Format, file: &File) -> bool {
    let Some(plain) = Plain::of(format.kind) else { return false };
    let input = BufReader::new(At { file, offset: 0 });
    match format.gzip {
        true => holds(plain, BufReader::new(gzip::decompress(input).0)),
        false => holds(plain, input),
    }
}

fn holds(plain: Plain, mut input: impl BufRead) -> bool {
    input.fill_buf().is_ok_and(|start| !start.is_empty()) && begins(plain, input).is_ok()
}

/// Where the last record ends, found from the file's end.
fn end_of_last(ends_with: &[u8], file: &File, length: u64) -> io::Result<u64> {
    const STEP: u64 = 1 << 20;
    let mut upto = length;
    loop {
        // With a part of what was searched already, as it may reach over it.
        let from = upto.saturating_sub(STEP);
        let mut bytes = vec![0; (upto - from) as usize];
        let read = read_at(file, &mut bytes, from)?;
        if let Some(at) = memchr::memmem::rfind(&bytes[..read], ends_with) {
            return Ok(from + (at + ends_with.len()) as u64);
        }
        if from == 0 {
            return Ok(0);
        }
        upto = from + ends_with.len() as u64 - 1;
    }
}

/// Walks the members of a compressed file, reading all of it: nothing but its checksum tells that a member is whole.
fn members(plain: Plain, file: &File, length: u64) -> Result<Found, FormatError> {
    let mut extent = Extent { blocks: 0, end: 0, damaged: 0, torn: 0, lacks: b"" };
    let (mut at, mut first) = (0, true);
    while at < length {
        let mut input = BufReader::new(At { file, offset: at });
        let magic = input.fill_buf()?;
        if at == 0 && !gzip::MAGIC.starts_with(&magic[..magic.len().min(gzip::MAGIC.len())]) {
            return Err(FormatError::begins(magic, "a file compressed by gzip"));
        }
        let Some(member) = gzip::measure(&mut input)? else {
            // Whole members may follow: cutting here would lose them.
            let Some(next) = next_member(file, at + 1, length)? else { break };
            extent.damaged += next - at;
            at = next;
            continue;
        };
        let start = at;
        at = input.get_ref().offset - input.buffer().len() as u64;
        let is = |part: &[u8]| !part.is_empty() && member.length == part.len() as u64 && member.start == *part;
        if std::mem::take(&mut first) {
            begins(plain, gzip::decompress(BufReader::new(At { file, offset: start })).0)?;
            if plain == Plain::Har {
                if !member.end.ends_with(b"[\n") {
                    return Err(FormatError::foreign(0, "a HAR compressed in one piece", "one that mirror recorded"));
                }
                extent.end = at;
                continue;
            }
        }
        if is(plain.tail()) || is(plain.between()) {
            continue;
        }
        if !member.end.ends_with(plain.ends_with()) {
            let expected = "one that ends where its compressed part does";
            return Err(FormatError::foreign(at, "the middle of a record", expected));
        }
        extent.blocks += 1;
        extent.end = at;
    }
    if extent.end == 0 {
        return Ok(Found::Bare);
    }
    let tail = match plain.tail() {
        [] => 0,
        tail => gzip::member(tail)?.len() as u64,
    };
    extent.torn = length - extent.end;
    if tail > 0 && extent.torn == tail && at == length {
        extent.torn = 0;
    }
    Ok(Found::Whole(extent))
}

/// Where the next whole member begins, at `from` or behind.
fn next_member(file: &File, mut from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; 1 << 20];
    while from < length {
        let read = read_at(file, &mut bytes, from)?;
        for found in memchr::memmem::find_iter(&bytes[..read], gzip::MAGIC) {
            let at = from + found as u64;
            if gzip::measure(&mut BufReader::new(At { file, offset: at }))?.is_some() {
                return Ok(Some(at));
            }
        }
        if read < bytes.len() {
            break;
        }
        from += (read - (gzip::MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}

/// A file read from a place, which leaves the file's own place as it is.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
