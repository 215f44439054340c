//! Records that make up the next block, with the accounts that are settled when it is written.

use std::sync::Arc;

use super::collect::Collecting;
use crate::budget::{Budget, Charge, HeldBack, Share};
use crate::exchange::{Account, Accounts};
use crate::outcome::DropReason;
use crate::recording::avro::{Block, BlockEncoder, Size};
use crate::recording::view::{Line, RecordView};

/// A block in the making.
pub(super) struct Batch {
    encoder: BlockEncoder,
    pending: Pending,
    budget: Arc<Budget>,
    share: Arc<Share>,
}

/// A block on its way to the disk.
pub(super) struct Full {
    pub(super) block: Block,
    pub(super) pending: Pending,
}

/// What the records of a block hold until it is written. All else of their exchanges is gone by then: it is in the block.
pub(super) struct Pending {
    pub(super) accounts: Accounts,
    /// Covers what the block has of its own.
    charge: Charge,
    /// The bodies that the block refers to.
    bodies: HeldBack,
}

impl Pending {
    fn nothing(budget: &Arc<Budget>, share: &Arc<Share>) -> Pending {
        Pending { accounts: Accounts::default(), charge: budget.charge_none(share), bodies: HeldBack::none(share) }
    }
}

impl Batch {
    /// Blocks of about `capacity` bytes. What is held until they are written counts to `share`.
    pub(super) fn new(capacity: usize, budget: &Arc<Budget>, share: &Arc<Share>) -> Batch {
        Batch {
            encoder: BlockEncoder::new(capacity),
            pending: Pending::nothing(budget, share),
            budget: budget.clone(),
            share: share.clone(),
        }
    }

    /// Adds a record; gives the account back where there is none, or no room for its encoding.
    pub(super) fn push(&mut self, collected: &mut Collecting, account: Account) -> Result<(), (Account, DropReason)> {
        let held = match collected.record(self) {
            Ok(held) => held,
            Err(reason) => return Err((account, reason)),
        };
        collected.let_go();
        self.pending.bodies.take_over(held);
        self.pending.accounts.add(account);
        Ok(())
    }

    /// Encodes a record, and says how many bytes of bodies the block holds as they came.
    pub(super) fn encode<Q: Line, S: Line>(&mut self, record: &RecordView<'_, Q, S>) -> Result<usize, DropReason> {
        let size = Size::of(record);
        self.pending.charge.grow(size.copied)?;
        self.encoder.push_view(record, size).map_err(|error| {
            tracing::warn!(%error, "an exchange cannot be recorded");
            DropReason::Memory
        })?;
        Ok(size.held)
    }

    pub(super) fn len(&self) -> usize {
        self.encoder.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.encoder.is_empty()
    }

    pub(super) fn take(&mut self) -> Full {
        let pending = std::mem::replace(&mut self.pending, Pending::nothing(&self.budget, &self.share));
        Full { block: self.encoder.take(), pending }
    }
}
