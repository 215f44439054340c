//! What the engine holds, in bytes, against its bounds.
//!
//! Two bounds work together. The one [`Budget`] covers every byte that is held, once, however many sinks read it. A [`Share`]
//! covers what one sink alone holds back: it is the budget divided by the sinks and one, so that all sinks stuck at once
//! still leave room for what is under way, and no sink starves another.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use crate::outcome::DropReason;

/// The byte budget (`limits.memory`).
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget { limit, used: AtomicUsize::new(0), peak: AtomicUsize::new(0) })
    }

    /// Takes `n` bytes until the charge is dropped; none where they do not fit. Never waits.
    pub fn charge(self: &Arc<Self>, n: usize) -> Option<Charge> {
        self.take(n).then(|| Charge { budget: self.clone(), share: None, n })
    }

    fn take(&self, n: usize) -> bool {
        let used = self.used.fetch_add(n, Relaxed) + n;
        if used > self.limit {
            self.used.fetch_sub(n, Relaxed);
            return false;
        }
        if used > self.peak.load(Relaxed) {
            self.peak.fetch_max(used, Relaxed);
        }
        true
    }

    /// Takes `n` bytes that `share` holds back.
    ///
    /// # Errors
    /// Which of the two has no room for them.
    pub fn charge_to(self: &Arc<Self>, share: &Arc<Share>, n: usize) -> Result<Charge, DropReason> {
        let mut charge = self.charge_none(share);
        charge.grow(n)?;
        Ok(charge)
    }

    /// Takes nothing yet, for [`Charge::grow`].
    pub(crate) fn charge_none(self: &Arc<Self>, share: &Arc<Share>) -> Charge {
        Charge { budget: self.clone(), share: Some(share.clone()), n: 0 }
    }

    /// The same, of no share.
    pub(crate) fn charge_alone(self: &Arc<Self>) -> Charge {
        Charge { budget: self.clone(), share: None, n: 0 }
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// The most bytes held so far.
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// The bound.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    share: Option<Arc<Share>>,
    n: usize,
}

impl Charge {
    /// Takes `n` bytes more from the same budget, of which no share is charged.
    pub(crate) fn another(&self, n: usize) -> Option<Charge> {
        self.budget.charge(n)
    }

    /// `bytes` as bytes that keep this charge until their last clone is dropped, wherever they have got to by then.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _charge: self })
    }

    /// Takes `n` bytes more, of the budget and of the share.
    ///
    /// # Errors
    /// Which of the two has no room for them.
    pub(crate) fn grow(&mut self, n: usize) -> Result<(), DropReason> {
        if !self.budget.take(n) {
            return Err(DropReason::Memory);
        }
        if let Some(share) = &self.share
            && !share.add(n)
        {
            share.sub(n);
            self.budget.used.fetch_sub(n, Relaxed);
            return Err(DropReason::Share);
        }
        self.n += n;
        Ok(())
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> usize {
        self.n
    }

    /// Gives back all beyond `n` bytes.
    pub(crate) fn shrink_to(&mut self, n: usize) {
        let less = self.n.saturating_sub(n);
        self.give_back(less);
        self.n -= less;
    }

    fn give_back(&self, n: usize) {
        self.budget.used.fetch_sub(n, Relaxed);
        if let Some(share) = &self.share {
            share.sub(n);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.n);
    }
}

struct Held {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that a share holds back while others keep their charge. Given back on drop.
#[derive(Debug)]
pub(crate) struct HeldBack {
    share: Arc<Share>,
    n: usize,
}

impl HeldBack {
    /// None yet.
    pub(crate) fn none(share: &Arc<Share>) -> HeldBack {
        HeldBack { share: share.clone(), n: 0 }
    }

    /// So many more; they were within the share's bound before, in other hands.
    pub(crate) fn take_over(&mut self, n: usize) {
        self.share.add(n);
        self.n += n;
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        self.share.sub(self.n);
    }
}

/// What one sink alone holds back, over all its exchanges.
#[derive(Debug)]
pub struct Share {
    // It changes with the number of sinks.
    limit: AtomicUsize,
    // Signed: the writer adds and a reader subtracts without agreeing on an order, so that it may be below zero for a moment.
    held: AtomicIsize,
}

impl Share {
    /// A share of this many bytes.
    pub fn new(limit: usize) -> Arc<Share> {
        Arc::new(Share { limit: limit.into(), held: AtomicIsize::new(0) })
    }

    /// Adds `n` and tells whether the share is within its bound still.
    pub(crate) fn add(&self, n: usize) -> bool {
        let n = n as isize;
        self.held.fetch_add(n, Relaxed) + n <= self.limit() as isize
    }

    pub(crate) fn sub(&self, n: usize) {
        self.held.fetch_sub(n as isize, Relaxed);
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed).max(0) as usize
    }

    /// The bound.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Another bound, as there are more sinks or fewer. What is held beyond a lower one stays until it is given back.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_dropped_comes_back() {
        let budget = Budget::new(100);
        let first = budget.charge(60).unwrap();
        assert!(budget.charge(41).is_none());
        let second = budget.charge(40).unwrap();
        drop(first);
        assert_eq!((budget.used(), budget.peak()), (40, 100));
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_a_share_has_no_room_for_is_refused_and_costs_nothing() {
        let (budget, share) = (Budget::new(100), Share::new(50));
        let mut held = budget.charge_to(&share, 30).unwrap();
        held.grow(10).unwrap();
        for n in [11, 61] {
            let reason = if n == 11 { DropReason::Share } else { DropReason::Memory };
            assert_eq!(held.grow(n).unwrap_err(), reason);
            assert_eq!(budget.charge_to(&share, n).unwrap_err(), reason);
        }
        assert_eq!((budget.used(), share.held()), (40, 40));
        for n in [60, 15] {
            held.shrink_to(n);
            assert_eq!((held.bytes(), budget.used(), share.held()), (n.min(40), n.min(40), n.min(40)));
        }
        drop(held);
        assert_eq!((budget.used(), share.held()), (0, 0));
    }

    #[test]
    fn held_bytes_keep_their_charge_until_the_last_clone_or_slice_is_gone() {
        let budget = Budget::new(100);
        let bytes = budget.charge(10).unwrap().hold(Bytes::from_static(b"0123456789"));
        let slice = bytes.slice(2..4);
        drop(bytes);
        assert_eq!((&slice[..], budget.used()), (&b"23"[..], 10));
        drop(slice);
        assert_eq!(budget.used(), 0);
    }
}
