//! Changes responses.

use std::sync::Arc;

use bytes::Bytes;

use super::edit::Editor;
use crate::collected::Collected;
use crate::config::ResponseEdits;
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::stage::{BoxFuture, NewBody, ResponseChange, is_quick};

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
        let Some(edits) = &self.0.body else { return Box::pin(std::future::ready(NewBody::Same)) };
        if body.length().is_none_or(|length| is_quick(&head.headers, length)) {
            return Box::pin(std::future::ready(edits.edit(&mut head.headers, &body, of)));
        }
        let (all, seen, mut headers) = (self.0.clone(), of.copy(None, None), head.headers.clone());
        Box::pin(async move {
            let edit = move || {
                let edited = all.body.as_ref().map(|edits| edits.edit(&mut headers, &body, &seen));
                (headers, edited.unwrap_or(NewBody::Same))
            };
            // Where there is no thread any more the program ends.
            let Ok((headers, new)) = tokio::task::spawn_blocking(edit).await else { return NewBody::Withheld };
            head.headers = headers;
            new
        })
    }
}

fn reason(status: u16) -> Bytes {
    let status = http::StatusCode::from_u16(status).ok();
    Bytes::from_static(status.and_then(|status| status.canonical_reason()).unwrap_or_default().as_bytes())
}
