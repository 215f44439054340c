//! All that a configuration captures, from the packets to the engine: opens the sources, pushes their packets through all steps, and tells
//! how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mirror::config::{CaptureConfig, CaptureFrom, Config, Fault, ReassemblyConfig};
use mirror::pressure::Patience;
use mirror::source::Tap;
use mirror::telemetry::Telemetry;

use crate::assembly::Assembly;
use crate::decode::Decoder;
use crate::metrics::{self, Told};
use crate::source::privileges;
pub use crate::source::privileges::CapabilitySet;
use crate::source::{self, LiveOptions, OpenError, SavedOptions, Sink, SourceOptions, Timeline, VxlanOptions};
use crate::{Packet, Tapped, flow};

/// How long a saved capture's reader rests before it asks again whether there is room.
const REST: Duration = Duration::from_millis(1);

/// A saved capture's reader asks for room once in so many packets: a few megabytes at most.
const ASK_EVERY: u32 = 16;

/// Everything in `config.capture`, open and not yet read.
pub struct Captures {
    sources: source::Captures,
    limits: flow::Limits,
    live_ports: Vec<u16>,
    saved_ports: Vec<u16>,
}

/// Captures that are being read.
pub struct Running {
    sources: source::Running,
}

impl Captures {
    /// Opens all.
    ///
    /// # Errors
    /// Every one that cannot be had, each with its key (`capture[0].interface`).
    pub fn open(config: &Config) -> Result<Captures, Vec<Fault>> {
        let options: Vec<SourceOptions> = config.capture.iter().map(options).collect();
        let sources = source::Captures::open(&options, Decoder::supports).map_err(|errors| {
            errors.iter().map(|(at, error)| fault(*at, &config.capture[*at], error)).collect::<Vec<_>>()
        })?;
        let (saved, live): (Vec<_>, Vec<_>) = config.capture.iter().partition(|capture| capture.is_saved());
        let limits = limits(&config.limits.reassembly);
        Ok(Captures { sources, limits, live_ports: ports(&live), saved_ports: ports(&saved) })
    }

    /// Gives up every privilege that is not needed from here on: CAP_NET_RAW is kept where an interface may have to be opened again, and what is
    /// needed `for_others` in the process. For this thread and those that it starts afterwards.
    pub fn drop_privileges(&self, for_others: CapabilitySet) {
        match privileges::drop_all_but(privileges::needed(self.sources.reopens(), for_others)) {
            Ok(dropped) => tracing::debug!(kept = ?dropped.kept, "other privileges given up"),
            Err(error) => tracing::warn!(%error, "privileges cannot be given up"),
        }
    }

    /// Starts to read, into a tap whose exchanges are counted as [`crate::SOURCE`]'s.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, tap: &Tap, telemetry: &Arc<Telemetry>) -> std::io::Result<Running> {
        let tapped = Tapped::new(tap.clone(), telemetry);
        let told = Told::default();
        let Captures { sources, limits, live_ports, saved_ports } = self;
        let sources = sources.start(|timeline| {
            let mut tapped = tapped.clone();
            let (ports, pace) = match timeline {
                Timeline::Live => (&live_ports, None),
                Timeline::Saved => {
                    tapped.tap = tapped.tap.patient();
                    (&saved_ports, Some(Pace::new(tapped.tap.clone())))
                }
            };
            let steps = Assembly::new(tapped, limits, ports);
            told.add(steps.counters());
            Paced { steps, pace }
        })?;
        metrics::register(telemetry, &told, &limits, sources.watches());
        Ok(Running { sources })
    }
}

impl Running {
    /// Resolves when all saved captures are read to their ends; never while a live one runs.
    pub async fn ended(&self) {
        self.sources.ended().await;
    }

    /// Drains what is buffered and closes all flows.
    pub fn stop(self) {
        self.sources.stop();
        if !self.sources.join() {
            tracing::error!("a part of the listener ended badly");
        }
    }

    /// Why saved captures could not be read to their ends, once it is known.
    pub fn cut(&self) -> Option<String> {
        let cuts: Vec<String> = self.sources.cut().iter().map(ToString::to_string).collect();
        (!cuts.is_empty()).then(|| cuts.join("; "))
    }
}

/// The steps, before which a saved capture waits while there is no room for what they bring.
struct Paced {
    steps: Assembly<Tapped>,
    pace: Option<Pace>,
}

struct Pace {
    tap: Tap,
    patience: Patience,
    packets: u32,
}

impl Pace {
    fn new(tap: Tap) -> Pace {
        Pace { tap, patience: Patience::default(), packets: 0 }
    }

    fn wait(&mut self) {
        self.packets += 1;
        if self.packets < ASK_EVERY {
            return;
        }
        self.packets = 0;
        while self.patience.waits(self.tap.pressure(), Instant::now) {
            std::thread::sleep(REST);
        }
    }
}

impl Sink for Paced {
    fn packet(&mut self, packet: Packet<'_>) {
        if let Some(pace) = &mut self.pace {
            pace.wait();
        }
        self.steps.packet(packet);
    }

    fn tick(&mut self, now: Duration) {
        self.steps.tick(now);
    }

    fn end(&mut self, now: Duration) {
        self.steps.end(now);
    }
}

fn options(config: &CaptureConfig) -> SourceOptions {
    let ports = config.ports.as_slice().to_vec();
    let bpf = config.bpf.clone();
    let live = |interface: &str| {
        SourceOptions::Live(LiveOptions {
            interface: interface.to_owned(),
            ports: ports.clone(),
            bpf: bpf.clone(),
            promiscuous: config.promiscuous,
            buffer: config.buffer.as_usize(),
            snaplen: u32::try_from(config.snaplen.bytes()).unwrap_or(u32::MAX),
            block_time: config.block_time.0,
            ..LiveOptions::default()
        })
    };
    match config.from() {
        CaptureFrom::Any => live("any"),
        CaptureFrom::Interface(name) => live(name),
        CaptureFrom::File(path) => SourceOptions::Saved(SavedOptions { path: path.to_owned(), ports, bpf }),
        CaptureFrom::Vxlan(address) => SourceOptions::Vxlan(VxlanOptions {
            // The first is the one that takes both IPv6 and IPv4.
            address: address.socket_addrs()[0],
            buffer: config.buffer.as_usize(),
        }),
    }
}

/// All ports of all: what one interface's filter let through is told apart by no other's. Where one has none, all are looked at.
fn ports(captures: &[&CaptureConfig]) -> Vec<u16> {
    if captures.iter().any(|capture| capture.ports.is_empty()) {
        return Vec::new();
    }
    captures.iter().flat_map(|capture| capture.ports.as_slice()).copied().collect()
}

fn limits(config: &ReassemblyConfig) -> flow::Limits {
    flow::Limits {
        bytes: config.bytes.as_usize(),
        flow_bytes: config.flow_bytes.as_usize(),
        flows: config.flows.get(),
        idle: config.idle.0,
    }
}

fn fault(at: usize, config: &CaptureConfig, error: &OpenError) -> Fault {
    let (key, value) = match (error, config.from()) {
        (OpenError::Filter { filter, .. }, _) => ("bpf", filter.clone()),
        (_, CaptureFrom::File(path)) => ("file", path.display().to_string()),
        (_, CaptureFrom::Vxlan(address)) => ("vxlan", address.to_string()),
        (_, from) => ("interface", from.to_string()),
    };
    Fault::new(format!("capture[{at}].{key}"), value, format!("something that can be captured ({error})"))
}
