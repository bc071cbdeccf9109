//! `InitProducerId`: ids for idempotent producers, and epochs for transactional ones.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::close::CloseReason;
use crate::codec::{Call, Reply};
use crate::transaction::Producer;
use crate::transaction_coordinator::{TransactionCoordinator, check_coordinator};

/// From this version on clients know `PRODUCER_FENCED`.
const KNOWS_FENCED: i16 = 4;

pub(super) fn handle(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: InitProducerIdRequest = call.decode()?;
    let response = InitProducerIdResponse::default();
    let given = expected(&request).and_then(|expected| match &request.transactional_id {
        // Without a transactional id every request gets a new producer id, whatever it brings.
        None => Ok(Producer {
            id: next_id(coordinator.next_producer_id),
            epoch: 0,
        }),
        Some(id) => init(
            coordinator,
            call,
            id,
            request.transaction_timeout_ms,
            expected,
        ),
    });
    coordinator.finish();
    match given {
        Ok(producer) => call.reply(
            &response
                .with_producer_id(ProducerId(producer.id))
                .with_producer_epoch(producer.epoch),
        ),
        Err(error) => {
            let error = super::transactions::readable(error, call.head.version, KNOWS_FENCED);
            let response = response
                .with_error_code(error.code())
                .with_producer_id(ProducerId(-1));
            call.reply(&response.with_producer_epoch(-1))
        }
    }
}

/// The producer that a client was until now, if it says so.
fn expected(request: &InitProducerIdRequest) -> Result<Option<Producer>, ResponseError> {
    match (request.producer_id.0, request.producer_epoch) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(ResponseError::InvalidRequest),
        (id, epoch) => Ok(Some(Producer { id, epoch })),
    }
}

/// `TransactionCoordinator.handleInitProducerId`.
fn init(
    coordinator: &mut TransactionCoordinator<'_>,
    call: &Call,
    id: &str,
    timeout_ms: i32,
    expected: Option<Producer>,
) -> Result<Producer, ResponseError> {
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    let allowed = |timeout: &Duration| {
        !timeout.is_zero() && *timeout <= coordinator.limits.transaction_timeout_max
    };
    let timeout = timeout
        .filter(allowed)
        .ok_or(ResponseError::InvalidTransactionTimeout)?;
    check_coordinator(coordinator.topics, call.broker, id)?;
    let ids_max = coordinator.limits.transactional_ids_max;
    let next = &mut *coordinator.next_producer_id;
    let known = coordinator
        .transactions
        .get_or_create(id, ids_max, || next_id(next))?;
    known.init(expected, timeout, || next_id(next))
}

pub(super) const fn next_id(next: &mut i64) -> i64 {
    let id = *next;
    *next = id.saturating_add(1);
    id
}
