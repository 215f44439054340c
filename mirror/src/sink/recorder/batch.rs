//! Records that make up the next block, with the accounts that are settled when it is written.

use std::sync::Arc;

use super::collect::Collected;
use crate::body::BodyReader;
use crate::budget::{Budget, Charge, Share};
use crate::exchange::Account;
use crate::outcome::DropReason;
use crate::recording::avro::{Block, BlockEncoder, copied};

/// A block in the making.
pub(super) struct Batch {
    encoder: BlockEncoder,
    records: Vec<Pending>,
}

/// A block on its way to the disk.
pub(super) struct Full {
    pub(super) block: Block,
    pub(super) records: Vec<Pending>,
}

/// What a record holds until it is written.
pub(super) struct Pending {
    pub(super) account: Account,
    /// The bodies, which the block refers to, count to the recorder's share as long as their readers are there.
    _bodies: [Option<BodyReader>; 2],
    /// Covers what the block has of its own.
    _charge: Charge,
}

impl Batch {
    pub(super) fn new(capacity: usize) -> Batch {
        Batch { encoder: BlockEncoder::new(capacity), records: Vec::new() }
    }

    /// Adds a record; gives the account back where there is no room for its encoding.
    pub(super) fn push(
        &mut self,
        Collected { record, bodies, .. }: Collected,
        account: Account,
        budget: &Arc<Budget>,
        share: &Arc<Share>,
    ) -> Result<(), (Account, DropReason)> {
        let charge = match budget.charge_to(share, copied(&record)) {
            Ok(charge) => charge,
            Err(reason) => return Err((account, reason)),
        };
        if let Err(error) = self.encoder.push(&record) {
            tracing::warn!(%error, "an exchange cannot be recorded");
            return Err((account, DropReason::Memory));
        }
        self.records.push(Pending { account, _bodies: bodies, _charge: charge });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.encoder.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn take(&mut self) -> Full {
        Full { block: self.encoder.take(), records: std::mem::take(&mut self.records) }
    }
}
