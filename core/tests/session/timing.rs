//! Deadlines: each wait has a limit and a name.

use std::time::Duration;

use doorkeeper_core::error::Wait;
use doorkeeper_core::{CloseReason, Input, Leg, Route};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiVersionsRequest, ApiVersionsResponse,
    DeleteTopicsRequest, EndTxnRequest, EndTxnResponse, FetchRequest, FetchResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, InitProducerIdRequest, InitProducerIdResponse,
    JoinGroupRequest, OffsetDeleteRequest, OffsetDeleteResponse, ProduceRequest, ProduceResponse,
    SyncGroupRequest, TopicName, TransactionalId,
};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response, produce};

const SECOND: Duration = Duration::from_secs(1);

fn timed_out(wait: Wait) -> Option<CloseReason> {
    Some(CloseReason::TimedOut(wait))
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let mut world = World::new();
    world.advance(Duration::from_millis(599_999));
    assert_eq!(world.closed, None, "Kafka waits as long");
    world.advance(Duration::from_millis(1));
    assert_eq!(world.closed, timed_out(Wait::IDLE));
}

#[test]
fn a_client_may_speak_late() {
    let mut world = World::new();
    world.advance(500 * SECOND);
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    assert_eq!(ids(&world.to_client), [1]);
}

#[test]
fn a_client_that_drips_its_first_frame_is_closed_all_the_same() {
    let mut world = World::new();
    world.advance(100 * SECOND);
    for byte in heartbeat(1).iter().take(15) {
        world.client(&[*byte]);
        world.advance(3 * SECOND);
        if world.closed.is_some() {
            break;
        }
    }
    assert_eq!(world.closed, timed_out(Wait::CLIENT_FRAME));
    assert!(world.targets.is_empty());
}

#[test]
fn a_client_that_drips_a_later_frame_is_closed() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    let mut dripped = 0;
    for byte in produce(2, 1, 1000) {
        if world.closed.is_some() {
            break;
        }
        world.client(&[byte]);
        world.advance(SECOND);
        dripped += 1;
    }
    assert_eq!(world.closed, timed_out(Wait::CLIENT_FRAME));
    assert!((29..=31).contains(&dripped), "{dripped}");
}

#[test]
fn a_slow_line_is_not_a_stalled_one() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    for piece in produce(2, 1, 3_000_000).chunks(10_000) {
        world.client(piece);
        world.advance(SECOND);
        assert_eq!(world.closed, None);
    }
    world.upstream(&crate::relay::produce_response(2));
    assert_eq!(ids(&world.to_client), [1, 2]);
}

#[test]
fn a_paused_client_is_not_a_stalled_one() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
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
    assert_eq!(world.closed, timed_out(Wait::CLIENT_FRAME));
}

#[test]
fn a_silent_broker_ends_the_session() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    world.client(&heartbeat(2));
    world.advance(59 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

/// A black hole behind a load balancer accepts connections and takes requests.
#[test]
fn a_broker_that_is_silent_from_the_beginning_has_the_limit_of_a_connection() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.advance(9 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::FIRST_RESPONSE));
}

#[test]
fn further_requests_give_a_broker_no_time_for_its_first_response() {
    let mut world = World::new();
    for second in 0..10 {
        assert_eq!(world.closed, None);
        world.client(&heartbeat(second));
        world.advance(SECOND);
    }
    assert_eq!(world.closed, timed_out(Wait::FIRST_RESPONSE));
}

/// What takes a slow line long to carry is not waited for meanwhile.
#[test]
fn the_first_response_is_waited_for_once_the_request_is_taken() {
    let mut world = World::new();
    world.client(&heartbeat(1)[..1]);
    world.upstream_reads = false;
    world.client(&heartbeat(1)[1..]);
    world.advance(20 * SECOND);
    world.upstream_reads = true;
    world.settle();
    world.advance(9 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::FIRST_RESPONSE));
}

/// Kafka sends a response that announces a throttle at once, and then reads nothing for so long.
fn announces(asked: &[u8], response: &[u8], throttle: Duration) {
    for cut in [response.len(), 1, 13] {
        let mut world = World::new();
        world.client(asked);
        world.client(&heartbeat(2));
        for piece in response.chunks(cut) {
            world.upstream(piece);
        }
        assert_eq!(ids(&world.to_client), [1]);
        world.advance(throttle + 59 * SECOND);
        assert_eq!(world.closed, None, "in pieces of {cut}: {asked:?}");
        world.advance(SECOND);
        assert_eq!(world.closed, timed_out(Wait::RESPONSE));
    }
}

/// It stands before or behind fields of any length, in responses that are buffered, streamed or
/// just passed on.
#[test]
fn an_announced_throttle_is_added_to_the_time_for_a_response() {
    const THROTTLE: Duration = Duration::from_secs(90);
    const MS: i32 = 90_000;
    for version in [3, 7, 9] {
        let asked = request(0, version, 1, &ProduceRequest::default().with_acks(1));
        let response = ProduceResponse::default().with_throttle_time_ms(MS);
        announces(&asked, &response_frame(version, 1, &response), THROTTLE);
    }
    for version in [4, 12, 16] {
        let asked = request(1, version, 1, &FetchRequest::default());
        let response = FetchResponse::default().with_throttle_time_ms(MS);
        announces(&asked, &response_frame(version, 1, &response), THROTTLE);
        let partition = PartitionData::default().with_records(Some(vec![7; 70_000].into()));
        let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
        let response = response.with_responses(vec![topic]);
        announces(&asked, &response_frame(version, 1, &response), THROTTLE);
    }
    for version in [1, 3] {
        let asked = request(18, version, 1, &ApiVersionsRequest::default());
        let response = ApiVersionsResponse::default().with_throttle_time_ms(MS);
        announces(&asked, &response_frame(version, 1, &response), THROTTLE);
    }
    for version in [1, 4] {
        let asked = request(12, version, 1, &HeartbeatRequest::default());
        let response = HeartbeatResponse::default().with_throttle_time_ms(MS);
        announces(&asked, &response_frame(version, 1, &response), THROTTLE);
    }
    let asked = request(47, 0, 1, &OffsetDeleteRequest::default());
    let response = OffsetDeleteResponse::default().with_throttle_time_ms(MS);
    announces(&asked, &response_frame(0, 1, &response), THROTTLE);
}

#[test]
fn a_throttle_holds_for_requests_that_come_later_and_ends() {
    let mut world = World::new();
    let throttled = HeartbeatResponse::default().with_throttle_time_ms(90_000);
    world.client(&heartbeat(1));
    world.upstream(&response_frame(4, 1, &throttled));
    world.advance(30 * SECOND);
    world.client(&heartbeat(2));
    world.advance(119 * SECOND);
    assert_eq!(world.closed, None);
    world.upstream(&heartbeat_response(2));
    world.client(&heartbeat(3));
    world.advance(60 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

/// A broker that throttles reads nothing: it takes no bytes either.
#[test]
fn a_broker_that_throttles_is_not_stalled() {
    let mut world = World::new();
    let throttled = HeartbeatResponse::default().with_throttle_time_ms(i32::MAX);
    world.client(&heartbeat(1));
    world.upstream(&response_frame(4, 1, &throttled));
    world.upstream_reads = false;
    world.client(&produce(2, 1, 400_000)[..300_000]);
    world.advance(24 * 60 * 60 * SECOND + 599 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::UPSTREAM_WRITE));
}

#[test]
fn the_time_for_the_second_response_starts_with_the_first() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.advance(9 * SECOND);
    world.upstream(&heartbeat_response(1));
    world.advance(59 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

#[test]
fn a_long_poll_may_take_as_long_as_it_says() {
    let poll = |id| {
        request(
            1,
            12,
            id,
            &FetchRequest::default().with_max_wait_ms(300_000),
        )
    };
    let mut world = World::new();
    world.client(&poll(1));
    world.advance(309 * SECOND);
    assert_eq!(world.closed, None, "the first on its connection");
    world.upstream(&response_frame(12, 1, &FetchResponse::default()));
    world.client(&poll(2));
    world.advance(359 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

#[test]
fn a_rebalance_may_take_as_long_as_the_group_said() {
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(700_000);
    let sync = SyncGroupRequest::default().with_group_id(GroupId("g".into()));
    let mut world = World::new();
    world.client(&heartbeat(0));
    world.upstream(&heartbeat_response(0));
    world.client(&request(11, 5, 1, &join));
    world.advance(759 * SECOND);
    assert_eq!(world.closed, None);
    world.upstream(&response_frame(
        5,
        1,
        &kafka_protocol::messages::JoinGroupResponse::default(),
    ));
    world.client(&request(14, 3, 2, &sync));
    world.advance(759 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

/// The broker waits as long as that for the replicas of its transaction log
/// (`TransactionStateManager.appendTransactionToLog`), also for what follows.
#[test]
fn requests_of_a_transaction_may_take_as_long_as_its_timeout() {
    let mut world = World::new();
    world.client(&heartbeat(0));
    world.upstream(&heartbeat_response(0));
    let begin = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId("t".into())))
        .with_transaction_timeout_ms(300_000);
    world.client(&request(22, 4, 1, &begin));
    world.advance(359 * SECOND);
    assert_eq!(world.closed, None);
    world.upstream(&response_frame(4, 1, &InitProducerIdResponse::default()));
    let add = AddPartitionsToTxnRequest::default();
    let offsets = AddOffsetsToTxnRequest::default();
    let end = EndTxnRequest::default();
    let parts = [
        request(24, 3, 2, &add),
        request(25, 3, 2, &offsets),
        request(26, 3, 2, &end),
    ];
    for part in parts {
        world.client(&part);
        world.advance(359 * SECOND);
        assert_eq!(world.closed, None);
        world.upstream(&response_frame(3, 2, &EndTxnResponse::default()));
    }
    world.client(&request(26, 3, 3, &end));
    world.advance(360 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

/// On a connection of its own nobody has said how long the transaction may take.
#[test]
fn requests_of_a_transaction_that_began_elsewhere_have_the_default_of_kafka() {
    let mut world = World::new();
    world.client(&heartbeat(0));
    world.upstream(&heartbeat_response(0));
    world.client(&request(26, 3, 1, &EndTxnRequest::default()));
    world.advance(119 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

/// Kafka's own client asks with the largest timeout there is, and gets its response at once.
#[test]
fn an_id_for_a_producer_without_transactions_is_not_waited_for() {
    let ask = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX);
    for version in [1, 4] {
        let mut world = World::new();
        world.client(&request(22, version, 1, &ask));
        world.advance(10 * SECOND);
        assert_eq!(world.closed, timed_out(Wait::FIRST_RESPONSE));
    }
}

/// It is not buffered for its TimeoutMs, so that may be any.
#[test]
fn a_long_request_that_may_let_the_broker_wait_has_the_limit_of_a_response() {
    let name = |index: usize| TopicName(format!("{index:0>1000}").into());
    let names = |count: usize| -> Vec<TopicName> { (0..count).map(name).collect() };
    for (topics, limit) in [(1, 40), (70, 60)] {
        let delete = DeleteTopicsRequest::default()
            .with_topic_names(names(topics))
            .with_timeout_ms(30_000);
        let mut world = World::new();
        world.client(&request(20, 3, 1, &delete));
        world.advance((limit - 1) * SECOND);
        assert_eq!(world.closed, None, "{topics} topics");
        world.advance(SECOND);
        assert_eq!(world.closed, timed_out(Wait::FIRST_RESPONSE));
    }
}

#[test]
fn a_response_that_stops_in_the_middle_ends_the_session() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1)[..7]);
    world.advance(31 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::UPSTREAM_FRAME));
}

#[test]
fn a_response_that_we_do_not_read_is_not_late() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.client_reads = false;
    let frame = response_frame(4, 1, &HeartbeatResponse::default());
    world.upstream(&framed(&[&frame[4..], &vec![0; 200_000][..]].concat()));
    world.advance(599 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(
        world.closed,
        timed_out(Wait::CLIENT_WRITE),
        "but the client is"
    );
}

#[test]
fn the_time_for_a_response_stands_still_while_we_do_not_read() {
    let mut world = World::new();
    world.client(&[heartbeat(1), heartbeat(2)].concat());
    world.client_reads = false;
    let frame = response_frame(4, 1, &HeartbeatResponse::default());
    world.upstream(&framed(&[&frame[4..], &vec![0; 200_000][..]].concat()));
    world.advance(70 * SECOND);
    world.client_reads = true;
    world.settle();
    world.advance(59 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(2 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::RESPONSE));
}

#[test]
fn a_peer_that_takes_a_byte_now_and_then_does_not_hold_a_session_up() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.client_reads = false;
    let frame = response_frame(4, 1, &HeartbeatResponse::default());
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
    assert_eq!(world.closed, timed_out(Wait::CLIENT_WRITE));
}

/// A quota lets a broker take fewer bytes than the slowest line, and of a Produce with acks=0 no
/// response says so.
#[test]
fn a_broker_that_takes_a_byte_now_and_then_is_waited_for() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&response_frame(4, 1, &HeartbeatResponse::default()));
    world.upstream_reads = false;
    world.client(&produce(2, 0, 100_000));
    for _ in 0..100 {
        world.advance(599 * SECOND);
        assert_eq!(world.closed, None);
        world.input(Input::Wrote {
            leg: Leg::Upstream,
            bytes: 1,
        });
    }
    world.advance(600 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::UPSTREAM_WRITE));
}

#[test]
fn a_frame_that_came_fast_and_stops_is_stalled() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    world.client(&produce(2, 1, 3_000_000)[..2_000_000]);
    world.advance(31 * SECOND);
    assert_eq!(world.closed, timed_out(Wait::CLIENT_FRAME));
}

#[test]
fn no_write_stalls_before_the_connection_is_open() {
    let mut snapshot = snapshot();
    snapshot.limits.write_stall_timeout = 5 * SECOND;
    let mut world = World::with(snapshot, Route::Bootstrap);
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
    assert_eq!(world.closed, timed_out(Wait::UPSTREAM_WRITE));
}

#[test]
fn a_session_that_does_nothing_is_idle() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(1));
    world.advance(599 * SECOND);
    assert_eq!(world.closed, None);
    world.client(&heartbeat(2));
    world.upstream(&heartbeat_response(2));
    world.advance(599 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, timed_out(Wait::IDLE));
}
