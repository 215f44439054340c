//! The way in that stands in the path: an HTTP/1.1 proxy on pingora that offers every exchange to the mirror engine.
//!
//! ```text
//!  downstream ──▶ listener ──▶ thread 1..n: door ──▶ pingora ──▶ upstream, or where it was going
//!                                  │ hooks (service)
//!                                  ▼
//!                                 Tee ──▶ ExchangeWriter ──▶ engine
//! ```
//!
//! Each thread has its own runtime, its own pingora proxy and its own pool of upstream connections; nothing is shared between
//! them but counters. Connections are handed out to the threads in turn. pingora's `Server` is not used: without it the proxy can
//! bind port 0, drain by its own rules and keep its own runtimes (signal handling and 300 s of grace come with it).
//!
//! # Traps of pingora 0.9.1, and where each is stepped around
//!
//! | trap | here |
//! |---|---|
//! | a client that closes its sending side after the request aborts the exchange | `set_abort_on_close(false)` in [`service`] |
//! | the second of two pipelined requests is silently dropped | `set_pipelining_enabled(true)` in [`service`] |
//! | a retry replays the request's body through the body filter, as one chunk | [`tee`] counts bytes and offers each once |
//! | no filter tells the end of 204, 304, HEAD and cut answers | the exchange ends in the `logging` hook |
//! | after 101 the body filters see the tunnel's bytes | [`tee`] stops offering and counts them |
//! | the upstream's `Date` is overwritten with our own | [`stream`] puts it back as the head is written |
//! | hop-by-hop headers of answers pass, and so do chunks to HTTP/1.0 clients | [`hop`] |
//! | 1xx heads come through the response filter too | [`tee`] offers the final head only, and 101 |
//! | the client's address is unknown without a socket digest | [`stream`] has one |
//! | head, first 4 KiB of the body and the rest leave by three flushed writes | [`stream`] reads and writes a turn's pieces as one |
//! | upstream connections are of pingora's own type, which flushes; a `VirtualSocket` has no descriptor, by which they are pooled | [`connector`] |
//! | HTTP/2 in plain text reads 24 bytes first and hangs short HTTP/1.0 requests | not enabled |

mod connector;
mod detect;
mod dial;
mod door;
mod failure;
mod handover;
mod hop;
mod listener;
mod proxy_protocol;
mod route;
mod server;
mod service;
mod stream;
mod tee;
mod tunnel;

pub use listener::{BindError, Listeners};
pub use server::{EGRESS, INGRESS, Proxy, ProxyError};
