//! Requests of a group's members.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupHeartbeatRequest, GroupId, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::{Context, frame, group_name, text, topic_name};
use crate::script::{Beat, Topic, TopicPartition};

/// The group, and who the client is in it.
fn member(group: u8, context: &Context<'_>) -> (GroupId, StrBytes, i32) {
    let known = context.memory.members.get(&group).cloned();
    let (member, generation) = known.unwrap_or_default();
    (
        GroupId(group_name(group)),
        StrBytes::from_string(member),
        generation,
    )
}

pub(super) fn join(v: i16, group: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::JoinGroup, v, context, |v| {
        let (id, member, _) = member(group, context);
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        let body = JoinGroupRequest::default()
            .with_group_id(id)
            .with_member_id(member)
            .with_session_timeout_ms(10_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        if v >= 1 {
            body.with_rebalance_timeout_ms(20_000)
        } else {
            body
        }
    })
}

pub(super) fn sync(v: i16, group: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::SyncGroup, v, context, |_| {
        let (id, member, generation) = member(group, context);
        SyncGroupRequest::default()
            .with_group_id(id)
            .with_member_id(member)
            .with_generation_id(generation)
    })
}

pub(super) fn heartbeat(v: i16, group: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::Heartbeat, v, context, |_| {
        let (id, member, generation) = member(group, context);
        HeartbeatRequest::default()
            .with_group_id(id)
            .with_member_id(member)
            .with_generation_id(generation)
    })
}

pub(super) fn leave(v: i16, group: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::LeaveGroup, v, context, |v| {
        let (id, member, _) = member(group, context);
        let body = LeaveGroupRequest::default().with_group_id(id);
        match v {
            3.. => body.with_members(vec![MemberIdentity::default().with_member_id(member)]),
            _ => body.with_member_id(member),
        }
    })
}

pub(super) fn commit(v: i16, group: u8, place: TopicPartition, context: &Context<'_>) -> Bytes {
    frame(ApiKey::OffsetCommit, v, context, |v| {
        let (id, member, generation) = member(group, context);
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(i32::from(place.partition))
            .with_committed_offset(1);
        let topic = OffsetCommitRequestTopic::default().with_partitions(vec![partition]);
        let topic = match v {
            10.. => topic.with_topic_id(context.topic_id.topic_id(place.topic)),
            _ => topic.with_name(topic_name(place.topic)),
        };
        OffsetCommitRequest::default()
            .with_group_id(id)
            .with_member_id(member)
            .with_generation_id_or_member_epoch(generation)
            .with_topics(vec![topic])
    })
}

pub(super) fn fetch(v: i16, group: u8, context: &Context<'_>) -> Bytes {
    frame(ApiKey::OffsetFetch, v, context, |v| {
        let (id, ..) = member(group, context);
        let body = OffsetFetchRequest::default();
        match v {
            8.. => {
                let group = OffsetFetchRequestGroup::default()
                    .with_group_id(id)
                    .with_topics(None);
                body.with_groups(vec![group])
            }
            2.. => body.with_group_id(id).with_topics(None),
            _ => body.with_group_id(id),
        }
    })
}

/// A member of a consumer group: it chooses its id itself, and says what it has (KIP-848).
pub(super) fn consumer_heartbeat(v: i16, group: u8, beat: Beat, context: &Context<'_>) -> Bytes {
    frame(ApiKey::ConsumerGroupHeartbeat, v, context, |_| {
        let known = context.memory.consumers.get(&group);
        let id = format!("c{}-g{group}", context.client);
        let body = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(group_name(group)))
            .with_member_id(StrBytes::from_string(id));
        match beat {
            Beat::Join => body
                .with_rebalance_timeout_ms(20_000)
                .with_subscribed_topic_names(Some(vec![
                    topic_name(Topic::Orders),
                    topic_name(Topic::Audit),
                ]))
                .with_topic_partitions(Some(Vec::new())),
            Beat::Stay => body
                .with_member_epoch(known.map_or(1, |known| known.epoch))
                .with_topic_partitions(known.map(|known| known.assigned.clone())),
            Beat::Leave => body.with_member_epoch(-1),
        }
    })
}
