//! Has the program look at what is answered.
//!
//! A response or an answer that it does not print is recorded by its status alone: it did come, and its headers and body are not to be seen. One that it
//! could not see is so too, or as it was, as configured.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;

use super::*;

/// One exchange's.
pub(super) struct Responses {
    inner: Arc<Inner>,
    /// Whether the program was given the application's response, or will not be.
    told: watch::Sender<bool>,
}

/// What becomes of a head and its body.
enum Seen {
    Same,
    Changed(ResponseHead, Option<Bytes>),
    Hidden,
}

impl Responses {
    pub(super) fn new(inner: Arc<Inner>) -> Responses {
        Responses { inner, told: watch::Sender::new(false) }
    }

    /// Gives a message to the program and tells what it has made of it.
    async fn see(
        &self,
        of: &Exchange,
        (kind, at, took): (Kind, Duration, Duration),
        head: &ResponseHead,
        body: Collected,
    ) -> Seen {
        let program = &self.inner.program;
        let body = match body {
            Collected::Whole { bytes, .. } => Ok(bytes),
            Collected::TooLong => Err(Screening::TooLong),
            Collected::Cut => Err(Screening::Cut),
        };
        let sent = body.and_then(|body| {
            let given = message::of_response(head, &body);
            let reply = self.inner.send(of, kind, at, took, given, body.clone());
            Ok((reply.ok_or(Screening::Full)?, body))
        });
        if kind == Kind::Response {
            self.told.send_replace(true);
        }
        let (reply, body) = match sent {
            Ok((reply, body)) => (reply.await, body),
            Err(why) => {
                program.count(why);
                return self.failed();
            }
        };
        match reply {
            Reply::Unchanged => Seen::Same,
            Reply::Filtered => Seen::Hidden,
            Reply::Failed => self.failed(),
            Reply::Changed(printed) => match message::response(&printed, head, &body) {
                Some((head, new)) => {
                    program.count(Screening::Changed);
                    Seen::Changed(head, new)
                }
                None => {
                    program.count(Screening::Malformed);
                    self.failed()
                }
            },
        }
    }

    fn failed(&self) -> Seen {
        match self.inner.on_failure {
            OnFailure::Drop => Seen::Hidden,
            OnFailure::Pass => Seen::Same,
        }
    }
}

impl ResponseChange for Responses {
    fn head(&self, _of: &Exchange, _head: &mut ResponseHead) {}

    fn body_bound(&self, _head: &ResponseHead) -> Option<u64> {
        Some(self.inner.max_body)
    }

    fn body<'a>(&'a self, of: &'a Exchange, head: &'a mut ResponseHead, body: Collected) -> BoxFuture<'a, NewBody> {
        Box::pin(async move {
            let began = of.response_at().unwrap_or_default();
            let took = of.ended().map_or(Duration::ZERO, |(end, _)| end.saturating_sub(began));
            let what = (Kind::Response, since_epoch(of.started()) + began, took);
            match self.see(of, what, head, body).await {
                Seen::Same => NewBody::Same,
                Seen::Changed(new, body) => {
                    *head = new;
                    body.map_or(NewBody::Same, NewBody::Other)
                }
                Seen::Hidden => {
                    hide(head);
                    NewBody::Withheld
                }
            }
        })
    }

    fn answer<'a>(&'a self, of: &'a Exchange, answer: &'a mut Response) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let at = since_epoch(SystemTime::now()).saturating_sub(answer.total);
            // Programs that compare the two await the application's response first, and a target may be the faster of them.
            let mut told = self.told.subscribe();
            let _ = timeout(self.inner.timeout, told.wait_for(|told| *told)).await;
            let body = answer.collected(self.inner.max_body, of.charge());
            match self.see(of, (Kind::Answer, at, answer.total), &answer.head, body).await {
                Seen::Same => {}
                Seen::Changed(head, body) => {
                    answer.head = head;
                    if let Some(body) = body {
                        answer.replace_body(body, of.charge());
                    }
                }
                Seen::Hidden => {
                    hide(&mut answer.head);
                    answer.withhold_body();
                    answer.trailers = None;
                }
            }
        })
    }
}

fn hide(head: &mut ResponseHead) {
    head.headers = Headers::default();
}
