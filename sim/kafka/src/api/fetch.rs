//! `Fetch`: batches out of logs, at once or when there are enough.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorkeeper_core::id::BrokerId as CoreBrokerId;
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName};

use super::wire;
use crate::close::CloseReason;
use crate::codec::{Call, Head, Reply};
use crate::connection::RequestId;
use crate::fetch_session::{Outcome, PartitionKey, RequestedPartition, SentOffsets, TopicKey};
use crate::log::AbortedTxn;
use crate::replica_manager::ReplicaManager;

/// From this version on topics are named by id.
const BY_ID: i16 = 13;
/// From this version on the response of a wrong leader names the right one (KIP-951).
const LEADER_HINTS: i16 = 16;
/// From this version on consumers may fetch from followers (KIP-392).
const FROM_FOLLOWERS: i16 = 11;
/// `IsolationLevel.READ_COMMITTED`.
pub(super) const READ_COMMITTED: i8 = 1;
/// `FetchMetadata.INITIAL_EPOCH` and `FINAL_EPOCH`.
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

/// How the response relates to fetch sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// Without a session.
    Sessionless,
    /// Opens one.
    Full,
    /// Goes on in one.
    Incremental { session: i32, next_epoch: i32 },
}

/// A fetch, read and perhaps waiting.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) deadline: Instant,
    broker: CoreBrokerId,
    head: Head,
    context: Context,
    leader_only: bool,
    /// Reads only what is below the last stable offset, and wants to know what was aborted.
    read_committed: bool,
    bytes_min: usize,
    bytes_max: usize,
    /// With the name, if it is known; else the response is an error.
    partitions: Vec<(
        PartitionKey,
        RequestedPartition,
        Result<String, ResponseError>,
    )>,
}

/// What one partition has to say.
struct PartitionResult {
    key: PartitionKey,
    data: PartitionData,
    records: Vec<Bytes>,
    /// The name, where the error comes with a hint which broker leads instead.
    misled: Option<String>,
}

/// What was found in a log.
struct LogRead {
    sent: SentOffsets,
    last_stable_offset: i64,
    /// Only for those who read what is committed.
    aborted: Option<Vec<AbortedTxn>>,
    records: Vec<Bytes>,
}

/// All partitions of a fetch.
struct FetchRead {
    parts: Vec<PartitionResult>,
    bytes: usize,
    /// An error of a partition that is there ends the wait.
    failed: bool,
}

pub(super) fn handle(
    replicas: &mut ReplicaManager<'_>,
    waiting: &mut BTreeMap<RequestId, Parked>,
    call: &Call,
) -> Result<Reply, CloseReason> {
    let request: FetchRequest = call.decode()?;
    let version = call.head.version;
    let context = match context(replicas, call, &request) {
        Ok(context) => context,
        Err(error) => {
            return call.reply(&FetchResponse::default().with_error_code(error.code()));
        }
    };
    let requested: Vec<(PartitionKey, RequestedPartition)> = match context {
        Context::Sessionless | Context::Full => wanted_of(&request, version),
        Context::Incremental { session, .. } => session_partitions(replicas, call, session),
    };
    let replica = if version >= 15 {
        request.replica_state.replica_id
    } else {
        request.replica_id
    };
    let consumer_anywhere = version >= FROM_FOLLOWERS && replica.0 < 0;
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let bytes_max = usize::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(replicas.limits.fetch_bytes_max);
    let parked = Parked {
        deadline: replicas.now.after(millis(request.max_wait_ms)),
        broker: call.broker,
        head: call.head,
        context,
        leader_only: !(consumer_anywhere || replica.0 == -2),
        read_committed: request.isolation_level == READ_COMMITTED,
        bytes_min: usize::try_from(request.min_bytes)
            .unwrap_or(0)
            .min(bytes_max),
        bytes_max,
        partitions: requested
            .into_iter()
            .map(|(key, want)| resolve(replicas, key, want))
            .collect(),
    };
    let nothing_there = !parked.partitions.iter().any(|(_, _, name)| name.is_ok());
    let read = parked.read(replicas);
    if nothing_there || request.max_wait_ms <= 0 || parked.is_satisfied_by(&read) {
        return parked.respond(replicas, read).map(Reply::Frame);
    }
    waiting.insert(call.request, parked);
    Ok(Reply::Parked)
}

/// Logs have changed: the fetches that can have a response now.
pub(crate) fn ready(
    replicas: &ReplicaManager<'_>,
    waiting: &BTreeMap<RequestId, Parked>,
) -> Vec<RequestId> {
    let ready = waiting
        .iter()
        .filter(|(_, parked)| parked.is_satisfied_by(&parked.read(replicas)));
    ready.map(|(request, _)| *request).collect()
}

/// `FetchManager.newContext`.
fn context(
    replicas: &mut ReplicaManager<'_>,
    call: &Call,
    request: &FetchRequest,
) -> Result<Context, ResponseError> {
    if call.head.version < 7 {
        return Ok(Context::Sessionless);
    }
    let (id, epoch) = (request.session_id, request.session_epoch);
    let limit = replicas.limits.fetch_session_partitions_max;
    let now = replicas.now;
    let Some(broker) = replicas.brokers.get_mut(call.broker) else {
        return Ok(Context::Sessionless);
    };
    let sessions = &mut broker.fetch_sessions;
    if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
        // A full request closes the session that it names.
        sessions.remove(id);
        return Ok(if epoch == FINAL_EPOCH {
            Context::Sessionless
        } else {
            Context::Full
        });
    }
    let session = sessions
        .get_mut(id)
        .ok_or(ResponseError::FetchSessionIdNotFound)?;
    if session.next_epoch() != epoch {
        return Err(ResponseError::InvalidFetchSessionEpoch);
    }
    if session.uses_topic_ids() != (call.head.version >= BY_ID) {
        return Err(ResponseError::FetchSessionTopicIdError);
    }
    session.update(
        now,
        wanted_of(request, call.head.version),
        forgotten_of(request, call.head.version),
    );
    let next_epoch = session.next_epoch();
    match session.len() {
        0 => {
            sessions.remove(id);
            Ok(Context::Sessionless)
        }
        len if len > limit => {
            sessions.remove(id);
            Err(ResponseError::FetchSessionIdNotFound)
        }
        _ => Ok(Context::Incremental {
            session: id,
            next_epoch,
        }),
    }
}

fn topic_key(name: &TopicName, id: uuid::Uuid, version: i16) -> TopicKey {
    if version >= BY_ID {
        TopicKey::Id(id)
    } else {
        TopicKey::Name(name.to_string())
    }
}

/// The partitions of a request; of a repeated one the last mention counts, in the first place.
fn wanted_of(request: &FetchRequest, version: i16) -> Vec<(PartitionKey, RequestedPartition)> {
    let mut places = BTreeMap::<PartitionKey, usize>::new();
    let mut requested = Vec::<(PartitionKey, RequestedPartition)>::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = PartitionKey {
                topic: topic_key(&topic.topic, topic.topic_id, version),
                partition: partition.partition,
            };
            let want = RequestedPartition {
                offset: partition.fetch_offset,
                bytes_max: partition.partition_max_bytes,
                known_epoch: Some(partition.current_leader_epoch).filter(|epoch| *epoch >= 0),
            };
            match places.get(&key).and_then(|at| requested.get_mut(*at)) {
                Some(known) => known.1 = want,
                None => {
                    places.insert(key.clone(), requested.len());
                    requested.push((key, want));
                }
            }
        }
    }
    requested
}

fn forgotten_of(request: &FetchRequest, version: i16) -> Vec<PartitionKey> {
    let topics = request.forgotten_topics_data.iter();
    let of_topic = |topic: &kafka_protocol::messages::fetch_request::ForgottenTopic| {
        let key = topic_key(&topic.topic, topic.topic_id, version);
        let partitions = topic.partitions.iter();
        let keys = partitions.map(|p| PartitionKey {
            topic: key.clone(),
            partition: *p,
        });
        keys.collect::<Vec<_>>()
    };
    topics.flat_map(of_topic).collect()
}

fn session_partitions(
    replicas: &mut ReplicaManager<'_>,
    call: &Call,
    id: i32,
) -> Vec<(PartitionKey, RequestedPartition)> {
    let broker = replicas.brokers.get_mut(call.broker);
    let session = broker.and_then(|broker| broker.fetch_sessions.get_mut(id));
    session.map_or_else(Vec::new, |session| {
        session
            .partitions()
            .map(|(key, requested)| (key.clone(), *requested))
            .collect()
    })
}

/// Finds the name, as it is when the request comes.
fn resolve(
    replicas: &ReplicaManager<'_>,
    key: PartitionKey,
    requested: RequestedPartition,
) -> (
    PartitionKey,
    RequestedPartition,
    Result<String, ResponseError>,
) {
    let name = match &key.topic {
        TopicKey::Name(name) => Ok(name.as_str()),
        TopicKey::Id(id) => replicas
            .topics
            .name_of(id)
            .ok_or(ResponseError::UnknownTopicId),
    };
    let known = name.and_then(|name| {
        let there = replicas.topics.partition(name, key.partition).is_some();
        if there {
            Ok(name.to_owned())
        } else {
            Err(ResponseError::UnknownTopicOrPartition)
        }
    });
    (key, requested, known)
}

impl Parked {
    /// The response with what there is.
    pub(crate) fn complete(&self, replicas: &mut ReplicaManager<'_>) -> Result<Bytes, CloseReason> {
        let read = self.read(replicas);
        self.respond(replicas, read)
    }

    /// `ReplicaManager.fetchMessages`: what ends the wait.
    fn is_satisfied_by(&self, read: &FetchRead) -> bool {
        read.failed || read.bytes >= self.bytes_min
    }

    /// `ReplicaManager.readFromLog`.
    fn read(&self, replicas: &ReplicaManager<'_>) -> FetchRead {
        let mut read = FetchRead {
            parts: Vec::new(),
            bytes: 0,
            failed: false,
        };
        let mut left = self.bytes_max;
        for (key, requested, name) in &self.partitions {
            let result = match name {
                Ok(name) => {
                    let result =
                        self.read_one(replicas, name, key, requested, left, read.bytes == 0);
                    read.failed |= result.is_err();
                    result
                }
                Err(error) => Err(*error),
            };
            let part = part(key, name.as_deref().ok(), result);
            let size: usize = part.records.iter().map(Bytes::len).sum();
            left = left.saturating_sub(size);
            read.bytes += size;
            read.parts.push(part);
        }
        read
    }

    fn read_one(
        &self,
        replicas: &ReplicaManager<'_>,
        name: &str,
        key: &PartitionKey,
        requested: &RequestedPartition,
        left: usize,
        at_least_one: bool,
    ) -> Result<LogRead, ResponseError> {
        let partition = replicas.topics.partition(name, key.partition);
        let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
        partition.check(self.broker, requested.known_epoch, self.leader_only)?;
        let bytes_max = usize::try_from(requested.bytes_max).unwrap_or(0).min(left);
        let log = &partition.log;
        let last_stable_offset = log.last_stable_offset();
        let end = if self.read_committed {
            last_stable_offset
        } else {
            log.end_offset()
        };
        let read = log.read(requested.offset, end, bytes_max, at_least_one)?;
        let aborted = self.read_committed.then(|| {
            let aborted = log.aborted_between(requested.offset, read.end_offset);
            aborted.copied().collect()
        });
        Ok(LogRead {
            sent: SentOffsets {
                high_watermark: log.end_offset(),
                log_start_offset: log.start_offset(),
            },
            last_stable_offset,
            aborted,
            records: read.bytes,
        })
    }

    /// Makes the response, and the session remember it.
    fn respond(
        &self,
        replicas: &mut ReplicaManager<'_>,
        mut read: FetchRead,
    ) -> Result<Bytes, CloseReason> {
        let mut response = FetchResponse::default();
        match self.context {
            Context::Sessionless => {}
            Context::Full => {
                response.session_id = self.open_session(replicas, &read);
            }
            Context::Incremental {
                session,
                next_epoch,
            } => {
                response.session_id = session;
                let broker = replicas.brokers.get_mut(self.broker);
                let known = broker.and_then(|broker| broker.fetch_sessions.get_mut(session));
                match known.filter(|known| known.next_epoch() == next_epoch) {
                    Some(known) => {
                        read.parts
                            .retain(|part| known.update_sent(&part.key, part.outcome()));
                    }
                    // Another connection has used the session while this request waited.
                    None => {
                        response.error_code = ResponseError::InvalidFetchSessionEpoch.code();
                        read.parts.clear();
                    }
                }
            }
        }
        let endpoints = self.hints(replicas, &mut read.parts);
        if !endpoints.is_empty() {
            response.node_endpoints = endpoints;
        }
        response.responses = by_topic(read.parts);
        self.head.frame(&response)
    }

    /// 0 if there is no room for another session.
    fn open_session(&self, replicas: &mut ReplicaManager<'_>, read: &FetchRead) -> i32 {
        let limits = replicas.limits;
        let Some(broker) = replicas.brokers.get_mut(self.broker) else {
            return 0;
        };
        if read.parts.len() > limits.fetch_session_partitions_max {
            return 0;
        }
        let mut id = replicas.rng.session_id();
        while broker.fetch_sessions.contains(id) {
            id = replicas.rng.session_id();
        }
        let parts = self.partitions.iter().zip(&read.parts);
        let cached =
            parts.map(|((key, requested, _), part)| (key.clone(), *requested, part.outcome().sent));
        let by_id = self.head.version >= BY_ID;
        let sessions = &mut broker.fetch_sessions;
        let opened = sessions.open(replicas.now, id, by_id, cached, limits.fetch_sessions_max);
        if opened { id } else { 0 }
    }

    /// Says who leads instead, and where those brokers are.
    fn hints(
        &self,
        replicas: &ReplicaManager<'_>,
        parts: &mut [PartitionResult],
    ) -> Vec<NodeEndpoint> {
        let mut endpoints = BTreeMap::new();
        if self.head.version < LEADER_HINTS {
            return Vec::new();
        }
        for part in parts {
            let index = part.key.partition;
            let name = part.misled.as_deref();
            let Some(partition) = name.and_then(|name| replicas.topics.partition(name, index))
            else {
                continue;
            };
            part.data.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(partition.leader.map_or(-1, |id| id.0)))
                .with_leader_epoch(partition.leader_epoch);
            if let Some(leader) = partition.leader
                && let Some(broker) = replicas.brokers.up(leader)
            {
                let endpoint = NodeEndpoint::default()
                    .with_node_id(BrokerId(leader.0))
                    .with_host(wire(broker.advertised.host()))
                    .with_port(i32::from(broker.advertised.port()));
                endpoints.insert(leader, endpoint);
            }
        }
        endpoints.into_values().collect()
    }
}

impl PartitionResult {
    fn outcome(&self) -> Outcome {
        Outcome {
            sent: SentOffsets {
                high_watermark: self.data.high_watermark,
                log_start_offset: self.data.log_start_offset,
            },
            has_records: !self.records.is_empty(),
            is_error: self.data.error_code != 0,
        }
    }
}

fn part(
    key: &PartitionKey,
    name: Option<&str>,
    result: Result<LogRead, ResponseError>,
) -> PartitionResult {
    let data = PartitionData::default()
        .with_partition_index(key.partition)
        .with_preferred_read_replica(BrokerId(-1))
        .with_aborted_transactions(None);
    let (data, records, misled) = match result {
        Ok(found) => {
            let aborted = found
                .aborted
                .map(|all| all.iter().map(told_aborted).collect());
            let data = data
                .with_high_watermark(found.sent.high_watermark)
                .with_last_stable_offset(found.last_stable_offset)
                .with_log_start_offset(found.sent.log_start_offset)
                .with_aborted_transactions(aborted);
            (data, found.records, None)
        }
        Err(error) => {
            let misled = matches!(
                error,
                ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch
            );
            let data = data
                .with_error_code(error.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1);
            (data, Vec::new(), name.filter(|_| misled).map(str::to_owned))
        }
    };
    PartitionResult {
        key: key.clone(),
        data,
        records,
        misled,
    }
}

fn told_aborted(aborted: &AbortedTxn) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id))
        .with_first_offset(aborted.first_offset)
}

/// Groups partitions that follow each other under their topic, as `FetchResponse.of` does.
fn by_topic(parts: Vec<PartitionResult>) -> Vec<FetchableTopicResponse> {
    let mut topics = Vec::<FetchableTopicResponse>::new();
    let mut last = None;
    for part in parts {
        let data = part.data.with_records(Some(joined(&part.records)));
        if last.as_ref() != Some(&part.key.topic) {
            let topic = FetchableTopicResponse::default();
            topics.push(match &part.key.topic {
                TopicKey::Name(name) => topic.with_topic(TopicName(wire(name))),
                TopicKey::Id(id) => topic.with_topic_id(*id),
            });
            last = Some(part.key.topic);
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(data);
        }
    }
    topics
}

fn joined(records: &[Bytes]) -> Bytes {
    match records {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            for batch in many {
                all.extend_from_slice(batch);
            }
            all.freeze()
        }
    }
}
