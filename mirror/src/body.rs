//! The shared body: appended once by a source, read by every sink at its own pace, bounded.
//!
//! ```text
//!   reader A          reader B                 writer
//!      ▼                 ▼                       ▼
//!    cell ──chunk──▶   cell ──chunk──▶ cell ──▶ (empty cell)
//! ```
//!
//! A body is a chain of cells. The writer holds the last, empty one; appending fills it with a chunk and the next empty cell.
//! A reader's place is the cell it will read next. Cells are counted references, so a chunk is freed when the last reader has passed
//! it, by nobody's doing in particular. There is no lock: the only thing writer and readers agree on is one `OnceLock` a cell.
//!
//! Each reader has a slot with its place in the chain and how far it is behind. When that passes the slot's own bound, or takes
//! the sink's share of the budget over its bound, the *writer* cuts that reader off: it takes the reader's place away, which frees
//! what that reader alone held at once, even where its task is asleep or still in a queue. The others notice nothing. When the
//! budget itself is spent the body ends for all, as [`BodyEnd::Lost`].

use std::future::poll_fn;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::budget::Budget;
use crate::outcome::{Abort, DropReason};

mod slot;

pub use slot::SlotBounds;
use slot::{DETACHED, FLAGS, Slot};

/// What a chunk costs beside its bytes: its cell, its owner and the allocator's rounding. Without it, bodies of one-byte
/// chunks would hold a hundred times their bound.
pub(crate) const CHUNK_OVERHEAD: usize = 256;

fn cost(bytes: &Bytes) -> usize {
    bytes.len() + CHUNK_OVERHEAD
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it was seen; with the trailer section where there was one.
    Complete(Option<Bytes>),
    /// The source lost one of the two ends before the body's.
    Aborted(Abort),
    /// The engine could not keep it.
    Lost(DropReason),
}

/// What a reader is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// The next bytes.
    Data(Bytes),
    /// The end; asked again, it comes again.
    End(BodyEnd),
}

enum Link {
    Chunk(Bytes, Arc<Cell>),
    End(BodyEnd),
}

#[derive(Default)]
struct Cell {
    link: OnceLock<Link>,
}

impl Drop for Cell {
    /// Frees the chain behind in a loop: the derived drop would recurse once a chunk and overflow the stack on a long body.
    fn drop(&mut self) {
        let mut link = self.link.take();
        while let Some(Link::Chunk(_, next)) = link {
            link = Arc::into_inner(next).and_then(|mut cell| cell.link.take());
        }
    }
}

/// What the writer and all readers of one body share.
struct Flow {
    /// With one recorder or target, in no memory of their own.
    slots: SmallVec<[Slot; 1]>,
    /// Cost of all that was appended.
    total: AtomicU64,
    /// Bytes between the chunks that the source never had.
    lost: AtomicU64,
    ended: AtomicBool,
}

/// The writing end, held by the source.
pub(crate) struct BodyWriter {
    /// The empty cell; none once the body has ended, or where nobody ever reads it.
    tail: Option<Arc<Cell>>,
    /// None where it never had a reader.
    flow: Option<Arc<Flow>>,
    budget: Arc<Budget>,
}

impl BodyWriter {
    /// A body with a reader for each of `slots`, in their order.
    pub(crate) fn new(slots: impl Iterator<Item = SlotBounds>, budget: &Arc<Budget>) -> (BodyWriter, Readers) {
        let mut root = None;
        let slots = slots.map(|bounds| Slot::new(bounds, root.get_or_insert_with(Arc::<Cell>::default).clone()));
        let slots: SmallVec<_> = slots.collect();
        let left = 0..slots.len();
        let flow = (!slots.is_empty()).then(|| {
            let (total, lost, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
            Arc::new(Flow { slots, total, lost, ended })
        });
        let readers = Readers { left, flow: flow.clone() };
        (BodyWriter { tail: root, flow, budget: budget.clone() }, readers)
    }

    /// Appends a chunk. Never waits: where the budget has no room for it the body ends as lost, which is told by `false`.
    pub(crate) fn append(&mut self, bytes: Bytes) -> bool {
        if bytes.is_empty() || !self.is_open() || !self.is_read() {
            return true;
        }
        let n = cost(&bytes);
        let Some(charge) = self.budget.charge(n) else {
            self.end(BodyEnd::Lost(DropReason::Memory));
            return false;
        };
        self.push(n, charge.hold(bytes));
        true
    }

    fn push(&mut self, n: usize, bytes: Bytes) {
        let Some(flow) = &self.flow else { return };
        // Before the chunk can be seen: a reader that is as fast as this may have released it by the next line.
        flow.slots.iter().for_each(|slot| slot.add(n as u64));
        let next = Arc::new(Cell::default());
        if let Some(cell) = self.tail.replace(next.clone()) {
            let _ = cell.link.set(Link::Chunk(bytes, next));
        }
        let n = n as u64;
        let total = flow.total.fetch_add(n, SeqCst) + n;
        for slot in &flow.slots {
            if total >= slot.wake_at.load(SeqCst) || slot.cut().is_some() {
                slot.waker.wake();
            }
        }
    }

    /// Tells that so many bytes are missing here. Whoever reads a later chunk, or the end, finds them told by [`BodyReader::lost`].
    pub(crate) fn lose(&mut self, length: u64) {
        if let Some(flow) = self.flow.as_ref().filter(|_| self.is_open()) {
            flow.lost.fetch_add(length, SeqCst);
        }
    }

    /// Appends bytes that are charged to the budget already, and stay so until their last clone is dropped. A cell's overhead is what they were charged with.
    pub(crate) fn append_charged(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && self.is_open() && self.is_read() {
            self.push(cost(&bytes), bytes);
        }
    }

    /// Wakes the readers: something was told beside the body.
    pub(crate) fn tell(&self) {
        self.slots().iter().for_each(|slot| slot.waker.wake());
    }

    /// Ends the body; a second end is ignored.
    pub(crate) fn end(&mut self, end: BodyEnd) {
        if let Some(cell) = self.tail.take() {
            let _ = cell.link.set(Link::End(end));
            if let Some(flow) = &self.flow {
                flow.ended.store(true, SeqCst);
            }
            self.tell();
        }
    }

    /// Whether there is a reader still that has not been cut off; what is appended otherwise is not kept.
    pub(crate) fn is_read(&self) -> bool {
        self.slots().iter().any(|slot| slot.behind.load(SeqCst) & FLAGS == 0)
    }

    fn slots(&self) -> &[Slot] {
        self.flow.as_ref().map_or(&[], |flow| &flow.slots)
    }

    /// Whether it has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.tail.is_some()
    }
}

/// The readers of a body, in the order of their slots. One that is not taken is dropped with it.
pub(crate) struct Readers {
    flow: Option<Arc<Flow>>,
    left: Range<usize>,
}

impl Iterator for Readers {
    type Item = BodyReader;

    fn next(&mut self) -> Option<BodyReader> {
        let slot = self.left.next()?;
        Some(BodyReader {
            flow: self.flow.clone()?,
            slot,
            trailer_changes: Vec::new(),
            seen: 0,
            start: None,
            unreleased: 0,
            keep: 0,
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Changes a trailer section on its way to a reader; none takes it out.
pub(crate) type TrailerChange = Arc<dyn Fn(Bytes) -> Option<Bytes> + Send + Sync>;

/// One sink's reading end. Dropping it frees all that it alone held.
pub struct BodyReader {
    flow: Arc<Flow>,
    slot: usize,
    /// In order.
    trailer_changes: Vec<TrailerChange>,
    /// Cost of all that was read.
    seen: u64,
    /// Where a rewind goes back to, and what had been read there, while that is possible.
    start: Option<(Arc<Cell>, u64)>,
    /// Cost of what was read and kept for a rewind, and the most it may be.
    unreleased: u64,
    keep: u64,
}

impl BodyReader {
    /// The next chunk, when it is there. What it gives counts as held by this reader until [`done_with`](Self::done_with).
    ///
    /// # Errors
    /// Why this reader was cut off, once it was.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, DropReason>> {
        loop {
            if let Some(chunk) = self.try_next()? {
                return Poll::Ready(Ok(chunk));
            }
            ready!(self.poll_behind(cx, 1))?;
        }
    }

    /// Waits for [`poll_next`](Self::poll_next).
    ///
    /// # Errors
    /// Why this reader was cut off, once it was.
    pub async fn next(&mut self) -> Result<Chunk, DropReason> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next chunk where it is there already.
    ///
    /// # Errors
    /// Why this reader was cut off, once it was.
    pub fn try_next(&mut self) -> Result<Option<Chunk>, DropReason> {
        let chunk = self.slot().look(|place| {
            let (bytes, next) = match place.link.get() {
                None => return None,
                Some(Link::End(end)) => return Some(Chunk::End(end.clone())),
                Some(Link::Chunk(bytes, next)) => (bytes.clone(), next.clone()),
            };
            *place = next;
            Some(Chunk::Data(bytes))
        })?;
        Ok(match chunk {
            Some(Chunk::Data(bytes)) => {
                self.seen += cost(&bytes) as u64;
                Some(Chunk::Data(bytes))
            }
            Some(Chunk::End(BodyEnd::Complete(Some(sent)))) if !self.trailer_changes.is_empty() => {
                let changed = self.trailer_changes.iter().try_fold(sent, |section, change| change(section));
                Some(Chunk::End(BodyEnd::Complete(changed)))
            }
            chunk => chunk,
        })
    }

    /// Has the trailers changed so that are read from here on.
    pub(crate) fn change_trailers(&mut self, changes: impl IntoIterator<Item = TrailerChange>) {
        self.trailer_changes = changes.into_iter().collect();
    }

    /// How many bytes the source has lost so far: what was read is not the whole body where it is not 0.
    pub fn lost(&self) -> u64 {
        self.flow.lost.load(SeqCst)
    }

    /// Resolves when the body has ended or at least `cost` bytes more are to be read. A reader that only collects waits for
    /// many, so that a body of many chunks does not wake it for each.
    ///
    /// # Errors
    /// Why this reader was cut off, once it was.
    pub fn poll_behind(&mut self, cx: &mut Context<'_>, cost: u64) -> Poll<Result<(), DropReason>> {
        let (slot, flow) = (self.slot(), &self.flow);
        slot.waker.register(cx.waker());
        // Told by what was read, and not by what is there now: asked again it must come to the same.
        let wake_at = self.seen.saturating_add(cost);
        slot.wake_at.store(wake_at, SeqCst);
        if let Some(reason) = slot.cut() {
            return Poll::Ready(Err(reason));
        }
        // What came before the mark was set has moved the total; what comes after it sees the mark.
        if flow.ended.load(SeqCst) || flow.total.load(SeqCst) >= wake_at {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Resolves when what is asked for has been told beside the body ([`BodyWriter::tell`]), or the body has ended, or this reader is cut off.
    pub(crate) fn poll_told(&mut self, cx: &mut Context<'_>, told: impl Fn() -> bool) -> Poll<()> {
        let slot = self.slot();
        slot.waker.register(cx.waker());
        match told() || self.flow.ended.load(SeqCst) || slot.cut().is_some() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Resolves when this reader is cut off: for a sink that waits for something else and must not wait for it in vain.
    pub fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<DropReason> {
        self.slot().waker.register(cx.waker());
        self.slot().cut().map_or(Poll::Pending, Poll::Ready)
    }

    /// Tells that a chunk is not needed any more.
    pub fn done_with(&mut self, bytes: &Bytes) {
        let n = cost(bytes) as u64;
        if self.start.is_none() {
            return self.slot().release(n);
        }
        self.unreleased += n;
        if self.unreleased > self.keep {
            self.forget_start();
        }
    }

    /// From here on keeps what is read, so that [`rewind`](Self::rewind) can go back to it, as long as its cost is at most `keep`, which
    /// has to be well below the lag bound.
    pub fn mark_start(&mut self, keep: u64) {
        self.keep = keep;
        self.start = self.slot().look(|place| place.clone()).ok().map(|place| (place, self.seen));
    }

    /// Goes back to the marked start; `false` where it was not marked or is no longer kept.
    pub fn rewind(&mut self) -> bool {
        let Some((start, seen)) = self.start.clone() else { return false };
        self.unreleased = 0;
        self.seen = seen;
        self.slot().look(|place| *place = start).is_ok()
    }

    fn forget_start(&mut self) {
        self.start = None;
        let n = std::mem::take(&mut self.unreleased);
        self.slot().release(n);
    }

    fn slot(&self) -> &Slot {
        &self.flow.slots[self.slot]
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        self.slot().set(DETACHED);
        drop(self.slot().place.take());
    }
}

impl std::fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyReader").field("slot", &self.slot).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
