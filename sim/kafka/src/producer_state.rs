//! What a partition remembers of its idempotent producers: `ProducerStateManager` and
//! `ProducerAppendInfo`.

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::ResponseError;

use crate::batch::Header;

/// `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
const BATCHES_KEPT: usize = 5;

/// A batch that was appended: enough to know it again.
#[derive(Clone, Copy, Debug)]
struct Batch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Batch>,
    last_offset: i64,
    /// Where its ongoing transaction begins in this partition.
    transaction_from: Option<i64>,
}

impl Producer {
    fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

/// What a batch with a producer id is to its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchCheck {
    /// Append it.
    New,
    /// It was appended before, at this offset: respond as then.
    Duplicate { base_offset: i64 },
}

/// The producers of one partition.
#[derive(Debug)]
pub(crate) struct ProducerState {
    producers: BTreeMap<i64, Producer>,
    producers_max: usize,
}

impl ProducerState {
    pub(crate) const fn new(producers_max: usize) -> Self {
        Self {
            producers: BTreeMap::new(),
            producers_max,
        }
    }

    /// Checks a batch. Batches without a producer id are always new.
    pub(crate) fn check(&self, header: &Header) -> Result<BatchCheck, ResponseError> {
        if header.producer_id < 0 {
            return Ok(BatchCheck::New);
        }
        // A producer that is not known (any more) may begin anywhere.
        let Some(known) = self.producers.get(&header.producer_id) else {
            return Ok(BatchCheck::New);
        };
        if header.producer_epoch == known.epoch {
            let same = |batch: &&Batch| {
                batch.first_sequence == header.base_sequence
                    && batch.last_sequence == header.last_sequence()
            };
            if let Some(batch) = known.batches.iter().find(same) {
                return Ok(BatchCheck::Duplicate {
                    base_offset: batch.base_offset,
                });
            }
        }
        if header.producer_epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let follows = if header.producer_epoch > known.epoch {
            header.base_sequence == 0
        } else {
            // Of an epoch that only a marker has brought there is no batch yet.
            let next = known
                .batches
                .back()
                .map_or(0, |last| last.last_sequence.checked_add(1).unwrap_or(0));
            next == header.base_sequence
        };
        if !follows {
            Err(ResponseError::OutOfOrderSequenceNumber)
        } else if known.transaction_from.is_some() && !header.is_transactional() {
            Err(ResponseError::InvalidTxnState)
        } else {
            Ok(BatchCheck::New)
        }
    }

    /// Whether the producer has an ongoing transaction in this partition
    /// (`UnifiedLog.hasOngoingTransaction`).
    pub(crate) fn has_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        let known = self.producers.get(&producer_id);
        known.is_some_and(|known| known.transaction_from.is_some() && known.epoch == epoch)
    }

    /// Remembers a batch that was appended at `base_offset`. True if it begins a transaction.
    pub(crate) fn appended(&mut self, header: &Header, base_offset: i64) -> bool {
        if header.producer_id < 0 {
            return false;
        }
        let known = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                batches: VecDeque::new(),
                last_offset: base_offset,
                transaction_from: None,
            });
        known.set_epoch(header.producer_epoch);
        if known.batches.len() == BATCHES_KEPT {
            known.batches.pop_front();
        }
        known.batches.push_back(Batch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
        });
        known.last_offset = base_offset + i64::from(header.last_offset_delta);
        let begins = header.is_transactional() && known.transaction_from.is_none();
        if begins {
            known.transaction_from = Some(base_offset);
        }
        if self.producers.len() > self.producers_max {
            self.forget_longest_silent();
        }
        begins
    }

    /// Remembers a marker that was appended at `offset`. Where the transaction that it ends began;
    /// None if nothing was written in it (`ProducerAppendInfo.appendEndTxnMarker`).
    pub(crate) fn ended(&mut self, producer_id: i64, epoch: i16, offset: i64) -> Option<i64> {
        let known = self
            .producers
            .entry(producer_id)
            .or_insert_with(|| Producer {
                epoch,
                batches: VecDeque::new(),
                last_offset: offset,
                transaction_from: None,
            });
        known.set_epoch(epoch);
        known.last_offset = offset;
        known.transaction_from.take()
    }

    fn forget_longest_silent(&mut self) {
        let oldest = self
            .producers
            .iter()
            .filter(|(_, p)| p.transaction_from.is_none())
            .min_by_key(|(_, p)| p.last_offset)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.producers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, epoch: i16, sequence: i32, records: i32) -> Header {
        Header {
            base_offset: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            records,
        }
    }

    fn with(batches: &[(Header, i64)]) -> ProducerState {
        let mut state = ProducerState::new(2);
        for (header, offset) in batches {
            assert_eq!(state.check(header), Ok(BatchCheck::New));
            state.appended(header, *offset);
        }
        state
    }

    #[test]
    fn sequences_must_follow() {
        let state = with(&[(batch(1, 0, 0, 3), 10)]);
        assert_eq!(state.check(&batch(1, 0, 3, 1)), Ok(BatchCheck::New));
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(state.check(&batch(1, 0, 4, 1)), gap);
        assert_eq!(state.check(&batch(1, 0, 1, 1)), gap);
    }

    #[test]
    fn a_repeated_batch_gets_the_response_of_the_first_one() {
        let state = with(&[(batch(1, 0, 0, 3), 10), (batch(1, 0, 3, 1), 20)]);
        let again = BatchCheck::Duplicate { base_offset: 10 };
        assert_eq!(state.check(&batch(1, 0, 0, 3)), Ok(again));
    }

    #[test]
    fn only_the_last_five_batches_are_known_again() {
        let batches: Vec<_> = (0..6).map(|i| (batch(1, 0, i, 1), i64::from(i))).collect();
        let state = with(&batches);
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(state.check(&batch(1, 0, 0, 1)), gap);
        assert_eq!(
            state.check(&batch(1, 0, 1, 1)),
            Ok(BatchCheck::Duplicate { base_offset: 1 })
        );
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
        let mut state = with(&[(batch(1, 0, 0, 1), 0)]);
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(state.check(&batch(1, 1, 5, 1)), gap);
        state.appended(&batch(1, 1, 0, 1), 1);
        assert_eq!(
            state.check(&batch(1, 0, 1, 1)),
            Err(ResponseError::InvalidProducerEpoch)
        );
    }

    #[test]
    fn sequences_wrap() {
        let state = with(&[(batch(1, 0, i32::MAX, 1), 0)]);
        assert_eq!(state.check(&batch(1, 0, 0, 1)), Ok(BatchCheck::New));
    }

    #[test]
    fn the_longest_silent_producer_is_forgotten() {
        let state = with(&[
            (batch(1, 0, 0, 1), 0),
            (batch(2, 0, 0, 1), 1),
            (batch(3, 0, 0, 1), 2),
        ]);
        assert_eq!(state.check(&batch(1, 0, 9, 1)), Ok(BatchCheck::New));
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(state.check(&batch(2, 0, 9, 1)), gap);
    }
    #[test]
    fn an_open_transaction_rejects_batches_outside_it() {
        let mut state = ProducerState::new(2);
        let mut first = batch(1, 0, 0, 2);
        first.attributes = 0x10;
        assert!(state.appended(&first, 5));
        assert!(state.has_transaction(1, 0) && !state.has_transaction(1, 1));
        let outside = Err(ResponseError::InvalidTxnState);
        assert_eq!(state.check(&batch(1, 0, 2, 1)), outside);
        // The second version of transactions brings a new epoch with the marker.
        assert_eq!(state.ended(1, 1, 7), Some(5));
        assert_eq!(state.ended(1, 1, 8), None);
        assert_eq!(state.check(&batch(1, 1, 0, 1)), Ok(BatchCheck::New));
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(state.check(&batch(1, 1, 1, 1)), gap);
        let fenced = Err(ResponseError::InvalidProducerEpoch);
        assert_eq!(state.check(&batch(1, 0, 2, 1)), fenced);
    }
}
