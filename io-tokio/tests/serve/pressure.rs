//! Back-pressure: who does not read stops what is read for it, and nobody else.

use kafka_protocol::messages::FetchRequest;
use tokio::io::AsyncReadExt as _;

use crate::clock::pass;
use crate::frames::*;
use crate::mesh::{Far, UNDER_WAY_MAX};
use crate::world::*;

/// What doorkeeper may take of one peer's bytes while the other takes none: the high mark of an
/// egress, one read beyond it, and what is under way to the other.
const TAKEN_MAX: u64 = (128 << 10) + (256 << 10) + UNDER_WAY_MAX as u64;

const LARGE: usize = 4 << 20;

/// A client and its broker, both played by hand, with one request on its way.
async fn pair(world: &World, asked: &[u8]) -> (Far, Far) {
    let (client, broker) = world.pair(asked).await;
    (client.far, broker)
}

/// Sends more than anybody takes, for half a minute, then lets the other end have all of it.
async fn held_back(mut from: Far, mut to: Far, bytes: &[u8]) {
    let mut rest = bytes;
    let saying = from.try_say(&mut rest);
    assert!(tokio::time::timeout(30 * SECOND, saying).await.is_err());
    assert!(from.taken() <= TAKEN_MAX, "{}", from.taken());
    let mut got = vec![0; bytes.len()];
    let (said, read) = tokio::join!(from.say(rest), to.stream.read_exact(&mut got));
    assert_eq!((said, read.unwrap()), ((), bytes.len()));
    assert!(got == bytes, "not one byte is lost or changed");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_reading_of_its_broker() {
    for version in [12, 17] {
        let world = World::start().await;
        let asked = request(FETCH, version, 1, &FetchRequest::default());
        let (client, broker) = pair(&world, &asked).await;
        let response = fetched(version, 1, vec![7; LARGE].into());
        held_back(broker, client, &response).await;
        world.stops_in_order().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_read_stops_the_reading_of_its_client() {
    let world = World::patient().await;
    let (client, broker) = pair(&world, &heartbeat(1)).await;
    held_back(client, broker, &produce(2, LARGE)).await;
    world.stops_in_order().await;
}

/// A connection that takes nothing is not kept for ever, and neither is what it is owed.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_closed() {
    let world = World::start().await;
    let (client, mut broker) = pair(&world, &fetch(1, 0)).await;
    let response = fetched(12, 1, vec![7; LARGE].into());
    let mut rest = &response[..];
    broker.try_say(&mut rest).await;
    let reasons = world.seen.reasons();
    assert_eq!(reasons.get("client_write_stalled"), Some(&1), "{reasons:?}");
    assert!(broker.taken() <= TAKEN_MAX);
    drop(client);
    world.stops_in_order().await;
}

/// Neither is one to a broker that has responded before, and takes no more.
#[tokio::test(start_paused = true)]
async fn a_broker_that_never_reads_is_given_up() {
    let world = World::start().await;
    let (mut client, mut broker) = pair(&world, &heartbeat(1)).await;
    broker.say(&heartbeat_response(1)).await;
    assert_eq!(
        next_frame(&mut client.stream).await,
        Some(heartbeat_response(1))
    );
    let large = produce(2, LARGE);
    let mut rest = &large[..];
    client.try_say(&mut rest).await;
    pass(60 * SECOND).await;
    let reasons = world.seen.reasons();
    assert_eq!(reasons, [("upstream_write_stalled", 1)].into());
    drop(broker);
    world.stops_in_order().await;
}

/// A client that sends requests and never waits for a response is not read without bound.
#[tokio::test(start_paused = true)]
async fn a_flood_of_requests_is_not_read_beyond_what_may_be_owed() {
    let world = World::patient().await;
    let (mut client, mut broker) = pair(&world, &heartbeat(0)).await;
    let count = 20_000;
    let flood: Vec<u8> = (1..=count).flat_map(heartbeat).collect();
    let mut rest = &flood[..];
    let swallow = async {
        let mut sink = vec![0; 1 << 16];
        while broker.stream.read(&mut sink).await.unwrap() > 0 {}
    };
    let all = async { tokio::join!(client.try_say(&mut rest), swallow) };
    assert!(tokio::time::timeout(30 * SECOND, all).await.is_err());
    // A thousand responses may be owed; one read of each size more may have been taken.
    let most = 1000 * heartbeat(1).len() as u64 + (256 << 10);
    assert!(client.taken() <= most, "{}", client.taken());
    world.stops_in_order().await;
}

/// The time is real: virtual time passes only while nobody has anything to do.
#[tokio::test]
async fn time_passes_for_a_session_that_never_stands_still() {
    let world = World::with(|plan| {
        let limits = &mut plan.listeners[0].snapshot.limits;
        limits.request_timeout = SECOND / 2;
    })
    .await;
    let mut brokers = world.mesh.by_hand(B1);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    let broker = brokers.recv().await.unwrap();
    broker.swallow();
    client.far.flood(produce_without_response(2, 1000)).await;
    let closed = tokio::time::timeout(10 * SECOND, world.seen.closed(client.address)).await;
    let closed = closed.expect("an end");
    assert_eq!(closed, "first_response_timeout");
    assert!(
        client.far.taken() > LARGE as u64,
        "much was moved: {}",
        client.far.taken()
    );
}
