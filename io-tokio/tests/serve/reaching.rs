//! Connections to brokers: refused, unknown, silent, slow, and back again by itself.

use std::time::Duration;

use doorkeeper_core::ConnectFailure;
use doorkeeper_core::discovery::{Event as DiscoveryEvent, Failure};
use doorkeeper_core::event::Event;
use doorkeeper_core::id::HostPort;
use kafka_protocol::messages::{GroupId, JoinGroupRequest};

use crate::clock::{pass, stand_still};
use crate::cluster::{Act, To};
use crate::frames::*;
use crate::mesh::{Mesh, Place};
use crate::recorder::Seen;
use crate::world::*;

/// A client of a broker that cannot be reached is closed in time, after how many attempts.
async fn cannot_be_reached(place: Option<Place>, reason: &str, attempts: usize) {
    let world = World::start().await;
    match place {
        Some(place) => world.cluster.down(B1, place),
        None => world.mesh.remove(B1),
    }
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    world.ends(&mut client, reason).await;
    assert!(client.age() <= 10 * SECOND, "{:?}", client.age());
    assert!(client.age() >= 8 * SECOND, "{:?}", client.age());
    let of_b1 = |name: &HostPort| name.to_string() == B1;
    let failed =
        |event: &&Event| matches!(event, Event::UpstreamAttemptFailed { name, .. } if of_b1(name));
    let events = world.seen.events(client.address);
    assert_eq!(events.iter().filter(failed).count(), attempts, "{events:?}");
    assert!(!format!("{events:?}").contains("Connected"));
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_connections_closes_the_session() {
    // Pauses of 50, 100, 200, 400, 800 ms and then of a second each, for ten seconds.
    cannot_be_reached(Some(Place::Refuses), "upstream_refused", 14).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_whose_name_has_no_address() {
    cannot_be_reached(None, "upstream_unresolved", 14).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_a_route() {
    cannot_be_reached(Some(Place::Unreachable), "upstream_unreachable", 14).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_in_a_black_hole() {
    cannot_be_reached(Some(Place::Hangs), "upstream_connect_timed_out", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_whose_name_the_resolver_is_silent_about() {
    cannot_be_reached(Some(Place::HangsInLookup), "upstream_unresolved", 1).await;
}

/// That a name is not looked up in time says nothing of the broker.
#[tokio::test(start_paused = true)]
async fn only_an_address_that_swallows_connections_is_tried_last() {
    for (place, is_avoided) in [(Place::Hangs, true), (Place::HangsInLookup, false)] {
        let world = World::start().await;
        world.cluster.down(B1, place);
        let mut client = world.client(BROKER_1).await;
        client.send(&heartbeat(1)).await;
        world.seen.closed(client.address).await;
        pass(SECOND).await;
        // Which addresses are tried last is published as what is learned is.
        let published = |seen: &&Seen| matches!(seen, Seen::Published(..));
        let times = world.seen.all().iter().filter(published).count();
        assert_eq!(times, 1 + usize::from(is_avoided));
        world.stops_in_order().await;
    }
}

/// A process that is stopped while it connects has as much time left when it goes on.
#[tokio::test(start_paused = true)]
async fn time_in_which_the_process_is_stopped_is_none_to_connect_in() {
    let world = World::start().await;
    world.cluster.down(B1, Place::Hangs);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    world.dials(B1, 1).await;
    pass(2 * SECOND).await;
    stand_still(600 * SECOND).await;
    // Another second is what a stop costs.
    pass(6 * SECOND).await;
    let attempts = |event: &Event| matches!(event, Event::UpstreamAttemptFailed { .. });
    let events = world.seen.events(client.address);
    assert!(!events.iter().any(attempts), "{events:?}");
    world.ends(&mut client, "upstream_connect_timed_out").await;
    world.stops_in_order().await;
}

/// What it has asked for is not lost.
#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_its_broker_comes_back() {
    let world = World::start().await;
    world.cluster.down(B1, Place::Refuses);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    let address = client.address;
    world.dials(B1, 1).await;
    drop(client);
    pass(3 * SECOND).await;
    world.cluster.up(B1);
    assert_eq!(world.seen.closed(address).await, "client_closed");
    assert_eq!(world.cluster.asked(B1).len(), 1);
    world.stops_in_order().await;
}

/// Nor does it keep its session for longer than the attempts may take.
#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_broker_is_dialled() {
    let world = World::start().await;
    world.cluster.down(B1, Place::Hangs);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    let address = client.address;
    world.dials(B1, 1).await;
    drop(client);
    let closed = world.seen.closed(address).await;
    assert_eq!(closed, "upstream_connect_timed_out");
    assert!(world.seen.lasted(address).await <= 10 * SECOND);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_comes_back_while_a_client_waits() {
    let world = World::start().await;
    world.cluster.down(B1, Place::Refuses);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    pass(3 * SECOND).await;
    world.cluster.up(B1);
    assert_eq!(client.frame().await, heartbeat_response(1));
    client.exchange(2).await;
    assert_eq!(
        world.cluster.asked(B1).len(),
        2,
        "each request goes up once"
    );
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn the_whole_cluster_goes_and_comes_back() {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    let mut world = World::cold(mesh, cluster, plan());
    world.published("main").await;
    let all = [BOOT, "b0.test:9092", B1, B2];
    for name in all {
        world.cluster.down(name, Place::Refuses);
    }
    let mut early = world.client(BOOTSTRAP).await;
    early.send(&heartbeat(1)).await;
    world.ends(&mut early, "upstream_refused").await;
    for name in all {
        world.cluster.up(name);
    }
    for port in [BOOTSTRAP, BROKER_1] {
        world.client(port).await.exchange(1).await;
    }
    world.warm_up().await;
    world.stops_in_order().await;
}

/// Any broker will do for a client that does not know the brokers yet: the list and the brokers
/// that were learned take turns.
#[tokio::test(start_paused = true)]
async fn the_bootstrap_list_and_the_learned_brokers_are_tried_in_turn() {
    let bootstrap = ["gone.test:1", "refuses.test:1", "hangs.test:1", BOOT];
    let world = World::with(|plan| {
        plan.clusters = vec![upstream("main", &bootstrap)];
        plan.listeners = vec![listener("local", "main", &bootstrap, BOOTSTRAP)];
    });
    // No name above is dialled before the cluster is discovered.
    let world = world.await;
    world.mesh.put("refuses.test:1", Place::Refuses);
    world.mesh.put("hangs.test:1", Place::Hangs);
    let mut client = world.client(BOOTSTRAP).await;
    client.exchange(1).await;
    assert_eq!(world.mesh.dialled().last().unwrap(), "b0.test:9092");
    // Without the brokers that are not the bystander's it is the last of the list.
    for name in ["b0.test:9092", B1] {
        world.cluster.down(name, Place::Refuses);
    }
    let before = world.mesh.dialled().len();
    let mut client = world.client(BOOTSTRAP).await;
    client.exchange(1).await;
    let dialled = world.mesh.dialled().split_off(before);
    let tried = [
        "gone.test:1",
        "b0.test:9092",
        "refuses.test:1",
        B1,
        "hangs.test:1",
        B2,
    ];
    assert_eq!(dialled, tried);
    // The black hole had two seconds of the time that was left, not all of it.
    assert!(client.age() < 4 * SECOND, "{:?}", client.age());
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_in_front_of_the_bootstrap_list_does_not_hold_the_topology_up() {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    mesh.put("hangs.test:1", Place::Hangs);
    cluster.up("spare.test:1");
    let mut plan = plan();
    plan.clusters = vec![upstream("main", &["hangs.test:1", BOOT, "spare.test:1"])];
    let started = tokio::time::Instant::now();
    let mut world = World::cold(mesh, cluster, plan);
    world.published("main").await;
    assert!(started.elapsed() < 3 * SECOND, "{:?}", started.elapsed());
    world.warm_up().await;
    world.stops_in_order().await;
}

/// What one session has waited for no other one waits for, for a while.
#[tokio::test(start_paused = true)]
async fn sessions_learn_of_a_black_hole_from_each_other() {
    let bootstrap = ["hangs.test:1", BOOT];
    let world = World::with(|plan| {
        plan.clusters = vec![upstream("main", &bootstrap)];
        plan.listeners = vec![listener("local", "main", &bootstrap, BOOTSTRAP)];
    })
    .await;
    // Nobody is there yet, so that discovery has not met it.
    world.mesh.put("hangs.test:1", Place::Hangs);
    let mut first = world.client(BOOTSTRAP).await;
    first.exchange(1).await;
    assert!(first.age() >= 2 * SECOND, "{:?}", first.age());
    assert!(first.age() < 3 * SECOND, "{:?}", first.age());
    for _ in 0..5 {
        let mut client = world.client(BOOTSTRAP).await;
        client.exchange(1).await;
        assert!(client.age() < SECOND / 10, "{:?}", client.age());
    }
    let tries = |world: &World| {
        let dialled = world.mesh.dialled();
        dialled.iter().filter(|at| *at == "hangs.test:1").count()
    };
    // Discovery found no address for it, and the first session nobody behind it.
    assert_eq!(tries(&world), 2);
    // It is not forgotten for good.
    pass(31 * SECOND).await;
    world.cluster.up("hangs.test:1");
    world.client(BOOTSTRAP).await.exchange(1).await;
    assert_eq!(tries(&world), 3);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn discovery_tries_its_bootstrap_list_in_turn_until_a_broker_responds() {
    let bootstrap = ["gone.test:1", "refuses.test:1", "hangs.test:1", BOOT];
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    mesh.put("refuses.test:1", Place::Refuses);
    mesh.put("hangs.test:1", Place::Hangs);
    let mut plan = plan();
    plan.clusters = vec![upstream("main", &bootstrap)];
    let mut world = World::cold(mesh, cluster, plan);
    assert_eq!(world.published("main").await.len(), 3);
    assert_eq!(world.mesh.dialled(), bootstrap);
    let failures: Vec<(String, Failure)> = world
        .discoveries()
        .into_iter()
        .filter_map(|event| match event {
            DiscoveryEvent::Failed { asked, why } => Some((asked.to_string(), why)),
            _ => None,
        })
        .collect();
    let why = [
        ConnectFailure::Unresolved,
        ConnectFailure::Refused,
        ConnectFailure::TimedOut,
    ];
    let expected: Vec<(String, Failure)> = bootstrap
        .iter()
        .zip(why)
        .map(|(name, why)| ((*name).to_owned(), Failure::Connect(why)))
        .collect();
    assert_eq!(failures, expected);
    world.warm_up().await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn discovery_goes_on_by_itself_after_an_outage() {
    let world = World::start().await;
    let all = [BOOT, "b0.test:9092", B1];
    world
        .cluster
        .lists(&["0@b0.test:9092", "1@new.test:9092", "2@b2.test:9092"]);
    for name in all {
        world.cluster.down(name, Place::Refuses);
    }
    world.cluster.script(B2, To::Discovery, |_| vec![Act::End]);
    let failed = |all: &[Seen]| {
        let failure =
            |seen: &&Seen| matches!(seen, Seen::Discovery(_, DiscoveryEvent::Failed { .. }));
        (all.iter().filter(failure).count() > 100).then_some(())
    };
    world.seen.until("a hundred failures", failed).await;
    assert!(world.ready.is_ready(), "what is known is still served");
    world.cluster.up(BOOT);
    world.cluster.up("new.test:9092");
    world.knows(1, "new.test:9092").await;
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_accepts_and_says_nothing() {
    let world = World::start().await;
    world.cluster.script(B1, To::Sessions, |_| vec![]);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    world.ends(&mut client, "first_response_timeout").await;
    assert_eq!(client.age().as_secs(), 10);
    world.stops_in_order().await;
}

/// A request that lets the broker wait for so long closes so much later.
async fn may_wait(frame: &[u8], wait: Duration) {
    let world = World::start().await;
    world.cluster.script(B1, To::Sessions, |_| vec![]);
    let mut client = world.client(BROKER_1).await;
    client.send(frame).await;
    world.ends(&mut client, "first_response_timeout").await;
    assert_eq!(client.age().as_secs(), wait.as_secs() + 10);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_may_wait_for_as_long_as_it_says() {
    may_wait(&fetch(1, 120_000), 120 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_join_may_wait_for_the_rebalance() {
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(400_000);
    may_wait(&request(JOIN_GROUP, 5, 1, &join), 400 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_may_get_its_response_late() {
    let world = World::start().await;
    let (mut client, mut broker) = world.pair(&fetch(7, 300_000)).await;
    pass(299 * SECOND).await;
    broker.say(&fetch_response(7)).await;
    assert_eq!(client.frame().await, fetch_response(7));
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_broker_ends_its_sessions_and_no_others() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    world.cluster.down(B1, Place::Refuses);
    world.ends(&mut client, "upstream_closed").await;
    world.cluster.up(B1);
    world.cluster.script(B1, To::Sessions, |_| vec![Act::Reset]);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    world.ends(&mut client, "upstream_reset").await;
    world.stops_in_order().await;
}

/// An unreachable broker makes discovery ask for itself, long before its next turn.
#[tokio::test(start_paused = true)]
async fn a_broker_that_moved_unseen_is_found_while_a_client_waits() {
    let world = World::start().await;
    world.cluster.down(B1, Place::Refuses);
    world.cluster.up("elsewhere.test:1234");
    world
        .cluster
        .lists(&["0@b0.test:9092", "1@elsewhere.test:1234", "2@b2.test:9092"]);
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    assert!(client.age() < 5 * SECOND, "{:?}", client.age());
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_while_a_broker_is_dialled_get_their_responses_in_order() {
    let world = World::start().await;
    world.cluster.down(B1, Place::Refuses);
    let mut client = world.client(BROKER_1).await;
    for id in 1..=50 {
        client.send(&heartbeat(id)).await;
    }
    pass(2 * SECOND).await;
    world.cluster.up(B1);
    for id in 1..=50 {
        assert_eq!(client.frame().await, heartbeat_response(id));
    }
    let asked: Vec<i32> = world.cluster.asked(B1).iter().map(|it| it.id).collect();
    assert_eq!(asked, (1..=50).collect::<Vec<i32>>(), "each once");
    world.stops_in_order().await;
}
