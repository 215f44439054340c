//! Responses that stages change: read from their source, changed, and written anew for whoever reads them, while the exchange goes on.

use std::future::{Future, poll_fn};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use bytes::Bytes;

use crate::body::{BodyEnd, BodyReader, BodyWriter, Chunk};
use crate::collected::{Collected, gather};
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::outcome::DropReason;
use crate::stage::{NewBody, ResponseChange};

/// What a relay tells beside the body: set before the first byte and before the end.
#[derive(Debug)]
pub(crate) struct Relayed {
    /// The head as it was changed; none where there was none that could be read.
    pub(crate) head: OnceLock<Option<ResponseHead>>,
    /// By how many of the exchange's changes.
    pub(crate) changes: usize,
    done: OnceLock<()>,
}

impl Relayed {
    /// Whether the body has come to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.done.get().is_some()
    }
}

/// Has the response of `exchange` go through its changes from the one at `from` on, from `source` to the readers of `body`.
pub(crate) fn start(exchange: &mut Exchange, from: usize, source: BodyReader, body: BodyWriter) {
    let changes = exchange.changes().len();
    let relayed = Arc::new(Relayed { head: OnceLock::new(), changes, done: OnceLock::new() });
    let relay = Relay { of: exchange.copy(None, None), from, source, body, relayed: relayed.clone() };
    exchange.relay(relayed);
    let mut relaying = Box::pin(relay.run());
    // What has ended already, as most that a listener offers, needs no task.
    if relaying.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(relaying);
    }
}

struct Relay {
    of: Exchange,
    from: usize,
    source: BodyReader,
    body: BodyWriter,
    relayed: Arc<Relayed>,
}

impl Relay {
    async fn run(mut self) {
        // The head is told before the first byte, and at the end it has not come. Cut off or not: a head that came is not to be told unchanged.
        let _ = poll_fn(|cx| self.source.poll_behind(cx, 1)).await;
        let head = self.of.response().and_then(|(_, head)| head.ok());
        let end = match head {
            Some(head) => self.change(head).await,
            None => self.stream().await,
        };
        self.tell(None);
        self.body.lose(self.source.lost());
        let _ = self.relayed.done.set(());
        self.body.end(end);
    }

    /// The first head that is told counts.
    fn tell(&self, head: Option<ResponseHead>) {
        let _ = self.relayed.head.set(head);
    }

    async fn change(&mut self, mut head: ResponseHead) -> BodyEnd {
        let changes: Vec<Arc<dyn ResponseChange>> = self.of.changes()[self.from..].to_vec();
        let bounds: Vec<Option<u64>> = changes.iter().map(|change| change.body_bound(&head)).collect();
        let Some(most) = bounds.iter().flatten().copied().max() else {
            self.tell(Some(head));
            return self.stream().await;
        };
        let gathered = gather(&mut self.source, most).await;
        let (mut body, mut changed) = (gathered.whole(self.of.charge()), false);
        for (i, (change, bound)) in changes.iter().zip(bounds).enumerate() {
            let Some(bound) = bound else { continue };
            // The trailers are changed at whose reads the body; here only for this change to see.
            let earlier = &self.of.changes()[..self.from + i];
            let before = |sent| earlier.iter().try_fold(sent, |section, change| change.trailers(section));
            match change.body(&self.of, &mut head, body.within(bound).with_trailers(before)).await {
                NewBody::Same => {}
                NewBody::Withheld => {
                    self.tell(Some(head));
                    drop(body);
                    gathered.pieces.into_iter().for_each(|piece| self.withhold(piece));
                    return self.withhold_rest().await;
                }
                NewBody::Other(bytes) => {
                    let trailers = if let Collected::Whole { trailers, .. } = body { trailers } else { None };
                    head.headers.set_length(bytes.len() as u64, false);
                    body = Collected::Whole { bytes, trailers };
                    changed = true;
                }
            }
        }
        self.tell(Some(head));
        match body {
            Collected::Whole { bytes, trailers } if changed => {
                // Where there is no room for it the body has ended as lost.
                self.body.append(bytes);
                BodyEnd::Complete(trailers)
            }
            _ => {
                for piece in gathered.pieces {
                    self.source.done_with(&piece);
                    self.body.append_charged(piece);
                }
                match gathered.end {
                    Some(Ok(end)) => end,
                    Some(Err(reason)) => BodyEnd::Lost(reason),
                    None => self.stream().await,
                }
            }
        }
    }

    /// Passes on what comes as it comes.
    async fn stream(&mut self) -> BodyEnd {
        loop {
            match self.source.next().await {
                Ok(Chunk::Data(bytes)) => {
                    self.source.done_with(&bytes);
                    self.body.append_charged(bytes);
                }
                Ok(Chunk::End(end)) => return end,
                Err(reason) => return BodyEnd::Lost(reason),
            }
        }
    }

    /// Passes on nothing but the length. The end is still waited for, as it tells that of the exchange.
    async fn withhold_rest(&mut self) -> BodyEnd {
        while let Ok(Chunk::Data(bytes)) = self.source.next().await {
            self.withhold(bytes);
        }
        BodyEnd::Lost(DropReason::Withheld)
    }

    fn withhold(&mut self, piece: Bytes) {
        self.source.done_with(&piece);
        self.body.lose(piece.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::SlotBounds;
    use crate::budget::{Budget, Share};
    use crate::http1::Headers;
    use crate::stage::BoxFuture;

    /// Hides all that it sees of a response with a body.
    struct Hide;

    impl ResponseChange for Hide {
        fn head(&self, _of: &Exchange, _head: &mut ResponseHead) {}

        fn body_bound(&self, _head: &ResponseHead) -> Option<u64> {
            Some(100)
        }

        fn body<'a>(&'a self, _of: &'a Exchange, head: &'a mut ResponseHead, _: Collected) -> BoxFuture<'a, NewBody> {
            head.headers = Headers::default();
            Box::pin(std::future::ready(NewBody::Withheld))
        }
    }

    #[tokio::test]
    async fn a_head_is_not_told_unchanged_where_the_body_was_cut_off() {
        let mut exchange = Exchange::of_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None)
            .responded("HTTP/1.1 200 OK\r\nX: secret\r\n\r\n");
        exchange.change_responses(Arc::new(Hide));
        let (budget, bounds) = (Budget::new(1 << 20), |lag| SlotBounds { lag, share: Share::new(1 << 20) });
        let (mut source, mut of_source) = BodyWriter::new([bounds(500)].into_iter(), &budget);
        let (body, mut readers) = BodyWriter::new([bounds(1 << 20)].into_iter(), &budget);
        source.append(Bytes::from(vec![b'x'; 1000]));
        start(&mut exchange, 0, of_source.next().unwrap(), body);
        let (_, head) = exchange.response().unwrap();
        assert_eq!((head.unwrap().headers, exchange.is_over()), (Headers::default(), false));
        let end = readers.next().unwrap().next().await;
        assert_eq!(end, Ok(Chunk::End(BodyEnd::Lost(DropReason::Withheld))));
    }
}
