//! How many members the objects of a document have, as it is written and as it was read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Those of a document that was read.
pub(super) fn of(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(of).sum(),
        Value::Object(members) => members.len() + members.values().map(of).sum::<usize>(),
        _ => 0,
    }
}

/// Those of documents that are written one behind the other; of a key that is there twice, two. None where they are none.
pub(super) fn count(text: &[u8]) -> Option<usize> {
    let documents = serde_json::Deserializer::from_slice(text).into_iter::<Members>();
    documents.map(|members| members.ok().map(|Members(count)| count)).sum()
}

struct Members(usize);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Count)
    }
}

struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Members, A::Error> {
        let mut count = 0;
        while let Some(Members(more)) = seq.next_element()? {
            count += more;
        }
        Ok(Members(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut count = 0;
        while let Some(key) = map.next_key::<Key>()? {
            let Members(more) = map.next_value()?;
            // That is how the crate tells a number that no type of ours holds; read, it is one too.
            count += more + usize::from(key != Key::OfNumber);
        }
        Ok(Members(count))
    }
}

#[derive(PartialEq, Eq)]
enum Key {
    OfNumber,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                Ok(if key == "$serde_json::private::Number" { Key::OfNumber } else { Key::Other })
            }
        }

        deserializer.deserialize_str(Text)
    }
}
