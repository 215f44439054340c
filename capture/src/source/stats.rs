//! How a live source does: what it read, what the kernel lost for want of room, and how full that room has been.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often the kernel is asked.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// How far apart the warnings about one source are.
const WARN_INTERVAL: Duration = Duration::from_secs(60);
/// From here on a ring is nearly full: the next burst is lost.
const NEARLY_FULL: f64 = 0.8;

/// How a live source does.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveStats {
    /// The interface, or the socket's address.
    pub name: String,
    /// Packets read.
    pub packets: u64,
    /// Their bytes, as captured.
    pub bytes: u64,
    /// Packets that the kernel had no room for in the ring or the socket's buffer.
    pub dropped: u64,
    /// Packets that the interface itself lost, where it tells.
    pub dropped_by_interface: u64,
    /// How full the ring or the socket's buffer was at most in the last second, 0 to 1. For a ring it is an estimate from what was read in
    /// one go.
    pub fill: f64,
    /// Whether it is open; an interface that went away is not.
    pub up: bool,
}

/// Written by the reading thread, read by any.
#[derive(Debug)]
pub(super) struct Counts {
    name: String,
    setting: &'static str,
    pub(super) packets: AtomicU64,
    pub(super) bytes: AtomicU64,
    dropped: AtomicU64,
    dropped_by_interface: AtomicU64,
    // In millionths.
    fill: AtomicU32,
    pub(super) up: AtomicBool,
    warned: Mutex<Warned>,
}

#[derive(Debug, Default)]
struct Warned {
    at: Option<Instant>,
    dropped: u64,
}

impl Counts {
    /// `setting` names what to raise when there is too little room.
    pub(super) fn new(name: String, setting: &'static str) -> Counts {
        Counts {
            name,
            setting,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            dropped_by_interface: AtomicU64::new(0),
            fill: AtomicU32::new(0),
            up: AtomicBool::new(true),
            warned: Mutex::default(),
        }
    }

    pub(super) fn add(&self, packets: u64, bytes: u64) {
        // One thread writes them.
        self.packets.store(self.packets.load(Relaxed) + packets, Relaxed);
        self.bytes.store(self.bytes.load(Relaxed) + bytes, Relaxed);
    }

    /// What was lost since the last time, and how full the room was at most since then.
    pub(super) fn observe(&self, dropped: u32, dropped_by_interface: u32, fill: f64) {
        self.dropped.fetch_add(dropped.into(), Relaxed);
        self.dropped_by_interface.fetch_add(dropped_by_interface.into(), Relaxed);
        let fill = fill.clamp(0.0, 1.0);
        self.fill.store((fill * 1e6) as u32, Relaxed);
        self.warn(fill, Instant::now());
    }

    /// Warns at most once in a [`WARN_INTERVAL`]; what is lost in between is in the next warning.
    fn warn(&self, fill: f64, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let total = self.dropped.load(Relaxed);
        let lost = total - warned.dropped;
        if (lost == 0 && fill < NEARLY_FULL) || warned.at.is_some_and(|at| now - at < WARN_INTERVAL) {
            return false;
        }
        *warned = Warned { at: Some(now), dropped: total };
        let (name, setting) = (&self.name, self.setting);
        let fill = (fill * 100.0).round();
        if lost > 0 {
            tracing::warn!(source = %name, lost, total, fill_percent = fill, "the kernel had no room for packets: raise `{setting}`");
        } else {
            tracing::warn!(source = %name, fill_percent = fill, "packets are nearly lost for want of room: raise `{setting}`");
        }
        true
    }

    pub(super) fn read(&self) -> LiveStats {
        LiveStats {
            name: self.name.clone(),
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            dropped_by_interface: self.dropped_by_interface.load(Relaxed),
            fill: f64::from(self.fill.load(Relaxed)) / 1e6,
            up: self.up.load(Relaxed),
        }
    }
}

/// An estimate of how full a ring was, which libpcap does not tell: what is read in one go, without waiting, and had passed before that
/// began, was all in the ring when it began. A ring is of blocks, and the kernel closes one when it is full or when its time is up, so both
/// are counted: bytes, and the spans of block time they fell in.
#[derive(Debug)]
pub(super) struct Fill {
    ring: f64,
    blocks: f64,
    block_time: u64,
    began: Duration,
    bytes: u64,
    spans: u64,
    last_span: u64,
    most: f64,
}

impl Fill {
    /// Of each packet, the kernel keeps this much beside it: its header, the socket address, alignment.
    const HEADER: u64 = 96;
    /// libpcap's blocks are as large as the largest packet it knows.
    const BLOCK: usize = 256 * 1024;

    pub(super) fn new(ring: usize, block_time: Duration) -> Fill {
        Fill {
            ring: ring.max(1) as f64,
            blocks: (ring / Self::BLOCK).max(1) as f64,
            block_time: block_time.as_micros().clamp(1, u64::MAX.into()) as u64,
            began: Duration::ZERO,
            bytes: 0,
            spans: 0,
            last_span: 0,
            most: 0.0,
        }
    }

    /// Reading begins after a wait.
    pub(super) fn begin(&mut self, now: Duration) {
        (self.began, self.bytes, self.spans) = (now, 0, 0);
    }

    #[inline]
    pub(super) fn packet(&mut self, time: Duration, length: usize) {
        if time > self.began {
            return;
        }
        self.bytes += length as u64 + Self::HEADER;
        let span = (time.as_secs() * 1_000_000 + u64::from(time.subsec_micros())) / self.block_time;
        self.spans += u64::from(span != self.last_span);
        self.last_span = span;
    }

    /// Reading pauses.
    pub(super) fn pause(&mut self) {
        self.most = self.most.max(self.bytes as f64 / self.ring).max(self.spans as f64 / self.blocks);
    }

    /// The most since it was last taken.
    pub(super) fn take(&mut self) -> f64 {
        std::mem::take(&mut self.most).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warns_of_loss_once_a_minute_and_forgets_none() {
        let counts = Counts::new("eth0".into(), "capture.buffer");
        let start = Instant::now();
        assert!(!counts.warn(0.1, start));
        counts.dropped.store(5, Relaxed);
        assert!(counts.warn(0.1, start));
        counts.dropped.store(9, Relaxed);
        assert!(!counts.warn(0.1, start + Duration::from_secs(59)));
        assert!(counts.warn(0.1, start + Duration::from_secs(61)), "of the four since");
        assert!(!counts.warn(0.1, start + Duration::from_secs(200)));
        assert!(counts.warn(0.9, start + Duration::from_secs(300)), "nearly full");
    }

    #[test]
    fn a_ring_fills_by_bytes_or_by_blocks_whose_time_is_up() {
        let mut fill = Fill::new(64 << 20, Duration::from_millis(1));
        let now = Duration::from_secs(1_000);
        fill.begin(now);
        for _ in 0..1024 {
            fill.packet(now - Duration::from_millis(1), (32 << 10) - 96);
        }
        fill.packet(now + Duration::from_millis(1), 1 << 30);
        fill.pause();
        assert_eq!(fill.take(), 0.5);
        assert_eq!(fill.take(), 0.0);
        fill.begin(now);
        for ms in 0..64 {
            fill.packet(now - Duration::from_millis(64 - ms), 100);
        }
        fill.pause();
        assert_eq!(fill.take(), 0.25, "64 of 256 blocks");
    }
}
