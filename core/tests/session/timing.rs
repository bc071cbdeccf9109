//! Deadlines: each wait has a limit and a name.

use std::time::Duration;

use doorkeeper_core::error::Wait;
use doorkeeper_core::{CloseReason, Input, Leg, Route};
use kafka_protocol::messages::{
    FetchRequest, GroupId, HeartbeatResponse, JoinGroupRequest, SyncGroupRequest,
};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_answer, produce};

const SECOND: Duration = Duration::from_secs(1);

fn timed_out(wait: Wait) -> Option<CloseReason> {
    Some(CloseReason::TimedOut(wait))
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let mut world = World::new();
    world.advance(Duration::from_millis(9_999));
    assert_eq!(world.closed, None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.closed, timed_out(Wait::FirstFrame));
}

#[test]
fn a_client_that_drips_its_first_frame_is_closed_all_the_same() {
    let mut world = World::new();
    for byte in heartbeat(1).iter().take(15) {
        world.client(&[*byte]);
        world.advance(SECOND);
        if world.closed.is_some() {
            break;
        }
    }
    assert_eq!(world.closed, timed_out(Wait::FirstFrame));
    assert!(world.targets.is_empty());
}

#[test]
fn a_client_that_drips_a_later_frame_is_closed() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1));
    let mut dripped = 0;
    for byte in produce(2, 1, 1000) {
        if world.closed.is_some() {
            break;
        }
        world.client(&[byte]);
        world.advance(SECOND);
        dripped += 1;
    }
    assert_eq!(world.closed, timed_out(Wait::Frame(Leg::Client)));
    assert!((29..=31).contains(&dripped), "{dripped}");
}

#[test]
fn a_slow_line_is_not_a_stalled_one() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1));
    for piece in produce(2, 1, 3_000_000).chunks(10_000) {
        world.client(piece);
        world.advance(SECOND);
        assert_eq!(world.closed, None);
    }
    world.upstream(&crate::relay::produce_answer(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
}

#[test]
fn a_paused_client_is_not_a_stalled_one() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1));
    let frame = produce(2, 1, 400_000);
    world.upstream_reads = false;
    world.client(&frame[..200_000]);
    world.advance(100 * SECOND);
    assert_eq!(world.closed, None, "it is we who do not read");
    world.upstream_reads = true;
    world.settle();
    world.advance(29 * SECOND);
    assert_eq!(world.closed, None, "its time has started anew");
    world.advance(2 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::Frame(Leg::Client)));
}

#[test]
fn a_silent_broker_ends_the_session() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.advance(59 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::Answer));
}

#[test]
fn the_time_of_the_second_answer_starts_with_the_first() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.advance(50 * SECOND);
    world.upstream(&heartbeat_answer(1));
    world.advance(59 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::Answer));
}

#[test]
fn a_long_poll_may_take_as_long_as_it_says() {
    let mut world = World::new();
    world.client(&request(
        1,
        12,
        1,
        &FetchRequest::default().with_max_wait_ms(300_000),
    ));
    world.advance(359 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::Answer));
}

#[test]
fn a_rebalance_may_take_as_long_as_the_group_said() {
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(700_000);
    let sync = SyncGroupRequest::default().with_group_id(GroupId("g".into()));
    let mut world = World::new();
    world.client(&request(11, 5, 1, &join));
    world.advance(759 * SECOND);
    assert_eq!(world.closed, None);
    world.upstream(&answer(
        5,
        1,
        &kafka_protocol::messages::JoinGroupResponse::default(),
    ));
    world.client(&request(14, 3, 2, &sync));
    world.advance(759 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::Answer));
}

#[test]
fn an_answer_that_stops_in_the_middle_ends_the_session() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1)[..7]);
    world.advance(31 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::Frame(Leg::Upstream)));
}

#[test]
fn an_answer_that_we_do_not_read_is_not_late() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.client_reads = false;
    let frame = answer(4, 1, &HeartbeatResponse::default());
    world.upstream(&framed(&[&frame[4..], &vec![0; 200_000][..]].concat()));
    world.advance(599 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(
        world.closed,
        timed_out(Wait::Write(Leg::Client)),
        "but the client is"
    );
}

#[test]
fn the_time_for_an_answer_stands_still_while_we_do_not_read() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.client_reads = false;
    let frame = answer(4, 1, &HeartbeatResponse::default());
    world.upstream(&framed(&[&frame[4..], &vec![0; 200_000][..]].concat()));
    world.advance(70 * SECOND);
    world.client_reads = true;
    world.settle();
    world.advance(59 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(2 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::Answer));
}

#[test]
fn a_peer_that_takes_a_byte_now_and_then_does_not_hold_a_session_up() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    let frame = answer(4, 1, &HeartbeatResponse::default());
    world.upstream(&framed(&[&frame[4..], &vec![0; 200_000][..]].concat()));
    for _ in 0..11 {
        world.advance(60 * SECOND);
        if world.closed.is_none() {
            world.input(Input::Wrote {
                leg: Leg::Client,
                bytes: 1,
            });
        }
    }
    assert_eq!(world.closed, timed_out(Wait::Write(Leg::Client)));
}

#[test]
fn a_frame_that_came_fast_and_stops_is_stalled() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1));
    world.client(&produce(2, 1, 3_000_000)[..2_000_000]);
    world.advance(31 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::Frame(Leg::Client)));
}

#[test]
fn nobody_could_take_bytes_before_the_connection_was_open() {
    let mut shared = shared();
    shared.limits.write_stall_timeout = 5 * SECOND;
    let mut world = World::with(shared, Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    world.advance(6 * SECOND);
    world.upstream_reads = false;
    world.connected = true;
    world.input(Input::Connected);
    world.input(Input::Tick);
    world.advance(4 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::Write(Leg::Upstream)));
}

#[test]
fn a_session_that_does_nothing_is_idle() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_answer(1));
    world.advance(599 * SECOND);
    assert_eq!(world.closed, None);
    world.client(&heartbeat(2));
    world.upstream(&heartbeat_answer(2));
    world.advance(599 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::Idle));
}
