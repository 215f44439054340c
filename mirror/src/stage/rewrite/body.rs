//! Changes bodies.

use bytes::Bytes;

use super::edit::Editor;
use crate::collected::Collected;
use crate::condition::media_type;
use crate::config::{BodyEdits, Edits, Encoding, JsonEdits, Unreadable};
use crate::content::{Codings, form, json};
use crate::exchange::Exchange;
use crate::http1::Headers;
use crate::stage::NewBody;

impl BodyEdits {
    /// The most bytes that are collected of a body with these headers; none where it is not to be changed.
    pub(super) fn bound(&self, headers: &Headers) -> Option<u64> {
        let media_type = media_type(headers).unwrap_or_default();
        let concerned = self.content_type.as_ref().is_none_or(|types| types.any(|glob| glob.matches(media_type)));
        concerned.then_some(self.max_body.0.bytes())
    }

    /// The body as it goes on, with these headers.
    pub(super) fn edit(&self, headers: &mut Headers, body: &Collected, seen: &Exchange) -> NewBody {
        let Some((codings, sent)) = self.decode(headers, body) else {
            return match self.unreadable {
                Unreadable::Pass => NewBody::Same,
                Unreadable::Withhold => NewBody::Withheld,
            };
        };
        let mut text = sent.clone();
        if let Some(edits) = &self.json
            && let Ok(mut document) = json::read(&text)
            && edits.edit(&mut document, seen)
        {
            text = json::write(&document);
        }
        if !self.form.is_empty()
            && media_type(headers).is_some_and(|it| it.eq_ignore_ascii_case(b"application/x-www-form-urlencoded"))
        {
            text = form_edits(&self.form, &text, seen);
        }
        for edit in &self.replace {
            let new = edit.found.regex().replace_all(&text, edit.with.as_bytes()).into_owned();
            if new != text {
                text = new.into();
            }
        }
        let (changed, decoded) = (text != sent, self.encoding == Encoding::Identity && !codings.is_identity());
        if !changed && !decoded {
            return NewBody::Same;
        }
        if changed {
            crate::content::remove_digests(headers);
        }
        match self.encoding {
            Encoding::Keep => NewBody::Other(codings.encode(&text)),
            Encoding::Identity => {
                headers.remove("content-encoding");
                NewBody::Other(text)
            }
        }
    }

    fn decode(&self, headers: &Headers, body: &Collected) -> Option<(Codings, Bytes)> {
        let Collected::Whole { bytes, .. } = body else { return None };
        let codings = Codings::of(headers).ok()?;
        let decoded = codings.decode(bytes, self.max_body.0.bytes()).ok()?;
        Some((codings, decoded))
    }
}

impl JsonEdits {
    /// Whether it is another document then: one that is not stays spelled as it was.
    fn edit(&self, document: &mut serde_json::Value, seen: &Exchange) -> bool {
        let mut changed = false;
        for place in self.remove.iter().flat_map(|places| places.iter()) {
            changed |= place.remove(document).is_some();
        }
        for (place, value) in &self.set {
            let new = value.fill(seen);
            changed |= place.find(document).is_none_or(|old| *old != new) && place.set(document, new);
        }
        changed
    }
}

fn form_edits(edits: &Edits, text: &Bytes, seen: &Exchange) -> Bytes {
    let mut pairs = form::read(text);
    Editor::new(edits, seen).edit(&mut pairs);
    form::write(&pairs).into()
}
