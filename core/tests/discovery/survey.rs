//! What each broker can do, asked once.

use doorkeeper_core::discovery::{Config, Input};
use doorkeeper_core::id::{ApiKey, ApiVersion, BrokerId};
use doorkeeper_core::{ConnectFailure, Observation};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion as Range;

use crate::world::{SECOND, World, at, config};

/// What a broker says of ApiVersions itself and of Metadata, in the version that it was asked in.
fn says(world: &mut World, version: i16, last_metadata: i16) {
    let sent = world.sent.clone();
    assert_eq!(
        sent[4..8],
        [18_i16.to_be_bytes(), version.to_be_bytes()].concat(),
        "ApiVersions of that version"
    );
    let id = world.asked();
    let range = |key, last| {
        Range::default()
            .with_api_key(key)
            .with_min_version(0)
            .with_max_version(last)
    };
    let body =
        ApiVersionsResponse::default().with_api_keys(vec![range(18, 4), range(3, last_metadata)]);
    world.respond(id, version, &body);
}

/// All exchanges with one broker that is asked what it can do.
fn surveyed(world: &mut World, last_metadata: i16, brokers: &[(i32, &str, i32)]) {
    world.connect();
    for version in 0..=4 {
        says(world, version, last_metadata);
    }
    world.list("c", brokers);
}

fn learning() -> World {
    World::with(Config {
        learns_versions: true,
        ..config()
    })
}

#[test]
fn each_broker_is_asked_once_what_it_can_do() {
    let brokers = [(0, "a", 1), (1, "b", 2)];
    let mut world = learning();
    surveyed(&mut world, 13, &brokers);
    // What the configuration names is no broker, but better than nothing.
    let last = |world: &World| {
        let newest = world.published.last().unwrap();
        let mut last: Vec<i16> = newest
            .versions()
            .map(|it| it.range(ApiKey(3)).unwrap().last)
            .collect();
        last.sort_unstable();
        last
    };
    assert_eq!(last(&world), [13]);
    let mut asked = Vec::new();
    while asked.len() < 2 {
        let before = world.now;
        world.until_connect();
        assert_eq!(world.now.since(before), 2 * SECOND);
        let name = world.targets.last().unwrap().name.clone();
        let last_metadata = if name == at("a:1") { 12 } else { 11 };
        surveyed(&mut world, last_metadata, &brokers);
        if name != at("second:2") {
            asked.push(name);
        }
    }
    asked.sort();
    assert_eq!(asked, [at("a:1"), at("b:2")]);
    assert_eq!(last(&world), [11, 12]);
    let newest = world.published.last().unwrap();
    let versions = newest.versions_at(&at("a:1")).unwrap();
    assert_eq!(versions.body(ApiVersion(4)).unwrap()[..2], [0, 0]);
    assert!(versions.body(ApiVersion(5)).is_none());
    // All have said it: the next refresh is not hurried.
    let before = world.now;
    world.until_connect();
    assert_eq!(world.now.since(before), 30 * SECOND);
}

#[test]
fn a_broker_that_was_down_is_asked_again() {
    let brokers = [(0, "a", 1)];
    let mut world = learning();
    surveyed(&mut world, 13, &brokers);
    while world.targets.last().unwrap().name != at("a:1") {
        world.until_connect();
        surveyed(&mut world, 13, &brokers);
    }
    let newest = world.published.last().unwrap();
    assert!(newest.versions_at(&at("a:1")).is_some());
    world.now = world.now.after(5 * SECOND);
    world.input(Input::Observed(Observation::Unreachable {
        broker: BrokerId(0),
    }));
    // A session may have failed for a reason of its own: nobody else waits because of it.
    let newest = world.published.last().unwrap();
    assert!(newest.versions_at(&at("a:1")).is_some());
    let asked = world.targets.len();
    world.until_connect();
    let mut names = world.targets[asked..].iter().map(|it| it.name.clone());
    let is_asked = names.any(|it| it == at("a:1")) || {
        surveyed(&mut world, 13, &brokers);
        world.until_connect();
        world.targets.last().unwrap().name == at("a:1")
    };
    assert!(is_asked);
}

#[test]
fn brokers_that_are_down_keep_nobody_waiting() {
    let mut world = learning();
    surveyed(&mut world, 13, &[(0, "a", 1), (1, "b", 2), (2, "d", 3)]);
    let mut refused = 0;
    // Whoever is learned is down; what the configuration names is up.
    for _ in 0..20 {
        world.until_connect();
        let name = world.targets.last().unwrap().name.clone();
        if [at("first:1"), at("second:2")].contains(&name) {
            break;
        }
        refused += 1;
        world.input(Input::ConnectFailed(ConnectFailure::Refused));
    }
    assert!(
        refused <= 2,
        "{refused} brokers before the configured names"
    );
}

/// Goes on until a broker has been asked, and says what all can do then.
fn until_asked(world: &mut World, name: &str, last_metadata: i16, brokers: &[(i32, &str, i32)]) {
    for _ in 0..10 {
        world.until_connect();
        let is_it = world.targets.last().unwrap().name == at(name);
        surveyed(world, last_metadata, brokers);
        if is_it {
            return;
        }
    }
    panic!("{name} is never asked");
}

fn last_metadata(world: &World, name: &str) -> Option<i16> {
    let newest = world.published.last().unwrap();
    let versions = newest.versions_at(&at(name))?;
    Some(versions.range(ApiKey(3)).unwrap().last)
}

#[test]
fn a_broker_that_reappears_is_asked_again_although_no_session_has_missed_it() {
    let both = [(0, "a", 1), (1, "b", 2)];
    let mut world = learning();
    surveyed(&mut world, 13, &both);
    until_asked(&mut world, "a:1", 11, &both);
    until_asked(&mut world, "b:2", 12, &both);
    assert_eq!(last_metadata(&world, "b:2"), Some(12));
    // It is away, and back with other software.
    world.until_connect();
    surveyed(&mut world, 11, &[(0, "a", 1)]);
    assert_eq!(last_metadata(&world, "b:2"), None);
    world.until_connect();
    surveyed(&mut world, 11, &both);
    until_asked(&mut world, "b:2", 13, &both);
    assert_eq!(last_metadata(&world, "b:2"), Some(13));
}

#[test]
fn a_broker_that_is_gone_for_good_is_neither_asked_nor_believed() {
    let mut world = learning();
    surveyed(&mut world, 13, &[(0, "a", 1), (1, "b", 2)]);
    until_asked(&mut world, "b:2", 11, &[(0, "a", 1), (1, "b", 2)]);
    world.until_connect();
    surveyed(&mut world, 13, &[(0, "a", 1)]);
    let asked = world.targets.len();
    for _ in 0..10 {
        world.until_connect();
        // A learned address may be asked for the brokers, and has nothing to say.
        if world.targets.last().unwrap().name == at("b:2") {
            world.input(Input::ConnectFailed(ConnectFailure::TimedOut));
        } else {
            surveyed(&mut world, 13, &[(0, "a", 1)]);
        }
    }
    assert_eq!(last_metadata(&world, "b:2"), None);
    let times = world.targets[asked..]
        .iter()
        .filter(|it| it.name == at("b:2"));
    assert!(times.count() <= 3, "it is no more than a learned address");
}
