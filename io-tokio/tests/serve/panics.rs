//! A panic ends the session or task that it is in and nothing else. Planted from outside: in a
//! stream, in the observer.

use crate::clock::pass;
use crate::cluster::{Act, To};
use crate::frames::*;
use crate::recorder::Seen;
use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_session_ends_that_session_alone() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    client.far.panic();
    client.send(&heartbeat(2)).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(client.address).await, "panic");
    let sample = "doorkeeper_sessions_closed_total{listener=\"local\",reason=\"panic\"}";
    assert_eq!(world.seen.sample(sample), 1);
    // Its place among the connections is free again, and its listen address is open.
    assert_eq!(
        world
            .seen
            .sample("doorkeeper_connections{listener=\"local\"}"),
        1
    );
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order_but_for("panic").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_discovery_begins_it_afresh() {
    let world = World::start().await;
    let known = world.published("main").await;
    world
        .cluster
        .lists(&["0@b0.test:9092", "1@moved.test:1", "2@b2.test:9092"]);
    world.cluster.up("moved.test:1");
    world.seen.panic_at_refresh();
    let panicked = |all: &[Seen]| {
        let panicked = Seen::DiscoveryPanicked("main".to_owned());
        all.contains(&panicked).then_some(())
    };
    world.seen.until("a panic of discovery", panicked).await;
    assert_eq!(world.published("main").await, known, "what was known stays");
    world.client(BROKER_1).await.exchange(1).await;
    world.knows(1, "moved.test:1").await;
    // Nothing goes to the old address any more.
    world.cluster.script(B1, To::Sessions, |_| vec![Act::Reset]);
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_known_before_a_panic_in_discovery_is_known_after_it() {
    let world = World::start().await;
    world.cluster.lists(&["0@b0.test:9092", "1@moved.test:1"]);
    world.cluster.up("moved.test:1");
    world.seen.panic_at_refresh();
    world.knows(1, "moved.test:1").await;
    let sample = "doorkeeper_discovery_panics_total{cluster=\"main\"}";
    assert_eq!(world.seen.sample(sample), 1);
    // The new machine has never heard of this broker.
    world.knows(2, B2).await;
    world.client(BROKER_2).await.exchange(1).await;
    world.stops_in_order().await;
}

/// Without its listen addresses doorkeeper is of no use: it stops in order, and says why.
#[tokio::test(start_paused = true)]
async fn a_panic_while_accepting_ends_the_process_in_order() {
    let world = World::start().await;
    let (mut client, mut broker) = world.pair(&heartbeat(1)).await;
    world.mesh.panic_accept(listen_at(BROKER_1));
    pass(SECOND).await;
    assert!(world.ready.is_draining());
    broker.say(&heartbeat_response(1)).await;
    assert_eq!(client.frame().await, heartbeat_response(1));
    world.ends(&mut client, "drained").await;
    let error = world.serving.await.unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with("accepting connections failed: "),
        "{error}"
    );
    world.seen.assert_in_order();
}
