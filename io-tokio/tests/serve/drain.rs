//! The end: nobody comes in any more, owed responses are given, and nothing lasts for ever.

use std::time::Duration;

use crate::clock::{pass, stand_still};
use crate::cluster::To;
use crate::frames::*;
use crate::recorder::Seen;
use crate::world::*;

/// A world without a bystander, and a client whose broker is played by hand and owes a response.
struct Owing {
    world: World,
    client: crate::client::Client,
    broker: crate::mesh::Far,
}

async fn owing() -> Owing {
    let mesh = crate::mesh::Mesh::default();
    let cluster = cluster(&mesh);
    let mut plan = plan();
    waits_for_first_responses(&mut plan);
    let world = World::cold(mesh, cluster, plan);
    world.published("main").await;
    let (client, broker) = world.pair(&heartbeat(1)).await;
    Owing {
        world,
        client,
        broker,
    }
}

#[tokio::test(start_paused = true)]
async fn owed_responses_are_sent_before_the_end() {
    let Owing {
        world,
        mut client,
        mut broker,
    } = owing().await;
    let mut idle = world.client(BROKER_2).await;
    idle.exchange(1).await;
    let mut silent = world.client(BROKER_2).await;
    world.opened(3).await;
    world.stop.cancel();
    world.ends(&mut idle, "drained").await;
    world.ends(&mut silent, "drained").await;
    assert!(world.ready.is_draining() && !world.ready.is_ready());
    assert!(world.seen.all().contains(&Seen::Draining(3, 30 * SECOND)));
    pass(20 * SECOND).await;
    assert!(!world.serving.is_finished(), "a response is still owed");
    broker.say(&heartbeat_response(1)).await;
    assert_eq!(client.frame().await, heartbeat_response(1));
    world.ends(&mut client, "drained").await;
    world.serving.await.unwrap().unwrap();
    world.seen.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_in_any_more() {
    let Owing {
        world,
        client: _waiting,
        broker: _silent,
    } = owing().await;
    assert!(world.mesh.listens(listen_at(BROKER_1)));
    world.stop.cancel();
    let draining = |all: &[Seen]| {
        let draining = all.iter().find(|seen| matches!(seen, Seen::Draining(..)));
        draining.map(|_| ())
    };
    world.seen.until("the drain", draining).await;
    for port in BOOTSTRAP..BOOTSTRAP + 7 {
        assert!(!world.mesh.listens(listen_at(port)), "{port}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_for_too_long_is_dropped() {
    let Owing {
        world,
        mut client,
        broker: _silent,
    } = owing().await;
    let began = tokio::time::Instant::now();
    world.stop.cancel();
    world.ends(&mut client, "drain_expired").await;
    world.serving.await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(took >= 30 * SECOND && took < 31 * SECOND, "{took:?}");
    assert_eq!(world.seen.reasons()["drain_expired"], 1);
}

/// A process that is stopped while it drains has as much time left when it goes on.
#[tokio::test(start_paused = true)]
async fn time_in_which_the_process_is_stopped_is_none_to_drain_in() {
    let Owing {
        world,
        mut client,
        mut broker,
    } = owing().await;
    world.stop.cancel();
    pass(2 * SECOND).await;
    stand_still(600 * SECOND).await;
    pass(20 * SECOND).await;
    broker.say(&heartbeat_response(1)).await;
    assert_eq!(client.frame().await, heartbeat_response(1));
    world.ends(&mut client, "drained").await;
    world.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_word_ends_it_at_once() {
    let Owing {
        world,
        mut client,
        broker: _silent,
    } = owing().await;
    world.stop.cancel();
    pass(2 * SECOND).await;
    assert!(!world.serving.is_finished());
    let began = tokio::time::Instant::now();
    world.kill.cancel();
    world.ends(&mut client, "aborted").await;
    world.serving.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(10));
    world.seen.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn the_word_to_end_at_once_may_come_first() {
    let Owing {
        world,
        mut client,
        broker: _silent,
    } = owing().await;
    world.kill.cancel();
    world.ends(&mut client, "aborted").await;
    world.serving.await.unwrap().unwrap();
}

/// Half a request is not read any further: it can have no response.
#[tokio::test(start_paused = true)]
async fn a_half_received_request_does_not_hold_up_a_drain() {
    let world = World::start().await;
    let mut client = world.client(BROKER_1).await;
    client.exchange(1).await;
    client.send(&heartbeat(2)[..9]).await;
    let mut first = world.client(BROKER_1).await;
    first.send(&heartbeat(1)[..9]).await;
    world.opened(3).await;
    pass(SECOND).await;
    world.stop.cancel();
    world.ends(&mut client, "drained").await;
    world.ends(&mut first, "drained").await;
    assert_eq!(world.cluster.asked(B1).len(), 1);
    world.serving.await.unwrap().unwrap();
}

/// What is owed in front of half a request is given.
#[tokio::test(start_paused = true)]
async fn a_response_in_front_of_a_half_received_request_is_sent() {
    let Owing {
        world,
        mut client,
        mut broker,
    } = owing().await;
    client.send(&heartbeat(2)[..9]).await;
    pass(SECOND).await;
    world.stop.cancel();
    pass(SECOND).await;
    client.send(&heartbeat(2)[9..]).await;
    broker.say(&heartbeat_response(1)).await;
    assert_eq!(client.frame().await, heartbeat_response(1));
    world.ends(&mut client, "drained").await;
    let mut more = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut broker.stream, &mut more).await;
    assert_eq!((read.unwrap(), more), (0, Vec::new()), "no further request");
    world.serving.await.unwrap().unwrap();
}

/// A session that still dials its broker is owed a response as well.
#[tokio::test(start_paused = true)]
async fn a_session_that_dials_is_waited_for() {
    let world = World::start().await;
    world.cluster.down(B1, crate::mesh::Place::Refuses);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    world.dials(B1, 2).await;
    world.stop.cancel();
    pass(2 * SECOND).await;
    world.cluster.up(B1);
    assert_eq!(client.frame().await, heartbeat_response(1));
    world.ends(&mut client, "drained").await;
    world.serving.await.unwrap().unwrap();
}

/// A client that reads nothing cannot delay the end.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_does_not_hold_up_the_end() {
    let world = World::start().await;
    world.cluster.script(B1, To::Sessions, |asked| {
        let records = bytes::Bytes::from(vec![7; 1 << 20]);
        vec![crate::cluster::Act::Say(fetched(12, asked.id, records))]
    });
    let mut client = world.client(BROKER_1).await;
    client.send(&fetch(1, 0)).await;
    pass(SECOND).await;
    let began = tokio::time::Instant::now();
    world.stop.cancel();
    world.serving.await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(took >= 30 * SECOND && took < 31 * SECOND, "{took:?}");
    assert_eq!(world.seen.closed(client.address).await, "drain_expired");
}

/// A response that is on its way to a slow client is still owed.
#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_its_response_to_the_end() {
    let world = World::start().await;
    let records = bytes::Bytes::from(vec![7; 1 << 20]);
    let whole = fetched(12, 1, records);
    let said = whole.clone();
    world.cluster.script(B1, To::Sessions, move |_| {
        vec![crate::cluster::Act::Say(said.clone())]
    });
    let mut client = world.client(BROKER_1).await;
    client.send(&fetch(1, 0)).await;
    pass(SECOND).await;
    world.stop.cancel();
    let mut got = Vec::new();
    while got.len() < whole.len() {
        pass(SECOND).await;
        let mut piece = vec![0; (64 << 10).min(whole.len() - got.len())];
        let read = tokio::io::AsyncReadExt::read_exact(&mut client.far.stream, &mut piece);
        read.await.expect("more of the response");
        got.extend_from_slice(&piece);
    }
    assert!(got == whole);
    world.ends(&mut client, "drained").await;
    world.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_no_time_ends_at_once() {
    let world = World::with(|plan| plan.drain_timeout = Duration::ZERO).await;
    world.cluster.script(B1, To::Sessions, |_| vec![]);
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    pass(SECOND).await;
    let began = tokio::time::Instant::now();
    world.stop.cancel();
    world.ends(&mut client, "drain_expired").await;
    world.serving.await.unwrap().unwrap();
    assert!(began.elapsed() < SECOND / 10, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn discovery_does_not_hold_up_the_end() {
    for place in [crate::mesh::Place::Hangs, crate::mesh::Place::Refuses] {
        let mesh = crate::mesh::Mesh::default();
        let cluster = cluster(&mesh);
        cluster.down(BOOT, place);
        let world = World::cold(mesh, cluster, plan());
        world.dials(BOOT, 1).await;
        let mut waiting = world.client(BROKER_1).await;
        waiting.send(&heartbeat(1)[..9]).await;
        pass(SECOND).await;
        let began = tokio::time::Instant::now();
        world.stop.cancel();
        world.ends(&mut waiting, "drained").await;
        world.serving.await.unwrap().unwrap();
        assert!(began.elapsed() < SECOND / 10, "{:?}", began.elapsed());
    }
}
