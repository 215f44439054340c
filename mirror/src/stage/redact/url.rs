//! Secrets in URLs and forms: parameters by their names, and users with passwords.

use bytes::Bytes;
use form_urlencoded::{byte_serialize, parse};

use super::Rules;
use super::names::Names;
use super::tally::Tally;
use crate::content::form::{self, Pair};
use crate::outcome::Redacted;

/// How deep URLs are looked into that are parameters of URLs, as where a login leads back to.
const NESTED: usize = 2;

/// Which pairs are secret, and by which rule that counts.
#[derive(Clone, Copy)]
pub(super) struct Secret<'a> {
    pub(super) names: &'a Names,
    pub(super) rule: Redacted,
}

impl Rules {
    /// The URLs in a header's value; none where nothing in them is secret.
    pub(super) fn urls(&self, value: &[u8], tally: &mut Tally) -> Option<Vec<u8>> {
        let (mut new, mut changed) = (Vec::new(), false);
        for part in value.split_inclusive(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'<' | b'>')) {
            let url = self.url(part, 0, tally);
            changed |= url.is_some();
            new.extend_from_slice(url.as_deref().unwrap_or(part));
        }
        changed.then_some(new)
    }

    /// A URL, or a request's target; none where nothing in it is secret.
    pub(super) fn url(&self, url: &[u8], depth: usize, tally: &mut Tally) -> Option<Vec<u8>> {
        let place = url.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(url.len());
        let (before, mut rest) = url.split_at(place);
        let anonymous = self.without_userinfo(before, tally);
        let mut changed = anonymous.is_some();
        let mut new = anonymous.unwrap_or_else(|| before.to_vec());
        let secret = Secret { names: &self.query, rule: Redacted::Query };
        // The query, and a fragment, which some flows of OAuth 2.0 have tokens in (RFC 6749 §4.2.2).
        while let Some((mark, following)) = rest.split_first() {
            let (part, behind) =
                following.split_at(following.iter().position(|&b| b == b'#').unwrap_or(following.len()));
            let pairs = self.pairs(&Bytes::copy_from_slice(part), secret, depth, tally);
            changed |= pairs.is_some();
            new.push(*mark);
            new.extend_from_slice(pairs.as_deref().unwrap_or(part));
            rest = behind;
        }
        changed.then_some(new)
    }

    /// Of `//user:password@host`, the part before the host (RFC 3986 §3.2.1).
    fn without_userinfo(&self, url: &[u8], tally: &mut Tally) -> Option<Vec<u8>> {
        if !self.userinfo {
            return None;
        }
        let start = url.windows(2).position(|two| two == b"//")? + 2;
        let end = url[start..].iter().position(|&b| b == b'/').map_or(url.len(), |length| start + length);
        let at = start + url[start..end].iter().rposition(|&b| b == b'@')?;
        tally.count(Redacted::Userinfo);
        Some(match self.substitute.of(&url[start..at]) {
            Some(new) => [&url[..start], new.as_bytes(), &url[at..]].concat(),
            None => [&url[..start], &url[at + 1..]].concat(),
        })
    }

    /// Names with values, of a query or a form; none where nothing in them is secret.
    pub(super) fn pairs(&self, text: &Bytes, secret: Secret<'_>, depth: usize, tally: &mut Tally) -> Option<Vec<u8>> {
        let (mut pairs, mut changed) = (form::read(text), false);
        pairs.retain_mut(|pair| {
            let kept = self.pair(pair, secret, depth, tally);
            changed |= kept != Kept::Same;
            kept != Kept::Removed
        });
        changed.then(|| form::write(&pairs))
    }

    fn pair(&self, pair: &mut Pair, secret: Secret<'_>, depth: usize, tally: &mut Tally) -> Kept {
        if secret.names.has_field(&pair.name) {
            if pair.value.is_empty() || self.substitute.is_one(&pair.value) {
                return Kept::Same;
            }
            tally.count(secret.rule);
            let Some(new) = self.substitute.of(&pair.value) else { return Kept::Removed };
            *pair = Pair::new(pair.name.clone(), new);
            return Kept::Changed;
        }
        let mut kept = Kept::Same;
        if let Some(sent) = pair.sent.as_ref().and_then(|sent| self.inner(sent, secret, tally)) {
            let Some(new) = form::read(&sent.into()).pop() else { return Kept::Removed };
            (*pair, kept) = (new, Kept::Changed);
        }
        let nested = if depth < NESTED { self.url(&pair.value, depth + 1, tally) } else { None };
        let found = self.patterns.replace(nested.as_deref().unwrap_or(&pair.value), &self.substitute, tally);
        let (name, value) = (self.patterns.replace(&pair.name, &self.substitute, tally), found.or(nested));
        if value.is_some() || name.is_some() {
            let or_as_was = |new: Option<Vec<u8>>, was: &Bytes| new.map_or_else(|| was.clone(), Bytes::from);
            *pair = Pair::new(or_as_was(name, &pair.name), or_as_was(value, &pair.value));
            kept = Kept::Changed;
        }
        kept
    }

    /// A secret behind a `;`, at which some servers part pairs too, or behind a `?`, as of a URL that was not encoded. What follows up to the
    /// pair's end is its value.
    fn inner(&self, sent: &Bytes, secret: Secret<'_>, tally: &mut Tally) -> Option<Vec<u8>> {
        let marks = (0..sent.len()).filter(|&at| matches!(sent[at], b';' | b'?'));
        let (mark, equals) = marks.into_iter().find_map(|mark| {
            let length = sent[mark + 1..].iter().position(|b| matches!(b, b'=' | b';' | b'?'))?;
            let equals = mark + 1 + length;
            let (name, _) = parse(&sent[mark + 1..equals]).next()?;
            (sent[equals] == b'=' && equals + 1 < sent.len() && secret.names.has_field(name.as_bytes()))
                .then_some((mark, equals))
        })?;
        tally.count(secret.rule);
        let (_, value) = parse(&sent[equals..]).next().unwrap_or_default();
        Some(match self.substitute.of(value.as_bytes()) {
            Some(new) => [&sent[..=equals], byte_serialize(new.as_bytes()).collect::<String>().as_bytes()].concat(),
            None => sent[..mark].to_vec(),
        })
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Kept {
    Same,
    Changed,
    Removed,
}
