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
use crate::cluster::{Cluster, Reply};
use crate::codec::Call;

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
    api(ApiKey::Produce, 3, 13, produce::handle),
    api(ApiKey::Fetch, 4, 18, fetch::handle),
    api(ApiKey::ListOffsets, 1, 10, list_offsets::handle),
    api(ApiKey::Metadata, 0, 13, metadata::handle),
    api(ApiKey::OffsetCommit, 2, 9, group_offsets::commit),
    api(ApiKey::OffsetFetch, 1, 9, group_offsets::fetch),
    api(ApiKey::FindCoordinator, 0, 6, find_coordinator::handle),
    api(ApiKey::JoinGroup, 0, 9, join_group::handle),
    api(ApiKey::Heartbeat, 0, 4, group_session::heartbeat),
    api(ApiKey::LeaveGroup, 0, 5, group_session::leave),
    api(ApiKey::SyncGroup, 0, 5, group_session::sync),
    api(ApiKey::DescribeGroups, 0, 6, group_admin::describe),
    api(ApiKey::ListGroups, 0, 5, group_admin::list),
    api(ApiKey::ApiVersions, 0, 4, api_versions::handle),
    api(ApiKey::CreateTopics, 2, 7, create_topics::handle),
    api(ApiKey::DeleteTopics, 1, 6, delete_topics::handle),
    api(ApiKey::DeleteRecords, 0, 2, partitions::delete_records),
    api(ApiKey::InitProducerId, 0, 5, init_producer_id::handle),
    api(
        ApiKey::AddPartitionsToTxn,
        0,
        5,
        transactions::add_partitions,
    ),
    api(ApiKey::AddOffsetsToTxn, 0, 4, transactions::add_offsets),
    api(ApiKey::EndTxn, 0, 5, transactions::end),
    api(ApiKey::TxnOffsetCommit, 0, 5, txn_offset_commit::handle),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, leader_epoch::handle),
    api(ApiKey::DescribeConfigs, 1, 4, configs::handle),
    api(ApiKey::CreatePartitions, 0, 3, partitions::create),
    api(ApiKey::DeleteGroups, 0, 2, group_admin::delete),
    api(
        ApiKey::ListPartitionReassignments,
        0,
        0,
        partitions::list_reassignments,
    ),
    api(ApiKey::DescribeTransactions, 0, 0, transactions::describe),
    api(ApiKey::DescribeCluster, 0, 2, cluster_info::handle),
    api(
        ApiKey::ConsumerGroupHeartbeat,
        0,
        1,
        consumer_group::heartbeat,
    ),
    api(
        ApiKey::ConsumerGroupDescribe,
        0,
        1,
        consumer_group::describe,
    ),
    api(
        ApiKey::DescribeTopicPartitions,
        0,
        0,
        metadata::describe_topic_partitions,
    ),
    api(ApiKey::ShareGroupHeartbeat, 1, 1, share_group::heartbeat),
    api(ApiKey::ShareGroupDescribe, 1, 1, share_group::describe),
    api(ApiKey::ShareFetch, 1, 1, share_fetch::handle),
    api(ApiKey::ShareAcknowledge, 1, 1, share_acknowledge::handle),
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
