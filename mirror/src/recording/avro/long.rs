//! Avro's integers: zig-zag, then seven bits a byte, least first (spec: Binary Encoding, Primitive Types).

/// The most bytes one takes.
pub(super) const MAX_LENGTH: usize = 10;

/// Appends `value`.
#[inline]
pub(super) fn put(buffer: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        buffer.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// The value, and how many bytes it took.
    Value(i64, usize),
    /// The bytes end before the value does.
    Incomplete,
    /// More than 64 bits.
    Overlong,
}

/// Reads the value at the start of `bytes`.
#[inline]
pub(super) fn take(bytes: &[u8]) -> Taken {
    let mut zigzag = 0u64;
    for (index, &byte) in bytes.iter().take(MAX_LENGTH).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == MAX_LENGTH - 1 && bits > 1 {
            return Taken::Overlong;
        }
        zigzag |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Taken::Value((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64), index + 1);
        }
    }
    if bytes.len() < MAX_LENGTH { Taken::Incomplete } else { Taken::Overlong }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings() {
        // The spec's own table, and the ends of the range.
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (-2, &[0x03]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let mut buffer = Vec::new();
            put(&mut buffer, value);
            assert_eq!(buffer, bytes, "{value}");
            assert_eq!(take(bytes), Taken::Value(value, bytes.len()));
            assert_eq!(take(&bytes[..bytes.len() - 1]), Taken::Incomplete, "{value}");
        }
        assert_eq!(take(&[0x80; 11]), Taken::Overlong);
        assert_eq!(take(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), Taken::Overlong);
    }
}
