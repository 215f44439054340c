//! A body as a whole, for stages that have to see all of it.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};

use crate::body::{BodyEnd, BodyReader, Chunk};
use crate::budget::Charge;
use crate::outcome::DropReason;

/// A long body is read when this much of it is there, so that it does not wake the collector for each chunk.
const READ_EVERY: u64 = 256 * 1024;

/// A body that was collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// All of it, transfer coding removed; with the trailer section as sent.
    Whole {
        /// The body.
        bytes: Bytes,
        /// Its trailers.
        trailers: Option<Bytes>,
    },
    /// It is longer than may be collected, or the byte budget has no room for a copy in one piece.
    TooLong,
    /// Its source or the engine lost the rest of it, or it is withheld.
    Cut,
}

impl Collected {
    /// The same where no more than so many bytes are asked for.
    pub(crate) fn within(&self, most: u64) -> Collected {
        match self {
            Collected::Whole { bytes, .. } if bytes.len() as u64 > most => Collected::TooLong,
            collected => collected.clone(),
        }
    }
}

impl Collected {
    /// How many bytes there are; none where it is not whole.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Collected::Whole { bytes, .. } => Some(bytes.len()),
            Collected::TooLong | Collected::Cut => None,
        }
    }

    /// The same with what `change` makes of its trailers.
    pub(crate) fn with_trailers(self, change: impl FnOnce(Bytes) -> Option<Bytes>) -> Collected {
        match self {
            Collected::Whole { bytes, trailers } => Collected::Whole { bytes, trailers: trailers.and_then(change) },
            collected => collected,
        }
    }
}

/// A body as it was read, up to a bound.
pub(crate) struct Gathered {
    /// In order; charged still, and to be given back to the reader ([`BodyReader::done_with`]) by who reads on.
    pub(crate) pieces: Vec<Bytes>,
    /// None where it is longer.
    pub(crate) end: Option<Result<BodyEnd, DropReason>>,
    missing: bool,
}

/// Reads a body to its end, or until it is longer than `most` bytes.
pub(crate) async fn gather(reader: &mut BodyReader, most: u64) -> Gathered {
    let mut gathered = Gathered { pieces: Vec::new(), end: None, missing: false };
    let mut length = 0;
    while gathered.end.is_none() && length <= most {
        match reader.try_next() {
            Ok(Some(Chunk::Data(bytes))) => {
                length += bytes.len() as u64;
                gathered.pieces.push(bytes);
            }
            Ok(Some(Chunk::End(end))) => gathered.end = Some(Ok(end)),
            // One byte more than may be is enough to know.
            Ok(None) => {
                let more = READ_EVERY.min(most - length + 1);
                if let Err(reason) = poll_fn(|cx| reader.poll_behind(cx, more)).await {
                    gathered.end = Some(Err(reason));
                }
            }
            Err(reason) => gathered.end = Some(Err(reason)),
        }
    }
    gathered.missing = reader.lost() > 0;
    gathered
}

impl Gathered {
    /// In one piece. A copy, where it came in several, is charged to where `charge` is.
    pub(crate) fn whole(&self, charge: &Charge) -> Collected {
        let trailers = match &self.end {
            None => return Collected::TooLong,
            Some(Ok(BodyEnd::Complete(trailers))) if !self.missing => trailers.clone(),
            Some(_) => return Collected::Cut,
        };
        match in_one_piece(&self.pieces, charge) {
            Some(bytes) => Collected::Whole { bytes, trailers },
            None => Collected::TooLong,
        }
    }
}

/// A body's pieces as one. A copy, where there are several, is charged to where `charge` is; none where there is no room for it.
pub(crate) fn in_one_piece(pieces: &[Bytes], charge: &Charge) -> Option<Bytes> {
    Some(match pieces {
        [] => Bytes::new(),
        [one] => one.clone(),
        several => {
            let length = several.iter().map(Bytes::len).sum();
            let charge = charge.another(length)?;
            let mut whole = BytesMut::with_capacity(length);
            several.iter().for_each(|piece| whole.extend_from_slice(piece));
            charge.hold(whole.freeze())
        }
    })
}
