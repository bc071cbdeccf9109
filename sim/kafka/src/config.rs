//! What a cluster is made of, and its limits.

use std::time::Duration;

use doorkeeper_core::id::{BrokerId, HostPort};

/// A host that values of brokers' configs name in an address and as a word of its own.
pub const HOST_IN_CONFIGS: &str = "broker";

/// The brokers of a cluster, the seed of its ids, and its limits.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Each broker's id and the address that it advertises.
    pub brokers: Vec<(BrokerId, HostPort)>,
    /// Topic ids, member ids, session ids and the cluster id grow from it.
    pub seed: u64,
    /// What the cluster keeps in memory at most, and its brokers' settings.
    pub limits: Limits,
}

/// Kafka's broker settings by Kafka's names, and bounds of what is kept in memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`: of topics that are created without a count.
    pub default_partitions: u16,
    /// `default.replication.factor`, capped by the number of brokers.
    pub default_replication_factor: u16,
    /// `message.max.bytes`: the largest record batch.
    pub message_bytes_max: usize,
    /// `log.retention.bytes`: what a partition keeps; the oldest batches go first.
    pub retention_bytes: usize,
    /// `fetch.max.bytes`: what a fetch response has at most, one batch excepted.
    pub fetch_bytes_max: usize,
    /// Partitions of the whole cluster, internal ones included.
    pub partitions_max: usize,
    /// Idempotent producers that a partition remembers; the longest silent one is forgotten.
    pub producers_per_partition_max: usize,
    /// `max.incremental.fetch.session.cache.slots` of one broker.
    pub fetch_sessions_max: usize,
    /// Partitions of one fetch session; a larger fetch gets no session.
    pub fetch_session_partitions_max: usize,
    /// Groups of the whole cluster.
    pub groups_max: usize,
    /// `group.max.size`.
    pub group_members_max: usize,
    /// `group.initial.rebalance.delay.ms`. Zero, as in Kafka's quick-start settings, not 3 s.
    pub group_initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub group_session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub group_session_timeout_max: Duration,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_group_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_group_heartbeat_interval: Duration,
    /// `group.share.max.size`.
    pub share_group_members_max: usize,
    /// `group.share.session.timeout.ms`.
    pub share_group_session_timeout: Duration,
    /// `group.share.heartbeat.interval.ms`.
    pub share_group_heartbeat_interval: Duration,
    /// `group.share.record.lock.duration.ms`: how long a member has a record.
    pub share_record_lock: Duration,
    /// `group.share.partition.max.record.locks`: records of a partition that a group has at once.
    pub share_record_locks_max: i64,
    /// `group.share.delivery.count.limit`.
    pub share_deliveries_max: i16,
    /// `group.share.max.share.sessions` of one broker.
    pub share_sessions_max: usize,
    /// Partitions of one share session; a larger one gets an error.
    pub share_session_partitions_max: usize,
    /// Partitions of all share groups together.
    pub share_partitions_max: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `transaction.max.timeout.ms`.
    pub transaction_timeout_max: Duration,
    /// Transactional ids of the whole cluster.
    pub transactional_ids_max: usize,
    /// Requests that may wait on one connection before [`crate::Cluster::accepts`] says no.
    pub queued_requests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            auto_create_topics: true,
            default_partitions: 3,
            default_replication_factor: 3,
            message_bytes_max: 1_048_588,
            retention_bytes: 16 << 20,
            fetch_bytes_max: 55 << 20,
            partitions_max: 10_000,
            producers_per_partition_max: 1_000,
            fetch_sessions_max: 1_000,
            fetch_session_partitions_max: 10_000,
            groups_max: 10_000,
            group_members_max: 1_000,
            group_initial_rebalance_delay: Duration::ZERO,
            group_session_timeout_min: Duration::from_secs(6),
            group_session_timeout_max: Duration::from_secs(30 * 60),
            consumer_group_session_timeout: Duration::from_secs(45),
            consumer_group_heartbeat_interval: Duration::from_secs(5),
            share_group_members_max: 200,
            share_group_session_timeout: Duration::from_secs(45),
            share_group_heartbeat_interval: Duration::from_secs(5),
            share_record_lock: Duration::from_secs(30),
            share_record_locks_max: 2_000,
            share_deliveries_max: 5,
            share_sessions_max: 2_000,
            share_session_partitions_max: 10_000,
            share_partitions_max: 10_000,
            offset_metadata_bytes_max: 4096,
            transaction_timeout_max: Duration::from_secs(15 * 60),
            transactional_ids_max: 10_000,
            queued_requests_max: 16,
        }
    }
}
