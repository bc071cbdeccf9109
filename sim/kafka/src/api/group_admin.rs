//! `ListGroups`, `DescribeGroups` and `DeleteGroups`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};

use super::{GROUP_OPERATIONS, OPERATIONS_NOT_ASKED, wire};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::consumer_group;
use crate::group::{Group, Member, State};
use crate::group_coordinator::check_coordinator;
use crate::groups::{Groups, coordinator};
use crate::share_group::ShareGroup;
use crate::shares::Shares;
use crate::topics::Topics;

/// The address that every client of the model has.
pub(super) const CLIENT_HOST: &str = "/127.0.0.1";
/// From this version on a group that is not there is an error (KIP-1043).
const GROUP_NOT_FOUND: i16 = 6;

pub(super) fn list(groups: &Groups, topics: &Topics, call: &Call) -> Result<Reply, CloseReason> {
    let request: ListGroupsRequest = call.decode()?;
    let fits = |filter: &[kafka_protocol::protocol::StrBytes], text: &str| {
        filter.is_empty()
            || filter
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(text))
    };
    let classic = groups.iter().map(|(id, group)| {
        let response = ListedGroup::default().with_protocol_type(wire(group.protocol_type()));
        (id, response, group.state().name(), "classic")
    });
    let consumers = groups.consumers().map(|(id, group)| {
        let response = ListedGroup::default().with_protocol_type(wire("consumer"));
        (id, response, group.state().name(), "consumer")
    });
    let share_groups = groups.shares().map(|(id, group)| {
        let response = ListedGroup::default().with_protocol_type(wire("share"));
        (id, response, group.state(), "share")
    });
    let all = classic.chain(consumers).chain(share_groups);
    let listed = all.filter(|(id, _, state, kind)| {
        coordinator(topics, id) == Some(call.broker)
            && fits(&request.states_filter, state)
            && fits(&request.types_filter, kind)
    });
    let listed = listed.map(|(id, response, state, kind)| {
        response
            .with_group_id(GroupId(wire(id)))
            .with_group_state(wire(state))
            .with_group_type(wire(kind))
    });
    call.reply(&ListGroupsResponse::default().with_groups(listed.collect()))
}

pub(super) fn describe(
    groups: &Groups,
    topics: &Topics,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: DescribeGroupsRequest = call.decode()?;
    let operations = if request.include_authorized_operations {
        GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let all = request.groups.iter().map(|id| {
        let described = match check_coordinator(topics, call.broker, id) {
            Ok(()) => match groups.get(id) {
                Some(group) => described(group),
                None => missing(call.head.version, id),
            },
            Err(error) => DescribedGroup::default().with_error_code(error.code()),
        };
        let described = described.with_group_id(id.clone());
        if call.head.version >= 3 && described.error_code == 0 {
            described.with_authorized_operations(operations)
        } else {
            described
        }
    });
    let all = all.collect();
    call.reply(&DescribeGroupsResponse::default().with_groups(all))
}

/// Before version 6 a group that is not there is described as dead.
fn missing(version: i16, id: &str) -> DescribedGroup {
    let response = DescribedGroup::default().with_group_state(wire("Dead"));
    if version < GROUP_NOT_FOUND {
        return response;
    }
    response
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(wire(&format!("Group {id} not found."))))
}

/// `ClassicGroup.describe`: what members said and got is shown only while it counts.
fn described(group: &Group) -> DescribedGroup {
    let stable = group.state() == State::Stable;
    let protocol = group.protocol().filter(|_| stable).unwrap_or_default();
    let member = |member: &Member| {
        let response = DescribedGroupMember::default()
            .with_member_id(wire(&member.id))
            .with_group_instance_id(member.instance_id.as_deref().map(wire))
            .with_client_id(wire(&member.client_id))
            .with_client_host(wire(CLIENT_HOST));
        if stable {
            let metadata = member.metadata(protocol);
            response
                .with_member_metadata(metadata)
                .with_member_assignment(member.assignment.clone())
        } else {
            response
        }
    };
    DescribedGroup::default()
        .with_group_state(wire(group.state().name()))
        .with_protocol_type(wire(group.protocol_type()))
        .with_protocol_data(wire(protocol))
        .with_members(group.members().map(member).collect())
}

pub(super) fn delete(
    groups: &mut Groups,
    shares: &mut Shares,
    topics: &Topics,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: DeleteGroupsRequest = call.decode()?;
    let mut results = Vec::new();
    for id in request.groups_names {
        let result = check_coordinator(topics, call.broker, &id).and_then(|()| {
            if is_empty(groups, &id)? {
                Ok(())
            } else {
                Err(ResponseError::NonEmptyGroup)
            }
        });
        if result.is_ok() {
            groups.remove(&id);
            shares.forget_group(&id);
        }
        let response = DeletableGroupResult::default().with_error_code(super::code(&result));
        results.push(response.with_group_id(id));
    }
    call.reply(&DeleteGroupsResponse::default().with_results(results))
}

fn is_empty(groups: &Groups, id: &str) -> Result<bool, ResponseError> {
    let classic = groups.get(id);
    let classic = classic.map(|group| group.state() == State::Empty);
    let consumer = groups.consumer(id);
    let consumer = consumer.map(|group| group.state() == consumer_group::State::Empty);
    let share = groups.share(id).map(ShareGroup::is_empty);
    let known = classic.or(consumer).or(share);
    known.ok_or(ResponseError::GroupIdNotFound)
}
