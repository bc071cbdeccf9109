//! Clients that break a rule, or take too long: each is closed for its own reason.

use std::time::Duration;

use kafka_protocol::messages::ApiVersionsRequest;
use tokio::io::AsyncWriteExt as _;

use crate::client::Client;
use crate::clock::pass;
use crate::frames::*;
use crate::world::*;

/// A client that sends this first is closed at once, and no broker is dialled for it.
async fn closes_at_once(bytes: &[u8], reason: &str) {
    let world = World::start().await;
    let dialled = world.mesh.dialled().len();
    let mut client = world.client(BROKER_1).await;
    client.send(bytes).await;
    world.ends(&mut client, reason).await;
    assert!(client.age() < SECOND);
    assert_eq!(world.mesh.dialled().len(), dialled);
    assert_eq!(world.seen.events(client.address), []);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_negative_length() {
    closes_at_once(&(-1_i32).to_be_bytes(), "client_frame_negative").await;
}

#[tokio::test(start_paused = true)]
async fn a_length_that_no_request_is_as_short_as() {
    closes_at_once(&7_i32.to_be_bytes(), "client_frame_too_short").await;
}

#[tokio::test(start_paused = true)]
async fn a_length_above_the_limit() {
    let above = 100 * 1024 * 1024 + 1_i32;
    closes_at_once(&above.to_be_bytes(), "client_frame_too_large").await;
}

#[tokio::test(start_paused = true)]
async fn another_protocol() {
    closes_at_once(b"GET / HTTP/1.1\r\n", "client_speaks_http").await;
    closes_at_once(b"\x16\x03\x01\x02\x00\x01", "client_speaks_tls").await;
    let proxy = b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 9092\r\n";
    closes_at_once(proxy, "client_speaks_proxy_protocol").await;
    let proxy = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    closes_at_once(proxy, "client_speaks_proxy_protocol").await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_nobody_knows() {
    let frame = framed(&[0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    closes_at_once(&frame, "api_not_offered").await;
}

#[tokio::test(start_paused = true)]
async fn an_api_of_brokers_only() {
    // Key 4, LeaderAndIsr.
    let frame = framed(&[0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    closes_at_once(&frame, "api_not_offered").await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_nobody_knows() {
    let mut frame = heartbeat(1);
    frame[7] = 99;
    closes_at_once(&frame, "unsupported_version").await;
}

#[tokio::test(start_paused = true)]
async fn a_header_that_cannot_be_read() {
    // The client's name is longer than its frame, and a Fetch has to be read.
    let frame = framed(&[0, 1, 0, 12, 0, 0, 0, 1, 0x7f, 0xff, 0]);
    closes_at_once(&frame, "client_malformed").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_its_schema() {
    // What decides about a Fetch is read: it ends in the middle of its replica id.
    let frame = framed(&fetch(1, 0)[4..4 + 15 + 2]);
    closes_at_once(&frame, "client_malformed").await;
}

#[tokio::test(start_paused = true)]
async fn a_version_of_api_versions_that_nobody_knows_gets_a_response() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    let mut frame = request(API_VERSIONS, 3, 5, &ApiVersionsRequest::default());
    frame[7] = 77;
    client.send(&frame).await;
    let response = client.frame().await;
    assert_eq!(response[4..10], [0, 0, 0, 5, 0, 35]);
    client.exchange(6).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    world.ends(&mut client, "idle").await;
    assert_eq!(client.age().as_secs(), 600);
    world.stops_in_order().await;
}

/// Sends a byte a second until the session has gone, and tells after how many seconds that was.
async fn drip(world: &World, client: &mut Client, bytes: &[u8]) -> u64 {
    for byte in bytes {
        if client.far.stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        pass(SECOND).await;
    }
    world.seen.lasted(client.address).await.as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_that_drips_in() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    let mut frame = heartbeat(1);
    frame[..4].copy_from_slice(&4000_i32.to_be_bytes());
    frame.resize(4004, 0);
    assert_eq!(drip(&world, &mut client, &frame).await, 30);
    world.ends(&mut client, "client_frame_stalled").await;
    world.stops_in_order().await;
}

/// A first frame so large that a broker is dialled before it is whole must go on as well.
#[tokio::test(start_paused = true)]
async fn a_large_first_frame_that_drips_in() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    let mut frame = heartbeat(1);
    frame[..4].copy_from_slice(&50_000_000_i32.to_be_bytes());
    frame.resize(100_000, 0);
    client.send(&frame).await;
    // 30 s, and what 100,000 bytes have earned at 8 KiB a second.
    assert_eq!(drip(&world, &mut client, &[0; 4000]).await, 30 + 12);
    world.ends(&mut client, "client_frame_stalled").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_frame_that_drips_in() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    let mut frame = heartbeat(2);
    frame[..4].copy_from_slice(&4000_i32.to_be_bytes());
    frame.resize(4004, 0);
    // 30 s, and as long as its end is waited for: it gets the responses that it has asked for.
    assert_eq!(drip(&world, &mut client, &frame).await, 30 + 5);
    world.ends(&mut client, "client_frame_stalled").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_nothing_more_to_say() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    world.ends(&mut client, "idle").await;
    assert_eq!(client.age(), Duration::from_secs(600));
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    let address = client.address;
    drop(client);
    assert_eq!(world.seen.closed(address).await, "client_closed");

    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    let address = client.address;
    client.far.reset();
    assert_eq!(world.seen.closed(address).await, "client_reset");
    world.stops_in_order().await;
}
