//! All transactional ids of the cluster, and the markers that end transactions in partitions
//! (`TransactionStateManager`, `TransactionMarkerChannelManager`).

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

use crate::groups;
use crate::topics::{TRANSACTIONS_TOPIC, Topics};
use crate::transaction::{Outcome, Producer, Transaction};

/// All transactional ids. They are never forgotten, so there is a bound.
#[derive(Debug, Default)]
pub(crate) struct Transactions(BTreeMap<String, Transaction>);

impl Transactions {
    pub(crate) fn get(&self, id: &str) -> Option<&Transaction> {
        self.0.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Transaction> {
        self.0.get_mut(id)
    }

    /// The transactional id, made with `producer_id` if it is not there.
    pub(crate) fn get_or_create(
        &mut self,
        id: &str,
        ids_max: usize,
        producer_id: impl FnOnce() -> i64,
    ) -> Result<&mut Transaction, ResponseError> {
        if !self.0.contains_key(id) && self.0.len() >= ids_max {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let made = || Transaction::new(producer_id());
        Ok(self.0.entry(id.to_owned()).or_insert_with(made))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Transaction)> {
        let all = self.0.iter_mut();
        all.map(|(id, transaction)| (id.as_str(), transaction))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(Transaction::deadline).min()
    }

    /// Aborts what has lasted too long (`TransactionCoordinator.abortTimedOutTransactions`).
    pub(crate) fn expire(&mut self, now: Instant) {
        for transaction in self.0.values_mut() {
            if transaction.deadline().is_some_and(|end| end <= now) {
                transaction.fence();
            }
        }
    }
}

/// The broker that coordinates a transactional id: the leader of its partition of
/// `__transaction_state`.
pub(crate) fn coordinator(topics: &Topics, transactional_id: &str) -> Option<BrokerId> {
    groups::leader_for(topics, TRANSACTIONS_TOPIC, transactional_id)
}

/// The time as timestamps on the wire have it. The model has no wall clock: its time begins at 0.
pub(crate) fn millis_of(at: Instant) -> i64 {
    i64::try_from(at.since(Instant::ZERO).as_millis()).unwrap_or(i64::MAX)
}

/// How a transaction has ended, for one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) producer: Producer,
    pub(crate) outcome: Outcome,
    pub(crate) coordinator_epoch: i32,
    pub(crate) timestamp: i64,
}
