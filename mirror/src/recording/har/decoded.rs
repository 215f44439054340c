//! A response's body as it was before it was compressed.

use bytes::Bytes;

use super::MAX_SHOWN;
use crate::content::{Codings, ContentError};
use crate::recording::RecordedMessage;
use crate::recording::plain::{Refused, Room};

/// A body that was compressed.
pub(super) struct Decoded {
    /// As it was sent.
    pub(super) sent: Bytes,
    /// As it was before.
    pub(super) decoded: Bytes,
}

/// How long it may become at the first attempt, where that is not less than [`GROWS`] times what was sent: 64 KiB, as most do not.
const FIRST: u64 = 64 << 10;

/// How much longer it may become at the next attempt. Text seldom grows by more; and all attempts that failed cost a seventh of the last.
const GROWS: u64 = 8;

/// What a decoder holds, in terms of what it may give: the last coding's output, and this one's, whose buffer doubles.
const HELD: u64 = 3;

/// Decodes it, where that can be done, up to [`MAX_SHOWN`]. How long it becomes nobody knows before: the room for it is asked for attempt by attempt, as a
/// small one must not need that of the largest there may be.
pub(super) fn decoded(message: &RecordedMessage, room: &mut Room<'_>) -> Result<Option<Decoded>, Refused> {
    if message.truncated.is_some() || message.body.is_empty() {
        return Ok(None);
    }
    let Some(codings) = Codings::of(&message.headers()).ok().filter(|codings| !codings.is_identity()) else {
        return Ok(None);
    };
    let mut more = |bytes: u64| room(usize::try_from(bytes).unwrap_or(usize::MAX)).then_some(()).ok_or(Refused::NoRoom);
    let length = message.body.iter().map(Bytes::len).sum::<usize>() as u64;
    if message.body.len() > 1 {
        more(length)?;
    }
    let sent = message.whole_body();
    let (mut most, mut asked) = (FIRST.max(GROWS * length).min(MAX_SHOWN), 0);
    loop {
        more(HELD * most - asked)?;
        asked = HELD * most;
        match codings.decode(&sent, most) {
            Ok(decoded) if decoded.is_empty() => return Ok(None),
            Ok(decoded) => return Ok(Some(Decoded { sent, decoded })),
            Err(ContentError::TooLong) if most < MAX_SHOWN => most = (GROWS * most).min(MAX_SHOWN),
            Err(_) => return Ok(None),
        }
    }
}
