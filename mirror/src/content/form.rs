//! Names with values as queries and forms have them: `name=value&name=value` (application/x-www-form-urlencoded).

use bytes::Bytes;
use form_urlencoded::byte_serialize;

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Decoded.
    pub name: Bytes,
    /// Decoded; empty where there is no `=`.
    pub value: Bytes,
    /// How it was sent, while it is as it was.
    pub sent: Option<Bytes>,
}

impl Pair {
    /// One that was not sent so.
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Pair {
        Pair { name: name.into(), value: value.into(), sent: None }
    }
}

/// The pairs of a query or of a form's body, in their order. What is no UTF-8 is decoded to U+FFFD, but sent on as it was.
pub fn read(text: &Bytes) -> Vec<Pair> {
    let pairs = text.split(|&b| b == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|sent| {
            let (name, value) = form_urlencoded::parse(sent).next().unwrap_or_default();
            Pair { sent: Some(text.slice_ref(sent)), ..Pair::new(name.into_owned(), value.into_owned()) }
        })
        .collect()
}

/// The text of these pairs; what was sent stays as it was, byte for byte.
pub fn write(pairs: &[Pair]) -> Vec<u8> {
    let mut text = Vec::new();
    for pair in pairs {
        if !text.is_empty() {
            text.push(b'&');
        }
        match &pair.sent {
            Some(sent) => text.extend_from_slice(sent),
            None => {
                text.extend(byte_serialize(&pair.name).flat_map(str::bytes));
                text.push(b'=');
                text.extend(byte_serialize(&pair.value).flat_map(str::bytes));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_decoded_and_stay_as_they_were() {
        let text = Bytes::from_static(b"a=1&b%20c=%26+%C3%A9&flag&=x&a=2=3&%ff=%");
        let pairs = read(&text);
        let decoded: Vec<_> = pairs.iter().map(|pair| (&pair.name[..], &pair.value[..])).collect();
        let expected: [(&[u8], &[u8]); 6] = [
            (b"a", b"1"),
            (b"b c", "& é".as_bytes()),
            (b"flag", b""),
            (b"", b"x"),
            (b"a", b"2=3"),
            ("\u{fffd}".as_bytes(), b"%"),
        ];
        assert_eq!(decoded, expected);
        assert_eq!(write(&pairs), text);
    }

    #[test]
    fn what_was_not_sent_is_encoded() {
        assert_eq!(write(&[Pair::new("a b", "&="), Pair::new("é", "")]), b"a+b=%26%3D&%C3%A9=");
    }

    proptest! {
        #[test]
        fn written_and_read_it_is_the_same(texts in prop::collection::vec((".{0,8}", ".{0,8}"), 0..5)) {
            let pairs: Vec<Pair> = texts.into_iter().map(|(name, value)| Pair::new(name, value)).collect();
            let read: Vec<Pair> = read(&write(&pairs).into()).into_iter().map(|pair| Pair { sent: None, ..pair }).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn what_is_read_is_written_as_it_was(text in "[a-z%&=+;0-9]{0,40}") {
            let whole = text.split('&').filter(|pair| !pair.is_empty()).collect::<Vec<_>>().join("&");
            prop_assert_eq!(write(&read(&text.into())), whole.into_bytes());
        }
    }
}
