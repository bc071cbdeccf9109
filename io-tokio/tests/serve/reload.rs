//! Another plan without a restart: all of it or nothing, and what it does not change goes on.

use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::topology::DialMap;
use doorkeeper_core::{Route, id::BrokerId};
use doorkeeper_io_tokio::serve::{Plan, ReloadError};
use tokio::io::AsyncWriteExt as _;

use crate::cluster::Cluster;
use crate::frames::*;
use crate::mesh::Mesh;
use crate::world::*;

/// The bootstrap port of a second listener.
const SECOND_BOOTSTRAP: u16 = 9500;

/// The broker 1 of another cluster.
const OTHER: &str = "other.test:9092";

/// Another cluster, of one broker.
fn other(mesh: &Mesh) -> Cluster {
    let other = Cluster::new(mesh, "other");
    other.lists(&["1@other.test:9092"]);
    other.up(OTHER);
    other
}

/// A listener in front of that cluster.
fn add_second(plan: &mut Plan) {
    plan.clusters.push(upstream("other", &[OTHER]));
    let second = listener("second", "other", &[OTHER], SECOND_BOOTSTRAP);
    plan.listeners.push(second);
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_listener_and_its_cluster_come_and_go() {
    let mut world = World::start().await;
    let other = other(&world.mesh);
    let mut stays = world.client(BROKER_1).await;
    stays.exchange(1).await;
    let changes = world.reload(add_second).await.unwrap();
    assert_eq!(
        changes.to_string(),
        "cluster other: added; listener second: added"
    );
    let mut goes = world.client(SECOND_BOOTSTRAP + 2).await;
    goes.exchange(1).await;
    assert_eq!(other.asked(OTHER).len(), 1);
    assert!(world.ready.is_ready());
    let changes = world.reload(|plan| {
        plan.clusters.truncate(1);
        plan.listeners.truncate(1);
    });
    let changes = changes.await.unwrap();
    assert_eq!(
        changes.to_string(),
        "cluster other: removed; listener second: removed"
    );
    assert_eq!(goes.rest().await, b"");
    assert_eq!(world.seen.closed(goes.address).await, "listener_removed");
    assert!(!world.mesh.listens(listen_at(SECOND_BOOTSTRAP)));
    stays.exchange(2).await;
    assert_eq!(world.cluster.asked(B1).len(), 2, "on the same connection");
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_plan_changes_nothing() {
    let mut world = World::start().await;
    let changes = world.reload(|_| {}).await.unwrap();
    assert!(changes.is_empty(), "{changes}");
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn one_address_that_cannot_be_bound_leaves_everything_as_it_was() {
    use doorkeeper_io_tokio::Net as _;
    let mut world = World::start().await;
    let _other = other(&world.mesh);
    let taken = listen_at(SECOND_BOOTSTRAP + 3);
    let _taken = world.mesh.bind(taken).await.unwrap();
    let error = world.reload(|plan| {
        add_second(plan);
        plan.listeners[0].limits.connections = 0;
        plan.clusters[0].discovery.bootstrap = vec![OTHER.parse().unwrap()];
    });
    let error = error.await.unwrap_err();
    let failed: Vec<_> = error.cannot_bind().iter().map(|it| it.at).collect();
    assert_eq!(failed, [taken]);
    assert!(
        !world.mesh.listens(listen_at(SECOND_BOOTSTRAP)),
        "it is free"
    );
    world.client(BROKER_1).await.exchange(1).await;
    let error = world.reload(|plan| plan.listeners[0].cluster = "nowhere".into());
    let error = error.await.unwrap_err().to_string();
    assert!(error.contains("local"), "{error}");
    world.client(BROKER_1).await.exchange(1).await;
    assert!(world.ready.is_ready());
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_removed_gives_its_owed_responses() {
    let mut world = World::patient().await;
    let (mut client, mut broker) = world.pair(&heartbeat(1)).await;
    client.send(&heartbeat(2)).await;
    assert_eq!(next_frame(&mut broker.stream).await.unwrap(), heartbeat(2));
    let removed = world.reload(|plan| {
        let only = listen_at(BROKER_2);
        plan.listeners[0].binds.retain(|bind| bind.at == only);
    });
    assert_eq!(
        removed.await.unwrap().to_string(),
        "listener local: addresses"
    );
    for id in 1..3 {
        broker
            .stream
            .write_all(&heartbeat_response(id))
            .await
            .unwrap();
        assert_eq!(client.frame().await, heartbeat_response(id));
    }
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(client.address).await, "listener_removed");
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn other_limits_hold_for_new_connections_and_open_ones_stay() {
    let mut world = World::start().await;
    let mut open = world.client(BROKER_1).await;
    open.exchange(1).await;
    let changes = world.reload(|plan| plan.listeners[0].limits.connections = 2);
    assert_eq!(changes.await.unwrap().to_string(), "listener local: limits");
    let mut rejected = world.client(BROKER_1).await;
    assert_eq!(rejected.rest().await, b"");
    open.exchange(2).await;
    world
        .reload(|plan| plan.listeners[0].limits.connections = 3)
        .await
        .unwrap();
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn open_sessions_go_by_another_policy() {
    let mut world = World::start().await;
    let mut open = world.client(BROKER_1).await;
    open.exchange(1).await;
    let changes = world.reload(|plan| {
        let snapshot = &mut plan.listeners[0].snapshot;
        snapshot.policy = Policy::allow_all().deny_topic(&Principal::anonymous(), "secret");
        snapshot.limits.frame_bytes_max = 64;
    });
    let changes = changes.await.unwrap();
    assert_eq!(changes.to_string(), "listener local: limits, policy");
    open.send(&100_i32.to_be_bytes()).await;
    world.ends(&mut open, "client_frame_too_large").await;
    world.stops_in_order().await;
}

/// The brokers may have other names now: it is the same cluster as long as one is the same.
#[tokio::test(start_paused = true)]
async fn a_cluster_keeps_its_topology_while_its_bootstrap_list_shares_an_address() {
    let mut world = World::start().await;
    let _other = other(&world.mesh);
    let both = [BOOT, OTHER].map(|at| at.parse().unwrap()).to_vec();
    let changes = world.reload(|plan| {
        plan.clusters[0].discovery.bootstrap.clone_from(&both);
        plan.listeners[0].snapshot.bootstrap = both;
    });
    let changes = changes.await.unwrap();
    assert_eq!(changes.to_string(), "cluster main: bootstrap");
    world.client(BROKER_1).await.exchange(1).await;
    assert_eq!(world.published("main").await.len(), 3);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn another_bootstrap_list_is_another_cluster_once_it_has_responded() {
    let mut world = World::start().await;
    let nobody = vec![OTHER.parse().unwrap()];
    let changes = world.reload(|plan| {
        plan.clusters[0].discovery.bootstrap.clone_from(&nobody);
        plan.listeners[0].snapshot.bootstrap = nobody;
    });
    changes.await.unwrap();
    // Nobody is there yet.
    world.client(BROKER_1).await.exchange(1).await;
    assert_eq!(world.cluster.asked(B1).len(), 1);
    let other = other(&world.mesh);
    world.knows(1, OTHER).await;
    assert_eq!(world.published("main").await, [(1, OTHER.to_owned())]);
    world.client(BROKER_1).await.exchange(1).await;
    assert_eq!(other.asked(OTHER).len(), 1);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_lead_to_another_cluster() {
    let mut world = World::start().await;
    let other = other(&world.mesh);
    world.reload(add_second).await.unwrap();
    let mut early = world.client(SECOND_BOOTSTRAP + 2).await;
    early.exchange(1).await;
    let changes = world.reload(|plan| {
        let second = listener("second", "main", &[BOOT], SECOND_BOOTSTRAP);
        plan.listeners[1] = second;
    });
    assert_eq!(
        changes.await.unwrap().to_string(),
        "listener second: cluster"
    );
    assert_eq!(world.seen.closed(early.address).await, "listener_removed");
    world.client(SECOND_BOOTSTRAP + 2).await.exchange(1).await;
    assert_eq!(world.cluster.asked(B1).len(), 1);
    assert_eq!(other.asked(OTHER).len(), 1);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_may_be_of_another_broker_and_stays_bound() {
    let mut world = World::start().await;
    let mut early = world.client(BROKER_1).await;
    early.exchange(1).await;
    let change = world.reload(|plan| {
        for bind in &mut plan.listeners[0].binds {
            if bind.at == listen_at(BROKER_1) {
                bind.route = Route::Broker(BrokerId(0));
            }
        }
    });
    change.await.unwrap();
    assert_eq!(world.seen.closed(early.address).await, "listener_removed");
    world.client(BROKER_1).await.exchange(1).await;
    assert_eq!(world.cluster.asked("b0.test:9092").len(), 1);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn new_dials_go_by_new_rules() {
    use doorkeeper_core::topology::DialRule;
    let mut world = World::start().await;
    let other = other(&world.mesh);
    let to_other = DialMap::new(vec![DialRule {
        host: "b1.test".into(),
        port: None,
        to_host: "other.test".into(),
        to_port: None,
    }]);
    let changes = world.reload(|plan| {
        plan.clusters[0].discovery.dial = to_other.clone();
        plan.listeners[0].snapshot.dial = to_other;
    });
    assert_eq!(changes.await.unwrap().to_string(), "cluster main: dial");
    world.client(BROKER_1).await.exchange(1).await;
    assert_eq!(other.asked(OTHER).len(), 1);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_reloads_leave_nothing_behind() {
    let mut world = World::start().await;
    let _other = other(&world.mesh);
    let without = world.plan.clone();
    let mut with = without.clone();
    add_second(&mut with);
    let mut at_first = None;
    for _ in 0..100 {
        world.reload(|plan| *plan = with.clone()).await.unwrap();
        let mut client = world.client(SECOND_BOOTSTRAP + 2).await;
        client.exchange(1).await;
        world.reload(|plan| *plan = without.clone()).await.unwrap();
        assert_eq!(client.rest().await, b"");
        crate::clock::pass(SECOND).await;
        // A broker of the test has a task for each connection that it was ever given.
        let alive = alive_tasks();
        assert!(alive <= *at_first.get_or_insert(alive), "{alive} tasks");
    }
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_takes_long_does_not_keep_anybody_from_stopping() {
    let mut world = World::start().await;
    world.mesh.hang_bind(SECOND_BOOTSTRAP);
    let stop = world.stop.clone();
    let (outcome, ()) = tokio::join!(world.reload(add_second), async {
        crate::clock::pass(SECOND).await;
        stop.cancel();
    });
    assert!(matches!(outcome, Err(ReloadError::NotServing)));
    let stopped = &mut world.serving;
    stopped.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_is_not_reloaded() {
    let mut world = World::start().await;
    world.stop.cancel();
    let stopped = &mut world.serving;
    stopped.await.unwrap().unwrap();
    let error = world.reload(add_second).await.unwrap_err();
    assert!(matches!(error, ReloadError::NotServing), "{error}");
}
