//! All transactional ids of the cluster, and the markers that end transactions in partitions
//! (`TransactionStateManager`, `TransactionMarkerChannelManager`).

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

use crate::cluster::Cluster;
use crate::groups;
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, Topics};
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

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(Transaction::deadline).min()
    }

    /// Aborts what has lasted too long (`TransactionCoordinator.abortTimedOutTransactions`).
    fn expire(&mut self, now: Instant) {
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

impl Cluster {
    /// Aborts transactions that have lasted too long.
    pub(crate) fn expire_transactions(&mut self) {
        self.transactions.expire(self.now);
        self.finish_transactions();
    }

    /// Writes markers where a leader takes them; a partition without one gets its marker later.
    pub(crate) fn finish_transactions(&mut self) {
        let timestamp = millis_of(self.now);
        let mut marked_any = false;
        for (id, transaction) in &mut self.transactions.0 {
            let Some(outcome) = transaction.to_be_told() else {
                continue;
            };
            let Some(coordinator_epoch) = groups::epoch_for(&self.topics, TRANSACTIONS_TOPIC, id)
            else {
                continue;
            };
            let marker = Marker {
                producer: transaction.producer(),
                outcome,
                coordinator_epoch,
                timestamp,
            };
            for place in transaction.partitions().cloned().collect::<Vec<_>>() {
                let (topic, number) = &place;
                let Some(known) = self.topics.partition_mut(topic, *number) else {
                    transaction.marked(&place);
                    continue;
                };
                if known.leader.is_none() {
                    continue;
                }
                if topic == OFFSETS_TOPIC {
                    let count = self
                        .topics
                        .get(OFFSETS_TOPIC)
                        .map_or(0, |t| t.partitions.len());
                    self.groups.end_transaction(*number, count, &marker);
                } else {
                    known.log.end_transaction(known.leader_epoch, &marker);
                    marked_any = true;
                }
                transaction.marked(&place);
            }
            transaction.complete();
        }
        if marked_any {
            self.logs_changed();
        }
    }

    /// A batch is the first of a transaction in its partition: the partition is added, or, with
    /// older clients, must have been added. `AddPartitionsToTxnManager` asks the coordinator.
    pub(crate) fn join_transaction(
        &mut self,
        transactional_id: &str,
        producer: Producer,
        place: (String, i32),
        adds: bool,
    ) -> Result<(), ResponseError> {
        let id = transactional_id;
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        coordinator(&self.topics, id).ok_or(ResponseError::CoordinatorNotAvailable)?;
        let known = self.transactions.get_mut(id);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        let joined = if adds {
            known.add(self.now, producer, [place])
        } else {
            known.verify(producer, &place)
        };
        // So that clients abort and go on, and are not fenced for good.
        joined.map_err(|error| {
            if error == ResponseError::ProducerFenced {
                ResponseError::InvalidProducerEpoch
            } else {
                error
            }
        })
    }
}
