//! Discovery: brokers come, move and go, and listeners follow without a restart.

use doorkeeper_core::discovery::Failure;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, DialRule};
use doorkeeper_core::{Route, id::BrokerId};
use doorkeeper_io_tokio::serve::Bind;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, MetadataResponse};

use crate::clock::pass;
use crate::cluster::{Act, Cluster, To};
use crate::frames::*;
use crate::mesh::{Mesh, Place};
use crate::recorder::Seen;
use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_added_is_served_at_its_door() {
    let world = World::start().await;
    world.cluster.up("b4.test:9092");
    world.cluster.lists(&[
        "0@b0.test:9092",
        "1@b1.test:9092",
        "2@b2.test:9092",
        "4@b4.test:9092",
    ]);
    let mut client = world.client(BOOTSTRAP + 1 + 4).await;
    client.exchange(1).await;
    // Somebody who waits for an unknown broker makes discovery ask: long before its next turn.
    assert!(client.age() < 5 * SECOND, "{:?}", client.age());
    assert_eq!(world.cluster.asked("b4.test:9092").len(), 1);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_of_which_nothing_is_heard_in_time() {
    let world = World::start().await;
    let mut client = world.client(BOOTSTRAP + 1 + 4).await;
    client.send(&heartbeat(1)).await;
    world.ends(&mut client, "broker_unknown").await;
    assert_eq!(client.age().as_secs(), 10);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_moves_is_followed() {
    let world = World::start().await;
    let mut early = world.client(BROKER_1).await;
    early.exchange(1).await;
    world.cluster.up("new.test:7000");
    world
        .cluster
        .lists(&["0@b0.test:9092", "1@new.test:7000", "2@b2.test:9092"]);
    // A response that names the new address is a hint: discovery asks for itself.
    early.send(&metadata(2)).await;
    let (_, body) = decoded::<MetadataResponse>(12, &early.frame().await);
    let hosts: Vec<&str> = body.brokers.iter().map(|it| it.host.as_str()).collect();
    assert_eq!(hosts, ["proxy.test"; 3]);
    world.knows(1, "new.test:7000").await;
    assert!(early.age() < 5 * SECOND, "{:?}", early.age());
    let mut late = world.client(BROKER_1).await;
    late.exchange(1).await;
    assert_eq!(world.cluster.asked("new.test:7000").len(), 1);
    // Who is connected stays where it is.
    early.exchange(3).await;
    assert_eq!(world.cluster.asked(B1).len(), 3);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_restarts_at_another_address() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    world.cluster.down(B1, Place::Refuses);
    world.ends(&mut client, "upstream_closed").await;
    world.cluster.lists(&["0@b0.test:9092", "2@b2.test:9092"]);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    pass(4 * SECOND).await;
    world.cluster.up("again.test:1");
    world
        .cluster
        .lists(&["0@b0.test:9092", "1@again.test:1", "2@b2.test:9092"]);
    assert_eq!(client.frame().await, heartbeat_response(1));
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_gone_keeps_its_last_address() {
    let world = World::start().await;
    world
        .cluster
        .lists(&["0@b0.test:9092", "2@b2.test:9092", "5@b2.test:9092"]);
    world.knows(5, B2).await;
    assert!(world.published("main").await.contains(&(1, B1.to_owned())));
    // It is down for the cluster, but it accepts connections.
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}

/// A world of which nothing can be learned at first.
fn unknown() -> World {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    cluster.down(BOOT, Place::Refuses);
    World::cold(mesh, cluster, plan())
}

#[tokio::test(start_paused = true)]
async fn a_session_waits_until_the_topology_is_known() {
    let mut world = unknown();
    let mut clients = Vec::new();
    for port in [BOOTSTRAP, BROKER_1] {
        let mut client = world.client(port).await;
        client.send(&heartbeat(1)).await;
        clients.push(client);
    }
    pass(5 * SECOND).await;
    assert!(world.ready.is_bound() && !world.ready.is_ready());
    assert_eq!(world.ready.undiscovered(), ["main".into()]);
    world.cluster.up(BOOT);
    for client in &mut clients {
        assert_eq!(client.frame().await, heartbeat_response(1));
    }
    assert!(world.ready.is_ready());
    world.warm_up().await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn but_not_for_ever() {
    let mut world = unknown();
    for port in [BOOTSTRAP, BROKER_1] {
        let mut client = world.client(port).await;
        client.send(&heartbeat(1)).await;
        world.ends(&mut client, "topology_timeout").await;
        assert_eq!(client.age().as_secs(), 10);
    }
    let dialled = world.mesh.dialled();
    assert!(
        dialled.iter().all(|name| name == BOOT),
        "discovery alone: {dialled:?}"
    );
    world.cluster.up(BOOT);
    world.warm_up().await;
    world.stops_in_order().await;
}

/// A listener of another cluster whose brokers have addresses one by one, and nothing in common
/// with the first but the process.
#[tokio::test(start_paused = true)]
async fn two_clusters_in_one_process_know_nothing_of_each_other() {
    const OTHER: u16 = 7000;
    let mesh = Mesh::default();
    let orders = cluster(&mesh);
    let other = Cluster::new(&mesh, "other");
    other.lists(&["1@o1.test:9092"]);
    for name in ["o.test:9092", "o1.test:9092"] {
        other.up(name);
    }
    let mut plan = plan();
    plan.clusters.push(upstream("other", &["o.test:9092"]));
    plan.listeners
        .push(listener("second", "other", &["o.test:9092"], OTHER));
    let mut world = World::cold(mesh, orders, plan);
    world.warm_up().await;
    assert_eq!(
        world.published("other").await,
        [(1, "o1.test:9092".to_owned())]
    );
    let mut client = world.client(OTHER + 2).await;
    client.send(&metadata(1)).await;
    let (_, body) = decoded::<MetadataResponse>(12, &client.frame().await);
    assert_eq!(body.cluster_id.unwrap().as_str(), "other");
    let at: Vec<_> = body.brokers.iter().map(|b| (b.node_id.0, b.port)).collect();
    assert_eq!(at, [(1, i32::from(OTHER) + 2)]);
    assert_eq!(other.asked("o1.test:9092").len(), 1);
    assert_eq!(world.cluster.asked(B1), []);
    // The other cluster goes down as a whole: who is served by the first does not notice.
    for name in ["o.test:9092", "o1.test:9092"] {
        other.down(name, Place::Hangs);
    }
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(client.address).await, "upstream_closed");
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn brokers_with_addresses_of_their_own() {
    let ours = [(1, "one.example:1111", 7001), (2, "two.example:2222", 7002)];
    let world = World::with(|plan| {
        let listener = &mut plan.listeners[0];
        let advertised = ours.map(|(id, at, _)| (BrokerId(id), at.parse().unwrap()));
        listener.snapshot.advertised = AdvertisedAddresses::Explicit(advertised.into());
        listener.binds.extend(ours.map(|(id, _, port)| Bind {
            at: listen_at(port),
            route: Route::Broker(BrokerId(id)),
        }));
    })
    .await;
    let mut client = world.client(7001).await;
    client.send(&metadata(1)).await;
    let (_, body) = decoded::<MetadataResponse>(12, &client.frame().await);
    let at: Vec<String> = body
        .brokers
        .iter()
        .map(|b| format!("{}@{}:{}", b.node_id.0, b.host, b.port))
        .collect();
    // Broker 0 has no address of ours: clients do not hear of it.
    assert_eq!(at, ["1@one.example:1111", "2@two.example:2222"]);
    assert_eq!(world.cluster.asked(B1).len(), 1);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn another_address_is_dialled_than_the_name_says() {
    let rule = |host: &str, port, to_host: &str, to_port| DialRule {
        host: host.into(),
        port,
        to_host: to_host.into(),
        to_port,
    };
    let dial = DialMap::new(vec![
        rule("b*.test", None, "inside.test", None),
        rule("b1.test", Some(9092), "one.test", Some(1)),
    ]);
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    for name in [BOOT, "b0.test:9092", B1, B2] {
        cluster.down(name, Place::Refuses);
    }
    cluster.up("inside.test:9092");
    cluster.up("one.test:1");
    let mut plan = plan();
    plan.clusters[0].discovery.dial = dial.clone();
    plan.listeners[0].snapshot.dial = dial;
    let mut world = World::cold(mesh, cluster, plan);
    world.warm_up().await;
    assert_eq!(
        world.published("main").await[1],
        (1, B1.to_owned()),
        "names stay"
    );
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    assert_eq!(world.cluster.asked("one.test:1").len(), 1);
    world.client(BOOTSTRAP).await.exchange(1).await;
    let dialled = world.mesh.dialled();
    assert!(
        dialled
            .iter()
            .all(|name| name == "inside.test:9092" || name == "one.test:1")
    );
    world.stops_in_order().await;
}

/// A learned address that belongs to another cluster by now is not believed.
#[tokio::test(start_paused = true)]
async fn a_response_of_another_cluster_is_ignored() {
    let world = World::start().await;
    let known = world.published("main").await;
    world.cluster.down(BOOT, Place::Refuses);
    for name in ["b0.test:9092", B1, B2] {
        world.cluster.script(name, To::Discovery, |asked| {
            let brokers = [(1, "evil.test".to_owned(), 1)];
            vec![Act::Say(match asked.api {
                API_VERSIONS => api_versions_response(asked.version, asked.id),
                _ => metadata_response(asked.version, asked.id, "another", &brokers),
            })]
        });
    }
    world.discovery_fails(Failure::OtherCluster, 3).await;
    assert_eq!(world.published("main").await, known);
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}

/// What is learned while a response is waited for counts for that response: also where nothing more
/// is read of the client.
async fn is_hidden_although_it_was_learned_late(in_a_drain: bool) {
    let world = World::with(|plan| {
        plan.drain_timeout = 300 * SECOND;
        waits_for_first_responses(plan);
    })
    .await;
    let body = FindCoordinatorRequest::default().with_key("g".into());
    let (mut client, mut broker) = world.pair(&request(10, 2, 1, &body)).await;
    if in_a_drain {
        world.stop.cancel();
    }
    world
        .cluster
        .lists(&["0@b0.test:9092", "4@secret.test:9092", "2@b2.test:9092"]);
    world.knows(4, "secret.test:9092").await;
    let body = FindCoordinatorResponse::default()
        .with_error_code(15)
        .with_error_message(Some("secret.test is not there".into()))
        .with_node_id((-1).into())
        .with_port(-1);
    broker.say(&response(2, 1, &body)).await;
    let (_, response) = decoded::<FindCoordinatorResponse>(2, &client.frame().await);
    let text = response.error_message.unwrap();
    assert_eq!(text.as_str(), "[upstream] is not there");
    if in_a_drain {
        world.ends(&mut client, "drained").await;
        world.serving.await.unwrap().unwrap();
    } else {
        world.stops_in_order().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_learned_after_the_request_is_hidden_in_its_response() {
    is_hidden_although_it_was_learned_late(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_learned_during_a_drain_is_hidden() {
    is_hidden_although_it_was_learned_late(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_an_address_is_told_once_for_each_listener() {
    let world = World::start().await;
    let listed = ["0@b0.test:9092", "1@b1.test:9092", "77@b77.test:9092"];
    world.cluster.lists(&listed);
    world.knows(77, "b77.test:9092").await;
    // It moves: that is no news for a listener that has no address for it.
    world.cluster.lists(&["77@moved.test:9092"]);
    world.knows(77, "moved.test:9092").await;
    let is_unaddressed = |seen: &&Seen| matches!(seen, Seen::Unaddressed(..));
    let reported: Vec<Seen> = world
        .seen
        .all()
        .iter()
        .filter(is_unaddressed)
        .cloned()
        .collect();
    assert_eq!(reported, [Seen::Unaddressed("local".to_owned(), 77)]);
    let sample = "doorkeeper_brokers_without_address{listener=\"local\"}";
    assert_eq!(world.seen.sample(sample), 1);
    // It is gone, as far as anybody can see, and then two others come.
    world.cluster.lists(&["0@b0.test:9092"]);
    pass(60 * SECOND).await;
    assert_eq!(world.seen.sample(sample), 0);
    world
        .cluster
        .lists(&["77@moved.test:9092", "78@b78.test:9092"]);
    pass(60 * SECOND).await;
    assert_eq!(world.seen.sample(sample), 2);
    let seen = world.seen.all();
    let reported = seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Unaddressed(..)));
    assert_eq!(reported.count(), 2, "the first one only once");
    world.stops_in_order().await;
}

/// Each listener has its own names for the brokers of the cluster that they share.
#[tokio::test(start_paused = true)]
async fn two_listeners_of_one_cluster_learn_the_same_and_tell_their_own() {
    const OTHER: u16 = 7000;
    let world = World::with(|plan| {
        let mut second = listener("second", "main", &[BOOT], OTHER);
        second.snapshot.advertised = AdvertisedAddresses::Ports {
            host: "second.test".into(),
            base: OTHER + 1,
            ids: vec![0..=5],
        };
        plan.listeners.push(second);
    })
    .await;
    for (port, host) in [(BOOTSTRAP, "proxy.test"), (OTHER, "second.test")] {
        let mut client = world.client(port).await;
        client.send(&metadata(1)).await;
        let (_, body) = decoded::<MetadataResponse>(12, &client.frame().await);
        for broker in &body.brokers {
            let broker_port = i32::from(port) + 1 + broker.node_id.0;
            assert_eq!((broker.host.as_str(), broker.port), (host, broker_port));
        }
        assert_eq!(body.brokers.len(), 3);
    }
    let published = |seen: &&Seen| matches!(seen, Seen::Published(..));
    assert_eq!(world.seen.all().iter().filter(published).count(), 1);
    world.stops_in_order().await;
}
