//! `DescribeCluster`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, wire};
use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::controller::Controller;

/// The endpoint type of brokers; 2 are controllers, which are asked elsewhere.
const BROKERS: i8 = 1;

pub(super) fn handle(controller: &Controller<'_>, call: &Call) -> Result<Reply, CloseReason> {
    let request: DescribeClusterRequest = call.decode()?;
    if request.endpoint_type != BROKERS {
        // `AuthHelper.computeDescribeClusterResponse` on a broker listener.
        let error = if request.endpoint_type == 2 {
            ResponseError::MismatchedEndpointType
        } else {
            ResponseError::UnsupportedEndpointType
        };
        return call.reply(&DescribeClusterResponse::default().with_error_code(error.code()));
    }
    let fenced_too = request.include_fenced_brokers;
    let shown = controller
        .brokers
        .iter()
        .filter(|(_, broker)| broker.up || fenced_too);
    let brokers = shown.map(|(id, broker)| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(id.0))
            .with_host(wire(broker.advertised.host()))
            .with_port(i32::from(broker.advertised.port()))
            .with_is_fenced(!broker.up)
    });
    let operations = if request.include_cluster_authorized_operations {
        CLUSTER_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let response = DescribeClusterResponse::default()
        .with_cluster_id(wire(controller.cluster_id))
        .with_controller_id(BrokerId(controller.brokers.any_alive()))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(operations);
    call.reply(&response)
}
