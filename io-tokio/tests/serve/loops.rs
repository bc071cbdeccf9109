//! Addresses that lead back to doorkeeper: brokers advertise them, or a name leads there.

use doorkeeper_core::ConnectFailure;
use doorkeeper_core::discovery::Failure;
use doorkeeper_core::topology::{DialMap, DialRule};
use doorkeeper_io_tokio::observer::OwnAddress;

use crate::clock::pass;
use crate::frames::*;
use crate::mesh::{Mesh, Place};
use crate::recorder::Seen;
use crate::world::*;

/// How many sessions there have been.
fn sessions(world: &World) -> usize {
    let opened = |seen: &&Seen| matches!(seen, Seen::SessionOpened(_));
    world.seen.all().iter().filter(opened).count()
}

/// Broker 1 is listed at an address that leads to doorkeeper. Its client is closed at once, each
/// time that it tries, and everybody else is served.
async fn broker_1_is_ourselves(at: &str, listen_port: u16, sessions_each: usize) {
    let world = World::start().await;
    world
        .mesh
        .put(at, Place::Doorkeeper(listen_at(listen_port)));
    let broker_1 = format!("1@{at}");
    world
        .cluster
        .lists(&["0@b0.test:9092", &broker_1, "2@b2.test:9092"]);
    world.knows(1, at).await;
    for _ in 0..3 {
        let before = sessions(&world);
        let mut client = world.client(BROKER_1).await;
        client.send(&heartbeat(1)).await;
        world.ends(&mut client, "upstream_loop").await;
        assert!(client.age() < SECOND, "{:?}", client.age());
        pass(60 * SECOND).await;
        assert_eq!(sessions(&world) - before, sessions_each, "no storm");
    }
    for port in [BOOTSTRAP, BROKER_2] {
        world.client(port).await.exchange(1).await;
    }
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_at_an_address_that_we_listen_at_is_not_even_dialled() {
    broker_1_is_ourselves("127.0.0.1:9002", BROKER_1, 1).await;
}

/// One connection shows it, which its session sees end like that of any client.
#[tokio::test(start_paused = true)]
async fn a_broker_whose_name_leads_to_its_own_door() {
    broker_1_is_ourselves("public.test:9002", BROKER_1, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_whose_name_leads_to_the_bootstrap_door() {
    broker_1_is_ourselves("public.test:1234", BOOTSTRAP, 2).await;
}

/// A rule of `dial` is where it comes from as well.
#[tokio::test(start_paused = true)]
async fn a_broker_that_is_mapped_to_ourselves() {
    let world = World::with(|plan| {
        let dial = DialMap::new(vec![DialRule {
            host: "b1.test".into(),
            port: None,
            to_host: "back.test".into(),
            to_port: Some(BROKER_1),
        }]);
        plan.clusters[0].discovery.dial = dial.clone();
        plan.listeners[0].snapshot.dial = dial;
    })
    .await;
    world
        .mesh
        .put("back.test:9002", Place::Doorkeeper(listen_at(BROKER_1)));
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    world.ends(&mut client, "upstream_loop").await;
    world.client(BROKER_2).await.exchange(1).await;
    world.stops_in_order().await;
}

/// Where any broker will do, the others do.
#[tokio::test(start_paused = true)]
async fn clients_of_the_bootstrap_address_come_to_a_broker_that_is_one() {
    let world = World::start().await;
    for (name, port) in [("d0.test:9001", 9001), ("d1.test:9002", 9002)] {
        world.mesh.put(name, Place::Doorkeeper(listen_at(port)));
    }
    world
        .cluster
        .lists(&["0@d0.test:9001", "1@d1.test:9002", "2@b2.test:9092"]);
    world.knows(1, "d1.test:9002").await;
    world.cluster.down(BOOT, Place::Refuses);
    let mut first = world.client(BOOTSTRAP).await;
    first.exchange(1).await;
    // The pauses of five attempts that fail.
    assert!(first.age() < 2 * SECOND, "{:?}", first.age());
    for _ in 0..5 {
        let mut client = world.client(BOOTSTRAP).await;
        client.exchange(1).await;
        assert!(client.age() < SECOND / 10, "{:?}", client.age());
    }
    // Each loop was met once, by the first of them.
    let met = |seen: &&Seen| match seen {
        Seen::Event(_, event) => format!("{event:?}").contains("Loop"),
        _ => false,
    };
    assert!(world.seen.all().iter().filter(met).count() <= 2);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn discovery_does_not_ask_ourselves() {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    mesh.put("front.test:9000", Place::Doorkeeper(listen_at(BOOTSTRAP)));
    let mut plan = plan();
    plan.clusters = vec![upstream("main", &["front.test:9000", BOOT])];
    let mut world = World::cold(mesh, cluster, plan);
    let failure = Failure::Connect(ConnectFailure::Loop);
    world.discovery_fails(failure, 1).await;
    world.warm_up().await;
    assert_eq!(world.mesh.dialled()[..2], ["front.test:9000", BOOT]);
    world.stops_in_order().await;
}

/// It is said as soon as it is learned, before any client comes.
#[tokio::test(start_paused = true)]
async fn brokers_that_advertise_our_addresses_are_told_of_once() {
    let world = World::start().await;
    // The second name leads doorkeeper to the broker, and clients to doorkeeper: that is fine.
    world.cluster.up("proxy.test:9002");
    for _ in 0..3 {
        let all = ["0@127.0.0.1:9001", "1@proxy.test:9002", "2@b2.test:9092"];
        world.cluster.lists(&all);
        world.knows(1, "proxy.test:9002").await;
        pass(100 * SECOND).await;
    }
    let reported: Vec<Seen> = world
        .seen
        .all()
        .into_iter()
        .filter(|seen| matches!(seen, Seen::AtOwnAddress(..)))
        .collect();
    assert_eq!(
        reported,
        [
            Seen::AtOwnAddress(0, "127.0.0.1:9001".to_owned(), OwnAddress::Bound),
            Seen::AtOwnAddress(1, "proxy.test:9002".to_owned(), OwnAddress::Advertised),
        ]
    );
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}
