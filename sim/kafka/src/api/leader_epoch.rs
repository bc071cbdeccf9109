//! `OffsetForLeaderEpoch`: where a leader's time ended.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::topics::Topics;

pub(super) fn handle(topics: &Topics, call: &Call) -> Result<Reply, CloseReason> {
    let request: OffsetForLeaderEpochRequest = call.decode()?;
    let ends = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = find(topics, call, &topic.topic, wanted);
            let response = EpochEndOffset::default()
                .with_partition(wanted.partition)
                .with_error_code(super::code(&found))
                .with_leader_epoch(-1)
                .with_end_offset(-1);
            match found {
                Ok(Some((epoch, end))) => response.with_leader_epoch(epoch).with_end_offset(end),
                Ok(None) | Err(_) => response,
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    call.reply(&OffsetForLeaderEpochResponse::default().with_topics(ends.collect()))
}

fn find(
    topics: &Topics,
    call: &Call,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ResponseError> {
    let partition = topics.partition(topic, wanted.partition);
    let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let known_epoch = Some(wanted.current_leader_epoch).filter(|epoch| *epoch >= 0);
    partition.check(call.broker, known_epoch, true)?;
    Ok(partition.log.end_of_epoch(wanted.leader_epoch))
}
