//! The harness of the end-to-end tests: the real binary as a process, and real sockets on the loopback before and behind it.
//!
//! ```text
//!   Conn (the client) ──▶ Mirror (the process) ──▶ Server (the upstream)
//!                              │
//!                              └───────────────▶ Server (a target)
//! ```
//!
//! A test is a transcript: what the client sends, what the upstream and the targets see of it byte for byte, what comes back.
//! Every port is 0, so that tests run side by side. Nothing sleeps for a fixed time; what is waited for is waited for within
//! [`WITHIN`], which no assertion depends on.

use std::time::{Duration, Instant};

mod address;
pub mod capture;
pub mod coding;
mod command;
mod config;
mod conn;
pub mod curl;
mod dialogue;
mod folder;
mod gate;
pub mod listener;
mod message;
mod metrics;
pub mod middleware;
mod names;
mod namespace;
pub mod nginx;
pub mod pod;
mod process;
pub mod recording;
pub mod redirected;
mod reload;
pub mod replay;
pub mod secrets;
mod server;
mod slow_disk;
mod summary;
mod tap;
mod tape;
mod terminal;
pub mod upload;
pub mod wire;
pub mod wrk;

pub use address::{BlackHole, Refusing};
pub use command::{Unprivileged, is_there, refusal, run_to_end};
pub use config::Config;
pub use conn::Conn;
pub use dialogue::{Dialogue, Stage};
pub use folder::{Folder, Ran, Started};
pub use gate::Gate;
pub use message::Message;
pub use metrics::Metrics;
pub use names::Names;
pub use namespace::Namespace;
pub use process::{Exit, Mirror, binary};
/// For configurations, and for lines of the log.
pub use serde_json::{Value, json};
pub use server::Server;
pub use slow_disk::SlowDisk;
pub use summary::{SinkSummary, Summary};
pub use tape::Tape;
pub use terminal::Terminal;

/// How long anything is waited for before a test gives up. Far longer than anything takes, even on a busy machine.
pub const WITHIN: Duration = Duration::from_secs(20);

/// Looks until `ready` gives something, and gives that.
///
/// # Panics
/// When nothing came within `within`; `what` says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + within;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < until, "waited {within:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
