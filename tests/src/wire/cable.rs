//! What carries frames between two cards.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::copies::Outlet;
use super::faults::Direction;
use super::{Cabling, Faults};
use crate::tap::{self, Tap};

/// How many frames are read from one card before the other has its turn.
const TURN: usize = 64;

/// For how long nothing may come until what is late arrives, in milliseconds.
const LATE: libc::c_int = 2;

/// What was carried.
#[derive(Debug, Default)]
pub struct Carried {
    /// Frames that the hosts sent.
    pub frames: AtomicU64,
    /// Those of them that were lost.
    pub lost: AtomicU64,
    /// Those that arrived twice.
    pub repeated: AtomicU64,
    /// Those that others overtook.
    pub late: AtomicU64,
    /// The longest, in bytes.
    pub longest: AtomicU64,
}

impl Carried {
    /// That each of these faults has happened: else a test shows nothing by withstanding them.
    #[track_caller]
    pub fn assert_met(&self, faults: Faults) {
        for (every, met) in [(faults.lost, &self.lost), (faults.repeated, &self.repeated), (faults.late, &self.late)] {
            assert!(every == 0 || met.load(Relaxed) > 0, "{self:?} of {faults:?}");
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// A cable: from the first card to the second, and back.
pub(super) struct Cable {
    cards: [Tap; 2],
    directions: [Direction; 2],
    outlet: Outlet,
    carried: Arc<Carried>,
    frame_at: usize,
    stop: PipeReader,
}

impl Cable {
    pub(super) fn new(
        cards: [Tap; 2],
        outlet: Outlet,
        cabling: Cabling,
        carried: Arc<Carried>,
        stop: PipeReader,
    ) -> Cable {
        let directions = [(); 2].map(|()| Direction::new(cabling.faults));
        Cable { cards, directions, outlet, carried, frame_at: tap::frame_at(cabling.offloads), stop }
    }

    /// Carries until the other end of `stop` is closed.
    pub(super) fn carry(mut self) -> io::Result<()> {
        let mut buffer = vec![0; tap::MOST];
        loop {
            match self.wait()? {
                Event::Stop => return Ok(()),
                Event::Frames => {}
                Event::Silence => (0..2).try_for_each(|from| self.flush(from))?,
            }
            for from in 0..2 {
                for _ in 0..TURN {
                    let Some(frame) = self.cards[from].receive(&mut buffer)? else { break };
                    let Cable { cards, directions, outlet, carried, frame_at, .. } = &mut self;
                    count(&carried.frames);
                    carried.longest.fetch_max((frame.len() - *frame_at) as u64, Relaxed);
                    arrive(from, cards, outlet, frame, |each| directions[from].pass(frame, carried, each))?;
                }
            }
        }
    }

    fn wait(&self) -> io::Result<Event> {
        let on = |fd: &dyn AsFd| libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut fds = [on(&self.cards[0]), on(&self.cards[1]), on(&self.stop)];
        let limit = if self.directions.iter().all(Direction::is_empty) { -1 } else { LATE };
        // SAFETY: a system call on descriptors of our own; `fds` outlives it and its length is right.
        match unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit) } {
            0 => Ok(Event::Silence),
            1.. if fds[2].revents != 0 => Ok(Event::Stop),
            1.. => Ok(Event::Frames),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Event::Frames),
                error => Err(error),
            },
        }
    }

    fn flush(&mut self, from: usize) -> io::Result<()> {
        let Cable { cards, directions, outlet, .. } = self;
        arrive(from, cards, outlet, &[], |each| directions[from].flush(each))
    }
}

enum Event {
    Frames,
    Silence,
    Stop,
}

/// Hands what arrives to the other card, and its copies out. The switch is where the server is: of what the client sends it sees what
/// arrives, and of what the server sends, what leaves. So what the mirror port gets is what a listener at the server sees.
fn arrive(
    from: usize,
    cards: &[Tap; 2],
    outlet: &Outlet,
    sent: &[u8],
    pass: impl FnOnce(&mut dyn FnMut(&[u8])),
) -> io::Result<()> {
    const CLIENT: usize = 0;
    if from != CLIENT && !sent.is_empty() {
        outlet.copy(sent)?;
    }
    let mut result = Ok(());
    pass(&mut |frame| {
        let arrived = cards[1 - from].send(frame);
        let copied = if from == CLIENT { outlet.copy(frame) } else { Ok(()) };
        if let Err(error) = arrived.and(copied) {
            result = Err(error);
        }
    });
    result
}
