//! Secrets that are known by what they look like.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::card;
use super::substitute::Substitute;
use super::tally::Tally;
use crate::config::SecretPattern;
use crate::outcome::Redacted;

/// RFC 6750 §2.1; the first group is the token. A space may be spelled as in URLs.
static BEARER: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)\bbearer(?:[ \t+]|%20)+([a-z0-9._~+/=-]+)"));

/// RFC 7519 in the compact form of RFC 7515 (three parts) or RFC 7516 (five): the first begins as base64 of `{"`, with or without white space between.
static JWT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\be(?:yJ|yA|wo|w0|wk)[A-Za-z0-9_=-]{12,}(?:\.[A-Za-z0-9_=-]*){2,4}"));

/// RFC 5321 §4.1.2 without quoted and bracketed parts, and of the signs in the local part without those that are more often around an address
/// (`=`, `&`, `?`, `/`, `{`, `|`, `}`). Letters of any script (RFC 6531). The sign may be spelled as in URLs.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"[\pL\pN_](?:[\pL\pN.!#$*+^_`~'-]|%2[Bb])*(?:@|%40)(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+[\pL\pN][\pL\pN-]*[\pL\pN]",
    )
});

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a constant that the tests compile")
}

pub(super) struct Patterns(Vec<(Redacted, Finder)>);

enum Finder {
    Card,
    /// Its first group is the secret, where it has one.
    Regex(Regex),
}

/// A secret's place in a text.
struct Found {
    range: Range<usize>,
    rule: Redacted,
}

impl Patterns {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a SecretPattern>) -> Patterns {
        let finders = patterns.map(|pattern| match pattern {
            SecretPattern::Card => (Redacted::Card, Finder::Card),
            SecretPattern::Bearer => (Redacted::Bearer, Finder::Regex(BEARER.clone())),
            SecretPattern::Jwt => (Redacted::Jwt, Finder::Regex(JWT.clone())),
            SecretPattern::Email => (Redacted::Email, Finder::Regex(EMAIL.clone())),
            SecretPattern::Own(expression) => (Redacted::Pattern, Finder::Regex(expression.regex().clone())),
        });
        Patterns(finders.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with all secrets replaced; none where there is none. They are looked for as they stand there and, where that is another
    /// text, percent-decoded.
    pub(super) fn replace(&self, text: &[u8], substitute: &Substitute, tally: &mut Tally) -> Option<Vec<u8>> {
        if self.is_empty() || substitute.is_one(text) {
            return None;
        }
        let mut found = self.find(text);
        let decoded = Decoded::of(text);
        if let Some(decoded) = &decoded {
            let within = self.find(&decoded.bytes).into_iter();
            found.extend(within.map(|it| Found { range: decoded.place(it.range), ..it }));
        }
        let found = merged(found);
        if found.is_empty() {
            return None;
        }
        let (mut new, mut at) = (Vec::with_capacity(text.len()), 0);
        for Found { range, rule } in found {
            let sent = &text[range.clone()];
            let mut secret = decoded.as_ref().map_or_else(|| sent.to_vec(), |_| percent_decode(sent));
            if matches!(rule, Redacted::Card) {
                // The same card, however its number is grouped.
                secret.retain(u8::is_ascii_digit);
            }
            new.extend_from_slice(&text[at..range.start]);
            new.extend(substitute.of(&secret).unwrap_or_default().into_bytes());
            tally.count(rule);
            at = range.end;
        }
        new.extend_from_slice(&text[at..]);
        Some(new)
    }

    fn find(&self, text: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for (rule, finder) in &self.0 {
            let rule = *rule;
            match finder {
                Finder::Card => found.extend(card::find(text).into_iter().map(|range| Found { range, rule })),
                Finder::Regex(regex) if regex.captures_len() > 1 => {
                    let secrets =
                        regex.captures_iter(text).filter_map(|groups| groups.get(1).or_else(|| groups.get(0)));
                    found.extend(secrets.map(|secret| Found { range: secret.range(), rule }));
                }
                Finder::Regex(regex) => {
                    found.extend(regex.find_iter(text).map(|secret| Found { range: secret.range(), rule }));
                }
            }
        }
        found
    }
}

/// In order, and those that overlap as one.
fn merged(mut found: Vec<Found>) -> Vec<Found> {
    found.retain(|it| !it.range.is_empty());
    found.sort_by_key(|it| (it.range.start, std::cmp::Reverse(it.range.end)));
    let mut merged: Vec<Found> = Vec::new();
    for it in found {
        match merged.last_mut() {
            Some(last) if it.range.start < last.range.end => last.range.end = last.range.end.max(it.range.end),
            _ => merged.push(it),
        }
    }
    merged
}

/// A text percent-decoded (RFC 3986 §2.1), and where each of its bytes was.
struct Decoded {
    bytes: Vec<u8>,
    at: Vec<usize>,
}

impl Decoded {
    /// None where nothing is encoded.
    fn of(text: &[u8]) -> Option<Decoded> {
        let encoded = |at: usize| {
            let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16));
            (text[at] == b'%').then(|| Some(digit(at + 1)? * 16 + digit(at + 2)?)).flatten()
        };
        let first = (0..text.len()).find(|&at| encoded(at).is_some())?;
        let mut decoded = Decoded { bytes: text[..first].to_vec(), at: (0..first).collect() };
        let mut at = first;
        while at < text.len() {
            decoded.at.push(at);
            match encoded(at) {
                Some(byte) => {
                    decoded.bytes.push(byte as u8);
                    at += 3;
                }
                None => {
                    decoded.bytes.push(text[at]);
                    at += 1;
                }
            }
        }
        decoded.at.push(text.len());
        Some(decoded)
    }

    fn place(&self, range: Range<usize>) -> Range<usize> {
        self.at[range.start]..self.at[range.end]
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    Decoded::of(text).map_or_else(|| text.to_vec(), |decoded| decoded.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patterns(names: &[&str]) -> Patterns {
        let patterns: Vec<SecretPattern> = names.iter().map(|name| name.parse().unwrap()).collect();
        Patterns::new(patterns.iter())
    }

    fn replaced(patterns: &Patterns, text: &str) -> String {
        let new = patterns.replace(text.as_bytes(), &Substitute::Mask, &mut Tally::default());
        new.map_or_else(|| text.to_owned(), |new| String::from_utf8(new).unwrap())
    }

    #[test]
    fn what_secrets_look_like() {
        let all = patterns(&["card", "bearer", "jwt", "email", r"~acct-(\d+)", "~pin:[0-9]{4}"]);
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        for (text, expected) in [
            ("nothing to see", "nothing to see"),
            ("Bearer abc.DEF~1+/==, x", "Bearer REDACTED, x"),
            ("bearer%20abc", "bearer%20REDACTED"),
            ("forbearer abc", "forbearer abc"),
            (&format!("Bearer {jwt}"), "Bearer REDACTED"),
            (&format!("t={jwt}&u"), "t=REDACTED&u"),
            ("ewok.example.com", "ewok.example.com"),
            ("<me.too+x@mail.example.com>", "<REDACTED>"),
            ("to=me@example.com&", "to=REDACTED&"),
            ("to=me%40example.com&", "to=REDACTED&"),
            ("m%65@ex%61mple.com", "REDACTED"),
            ("jörg@bücher.example", "REDACTED"),
            ("me@localhost", "me@localhost"),
            ("card 4111 1111 1111 1111.", "card REDACTED."),
            ("4111%201111%201111%201111", "REDACTED"),
            ("acct-17 and acct-", "acct-REDACTED and acct-"),
            ("pin:1234", "REDACTED"),
            ("100% of 4%", "100% of 4%"),
        ] {
            assert_eq!(replaced(&all, text), expected, "{text}");
        }
    }

    #[test]
    fn the_same_secret_has_the_same_hash_however_it_is_spelled() {
        let hash = Substitute::new(&crate::config::Replacement::Hash(Default::default())).unwrap();
        let all = patterns(&["card", "bearer", "email"]);
        for (one, other) in [
            ("4111 1111 1111 1111", "4111-1111-1111-1111"),
            ("4111%201111%201111%201111", "4111111111111111"),
            ("me@example.com", "me%40example.com"),
        ] {
            let replaced = |text: &str| all.replace(text.as_bytes(), &hash, &mut Tally::default()).unwrap();
            assert_eq!(replaced(one), replaced(other), "{one}");
        }
    }

    proptest! {
        #[test]
        fn what_is_around_secrets_stays(before in "[ -~é]{0,12}", after in "[ -~é]{0,12}") {
            let all = patterns(&["~<secret[0-9]>"]);
            let text = format!("{before}<secret1>{after}");
            prop_assert_eq!(replaced(&all, &text), format!("{before}REDACTED{after}"));
        }

        #[test]
        fn no_text_makes_them_panic(text in prop::collection::vec(any::<u8>(), 0..80), spice in "[%0-9a-f@.]{0,40}") {
            let all = patterns(&["card", "bearer", "jwt", "email", "~(a)|b*"]);
            let text = [&text[..], spice.as_bytes(), &text].concat();
            all.replace(&text, &Substitute::Mask, &mut Tally::default());
        }
    }
}
