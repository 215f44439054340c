//! What a pipeline looks at beside the head: readers of its own, so that no sink's pace and bounds matter for it.

use std::sync::Arc;

use crate::body::{BodyReader, Chunk, SlotBounds};
use crate::budget::Share;
use crate::collected::gather;
use crate::exchange::Exchange;
use crate::pipeline::Pipeline;
use crate::stage::{Need, Verdict};

/// The readers of one pipeline for one exchange, where it needs any. In a box: most need none, and exchanges are moved from hand to hand.
#[derive(Default)]
pub(crate) struct Looks(Option<Box<LookReaders>>);

#[derive(Default)]
struct LookReaders {
    /// Of the request's body, where a stage may have to see all of it, and the most that is collected.
    request: Option<(BodyReader, u64)>,
    /// Of the response's, where a stage may have to know the response. It only counts.
    response: Option<BodyReader>,
}

impl Looks {
    /// The bounds of such a reader: they are the byte budget's.
    pub(crate) fn bounds(share: &Arc<Share>) -> SlotBounds {
        SlotBounds { lag: share.limit() as u64, share: share.clone() }
    }

    /// How many readers a pipeline needs of the request's body, and of the response's.
    pub(crate) fn needed(pipeline: &Pipeline) -> [usize; 2] {
        [usize::from(pipeline.needs_bodies().request.is_some()), usize::from(pipeline.needs_response())]
    }

    /// The looks of a pipeline, with the readers that it needs.
    pub(crate) fn of(
        pipeline: &Pipeline,
        requests: &mut impl Iterator<Item = BodyReader>,
        responses: &mut impl Iterator<Item = BodyReader>,
    ) -> Looks {
        let request = pipeline.needs_bodies().request.and_then(|most| Some((requests.next()?, most)));
        let response = if pipeline.needs_response() { responses.next() } else { None };
        let any = request.is_some() || response.is_some();
        Looks(any.then(|| Box::new(LookReaders { request, response })))
    }

    /// Waits for what a stage needs, and tells the exchange. Gives the verdict where there is one already.
    pub(crate) async fn wait(&mut self, exchange: &mut Exchange, need: Need) -> Option<Verdict> {
        match need {
            Need::Work(work) => return Some(work.await(exchange)),
            Need::Body => {
                // Without: it was there before.
                let request = self.0.as_mut().and_then(|readers| readers.request.take());
                let Some((mut reader, most)) = request else { return Some(Verdict::Continue) };
                let body = gather(&mut reader, most).await.whole(exchange.charge());
                exchange.collected(body);
            }
            Need::Response => {
                let Some(response) = self.0.as_mut().map(|readers| &mut readers.response) else {
                    return Some(Verdict::Continue);
                };
                let Some(reader) = response else { return Some(Verdict::Continue) };
                if !exchange.is_response_seen() {
                    std::future::poll_fn(|cx| reader.poll_told(cx, || exchange.is_answered())).await;
                    exchange.see_response(None);
                    return None;
                }
                let mut length = 0;
                while let Ok(Chunk::Data(bytes)) = reader.next().await {
                    length += bytes.len() as u64;
                    reader.done_with(&bytes);
                }
                exchange.see_response(Some(length + reader.lost()));
                *response = None;
            }
        }
        None
    }
}
