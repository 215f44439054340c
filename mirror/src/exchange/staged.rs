//! What stages see and change of an exchange beside its head.

use std::sync::Arc;

use bytes::Bytes;

use super::{Exchange, TrailerChange};
use crate::budget::Charge;
use crate::collected::Collected;
use crate::relay::Relayed;
use crate::stage::ResponseChange;

impl Exchange {
    /// The request's body, where it was collected for a stage; as if longer than may be where it is longer than `most` bytes.
    pub fn body(&self, most: u64) -> Option<Collected> {
        let change = |sent| self.trailer_changes.iter().try_fold(sent, |section, change| change(section));
        self.body.as_ref().map(|body| body.within(most).with_trailers(change))
    }

    pub(crate) fn collected(&mut self, body: Collected) {
        self.body = Some(body);
    }

    /// What copies are charged to that stages make.
    pub(crate) fn charge(&self) -> &Charge {
        &self.shared.charge
    }

    /// Puts another body in the place of the request's, which was collected; the head's framing is mended. Where the byte budget has no room for
    /// it, the body is withheld.
    pub fn replace_body(&mut self, bytes: Bytes) {
        let trailers = match self.body.take() {
            Some(Collected::Whole { trailers, .. }) => trailers,
            _ => None,
        };
        let Some(charge) = self.shared.charge.another(bytes.len()) else { return self.withhold_body() };
        Arc::make_mut(&mut self.request).headers.set_length(bytes.len() as u64, true);
        self.body = Some(Collected::Whole { bytes: charge.hold(bytes), trailers });
        self.body_replaced = true;
    }

    /// Keeps the request's body from all that is behind. A target does not get the request, and in a recording its body is marked as withheld.
    pub fn withhold_body(&mut self) {
        self.body = Some(Collected::Cut);
        self.body_replaced = true;
    }

    /// The body that sinks are to get in place of the source's: cut, where it is withheld.
    pub(crate) fn replacement(&self) -> Option<&Collected> {
        self.body.as_ref().filter(|_| self.body_replaced)
    }

    /// Has the request's trailers changed when they come. For stages, with their last word on the request.
    pub(crate) fn change_trailers(&mut self, change: TrailerChange) {
        self.trailer_changes.push(change);
    }

    /// Has the response changed when it comes. For stages, with their last word on the request.
    pub fn change_responses(&mut self, change: Arc<dyn ResponseChange>) {
        self.changes.push(change);
    }

    /// What is changed of responses, in order.
    pub(crate) fn changes(&self) -> &[Arc<dyn ResponseChange>] {
        &self.changes
    }

    /// Of these, what is changed for this sink alone.
    pub(crate) fn own_changes(&self) -> &[Arc<dyn ResponseChange>] {
        &self.changes[self.for_all..]
    }

    /// From here on the response is what comes out of a relay.
    pub(crate) fn relay(&mut self, relayed: Arc<Relayed>) {
        self.relayed = Some(relayed);
    }
}
