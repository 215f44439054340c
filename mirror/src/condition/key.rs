//! What tells users apart: the key by which exchanges are taken, limited or shared out.

use super::Facts;
use super::field::Field;
use crate::config::Expected;

/// A part of the request of which equal values belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The client's address.
    Client,
    /// The client's connection: its address and port.
    Connection,
    /// The part of the path at this place, counted from 1: of `/shop/7/cart` the second is `7`.
    Part(usize),
    /// A field's first value.
    Field(Field),
}

const EXPECTED: &str =
    "client, connection, host, path, path.N, header.NAME, cookie.NAME or query.NAME, as in cookie.session";

impl Key {
    /// A number that is the same wherever the key's value is, on every host and in every run; none where the request has no such
    /// value.
    pub fn hash(&self, facts: &Facts<'_>) -> Option<u64> {
        match self {
            Key::Client => match facts.client?.ip().to_canonical() {
                std::net::IpAddr::V4(v4) => Some(fnv(&v4.octets())),
                std::net::IpAddr::V6(v6) => Some(fnv(&v6.octets())),
            },
            Key::Connection => {
                let client = facts.client?;
                Some(fnv(client.to_string().as_bytes()))
            }
            Key::Part(at) => facts.path().split(|&b| b == b'/').nth(*at).filter(|part| !part.is_empty()).map(fnv),
            Key::Field(field) => field.first(facts).map(|value| match field {
                Field::Host => fnv(&value.to_ascii_lowercase()),
                _ => fnv(&value),
            }),
        }
    }

    /// The hash that GoReplay's limiters choose by: FNV-1a of 32 bits of the value as it was sent; none where there is none, or an empty one.
    pub fn hash_of_goreplay(&self, facts: &Facts<'_>) -> Option<u32> {
        let of = |value: &[u8]| (!value.is_empty()).then(|| fnv32(value));
        match self {
            Key::Client => of(facts.client?.ip().to_canonical().to_string().as_bytes()),
            Key::Connection => of(facts.client?.to_string().as_bytes()),
            Key::Part(at) => of(facts.path().split(|&b| b == b'/').nth(*at)?),
            // Of a parameter even an empty value counts, and none is decoded.
            Key::Field(Field::Query(Some(name))) => {
                let mut pairs = facts.query()?.split(|&b| b == b'&');
                pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).map(fnv32)
            }
            Key::Field(field) => of(&field.first(facts)?),
        }
    }
}

impl std::str::FromStr for Key {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Key, Expected> {
        if let Some(at) = text.strip_prefix("path.") {
            return match at.parse() {
                Ok(at @ 1..) => Ok(Key::Part(at)),
                _ => Err("path and the number of a part of it from 1, as in path.1".into()),
            };
        }
        match (text, text.parse()) {
            ("client", _) => Ok(Key::Client),
            ("connection", _) => Ok(Key::Connection),
            (
                _,
                Ok(field @ (Field::Host | Field::Path | Field::Header(_) | Field::Cookie(_) | Field::Query(Some(_)))),
            ) => Ok(Key::Field(field)),
            _ => Err(EXPECTED.into()),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Client => f.write_str("client"),
            Key::Connection => f.write_str("connection"),
            Key::Part(at) => write!(f, "path.{at}"),
            Key::Field(field) => field.fmt(f),
        }
    }
}

/// FNV-1a of 64 bits (draft-eastlake-fnv), which is the same everywhere. Who needs its bits spread mixes them.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a of 32 bits.
fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
