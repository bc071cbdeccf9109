//! What discovery learns, and what it does not believe.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use doorkeeper_core::discovery::{Discovery, Event, Failure, Input};
use doorkeeper_core::id::{BrokerId, Seed};
use doorkeeper_core::{ConnectFailure, Observation, work};
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse};

use kafka_protocol::protocol::Encodable;

use crate::world::{SECOND, World, at, pairs};

#[test]
fn the_topology_is_learned_at_once_and_asked_for_again() {
    let mut world = World::new();
    assert_eq!(world.targets[0].name, at("first:1"));
    world.round("c", &[(0, "a", 1), (1, "b", 2)]);
    assert_eq!(world.newest(), pairs(&[(0, "a:1"), (1, "b:2")]));
    assert!(!world.connected, "the connection is not kept");
    let before = world.now;
    world.until_connect();
    assert_eq!(world.now.since(before), 30 * SECOND);
    assert_eq!(
        world.targets[1].name,
        at("first:1"),
        "a broker that responded is asked again"
    );
    world.round("c", &[(0, "a", 1), (1, "b", 2)]);
    assert_eq!(world.published.len(), 1, "nothing has changed");
}

#[test]
fn brokers_join_and_move_and_absence_changes_nothing() {
    let mut world = World::new();
    world.round("c", &[(0, "a", 1), (1, "b", 2)]);
    world.until_connect();
    world.round("c", &[(1, "n", 9), (5, "e", 5)]);
    assert_eq!(world.newest(), pairs(&[(0, "a:1"), (1, "n:9"), (5, "e:5")]));
}

#[test]
fn an_error_response_changes_nothing() {
    let mut world = World::new();
    world.round("c", &[(0, "a", 1)]);
    world.until_connect();
    world.round("c", &[]);
    assert_eq!(world.failures(), [Failure::ErrorResponse]);
    assert_eq!(world.published.len(), 1);
}

#[test]
fn brokers_that_make_no_sense_are_ignored_and_the_others_are_not() {
    let mut world = World::new();
    world.round(
        "c",
        &[
            (-1, "a", 1),
            (0, "", 1),
            (1, "b b", 1),
            (2, "b", -1),
            (3, "c", 70_000),
            (4, "d", 4),
        ],
    );
    assert_eq!(world.newest(), pairs(&[(4, "d:4")]));
    let ignored: Vec<&Event> = world
        .events
        .iter()
        .filter(|e| matches!(e, Event::Ignored { .. }))
        .collect();
    let all_of_them = Event::Ignored {
        broker: BrokerId(-1),
        brokers: 5,
    };
    assert_eq!(ignored, [&all_of_them]);
}

#[test]
fn responses_that_make_no_sense_are_ignored() {
    let lies: [fn(&mut World); 6] = [
        |world| world.input(Input::Bytes(Bytes::from_static(&[0xff; 4]))),
        |world| world.input(Input::Bytes(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]))),
        |world| {
            let id = world.asked();
            world.respond(id + 1, 0, &ApiVersionsResponse::default());
        },
        |world| world.offer(12, 13),
        |world| {
            world.offer(0, 13);
            let id = world.asked();
            let mut frame = BytesMut::new();
            frame.put_i32(8);
            frame.put_i32(id);
            frame.put_i32(i32::MAX);
            world.input(Input::Bytes(frame.freeze()));
        },
        |world| {
            let id = world.asked();
            world.respond(id, 0, &ApiVersionsResponse::default().with_error_code(35));
        },
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let mut world = World::new();
        world.connect();
        lie(&mut world);
        assert_eq!(world.failures(), [Failure::BadResponse], "lie {index}");
        assert!(!world.connected);
        assert!(world.published.is_empty());
    }
}

#[test]
fn a_learned_address_of_another_cluster_is_ignored() {
    let mut world = World::new();
    world.round("ours", &[(0, "a", 1)]);
    world.until_connect();
    let name = &world.targets.last().unwrap().name;
    assert_eq!(name, &at("first:1"), "the one that has just responded");
    world.input(Input::ConnectFailed(ConnectFailure::Refused));
    world.until_connect();
    assert_eq!(
        world.targets.last().unwrap().name,
        at("a:1"),
        "a learned one"
    );
    world.round("theirs", &[(0, "evil", 1)]);
    assert_eq!(world.failures().last(), Some(&Failure::OtherCluster));
    assert_eq!(world.newest(), pairs(&[(0, "a:1")]));
    // What the configuration names is the cluster, whatever it was before.
    world.until_connect();
    assert_eq!(world.targets.last().unwrap().name, at("second:2"));
    world.round("theirs", &[(0, "new", 1)]);
    assert_eq!(world.newest(), pairs(&[(0, "new:1")]));
}

#[test]
fn a_hint_brings_the_next_question_forward_but_not_too_often() {
    let mut world = World::new();
    world.round("c", &[(0, "a", 1)]);
    let known = Observation::Endpoint {
        broker: BrokerId(0),
        address: at("a:1"),
    };
    world.input(Input::Observed(known));
    let before = world.now;
    assert_eq!(
        world.discovery.demand().deadline,
        Some(before.after(30 * SECOND))
    );
    let news = Observation::Endpoint {
        broker: BrokerId(9),
        address: at("z:9"),
    };
    for _ in 0..10 {
        world.input(Input::Observed(news.clone()));
    }
    world.until_connect();
    assert_eq!(world.now.since(before), 2 * SECOND);
    assert_eq!(world.targets.len(), 2);
    assert_ne!(
        world.targets[0].name, world.targets[1].name,
        "the broker that responded last may be the one that does not know"
    );
}

#[test]
fn a_hint_that_comes_while_a_question_is_open_is_not_lost() {
    let mut world = World::new();
    world.connect();
    world.offer(0, 13);
    let moved = Observation::Endpoint {
        broker: BrokerId(0),
        address: at("new:1"),
    };
    world.input(Input::Observed(moved.clone()));
    let before = world.now;
    world.list("c", &[(0, "old", 1)]);
    world.until_connect();
    assert_eq!(world.now.since(before), 2 * SECOND);
    // A response that knows it already settles the matter.
    world.connect();
    world.offer(0, 13);
    world.input(Input::Observed(moved));
    let before = world.now;
    world.list("c", &[(0, "new", 1)]);
    world.until_connect();
    assert_eq!(world.now.since(before), 30 * SECOND);
}

#[test]
fn nothing_of_another_cluster_is_kept() {
    let mut world = World::new();
    world.round("one", &[(0, "a", 1), (1, "b", 2)]);
    world.until_connect();
    world.round("two", &[(0, "n", 1)]);
    assert_eq!(world.newest(), pairs(&[(0, "n:1")]));
}

#[test]
fn every_version_that_can_be_chosen_can_be_asked_in() {
    for last in 4..=13 {
        let mut world = World::new();
        world.connect();
        world.offer(0, last);
        assert_eq!(world.failures(), [], "offered up to {last}");
        assert!(!world.sent.is_empty());
    }
}

#[test]
fn there_is_an_end_to_the_brokers_that_are_believed() {
    let mut world = World::new();
    for round in 0..20 {
        let ids = round * 1000..(round + 1) * 1000;
        let brokers: Vec<(i32, &str, i32)> = ids.map(|id| (id, "h", 1)).collect();
        world.round("c", &brokers);
        world.until_connect();
    }
    assert_eq!(world.newest().len(), 10_000);
    assert!(world.events.contains(&Event::Ignored {
        broker: BrokerId(19_000),
        brokers: 1000,
    }));
    // Those that are known are followed all the same.
    world.round("c", &[(7, "moved", 1)]);
    assert!(world.newest().contains(&(7, "moved:1".to_owned())));
}

#[test]
fn a_machine_that_takes_over_forgets_nothing_that_was_published() {
    let mut world = World::new();
    world.round("c", &[(0, "a", 1), (1, "b", 2)]);
    let known = Arc::clone(&world.published[0]);
    let config = world.config.clone();
    world.discovery = Discovery::knowing(world.now, config, Seed([0; 32]), known);
    world.settle();
    world.round("c", &[(0, "a", 1)]);
    assert_eq!(world.published.len(), 1, "nothing has changed");
    world.until_connect();
    world.round("c", &[(0, "n", 9)]);
    assert_eq!(world.newest(), pairs(&[(0, "n:9"), (1, "b:2")]));
}

/// What it takes to read a response follows its length, however many brokers it lists.
#[test]
fn a_list_of_more_brokers_than_any_cluster_has_costs_a_few_steps_a_byte() {
    const BROKERS: i32 = 40_000;
    let mut world = World::new();
    world.connect();
    world.offer(0, 9);
    let id = world.asked();
    let entry = |id: i32| {
        MetadataResponseBroker::default()
            .with_node_id(id.into())
            .with_host("k".to_string().into())
            .with_port(9092)
    };
    let body = MetadataResponse::default().with_brokers((0..BROKERS).map(entry).collect());
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i32(id);
    body.encode(&mut frame, 8).unwrap();
    let len = i32::try_from(frame.len()).unwrap() - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    let (bytes, before) = (frame.len() as u64, work::taken());
    for piece in frame.chunks(100) {
        world.input(Input::Bytes(Bytes::copy_from_slice(piece)));
    }
    let steps = work::taken() - before;
    assert!(steps <= 8 * bytes, "{steps} steps for {bytes} bytes");
    assert_eq!(world.published[0].len(), 10_000);
    let ignored = |event: &Event| {
        matches!(
            event,
            Event::Ignored {
                brokers: 30_000,
                ..
            }
        )
    };
    assert!(world.events.iter().any(ignored));
}
