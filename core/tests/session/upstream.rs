//! The way up: whom a session dials, how often, and until when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::topology::{DialMap, DialRule, Topology};
use doorkeeper_core::{CloseReason, ConnectFailure, Input, Observation, Route, Snapshot};

use crate::harness::*;
use crate::relay::{heartbeat, produce};

fn names(world: &World) -> Vec<String> {
    world
        .targets
        .iter()
        .map(|target| target.name.to_string())
        .collect()
}

#[test]
fn nothing_is_dialled_before_the_first_whole_frame() {
    let mut world = World::new();
    let frame = heartbeat(1);
    world.client(&frame[..frame.len() - 1]);
    assert!(world.targets.is_empty());
    world.client(&frame[frame.len() - 1..]);
    assert_eq!(names(&world), ["kafka-1.canary:9092"]);
    assert_eq!(world.to_upstream, frame);
}

/// Nothing is read of the client any more, so nothing else would ever move.
#[test]
fn half_a_request_is_dialled_for_when_there_is_no_room_for_the_rest() {
    let mut world = World::new();
    let frame = produce(1, 1, 5000);
    world.client(&frame[..2000]);
    assert!(world.targets.is_empty(), "it could be somebody who knocks");
    world.renew(|snapshot| snapshot.limits.egress_high_bytes = 1000);
    assert_eq!(names(&world), ["kafka-1.canary:9092"]);
    world.client(&frame[2000..]);
    assert_eq!(world.to_upstream, frame);
}

#[test]
fn another_address_is_dialled_than_the_name_says() {
    let mut snapshot = snapshot();
    snapshot.dial = DialMap::new(vec![DialRule {
        host: "kafka-*.canary".into(),
        port: None,
        to_host: "127.0.0.1".into(),
        to_port: Some(7),
    }]);
    let mut world = World::with(snapshot, Route::Broker(BrokerId(2)));
    world.client(&heartbeat(1));
    assert_eq!(names(&world), ["kafka-2.canary:9092"]);
    assert_eq!(world.targets[0].dial, at("127.0.0.1:7"));
}

#[test]
fn the_bootstrap_list_and_known_brokers_are_tried_in_turn_with_growing_pauses() {
    let mut world = World::with(snapshot(), Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        world.connect_failed(ConnectFailure::Refused);
        let before = world.now;
        let count = world.targets.len();
        while world.targets.len() == count {
            world.now = world.session.demand().deadline.unwrap();
            world.input(Input::Tick);
        }
        pauses.push(world.now.since(before).as_millis());
    }
    assert_eq!(pauses, [50, 100, 200, 400]);
    let expected = [
        "bootstrap.canary:9092",
        "kafka-0.canary:9092",
        "spare.canary:9092",
        "kafka-1.canary:9092",
        "bootstrap.canary:9092",
    ];
    assert_eq!(names(&world), expected);
    world.connected = true;
    world.input(Input::Connected);
    assert_eq!(world.to_upstream, heartbeat(1), "nothing was lost");
    assert_eq!(counts(&world.events)["attempt failed"], 4);
}

/// Whom others have found to swallow connections comes last, and not never.
#[test]
fn black_holes_that_others_have_met_are_tried_last() {
    let holes = ["bootstrap.canary:9092", "kafka-0.canary:9092"];
    let mut known = snapshot();
    let avoiding = known.topology.avoiding(holes.map(at).into());
    known.topology = avoiding.unwrap().into();
    let mut world = World::with(known, Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    let first = world.targets.len();
    assert_eq!(first, 1);
    let mut waited = Duration::ZERO;
    while world.targets.len() < 6 {
        let count = world.targets.len();
        waited += world.targets[count - 1].within;
        world.connect_failed(ConnectFailure::Refused);
        while world.targets.len() == count {
            world.now = world.session.demand().deadline.unwrap();
            world.input(Input::Tick);
        }
    }
    let tried = names(&world);
    let is_hole = |name: &String| holes.contains(&name.as_str());
    assert!(!tried[..3].iter().any(is_hole), "{tried:?}");
    assert!(tried[3..].iter().any(is_hole), "{tried:?}");
}

#[test]
fn a_black_hole_is_left_after_two_seconds_where_there_are_others_and_reported() {
    let mut world = World::with(snapshot(), Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    assert_eq!(world.targets[0].within, Duration::from_secs(2));
    world.connect_failed(ConnectFailure::Refused);
    assert_eq!(world.learned, []);
    world.now = world.session.demand().deadline.unwrap();
    world.input(Input::Tick);
    let address = world.targets[1].name.clone();
    world.connect_failed(ConnectFailure::TimedOut);
    let why = ConnectFailure::TimedOut;
    assert_eq!(world.learned, [Observation::ConnectFailed { address, why }]);
}

/// Many brokers behind `bootstrap.canary:9092`.
fn many(brokers: i32) -> Snapshot {
    let name = |id: i32| (BrokerId(id), at(&format!("many-{id}.canary:9092")));
    let seen: Vec<(BrokerId, HostPort)> = (0..brokers).map(name).collect();
    let mut snapshot = snapshot();
    snapshot.bootstrap.truncate(1);
    snapshot.topology = Topology::default().merged(&seen, None).unwrap().into();
    snapshot
}

/// Lets attempts fail as their time ends until one has so much, or the session has closed.
fn until_given(world: &mut World, enough: Duration) {
    while world.closed.is_none() {
        let (count, within) = (world.targets.len(), world.targets.last().unwrap().within);
        if within >= enough {
            return;
        }
        world.now = world.now.after(within);
        world.connect_failed(ConnectFailure::TimedOut);
        while world.closed.is_none() && world.targets.len() == count {
            world.now = world.session.demand().deadline.unwrap();
            world.input(Input::Tick);
        }
    }
}

/// A SYN that was lost twice is sent for the third time after three seconds.
#[test]
fn brokers_that_are_slow_and_alive_are_reached_however_many_there_are() {
    for brokers in [1, 2, 3, 500] {
        let mut world = World::with(many(brokers), Route::Bootstrap);
        world.connects = false;
        world.client(&heartbeat(1));
        until_given(&mut world, Duration::from_millis(3200));
        assert_eq!(world.closed, None, "{brokers} brokers");
        world.connected = true;
        world.input(Input::Connected);
        assert_eq!(world.to_upstream, heartbeat(1));
    }
}

#[test]
fn an_attempt_that_was_cut_short_says_nothing_of_its_address() {
    let mut world = World::with(many(500), Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    until_given(&mut world, Duration::from_secs(60));
    let closed = CloseReason::Unreachable(ConnectFailure::TimedOut);
    assert_eq!(world.closed, Some(closed));
    let long = |within: Duration| within >= Duration::from_secs(2);
    let long: Vec<HostPort> = world
        .targets
        .iter()
        .filter(|target| long(target.within))
        .map(|target| target.name.clone())
        .collect();
    let hints = world.learned.iter().map(|observation| match observation {
        Observation::ConnectFailed { address, .. } => address.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(hints.collect::<Vec<_>>(), long);
    assert!(world.targets.iter().all(|target| !target.within.is_zero()));
}

/// Each that others have not found to be a black hole comes before any that they have, also where
/// the list and what was found are not of one length, and where one of them is left out.
#[test]
fn all_that_is_promising_is_tried_before_what_is_not() {
    let all = [
        "bootstrap.canary:9092",
        "spare.canary:9092",
        "kafka-0.canary:9092",
        "kafka-1.canary:9092",
        "kafka-2.canary:9092",
    ];
    for holes in 0_u32..31 {
        let is_hole = |index: usize| holes & (1 << index) != 0;
        let hole = |index: usize| is_hole(index).then(|| at(all[index]));
        let mut known = snapshot();
        let avoiding = known.topology.avoiding((0..5).filter_map(hole).collect());
        known.topology = avoiding.map_or(known.topology, Arc::new);
        known.limits.connect_timeout = Duration::from_secs(60);
        let mut world = World::with(known, Route::Bootstrap);
        world.connects = false;
        world.client(&heartbeat(1));
        while world.targets.len() < 16 {
            let count = world.targets.len();
            world.connect_failed(ConnectFailure::Refused);
            while world.targets.len() == count {
                world.now = world.session.demand().deadline.unwrap();
                world.input(Input::Tick);
            }
        }
        let tried = names(&world);
        let first = |name: &str| tried.iter().position(|it| it == name);
        let firsts = |wanted: bool| {
            let which = (0..5).filter(move |index| is_hole(*index) == wanted);
            which.map(|index| first(all[index]).expect("each has its turn"))
        };
        let last_promising = firsts(false).max().unwrap();
        let first_hole = firsts(true).min().unwrap_or(usize::MAX);
        assert!(last_promising < first_hole, "{holes:05b}: {tried:?}");
        // The list and the rest take turns as long as both have somebody to offer.
        let is_listed = |name: &String| all[..2].contains(&name.as_str());
        let turns: Vec<bool> = tried[..=last_promising].iter().map(is_listed).collect();
        let (listed, found) = (holes & 3 != 3, holes & 28 != 28);
        if listed && found {
            assert!(turns.windows(2).all(|two| two[0] != two[1]), "{tried:?}");
        }
    }
}

/// What the session itself has found out changes what is promising, in the middle of its attempts.
#[test]
fn no_candidate_is_passed_over_because_of_a_black_hole() {
    let mut world = World::with(snapshot(), Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    let mut holes = BTreeSet::new();
    while world.targets.len() < 6 {
        let count = world.targets.len();
        holes.insert(world.targets[count - 1].name.clone());
        world.connect_failed(ConnectFailure::TimedOut);
        let found = holes.clone();
        world.renew(|snapshot| {
            let avoiding = snapshot.topology.avoiding(found);
            snapshot.topology = avoiding.map_or_else(|| Arc::clone(&snapshot.topology), Arc::new);
        });
        while world.targets.len() == count {
            world.now = world.session.demand().deadline.unwrap();
            world.input(Input::Tick);
        }
    }
    let first: BTreeSet<String> = names(&world)[..5].iter().cloned().collect();
    assert_eq!(first.len(), 5, "{:?}", names(&world));
}

/// Trying again would only come back again.
#[test]
fn a_broker_whose_address_is_our_own_is_dialled_once() {
    let mut world = World::new();
    world.connects = false;
    world.client(&heartbeat(1));
    world.connect_failed(ConnectFailure::Loop);
    let reason = CloseReason::Unreachable(ConnectFailure::Loop);
    assert_eq!(world.closed, Some(reason));
    assert_eq!(world.targets.len(), 1);
    assert_eq!(reason.name(), "upstream_loop");
    // Any other broker will do on the way in.
    let mut world = World::with(snapshot(), Route::Bootstrap);
    world.connects = false;
    world.client(&heartbeat(1));
    world.connect_failed(ConnectFailure::Loop);
    assert_eq!(world.closed, None);
}

#[test]
fn a_broker_that_cannot_be_reached_in_time_is_given_up() {
    let mut world = World::new();
    world.connects = false;
    world.client(&heartbeat(1));
    while world.closed.is_none() {
        world.connect_failed(ConnectFailure::Refused);
        let count = world.targets.len();
        while world.closed.is_none() && world.targets.len() == count {
            world.now = world.session.demand().deadline.unwrap();
            world.input(Input::Tick);
        }
    }
    assert_eq!(
        world.closed,
        Some(CloseReason::Unreachable(ConnectFailure::Refused))
    );
    assert!(world.now.as_nanos() <= 11_000_000_000);
    assert!(world.learned.contains(&Observation::Unreachable {
        broker: BrokerId(1)
    }));
}

#[test]
fn an_attempt_that_never_ends_is_given_up() {
    let mut world = World::new();
    world.connects = false;
    world.client(&heartbeat(1));
    world.advance(Duration::from_secs(10));
    let why = ConnectFailure::TimedOut;
    assert_eq!(world.closed, Some(CloseReason::Unreachable(why)));
    let (address, broker) = (at("kafka-1.canary:9092"), BrokerId(1));
    let learned = [
        Observation::ConnectFailed { address, why },
        Observation::Unreachable { broker },
    ];
    assert_eq!(world.learned, learned, "others need not wait for it");
}

#[test]
fn sessions_wait_for_the_first_topology() {
    let mut early = snapshot();
    early.topology = Topology::default().into();
    for route in [Route::Bootstrap, Route::Broker(BrokerId(1))] {
        let mut world = World::with(early.clone(), route);
        world.client(&heartbeat(1));
        assert!(world.targets.is_empty());
        assert!(world.session.demand().snapshot);
        world.advance(Duration::from_secs(9));
        world.renew(|snapshot| snapshot.topology = topology());
        assert_eq!(world.targets.len(), 1);
        assert_eq!(world.to_upstream, heartbeat(1));
        assert!(!world.session.demand().snapshot);
    }
}

#[test]
fn but_not_for_ever() {
    let mut early = snapshot();
    early.topology = Topology::default().into();
    let mut world = World::with(early, Route::Broker(BrokerId(1)));
    world.client(&heartbeat(1));
    world.advance(Duration::from_secs(10));
    assert_eq!(world.closed, Some(CloseReason::TopologyUnknown));
}

#[test]
fn a_broker_of_which_nothing_was_heard_is_asked_for_and_waited_for() {
    let mut snapshot = snapshot();
    snapshot.topology = Topology::default()
        .merged(&[(BrokerId(0), at("a:1"))], None)
        .unwrap()
        .into();
    let mut world = World::with(snapshot.clone(), Route::Broker(BrokerId(2)));
    world.client(&heartbeat(1));
    assert_eq!(
        world.learned,
        [Observation::Unreachable {
            broker: BrokerId(2)
        }]
    );
    let mut late = World::with(snapshot, Route::Broker(BrokerId(2)));
    late.client(&heartbeat(1));
    late.renew(|snapshot| snapshot.topology = topology());
    assert_eq!(names(&late), ["kafka-2.canary:9092"]);
    world.advance(Duration::from_secs(10));
    assert_eq!(world.closed, Some(CloseReason::BrokerUnknown(BrokerId(2))));
}

#[test]
fn a_broker_that_moved_while_it_was_dialled_is_dialled_anew() {
    let mut world = World::new();
    world.connects = false;
    world.client(&heartbeat(1));
    world.connect_failed(ConnectFailure::Refused);
    world.renew(|snapshot| {
        let moved = snapshot
            .topology
            .merged(&[(BrokerId(1), at("new:1"))], None)
            .unwrap();
        snapshot.topology = moved.into();
    });
    world.advance(Duration::from_millis(60));
    assert_eq!(names(&world), ["kafka-1.canary:9092", "new:1"]);
}
