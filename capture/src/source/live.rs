//! An interface, by libpcap: packets come through a ring that the kernel writes and we read (TPACKET_V3).
//!
//! Immediate mode is off, since it costs ten times the CPU a packet: the kernel hands a block of the ring over when it is full or when its
//! time is up. The handle does not block; whoever reads waits in poll for all sources at once, as libpcap's own wait never ends on
//! an idle interface.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pcap::{Active, BpfProgram, Capture, Linktype, PacketHeader, Precision};
use rustix::thread::CapabilitySet;

use super::error::message;
use super::filter::{self, Framing};
use super::interfaces::{link_name, names};
use super::stats::{Counts, Fill};
use super::{OpenError, privileges};
use crate::{LinkType, Packet};

/// The interface that is all interfaces.
const ANY: &str = "any";
/// libpcap's `DLT_LINUX_SLL2`: unlike the older header of `any`, it bears the interface.
const SLL2: Linktype = Linktype(276);
/// Waits before opening again an interface that went away: the first, doubled up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(8);

/// How to listen on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// Its name, or `any`, which is all of them without promiscuity.
    pub interface: String,
    /// The TCP ports, of either end. None is all.
    pub ports: Vec<u16>,
    /// A filter in libpcap's language, which packets must pass too. In a tunnel it is about the outside.
    pub bpf: Option<String>,
    /// Takes also what is not for this host. Means nothing on `any`.
    pub promiscuous: bool,
    /// The ring, in bytes: 64 MiB holds half a second of 1 Gbit/s. It is memory of the kernel's, beside the byte budget.
    pub buffer: usize,
    /// How much of a packet is kept at most, in bytes: enough for the largest super-segment.
    pub snaplen: u32,
    /// How long a packet may wait in the ring for others, in whole milliseconds: with 1 it is 0.6 ms in the median and 1.4 at p99, and
    /// 100,000 packets a second cost 0.3 µs each (0.2 with 2). A ring has 4 blocks a MiB, each used for at most this long, so that it also
    /// bounds how long the reader may stall: 256 ms with the usual numbers.
    pub block_time: Duration,
    /// Lets tunnels' packets through (GRE, VXLAN, Geneve, IP in IP, Teredo, MPLS, PPPoE) whatever is in them. None: except on `any`,
    /// which sees also the interface behind the tunnel.
    pub tunnels: Option<bool>,
}

impl Default for LiveOptions {
    fn default() -> LiveOptions {
        LiveOptions {
            interface: ANY.into(),
            ports: Vec::new(),
            bpf: None,
            promiscuous: false,
            buffer: 64 << 20,
            snaplen: 262_144,
            block_time: Duration::from_millis(1),
            tunnels: None,
        }
    }
}

/// An interface that is listened on.
pub(super) struct Live {
    options: LiveOptions,
    reads: fn(LinkType) -> bool,
    handle: Option<Handle>,
    retry: Retry,
    fill: Fill,
    counts: Arc<Counts>,
}

struct Handle {
    capture: Capture<Active>,
    link: LinkType,
    // How many nanoseconds a unit of the header's fraction is.
    unit: u32,
    // The kernel's counters when last asked.
    dropped: u32,
    dropped_by_interface: u32,
}

struct Retry {
    at: Instant,
    wait: Duration,
}

impl Live {
    /// Opens it. `reads` says which link types can be decoded.
    ///
    /// # Errors
    /// No such interface, no permission, a filter that does not compile, a link type that cannot be decoded, or libpcap's own.
    pub(super) fn open(options: &LiveOptions, reads: fn(LinkType) -> bool) -> Result<Live, OpenError> {
        let handle = Handle::open(options, reads)?;
        Ok(Live {
            handle: Some(handle),
            reads,
            retry: Retry { at: Instant::now(), wait: RETRY_FIRST },
            fill: Fill::new(options.buffer, options.block_time),
            counts: Arc::new(Counts::new(options.interface.clone(), "capture.buffer")),
            options: options.clone(),
        })
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    pub(super) fn block_time(&self) -> Duration {
        self.options.block_time
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.handle.as_ref().map(|handle| handle.capture.as_fd())
    }

    /// Reads at most so many packets, without waiting, and says how many. What is read from one `begin` to the next is one go.
    pub(super) fn read(&mut self, most: usize, mut each: impl FnMut(Packet<'_>)) -> usize {
        let Some(handle) = &mut self.handle else { return 0 };
        let (link, unit, fill) = (handle.link, handle.unit, &mut self.fill);
        let (mut packets, mut bytes) = (0, 0);
        let result = handle.capture.dispatch(Some(most), |packet| {
            let time = time(packet.header, unit);
            packets += 1;
            bytes += packet.data.len() as u64;
            fill.packet(time, packet.data.len());
            each(Packet { time, link, data: packet.data, length: packet.header.len });
        });
        self.counts.add(packets, bytes);
        if let Err(error) = result {
            self.lose(&message(&error));
        }
        packets as usize
    }

    pub(super) fn begin(&mut self, now: Duration) {
        self.fill.begin(now);
    }

    pub(super) fn pause(&mut self) {
        self.fill.pause();
    }

    fn lose(&mut self, why: &str) {
        self.observe();
        self.handle = None;
        self.counts.up.store(false, Relaxed);
        self.retry = Retry { at: Instant::now() + RETRY_FIRST, wait: RETRY_FIRST };
        tracing::warn!(interface = %self.options.interface, error = %why, "lost the interface; it is opened again once it is back");
    }

    /// When to try to open it again, if it is not open.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.handle.is_none().then_some(self.retry.at)
    }

    pub(super) fn retry(&mut self) {
        match Handle::open(&self.options, self.reads) {
            Ok(handle) => {
                self.handle = Some(handle);
                self.counts.up.store(true, Relaxed);
                tracing::info!(interface = %self.options.interface, "the interface is back");
            }
            Err(error) => {
                tracing::debug!(interface = %self.options.interface, %error, "the interface is not back");
                let wait = (self.retry.wait * 2).min(RETRY_LAST);
                self.retry = Retry { at: Instant::now() + wait, wait };
            }
        }
    }

    /// Asks the kernel what it lost.
    pub(super) fn observe(&mut self) {
        let Some(handle) = &mut self.handle else { return };
        let Ok(stat) = handle.capture.stats() else { return };
        let dropped = stat.dropped.wrapping_sub(handle.dropped);
        let by_interface = stat.if_dropped.wrapping_sub(handle.dropped_by_interface);
        (handle.dropped, handle.dropped_by_interface) = (stat.dropped, stat.if_dropped);
        self.counts.observe(dropped, by_interface, self.fill.take());
    }
}

impl Handle {
    fn open(options: &LiveOptions, reads: fn(LinkType) -> bool) -> Result<Handle, OpenError> {
        let name = &options.interface;
        let any = name == ANY;
        let capture = Capture::from_device(name.as_str())
            .and_then(|capture| {
                capture
                    .buffer_size(options.buffer.min(i32::MAX as usize) as i32)
                    .snaplen(options.snaplen.min(i32::MAX as u32) as i32)
                    .timeout(options.block_time.as_millis().clamp(1, i32::MAX as u128) as i32)
                    // On `any` libpcap only warns of it, which the crate takes for an error.
                    .promisc(options.promiscuous && !any)
                    .precision(Precision::Nano)
                    .open()
            })
            .and_then(Capture::setnonblock);
        let mut capture = capture.map_err(|error| refused(name, &message(&error)))?;
        if any {
            // Older libpcaps lack it; what is there then is read as well.
            let _ = capture.set_datalink(SLL2);
        }
        choose_link(&mut capture, name, reads)?;
        filter(&mut capture, options)?;
        let link = link_type(capture.get_datalink());
        // SAFETY: the handle is valid as long as `capture`.
        let precision = unsafe { pcap_get_tstamp_precision(capture.as_ptr().cast()) };
        let unit = if precision == Precision::Nano as c_int { 1 } else { 1_000 };
        Ok(Handle { capture, link, unit, dropped: 0, dropped_by_interface: 0 })
    }
}

// The crate sets the precision and does not tell whether it was granted; interfaces of Linux do grant it, its netfilter log does not.
unsafe extern "C" {
    fn pcap_get_tstamp_precision(handle: *mut c_void) -> c_int;
}

/// Why libpcap refused. The crate does not hand on its codes, so it is found out.
fn refused(name: &str, message: &str) -> OpenError {
    let there_are = names();
    if !there_are.is_empty() && !there_are.iter().any(|there_is| there_is == name) {
        return OpenError::NoSuchInterface { name: name.into(), there_are };
    }
    if !privileges::has(CapabilitySet::NET_RAW) || message.contains("CAP_NET_RAW") {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mirror"));
        return OpenError::NotPermitted { name: name.into(), program };
    }
    OpenError::Interface { name: name.into(), message: message.into() }
}

/// Takes a link type that can be decoded, the interface's usual one if it can.
fn choose_link(capture: &mut Capture<Active>, name: &str, reads: fn(LinkType) -> bool) -> Result<(), OpenError> {
    let usual = capture.get_datalink();
    if reads(link_type(usual)) {
        return Ok(());
    }
    let others = capture.list_datalinks().unwrap_or_default();
    let known = others.into_iter().find(|&link| reads(link_type(link)) && capture.set_datalink(link).is_ok());
    known.map(drop).ok_or_else(|| OpenError::LinkType { name: name.into(), link: link_name(usual) })
}

fn filter(capture: &mut Capture<Active>, options: &LiveOptions) -> Result<(), OpenError> {
    let user = options.bpf.as_deref();
    if let Some(user) = user {
        // By itself first, so that libpcap's words are about what the user wrote.
        let refused = |error| OpenError::Filter { filter: user.into(), message: message(&error) };
        capture.compile(user, true).map_err(refused)?;
    }
    let tunnels = options.tunnels.unwrap_or(options.interface != ANY);
    let framing = framing(capture.get_datalink());
    let whole = filter::expression(&options.ports, user, framing, tunnels);
    // libpcap runs the filter itself over the first blocks of the ring. Only a cooked header says there which way a packet went; of any other it would
    // take none. It is given the filter without the user's, and the kernel the whole one.
    let directed = framing != Framing::Cooked && user.is_some_and(filter::asks_for_direction);
    let first = if directed { filter::expression(&options.ports, None, framing, tunnels) } else { whole.clone() };
    let refused = |filter: &str| {
        let filter = filter.to_owned();
        move |error| OpenError::Filter { message: message(&error), filter }
    };
    capture.filter(&first, true).map_err(refused(&first))?;
    if directed {
        let program = capture.compile(&whole, true).map_err(refused(&whole))?;
        attach(capture, &program).map_err(|error| OpenError::Filter { message: error.to_string(), filter: whole })?;
    }
    Ok(())
}

/// Gives the kernel another filter.
fn attach(capture: &Capture<Active>, program: &BpfProgram) -> io::Result<()> {
    let instructions = program.get_instructions();
    let program = libc::sock_fprog {
        // The kernel takes 4096 at most, and refuses what is cut here.
        len: u16::try_from(instructions.len()).unwrap_or(u16::MAX),
        // Of the same layout.
        filter: instructions.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the kernel copies the program, whose instructions live until then, and writes nothing.
    let result = unsafe {
        libc::setsockopt(
            capture.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How packets of a link type are framed.
pub(super) fn framing(link: Linktype) -> Framing {
    match link.0 {
        1 => Framing::Ethernet,
        113 | 276 => Framing::Cooked,
        _ => Framing::Other,
    }
}

/// The `LINKTYPE_` of what libpcap calls by a `DLT_`: two differ among those that carry IP.
pub(super) fn link_type(link: Linktype) -> LinkType {
    LinkType(match link.0 {
        11 => 100,
        12 | 14 => 101,
        same => same,
    })
}

/// A header's time, whose fraction is in units of so many nanoseconds. What a saved capture says may be nonsense.
#[inline]
pub(super) fn time(header: &PacketHeader, unit: u32) -> Duration {
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(header.ts.tv_usec).unwrap_or(0).saturating_mul(unit);
    Duration::new(seconds, nanoseconds.min(999_999_999))
}
