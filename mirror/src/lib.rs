//! The mirror engine: takes exchanges that a source offers, and brings them to sinks, without the source ever waiting.
//!
//! # The life of an exchange
//!
//! ```text
//!  source's thread                 │ engine's thread(s)
//!                                  │
//!  Tap::begin(head) ─── Arrival ───┼──▶ Fanout ── Pipeline ──┬─ Queue ──▶ Shadow ──▶ target
//!     │                            │    parses the head,     │              ▲  │
//!     ▼                            │    runs the stages      │              │  └ Answer ─┐
//!  ExchangeWriter                  │                         └─ Queue ──▶ Recorder ◀────┘
//!     data, request_end ───────────┼─▶ body: a chain of chunks, ─┴──────────┴ read by each at its own pace
//!     respond, response_data ──────┼─▶ body
//!     finish | abort               │
//! ```
//!
//! A source sees the head of a request and calls [`source::Tap::begin`]. There it is decided, before anything else is spent on
//! it, whether the exchange is within the fraction that is mirrored, and whether the byte budget ([`budget`]) has room for it. What
//! follows is written into an [`source::ExchangeWriter`]: a body's bytes are appended to a lock-free chain ([`body`]) that every
//! sink reads at its own pace; a sink that falls too far behind is cut off, alone.
//!
//! Each exchange belongs to the generation of stages and sinks that it began in, to its end, so that others can be put in their place meanwhile
//! ([`control`]).
//!
//! On the engine's threads the fan-out parses the head, runs the stages, and puts the exchange into each sink's bounded queue. Sinks
//! ([`sink`]) work while the exchange is still under way: a shadow sends its copy as the body flows.
//!
//! A stage ([`stage`]) that needs more than the head says so, and the exchange is held back for the sinks behind it until that is there: the
//! request's body as a whole ([`collected`]), more of the response, or work of the stage's own, as where a program of the user's looks at it ([`middleware`]). How responses are to be changed is put on the
//! exchange; they go through a relay when they come, and nothing waits for them.
//!
//! A recording that is sent again ([`replay`]) is a source like the others, but one that knows when each request is due.
//!
//! Whatever happens, each sink's account of each exchange ([`exchange::Account`]) is settled exactly once, as delivered, dropped or failed,
//! with a reason ([`outcome`]); the counters in [`telemetry`] are their sums.

pub mod body;
pub mod budget;
pub mod collected;
pub mod condition;
pub mod config;
pub mod content;
pub mod control;
pub mod engine;
pub mod exchange;
mod fanout;
mod generation;
pub mod http1;
mod looks;
pub mod middleware;
pub mod outcome;
#[doc(hidden)]
pub mod pipeline;
pub mod pressure;
pub mod queue;
pub mod recording;
mod relay;
mod reload;
pub mod replay;
pub mod resolve;
pub mod sink;
pub mod source;
pub mod stage;
pub mod telemetry;
pub mod template;
