//! One reader's slot: its place in the chain, how far it is behind, and what ends its reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use atomic_waker::AtomicWaker;
use crossbeam_utils::atomic::AtomicCell;

use super::Cell;
use crate::budget::Share;
use crate::outcome::DropReason;

/// The bounds of one reader.
#[derive(Debug, Clone)]
pub struct SlotBounds {
    /// How many bytes it may be behind the writer.
    pub lag: u64,
    /// What it holds back counts to this share.
    pub share: Arc<Share>,
}

/// What the writer knows of one reader.
pub(super) struct Slot {
    bounds: SlotBounds,
    /// The reader's place; none while the reader looks at it, and after a cut.
    pub(super) place: AtomicCell<Option<Arc<Cell>>>,
    /// Cost of what was appended and not yet released, and the flags. Whoever sets a flag takes what is behind off the share.
    pub(super) behind: AtomicU64,
    /// The total at which the writer wakes the reader.
    pub(super) wake_at: AtomicU64,
    pub(super) waker: AtomicWaker,
}

const CUT_LAG: u64 = 1 << 63;
const CUT_SHARE: u64 = 1 << 62;
pub(super) const DETACHED: u64 = 1 << 61;
pub(super) const FLAGS: u64 = CUT_LAG | CUT_SHARE | DETACHED;

impl Slot {
    /// At the chain's beginning.
    pub(super) fn new(bounds: SlotBounds, place: Arc<Cell>) -> Slot {
        Slot {
            bounds,
            place: AtomicCell::new(Some(place)),
            behind: AtomicU64::new(0),
            wake_at: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// The writer's side: `n` more is behind, which may cut the reader off.
    pub(super) fn add(&self, n: u64) {
        let before = self.behind.fetch_add(n, SeqCst);
        if before & FLAGS != 0 {
            self.behind.fetch_sub(n, SeqCst);
            return;
        }
        let within_share = self.bounds.share.add(n as usize);
        let flag = match (before + n > self.bounds.lag, within_share) {
            (true, _) => CUT_LAG,
            (_, false) => CUT_SHARE,
            _ => return,
        };
        self.set(flag);
        drop(self.place.take());
    }

    /// The reader's side: `n` is no longer held.
    pub(super) fn release(&self, n: u64) {
        if self.behind.fetch_sub(n, SeqCst) & FLAGS == 0 {
            self.bounds.share.sub(n as usize);
        }
    }

    pub(super) fn set(&self, flag: u64) {
        let before = self.behind.fetch_or(flag, SeqCst);
        if before & FLAGS == 0 {
            self.bounds.share.sub(before as usize);
        }
    }

    /// Looks at the reader's place and moves it. The place is the reader's own for that moment; a writer that cuts meanwhile
    /// finds none to take away, so that the flag is looked at again once the place is back.
    pub(super) fn look<R>(&self, at: impl FnOnce(&mut Arc<Cell>) -> R) -> Result<R, DropReason> {
        let mut place = match self.place.take() {
            Some(place) => place,
            None => return Err(self.cut().unwrap_or(DropReason::Lag)),
        };
        let seen = at(&mut place);
        self.place.store(Some(place));
        match self.cut() {
            None => Ok(seen),
            Some(reason) => {
                drop(self.place.take());
                Err(reason)
            }
        }
    }

    pub(super) fn cut(&self) -> Option<DropReason> {
        match self.behind.load(SeqCst) {
            b if b & CUT_LAG != 0 => Some(DropReason::Lag),
            b if b & CUT_SHARE != 0 => Some(DropReason::Share),
            _ => None,
        }
    }
}
