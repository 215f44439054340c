//! What the listener tells of a capture, kept as lists of messages.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;
use mirror_capture::{Offer, Orphan, Write};
use sha2::{Digest, Sha256};

use crate::oracle::{Body, Message};

/// What was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// In the order of their beginnings.
    pub(crate) requests: Vec<Told>,
    /// In the order of their heads.
    pub(crate) responses: Vec<Told>,
}

/// A message as it was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Its `last` is the time of the last call.
    pub(crate) message: Message,
    /// Its request was never seen, so that its body is not told.
    pub(crate) orphan: bool,
    /// Which request it answers, by its place in the list.
    pub(crate) answers: Option<usize>,
    pub(crate) whole: bool,
    pub(crate) aborted: Option<Abort>,
    body: Sha256,
    /// Bytes that the capture lost.
    pub(crate) lost: u64,
}

impl Told {
    fn new(head: &Bytes, from: SocketAddr, to: SocketAddr, at: Duration) -> Told {
        let (start, headers) = lines(head);
        let message = Message { from, to, start, headers, body: (0, None), first: at, last: at };
        Told { message, orphan: false, answers: None, whole: false, aborted: None, body: Sha256::new(), lost: 0 }
    }

    fn data(&mut self, bytes: &[u8], at: Duration) {
        self.body.update(bytes);
        self.message.body.0 += bytes.len() as u64;
        self.message.last = at;
    }

    pub(crate) fn body(&self) -> Body {
        let sha = || self.body.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.message.body.0, (self.message.body.0 > 0).then(sha))
    }
}

/// The first line without what is not compared, and the header lines with the white space around values removed.
fn lines(head: &[u8]) -> (String, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let start = lines.by_ref().find(|line| !line.is_empty()).unwrap_or_default();
    let start = match start.starts_with("HTTP/") {
        true => start.split(' ').take(2).collect::<Vec<_>>().join(" "),
        false => start.to_owned(),
    };
    let headers = lines.filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
    });
    (start, headers.collect())
}

/// Takes all exchanges.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observer(Arc<Mutex<Observed>>);

impl Observer {
    /// What was told so far.
    pub(crate) fn observed(&self) -> Observed {
        self.0.lock().unwrap().clone()
    }
}

/// One exchange: where its messages are in the lists.
pub(crate) struct Writer {
    observed: Arc<Mutex<Observed>>,
    request: usize,
    response: Option<usize>,
}

impl Writer {
    fn request(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.observed.lock().unwrap().requests[self.request]);
    }

    fn response(&self, tell: impl FnOnce(&mut Told)) {
        if let Some(at) = self.response {
            tell(&mut self.observed.lock().unwrap().responses[at]);
        }
    }
}

impl Offer for Observer {
    type Writer = Writer;

    fn begin(&mut self, head: Bytes, client: SocketAddr, server: SocketAddr, at: Duration, _: bool) -> Option<Writer> {
        let mut observed = self.0.lock().unwrap();
        observed.requests.push(Told::new(&head, client, server, at));
        Some(Writer { observed: self.0.clone(), request: observed.requests.len() - 1, response: None })
    }

    fn orphan(&mut self, orphan: Orphan) {
        let told = Told::new(&orphan.head, orphan.server, orphan.client, orphan.at);
        self.0.lock().unwrap().responses.push(Told { orphan: true, ..told });
    }
}

impl Write for Writer {
    fn ambiguous(&mut self) {}

    fn data(&mut self, bytes: Bytes, at: Duration) {
        self.request(|told| told.data(&bytes, at));
    }

    fn lost(&mut self, length: u64, _: Duration) {
        self.request(|told| told.lost += length);
    }

    fn request_end(&mut self, _: Option<Bytes>, at: Duration) {
        self.request(|told| {
            told.whole = true;
            told.message.last = at;
        });
    }

    fn respond(&mut self, head: Bytes, at: Duration) {
        let mut observed = self.observed.lock().unwrap();
        let Message { from, to, .. } = observed.requests[self.request].message;
        self.response = Some(observed.responses.len());
        let told = Told::new(&head, to, from, at);
        observed.responses.push(Told { answers: Some(self.request), ..told });
    }

    fn response_data(&mut self, bytes: Bytes, at: Duration) {
        self.response(|told| told.data(&bytes, at));
    }

    fn response_lost(&mut self, length: u64, _: Duration) {
        self.response(|told| told.lost += length.max(1));
    }

    fn finish(self, _: Option<Bytes>, at: Duration) {
        self.response(|told| {
            told.whole = true;
            told.message.last = at;
        });
    }

    fn abort(self, why: Abort, _: Duration) {
        self.request(|told| told.aborted = Some(why));
        self.response(|told| told.aborted = Some(why));
    }
}
