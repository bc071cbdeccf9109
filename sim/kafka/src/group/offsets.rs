//! The offsets that a group has committed.

use std::collections::BTreeMap;

use crate::transaction::Outcome;

/// What was committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OffsetAndMetadata {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Committed offsets by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<String, BTreeMap<i32, OffsetAndMetadata>>,
    /// What counts once the transaction of that producer id is committed.
    pending: BTreeMap<i64, Vec<(String, i32, OffsetAndMetadata)>>,
}

impl Offsets {
    pub(crate) const fn new() -> Self {
        Self {
            committed: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// Keeps an offset until the producer's transaction has ended.
    pub(crate) fn commit_pending(
        &mut self,
        producer_id: i64,
        topic: &str,
        partition: i32,
        committed: OffsetAndMetadata,
    ) {
        let pending = self.pending.entry(producer_id).or_default();
        pending.push((topic.to_owned(), partition, committed));
    }

    /// The producer's transaction has ended.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, outcome: Outcome) {
        let pending = self.pending.remove(&producer_id).unwrap_or_default();
        if outcome == Outcome::Commit {
            for (topic, partition, committed) in pending {
                self.commit(&topic, partition, committed);
            }
        }
    }

    /// Whether a transaction that has not ended may change what is committed
    /// (`hasPendingTransactionalOffsets`).
    pub(crate) fn is_unstable(&self, topic: &str, partition: i32) -> bool {
        let mut pending = self.pending.values().flatten();
        pending.any(|(name, number, _)| name == topic && *number == partition)
    }

    pub(crate) fn commit(&mut self, topic: &str, partition: i32, committed: OffsetAndMetadata) {
        let partitions = if let Some(partitions) = self.committed.get_mut(topic) {
            partitions
        } else {
            self.committed.entry(topic.to_owned()).or_default()
        };
        partitions.insert(partition, committed);
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&OffsetAndMetadata> {
        self.committed.get(topic)?.get(&partition)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, OffsetAndMetadata>)> {
        self.committed
            .iter()
            .map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// The topic is gone, and its offsets with it.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.committed.remove(topic);
        for pending in self.pending.values_mut() {
            pending.retain(|(name, ..)| name != topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_commit_counts_until_the_topic_goes() {
        let mut offsets = Offsets::new();
        let at = |offset| OffsetAndMetadata {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        offsets.commit("t", 0, at(1));
        offsets.commit("t", 0, at(2));
        assert_eq!(offsets.get("t", 0), Some(&at(2)));
        assert_eq!(offsets.get("t", 1), None);
        offsets.forget_topic("t");
        assert!(offsets.is_empty());
    }
    #[test]
    fn offsets_of_a_transaction_count_once_it_is_committed() {
        let mut offsets = Offsets::new();
        let at = |offset| OffsetAndMetadata {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        offsets.commit_pending(7, "t", 0, at(1));
        offsets.commit_pending(8, "t", 1, at(1));
        assert!(offsets.is_unstable("t", 0) && offsets.get("t", 0).is_none());
        offsets.end_transaction(7, Outcome::Commit);
        offsets.end_transaction(8, Outcome::Abort);
        assert_eq!(offsets.get("t", 0), Some(&at(1)));
        assert_eq!(offsets.get("t", 1), None);
        assert!(!offsets.is_unstable("t", 1));
    }
}
