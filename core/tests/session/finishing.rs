//! A client that ends, is reset or breaks a rule behind requests: they still get their responses.

use std::time::Duration;

use doorkeeper_core::error::{ClientFault, Wait};
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::{CloseReason, ConnectFailure, End, Input, Leg, Route};

use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response, produce, produce_response};

const FIN: Option<CloseReason> = Some(CloseReason::ClientEnded(End::Fin));
const RESET: Option<CloseReason> = Some(CloseReason::ClientEnded(End::Reset));

fn one_at_a_time() -> World {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 1;
    World::with(snapshot, Route::Broker(BrokerId(1)))
}

#[test]
fn a_client_that_ends_its_half_gets_all_that_it_is_owed() {
    let mut world = World::new();
    let sent = [heartbeat(1), produce(2, 1, 100), produce(3, 0, 100)].concat();
    world.client(&sent);
    world.ended(Leg::Client, End::Fin);
    assert_eq!(world.to_upstream, sent);
    world.upstream(&heartbeat_response(1));
    assert_eq!(world.closed, None);
    assert!(world.finished.is_empty());
    world.upstream(&produce_response(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
    assert_eq!(world.closed, FIN);
    assert_eq!(world.finished, [Leg::Client, Leg::Upstream]);
}

#[test]
fn a_client_that_owes_and_is_owed_nothing_closes_at_its_end() {
    for how in [End::Fin, End::Reset, End::Truncated] {
        let mut world = World::new();
        world.client(&heartbeat(1));
        world.upstream(&heartbeat_response(1));
        world.ended(Leg::Client, how);
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(how)));
        let mut fresh = World::new();
        fresh.ended(Leg::Client, how);
        assert_eq!(fresh.closed, Some(CloseReason::ClientEnded(how)));
        assert!(fresh.targets.is_empty());
    }
}

#[test]
fn requests_on_a_connection_that_is_not_open_yet_outlive_their_client() {
    for (how, acks) in [
        (End::Fin, 0),
        (End::Fin, 1),
        (End::Reset, 0),
        (End::Reset, 1),
        (End::Truncated, 0),
        (End::Truncated, 1),
    ] {
        let mut world = World::new();
        world.connects = false;
        world.client(&produce(1, acks, 100));
        world.ended(Leg::Client, how);
        assert_eq!(world.closed, None, "the connection is on its way");
        world.connect_failed(ConnectFailure::Refused);
        assert_eq!(world.closed, None, "the next attempt may succeed");
        world.advance(Duration::from_secs(1));
        assert_eq!(world.targets.len(), 2);
        world.connected = true;
        world.input(Input::Connected);
        assert_eq!(world.to_upstream, produce(1, acks, 100));
        if acks == 1 {
            assert_eq!(world.closed, None);
            world.upstream(&produce_response(1));
        }
        let has_response = how == End::Fin && acks == 1;
        assert_eq!(world.to_client.is_empty(), !has_response);
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(how)));
    }
}

#[test]
fn a_broker_that_cannot_be_reached_is_not_tried_for_ever_without_a_client() {
    let mut world = World::new();
    world.connects = false;
    world.client(&produce(1, 1, 100));
    world.ended(Leg::Client, End::Fin);
    world.advance(world.snapshot.limits.connect_timeout);
    let why = CloseReason::Unreachable(ConnectFailure::TimedOut);
    assert_eq!(world.closed, Some(why));
}

#[test]
fn requests_that_wait_for_room_get_responses_in_their_turn() {
    for how in [End::Fin, End::Reset, End::Truncated] {
        let mut world = one_at_a_time();
        let sent = [heartbeat(1), produce(2, 0, 100), heartbeat(3), heartbeat(4)];
        world.client(&sent.concat());
        assert_eq!(world.to_upstream, heartbeat(1));
        world.ended(Leg::Client, how);
        for id in [1, 3, 4] {
            assert_eq!(world.closed, None);
            world.upstream(&heartbeat_response(id));
        }
        assert_eq!(world.to_upstream, sent.concat());
        let given = if how == End::Fin {
            vec![1, 3, 4]
        } else {
            vec![]
        };
        assert_eq!(ids(&world.to_client), given);
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(how)));
    }
}

#[test]
fn local_responses_are_sent_to_a_client_that_has_ended_its_half() {
    for how in [End::Fin, End::Reset, End::Truncated] {
        let mut world = one_at_a_time();
        let versions = [0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0, 0];
        let rest: Vec<u8> = versions.repeat(50);
        world.client(&[heartbeat(1), rest].concat());
        world.ended(Leg::Client, how);
        world.upstream(&heartbeat_response(1));
        let given = if how == End::Fin { 51 } else { 0 };
        assert_eq!(ids(&world.to_client).len(), given);
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(how)));
    }
}

#[test]
fn the_beginning_of_a_request_ends_with_its_client() {
    let large = produce(2, 1, 100_000);
    for part in [&heartbeat(2)[..3], &heartbeat(2)[..20], &large[..80_000]] {
        for how in [End::Fin, End::Reset, End::Truncated] {
            let mut world = World::new();
            world.client(&[&*heartbeat(1), part].concat());
            world.ended(Leg::Client, how);
            assert_eq!(world.closed, None);
            world.upstream(&heartbeat_response(1));
            assert_eq!(world.closed, Some(CloseReason::ClientEnded(how)));
            let mut alone = World::new();
            alone.connects = false;
            alone.client(part);
            alone.ended(Leg::Client, how);
            assert_eq!(alone.closed, Some(CloseReason::ClientEnded(how)));
        }
    }
    // Behind requests that had to wait for room.
    let mut world = one_at_a_time();
    world.client(&[&*heartbeat(1), &*heartbeat(2), &large[..80_000]].concat());
    world.ended(Leg::Client, End::Fin);
    world.upstream(&heartbeat_response(1));
    world.upstream(&heartbeat_response(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
    assert_eq!(world.closed, FIN);
}

#[test]
fn a_client_that_closes_loses_no_request_when_it_resets_its_responses() {
    let mut world = one_at_a_time();
    let sent = [produce(1, 1, 50), produce(2, 1, 50)].concat();
    world.client(&sent);
    world.ended(Leg::Client, End::Fin);
    world.client_reads = false;
    world.upstream(&produce_response(1));
    // The write fails: it has closed its socket.
    world.ended(Leg::Client, End::Reset);
    world.upstream(&produce_response(2));
    assert_eq!(world.to_upstream, sent);
    assert_eq!(world.closed, FIN);
}

#[test]
fn a_response_to_a_half_closed_client_has_its_usual_deadline() {
    let mut world = World::new();
    world.client(&heartbeat(0));
    world.upstream(&heartbeat_response(0));
    world.client(&heartbeat(1));
    world.ended(Leg::Client, End::Fin);
    let limit = world.snapshot.limits.request_timeout;
    world.advance(limit - Duration::from_secs(1));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.closed, Some(CloseReason::TimedOut(Wait::RESPONSE)));
}

#[test]
fn a_client_that_has_ended_its_half_and_takes_nothing_is_not_waited_for_for_ever() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.ended(Leg::Client, End::Fin);
    world.client_reads = false;
    world.upstream(&heartbeat_response(1));
    world.advance(world.snapshot.limits.write_stall_timeout);
    let why = CloseReason::TimedOut(Wait::CLIENT_WRITE);
    assert_eq!(world.closed, Some(why));
}

#[test]
fn a_drain_holds_for_a_client_that_has_ended_its_half() {
    for drains_first in [true, false] {
        for is_in_time in [true, false] {
            let mut world = World::new();
            world.client(&heartbeat(1));
            let by = world.now.after(Duration::from_secs(3));
            if drains_first {
                world.input(Input::Drain { by });
                world.ended(Leg::Client, End::Fin);
            } else {
                world.ended(Leg::Client, End::Fin);
                world.input(Input::Drain { by });
            }
            if is_in_time {
                world.upstream(&heartbeat_response(1));
                assert_eq!(world.closed, FIN);
            } else {
                world.advance(Duration::from_secs(3));
                assert_eq!(world.closed, Some(CloseReason::DrainExpired));
            }
        }
    }
}

#[test]
fn a_fault_waits_for_the_responses_to_requests_before_it() {
    for connects in [true, false] {
        let mut world = World::new();
        world.connects = connects;
        let sent = [heartbeat(1), produce(2, 1, 100), produce(3, 0, 100)].concat();
        world.client(&[&*sent, &[0xff; 4], &*heartbeat(4)].concat());
        assert_eq!(world.closed, None);
        assert!(!world.session.demand().read_client);
        if !connects {
            world.connected = true;
            world.input(Input::Connected);
        }
        assert_eq!(world.to_upstream, sent);
        world.upstream(&heartbeat_response(1));
        assert_eq!(world.closed, None);
        world.upstream(&produce_response(2));
        assert_eq!(ids(&world.to_client), [1, 2]);
        assert!(matches!(
            world.closed,
            Some(CloseReason::Client(ClientFault::FrameLength(_)))
        ));
    }
}

#[test]
fn a_fault_waits_for_responses_no_longer_than_flush_timeout() {
    let mut world = World::new();
    world.client(&[&*heartbeat(1), &[0xff; 4]].concat());
    let limit = world.snapshot.limits.flush_timeout;
    world.advance(limit - Duration::from_millis(1));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_millis(1));
    assert!(matches!(world.closed, Some(CloseReason::Client(_))));
}

#[test]
fn a_request_that_is_too_large_to_be_buffered_does_not_lose_responses() {
    let mut snapshot = snapshot();
    snapshot.limits.request_buffer_bytes_max = 64;
    let mut world = World::with(snapshot, Route::Broker(BrokerId(1)));
    // A Produce is buffered until its acks, which stand behind the name of its transaction.
    let head = [0, 0, 1, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 200];
    world.client(&[&*heartbeat(1), &head, &[b'a'; 100]].concat());
    assert_eq!(world.closed, None);
    world.upstream(&heartbeat_response(1));
    assert_eq!(ids(&world.to_client), [1]);
    assert_eq!(world.closed, Some(CloseReason::BufferLimit(Leg::Client)));
}

#[test]
fn a_request_that_stalls_does_not_lose_responses() {
    let mut world = World::new();
    world.client(&heartbeat(0));
    world.upstream(&heartbeat_response(0));
    world.client(&[&*heartbeat(1), &heartbeat(2)[..10]].concat());
    world.advance(world.snapshot.limits.frame_stall_timeout);
    assert_eq!(world.closed, None);
    world.upstream(&heartbeat_response(1));
    assert_eq!(ids(&world.to_client), [0, 1]);
    let why = CloseReason::TimedOut(Wait::CLIENT_FRAME);
    assert_eq!(world.closed, Some(why));
}

/// A connection that is dropped with the rest of the request unread on it is reset, and its last
/// responses are lost.
#[test]
fn what_still_comes_of_a_request_that_stalled_is_read_before_the_end() {
    let mut world = World::new();
    world.client_leaves = false;
    world.client(&[&*heartbeat(1), &heartbeat(2)[..10]].concat());
    world.upstream(&heartbeat_response(1));
    world.advance(world.snapshot.limits.frame_stall_timeout);
    assert_eq!(world.finished, [Leg::Client, Leg::Upstream]);
    assert!(world.session.demand().read_client);
    world.client(&heartbeat(2)[10..]);
    assert_eq!(world.closed, None);
    world.ended(Leg::Client, End::Fin);
    let why = CloseReason::TimedOut(Wait::CLIENT_FRAME);
    assert_eq!(world.closed, Some(why));
}

/// The fault is in what has waited for room since the client ended.
#[test]
fn a_fault_behind_a_half_close_is_found_in_its_turn() {
    let mut world = one_at_a_time();
    world.client(&[&*heartbeat(1), &*heartbeat(2), &[0xff; 4]].concat());
    world.ended(Leg::Client, End::Fin);
    world.upstream(&heartbeat_response(1));
    assert_eq!(world.closed, None);
    world.upstream(&heartbeat_response(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
    assert!(matches!(world.closed, Some(CloseReason::Client(_))));
}

#[test]
fn a_client_that_resets_behind_its_fault_is_given_nothing_more() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&[&*heartbeat(1), &*heartbeat(2), &[0xff; 4]].concat());
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Client, End::Reset);
    world.client_reads = true;
    world.upstream(&heartbeat_response(2));
    assert!(world.to_client.is_empty());
    assert!(matches!(world.closed, Some(CloseReason::Client(_))));
}

#[test]
fn a_lost_broker_ends_a_session_whose_client_has_left() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.ended(Leg::Client, End::Reset);
    assert_eq!(world.closed, None);
    world.ended(Leg::Upstream, End::Reset);
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Reset)));
    assert_ne!(world.closed, RESET);
}

/// A response of records that passes as it comes.
fn fetched(id: i32, records: usize) -> Vec<u8> {
    let partition = PartitionData::default().with_records(Some(vec![7; records].into()));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    response_frame(
        12,
        id,
        &FetchResponse::default().with_responses(vec![topic]),
    )
}

fn fetch(id: i32, wait: Duration) -> Vec<u8> {
    let wait = i32::try_from(wait.as_millis()).unwrap();
    let body = FetchRequest::default().with_max_wait_ms(wait);
    request(1, 12, id, &body)
}

#[test]
fn a_broker_is_not_read_without_end_for_a_client_that_has_reset() {
    for ends in [&[End::Reset][..], &[End::Fin, End::Reset]] {
        let mut world = World::new();
        let polls: Vec<u8> = (1..=20).flat_map(|id| fetch(id, Duration::ZERO)).collect();
        world.client(&polls);
        ends.iter().for_each(|end| world.ended(Leg::Client, *end));
        world.chunk = 64 << 10;
        let most = world.snapshot.limits.egress_high_bytes + world.chunk;
        let (mut read, responses) = (0, (1..=20).flat_map(|id| fetched(id, 1 << 20)));
        let responses: Vec<u8> = responses.collect();
        for piece in responses.chunks(world.chunk) {
            if world.closed.is_some() {
                break;
            }
            world.upstream(piece);
            read += piece.len();
        }
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(ends[0])));
        assert!(read <= most, "{read}");
        assert!(world.to_client.is_empty());
    }
}

/// The broker reads on only when it has got rid of its responses.
#[test]
fn requests_go_up_behind_large_responses_though_their_client_has_reset() {
    let mut world = one_at_a_time();
    let sent = [fetch(1, Duration::ZERO), produce(2, 1, 50)].concat();
    world.client(&sent);
    world.ended(Leg::Client, End::Reset);
    world.upstream(&fetched(1, 4 << 20));
    assert_eq!(world.to_upstream, sent);
    assert_eq!(world.closed, RESET);
    let mut world = World::new();
    world.client(&fetch(1, Duration::ZERO));
    world.upstream_reads = false;
    world.client(&produce(2, 1, 50));
    world.ended(Leg::Client, End::Reset);
    world.upstream(&fetched(1, 4 << 20));
    assert_eq!(world.closed, None, "a request has not been taken yet");
    world.upstream_reads = true;
    world.settle();
    assert!(world.to_upstream.ends_with(&produce(2, 1, 50)));
    assert_eq!(world.closed, RESET);
}

#[test]
fn requests_of_a_reset_client_wait_no_longer_than_one_request_timeout() {
    let day = Duration::from_secs(86_400);
    for ends in [&[End::Reset][..], &[End::Fin, End::Reset]] {
        let mut world = World::new();
        world.client(&heartbeat(0));
        world.upstream(&heartbeat_response(0));
        world.client(&[fetch(1, day), produce(2, 1, 50), produce(3, 1, 50)].concat());
        ends.iter().for_each(|end| world.ended(Leg::Client, *end));
        let limit = world.snapshot.limits.request_timeout;
        world.advance(limit - Duration::from_secs(1));
        assert_eq!(world.closed, None);
        world.advance(Duration::from_secs(1));
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(ends[0])));
    }
}
