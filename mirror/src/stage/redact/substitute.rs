//! What comes in a secret's place.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::{Expected, Replacement};

/// What a masked secret becomes, whatever it was and however long; OpenTelemetry's word for it.
pub(super) const MASK: &str = "REDACTED";

/// How much of a hash is shown, in bytes: among a thousand million secrets, two look the same with a chance of 3 %.
const SHOWN: usize = 8;

/// The shortest key, in bytes: one that is guessed tells every secret that can be guessed.
const SHORTEST_KEY: usize = 16;

/// The longest key that is read. HMAC makes 32 bytes of any.
const LONGEST_KEY: u64 = 4096;

pub(super) enum Substitute {
    Mask,
    Remove,
    /// Begun with the key.
    Hash(Hmac<Sha256>),
}

impl Substitute {
    /// As configured.
    ///
    /// # Errors
    /// When the key cannot be read, or the system has no randomness for one.
    pub(super) fn new(config: &Replacement) -> io::Result<Substitute> {
        let key = match config {
            Replacement::Mask => return Ok(Substitute::Mask),
            Replacement::Remove => return Ok(Substitute::Remove),
            Replacement::Hash(hash) => match &hash.key_file {
                Some(path) => read_key(path).map_err(|Expected(expected)| {
                    io::Error::other(format!("{}: expected {expected}", path.display()))
                })?,
                None => key_of_process()?.to_vec(),
            },
        };
        Hmac::new_from_slice(&key).map(Substitute::Hash).map_err(io::Error::other)
    }

    /// What stands for this secret; none where it is taken out. What stands for one already is not hidden again.
    pub(super) fn of(&self, secret: &[u8]) -> Option<String> {
        match self {
            _ if self.is_one(secret) => Some(String::from_utf8_lossy(secret).into_owned()),
            Substitute::Mask => Some(MASK.to_owned()),
            Substitute::Remove => None,
            Substitute::Hash(begun) => {
                let hash = begun.clone().chain_update(secret).finalize().into_bytes();
                let digits: String = hash[..SHOWN].iter().map(|byte| format!("{byte:02x}")).collect();
                Some(format!("{MASK}-{digits}"))
            }
        }
    }

    /// Whether this is what stands for a secret already, so that nothing in it is looked for.
    pub(super) fn is_one(&self, text: &[u8]) -> bool {
        text.strip_prefix(MASK.as_bytes()).is_some_and(|rest| match self {
            Substitute::Mask => rest.is_empty(),
            Substitute::Remove => false,
            Substitute::Hash(_) => {
                rest.len() == 1 + 2 * SHOWN && rest[0] == b'-' && rest[1..].iter().all(u8::is_ascii_hexdigit)
            }
        })
    }
}

/// The key in a file; a line end behind it, as an editor leaves one, is none of it.
///
/// # Errors
/// What was expected, where it cannot be read or is too short or too long.
pub(crate) fn read_key(path: &Path) -> Result<Vec<u8>, Expected> {
    let mut key = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_KEY + 1).read_to_end(&mut key));
    read.map_err(|error| Expected::from(format!("a file that can be read ({error})")))?;
    let end = key.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    key.truncate(end);
    match key.len() {
        length if length < SHORTEST_KEY => {
            Err(format!("a file with a key of at least {SHORTEST_KEY} bytes; this one has {length}").into())
        }
        length if length as u64 > LONGEST_KEY => {
            Err(format!("a file with a key of at most {LONGEST_KEY} bytes").into())
        }
        _ => Ok(key),
    }
}

/// One for all stages without a key of their own, so that the same secret looks the same at all sinks.
fn key_of_process() -> io::Result<[u8; 32]> {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(*key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let key = KEY.get_or_init(|| {
        tracing::info!(
            "redact: hashes have a random key, and are equal to those of this process only: there is no `key_file`"
        );
        key
    });
    Ok(*key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HashConfig;

    fn keyed(key: &[u8]) -> io::Result<Substitute> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, key).unwrap();
        Substitute::new(&Replacement::Hash(HashConfig { key_file: Some(path) }))
    }

    #[test]
    fn a_hash_is_that_of_rfc_4231_and_hangs_on_the_key_alone() {
        // Test case 6, whose key is longer than a block.
        let (key, secret) = ([0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(keyed(&key).unwrap().of(secret).unwrap(), "REDACTED-60e431591ee0b67f");
        assert_eq!(keyed(&[&key[..], b"\r\n"].concat()).unwrap().of(secret).unwrap(), "REDACTED-60e431591ee0b67f");
        let random = || Substitute::new(&Replacement::Hash(HashConfig::default())).unwrap();
        assert_eq!(random().of(b"a"), random().of(b"a"));
        assert_ne!(random().of(b"a"), random().of(b"b"));
        assert_ne!(random().of(b"a"), keyed(&key).unwrap().of(b"a"));
    }

    #[test]
    fn a_key_is_neither_short_nor_endless() {
        for (key, told) in [(&b"sixteen - 1 byte\n"[..15], "at least 16 bytes"), (&[b'k'; 5000], "at most 4096 bytes")]
        {
            let Err(error) = keyed(key) else { panic!("{} bytes are taken", key.len()) };
            assert!(error.to_string().contains(told), "{error}");
        }
        assert!(read_key(Path::new("/no/such/key")).is_err());
    }

    #[test]
    fn what_stands_for_a_secret_is_known_again() {
        let hash = keyed(b"0123456789abcdef").unwrap();
        let once = hash.of(b"a").unwrap();
        assert_eq!(hash.of(once.as_bytes()), Some(once));
        assert!(Substitute::Mask.is_one(b"REDACTED"));
        assert!(!hash.is_one(b"REDACTED-0123456789abcde") && !Substitute::Mask.is_one(b"REDACTED@example.com"));
    }
}
