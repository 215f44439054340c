//! What the listener tells of itself.

use std::sync::{Arc, Mutex, PoisonError};

use mirror::telemetry::{Reading, Telemetry};

use crate::assembly::Counters;
use crate::decode::Unreadable;
use crate::flow;
use crate::source::LiveStats;

/// Takes one number out of the counters.
type Of = fn(&Counters) -> u64;

/// The counters of all steps that run, one a thread.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Arc<Mutex<Counters>>>>>);

impl Told {
    pub(crate) fn add(&self, counters: Arc<Mutex<Counters>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(counters);
    }

    fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|counters| of(&counters.lock().unwrap_or_else(PoisonError::into_inner))).sum()
    }

    fn reading(&self, of: impl Fn(&Counters) -> u64 + Send + 'static) -> Reading {
        let told = self.clone();
        Box::new(move || told.sum(&of))
    }

    fn readings(&self, of: &[(&str, Of)]) -> Vec<(String, Reading)> {
        of.iter().map(|&(label, of)| (label.to_owned(), self.reading(of))).collect()
    }
}

/// Registers everything; once a program.
pub(crate) fn register<W: Fn() -> LiveStats + Clone + Send + 'static>(
    telemetry: &Telemetry,
    told: &Told,
    limits: &flow::Limits,
    watches: Vec<W>,
) {
    packets(telemetry, told);
    streams(telemetry, told);
    bounds(telemetry, told, limits);
    sources(telemetry, &watches);
}

fn packets(telemetry: &Telemetry, told: &Told) {
    telemetry.counters(
        "mirror_capture_packets_total",
        "Packets read: TCP segments, fragments kept for their datagrams, and others.",
        "kind",
        told.readings(&[
            ("segment", |c| c.flows.segments),
            ("fragment", |c| c.fragments),
            ("other", |c| c.other),
            ("unreadable", |c| c.unreadable.iter().sum()),
        ]),
    );
    let unreadable = |why: Unreadable| (why.label().to_owned(), told.reading(move |c| c.unreadable[why as usize]));
    telemetry.counters(
        "mirror_capture_unreadable_packets_total",
        "Packets that could not be read, by what is wrong with them.",
        "reason",
        Unreadable::ALL.into_iter().map(unreadable).collect(),
    );
}

fn streams(telemetry: &Telemetry, told: &Told) {
    telemetry.counters(
        "mirror_capture_segments_total",
        "TCP segments that were out of the ordinary.",
        "kind",
        told.readings(&[
            ("ignored", |c| c.flows.ignored),
            ("stray", |c| c.flows.strays),
            ("late", |c| c.flows.late + c.flows.streams.late),
            ("out_of_order", |c| c.flows.streams.out_of_order),
            ("foreign", |c| c.flows.streams.foreign),
            ("reset_ignored", |c| c.flows.resets_ignored),
            ("differing_overlap", |c| c.flows.streams.differing_overlaps),
        ]),
    );
    telemetry.counters(
        "mirror_capture_connections_total",
        "TCP connections, by what became of them.",
        "event",
        told.readings(&[
            ("opened", |c| c.flows.opened),
            ("midstream", |c| c.flows.midstream),
            ("finished", |c| c.flows.finished),
            ("reset", |c| c.flows.reset),
            ("evicted", |c| c.flows.evicted),
            ("handshake_evicted", |c| c.flows.evicted_small),
            ("idle", |c| c.flows.idle),
            ("replaced", |c| c.flows.replaced),
        ]),
    );
    telemetry.counters(
        "mirror_capture_gaps_total",
        "Holes in streams that were given up, and of these those for want of room.",
        "kind",
        told.readings(&[
            ("all", |c| c.flows.streams.gaps),
            ("by_bound", |c| c.flows.streams.gaps_by_bound + c.flows.released),
            ("resynchronised", |c| c.losses),
        ]),
    );
    telemetry.counters(
        "mirror_capture_stream_bytes_total",
        "Bytes of streams that are not read as messages: lost ones, ones that came again, and those that are not HTTP/1.",
        "kind",
        told.readings(&[
            ("lost", |c| c.flows.streams.lost_bytes),
            ("repeated", |c| c.flows.streams.repeated_bytes),
            ("opaque", |c| c.opaque),
        ]),
    );
}

fn bounds(telemetry: &Telemetry, told: &Told, limits: &flow::Limits) {
    let flow::Limits { bytes, flows, .. } = *limits;
    telemetry.gauge("mirror_capture_flows", "Connections known now.", told.reading(|c| c.entries as u64));
    telemetry.gauge(
        "mirror_capture_flows_limit",
        "Connections that may be known (limits.reassembly.flows).",
        Box::new(move || flows as u64),
    );
    telemetry.gauge(
        "mirror_capture_held_bytes",
        "Bytes that wait for others before them, or for the rest of their head.",
        told.reading(|c| c.held as u64),
    );
    telemetry.gauge(
        "mirror_capture_held_limit_bytes",
        "Bytes that may wait so (limits.reassembly.bytes).",
        Box::new(move || bytes as u64),
    );
}

fn sources<W: Fn() -> LiveStats + Clone + Send + 'static>(telemetry: &Telemetry, watches: &[W]) {
    let readings = |of: fn(&LiveStats) -> u64| -> Vec<(String, Reading)> {
        let reading = |watch: &W| {
            let watch = watch.clone();
            let name = watch().name;
            (name, Box::new(move || of(&watch())) as Reading)
        };
        watches.iter().map(reading).collect()
    };
    telemetry.counters(
        "mirror_capture_received_packets_total",
        "Packets taken from an interface or socket.",
        "interface",
        readings(|stats| stats.packets),
    );
    telemetry.counters(
        "mirror_capture_received_bytes_total",
        "Their bytes, as captured.",
        "interface",
        readings(|stats| stats.bytes),
    );
    telemetry.counters(
        "mirror_capture_kernel_dropped_packets_total",
        "Packets that the kernel had no room for: raise capture.buffer.",
        "interface",
        readings(|stats| stats.dropped),
    );
    telemetry.counters(
        "mirror_capture_interface_dropped_packets_total",
        "Packets that the interface itself lost.",
        "interface",
        readings(|stats| stats.dropped_by_interface),
    );
    telemetry.gauges(
        "mirror_capture_ring_fill_percent",
        "How full the ring or the socket's buffer was at most in the last second.",
        "interface",
        readings(|stats| (stats.fill * 100.0).round() as u64),
    );
    telemetry.gauges(
        "mirror_capture_up",
        "Whether the interface is open now.",
        "interface",
        readings(|stats| u64::from(stats.up)),
    );
}
