//! What has come in time, but of which the runtime does not know when the deadline is due: the
//! process had stood still, or another thread was asking the system.

use doorkeeper_core::discovery;

use crate::clock::pass;
use crate::frames::*;
use crate::mesh::Mesh;
use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_response_that_came_in_time_is_passed_on() {
    let world = World::start().await;
    let (mut client, mut broker) = world.pair(&heartbeat(1)).await;
    broker.go_unnoticed();
    broker.say(&heartbeat_response(1)).await;
    assert_eq!(client.frame().await, heartbeat_response(1));
    assert_eq!(client.age(), 10 * SECOND, "the deadline had come");
    assert_eq!(world.seen.reasons(), [].into());
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_came_in_time_is_passed_on() {
    let world = World::patient().await;
    let mut brokers = world.mesh.by_hand(B1);
    let mut client = world.client(BROKER_1).await;
    let request = heartbeat(1);
    client.send(&request[..9]).await;
    pass(SECOND).await;
    client.far.go_unnoticed();
    client.send(&request[9..]).await;
    let dialled = tokio::time::timeout(60 * SECOND, brokers.recv()).await;
    let mut broker = dialled.unwrap().unwrap();
    assert_eq!(next_frame(&mut broker.stream).await, Some(request));
    assert_eq!(client.age(), 30 * SECOND, "the deadline had come");
    assert_eq!(world.seen.reasons(), [].into());
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn what_discovery_asked_for_is_read() {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    let mut brokers = mesh.by_hand(BOOT);
    let world = World::cold(mesh, cluster, plan());
    let mut broker = brokers.recv().await.unwrap();
    let asked = Asked::read(&next_frame(&mut broker.stream).await.unwrap());
    assert_eq!(asked.api, API_VERSIONS);
    broker.go_unnoticed();
    broker
        .say(&api_versions_response(asked.version, asked.id))
        .await;
    let asked = Asked::read(&next_frame(&mut broker.stream).await.unwrap());
    assert_eq!(asked.api, METADATA);
    let failed = |event: &_| matches!(event, discovery::Event::Failed { .. });
    assert!(!world.discoveries().iter().any(failed));
}
