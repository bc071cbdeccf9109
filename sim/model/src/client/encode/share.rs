//! Requests of a share group's members (KIP-932).

use bytes::Bytes;
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as AcknowledgeBatch,
};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic,
};
use kafka_protocol::messages::{
    ApiKey, GroupId, ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupHeartbeatRequest,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Context, frame, group_name, topic_name};
use crate::script::{Acknowledge, Beat, Share, ShareSession, Topic, TopicPartition};

/// What a request says of its session, and of the records that its member has.
type ShareFields = (ShareSession, Acknowledge);

pub(super) fn request(v: i16, share: &Share, context: &Context<'_>) -> Bytes {
    let group = share.group();
    match share {
        Share::Heartbeat(_, beat) => heartbeat(v, group, *beat, context),
        Share::Fetch(_, session, says, wait_ms, places) => {
            fetch(v, group, (*session, *says), *wait_ms, places, context)
        }
        Share::Acknowledge(_, session, says, places) => {
            acknowledge(v, group, (*session, *says), places, context)
        }
    }
}

/// A member chooses its id itself.
fn member(group: u8, context: &Context<'_>) -> StrBytes {
    StrBytes::from_string(format!("c{}-g{group}", context.client))
}

fn heartbeat(v: i16, group: u8, beat: Beat, context: &Context<'_>) -> Bytes {
    frame(ApiKey::ShareGroupHeartbeat, v, context, |_| {
        let known = context.memory.shares.get(&group);
        let body = ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(group_name(group)))
            .with_member_id(member(group, context));
        match beat {
            Beat::Join => body.with_subscribed_topic_names(Some(vec![
                topic_name(Topic::Orders),
                topic_name(Topic::Audit),
            ])),
            Beat::Stay => body.with_member_epoch(known.map_or(1, |known| known.member_epoch)),
            Beat::Leave => body.with_member_epoch(-1),
        }
    })
}

fn session_epoch(group: u8, session: ShareSession, context: &Context<'_>) -> i32 {
    let known = context.memory.shares.get(&group);
    let next = known.map_or(0, |known| known.session_epoch);
    match session {
        ShareSession::New => 0,
        ShareSession::Known => next,
        ShareSession::Stale => next.saturating_add(3),
        ShareSession::Last => -1,
    }
}

/// The type of an acknowledgement, if there is one, and the ranges that it is of.
fn ranges(
    group: u8,
    says: Acknowledge,
    place: (Uuid, i32),
    context: &Context<'_>,
) -> Vec<(i64, i64, i8)> {
    let kind = match says {
        Acknowledge::Nothing => return Vec::new(),
        Acknowledge::Gap => 0,
        Acknowledge::Accept => 1,
        Acknowledge::Release => 2,
        Acknowledge::Reject => 3,
    };
    let known = context.memory.shares.get(&group);
    let had = known.and_then(|known| known.acquired.get(&place));
    let had = had.into_iter().flatten();
    had.map(|(first, last)| (*first, *last, kind)).collect()
}

fn fetch(
    v: i16,
    group: u8,
    (session, says): ShareFields,
    wait_ms: u16,
    places: &[TopicPartition],
    context: &Context<'_>,
) -> Bytes {
    frame(ApiKey::ShareFetch, v, context, |_| {
        let topics = places.iter().map(|place| {
            let id = context.topic_id.topic_id(place.topic);
            let index = i32::from(place.partition);
            let batches = ranges(group, says, (id, index), context).into_iter();
            let batches = batches.map(|(first, last, kind)| {
                AcknowledgementBatch::default()
                    .with_first_offset(first)
                    .with_last_offset(last)
                    .with_acknowledge_types(vec![kind])
            });
            let partition = FetchPartition::default()
                .with_partition_index(index)
                .with_acknowledgement_batches(batches.collect());
            FetchTopic::default()
                .with_topic_id(id)
                .with_partitions(vec![partition])
        });
        ShareFetchRequest::default()
            .with_group_id(Some(GroupId(group_name(group))))
            .with_member_id(Some(member(group, context)))
            .with_share_session_epoch(session_epoch(group, session, context))
            .with_max_wait_ms(i32::from(wait_ms))
            .with_min_bytes(1)
            .with_max_bytes(1 << 22)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(topics.collect())
    })
}

fn acknowledge(
    v: i16,
    group: u8,
    (session, says): ShareFields,
    places: &[TopicPartition],
    context: &Context<'_>,
) -> Bytes {
    frame(ApiKey::ShareAcknowledge, v, context, |_| {
        let topics = places.iter().map(|place| {
            let id = context.topic_id.topic_id(place.topic);
            let index = i32::from(place.partition);
            let batches = ranges(group, says, (id, index), context).into_iter();
            let batches = batches.map(|(first, last, kind)| {
                AcknowledgeBatch::default()
                    .with_first_offset(first)
                    .with_last_offset(last)
                    .with_acknowledge_types(vec![kind])
            });
            let partition = AcknowledgePartition::default()
                .with_partition_index(index)
                .with_acknowledgement_batches(batches.collect());
            AcknowledgeTopic::default()
                .with_topic_id(id)
                .with_partitions(vec![partition])
        });
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(group_name(group))))
            .with_member_id(Some(member(group, context)))
            .with_share_session_epoch(session_epoch(group, session, context))
            .with_topics(topics.collect())
    })
}
