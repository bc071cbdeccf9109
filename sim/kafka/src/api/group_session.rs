//! `SyncGroup`, `Heartbeat` and `LeaveGroup`.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::group::{MemberIdentity, SyncGroup};
use crate::group_coordinator::{GroupCoordinator, NoGroup, check_coordinator};

pub(super) fn sync(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: SyncGroupRequest = call.decode()?;
    let fail = |error: ResponseError| {
        call.reply(&SyncGroupResponse::default().with_error_code(error.code()))
    };
    if let Err(error) = check_coordinator(coordinator.topics, call.broker, &request.group_id) {
        return fail(error);
    }
    let assignments = request.assignments.iter();
    let sync = SyncGroup {
        request: call.request,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_ref().map(ToString::to_string),
        protocol: request.protocol_name.as_ref().map(ToString::to_string),
        assignments: assignments
            .map(|part| {
                (
                    part.member_id.to_string(),
                    Bytes::copy_from_slice(&part.assignment),
                )
            })
            .collect(),
    };
    match coordinator.step_group(&request.group_id, |group, step| group.sync(sync, step)) {
        Ok(()) => Ok(Reply::Parked),
        Err(NoGroup) => fail(ResponseError::UnknownMemberId),
    }
}

pub(super) fn heartbeat(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: HeartbeatRequest = call.decode()?;
    let instance = request.group_instance_id.as_ref().map(ToString::to_string);
    let result =
        check_coordinator(coordinator.topics, call.broker, &request.group_id).and_then(|()| {
            let beat = coordinator.step_group(&request.group_id, |group, step| {
                let (member, generation) = (&request.member_id, request.generation_id);
                group.heartbeat(step.now, member, instance.as_deref(), generation)
            });
            beat.unwrap_or(Err(ResponseError::UnknownMemberId))
        });
    call.reply(&HeartbeatResponse::default().with_error_code(super::code(&result)))
}

pub(super) fn leave(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: LeaveGroupRequest = call.decode()?;
    let response = LeaveGroupResponse::default();
    if let Err(error) = check_coordinator(coordinator.topics, call.broker, &request.group_id) {
        return call.reply(&response.with_error_code(error.code()));
    }
    // Up to version 2 one member leaves, and its error is the response's.
    let single = call.head.version < 3;
    let leaving: Vec<MemberIdentity> = if single {
        vec![MemberIdentity {
            member_id: request.member_id.to_string(),
            instance_id: None,
        }]
    } else {
        let members = request.members.iter().map(|member| MemberIdentity {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        });
        members.collect()
    };
    let left = coordinator.step_group(&request.group_id, |group, step| group.leave(&leaving, step));
    let results =
        left.unwrap_or_else(|NoGroup| vec![Err(ResponseError::UnknownMemberId); leaving.len()]);
    if single {
        let code = results.first().map_or(0, super::code);
        return call.reply(&response.with_error_code(code));
    }
    let members = leaving.iter().zip(&results).map(|(member, result)| {
        MemberResponse::default()
            .with_member_id(wire(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(wire))
            .with_error_code(super::code(result))
    });
    call.reply(&response.with_members(members.collect()))
}
