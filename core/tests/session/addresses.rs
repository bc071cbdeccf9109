//! Every place of an address in a response: clients see ours, or none.

use doorkeeper_core::event::{Event, Rewrites};
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::DialMap;
use doorkeeper_core::{CloseReason, Leg, Observation, Route};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::describe_quorum_response::{Listener, Node};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use crate::harness::*;

const CHUNKS: [usize; 4] = [1, 3, 50, usize::MAX];

/// Sends a request and this response to it, in chunks of every size; returns what the client got.
fn through<Q, A>(key: i16, version: i16, ask: &Q, response: &A) -> (A, World)
where
    Q: Encodable + HeaderVersion,
    A: Encodable + Decodable + HeaderVersion + PartialEq + std::fmt::Debug,
{
    let results = CHUNKS.map(|chunk| {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&request(key, version, 7, ask));
        world.upstream(&response_frame(version, 7, response));
        assert_eq!(world.closed, None, "version {version}");
        let text = String::from_utf8_lossy(&world.to_client).to_lowercase();
        assert!(!text.contains("canary"), "version {version}: {text}");
        let (id, body) = decoded::<A>(version, &world.to_client);
        assert_eq!(id, 7);
        (body, world)
    });
    for index in 1..results.len() {
        assert_eq!(results[0].0, results[index].0, "chunks change nothing");
    }
    results.into_iter().next().unwrap()
}

fn rewrites(world: &World) -> Rewrites {
    let rewrites: Vec<Rewrites> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Rewrote(rewrites) => Some(*rewrites),
            _ => None,
        })
        .collect();
    assert!(rewrites.len() <= 1);
    rewrites.first().copied().unwrap_or_default()
}

fn broker(id: i32, host: &str, port: i32) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(id.into())
        .with_host(host.to_string().into())
        .with_port(port)
}

fn metadata(version: i16, brokers: Vec<MetadataResponseBroker>) -> MetadataResponse {
    let partition = MetadataResponsePartition::default()
        .with_partition_index(0)
        .with_leader_id(2.into())
        .with_replica_nodes(vec![2.into(), 9.into()])
        .with_isr_nodes(vec![2.into()]);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName("t".to_string().into())))
        .with_partitions(vec![partition]);
    let mut body = MetadataResponse::default()
        .with_brokers(brokers)
        .with_topics(vec![topic]);
    if version >= 2 {
        body = body.with_cluster_id(Some("cluster".into()));
    }
    if version >= 1 {
        body = body.with_controller_id(1.into());
    }
    body
}

#[test]
fn metadata_names_our_address_for_each_broker_and_keeps_ids() {
    for version in 0..=13 {
        let response = metadata(
            version,
            vec![
                broker(0, "kafka-0.canary", 9092),
                broker(2, "kafka-2.canary", 9092),
                broker(9, "kafka-9.canary", 9092),
            ],
        );
        let ask = MetadataRequest::default();
        let (seen, world) = through(3, version, &ask, &response);
        let expected = metadata(
            version,
            vec![
                broker(0, "doorkeeper.example", 19093),
                broker(2, "doorkeeper.example", 19095),
            ],
        );
        assert_eq!(seen, expected, "version {version}");
        assert_eq!(
            rewrites(&world),
            Rewrites {
                rewritten: 2,
                dropped: 1,
                blanked: 0
            }
        );
        let observed = Observation::Endpoint {
            broker: BrokerId(9),
            address: at("kafka-9.canary:9092"),
        };
        assert_eq!(world.learned, [observed]);
    }
}

#[test]
fn an_address_that_moved_is_ours_all_the_same_and_noted() {
    let response = metadata(9, vec![broker(1, "elsewhere.canary", 1234)]);
    let (seen, world) = through(3, 9, &MetadataRequest::default(), &response);
    assert_eq!(
        seen,
        metadata(9, vec![broker(1, "doorkeeper.example", 19094)])
    );
    let observed = Observation::Endpoint {
        broker: BrokerId(1),
        address: at("elsewhere.canary:1234"),
    };
    assert_eq!(world.learned, [observed]);
}

#[test]
fn addresses_that_make_no_sense_are_never_passed_on() {
    let response = metadata(
        9,
        vec![
            broker(-1, "kafka-0.canary", 9092),
            broker(i32::MIN, "kafka-0.canary", -1),
            broker(1, "kafka 0.canary\u{0}", -77),
            broker(0, "", 0),
        ],
    );
    let (seen, _) = through(3, 9, &MetadataRequest::default(), &response);
    // A broker without a host is a sentinel and passes.
    let expected = vec![broker(1, "doorkeeper.example", 19094), broker(0, "", 0)];
    assert_eq!(seen, metadata(9, expected));
}

#[test]
fn describe_cluster_is_rewritten() {
    for version in 0..=2 {
        let entry = |id: i32, host: &str, port| {
            DescribeClusterBroker::default()
                .with_broker_id(id.into())
                .with_host(host.to_string().into())
                .with_port(port)
                .with_rack(Some("r".into()))
        };
        let body = |brokers| {
            DescribeClusterResponse::default()
                .with_cluster_id("cluster".into())
                .with_controller_id(1.into())
                .with_cluster_authorized_operations(264)
                .with_brokers(brokers)
        };
        let response = body(vec![
            entry(1, "kafka-1.canary", 9092),
            entry(7, "kafka-7.canary", 9092),
        ]);
        let (seen, _) = through(60, version, &DescribeClusterRequest::default(), &response);
        assert_eq!(seen, body(vec![entry(1, "doorkeeper.example", 19094)]));
    }
}

#[test]
fn a_controller_without_an_address_of_ours_is_no_controller() {
    // 9 has no address of ours, 2 has one and is not in the list, -1 is none.
    for (id, expected) in [(9, -1), (2, 2), (-1, -1), (i32::MIN, i32::MIN)] {
        for version in 1..=13 {
            let brokers = vec![broker(9, "kafka-9.canary", 9092)];
            let response = metadata(version, brokers).with_controller_id(id.into());
            let (seen, _) = through(3, version, &MetadataRequest::default(), &response);
            let expected = metadata(version, vec![]).with_controller_id(expected.into());
            assert_eq!(seen, expected, "version {version}");
        }
        for version in 0..=2 {
            let entry = DescribeClusterBroker::default()
                .with_broker_id(9.into())
                .with_host("kafka-9.canary".into())
                .with_port(9092);
            let response = DescribeClusterResponse::default()
                .with_controller_id(id.into())
                .with_brokers(vec![entry]);
            let (seen, _) = through(60, version, &DescribeClusterRequest::default(), &response);
            let expected = DescribeClusterResponse::default().with_controller_id(expected.into());
            assert_eq!(seen, expected, "version {version}");
        }
    }
}

#[test]
fn a_single_coordinator_is_rewritten() {
    for version in 0..=3 {
        let body = |host: &str, port| {
            FindCoordinatorResponse::default()
                .with_node_id(2.into())
                .with_host(host.to_string().into())
                .with_port(port)
        };
        let ask = FindCoordinatorRequest::default().with_key("g".into());
        let (seen, _) = through(10, version, &ask, &body("kafka-2.canary", 9092));
        assert_eq!(seen, body("doorkeeper.example", 19095), "version {version}");
    }
}

#[test]
fn a_single_coordinator_without_an_address_of_ours_is_not_available() {
    for version in 0..=3 {
        let response = FindCoordinatorResponse::default()
            .with_node_id(9.into())
            .with_host("kafka-9.canary".into())
            .with_port(9092);
        let ask = FindCoordinatorRequest::default().with_key("g".into());
        let (seen, world) = through(10, version, &ask, &response);
        let expected = FindCoordinatorResponse::default()
            .with_error_code(15)
            .with_node_id((-1).into())
            .with_port(-1);
        assert_eq!(seen, expected, "version {version}");
        assert_eq!(rewrites(&world).dropped, 1);
    }
}

#[test]
fn an_error_about_a_coordinator_passes_as_it_is() {
    for version in 0..=3 {
        let mut response = FindCoordinatorResponse::default()
            .with_error_code(30)
            .with_node_id((-1).into())
            .with_port(-1);
        if version >= 1 {
            response = response.with_error_message(Some("not you".into()));
        }
        let ask = FindCoordinatorRequest::default().with_key("g".into());
        let (seen, world) = through(10, version, &ask, &response);
        assert_eq!(seen, response);
        assert!(world.learned.is_empty());
        assert!(rewrites(&world).is_empty());
    }
}

#[test]
fn several_coordinators_are_each_decided_on() {
    for version in 4..=6 {
        let entry = |key: &str, id: i32, host: &str, port, error| {
            Coordinator::default()
                .with_key(key.to_string().into())
                .with_node_id(id.into())
                .with_host(host.to_string().into())
                .with_port(port)
                .with_error_code(error)
        };
        let body = |list| FindCoordinatorResponse::default().with_coordinators(list);
        let response = body(vec![
            entry("a", 0, "kafka-0.canary", 9092, 0),
            entry("b", 9, "kafka-9.canary", 9092, 0),
            entry("c", -1, "", -1, 30).with_error_message(Some("see kafka-1.canary".into())),
            entry("d", -1, "kafka-1.canary", 1, 0),
        ]);
        let ask = FindCoordinatorRequest::default().with_coordinator_keys(vec!["a".into()]);
        let (seen, world) = through(10, version, &ask, &response);
        let expected = body(vec![
            entry("a", 0, "doorkeeper.example", 19093, 0),
            entry("b", -1, "", -1, 15),
            entry("c", -1, "", -1, 30).with_error_message(Some("see [upstream]".into())),
            entry("d", -1, "", -1, 15),
        ]);
        assert_eq!(seen, expected, "version {version}");
        assert_eq!(
            rewrites(&world),
            Rewrites {
                rewritten: 1,
                dropped: 2,
                blanked: 1
            }
        );
    }
}

fn produce_response(endpoints: Vec<NodeEndpoint>) -> ProduceResponse {
    let leader = LeaderIdAndEpoch::default()
        .with_leader_id(1.into())
        .with_leader_epoch(4);
    let partition = PartitionProduceResponse::default()
        .with_error_code(6)
        .with_current_leader(leader)
        .with_error_message(Some("the leader is kafka-1.canary:9092".into()));
    let topic = TopicProduceResponse::default()
        .with_name(TopicName("t".to_string().into()))
        .with_partition_responses(vec![partition]);
    ProduceResponse::default()
        .with_responses(vec![topic])
        .with_node_endpoints(endpoints)
}

fn node(id: i32, host: &str, port: i32) -> NodeEndpoint {
    NodeEndpoint::default()
        .with_node_id(id.into())
        .with_host(host.to_string().into())
        .with_port(port)
}

#[test]
fn the_new_leader_in_a_produce_response_has_our_address() {
    for version in 10..=12 {
        let response = produce_response(vec![
            node(1, "kafka-1.canary", 9092),
            node(9, "kafka-9.canary", 9092),
            node(2, &"long-".repeat(60), 9092),
        ]);
        let ask = ProduceRequest::default().with_acks(1);
        let (mut seen, world) = through(0, version, &ask, &response);
        let text = seen.responses[0].partition_responses[0]
            .error_message
            .take();
        assert_eq!(text.unwrap().as_str(), "the leader is [upstream]");
        let ours = [
            node(1, "doorkeeper.example", 19094),
            node(2, "doorkeeper.example", 19095),
        ];
        assert_eq!(seen.node_endpoints, ours);
        assert_eq!(
            rewrites(&world),
            Rewrites {
                rewritten: 2,
                dropped: 1,
                blanked: 1
            }
        );
    }
}

/// A Produce response of the kind that most are: nothing in it could have to be edited.
fn bare() -> ProduceResponse {
    let mut bare = produce_response(vec![]);
    for partition in &mut bare.responses[0].partition_responses {
        partition.error_message = None;
    }
    bare
}

#[test]
fn a_response_without_addresses_passes_unchanged() {
    for version in 8..=12 {
        let (seen, world) = through(0, version, &ProduceRequest::default().with_acks(1), &bare());
        assert_eq!(
            world.to_client,
            response_frame(version, 7, &seen),
            "version {version}"
        );
        assert!(rewrites(&world).is_empty());
    }
}

#[test]
fn a_response_too_long_to_be_buffered_closes_however_it_is_cut() {
    for chunk in CHUNKS {
        let mut snapshot = snapshot();
        snapshot.limits.response_buffer_bytes_max = 20;
        let mut world = World::with(snapshot, Route::Bootstrap);
        world.chunk = chunk;
        world.client(&request(0, 11, 7, &ProduceRequest::default().with_acks(1)));
        world.upstream(&response_frame(11, 7, &bare()));
        assert_eq!(world.closed, Some(CloseReason::BufferLimit(Leg::Upstream)));
        assert!(world.to_client.is_empty());
    }
}

#[test]
fn listeners_of_controllers_are_left_out() {
    let listener = Listener::default()
        .with_name("CONTROLLER".into())
        .with_host("kafka-0.canary".into())
        .with_port(9);
    let node = |listeners| {
        Node::default()
            .with_node_id(3.into())
            .with_listeners(listeners)
    };
    let body = |nodes| DescribeQuorumResponse::default().with_nodes(nodes);
    let response = body(vec![
        node(vec![listener.clone(), listener.clone()]),
        node(vec![]),
        node(vec![listener]),
    ]);
    let (seen, world) = through(55, 2, &DescribeQuorumRequest::default(), &response);
    assert_eq!(seen, body(vec![node(vec![]), node(vec![]), node(vec![])]));
    assert_eq!(rewrites(&world).dropped, 3);
}

fn config(name: &str, value: Option<&str>) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(name.to_string().into())
        .with_value(value.map(|value| value.to_string().into()))
        .with_config_source(-1)
}

fn configs_of(kind: i8, configs: Vec<DescribeConfigsResourceResult>) -> DescribeConfigsResult {
    DescribeConfigsResult::default()
        .with_resource_type(kind)
        .with_resource_name("1".into())
        .with_configs(configs)
}

#[test]
fn configs_of_a_broker_that_hold_addresses_are_shown_as_sensitive() {
    for version in 1..=4 {
        let source = |entry: DescribeConfigsResourceResult| entry.with_config_source(4);
        let synonym = |name: &str, value: Option<&str>| {
            DescribeConfigsSynonym::default()
                .with_name(name.to_string().into())
                .with_value(value.map(|value| value.to_string().into()))
                .with_source(4)
        };
        let listeners = source(config("advertised.listeners", Some("A://nowhere:1")))
            .with_synonyms(vec![
                synonym("advertised.listeners", Some("A://kafka-0.canary:1")),
                synonym("x", None),
            ]);
        let voters = source(config("controller.quorum.voters", Some("1@elsewhere:9")));
        let free_text = source(config("metric.reporters", Some("to kafka-2.canary")));
        let harmless = source(config("num.io.threads", Some("8")))
            .with_synonyms(vec![synonym("a", Some("9"))]);
        let of_topic = configs_of(2, vec![source(config("listeners", Some("mine")))]);
        let response = DescribeConfigsResponse::default().with_results(vec![
            configs_of(
                4,
                vec![
                    listeners.clone(),
                    voters.clone(),
                    free_text.clone(),
                    harmless.clone(),
                ],
            ),
            of_topic.clone(),
        ]);
        let hide =
            |entry: DescribeConfigsResourceResult| entry.with_value(None).with_is_sensitive(true);
        let hidden = hide(listeners).with_synonyms(vec![
            synonym("advertised.listeners", None),
            synonym("x", None),
        ]);
        let expected = DescribeConfigsResponse::default().with_results(vec![
            configs_of(4, vec![hidden, hide(voters), hide(free_text), harmless]),
            of_topic,
        ]);
        let (seen, world) = through(32, version, &DescribeConfigsRequest::default(), &response);
        assert_eq!(seen, expected, "version {version}");
        assert_eq!(rewrites(&world).blanked, 4);
    }
}

/// Brokers at `broker:9092`, whose name is a word that texts have.
fn at_a_word() -> World {
    let mut snapshot = snapshot();
    let bootstrap = vec![at("broker:9092")];
    snapshot.known_hosts = KnownHosts::new(&bootstrap, &DialMap::default(), &topology());
    World::with(snapshot, Route::Bootstrap)
}

#[test]
fn a_host_of_one_label_is_hidden_in_addresses_and_passes_in_prose() {
    for (response, expected) in [
        (
            "only 1 broker(s) are registered",
            "only 1 broker(s) are registered",
        ),
        ("broker broker:9092 is gone", "broker [upstream] is gone"),
        ("at PLAINTEXT://broker:9092", "at PLAINTEXT://[upstream]"),
        ("broker/10.0.0.5:9092 (id: 1)", "[upstream] (id: 1)"),
        ("/10.0.0.5:9092", "[upstream]"),
        ("[::1]:9092", "[upstream]"),
        ("kafka-1.canary/10.0.0.5:9092", "[upstream]"),
        ("ask kafka-1.canary", "ask [upstream]"),
    ] {
        let mut world = at_a_word();
        let ask = FindCoordinatorRequest::default().with_key("g".into());
        world.client(&request(10, 2, 7, &ask));
        let body = FindCoordinatorResponse::default()
            .with_error_code(15)
            .with_error_message(Some(response.into()));
        world.upstream(&response_frame(2, 7, &body));
        let (_, seen) = decoded::<FindCoordinatorResponse>(2, &world.to_client);
        assert_eq!(seen, body.with_error_message(Some(expected.into())));
    }
}

#[test]
fn only_configs_that_hold_an_address_are_hidden() {
    let shown = [
        ("process.roles", "broker,controller"),
        ("controller.quorum.fetch.timeout.ms", "2000"),
        ("controller.quorum.append.linger.ms", "25"),
        ("early.start.listeners", "CLIENT"),
        ("listener.security.protocol.map", "CLIENT:PLAINTEXT"),
        ("broker.rack", "broker"),
    ];
    let hidden = [
        ("controller.quorum.voters", "1@elsewhere:9"),
        ("controller.quorum.bootstrap.servers", "elsewhere:9"),
        ("listeners", "CLIENT://:9092"),
        ("sasl.oauthbearer.token.endpoint.url", "http"),
        (
            "listener.name.client.oauthbearer.sasl.oauthbearer.jwks.endpoint.url",
            "x",
        ),
        ("my.plugin.bootstrap.servers", "elsewhere"),
        ("my.plugin.target", "broker:9092"),
        ("my.plugin.url", "http://elsewhere/"),
        ("my.plugin.host", "kafka-1.canary"),
    ];
    // A broker, and a type of resource that nobody knows yet.
    for kind in [4, 99] {
        let entries = |of: &[(&str, &str)]| -> Vec<DescribeConfigsResourceResult> {
            of.iter()
                .map(|(name, value)| config(name, Some(value)))
                .collect()
        };
        let response = [entries(&shown), entries(&hidden)].concat();
        let response =
            DescribeConfigsResponse::default().with_results(vec![configs_of(kind, response)]);
        let mut world = at_a_word();
        world.client(&request(32, 4, 7, &DescribeConfigsRequest::default()));
        world.upstream(&response_frame(4, 7, &response));
        let (_, seen) = decoded::<DescribeConfigsResponse>(4, &world.to_client);
        for entry in &seen.results[0].configs {
            let is_shown = shown.iter().any(|(name, _)| *name == entry.name.as_str());
            assert_eq!(entry.value.is_some(), is_shown, "{entry:?}");
            assert_eq!(entry.is_sensitive, !is_shown, "{entry:?}");
        }
    }
}

#[test]
fn configs_too_long_to_be_buffered_are_streamed_and_hidden_in_place() {
    let entries = |value: &str| {
        let entry = |at| config(&format!("a.config.{at}"), Some(value)).with_config_source(5);
        (0..50).map(entry).collect::<Vec<_>>()
    };
    let topics = (0..20).map(|_| configs_of(2, entries("kafka-1 at kafka:9092")));
    let failed = configs_of(2, vec![])
        .with_error_code(3)
        .with_error_message(Some("ask kafka-1.canary:9092, or not".into()));
    let secrets = vec![
        config("advertised.listeners", Some("A://kafka-0.canary:1")).with_synonyms(vec![
            DescribeConfigsSynonym::default()
                .with_name("listeners".into())
                .with_value(Some("A://kafka-2.canary:1".into())),
        ]),
        config("num.io.threads", Some("8")),
        config("my.plugin.host", Some("kafka-1.canary")),
    ];
    for version in 1..=4 {
        let results = topics
            .clone()
            .chain([failed.clone(), configs_of(4, secrets.clone())]);
        let response = DescribeConfigsResponse::default().with_results(results.collect());
        let frame = response_frame(version, 7, &response);
        for chunk in [1, 7, 1000, usize::MAX] {
            let mut snapshot = snapshot();
            snapshot.limits.response_buffer_bytes_max = 200;
            let mut world = World::with(snapshot, Route::Bootstrap);
            world.chunk = chunk;
            world.client(&request(32, version, 7, &DescribeConfigsRequest::default()));
            let (most, last) = frame.split_at(frame.len() - 300);
            world.upstream(most);
            assert_eq!(world.closed, None);
            assert!(
                world.to_client.len() >= most.len() - 100,
                "buffered: {chunk}"
            );
            world.upstream(last);
            assert_eq!(world.to_client.len(), frame.len());
            let (_, seen) = decoded::<DescribeConfigsResponse>(version, &world.to_client);
            let mut expected = response.clone();
            expected.results[20].error_message = Some("ask *******************, or not".into());
            let broker = &mut expected.results[21].configs;
            for (at, stars) in [(0, 20), (2, 14)] {
                broker[at].value = Some("*".repeat(stars).into());
                broker[at].is_sensitive = true;
            }
            broker[0].synonyms[0].value = Some("*".repeat(20).into());
            assert!(seen == expected, "version {version}, pieces of {chunk}");
            assert_eq!(rewrites(&world).blanked, 4);
        }
    }
}

#[test]
fn a_text_of_configs_that_is_too_long_to_be_buffered_closes() {
    let mut snapshot = snapshot();
    snapshot.limits.response_buffer_bytes_max = 200;
    let mut world = World::with(snapshot, Route::Bootstrap);
    world.chunk = 50;
    world.client(&request(32, 4, 7, &DescribeConfigsRequest::default()));
    let long = config("a.config", Some(&"x".repeat(1000)));
    let response = DescribeConfigsResponse::default().with_results(vec![configs_of(4, vec![long])]);
    world.upstream(&response_frame(4, 7, &response));
    assert_eq!(world.closed, Some(CloseReason::BufferLimit(Leg::Upstream)));
}

#[test]
fn a_text_that_is_no_utf_8_is_hidden() {
    let mut world = World::new();
    let ask = FindCoordinatorRequest::default().with_key("g".into());
    world.client(&request(10, 2, 7, &ask));
    let body = FindCoordinatorResponse::default().with_error_message(Some("what is this".into()));
    let mut frame = response_frame(2, 7, &body);
    let at = frame.windows(4).position(|four| four == b"what").unwrap();
    frame[at] = 0xff;
    world.upstream(&frame);
    let (_, seen) = decoded::<FindCoordinatorResponse>(2, &world.to_client);
    assert_eq!(seen.error_message.unwrap().as_str(), "[upstream]");
}

#[test]
fn unknown_tagged_fields_survive_an_edit() {
    let tag = |n: u8| std::collections::BTreeMap::from([(90, vec![n; 3].into())]);
    let mut response = metadata(12, vec![broker(1, "kafka-1.canary", 9092)]);
    response.unknown_tagged_fields = tag(1);
    response.brokers[0].unknown_tagged_fields = tag(2);
    response.topics[0].partitions[0].unknown_tagged_fields = tag(3);
    let (seen, _) = through(3, 12, &MetadataRequest::default(), &response);
    let mut expected = response;
    expected.brokers[0].host = "doorkeeper.example".into();
    expected.brokers[0].port = 19094;
    assert_eq!(seen, expected);
}
