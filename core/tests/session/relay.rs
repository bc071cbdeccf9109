//! Requests go up and responses come down: byte for byte, in order, whatever the chunks.

use bytes::Bytes;
use doorkeeper_core::error::UpstreamFault;
use doorkeeper_core::{CloseReason, Input, Leg};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, ProduceRequest, ProduceResponse, TopicName,
};

use crate::harness::*;

pub fn heartbeat(id: i32) -> Vec<u8> {
    request(
        12,
        4,
        id,
        &HeartbeatRequest::default().with_group_id(GroupId("g".into())),
    )
}

pub fn heartbeat_response(id: i32) -> Vec<u8> {
    response_frame(4, id, &HeartbeatResponse::default())
}

pub fn produce(id: i32, acks: i16, records: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..records).map(|n| (n % 251) as u8).collect();
    let partition = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(Bytes::from(payload)));
    let topic = TopicProduceData::default()
        .with_name(TopicName("t".to_string().into()))
        .with_partition_data(vec![partition]);
    let body = ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1500)
        .with_topic_data(vec![topic]);
    request(0, 9, id, &body)
}

pub fn produce_response(id: i32) -> Vec<u8> {
    let partition = PartitionProduceResponse::default().with_base_offset(7);
    let topic = TopicProduceResponse::default()
        .with_name(TopicName("t".to_string().into()))
        .with_partition_responses(vec![partition]);
    response_frame(
        9,
        id,
        &ProduceResponse::default().with_responses(vec![topic]),
    )
}

#[test]
fn bytes_arrive_as_they_were_sent_whatever_the_chunks() {
    for chunk in [1, 2, 3, 7, 13, 64, 4096, usize::MAX] {
        let mut world = World::new();
        world.chunk = chunk;
        let sent = [
            heartbeat(1),
            produce(2, 1, 5000),
            heartbeat(3),
            produce(4, -1, 0),
        ]
        .concat();
        world.client(&sent);
        assert_eq!(world.to_upstream, sent, "chunks of {chunk}");
        let responses = [
            heartbeat_response(1),
            produce_response(2),
            heartbeat_response(3),
            produce_response(4),
        ];
        world.upstream(&responses.concat());
        assert_eq!(world.to_client, responses.concat(), "chunks of {chunk}");
        assert_eq!(world.closed, None);
        assert_eq!(counts(&world.events)["request"], 4);
        assert_eq!(counts(&world.events)["response"], 4);
    }
}

#[test]
fn trailing_bytes_behind_a_body_are_legal() {
    let mut world = World::new();
    let with_tail = |frame: Vec<u8>| framed(&[&frame[4..], b"xyz"].concat());
    let sent = with_tail(produce(1, 1, 10));
    world.client(&sent);
    assert_eq!(world.to_upstream, sent);
    let response = with_tail(produce_response(1));
    world.upstream(&response);
    assert_eq!(world.to_client, response);
}

#[test]
fn a_produce_without_a_response_takes_no_slot() {
    let mut world = World::new();
    world.client(&[produce(1, 0, 100), heartbeat(2)].concat());
    world.upstream(&heartbeat_response(2));
    assert_eq!(ids(&world.to_client), [2]);
    assert_eq!(world.closed, None);
}

#[test]
fn correlation_ids_may_repeat() {
    let mut world = World::new();
    world.client(&[heartbeat(5), heartbeat(5)].concat());
    world.upstream(&[heartbeat_response(5), heartbeat_response(5)].concat());
    assert_eq!(ids(&world.to_client), [5, 5]);
}

#[test]
fn a_response_before_its_request_is_whole_is_unsolicited() {
    let mut world = World::new();
    let sent = produce(1, 1, 200_000);
    world.client(&sent[..150_000]);
    assert!(
        world.connected,
        "a large first request is not buffered until it is whole"
    );
    world.upstream(&produce_response(1));
    assert_eq!(
        world.closed,
        Some(CloseReason::Upstream(UpstreamFault::Unsolicited))
    );
}

#[test]
fn the_client_is_paused_while_the_broker_does_not_take_its_bytes() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream_reads = false;
    world.client(&produce(2, 1, 200_000));
    assert!(!world.session.demand().read_client);
    assert!(
        world.session.demand().read_upstream,
        "responses still come down"
    );
    world.upstream_reads = true;
    world.settle();
    assert!(world.session.demand().read_client);
}

#[test]
fn the_broker_is_paused_while_the_client_does_not_take_its_bytes() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    let large = HeartbeatResponse::default();
    let frame = response_frame(4, 1, &large);
    // A legal frame with a long tail stands for any long response.
    world.upstream(&framed(&[&frame[4..], &vec![0; 200_000][..]].concat()));
    assert!(!world.session.demand().read_upstream);
    assert!(
        !world.session.demand().read_client,
        "a client that reads no responses is not read either"
    );
    world.client_reads = true;
    world.settle();
    assert!(world.session.demand().read_upstream);
}

#[test]
fn the_client_is_paused_while_too_many_responses_are_owed() {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 3;
    let mut world = World::with(snapshot, doorkeeper_core::Route::Bootstrap);
    world.client(&[heartbeat(1), heartbeat(2), heartbeat(3)].concat());
    assert!(!world.session.demand().read_client);
    world.upstream(&heartbeat_response(1));
    assert!(world.session.demand().read_client);
}

#[test]
fn a_remainder_does_not_keep_the_read_buffer_alive() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    let next = heartbeat(2);
    let buffer = Bytes::from([heartbeat(3), next[..3].to_vec()].concat());
    world.upstream_reads = true;
    world.input(Input::Bytes {
        leg: Leg::Client,
        bytes: buffer.clone(),
    });
    assert!(
        buffer.is_unique(),
        "three bytes are buffered, in memory of their own"
    );
}
