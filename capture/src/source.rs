//! Where packets come from: interfaces, saved captures, and VXLAN datagrams that a cloud's traffic mirroring sends.
//!
//! ```text
//!  eth0 ──▶ ring ─┐
//!  any  ──▶ ring ─┼─ poll ─▶ one thread ─▶ Sink          a.pcap ─┐
//!  :4789 ▶ socket ┘                                      b.gz ─▶ inflate ─▶ pipe ─┴─▶ one thread ─▶ Sink
//! ```
//!
//! All that is live is read by one thread, because the two directions of a connection may come in by two interfaces, and one packet may
//! be seen on several. Saved captures are read one after the other by another thread, as fast as the [`Sink`] takes them.
//!
//! The clock of a saved capture is its packets'; that of a live one is its packets' too while there are any, so that a reader that has
//! fallen behind gives up nothing early, and the system's when there are none.

mod error;
mod feed;
mod filter;
mod interfaces;
mod live;
pub mod privileges;
mod reader;
mod saved;
mod stats;
mod stop;
mod ticker;
mod vxlan;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

pub use error::OpenError;
pub use interfaces::{Interface, interfaces};
pub use live::LiveOptions;
pub use saved::{Cut, SavedOptions};
pub use stats::LiveStats;
pub use ticker::TICK;
pub use vxlan::VxlanOptions;

use crate::{LinkType, Packet};
use live::Live;
use reader::Source;
use saved::Saved;
use stats::Counts;
use stop::Stop;
use vxlan::Vxlan;

/// What packets are pushed through: all steps of the listener, or a test's counters.
pub trait Sink {
    /// A packet, in the order of its source. Times may go back by a little between interfaces and CPUs.
    fn packet(&mut self, packet: Packet<'_>);
    /// That it is `now` (since the Unix epoch): about every [`TICK`] of the source's clock.
    fn tick(&mut self, now: Duration);
    /// There is nothing more. Called once, last.
    fn end(&mut self, now: Duration);
}

/// One source of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceOptions {
    /// An interface.
    Live(LiveOptions),
    /// A saved capture.
    Saved(SavedOptions),
    /// A socket that VXLAN datagrams come to.
    Vxlan(VxlanOptions),
}

/// Which of the two threads a [`Sink`] is for: they have clocks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeline {
    /// Now.
    Live,
    /// When the capture was made. Here a sink may wait, which only slows the reading.
    Saved,
}

/// Sources that are open and not yet read.
pub struct Captures {
    live: Vec<Source>,
    saved: Vec<Saved>,
    stop: Stop,
}

impl Captures {
    /// Opens all of them. `reads` says which link types can be decoded.
    ///
    /// # Errors
    /// All that cannot be opened, each with its place among `sources` and what to do about it.
    pub fn open(sources: &[SourceOptions], reads: fn(LinkType) -> bool) -> Result<Captures, Vec<(usize, OpenError)>> {
        let stop = Stop::new().map_err(|error| vec![(0, OpenError::System(error))])?;
        let mut captures = Captures { live: Vec::new(), saved: Vec::new(), stop };
        let mut errors = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let opened = match source {
                SourceOptions::Live(options) => {
                    Live::open(options, reads).map(|live| captures.live.push(Source::Live(live)))
                }
                SourceOptions::Vxlan(options) => {
                    Vxlan::open(options).map(|vxlan| captures.live.push(Source::Vxlan(vxlan)))
                }
                SourceOptions::Saved(options) => {
                    Saved::open(options, reads, &captures.stop).map(|saved| captures.saved.push(saved))
                }
            };
            errors.extend(opened.err().map(|error| (at, error)));
        }
        if errors.is_empty() { Ok(captures) } else { Err(errors) }
    }

    /// Whether any of them is an interface, which may have to be opened again: [`privileges::drop_all_but`] must then keep what that needs.
    pub fn reopens(&self) -> bool {
        self.live.iter().any(|source| matches!(source, Source::Live(_)))
    }

    /// The addresses of the VXLAN sockets, in order: with port 0, the port that was given.
    pub fn vxlan_addresses(&self) -> Vec<std::net::SocketAddr> {
        self.live
            .iter()
            .filter_map(|source| if let Source::Vxlan(vxlan) = source { Some(vxlan.address()) } else { None })
            .collect()
    }

    /// Reads them, on a thread for what is live and one for what is saved; `sink` makes what each pushes into.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start<S: Sink + Send + 'static>(self, mut sink: impl FnMut(Timeline) -> S) -> std::io::Result<Running> {
        let Captures { live, saved, stop } = self;
        let counts = live.iter().map(Source::counts).collect();
        let cuts = Arc::new(Mutex::new(Vec::new()));
        let (at_end, ended) = watch::channel(());
        let mut threads = Vec::new();
        if !live.is_empty() {
            let (sink, stop, at_end) = (sink(Timeline::Live), stop.clone(), at_end.clone());
            threads.push(std::thread::Builder::new().name("capture".into()).spawn(move || {
                let _at_end = at_end;
                reader::live(live, sink, &stop);
            })?);
        }
        if !saved.is_empty() {
            let (sink, stop, at_end, cuts) = (sink(Timeline::Saved), stop.clone(), at_end.clone(), cuts.clone());
            threads.push(std::thread::Builder::new().name("capture-file".into()).spawn(move || {
                let _at_end = at_end;
                reader::saved(saved, sink, &stop, &cuts);
            })?);
        }
        Ok(Running { stop, counts, cuts, ended, threads })
    }
}

/// Sources being read. Dropped, they are stopped, and it is not waited for them.
pub struct Running {
    stop: Stop,
    counts: Vec<Arc<Counts>>,
    cuts: Arc<Mutex<Vec<Cut>>>,
    // Its senders are with the threads: closed when the last of them has ended, however it ended.
    ended: watch::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Waits until all are read to their end, which interfaces never are, or were stopped.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Whether they are.
    pub fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Asks them to stop: what rings and sockets hold by now is still read, which takes a second at
    /// most. Does not wait.
    pub fn stop(&self) {
        self.stop.set();
    }

    /// Waits for the threads. False if one of them panicked.
    pub fn join(mut self) -> bool {
        let outcomes = self.threads.drain(..).map(JoinHandle::join).collect::<Vec<_>>();
        outcomes.iter().all(Result::is_ok)
    }

    /// The saved captures, of those read so far, that ended before their end.
    pub fn cut(&self) -> Vec<Cut> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the live ones do, in the order they were given.
    pub fn stats(&self) -> Vec<LiveStats> {
        self.counts.iter().map(|counts| counts.read()).collect()
    }

    /// The same for who looks again and again, e.g. for metrics.
    pub fn watches(&self) -> Vec<impl Fn() -> LiveStats + Clone + Send + 'static> {
        let watch = |counts: &Arc<Counts>| {
            let counts = counts.clone();
            move || counts.read()
        };
        self.counts.iter().map(watch).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.set();
    }
}

#[cfg(test)]
mod tests;
