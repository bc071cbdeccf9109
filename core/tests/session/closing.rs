//! How a session ends: what is still given, and in what order.

use std::time::Duration;

use doorkeeper_core::{CloseReason, End, Input, Leg};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_answer};

#[test]
fn a_lost_broker_ends_the_session_behind_the_answers_it_gave() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.upstream(&heartbeat_answer(1));
    world.ended(Leg::Upstream, End::Reset);
    assert_eq!(world.closed, None);
    world.client_reads = true;
    world.settle();
    assert_eq!(ids(&world.to_client), [1]);
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Reset)));
}

#[test]
fn a_drain_gives_the_owed_answers_and_takes_no_more_requests() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    assert!(!world.session.demand().read_client);
    world.upstream(&heartbeat_answer(1));
    assert_eq!(world.closed, None);
    world.upstream(&heartbeat_answer(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
    assert_eq!(world.closed, Some(CloseReason::Drained));
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    world.advance(Duration::from_secs(29));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.closed, Some(CloseReason::DrainExpired));
}

#[test]
fn a_session_that_owes_nothing_drains_at_once() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    assert_eq!(world.closed, Some(CloseReason::Drained));
    let mut fresh = World::new();
    fresh.input(Input::Drain { by });
    assert_eq!(fresh.closed, Some(CloseReason::Drained));
}

#[test]
fn last_bytes_that_nobody_takes_do_not_hold_a_session_up() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.upstream(&heartbeat_answer(1));
    world.ended(Leg::Upstream, End::Fin);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
    assert_eq!(
        world.finished,
        [Leg::Upstream],
        "the client was not finished in order"
    );
}
