//! What the controller of a cluster decides: which topics there are, on which brokers.

use std::collections::BTreeMap;

use crate::brokers::Brokers;
use crate::config::Limits;
use crate::rng::Rng;
use crate::topics::{Layout, NewTopic, Topics, internal_partitions};

/// The metadata of a cluster: its id, brokers and topics.
pub(crate) struct Controller<'a> {
    pub(crate) cluster_id: &'a str,
    pub(crate) brokers: &'a Brokers,
    pub(crate) topics: &'a mut Topics,
    pub(crate) limits: &'a Limits,
    pub(crate) rng: &'a mut Rng,
}

impl Controller<'_> {
    /// Creates a topic as auto-creation does, internal topics with their own settings. False if
    /// there is no room.
    pub(crate) fn auto_create(&mut self, name: &str) -> bool {
        let partitions = internal_partitions(name).unwrap_or(self.limits.default_partitions);
        let count = usize::from(partitions);
        if !self.topics.has_room_for(count, self.limits) {
            return false;
        }
        let alive = self.brokers.alive();
        let replicas = usize::from(self.limits.default_replication_factor).min(alive.len());
        let layout = Layout::Spread {
            partitions,
            replicas,
        };
        let new = NewTopic {
            name,
            id: self.rng.uuid(),
            layout,
            configs: BTreeMap::new(),
        };
        self.topics.create(new, &alive, self.limits);
        true
    }
}
