//! Lists of frames through all steps, and what must hold whatever they are. Shared by the tests and the fuzz target.
//!
//! They go through twice: through the [`Assembly`] as it is, and step by step with a look at what each hands on. Both tell the same.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;
use mirror_capture::assembly::{Assembly, Counters};
use mirror_capture::flow::Limits;
use mirror_capture::source::Sink;
use mirror_capture::{LinkType, Offer, Orphan, Packet, Write};

use super::strict;

/// A capture.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The servers'; none: all.
    pub(crate) ports: Vec<u16>,
    pub(crate) limits: Limits,
    pub(crate) steps: Vec<Step>,
}

/// What comes next in it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A frame of this link type, of which so many bytes more were not captured.
    Frame { link: i32, data: Vec<u8>, beyond: u32 },
    /// One of those before, once more.
    Again(u8),
    /// So many milliseconds pass, or the stamps go back.
    Elapse(i32),
    /// The source tells the time.
    Tick,
}

/// One step, with the time it is.
pub(super) enum Event<'a> {
    Packet(Packet<'a>),
    Tick(Duration),
}

impl Case {
    pub(super) fn each<'a>(&'a self, mut event: impl FnMut(Event<'a>)) {
        let mut time = Duration::from_secs(1_700_000_000);
        let mut frames = Vec::new();
        for step in &self.steps {
            match step {
                Step::Frame { link, data, beyond } => frames.push((*link, data, *beyond)),
                Step::Again(number) if !frames.is_empty() => frames.push(frames[usize::from(*number) % frames.len()]),
                Step::Again(_) => continue,
                Step::Elapse(milliseconds) => {
                    let by = Duration::from_millis(milliseconds.unsigned_abs().into());
                    time = if *milliseconds < 0 { time.saturating_sub(by) } else { time + by };
                    continue;
                }
                Step::Tick => {
                    event(Event::Tick(time));
                    continue;
                }
            }
            time += Duration::from_micros(100);
            if let Some((link, data, beyond)) = frames.last() {
                let length = (data.len() as u32).saturating_add(*beyond);
                event(Event::Packet(Packet { time, link: LinkType(*link), data, length }));
            }
        }
    }
}

/// Runs the capture and checks what must hold whatever it is; `each` is called after each packet. Gives the
/// exchanges, a line each.
///
/// # Panics
/// When it does not hold.
pub(crate) fn run(case: &Case, each: impl FnMut()) -> Vec<String> {
    let (assembled, counters) = assembled(case, each);
    let strict = strict::run(case);
    assert_eq!(strict.digest, assembled, "all steps in a row tell the same as each for itself");
    let unreadable: u64 = counters.unreadable.iter().sum();
    assert_eq!(counters.flows, strict.flows);
    assert_eq!((counters.other, counters.fragments, unreadable), (strict.other, strict.fragments, strict.unreadable));
    assert_eq!(counters.packets, counters.flows.segments + counters.other + counters.fragments + unreadable);
    assert_eq!((counters.opaque, counters.losses), (strict.opaque, strict.losses));
    assert_eq!((counters.entries, counters.held), (0, 0));
    strict.lines
}

/// Through the assembly; what it tells is digested and dropped, so that all memory is its own.
fn assembled(case: &Case, mut each: impl FnMut()) -> (u64, Counters) {
    let digest = Digest::default();
    let mut assembly = Assembly::new(digest.clone(), case.limits, &case.ports);
    let counters = assembly.counters();
    case.each(|event| match event {
        Event::Packet(packet) => {
            assembly.packet(packet);
            each();
        }
        Event::Tick(now) => {
            assembly.tick(now);
            let counters = *counters.lock().unwrap();
            assert!(counters.entries <= case.limits.flows && counters.held <= case.limits.bytes);
        }
    });
    assembly.end(Duration::ZERO);
    let counters = *counters.lock().unwrap();
    (digest.finish(), counters)
}

/// All that is told, as one number.
#[derive(Clone, Default)]
pub(super) struct Digest(Rc<RefCell<(DefaultHasher, u64)>>);

impl Digest {
    fn note(&self, what: impl Hash) {
        what.hash(&mut self.0.borrow_mut().0);
    }

    pub(super) fn finish(&self) -> u64 {
        self.0.borrow().0.finish()
    }
}

impl Offer for Digest {
    type Writer = Digested;

    fn begin(
        &mut self,
        head: Bytes,
        client: SocketAddr,
        server: SocketAddr,
        at: Duration,
        ambiguous: bool,
    ) -> Option<Digested> {
        let number = {
            let (_, count) = &mut *self.0.borrow_mut();
            *count += 1;
            *count
        };
        self.note((number, head, client, server, at, ambiguous));
        // Some are not wanted.
        (!number.is_multiple_of(7)).then(|| Digested { digest: self.clone(), number })
    }

    fn orphan(&mut self, orphan: Orphan) {
        self.note((orphan.head, orphan.client, orphan.server, orphan.at));
    }
}

/// Writes one exchange into the digest. Why an exchange was aborted is not in it.
pub(super) struct Digested {
    digest: Digest,
    number: u64,
}

impl Write for Digested {
    fn ambiguous(&mut self) {
        self.digest.note((self.number, "ambiguous"));
    }
    fn data(&mut self, bytes: Bytes, at: Duration) {
        self.digest.note((self.number, "data", bytes, at));
    }
    fn lost(&mut self, length: u64, at: Duration) {
        self.digest.note((self.number, "lost", length, at));
    }
    fn request_end(&mut self, trailers: Option<Bytes>, at: Duration) {
        self.digest.note((self.number, "request", trailers, at));
    }
    fn respond(&mut self, head: Bytes, at: Duration) {
        self.digest.note((self.number, "respond", head, at));
    }
    fn response_data(&mut self, bytes: Bytes, at: Duration) {
        self.digest.note((self.number, "response data", bytes, at));
    }
    fn response_lost(&mut self, length: u64, at: Duration) {
        self.digest.note((self.number, "response lost", length, at));
    }
    fn finish(self, trailers: Option<Bytes>, at: Duration) {
        self.digest.note((self.number, "finish", trailers, at));
    }
    fn abort(self, _: Abort, at: Duration) {
        self.digest.note((self.number, "abort", at));
    }
}
