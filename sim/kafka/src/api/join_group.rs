//! `JoinGroup`.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Head, Reply};
use crate::group::Join;
use crate::group_coordinator::{GroupCoordinator, check_coordinator};

/// From this version on a missing protocol is null, before it is empty.
const NULLABLE_PROTOCOL: i16 = 7;

pub(super) fn handle(
    coordinator: &mut GroupCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: JoinGroupRequest = call.decode()?;
    let member_id = request.member_id.clone();
    let fail = |error: ResponseError| {
        let response = JoinGroupResponse::default()
            .with_member_id(member_id)
            .with_error_code(error.code());
        call.reply(&fitted(response, &call.head))
    };
    let group_id = request.group_id.to_string();
    let join = read(call, &request);
    if let Err(error) = check(coordinator, call, &group_id, &join) {
        return fail(error);
    }
    let groups_max = coordinator.limits.groups_max;
    let failed = coordinator.step(|groups, step| {
        if join.member_id.is_empty()
            && let Err(error) = groups.get_or_create(&group_id, groups_max)
        {
            return Some(error);
        }
        match groups.get_mut(&group_id) {
            Some(group) => {
                group.join(join, step);
                None
            }
            None => Some(ResponseError::UnknownMemberId),
        }
    });
    failed.map_or(Ok(Reply::Parked), fail)
}

fn check(
    coordinator: &GroupCoordinator<'_>,
    call: &Call,
    group: &str,
    join: &Join,
) -> Result<(), ResponseError> {
    check_coordinator(coordinator.topics, call.broker, group)?;
    let limits = coordinator.limits;
    let allowed = limits.group_session_timeout_min..=limits.group_session_timeout_max;
    if !allowed.contains(&join.session_timeout) {
        return Err(ResponseError::InvalidSessionTimeout);
    }
    Ok(())
}

fn read(call: &Call, request: &JoinGroupRequest) -> Join {
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let session_timeout = millis(request.session_timeout_ms);
    // Version 0 has one timeout for both.
    let rebalance_timeout = match call.head.version {
        0 => session_timeout,
        _ => millis(request.rebalance_timeout_ms),
    };
    // Copies: what a group keeps must not pin the frame it came in.
    let protocols = request.protocols.iter();
    Join {
        request: call.request,
        version: call.head.version,
        client_id: call.client_id.clone(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|p| (p.name.to_string(), Bytes::copy_from_slice(&p.metadata)))
            .collect(),
        rebalance_timeout,
        session_timeout,
    }
}

/// Fits a response to the version of its request (`JoinGroupResponse`'s constructor).
pub(crate) fn fitted(response: JoinGroupResponse, head: &Head) -> JoinGroupResponse {
    if head.version < NULLABLE_PROTOCOL && response.protocol_name.is_none() {
        return response.with_protocol_name(Some(wire("")));
    }
    response
}
