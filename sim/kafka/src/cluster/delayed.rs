//! Fetches that wait: who reads for them, and when they have their responses.

use std::collections::BTreeMap;

use super::Cluster;
use crate::api::fetch;
use crate::api::share_fetch;
use crate::connection::RequestId;
use crate::replica_manager::ReplicaManager;
use crate::share_partition_manager::SharePartitionManager;

impl Cluster {
    /// What reads logs, and the fetches that wait for it.
    pub(crate) const fn replica_manager(
        &mut self,
    ) -> (ReplicaManager<'_>, &mut BTreeMap<RequestId, fetch::Parked>) {
        let replicas = ReplicaManager {
            now: self.now,
            limits: &self.limits,
            rng: &mut self.rng,
            brokers: &mut self.brokers,
            topics: &self.topics,
        };
        (replicas, &mut self.parked)
    }

    /// What serves share groups, and the fetches that wait for it.
    pub(crate) const fn share_partition_manager(
        &mut self,
    ) -> (
        SharePartitionManager<'_>,
        &mut BTreeMap<RequestId, share_fetch::Parked>,
    ) {
        let manager = SharePartitionManager {
            now: self.now,
            limits: &self.limits,
            brokers: &mut self.brokers,
            topics: &self.topics,
            shares: &mut self.shares,
            logs_changed: &mut self.logs_changed,
        };
        (manager, &mut self.parked_shares)
    }

    /// Logs have changed: responds to the fetches that have something to say now.
    pub(super) fn recheck_fetches(&mut self) {
        let (replicas, waiting) = self.replica_manager();
        let ready = fetch::ready(&replicas, waiting);
        self.complete_fetches(ready);
    }

    /// Responds with what there is to the fetches that have waited long enough.
    pub(super) fn expire_fetches(&mut self) {
        let now = self.now;
        let due = self.parked.iter();
        let due = due.filter(|(_, parked)| parked.deadline <= now);
        self.complete_fetches(due.map(|(request, _)| *request).collect());
    }

    fn complete_fetches(&mut self, requests: Vec<RequestId>) {
        for request in requests {
            let (mut replicas, waiting) = self.replica_manager();
            if let Some(parked) = waiting.remove(&request) {
                let response = parked.complete(&mut replicas);
                self.respond(request, |_| response);
            }
        }
    }

    /// Logs have changed, or records were released: responds to the fetches that can have some now.
    pub(super) fn recheck_share_fetches(&mut self) {
        let requests: Vec<RequestId> = self.parked_shares.keys().copied().collect();
        // One after the other, since what one gets the next does not.
        for request in requests {
            let (mut manager, waiting) = self.share_partition_manager();
            let Some(parked) = waiting.remove(&request) else {
                continue;
            };
            match parked.complete_if_ready(&mut manager) {
                Some(response) => self.respond(request, |_| response),
                None => {
                    waiting.insert(request, parked);
                }
            }
        }
    }

    /// Responds with what there is to the fetches that have waited long enough.
    pub(super) fn expire_share_fetches(&mut self) {
        let now = self.now;
        let due = self.parked_shares.iter();
        let due = due.filter(|(_, parked)| parked.deadline <= now);
        for request in due.map(|(request, _)| *request).collect::<Vec<_>>() {
            let (mut manager, waiting) = self.share_partition_manager();
            if let Some(parked) = waiting.remove(&request) {
                let response = parked.complete(&mut manager);
                self.respond(request, |_| response);
            }
        }
    }
}
