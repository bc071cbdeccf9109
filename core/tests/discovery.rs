//! Discovery, driven by hand: what it asks, what it learns, and what it does not believe.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and its helpers fail by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use doorkeeper_core::discovery::{Config, Discovery, Effect, Event, Failure, Input};
use doorkeeper_core::id::{ApiKey, ApiVersion, BrokerId, HostPort, Seed};
use doorkeeper_core::topology::{DialMap, Topology};
use doorkeeper_core::{ConnectFailure, End, Instant, Observation, Target, work};
use kafka_protocol::messages::api_versions_response::ApiVersion as Range;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse};
use kafka_protocol::protocol::Encodable;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    config: Config,
    discovery: Discovery,
    now: Instant,
    targets: Vec<Target>,
    published: Vec<Arc<Topology>>,
    events: Vec<Event>,
    connected: bool,
    sent: Vec<u8>,
}

fn at(text: &str) -> HostPort {
    text.parse().unwrap()
}

fn config() -> Config {
    Config {
        bootstrap: vec![at("first:1"), at("second:2")],
        dial: DialMap::default(),
        refresh_interval: 30 * SECOND,
        refresh_interval_min: 2 * SECOND,
        connect_timeout: 5 * SECOND,
        request_timeout: 5 * SECOND,
        backoff_min: SECOND,
        backoff_max: 8 * SECOND,
        frame_bytes_max: 1 << 20,
        learns_versions: false,
    }
}

impl World {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let now = Instant::from_nanos(1);
        let mut world = Self {
            discovery: Discovery::new(now, config.clone(), Seed([0; 32])),
            config,
            now,
            targets: Vec::new(),
            published: Vec::new(),
            events: Vec::new(),
            connected: false,
            sent: Vec::new(),
        };
        world.settle();
        world
    }

    fn settle(&mut self) {
        while let Some(effect) = self.discovery.poll() {
            match effect {
                Effect::Connect(target) => self.targets.push(target),
                Effect::Disconnect => self.connected = false,
                Effect::Publish(topology) => self.published.push(topology),
                Effect::Report(event) => self.events.push(event),
            }
        }
        let due: Vec<u8> = self
            .discovery
            .egress()
            .slices()
            .flatten()
            .copied()
            .collect();
        if self.connected && !due.is_empty() {
            self.sent.extend_from_slice(&due);
            self.input(Input::Wrote(due.len()));
        }
    }

    fn input(&mut self, input: Input) {
        self.discovery.handle(self.now, input);
        self.settle();
    }

    /// Lets time pass until the next deadline that does something.
    fn until_connect(&mut self) {
        let count = self.targets.len();
        while self.targets.len() == count {
            self.now = self.discovery.demand().deadline.unwrap();
            self.input(Input::Tick);
        }
    }

    fn connect(&mut self) {
        self.connected = true;
        self.input(Input::Connected);
    }

    /// The correlation id of the request that was sent last.
    fn asked(&mut self) -> i32 {
        let sent = std::mem::take(&mut self.sent);
        i32::from_be_bytes(sent[8..12].try_into().unwrap())
    }

    fn respond(&mut self, id: i32, version: i16, body: &impl Encodable) {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i32(id);
        body.encode(&mut frame, version).unwrap();
        let len = i32::try_from(frame.len()).unwrap() - 4;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        // In two pieces, as a network may bring it.
        let tail = frame.split_off(5);
        self.input(Input::Bytes(frame.freeze()));
        self.input(Input::Bytes(tail.freeze()));
    }

    fn offer(&mut self, first: i16, last: i16) {
        let id = self.asked();
        let range = Range::default()
            .with_api_key(3)
            .with_min_version(first)
            .with_max_version(last);
        self.respond(
            id,
            0,
            &ApiVersionsResponse::default().with_api_keys(vec![range]),
        );
    }

    fn list(&mut self, cluster: &str, brokers: &[(i32, &str, i32)]) {
        let id = self.asked();
        let entry = |(id, host, port): &(i32, &str, i32)| {
            MetadataResponseBroker::default()
                .with_node_id((*id).into())
                .with_host((*host).to_string().into())
                .with_port(*port)
        };
        let body = MetadataResponse::default()
            .with_brokers(brokers.iter().map(entry).collect())
            .with_cluster_id(Some(cluster.to_string().into()));
        self.respond(id, 8, &body);
    }

    fn round(&mut self, cluster: &str, brokers: &[(i32, &str, i32)]) {
        self.connect();
        self.offer(0, 13);
        self.list(cluster, brokers);
    }

    fn newest(&self) -> Vec<(i32, String)> {
        let newest = self.published.last().unwrap();
        newest
            .brokers()
            .map(|(id, at)| (id.0, at.to_string()))
            .collect()
    }

    fn failures(&self) -> Vec<Failure> {
        let failed = |event: &Event| match event {
            Event::Failed { why, .. } => Some(*why),
            Event::Refreshed { .. } | Event::Ignored { .. } => None,
        };
        self.events.iter().filter_map(failed).collect()
    }
}

fn pairs(brokers: &[(i32, &str)]) -> Vec<(i32, String)> {
    brokers
        .iter()
        .map(|(id, at)| (*id, (*at).to_string()))
        .collect()
}

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
    let newest = world.published.last().unwrap();
    assert!(newest.versions_at(&at("a:1")).is_none());
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
fn a_lost_connection_is_a_failure_like_any_other() {
    let mut world = World::new();
    world.connect();
    world.input(Input::Ended(End::Reset));
    assert_eq!(world.failures(), [Failure::Ended(End::Reset)]);
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
