//! 802.11 data frames, with radiotap before them or without.

use super::cursor::Cursor;
use super::{Layer, Read, Unreadable};

/// Radiotap (<https://www.radiotap.org>): its length, and in its flags how the frame was captured. All numbers are little-endian.
pub(super) fn radiotap(cursor: &mut Cursor<'_>) -> Read {
    const BAD_FCS: u8 = 0x40;
    const DATA_PAD: u8 = 0x20;
    let &[version, _, low, high, ..] = cursor.data().first_chunk::<8>().ok_or_else(|| cursor.short())?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if version != 0 || length < 8 {
        return Err(Unreadable::Malformed);
    }
    let flags = cursor.data().get(..length).and_then(radiotap_flags).unwrap_or(0);
    cursor.skip(length)?;
    if flags & BAD_FCS != 0 {
        return Err(Unreadable::Malformed);
    }
    data_frame(cursor, flags & DATA_PAD != 0)
}

/// The field of flags, if there is one. Fields come in the order of their bits, each aligned to its size, after all words of bits.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    const TIME: u32 = 1 << 0;
    const FLAGS: u32 = 1 << 1;
    const MORE_WORDS: u32 = 1 << 31;
    let mut words =
        header.get(4..)?.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let first = words.next()?;
    if first & FLAGS == 0 {
        return None;
    }
    let mut at = 8_usize;
    let mut word = first;
    while word & MORE_WORDS != 0 {
        word = words.next()?;
        at += 4;
    }
    if first & TIME != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    header.get(at).copied()
}

pub(super) fn frame(cursor: &mut Cursor<'_>) -> Read {
    data_frame(cursor, false)
}

/// The header of a data frame (IEEE 802.11-2020, 9.3.2). What ends the frame, its check sequence, is cut off by IP's length.
fn data_frame(cursor: &mut Cursor<'_>, padded: bool) -> Read {
    const DATA: u8 = 2;
    const WITHOUT_DATA: u8 = 0x4;
    const QOS: u8 = 0x8;
    const BOTH_DS: u8 = 0x03;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    const AGGREGATE: u8 = 0x80;
    let &[control, flags] = cursor.data().first_chunk().ok_or_else(|| cursor.short())?;
    let (kind, subtype) = (control >> 2 & 3, control >> 4);
    if kind != DATA || subtype & WITHOUT_DATA != 0 || control & 3 != 0 {
        return Ok(Layer::Other);
    }
    if flags & PROTECTED != 0 {
        return Err(Unreadable::Protected);
    }
    let mut length = 24;
    let &[.., sequence, _] = cursor.take::<24>()?;
    if flags & MORE_FRAGMENTS != 0 || sequence & 0x0F != 0 {
        return Err(Unreadable::Fragment);
    }
    if flags & BOTH_DS == BOTH_DS {
        cursor.skip(6)?;
        length += 6;
    }
    let mut aggregate = false;
    if subtype & QOS != 0 {
        aggregate = cursor.take::<2>()?[0] & AGGREGATE != 0;
        length += 2;
        // In QoS frames the order bit says that HT control follows.
        if flags & ORDER != 0 {
            cursor.skip(4)?;
            length += 4;
        }
    }
    if padded {
        cursor.skip(usize::next_multiple_of(length, 4) - length)?;
    }
    if aggregate { only_of_aggregate(cursor) } else { Ok(Layer::Llc) }
}

/// The packet of an A-MSDU that has one. One that has more would be more than one segment.
fn only_of_aggregate(cursor: &mut Cursor<'_>) -> Read {
    const ADDRESSES_AND_LENGTH: usize = 14;
    /// What may follow the last: its padding and the check sequence.
    const TRAILER: usize = 3 + 4;
    let &[.., high, low] = cursor.take::<ADDRESSES_AND_LENGTH>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if cursor.wire() > length + TRAILER {
        return Err(Unreadable::Aggregate);
    }
    cursor.limit(length);
    Ok(Layer::Llc)
}
