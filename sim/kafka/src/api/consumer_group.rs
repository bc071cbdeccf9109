//! `ConsumerGroupHeartbeat` and `ConsumerGroupDescribe` (KIP-848).

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment as DescribedAssignment, DescribedGroup, Member as DescribedMember,
    TopicPartitions as DescribedPartitions,
};
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, TopicName,
};

use super::group_admin::CLIENT_HOST;
use super::{GROUP_OPERATIONS, OPERATIONS_NOT_ASKED, wire};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::consumer_group::{
    Assignor, ConsumerGroup, GroupContext, Heartbeat, HeartbeatResult, LEAVE, LEAVE_FOR_A_WHILE,
    Member, Partitions,
};
use crate::group_coordinator::{GroupCoordinator, check_coordinator};
use crate::topics::Topics;

/// From this version on members choose their ids themselves (KIP-1082).
const OWN_IDS: i16 = 1;
/// `ConsumerGroupMember` of the consumer protocol, not the classic one.
const CONSUMER_MEMBER: i8 = 1;

/// An error, with what its response says.
type ErrorWithMessage = (ResponseError, String);

pub(super) fn heartbeat(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: ConsumerGroupHeartbeatRequest = call.decode()?;
    let response = ConsumerGroupHeartbeatResponse::default();
    let result = check(call, &request).and_then(|()| {
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
    let leaves = result.member_epoch < 0;
    let interval = coordinator.limits.consumer_group_heartbeat_interval;
    let response = response
        .with_member_id(Some(wire(&result.member_id)))
        .with_member_epoch(result.member_epoch)
        .with_heartbeat_interval_ms(if leaves { 0 } else { millis_of(interval) })
        .with_assignment(result.assignment.as_ref().map(assignment));
    call.reply(&response)
}

fn millis_of(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// `GroupMetadataManager.throwIfConsumerGroupHeartbeatRequestIsInvalid`.
fn check(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Result<(), ErrorWithMessage> {
    let epoch = request.member_epoch;
    let names = request.subscribed_topic_names.as_ref();
    let regex = request.subscribed_topic_regex.as_ref();
    let has_regex = regex.is_some_and(|regex| !regex.is_empty());
    let subscribes = names.is_some_and(|names| !names.is_empty()) || has_regex;
    let is_blank = |text: Option<&str>| text.is_some_and(|text| text.trim().is_empty());
    let wants_id = call.head.version >= OWN_IDS || epoch != 0;
    let owns_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    let wrong = if request.group_id.trim().is_empty() {
        "GroupId can't be empty."
    } else if is_blank(request.instance_id.as_deref()) {
        "InstanceId can't be empty."
    } else if is_blank(request.rack_id.as_deref()) {
        "RackId can't be empty."
    } else if wants_id && request.member_id.trim().is_empty() {
        "MemberId can't be empty."
    } else if epoch < LEAVE_FOR_A_WHILE {
        "MemberEpoch is invalid."
    } else if epoch == LEAVE_FOR_A_WHILE && request.instance_id.is_none() {
        "InstanceId can't be null."
    } else if epoch == 0 && request.rebalance_timeout_ms == -1 {
        "RebalanceTimeoutMs must be provided in first request."
    } else if epoch == 0 && !owns_nothing {
        "TopicPartitions must be empty when (re-)joining."
    } else if epoch == 0 && !subscribes {
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    } else {
        return check_choices(request, has_regex);
    };
    Err((ResponseError::InvalidRequest, wrong.to_owned()))
}

fn check_choices(
    request: &ConsumerGroupHeartbeatRequest,
    has_regex: bool,
) -> Result<(), ErrorWithMessage> {
    if let Some(name) = &request.server_assignor
        && Assignor::named(name).is_none()
    {
        let message = format!(
            "ServerAssignor {} is not supported. Supported assignors: {}.",
            name.as_str(),
            Assignor::ALL.map(Assignor::name).join(", ")
        );
        return Err((ResponseError::UnsupportedAssignor, message));
    }
    if has_regex {
        // The model has no regular expressions: none is valid here.
        let message = "SubscribedTopicRegex is not supported by this broker.".to_owned();
        return Err((ResponseError::InvalidRegularExpression, message));
    }
    Ok(())
}

fn beat(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
    request: &ConsumerGroupHeartbeatRequest,
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
    let epoch = request.member_epoch;
    let not_found = ResponseError::GroupIdNotFound;
    if matches!(epoch, LEAVE | LEAVE_FOR_A_WHILE) {
        let group = groups.consumer_mut(id).ok_or(not_found)?;
        let instance = request.instance_id.as_deref();
        group.leave(&request.member_id, instance, epoch, topics)?;
        return Ok(HeartbeatResult {
            member_id: request.member_id.to_string(),
            member_epoch: epoch,
            assignment: None,
        });
    }
    let group = if epoch == 0 {
        groups.consumer_or_create(id, limits.groups_max)?
    } else {
        groups.consumer_mut(id).ok_or(not_found)?
    };
    let mut context = GroupContext {
        now: *now,
        limits,
        topics,
        rng,
    };
    group.heartbeat(read(call, request), &mut context)
}

fn read(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Heartbeat {
    let timeout = u64::try_from(request.rebalance_timeout_ms).ok();
    let names = request.subscribed_topic_names.as_ref();
    let owned = request.topic_partitions.as_ref().map(|topics| {
        let partitions = topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, *p)));
        partitions.collect()
    });
    Heartbeat {
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        instance_id: request.instance_id.as_ref().map(ToString::to_string),
        rack_id: request.rack_id.as_ref().map(ToString::to_string),
        client_id: call.client_id.clone(),
        rebalance_timeout: timeout.map(Duration::from_millis),
        subscribed: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        assignor: request.server_assignor.as_deref().and_then(Assignor::named),
        owned,
    }
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
    let request: ConsumerGroupDescribeRequest = call.decode()?;
    let operations = if request.include_authorized_operations {
        GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let groups = request.group_ids.iter().map(|id| {
        let response = DescribedGroup::default();
        let response = match check_coordinator(coordinator.topics, call.broker, id) {
            Err(error) => response.with_error_code(error.code()),
            Ok(()) => match coordinator.groups.consumer(id) {
                Some(group) => described(group, coordinator.topics, call.head.version)
                    .with_authorized_operations(operations),
                None => response
                    .with_error_code(ResponseError::GroupIdNotFound.code())
                    .with_error_message(Some(wire(&format!("Group {} not found.", id.as_str())))),
            },
        };
        response.with_group_id(id.clone())
    });
    let groups = groups.collect();
    call.reply(&ConsumerGroupDescribeResponse::default().with_groups(groups))
}

/// `ConsumerGroup.asDescribedGroup`.
fn described(group: &ConsumerGroup, topics: &Topics, version: i16) -> DescribedGroup {
    let member = |(member, target): (&Member, Option<&Partitions>)| {
        let names = member.subscribed.iter();
        let names = names.map(|name| TopicName(wire(name))).collect();
        let response = DescribedMember::default()
            .with_member_id(wire(&member.id))
            .with_instance_id(member.instance_id.as_deref().map(wire))
            .with_rack_id(member.rack_id.as_deref().map(wire))
            .with_member_epoch(member.epoch)
            .with_client_id(wire(&member.client_id))
            .with_client_host(wire(CLIENT_HOST))
            .with_subscribed_topic_names(names)
            .with_subscribed_topic_regex(Some(wire("")))
            .with_assignment(named(&member.assigned, topics))
            .with_target_assignment(named(target.unwrap_or(&Partitions::new()), topics));
        if version >= 1 {
            response.with_member_type(CONSUMER_MEMBER)
        } else {
            response
        }
    };
    DescribedGroup::default()
        .with_group_state(wire(group.state().name()))
        .with_group_epoch(group.epoch())
        .with_assignment_epoch(group.target_epoch())
        .with_assignor_name(wire(group.assignor().name()))
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
