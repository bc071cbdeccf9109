//! `FindCoordinator`: which broker coordinates a group or a transactional id.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::controller::Controller;
use crate::groups::leader_for;
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};

/// Keys are group ids.
const GROUP: i8 = 0;
/// Keys are transactional ids.
const TRANSACTION: i8 = 1;
/// From this version on several coordinators are asked for at once (KIP-699).
const MANY: i16 = 4;

pub(super) fn handle(controller: &mut Controller<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: FindCoordinatorRequest = call.decode()?;
    if call.head.version >= MANY {
        let keys = request.coordinator_keys.iter();
        let found = keys
            .map(|key| find(controller, request.key_type, key))
            .collect();
        return call.reply(&FindCoordinatorResponse::default().with_coordinators(found));
    }
    let found = find(controller, request.key_type, &request.key);
    // `Errors.NONE.message` is the name of the error, where there is one response only.
    let message = match found.error_code {
        0 => Some(wire("NONE")),
        _ => found.error_message,
    };
    let response = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    call.reply(&response)
}

fn find(controller: &mut Controller<'_>, key_type: i8, key: &str) -> Coordinator {
    let response = Coordinator::default().with_key(wire(key));
    match broker_of(controller, key_type, key) {
        Ok((id, host, port)) => response
            .with_node_id(BrokerId(id))
            .with_host(wire(&host))
            .with_port(port)
            .with_error_message(Some(wire(""))),
        Err(error) => response
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(wire(&error.to_string()))),
    }
}

fn broker_of(
    controller: &mut Controller<'_>,
    key_type: i8,
    key: &str,
) -> Result<(i32, String, i32), ResponseError> {
    let topic = match key_type {
        GROUP if key.is_empty() => return Err(ResponseError::InvalidGroupId),
        GROUP => OFFSETS_TOPIC,
        TRANSACTION => TRANSACTIONS_TOPIC,
        // Share-partitions are for brokers to ask for.
        _ => return Err(ResponseError::InvalidRequest),
    };
    if controller.topics.get(topic).is_none() {
        controller.auto_create(topic);
    }
    let unavailable = ResponseError::CoordinatorNotAvailable;
    let id = leader_for(controller.topics, topic, key).ok_or(unavailable)?;
    let broker = controller.brokers.up(id).ok_or(unavailable)?;
    let at = &broker.advertised;
    Ok((id.0, at.host().to_owned(), i32::from(at.port())))
}
