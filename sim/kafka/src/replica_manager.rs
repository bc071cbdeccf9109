//! What a broker reads logs with.

use doorkeeper_core::time::Instant;

use crate::brokers::Brokers;
use crate::config::Limits;
use crate::rng::Rng;
use crate::topics::Topics;

/// The logs of all partitions, and the fetch sessions of brokers.
pub(crate) struct ReplicaManager<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) rng: &'a mut Rng,
    pub(crate) brokers: &'a mut Brokers,
    pub(crate) topics: &'a Topics,
}
