//! `ShareAcknowledge` (KIP-932), and the acknowledgements of a `ShareFetch`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::share_acknowledge_response::{
    PartitionData, ShareAcknowledgeTopicResponse,
};
use kafka_protocol::messages::{GroupId, ShareAcknowledgeRequest, ShareAcknowledgeResponse};
use kafka_protocol::protocol::StrBytes;

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::share_partition::{AcknowledgedOffsets, Acknowledgement};
use crate::share_partition_manager::SharePartitionManager;
use crate::share_session::{Reader, TopicIdPartition};

/// `ShareRequestMetadata.INITIAL_EPOCH` and `FINAL_EPOCH`.
pub(super) const INITIAL_EPOCH: i32 = 0;
pub(super) const FINAL_EPOCH: i32 = -1;

/// What a request says of some offsets: the first, the last, and `AcknowledgeType`s.
pub(super) type AcknowledgementRange = (i64, i64, Vec<i8>);
/// What is said of each partition; an empty list where nothing is said.
pub(super) type AcknowledgementRanges = BTreeMap<TopicIdPartition, Vec<AcknowledgementRange>>;
/// What becomes of it.
pub(super) type Results = BTreeMap<TopicIdPartition, Result<(), ResponseError>>;

pub(super) fn handle(
    manager: &mut SharePartitionManager<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: ShareAcknowledgeRequest = call.decode()?;
    let epoch = request.share_session_epoch;
    let reader = reader(request.group_id.as_ref(), request.member_id.as_ref());
    let reader = reader.and_then(|reader| {
        take_turn(manager, call, &reader, epoch)?;
        Ok(reader)
    });
    let reader = match reader {
        Ok(reader) => reader,
        Err(error) => {
            let response = ShareAcknowledgeResponse::default().with_error_code(error.code());
            let message = Some(wire(&error.to_string()));
            return call.reply(&response.with_error_message(message));
        }
    };
    let said = said_in(&request);
    let results = acknowledge(manager, call, &reader, &said);
    if epoch == FINAL_EPOCH {
        end_session(manager, call, &reader);
    }
    let mut topics = Vec::<ShareAcknowledgeTopicResponse>::new();
    for ((id, index), result) in &results {
        let part = PartitionData::default()
            .with_partition_index(*index)
            .with_error_code(super::code(result));
        match topics.last_mut().filter(|topic| topic.topic_id == *id) {
            Some(topic) => topic.partitions.push(part),
            None => topics.push(
                ShareAcknowledgeTopicResponse::default()
                    .with_topic_id(*id)
                    .with_partitions(vec![part]),
            ),
        }
    }
    call.reply(&ShareAcknowledgeResponse::default().with_responses(topics))
}

/// Whose request it is.
pub(super) fn reader(
    group: Option<&GroupId>,
    member: Option<&StrBytes>,
) -> Result<Reader, ResponseError> {
    let group = group.filter(|group| !group.is_empty());
    let member = member.filter(|member| !member.is_empty());
    match (group, member) {
        (Some(group), Some(member)) => Ok(Reader {
            group: group.to_string(),
            member: member.to_string(),
        }),
        (None, _) | (_, None) => Err(ResponseError::InvalidRequest),
    }
}

/// `SharePartitionManager.acknowledgeSessionUpdate`.
fn take_turn(
    manager: &mut SharePartitionManager<'_>,
    call: &Call,
    reader: &Reader,
    epoch: i32,
) -> Result<(), ResponseError> {
    if epoch == INITIAL_EPOCH {
        return Err(ResponseError::InvalidShareSessionEpoch);
    }
    let broker = manager.brokers.get_mut(call.broker);
    let session = broker.and_then(|broker| broker.share_sessions.get_mut(reader));
    let session = session.ok_or(ResponseError::ShareSessionNotFound)?;
    if epoch == FINAL_EPOCH {
        return Ok(());
    }
    if session.next_epoch() != epoch {
        return Err(ResponseError::InvalidShareSessionEpoch);
    }
    session.begin_next();
    Ok(())
}

fn said_in(request: &ShareAcknowledgeRequest) -> AcknowledgementRanges {
    let mut all = AcknowledgementRanges::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter();
            let batches = batches.map(|batch| {
                let kinds = batch.acknowledge_types.clone();
                (batch.first_offset, batch.last_offset, kinds)
            });
            let place = (topic.topic_id, partition.partition_index);
            all.insert(place, batches.collect());
        }
    }
    all
}

/// `KafkaApis.handleAcknowledgements`. Partitions without an acknowledgement are listed only where
/// something is said of another.
pub(super) fn acknowledge(
    manager: &mut SharePartitionManager<'_>,
    call: &Call,
    reader: &Reader,
    said: &AcknowledgementRanges,
) -> Results {
    let mut results = Results::new();
    let mut silent = Vec::new();
    let mut any = false;
    for (place, batches) in said {
        let result = match checked(manager, *place, batches) {
            Ok(batches) if batches.is_empty() => {
                silent.push(*place);
                continue;
            }
            Ok(batches) => {
                any = true;
                let (topics, limits) = (manager.topics, manager.limits);
                let shares = &mut manager.shares;
                shares.acknowledge(call.broker, reader, *place, &batches, topics, limits)
            }
            Err(error) => Err(error),
        };
        results.insert(*place, result);
    }
    if any {
        results.extend(silent.into_iter().map(|place| (place, Ok(()))));
        // What was given back may be what others wait for.
        *manager.logs_changed = true;
    }
    results
}

/// `KafkaApis.validateAcknowledgementBatches`.
fn checked(
    manager: &SharePartitionManager<'_>,
    place: TopicIdPartition,
    batches: &[AcknowledgementRange],
) -> Result<Vec<AcknowledgedOffsets>, ResponseError> {
    let name = manager.topics.name_of(&place.0);
    let name = name.ok_or(ResponseError::UnknownTopicId)?;
    let mut all = Vec::new();
    let mut end = -1;
    for (first, last, kinds) in batches {
        let (first, last) = (*first, *last);
        let count = i64::try_from(kinds.len()).unwrap_or(i64::MAX);
        let fits = count == 1 || last.checked_sub(first) == Some(count - 1);
        if first > last || first < end || kinds.is_empty() || !fits {
            return Err(ResponseError::InvalidRequest);
        }
        let kinds = kinds.iter().copied().map(kind);
        let kinds = kinds.collect::<Option<_>>();
        let kinds = kinds.ok_or(ResponseError::InvalidRequest)?;
        all.push(AcknowledgedOffsets { first, last, kinds });
        end = last;
    }
    if manager.topics.partition(name, place.1).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    Ok(all)
}

/// A gap, what was accepted and what was rejected are all done; what is released comes again.
const fn kind(kind: i8) -> Option<Acknowledgement> {
    match kind {
        0 | 1 | 3 => Some(Acknowledgement::Done),
        2 => Some(Acknowledgement::Release),
        _ => None,
    }
}

/// `SharePartitionManager.releaseSession`.
pub(super) fn end_session(manager: &mut SharePartitionManager<'_>, call: &Call, reader: &Reader) {
    let broker = manager.brokers.get_mut(call.broker);
    let session = broker.and_then(|broker| broker.share_sessions.remove(reader));
    if let Some(session) = session {
        manager.session_ended(reader, &session);
    }
}
