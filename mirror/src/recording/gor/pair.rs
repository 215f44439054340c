//! Requests and responses put together by their ID, within bounds, in the order of the requests.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::message::{self, Head, Meta, Type};
use super::{MAX_WAITING, MAX_WAITING_BYTES};
use crate::recording::{Losses, Record, RecordedAnswer, time};

/// What comes of messages.
pub(super) struct Paired<'a> {
    pub(super) ready: &'a mut VecDeque<Record>,
    pub(super) losses: &'a mut Losses,
}

/// What waits for its other half.
#[derive(Default)]
pub(super) struct Waiting {
    /// In the order in which they came.
    requests: VecDeque<Request>,
    /// The number of the first of these.
    first: u64,
    /// Of each ID the request that came last, by its number.
    by_id: HashMap<u128, u64>,
    /// Responses that came before their requests, the oldest first; rarely any.
    early: VecDeque<Early>,
    /// Bytes of all together.
    bytes: usize,
    /// There are answers in this file: a request waits for its own too.
    has_answers: bool,
}

struct Request {
    record: Record,
    /// Nanoseconds since 1970.
    at: i64,
    bytes: usize,
}

struct Early {
    meta: Meta,
    payload: Bytes,
    offset: u64,
}

impl Waiting {
    /// Takes a message whose payload begins so far into the file.
    pub(super) fn take(&mut self, meta: Meta, payload: Bytes, offset: u64, to: &mut Paired<'_>) {
        match meta.kind {
            Type::Request => self.request(meta, payload, offset, to),
            Type::Response | Type::Answer => {
                self.has_answers |= meta.kind == Type::Answer;
                if let Some(early) = self.answer(Early { meta, payload, offset }, to) {
                    self.bytes += early.payload.len();
                    self.early.push_back(early);
                }
                self.go_on(meta.id, to);
            }
        }
        self.keep_within(to);
    }

    /// The input has ended: nothing is waited for any more.
    pub(super) fn end(&mut self, to: &mut Paired<'_>) {
        while self.requests.front().is_some() {
            self.emit(to);
        }
        self.early.drain(..).for_each(|early| orphan(&early, to));
    }

    fn request(&mut self, meta: Meta, payload: Bytes, offset: u64, to: &mut Paired<'_>) {
        // What is complete has only waited for more of its own.
        self.go_on(meta.id, to);
        let Some((Head::Request(head), length)) = message::head(Type::Request, &payload) else {
            return to.losses.stretch(offset, payload.len() as u64, "not an HTTP/1 request");
        };
        let (request, behind) = message::request(head, payload.slice(length..));
        if behind > 0 {
            let at = offset + (payload.len() - behind) as u64;
            to.losses.stretch(at, behind as u64, "bytes behind the end of a request");
        }
        let record = Record {
            id: meta.id,
            started: time::at_micros(meta.at.div_euclid(1000)).expect("64 bits of nanoseconds are a time"),
            source: "gor".to_owned(),
            client: client(meta.id),
            server: None,
            request,
            response: None,
            aborted: None,
            request_end: Some(Duration::from_nanos(meta.took / 1000 * 1000)),
            response_start: None,
            end: None,
            answers: Vec::new(),
        };
        let number = self.first + self.requests.len() as u64;
        self.by_id.insert(meta.id, number);
        self.bytes += payload.len();
        self.requests.push_back(Request { record, at: meta.at, bytes: payload.len() });
        // Mostly none at all.
        if self.early.iter().any(|early| early.meta.id == meta.id) {
            for early in std::mem::take(&mut self.early) {
                if early.meta.id == meta.id {
                    self.bytes -= early.payload.len();
                    if let Some(early) = self.answer(early, to) {
                        orphan(&early, to);
                    }
                } else {
                    self.early.push_back(early);
                }
            }
        }
    }

    /// Gives a response or an answer to its request; back where that is not there.
    fn answer(&mut self, early: Early, to: &mut Paired<'_>) -> Option<Early> {
        let Early { meta, payload, offset } = &early;
        let index = self.by_id.get(&meta.id).and_then(|number| number.checked_sub(self.first));
        let Some(request) = index.and_then(|index| self.requests.get_mut(usize::try_from(index).ok()?)) else {
            return Some(early);
        };
        let record = &mut request.record;
        // Another one to the same request; but what came first was none yet (RFC 9110 §15.2).
        if meta.kind == Type::Response && record.response.as_ref().is_some_and(|response| !is_interim(response.status))
        {
            return Some(early);
        }
        let Some((Head::Response(head), length)) = message::head(meta.kind, payload) else {
            to.losses.stretch(*offset, payload.len() as u64, "not an HTTP/1 response");
            return None;
        };
        let (response, behind) = message::response(&record.request.method, head, payload.slice(length..));
        if behind > 0 {
            let at = offset + (payload.len() - behind) as u64;
            to.losses.stretch(at, behind as u64, "bytes behind the end of a response");
        }
        let took = Duration::from_nanos(meta.took / 1000 * 1000);
        if meta.kind == Type::Answer {
            record.answers.push(RecordedAnswer {
                target: "target".to_owned(),
                outcome: "delivered".to_owned(),
                response: Some(response),
                first_byte: None,
                total: Some(took),
            });
        } else {
            record.response = Some(response);
            let since = u64::try_from(meta.at.saturating_sub(request.at)).unwrap_or(0);
            let start = Duration::from_nanos(since / 1000 * 1000);
            record.response_start = Some(start);
            record.end = Some(start.saturating_add(took));
        }
        request.bytes += payload.len();
        self.bytes += payload.len();
        None
    }

    /// Lets go of the requests that wait for nothing, the first first, but for one that may just have more of its own behind it.
    fn go_on(&mut self, id: u128, to: &mut Paired<'_>) {
        while let Some(Request { record, .. }) = self.requests.front() {
            let is_answered = record.response.as_ref().is_some_and(|response| !is_interim(response.status));
            if !is_answered || (self.has_answers && record.answers.is_empty()) || record.id == id {
                return;
            }
            self.emit(to);
        }
    }

    fn emit(&mut self, to: &mut Paired<'_>) {
        let Some(Request { record, bytes, .. }) = self.requests.pop_front() else { return };
        if self.by_id.get(&record.id) == Some(&self.first) {
            self.by_id.remove(&record.id);
        }
        self.first += 1;
        self.bytes -= bytes;
        to.ready.push_back(record);
    }

    fn keep_within(&mut self, to: &mut Paired<'_>) {
        while self.early.len() > MAX_WAITING || (self.bytes > MAX_WAITING_BYTES && !self.early.is_empty()) {
            let Some(early) = self.early.pop_front() else { break };
            self.bytes -= early.payload.len();
            orphan(&early, to);
        }
        while self.requests.len() > MAX_WAITING || (self.bytes > MAX_WAITING_BYTES && self.requests.len() > 1) {
            self.emit(to);
        }
    }
}

fn orphan(early: &Early, to: &mut Paired<'_>) {
    to.losses.orphan(early.offset, "a response without a request");
}

/// A response that another one follows; all below 200 but 101.
fn is_interim(status: u16) -> bool {
    matches!(status, 100 | 102..=199)
}

/// The client that an ID names by GoReplay's rule; none where it does not.
fn client(id: u128) -> Option<SocketAddr> {
    let port = (id >> 80) as u16;
    let address = Ipv4Addr::from((id >> 32) as u32);
    (id >> 96 == 0 && port != 0 && !address.is_unspecified()).then(|| SocketAddr::from((address, port)))
}
