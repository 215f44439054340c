//! Records that are written together, with the accounts that are settled when they are.

use std::sync::Arc;

use super::collect::Collecting;
use crate::budget::{Budget, Charge, HeldBack, Share};
use crate::exchange::{Account, Accounts};
use crate::outcome::DropReason;
use crate::recording::avro::{self, BlockEncoder, Size};
use crate::recording::view::{Line, RecordView, Weight};
use crate::recording::{Format, Kind, Record};

/// What a record's account takes until it is settled.
const ACCOUNT: usize = 256;

/// Records on their way to the disk's thread, as they come.
pub(super) struct Batch {
    making: Making,
    budget: Arc<Budget>,
    share: Arc<Share>,
}

enum Making {
    /// Encoded straight from what was collected: the usual one is to cost nothing more.
    Avro { encoder: BlockEncoder, accounts: Accounts, held: Held },
    /// As records: to encode them costs more than the engine's threads have time for.
    Records { kept: Vec<Kept>, accounts: Vec<Accounts>, bytes: usize },
}

/// A record that is still to be encoded, with what it holds until it is.
pub(super) struct Kept {
    pub(super) record: Record,
    held: Held,
}

/// What is held until it is written. All else of the exchanges is gone by then.
pub(super) struct Held {
    /// Covers what a block or a record has of its own.
    charge: Charge,
    /// The bodies that it refers to.
    bodies: HeldBack,
}

impl Held {
    fn nothing(budget: &Arc<Budget>, share: &Arc<Share>) -> Held {
        Held { charge: budget.charge_none(share), bodies: HeldBack::none(share) }
    }
}

/// What the disk's thread has to do at once.
pub(super) enum Work {
    /// To write this block.
    Block(avro::Block, Held),
    /// To encode and write these.
    Records(Vec<Kept>),
}

/// Work with the accounts that are to be settled when it is done: one for a block, or one for each record.
pub(super) struct Full {
    pub(super) work: Work,
    /// What it takes while it waits.
    pub(super) bytes: usize,
    pub(super) accounts: Vec<Accounts>,
}

impl Batch {
    /// To be taken at about `capacity` bytes. What is held until they are written counts to `share`.
    pub(super) fn new(format: Format, capacity: usize, budget: &Arc<Budget>, share: &Arc<Share>) -> Batch {
        Batch {
            making: match format.kind {
                Kind::Avro => Making::Avro {
                    encoder: BlockEncoder::new(capacity),
                    accounts: Accounts::default(),
                    held: Held::nothing(budget, share),
                },
                _ => Making::Records { kept: Vec::new(), accounts: Vec::new(), bytes: 0 },
            },
            budget: budget.clone(),
            share: share.clone(),
        }
    }

    /// Adds a record; gives the account back where there is none, or no room for it.
    pub(super) fn push(&mut self, collected: &mut Collecting, account: Account) -> Result<(), (Account, DropReason)> {
        let bodies = match collected.record(self) {
            Ok(bodies) => bodies,
            Err(reason) => return Err((account, reason)),
        };
        collected.let_go();
        match &mut self.making {
            Making::Avro { accounts, held, .. } => {
                held.bodies.take_over(bodies);
                accounts.add(account);
            }
            Making::Records { kept, accounts, bytes } => {
                if let Some(kept) = kept.last_mut() {
                    kept.held.bodies.take_over(bodies);
                }
                *bytes += bodies;
                accounts.push(account.into());
            }
        }
        Ok(())
    }

    /// Takes a record in, and says how many bytes of bodies the batch holds then as they came.
    pub(super) fn take_in<Q: Line, S: Line>(&mut self, record: &RecordView<'_, Q, S>) -> Result<usize, DropReason> {
        match &mut self.making {
            Making::Avro { encoder, held, .. } => {
                let size = Size::of(record);
                held.charge.grow(size.copied)?;
                encoder.push_view(record, size).map_err(|error| {
                    tracing::warn!(%error, "an exchange cannot be recorded");
                    DropReason::Memory
                })?;
                Ok(size.held)
            }
            Making::Records { kept, bytes, .. } => {
                let weight = Weight::of(record);
                let mut held = Held::nothing(&self.budget, &self.share);
                // With the account's list.
                held.charge.grow(weight.own + size_of::<Kept>() + ACCOUNT)?;
                *bytes += weight.own;
                kept.push(Kept { record: record.to_record(), held });
                Ok(weight.bodies)
            }
        }
    }

    /// About how many bytes there are.
    pub(super) fn len(&self) -> usize {
        match &self.making {
            Making::Avro { encoder, .. } => encoder.len(),
            Making::Records { bytes, .. } => *bytes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn take(&mut self) -> Full {
        match &mut self.making {
            Making::Avro { encoder, accounts, held } => {
                let (bytes, block) = (encoder.len(), encoder.take());
                let held = std::mem::replace(held, Held::nothing(&self.budget, &self.share));
                Full { work: Work::Block(block, held), bytes, accounts: vec![std::mem::take(accounts)] }
            }
            Making::Records { kept, accounts, bytes } => Full {
                work: Work::Records(std::mem::take(kept)),
                bytes: std::mem::take(bytes),
                accounts: std::mem::take(accounts),
            },
        }
    }
}
