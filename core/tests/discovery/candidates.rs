//! Whom discovery asks: in which order, how often, and for how long.

use std::time::Duration;

use doorkeeper_core::discovery::{Failure, Input};
use doorkeeper_core::id::HostPort;
use doorkeeper_core::{ConnectFailure, End, Observation};

use crate::world::{SECOND, World, at, config, pairs};

#[test]
fn candidates_are_tried_in_turn_with_growing_pauses() {
    let mut world = World::new();
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let before = world.now;
        world.input(Input::ConnectFailed(ConnectFailure::Refused));
        world.until_connect();
        pauses.push(world.now.since(before).as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 8]);
    let names: Vec<String> = world.targets.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(
        names,
        [
            "first:1", "second:2", "first:1", "second:2", "first:1", "second:2"
        ]
    );
    world.round("c", &[(0, "a", 1)]);
    assert_eq!(
        world.newest(),
        pairs(&[(0, "a:1")]),
        "it recovers by itself"
    );
}

/// As long as nobody has responded, each has two seconds.
#[test]
fn black_holes_in_the_bootstrap_list_do_not_keep_the_others_waiting() {
    let mut config = config();
    config.bootstrap = ["hole:1", "hole:2", "third:3"].map(at).to_vec();
    let mut world = World::with(config);
    let start = world.now;
    for _ in 0..2 {
        // The driver's own limit is the one of the target.
        world.now = world.now.after(world.targets.last().unwrap().within);
        world.input(Input::ConnectFailed(ConnectFailure::TimedOut));
        world.until_connect();
    }
    assert_eq!(world.targets.last().unwrap().name, at("third:3"));
    // Two attempts of two seconds, and the two pauses.
    assert_eq!(world.now.since(start), 7 * SECOND);
    world.round("c", &[(0, "a", 1)]);
    assert_eq!(world.newest(), pairs(&[(0, "a:1")]));
    let avoided = world.published.last().unwrap().avoided().cloned();
    assert_eq!(avoided.collect::<Vec<_>>(), [at("hole:1"), at("hole:2")]);
}

#[test]
fn all_that_are_slow_get_more_time_each_time_round() {
    let mut world = World::new();
    let mut within = Vec::new();
    for _ in 0..6 {
        let given = world.targets.last().unwrap().within;
        within.push(given.as_secs());
        world.now = world.now.after(given);
        world.input(Input::ConnectFailed(ConnectFailure::TimedOut));
        world.until_connect();
    }
    assert_eq!(within, [2, 2, 4, 4, 5, 5], "the limit is five");
}

/// The time that it took to reach one says what the others need.
#[test]
fn brokers_that_are_slow_and_alive_are_asked_however_many_there_are() {
    const NEEDS: Duration = Duration::from_secs(3);
    let mut world = World::new();
    let hosts: Vec<String> = (0..500).map(|id| format!("slow-{id}")).collect();
    let brokers: Vec<(i32, &str, i32)> = hosts
        .iter()
        .enumerate()
        .map(|(id, host)| (i32::try_from(id).unwrap(), host.as_str(), 1))
        .collect();
    world.round("c", &brokers);
    let mut failed = Vec::new();
    for _ in 0..4 {
        world.until_connect();
        let mut failures = 0;
        while world.targets.last().unwrap().within < NEEDS {
            world.now = world.now.after(world.targets.last().unwrap().within);
            world.input(Input::ConnectFailed(ConnectFailure::TimedOut));
            world.until_connect();
            failures += 1;
        }
        world.now = world.now.after(NEEDS);
        world.round("c", &brokers);
        failed.push(failures);
    }
    assert_eq!(failed, [3, 0, 0, 0], "once it is known that they are slow");
    // One that is quick is none of them.
    world.until_connect();
    world.round("c", &brokers);
    world.until_connect();
    assert_eq!(world.targets.last().unwrap().within, 2 * SECOND);
}

/// A broker that refuses connections needs no more time than there is.
#[test]
fn brokers_that_refuse_get_no_black_hole_more_time() {
    let mut world = World::new();
    for _ in 0..20 {
        world.input(Input::ConnectFailed(ConnectFailure::Refused));
        world.until_connect();
    }
    assert_eq!(world.targets.last().unwrap().within, 2 * SECOND);
}

/// Only the connection is impatient: who is connected has the time that a response has.
#[test]
fn a_connected_broker_that_is_slow_to_respond_is_waited_for() {
    let mut world = World::new();
    world.connect();
    world.now = world.now.after(4 * SECOND);
    world.input(Input::Tick);
    world.offer(0, 13);
    world.list("c", &[(0, "a", 1)]);
    assert_eq!(world.failures(), []);
    assert_eq!(world.newest(), pairs(&[(0, "a:1")]));
}

#[test]
fn what_a_session_could_not_connect_to_is_tried_last_for_a_while() {
    let mut world = World::new();
    world.round("c", &[(0, "a", 1), (1, "b", 1)]);
    let failed = |address: &str, why| {
        let address = at(address);
        Input::Observed(Observation::ConnectFailed { address, why })
    };
    world.input(failed("second:2", ConnectFailure::Refused));
    world.input(failed("elsewhere:1", ConnectFailure::TimedOut));
    assert_eq!(world.published.len(), 1, "neither is worth a snapshot");
    world.input(failed("second:2", ConnectFailure::TimedOut));
    world.input(failed("b:1", ConnectFailure::Loop));
    let before = world.now;
    let avoided = |world: &World| -> Vec<HostPort> {
        world.published.last().unwrap().avoided().cloned().collect()
    };
    assert_eq!(avoided(&world), [at("b:1"), at("second:2")]);
    // Those that had nothing to do with it are asked until then.
    let mut asked = std::collections::BTreeSet::new();
    while !avoided(&world).is_empty() {
        let count = world.targets.len();
        world.now = world.discovery.demand().deadline.unwrap();
        world.input(Input::Tick);
        if world.targets.len() > count {
            asked.insert(world.targets.last().unwrap().name.clone());
            world.input(Input::ConnectFailed(ConnectFailure::Refused));
        }
    }
    assert_eq!(world.now.since(before), 30 * SECOND);
    assert!(!asked.contains(&at("b:1")) && !asked.contains(&at("second:2")));
}

#[test]
fn a_silent_broker_is_given_up() {
    for step in 0..3 {
        let mut world = World::new();
        if step > 0 {
            world.connect();
        }
        if step > 1 {
            world.offer(0, 13);
        }
        world.until_connect();
        assert_eq!(world.failures(), [Failure::TimedOut]);
        assert_eq!(world.targets[1].name, at("second:2"));
    }
}

#[test]
fn a_lost_connection_is_a_failure_like_any_other() {
    let mut world = World::new();
    world.connect();
    world.input(Input::Ended(End::Reset));
    assert_eq!(world.failures(), [Failure::Ended(End::Reset)]);
}

#[test]
fn learned_addresses_that_lead_nowhere_do_not_keep_the_bootstrap_list_waiting() {
    let mut world = World::new();
    let nowhere: Vec<String> = (0..500).map(|id| format!("nowhere-{id}")).collect();
    let brokers: Vec<(i32, &str, i32)> = nowhere
        .iter()
        .enumerate()
        .map(|(id, host)| (i32::try_from(id).unwrap(), host.as_str(), 1))
        .collect();
    world.round("c", &brokers);
    for _ in 0..12 {
        world.until_connect();
        world.input(Input::ConnectFailed(ConnectFailure::TimedOut));
    }
    for name in ["first:1", "second:2"] {
        let tried = world.targets.iter().filter(|it| it.name == at(name));
        assert!(tried.count() >= 3, "{name} has hardly been tried");
    }
    world.until_connect();
    world.round("c", &[(0, "somewhere", 1)]);
    assert_eq!(world.newest().first(), Some(&(0, "somewhere:1".to_owned())));
}
