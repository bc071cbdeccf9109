//! `InitProducerId`: ids for idempotent producers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::close::CloseReason;
use crate::cluster::{Cluster, Reply};
use crate::codec::Call;

pub(super) fn handle(cluster: &mut Cluster, call: &Call) -> Result<Reply, CloseReason> {
    let request: InitProducerIdRequest = call.decode()?;
    let answer = InitProducerIdResponse::default();
    if request.transactional_id.is_some() {
        // Nobody coordinates transactions here.
        let code = ResponseError::NotCoordinator.code();
        let answer = answer
            .with_error_code(code)
            .with_producer_id(ProducerId(-1));
        return call.reply(&answer.with_producer_epoch(-1));
    }
    // Without a transactional id every request gets a new producer id, whatever it brings
    // (`TransactionCoordinator.handleInitProducerId`).
    let id = cluster.next_producer_id;
    cluster.next_producer_id = id.saturating_add(1);
    call.reply(
        &answer
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
    )
}
