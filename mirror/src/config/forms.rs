//! The shorter forms of a setting: one in place of a list of one, and a string in place of a map with one key.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{
    AdminAddress, AdminConfig, CaptureConfig, Expected, ListenAddress, OrderConfig, RecordConfig, ReplayConfig,
    ShadowConfig,
};
use crate::sink::RECORD;

/// One, or a list of them.
pub(super) fn one_or_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(OneOrList(PhantomData))
}

/// `capture`: a word or a list of them, each a string or a map.
pub(super) fn capture<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CaptureConfig>, D::Error> {
    let captures: Vec<WordOrMap<CaptureConfig>> = deserializer.deserialize_any(OneOrList(PhantomData))?;
    Ok(captures.into_iter().map(|WordOrMap(capture)| capture).collect())
}

/// `shadow`: a target or a list of them, each a string or a map.
pub(super) fn shadow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ShadowConfig>, D::Error> {
    let shadows: Vec<WordOrMap<ShadowConfig>> = deserializer.deserialize_any(OneOrList(PhantomData))?;
    Ok(shadows.into_iter().map(|WordOrMap(shadow)| shadow).collect())
}

/// `record`: a recording or a list of them, each a path or a map. Those behind the first have a name from here on: `record-2`, `record-3`, ….
pub(super) fn record<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RecordConfig>, D::Error> {
    let records: Vec<WordOrMap<RecordConfig>> = deserializer.deserialize_any(OneOrList(PhantomData))?;
    let mut records: Vec<RecordConfig> = records.into_iter().map(|WordOrMap(record)| record).collect();
    for (i, record) in records.iter_mut().enumerate().skip(1) {
        record.name.get_or_insert_with(|| format!("{RECORD}-{}", i + 1));
    }
    Ok(records)
}

/// One without a list about it, as most have no other.
pub(super) fn one_alone<S: Serializer, T: Serialize>(all: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => one.serialize(serializer),
        all => all.serialize(serializer),
    }
}

/// `replay`: files or a map.
pub(super) fn replay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ReplayConfig>, D::Error> {
    Ok(Option::<WordOrMap<ReplayConfig>>::deserialize(deserializer)?.map(|WordOrMap(replay)| replay))
}

pub(super) fn replay_schema(generator: &mut SchemaGenerator) -> Schema {
    let (files, map) = (files_schema(generator), generator.subschema_for::<ReplayConfig>());
    json_schema!({ "anyOf": [files, map, { "type": "null" }] })
}

pub(super) fn files_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
}

/// `admin`: an address or a map.
pub(super) fn admin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AdminConfig, D::Error> {
    WordOrMap::deserialize(deserializer).map(|WordOrMap(admin)| admin)
}

pub(super) fn admin_schema(generator: &mut SchemaGenerator) -> Schema {
    word_or_map_schema::<AdminConfig>(generator)
}

/// `order`: a key or a map.
pub(super) fn order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OrderConfig>, D::Error> {
    Ok(Option::<WordOrMap<OrderConfig>>::deserialize(deserializer)?.map(|WordOrMap(order)| order))
}

pub(super) fn listen_schema(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<ListenAddress>();
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

pub(super) fn capture_schema(generator: &mut SchemaGenerator) -> Schema {
    let one = word_or_map_schema::<CaptureConfig>(generator);
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

pub(super) fn shadow_schema(generator: &mut SchemaGenerator) -> Schema {
    let one = word_or_map_schema::<ShadowConfig>(generator);
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

pub(super) fn record_schema(generator: &mut SchemaGenerator) -> Schema {
    let one = word_or_map_schema::<RecordConfig>(generator);
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }, { "type": "null" }] })
}

pub(super) fn order_schema(generator: &mut SchemaGenerator) -> Schema {
    let one = word_or_map_schema::<OrderConfig>(generator);
    json_schema!({ "anyOf": [one, { "type": "null" }] })
}

pub(super) fn word_or_map_schema<T: FromWord + JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let (word, map) = (T::word_schema(generator), generator.subschema_for::<T>());
    json_schema!({ "anyOf": [word, map] })
}

/// What a word alone can stand for.
pub(super) trait FromWord: Sized {
    /// The forms, for who writes neither.
    const FORMS: &'static str;

    fn from_word(word: &str) -> Result<Self, Expected>;

    fn word_schema(generator: &mut SchemaGenerator) -> Schema;

    /// Where `true` and `false` are words too.
    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    /// Where a list of words is one too.
    fn from_words(_: Vec<String>) -> Option<Self> {
        None
    }
}

impl FromWord for AdminConfig {
    const FORMS: &'static str = "off, an address, as in 127.0.0.1:9900, or a map with `address` and `control`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(AdminConfig { address: word.parse()?, control: false })
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<AdminAddress>()
    }

    fn from_bool(on: bool) -> Option<Self> {
        Some(if on { AdminConfig::default() } else { AdminConfig::off() })
    }
}

impl FromWord for CaptureConfig {
    const FORMS: &'static str = "what to capture, as in :8080, eth0:80,8080, trace.pcapng:80 or vxlan::4789, or a map with `interface`, `file` or `vxlan`, and `ports`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        word.parse()
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"(:[0-9]{1,5}(,[0-9]{1,5})*|\.(pcap|pcapng|cap)(\.gz)?)$" })
    }
}

impl FromWord for ShadowConfig {
    const FORMS: &'static str = "a target's address, or a map with the key `target`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(ShadowConfig::new(word.parse()?))
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<super::Target>()
    }
}

impl FromWord for RecordConfig {
    const FORMS: &'static str = "a file's path, or a map with the key `path`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(RecordConfig::new(word))
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl FromWord for ReplayConfig {
    const FORMS: &'static str = "a recording, a list of them, or a map with the key `files`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(ReplayConfig::new(vec![word.into()]))
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        files_schema(generator)
    }

    fn from_words(words: Vec<String>) -> Option<Self> {
        Some(ReplayConfig::new(words.into_iter().map(Into::into).collect()))
    }
}

impl<T: FromWord> FromWord for Box<T> {
    const FORMS: &'static str = T::FORMS;

    fn from_word(word: &str) -> Result<Self, Expected> {
        T::from_word(word).map(Box::new)
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        T::word_schema(generator)
    }
}

struct OneOrList<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrList<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Vec<T>, E> {
        Ok(vec![T::deserialize(StrDeserializer::new(v))?])
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Vec<T>, E> {
        // What expects an address says so better than we could.
        self.visit_str(&v.to_string())
    }
}

/// A word, or the map that it stands for.
pub(super) struct WordOrMap<T>(pub(super) T);

impl<'de, T: FromWord + Deserialize<'de>> Deserialize<'de> for WordOrMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms<T>(PhantomData<T>);

        impl<'de, T: FromWord + Deserialize<'de>> Visitor<'de> for Forms<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::FORMS)
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<T, E> {
                T::from_word(v).map_err(E::custom)
            }

            fn visit_bool<E: Error>(self, v: bool) -> Result<T, E> {
                T::from_bool(v).ok_or_else(|| E::invalid_type(Unexpected::Bool(v), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
                if T::from_words(Vec::new()).is_none() {
                    return Err(A::Error::invalid_type(Unexpected::Seq, &self));
                }
                let words = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                T::from_words(words).ok_or_else(|| A::Error::invalid_type(Unexpected::Seq, &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(Forms(PhantomData)).map(WordOrMap)
    }
}
