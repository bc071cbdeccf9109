//! What a client remembers of the batches that its idempotent producers have sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::batch::{Writer, batch};
use crate::script::{BatchChoice, TopicPartition};

/// The sequence numbers of each producer id and epoch, for each partition.
#[derive(Clone, Debug, Default)]
pub struct Sequences(BTreeMap<(i64, i16, TopicPartition), SentBatches>);

/// What was sent to one partition.
#[derive(Clone, Debug, Default)]
struct SentBatches {
    next: i32,
    last: Bytes,
}

impl Sequences {
    /// The next batch, or the last one once more. The value is made only for a next one.
    pub(super) fn take(
        &mut self,
        (id, epoch): (i64, i16),
        transactional: bool,
        place: TopicPartition,
        turn: BatchChoice,
        value: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let sent = self.0.entry((id, epoch, place)).or_default();
        if turn == BatchChoice::Again && !sent.last.is_empty() {
            return sent.last.clone();
        }
        let writer = Writer {
            producer_id: id,
            epoch,
            sequence: sent.next,
            transactional,
        };
        sent.next = sent.next.checked_add(1).unwrap_or(0);
        sent.last = batch(&value(), writer);
        sent.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Topic;
    use doorkeeper_kafka_model::batch::validate;

    #[test]
    fn sequences_follow_for_each_partition_and_begin_again_with_each_epoch() {
        let mut sequences = Sequences::default();
        let mut take = |epoch, partition, turn| {
            let place = TopicPartition {
                topic: Topic::Orders,
                partition,
            };
            let value = || Bytes::from_static(b"value");
            let made = sequences.take((7, epoch), true, place, turn, value);
            let (header, _) = validate(&made, 9, 1 << 20).unwrap();
            assert!(header.is_transactional());
            (
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
            )
        };
        assert_eq!(
            take(0, 0, BatchChoice::Again),
            (7, 0, 0),
            "there is no last one"
        );
        assert_eq!(take(0, 0, BatchChoice::Next), (7, 0, 1));
        assert_eq!(take(0, 0, BatchChoice::Again), (7, 0, 1));
        assert_eq!(take(0, 1, BatchChoice::Next), (7, 0, 0));
        assert_eq!(take(1, 0, BatchChoice::Next), (7, 1, 0));
    }
}
