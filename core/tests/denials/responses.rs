//! What responses that deny a request say, and how they name again what it names.

use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use crate::harness::{World, counts, decoded, request};
use crate::{CHUNKS, ID};

/// The one response, decoded, to a request of a client that is allowed nothing.
fn denial<Q: Encodable + HeaderVersion, P: Decodable + HeaderVersion>(
    key: i16,
    version: i16,
    body: &Q,
) -> P {
    let mut world = World::new();
    world.client(&request(key, version, ID, body));
    assert_eq!(world.closed, None);
    decoded::<P>(version, &world.to_client).1
}

const NOT_ALLOWED: &str = "Cluster authorization failed: this listener of doorkeeper allows it \
                           only where allow_apis names it.";

pub fn reassigning(topics: usize, partitions: i32) -> AlterPartitionReassignmentsRequest {
    use alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
    let partition = |index| {
        ReassignablePartition::default()
            .with_partition_index(index)
            .with_replicas(Some(vec![BrokerId(1), BrokerId(2), BrokerId(3)]))
    };
    let topic = |number| {
        ReassignableTopic::default()
            .with_name(TopicName(format!("topic-{number}").into()))
            .with_partitions((0..partitions).map(partition).collect())
    };
    AlterPartitionReassignmentsRequest::default().with_topics((0..topics).map(topic).collect())
}

pub fn not_reassigned(topics: usize, partitions: i32) -> AlterPartitionReassignmentsResponse {
    use alter_partition_reassignments_response::{
        ReassignablePartitionResponse, ReassignableTopicResponse,
    };
    let partition = |index| {
        ReassignablePartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(31)
            .with_error_message(Some(NOT_ALLOWED.into()))
    };
    let topic = |number| {
        ReassignableTopicResponse::default()
            .with_name(TopicName(format!("topic-{number}").into()))
            .with_partitions((0..partitions).map(partition).collect())
    };
    AlterPartitionReassignmentsResponse::default()
        .with_error_code(31)
        .with_error_message(Some(NOT_ALLOWED.into()))
        .with_responses((0..topics).map(topic).collect())
}

/// `kafka-reassign-partitions` sends all of its plan in one request.
#[test]
fn a_reassignment_of_a_whole_cluster_is_denied_for_each_partition() {
    for (topics, partitions) in [(0, 0), (1, 0), (2, 3), (100, 500)] {
        let seen: AlterPartitionReassignmentsResponse =
            denial(45, 0, &reassigning(topics, partitions));
        assert!(
            seen == not_reassigned(topics, partitions),
            "{topics} topics"
        );
    }
}

#[test]
fn an_election_is_denied_for_each_partition_with_a_text() {
    use elect_leaders_request::TopicPartitions;
    use elect_leaders_response::{PartitionResult, ReplicaElectionResult};
    let topic = || TopicName("t".to_string().into());
    for version in 0..=2 {
        let partitions = TopicPartitions::default()
            .with_topic(topic())
            .with_partitions(vec![4, 2]);
        let body = ElectLeadersRequest::default().with_topic_partitions(Some(vec![partitions]));
        let partition = |index| {
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(31)
                .with_error_message(Some(NOT_ALLOWED.into()))
        };
        let result = ReplicaElectionResult::default()
            .with_topic(topic())
            .with_partition_result(vec![partition(4), partition(2)]);
        let expected = ElectLeadersResponse::default()
            .with_error_code(if version >= 1 { 31 } else { 0 })
            .with_replica_election_results(vec![result]);
        assert_eq!(
            denial::<_, ElectLeadersResponse>(43, version, &body),
            expected
        );
    }
}

/// `KafkaApis.handleCreateTokenRequest`.
#[test]
fn the_owner_of_a_token_that_is_denied_is_whom_its_request_names() {
    use create_delegation_token_request::CreatableRenewers;
    let renewed = || {
        let renewer = CreatableRenewers::default()
            .with_principal_type("User".into())
            .with_principal_name("renewer".into());
        CreateDelegationTokenRequest::default().with_renewers(vec![renewer])
    };
    let owned = |kind: Option<&'static str>, name: Option<&'static str>| {
        renewed()
            .with_owner_principal_type(kind.map(Into::into))
            .with_owner_principal_name(name.map(Into::into))
    };
    for (version, request, owner) in [
        (1, renewed(), "ANONYMOUS"),
        (2, renewed(), "ANONYMOUS"),
        (3, owned(None, None), "ANONYMOUS"),
        (3, owned(Some("User"), Some("")), "ANONYMOUS"),
        (3, owned(Some("User"), Some("alice")), "alice"),
    ] {
        let seen: CreateDelegationTokenResponse = denial(38, version, &request);
        let expected = CreateDelegationTokenResponse::default()
            .with_error_code(64)
            .with_principal_type("User".into())
            .with_principal_name(owner.into())
            .with_issue_timestamp_ms(-1)
            .with_expiry_timestamp_ms(-1)
            .with_max_timestamp_ms(-1);
        let expected = if version >= 3 {
            expected
                .with_token_requester_principal_type("User".into())
                .with_token_requester_principal_name("ANONYMOUS".into())
        } else {
            expected
        };
        assert_eq!(seen, expected, "v{version}");
    }
}

#[test]
fn a_denied_quota_is_named_by_its_entities() {
    use alter_client_quotas_request as asked;
    use alter_client_quotas_response as altered;
    let names = [
        ("user", Some("alice")),
        ("client-id", None),
        ("ip", Some("")),
    ];
    let op = asked::OpData::default().with_key("producer_byte_rate".into());
    let entity = |(kind, name): (&'static str, Option<&'static str>)| {
        asked::EntityData::default()
            .with_entity_type(kind.into())
            .with_entity_name(name.map(Into::into))
    };
    let again = |(kind, name): (&'static str, Option<&'static str>)| {
        altered::EntityData::default()
            .with_entity_type(kind.into())
            .with_entity_name(name.map(Into::into))
    };
    let denied = |entities: &[(&'static str, Option<&'static str>)]| {
        altered::EntryData::default()
            .with_error_code(31)
            .with_error_message(Some(NOT_ALLOWED.into()))
            .with_entity(entities.iter().copied().map(again).collect())
    };
    for version in 0..=1 {
        let entry = asked::EntryData::default().with_ops(vec![op.clone(), op.clone()]);
        let entries = vec![
            entry.clone().with_entity(names.map(entity).to_vec()),
            entry.clone(),
            entry.with_entity(vec![entity(names[1])]),
        ];
        let body = AlterClientQuotasRequest::default().with_entries(entries);
        let seen: AlterClientQuotasResponse = denial(49, version, &body);
        let expected = AlterClientQuotasResponse::default().with_entries(vec![
            denied(&names),
            denied(&[]),
            denied(&names[1..2]),
        ]);
        assert_eq!(seen, expected);
    }
}

#[test]
fn each_user_is_denied_once_and_in_order() {
    use alter_user_scram_credentials_request::ScramCredentialDeletion;
    let deletion =
        |name: &str| ScramCredentialDeletion::default().with_name(name.to_string().into());
    let deletions = ["b", "a", "b", "c"].map(deletion).to_vec();
    let body = AlterUserScramCredentialsRequest::default().with_deletions(deletions);
    let seen: AlterUserScramCredentialsResponse = denial(51, 0, &body);
    let users: Vec<(&str, i16)> = seen
        .results
        .iter()
        .map(|it| (it.user.as_str(), it.error_code))
        .collect();
    assert_eq!(users, [("a", 31), ("b", 31), ("c", 31)]);
}

#[test]
fn markers_are_denied_one_within_the_other() {
    use write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };
    let topic = |name: &str, partitions: &[i32]| {
        WritableTxnMarkerTopic::default()
            .with_name(TopicName(name.to_string().into()))
            .with_partition_indexes(partitions.to_vec())
    };
    let marker = |id, topics| {
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(id))
            .with_topics(topics)
    };
    let body = WriteTxnMarkersRequest::default().with_markers(vec![
        marker(1, vec![topic("a", &[0, 1]), topic("b", &[])]),
        marker(2, vec![]),
        marker(3, vec![topic("a", &[7])]),
    ]);
    let partition = |index: &i32| {
        WritableTxnMarkerPartitionResult::default()
            .with_partition_index(*index)
            .with_error_code(31)
    };
    let topic = |name: &str, partitions: &[i32]| {
        WritableTxnMarkerTopicResult::default()
            .with_name(TopicName(name.to_string().into()))
            .with_partitions(partitions.iter().map(partition).collect())
    };
    let marker = |id, topics| {
        WritableTxnMarkerResult::default()
            .with_producer_id(ProducerId(id))
            .with_topics(topics)
    };
    let expected = WriteTxnMarkersResponse::default().with_markers(vec![
        marker(1, vec![topic("a", &[0, 1]), topic("b", &[])]),
        marker(2, vec![]),
        marker(3, vec![topic("a", &[7])]),
    ]);
    assert_eq!(denial::<_, WriteTxnMarkersResponse>(27, 1, &body), expected);
}

fn coordinator(version: i16, kind: i8) -> Vec<u8> {
    let body = FindCoordinatorRequest::default().with_key_type(kind);
    let body = if version >= 4 {
        body.with_coordinator_keys(vec!["g:topic:0".into(), "g:topic:1".into()])
    } else {
        body.with_key("g:topic:0".into())
    };
    request(10, version, ID, &body)
}

#[test]
fn a_share_coordinator_is_for_brokers_to_find() {
    for chunk in CHUNKS {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&coordinator(6, 2));
        assert_eq!(world.closed, None);
        assert!(world.to_upstream.is_empty() && world.targets.is_empty());
        let (id, response) = decoded::<FindCoordinatorResponse>(6, &world.to_client);
        assert_eq!(id, ID);
        let keys: Vec<&str> = response
            .coordinators
            .iter()
            .map(|it| it.key.as_str())
            .collect();
        assert_eq!(keys, ["g:topic:0", "g:topic:1"]);
        for it in &response.coordinators {
            assert_eq!((it.error_code, it.node_id.0, it.port), (31, -1, -1));
            assert!(it.host.is_empty());
        }
    }
}

#[test]
fn any_other_coordinator_is_asked_of_the_broker() {
    // Below version 6 a broker itself says that there is no such kind.
    for (version, kind) in [
        (6, 0),
        (6, 1),
        (6, 3),
        (5, 2),
        (4, 2),
        (3, 2),
        (1, 2),
        (3, 0),
    ] {
        for chunk in CHUNKS {
            let mut world = World::new();
            world.chunk = chunk;
            let sent = coordinator(version, kind);
            world.client(&sent);
            assert_eq!(world.to_upstream, sent, "v{version} of {kind}");
        }
    }
}

#[test]
fn a_login_gets_the_error_of_a_plaintext_listener_of_kafka() {
    let mut world = World::new();
    let hello = SaslHandshakeRequest::default().with_mechanism("PLAIN".into());
    world.client(&request(17, 1, ID, &hello));
    let (_, response) = decoded::<SaslHandshakeResponse>(1, &world.to_client);
    assert_eq!((response.error_code, response.mechanisms.len()), (34, 0));
    world.to_client.clear();
    let token = SaslAuthenticateRequest::default().with_auth_bytes("\0alice\0secret".into());
    world.client(&request(36, 2, ID, &token));
    let (_, response) = decoded::<SaslAuthenticateResponse>(2, &world.to_client);
    assert_eq!(response.error_code, 34);
    assert!(
        world.to_upstream.is_empty(),
        "a password that nobody asked for"
    );
    assert_eq!(world.closed, None);
    assert_eq!(counts(&world.events).get("SASL without a login"), Some(&2));
}
