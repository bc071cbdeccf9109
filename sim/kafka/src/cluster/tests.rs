//! Scripted requests and their responses, as a client sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use super::*;
use crate::batch::tests::batch_of;

mod consumer_groups;
mod share_groups;
mod transactions;

/// A cluster of three brokers with a clock, and what came out of it.
struct World {
    cluster: Cluster,
    now: Instant,
    correlation: i32,
    frames: BTreeMap<(ConnectionId, i32), Bytes>,
    order: Vec<i32>,
    closes: BTreeMap<ConnectionId, CloseReason>,
}

/// A request that was sent.
#[derive(Clone, Copy)]
struct PendingRequest {
    connection: ConnectionId,
    correlation: i32,
    api: ApiKey,
    version: i16,
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

impl World {
    fn new() -> Self {
        let at = |id| {
            (
                BrokerId(id),
                HostPort::new(&format!("kafka-{id}"), 9092).unwrap(),
            )
        };
        let brokers = (1..=3).map(at).collect();
        let limits = Limits::default();
        let config = ClusterConfig {
            brokers,
            seed: 1,
            limits,
        };
        Self {
            cluster: Cluster::new(config),
            now: Instant::ZERO,
            correlation: 0,
            frames: BTreeMap::new(),
            order: Vec::new(),
            closes: BTreeMap::new(),
        }
    }

    /// With topic `t`: three partitions, partition `p` led by broker `p + 1`.
    fn with_topic() -> Self {
        let mut world = Self::new();
        assert!(world.cluster.auto_create("t"));
        world
    }

    fn topic_id(&self) -> Uuid {
        self.cluster.topics.get("t").unwrap().id
    }

    fn connect(&mut self, broker: i32) -> ConnectionId {
        self.cluster.connected(self.now, BrokerId(broker))
    }

    fn drain(&mut self) {
        while let Some(output) = self.cluster.poll() {
            match output {
                Output::Frame { connection, bytes } => {
                    let correlation = (&bytes[..]).get_i32();
                    self.order.push(correlation);
                    self.frames.insert((connection, correlation), bytes);
                }
                Output::Close { connection, reason } => {
                    self.closes.insert(connection, reason);
                }
            }
        }
    }

    fn raw(&mut self, connection: ConnectionId, api: i16, version: i16, body: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_i16(api);
        frame.put_i16(version);
        frame.put_i32(0);
        frame.put_i16(-1);
        frame.put_slice(body);
        self.cluster.request(self.now, connection, frame.freeze());
        self.drain();
    }

    fn send(
        &mut self,
        connection: ConnectionId,
        api: ApiKey,
        version: i16,
        body: &impl Encodable,
    ) -> PendingRequest {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut frame = BytesMut::new();
        header
            .encode(&mut frame, api.request_header_version(version))
            .unwrap();
        body.encode(&mut frame, version).unwrap();
        self.cluster.request(self.now, connection, frame.freeze());
        self.drain();
        PendingRequest {
            connection,
            correlation: self.correlation,
            api,
            version,
        }
    }

    fn response<T: Decodable>(&self, sent: PendingRequest) -> Option<T> {
        let mut frame = self
            .frames
            .get(&(sent.connection, sent.correlation))?
            .clone();
        frame.advance(4);
        if sent.api.response_header_version(sent.version) >= 1 {
            assert_eq!(frame.get_u8(), 0);
        }
        let response = T::decode(&mut frame, sent.version).unwrap();
        assert!(frame.is_empty());
        Some(response)
    }

    fn ask<T: Decodable>(
        &mut self,
        connection: ConnectionId,
        api: ApiKey,
        version: i16,
        body: &impl Encodable,
    ) -> T {
        let sent = self.send(connection, api, version, body);
        self.response(sent).unwrap()
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        self.cluster.tick(self.now);
        self.drain();
    }

    fn produce(&mut self, connection: ConnectionId, acks: i16, records: Bytes) -> PendingRequest {
        let data = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(records));
        let topic = TopicProduceData::default()
            .with_name(topic_name("t"))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_topic_data(vec![topic]);
        self.send(connection, ApiKey::Produce, 12, &request)
    }

    fn produced(&mut self, connection: ConnectionId, records: Bytes) -> (i16, i64) {
        let sent = self.produce(connection, -1, records);
        let response: ProduceResponse = self.response(sent).unwrap();
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    fn fetch(&self, wait_ms: i32, offset: i64, session: (i32, i32), named: bool) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic_id(self.topic_id())
            .with_partitions(vec![partition]);
        FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_id(session.0)
            .with_session_epoch(session.1)
            .with_topics(if named { vec![topic] } else { Vec::new() })
    }

    fn fetched(&mut self, connection: ConnectionId, request: &FetchRequest) -> FetchResponse {
        self.ask(connection, ApiKey::Fetch, 17, request)
    }
}

#[test]
fn versions_are_advertised_and_an_unknown_one_gets_a_version_0_response() {
    let mut world = World::new();
    let connection = world.connect(1);
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let response: ApiVersionsResponse = world.ask(connection, ApiKey::ApiVersions, 3, &request);
    assert_eq!(
        (response.error_code, response.api_keys[0].min_version),
        (0, 0)
    );
    assert!(
        response
            .supported_features
            .iter()
            .all(|feature| feature.min_version > 0)
    );
    world.raw(connection, 18, 99, b"\0whatever");
    let mut frame = world.frames.get(&(connection, 0)).unwrap().clone();
    frame.advance(4);
    let response = ApiVersionsResponse::decode(&mut frame, 0).unwrap();
    assert_eq!(
        response.error_code,
        ResponseError::UnsupportedVersion.code()
    );
    assert_eq!(
        (
            response.api_keys[0].api_key,
            response.api_keys[0].max_version
        ),
        (18, 4)
    );
    assert!(world.closes.is_empty());
}

#[test]
fn a_malformed_request_closes_with_its_reason() {
    let cases: [(i16, i16, &[u8], CloseReason); 4] = [
        (9999, 0, b"", CloseReason::UnknownApi { api_key: 9999 }),
        (
            0,
            2,
            b"",
            CloseReason::UnsupportedVersion {
                api_key: 0,
                api_version: 2,
            },
        ),
        (4, 0, b"", CloseReason::UnknownApi { api_key: 4 }),
        (
            3,
            0,
            b"\x7f\xff\xff\xff",
            CloseReason::MalformedBody {
                api_key: 3,
                api_version: 0,
                what: String::new(),
            },
        ),
    ];
    for (api, version, body, expected) in cases {
        let mut world = World::new();
        let (connection, other) = (world.connect(1), world.connect(1));
        world.raw(connection, api, version, body);
        let mut reason = world.closes.remove(&connection).unwrap();
        if let CloseReason::MalformedBody { what, .. } = &mut reason {
            what.clear();
        }
        assert_eq!(reason, expected);
        assert!(!world.cluster.accepts(connection) && world.cluster.accepts(other));
        world.cluster.request(world.now, connection, Bytes::new());
        assert_eq!(world.cluster.poll(), None);
    }
}

#[test]
fn metadata_creates_a_topic_but_says_so_only_when_asked_again() {
    let mut world = World::new();
    let connection = world.connect(2);
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("new")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let first: MetadataResponse = world.ask(connection, ApiKey::Metadata, 12, &request);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(first.topics[0].error_code, unknown);
    let hosts: Vec<_> = first.brokers.iter().map(|b| b.host.to_string()).collect();
    assert_eq!(hosts, ["kafka-1", "kafka-2", "kafka-3"]);
    let second: MetadataResponse = world.ask(connection, ApiKey::Metadata, 12, &request);
    assert_eq!(
        (
            second.topics[0].error_code,
            second.topics[0].partitions.len()
        ),
        (0, 3)
    );
}

#[test]
fn produced_records_are_fetched() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    assert_eq!(
        world.produced(connection, batch_of(&["a", "b"], None)),
        (0, 0)
    );
    assert_eq!(world.produced(connection, batch_of(&["c"], None)), (0, 2));
    let request = world.fetch(0, 0, (0, -1), true);
    let response = world.fetched(connection, &request);
    let partition = &response.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (0, 3));
    let sent = batch_of(&["a", "b"], None).len() + batch_of(&["c"], None).len();
    assert_eq!(partition.records.as_ref().unwrap().len(), sent);
}

#[test]
fn a_producer_that_skips_or_repeats_gets_an_error() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    assert_eq!(
        world.produced(connection, batch_of(&["a"], Some((7, 0, 0)))),
        (0, 0)
    );
    assert_eq!(
        world.produced(connection, batch_of(&["a"], Some((7, 0, 0)))),
        (0, 0)
    );
    let gap = ResponseError::OutOfOrderSequenceNumber.code();
    assert_eq!(
        world.produced(connection, batch_of(&["c"], Some((7, 0, 2)))),
        (gap, -1)
    );
    assert_eq!(
        world.produced(connection, batch_of(&["b"], Some((7, 0, 1)))),
        (0, 1)
    );
}

#[test]
fn a_produce_with_acks_0_has_no_response_and_its_error_closes() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    let sent = world.produce(connection, 0, batch_of(&["a"], None));
    assert!(world.response::<ProduceResponse>(sent).is_none() && world.closes.is_empty());
    let follower = world.connect(2);
    world.produce(follower, 0, batch_of(&["a"], None));
    let reason = world.closes.get(&follower);
    assert_eq!(reason, Some(&CloseReason::ProduceWithoutAcksFailed));
}

#[test]
fn a_wrong_leader_says_who_leads() {
    let mut world = World::with_topic();
    let connection = world.connect(2);
    let sent = world.produce(connection, -1, batch_of(&["a"], None));
    let response: ProduceResponse = world.response(sent).unwrap();
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(
        partition.error_code,
        ResponseError::NotLeaderOrFollower.code()
    );
    assert_eq!(partition.current_leader.leader_id.0, 1);
    assert_eq!(&*response.node_endpoints[0].host, "kafka-1");
    // A consumer that knows an older epoch is fenced, and gets the hint as well.
    assert!(world.cluster.move_leader(world.now, "t", 0, BrokerId(3)));
    let mut request = world.fetch(0, 0, (0, -1), true);
    request.topics[0].partitions[0].current_leader_epoch = 0;
    let response = world.fetched(connection, &request);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(
        partition.error_code,
        ResponseError::FencedLeaderEpoch.code()
    );
    let leader = &partition.current_leader;
    assert_eq!((leader.leader_id.0, leader.leader_epoch), (3, 1));
    assert_eq!(&*response.node_endpoints[0].host, "kafka-3");
}

#[test]
fn a_long_poll_ends_with_records_or_with_time() {
    let mut world = World::with_topic();
    let (consumer, producer) = (world.connect(1), world.connect(1));
    let request = world.fetch(500, 0, (0, -1), true);
    let sent = world.send(consumer, ApiKey::Fetch, 17, &request);
    assert!(world.response::<FetchResponse>(sent).is_none());
    world.pass(499);
    assert!(world.response::<FetchResponse>(sent).is_none());
    world.produced(producer, batch_of(&["a"], None));
    let response: FetchResponse = world.response(sent).unwrap();
    assert!(
        !response.responses[0].partitions[0]
            .records
            .as_ref()
            .unwrap()
            .is_empty()
    );
    let request = world.fetch(500, 1, (0, -1), true);
    let sent = world.send(consumer, ApiKey::Fetch, 17, &request);
    world.pass(500);
    let response: FetchResponse = world.response(sent).unwrap();
    assert!(
        response.responses[0].partitions[0]
            .records
            .as_ref()
            .unwrap()
            .is_empty()
    );
    assert_eq!(world.cluster.deadline(), None);
}

#[test]
fn responses_keep_the_order_of_their_requests() {
    let mut world = World::with_topic();
    let (consumer, producer) = (world.connect(1), world.connect(1));
    let request = world.fetch(500, 0, (0, -1), true);
    let first = world.send(consumer, ApiKey::Fetch, 17, &request);
    let all = MetadataRequest::default().with_topics(None);
    let second = world.send(consumer, ApiKey::Metadata, 12, &all);
    assert!(world.response::<MetadataResponse>(second).is_none());
    world.produced(producer, batch_of(&["a"], None));
    assert!(world.response::<MetadataResponse>(second).is_some());
    let consumers = [first.correlation, second.correlation];
    let order: Vec<_> = world
        .order
        .iter()
        .filter(|c| consumers.contains(c))
        .collect();
    assert_eq!(order, [&first.correlation, &second.correlation]);
}

#[test]
fn an_incremental_fetch_has_only_changed_partitions() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    let request = world.fetch(0, 0, (0, 0), true);
    let id = world.fetched(connection, &request).session_id;
    assert_ne!(id, 0);
    let request = world.fetch(0, 0, (id, 1), false);
    let response = world.fetched(connection, &request);
    assert_eq!((response.session_id, response.responses.len()), (id, 0));
    world.produced(connection, batch_of(&["a"], None));
    let request = world.fetch(0, 0, (id, 2), false);
    assert_eq!(world.fetched(connection, &request).responses.len(), 1);
    let request = world.fetch(0, 0, (id, 2), false);
    let response = world.fetched(connection, &request);
    assert_eq!(
        response.error_code,
        ResponseError::InvalidFetchSessionEpoch.code()
    );
    // A full request closes the session that it names.
    let request = world.fetch(0, 0, (id, -1), true);
    assert_eq!(world.fetched(connection, &request).session_id, 0);
    let request = world.fetch(0, 0, (id, 3), false);
    let response = world.fetched(connection, &request);
    assert_eq!(
        response.error_code,
        ResponseError::FetchSessionIdNotFound.code()
    );
}

#[test]
fn offsets_are_listed() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    world.produced(connection, batch_of(&["a", "b"], None));
    let mut at = |timestamp| {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(kafka_protocol::messages::BrokerId(-1))
            .with_topics(vec![topic]);
        let response: ListOffsetsResponse = world.ask(connection, ApiKey::ListOffsets, 7, &request);
        response.topics[0].partitions[0].offset
    };
    let offsets = [-1, -2, -3, 1001, 5000].map(&mut at);
    assert_eq!(offsets, [2, 0, 1, 1, -1]);
}

#[test]
fn topics_are_created_and_deleted() {
    let mut world = World::new();
    let connection = world.connect(1);
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(2)
        .with_replication_factor(3);
    let bad = CreatableTopic::default()
        .with_name(topic_name("u"))
        .with_num_partitions(i32::MAX)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic, bad]);
    let create = |world: &mut World| {
        let response: CreateTopicsResponse =
            world.ask(connection, ApiKey::CreateTopics, 7, &request);
        [response.topics[0].error_code, response.topics[1].error_code]
    };
    let policy = ResponseError::PolicyViolation.code();
    assert_eq!(create(&mut world), [0, policy]);
    let exists = ResponseError::TopicAlreadyExists.code();
    assert_eq!(create(&mut world), [exists, policy]);
    let state = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(world.topic_id());
    let request = DeleteTopicsRequest::default().with_topics(vec![state]);
    let delete = |world: &mut World| {
        let response: DeleteTopicsResponse =
            world.ask(connection, ApiKey::DeleteTopics, 6, &request);
        response.responses[0].error_code
    };
    assert_eq!(delete(&mut world), 0);
    assert_eq!(delete(&mut world), ResponseError::UnknownTopicId.code());
}

#[test]
fn only_the_coordinator_serves_a_group() {
    let mut world = World::new();
    let connection = world.connect(1);
    let key = StrBytes::from_static_str("g");
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()]);
    let response: FindCoordinatorResponse =
        world.ask(connection, ApiKey::FindCoordinator, 4, &request);
    let coordinator = response.coordinators[0].node_id.0;
    assert!((1..=3).contains(&coordinator));
    let heartbeat = HeartbeatRequest::default().with_group_id(GroupId(key));
    let ask = |world: &mut World, broker| {
        let connection = world.connect(broker);
        let response: HeartbeatResponse = world.ask(connection, ApiKey::Heartbeat, 4, &heartbeat);
        response.error_code
    };
    assert_eq!(
        ask(&mut world, coordinator),
        ResponseError::UnknownMemberId.code()
    );
    let other = coordinator % 3 + 1;
    assert_eq!(ask(&mut world, other), ResponseError::NotCoordinator.code());
}

#[test]
fn a_stopped_broker_closes_hands_over_and_is_not_listed() {
    let mut world = World::with_topic();
    let (on_1, on_2) = (world.connect(1), world.connect(2));
    world.cluster.stop_broker(world.now, BrokerId(1));
    world.drain();
    let stopped = CloseReason::BrokerStopped {
        broker: BrokerId(1),
    };
    assert_eq!(world.closes.get(&on_1), Some(&stopped));
    assert_eq!(world.cluster.leader("t", 0), Some(BrokerId(2)));
    assert_eq!(world.produced(on_2, batch_of(&["a"], None)), (0, 0));
    let all = MetadataRequest::default().with_topics(None);
    let response: MetadataResponse = world.ask(on_2, ApiKey::Metadata, 12, &all);
    assert_eq!(response.brokers.len(), 2);
    let late = world.connect(1);
    world.drain();
    assert_eq!(world.closes.get(&late), Some(&stopped));
    world.cluster.start_broker(world.now, BrokerId(1));
    let moved = HostPort::new("elsewhere", 1).unwrap();
    world.cluster.advertise(world.now, BrokerId(1), moved);
    let response: MetadataResponse = world.ask(on_2, ApiKey::Metadata, 12, &all);
    assert_eq!(&*response.brokers[0].host, "elsewhere");
}

#[test]
fn the_same_seed_and_requests_give_the_same_bytes() {
    let run = || {
        let mut world = World::with_topic();
        let connection = world.connect(1);
        world.produced(connection, batch_of(&["a"], None));
        let request = world.fetch(0, 0, (0, 0), true);
        world.fetched(connection, &request);
        let all = MetadataRequest::default().with_topics(None);
        world.send(connection, ApiKey::Metadata, 12, &all);
        world.frames
    };
    assert_eq!(run(), run());
}

/// KIP-219: the response comes at once and says for how long; what follows is served afterwards.
#[test]
fn a_throttled_client_gets_the_throttle_time_and_is_muted() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    world
        .cluster
        .throttle(BrokerId(1), Duration::from_millis(700));
    let first = world.produce(connection, 1, batch_of(&["a"], None));
    let produced: ProduceResponse = world.response(first).unwrap();
    assert_eq!(produced.throttle_time_ms, 700);
    assert!(world.cluster.is_muted(connection));
    let beat = HeartbeatRequest::default();
    let second = world.send(connection, ApiKey::Heartbeat, 4, &beat);
    world.pass(699);
    assert_eq!(world.response::<HeartbeatResponse>(second), None);
    world.pass(1);
    let response: HeartbeatResponse = world.response(second).unwrap();
    assert_eq!(response.throttle_time_ms, 700);
    world.cluster.throttle(BrokerId(1), Duration::ZERO);
    let versions = world.send(
        connection,
        ApiKey::ApiVersions,
        3,
        &ApiVersionsRequest::default(),
    );
    world.pass(700);
    let response: ApiVersionsResponse = world.response(versions).unwrap();
    assert_eq!(response.throttle_time_ms, 0);
    assert!(!world.cluster.is_muted(connection));
}
