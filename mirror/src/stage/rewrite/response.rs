//! Changes responses.

use std::sync::Arc;

use bytes::Bytes;

use super::edit::Editor;
use crate::collected::Collected;
use crate::config::ResponseEdits;
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::stage::{BoxFuture, NewBody, ResponseChange};

/// As configured.
pub(super) struct ResponseEditor(Arc<ResponseEdits>);

impl ResponseEditor {
    pub(super) fn new(edits: &ResponseEdits) -> Option<ResponseEditor> {
        (*edits != ResponseEdits::default()).then(|| ResponseEditor(Arc::new(edits.clone())))
    }
}

impl ResponseChange for ResponseEditor {
    fn head(&self, of: &Exchange, head: &mut ResponseHead) {
        if let Some(status) = self.0.status {
            // The old reason would tell of the old status.
            (head.status, head.reason) = (status.0, reason(status.0));
        }
        if !self.0.header.is_empty() {
            Editor::of_headers(&self.0.header, of).edit(head.headers.lines_mut());
        }
    }

    fn body_bound(&self, head: &ResponseHead) -> Option<u64> {
        self.0.body.as_ref().and_then(|edits| edits.bound(&head.headers))
    }

    fn body<'a>(&'a self, of: &'a Exchange, head: &'a mut ResponseHead, body: Collected) -> BoxFuture<'a, NewBody> {
        let new = match &self.0.body {
            Some(edits) => edits.edit(&mut head.headers, &body, of),
            None => NewBody::Same,
        };
        Box::pin(std::future::ready(new))
    }
}

fn reason(status: u16) -> Bytes {
    let status = http::StatusCode::from_u16(status).ok();
    Bytes::from_static(status.and_then(|status| status.canonical_reason()).unwrap_or_default().as_bytes())
}
