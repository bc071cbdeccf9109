//! How a session ends: what is still given, and in what order.

use std::time::Duration;

use doorkeeper_core::error::Revocation;
use doorkeeper_core::{BufferedBytes, CloseReason, End, Input, Leg};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response, produce, produce_response};

#[test]
fn a_lost_broker_ends_the_session_after_its_responses() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Upstream, End::Reset);
    assert_eq!(world.closed, None);
    world.client_reads = true;
    world.settle();
    assert_eq!(ids(&world.to_client), [1]);
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Reset)));
}

#[test]
fn a_drain_sends_the_owed_responses_and_takes_no_more_requests() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    assert!(!world.session.demand().read_client);
    world.upstream(&heartbeat_response(1));
    assert_eq!(world.closed, None);
    world.upstream(&heartbeat_response(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
    assert_eq!(world.closed, Some(CloseReason::Drained));
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    let mut world = World::new();
    world.client(&heartbeat(0));
    world.upstream(&heartbeat_response(0));
    world.client(&heartbeat(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    world.advance(Duration::from_secs(29));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.closed, Some(CloseReason::DrainExpired));
}

#[test]
fn a_drain_takes_the_rest_of_a_request_that_has_begun_to_go_up() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    let sent = produce(2, 1, 100_000);
    world.client(&sent[..50_000]);
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    assert!(world.session.demand().read_client);
    // What follows it is not taken any more.
    world.client(&[&sent[50_000..], &*heartbeat(3)].concat());
    assert_eq!(world.to_upstream, [heartbeat(1), sent].concat());
    assert!(!world.session.demand().read_client);
    world.upstream(&produce_response(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
    assert_eq!(world.closed, Some(CloseReason::Drained));
}

#[test]
fn a_drain_waits_for_the_connection_of_a_request_without_a_response() {
    let mut world = World::new();
    world.connects = false;
    world.client(&produce(1, 0, 100));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    assert_eq!(world.closed, None);
    world.connected = true;
    world.input(Input::Connected);
    assert_eq!(world.to_upstream, produce(1, 0, 100));
    assert_eq!(world.closed, Some(CloseReason::Drained));
}

#[test]
fn what_a_client_still_sends_is_thrown_away_until_it_ends() {
    let mut world = World::new();
    world.client_leaves = false;
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Upstream, End::Fin);
    assert_eq!(world.finished, [Leg::Client, Leg::Upstream]);
    assert!(world.session.demand().read_client);
    let up = world.to_upstream.clone();
    world.client(&heartbeat(3));
    assert_eq!(world.to_upstream, up);
    assert_eq!(
        world.closed, None,
        "to drop it now would reset its responses"
    );
    world.ended(Leg::Client, End::Fin);
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
}

#[test]
fn a_client_that_never_ends_is_not_waited_for_for_ever() {
    let mut world = World::new();
    world.client_leaves = false;
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Upstream, End::Fin);
    world.advance(Duration::from_secs(4));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
}

#[test]
fn a_client_that_was_sent_nothing_is_dropped_at_once() {
    let mut world = World::new();
    world.client_leaves = false;
    world.client(&[0xff; 4]);
    assert!(matches!(world.closed, Some(CloseReason::Client(_))));
}

#[test]
fn a_session_that_owes_nothing_drains_at_once() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    assert_eq!(world.closed, Some(CloseReason::Drained));
    let mut fresh = World::new();
    fresh.input(Input::Drain { by });
    assert_eq!(fresh.closed, Some(CloseReason::Drained));
}

#[test]
fn last_bytes_that_nobody_reads_do_not_delay_the_close() {
    let mut world = World::new();
    world.client_reads = false;
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Upstream, End::Fin);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
    assert_eq!(
        world.finished,
        [Leg::Upstream],
        "the client was not finished in order"
    );
}

#[test]
fn a_response_that_the_client_has_not_taken_yet_is_still_owed() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    world.upstream(&heartbeat_response(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    world.advance(Duration::from_secs(20));
    assert_eq!(world.closed, None, "there is time left");
    world.client_reads = true;
    world.settle();
    assert_eq!(ids(&world.to_client), [1]);
    assert_eq!(world.closed, Some(CloseReason::Drained));
}

/// The driver drops everyone at the limit: no reason may come later than that.
#[test]
fn no_last_bytes_are_waited_for_beyond_the_limit_of_a_drain() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    world.upstream(&heartbeat_response(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::Drain { by });
    world.advance(Duration::from_secs(30));
    assert_eq!(world.closed, Some(CloseReason::DrainExpired));

    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Upstream, End::Fin);
    let by = world.now.after(Duration::from_secs(2));
    world.input(Input::Drain { by });
    world.advance(Duration::from_secs(2));
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
}

/// What has come of a request that is not taken any more has no time of its own.
#[test]
fn a_drain_sends_owed_responses_whatever_has_begun_behind_them() {
    for waits_for_room in [false, true] {
        let mut world = World::new();
        world.client(&heartbeat(0));
        world.upstream(&heartbeat_response(0));
        world.client(&[&*heartbeat(1), &produce(2, 1, 100)[..20]].concat());
        if waits_for_room {
            world.input(Input::BufferPaused(Leg::Client));
        }
        let by = world.now.after(Duration::from_secs(59));
        world.input(Input::Drain { by });
        assert_eq!(world.session.buffered_bytes(), BufferedBytes::default());
        let limits = world.snapshot.limits.clone();
        world.advance(limits.buffer_timeout.max(limits.frame_stall_timeout));
        assert_eq!(world.closed, None);
        world.upstream(&heartbeat_response(1));
        assert_eq!(ids(&world.to_client), [0, 1]);
        assert_eq!(world.closed, Some(CloseReason::Drained));
    }
}

#[test]
fn a_removed_listener_drains_its_sessions_and_says_why() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    let by = world.now.after(Duration::from_secs(30));
    world.input(Input::ListenerRemoved { by });
    // A stop that leaves more time does not put it off.
    let later = by.after(Duration::from_secs(9));
    world.input(Input::Drain { by: later });
    world.upstream(&heartbeat_response(1));
    assert_eq!(ids(&world.to_client), [1]);
    assert_eq!(world.closed, Some(CloseReason::ListenerRemoved));
    let mut slow = World::new();
    slow.client(&heartbeat(0));
    slow.upstream(&heartbeat_response(0));
    slow.client(&heartbeat(1));
    let by = slow.now.after(Duration::from_secs(30));
    slow.input(Input::ListenerRemoved { by });
    // One that leaves less does.
    let earlier = slow.now.after(Duration::from_secs(9));
    slow.input(Input::Drain { by: earlier });
    slow.advance(Duration::from_secs(9));
    assert_eq!(slow.closed, Some(CloseReason::ListenerRemovedExpired));
}

#[test]
fn a_revoked_peer_ends_the_session_at_once_and_gets_nothing_more() {
    for why in Revocation::ALL {
        let mut world = World::new();
        world.client(&[heartbeat(1), heartbeat(2)].concat());
        world.client_reads = false;
        world.upstream(&heartbeat_response(1));
        world.input(Input::Revoked(*why));
        assert_eq!(world.closed, Some(CloseReason::Revoked(*why)));
        assert!(world.to_client.is_empty());
    }
}

#[test]
fn a_session_that_writes_its_last_bytes_ends_at_once_as_well() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    world.upstream(&heartbeat_response(1));
    world.ended(Leg::Upstream, End::Fin);
    assert_eq!(world.closed, None);
    world.input(Input::Revoked(Revocation::CertificateRevoked));
    assert_eq!(world.closed, Some(CloseReason::UpstreamEnded(End::Fin)));
    assert!(world.to_client.is_empty());
}
