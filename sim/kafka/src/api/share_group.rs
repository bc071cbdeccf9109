//! `ShareGroupHeartbeat` and `ShareGroupDescribe` (KIP-932).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::share_group_describe_response::{
    Assignment as DescribedAssignment, DescribedGroup, Member as DescribedMember,
    TopicPartitions as DescribedPartitions,
};
use kafka_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ShareGroupDescribeRequest, ShareGroupDescribeResponse, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse, TopicName,
};

use super::group_admin::CLIENT_HOST;
use super::{GROUP_OPERATIONS, OPERATIONS_NOT_ASKED, wire};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::consumer_group::{GroupContext, HeartbeatResult, LEAVE, Partitions};
use crate::group_coordinator::{GroupCoordinator, check_coordinator};
use crate::share_group::{ASSIGNOR, Heartbeat, Member, ShareGroup};
use crate::topics::Topics;

pub(super) fn heartbeat(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: ShareGroupHeartbeatRequest = call.decode()?;
    let response = ShareGroupHeartbeatResponse::default();
    let result = check(&request).and_then(|()| {
        let result = check_coordinator(coordinator.topics, call.broker, &request.group_id)
            .and_then(|()| beat(coordinator, call, &request));
        result.map_err(|error| (error, error.to_string()))
    });
    let result = match result {
        Ok(result) => result,
        Err((error, message)) => {
            let response = response.with_error_code(error.code());
            return call.reply(&response.with_error_message(Some(wire(&message))));
        }
    };
    let interval = coordinator.limits.share_group_heartbeat_interval;
    let interval = if result.member_epoch == LEAVE {
        0
    } else {
        i32::try_from(interval.as_millis()).unwrap_or(i32::MAX)
    };
    let response = response
        .with_member_id(Some(wire(&result.member_id)))
        .with_member_epoch(result.member_epoch)
        .with_heartbeat_interval_ms(interval)
        .with_assignment(result.assignment.as_ref().map(assignment));
    call.reply(&response)
}

/// `GroupMetadataManager.throwIfShareGroupHeartbeatRequestIsInvalid`.
fn check(request: &ShareGroupHeartbeatRequest) -> Result<(), (ResponseError, String)> {
    let is_blank = |text: &str| text.trim().is_empty();
    let names = request.subscribed_topic_names.as_ref();
    let wrong = if is_blank(&request.member_id) {
        "MemberId can't be empty."
    } else if is_blank(&request.group_id) {
        "GroupId can't be empty."
    } else if request.rack_id.as_deref().is_some_and(is_blank) {
        "RackId can't be empty."
    } else if request.member_epoch == 0 && names.is_none_or(Vec::is_empty) {
        "SubscribedTopicNames must be set in first request."
    } else if request.member_epoch < LEAVE {
        "MemberEpoch is invalid."
    } else {
        return Ok(());
    };
    Err((ResponseError::InvalidRequest, wrong.to_owned()))
}

fn beat(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
    request: &ShareGroupHeartbeatRequest,
) -> Result<HeartbeatResult, ResponseError> {
    let GroupCoordinator {
        groups,
        topics,
        limits,
        rng,
        now,
        ..
    } = coordinator;
    let id = &request.group_id;
    let not_found = ResponseError::GroupIdNotFound;
    if request.member_epoch == LEAVE {
        let group = groups.share_mut(id).ok_or(not_found)?;
        group.leave(&request.member_id)?;
        return Ok(HeartbeatResult {
            member_id: request.member_id.to_string(),
            member_epoch: LEAVE,
            assignment: None,
        });
    }
    let group = if request.member_epoch == 0 {
        groups.share_or_create(id, limits.groups_max)?
    } else {
        groups.share_mut(id).ok_or(not_found)?
    };
    let names = request.subscribed_topic_names.as_ref();
    let beat = Heartbeat {
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        rack_id: request.rack_id.as_ref().map(ToString::to_string),
        client_id: call.client_id.clone(),
        subscribed: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
    };
    let context = GroupContext {
        now: *now,
        limits,
        topics,
        rng,
    };
    group.heartbeat(beat, &context)
}

fn assignment(partitions: &Partitions) -> Assignment {
    let mut topics = Vec::<TopicPartitions>::new();
    for (id, partition) in partitions {
        match topics.last_mut().filter(|topic| topic.topic_id == *id) {
            Some(topic) => topic.partitions.push(*partition),
            None => topics.push(
                TopicPartitions::default()
                    .with_topic_id(*id)
                    .with_partitions(vec![*partition]),
            ),
        }
    }
    Assignment::default().with_topic_partitions(topics)
}

pub(super) fn describe(
    coordinator: &GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: ShareGroupDescribeRequest = call.decode()?;
    let operations = if request.include_authorized_operations {
        GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let groups = request.group_ids.iter().map(|id| {
        let response = DescribedGroup::default();
        let response = match check_coordinator(coordinator.topics, call.broker, id) {
            Err(error) => response.with_error_code(error.code()),
            Ok(()) => match coordinator.groups.share(id) {
                Some(group) => {
                    described(group, coordinator.topics).with_authorized_operations(operations)
                }
                None => response
                    .with_error_code(ResponseError::GroupIdNotFound.code())
                    .with_error_message(Some(wire(&missing(coordinator, id)))),
            },
        };
        response.with_group_id(id.clone())
    });
    let groups = groups.collect();
    call.reply(&ShareGroupDescribeResponse::default().with_groups(groups))
}

fn missing(coordinator: &GroupCoordinator<'_>, id: &str) -> String {
    if coordinator.groups.contains(id) {
        format!("Group {id} is not a share group.")
    } else {
        format!("Group {id} not found.")
    }
}

/// `ShareGroup.asDescribedGroup`.
fn described(group: &ShareGroup, topics: &Topics) -> DescribedGroup {
    let member = |member: &Member| {
        let names = member.subscribed.iter();
        let names = names.map(|name| TopicName(wire(name))).collect();
        DescribedMember::default()
            .with_member_id(wire(&member.id))
            .with_rack_id(member.rack_id.as_deref().map(wire))
            .with_member_epoch(member.epoch)
            .with_client_id(wire(&member.client_id))
            .with_client_host(wire(CLIENT_HOST))
            .with_subscribed_topic_names(names)
            .with_assignment(named(&member.assigned, topics))
    };
    DescribedGroup::default()
        .with_group_state(wire(group.state()))
        .with_group_epoch(group.epoch())
        .with_assignment_epoch(group.target_epoch())
        .with_assignor_name(wire(ASSIGNOR))
        .with_members(group.members().map(member).collect())
}

/// Topics that are gone are left out.
fn named(partitions: &Partitions, topics: &Topics) -> DescribedAssignment {
    let mut named = Vec::<DescribedPartitions>::new();
    for (id, partition) in partitions {
        let Some(name) = topics.name_of(id) else {
            continue;
        };
        match named.last_mut().filter(|topic| topic.topic_id == *id) {
            Some(topic) => topic.partitions.push(*partition),
            None => named.push(
                DescribedPartitions::default()
                    .with_topic_id(*id)
                    .with_topic_name(TopicName(wire(name)))
                    .with_partitions(vec![*partition]),
            ),
        }
    }
    DescribedAssignment::default().with_topic_partitions(named)
}
