//! Has the program look at what is answered.
//!
//! A response or an answer that it does not print is recorded by its status alone: it did come, and its headers and body are not to be seen. One that it
//! could not see is so too, or as it was, as configured.

use std::sync::Arc;

use bytes::BytesMut;
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
            let body = collected(of, answer, self.inner.max_body);
            match self.see(of, (Kind::Answer, at, answer.total), &answer.head, body).await {
                Seen::Same => {}
                Seen::Changed(head, body) => {
                    answer.head = head;
                    let Some(body) = body else { return };
                    match of.charge().another(body.len()) {
                        Some(charge) => {
                            answer.body_length = body.len() as u64;
                            answer.body = vec![charge.hold(body)];
                        }
                        None => withhold(answer),
                    }
                }
                Seen::Hidden => {
                    hide(&mut answer.head);
                    withhold(answer);
                }
            }
        })
    }
}

/// What was kept of an answer in one piece.
fn collected(of: &Exchange, answer: &Response, most: u64) -> Collected {
    if answer.truncated.is_some() || answer.body_length > most {
        return Collected::TooLong;
    }
    let bytes = match answer.body.as_slice() {
        [] => Bytes::new(),
        [one] => one.clone(),
        several => {
            let length = several.iter().map(Bytes::len).sum();
            let Some(charge) = of.charge().another(length) else { return Collected::TooLong };
            let mut whole = BytesMut::with_capacity(length);
            several.iter().for_each(|piece| whole.extend_from_slice(piece));
            charge.hold(whole.freeze())
        }
    };
    Collected::Whole { bytes, trailers: None }
}

fn hide(head: &mut ResponseHead) {
    head.headers = Headers::default();
}

fn withhold(answer: &mut Response) {
    answer.body.clear();
    answer.trailers = None;
    answer.truncated = Some(DropReason::Withheld.label());
}
