//! `ListOffsets`: where logs start and end, and which record a time belongs to.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::fetch::READ_COMMITTED;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::log::{Log, OffsetAt};
use crate::topics::Topics;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// `ListOffsetsRequest.DEBUGGING_REPLICA_ID`: any replica may respond.
const ANY_REPLICA: i32 = -2;

pub(super) fn handle(topics: &Topics, call: &Call) -> Result<Reply, CloseReason> {
    let request: ListOffsetsRequest = call.decode()?;
    let leader_only = request.replica_id.0 != ANY_REPLICA;
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            if !seen.insert(key.clone()) {
                repeated.insert(key);
            }
        }
    }
    let mut listed = Vec::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| {
            let key = (topic.name.clone(), partition.partition_index);
            let found = if repeated.contains(&key) {
                Err(ResponseError::InvalidRequest)
            } else {
                let reader = Reader {
                    leader_only,
                    read_committed: request.isolation_level == READ_COMMITTED,
                };
                find(topics, call, &topic.name, partition, reader)
            };
            partition_response(call.head.version, partition.partition_index, found)
        });
        let response = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
        listed.push(response.with_partitions(partitions.collect()));
    }
    call.reply(&ListOffsetsResponse::default().with_topics(listed))
}

/// Who asks.
#[derive(Clone, Copy)]
struct Reader {
    leader_only: bool,
    read_committed: bool,
}

/// `ReplicaManager.fetchOffset`. None where no record fits.
fn find(
    topics: &Topics,
    call: &Call,
    topic: &str,
    wanted: &ListOffsetsPartition,
    reader: Reader,
) -> Result<Option<OffsetAt>, ResponseError> {
    let version = call.head.version;
    let needs = match wanted.timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => 1,
    };
    if version < needs {
        return Err(ResponseError::UnsupportedVersion);
    }
    let partition = topics.partition(topic, wanted.partition_index);
    let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let known_epoch = Some(wanted.current_leader_epoch).filter(|epoch| *epoch >= 0);
    partition.check(call.broker, known_epoch, reader.leader_only)?;
    let log = &partition.log;
    let end = if reader.read_committed {
        log.last_stable_offset()
    } else {
        log.end_offset()
    };
    let found = match wanted.timestamp {
        LATEST => return Ok(Some(Log::latest(end, partition.leader_epoch))),
        EARLIEST | EARLIEST_LOCAL => return Ok(Some(log.earliest())),
        MAX_TIMESTAMP => log.max_timestamp(),
        // Nothing is tiered.
        LATEST_TIERED => None,
        timestamp => log.at_timestamp(timestamp),
    };
    Ok(found.filter(|at| at.offset < end))
}

fn partition_response(
    version: i16,
    index: i32,
    found: Result<Option<OffsetAt>, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(super::code(&found))
        .with_timestamp(-1)
        .with_offset(-1);
    match found {
        Ok(Some(at)) => {
            let response = response.with_timestamp(at.timestamp).with_offset(at.offset);
            if version >= 4 {
                response.with_leader_epoch(at.leader_epoch)
            } else {
                response
            }
        }
        Ok(None) | Err(_) => response,
    }
}
