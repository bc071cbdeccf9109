//! Topics and their partitions: who leads, who follows, and the log.

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::config::Limits;
use crate::log::Log;

/// `Topic.GROUP_METADATA_TOPIC_NAME`: its partitions say which broker coordinates which group.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// `offsets.topic.num.partitions`.
pub(crate) const OFFSETS_PARTITIONS: u16 = 50;
/// `Topic.TRANSACTION_STATE_TOPIC_NAME`: its partitions say which broker coordinates which
/// transactional id.
pub(crate) const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// `transaction.state.log.num.partitions`.
const TRANSACTIONS_PARTITIONS: u16 = 50;
/// `Topic.MAX_NAME_LENGTH`.
const NAME_LENGTH_MAX: usize = 249;

/// One partition.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Nobody leads while all replicas are down.
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) in_sync: Vec<BrokerId>,
    pub(crate) log: Log,
}

impl Partition {
    fn new(replicas: Vec<BrokerId>, alive: &[BrokerId], limits: &Limits) -> Self {
        let in_sync: Vec<_> = replicas
            .iter()
            .copied()
            .filter(|id| alive.contains(id))
            .collect();
        let mut log = Log::new(limits.retention_bytes, limits.producers_per_partition_max);
        log.begin_epoch(0);
        Self {
            leader: in_sync.first().copied(),
            leader_epoch: 0,
            replicas,
            in_sync,
            log,
        }
    }

    /// Whether `broker` may serve it under the leader epoch that a client knows, if it knows one
    /// (`Partition.checkCurrentLeaderEpoch`, `Partition.getLocalLog`).
    pub(crate) fn check(
        &self,
        broker: BrokerId,
        known_epoch: Option<i32>,
        leader_only: bool,
    ) -> Result<(), ResponseError> {
        if !self.replicas.contains(&broker) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        match known_epoch {
            Some(known) if known < self.leader_epoch => Err(ResponseError::FencedLeaderEpoch),
            Some(known) if known > self.leader_epoch => Err(ResponseError::UnknownLeaderEpoch),
            Some(_) | None if leader_only && self.leader != Some(broker) => {
                Err(ResponseError::NotLeaderOrFollower)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn elect(&mut self, leader: Option<BrokerId>) {
        self.leader = leader;
        self.leader_epoch += 1;
        if leader.is_some() {
            self.log.begin_epoch(self.leader_epoch);
        }
    }

    fn broker_stopped(&mut self, broker: BrokerId) {
        // The last in-sync replica stays in the set: only it has all records.
        if self.in_sync.len() > 1 {
            self.in_sync.retain(|id| *id != broker);
        }
        if self.leader == Some(broker) {
            let next = self.in_sync.iter().copied().find(|id| *id != broker);
            self.elect(next);
        }
    }

    fn broker_started(&mut self, broker: BrokerId) {
        if !self.replicas.contains(&broker) {
            return;
        }
        if self.leader.is_none() && self.in_sync.contains(&broker) {
            self.elect(Some(broker));
        } else if self.leader.is_some() && !self.in_sync.contains(&broker) {
            self.in_sync.push(broker);
        }
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) internal: bool,
    pub(crate) partitions: Vec<Partition>,
    /// What was set at creation; everything else has its default.
    pub(crate) configs: BTreeMap<String, String>,
}

impl Topic {
    /// The partition with a number from the wire.
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        usize::try_from(index)
            .ok()
            .and_then(|at| self.partitions.get(at))
    }

    pub(crate) fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        usize::try_from(index)
            .ok()
            .and_then(|at| self.partitions.get_mut(at))
    }

    /// `min.insync.replicas`, 1 unless set.
    pub(crate) fn min_in_sync(&self) -> usize {
        self.configs
            .get("min.insync.replicas")
            .and_then(|text| text.parse().ok())
            .unwrap_or(1)
    }
}

/// All topics of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Topic>,
    names: BTreeMap<Uuid, String>,
    partitions: usize,
    /// Where the next topic's first replica goes.
    next_broker: usize,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn name_of(&self, id: &Uuid) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.by_name
            .iter()
            .map(|(name, topic)| (name.as_str(), topic))
    }

    pub(crate) fn partition(&self, name: &str, index: i32) -> Option<&Partition> {
        self.get(name)?.partition(index)
    }

    pub(crate) fn partition_mut(&mut self, name: &str, index: i32) -> Option<&mut Partition> {
        self.get_mut(name)?.partition_mut(index)
    }

    /// Puts `count` partitions in turn on the brokers, or where `assignments` say.
    pub(crate) fn create(&mut self, new: NewTopic<'_>, alive: &[BrokerId], limits: &Limits) {
        let first = self.next_broker;
        self.next_broker = first.wrapping_add(1);
        let partitions: Vec<_> = match new.layout {
            Layout::Spread {
                partitions,
                replicas,
            } => spread(partitions, replicas, alive, first)
                .map(|replicas| Partition::new(replicas, alive, limits))
                .collect(),
            Layout::Given(given) => given
                .into_iter()
                .map(|replicas| Partition::new(replicas, alive, limits))
                .collect(),
        };
        self.partitions += partitions.len();
        self.names.insert(new.id, new.name.to_owned());
        let topic = Topic {
            id: new.id,
            internal: internal_partitions(new.name).is_some(),
            partitions,
            configs: new.configs,
        };
        self.by_name.insert(new.name.to_owned(), topic);
    }

    /// Adds partitions up to `count`.
    pub(crate) fn grow(&mut self, name: &str, count: u16, alive: &[BrokerId], limits: &Limits) {
        let Some(topic) = self.by_name.get_mut(name) else {
            return;
        };
        let replicas = topic
            .partitions
            .first()
            .map_or(1, |partition| partition.replicas.len());
        let have = topic.partitions.len();
        for replicas in spread(count, replicas, alive, self.next_broker).skip(have) {
            topic
                .partitions
                .push(Partition::new(replicas, alive, limits));
            self.partitions += 1;
        }
    }

    pub(crate) fn delete(&mut self, name: &str) -> Option<Topic> {
        let topic = self.by_name.remove(name)?;
        self.names.remove(&topic.id);
        self.partitions -= topic.partitions.len();
        Some(topic)
    }

    /// Whether so many more partitions would still fit.
    pub(crate) fn has_room_for(&self, partitions: usize, limits: &Limits) -> bool {
        self.partitions.saturating_add(partitions) <= limits.partitions_max
    }

    /// Makes an in-sync replica the leader. False if it is none.
    pub(crate) fn move_leader(&mut self, name: &str, index: i32, to: BrokerId) -> bool {
        let partition = self
            .get_mut(name)
            .and_then(|topic| topic.partition_mut(index));
        let Some(partition) = partition.filter(|p| p.in_sync.contains(&to)) else {
            return false;
        };
        if partition.leader != Some(to) {
            partition.elect(Some(to));
        }
        true
    }

    pub(crate) fn broker_stopped(&mut self, broker: BrokerId) {
        self.each_partition(|partition| partition.broker_stopped(broker));
    }

    pub(crate) fn broker_started(&mut self, broker: BrokerId) {
        self.each_partition(|partition| partition.broker_started(broker));
    }

    fn each_partition(&mut self, change: impl Fn(&mut Partition)) {
        self.by_name
            .values_mut()
            .flat_map(|topic| topic.partitions.iter_mut())
            .for_each(change);
    }
}

/// A topic to be created.
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Uuid,
    pub(crate) layout: Layout,
    pub(crate) configs: BTreeMap<String, String>,
}

/// Where replicas go.
pub(crate) enum Layout {
    /// So many partitions, in turn over the brokers.
    Spread { partitions: u16, replicas: usize },
    /// Exactly here.
    Given(Vec<Vec<BrokerId>>),
}

impl Layout {
    pub(crate) fn partitions(&self) -> usize {
        match self {
            Self::Spread { partitions, .. } => usize::from(*partitions),
            Self::Given(given) => given.len(),
        }
    }

    pub(crate) fn replicas(&self) -> usize {
        match self {
            Self::Spread { replicas, .. } => *replicas,
            Self::Given(given) => given.first().map_or(0, Vec::len),
        }
    }
}

fn spread(
    partitions: u16,
    replicas: usize,
    alive: &[BrokerId],
    first: usize,
) -> impl Iterator<Item = Vec<BrokerId>> {
    let at = |i: usize| {
        i.checked_rem(alive.len())
            .and_then(|i| alive.get(i))
            .copied()
    };
    (0..usize::from(partitions)).map(move |partition| {
        let from = first.wrapping_add(partition);
        (0..replicas.min(alive.len()))
            .filter_map(|i| at(from.wrapping_add(i)))
            .collect()
    })
}

/// How many partitions an internal topic is created with; None for all others
/// (`Topic.isInternal`).
pub(crate) fn internal_partitions(name: &str) -> Option<u16> {
    match name {
        OFFSETS_TOPIC => Some(OFFSETS_PARTITIONS),
        TRANSACTIONS_TOPIC => Some(TRANSACTIONS_PARTITIONS),
        _ => None,
    }
}

/// `Topic.validate`.
pub(crate) fn name_is_legal(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= NAME_LENGTH_MAX && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

    fn topics() -> Topics {
        let mut topics = Topics::default();
        let layout = Layout::Spread {
            partitions: 3,
            replicas: 2,
        };
        let id = Uuid::from_u128(1);
        let new = NewTopic {
            name: "t",
            id,
            layout,
            configs: BTreeMap::new(),
        };
        topics.create(new, &ALIVE, &Limits::default());
        topics
    }

    fn leaders(topics: &Topics) -> Vec<Option<i32>> {
        let partitions = &topics.get("t").unwrap().partitions;
        partitions.iter().map(|p| p.leader.map(|id| id.0)).collect()
    }

    #[test]
    fn partitions_spread_over_the_brokers() {
        let mut topics = topics();
        assert_eq!(leaders(&topics), [Some(1), Some(2), Some(3)]);
        topics.grow("t", 5, &ALIVE, &Limits::default());
        assert_eq!(topics.get("t").unwrap().partitions.len(), 5);
        assert!(topics.delete("t").is_some() && topics.partitions == 0);
        assert_eq!(topics.name_of(&Uuid::from_u128(1)), None);
    }

    #[test]
    fn a_stopped_broker_hands_over_and_comes_back_as_follower() {
        let mut topics = topics();
        topics.broker_stopped(BrokerId(1));
        assert_eq!(leaders(&topics), [Some(2), Some(2), Some(3)]);
        topics.broker_stopped(BrokerId(2));
        // Nobody else is in sync for partition 0.
        assert_eq!(leaders(&topics), [None, Some(3), Some(3)]);
        topics.broker_started(BrokerId(1));
        assert_eq!(leaders(&topics), [None, Some(3), Some(3)]);
        topics.broker_started(BrokerId(2));
        assert_eq!(leaders(&topics), [Some(2), Some(3), Some(3)]);
    }

    #[test]
    fn leader_epochs_fence_both_ways() {
        let mut topics = topics();
        assert!(topics.move_leader("t", 0, BrokerId(2)));
        assert!(!topics.move_leader("t", 0, BrokerId(3)), "not a replica");
        let partition = topics.partition("t", 0).unwrap();
        assert_eq!(partition.check(BrokerId(2), Some(1), true), Ok(()));
        let check = |broker, epoch, leader| partition.check(BrokerId(broker), epoch, leader);
        assert_eq!(
            check(2, Some(0), true),
            Err(ResponseError::FencedLeaderEpoch)
        );
        assert_eq!(
            check(2, Some(2), true),
            Err(ResponseError::UnknownLeaderEpoch)
        );
        assert_eq!(
            check(1, None, true),
            Err(ResponseError::NotLeaderOrFollower)
        );
        assert_eq!(check(1, None, false), Ok(()));
        assert_eq!(
            check(3, None, false),
            Err(ResponseError::NotLeaderOrFollower)
        );
    }

    #[test]
    fn names_follow_kafkas_rules() {
        assert!(name_is_legal("a.B_c-1"));
        for bad in ["", ".", "..", "a b", "ü", &"a".repeat(250)] {
            assert!(!name_is_legal(bad), "{bad}");
        }
    }
}
