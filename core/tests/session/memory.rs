//! What a session keeps in memory is bounded, whatever its peers send and do not take.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use doorkeeper_core::error::Wait;
use doorkeeper_core::{CloseReason, End, Input, Leg, Route};

use crate::counting;
use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_answer};

/// An ApiVersions request of a version that nobody knows: it is answered here.
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
fn answers_given_here_do_not_pile_up_for_a_client_that_takes_none() {
    let mut world = World::new();
    world.client_reads = false;
    let limits = world.shared.limits.clone();
    let chunk = strange_many(1000);
    let mut rounds = 0;
    while world.session.demand().read_client {
        world.client(&chunk);
        rounds += 1;
        assert!(rounds < 100, "it is read for ever");
    }
    // One round of answers may go over the mark.
    let due = world.session.egress(Leg::Client).pinned();
    assert!(due < limits.egress_high_bytes + limits.in_flight_max * 32);
    world.client_reads = true;
    world.settle();
    assert_eq!(ids(&world.to_client).len(), rounds * 1000);
    assert!(world.session.demand().read_client);
}

#[test]
fn no_more_answers_are_owed_than_the_limit_whatever_comes_in_one_read() {
    let mut shared = shared();
    shared.limits.in_flight_max = 10;
    let mut world = World::with(shared, Route::Bootstrap);
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
        world.upstream(&heartbeat_answer(given));
        given += 1;
    }
    assert_eq!(world.to_upstream, sent);
    assert_eq!(ids(&world.to_client), (0..100).collect::<Vec<_>>());
    assert_eq!(world.closed, None);
}

#[test]
fn answers_given_here_that_wait_for_their_turn_are_counted() {
    let mut world = World::new();
    let limits = world.shared.limits.clone();
    // The broker owes the first answer, so all others wait behind it.
    world.client(&heartbeat(0));
    let mut taken = 0;
    while world.session.demand().read_client {
        world.client(&strange_many(100));
        taken += 100;
    }
    assert!(taken <= limits.in_flight_max + 100);
    world.upstream(&heartbeat_answer(0));
    assert_eq!(ids(&world.to_client).len(), taken + 1);
}

#[test]
fn requests_that_wait_are_judged_by_the_newest_snapshot() {
    let mut shared = shared();
    shared.limits.in_flight_max = 1;
    let mut world = World::with(shared, Route::Bootstrap);
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    assert!(world.session.demand().shared);
    world.renew(|shared| {
        shared.policy = shared
            .policy
            .clone()
            .refuse_api(doorkeeper_core::id::ApiKey(12));
    });
    world.upstream(&heartbeat_answer(1));
    assert_eq!(world.to_upstream, heartbeat(1));
    assert!(matches!(world.closed, Some(CloseReason::Client(_))));
}

#[test]
fn a_client_that_takes_no_answers_is_closed() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&strange(1));
    let stall = world.shared.limits.write_stall_timeout;
    world.advance(stall.saturating_sub(Duration::from_secs(1)));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_secs(10));
    assert_eq!(
        world.closed,
        Some(CloseReason::TimedOut(Wait::Write(Leg::Client)))
    );
}

#[test]
fn bytes_that_come_although_they_were_not_asked_for_keep_their_order() {
    let mut shared = shared();
    shared.limits.in_flight_max = 1;
    let mut world = World::with(shared, Route::Bootstrap);
    let sent = [heartbeat(1), heartbeat(2), heartbeat(3)].concat();
    for piece in sent.chunks(9) {
        world.input(Input::Bytes {
            leg: Leg::Client,
            bytes: bytes::Bytes::copy_from_slice(piece),
        });
    }
    for id in 1..=3 {
        world.upstream(&heartbeat_answer(id));
    }
    assert_eq!(world.to_upstream, sent);
}

fn ids_of_requests(bytes: &[u8]) -> Vec<i32> {
    let id = |frame: &Vec<u8>| i32::from_be_bytes(frame[4..8].try_into().unwrap());
    frames(bytes).iter().map(id).collect()
}

/// A request that has waited for room becomes no answer when its client has reset.
#[test]
fn who_has_reset_is_given_nothing() {
    let waiting = strange_many(20_000);
    let leaves = |waiting: &[u8]| {
        let mut shared = shared();
        shared.limits.in_flight_max = 1;
        let mut world = World::with(shared, Route::Bootstrap);
        world.client(&[&*heartbeat(1), waiting].concat());
        world.ended(Leg::Client, End::Reset);
        world.upstream(&heartbeat_answer(1));
        assert!(world.to_client.is_empty());
        assert_eq!(world.closed, Some(CloseReason::ClientEnded(End::Reset)));
    };
    // What is reported of each of them takes most of it, until the driver takes the reports.
    counting::bounded(&waiting, leaves, 18, 0);
}
