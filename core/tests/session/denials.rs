//! Topics that a client may not use: cut from requests, and denied in the responses.

use bytes::Bytes;
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::{Accept, BufferedBytes, CloseReason, Instant, Route};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    FetchableTopicResponse, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, HeaderVersion};
use uuid::Uuid;

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response};

const CHUNKS: [usize; 3] = [1, 17, usize::MAX];

pub fn world(chunk: usize) -> World {
    let mut snapshot = snapshot();
    let anonymous = Principal::anonymous();
    snapshot.policy = Policy::allow_all()
        .deny_topic(&anonymous, "secret")
        .deny_topic(&anonymous, "hidden")
        .deny_topic(&Principal::new("User:other"), "open");
    let mut world = World::with(snapshot, Route::Bootstrap);
    world.chunk = chunk;
    world
}

fn topic(name: &str) -> TopicName {
    TopicName(name.to_string().into())
}

fn produce(topics: &[&str], acks: i16) -> ProduceRequest {
    let data = |name: &&str| {
        let partition = |index| {
            PartitionProduceData::default()
                .with_index(index)
                .with_records(Some(Bytes::from(name.repeat(20))))
        };
        TopicProduceData::default()
            .with_name(topic(name))
            .with_partition_data(vec![partition(0), partition(3)])
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(100)
        .with_topic_data(topics.iter().map(data).collect())
}

fn produced(topics: &[(&str, i16)]) -> ProduceResponse {
    let response = |(name, error): &(&str, i16)| {
        let partition = |index| {
            let partition = PartitionProduceResponse::default().with_index(index);
            if *error == 0 {
                partition.with_base_offset(42)
            } else {
                partition.with_error_code(*error).with_base_offset(-1)
            }
            .with_log_start_offset(-1)
        };
        TopicProduceResponse::default()
            .with_name(topic(name))
            .with_partition_responses(vec![partition(0), partition(3)])
    };
    ProduceResponse::default().with_responses(topics.iter().map(response).collect())
}

/// The request that the broker got, decoded.
fn sent<M: Decodable + HeaderVersion>(world: &World, version: i16) -> M {
    let mut frame = Bytes::copy_from_slice(&frames(&world.to_upstream)[0]);
    RequestHeader::decode(&mut frame, M::header_version(version)).unwrap();
    let body = M::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty(), "bytes behind the body");
    body
}

#[test]
fn denied_topics_are_cut_from_a_produce_and_named_in_its_response() {
    for version in 3..=12 {
        for chunk in CHUNKS {
            let mut world = world(chunk);
            let ask = produce(&["secret", "open", "hidden", "free"], 1);
            world.client(&request(0, version, 7, &ask));
            assert_eq!(
                sent::<ProduceRequest>(&world, version),
                produce(&["open", "free"], 1)
            );
            world.upstream(&response_frame(
                version,
                7,
                &produced(&[("open", 0), ("free", 0)]),
            ));
            let (_, seen) = decoded::<ProduceResponse>(version, &world.to_client);
            let expected = [("secret", 29), ("hidden", 29), ("open", 0), ("free", 0)];
            assert_eq!(seen, produced(&expected), "version {version}");
        }
    }
}

#[test]
fn nothing_of_a_denied_topic_reaches_the_broker() {
    let mut world = world(usize::MAX);
    world.client(&request(0, 9, 7, &produce(&["open", "secret"], 1)));
    let text = String::from_utf8_lossy(&world.to_upstream).into_owned();
    assert!(text.contains("open") && !text.contains("secret"));
}

#[test]
fn a_produce_of_denied_topics_alone_gets_a_local_response_in_its_turn() {
    for version in 3..=12 {
        let mut world = world(5);
        world.client(
            &[
                heartbeat(1),
                request(0, version, 2, &produce(&["secret"], -1)),
                heartbeat(3),
            ]
            .concat(),
        );
        assert_eq!(world.to_upstream, [heartbeat(1), heartbeat(3)].concat());
        world.upstream(&[heartbeat_response(1), heartbeat_response(3)].concat());
        assert_eq!(ids(&world.to_client), [1, 2, 3]);
        let frame = framed(&frames(&world.to_client)[1]);
        let (_, seen) = decoded::<ProduceResponse>(version, &frame);
        assert_eq!(seen, produced(&[("secret", 29)]));
    }
}

#[test]
fn denied_records_with_acks_0_close() {
    for topics in [&["secret"][..], &["open", "secret"]] {
        let mut world = world(usize::MAX);
        world.client(&request(0, 9, 1, &produce(topics, 0)));
        assert_eq!(
            world.closed,
            Some(CloseReason::Client(ClientFault::DeniedAcksZero))
        );
        assert_eq!(world.to_upstream, []);
    }
}

#[test]
fn allowed_requests_pass_to_the_byte() {
    for version in 3..=12 {
        let mut world = world(11);
        let frame = request(0, version, 1, &produce(&["open", "free"], 1));
        world.client(&frame);
        assert_eq!(world.to_upstream, frame);
    }
}

#[test]
fn a_produce_goes_up_from_the_name_of_its_last_topic_on_if_all_are_allowed() {
    let ask = produce(&["open", "free"], 1);
    let frame = request(0, 9, 1, &ask);
    let last = frame.windows(4).position(|it| it == b"free").unwrap();
    let mut world = world(usize::MAX);
    world.client(&frame[..last + 3]);
    assert!(
        world.targets.is_empty(),
        "a part of the last name is missing"
    );
    world.client(&frame[last + 3..last + 4]);
    // Behind the name nothing need be buffered, however long the records are.
    assert_eq!(world.session.buffered_bytes(), BufferedBytes::default());
    world.client(&frame[last + 4..]);
    assert_eq!(world.to_upstream, frame);
}

#[test]
fn the_principal_of_the_accepted_client_decides() {
    let at = Instant::from_nanos(1_000_000_000);
    let accept = Accept {
        principal: Some(Principal::new("User:other")),
        ..Accept::new(at, "192.0.2.1:5000".parse().unwrap(), Route::Bootstrap)
    };
    let snapshot = world(1).snapshot;
    let mut world = World::of((*snapshot).clone(), accept);
    world.client(&request(0, 9, 1, &produce(&["secret", "open"], 1)));
    assert_eq!(sent::<ProduceRequest>(&world, 9), produce(&["secret"], 1));
}

#[test]
fn a_produce_with_a_denied_topic_is_buffered_to_its_end() {
    for topics in [["secret", "open"], ["open", "secret"]] {
        let frame = request(0, 9, 1, &produce(&topics, 1));
        let mut world = world(7);
        world.client(&frame[..frame.len() - 1]);
        assert!(world.targets.is_empty());
        world.client(&frame[frame.len() - 1..]);
        assert_eq!(sent::<ProduceRequest>(&world, 9), produce(&["open"], 1));
    }
}

#[test]
fn an_unknown_topic_id_is_denied() {
    let id = Uuid::from_bytes([5; 16]);
    let mut ask = produce(&["x"], 1);
    ask.topic_data[0].name = topic("");
    ask.topic_data[0].topic_id = id;
    let mut world = world(usize::MAX);
    world.client(&request(0, 13, 1, &ask));
    let (_, seen) = decoded::<ProduceResponse>(13, &world.to_client);
    assert_eq!(seen.responses[0].topic_id, id);
    assert_eq!(seen.responses[0].partition_responses[0].error_code, 100);
    assert!(world.targets.is_empty());
}

fn fetch(topics: &[&str], session: i32, epoch: i32) -> FetchRequest {
    let entry = |name: &&str| {
        FetchTopic::default()
            .with_topic(topic(name))
            .with_partitions(vec![FetchPartition::default().with_partition(2)])
    };
    FetchRequest::default()
        .with_max_wait_ms(10)
        .with_session_id(session)
        .with_session_epoch(epoch)
        .with_topics(topics.iter().map(entry).collect())
}

fn fetched(topics: &[(&str, i16, usize)]) -> FetchResponse {
    let entry = |(name, error, records): &(&str, i16, usize)| {
        let partition = PartitionData::default()
            .with_partition_index(2)
            .with_error_code(*error)
            .with_high_watermark(if *error == 0 { 9 } else { -1 })
            .with_records(Some(Bytes::from(vec![7; *records])));
        FetchableTopicResponse::default()
            .with_topic(topic(name))
            .with_partitions(vec![partition])
    };
    FetchResponse::default().with_responses(topics.iter().map(entry).collect())
}

#[test]
fn denied_topics_are_cut_from_a_fetch_and_named_in_responses_of_every_length() {
    for version in 7..=12 {
        for records in [10, 200_000] {
            let mut world = world(if records == 10 { 3 } else { 50_000 });
            world.client(&request(1, version, 7, &fetch(&["secret", "open"], 0, 0)));
            // No session is asked for: what a broker remembers cannot be authorized again.
            let asked = sent::<FetchRequest>(&world, version);
            assert_eq!(asked, fetch(&["open"], 0, -1));
            world.upstream(&response_frame(
                version,
                7,
                &fetched(&[("open", 0, records)]),
            ));
            let (_, seen) = decoded::<FetchResponse>(version, &world.to_client);
            let expected = fetched(&[("secret", 29, 0), ("open", 0, records)]);
            assert!(seen == expected, "version {version}, {records} bytes");
        }
    }
}

/// The id zero names no topic, so it is not denied.
#[test]
fn a_denial_is_injected_into_a_streamed_response_with_blanked_endpoints() {
    let entry = |id: u8| {
        FetchTopic::default()
            .with_topic_id(Uuid::from_bytes([id; 16]))
            .with_partitions(vec![FetchPartition::default().with_partition(2)])
    };
    let mut ask = fetch(&[], 0, 0);
    ask.topics = vec![entry(5), entry(0)];
    for version in 16..=17 {
        for chunk in [1000, 50_000, usize::MAX] {
            let mut world = world(chunk);
            world.client(&request(1, version, 7, &ask));
            let node = NodeEndpoint::default()
                .with_node_id(1.into())
                .with_host("kafka-1.canary".to_string().into())
                .with_port(9092);
            let mut response = fetched(&[("", 0, 200_000)]);
            let expected_topics = response.responses.clone();
            response.node_endpoints = vec![node];
            let frame = response_frame(version, 7, &response);
            world.upstream(&frame[..frame.len() - 100]);
            assert!(chunk > 100_000 || world.to_client.len() > 100_000);
            world.upstream(&frame[frame.len() - 100..]);
            assert!(!String::from_utf8_lossy(&world.to_client).contains("canary"));
            let (_, seen) = decoded::<FetchResponse>(version, &world.to_client);
            assert!(seen.node_endpoints.is_empty());
            assert_eq!(seen.responses[0].topic_id, Uuid::from_bytes([5; 16]));
            assert_eq!(seen.responses[0].partitions[0].error_code, 100);
            assert!(seen.responses[1..] == expected_topics);
        }
    }
}

#[test]
fn a_response_with_a_top_level_error_gets_no_denied_topics() {
    for version in 7..=12 {
        let mut world = world(usize::MAX);
        world.client(&request(1, version, 7, &fetch(&["secret", "open"], 0, 0)));
        let response = response_frame(version, 7, &FetchResponse::default().with_error_code(71));
        world.upstream(&response);
        assert_eq!(world.to_client, response);
    }
}

#[test]
fn metadata_of_an_unknown_id_is_denied_by_its_id() {
    let id = Uuid::from_bytes([5; 16]);
    for version in 10..=13 {
        let name = (version < 12).then(|| topic(""));
        let entry = MetadataRequestTopic::default()
            .with_topic_id(id)
            .with_name(name.clone());
        let ask = MetadataRequest::default().with_topics(Some(vec![entry]));
        let mut world = world(usize::MAX);
        world.client(&request(3, version, 7, &ask));
        world.upstream(&response_frame(version, 7, &MetadataResponse::default()));
        let (_, seen) = decoded::<MetadataResponse>(version, &world.to_client);
        let expected = MetadataResponseTopic::default()
            .with_error_code(100)
            .with_topic_id(id)
            .with_name(name);
        assert_eq!(seen.topics, [expected], "version {version}");
    }
}

#[test]
fn fetch_sessions_are_not_used_where_topics_are_authorized() {
    for version in 7..=12 {
        let mut world = world(usize::MAX);
        world.client(&request(1, version, 7, &fetch(&[], 4711, 3)));
        let (_, seen) = decoded::<FetchResponse>(version, &world.to_client);
        assert_eq!(seen, FetchResponse::default().with_error_code(70));
        assert_eq!(world.to_upstream, []);
    }
    // A full Fetch that names somebody's session would close it at the broker.
    let mut world = world(usize::MAX);
    world.client(&request(1, 12, 7, &fetch(&["open"], 4711, 0)));
    assert_eq!(sent::<FetchRequest>(&world, 12), fetch(&["open"], 0, -1));
}

fn metadata(topics: &[&str]) -> MetadataRequest {
    let entry = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic(name)));
    MetadataRequest::default().with_topics(Some(topics.iter().map(entry).collect()))
}

fn described(topics: &[(&str, i16)]) -> MetadataResponse {
    let entry = |(name, error): &(&str, i16)| {
        MetadataResponseTopic::default()
            .with_name(Some(topic(name)))
            .with_error_code(*error)
    };
    MetadataResponse::default()
        .with_controller_id((-1).into())
        .with_topics(topics.iter().map(entry).collect())
}

#[test]
fn denied_topics_are_cut_from_metadata_and_named_in_its_response() {
    for version in 0..=12 {
        for chunk in CHUNKS {
            let mut world = world(chunk);
            world.client(&request(3, version, 7, &metadata(&["open", "secret"])));
            assert_eq!(
                sent::<MetadataRequest>(&world, version),
                metadata(&["open"])
            );
            let broker = |host: &str, port| {
                MetadataResponseBroker::default()
                    .with_node_id(1.into())
                    .with_host(host.to_string().into())
                    .with_port(port)
            };
            let response =
                described(&[("open", 0)]).with_brokers(vec![broker("kafka-1.canary", 9092)]);
            world.upstream(&response_frame(version, 7, &response));
            let (_, seen) = decoded::<MetadataResponse>(version, &world.to_client);
            let ours = vec![broker("doorkeeper.example", 19094)];
            let expected = described(&[("secret", 29), ("open", 0)]).with_brokers(ours);
            assert_eq!(seen, expected, "version {version}");
        }
    }
}

#[test]
fn denied_topics_are_left_out_of_a_listing() {
    for version in 0..=12 {
        let mut world = world(usize::MAX);
        let all = if version == 0 { Some(vec![]) } else { None };
        world.client(&request(
            3,
            version,
            7,
            &MetadataRequest::default().with_topics(all),
        ));
        let response = described(&[("secret", 0), ("a", 0), ("hidden", 0), ("b", 0)]);
        world.upstream(&response_frame(version, 7, &response));
        let (_, seen) = decoded::<MetadataResponse>(version, &world.to_client);
        assert_eq!(seen, described(&[("a", 0), ("b", 0)]), "version {version}");
    }
}

#[test]
fn metadata_of_denied_topics_alone_lists_no_other() {
    for version in 0..=12 {
        let mut world = world(usize::MAX);
        world.client(&request(3, version, 7, &metadata(&["secret"])));
        assert_eq!(sent::<MetadataRequest>(&world, version), metadata(&[]));
        // In version 0 the broker lists all topics then.
        let response = if version == 0 {
            described(&[("open", 0)])
        } else {
            described(&[])
        };
        world.upstream(&response_frame(version, 7, &response));
        let (_, seen) = decoded::<MetadataResponse>(version, &world.to_client);
        assert_eq!(seen, described(&[("secret", 29)]), "version {version}");
    }
}

#[test]
fn denied_topics_are_not_created() {
    for version in 2..=7 {
        let entry = |name: &str| CreatableTopic::default().with_name(topic(name));
        let body = |names: &[&str]| {
            CreateTopicsRequest::default()
                .with_topics(names.iter().map(|name| entry(name)).collect())
                .with_timeout_ms(5)
        };
        let created = |name: &str| CreatableTopicResult::default().with_name(topic(name));
        let denied = |name: &str| {
            created(name)
                .with_error_code(29)
                .with_error_message(Some("Authorization failed.".into()))
        };
        let mut world = world(9);
        world.client(&request(19, version, 7, &body(&["open", "secret"])));
        assert_eq!(
            sent::<CreateTopicsRequest>(&world, version),
            body(&["open"])
        );
        let response = CreateTopicsResponse::default().with_topics(vec![created("open")]);
        world.upstream(&response_frame(version, 7, &response));
        let (_, seen) = decoded::<CreateTopicsResponse>(version, &world.to_client);
        assert_eq!(
            seen.topics,
            [denied("secret"), created("open")],
            "version {version}"
        );
    }
}

#[test]
fn a_denied_api_is_neither_offered_nor_served() {
    let mut snapshot = snapshot();
    snapshot.policy = Policy::allow_all().deny_api(ApiKey(19));
    let mut world = World::with(snapshot, Route::Bootstrap);
    world.client(&request(19, 5, 1, &CreateTopicsRequest::default()));
    let fault = ClientFault::ApiNotOffered(ApiKey(19));
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));
}

#[test]
fn a_new_policy_authorizes_the_next_request() {
    let mut world = World::new();
    world.client(&request(0, 9, 1, &produce(&["secret"], 1)));
    world.upstream(&response_frame(9, 1, &produced(&[("secret", 0)])));
    world.renew(|snapshot| {
        snapshot.policy = Policy::allow_all().deny_topic(&Principal::anonymous(), "secret");
    });
    world.to_client.clear();
    world.client(&request(0, 9, 2, &produce(&["secret"], 1)));
    let (_, seen) = decoded::<ProduceResponse>(9, &world.to_client);
    assert_eq!(seen, produced(&[("secret", 29)]));
}

/// Part of it has been read and authorized already.
#[test]
fn a_buffered_request_is_authorized_again_by_a_new_policy() {
    let frame = request(0, 9, 1, &produce(&["secret", "hidden", "open"], 1));
    for cut in (5..frame.len()).step_by(7) {
        for chunk in CHUNKS {
            let mut world = world(chunk);
            world.client(&frame[..cut]);
            world.renew(|snapshot| {
                let anonymous = Principal::anonymous();
                snapshot.policy = Policy::allow_all().deny_topic(&anonymous, "open");
            });
            world.client(&frame[cut..]);
            let up = sent::<ProduceRequest>(&world, 9);
            assert_eq!(up, produce(&["secret", "hidden"], 1), "cut at {cut}");
            let response = produced(&[("secret", 0), ("hidden", 0)]);
            world.upstream(&response_frame(9, 1, &response));
            let (_, seen) = decoded::<ProduceResponse>(9, &world.to_client);
            let expected = [("open", 29), ("secret", 0), ("hidden", 0)];
            assert_eq!(seen, produced(&expected));
        }
    }
}
