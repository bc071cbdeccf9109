//! What the coordinator of transactions works with.

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

use crate::config::Limits;
use crate::groups::{self, Groups};
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, Topics};
use crate::transaction::Producer;
use crate::transactions::{Marker, Transactions, coordinator, millis_of};

/// All transactional ids, and what transactions write to.
pub(crate) struct TransactionCoordinator<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) topics: &'a mut Topics,
    pub(crate) groups: &'a mut Groups,
    pub(crate) transactions: &'a mut Transactions,
    pub(crate) next_producer_id: &'a mut i64,
    /// Something was appended: parked fetches may have something to read.
    pub(crate) logs_changed: &'a mut bool,
}

impl TransactionCoordinator<'_> {
    /// Aborts transactions that have lasted too long.
    pub(crate) fn expire(&mut self) {
        self.transactions.expire(self.now);
        self.finish();
    }

    /// Writes markers where a leader takes them; a partition without one gets its marker later.
    pub(crate) fn finish(&mut self) {
        let timestamp = millis_of(self.now);
        let mut marked_any = false;
        for (id, transaction) in self.transactions.iter_mut() {
            let Some(outcome) = transaction.outcome_due() else {
                continue;
            };
            let Some(coordinator_epoch) = groups::epoch_for(self.topics, TRANSACTIONS_TOPIC, id)
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
            *self.logs_changed = true;
        }
    }

    /// A batch is the first of a transaction in its partition: the partition is added, or, with
    /// older clients, must have been added. `AddPartitionsToTxnManager` asks the coordinator.
    pub(crate) fn join(
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
        coordinator(self.topics, id).ok_or(ResponseError::CoordinatorNotAvailable)?;
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

/// Whether a broker coordinates the transactional id
/// (`TransactionStateManager.getTransactionState`).
pub(crate) fn check_coordinator(
    topics: &Topics,
    broker: BrokerId,
    transactional_id: &str,
) -> Result<(), ResponseError> {
    if transactional_id.is_empty() {
        Err(ResponseError::InvalidRequest)
    } else if coordinator(topics, transactional_id) == Some(broker) {
        Ok(())
    } else {
        Err(ResponseError::NotCoordinator)
    }
}
