//! At a listen address: how many connections are accepted, and what happens when accepting fails.

use std::io;
use std::net::SocketAddr;

use doorkeeper_io_tokio::limits::ListenerLimits;
use doorkeeper_io_tokio::silent::SilentLimits;

use crate::client::Client;
use crate::clock::pass;
use crate::frames::heartbeat;
use crate::recorder::Seen;
use crate::world::*;

fn comes_from(world: &World, port: u16, from: &str) -> Client {
    let from: SocketAddr = from.parse().unwrap();
    Client::new(world.mesh.visit(listen_at(port), from), from)
}

/// A client that is turned away: not a byte, and the reason is counted.
async fn is_turned_away(world: &World, client: &mut Client, why: &'static str, count: u64) {
    assert_eq!(client.rest().await, b"");
    assert!(client.age() < SECOND);
    assert!(
        world
            .seen
            .all()
            .contains(&Seen::Rejected(client.address, why))
    );
    let sample =
        format!("doorkeeper_connections_rejected_total{{listener=\"local\",reason=\"{why}\"}}");
    assert_eq!(world.seen.sample(&sample), count);
    assert_eq!(world.seen.events(client.address), []);
}

async fn limited(connections: usize, connections_per_address: usize) -> World {
    World::with(|plan| {
        plan.listeners[0].limits = ListenerLimits {
            connections,
            connections_per_address,
        };
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn connections_in_all_are_limited_over_all_doors_of_a_listener() {
    // The bystander is the third.
    let world = limited(3, 3).await;
    let mut first = comes_from(&world, BROKER_1, "192.0.2.1:1");
    let mut second = comes_from(&world, BOOTSTRAP, "192.0.2.2:1");
    first.exchange(1).await;
    second.exchange(1).await;
    for (count, port) in [(1, BROKER_1), (2, BROKER_2), (3, BOOTSTRAP)] {
        let mut late = comes_from(&world, port, &format!("192.0.2.3:{port}"));
        is_turned_away(&world, &mut late, "connections", count).await;
    }
    first.exchange(2).await;
    let gone = first.address;
    drop(first);
    assert_eq!(world.seen.closed(gone).await, "client_closed");
    comes_from(&world, BROKER_1, "192.0.2.4:1")
        .exchange(1)
        .await;
    second.exchange(2).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn connections_of_one_address_are_limited() {
    let world = limited(100, 2).await;
    let mut first = comes_from(&world, BROKER_1, "192.0.2.1:1");
    let mut second = comes_from(&world, BROKER_1, "[::ffff:192.0.2.1]:2");
    first.exchange(1).await;
    second.exchange(1).await;
    let mut third = comes_from(&world, BROKER_1, "192.0.2.1:3");
    is_turned_away(&world, &mut third, "connections_per_address", 1).await;
    comes_from(&world, BROKER_1, "192.0.2.2:1")
        .exchange(1)
        .await;
    // A place is free however the session that had it ends.
    first.send(&(-1_i32).to_be_bytes()).await;
    world.ends(&mut first, "client_frame_negative").await;
    let mut fourth = comes_from(&world, BROKER_1, "192.0.2.1:4");
    fourth.exchange(1).await;
    fourth.far.panic();
    fourth.send(b"x").await;
    world.ends(&mut fourth, "panic").await;
    let mut fifth = comes_from(&world, BROKER_1, "192.0.2.1:5");
    fifth.exchange(1).await;
    world.stops_in_order_but_for("panic").await;
}

/// Who is silent gives way to others, the oldest of the address with most of them first; who has
/// sent a whole request does not, nor does who is silent while there is room.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_gives_way_when_there_are_too_many() {
    let world = World::with(|plan| {
        plan.listeners[0].silent = SilentLimits {
            connections: 3,
            connections_per_address: 2,
        };
    })
    .await;
    let mut spoke = comes_from(&world, BROKER_1, "192.0.2.1:1");
    spoke.exchange(1).await;
    let mut oldest = comes_from(&world, BROKER_1, "192.0.2.1:2");
    let mut younger = comes_from(&world, BOOTSTRAP, "192.0.2.1:3");
    let mut other = comes_from(&world, BROKER_1, "192.0.2.2:1");
    other.send(&heartbeat(1)[..3]).await;
    let mut newcomer = comes_from(&world, BROKER_1, "192.0.2.3:1");
    world.ends(&mut oldest, "silent_limit").await;
    pass(25 * SECOND).await;
    for client in [&mut spoke, &mut younger, &mut newcomer] {
        client.exchange(2).await;
    }
    other.send(&heartbeat(1)[3..]).await;
    other.frame().await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn silent_connections_of_one_address_give_way_to_their_own() {
    let world = World::with(|plan| {
        plan.listeners[0].silent = SilentLimits {
            connections: 100,
            connections_per_address: 2,
        };
    })
    .await;
    let mut legal = comes_from(&world, BROKER_1, "192.0.2.9:1");
    let mut flood: Vec<_> = (1..=50)
        .map(|port| comes_from(&world, BROKER_1, &format!("192.0.2.1:{port}")))
        .collect();
    for client in flood.iter_mut().take(48) {
        world.ends(client, "silent_limit").await;
    }
    assert_eq!(world.seen.reasons()["silent_limit"], 48);
    legal.exchange(1).await;
    drop(flood);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connections_in_turn_leave_no_trace() {
    let world = limited(2, 1).await;
    for number in 0..1000 {
        let mut client = comes_from(&world, BROKER_1, &format!("192.0.2.1:{}", 1000 + number));
        client.send(&heartbeat(1)[..3]).await;
        let address = client.address;
        drop(client);
        assert_eq!(world.seen.closed(address).await, "client_closed");
    }
    assert_eq!(world.seen.reasons()["client_closed"], 1000);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_accept_is_told_and_followed_by_a_pause() {
    const EMFILE: i32 = 24;
    let world = World::start().await;
    for _ in 0..12 {
        world
            .mesh
            .fail_accept(listen_at(BROKER_1), io::Error::from_raw_os_error(EMFILE));
    }
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    let pauses: Vec<u64> = world
        .seen
        .all()
        .iter()
        .filter_map(|seen| match seen {
            Seen::AcceptFailed(_, pause) => u64::try_from(pause.as_millis()).ok(),
            _ => None,
        })
        .collect();
    let growing = [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000, 1000];
    assert_eq!(pauses, growing);
    let sample = "doorkeeper_accept_failures_total{listener=\"local\"}";
    assert_eq!(world.seen.sample(sample), 12);
    // The next failure begins with a short pause again.
    world
        .mesh
        .fail_accept(listen_at(BROKER_1), io::Error::from_raw_os_error(EMFILE));
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    assert!(client.age() < SECOND / 10);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_before_it_was_accepted_is_nobodys_failure() {
    let world = World::start().await;
    for kind in [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::Interrupted,
    ] {
        world.mesh.fail_accept(listen_at(BROKER_1), kind.into());
    }
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    assert!(client.age() < SECOND / 100, "no pause");
    let failed = |seen: &Seen| matches!(seen, Seen::AcceptFailed(..));
    assert!(!world.seen.all().iter().any(failed));
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_where_one_address_is_taken() {
    let mesh = crate::mesh::Mesh::default();
    let cluster = cluster(&mesh);
    let taken = doorkeeper_io_tokio::Net::bind(&mesh, listen_at(BROKER_2))
        .await
        .unwrap();
    let world = World::cold(mesh, cluster, plan());
    let error = world.serving.await.unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with("listener local: cannot bind 127.0.0.1:9003: "),
        "{error}"
    );
    assert!(
        !world.mesh.listens(listen_at(BOOTSTRAP)),
        "nobody is left waiting"
    );
    assert!(!world.ready.is_bound());
    drop(taken);
}
