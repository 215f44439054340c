//! Records that make up the next block, with the accounts that are settled when it is written.

use crate::budget::{Budget, Charge};
use crate::exchange::Account;
use crate::recording::Record;
use crate::recording::avro::{Block, BlockEncoder};
use std::sync::Arc;

/// What one record's encoding costs beside the bytes it carries: lengths, timings, names.
const RECORD_OVERHEAD: usize = 512;

/// A block in the making.
pub(super) struct Batch {
    encoder: BlockEncoder,
    accounts: Vec<Account>,
    charges: Vec<Charge>,
}

/// A block on its way to the disk.
pub(super) struct Full {
    pub(super) block: Block,
    pub(super) accounts: Vec<Account>,
    pub(super) charges: Vec<Charge>,
}

impl Batch {
    pub(super) fn new(capacity: usize) -> Batch {
        Batch { encoder: BlockEncoder::new(capacity), accounts: Vec::new(), charges: Vec::new() }
    }

    /// Adds a record; gives the account back where the budget has no room for its encoding.
    pub(super) fn push(&mut self, record: &Record, account: Account, budget: &Arc<Budget>) -> Result<(), Account> {
        let Some(charge) = budget.charge(size(record)) else { return Err(account) };
        if let Err(error) = self.encoder.push(record) {
            tracing::warn!(%error, "an exchange cannot be recorded");
            return Err(account);
        }
        self.charges.push(charge);
        self.accounts.push(account);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.encoder.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    pub(super) fn take(&mut self) -> Full {
        Full {
            block: self.encoder.take(),
            accounts: std::mem::take(&mut self.accounts),
            charges: std::mem::take(&mut self.charges),
        }
    }
}

/// About how long the record's encoding will be; never less by much.
fn size(record: &Record) -> usize {
    let responses = record.answers.iter().filter_map(|answer| answer.response.as_ref()).chain(&record.response);
    let messages = responses.map(|response| &response.message).chain([&record.request.message]);
    let bytes: usize = messages
        .map(|message| {
            let lines = message.headers.iter().chain(&message.trailers).map(|(n, v)| n.len() + v.len() + 8);
            lines.sum::<usize>() + message.body.iter().map(bytes::Bytes::len).sum::<usize>() + 64
        })
        .sum();
    bytes + record.request.target.len() + RECORD_OVERHEAD
}
