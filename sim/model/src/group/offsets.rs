//! The offsets that a group has committed.

use std::collections::BTreeMap;

/// What was committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Committed offsets by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets(BTreeMap<String, BTreeMap<i32, Committed>>);

impl Offsets {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn commit(&mut self, topic: &str, partition: i32, committed: Committed) {
        let partitions = if let Some(partitions) = self.0.get_mut(topic) {
            partitions
        } else {
            self.0.entry(topic.to_owned()).or_default()
        };
        partitions.insert(partition, committed);
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.0.get(topic)?.get(&partition)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, Committed>)> {
        self.0
            .iter()
            .map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// The topic is gone, and its offsets with it.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.0.remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_commit_counts_until_the_topic_goes() {
        let mut offsets = Offsets::new();
        let at = |offset| Committed {
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
}
