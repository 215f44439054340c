//! Secrets in responses and in what targets answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;

use super::tally::Tally;
use super::{Look, Looked, Rules, is_partial, mend};
use crate::collected::Collected;
use crate::exchange::{Exchange, Response};
use crate::http1::ResponseHead;
use crate::stage::{BoxFuture, NewBody, ResponseChange};

/// Redacts the response of one exchange, and the answers.
pub(super) struct Responses {
    rules: Arc<Rules>,
    /// Whoever asks for the head has it redacted anew; it counts once. The same of trailers.
    head_counted: AtomicBool,
    trailers_counted: AtomicBool,
}

impl Responses {
    pub(super) fn new(rules: Arc<Rules>) -> Responses {
        Responses { rules, head_counted: AtomicBool::new(false), trailers_counted: AtomicBool::new(false) }
    }

    async fn look(&self, of: &Exchange, head: &ResponseHead, body: Collected) -> Looked {
        let partial = is_partial(Some(head.status), &head.headers);
        let (looked, tally) = match self.rules.look(&head.headers, partial, body, of.charge()) {
            Look::Done(looked) => looked,
            Look::Working(work) => work.await,
        };
        if let Err(reason) = looked {
            self.rules.metrics.withheld.inc(reason as usize);
        }
        (looked, tally)
    }
}

impl ResponseChange for Responses {
    fn head(&self, _of: &Exchange, head: &mut ResponseHead) {
        let mut tally = Tally::default();
        self.rules.response(head, &mut tally);
        if !self.head_counted.swap(true, Relaxed) {
            tally.add_to(&self.rules.metrics);
        }
    }

    fn body_bound(&self, head: &ResponseHead) -> Option<u64> {
        self.rules.bound(&head.headers)
    }

    fn body<'a>(&'a self, of: &'a Exchange, head: &'a mut ResponseHead, body: Collected) -> BoxFuture<'a, NewBody> {
        Box::pin(async move {
            let (looked, tally) = self.look(of, head, body).await;
            tally.add_to(&self.rules.metrics);
            mend(&mut head.headers, &looked);
            match looked {
                Ok(None) => NewBody::Same,
                Ok(Some(content)) => NewBody::Other(content.bytes),
                Err(_) => NewBody::Withheld,
            }
        })
    }

    fn trailers(&self, section: Bytes) -> Option<Bytes> {
        self.rules.counted_trailers(&section, &self.trailers_counted)
    }

    fn answer<'a>(&'a self, of: &'a Exchange, answer: &'a mut Response) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut tally = Tally::default();
            if self.rules.looks_into_bodies() {
                let body = answer.collected(self.rules.max_body, of.charge());
                let (looked, within) = self.look(of, &answer.head, body).await;
                within.add_to(&self.rules.metrics);
                mend(&mut answer.head.headers, &looked);
                match looked {
                    Ok(None) => {}
                    Ok(Some(content)) => {
                        answer.head.headers.set_length(content.bytes.len() as u64, false);
                        answer.replace_body(content.bytes, of.charge());
                    }
                    Err(_) => answer.withhold_body(),
                }
            }
            self.rules.response(&mut answer.head, &mut tally);
            answer.trailers = answer.trailers.take().and_then(|section| self.rules.trailers(&section, &mut tally));
            tally.add_to(&self.rules.metrics);
        })
    }
}
