//! `ShareFetch` (KIP-932): records for one member of a share group, at once or when there are any.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorkeeper_core::id::BrokerId as CoreBrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchableTopicResponse,
};
use kafka_protocol::messages::{BrokerId, ShareFetchRequest, ShareFetchResponse};

use super::share_acknowledge::{
    AcknowledgementRanges, FINAL_EPOCH, INITIAL_EPOCH, Results, acknowledge, end_session, reader,
};
use super::wire;
use crate::batch;
use crate::close::CloseReason;
use crate::codec::{Call, Head, Reply};
use crate::connection::RequestId;
use crate::share_partition::AcquiredRange;
use crate::share_partition_manager::SharePartitionManager;
use crate::share_session::{Reader, TopicIdPartition};

/// How the request relates to share sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// Opens one.
    Full,
    /// Goes on in one.
    Incremental { next_epoch: i32 },
    /// Ends one, and reads nothing.
    Final,
}

/// A fetch that may have to wait.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) deadline: Instant,
    broker: CoreBrokerId,
    head: Head,
    context: Context,
    reader: Reader,
    bytes_min: usize,
    bytes_max: usize,
    records_max: i64,
    places: Vec<TopicIdPartition>,
    /// The results of its acknowledgements.
    acknowledged: Results,
}

/// What one partition has to say.
struct PartitionResult {
    place: TopicIdPartition,
    /// Batches that hold what is free.
    found: Result<Vec<Bytes>, ResponseError>,
}

impl PartitionResult {
    fn bytes(&self) -> usize {
        let batches = self.found.iter().flatten();
        batches.map(Bytes::len).sum()
    }
}

pub(super) fn handle(
    manager: &mut SharePartitionManager<'_>,
    waiting: &mut BTreeMap<RequestId, Parked>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: ShareFetchRequest = call.decode()?;
    let said = said_in(&request);
    let reader = reader(request.group_id.as_ref(), request.member_id.as_ref());
    let context = reader.and_then(|reader| {
        let context = context(manager, call, &request, &reader, &said)?;
        Ok((reader, context))
    });
    let (reader, context) = match context {
        Ok(context) => context,
        Err(error) => {
            let response = ShareFetchResponse::default().with_error_code(error.code());
            let message = Some(wire(&error.to_string()));
            return call.reply(&response.with_error_message(message));
        }
    };
    let acknowledged = if said.values().any(|batches| !batches.is_empty()) {
        acknowledge(manager, call, &reader, &said)
    } else {
        Results::new()
    };
    let size = |size: i32| usize::try_from(size).unwrap_or(0);
    let bytes_max = size(request.max_bytes).min(manager.limits.fetch_bytes_max);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let mut parked = Parked {
        deadline: manager.now.after(wait),
        broker: call.broker,
        head: call.head,
        context,
        reader,
        bytes_min: size(request.min_bytes).min(bytes_max),
        bytes_max,
        records_max: i64::from(request.max_records),
        places: Vec::new(),
        acknowledged,
    };
    if context == Context::Final {
        let response = parked.respond(manager, Vec::new());
        end_session(manager, call, &parked.reader);
        return response.map(Reply::Frame);
    }
    // A response to a fetch of nothing lists nothing.
    if parked.records_max > 0 && bytes_max > 0 {
        parked.places = session_places(manager, call, &parked.reader);
    }
    let parts = parked.read(manager);
    if wait.is_zero() || parked.is_satisfied_by(&parts) {
        return parked.respond(manager, parts).map(Reply::Frame);
    }
    waiting.insert(call.request, parked);
    Ok(Reply::Parked)
}

fn said_in(request: &ShareFetchRequest) -> AcknowledgementRanges {
    let mut all = AcknowledgementRanges::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter();
            let batches = batches.map(|batch| {
                let kinds = batch.acknowledge_types.clone();
                (batch.first_offset, batch.last_offset, kinds)
            });
            let place = (topic.topic_id, partition.partition_index);
            all.insert(place, batches.collect());
        }
    }
    all
}

/// `SharePartitionManager.newContext`.
fn context(
    manager: &mut SharePartitionManager<'_>,
    call: &Call,
    request: &ShareFetchRequest,
    reader: &Reader,
    said: &AcknowledgementRanges,
) -> Result<Context, ResponseError> {
    let not_found = ResponseError::ShareSessionNotFound;
    let limits = manager.limits;
    let broker = manager.brokers.get_mut(call.broker).ok_or(not_found)?;
    let sessions = &mut broker.share_sessions;
    let topics = request.topics.iter();
    let wanted = topics.flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.topic_id, partition.partition_index))
    });
    match request.share_session_epoch {
        FINAL_EPOCH if sessions.contains(reader) => Ok(Context::Final),
        FINAL_EPOCH => Err(not_found),
        INITIAL_EPOCH if said.values().any(|batches| !batches.is_empty()) => {
            Err(ResponseError::InvalidRequest)
        }
        INITIAL_EPOCH => {
            let connection = call.request.connection;
            let has_room = said.len() <= limits.share_session_partitions_max;
            let max = limits.share_sessions_max;
            if has_room && sessions.open(reader.clone(), connection, wanted, max) {
                Ok(Context::Full)
            } else {
                Err(ResponseError::ShareSessionLimitReached)
            }
        }
        epoch => {
            let session = sessions.get_mut(reader).ok_or(not_found)?;
            if session.next_epoch() != epoch {
                return Err(ResponseError::InvalidShareSessionEpoch);
            }
            if session.len() + said.len() > limits.share_session_partitions_max {
                return Err(ResponseError::ShareSessionLimitReached);
            }
            let forgotten = request.forgotten_topics_data.iter();
            let forgotten = forgotten.flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|partition| (topic.topic_id, *partition))
            });
            session.update(wanted, forgotten);
            session.begin_next();
            Ok(Context::Incremental {
                next_epoch: session.next_epoch(),
            })
        }
    }
}

fn session_places(
    manager: &mut SharePartitionManager<'_>,
    call: &Call,
    reader: &Reader,
) -> Vec<TopicIdPartition> {
    let broker = manager.brokers.get_mut(call.broker);
    let session = broker.and_then(|broker| broker.share_sessions.get_mut(reader));
    session.map_or_else(Vec::new, |session| session.places().collect())
}

impl Parked {
    /// Logs have changed, or records were released: the response, if it can have one now.
    pub(crate) fn complete_if_ready(
        &self,
        manager: &mut SharePartitionManager<'_>,
    ) -> Option<Result<Bytes, CloseReason>> {
        let parts = self.read(manager);
        let is_ready = self.is_satisfied_by(&parts);
        is_ready.then(|| self.respond(manager, parts))
    }

    /// The response with what there is.
    pub(crate) fn complete(
        &self,
        manager: &mut SharePartitionManager<'_>,
    ) -> Result<Bytes, CloseReason> {
        let parts = self.read(manager);
        self.respond(manager, parts)
    }

    /// What ends the wait (`DelayedShareFetch.tryComplete`).
    fn is_satisfied_by(&self, parts: &[PartitionResult]) -> bool {
        let bytes: usize = parts.iter().map(PartitionResult::bytes).sum();
        let has_failed = parts.iter().all(|part| part.found.is_err());
        has_failed || (bytes > 0 && bytes >= self.bytes_min)
    }

    fn read(&self, manager: &mut SharePartitionManager<'_>) -> Vec<PartitionResult> {
        let mut left = self.bytes_max;
        let mut parts = Vec::new();
        for place in &self.places {
            let at_least_one = left == self.bytes_max;
            let part = PartitionResult {
                place: *place,
                found: self.read_one(manager, *place, left, at_least_one),
            };
            left = left.saturating_sub(part.bytes());
            parts.push(part);
        }
        parts
    }

    fn read_one(
        &self,
        manager: &mut SharePartitionManager<'_>,
        place: TopicIdPartition,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ResponseError> {
        let (topics, limits) = (manager.topics, manager.limits);
        let shares = &mut manager.shares;
        let unknown = ResponseError::UnknownTopicOrPartition;
        let name = topics.name_of(&place.0);
        let name = name.ok_or(ResponseError::UnknownTopicId)?;
        let partition = topics.partition(name, place.1).ok_or(unknown)?;
        partition.check(self.broker, None, true)?;
        let group = &self.reader.group;
        shares.open(group, place, partition, limits)?;
        let next = shares.get(group, place);
        let Some(next) = next.and_then(|known| known.next_offset(limits)) else {
            return Ok(Vec::new());
        };
        let log = &partition.log;
        let read = log.read(next, log.end_offset(), bytes_max, at_least_one)?;
        Ok(read.bytes)
    }

    /// Takes what was read for its reader, and makes the response.
    fn respond(
        &self,
        manager: &mut SharePartitionManager<'_>,
        parts: Vec<PartitionResult>,
    ) -> Result<Bytes, CloseReason> {
        let lock = manager.limits.share_record_lock;
        let mut response = ShareFetchResponse::default()
            .with_acquisition_lock_timeout_ms(i32::try_from(lock.as_millis()).unwrap_or(i32::MAX));
        let broker = manager.brokers.get_mut(self.broker);
        let session = broker.and_then(|broker| broker.share_sessions.get_mut(&self.reader));
        let is_known = |next| session.is_some_and(|session| session.next_epoch() == next);
        if let Context::Incremental { next_epoch } = self.context
            && !is_known(next_epoch)
        {
            // Another request has used the session while this one waited.
            let error = ResponseError::InvalidShareSessionEpoch;
            return self.head.frame(&response.with_error_code(error.code()));
        }
        let mut left = self.records_max;
        let mut data_of = BTreeMap::new();
        let mut order = Vec::new();
        let mut endpoints = BTreeMap::new();
        for part in parts {
            let data = self.data(manager, &part, &mut left, &mut endpoints);
            if self.update_sent(manager, part.place, &data) {
                order.push(part.place);
                data_of.insert(part.place, data);
            }
        }
        for (place, result) in &self.acknowledged {
            let data = data_of.entry(*place).or_insert_with(|| {
                order.push(*place);
                PartitionData::default().with_partition_index(place.1)
            });
            data.acknowledge_error_code = super::code(result);
        }
        response.responses = by_topic(&order, data_of);
        response.node_endpoints = endpoints.into_values().collect();
        self.head.frame(&response)
    }

    fn data(
        &self,
        manager: &mut SharePartitionManager<'_>,
        part: &PartitionResult,
        left: &mut i64,
        endpoints: &mut BTreeMap<CoreBrokerId, NodeEndpoint>,
    ) -> PartitionData {
        let data = PartitionData::default().with_partition_index(part.place.1);
        let batches = match &part.found {
            Ok(batches) => batches,
            Err(error) => {
                let data = data
                    .with_error_code(error.code())
                    .with_error_message(Some(wire(&error.to_string())));
                return if *error == ResponseError::NotLeaderOrFollower {
                    data.with_current_leader(hint(manager, part.place, endpoints))
                } else {
                    data
                };
            }
        };
        let lock_end = manager.now.after(manager.limits.share_record_lock);
        let spans: Vec<(i64, i64)> = batches.iter().filter_map(span).collect();
        let known = manager.shares.get_mut(&self.reader.group, part.place);
        let acquired = known.map_or_else(Vec::new, |known| {
            known.acquire(&self.reader.member, lock_end, &spans, *left)
        });
        let count: i64 = acquired
            .iter()
            .map(|range| range.last - range.first + 1)
            .sum();
        *left = left.saturating_sub(count);
        let records = batches_with(batches, &acquired);
        let acquired = acquired.iter().map(|range| {
            AcquiredRecords::default()
                .with_first_offset(range.first)
                .with_last_offset(range.last)
                .with_delivery_count(range.deliveries)
        });
        data.with_acquired_records(acquired.collect())
            .with_records(Some(records))
    }

    fn update_sent(
        &self,
        manager: &mut SharePartitionManager<'_>,
        place: TopicIdPartition,
        data: &PartitionData,
    ) -> bool {
        let Context::Incremental { .. } = self.context else {
            return true;
        };
        let broker = manager.brokers.get_mut(self.broker);
        let session = broker.and_then(|broker| broker.share_sessions.get_mut(&self.reader));
        let has_records = data.records.as_ref().is_some_and(|bytes| !bytes.is_empty());
        session.is_none_or(|session| session.update_sent(place, has_records, data.error_code != 0))
    }
}

/// Says who leads instead, and where that broker is.
fn hint(
    manager: &SharePartitionManager<'_>,
    place: TopicIdPartition,
    endpoints: &mut BTreeMap<CoreBrokerId, NodeEndpoint>,
) -> LeaderIdAndEpoch {
    let name = manager.topics.name_of(&place.0);
    let Some(partition) = name.and_then(|name| manager.topics.partition(name, place.1)) else {
        return LeaderIdAndEpoch::default();
    };
    if let Some(leader) = partition.leader
        && let Some(broker) = manager.brokers.up(leader)
    {
        let endpoint = NodeEndpoint::default()
            .with_node_id(BrokerId(leader.0))
            .with_host(wire(broker.advertised.host()))
            .with_port(i32::from(broker.advertised.port()));
        endpoints.insert(leader, endpoint);
    }
    LeaderIdAndEpoch::default()
        .with_leader_id(partition.leader.map_or(-1, |id| id.0))
        .with_leader_epoch(partition.leader_epoch)
}

/// The first and the last offset of a batch.
fn span(batch: &Bytes) -> Option<(i64, i64)> {
    let header = batch::header(batch)?;
    let last = header.base_offset + i64::from(header.last_offset_delta);
    Some((header.base_offset, last))
}

/// The batches that hold what was acquired.
fn batches_with(batches: &[Bytes], acquired: &[AcquiredRange]) -> Bytes {
    let mut all = BytesMut::new();
    for batch in batches {
        let is_acquired = span(batch).is_some_and(|(first, last)| {
            let mut ranges = acquired.iter();
            ranges.any(|range| range.first <= last && first <= range.last)
        });
        if is_acquired {
            all.extend_from_slice(batch);
        }
    }
    all.freeze()
}

/// Partitions that follow each other under their topic.
fn by_topic(
    order: &[TopicIdPartition],
    mut data_of: BTreeMap<TopicIdPartition, PartitionData>,
) -> Vec<ShareFetchableTopicResponse> {
    let mut topics = Vec::<ShareFetchableTopicResponse>::new();
    for place in order {
        let Some(data) = data_of.remove(place) else {
            continue;
        };
        match topics.last_mut().filter(|topic| topic.topic_id == place.0) {
            Some(topic) => topic.partitions.push(data),
            None => topics.push(
                ShareFetchableTopicResponse::default()
                    .with_topic_id(place.0)
                    .with_partitions(vec![data]),
            ),
        }
    }
    topics
}
