//! Stages look at an exchange between the source and the sinks, and let it pass, change it, or keep it from what is behind them.
//!
//! Adding one is a file below `stage/` with its behaviour and tests, its config below `config/stage/`, and a line in [`build`].

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::collected::Collected;
use crate::config::StageConfig;
use crate::engine::EngineError;
use crate::exchange::{Exchange, Response};
use crate::http1::{Headers, ResponseHead};
use crate::middleware::{Place, Selection};
use crate::outcome::{DropReason, SkipReason};
use crate::telemetry::Telemetry;

mod carry;
mod filter;
mod fraction;
mod marker;
mod middleware;
mod rate;
mod redact;
mod rewrite;
mod split;

pub use carry::Carry;
pub use filter::Filter;
pub use fraction::OfKeys;
pub use marker::Marker;
pub use middleware::Screen;
pub use rate::Rate;
pub use redact::Redact;
pub(crate) use redact::read_key;
pub(crate) use rewrite::FRAMING;
pub use rewrite::Rewrite;
pub use split::Split;

/// A boxed future, as traits that are used by reference give it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a stage says of an exchange.
pub enum Verdict {
    /// Go on.
    Continue,
    /// Not for what is behind this stage. That is a choice, no loss: it counts as skipped.
    Skip(SkipReason),
    /// It is given up here, which counts as dropped.
    Drop(DropReason),
    /// Not before something else is there.
    Wait(Need),
}

/// What a stage waits for.
pub enum Need {
    /// More of the response: first its head, then its end, of which [`Exchange::facts`] tells. Asked again at the exchange's end, the stage is not
    /// to wait any more; if it does it counts as to go on.
    Response,
    /// The request's whole body; [`Exchange::body`] has it when the stage is asked again.
    Body,
    /// Work of its own. The verdict that comes of it stands for the stage's.
    Work(BoxFuture<'static, Conclusion>),
}

/// What comes of a stage's own work.
pub type Conclusion = Box<dyn FnOnce(&mut Exchange) -> Verdict + Send>;

/// A step between source and sinks. It sees the head; the bodies flow past it, unless it asks for them.
pub trait Stage: Send + Sync + 'static {
    /// Looks at one exchange; must not wait itself.
    fn apply(&self, exchange: &mut Exchange) -> Verdict;

    /// Whether it may need the response: responses are looked at for its sake.
    fn needs_response(&self) -> bool {
        false
    }

    /// Which bodies it may need as a whole: they are collected for its sake.
    fn needs_bodies(&self) -> Bodies {
        Bodies::default()
    }

    /// How full what exchanges wait in is, where `arriving` more come: 0 is empty, 1 is where exchanges are given up. For sources that can wait.
    fn level(&self, _arriving: usize) -> f32 {
        0.0
    }

    /// Hides what is secret of a path that is to be logged.
    fn redact_path(&self, _path: &mut String) {}
}

/// The bodies that stages may need as a whole, each with the most bytes that are collected of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bodies {
    /// Of requests.
    pub request: Option<u64>,
    /// Of responses.
    pub response: Option<u64>,
    /// Whether responses, and as much of targets' answers, are kept for it even if nobody else reads them.
    pub unread: bool,
}

impl Bodies {
    /// The most bytes of responses and answers that are kept though nobody else reads them.
    pub fn response_unread(&self) -> Option<u64> {
        self.response.filter(|_| self.unread)
    }

    /// What both need.
    pub fn and(self, other: Bodies) -> Bodies {
        Bodies {
            request: self.request.max(other.request),
            response: self.response.max(other.response),
            unread: self.unread || other.unread,
        }
    }
}

/// How a stage changes responses. It is put on an exchange with its request ([`Exchange::change_responses`]), and used when the response comes: the
/// request does not wait for that.
pub trait ResponseChange: Send + Sync + 'static {
    /// Changes the head, as far as the body does not matter for it. It may be asked several times, each time with the head as it came.
    fn head(&self, of: &Exchange, head: &mut ResponseHead);

    /// The most bytes of the body of a response with this head that it has to see at once; none where the head is enough.
    fn body_bound(&self, _head: &ResponseHead) -> Option<u64> {
        None
    }

    /// Changes a response that it had a [bound](Self::body_bound) for. The head has been through [`head`](Self::head); its framing is mended afterwards.
    fn body<'a>(&'a self, _of: &'a Exchange, _head: &'a mut ResponseHead, _body: Collected) -> BoxFuture<'a, NewBody> {
        Box::pin(std::future::ready(NewBody::Same))
    }

    /// Changes a trailer section, for each who reads it; none takes it out.
    fn trailers(&self, section: Bytes) -> Option<Bytes> {
        Some(section)
    }

    /// Changes what a target answered, before anybody reads it.
    fn answer<'a>(&'a self, _of: &'a Exchange, _answer: &'a mut Response) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What becomes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewBody {
    /// It is as it was.
    Same,
    /// It is this.
    Other(Bytes),
    /// Nobody gets to see it.
    Withheld,
}

/// What stages look into where they are, in bytes.
const AT_ONCE: usize = 64 * 1024;

/// Whether a body of so many bytes with these headers is looked into at once. A longer one, or a compressed one, takes long enough to have other
/// exchanges wait, and goes to a thread of its own.
fn is_quick(headers: &Headers, length: usize) -> bool {
    let mut transfer = headers.get_all("transfer-encoding");
    let is_plain = headers.get("content-encoding").is_none() && transfer.all(|it| it.eq_ignore_ascii_case(b"chunked"));
    length <= AT_ONCE && is_plain
}

/// The stage that a configuration asks for at a place; `sinks` are their names in the order of their numbers.
///
/// # Errors
/// When it needs something of the system that is not to be had.
pub(crate) fn build(
    config: &StageConfig,
    place: Place<'_>,
    sinks: &[String],
    programs: &Selection<'_>,
    telemetry: &Telemetry,
) -> Result<Box<dyn Stage>, EngineError> {
    Ok(match config {
        // One that stands before a recorder or before all was refused with the settings.
        StageConfig::Carry(config) => Box::new(Carry::new(config, place.sink.unwrap_or_default(), telemetry)),
        StageConfig::Filter(config) => Box::new(Filter::new(config)),
        StageConfig::Fraction(config) => Box::new(OfKeys::new(config)),
        StageConfig::Middleware(config) => Box::new(Screen::new(config, programs.get(place, config)?)),
        StageConfig::Rate(config) => Box::new(Rate::new(config, telemetry)),
        StageConfig::Redact(config) => Box::new(Redact::new(config, telemetry).map_err(EngineError::Redact)?),
        StageConfig::Rewrite(config) => Box::new(Rewrite::new(config)),
        StageConfig::Split(config) => Box::new(Split::new(config, sinks)),
    })
}
