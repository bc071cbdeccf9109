//! Responses with records: they pass while they are read, and what stands behind is edited.

use bytes::Bytes;
use doorkeeper_core::error::{ClientFault, UpstreamFault};
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::{CloseReason, Input, Leg};
use kafka_protocol::messages::fetch_request::{FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{
    FetchableTopicResponse, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::share_fetch_response::{
    NodeEndpoint as ShareNode, PartitionData as SharePartition, ShareFetchableTopicResponse,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ShareFetchRequest, ShareFetchResponse,
};

use uuid::Uuid;

use crate::harness::*;

fn node(id: i32, host: &str, port: i32) -> NodeEndpoint {
    NodeEndpoint::default()
        .with_node_id(id.into())
        .with_host(host.to_string().into())
        .with_port(port)
}

fn fetched(records: usize, endpoints: Vec<NodeEndpoint>) -> FetchResponse {
    let records: Vec<u8> = (0..records).map(|n| (n % 253) as u8).collect();
    let partition = PartitionData::default().with_records(Some(Bytes::from(records)));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    FetchResponse::default()
        .with_session_id(5)
        .with_responses(vec![topic])
        .with_node_endpoints(endpoints)
}

fn fetch(version: i16) -> Vec<u8> {
    request(
        1,
        version,
        7,
        &FetchRequest::default().with_max_wait_ms(500),
    )
}

#[test]
fn a_short_fetch_is_edited_properly() {
    for version in 16..=17 {
        let mut world = World::new();
        world.client(&fetch(version));
        world.upstream(&response_frame(
            version,
            7,
            &fetched(1000, vec![node(1, "kafka-1.canary", 9092)]),
        ));
        let (_, seen) = decoded::<FetchResponse>(version, &world.to_client);
        assert_eq!(
            seen,
            fetched(1000, vec![node(1, "doorkeeper.example", 19094)])
        );
    }
}

#[test]
fn a_long_fetch_passes_while_it_comes_and_its_endpoints_are_blanked() {
    for chunk in [1000, 65_537, usize::MAX] {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&fetch(17));
        let endpoints = vec![
            node(1, "kafka-1.canary", 9092),
            node(2, "kafka-2.canary", 9092),
        ];
        let frame = response_frame(17, 7, &fetched(300_000, endpoints));
        world.upstream(&frame[..100_000]);
        let early = if chunk > 100_000 {
            99_000
        } else {
            100_000 - chunk
        };
        assert!(
            world.to_client.len() >= early,
            "the records are not buffered"
        );
        world.upstream(&frame[100_000..]);
        assert_eq!(
            world.to_client.len(),
            frame.len(),
            "the length had been sent"
        );
        assert!(!String::from_utf8_lossy(&world.to_client).contains("canary"));
        let (_, mut seen) = decoded::<FetchResponse>(17, &world.to_client);
        let blanked = seen.unknown_tagged_fields.remove(&127).unwrap();
        assert!(blanked.iter().all(|byte| *byte == 0));
        assert_eq!(seen, fetched(300_000, vec![]));
    }
}

#[test]
fn a_long_fetch_without_endpoints_is_untouched() {
    for version in [4, 11, 12, 15, 17] {
        let mut world = World::new();
        world.client(&fetch(version));
        let mut body = fetched(300_000, vec![]);
        if version < 7 {
            body = body.with_session_id(0);
        }
        let frame = response_frame(version, 7, &body);
        world.upstream(&frame);
        assert!(world.to_client == frame, "version {version}");
    }
}

#[test]
fn every_length_of_endpoints_is_blanked_to_the_byte() {
    for len in 1..=300 {
        for tags in [0_usize, 2] {
            let mut body = fetched(70_000, vec![node(1, &"k".repeat(len), 9092)]);
            for tag in 0..tags {
                body.unknown_tagged_fields
                    .insert(90 + tag as i32, Bytes::from(vec![1; len]));
            }
            let mut world = World::new();
            world.client(&fetch(17));
            world.upstream(&response_frame(17, 7, &body));
            let (_, mut seen) = decoded::<FetchResponse>(17, &world.to_client);
            assert!(seen.unknown_tagged_fields.remove(&127).is_some());
            body.node_endpoints.clear();
            assert!(seen == body, "a host of {len} bytes");
        }
    }
}

fn share_fetched(records: usize, text: &str, endpoints: Vec<ShareNode>) -> ShareFetchResponse {
    let partition = SharePartition::default()
        .with_error_message(Some(text.to_string().into()))
        .with_records(Some(Bytes::from(vec![3; records])));
    let topic = ShareFetchableTopicResponse::default().with_partitions(vec![partition]);
    ShareFetchResponse::default()
        .with_acquisition_lock_timeout_ms(30_000)
        .with_responses(vec![topic])
        .with_node_endpoints(endpoints)
}

fn share_node(host: &str) -> ShareNode {
    ShareNode::default()
        .with_node_id(1.into())
        .with_host(host.to_string().into())
        .with_port(9092)
}

#[test]
fn a_short_share_fetch_is_edited_properly() {
    let mut world = World::new();
    world.client(&request(78, 1, 7, &ShareFetchRequest::default()));
    let response = share_fetched(10, "at kafka-1.canary", vec![share_node("kafka-1.canary")]);
    world.upstream(&response_frame(1, 7, &response));
    let (_, seen) = decoded::<ShareFetchResponse>(1, &world.to_client);
    let ours = share_node("doorkeeper.example").with_port(19094);
    assert_eq!(seen, share_fetched(10, "at [upstream]", vec![ours]));
}

#[test]
fn a_long_share_fetch_keeps_its_length_to_the_byte() {
    for len in 1..=300 {
        let mut world = World::new();
        world.chunk = 40_001;
        world.client(&request(78, 1, 7, &ShareFetchRequest::default()));
        let response = share_fetched(
            70_000,
            "at kafka-1.canary:9092",
            vec![share_node(&"k".repeat(len))],
        );
        let frame = response_frame(1, 7, &response);
        world.upstream(&frame);
        assert_eq!(world.closed, None);
        assert_eq!(world.to_client.len(), frame.len());
        let (_, mut seen) = decoded::<ShareFetchResponse>(1, &world.to_client);
        assert!(seen.unknown_tagged_fields.remove(&127).is_some());
        assert!(
            seen == share_fetched(70_000, "at *******************", vec![]),
            "{len}"
        );
    }
}

#[test]
fn a_long_fetch_that_breaks_its_schema_ends_the_session() {
    let mut world = World::new();
    world.client(&fetch(17));
    let mut frame = response_frame(
        17,
        7,
        &fetched(100_000, vec![node(1, "kafka-1.canary", 9092)]),
    );
    // The size of the tagged field behind the records claims more than there is.
    let tail = frame.len() - "kafka-1.canary".len() - 13;
    frame[tail - 2..].fill(0xff);
    world.upstream(&frame);
    assert!(matches!(
        world.closed,
        Some(CloseReason::Upstream(UpstreamFault::Malformed(..)))
    ));
}

#[test]
fn a_tail_that_grows_without_end_hits_the_hold_limit() {
    let mut snapshot = snapshot();
    snapshot.limits.response_buffer_bytes_max = 100_000;
    let mut world = World::with(snapshot, doorkeeper_core::Route::Bootstrap);
    world.chunk = 10_000;
    world.client(&fetch(17));
    let mut body = fetched(10, vec![]);
    body.unknown_tagged_fields
        .insert(50, Bytes::from(vec![0; 500_000]));
    world.upstream(&response_frame(17, 7, &body));
    assert_eq!(world.closed, Some(CloseReason::BufferLimit(Leg::Upstream)));
}

#[test]
fn what_is_pinned_stays_bounded_while_the_client_does_not_read() {
    let mut world = World::new();
    world.client(&fetch(17));
    world.client_reads = false;
    let frame = response_frame(17, 7, &fetched(10_000_000, vec![]));
    let mut sent = 0;
    for piece in frame.chunks(256 * 1024) {
        if !world.session.demand().read_upstream {
            break;
        }
        world.upstream(piece);
        sent += piece.len();
    }
    assert!(sent <= 512 * 1024, "{sent}");
    assert!(world.session.egress(Leg::Client).pinned() <= 512 * 1024);
}

/// A Fetch of so many topics that it is longer than what is buffered for a field at its end.
fn long_fetch(replica: Option<ReplicaState>) -> Vec<u8> {
    let topic = FetchTopic::default().with_topic_id(Uuid::from_u128(7));
    let mut body = FetchRequest::default()
        .with_max_wait_ms(500)
        .with_topics(vec![topic; 10_000]);
    if let Some(replica) = replica {
        body = body.with_replica_state(replica);
    }
    request(1, 17, 7, &body)
}

/// Whoever sends all of a long request but its end must not make us keep it.
#[test]
fn a_long_fetch_request_goes_up_while_it_comes() {
    let frame = long_fetch(None);
    for chunk in [1000, 65_537, frame.len() - 1] {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&frame[..frame.len() - 1]);
        assert!(
            world.session.buffered_bytes().requests < 20,
            "hardly anything is buffered"
        );
        assert!(world.to_upstream == frame[..frame.len() - 1]);
        world.client(&frame[frame.len() - 1..]);
        assert!(world.to_upstream == frame, "not a byte is changed");
        world.upstream(&response_frame(17, 7, &fetched(10, vec![])));
        assert_eq!(ids(&world.to_client), [7]);
    }
}

/// A broker does nothing for a request of which it never gets the end.
#[test]
fn a_long_fetch_request_of_a_replica_never_goes_up_whole() {
    let replica = ReplicaState::default().with_replica_id(1.into());
    let frame = long_fetch(Some(replica));
    for chunk in [1000, 65_537, frame.len() - 1, usize::MAX] {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&frame);
        let fault = ClientFault::ReplicaRequest(ApiKey(1));
        assert_eq!(world.closed, Some(CloseReason::Client(fault)));
        assert!(world.to_upstream.len() < frame.len());
    }
}

#[test]
fn a_draining_session_takes_the_rest_of_a_long_fetch_request() {
    let frame = long_fetch(None);
    let mut world = World::new();
    world.client(&frame[..100_000]);
    let by = world.now.after(std::time::Duration::from_secs(20));
    world.input(Input::Drain { by });
    assert_eq!(world.closed, None);
    world.client(&frame[100_000..]);
    world.upstream(&response_frame(17, 7, &fetched(10, vec![])));
    assert!(world.to_upstream == frame);
    assert_eq!(world.closed, Some(CloseReason::Drained));
}
