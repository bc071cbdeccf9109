//! One client address, whatever it does, leaves room and time for all others.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use doorkeeper_core::policy::Principal;
use doorkeeper_io_tokio::serve::Plan;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FindCoordinatorRequest, FindCoordinatorResponse, ProduceRequest,
    TopicName,
};
use tokio::time::Instant;

use crate::client::Client;
use crate::clock::pass;
use crate::cluster::{Act, To};
use crate::frames::*;
use crate::world::*;

const ATTACKER: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 66);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

const MIB: usize = 1 << 20;

/// How many bytes of requests all sessions may buffer, and as many of responses.
const BUFFERED_BYTES_MAX: usize = 8 * MIB;

/// Until a session that waits for room is closed, and has had time to read what it is owed.
const BUFFER_TIMEOUT_OVER: Duration = Duration::from_secs(10 + 5 + 1);

fn small(plan: &mut Plan) {
    plan.buffered_bytes_max = BUFFERED_BYTES_MAX;
}

/// Where a topic is denied, requests that name it are buffered to their end.
fn denying(plan: &mut Plan) {
    small(plan);
    let snapshot = &mut plan.listeners[0].snapshot;
    let policy = snapshot.policy.clone();
    snapshot.policy = policy.deny_topic(&Principal::anonymous(), "secret");
}

/// A Produce of so many bytes to a topic that is denied.
fn denied_produce(id: i32, records: usize) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_records(Some(vec![7; records].into()));
    let topic = TopicProduceData::default()
        .with_name(TopicName("secret".into()))
        .with_partition_data(vec![partition]);
    let body = ProduceRequest::default()
        .with_acks(-1)
        .with_topic_data(vec![topic]);
    request(PRODUCE, 9, id, &body)
}

const FIND_COORDINATOR: i16 = 10;

fn find_coordinators(id: i32) -> Vec<u8> {
    request(FIND_COORDINATOR, 4, id, &FindCoordinatorRequest::default())
}

/// That so many coordinators are not there, about 4,000 bytes each: buffered to its end,
/// because the last may be.
fn coordinators(id: i32, keys: usize) -> Vec<u8> {
    let coordinator = Coordinator::default()
        .with_key("g".repeat(4000).into())
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(15);
    let body = FindCoordinatorResponse::default().with_coordinators(vec![coordinator; keys]);
    response(4, id, &body)
}

/// Broker 1 responds to FindCoordinator: in full to a request with an even id, without the last
/// byte to all others.
fn broker_of_coordinators(world: &World, topics: usize) {
    world.cluster.script(B1, To::Sessions, move |asked| {
        if asked.api == HEARTBEAT {
            return vec![Act::Say(heartbeat_response(asked.id))];
        }
        let mut frame = coordinators(asked.id, topics);
        frame.truncate(frame.len() - usize::from(asked.id % 2 == 1));
        vec![Act::Say(frame)]
    });
}

/// Of another address: its requests and responses above what is never counted do not wait at all.
async fn is_served_at_once(world: &World, topics: usize) {
    let begun = Instant::now();
    let mut other = world.client_from(BROKER_1, OTHER.into()).await;
    other.send(&find_coordinators(2)).await;
    assert_eq!(other.frame().await, coordinators(2, topics));
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody was waited for");
}

async fn attackers(world: &World, count: usize) -> Vec<Client> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut client = world.client_from(BROKER_1, ATTACKER.into()).await;
        client.exchange(0).await;
        all.push(client);
    }
    all
}

/// Some sessions ended so, and none in another way but by its client.
async fn ends_with(world: World, reason: &str) {
    let mut reasons = world.seen.reasons();
    reasons.remove("client_closed");
    assert!(reasons.keys().eq([&reason]), "{reasons:?}");
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn buffered_requests_of_one_address_leave_room_for_others() {
    let world = World::with(denying).await;
    broker_of_coordinators(&world, 200);
    let frame = denied_produce(1, MIB);
    let mut crowd = attackers(&world, 8).await;
    for client in &mut crowd {
        let mut rest = &frame[..MIB];
        let saying = client.far.try_say(&mut rest);
        let _ = tokio::time::timeout(Duration::from_millis(1), saying).await;
    }
    let taken: u64 = crowd.iter().map(|client| client.far.taken()).sum();
    // Half of what there is, and of each the 64 KiB that are never counted and one read.
    let most = BUFFERED_BYTES_MAX / 2 + crowd.len() * (64 + 256) * 1024;
    assert!(taken <= most as u64, "{taken}");
    let begun = Instant::now();
    let mut other = world.client_from(BROKER_1, OTHER.into()).await;
    other.send(&denied_produce(1, MIB)).await;
    other.frame().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody was waited for");
    is_served_at_once(&world, 200).await;
    pass(BUFFER_TIMEOUT_OVER).await;
    ends_with(world, "buffer_timeout_client").await;
    drop((crowd, other));
}

/// Two that buffer a part each and need more than there is for both: one after the other.
#[tokio::test(start_paused = true)]
async fn sessions_that_wait_for_each_other_are_served_one_after_the_other() {
    let world = World::with(denying).await;
    let frame = denied_produce(1, 3 * MIB);
    let mut pair = attackers(&world, 2).await;
    let begun = Instant::now();
    let [first, second] = &mut pair[..] else {
        panic!("two")
    };
    tokio::join!(first.far.say(&frame), second.far.say(&frame));
    first.frame().await;
    second.frame().await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    drop(pair);
    world.stops_in_order().await;
}

/// Where two addresses use the whole budget, a third one does not wait for them: the one that uses
/// most gives back.
#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_the_largest_gives_back_for_a_newcomer() {
    let world = World::with(denying).await;
    let frame = denied_produce(1, 4 * MIB);
    let mut holders = Vec::new();
    for (n, bytes) in [(1, 4 * MIB), (2, 2 * MIB), (3, 3 * MIB / 2)] {
        // The second address has two sessions.
        let address = Ipv4Addr::new(10, 66, 66, if n == 1 { 1 } else { 2 });
        let mut client = world.client_from(BROKER_1, address.into()).await;
        client.exchange(0).await;
        client.far.say(&frame[..bytes]).await;
        holders.push(client);
    }
    pass(SECOND).await;
    let begun = Instant::now();
    let mut other = world.client_from(BROKER_1, OTHER.into()).await;
    other.send(&denied_produce(1, MIB)).await;
    other.frame().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody was waited for");
    assert_eq!(
        world.seen.closed(holders[0].address).await,
        "buffer_rejected"
    );
    assert_eq!(world.seen.reasons(), [("buffer_rejected", 1)].into());
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn buffered_responses_of_one_address_leave_room_for_others() {
    let world = World::with(small).await;
    broker_of_coordinators(&world, 200);
    let mut crowd = attackers(&world, 8).await;
    for client in &mut crowd {
        client.send(&find_coordinators(1)).await;
    }
    pass(SECOND).await;
    is_served_at_once(&world, 200).await;
    pass(BUFFER_TIMEOUT_OVER).await;
    ends_with(world, "buffer_timeout_upstream").await;
}

/// The part of a buffered response that a client has not read is still in memory.
#[tokio::test(start_paused = true)]
async fn slow_readers_of_one_address_leave_room_for_others() {
    let world = World::with(small).await;
    broker_of_coordinators(&world, 400);
    let mut crowd = attackers(&world, 8).await;
    for client in &mut crowd {
        client.send(&find_coordinators(2)).await;
    }
    pass(SECOND).await;
    is_served_at_once(&world, 400).await;
    // Those for which there was room may take their time; the others do not wait for ever.
    pass(BUFFER_TIMEOUT_OVER).await;
    let mut served = 0;
    for client in &mut crowd {
        served +=
            usize::from(next_frame(&mut client.far.stream).await == Some(coordinators(2, 400)));
    }
    assert!((1..crowd.len()).contains(&served), "{served}");
    ends_with(world, "buffer_timeout_upstream").await;
}

/// A Fetch of so many bytes and more, of topics that nobody has; from version 15 on its last field
/// may say that a replica sends it.
fn long_fetch(id: i32, bytes: usize) -> Vec<u8> {
    let topic = FetchTopic::default();
    let body = FetchRequest::default().with_topics(vec![topic; bytes / 16]);
    request(FETCH, 17, id, &body)
}

/// Half of a request, of whatever kind and length, forwarded or buffered: others have room.
#[tokio::test(start_paused = true)]
async fn half_sent_requests_of_one_address_leave_room_for_others() {
    for (is_buffered, long) in [
        (false, produce(1, 2 * MIB)),
        (false, long_fetch(1, 2 * MIB)),
        (true, denied_produce(1, 2 * MIB)),
    ] {
        let world = World::with(if is_buffered { denying } else { small }).await;
        broker_of_coordinators(&world, 200);
        let mut crowd = attackers(&world, 20).await;
        for client in &mut crowd {
            let mut rest = &long[..long.len() / 2];
            let saying = client.far.try_say(&mut rest);
            let _ = tokio::time::timeout(Duration::from_millis(1), saying).await;
        }
        is_served_at_once(&world, 200).await;
        if is_buffered {
            let begun = Instant::now();
            let mut other = world.client_from(BROKER_1, OTHER.into()).await;
            other.send(&denied_produce(1, MIB)).await;
            other.frame().await;
            assert_eq!(begun.elapsed(), Duration::ZERO, "nobody was waited for");
        }
        world.stops_in_order().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_connections_from_one_address_leaves_places_for_others() {
    let world = World::with(|plan| {
        plan.listeners[0].limits.connections = 20;
        plan.listeners[0].limits.connections_per_address = 10;
    })
    .await;
    broker_of_coordinators(&world, 1);
    // All of these addresses are one customer's.
    let at = |n| Ipv6Addr::new(0x2001, 0xdb8, 0, 1, n, n, n, n);
    let mut storm = Vec::new();
    for n in 0..1000 {
        storm.push(world.client_from(BROKER_1, at(n).into()).await);
    }
    is_served_at_once(&world, 1).await;
    let sample = "doorkeeper_connections_rejected_total\
                  {listener=\"local\",reason=\"connections_per_address\"}";
    assert_eq!(world.seen.sample(sample), 990);
    world.stops_in_order().await;
}
