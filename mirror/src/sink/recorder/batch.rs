//! Records that make up the next block, with the accounts that are settled when it is written.

use std::sync::Arc;

use super::collect::Collecting;
use crate::budget::{Budget, Charge, HeldBack, Share};
use crate::exchange::{Account, Accounts};
use crate::outcome::DropReason;
use crate::recording::avro::{BlockEncoder, Size};
use crate::recording::plain::Plain;
use crate::recording::view::{Line, RecordView};
use crate::recording::{Block, Format, PlainEncoder, Unheld};

/// A block in the making.
pub(super) struct Batch {
    encoder: Encoder,
    pending: Pending,
    budget: Arc<Budget>,
    share: Arc<Share>,
}

enum Encoder {
    /// Straight from what was collected: the usual one is to cost nothing more.
    Avro(BlockEncoder),
    /// By way of a record.
    Plain(PlainEncoder),
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
    pub(super) fn new(format: Format, capacity: usize, budget: &Arc<Budget>, share: &Arc<Share>) -> Batch {
        Batch {
            encoder: match Plain::of(format.kind) {
                None => Encoder::Avro(BlockEncoder::new(capacity)),
                Some(plain) => Encoder::Plain(PlainEncoder::new(plain, capacity)),
            },
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
        match &mut self.encoder {
            Encoder::Avro(encoder) => {
                let size = Size::of(record);
                self.pending.charge.grow(size.copied)?;
                encoder.push_view(record, size).map_err(|error| {
                    tracing::warn!(%error, "an exchange cannot be recorded");
                    DropReason::Memory
                })?;
                Ok(size.held)
            }
            Encoder::Plain(encoder) => {
                let length = encoder.push(&record.to_record()).map_err(|error| {
                    tracing::warn!(%error, "an exchange cannot be recorded");
                    DropReason::Format
                })?;
                if let Err(reason) = self.pending.charge.grow(length) {
                    encoder.pop(length);
                    return Err(reason);
                }
                // All is copied.
                Ok(0)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.encoder {
            Encoder::Avro(encoder) => encoder.len(),
            Encoder::Plain(encoder) => encoder.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What of the records so far the format has no place for, where there is any.
    pub(super) fn unheld(&self) -> Option<&Unheld> {
        match &self.encoder {
            Encoder::Avro(_) => None,
            Encoder::Plain(encoder) => Some(encoder.unheld()).filter(|unheld| unheld.any()),
        }
    }

    pub(super) fn take(&mut self) -> Full {
        let pending = std::mem::replace(&mut self.pending, Pending::nothing(&self.budget, &self.share));
        let block = match &mut self.encoder {
            Encoder::Avro(encoder) => Block::Avro(encoder.take()),
            Encoder::Plain(encoder) => Block::Plain(encoder.take()),
        };
        Full { block, pending }
    }
}
