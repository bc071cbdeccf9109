//! What a session keeps in memory is bounded, whatever its peers send and do not take.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use doorkeeper_core::error::Wait;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::{BufferedBytes, CloseReason, End, Input, Leg, Route};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::TopicProduceResponse;
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, ProduceRequest, ProduceResponse, TopicName,
};

use crate::counting;
use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response};

/// An ApiVersions request of an unknown version: it gets a local response.
fn strange(id: i32) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_i16(18);
    body.put_i16(99);
    body.put_i32(id);
    framed(&body)
}

fn strange_many(count: i32) -> Vec<u8> {
    (0..count).flat_map(strange).collect()
}

#[test]
fn local_responses_do_not_pile_up_for_a_client_that_reads_none() {
    let mut world = World::new();
    world.client_reads = false;
    let limits = world.snapshot.limits.clone();
    let chunk = strange_many(1000);
    let mut rounds = 0;
    while world.session.demand().read_client {
        world.client(&chunk);
        rounds += 1;
        assert!(rounds < 100, "it is read for ever");
    }
    // One round of responses may go over the mark.
    let due = world.session.egress(Leg::Client).pinned();
    assert!(due < limits.egress_high_bytes + limits.in_flight_max * 32);
    world.client_reads = true;
    world.settle();
    assert_eq!(ids(&world.to_client).len(), rounds * 1000);
    assert!(world.session.demand().read_client);
}

#[test]
fn no_more_responses_are_owed_than_the_limit_whatever_comes_in_one_read() {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 10;
    let mut world = World::with(snapshot, Route::Bootstrap);
    let sent: Vec<u8> = (0..100).flat_map(heartbeat).collect();
    world.client(&sent);
    let mut given = 0;
    while given < 100 {
        let up = ids_of_requests(&world.to_upstream);
        assert_eq!(
            up.len(),
            (given as usize + 10).min(100),
            "no further request goes up"
        );
        world.upstream(&heartbeat_response(given));
        given += 1;
    }
    assert_eq!(world.to_upstream, sent);
    assert_eq!(ids(&world.to_client), (0..100).collect::<Vec<_>>());
    assert_eq!(world.closed, None);
}

#[test]
fn local_responses_that_wait_for_their_turn_are_counted() {
    let mut world = World::new();
    let limits = world.snapshot.limits.clone();
    // The broker owes the first response, so all others wait behind it.
    world.client(&heartbeat(0));
    let mut taken = 0;
    while world.session.demand().read_client {
        world.client(&strange_many(100));
        taken += 100;
    }
    assert!(taken <= limits.in_flight_max + 100);
    world.upstream(&heartbeat_response(0));
    assert_eq!(ids(&world.to_client).len(), taken + 1);
}

#[test]
fn requests_that_wait_are_authorized_by_the_newest_snapshot() {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 1;
    let mut world = World::with(snapshot, Route::Bootstrap);
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    assert!(world.session.demand().snapshot);
    world.renew(|snapshot| {
        snapshot.policy = snapshot
            .policy
            .clone()
            .deny_api(doorkeeper_core::id::ApiKey(12));
    });
    world.upstream(&heartbeat_response(1));
    assert_eq!(world.to_upstream, heartbeat(1));
    assert!(matches!(world.closed, Some(CloseReason::Client(_))));
}

#[test]
fn a_client_that_reads_no_responses_is_closed() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&strange(1));
    let stall = world.snapshot.limits.write_stall_timeout;
    world.advance(stall.saturating_sub(Duration::from_secs(1)));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_secs(10));
    assert_eq!(
        world.closed,
        Some(CloseReason::TimedOut(Wait::CLIENT_WRITE))
    );
}

#[test]
fn bytes_that_come_although_they_were_not_asked_for_keep_their_order() {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 1;
    let mut world = World::with(snapshot, Route::Bootstrap);
    let sent = [heartbeat(1), heartbeat(2), heartbeat(3)].concat();
    for piece in sent.chunks(9) {
        world.input(Input::Bytes {
            leg: Leg::Client,
            bytes: bytes::Bytes::copy_from_slice(piece),
        });
    }
    for id in 1..=3 {
        world.upstream(&heartbeat_response(id));
    }
    assert_eq!(world.to_upstream, sent);
}

fn ids_of_requests(bytes: &[u8]) -> Vec<i32> {
    let id = |frame: &Vec<u8>| i32::from_be_bytes(frame[4..8].try_into().unwrap());
    frames(bytes).iter().map(id).collect()
}

/// A request that has waited for room becomes no response when its client has reset.
#[test]
fn a_client_that_has_reset_is_sent_nothing() {
    let waiting = strange_many(20_000);
    let leaves = |waiting: &[u8]| {
        let mut snapshot = snapshot();
        snapshot.limits.in_flight_max = 1;
        let mut world = World::with(snapshot, Route::Bootstrap);
        world.client(&[&*heartbeat(1), waiting].concat());
        world.ended(Leg::Client, End::Reset);
        world.upstream(&heartbeat_response(1));
        assert!(world.to_client.is_empty());
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(End::Reset)));
    };
    // What is reported of each of them takes most of it, until the driver takes the reports.
    counting::bounded(&waiting, leaves, 18, 0);
}

/// The end of a chunk in which a buffered frame begins keeps all of the chunk alive.
#[test]
fn a_part_of_a_large_chunk_counts_as_all_of_it() {
    let mut world = authorizing_world();
    let (chunk_len, left) = (200_000, 60_000);
    let frame = produce_to("secret", 100_000);
    let first = produce_to("open", chunk_len);
    let chunk = [&first[first.len() - (chunk_len - left)..], &frame[..left]].concat();
    world.client(&first[..first.len() - (chunk_len - left)]);
    world.client(&chunk);
    assert_eq!(world.session.buffered(Leg::Client), left);
    counts_as(&world, chunk_len);
    // The rest comes in a buffer of its own.
    world.client(&frame[left..left + 10_000]);
    counts_as(&world, chunk_len + 10_000);
}

/// Held requests keep so much alive, and what has been read of them a little more.
fn counts_as(world: &World, bytes: usize) {
    let buffered = world.session.buffered_bytes().requests;
    assert!((bytes..bytes + 1000).contains(&buffered), "{buffered}");
}

/// Little of a large buffer does not.
#[test]
fn a_small_part_of_a_chunk_is_copied_out_of_it() {
    let mut world = authorizing_world();
    let frame = produce_to("secret", 100_000);
    let first = produce_to("open", 200_000);
    world.client(&first[..10]);
    world.client(&[&first[10..], &frame[..1000]].concat());
    counts_as(&world, 1000);
}

/// Requests that wait for their turn keep the read alive that they came in.
#[test]
fn requests_that_wait_count_as_all_of_their_buffer() {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 1;
    let mut world = World::with(snapshot, Route::Bootstrap);
    let behind: Vec<u8> = (2..100).flat_map(heartbeat).collect();
    let chunk = [heartbeat(1), behind].concat();
    world.client(&chunk);
    assert_eq!(world.session.buffered_bytes().requests, chunk.len());
    // One after the other goes up, and what is left keeps all of it.
    world.upstream(&heartbeat_response(1));
    assert_eq!(world.session.buffered_bytes().requests, chunk.len());
}

/// A response that had to be buffered whole is still in memory while its client takes it.
#[test]
fn a_long_response_counts_until_its_client_has_taken_it() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&find_coordinators(1));
    let frame = long_coordinators(1, 40_000);
    world.upstream(&frame[..frame.len() / 2]);
    assert_eq!(world.session.buffered_bytes().responses, frame.len() / 2);
    world.upstream(&frame[frame.len() / 2..]);
    let passing = 4 * world.snapshot.limits.egress_high_bytes;
    let due = world.session.egress(Leg::Client).pinned();
    assert!(due > frame.len() - 1000 && due > 2 * passing, "{due}");
    assert_eq!(world.session.buffered_bytes().responses, due - passing);
    // Whoever is to give it back does so at once.
    world.input(Input::BufferRejected);
    assert_eq!(world.session.buffered_bytes(), BufferedBytes::default());
    assert_eq!(world.closed, Some(CloseReason::BufferRejected));
}

/// A request that had to be buffered is still in memory while its broker takes it.
#[test]
fn a_buffered_request_counts_until_its_broker_has_taken_it() {
    let mut world = authorizing_world();
    world.client(&heartbeat(1));
    world.client_reads = false;
    world.upstream(&heartbeat_response(1));
    world.upstream_reads = false;
    let sent = produce_to_each(&["open", "public"], 2_000_000);
    world.client(&sent[..1_000_000]);
    counts_as(&world, 1_000_000);
    world.client(&sent[1_000_000..]);
    assert_eq!(world.session.buffered(Leg::Client), 0);
    let passing = 4 * world.snapshot.limits.egress_high_bytes;
    let due = world.session.egress(Leg::Upstream).pinned();
    assert!(due >= sent.len(), "{due}");
    assert_eq!(world.session.buffered_bytes().requests, due - passing);
    // Whoever is to give it back does so at once, and the client keeps what is due to it.
    world.input(Input::BufferRejected);
    assert_eq!(world.session.buffered_bytes(), BufferedBytes::default());
    world.client_reads = true;
    world.settle();
    assert_eq!(ids(&world.to_client), [1]);
    assert_eq!(world.closed, Some(CloseReason::BufferRejected));
}

/// A session that only writes what is left keeps it in memory all the same.
#[test]
fn a_session_that_closes_gives_back_what_it_holds() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&find_coordinators(1));
    world.upstream(&long_coordinators(1, 40_000));
    world.ended(Leg::Upstream, End::Fin);
    assert!(world.session.buffered_bytes().responses > 1 << 20);
    assert_eq!(world.closed, None);
    world.input(Input::BufferRejected);
    assert_eq!(world.session.buffered_bytes(), BufferedBytes::default());
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
}

/// A response of ours is kept while the rest of its request is thrown away.
#[test]
fn a_response_to_a_request_that_is_still_coming_in_counts() {
    let mut world = World::new();
    let sent = framed(&[&strange(1)[4..], &[0; 1000]].concat());
    world.client(&sent[..100]);
    let buffered = world.session.buffered_bytes().requests;
    world.client(&sent[100..]);
    assert_eq!(buffered, world.to_client.len());
}

/// Denied topics are kept until the topics of the broker's response begin.
#[test]
fn denied_topics_that_wait_for_a_response_count() {
    let mut snapshot = snapshot();
    let anonymous = Principal::anonymous();
    let names: Vec<String> = (0..1000).map(|n| format!("secret-{n}")).collect();
    for name in &names {
        snapshot.policy = snapshot.policy.deny_topic(&anonymous, name);
    }
    let mut world = World::with(snapshot, Route::Bootstrap);
    let mut topics: Vec<&str> = names.iter().map(String::as_str).collect();
    topics.push("open");
    world.client(&produce_to_each(&topics, 0));
    let entries = world.session.buffered_bytes().requests;
    assert!(entries > names.join("").len(), "{entries}");
    let response = ProduceResponse::default().with_responses(vec![
        TopicProduceResponse::default().with_name(TopicName("open".into())),
    ]);
    let response = response_frame(9, 1, &response);
    world.upstream(&response[..9]);
    assert_eq!(world.session.buffered_bytes().requests, 0);
    let buffered = world.session.buffered_bytes().responses;
    assert!(buffered >= entries, "{buffered}");
    world.upstream(&response[9..]);
    assert_eq!(world.session.buffered_bytes(), BufferedBytes::default());
}

#[test]
fn a_leg_without_room_to_hold_more_is_not_read_until_there_is() {
    let mut world = World::new();
    world.client(&find_coordinators(1));
    let frame = long_coordinators(1, 20_000);
    world.upstream(&frame[..100_000]);
    world.input(Input::BufferPaused(Leg::Upstream));
    let demand = world.session.demand();
    assert!(demand.read_client && !demand.read_upstream);
    let limit = world.snapshot.limits.buffer_timeout;
    world.advance(limit - Duration::from_millis(1));
    assert_eq!(world.closed, None);
    world.input(Input::BufferResumed(Leg::Upstream));
    assert!(world.session.demand().read_upstream);
    // The pause is not the broker's fault: it has all its time again.
    world.advance(Duration::from_secs(29));
    assert_eq!(world.closed, None);
    world.upstream(&frame[100_000..]);
    assert_eq!(ids(&world.to_client), [1]);
}

#[test]
fn a_leg_does_not_wait_for_room_for_ever() {
    for (leg, wait) in [
        (Leg::Client, Wait::CLIENT_BUFFER),
        (Leg::Upstream, Wait::UPSTREAM_BUFFER),
    ] {
        let mut world = authorizing_world();
        world.client(&heartbeat(0));
        world.upstream(&heartbeat_response(0));
        match leg {
            Leg::Client => world.client(&produce_to("secret", 100_000)[..90_000]),
            Leg::Upstream => {
                world.client(&find_coordinators(1));
                world.upstream(&long_coordinators(1, 20_000)[..90_000]);
            }
        }
        world.input(Input::BufferPaused(leg));
        let limit = world.snapshot.limits.buffer_timeout;
        world.advance(limit - Duration::from_millis(1));
        assert_eq!(world.closed, None);
        world.advance(Duration::from_millis(1));
        assert_eq!(world.closed, Some(CloseReason::TimedOut(wait)));
    }
}

/// A client that takes nothing is the reason that its broker is not read: it does not wait for
/// room.
#[test]
fn a_leg_that_would_not_be_read_anyway_does_not_wait_for_room() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&[find_coordinators(1), find_coordinators(2)].concat());
    world.upstream(&long_coordinators(1, 20_000));
    world.input(Input::BufferPaused(Leg::Upstream));
    world.advance(Duration::from_secs(60));
    assert_eq!(world.closed, None);
    world.client_reads = true;
    world.settle();
    world.advance(world.snapshot.limits.buffer_timeout);
    let reason = CloseReason::TimedOut(Wait::UPSTREAM_BUFFER);
    assert_eq!(world.closed, Some(reason));
}

/// Whoever sends much of a frame at once has not earned the time to send the rest byte by byte.
#[test]
fn a_buffered_frame_must_keep_the_slowest_rate_to_its_end() {
    let mut world = World::new();
    world.client(&find_coordinators(1));
    let frame = long_coordinators(1, 400_000);
    let burst = 16 << 20;
    assert!(frame.len() > burst + 100_000);
    world.upstream(&frame[..burst]);
    let mut seconds = 0;
    for piece in frame[burst..].chunks(1000) {
        world.advance(Duration::from_secs(1));
        if world.closed.is_some() {
            break;
        }
        world.upstream(piece);
        seconds += 1;
    }
    assert_eq!(
        world.closed,
        Some(CloseReason::TimedOut(Wait::UPSTREAM_FRAME))
    );
    assert!((30..40).contains(&seconds), "{seconds}");
}

/// A session whose policy denies the topic `secret`.
fn authorizing_world() -> World {
    let mut snapshot = snapshot();
    let anonymous = Principal::anonymous();
    snapshot.policy = snapshot.policy.deny_topic(&anonymous, "secret");
    World::with(snapshot, Route::Bootstrap)
}

fn produce_to(topic: &str, records: usize) -> Vec<u8> {
    produce_to_each(&[topic], records)
}

fn produce_to_each(topics: &[&str], records: usize) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_records(Some(vec![7; records].into()));
    let topic = |name: &&str| {
        TopicProduceData::default()
            .with_name(TopicName((*name).to_owned().into()))
            .with_partition_data(vec![partition.clone()])
    };
    let body = ProduceRequest::default()
        .with_acks(-1)
        .with_topic_data(topics.iter().map(topic).collect());
    request(0, 9, 1, &body)
}

fn find_coordinators(id: i32) -> Vec<u8> {
    request(10, 4, id, &FindCoordinatorRequest::default())
}

/// That so many coordinators are not there: buffered to its end, because the last may be.
fn long_coordinators(id: i32, keys: usize) -> Vec<u8> {
    let coordinator = Coordinator::default()
        .with_key("a group with a name that is quite long".into())
        .with_node_id((-1).into())
        .with_port(-1)
        .with_error_code(15);
    let body = FindCoordinatorResponse::default().with_coordinators(vec![coordinator; keys]);
    response_frame(4, id, &body)
}
