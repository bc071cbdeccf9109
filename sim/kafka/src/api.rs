//! The APIs that the model's brokers have: one row each, one file each.

mod api_versions;
mod cluster_info;
mod configs;
mod consumer_group;
mod create_topics;
mod delete_topics;
pub(crate) mod fetch;
mod find_coordinator;
mod group_admin;
mod group_offsets;
mod group_session;
mod init_producer_id;
pub(crate) mod join_group;
mod leader_epoch;
mod list_offsets;
mod metadata;
mod partitions;
mod produce;
mod share_acknowledge;
pub(crate) mod share_fetch;
mod share_group;
mod transactions;
mod txn_offset_commit;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

pub(crate) use self::api_versions::UNSUPPORTED as UNSUPPORTED_API_VERSIONS;
use crate::close::CloseReason;
use crate::cluster::Cluster;
use crate::codec::{Call, Reply};

type Handler = fn(&mut Cluster, &Call) -> Result<Reply, CloseReason>;

/// One API: the versions that are served, and by whom.
pub(crate) struct Row {
    key: ApiKey,
    min: i16,
    max: i16,
    handle: Handler,
}

impl Row {
    pub(crate) const fn serves(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The lowest version that is advertised. Brokers advertise Produce from 0, although they
    /// close on 0 to 2, because librdkafka would not compress otherwise (KAFKA-18659).
    fn advertised_min(&self) -> i16 {
        if self.key == ApiKey::Produce {
            0
        } else {
            self.min
        }
    }
}

const fn api(key: ApiKey, min: i16, max: i16, handle: Handler) -> Row {
    Row {
        key,
        min,
        max,
        handle,
    }
}

/// All APIs by their keys.
static ROWS: [Row; 36] = [
    api(ApiKey::Produce, 3, 13, |cluster, call| {
        let (mut coordinator, brokers) = cluster.transaction_coordinator_and_brokers();
        produce::handle(&mut coordinator, brokers, call)
    }),
    api(ApiKey::Fetch, 4, 18, |cluster, call| {
        let (mut replicas, waiting) = cluster.replica_manager();
        fetch::handle(&mut replicas, waiting, call)
    }),
    api(ApiKey::ListOffsets, 1, 10, |cluster, call| {
        list_offsets::handle(&cluster.topics, call)
    }),
    api(ApiKey::Metadata, 0, 13, |cluster, call| {
        metadata::handle(&mut cluster.controller(), call)
    }),
    api(ApiKey::OffsetCommit, 2, 9, |cluster, call| {
        cluster.coordinate_groups(|coordinator| group_offsets::commit(coordinator, call))
    }),
    api(ApiKey::OffsetFetch, 1, 9, |cluster, call| {
        cluster.coordinate_groups(|coordinator| group_offsets::fetch(coordinator, call))
    }),
    api(ApiKey::FindCoordinator, 0, 6, |cluster, call| {
        find_coordinator::handle(&mut cluster.controller(), call)
    }),
    api(ApiKey::JoinGroup, 0, 9, |cluster, call| {
        cluster.coordinate_groups(|coordinator| join_group::handle(coordinator, call))
    }),
    api(ApiKey::Heartbeat, 0, 4, |cluster, call| {
        cluster.coordinate_groups(|coordinator| group_session::heartbeat(coordinator, call))
    }),
    api(ApiKey::LeaveGroup, 0, 5, |cluster, call| {
        cluster.coordinate_groups(|coordinator| group_session::leave(coordinator, call))
    }),
    api(ApiKey::SyncGroup, 0, 5, |cluster, call| {
        cluster.coordinate_groups(|coordinator| group_session::sync(coordinator, call))
    }),
    api(ApiKey::DescribeGroups, 0, 6, |cluster, call| {
        group_admin::describe(&cluster.groups, &cluster.topics, call)
    }),
    api(ApiKey::ListGroups, 0, 5, |cluster, call| {
        group_admin::list(&cluster.groups, &cluster.topics, call)
    }),
    api(ApiKey::ApiVersions, 0, 4, |cluster, call| {
        api_versions::handle(&cluster.brokers, call)
    }),
    api(ApiKey::CreateTopics, 2, 7, |cluster, call| {
        create_topics::handle(&mut cluster.controller(), call)
    }),
    api(ApiKey::DeleteTopics, 1, 6, |cluster, call| {
        let mut deleted = Vec::new();
        let reply = delete_topics::handle(&mut cluster.topics, call, &mut deleted);
        for (name, id) in deleted {
            cluster.topic_deleted(&name, id);
        }
        reply
    }),
    api(ApiKey::DeleteRecords, 0, 2, |cluster, call| {
        let reply = partitions::delete_records(&mut cluster.topics, call)?;
        cluster.logs_changed();
        Ok(reply)
    }),
    api(ApiKey::InitProducerId, 0, 5, |cluster, call| {
        init_producer_id::handle(&mut cluster.transaction_coordinator(), call)
    }),
    api(ApiKey::AddPartitionsToTxn, 0, 5, |cluster, call| {
        transactions::add_partitions(&mut cluster.transaction_coordinator(), call)
    }),
    api(ApiKey::AddOffsetsToTxn, 0, 4, |cluster, call| {
        transactions::add_offsets(&mut cluster.transaction_coordinator(), call)
    }),
    api(ApiKey::EndTxn, 0, 5, |cluster, call| {
        transactions::end(&mut cluster.transaction_coordinator(), call)
    }),
    api(ApiKey::TxnOffsetCommit, 0, 5, |cluster, call| {
        txn_offset_commit::handle(&mut cluster.transaction_coordinator(), call)
    }),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, |cluster, call| {
        leader_epoch::handle(&cluster.topics, call)
    }),
    api(ApiKey::DescribeConfigs, 1, 4, |cluster, call| {
        configs::handle(&cluster.controller(), call)
    }),
    api(ApiKey::CreatePartitions, 0, 3, |cluster, call| {
        partitions::create(&mut cluster.controller(), call)
    }),
    api(ApiKey::DeleteGroups, 0, 2, |cluster, call| {
        let (groups, shares) = (&mut cluster.groups, &mut cluster.shares);
        group_admin::delete(groups, shares, &cluster.topics, call)
    }),
    api(ApiKey::ListPartitionReassignments, 0, 0, |_, call| {
        partitions::list_reassignments(call)
    }),
    api(ApiKey::DescribeTransactions, 0, 0, |cluster, call| {
        transactions::describe(&cluster.transaction_coordinator(), call)
    }),
    api(ApiKey::DescribeCluster, 0, 2, |cluster, call| {
        cluster_info::handle(&cluster.controller(), call)
    }),
    api(ApiKey::ConsumerGroupHeartbeat, 0, 1, |cluster, call| {
        cluster.coordinate_groups(|coordinator| consumer_group::heartbeat(coordinator, call))
    }),
    api(ApiKey::ConsumerGroupDescribe, 0, 1, |cluster, call| {
        cluster.coordinate_groups(|coordinator| consumer_group::describe(coordinator, call))
    }),
    api(ApiKey::DescribeTopicPartitions, 0, 0, |cluster, call| {
        metadata::describe_topic_partitions(&cluster.controller(), call)
    }),
    api(ApiKey::ShareGroupHeartbeat, 1, 1, |cluster, call| {
        cluster.coordinate_groups(|coordinator| share_group::heartbeat(coordinator, call))
    }),
    api(ApiKey::ShareGroupDescribe, 1, 1, |cluster, call| {
        cluster.coordinate_groups(|coordinator| share_group::describe(coordinator, call))
    }),
    api(ApiKey::ShareFetch, 1, 1, |cluster, call| {
        let (mut manager, waiting) = cluster.share_partition_manager();
        share_fetch::handle(&mut manager, waiting, call)
    }),
    api(ApiKey::ShareAcknowledge, 1, 1, |cluster, call| {
        share_acknowledge::handle(&mut cluster.share_partition_manager().0, call)
    }),
];

/// The row of an API, if the model has it.
pub(crate) fn row(key: ApiKey) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.key == key)
}

/// Responds to a call whose version [`row`] serves.
pub(crate) fn handle(cluster: &mut Cluster, call: &Call) -> Result<Reply, CloseReason> {
    match row(call.head.api) {
        Some(row) => (row.handle)(cluster, call),
        None => Err(CloseReason::UnknownApi {
            api_key: call.head.api as i16,
        }),
    }
}

/// The code on the wire: 0 is fine.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

/// A wire string of our own bytes.
fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// "Nobody has asked", in fields of authorized operations.
const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// Without an authorizer everybody may do everything that a topic knows (`AclEntry`): read, write,
/// create, delete, alter, describe and both of its configs.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Read, delete, describe and both configs of a group.
const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;
/// Create, alter, describe, cluster action, both configs and idempotent write of the cluster.
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
