//! `FindCoordinator`: which broker coordinates a group.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::wire;
use crate::close::CloseReason;
use crate::cluster::{Cluster, Reply};
use crate::codec::Call;
use crate::groups::coordinator;
use crate::topics::OFFSETS_TOPIC;

/// Keys are group ids.
const GROUP: i8 = 0;
/// From this version on several coordinators are asked for at once (KIP-699).
const MANY: i16 = 4;

pub(super) fn handle(cluster: &mut Cluster, call: &Call) -> Result<Reply, CloseReason> {
    let request: FindCoordinatorRequest = call.decode()?;
    if call.head.version >= MANY {
        let keys = request.coordinator_keys.iter();
        let found = keys
            .map(|key| find(cluster, request.key_type, key))
            .collect();
        return call.reply(&FindCoordinatorResponse::default().with_coordinators(found));
    }
    let found = find(cluster, request.key_type, &request.key);
    let answer = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    call.reply(&answer)
}

fn find(cluster: &mut Cluster, key_type: i8, key: &str) -> Coordinator {
    let answer = Coordinator::default().with_key(wire(key));
    match broker_of(cluster, key_type, key) {
        Ok((id, host, port)) => answer
            .with_node_id(BrokerId(id))
            .with_host(wire(&host))
            .with_port(port)
            .with_error_message(None),
        Err(error) => answer
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(wire(&error.to_string()))),
    }
}

fn broker_of(
    cluster: &mut Cluster,
    key_type: i8,
    key: &str,
) -> Result<(i32, String, i32), ResponseError> {
    if key_type != GROUP {
        // The model has no transactions and no share groups.
        return Err(ResponseError::InvalidRequest);
    }
    if key.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    if cluster.topics.get(OFFSETS_TOPIC).is_none() {
        cluster.auto_create(OFFSETS_TOPIC);
    }
    let unavailable = ResponseError::CoordinatorNotAvailable;
    let id = coordinator(&cluster.topics, key).ok_or(unavailable)?;
    let broker = cluster
        .brokers
        .get(&id)
        .filter(|broker| broker.up)
        .ok_or(unavailable)?;
    let at = &broker.advertised;
    Ok((id.0, at.host().to_owned(), i32::from(at.port())))
}
